//! Process figures from the system.

use std::{fs, time::Duration};

/// Returns resident memory. `None` where the system does not report it, or the process is gone.
pub(super) fn resident_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// Returns peak resident memory since the process began, as [`resident_bytes`].
pub(super) fn peak_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

fn status_bytes(pid: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

/// Returns the CPU time of this thread, where the system reports it: other load on the machine does not
/// count.
pub(super) fn on_core() -> Option<Duration> {
    let line = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(line.split_ascii_whitespace().next()?.parse().ok()?))
}
