//! One seed: a network's history on a failing disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use upline::{
    core::{
        CodeForm, CodeKey, Digest, audit,
        command::{Applied, Command, RequestKey},
        state::State,
        state_digest,
        types::Timestamp,
    },
    durability::{
        DataDir, Error, Genesis, InstanceId, LogOptions, Retention,
        memory::{Fault, Memory},
        storage::Storage,
    },
    engine::{
        Engine, EngineOptions, OpenError, OpenReport, PendingWrite, PlanChoice, SnapshotPolicy,
        SteppedEngine, create, verify_sealed,
    },
    metrics::Metrics,
};

use crate::{
    disk::{Trace, Traced},
    faults::{self, Damage, End, Trouble},
    naive_clock::NaiveClock,
    networks::{
        naive::Naive,
        random::{self, Chance, StepMaker},
    },
    tally::Tally,
};
use seals::Seals;

mod beside;
mod seals;
mod writes;

const ROOT: &str = "/sim";
/// Percentage of the networks that are shops: mostly orders, and periods that end soon and are sealed.
const SHOPS: u64 = 25;
const HOUR: i64 = 3_600_000_000;

/// The parameters of a run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub seed: u64,
    /// Commands to submit.
    pub operations: u64,
    /// Whether each disk call is traced.
    pub traced: bool,
    /// Whether events are printed.
    pub loud: bool,
}

pub struct World {
    setting: Setting,
    chance: Chance,
    maker: StepMaker,
    metrics: Arc<Metrics>,
    genesis: Genesis,
    retention: Retention,
    disk: Memory,
    trace: Trace,
    clock: Arc<AtomicI64>,
    boot_clock: Arc<AtomicI64>,
    /// How far the clock may jump.
    clock_jump_max: Option<i64>,
    /// Predicts when writes are refused because of the clock.
    naive_clock: NaiveClock,
    /// Offset of a correct clock from the wall clock.
    clock_off: i64,
    /// The model of what was acknowledged, and nothing else.
    naive: Naive,
    /// The group in flight: unknown whether it is on disk until a process opens the directory.
    in_flight: Vec<(Command, Option<RequestKey>)>,
    in_flight_time: Timestamp,
    /// The acknowledgements that clients received.
    acknowledged: Vec<(Command, Option<RequestKey>, Applied)>,
    /// Digests of observed states.
    digests: BTreeMap<u64, Digest>,
    /// Whether the directory has been opened once: from then on it is never recreated.
    served: bool,
    /// The current fault of the disk.
    trouble: Trouble,
    /// Whether retained history was damaged.
    past_damaged: bool,
    /// A network with long pauses between small groups: marks fill its segments, so that they rotate often.
    idle: bool,
    seals: Seals,
    tally: Tally,
}

/// Returns whether the log failed permanently; without room for another segment it only waits.
fn is_poisoned(engine: &Engine) -> bool {
    engine.status().poisoned.is_some()
}

/// The files that are not in both, or not the same.
fn changed(one: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>) -> Vec<PathBuf> {
    let paths: BTreeSet<&PathBuf> = one.keys().chain(other.keys()).collect();
    paths.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

/// Whether recovery may mend it: an unfinished file, or the log with a torn tail.
fn is_mended(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "tmp") || path.starts_with(Path::new(ROOT).join("log"))
}

struct Waiting {
    command: Command,
    key: Option<RequestKey>,
    reply: PendingWrite,
}

