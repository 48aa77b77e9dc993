//! Repair of a directory that does not open, or opens with findings: `look` surveys it and plans the steps,
//! `carry_out` executes them.
//!
//! Looking changes nothing. It reads everything: each snapshot, and each segment of the live and the archived
//! log. Then it determines the longest intact history: the newest snapshot that verifies, and the commands
//! that continue from it without a gap. Any older snapshot yields the same or less. If nothing indicates that
//! more was ever written, a repair loses nothing; otherwise it drops commands that may have been
//! acknowledged, and runs only if the caller names the LSN after which it drops.

mod carry_out;
mod look;
mod step;
mod survey;

pub use self::{
    carry_out::{Content, Moved, Papers},
    look::{Dropped, Look, Repair, Verdict},
};
