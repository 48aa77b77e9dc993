//! Repair of a directory that does not open, or not without a finding: `look` surveys it and plans the steps,
//! `carry_out` makes them.
//!
//! Looking changes nothing. It reads everything: each snapshot, and each segment of the live and of the
//! archived log. Then it asks for the longest history that is whole: the newest snapshot that verifies, and
//! the commands that go on from it without a gap. Any older snapshot comes to the same or to less. Where
//! nothing says that more was ever written, a repair loses nothing; otherwise it drops commands that may have
//! been acknowledged, and is only done when the caller names the LSN after which it drops.

mod carry_out;
mod look;
mod step;
mod survey;

pub use self::{
    carry_out::{Moved, Papers},
    look::{Dropped, Look, Repair, Verdict},
};
