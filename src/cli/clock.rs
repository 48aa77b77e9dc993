//! `upline clock`: compares the clock with the log, and accepts a clock that jumped; also the rule for
//! commands that write to a directory themselves when the clock is behind.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    DataDirArgs,
    exit::{Exit, Failure},
    remote::{self, Remote},
    screen,
    source::suggest_server,
};
use crate::{
    config::Config,
    durability::storage::Disk,
    engine::{self, OpenReport, system_clock},
    time_text,
};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: ClockCommand,
}

#[derive(clap::Subcommand, Debug)]
enum ClockCommand {
    /// Show how far the clock is ahead of or behind the log, of a directory or of a running server
    Show(Asked),
    /// Let a running server write by its clock again after a jump: the jump that it sees now, and no later
    /// one
    Accept(Asked),
}

#[derive(clap::Args, Debug)]
struct Asked {
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[command(flatten)]
    remote: remote::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        ClockCommand::Show(asked) => show(asked),
        ClockCommand::Accept(asked) => accept(asked),
    }
}

fn show(asked: &Asked) -> Result<(), Failure> {
    let Some(url) = &asked.remote.url else { return show_directory(asked).map_err(suggest_server) };
    let mut now = object(Remote::new(url, &asked.remote)?.get("/v1/clock")?.body)?;
    now.insert("command".into(), "clock show".into());
    let now = Value::Object(now);
    screen::say_result(asked.json, &now, || server_in_words(&now))
}

fn show_directory(asked: &Asked) -> Result<(), Failure> {
    let config = asked.data_dir.resolve([].into())?;
    let mut loading = screen::Loading::new();
    let loaded = engine::load(&Disk::shared(), &config.data_dir, &mut |progress| loading.show(progress))?;
    loading.finish();
    let (report, rule) = (&loaded.report, ClockRule::of(&config, false));
    let object = json!({
        "command": "clock show",
        "clock": time_text::print(system_clock()()),
        "last_command": report.time.map(time_text::print),
        "ahead_seconds": report.clock_ahead.as_secs_f64(),
        "behind_seconds": report.clock_behind.as_secs_f64(),
        "jump_max_seconds": rule.most.map(|most| most.as_secs()),
        "jumped": rule.refuses(report).then_some("behind"),
    });
    screen::say_result(asked.json, &object, || in_words(report, rule.most))
}

fn accept(asked: &Asked) -> Result<(), Failure> {
    let Some(url) = &asked.remote.url else {
        let message = "a clock is accepted by the server that runs (--url http://127.0.0.1:8000); \
                       for an import there is --accept-clock";
        return Err(Failure::new(Exit::Usage, message));
    };
    let mut done = object(Remote::new(url, &asked.remote)?.post("/v1/clock/accept")?.body)?;
    done.insert("command".into(), "clock accept".into());
    let done = Value::Object(done);
    screen::say_result(asked.json, &done, || {
        let what = if done["accepted"] == true { "accepted" } else { "nothing to accept" };
        format!("{what}: {}", server_in_words(&done["was"]))
    })
}

fn object(body: Value) -> Result<serde_json::Map<String, Value>, Failure> {
    match body {
        Value::Object(object) => Ok(object),
        _ => Err(Failure::new(Exit::Refused, "the server's answer is not an object")),
    }
}

/// Describes a server's clock.
fn server_in_words(now: &Value) -> String {
    let text = |key: &str| now[key].as_str().unwrap_or("none").to_owned();
    let seconds =
        |key: &str| Duration::try_from_secs_f64(now[key].as_f64().unwrap_or(0.0).abs()).unwrap_or_default();
    let (clock, last) = (text("clock"), text("last_command"));
    match now["jumped"].as_str() {
        Some("ahead") => format!(
            "the clock says {clock} and gained {} since the last command, {last}",
            span(seconds("gained_seconds"))
        ),
        Some(_) => format!(
            "the clock says {clock} and is {} behind the last command, {last}",
            span(seconds("behind_seconds"))
        ),
        None => format!("the clock says {clock}, the last command was {last}"),
    }
}

/// Describes the clock relative to an opened log, in one line. `most` is how far it may be behind.
pub(super) fn in_words(report: &OpenReport, most: Option<Duration>) -> String {
    let Some(time) = report.time else { return "nothing was written yet".into() };
    let time = time_text::print(time);
    if report.clock_behind.is_zero() {
        return format!("{} ahead of the log's last time, {time}", span(report.clock_ahead));
    }
    let rule = ClockRule { most, accept: false };
    let refused = if rule.refuses(report) { ": too far, it is not written by" } else { "" };
    format!("{} behind the log's last time, {time}{refused}", span(report.clock_behind))
}

