//! `upline period` and `upline run`: lists the periods of calendars, and locks, unlocks, runs, approves,
//! posts and seals one of them, in a data directory or by a running server.
//!
//! The printed objects use the terms of `/v1`. In a directory the same rules refuse as on a server, with the
//! same reasons.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    clock::ClockRule,
    exit::{Exit, Failure},
    log_options, open_periods, os_user,
    problem::refused,
    screen,
    source::{self, Source, suggest_server},
    tables,
    target::Target,
};
use crate::{
    core::{
        command::{Command, Outcome, PeriodRef, PeriodStep, StepPeriod},
        state::State,
        types::{REASON_CHARS_MAX, Reason},
    },
    durability::storage::Disk,
    engine::{self, Engine, EngineOptions, PlanChoice, Sent},
    http::offline,
    metrics::Metrics,
};

/// Default number of periods listed of each calendar: half a year of weeks.
const LIMIT_DEFAULT: u32 = 26;
/// The longest page of a server.
const LIMIT_MAX: u32 = 1_000;

const PERIOD_COLUMNS: [(&str, &str); 6] = [
    ("calendar", "calendar"),
    ("period", "label"),
    ("state", "state"),
    ("start", "start"),
    ("end", "end"),
    ("grace until", "grace_until"),
];
const STEP_COLUMNS: [(&str, &str); 4] =
    [("step", "step"), ("time", "time"), ("by", "by"), ("reason", "reason")];
const RUN_COLUMNS: [(&str, &str); 4] =
    [("run", "run"), ("time", "time"), ("by", "by"), ("lines", "pay_lines")];

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(subcommand)]
    command: PeriodCommand,
}

#[derive(clap::Subcommand, Debug)]
enum PeriodCommand {
    /// List the periods of a calendar, or of all, newest first
    List(ListArgs),
    /// Show a period: its totals, what was done with it, its runs
    Show(OneArgs),
    /// End the grace of a period that is over: nothing of it changes any more
    Lock(StepArgs),
    /// Take back the lock of a period, and an approval
    Unlock(StepArgs),
    /// Accept the newest run of a locked period
    Approve(StepArgs),
    /// Make an approved period final
    Post(StepArgs),
    /// Move the orders of a posted period into files
    Seal(StepArgs),
}

#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Name of a calendar; all of them without it
    calendar: Option<String>,
    /// Periods to list of each calendar, newest first, at most 1,000
    #[arg(
        long, value_name = "PERIODS", default_value_t = LIMIT_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LIMIT_MAX))
    )]
    limit: u32,
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// One period, and where it is.
#[derive(clap::Args, Debug)]
struct OneArgs {
    /// Name of the calendar
    calendar: String,
    /// Label of the period, e.g. 2026-11
    label: String,
    #[command(flatten)]
    source: source::Args,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct StepArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Why, in a person's words: it is kept with the period
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<Reason>,
    /// Write although the clock is behind the log's last time by more than clock_jump_max: what is written
    /// gets that time
    #[arg(long, conflicts_with = "url")]
    accept_clock: bool,
}

/// Computes what a locked period pays, and records the result.
#[derive(clap::Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    one: OneArgs,
    /// Write although the clock is behind the log's last time by more than clock_jump_max: what is written
    /// gets that time
    #[arg(long, conflicts_with = "url")]
    accept_clock: bool,
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::parse(text).ok_or_else(|| {
        format!("must have 1 to {REASON_CHARS_MAX} printable characters, neither blank at its ends")
    })
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        PeriodCommand::List(args) => list(args),
        PeriodCommand::Show(args) => show(args),
        PeriodCommand::Lock(args) => step(args, PeriodStep::Lock),
        PeriodCommand::Unlock(args) => step(args, PeriodStep::Unlock),
        PeriodCommand::Approve(args) => step(args, PeriodStep::Approve),
        PeriodCommand::Post(args) => step(args, PeriodStep::Post),
        PeriodCommand::Seal(args) => step(args, PeriodStep::Seal),
    }
}

// --- reading

