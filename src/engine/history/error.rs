//! Why a question about the past has no answer.

use crate::core::types::Timestamp;

/// Why a question about the past has no answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistoryError {
    /// The log, or the snapshot it goes on from, does not reach back that far.
    #[error("not retained: the oldest that can be asked for is LSN {oldest}")]
    BelowRetained { oldest: u64 },
    /// That is yet to come.
    #[error("not there yet: the newest is LSN {applied}")]
    Ahead { applied: u64 },
    /// That moment is not over.
    #[error("not over yet: now is {} microseconds UTC", now.0)]
    InFuture { now: Timestamp },
    /// Another question about the past is being answered. Ask again in a while.
    #[error("another question about the past is being answered")]
    Busy,
    #[error("the engine is stopping")]
    Stopping,
    /// What is kept of the past is damaged or cannot be read; serving the present is not affected.
    #[error("the past cannot be read: {0}")]
    Unreadable(String),
}
