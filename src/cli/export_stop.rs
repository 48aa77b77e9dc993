//! Why an export ends before it is complete.

use std::{io, path::Path};

use super::{
    exit::{Exit, Failure},
    screen,
};

/// The message for an interrupted export.
pub(super) const INCOMPLETE: &str = "the export is not complete";

/// The reason why writing stopped.
pub(super) enum Stop {
    Io(io::Error),
    Interrupted,
    /// What is to be exported cannot be read.
    Unreadable(Failure),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Io(error)
    }
}

impl Stop {
    /// The failure of a file.
    pub fn of_file(self, path: &Path) -> Failure {
        let name = path.display();
        match self {
            Stop::Io(error) => Failure::new(Exit::Failed, format!("cannot write {name}: {error}")),
            Stop::Interrupted | Stop::Unreadable(_) => self.into_failure(""),
        }
    }

    /// The failure of an output of this name.
    pub fn into_failure(self, name: &str) -> Failure {
        match self {
            Stop::Io(error) => screen::output_failure(&error, name),
            Stop::Interrupted => Failure::interrupted(INCOMPLETE),
            Stop::Unreadable(failure) => failure,
        }
    }
}
