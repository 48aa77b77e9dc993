//! The test rig of the engine's threads: a scripted journal and snapshot sink, and an engine on the two.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar as StdCondvar, Mutex as StdMutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::super::{
    lifecycle::{Inner, Parts},
    marks::Marks,
    sealed::files::SealedFiles,
    snapshotter::{SnapshotSink, Written},
    *,
};
use crate::core::plan::commerce::Commerce;
use crate::durability::{
    DataDir, EncodedGroup, Error, Figures, Genesis, HardState, InstanceId, Journal, LogHealth, LogReader,
    Purged, SEGMENT_BYTES_MIN, memory::Memory,
};
use crate::metrics::Metrics;

/// What a test's journal is to do, and a record of what was done to it.
#[derive(Default)]
pub(super) struct Script {
    pub inner: StdMutex<ScriptInner>,
    pub changed: StdCondvar,
}

#[derive(Default)]
pub(super) struct ScriptInner {
    /// Each append waits while this is set.
    pub hold: bool,
    /// Each sync waits while this is set.
    pub hold_sync: bool,
    pub fail_append: bool,
    pub fail_sync: bool,
    pub panic: bool,
    pub group_bytes_max: usize,
    /// Groups as appended, with the outcome hash before; empty ones are marks.
    pub groups: Vec<(Vec<Stamped>, u64)>,
    pub syncs: u64,
    /// Appends and syncs that failed.
    pub failures: u64,
    /// Everything up to here survived a sync.
    pub durable: u64,
    pub purged: Vec<u64>,
}

impl Script {
    pub fn set(&self, change: impl FnOnce(&mut ScriptInner)) {
        change(&mut self.inner.lock().unwrap());
        self.changed.notify_all();
    }

    pub fn get<R>(&self, look: impl FnOnce(&ScriptInner) -> R) -> R {
        look(&self.inner.lock().unwrap())
    }
}

impl ScriptInner {
    pub fn durable_lsn(&self) -> u64 {
        self.durable
    }
}

#[derive(Clone)]
pub(super) struct ScriptedJournal(pub Arc<Script>);

impl std::fmt::Debug for ScriptedJournal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("ScriptedJournal")
    }
}

pub(super) fn disk_error() -> Error {
    Error::PreviousIo { first: "scripted failure".into() }
}

impl Journal for ScriptedJournal {
    fn append(&mut self, group: &[Stamped], outcome_hash_before: u64) -> Result<(), Error> {
        let mut script = self.0.inner.lock().unwrap();
        assert!(!script.panic, "scripted panic");
        script.groups.push((group.to_vec(), outcome_hash_before));
        self.0.changed.notify_all();
        while script.hold {
            script = self.0.changed.wait(script).unwrap();
        }
        if script.fail_append {
            script.failures += 1;
            return Err(disk_error());
        }
        Ok(())
    }

    fn append_encoded(&mut self, group: &EncodedGroup, outcome_hash_before: u64) -> Result<(), Error> {
        self.append(&group.decode().expect("what was encoded is read"), outcome_hash_before)
    }

    fn sync(&mut self) -> Result<u64, Error> {
        let mut script = self.0.inner.lock().unwrap();
        script.syncs += 1;
        self.0.changed.notify_all();
        while script.hold_sync {
            script = self.0.changed.wait(script).unwrap();
        }
        let last = script
            .groups
            .iter()
            .filter_map(|(group, _)| group.last())
            .next_back()
            .map_or(0, |stamped| stamped.lsn);
        if script.fail_sync {
            script.failures += 1;
            return Err(disk_error());
        }
        script.durable = last;
        Ok(last)
    }

    fn mark(&mut self, outcome_hash: u64) -> Result<bool, Error> {
        self.append(&[], outcome_hash).map(|()| true)
    }

    fn hard_state(&self) -> HardState {
        HardState { term: 0, durable_lsn: self.0.get(ScriptInner::durable_lsn) }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        unreachable!("the engine's threads do not read the log")
    }

    fn health(&self) -> LogHealth {
        LogHealth::default()
    }

    fn purge_prefix(&mut self, up_to: u64, _needed: Option<u64>) -> Result<Purged, Error> {
        self.0.set(|script| script.purged.push(up_to));
        Ok(Purged::default())
    }

    fn figures(&self) -> Figures {
        Figures { live_segments: 3, live_bytes: 300, ..Figures::default() }
    }

    fn group_bytes_max(&self) -> usize {
        match self.0.get(|script| script.group_bytes_max) {
            0 => 1 << 20,
            bytes => bytes,
        }
    }
}

/// Pretends to write; fails or panics when told.
#[derive(Clone, Default)]
pub(super) struct ScriptedSink(pub Arc<StdMutex<SinkScript>>);

#[derive(Default)]
pub(super) struct SinkScript {
    pub fail: bool,
    pub panic: bool,
    /// Chunks of a snapshot, with rests between them.
    pub chunks: u32,
    pub lsns: Vec<u64>,
}

