//! What can go wrong in this layer. A rule that says no is not here: that is an outcome.

use crate::{
    core::{
        Digest,
        plan::{Plan, PlanError},
    },
    durability::Error as DurabilityError,
};

/// Why a write has no outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SubmitError {
    /// The queue is full. Nothing was logged: try again later.
    #[error("too many writes are waiting")]
    Overloaded,
    /// An earlier write to the log failed. Nothing was logged; reads go on, writes need a restart.
    #[error("read-only: an earlier write to the log failed")]
    ReadOnly,
    /// The log failed while it held this write: after a restart it is there or not. Repeating it with the
    /// same idempotency key is safe.
    #[error("the log failed: the outcome of this write is unknown until a restart")]
    OutcomeUnknown,
    /// The engine is shutting down. Nothing was logged.
    #[error("the engine is stopping")]
    Stopping,
    /// The log is full and the next segment of it cannot be made at present: no space, no descriptors.
    /// Nothing was logged; it is tried again, and writes go on as soon as it succeeds.
    #[error("the log has no room at present")]
    NoRoom,
    /// The wall clock jumped, see [`super::ClockJump`]. Nothing was logged; writes go on as soon as it is
    /// back, or an operator accepts it.
    #[error("the clock jumped")]
    ClockJumped,
    /// A name in the command is longer than any that can be valid, or the command is larger than a segment of
    /// the log. Nothing was logged.
    #[error("the command is larger than the log can take")]
    TooLarge,
}

/// Why a directory could not be opened. Nothing in it was changed, except where recovery had cut a torn tail.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The plan in force in the directory is not the one that was asked for.
    #[error("the data directory has another plan (`{}`, version {version}) than the one given (`{}`)", present.name, wanted.name)]
    PlanDiffers {
        wanted: Box<Plan>,
        present: Box<Plan>,
        /// How often a plan was activated in the directory.
        version: u32,
    },
    /// The plan for a new directory breaks a rule of plans.
    #[error("the plan is not valid: {}", .0.iter().map(|error| format!("{}: {}", error.field, error.reason)).collect::<Vec<_>>().join("; "))]
    PlanInvalid(Vec<PlanError>),
    /// The rows of the snapshot do not make a state.
    #[error("the snapshot at LSN {lsn} does not hold together: {reason}")]
    Image { lsn: u64, reason: String },
    /// The state rebuilt from the snapshot is not the one it was made from.
    #[error("the snapshot at LSN {lsn} says digest {stored}, what was rebuilt from it has {rebuilt}")]
    Digest { lsn: u64, stored: Digest, rebuilt: Digest },
    /// Replay came to other outcomes than the process that wrote the log: another build, or damage that no
    /// checksum saw.
    #[error(
        "replay differs from what was recorded, at LSN {lsn}: outcome hash {computed:016x}, recorded {recorded:016x}"
    )]
    OutcomeDiffers {
        /// The last LSN before the difference was seen.
        lsn: u64,
        recorded: u64,
        computed: u64,
    },
    /// A command of the log cannot have been logged by us.
    #[error("the command at LSN {lsn} cannot be replayed: {reason}")]
    Replay { lsn: u64, reason: String },
    /// The log does not go on where the state stands.
    #[error("the log goes on with LSN {found}, the state needs {expected}")]
    Gap { expected: u64, found: u64 },
    /// Locked, foreign, damaged, of a newer format, or the operating system refused: durability tells them
    /// apart.
    #[error(transparent)]
    Data(#[from] DurabilityError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Why a snapshot was not made. Signups go on, unless it says `ReadOnly`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Writing or publishing it failed.
    #[error("the snapshot failed: {0}")]
    Failed(String),
    /// The log failed earlier: nothing more is written until a restart.
    #[error("read-only: an earlier write to the log failed")]
    ReadOnly,
    /// More requests wait for a snapshot than are worth remembering.
    #[error("too many requests wait for a snapshot")]
    Overloaded,
    #[error("the engine is stopping")]
    Stopping,
}
