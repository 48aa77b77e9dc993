//! The past: the state at an earlier LSN, the commands since then, and why somebody was paid.
//!
//! Nothing here is kept in memory beside one state of the past. It is rebuilt as opening does it, from the
//! newest snapshot at or below the LSN and the log behind it, with the same checks: the digest of the
//! snapshot, and the outcome hash before each group. Members are never removed and never change their index,
//! so the directory of the present serves the past too: what is not below its length is unknown to it.

mod audit;
mod directory;
mod effort;
mod error;
mod explain;
mod feed;
mod past;

pub(super) use self::{
    audit::audit,
    explain::explain,
    past::{History, Present},
};
pub use self::{
    audit::{AuditFilter, AuditPage, COMMAND_KINDS},
    effort::Effort,
    error::HistoryError,
    explain::{Cause, Explanation, PaidBy},
    feed::{Event, Fate, Feed},
};
