//! The engine joins rules and bytes: one writer, many readers.
//!
//! # What this layer does
//!
//! It owns the [`State`] behind a lock, the directory from external ids to indexes, the log and the
//! snapshots, and holds them in one order. It decides, once, whatever is not deterministic: the time of a
//! command, the keys of a new instance.
//!
//! # What it does not know
//!
//! No rule of the network (that is `core`), no byte on disk (that is `durability`), no wire format, status
//! code or route (that is `http`), no configuration file. It does not use serde or axum.
//!
//! # The write path
//!
//! ```text
//! submit: check under the read lock -> bounded queue
//! writer: take all that waits -> stamp -> append -> sync -> apply in slices -> publish -> answer
//! ```
//!
//! `writer.rs` holds the order in one function. There is no timer: group commit takes what piled up during
//! the last sync. A command that breaks a rule against the present state is refused before the log, and its
//! answer names the LSN it was judged at; only races reach the log, and `State::apply` judges them. Only
//! durable commands are applied, so everything a reader sees has survived a sync.
//!
//! The first failed append or sync poisons the writer permanently: writes in flight answer
//! [`SubmitError::OutcomeUnknown`], later ones [`SubmitError::ReadOnly`], reads continue. A panic in the
//! writer thread aborts the process: it can only be our bug, in the one place where continuing could serve
//! wrong data or lose data.
//!
//! Sync and apply are not pipelined: applying takes a fifth of the time of a sync, and in sequence the
//! outcome hash recorded with a group covers everything before it.
//!
//! # Threads
//!
//! The writer; the snapshotter (`snapshotter.rs`), which works on frozen views alongside it; the ticker
//! (`ticker.rs`), which does periodic work that no command triggers, and opens and closes periods
//! (`periods.rs`). `lifecycle.rs` starts and ends them.
//! Each is a loop around steps; `stepped.rs` exposes the steps without the loops, so that one thread can take
//! them in any order.
//!
//! # Lock rules
//!
//! 1. The state's lock is taken for writing by the writer thread for at most `APPLY_SLICE_MAX` commands, for
//!    O(1) to begin and end a frozen view, and occasionally between its steps to take out the old copies kept
//!    for it, or to hand some of them to an older view. Between slices it is handed over fairly, so readers
//!    wait for one slice, not for a group; and a waiting writer holds new readers back, so readers cannot
//!    starve it. A plan change or a new admin is applied alone and swaps in prepared columns (`prepare.rs`).
//! 2. It is taken for reading for short, bounded work: [`Engine::read`]. No `read` inside a `read` (a writer
//!    waiting between the two would deadlock both; it panics instead), no blocking and no await in it.
//! 3. Work that grows with the network uses [`Engine::frozen_view`].
//! 4. The directory's maps lock their shards within a single call; no guard leaves `directory.rs`.
//! 5. The clock guard's mutex (`clock.rs`) is held for comparisons alone; no clock is read and no lock taken
//!    under it.
//! 6. Lock order: preparation mutex, view mutex, state lock, directory shard. Never the reverse.

mod ancestry;
mod clock;
pub mod limits;
mod options;
mod period_figures;
mod periods;

mod handle;
mod open;
mod replay;
mod submit;
mod writer;

mod directory;
mod history;
mod in_order;
mod kept_sums;
mod lifecycle;
mod offline;
mod prepare;
mod sealed;
mod search;
mod shared;
mod snapshotter;
mod stepped;
mod sync;
mod ticker;
mod view_desk;
mod views;

mod answer;
mod error;
mod marks;
mod status;

