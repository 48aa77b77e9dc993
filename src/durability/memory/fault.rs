//! What a disk does to those who use it.

use std::io::ErrorKind;

/// What goes wrong, and at which of the calls that change something (counted from 1; calls that only look
/// have their own count).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Call `at` fails with this error and does nothing; later ones work.
    Fail { at: u64, kind: ErrorKind },
    /// Call `at`, if it is a write, writes half and the next write fails.
    Short { at: u64, kind: ErrorKind },
    /// Call `at`, if it is a sync of a file, fails as it does on Linux: some of what it was to write is on
    /// disk and the rest never will be, unless it is written again, for the next sync takes it for clean and
    /// succeeds; reads see all of it until the power goes. Any other call just fails.
    LostSync { at: u64, seed: u64 },
    /// From call `at` on nothing works any more, as if the power were gone. Of a write the power goes in the
    /// middle.
    PowerLoss { at: u64 },
    /// The call `at` of those that only look fails with this error.
    FailLook { at: u64, kind: ErrorKind },
    /// Every read and write is short, and every second one is interrupted first. Nothing is wrong with that.
    Stutter,
}

/// What of the unsynced survives a power loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Survival {
    /// Only what was synced.
    Synced,
    /// Everything that was written.
    Everything,
    /// Each unsynced sector and name by chance, from this seed.
    Chance(u64),
}
