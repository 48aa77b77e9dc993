//! Directories that were tampered with, through a full start: flipped bits, files missing, doubled, foreign
//! or swapped, another process, a full disk, a clock that jumps.
//!
//! Each is refused with its own exit code, nothing changed, or serves exactly what was there. Damage at the
//! level of bytes, at every position, is in `src/durability/tests/damage.rs`. `UPLINE_FLIPS` (500),
//! `UPLINE_FULL_DISKS` (20) and `UPLINE_SEED` say how much and how.

mod common;
mod proof;

#[path = "surgery/clock.rs"]
mod clock;
#[path = "surgery/directory.rs"]
mod directory;
#[path = "surgery/files.rs"]
mod files;
#[path = "surgery/flips.rs"]
mod flips;
#[path = "surgery/full_disk.rs"]
mod full_disk;
