//! The edge under attack: thousands of connections that send nothing or half a request, readers that do not
//! read, malicious JSON, expensive queries, and write overload.
//!
//! `UPLINE_CONNECTIONS` (1,000 idle and as many half-sent heads), `UPLINE_OVERLOAD_SECONDS` (1 for each load)
//! and `UPLINE_SLOW_READERS` (150) set the amounts. With `UPLINE_STRICT=1`, for an otherwise idle machine,
//! the figures of the design are enforced; otherwise bounds that a busy machine meets too.

mod bounds;
mod crowd;
mod files;
mod json;
mod overload;
mod readers;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

/// Runs a test in a separate process, whose memory is its own, and with a high file limit, or the highest
/// this process may request; the usual limit is 1,024. False in that process.
fn is_run_alone(name: &str) -> bool {
    const INSIDE: &str = "UPLINE_TEST_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let run = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 65536 2>/dev/null || ulimit -n $(ulimit -Hn); exec \"$0\" --exact \"$1\" --nocapture",
        ])
        .arg(std::env::current_exe().expect("a test is a program"))
        .arg(name)
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("a shell starts");
    let said = String::from_utf8_lossy(&run.stdout);
    println!("{said}");
    // A name that fits no test runs none, and succeeds.
    assert!(run.status.success() && said.contains("1 passed"), "{name}, in a process of its own");
    true
}

/// Returns the resident bytes of a process.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kibibytes << 10
}

/// Returns a percentile. Sorts.
fn percentile(times: &mut [Duration], hundredth: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len() * hundredth / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
