//! The program's output: data and results on standard output, messages and progress on standard error.
//!
//! A closed pipe (`upline export | head`) is neither a failure nor a panic: [`Output::write`] and [`say`] end
//! quietly.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::exit::{Exit, Failure};
use crate::engine::OpenProgress;

/// Interval between redraws of a progress bar.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// How long [`tell_soon`] waits for standard error.
const TELL_WITHIN: Duration = Duration::from_secs(1);

/// Writes a line to standard output.
///
/// # Errors
/// Ends the command, quietly if the reader is gone.
pub(super) fn say(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| output_failure(&error, "standard output"))
}

/// Writes formatted text, including line breaks, to standard output.
///
/// # Errors
/// As [`say`].
pub(super) fn say_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| output_failure(&error, "standard output"))
}

/// Writes a result: as text, or as one JSON object on one line.
///
/// # Errors
/// As [`say`].
pub(super) fn say_result(json: bool, object: &Value, text: impl FnOnce() -> String) -> Result<(), Failure> {
    if json { say(&object.to_string()) } else { say(&text()) }
}

/// Writes a message to standard error. If that is closed too, the message is lost.
pub(super) fn tell(message: &str) {
    _ = writeln!(io::stderr().lock(), "{message}");
}

/// As [`tell`], but with a timeout: standard error may be a pipe that is no longer read, and locked by a
/// thread that waits for it.
pub(super) fn tell_soon(message: &str) {
    let message = message.to_string();
    let (told, is_told) = std::sync::mpsc::channel();
    let telling = move || {
        tell(&message);
        _ = told.send(());
    };
    if std::thread::Builder::new().name("last words".into()).spawn(telling).is_ok() {
        _ = is_told.recv_timeout(TELL_WITHIN);
    }
}

/// Maps a failed write to `name` to the command's failure.
pub(super) fn output_failure(error: &io::Error, name: &str) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Ok),
        _ => Failure::new(Exit::Failed, format!("cannot write {name}: {error}")),
    }
}

/// Returns a buffered standard output for bulk data.
pub(super) fn bulk_output() -> BufWriter<io::Stdout> {
    BufWriter::with_capacity(1 << 16, io::stdout())
}

pub(super) fn on_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Returns a progress bar on standard error, only on a terminal. `total` counts `unit`s; `bytes` shows sizes.
pub(super) fn progress(what: &'static str, total: Option<u64>, bytes: bool) -> ProgressBar {
    if !on_terminal() {
        return ProgressBar::hidden();
    }
    let figures = if bytes {
        "{binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}"
    } else {
        "{human_pos}/{human_len} {per_sec}"
    };
    let template = match total {
        Some(_) => format!("{{msg:12}} [{{bar:40}}] {figures} {{eta}}"),
        None => "{msg:12} {spinner} {human_pos} {elapsed}".into(),
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.progress_chars("=> "));
    bar.set_message(what);
    bar.enable_steady_tick(DRAW_EVERY);
    bar
}

/// Progress of opening a data directory: one bar per phase.
pub(super) struct Loading {
    phase: &'static str,
    bar: ProgressBar,
}

impl Loading {
    pub fn new() -> Self {
        Self { phase: "", bar: ProgressBar::hidden() }
    }

    pub fn show(&mut self, progress: OpenProgress) {
        let (phase, done, total) = match progress {
            OpenProgress::Loading { rows, rows_total } => ("loading", rows, Some(rows_total)),
            OpenProgress::Checking => ("checking", 0, None),
            OpenProgress::Replaying { commands } => ("replaying", commands, None),
        };
        if self.phase != phase {
            self.bar.finish_and_clear();
            self.phase = phase;
            self.bar = self::progress(phase, total, false);
        }
        self.bar.set_position(done);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Formats 1234567 as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position != 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with its noun.
pub(super) fn counted(number: u64, one: &str) -> String {
    let ending = match number {
        1 => "",
        _ if one.ends_with('s') => "es",
        _ => "s",
    };
    format!("{} {one}{ending}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn one_is_not_many() {
        for (number, one, text) in [
            (0, "member", "0 members"),
            (1, "member", "1 member"),
            (2, "bonus", "2 bonuses"),
            (1_000, "row", "1,000 rows"),
        ] {
            assert_eq!(counted(number, one), text);
        }
    }
}
