//! The machine's clocks, and when the wall clock is distrusted.
//!
//! Log time follows the wall clock and never goes back. A single write under a wrong clock would therefore
//! stamp all later ones, irreversibly. So a wall clock that jumps is not used: writes are refused until it is
//! back or an operator accepts it. It is compared with the machine's boot clock, which cannot be set, follows
//! the same rate corrections, and counts while the machine sleeps.
//!
//! - *Ahead*: since the last command of this process the wall clock gained more than the bound on the boot
//!   clock. Opening counts as a command, unless the clock was behind by more than the bound then: such a
//!   clock is no baseline, and may be corrected.
//! - *Behind*: the wall clock is behind the log time of the last command by more than the bound. This is all
//!   that can be known after a restart, where a clock ahead of the log only means that the server was down.
//!
//! Accepting takes the current reading as if a command had been written then. A clock that was accepted while
//! behind stays accepted until it loses more than the bound again, or the log time is reached; log time
//! stands still until then.

use std::{sync::Arc, time::Duration};

use super::sync::Mutex;
use crate::core::types::Timestamp;

/// The clock that commands are stamped with.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Microseconds since boot, including sleep. It never goes back while a process runs, and cannot be set.
pub type BootClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The time of the system's wall clock, in microseconds UTC.
pub fn system_time() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The system's wall clock.
pub fn system_clock() -> Clock {
    Arc::new(system_time)
}

/// The system's boot clock: `CLOCK_BOOTTIME`; elsewhere the monotonic clock, which counts sleep on those
/// systems.
pub fn system_boot_clock() -> BootClock {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const ID: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    Arc::new(|| {
        let now = rustix::time::clock_gettime(ID);
        now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1_000)
    })
}

/// The end of the year 9999. A later time has no RFC 3339 form, so no command is ever stamped with one.
const TIME_MAX: Timestamp = Timestamp(253_402_300_799_999_999);

/// How a distrusted clock jumped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockJump {
    /// It gained more than the bound on the boot clock since the last command.
    Ahead,
    /// It is behind the log time of the last command by more than the bound.
    Behind,
}

/// The state of the wall clock at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockStanding {
    /// Its reading.
    pub wall: Timestamp,
    /// Log time of the last command; `None` before the first.
    pub last: Option<Timestamp>,
    /// Microseconds that it gained on the boot clock since the last command of this process or, before that,
    /// since the opening; negative if it lost. `None` without a baseline: it was behind by more than the
    /// bound when the directory was opened.
    pub gained: Option<i64>,
    /// How far it may jump; `None`: unbounded.
    pub bound: Option<Duration>,
    /// Why writes are refused, if the clock is the reason.
    pub jump: Option<ClockJump>,
}

impl ClockStanding {
    /// How far the clock is ahead of the log time of the last command; zero when it is not. On an idle
    /// server, that is how long ago the last command was.
    pub fn ahead_of_log(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| micros(self.wall.0.saturating_sub(last.0)))
    }

    /// How far the clock is behind the log time of the last command; zero when it is not.
    pub fn behind_log(&self) -> Duration {
        self.last.map_or(Duration::ZERO, |last| micros(last.0.saturating_sub(self.wall.0)))
    }

    /// How far it jumped; zero when it did not.
    pub fn jumped_by(&self) -> Duration {
        match self.jump {
            None => Duration::ZERO,
            Some(ClockJump::Ahead) => micros(self.gained.unwrap_or(0)),
            Some(ClockJump::Behind) => self.behind_log(),
        }
    }
}

/// As a duration; negative values become zero.
fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Both clocks at one moment. The boot clock is read before and after, so that a thread preempted in between
/// does not mistake the pause for a jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reading {
    pub wall: Timestamp,
    before: i64,
    after: i64,
}

impl Reading {
    /// Lower bound on what the wall clock gained on the boot clock between two readings.
    fn gained_since(self, earlier: Self) -> i64 {
        let elapsed = self.after.saturating_sub(earlier.before);
        self.wall.0.saturating_sub(earlier.wall.0).saturating_sub(elapsed)
    }

    /// Lower bound on what it lost.
    fn lost_since(self, earlier: Self) -> i64 {
        let elapsed = self.before.saturating_sub(earlier.after);
        elapsed.saturating_sub(self.wall.0.saturating_sub(earlier.wall.0))
    }
}

