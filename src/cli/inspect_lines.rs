//! What all kinds of `upline inspect` share: lines of output, and what is no directory of ours.

use std::{
    fmt::Write as _,
    io::{BufWriter, Stdout, Write},
    path::Path,
    sync::Arc,
};

use serde_json::Value;

use super::{exit::Failure, screen};
use crate::durability::{Error, storage::Storage};

/// The destination and format of lines.
pub(super) struct Lines {
    out: BufWriter<Stdout>,
    json: bool,
}

impl Lines {
    pub fn new(json: bool) -> Self {
        Self { out: screen::bulk_output(), json }
    }

    /// Prints one of the two.
    pub fn line(
        &mut self,
        object: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let line = if self.json { object().to_string() } else { text() };
        writeln!(self.out, "{line}").map_err(|error| screen::output_failure(&error, "standard output"))
    }

    pub fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| screen::output_failure(&error, "standard output"))
    }
}

/// A directory without `instance` and `log` is not ours to inspect.
pub(super) fn check_is_directory(storage: &Arc<dyn Storage>, path: &Path) -> Result<(), Failure> {
    let is_there = storage.is_dir(&path.join("log")).unwrap_or(false)
        || storage.is_file(&path.join("instance")).unwrap_or(false);
    if is_there {
        return Ok(());
    }
    let reason = if path.exists() { "it has neither `instance` nor `log`" } else { "it does not exist" };
    Err(Error::NotADataDirectory { path: path.to_path_buf(), reason: reason.into() }.into())
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}