impl World {
    pub fn new(setting: Setting, metrics: Arc<Metrics>) -> Self {
        let mut chance = Chance::of(setting.seed);
        let shop = chance.percent(SHOPS);
        // A shop needs time for its periods to end.
        let operations = setting.operations * if shop { 2 } else { 1 };
        let plan = if shop { random::plan_of_shop(&mut chance) } else { random::plan(&mut chance) };
        let genesis = Genesis {
            id: InstanceId(setting.seed.to_le_bytes().repeat(2).try_into().expect("sixteen bytes")),
            network_id: 1,
            row_key: chance.next(),
            code_key: CodeKey { key: chance.next(), form: CodeForm::LetterFirst },
            created: Timestamp(0),
        };
        let retention = chance.of_slice(&[
            Retention::Keep,
            Retention::Keep,
            Retention::Bytes(0),
            Retention::Bytes(40_000),
            Retention::Days(1),
        ]);
        let idle = chance.percent(35);
        let clock_jump_max = chance.percent(50).then_some(HOUR / 6);
        Self {
            setting: Setting { operations, ..setting },
            maker: StepMaker::new(Chance::of(chance.next()), plan.clone(), shop),
            chance,
            metrics,
            genesis,
            retention,
            disk: Memory::new(),
            trace: Trace::default(),
            clock: Arc::new(AtomicI64::new(1_000 * HOUR)),
            boot_clock: Arc::default(),
            clock_jump_max,
            naive_clock: NaiveClock::opened(clock_jump_max, 1_000 * HOUR, 0, None),
            clock_off: 0,
            naive: Naive::new(plan),
            in_flight: Vec::new(),
            in_flight_time: Timestamp(0),
            acknowledged: Vec::new(),
            digests: BTreeMap::new(),
            served: false,
            trouble: Trouble::None,
            past_damaged: false,
            idle,
            seals: Seals::default(),
            tally: Tally { seeds: 1, ..Tally::default() },
        }
    }

    /// Runs one process after the other until all commands were submitted. Returns the tally and the trace.
    pub fn run(mut self) -> (Tally, u64) {
        while self.tally.operations < self.setting.operations {
            let engine = self.open();
            self.live(engine);
        }
        let mut engine = self.open();
        let found = engine.engine().read(|state, _| audit(state, 10));
        assert_eq!(found, Vec::<String>::new(), "audit");
        self.tell_again(engine.writing(), usize::MAX);
        self.check_past(engine.engine());
        self.check_all_sealed(engine.writing());
        self.tally.rotations = self.newest_segment() - 1;
        (self.tally, self.trace.value())
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.setting.loud || self.setting.traced {
            let what = what();
            self.trace.note("said", what.as_bytes());
            if self.setting.loud {
                println!("{what}");
            }
        }
    }

    /// Returns the readings of both clocks.
    fn clocks(&self) -> (i64, i64) {
        (self.clock.load(Ordering::Relaxed), self.boot_clock.load(Ordering::Relaxed))
    }

    fn storage(&self) -> Arc<dyn Storage> {
        let disk = self.disk.shared();
        if self.setting.traced { Arc::new(Traced { storage: disk, trace: self.trace.clone() }) } else { disk }
    }

    fn set_trouble(&mut self, trouble: Trouble) {
        if trouble != Trouble::None {
            self.say(|| format!("trouble: {trouble:?}"));
        }
        faults::set(&self.disk, trouble);
        self.trouble = trouble;
    }

    // --- opening

    /// Opens the directory, retrying through faults until none is left.
    fn open(&mut self) -> SteppedEngine {
        for attempt in 0.. {
            let trouble = if attempt < 4 {
                faults::while_opening(&mut self.chance, !self.served)
            } else {
                Trouble::None
            };
            self.set_trouble(trouble);
            let opened = self.try_open();
            let went_wrong = self.trouble;
            self.set_trouble(Trouble::None);
            match opened {
                Ok((mut engine, report)) => {
                    self.check_opened(engine.engine(), &report);
                    self.check_sealed(engine.writing(), seals::CHECKED);
                    return engine;
                }
                Err(error) => {
                    self.say(|| format!("not opened: {error}"));
                    assert_ne!(went_wrong, Trouble::None, "refused, and nothing was wrong: {error}");
                    assert!(
                        matches!(error, OpenError::Data(Error::Io { .. })),
                        "a failing call is no damage: {error}"
                    );
                    self.tally.nested += 1;
                    let end = faults::crash(&mut self.chance);
                    self.crash(end);
                }
            }
        }
        unreachable!("the last attempts meet no trouble")
    }

