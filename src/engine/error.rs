//! Errors of this layer. A rule that refuses a command is not one: that is an outcome.

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
    /// An earlier write to the log failed. Nothing was logged; reads continue, writes need a restart.
    #[error("read-only: an earlier write to the log failed")]
    ReadOnly,
    /// The log failed while it held this write: after a restart it may or may not be there. Repeating it with
    /// the same idempotency key is safe.
    #[error("the log failed: the outcome of this write is unknown until a restart")]
    OutcomeUnknown,
    /// The engine is shutting down. Nothing was logged.
    #[error("the engine is stopping")]
    Stopping,
    /// The log is full and the next segment of it cannot be created at present: no space, no descriptors.
    /// Nothing was logged; creation is retried, and writes resume as soon as it succeeds.
    #[error("the log has no room at present")]
    NoRoom,
    /// The wall clock jumped, see [`super::ClockJump`]. Nothing was logged; writes resume as soon as it is
    /// back, or an operator accepts it.
    #[error("the clock jumped")]
    ClockJumped,
    /// A name in the command is longer than any that can be valid, or the command is larger than a segment of
    /// the log. Nothing was logged.
    #[error("the command is larger than the log can take")]
    TooLarge,
    /// The files of sealed orders cannot be read: whether the id of an order is taken is not known. Nothing
    /// was logged; other writes go on.
    #[error("the files of sealed orders cannot be read")]
    SealsUnreadable,
}

/// Why a directory could not be opened. Nothing in it was changed, except that recovery may have cut a torn
/// tail and removed unfinished files.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The plan in force in the directory is not the one that was asked for.
    #[error(
        "the data directory has another plan (`{}`, version {version}) than the one given (`{}`)",
        present.name, wanted.name
    )]
    PlanDiffers {
        wanted: Box<Plan>,
        present: Box<Plan>,
        /// How many plans were activated in the directory.
        version: u32,
    },
    /// The plan for a new directory breaks a rule of plans.
    #[error(
        "the plan is not valid: {}",
        .0.iter().map(|error| format!("{}: {}", error.field, error.reason)).collect::<Vec<_>>().join("; ")
    )]
    PlanInvalid(Vec<PlanError>),
    /// The rows of the snapshot do not form a valid state.
    #[error("the snapshot at LSN {lsn} does not hold together: {reason}")]
    Image { lsn: u64, reason: String },
    /// The state rebuilt from the snapshot differs from the one it was made from.
    #[error("the snapshot at LSN {lsn} says digest {stored}, what was rebuilt from it has {rebuilt}")]
    Digest { lsn: u64, stored: Digest, rebuilt: Digest },
    /// Replay produced other outcomes than the process that wrote the log: another build, or damage that no
    /// checksum caught.
    #[error(
        "replay differs from what was recorded, at LSN {lsn}: outcome hash {computed:016x}, \
         recorded {recorded:016x}"
    )]
    OutcomeDiffers {
        /// The last LSN before the difference was seen.
        lsn: u64,
        recorded: u64,
        computed: u64,
    },
    /// A logged command that this engine cannot have logged.
    #[error("the command at LSN {lsn} cannot be replayed: {reason}")]
    Replay { lsn: u64, reason: String },
    /// The log does not continue from the state's LSN.
    #[error("the log goes on with LSN {found}, the state needs {expected}")]
    Gap { expected: u64, found: u64 },
    /// The log ends before the LSN up to which it says that it is durable, or the snapshot goes beyond it.
    #[error("the log is durable up to LSN {durable}, what can be rebuilt from it ends with {reached}")]
    Short { durable: u64, reached: u64 },
    /// Locked, foreign, damaged, of a newer format, or refused by the operating system: durability tells them
    /// apart.
    #[error(transparent)]
    Data(#[from] DurabilityError),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Why a snapshot was not made. Signups continue, unless it says `ReadOnly`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Writing or publishing it failed.
    #[error("the snapshot failed: {0}")]
    Failed(String),
    /// The log failed earlier: nothing more is written until a restart.
    #[error("read-only: an earlier write to the log failed")]
    ReadOnly,
    /// Too many requests already wait for a snapshot.
    #[error("too many requests wait for a snapshot")]
    Overloaded,
    #[error("the engine is stopping")]
    Stopping,
}
