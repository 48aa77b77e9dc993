use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// The default.
const BOUND: i64 = 10 * MINUTE;
/// 2026-01-01.
const START: i64 = 1_767_225_600 * SECOND;

/// Clocks that a test sets, and their guard.
struct Rig {
    wall: Arc<AtomicI64>,
    boot: Arc<AtomicI64>,
    guard: ClockGuard,
}

fn opened(wall: i64, last: Option<i64>, bound: Option<i64>) -> Rig {
    let (wall, boot) = (Arc::new(AtomicI64::new(wall)), Arc::new(AtomicI64::new(HOUR)));
    let (now, since_boot) = (Arc::clone(&wall), Arc::clone(&boot));
    let guard = ClockGuard::opened(
        Arc::new(move || Timestamp(now.load(Ordering::Relaxed))),
        Arc::new(move || since_boot.load(Ordering::Relaxed)),
        bound.map(micros),
        last.map(Timestamp),
    );
    Rig { wall, boot, guard }
}

impl Rig {
    /// Time passes on both clocks, asleep or awake, and the wall clock is set by `jump` more.
    fn passes(&self, time: i64, jump: i64) {
        self.wall.fetch_add(time + jump, Ordering::Relaxed);
        self.boot.fetch_add(time, Ordering::Relaxed);
    }

    /// Like the writer: returns the log time, or why not.
    fn write(&self) -> Result<i64, ClockJump> {
        let now = self.guard.read();
        match self.guard.judge(now) {
            Some(jump) => Err(jump),
            None => {
                let last = self.guard.standing().last.map_or(now.wall, |last| last.max(now.wall));
                self.guard.written(now, last);
                Ok(last.0)
            }
        }
    }
}

use ClockJump::{Ahead, Behind};

#[test]
fn the_bound_is_a_bound_to_the_second() {
    // what, passes before, jump, what a write then comes to (log time after START)
    let table = [
        ("nothing", 0, 0, Ok(0)),
        ("some time", HOUR, 0, Ok(HOUR)),
        ("a month of sleep", 720 * HOUR, 0, Ok(720 * HOUR)),
        ("a correction", SECOND, 128_000, Ok(SECOND + 128_000)),
        ("ahead, a second less", 0, BOUND - SECOND, Ok(BOUND - SECOND)),
        ("ahead, the bound", 0, BOUND, Ok(BOUND)),
        ("ahead, a second more", 0, BOUND + SECOND, Err(Ahead)),
        ("ahead, a year, asleep", 8 * HOUR, 8_760 * HOUR, Err(Ahead)),
        ("back, a second less", 0, -BOUND + SECOND, Ok(0)),
        ("back, the bound", 0, -BOUND, Ok(0)),
        ("back, a second more", 0, -BOUND - SECOND, Err(Behind)),
        ("back, not behind the log", HOUR, -HOUR, Ok(0)),
        ("back, before 1970", 0, -2 * START, Err(Behind)),
    ];
    for (what, time, jump, expected) in table {
        let rig = opened(START, Some(START), Some(BOUND));
        assert_eq!(rig.write(), Ok(START), "{what}");
        rig.passes(time, jump);
        assert_eq!(rig.guard.standing().jump, expected.err(), "{what}");
        assert_eq!(rig.write().map(|time| time - START), expected, "{what}");
        if expected.is_err() {
            // Refused as long as the jump lasts, however much time passes; accepted once the clock is back.
            rig.passes(if jump < 0 { 0 } else { 100 * HOUR }, 0);
            assert_eq!(rig.write().map(|time| time - START), expected, "{what}");
            rig.passes(HOUR, -jump);
            assert!(rig.write().is_ok_and(|time| START <= time), "{what}: it is back");
        }
    }
}

#[test]
fn without_a_bound_everything_is_taken() {
    for jump in [1_000_000 * HOUR, -1_000_000 * HOUR] {
        let rig = opened(START, Some(START), None);
        rig.passes(0, jump);
        assert_eq!(rig.write(), Ok(START.max(START + jump)));
        assert_eq!(rig.guard.accept().jump, None);
    }
}

#[test]
fn after_a_restart_ahead_is_normal_and_behind_is_refused() {
    // what the clock says at the opening after the log's last time, what a write comes to
    let table = [
        (10 * HOUR, Ok(10 * HOUR)),
        (100_000 * HOUR, Ok(100_000 * HOUR)),
        (0, Ok(0)),
        (-BOUND, Ok(0)),
        (-BOUND - SECOND, Err(Behind)),
        (-100_000 * HOUR, Err(Behind)),
    ];
    for (at, expected) in table {
        let rig = opened(START + at, Some(START), Some(BOUND));
        assert_eq!(rig.write().map(|time| time - START), expected, "{at}");
    }
    assert_eq!(opened(-START, None, Some(BOUND)).write(), Ok(-START), "an empty log has no time");
    // A jump between opening and the first command counts.
    let rig = opened(START + HOUR, Some(START), Some(BOUND));
    rig.passes(SECOND, BOUND + SECOND);
    assert_eq!(rig.write(), Err(Ahead));
    // A clock that was behind at opening is no baseline: it may be corrected, even by years.
    let rig = opened(START - 100_000 * HOUR, Some(START), Some(BOUND));
    assert_eq!(rig.guard.standing().gained, None);
    rig.passes(SECOND, 100_000 * HOUR + 50 * HOUR);
    assert_eq!(rig.write(), Ok(START + 50 * HOUR + SECOND));
    rig.passes(0, BOUND + SECOND);
    assert_eq!(rig.write(), Err(Ahead), "from then on it is held to it");
}

