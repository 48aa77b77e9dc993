//! The past: the state at an earlier LSN, the commands since then, and why a member was paid.
//!
//! Memory holds at most one past state in addition to the present one, with which it shares the rows that
//! never change. It is rebuilt the way opening does it, from the newest snapshot at or below the LSN and the
//! log after it, with the same checks: the digest of the snapshot, and the outcome hash before each group.
//! Members are never removed and never change their index, so the present directory serves the past too: a
//! past state does not know members at or beyond its length.

mod audit;
mod directory;
mod effort;
mod error;
mod explain;
mod feed;
mod past;
mod plans;

pub(super) use self::{
    audit::audit,
    explain::explain,
    past::{History, Present},
};
pub use self::{
    audit::{AuditFilter, AuditPage},
    effort::Effort,
    error::HistoryError,
    explain::{Cause, Explanation, PaidBy, SetAside},
    feed::{Event, Fate, Feed},
    plans::plan_at,
};
