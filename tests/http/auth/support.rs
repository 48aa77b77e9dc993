//! Keys from the command line, and requests that carry them.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Reply, Server, binary};

/// Timeout for a change to be seen: two seconds are promised, and the machine may be busy.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// A data directory, and the files created for it.
pub struct Place(TempDir);

/// A key as `keys create --json` prints it.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl Place {
    pub fn new() -> Self {
        Self(crate::common::scratch())
    }

    pub fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn serve(&self, arguments: &[&str]) -> Server {
        Server::start(&self.data(), arguments)
    }

    pub fn key(&self, arguments: &[&str]) -> Key {
        self.key_named("test", arguments)
    }

    pub fn key_named(&self, name: &str, arguments: &[&str]) -> Key {
        let made = upline(&self.data(), &[&["keys", "create", "--json", "--name", name], arguments].concat());
        let text = String::from_utf8(made.stdout).unwrap();
        let object: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&made.stderr)));
        let field = |name: &str| object[name].as_str().unwrap().to_owned();
        Key { id: field("id"), secret: field("secret") }
    }

    pub fn revoke(&self, key: &Key) {
        assert_eq!(upline(&self.data(), &["keys", "revoke", &key.id]).status.code(), Some(0));
    }
}

/// Runs the program on a data directory.
pub fn upline(data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Starts a server, waits until it listens, stops it; returns its exit code.
pub fn start_and_stop(data_dir: &Path, arguments: &[&str]) -> Option<i32> {
    let mut command = Command::new(binary());
    command
        .arg("serve")
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let status = child.wait().unwrap();
    assert!(killed.success() && line.contains("listening on http://"), "{line}");
    status.code()
}

impl Key {
    pub fn headers(&self) -> Vec<(String, String)> {
        vec![("x-api-key".into(), self.id.clone()), ("x-api-secret".into(), self.secret.clone())]
    }
}

pub fn bearer(token: &str) -> Vec<(String, String)> {
    vec![("authorization".into(), format!("Bearer {token}"))]
}

/// Sends one request with credentials.
pub fn ask(server: &Server, credentials: &[(String, String)], method: &str, path: &str, body: &str) -> Reply {
    let mut headers: Vec<(&str, &str)> =
        credentials.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    headers.push(("content-type", "application/json"));
    server.request(method, path, &headers, body.as_bytes())
}

pub fn get(server: &Server, credentials: &[(String, String)], path: &str) -> u16 {
    ask(server, credentials, "GET", path, "").status
}

/// Repeats a request until it gets this status.
pub fn wait_for(server: &Server, credentials: &[(String, String)], path: &str, status: u16) {
    let begin = Instant::now();
    loop {
        let got = get(server, credentials, path);
        if got == status {
            return;
        }
        assert!(begin.elapsed() < SEEN_WITHIN, "{path} answers {got}, not {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Returns the value of a counter, by its series.
pub fn metric(server: &Server, credentials: &[(String, String)], series: &str) -> u64 {
    let text = ask(server, credentials, "GET", "/metrics", "");
    let line = text.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in {}", text.text())).parse().unwrap()
}
