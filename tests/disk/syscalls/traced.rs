//! `strace`: which calls occur, and how each is made to fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::{Command, Stdio},
};

/// A fault at a call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// SIGKILL before it.
    Kill,
    Error(&'static str),
    /// EINTR: the caller must retry.
    Interrupt,
    /// It reports one byte written, but wrote none.
    Lie,
}

/// The n-th such call of each thread.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Point {
    pub call: String,
    pub number: u64,
    pub fault: Fault,
}

impl Point {
    /// Returns the argument for `strace -e`.
    pub fn inject(&self) -> String {
        let what = match self.fault {
            Fault::Kill => "signal=KILL".to_owned(),
            Fault::Error(name) => format!("error={name}"),
            Fault::Interrupt => "error=EINTR".to_owned(),
            Fault::Lie => "retval=1".to_owned(),
        };
        format!("inject={}:{what}:when={}", self.call, self.number)
    }
}

/// Returns whether `strace` works: some containers do not allow tracing.
pub fn is_there() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

/// Asserts that the sequential writes of one client were each synced; and that each new name was synced with
/// its directory, immediately.
pub fn assert_synced(trace: &str, writes: u64) {
    let calls = |line: &str, name: &str| {
        line.split_once(' ').is_some_and(|(_, rest)| rest.trim_start().starts_with(name))
    };
    let syncs = trace.lines().filter(|line| calls(line, "fdatasync(")).count() as u64;
    assert!(writes <= syncs, "{writes} writes were answered, with {syncs} syncs");
    let lines: Vec<&str> = trace.lines().collect();
    let mut renames = 0;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| calls(line, "rename(")) {
        let (thread, name) =
            (line.split(' ').next().expect("a thread"), line.rsplit('"').nth(1).expect("the new name"));
        let directory = Path::new(name).parent().expect("a directory").to_str().expect("UTF-8");
        // A call that another thread interrupted in the trace has a second line, which adds nothing.
        let is_begun = |line: &&&str| line.split(' ').next() == Some(thread) && !line.contains(" resumed>");
        // A parent directory may be synced first.
        let next: Vec<&str> = lines[at + 1..].iter().filter(|line| is_begun(line)).take(6).copied().collect();
        let is_synced = next
            .windows(2)
            .any(|pair| pair[0].contains(&format!("\"{directory}\"")) && calls(pair[1], "fsync("));
        assert!(is_synced, "{line}\nis not followed by a sync of its directory, but by\n{next:#?}");
        renames += 1;
    }
    assert!(0 < renames);
}

/// Returns the first directory listing, whose interruption was once taken for a failure.
pub fn first_listing(trace: &str, data: &Path) -> Option<Point> {
    let (data, mut counts) = (data.to_str().expect("UTF-8"), BTreeMap::new());
    for line in trace.lines() {
        let Some((thread, arguments)) =
            line.split_once(' ').filter(|(_, rest)| rest.trim_start().starts_with("openat("))
        else {
            continue;
        };
        let count = counts.entry(thread).or_insert(0_u64);
        *count += 1;
        if arguments.contains(data) && arguments.contains("O_DIRECTORY") {
            return Some(Point { call: "openat".into(), number: *count, fault: Fault::Interrupt });
        }
    }
    None
}

/// Returns all points of a trace that concern the data directory: by path, or by a file that is written.
pub fn points(trace: &str, data: &Path, calls: &[(&str, &[Fault])]) -> Vec<Point> {
    let data = data.to_str().expect("UTF-8");
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in trace.lines() {
        // "<thread> <call>(<arguments>) = <result>"; calls that others interrupt in the trace are resumed on
        // a later line, which does not count.
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = rest.trim_start().split_once('(') else { continue };
        let Some((_, faults)) = calls.iter().find(|(known, _)| *known == call) else { continue };
        let count = counts.entry((thread, call)).or_default();
        *count += 1;
        if arguments.contains('"') && call != "pwrite64" && !arguments.contains(data) {
            continue;
        }
        found.extend(faults.iter().map(|fault| Point {
            call: call.to_owned(),
            number: *count,
            fault: *fault,
        }));
    }
    found.into_iter().collect()
}
