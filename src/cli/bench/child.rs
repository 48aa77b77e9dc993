//! This program as a process of its own: what somebody who runs it sees, from its start on.

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

/// Between two looks at a child. What is measured takes a thousand times as long, and a look costs some
/// microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// What is read back of what a child said: its address, one JSON object, or the end of its complaints.
const WORDS_BYTES_MAX: u64 = 64 << 10;

/// A running child, killed when this is dropped: whatever it works on is thrown away with it.
pub(super) struct Child {
    process: std::process::Child,
    started: Instant,
    out: PathBuf,
    err: PathBuf,
}

/// A child that ended well.
pub(super) struct Ended {
    pub took: Duration,
    /// The most memory that it had resident, where the system tells; up to what it took in its last two
    /// milliseconds.
    pub peak_bytes: Option<u64>,
    /// The object on the last line of its standard output.
    pub said: Value,
}

impl Child {
    /// Starts this program with arguments. What it says goes to files in `folder`. Nothing of this process's
    /// environment configures it.
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

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it fails, or somebody interrupts.
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

    /// Starts a server on a data directory and waits until it listens: after the directory was opened.
    ///
    /// # Errors
    /// When it ends instead, or somebody interrupts.
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

    /// Since it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Memory that it has resident, in bytes, where the system tells.
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
        // It may have ended by itself; then there is nothing to kill.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// The beginning of a file of a child; nothing where there is none yet.
fn words(path: &Path) -> String {
    let mut text = String::new();
    _ = File::open(path).and_then(|file| file.take(WORDS_BYTES_MAX).read_to_string(&mut text));
    text
}
