//! A clock that jumps, and an engine that refuses to write under it: the engine itself without its threads,
//! both clocks controlled, against a naive model.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use upline::{
    durability::memory::Memory,
    engine::{
        Answer, AnsweredBy, ClockJump, Command, EngineOptions, RequestKey, SteppedEngine, SubmitError,
        Submitted, Timestamp, load, state_digest,
    },
};

use super::{
    common::{options, signup, trigger},
    naive_clock::{Jumped, NaiveClock},
};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const BOUND: i64 = 600 * SECOND;
/// 2026-01-01.
const START: i64 = 1_767_225_600 * SECOND;

/// A machine: its disk and its clocks.
struct Machine {
    disk: Memory,
    wall: Arc<AtomicI64>,
    boot: Arc<AtomicI64>,
}

impl Machine {
    fn new() -> Self {
        Self { disk: Memory::new(), wall: Arc::new(AtomicI64::new(START)), boot: Arc::new(AtomicI64::new(0)) }
    }

    fn wall(&self) -> i64 {
        self.wall.load(Ordering::Relaxed)
    }

    fn boot(&self) -> i64 {
        self.boot.load(Ordering::Relaxed)
    }

    /// Both clocks advance by `time`, and the wall clock jumps by `jump`.
    fn passes(&self, time: i64, jump: i64) {
        self.wall.fetch_add(time + jump, Ordering::Relaxed);
        self.boot.fetch_add(time, Ordering::Relaxed);
    }

    fn options(&self) -> EngineOptions {
        let mut options = options(Path::new("/data"));
        let (wall, boot) = (Arc::clone(&self.wall), Arc::clone(&self.boot));
        options.clock = Arc::new(move || Timestamp(wall.load(Ordering::Relaxed)));
        options.boot_clock = Arc::new(move || boot.load(Ordering::Relaxed));
        options.clock_jump_max = Some(Duration::from_secs(600));
        options.storage = self.disk.shared();
        options.log.prepare_in_background = false;
        options
    }

    fn open(&self) -> SteppedEngine {
        SteppedEngine::open(self.options()).expect("whatever the clock says, it opens").0
    }
}

/// A write, alone in its group.
fn write(
    engine: &mut SteppedEngine,
    command: Command,
    key: Option<RequestKey>,
) -> Result<Answer, SubmitError> {
    match engine.writing().submit(command, key, |_| false) {
        Submitted::Answered(answer) => answer,
        Submitted::Queued(mut pending) => {
            assert!(engine.writing().step());
            pending.try_answer().expect("it is answered")
        }
    }
}

/// Returns everything that a refused write must not change: the state, the log and the disk.
fn picture(machine: &Machine, engine: &SteppedEngine) -> (u64, String, i64, BTreeMap<PathBuf, Vec<u8>>) {
    let (lsn, digest, time) =
        engine.engine().read(|state, _| (state.lsn(), state_digest(state).to_string(), state.time().0));
    (lsn, digest, time, machine.disk.all())
}

/// The example from the issue: a payment whose response was lost, a clock jump, and the retry.
#[test]
fn a_retry_over_a_jump_is_paid_once() {
    for jump in [73 * HOUR, 8_760 * HOUR, -73 * HOUR] {
        let machine = Machine::new();
        let mut engine = machine.open();
        for number in 0..2 {
            write(&mut engine, signup(number, (number != 0).then_some(0)), None).expect("it is written");
        }
        let paid = RequestKey { key: [9; 16], fingerprint: 1 };
        let late = RequestKey { key: [8; 16], fingerprint: 2 };
        let first = write(&mut engine, trigger(1), Some(paid)).expect("it is written").applied;
        let entries = engine.engine().read(|state, _| state.entries());
        assert!(0 < entries);

        machine.passes(SECOND, jump);
        let before = picture(&machine, &engine);
        assert_eq!(write(&mut engine, signup(2, Some(0)), None), Err(SubmitError::ClockJumped), "{jump}");
        assert_eq!(write(&mut engine, trigger(1), Some(late)), Err(SubmitError::ClockJumped), "{jump}");
        assert_eq!(picture(&machine, &engine), before, "{jump}: nothing was logged and nothing applied");
        assert!(!engine.engine().ready() && !engine.engine().is_read_only());
        // Requests without log writes are answered as usual.
        let again = write(&mut engine, trigger(1), Some(paid)).expect("an answer");
        assert_eq!((again.applied, again.by), (first, AnsweredBy::Repeat), "{jump}");

        machine.passes(SECOND, -jump);
        assert!(engine.engine().ready());
        let again = write(&mut engine, trigger(1), Some(paid)).expect("an answer");
        assert_eq!(
            (again.applied, engine.engine().read(|state, _| state.entries())),
            (first, entries),
            "{jump}: paid once"
        );
        // The refused request is new, and from now on known too.
        let second = write(&mut engine, trigger(1), Some(late)).expect("it is written").applied;
        assert_eq!(write(&mut engine, trigger(1), Some(late)).expect("an answer").applied, second);
        assert_eq!(
            engine.engine().read(|state, _| state.entries()),
            2 * entries,
            "{jump}: each is paid once"
        );
        assert_eq!(
            engine.engine().status().time,
            Timestamp(machine.wall()),
            "{jump}: the jump left nothing behind"
        );
    }
}