impl SnapshotSink for ScriptedSink {
    fn write(
        &mut self,
        view: &State,
        _marks: &Marks,
        rest: &mut dyn FnMut() -> bool,
    ) -> Result<Written, String> {
        let chunks = self.0.lock().unwrap().chunks;
        for _ in 0..chunks {
            std::thread::sleep(Duration::from_millis(1));
            if !rest() {
                return Err("given up".into());
            }
        }
        let mut script = self.0.lock().unwrap();
        if script.panic {
            drop(script);
            panic!("scripted panic");
        }
        if script.fail {
            return Err("scripted failure".into());
        }
        let retire_up_to = script.lsns.last().copied().unwrap_or(0);
        script.lsns.push(view.lsn());
        Ok(Written { info: info(view.lsn()), retire_up_to, sums: crate::core::FreshSums::default() })
    }
}

pub(super) fn info(lsn: u64) -> SnapshotInfo {
    SnapshotInfo {
        lsn,
        members: 0,
        bytes: 77,
        duration: Duration::ZERO,
        made_at: Timestamp(0),
        state_digest: Digest([1; 32]),
        network_digest: Digest([2; 32]),
    }
}

pub(super) fn plan() -> Plan {
    Plan {
        name: "test".into(),
        currency: Currency { code: *b"EUR", exponent: 2 },
        placement: Placement {
            width: Some(3),
            default_rule: PlacementRule::BreadthFirst,
            other_rules: vec![],
            strategic: true,
        },
        count_sponsor_tree: false,
        level_cap: 15,
        bonuses: vec![],
        commerce: Commerce::default(),
        ranks: RankRule::Thresholds { tree: Tree::Placement, basis: RankBasis::Direct, steps: vec![] },
    }
}

/// The identity of every directory here.
pub(in crate::engine) fn genesis() -> Genesis {
    let (id, code_key) = (InstanceId([9; 16]), 5.into());
    Genesis { id, network_id: 1, row_key: 4, code_key, created: Timestamp(0) }
}

/// Small segments, and nothing in the background.
pub(in crate::engine) fn log_options() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES_MIN, prepare_in_background: false, ..LogOptions::default() }
}

/// Options of an engine in `data_dir`: snapshots only on demand, and a clock of its own.
pub(super) fn fresh_options(data_dir: PathBuf) -> EngineOptions {
    let choice = PlanChoice { plan: plan(), plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(data_dir, choice, Metrics::new(&[]));
    options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
    let now = AtomicU64::new(1_000);
    options.clock = Arc::new(move || Timestamp(now.fetch_add(1, Ordering::Relaxed).cast_signed()));
    options
}

/// The same on a disk in memory, with a clock that stands still.
pub(in crate::engine) fn in_memory(plan: Plan) -> EngineOptions {
    let mut options = fresh_options("/d".into());
    options.plan.plan = plan;
    options.storage = Memory::new().shared();
    options.log = log_options();
    options.clock = Arc::new(|| Timestamp(1));
    options
}

/// The report of opening a new, empty network.
pub(super) fn new_report() -> OpenReport {
    OpenReport {
        created: true,
        members: 0,
        lsn: 0,
        snapshot_lsn: 0,
        replayed: 0,
        duration: Duration::ZERO,
        cuts: vec![],
        fallbacks: vec![],
        notes: vec![],
        time: None,
        clock_ahead: Duration::ZERO,
        clock_behind: Duration::ZERO,
        clock_jumped: false,
    }
}

/// The history of an in-memory directory to which nothing was written: the tests here look at the present.
pub(in crate::engine) fn empty_history() -> history::History {
    let (storage, path) = (Memory::new().shared(), Path::new("/d"));
    create(&storage, path, &genesis(), log_options(), &State::new(plan(), 5), &mut |_| {}).unwrap();
    let opened = DataDir::open_read_only(&storage, path).unwrap();
    history::History::new(opened.journal.reader(), opened.snapshots)
}

pub(super) struct Rig {
    pub engine: Engine,
    pub script: Arc<Script>,
    pub sink: ScriptedSink,
}

/// An engine without files. Snapshots only on demand, unless `change` says otherwise.
pub(super) fn rig(change: impl FnOnce(&mut EngineOptions, &Script, &ScriptedSink)) -> Rig {
    rig_on(State::new(plan(), 5), change)
}

/// The same on a state without members.
pub(super) fn rig_on(state: State, change: impl FnOnce(&mut EngineOptions, &Script, &ScriptedSink)) -> Rig {
    let script = Arc::new(Script::default());
    let sink = ScriptedSink::default();
    let mut options = fresh_options(PathBuf::from("unused"));
    change(&mut options, &script, &sink);
    let parts = Parts {
        history: empty_history(),
        sealed: SealedFiles::none(),
        store: None,
        state,
        directory: MemberDirectory::with_capacity(0, 0),
        journal: Box::new(ScriptedJournal(Arc::clone(&script))),
        sink: Box::new(sink.clone()),
        newest_snapshot: info(0),
        instance_id: [9; 16],
        network_id: 1,
        row_key: 4,
        lock: Box::new(()),
        report: new_report(),
    };
    let inner = Inner::start(parts, options).unwrap();
    Rig { engine: Engine { inner }, script, sink }
}

pub(super) fn member(number: u64) -> MemberId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    MemberId(id)
}

pub(super) fn signup(number: u64, sponsor: Option<u64>) -> Command {
    Command::Register(Register {
        member: member(number),
        sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(member(sponsor))),
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    })
}

pub(super) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a write from a separate thread.
pub(super) fn submit_aside(engine: &Engine, command: Command) -> JoinHandle<Result<Answer, SubmitError>> {
    let engine = engine.clone();
    std::thread::spawn(move || engine.submit_blocking(command, None))
}
