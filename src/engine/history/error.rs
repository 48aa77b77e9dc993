//! Why a query about the past fails.

use crate::core::types::Timestamp;

/// Why a query about the past fails.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistoryError {
    /// The retained log, or the snapshot it continues from, does not reach back that far.
    #[error("not retained: the oldest that can be asked for is LSN {oldest}")]
    BelowRetained { oldest: u64 },
    /// The LSN has not been reached.
    #[error("not there yet: the newest is LSN {applied}")]
    Ahead { applied: u64 },
    /// The moment has not passed.
    #[error("not over yet: now is {} microseconds UTC", now.0)]
    InFuture { now: Timestamp },
    /// Another query about the past is running. Retry later.
    #[error("another question about the past is being answered")]
    Busy,
    #[error("the engine is stopping")]
    Stopping,
    /// The retained past is damaged or cannot be read; serving the present is not affected.
    #[error("the past cannot be read: {0}")]
    Unreadable(String),
}
