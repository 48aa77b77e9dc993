//! The engine joins rules and bytes: one writer, many readers.
//!
//! # What this layer does
//!
//! It owns the [`State`] behind a lock, the directory from outside ids to indexes, the log and the snapshots, and holds them in one order. It
//! decides, once, what is not determined: the time of a command, the keys of a new instance.
//!
//! # What it does not know
//!
//! No rule of the network (that is `core`), no byte on disk (that is `durability`), no wire format, status code or route (that is `http`), no
//! configuration file. It does not use serde or axum.
//!
//! # The write path
//!
//! ```text
//! submit: check under the read lock -> bounded queue
//! writer: take all that waits -> stamp -> append -> sync -> apply in slices -> publish -> answer
//! ```
//!
//! `writer.rs` holds the order in one function. There is no timer: a group is what piled up during the last sync. What breaks a rule
//! against the present state is refused before the log, and its answer names the LSN it was judged at; only races reach the
//! log, and `State::apply` judges them. Nothing that is not durable is ever applied, so whatever a reader can see has survived a sync.
//!
//! The first failed append or sync poisons the writer for good: writes that wait for it answer [`SubmitError::OutcomeUnknown`], later ones
//! [`SubmitError::ReadOnly`], reads go on. A panic in the writer thread aborts the process: it could only be our bug, in the one
//! place where going on could show or lose something wrongly.
//!
//! # Lock rules
//!
//! 1. The state's lock is taken for writing by the writer thread for at most `APPLY_SLICE_MAX` commands, and for O(1) to begin and end a frozen
//!    view. Between slices it is handed over fairly, so readers wait for one slice, not for a group; and a waiting writer holds new readers
//!    back, so readers cannot starve it.
//! 2. It is taken for reading for short, bounded work: [`Engine::read`]. No `read` inside a `read` (a writer that waits between the two would
//!    stop both), no blocking and no await in it.
//! 3. Work that grows with the network uses [`Engine::frozen_view`].
//! 4. The directory's maps lock their shards inside one call each; no guard leaves `directory.rs`.
//! 5. Order, where two are held: view mutex, then state lock, then a directory shard. Never the other way.

use std::{path::PathBuf, sync::Arc, time::Duration};

mod directory;
mod error;
pub mod limits;
mod row_id;
mod status;

pub use self::{
    directory::MemberDirectory,
    error::{DigestText, OpenError, SnapshotError, SubmitError},
    row_id::{RowIds, RowKind},
    status::{EngineStatus, LogFigures, OpenProgress, OpenReport, ShutdownReport, SnapshotInfo, Watermarks},
};
pub use crate::core::{
    command::{
        Applied, Command, ImportEntry, Origin, Outcome, PlacementRequest, Register, Rejection, RequestKey, SponsorRef, Stamped,
        TriggerBonus,
    },
    plan::{BonusRule, Currency, KIND_REGISTRATION, LevelPay, Placement, PlacementRule, Plan, PlanError, RankBasis, RankRule, RankStep},
    state::{Digest, Directory, Entry, Member, NextRank, RankView, State, network_digest, state_digest},
    types::{BasisPoints, CODE_BYTES_MAX, Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Role, Status, Timestamp, Tree},
};
use crate::metrics::Metrics;

/// The clock that commands are stamped with. Only the writer asks it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What opening needs to know.
pub struct EngineOptions {
    pub data_dir: PathBuf,
    pub plan: PlanChoice,
    /// Written into a new directory; an existing one keeps its own.
    pub network_id: u32,
    pub snapshots: SnapshotPolicy,
    /// Writes that may wait; beyond that `submit` answers `Overloaded`.
    pub queue_max: usize,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// Called now and then while opening, from the opening thread.
    pub progress: Option<Box<dyn FnMut(OpenProgress) + Send>>,
}

impl EngineOptions {
    /// What must be chosen; the rest is as most want it.
    pub fn new(data_dir: PathBuf, plan: PlanChoice, metrics: Arc<Metrics>) -> Self {
        Self {
            data_dir,
            plan,
            network_id: 1,
            snapshots: SnapshotPolicy::default(),
            queue_max: limits::QUEUE_MAX,
            metrics,
            clock: system_clock(),
            progress: None,
        }
    }
}

/// The plan for a new directory, and what of it an existing directory must agree with.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanChoice {
    pub plan: Plan,
    /// Somebody asked for this plan: a directory with another one is refused.
    pub plan_is_explicit: bool,
    /// Somebody asked for this width: a directory with another one is refused.
    pub width_is_explicit: bool,
}

