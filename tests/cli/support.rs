//! Starts the program and checks its results.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::SMALL_SEGMENTS;

/// Timeout for everything here, on a slow machine under load.
const PATIENCE: Duration = Duration::from_secs(120);

/// A directory for files that is removed after the test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(crate::common::scratch())
    }

    /// For benches, which measure the disk too.
    pub fn on_disk() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("temporary paths are UTF-8").into()
    }

    /// Writes a file and returns its path as an argument.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).expect("a temporary file can be written");
        self.text(name)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }
}

/// Returns the program without any configuration from this process, with small segments of the log.
pub fn command<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_upline"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("UPLINE_") || name_text == "MAX_CHILDREN" {
            command.env_remove(&name);
        }
    }
    // Where configuration is shown it is what the arguments say.
    if command.get_args().next().is_none_or(|first| first != "config") {
        command.envs([SMALL_SEGMENTS]);
    }
    command
}

/// The result of a run.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into(),
            err: String::from_utf8_lossy(&output.stderr).into(),
        }
    }
}

impl Ran {
    /// Asserts the exit code; returns the object on the last line of standard output, if any.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard error:\n{}\nstandard output:\n{}", self.err, self.out);
        self
    }

    #[track_caller]
    pub fn says(self, part: &str) -> Self {
        assert!(self.err.contains(part), "`{part}` is not in standard error:\n{}", self.err);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("{error}: {last}\nstandard error:\n{}", self.err))
    }
}

/// Runs the program to completion.
pub fn run<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Ran {
    command(arguments).output().expect("the program starts").into()
}

/// Verifies a directory and returns its network digest.
#[track_caller]
pub fn verified(data_dir: &str) -> Value {
    let object = run(["verify", "--data-dir", data_dir, "--json"]).ends_with(0).json();
    assert_eq!(object["ok"], true);
    object
}

/// A running server. A test that ends before it ends the server kills it.
pub struct Server {
    /// Until [`Server::end`].
    child: Option<Child>,
    pub address: String,
}

impl Server {
    /// Starts it and waits until it listens.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        Self::start_after(command, 0)
    }

    /// As `start`, for a program that first prints `lines` other lines.
    #[track_caller]
    pub fn start_after(command: &mut Command, lines: usize) -> Self {
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut out = BufReader::new(child.stdout.as_mut().expect("it is piped"));
        let mut line = String::new();
        for _ in 0..=lines {
            line.clear();
            out.read_line(&mut line).expect("it says something");
        }
        let Some(address) = line.trim().strip_prefix("listening on http://") else {
            let mut err = String::new();
            _ = child.stderr.take().expect("it is piped").read_to_string(&mut err);
            panic!("it should listen, but said `{line}` and:\n{err}");
        };
        Self { address: address.into(), child: Some(child) }
    }

    /// Sends one request; returns status and body.
    pub fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("an answer: {answer}"));
        (status, answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).into())
    }

    pub fn signal(&self, name: &str) {
        signal(self.child.as_ref().expect("it was not waited for"), name);
    }

    /// Waits for it to exit.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        wait(self.child.take().expect("it was not waited for"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process that this test started.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .expect("kill is there");
    assert!(sent.success());
}

/// Waits for a process to exit, with a timeout.
#[track_caller]
pub fn wait(mut child: Child) -> Ran {
    let started = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if PATIENCE < started.elapsed() {
            child.kill().expect("it can be killed");
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().expect("it ended").into()
}
