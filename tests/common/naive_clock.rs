//! A model of when writes are refused because of the clock, from the documentation and without the program's
//! code. All times in microseconds.

/// Which way the clock jumped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jumped {
    Ahead,
    Behind,
}

/// The clock of one process on one log.
///
/// The wall clock minus the boot clock is the time at which the machine was booted: constant for a correct
/// clock, and moved by setting the clock.
#[derive(Clone, Debug)]
pub struct NaiveClock {
    /// How far it may jump; `None`: no limit.
    bound: Option<i64>,
    /// When the machine was booted, by the clock as last trusted.
    booted: Option<i64>,
    /// Log time of the last command.
    pub last: Option<i64>,
    /// It was accepted while behind, and has not been correct since.
    is_excused: bool,
}

impl NaiveClock {
    /// Opens a log whose last command has the time `last`.
    pub fn opened(bound: Option<i64>, wall: i64, boot: i64, last: Option<i64>) -> Self {
        let mut clock = Self { bound, booted: None, last, is_excused: false };
        if !clock.is_far_behind(wall) {
            clock.booted = Some(wall - boot);
        }
        clock
    }

    fn is_far_behind(&self, wall: i64) -> bool {
        matches!((self.bound, self.last), (Some(bound), Some(last)) if wall + bound < last)
    }

    /// Returns why writes are refused now.
    pub fn jumped(&self, wall: i64, boot: i64) -> Option<Jumped> {
        let bound = self.bound?;
        let moved = self.booted.map(|booted| (wall - boot) - booted);
        let is_as_accepted = self.is_excused && moved.is_some_and(|moved| -bound <= moved);
        if self.is_far_behind(wall) && !is_as_accepted {
            return Some(Jumped::Behind);
        }
        moved.filter(|moved| bound < *moved).map(|_| Jumped::Ahead)
    }

    /// Writes a command, if the clock allows it; returns its log time.
    pub fn write(&mut self, wall: i64, boot: i64) -> Result<i64, Jumped> {
        if let Some(jumped) = self.jumped(wall, boot) {
            return Err(jumped);
        }
        let time = self.last.unwrap_or(wall).max(wall);
        self.last = Some(time);
        self.booted = Some(wall - boot);
        self.is_excused = self.is_excused && self.is_far_behind(wall);
        Ok(time)
    }

    /// Accepts the clock; returns whether there was anything to accept.
    pub fn accept(&mut self, wall: i64, boot: i64) -> bool {
        let is_needed = self.jumped(wall, boot).is_some();
        if is_needed {
            self.booted = Some(wall - boot);
            self.is_excused = self.is_far_behind(wall);
        }
        is_needed
    }
}