#[test]
fn after_a_restart_a_clock_ahead_is_normal_and_one_behind_is_refused() {
    let machine = Machine::new();
    let mut engine = machine.open();
    write(&mut engine, signup(0, None), None).expect("it is written");
    drop(engine);
    // clock after the log's last time, refused
    for (at, is_refused) in
        [(1_000 * HOUR, false), (-BOUND, false), (-BOUND - SECOND, true), (-1_000 * HOUR, true)]
    {
        let machine = Machine {
            disk: copy_of(&machine.disk),
            wall: Arc::new(AtomicI64::new(START + at)),
            boot: Arc::default(),
        };
        let (mut engine, report) = SteppedEngine::open(machine.options()).expect("it opens");
        let seconds = |length: i64| Duration::from_micros(u64::try_from(length).unwrap_or(0));
        assert_eq!(
            (report.time, report.clock_ahead, report.clock_behind),
            (Some(Timestamp(START)), seconds(at), seconds(-at))
        );
        assert_eq!(report.clock_jumped, is_refused, "{at}");
        assert_eq!(engine.engine().clock().jump, is_refused.then_some(ClockJump::Behind), "{at}");
        let written = write(&mut engine, signup(1, Some(0)), None);
        assert_eq!(written.err(), is_refused.then_some(SubmitError::ClockJumped), "{at}");
        if is_refused {
            assert_eq!(engine.engine().accept_clock().jump, Some(ClockJump::Behind));
            assert_eq!(engine.engine().accept_clock().jump, None, "once is enough");
            write(&mut engine, signup(1, Some(0)), None).expect("it was accepted");
            assert_eq!(engine.engine().status().time, Timestamp(START), "log time stands still");
        }
        // Read-only opening reports the log time relative to the system's clock.
        drop(engine);
        let loaded = load(&machine.disk.shared(), Path::new("/data"), &mut |_| {}).expect("it loads");
        assert_eq!(loaded.report.time, Some(Timestamp(START + if is_refused { 0 } else { at.max(0) })));
    }
}

fn copy_of(disk: &Memory) -> Memory {
    disk.copy()
}

#[test]
fn metrics_say_it() {
    let machine = Machine::new();
    let mut engine = machine.open();
    write(&mut engine, signup(0, None), None).expect("it is written");
    let scraped = |engine: &SteppedEngine, lines: &[&str]| {
        engine.engine().refresh_metrics();
        let text = engine.engine().metrics().render();
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    };
    scraped(
        &engine,
        &[
            "upline_clock_jumped 0",
            "upline_clock_ahead_seconds 0",
            "upline_clock_behind_seconds 0",
            "upline_ready 1",
        ],
    );
    machine.passes(SECOND, 700 * SECOND);
    assert!(write(&mut engine, signup(1, Some(0)), None).is_err());
    let refused = "upline_refused_writes_total{reason=\"clock_jumped\"} 1";
    scraped(
        &engine,
        &[
            "upline_clock_jumped 1",
            "upline_clock_ahead_seconds 700",
            "upline_clock_behind_seconds 0",
            "upline_ready 0",
            refused,
        ],
    );
    machine.passes(SECOND, -1_402 * SECOND);
    scraped(
        &engine,
        &[
            "upline_clock_jumped 1",
            "upline_clock_ahead_seconds 0",
            "upline_clock_behind_seconds 700",
            "upline_ready 0",
        ],
    );
    engine.engine().accept_clock();
    scraped(&engine, &["upline_clock_jumped 0", "upline_clock_behind_seconds 700", "upline_ready 1"]);
    drop(engine);
    machine.passes(SECOND, 10_000 * SECOND);
    scraped(&machine.open(), &["upline_clock_jumped 0", "upline_recovery_clock_ahead_seconds 9301"]);
}

