//! Processes that a bench starts, their cores, and their CPU time.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::cli::{
    exit::{Exit, Failure},
    interrupt::Interrupt,
};

/// Startup timeout: a server may have to load millions of members and replay as many commands.
const START_TIMEOUT: Duration = Duration::from_mins(10);
/// Log lines kept per server, oldest first: an hour of groups on a fast disk.
const LINES_MAX: usize = 20_000_000;
/// How often a wait for a process checks for interruption.
const LOOK: Duration = Duration::from_millis(50);
/// Clock ticks per second in process times; the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server in a separate process. Dropping it kills it: acknowledged writes must survive that.
pub(super) struct Serving {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    /// Starts this program with these arguments and waits until it reports its address.
    ///
    /// # Errors
    /// When it exits instead, with its last output.
    pub fn start(cores: &Cores, arguments: &[&str], interrupt: &Interrupt) -> Result<Self, Failure> {
        let mut child = cores
            .server_command()?
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot_start)?;
        let (sender, said) = mpsc::channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        // Drained to the end, so that the process never blocks on a full pipe.
        lines_of(child.stdout.take(), move |line| _ = sender.send(line))?;
        let kept = Arc::clone(&log);
        lines_of(child.stderr.take(), move |line| {
            let mut kept = kept.lock();
            if kept.len() < LINES_MAX {
                kept.push(line);
            }
        })?;
        let mut serving = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log };
        let begin = Instant::now();
        loop {
            if interrupt.asked() {
                return Err(Failure::interrupted("nothing was measured"));
            }
            match said.recv_timeout(LOOK) {
                Ok(line) => {
                    if let Some(address) = line.strip_prefix("listening on http://") {
                        serving.address =
                            address.parse().map_err(|_| failed(format!("no address: {line}")))?;
                        return Ok(serving);
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) if begin.elapsed() < START_TIMEOUT => {}
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(failed(format!("`upline {}` does not listen", arguments.join(" "))));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(serving.ended(arguments)),
            }
        }
    }

    fn ended(&mut self, arguments: &[&str]) -> Failure {
        _ = self.child.wait();
        let said = self.log.lock().last().cloned().unwrap_or_default();
        failed(format!("`upline {}` ended: {said}", arguments.join(" ")))
    }

    /// CPU time used so far, where the system reports it.
    pub fn cpu_seconds(&self) -> Option<f64> {
        cpu_seconds(&self.child.id().to_string())
    }

    /// Returns the log lines since the last call.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn lines_of(
    stream: Option<impl Read + Send + 'static>,
    mut take: impl FnMut(String) + Send + 'static,
) -> Result<(), Failure> {
    let stream = stream.expect("it is piped");
    let read = move || BufReader::new(stream).lines().map_while(Result::ok).for_each(&mut take);
    thread::Builder::new().name("child-lines".into()).spawn(read).map(drop).map_err(cannot_start)
}

/// Runs this program to completion and returns the object on its last line.
///
/// # Errors
/// When it fails, with its output.
pub(super) fn finish(
    cores: &Cores,
    arguments: &[&str],
    interrupt: &Interrupt,
) -> Result<serde_json::Value, Failure> {
    let mut child = Ending(
        cores
            .any_command()?
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot_start)?,
    );
    // The output of these commands fits into a pipe.
    while child.0.try_wait().map_err(cannot_start)?.is_none() {
        if interrupt.asked() {
            return Err(Failure::interrupted("nothing was measured"));
        }
        thread::sleep(LOOK);
    }
    let Output { status, stdout, stderr } = child.output().map_err(cannot_start)?;
    let (said, complained) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    if !status.success() {
        return Err(failed(format!("`upline {}` failed: {}", arguments.join(" "), complained.trim())));
    }
    let object = said.lines().last().and_then(|line| serde_json::from_str(line).ok());
    object.ok_or_else(|| failed(format!("`upline {}` said: {said}", arguments.join(" "))))
}

/// A process that is killed on drop unless it was waited for.
struct Ending(Child);

impl Ending {
    fn output(&mut self) -> std::io::Result<Output> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.0.stdout.take().map(|mut pipe| pipe.read_to_end(&mut stdout)).transpose()?;
        self.0.stderr.take().map(|mut pipe| pipe.read_to_end(&mut stderr)).transpose()?;
        Ok(Output { status: self.0.wait()?, stdout, stderr })
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The cores of the servers and of the generator: half each where there are at least two cores and `taskset`
/// is available, otherwise shared.
pub(super) struct Cores {
    all: Vec<usize>,
    server: Option<Vec<usize>>,
    generator: Option<Vec<usize>>,
}

impl Cores {
    /// Pins this process, and threads it starts from now on, to the generator's cores.
    pub fn split() -> Self {
        let all = allowed_cores().unwrap_or_default();
        let (server, generator) = all.split_at(all.len() / 2);
        let own = std::process::id().to_string();
        let is_pinned = !server.is_empty()
            && Command::new("taskset")
                .args(["-a", "-c", "-p", &list(generator), &own])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success());
        if is_pinned {
            Self { server: Some(server.to_vec()), generator: Some(generator.to_vec()), all }
        } else {
            Self { all, server: None, generator: None }
        }
    }

    /// Returns the number of threads the generator has cores for.
    pub fn generator_threads(&self) -> usize {
        /// No server here can keep more than this busy.
        const MOST: usize = 8;
        let shared = || (self.all.len() / 2).max(1);
        self.generator.as_ref().map_or_else(shared, Vec::len).min(MOST)
    }

    pub fn server_shown(&self) -> String {
        self.server.as_deref().map_or_else(|| "shared (no taskset, or one core)".into(), list)
    }

    pub fn generator_shown(&self) -> String {
        self.generator.as_deref().map_or_else(|| "shared (no taskset, or one core)".into(), list)
    }

    fn server_command(&self) -> Result<Command, Failure> {
        own_program(self.server.as_deref())
    }

    fn any_command(&self) -> Result<Command, Failure> {
        own_program(self.server.as_ref().map(|_| &self.all[..]))
    }
}

/// Returns a command for this program on these cores, without environment variables that would configure it.
fn own_program(cores: Option<&[usize]>) -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(cannot_start)?;
    let mut command = match cores {
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &list(cores)]).arg(program);
            command
        }
        None => Command::new(program),
    };
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_none_or(|name| name.starts_with("UPLINE_") || name == "MAX_CHILDREN") {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

fn list(cores: &[usize]) -> String {
    let texts: Vec<String> = cores.iter().map(ToString::to_string).collect();
    texts.join(",")
}

fn allowed_cores() -> Option<Vec<usize>> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status")).ok()?;
    parse_cores(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?.trim())
}

/// Parses a list such as `0-2,5`.
fn parse_cores(text: &str) -> Option<Vec<usize>> {
    let mut cores = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cores)
}

/// CPU time of a process, `self` for this one; resolution is a hundredth of a second.
pub(super) fn cpu_seconds(process: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may contain anything; utime and stime are fields twelve and thirteen after
    // it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

fn cannot_start(error: std::io::Error) -> Failure {
    Failure::new(Exit::Failed, error)
}

fn failed(message: String) -> Failure {
    Failure::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        assert_eq!(parse_cores("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(parse_cores("0"), Some(vec![0]));
        assert_eq!(parse_cores("x"), None);
        assert_eq!(list(&[0, 1, 5]), "0,1,5");
    }

    #[test]
    fn own_processor_time_goes_on() {
        let Some(before) = cpu_seconds("self") else { return };
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(200) {
            std::hint::black_box(0);
        }
        assert!(before < cpu_seconds("self").unwrap());
    }
}
