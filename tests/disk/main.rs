//! The disk: its format, and that nothing acknowledged is lost under faults of the process, system calls,
//! files, disk and clock.

#[path = "../common/mod.rs"]
mod common;
mod format;
mod history_check;
mod kill;
#[path = "../proof/mod.rs"]
mod proof;
mod surgery;
mod syscalls;