/// Formats a duration in its two largest units; below two minutes in seconds.
fn span(length: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = length.as_secs();
    if seconds < 120 {
        return format!("{:.1} s", length.as_secs_f64());
    }
    let first = UNITS.iter().position(|(unit, _)| *unit <= seconds).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[first];
    let (number, rest) = (screen::grouped(seconds / unit), seconds % unit);
    match UNITS.get(first + 1) {
        Some((unit, second)) if *unit <= rest => format!("{number} {name} {} {second}", rest / unit),
        _ => format!("{number} {name}"),
    }
}

/// The clock rule for commands that write to a directory themselves. They can only compare it with the log: a
/// clock ahead of that is normal.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockRule {
    /// How far the clock may be behind the log's last time; `None`: no limit.
    pub most: Option<Duration>,
    /// The user accepts it as it is.
    pub accept: bool,
}

impl ClockRule {
    pub fn of(config: &Config, accept: bool) -> Self {
        Self { most: config.clock_jump_max, accept }
    }

    fn refuses(self, report: &OpenReport) -> bool {
        self.most.is_some_and(|most| most < report.clock_behind)
    }

    /// Checks whether a directory may be written to.
    ///
    /// # Errors
    /// When the clock is too far behind and the user does not accept it.
    pub fn check(self, report: &OpenReport) -> Result<(), Failure> {
        if !self.refuses(report) {
            return Ok(());
        }
        let how = in_words(report, None);
        if self.accept {
            screen::tell(&format!("upline: the clock is accepted: {how}"));
            return Ok(());
        }
        let message = format!(
            "the clock is {how}; nothing was written: set it right, or accept it with --accept-clock \
             (clock_jump_max)"
        );
        Err(Failure::new(Exit::Failed, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::types::Timestamp;

    #[test]
    fn lengths_of_time_have_two_units() {
        // seconds, text
        let table = [
            (0.0, "0.0 s"),
            (119.96, "120.0 s"),
            (120.0, "2 min"),
            (601.0, "10 min 1 s"),
            (3_600.0, "1 h"),
            (3_659.0, "1 h"),
            (7_380.0, "2 h 3 min"),
            (90_000.0, "1 d 1 h"),
            (86_400.0 * 36_525.0, "36,525 d"),
        ];
        for (seconds, text) in table {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn only_a_clock_that_is_behind_by_more_than_the_bound_is_refused() {
        let report = |ahead, behind| OpenReport {
            created: false,
            members: 0,
            lsn: 1,
            snapshot_lsn: 0,
            replayed: 1,
            duration: Duration::ZERO,
            cuts: vec![],
            fallbacks: vec![],
            notes: vec![],
            time: Some(Timestamp(1_767_225_600_000_000)),
            clock_ahead: Duration::from_secs(ahead),
            clock_behind: Duration::from_secs(behind),
            clock_jumped: false,
        };
        // ahead, behind, bound, accepted, proceeds, message
        let last = "the log's last time, 2026-01-01T00:00:00.000000Z";
        let table = [
            (1_000_000, 0, Some(600), false, true, "11 d 13 h ahead of"),
            (0, 600, Some(600), false, true, "10 min behind"),
            (0, 601, Some(600), false, false, "10 min 1 s behind"),
            (0, 601, Some(600), true, true, "10 min 1 s behind"),
            (0, 1_000_000, None, false, true, "11 d 13 h behind"),
        ];
        for (ahead, behind, most, accept, goes_on, said) in table {
            let (report, rule) =
                (report(ahead, behind), ClockRule { most: most.map(Duration::from_secs), accept });
            let (words, checked) = (in_words(&report, rule.most), rule.check(&report));
            assert_eq!(checked.is_ok(), goes_on, "{words}");
            assert!(words.starts_with(&format!("{said} {last}")), "{words}");
            assert_eq!(words.ends_with("not written by"), rule.refuses(&report), "{words}");
            if let Err(failure) = checked {
                assert!(
                    failure.message.contains(said) && failure.message.contains("--accept-clock"),
                    "{}",
                    failure.message
                );
            }
        }
    }
}
