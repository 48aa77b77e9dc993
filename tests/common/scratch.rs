//! Directories of tests.

use tempfile::TempDir;

/// Where Linux keeps files in memory.
const IN_MEMORY: &str = "/dev/shm";
/// Room that it must have: containers often have a few megabytes there.
const ROOM_BYTES: u64 = 2 << 30;

/// Returns a directory in memory, where the machine has a file system there with room, and otherwise in the
/// ordinary temporary directory.
///
/// Calls and what survives a kill are the same on both; a disk would only be waited for at each sync. Tests
/// of the disk itself use `tempfile::tempdir`.
pub fn scratch() -> TempDir {
    let room = rustix::fs::statvfs(IN_MEMORY).map_or(0, |found| found.f_bavail * found.f_frsize);
    let in_memory = (ROOM_BYTES <= room).then(|| tempfile::tempdir_in(IN_MEMORY).ok()).flatten();
    in_memory.unwrap_or_else(|| tempfile::tempdir().expect("a temporary directory"))
}
