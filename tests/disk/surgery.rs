//! Tampered directories, through a full start: flipped bits, files missing, duplicated, foreign or swapped,
//! no regular files, another process, a full disk, a clock that jumps.
//!
//! Each is refused with its own exit code and unchanged, or serves exactly its contents.
//! `src/durability/tests/damage.rs` has byte-level damage at every position. `UPLINE_FLIPS` (250),
//! `UPLINE_FULL_DISKS` (10) and `UPLINE_SEED` set the amount and the seed.

mod clock;
mod directory;
mod files;
mod flips;
mod full_disk;
mod kinds;
mod seals;