/// Both clocks walk at random; each check, write, acceptance and restart must match the model.
#[test]
fn the_engine_follows_the_words() {
    let number = |name: &str, or: u64| std::env::var(name).map_or(or, |text| text.parse().expect("a number"));
    let (walks, seed) = (number("UPLINE_CLOCK_WALKS", 60), number("UPLINE_SEED", 1));
    println!("seed {seed}");
    let mut reached = BTreeMap::<&str, u64>::new();
    for walk in 0..walks {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (walk + 1));
        let machine = Machine::new();
        let mut engine = machine.open();
        let mut naive = NaiveClock::opened(Some(BOUND), machine.wall(), machine.boot(), None);
        // Offset of a correct clock from the wall clock.
        let mut off = 0;
        let mut members = 0;
        for step in 0..120 {
            let about = format!("seed {seed}, walk {walk}, step {step}");
            match chance.below(20) {
                0..=4 => machine.passes(chance.upto(20 * SECOND), 0),
                5 => machine.passes(chance.upto(500 * HOUR), 0),
                6..=8 => {
                    let near = *chance.pick(&[BOUND - SECOND, BOUND, BOUND + SECOND, BOUND + 1, 1]);
                    let jump = if chance.below(2) == 0 { near } else { chance.upto(1_000 * HOUR) };
                    let jump = if chance.below(2) == 0 { jump } else { -jump };
                    machine.passes(0, jump);
                    off -= jump;
                }
                9 => {
                    machine.passes(0, off);
                    off = 0;
                }
                10 => {
                    let jumped = naive.jumped(machine.wall(), machine.boot());
                    assert_eq!(engine.engine().accept_clock().jump.map(of), jumped, "{about}");
                    assert_eq!(naive.accept(machine.wall(), machine.boot()), jumped.is_some());
                    *reached
                        .entry(if jumped.is_some() { "accepted" } else { "nothing to accept" })
                        .or_default() += 1;
                }
                11 => {
                    drop(engine);
                    machine.passes(chance.upto(HOUR), 0);
                    engine = machine.open();
                    naive = NaiveClock::opened(Some(BOUND), machine.wall(), machine.boot(), naive.last);
                    *reached.entry("restarted").or_default() += 1;
                }
                _ => {
                    let before = engine.engine().read(|state, _| (state.lsn(), state.len()));
                    let written = write(&mut engine, signup(members, (members != 0).then_some(0)), None);
                    let after = engine.engine().read(|state, _| (state.lsn(), state.len()));
                    match naive.write(machine.wall(), machine.boot()) {
                        Ok(time) => {
                            assert!(written.is_ok(), "{about}: {written:?}");
                            assert_eq!(engine.engine().status().time.0, time, "{about}");
                            members += 1;
                            *reached.entry("written").or_default() += 1;
                        }
                        Err(jumped) => {
                            assert_eq!(
                                (written, after),
                                (Err(SubmitError::ClockJumped), before),
                                "{about}: {jumped:?}"
                            );
                            *reached
                                .entry(if jumped == Jumped::Ahead { "ahead" } else { "behind" })
                                .or_default() += 1;
                        }
                    }
                }
            }
            let standing = engine.engine().clock();
            assert_eq!(
                standing.jump.map(of),
                naive.jumped(machine.wall(), machine.boot()),
                "{about}: {standing:?} {naive:?}"
            );
            assert_eq!(engine.engine().ready(), standing.jump.is_none(), "{about}");
            assert_eq!(standing.last.map(|last| last.0), naive.last, "{about}");
        }
    }
    println!("{reached:?}");
    for what in ["accepted", "nothing to accept", "restarted", "written", "ahead", "behind"] {
        assert!(
            walks < 20 || 20 < reached.get(what).copied().unwrap_or(0),
            "{what} was hardly reached: {reached:?}"
        );
    }
}

fn of(jump: ClockJump) -> Jumped {
    match jump {
        ClockJump::Ahead => Jumped::Ahead,
        ClockJump::Behind => Jumped::Behind,
    }
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'list, T>(&mut self, list: &'list [T]) -> &'list T {
        &list[usize::try_from(self.below(list.len() as u64)).expect("a place in the list")]
    }

    fn upto(&mut self, most: i64) -> i64 {
        i64::try_from(self.below(most.unsigned_abs())).expect("a small number")
    }
}
