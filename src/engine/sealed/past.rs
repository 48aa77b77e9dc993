//! States of the past of a directory that no engine serves.

use std::{any::Any, sync::Arc};

use crate::{
    core::{state::State, types::Timestamp},
    engine::{
        Loaded, MemberDirectory,
        history::{Effort, History, HistoryError, Present},
        marks::Marks,
        sync::{AtomicBool, RwLock},
    },
};

/// The past of a directory, and its present. Holds the directory's locks.
pub(super) struct Past {
    state: RwLock<State>,
    directory: MemberDirectory,
    marks: Marks,
    stopping: AtomicBool,
    /// Each keeps a state. The files of a boundary are made of two.
    histories: [History; 2],
    _lock: Box<dyn Any + Send>,
}

/// Which of the two states that are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    Seal = 0,
    Boundary = 1,
}

impl Past {
    pub fn of(loaded: Loaded) -> Self {
        let Loaded { state, directory, log, snapshots, report, lock, .. } = loaded;
        let history = || History::new(Arc::clone(&log), snapshots.clone());
        Self {
            marks: Marks::opened(report.snapshot_lsn, state.lsn()),
            histories: [history(), history()],
            state: RwLock::new(state),
            directory,
            stopping: AtomicBool::new(false),
            _lock: Box::new(lock),
        }
    }

    /// Reads the present.
    pub fn read<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(&self.state.read())
    }

    /// The state at an LSN. Nobody may hold the one that was asked for before in the same place.
    ///
    /// # Errors
    /// `BelowRetained`, `Unreadable`.
    pub fn state_at(&self, kept: Kept, lsn: u64) -> Result<Arc<State>, HistoryError> {
        let present = Present {
            state: &self.state,
            directory: &self.directory,
            marks: &self.marks,
            stopping: &self.stopping,
        };
        self.histories[kept as usize].state_at(present, lsn, &mut Effort::default())
    }

    /// The newest LSN at a moment that has passed, or the oldest one whose state is known, if that is later.
    ///
    /// # Errors
    /// `Unreadable`.
    pub fn lsn_from(&self, time: Timestamp) -> Result<u64, HistoryError> {
        let [history, _] = &self.histories;
        let oldest = history.oldest()?;
        match history.log.lsn_at(time).map_err(|error| history.unreadable(error.into())) {
            Ok(lsn) => Ok(lsn.max(oldest)),
            Err(HistoryError::BelowRetained { .. }) => Ok(oldest),
            Err(error) => Err(error),
        }
    }
}
