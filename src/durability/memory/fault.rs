//! Disk faults.

use std::io::ErrorKind;

/// What fails, and at which of the modifying calls (counted from 1; read-only calls have their own count).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Call `at` fails with this error and does nothing; later ones work.
    Fail { at: u64, kind: ErrorKind },
    /// Call `at`, if it is a write, writes half, and the next write fails.
    Short { at: u64, kind: ErrorKind },
    /// Call `at`, if it is a sync of a file, fails as it does on Linux: some of what it was to write is on
    /// disk. The rest never will be, unless it is written again, since the next sync takes it for clean and
    /// succeeds; reads see all of it until a power loss. Any other call just fails.
    LostSync { at: u64, seed: u64 },
    /// From call `at` on everything fails, as in a power loss. If that call is a write, the power fails in
    /// the middle of it.
    PowerLoss { at: u64 },
    /// Read-only call `at` fails with this error.
    FailLook { at: u64, kind: ErrorKind },
    /// Every read and write is short, and every second one is interrupted first. This is legal behavior.
    Stutter,
}

/// Which unsynced data survives a power loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Survival {
    /// Only what was synced.
    Synced,
    /// Everything that was written.
    Everything,
    /// Each unsynced sector and name at random, from this seed.
    Chance(u64),
}
