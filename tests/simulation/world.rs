//! One seed: a network's history on a disk that fails.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use upline::{
    core::{
        Digest, audit,
        command::{Applied, Command, Outcome, Register, Rejection, RequestKey, Stamped},
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
        Answer, AnsweredBy, Engine, EngineOptions, HistoryError, OpenError, OpenReport, PendingWrite, PlanChoice, SnapshotError,
        SnapshotPolicy, SteppedEngine, SteppedWriter, SubmitError, Submitted, create,
    },
    metrics::Metrics,
};

use crate::{
    disk::{Trace, Traced},
    faults::{self, Damage, End, Trouble},
    model::{
        naive::Naive,
        network::picture_of,
        picture::{Network, Picture},
    },
    random::{self, Chance, StepMaker},
    tally::Tally,
};

const ROOT: &str = "/sim";
const HOUR: i64 = 3_600_000_000;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub seed: u64,
    /// Commands to submit.
    pub operations: u64,
    /// Whether each call of the disk goes into the trace.
    pub traced: bool,
    /// Whether what happens is printed.
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
    /// What was acknowledged, and nothing else.
    naive: Naive,
    /// The group of which nobody knows whether it is on disk, until a process opens the directory.
    in_flight: Vec<(Command, Option<RequestKey>)>,
    in_flight_time: Timestamp,
    /// What clients were told.
    acknowledged: Vec<(Command, Option<RequestKey>, Applied)>,
    /// Digests of states that somebody saw.
    digests: BTreeMap<u64, Digest>,
    /// Whether the directory has been opened once: from then on it is never made anew.
    served: bool,
    /// What is wrong with the disk now.
    trouble: Trouble,
    /// Whether something of the past was damaged.
    past_damaged: bool,
    /// A network with much time between small groups: marks fill its segments, so that they rotate often.
    idle: bool,
    tally: Tally,
}

struct Waiting {
    command: Command,
    key: Option<RequestKey>,
    reply: PendingWrite,
}

impl World {
    pub fn new(setting: Setting, metrics: Arc<Metrics>) -> Self {
        let mut chance = Chance::of(setting.seed);
        let plan = random::plan(&mut chance);
        let genesis = Genesis {
            id: InstanceId(setting.seed.to_le_bytes().repeat(2).try_into().expect("sixteen bytes")),
            network_id: 1,
            row_key: chance.next(),
            code_key: chance.next(),
            created: Timestamp(0),
        };
        let retention =
            chance.of_slice(&[Retention::Keep, Retention::Keep, Retention::Bytes(0), Retention::Bytes(40_000), Retention::Days(1)]);
        let idle = chance.percent(35);
        Self {
            setting,
            maker: StepMaker::new(Chance::of(chance.next()), plan.clone()),
            chance,
            metrics,
            genesis,
            retention,
            disk: Memory::new(),
            trace: Trace::default(),
            clock: Arc::new(AtomicI64::new(1_000 * HOUR)),
            naive: Naive::new(plan),
            in_flight: Vec::new(),
            in_flight_time: Timestamp(0),
            acknowledged: Vec::new(),
            digests: BTreeMap::new(),
            served: false,
            trouble: Trouble::None,
            past_damaged: false,
            idle,
            tally: Tally { seeds: 1, ..Tally::default() },
        }
    }

    /// Lives one process after the other until all commands were submitted. What happened, and the trace of it.
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

    fn storage(&self) -> Arc<dyn Storage> {
        match self.setting.traced {
            true => Arc::new(Traced { storage: self.disk.shared(), trace: self.trace.clone() }),
            false => self.disk.shared(),
        }
    }

    fn set_trouble(&mut self, trouble: Trouble) {
        if trouble != Trouble::None {
            self.say(|| format!("trouble: {trouble:?}"));
        }
        faults::set(&self.disk, trouble);
        self.trouble = trouble;
    }

    // --- opening