/// When snapshots are made beside those on demand. Nothing is written when nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotPolicy {
    /// After so many commands; `None`: not by count.
    pub every_commands: Option<u64>,
    /// After so much time; `None`: not by time.
    pub every: Option<Duration>,
    /// When the engine is shut down.
    pub on_shutdown: bool,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { every_commands: Some(limits::SNAPSHOT_EVERY_COMMANDS), every: Some(limits::SNAPSHOT_EVERY), on_shutdown: true }
    }
}

/// The system's clock, in microseconds UTC.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// What a write came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The outcome and its LSN. For a refusal before the log: the LSN of the state it was judged against.
    pub applied: Applied,
    pub by: AnsweredBy,
}

/// How an answer was found. All three are final and durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnsweredBy {
    /// The command was logged and applied. (If an earlier one of the same key was faster, the outcome and LSN are its.)
    Log,
    /// It broke a rule before the log.
    Admission,
    /// An earlier command with the same key had done it.
    Repeat,
}

/// The engine. Cheap to clone; all clones are one engine. When the last clone is dropped, what is queued is still
/// written, and the threads are joined, without a final snapshot: prefer [`Engine::shutdown`].
#[derive(Clone)]
pub struct Engine {
    inner: Arc<()>,
}

impl Engine {
    /// Opens the data directory, or makes it, and starts the threads. Nothing is served before this returns. Blocks for as long as
    /// loading and replay take.
    ///
    /// # Errors
    /// Damage, a foreign or locked directory, a plan that differs, a replay that differs: see [`OpenError`].
    pub fn open(_options: EngineOptions) -> Result<(Self, OpenReport), OpenError> {
        todo!()
    }

    /// Writes: returns when the command is durable and applied, or was refused by a rule.
    ///
    /// # Errors
    /// Only when there is no outcome: see [`SubmitError`].
    ///
    /// # Panics
    /// When a plan in the command was not validated: our bug.
    #[allow(clippy::unused_async)]
    pub async fn submit(&self, _command: Command, _key: Option<RequestKey>) -> Result<Answer, SubmitError> {
        todo!()
    }

    /// As [`Engine::submit`], for threads that may block. Panics inside an async runtime.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn submit_blocking(&self, _command: Command, _key: Option<RequestKey>) -> Result<Answer, SubmitError> {
        todo!()
    }

    /// Reads, short and bounded: everything `read` sees is of one LSN and durable. Lock rules 1 and 2 above.
    pub fn read<R>(&self, _read: impl FnOnce(&State, &MemberDirectory) -> R) -> R {
        todo!()
    }

    /// An owned view of everything at one LSN, for work that grows with the network. Blocks while the view is copied (seconds, for ten
    /// million members), not holding anybody else up: call it from a thread that may block. One view is made at a time; it is shared if
    /// nothing changed since the last one that is still held.
    pub fn frozen_view(&self) -> Arc<State> {
        todo!()
    }

    /// Makes a snapshot, or shares the next one if one is running. If nothing changed since the last one, that one is the answer.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    #[allow(clippy::unused_async)]
    pub async fn snapshot_now(&self) -> Result<SnapshotInfo, SnapshotError> {
        todo!()
    }

    /// As [`Engine::snapshot_now`], for threads that may block. Panics inside an async runtime.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn snapshot_now_blocking(&self) -> Result<SnapshotInfo, SnapshotError> {
        todo!()
    }

    /// Whether writes are accepted: not stopping, not poisoned. O(1), takes no lock.
    pub fn ready(&self) -> bool {
        todo!()
    }

    /// Figures of the network, the log, the snapshots. O(1).
    pub fn status(&self) -> EngineStatus {
        todo!()
    }

    pub fn metrics(&self) -> &Arc<Metrics> {
        todo!()
    }

    /// Sets the gauges that are not kept up to date by the writer (members, ranks, ledger, ages, sizes). Call it before rendering. O(ranks).
    pub fn refresh_metrics(&self) {
        todo!()
    }

    /// The UUID of a member's row or a ledger entry. O(1), no lookup.
    pub fn row_id(&self, _kind: RowKind, _index: u64) -> [u8; 16] {
        todo!()
    }

    /// What a row's UUID names, or `None` if this instance did not make it. The index may be beyond the rows that exist. O(1).
    pub fn row_of(&self, _uuid: [u8; 16]) -> Option<(RowKind, u64)> {
        todo!()
    }

    /// The random number that names this data directory.
    pub fn instance_id(&self) -> [u8; 16] {
        todo!()
    }

    /// Stops: no more writes are accepted, what is queued is written and answered, a final snapshot is made (if the policy says so), the threads end.
    /// Reads go on. Blocks: call it from a thread that may. A second call waits for the first and gives the same report.
    pub fn shutdown(&self) -> ShutdownReport {
        todo!()
    }
}
