//! The running binary, and an HTTP client that shows every byte.
//!
//! The client is our own, so that nothing between it and the server decodes, follows, retries or reorders
//! anything.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod described;
mod scratch;

pub use scratch::scratch;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

/// Timeout for the binary to listen, to be ready, or to exit, and for other waits. Generous: it ends tests
/// that hang, and a loaded machine must not fail one.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// For the environment of a program that writes: a segment is filled with zeros when it is made, and its
/// usual size of 64 MiB takes longer than what most tests do with it.
pub const SMALL_SEGMENTS: (&str, &str) = ("UPLINE_SEGMENT_BYTES", "1048576");

/// A test that measures, or that uses the whole machine, waits here for its turn where times are judged. In a
/// plain `cargo test` they run beside each other: many of them wait for a disk or a timeout.
#[must_use = "the turn ends when it is dropped"]
pub fn turn() -> Option<MutexGuard<'static, ()>> {
    static TURN: Mutex<()> = Mutex::new(());
    are_times_judged().then(|| TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Returns whether the machine is idle otherwise: then the design's figures are enforced.
pub fn is_strict() -> bool {
    is_set("UPLINE_STRICT")
}

/// Returns whether times and rates are checked against their bounds: in the deep and the release tier
/// (`.ci/proof`), never in a plain `cargo test`, which says nothing about the machine that it runs on.
pub fn are_times_judged() -> bool {
    is_strict() || is_set("UPLINE_TIMES")
}

fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|text| text == "1")
}

/// Prints how long something took, and checks it where times are checked.
pub fn assert_within(most: Duration, took: Duration, what: &str) {
    println!("{what}: {took:?}, {most:?} are allowed");
    assert!(!are_times_judged() || took <= most, "{what}: {took:?}");
}

/// A server process. Killed on drop.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Its output after the line with its address.
    said: Mutex<mpsc::Receiver<String>>,
}

impl Server {
    /// Starts `upline serve` on a free port and waits until it is ready.
    pub fn start(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::start_without_waiting(data_dir, arguments).when_ready()
    }

    /// Starts it and waits only for the line with its address.
    pub fn start_without_waiting(data_dir: &Path, arguments: &[&str]) -> Self {
        Self::launch(data_dir, arguments).expect("the server says where it listens")
    }

    /// Starts it and waits until it is ready; `None` if it ends instead.
    pub fn try_start(data_dir: &Path, arguments: &[&str]) -> Option<Self> {
        Self::launch(data_dir, arguments).map(Self::when_ready)
    }

    /// As `start`, with a limit of open files.
    pub fn start_with_files(data_dir: &Path, arguments: &[&str], files: u32) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("ulimit -n {files} && exec \"$0\" \"$@\"")).arg(binary());
        Self::launch_by(shell, data_dir, arguments).expect("the server says where it listens").when_ready()
    }

    fn when_ready(self) -> Self {
        let begin = Instant::now();
        while self.get("/readyz").status != 200 {
            assert!(begin.elapsed() < PATIENCE, "not ready");
            std::thread::sleep(Duration::from_millis(10));
        }
        self
    }

    fn launch(data_dir: &Path, arguments: &[&str]) -> Option<Self> {
        Self::launch_by(Command::new(binary()), data_dir, arguments)
    }

    fn launch_by(mut command: Command, data_dir: &Path, arguments: &[&str]) -> Option<Self> {
        let mut child = command
            .args(["serve", "--addr", "127.0.0.1:0", "--segment-bytes", "1048576", "--data-dir"])
            .arg(data_dir)
            .args(arguments)
            // The environment must not configure it.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (sender, receiver) = mpsc::channel();
        for stream in [boxed(child.stdout.take()), boxed(child.stderr.take())] {
            let sender = sender.clone();
            // Drained to the end, so that the process never blocks on a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines() {
                    let Ok(line) = line else { break };
                    eprintln!("server: {line}");
                    let _ = sender.send(line);
                }
            });
        }
        drop(sender);
        let begin = Instant::now();
        let address = loop {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            let line = match receiver.recv_timeout(left) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    child.wait().expect("it ends");
                    return None;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it neither listens nor ends"),
            };
            if let Some((_, address)) = line.split_once("listening on http://") {
                let end = address
                    .find(|character: char| !matches!(character, '0'..='9' | '.' | ':'))
                    .unwrap_or(address.len());
                break address[..end].parse().expect("an address");
            }
        };
        Some(Self { child, address, said: receiver.into() })
    }

    /// Returns its operations address; to be called once, on a server that has one.
    pub fn ops_address(&self) -> SocketAddr {
        loop {
            let line = self
                .said
                .lock()
                .expect("nobody panicked")
                .recv_timeout(PATIENCE)
                .expect("it says where it listens for operations");
            if let Some(address) = line.strip_prefix("operations on http://") {
                break address.parse().expect("an address");
            }
        }
    }

    /// Returns the value of a series in `/metrics`, on a server without authorization.
    pub fn metric(&self, series: &str) -> u64 {
        let text = self.get("/metrics");
        let line = text.text().lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in {}", text.text())).parse().expect("a whole number")
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends one request on a separate connection.
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &str) -> Reply {
        self.request("POST", path, &[("content-type", "application/json")], body.as_bytes())
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.connect().request(method, path, headers, body)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        let ended = self.child.try_wait().expect("it can be waited for");
        assert_eq!(ended, None, "it ended before it was killed");
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGHUP: it reads keys again at once.
    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("`kill` runs");
        assert!(sent.success());
    }

    /// Waits for it to exit.
    pub fn wait(mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn boxed(stream: Option<impl Read + Send + 'static>) -> Box<dyn Read + Send> {
    Box::new(stream.expect("it is piped"))
}

/// Returns the path of the binary under test.
pub fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_upline"))
}