fn list(args: &ListArgs) -> Result<(), Failure> {
    let (lsn, periods) = match args.source.open()? {
        Source::Directory(loaded) => {
            let state = &loaded.state;
            (Some(state.lsn()), list_of_state(state, args)?)
        }
        Source::Server(remote) => {
            let names = match &args.calendar {
                Some(name) => vec![name.clone()],
                None => {
                    let answer = remote.get("/v1/calendars")?;
                    items(&answer.body)?
                        .iter()
                        .filter_map(|one| one["name"].as_str().map(str::to_owned))
                        .collect()
                }
            };
            let (mut lsn, mut periods) = (None, Vec::new());
            for name in names {
                let path = format!("/v1/calendars/{}/periods?limit={}", encoded(&name), args.limit);
                let answer = remote.get(&path)?;
                periods.extend_from_slice(items(&answer.body)?);
                lsn = answer.lsn;
            }
            (lsn, periods)
        }
    };
    let object = json!({"command": "period list", "lsn": lsn, "periods": periods});
    screen::say_result(args.json, &object, || match &periods[..] {
        [] => "no periods".into(),
        _ => tables::of_objects(&PERIOD_COLUMNS, &periods),
    })
}

fn list_of_state(state: &State, args: &ListArgs) -> Result<Vec<Value>, Failure> {
    let calendars = &state.plan().commerce.calendars;
    if let Some(name) = &args.calendar {
        state.plan().commerce.calendar(name).ok_or_else(|| refused(engine::Rejection::CalendarUnknown))?;
    }
    let wanted = (0_u8..)
        .zip(calendars)
        .filter(|(_, calendar)| args.calendar.as_ref().is_none_or(|name| *calendar.name == **name));
    let newest = |calendar: u8| {
        let periods = (0..state.periods_len(calendar)).rev().take(args.limit as usize);
        periods.filter_map(move |period| offline::period_row(state, PeriodRef { calendar, period }))
    };
    Ok(wanted.flat_map(|(calendar, _)| newest(calendar)).collect())
}

/// The items of a server's list.
fn items(body: &Value) -> Result<&[Value], Failure> {
    body["items"].as_array().map(Vec::as_slice).ok_or_else(|| {
        Failure::new(Exit::Refused, "the server's answer is not a list: is it an upline server?")
    })
}

fn show(args: &OneArgs) -> Result<(), Failure> {
    let (lsn, period) = match args.source.open()? {
        Source::Directory(loaded) => shown(&loaded.state, args)?,
        Source::Server(remote) => {
            let answer = remote.get(&path(args, ""))?;
            (answer.lsn, answer.body)
        }
    };
    say(args, "period show", lsn, &period)
}

/// A period of a directory.
fn shown(state: &State, args: &OneArgs) -> Result<(Option<u64>, Value), Failure> {
    let period = offline::find_period(state, &args.calendar, &args.label).map_err(refused)?;
    Ok((Some(state.lsn()), offline::period(state, period).unwrap_or_default()))
}

// --- steps

fn step(args: &StepArgs, step: PeriodStep) -> Result<(), Failure> {
    let one = &args.one;
    let (lsn, period) = match one.source.server()? {
        Some(remote) => {
            let reason = args.reason.as_ref().map(Reason::as_str);
            let answer =
                remote.post_json(&path(one, &format!("/{}", step.name())), &json!({"reason": reason}))?;
            (answer.lsn, answer.body)
        }
        None if step == PeriodStep::Seal => seal_in_directory(args)?,
        None => in_directory(one, args.accept_clock, |_, period| {
            let (reason, by) = (args.reason.clone(), os_user::actor());
            Command::StepPeriod(Box::new(StepPeriod { period, step, reason, by }))
        })?,
    };
    say(one, &format!("period {}", step.name()), lsn, &period)
}

pub(super) fn record_run(args: &RunArgs) -> Result<(), Failure> {
    let one = &args.one;
    let (lsn, period) = match one.source.server()? {
        Some(remote) => {
            remote.post(&path(one, "/runs"))?;
            let answer = remote.get(&path(one, ""))?;
            (answer.lsn, answer.body)
        }
        None => in_directory(one, args.accept_clock, |state, period| {
            Command::RecordRun(Box::new(engine::empty_run(state, period, os_user::actor())))
        })?,
    };
    say(one, "run", lsn, &period)
}

