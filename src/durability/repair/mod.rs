//! Repair of a directory that does not open, or opens with findings: `look` surveys it and plans the steps,
//! `carry_out` executes them.
//!
//! Looking changes nothing. Opening is the judge of a directory (`judgment.rs`): what it accepts without a
//! finding is healthy. Of anything else every file is read: each snapshot, and each segment of the live and
//! the archived log (`facts`). Each snapshot with the log that continues from it is a way to go on (`way`),
//! with what it loses: whatever else may have been acknowledged. The steps of the way that loses least are
//! tried out on a file system in memory (`trial`), and proposed only if opening accepts what they leave. If
//! nothing indicates that more was ever written, a repair loses nothing; otherwise it drops commands that may
//! have been acknowledged, and runs only if the caller names the LSN after which it drops.
//!
//! Sealed files are made again from states, so the engine repairs them (`engine/sealed/mend.rs`), with the
//! trial and the directory for what is moved aside ([`Aside`]) that are here.

mod aside;
mod carry_out;
mod change;
mod facts;
mod look;
mod plan;
mod step;
mod survey;
mod trial;
mod way;

pub use self::{
    aside::Aside,
    carry_out::{Content, Moved, Papers},
    look::{Dropped, Look, Repair, Verdict},
    trial::in_memory_above,
};