/// A response, byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub status: u16,
    /// Names as sent.
    pub headers: Vec<(String, String)>,
    /// Without chunked framing.
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// A keep-alive connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self { stream: BufReader::new(stream), host: address.to_string() }
    }

    /// Connects from one of this machine's own addresses (127.0.0.0/8 are all its own), with a small receive
    /// buffer if one is given.
    pub fn connect_from(source: [u8; 4], address: SocketAddr, receive_bytes: Option<usize>) -> Self {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((source, 0)).into()).expect("its own address");
        if let Some(bytes) = receive_bytes {
            socket.set_recv_buffer_size(bytes).expect("a socket");
        }
        socket.connect(&address.into()).expect("the server accepts");
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self { stream: BufReader::new(stream), host: address.to_string() }
    }

    /// Removes the timeout for responses.
    pub fn be_patient(&mut self) {
        self.stream.get_mut().set_read_timeout(None).expect("a socket");
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.try_request(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub fn post(&mut self, path: &str, body: &str) -> Reply {
        self.request("POST", path, &[("content-type", "application/json")], body.as_bytes())
    }

    /// As `request`, for servers that may be killed.
    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Reply> {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head = head + "host: " + &self.host + "\r\n";
        }
        for (name, value) in headers {
            head = head + name + ": " + value + "\r\n";
        }
        if !body.is_empty() {
            head = head + "content-length: " + &body.len().to_string() + "\r\n";
        }
        head.push_str("\r\n");
        self.send(&[head.as_bytes(), body].concat())?;
        let reply = self.read_reply(method == "HEAD")?;
        described::check(method, path, &reply);
        Ok(reply)
    }

    /// Returns the server's address.
    pub fn address(&self) -> SocketAddr {
        self.host.parse().expect("it was made from an address")
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Returns the sending half, for another thread.
    pub fn sender(&mut self) -> TcpStream {
        self.stream.get_mut().try_clone().expect("a socket")
    }

    /// Closes the sending half.
    pub fn finish(&mut self) {
        self.stream.get_mut().shutdown(std::net::Shutdown::Write).expect("a connection");
    }

    pub fn read_reply(&mut self, is_head: bool) -> std::io::Result<Reply> {
        let (status, headers) = self.read_head()?;
        let mut reply = Reply { status, headers, body: Vec::new() };
        if is_head {
            return Ok(reply);
        }
        if reply.header("transfer-encoding") == Some("chunked") {
            while self.read_chunk(&mut reply.body)? {}
        } else {
            let length: usize =
                reply.header("content-length").map_or(0, |length| length.parse().expect("a length"));
            reply.body.resize(length, 0);
            self.stream.read_exact(&mut reply.body)?;
        }
        Ok(reply)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches("\r\n").to_owned())
    }

    pub fn read_head(&mut self) -> std::io::Result<(u16, Vec<(String, String)>)> {
        let status_line = self.line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{status_line}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { return Ok((status, headers)) };
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Appends one chunk; false after the last.
    pub fn read_chunk(&mut self, body: &mut Vec<u8>) -> std::io::Result<bool> {
        let size = usize::from_str_radix(&self.line()?, 16).expect("a chunk's size");
        let begin = body.len();
        body.resize(begin + size, 0);
        self.stream.read_exact(&mut body[begin..])?;
        assert_eq!(self.line()?, "");
        Ok(0 < size)
    }

    /// Reads until the server closes; `None` if it has not closed within `patience`.
    pub fn read_to_end(&mut self, patience: Duration) -> Option<Vec<u8>> {
        self.stream.get_mut().set_read_timeout(Some(patience)).expect("a socket");
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Some(bytes),
            Err(_) => None,
        }
    }
}

/// Returns the UUID of a number, as the server prints it.
pub fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// A body for `POST /user/register`.
pub fn registration(member: &str, parent: Option<&str>) -> String {
    match parent {
        Some(parent) => format!("{{\"user_id\":\"{member}\",\"parent_id\":\"{parent}\"}}"),
        None => format!("{{\"user_id\":\"{member}\"}}"),
    }
}