/// Seals a period of the data directory, with an engine of its own: files are written as by a server.
fn seal_in_directory(args: &StepArgs) -> Result<(Option<u64>, Value), Failure> {
    let one = &args.one;
    let config = one.source.config()?;
    let rule = ClockRule::of(&config, args.accept_clock);
    // An engine would begin a network where there is none.
    let loaded = engine::load(&Disk::shared(), &config.data_dir, &mut |_| {}).map_err(Failure::from);
    let plan = loaded.map(|loaded| (**loaded.state.plan()).clone()).map_err(suggest_server)?;
    let choice = PlanChoice { plan, plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(config.data_dir.clone(), choice, Metrics::new(&[]));
    (options.log, options.clock_jump_max) = (log_options(&config), None);
    let (engine, report) = Engine::open(options).map_err(Failure::from).map_err(suggest_server)?;
    rule.check(&report)?;
    let period = engine.read(|state, _| offline::find_period(state, &one.calendar, &one.label));
    let period = period.map_err(refused)?;
    let sent = Sent { actor: os_user::actor(), key: None };
    let answer = engine.seal_period_blocking(period, args.reason.clone(), sent).map_err(Failure::from)?;
    if let Outcome::Rejected(rejection) = answer.applied.outcome {
        return Err(refused(rejection));
    }
    let found = engine.read(|state, _| shown(state, one));
    engine.shutdown();
    found
}

/// Changes a period of the data directory; returns its LSN, and the period.
fn in_directory(
    one: &OneArgs,
    accept_clock: bool,
    command: impl FnOnce(&State, PeriodRef) -> Command,
) -> Result<(Option<u64>, Value), Failure> {
    let config = one.source.config()?;
    let clock = ClockRule::of(&config, accept_clock);
    let mut target =
        Target::existing(config.data_dir.clone(), log_options(&config), clock).map_err(suggest_server)?;
    let network = &mut target.network;
    open_periods::keep(network)?;
    let period = offline::find_period(&network.state, &one.calendar, &one.label).map_err(refused)?;
    network.apply(command(&network.state, period)).map_err(refused)?;
    target.commit(false).map_err(suggest_server)?;
    shown(&target.network.state, one)
}

/// The path of a period on a server.
fn path(one: &OneArgs, rest: &str) -> String {
    format!("/v1/calendars/{}/periods/{}{rest}", encoded(&one.calendar), encoded(&one.label))
}

/// A text as one segment of a path.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

// --- results

fn say(one: &OneArgs, command: &str, lsn: Option<u64>, full: &Value) -> Result<(), Failure> {
    let object = json!({
        "command": command,
        "lsn": lsn,
        "period": full["period"],
        "steps": full["steps"],
        "runs": full["runs"],
    });
    screen::say_result(one.json, &object, || in_words(full))
}

fn in_words(full: &Value) -> String {
    let period = &full["period"];
    let part = |field: &str| tables::shown(&period[field]);
    let totals = &period["totals"];
    let counted = |field: &str, one: &str| screen::counted(totals[field].as_u64().unwrap_or_default(), one);
    let mut text = format!(
        "{} {}: {}\nfrom {} to {}, grace until {}\n{}, {}, amount {}",
        part("calendar"),
        part("label"),
        part("state"),
        part("start"),
        part("end"),
        part("grace_until"),
        counted("orders", "order"),
        counted("refunds", "refund"),
        tables::shown(&totals["sums"]["amount"]),
    );
    for (name, sum) in totals["sums"]["volumes"].as_object().into_iter().flatten() {
        text += &format!(", {name} {}", tables::shown(sum));
    }
    for (columns, list) in [(&STEP_COLUMNS, &full["steps"]), (&RUN_COLUMNS, &full["runs"])] {
        let rows: Vec<Value> = list.as_array().into_iter().flatten().map(with_actor).collect();
        if !rows.is_empty() {
            text += &format!("\n\n{}", tables::of_objects(columns, &rows));
        }
    }
    text
}

/// A step or a run whose actor is one text.
fn with_actor(row: &Value) -> Value {
    let by = &row["by"];
    let mut row = row.clone();
    let words = [&by["kind"], &by["id"]].into_iter().filter_map(Value::as_str).collect::<Vec<_>>();
    row["by"] = words.join(" ").into();
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_told_in_words() {
        let totals =
            json!({"orders": 1_200, "refunds": 1, "sums": {"amount": "12.50", "volumes": {"pv": "10.00"}}});
        let period = json!({
            "calendar": "month", "label": "2026-11", "state": "posted", "start": "here", "end": "there",
            "grace_until": "then", "totals": totals,
        });
        assert_eq!(
            in_words(&json!({"period": period, "steps": [], "runs": []})),
            "month 2026-11: posted\nfrom here to there, grace until then\n\
             1,200 orders, 1 refund, amount 12.50, pv 10.00"
        );
    }
}
