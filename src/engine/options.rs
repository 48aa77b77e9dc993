//! The options an engine is opened with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use super::{BootClock, Clock, MissingPeriods, OpenProgress, limits, system_boot_clock, system_clock};
use crate::{
    core::plan::Plan,
    durability::{
        LogOptions,
        storage::{Disk, Storage},
    },
    metrics::Metrics,
};

/// The network's number in a new directory: one network per process today.
pub const NETWORK_ID: u32 = 1;

/// The inputs of opening.
pub struct EngineOptions {
    pub data_dir: PathBuf,
    pub plan: PlanChoice,
    /// Written into a new directory; an existing one keeps its own.
    pub network_id: u32,
    pub snapshots: SnapshotPolicy,
    /// Segment size and retention of the log.
    pub log: LogOptions,
    /// The disk, or a test's substitute.
    pub storage: Arc<dyn Storage>,
    /// Writes that may wait, `1..=limits::QUEUE_LIMIT` (clamped); beyond that `submit` answers `Overloaded`.
    pub queue_max: usize,
    pub metrics: Arc<Metrics>,
    /// The wall clock that stamps commands.
    pub clock: Clock,
    /// The clock that the wall clock is checked against.
    pub boot_clock: BootClock,
    /// A wall clock that jumped by more than this is not used, see `clock.rs`; `None`: always used.
    pub clock_jump_max: Option<Duration>,
    /// Computes the periods that are to be opened; `None`: none are opened or closed by this engine.
    pub missing_periods: Option<MissingPeriods>,
    /// Called occasionally while opening, from the opening thread.
    pub progress: Option<Box<dyn FnMut(OpenProgress) + Send>>,
}

impl EngineOptions {
    /// Required choices; the rest gets the usual defaults.
    pub fn new(data_dir: PathBuf, plan: PlanChoice, metrics: Arc<Metrics>) -> Self {
        Self {
            data_dir,
            plan,
            network_id: NETWORK_ID,
            snapshots: SnapshotPolicy::default(),
            log: LogOptions::default(),
            storage: Disk::shared(),
            queue_max: limits::QUEUE_MAX,
            metrics,
            clock: system_clock(),
            boot_clock: system_boot_clock(),
            clock_jump_max: Some(limits::CLOCK_JUMP_MAX),
            missing_periods: None,
            progress: None,
        }
    }
}

/// The plan for a new directory, and which parts of it an existing directory must match.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanChoice {
    pub plan: Plan,
    /// The plan was requested explicitly: a directory with another one is refused.
    pub plan_is_explicit: bool,
    /// The width was requested explicitly: a directory with another one is refused.
    pub width_is_explicit: bool,
}

/// When automatic snapshots are made, in addition to those on demand. None is written when nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotPolicy {
    /// After this many commands; `None`: not by count.
    pub every_commands: Option<u64>,
    /// After this time; `None`: not by time.
    pub every: Option<Duration>,
    /// When the engine is shut down.
    pub on_shutdown: bool,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self {
            every_commands: Some(limits::SNAPSHOT_EVERY_COMMANDS),
            every: Some(limits::SNAPSHOT_EVERY),
            on_shutdown: true,
        }
    }
}
