//! The clocks of the machine, and when the wall clock is not believed.
//!
//! Log time is the wall clock's, and never goes back. So one write under a clock that is wrong stamps all
//! that follow, and nothing takes that back. A wall clock that jumps is therefore not written by: writes are
//! refused until it is back or an operator accepts it. What it is held against is the machine's boot clock,
//! which nobody can set, which follows the same corrections of its rate, and which counts while the machine
//! sleeps.
//!
//! - *Ahead*: since the last command of this process the wall clock gained more than the bound on the boot
//!   clock. The opening counts as a command, unless the clock was behind by more than the bound then: such a
//!   clock is nothing to compare with, and may be put right.
//! - *Behind*: the wall clock is behind the log time of the last command by more than the bound. This is all
//!   that can be known after a restart, where a clock ahead of the log is that of a server that was down.
//!
//! Accepting takes the reading of that moment as if a command had been written then. A clock that was
//! accepted while behind stays accepted until it loses more than the bound again, or the log time is reached;
//! log time stands still until then.

use std::{sync::Arc, time::Duration};

use super::sync::Mutex;
use crate::core::types::Timestamp;

/// The clock that commands are stamped with.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Microseconds since the machine was booted, its sleep included. It never goes back while a process runs,
/// and nobody can set it.
pub type BootClock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The system's wall clock, in microseconds UTC.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    })
}

/// The system's boot clock: `CLOCK_BOOTTIME`; where there is none, the monotonic clock, which counts sleep on
/// those systems.
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

/// How a clock that is not believed stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClockJump {
    /// It gained more than the bound on the boot clock since the last command.
    Ahead,
    /// It is behind the log time of the last command by more than the bound.
    Behind,
}

/// How the wall clock stands at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockStanding {
    /// What it says.
    pub wall: Timestamp,
    /// Log time of the last command; `None` before the first.
    pub last: Option<Timestamp>,
    /// Microseconds that it gained on the boot clock since the last command of this process or, before that,
    /// since the opening; negative: lost. `None` where there is nothing to compare with: it was behind by
    /// more than the bound when the directory was opened.
    pub gained: Option<i64>,
    /// How far it may jump; `None`: as far as it likes.
    pub bound: Option<Duration>,
    /// Why writes are refused, if they are for this.
    pub jump: Option<ClockJump>,
}

impl ClockStanding {
    /// How far the clock is ahead of the log time of the last command; zero when it is not. For a server
    /// nobody writes to, that is how long ago the last command was.
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

/// As a duration; zero for what is negative.
fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Both clocks at one moment. The boot clock is asked before and after, so that a thread that was stopped in
/// between takes no pause for a jump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reading {
    pub wall: Timestamp,
    before: i64,
    after: i64,
}

impl Reading {
    /// At least what the wall clock gained on the boot clock between two readings.
    fn gained_since(self, earlier: Self) -> i64 {
        let elapsed = self.after.saturating_sub(earlier.before);
        self.wall.0.saturating_sub(earlier.wall.0).saturating_sub(elapsed)
    }

    /// At least what it lost.
    fn lost_since(self, earlier: Self) -> i64 {
        let elapsed = self.before.saturating_sub(earlier.after);
        elapsed.saturating_sub(self.wall.0.saturating_sub(earlier.wall.0))
    }
}

/// What a reading is judged by.
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

/// The clocks, and what the wall clock is judged by. Its mutex is held for some comparisons, and never while
/// a clock or anything else is asked.
pub(super) struct ClockGuard {
    wall: Clock,
    boot: BootClock,
    /// In microseconds.
    bound: Option<i64>,
    seen: Mutex<Seen>,
}

impl ClockGuard {
    /// For a directory that was just opened. `last` is the log time of its last command, `bound` how far the
    /// clock may jump: `None` is as far as it likes.
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

    /// What the wall clock says.
    pub fn wall(&self) -> Timestamp {
        (self.wall)()
    }

    /// Asks both clocks.
    pub fn read(&self) -> Reading {
        let before = (self.boot)();
        let wall = (self.wall)();
        Reading { wall, before, after: (self.boot)() }
    }

    /// Whether a command may be written by this reading: `None` if so.
    pub fn judge(&self, now: Reading) -> Option<ClockJump> {
        let bound = self.bound?;
        self.seen.lock().judge(now, bound)
    }

    /// Whether writes are refused now, and why. Asks no clock when nothing is refused.
    pub fn jump(&self) -> Option<ClockJump> {
        self.bound?;
        self.judge(self.read())
    }

    /// A command was written by this reading, which had been judged, and its log time is `time`.
    pub fn written(&self, now: Reading, time: Timestamp) {
        let mut seen = self.seen.lock();
        seen.last = Some(time);
        // An operator may have accepted a later reading in between.
        if seen.at.is_none_or(|at| at.before <= now.before) {
            seen.at = Some(now);
            seen.behind_is_accepted &= self.bound.is_some_and(|bound| bound < seen.behind(now));
        }
    }

    /// How the clock stands.
    pub fn standing(&self) -> ClockStanding {
        let now = self.read();
        let seen = *self.seen.lock();
        self.standing_of(&seen, now)
    }

    /// Accepts the clock if it jumped; else nothing happens. How it stood before.
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
            jump: self.bound.and_then(|bound| seen.judge(now, bound)),
        }
    }
}

#[cfg(test)]
#[path = "clock_test.rs"]
mod tests;
