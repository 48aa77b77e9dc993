//! When a clock is not written by, from the words of the documentation and with none of the program's code.
//! All times in microseconds.

/// Which way the clock jumped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jumped {
    Ahead,
    Behind,
}

/// The clock of one process on one log.
///
/// The wall clock minus the boot clock is the moment at which the machine was booted: a right clock gives the
/// same one for ever, and setting the clock moves it.
#[derive(Clone, Debug)]
pub struct NaiveClock {
    /// How far it may jump; `None`: as far as it likes.
    bound: Option<i64>,
    /// When the machine was booted, by the clock as it was last believed.
    booted: Option<i64>,
    /// Log time of the last command.
    pub last: Option<i64>,
    /// It was accepted while it was behind, and has not been right since.
    is_excused: bool,
}

impl NaiveClock {
    /// A process that opens a log whose last command has the time `last`.
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

    /// Why nothing is written now.
    pub fn jumped(&self, wall: i64, boot: i64) -> Option<Jumped> {
        let bound = self.bound?;
        let moved = self.booted.map(|booted| (wall - boot) - booted);
        let is_as_accepted = self.is_excused && moved.is_some_and(|moved| -bound <= moved);
        if self.is_far_behind(wall) && !is_as_accepted {
            return Some(Jumped::Behind);
        }
        moved.filter(|moved| bound < *moved).map(|_| Jumped::Ahead)
    }

    /// A command is written, if the clock allows it: its log time.
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

    /// An operator accepts the clock: whether there was anything to accept.
    pub fn accept(&mut self, wall: i64, boot: i64) -> bool {
        let is_needed = self.jumped(wall, boot).is_some();
        if is_needed {
            self.booted = Some(wall - boot);
            self.is_excused = self.is_far_behind(wall);
        }
        is_needed
    }
}