    fn options(&mut self) -> LogOptions {
        let segment_bytes = self.chance.of_slice(&[16, 16, 16, 32]) * 1_024;
        LogOptions { segment_bytes, prepare_in_background: false, retention: self.retention }
    }

    fn try_open(&mut self) -> Result<(SteppedEngine, OpenReport), OpenError> {
        let (storage, log) = (self.storage(), self.options());
        let plan = self.naive.plan().clone();
        if DataDir::is_free(&storage, Path::new(ROOT))? {
            assert!(!self.served, "the directory is gone");
            create(
                &storage,
                Path::new(ROOT),
                &self.genesis,
                log,
                &State::new(plan.clone(), self.genesis.code_key),
                &mut |_| {},
            )?;
        }
        let choice = PlanChoice { plan, plan_is_explicit: false, width_is_explicit: false };
        let mut options = EngineOptions::new(ROOT.into(), choice, Arc::clone(&self.metrics));
        let clock = Arc::clone(&self.clock);
        options.clock = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        let boot_clock = Arc::clone(&self.boot_clock);
        options.boot_clock = Arc::new(move || boot_clock.load(Ordering::Relaxed));
        options.clock_jump_max = self.clock_jump_max.map(|most| Duration::from_micros(most.unsigned_abs()));
        options.storage = storage;
        options.log = log;
        options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
        options.queue_max = 256;
        SteppedEngine::open(options)
    }

    /// D2, and D6 where the digest of that LSN is known: what was acknowledged is there, and all or nothing
    /// of what was in flight.
    fn check_opened(&mut self, engine: &Engine, report: &OpenReport) {
        self.served = true;
        let (lsn, _) = self.naive.position();
        let in_flight = std::mem::take(&mut self.in_flight);
        for (command, _) in &in_flight {
            self.tally.interrupted[command.kind().position()] += 1;
        }
        let found = report.lsn;
        self.say(|| {
            format!(
                "opened at LSN {found}, {lsn} acknowledged, {} in flight, cuts {:?}",
                in_flight.len(),
                report.cuts
            )
        });
        assert!(lsn <= found, "LSN {lsn} was acknowledged, the log ends with {found}");
        if !in_flight.is_empty() && found == lsn + in_flight.len() as u64 {
            let time = engine.read(|state, _| state.time());
            assert_eq!(time, self.in_flight_time, "time of the group that was in flight");
            for (command, key) in in_flight {
                self.apply(engine, command, key, time);
            }
            self.tally.found += 1;
        } else {
            assert_eq!(
                found,
                lsn,
                "a prefix of what was acknowledged, and of the {} in flight all or nothing",
                in_flight.len()
            );
            self.tally.gone += u64::from(!in_flight.is_empty());
        }
        let (lsn, time) = self.naive.position();
        let (wall, boot) = self.clocks();
        self.naive_clock = NaiveClock::opened(self.clock_jump_max, wall, boot, (lsn != 0).then_some(time.0));
        assert_eq!(report.clock_jumped, self.naive_clock.jumped(wall, boot).is_some(), "{report:?}");
        self.tally.torn += u64::from(!report.cuts.is_empty());
        self.tally.fallbacks += report.fallbacks.len() as u64;
        assert!(report.fallbacks.is_empty() || self.past_damaged, "{:?}", report.fallbacks);
        self.compare(engine);
        if let Some(digest) = self.digests.get(&found) {
            assert_eq!(
                engine.read(|state, _| state_digest(state)),
                *digest,
                "digest of LSN {found} before and after"
            );
        }
    }

    // --- one process