    /// Opens the directory, whatever goes wrong on the way; in the end nothing does.
    fn open(&mut self) -> SteppedEngine {
        for attempt in 0.. {
            let trouble = if attempt < 4 { faults::while_opening(&mut self.chance, !self.served) } else { Trouble::None };
            self.set_trouble(trouble);
            let opened = self.try_open();
            let went_wrong = self.trouble;
            self.set_trouble(Trouble::None);
            match opened {
                Ok((engine, report)) => {
                    self.check_opened(engine.engine(), &report);
                    return engine;
                }
                Err(error) => {
                    self.say(|| format!("not opened: {error}"));
                    assert_ne!(went_wrong, Trouble::None, "refused, and nothing was wrong: {error}");
                    assert!(matches!(error, OpenError::Data(Error::Io { .. })), "a failing call is no damage: {error}");
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
        let plan = self.naive_plan();
        if DataDir::is_free(&storage, Path::new(ROOT))? {
            assert!(!self.served, "the directory is gone");
            create(&storage, Path::new(ROOT), &self.genesis, log, &State::new(plan.clone(), self.genesis.code_key), &mut |_| {})?;
        }
        let choice = PlanChoice { plan, plan_is_explicit: false, width_is_explicit: false };
        let mut options = EngineOptions::new(ROOT.into(), choice, Arc::clone(&self.metrics));
        let clock = Arc::clone(&self.clock);
        options.clock = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed)));
        options.storage = storage;
        options.log = log;
        options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
        options.queue_max = 256;
        SteppedEngine::open(options)
    }

    fn naive_plan(&self) -> upline::core::plan::Plan {
        self.naive.plan().clone()
    }

    /// D2, and D6 where the digest of that LSN is known: what was acknowledged is there, and of what was in flight all or nothing.
    fn check_opened(&mut self, engine: &Engine, report: &OpenReport) {
        self.served = true;
        let (lsn, _) = self.naive.position();
        let in_flight = std::mem::take(&mut self.in_flight);
        let found = report.lsn;
        self.say(|| format!("opened at LSN {found}, {lsn} acknowledged, {} in flight, cuts {:?}", in_flight.len(), report.cuts));
        assert!(lsn <= found, "LSN {lsn} was acknowledged, the log ends with {found}");
        if !in_flight.is_empty() && found == lsn + in_flight.len() as u64 {
            let time = engine.read(|state, _| state.time());
            assert_eq!(time, self.in_flight_time, "time of the group that was in flight");
            for (command, key) in in_flight {
                self.apply(engine, command, key, time);
            }
            self.tally.found += 1;
        } else {
            assert_eq!(found, lsn, "a prefix of what was acknowledged, and of the {} in flight all or nothing", in_flight.len());
            self.tally.gone += u64::from(!in_flight.is_empty());
        }
        self.tally.torn += u64::from(!report.cuts.is_empty());
        self.tally.fallbacks += report.fallbacks.len() as u64;
        assert!(report.fallbacks.is_empty() || self.past_damaged, "{:?}", report.fallbacks);
        self.compare(engine);
        if let Some(digest) = self.digests.get(&found) {
            assert_eq!(engine.read(|state, _| state_digest(state)), *digest, "digest of LSN {found} before and after");
        }
    }

    // --- one process

    fn live(&mut self, mut engine: SteppedEngine) {
        if self.idle && self.chance.percent(70) {
            self.fill_segment(engine.writing());
        }
        let trouble = faults::while_serving(&mut self.chance);
        self.set_trouble(trouble);
        if self.chance.percent(40) {
            self.tell_again(engine.writing(), 3);
        }
        let mut left = self.chance.between(2, 24);
        while 0 < left && self.tally.operations < self.setting.operations {
            left -= 1;
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
            if !engine.engine().ready() {
                left = left.min(3);
            }
        }
        let poisoned = !engine.engine().ready();
        if poisoned {
            assert_ne!(self.trouble, Trouble::None, "poisoned, and nothing was wrong");
            self.tally.poisoned += 1;
            self.check_poisoned(&mut engine);
        }
        self.tally.full_disks += u64::from(poisoned && matches!(self.trouble, Trouble::Full { .. }));
        self.remember_digest(engine.engine());
        self.end(engine, poisoned);
    }

    fn end(&mut self, engine: SteppedEngine, poisoned: bool) {
        let powerless = matches!(self.trouble, Trouble::Fault(Fault::PowerLoss { at }) if at <= self.disk.calls());
        let end = if powerless || poisoned { faults::crash(&mut self.chance) } else { faults::end(&mut self.chance) };
        drop(engine);
        self.say(|| format!("end: {end:?} after {} calls", self.disk.calls()));
        self.set_trouble(Trouble::None);
        self.crash(end);
        if end == End::Stop && self.chance.percent(30) {
            self.damage();
        }
    }

    fn crash(&mut self, end: End) {
        match end {
            End::Stop => {}
            End::Kill => self.tally.kills += 1,
            End::Power(survival) => {
                self.say(|| format!("the power goes: {survival:?}"));
                self.disk = self.disk.crash(survival);
                self.tally.power_losses += 1;
            }
        }
    }

