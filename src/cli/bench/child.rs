//! This program run as a separate process: what its user sees, measured from its start.

use std::{
    fs::File,
    io::{self, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{processes, stop_if_asked};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
    },
    private_file,
};

/// Polling interval for a child. What is measured takes a thousand times as long, and a poll costs some
/// microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Maximum bytes read back from a child's output: its address, one JSON object, or the end of its errors.
const WORDS_BYTES_MAX: u64 = 64 << 10;

/// A running child, killed on drop: its data is discarded as well.
pub(super) struct Child {
    process: std::process::Child,
    started: Instant,
    out: PathBuf,
    err: PathBuf,
}

/// A child that exited successfully.
pub(super) struct Ended {
    pub took: Duration,
    /// Peak resident memory, where the system reports it; may miss the last two milliseconds.
    pub peak_bytes: Option<u64>,
    /// The object on the last line of its standard output.
    pub said: Value,
}

impl Child {
    /// Starts this program with arguments. Its output goes to files in `folder`. No configuration is
    /// inherited from this process's environment.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(folder: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        let (out, err) = (folder.join("child.out"), folder.join("child.err"));
        let start = || -> io::Result<std::process::Child> {
            let (to_out, to_err) = (private_file::create_anew(&out)?, private_file::create_anew(&err)?);
            let mut command = Command::new(std::env::current_exe()?);
            command.args(arguments).current_dir(folder).env_clear();
            command.stdin(Stdio::null()).stdout(to_out).stderr(to_err).spawn()
        };
        let started = Instant::now();
        let process = start()
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot start {arguments:?}: {error}")))?;
        Ok(Self { process, started, out, err })
    }

    /// Runs it to completion.
    ///
    /// # Errors
    /// When it fails, or on interruption.
    pub fn run(folder: &Path, arguments: &[&str], interrupt: &Interrupt) -> Result<Ended, Failure> {
        let mut child = Self::start(folder, arguments)?;
        let mut peak_bytes = None;
        loop {
            peak_bytes = processes::peak_bytes(child.process.id()).max(peak_bytes);
            if child.has_ended(interrupt)? {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let took = child.started.elapsed();
        let said = words(&child.out).lines().last().and_then(|line| serde_json::from_str(line).ok());
        Ok(Ended { took, peak_bytes, said: said.unwrap_or_default() })
    }

    /// Starts a server on a data directory and waits until it listens, which is after the directory was
    /// opened.
    ///
    /// # Errors
    /// When it exits instead, or on interruption.
    pub fn serve(
        folder: &Path,
        data_dir: &Path,
        interrupt: &Interrupt,
    ) -> Result<(Self, SocketAddr), Failure> {
        let data_dir = data_dir.display().to_string();
        let mut child = Self::start(
            folder,
            &["serve", "--addr", "127.0.0.1:0", "--log", "warn", "--data-dir", &data_dir],
        )?;
        loop {
            let words = words(&child.out);
            if let Some(address) =
                words.lines().find_map(|line| line.strip_prefix("listening on http://")?.parse().ok())
            {
                return Ok((child, address));
            }
            if child.has_ended(interrupt)? {
                return Err(Failure::new(Exit::Failed, "the server ended before it listened"));
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Time since it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Resident memory in bytes, where the system reports it.
    pub fn resident_bytes(&self) -> Option<u64> {
        processes::resident_bytes(self.process.id())
    }

    fn has_ended(&mut self, interrupt: &Interrupt) -> Result<bool, Failure> {
        stop_if_asked(interrupt)?;
        let ended: Option<ExitStatus> =
            self.process.try_wait().map_err(|error| Failure::new(Exit::Failed, error))?;
        match ended {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(Failure::new(
                Exit::Failed,
                format!("a child of the bench failed ({status}): {}", words(&self.err).trim()),
            )),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have exited already; then there is nothing to kill.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Returns the beginning of a child's output file; empty if it does not exist yet.
fn words(path: &Path) -> String {
    let mut text = String::new();
    _ = File::open(path).and_then(|file| file.take(WORDS_BYTES_MAX).read_to_string(&mut text));
    text
}