    fn live(&mut self, mut engine: SteppedEngine) {
        if self.idle && self.chance.percent(70) {
            self.fill_segment(engine.writing());
        }
        let trouble = faults::while_serving(&mut self.chance);
        let failures = self.tally.failures();
        self.set_trouble(trouble);
        if self.chance.percent(40) {
            self.tell_again(engine.writing(), 3);
        }
        let mut left = self.chance.between(2, 24);
        while 0 < left && self.tally.operations < self.setting.operations {
            left -= 1;
            self.begin_seal(engine.writing());
            match self.chance.below(100) {
                0..=79 => {
                    self.group(engine.writing());
                    if self.chance.percent(if self.idle { 85 } else { 10 }) {
                        self.mark(engine.writing());
                    }
                }
                80..=91 => self.snapshot(&mut engine),
                92..=95 => self.check_past(engine.engine()),
                _ => self.tell_again(engine.writing(), 1),
            }
            if is_poisoned(engine.engine()) {
                left = left.min(3);
            }
        }
        let poisoned = is_poisoned(engine.engine());
        if poisoned {
            assert_ne!(self.trouble, Trouble::None, "poisoned, and nothing was wrong");
            self.tally.poisoned += 1;
            self.check_poisoned(&mut engine);
        }
        self.tally.full_disks +=
            u64::from(matches!(self.trouble, Trouble::Full { .. }) && failures < self.tally.failures());
        self.remember_digest(engine.engine());
        self.end(engine, poisoned);
    }

    fn end(&mut self, engine: SteppedEngine, poisoned: bool) {
        let powerless =
            matches!(self.trouble, Trouble::Fault(Fault::PowerLoss { at }) if at <= self.disk.calls());
        let end = if powerless || poisoned {
            faults::crash(&mut self.chance)
        } else {
            faults::end(&mut self.chance)
        };
        drop(engine);
        self.seals.end_of_process();
        self.say(|| format!("end: {end:?} after {} calls", self.disk.calls()));
        self.set_trouble(Trouble::None);
        self.crash(end);
        if end == End::Stop && self.chance.percent(30) {
            self.damage();
        }
    }

    /// Whether files of seals are damaged in a way that opening does not see, and a check does.
    fn has_damaged_seals(&self, engine: &Engine) -> bool {
        let found = engine.read(|state, _| verify_sealed(&self.storage(), Path::new(ROOT), state));
        !found.expect("the disk reads").is_empty()
    }

    fn crash(&mut self, end: End) {
        match end {
            End::Stop => {}
            End::Kill => self.tally.kills += 1,
            End::Power(survival) => {
                self.say(|| format!("the power goes: {survival:?}"));
                self.disk = self.disk.crash(survival);
                // The machine boots.
                self.boot_clock.store(0, Ordering::Relaxed);
                self.tally.power_losses += 1;
            }
        }
    }

    /// D3: damage is refused, and then nothing is changed; or everything is there nevertheless.
    fn damage(&mut self) {
        let Some(damage) = Damage::do_it(&self.disk, &mut self.chance) else { return };
        self.say(|| format!("damage: {} {:?}", damage.path.display(), damage.what));
        let damaged = self.disk.all();
        let was_damaged = self.past_damaged;
        self.past_damaged = true;
        match self.try_open() {
            Ok((engine, report)) => {
                self.check_opened(engine.engine(), &report);
                let is_said =
                    report.notes.iter().any(|note| note.contains("does not go back as far as it should"));
                self.past_damaged = was_damaged || damage.shows_later() || is_said;
                if self.has_damaged_seals(engine.engine()) {
                    drop(engine);
                    damage.undo(&self.disk);
                }
                self.tally.harmless += 1;
            }
            Err(error) => {
                self.say(|| format!("refused: {error}"));
                let is_refusal = matches!(
                    error,
                    OpenError::Data(
                        Error::Damaged(_)
                            | Error::InstanceLost { .. }
                            | Error::NotADataDirectory { .. }
                            | Error::NewerFormat { .. }
                    ) | OpenError::Image { .. }
                        | OpenError::Digest { .. }
                );
                assert!(is_refusal, "{error:?}");
                assert!(
                    was_damaged || !damage.is_survivable(&damaged),
                    "there is enough without it: {error}"
                );
                let changed = changed(&damaged, &self.disk.all());
                // Which seals there are is known when everything else is in order.
                let is_late = damage.is_of_seals();
                assert!(
                    changed.iter().all(|path| is_late && is_mended(path)),
                    "refused, and changed: {changed:?}"
                );
                damage.undo(&self.disk);
                self.past_damaged = was_damaged;
                self.tally.refusals += 1;
            }
        }
    }
}
