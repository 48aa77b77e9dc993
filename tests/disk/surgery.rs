//! Directories that were tampered with, through a full start: flipped bits, files missing, doubled, foreign
//! or swapped, another process, a full disk, a clock that jumps.
//!
//! Each is refused with its own exit code, nothing changed, or serves exactly what was there. Damage at the
//! level of bytes, at every position, is in `src/durability/tests/damage.rs`. `UPLINE_FLIPS` (500),
//! `UPLINE_FULL_DISKS` (20) and `UPLINE_SEED` say how much and how.

mod clock;
mod directory;
mod files;
mod flips;
mod full_disk;