    /// D3: what was damaged is refused, and then nothing is changed; or everything is there all the same.
    fn damage(&mut self) {
        let Some(damage) = Damage::do_it(&self.disk, &mut self.chance) else { return };
        self.say(|| format!("damage: {} {:?}", damage.path.display(), damage.what));
        let damaged = self.disk.all();
        let was_damaged = self.past_damaged;
        self.past_damaged = true;
        match self.try_open() {
            Ok((engine, report)) => {
                self.check_opened(engine.engine(), &report);
                self.past_damaged = was_damaged || damage.shows_later();
                self.tally.harmless += 1;
            }
            Err(error) => {
                self.say(|| format!("refused: {error}"));
                let is_refusal = matches!(
                    error,
                    OpenError::Data(Error::Damaged(_) | Error::NotADataDirectory { .. } | Error::NewerFormat { .. })
                        | OpenError::Image { .. }
                        | OpenError::Digest { .. }
                );
                assert!(is_refusal, "{error:?}");
                assert!(was_damaged || !damage.is_survivable(&damaged), "there is enough without it: {error}");
                assert!(damaged == self.disk.all(), "refused, and something was changed");
                damage.undo(&self.disk);
                self.past_damaged = was_damaged;
                self.tally.refusals += 1;
            }
        }
    }

    // --- writes

    /// Some commands that wait together.
    fn group(&mut self, writing: &mut SteppedWriter) {
        let mut waiting = VecDeque::new();
        self.submit_some(writing, &mut waiting);
        self.turn(writing, &mut waiting);
    }

    fn submit_some(&mut self, writing: &SteppedWriter, waiting: &mut VecDeque<Waiting>) {
        let most = if self.idle { 2 } else { self.chance.of_slice(&[1, 1, 3, 8, 20]) };
        for _ in 0..self.chance.between(1, most) {
            let step = self.maker.step();
            let jump = if self.chance.percent(2) { -100 * HOUR } else { step.pause };
            self.clock.fetch_add(jump, Ordering::Relaxed);
            let command = step.command(|id| self.naive.code_of(id));
            let again = self.chance.percent(4);
            self.submit(writing, command.clone(), step.key, waiting);
            if again {
                // A client that lost patience.
                self.submit(writing, command, step.key, waiting);
            }
        }
    }

    fn submit(&mut self, writing: &SteppedWriter, command: Command, key: Option<RequestKey>, waiting: &mut VecDeque<Waiting>) {
        self.tally.operations += 1;
        let was_ready = writing.engine().ready();
        // As the lines of an import are, which may rest on lines before them.
        let unjudged = self.chance.percent(15);
        match writing.submit(command.clone(), key, |_| unjudged) {
            Submitted::Queued(reply) => {
                assert!(was_ready, "D4: a poisoned writer takes nothing");
                waiting.push_back(Waiting { command, key, reply });
            }
            Submitted::Answered(Err(error)) => {
                let expected = if was_ready { SubmitError::TooLarge } else { SubmitError::ReadOnly };
                assert_eq!(error, expected, "{command:?}");
            }
            Submitted::Answered(Ok(answer)) => {
                assert!(was_ready, "D4: a poisoned writer answers nothing");
                self.check_at_once(&command, key, answer);
            }
        }
    }

    /// What was answered without the log must be what the model says of what was acknowledged.
    fn check_at_once(&mut self, command: &Command, key: Option<RequestKey>, answer: Answer) {
        let (lsn, _) = self.naive.position();
        let (expected, by) = match self.naive.without_effect(key, command) {
            Ok(earlier) => (earlier, AnsweredBy::Repeat),
            Err(rejection) => (Applied { outcome: Outcome::Rejected(rejection), lsn }, AnsweredBy::Admission),
        };
        assert_eq!((answer.applied, answer.by), (expected, by), "{command:?}, {key:?}");
        match by {
            AnsweredBy::Repeat => self.tally.repeats += 1,
            _ => self.tally.refused_at_admission += 1,
        }
    }

    /// The writer's turns, until nothing waits; what is answered is compared after each.
    fn turn(&mut self, writing: &mut SteppedWriter, waiting: &mut VecDeque<Waiting>) {
        loop {
            let was_ready = writing.engine().ready();
            if !writing.step() {
                break;
            }
            let mut group = Vec::new();
            while let Some(answer) = waiting.front_mut().and_then(|first| first.reply.try_answer()) {
                let Waiting { command, key, .. } = waiting.pop_front().expect("it was looked at");
                group.push((command, key, answer));
            }
            self.check_group(writing.engine(), group, was_ready);
        }
        assert!(waiting.is_empty(), "everybody is answered");
    }