pub use self::{
    ancestry::may_continue,
    answer::{Answer, AnsweredBy, Sent},
    clock::{BootClock, Clock, ClockJump, ClockStanding, system_boot_clock, system_clock, system_time},
    directory::{MemberDirectory, UnsharedDirectory},
    error::{OpenError, SnapshotError, SubmitError},
    handle::Engine,
    history::{
        AuditFilter, AuditPage, Cause, Effort, Event, Explanation, Fate, Feed, HistoryError, PaidBy,
        SetAside, plan_at,
    },
    in_order::PendingWrite,
    kept_sums::NetworkDigest,
    offline::{DIFFERENCES_NAMED_MAX, Digests, KeptSnapshot, PlanTrial, RankComparison},
    open::{Loaded, create, load},
    options::{EngineOptions, NETWORK_ID, PlanChoice, SnapshotPolicy},
    period_figures::PeriodToLock,
    periods::{MissingPeriods, due_periods, empty_run},
    sealed::{
        BegunSeal, LeftDamaged, ListPosition, NextOrder, OrderFilter, OrderPages, SealError, SealStart,
        SealedLook, SealedOrders, SealedRepair, SealedRow, verify_sealed,
    },
    search::{Prefix, SearchBusy},
    snapshotter::SnapshotStep,
    status::{EngineStatus, LogFigures, OpenProgress, OpenReport, ShutdownReport, SnapshotInfo, Watermarks},
    stepped::{SteppedEngine, SteppedWriter, Submitted},
};
pub use crate::core::{
    ACTOR_ID_BYTES_MAX, ADMIN_LEVELS_MAX, Actor, ActorKind, Balance, Bookings, BreadthFirst, Breakage,
    BreakageReason, Brought, Digest, EMPTY_SLOTS_NAMED_MAX, Entry, EntryFilter, ExplainedShare,
    LEVEL_ORDER_WORDS, LevelOrder, LineView, Listed, LiveAlong, LiveSums, Member, MemberAttributes,
    MemberFilter, MemberTag, NextRank, OPENING_DECIMALS_MAX, OPENING_MEMBER_ROWS_MAX, OPENING_TOTALS_MAX,
    OpeningCloseRow, OpeningNeed, OpeningRow, OpeningTotal, OpeningValue, OrderView, Payout, PeriodChanged,
    PeriodRow, PeriodState, PeriodSums, PeriodTotals, PlanVersion, PlanVersions, Preorder, RankNeed,
    RankReached, RankView, ReceivedSums, ReceivedWalk, RefundState, RefundView, Roster, RosterOrder, RowIds,
    RowKind, RunRow, SUM_LEVELS_MAX, SealRow, ShareFate, Statuses, StepRow, Sum, Unchanged, VALUES_MAX, Walk,
    WindowMember, WindowSize,
    command::{
        ATTRIBUTE_CHANGES_MAX, AddOpening, Applied, AttributeChange, Carried, ChangeEntry, CloseOpening,
        Command, CommandKind, Credit, EntryChange, ImportEntry, LinePart, ORDER_CREDITS_MAX,
        ORDER_ID_CHARS_MAX, ORDER_LINES_MAX, OpenPeriod, OpeningEntry, OpeningKind, OpeningText, OrderId,
        OrderLine, Origin, Outcome, PayFilter, PeriodRef, PeriodStep, PlaceOrder, PlacementRequest,
        RecordRun, RefundOrder, RefundScope, Register, Rejection, RequestKey, SetAttributes, SponsorRef,
        Stamped, StepPeriod, TriggerBonus, VALUE_MAX, WHOLE, WideMoney,
    },
    network_digest, opening_units,
    plan::{
        BonusRule, Currency, KIND_REGISTRATION, LevelPay, Placement, PlacementRule, Plan, PlanError,
        RankBasis, RankRule, RankStep, calendar, commerce,
    },
    state::{Directory, Part, Parts, State, Verdict},
    state_digest,
    types::{
        BasisPoints, CODE_BYTES_MAX, Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money,
        REASON_CHARS_MAX, REFERENCE_CHARS_MAX, Reason, Reference, Role, Status, Timestamp, Tree,
    },
};
pub use crate::durability::{
    Error as DurabilityError, LOG_READERS_MAX, LogOptions, LogTrouble, Retention,
    storage::{Disk, Storage},
};

#[cfg(test)]
mod tests;