/// The baseline that a reading is judged by.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// At the last command of this process, or when it was opened or accepted.
    at: Option<Reading>,
    /// Log time of the last command.
    last: Option<Timestamp>,
    /// An operator accepted a clock that is behind, at the reading above or before it.
    behind_is_accepted: bool,
}

impl Seen {
    fn behind(&self, now: Reading) -> i64 {
        self.last.map_or(0, |last| last.0.saturating_sub(now.wall.0))
    }

    fn judge(&self, now: Reading, bound: i64) -> Option<ClockJump> {
        let is_accepted = self.behind_is_accepted && self.at.is_some_and(|at| now.lost_since(at) <= bound);
        if bound < self.behind(now) && !is_accepted {
            return Some(ClockJump::Behind);
        }
        let gained = self.at.map_or(0, |at| now.gained_since(at));
        (bound < gained).then_some(ClockJump::Ahead)
    }
}

/// The clocks and the baseline. Its mutex is held for a few comparisons, never while a clock is read.
pub(super) struct ClockGuard {
    wall: Clock,
    boot: BootClock,
    /// In microseconds.
    bound: Option<i64>,
    seen: Mutex<Seen>,
}

impl ClockGuard {
    /// For a directory that was just opened. `last` is the log time of its last command, `bound` how far the
    /// clock may jump; `None`: unbounded.
    pub fn opened(wall: Clock, boot: BootClock, bound: Option<Duration>, last: Option<Timestamp>) -> Self {
        let bound = bound.map(|bound| i64::try_from(bound.as_micros()).unwrap_or(i64::MAX));
        let seen = Mutex::new(Seen { at: None, last, behind_is_accepted: false });
        let guard = Self { wall, boot, bound, seen };
        let now = guard.read();
        {
            let mut seen = guard.seen.lock();
            let is_behind = bound.is_some_and(|bound| bound < seen.behind(now));
            seen.at = (!is_behind).then_some(now);
        }
        guard
    }

    /// Reads the wall clock.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// Reads both clocks.
    pub fn read(&self) -> Reading {
        let before = (self.boot)();
        let wall = (self.wall)();
        Reading { wall, before, after: (self.boot)() }
    }

    /// Whether a command may be written with this reading: `None` if so.
    pub fn judge(&self, now: Reading) -> Option<ClockJump> {
        self.judge_by(&self.seen.lock(), now)
    }

    fn judge_by(&self, seen: &Seen, now: Reading) -> Option<ClockJump> {
        if TIME_MAX < now.wall {
            return Some(ClockJump::Ahead);
        }
        seen.judge(now, self.bound?)
    }

    /// Whether writes are refused now, and why.
    pub fn jump(&self) -> Option<ClockJump> {
        self.judge(self.read())
    }

    /// Records that a command was written with this reading, already judged, at log time `time`.
    pub fn written(&self, now: Reading, time: Timestamp) {
        let mut seen = self.seen.lock();
        seen.last = Some(time);
        // An operator may have accepted a later reading in between.
        if seen.at.is_none_or(|at| at.before <= now.before) {
            seen.at = Some(now);
            seen.behind_is_accepted &= self.bound.is_some_and(|bound| bound < seen.behind(now));
        }
    }

    /// The current standing.
    pub fn standing(&self) -> ClockStanding {
        let now = self.read();
        let seen = *self.seen.lock();
        self.standing_of(&seen, now)
    }

    /// Accepts the clock if it jumped; otherwise does nothing. Returns the standing before.
    pub fn accept(&self) -> ClockStanding {
        let now = self.read();
        let mut seen = self.seen.lock();
        let standing = self.standing_of(&seen, now);
        if standing.jump.is_some() {
            seen.at = Some(now);
            seen.behind_is_accepted = self.bound.is_some_and(|bound| bound < seen.behind(now));
        }
        standing
    }

    fn standing_of(&self, seen: &Seen, now: Reading) -> ClockStanding {
        ClockStanding {
            wall: now.wall,
            last: seen.last,
            gained: seen.at.map(|at| now.gained_since(at)),
            bound: self.bound.map(micros),
            jump: self.judge_by(seen, now),
        }
    }
}

#[cfg(test)]
#[path = "clock_test.rs"]
mod tests;