    fn check_group(&mut self, engine: &Engine, group: Vec<(Command, Option<RequestKey>, Result<Answer, SubmitError>)>, was_ready: bool) {
        let Some((_, _, first)) = group.first() else { return };
        self.say(|| format!("group of {}: {first:?}", group.len()));
        let time = self.naive.position().1.max(Timestamp(self.clock.load(Ordering::Relaxed)));
        match *first {
            Ok(_) => {
                assert!(was_ready && engine.ready(), "a poisoned writer acknowledges nothing");
                assert_eq!(engine.read(|state, _| state.time()), time);
                self.tally.groups += 1;
                for (command, key, answer) in group {
                    let answer = answer.expect("a group is acknowledged as a whole");
                    assert_eq!(answer.by, AnsweredBy::Log);
                    let expected = self.apply(engine, command, key, time);
                    assert_eq!(answer.applied, expected, "outcome of the engine, and of the model");
                    self.tally.acknowledged += 1;
                }
            }
            Err(error) => {
                assert!(group.iter().all(|(_, _, answer)| *answer == Err(error)), "a group fails as a whole");
                assert!(!engine.ready());
                let expected = if was_ready { SubmitError::OutcomeUnknown } else { SubmitError::ReadOnly };
                assert_eq!(error, expected);
                if was_ready {
                    self.in_flight = group.into_iter().map(|(command, key, _)| (command, key)).collect();
                    self.in_flight_time = time;
                }
            }
        }
        self.compare(engine);
    }

    /// Lets the model do what the engine did.
    fn apply(&mut self, engine: &Engine, command: Command, key: Option<RequestKey>, time: Timestamp) -> Applied {
        let stamped = Stamped { lsn: self.naive.position().0 + 1, time, key, command };
        let applied = self.naive.apply(&stamped);
        if applied.lsn == stamped.lsn {
            self.maker.learn(&stamped.command, applied.outcome);
            if let (Command::Register(Register { code: None, .. }), Outcome::Registered { member }) = (&stamped.command, applied.outcome) {
                let known = engine.read(|state, _| (member.0 < state.len()).then(|| state.code(member)));
                self.naive.learn_code(member.at(), &known.expect("the member is there"));
            }
        }
        self.tally.rejected_in_the_log += u64::from(matches!(applied.outcome, Outcome::Rejected(_)));
        self.maker.entries = self.naive.entries();
        if applied.lsn == stamped.lsn {
            self.acknowledged.push((stamped.command, key, applied));
        }
        applied
    }

    // --- the rest

    fn mark(&mut self, writing: &mut SteppedWriter) {
        writing.ask_for_mark();
        self.turn(writing, &mut VecDeque::new());
    }

    /// Brings the log nearer to the end of its segment, so that what goes wrong later often does so while it goes on to the next one.
    fn fill_segment(&mut self, writing: &mut SteppedWriter) {
        for _ in 0..self.chance.below(20) {
            let mut waiting = VecDeque::new();
            self.submit(writing, Command::PayAll, None, &mut waiting);
            self.turn(writing, &mut waiting);
            self.mark(writing);
        }
    }

    fn snapshot(&mut self, engine: &mut SteppedEngine) {
        let was_ready = engine.engine().ready();
        let gives_up = self.chance.percent(5);
        let mut waiting = VecDeque::new();
        let result = engine.snapshot(&mut |writing| {
            if self.chance.percent(40) {
                let groups = self.tally.groups;
                self.submit_some(writing, &mut waiting);
                self.turn(writing, &mut waiting);
                self.tally.between += self.tally.groups - groups;
            }
            !gives_up || self.chance.percent(50)
        });
        self.say(|| format!("snapshot: {:?}", result.as_ref().map(|info| (info.lsn, info.bytes))));
        match result {
            Ok(info) => {
                self.tally.snapshots += 1;
                let before = *self.digests.entry(info.lsn).or_insert(info.state_digest);
                assert_eq!(before, info.state_digest, "digest of LSN {} before, and in its snapshot", info.lsn);
            }
            Err(SnapshotError::ReadOnly) => assert!(!was_ready),
            Err(SnapshotError::Stopping) => assert!(gives_up),
            Err(SnapshotError::Failed(why)) => {
                assert_ne!(why, "panic", "see above");
                assert_ne!(self.trouble, Trouble::None, "failed, and nothing was wrong: {why}");
                self.tally.failed_snapshots += 1;
            }
            Err(SnapshotError::Overloaded) => panic!("nobody else waits for one"),
        }
        // What its predecessors needed of the log is retired.
        self.turn(engine.writing(), &mut waiting);
        self.compare(engine.engine());
    }