#[test]
fn what_is_accepted_is_the_jump_that_is_seen() {
    // jump, next jump after it was accepted, what a write then comes to
    let table = [
        (100 * HOUR, 0, None),
        (100 * HOUR, BOUND, None),
        (100 * HOUR, BOUND + SECOND, Some(Ahead)),
        (100 * HOUR, -BOUND, None),
        (-100 * HOUR, 0, None),
        (-100 * HOUR, -BOUND, None),
        (-100 * HOUR, -BOUND - SECOND, Some(Behind)),
        (-100 * HOUR, BOUND, None),
        (-100 * HOUR, 100 * HOUR, Some(Ahead)),
    ];
    for (jump, next, expected) in table {
        for writes_between in [false, true] {
            let what = format!("{jump} {next} {writes_between}");
            let rig = opened(START, Some(START), Some(BOUND));
            rig.passes(MINUTE, jump);
            let seen = rig.guard.accept();
            assert_eq!(seen.jump, Some(if jump < 0 { Behind } else { Ahead }), "{what}");
            assert_eq!(seen.jumped_by(), micros(if jump < 0 { -jump - MINUTE } else { jump }), "{what}");
            assert_eq!(rig.guard.accept().jump, None, "{what}: once is enough");
            if writes_between {
                rig.passes(MINUTE, 0);
                assert!(rig.write().is_ok(), "{what}");
            }
            rig.passes(MINUTE, next);
            assert_eq!(rig.write().err(), expected, "{what}");
        }
    }
    // Accepting without a jump does not move the baseline.
    let rig = opened(START, Some(START), Some(BOUND));
    rig.passes(0, BOUND);
    assert_eq!(rig.guard.accept().jump, None);
    rig.passes(0, SECOND);
    assert_eq!(rig.write(), Err(Ahead));
}

#[test]
fn an_accepted_clock_is_behind_until_it_has_caught_up() {
    let rig = opened(START - 100 * HOUR, Some(START), Some(BOUND));
    rig.guard.accept();
    for _ in 0..99 {
        rig.passes(HOUR, 0);
        assert_eq!(rig.write(), Ok(START), "log time stands still");
    }
    rig.passes(2 * HOUR, 0);
    assert_eq!(rig.write(), Ok(START + HOUR));
    // The acceptance has ended.
    rig.passes(0, -BOUND - SECOND);
    assert_eq!(rig.write(), Err(Behind));
}

/// A thread may be preempted between reading the two clocks: that is no jump, in either direction.
#[test]
fn a_pause_between_two_clocks_is_no_jump() {
    let reading = |wall, before, after| Reading { wall: Timestamp(START + wall), before, after };
    let pause = 100 * HOUR;
    // earlier, now
    let table = [
        (reading(0, 0, 0), reading(pause, 0, pause)),
        (reading(0, 0, 0), reading(0, 0, pause)),
        (reading(0, 0, pause), reading(pause, pause, pause)),
        (reading(pause, 0, pause), reading(pause, pause, pause)),
        (reading(0, 0, 2 * pause), reading(3 * pause, 3 * pause, 3 * pause)),
    ];
    for (earlier, now) in table {
        assert!(now.gained_since(earlier) <= 0, "{earlier:?} {now:?}");
        assert!(now.lost_since(earlier) <= 0, "{earlier:?} {now:?}");
    }
}

#[test]
fn the_boot_clock_of_the_machine_runs() {
    let clock = system_boot_clock();
    let first = clock();
    assert!(0 < first && first <= clock());
}

#[test]
fn no_command_is_stamped_beyond_the_year_9999() {
    for bound in [None, Some(BOUND)] {
        let rig = opened(TIME_MAX.0 - SECOND, None, bound);
        assert_eq!(rig.write(), Ok(TIME_MAX.0 - SECOND));
        rig.passes(2 * SECOND, 0);
        assert_eq!(rig.write(), Err(Ahead), "{bound:?}");
        rig.guard.accept();
        assert_eq!(rig.write(), Err(Ahead), "nobody can accept such a clock");
        rig.passes(0, -2 * SECOND);
        assert_eq!(rig.write(), Ok(TIME_MAX.0 - SECOND), "{bound:?}");
    }
}