    /// D5: whoever asks again gets the same answer.
    fn tell_again(&mut self, writing: &mut SteppedWriter, most: usize) {
        let mut waiting = VecDeque::new();
        let all = self.acknowledged.len();
        for turn in 0..all.min(most) {
            let at = if all <= most { turn } else { self.chance.below(all as u64) as usize };
            let (command, key, applied) = self.acknowledged[at].clone();
            let known = key.and_then(|key| self.naive.repeat_of(key));
            let joined = matches!((&command, applied.outcome), (Command::Register(_), Outcome::Registered { .. }));
            if !joined && known.is_none() {
                continue;
            }
            if known == Some(Ok(applied)) || known.is_none() {
                self.submit_once_more(writing, command, key, known.map(|_| applied), &mut waiting);
            }
        }
        self.turn(writing, &mut waiting);
    }

    fn submit_once_more(
        &mut self,
        writing: &SteppedWriter,
        command: Command,
        key: Option<RequestKey>,
        expected: Option<Applied>,
        waiting: &mut VecDeque<Waiting>,
    ) {
        if !writing.engine().ready() {
            return self.submit(writing, command, key, waiting);
        }
        let Submitted::Answered(Ok(answer)) = writing.submit(command.clone(), key, |_| false) else {
            panic!("D5: {command:?} with {key:?} was acknowledged, and is unknown")
        };
        match expected {
            Some(applied) => assert_eq!((answer.applied, answer.by), (applied, AnsweredBy::Repeat), "D5: {command:?}"),
            None => assert_eq!(answer.applied.outcome, Outcome::Rejected(Rejection::MemberExists), "D5: {command:?}"),
        }
        self.check_at_once(&command, key, answer);
    }

    /// D4: nothing is taken any more, and everything that was acknowledged is still shown.
    fn check_poisoned(&mut self, engine: &mut SteppedEngine) {
        let mut waiting = VecDeque::new();
        self.submit_some(engine.writing(), &mut waiting);
        assert!(waiting.is_empty());
        assert_eq!(engine.snapshot(&mut |_| true), Err(SnapshotError::ReadOnly));
        assert!(engine.engine().status().poisoned.is_some());
        self.compare(engine.engine());
    }

    /// Its number; they begin with 1.
    fn newest_segment(&self) -> u64 {
        let names = self.disk.list(&Path::new(ROOT).join("log")).expect("the directory is there");
        names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).max().expect("a segment is there")
    }

    fn remember_digest(&mut self, engine: &Engine) {
        let (lsn, digest) = engine.read(|state, _| (state.lsn(), state_digest(state)));
        let before = *self.digests.entry(lsn).or_insert(digest);
        assert_eq!(before, digest, "one LSN, one digest");
    }

    /// D6: a state of the past is what it was.
    fn check_past(&mut self, engine: &Engine) {
        let known: Vec<u64> = self.digests.keys().copied().filter(|lsn| *lsn <= self.naive.position().0).collect();
        if known.is_empty() {
            return;
        }
        let lsn = self.chance.of_slice(&known);
        let past = engine.state_at(lsn).map(|state| state_digest(&state));
        self.say(|| format!("state at LSN {lsn}: {past:?}"));
        match past {
            Ok(digest) => {
                assert_eq!(digest, self.digests[&lsn], "digest of LSN {lsn}, then and now");
                self.tally.past += 1;
            }
            Err(_) if self.past_damaged => {}
            Err(HistoryError::BelowRetained { .. }) => assert_ne!(self.retention, Retention::Keep, "everything is kept"),
            Err(error) => assert_ne!(self.trouble, Trouble::None, "LSN {lsn}: {error}"),
        }
    }

    fn compare(&self, engine: &Engine) {
        let seen: Picture = engine.read(|state, _| picture_of(state));
        if let Some(difference) = seen.difference(&self.naive.picture()) {
            panic!("the engine's {difference}\n(which is the model's)");
        }
    }
}
