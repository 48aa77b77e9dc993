//! The segment after the active one: made ahead, beside the writing, and tried again where that fails.
//!
//! It holds no command yet, so a failure to make it is no failure of the log: it is reported ([`LogHealth`])
//! and repaired by trying again, with a fresh file each time. Only when the active segment is full and there
//! is still no next one are groups refused, until there is.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::segment;
use crate::durability::{
    error::{Error, Result},
    paths::Paths,
    storage::{Storage, StorageFile},
};

/// How long to wait before the first new try. Each further one waits twice as long, since a try writes as
/// much as fits.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait: so long it takes at most until the log goes on after room was made.
const RETRY_LAST: Duration = Duration::from_secs(8);

/// How the log fares between its failures and none. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct LogHealth(Arc<Mutex<Health>>);

#[derive(Debug, Default)]
struct Health {
    trouble: Option<LogTrouble>,
    failures: u64,
}

/// The next segment cannot be made at present.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogTrouble {
    /// What failed at the last try, with its file.
    pub why: Arc<str>,
    /// What the operating system said to that.
    pub cause: Arc<str>,
    /// The active segment is full: writes are refused until the next one is there. (A small one may still fit
    /// where a larger one did not.)
    pub refuses_writes: bool,
}

impl LogHealth {
    /// What keeps the next segment from being made, if anything does.
    pub fn trouble(&self) -> Option<LogTrouble> {
        self.lock().trouble.clone()
    }

    /// How often making a segment failed since the start.
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    fn failed(&self, error: &Error) -> Arc<str> {
        let why: Arc<str> = error.to_string().into();
        let cause =
            if let Error::Io { source, .. } = error { source.to_string().into() } else { Arc::clone(&why) };
        let mut health = self.lock();
        health.failures += 1;
        let refuses_writes = health.trouble.as_ref().is_some_and(|trouble| trouble.refuses_writes);
        health.trouble = Some(LogTrouble { why: Arc::clone(&why), cause, refuses_writes });
        why
    }

    fn refuses_writes(&self) {
        if let Some(trouble) = &mut self.lock().trouble {
            trouble.refuses_writes = true;
        }
    }

    fn healed(&self) {
        self.lock().trouble = None;
    }

    /// Nothing is left half-changed under this lock.
    fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The segment after the active one: there already, being made, or to be made when needed.
#[derive(Debug)]
pub(crate) enum Next {
    Ready(Box<dyn StorageFile>),
    Making(Maker),
    Later,
}

impl Next {
    /// Starts making segment `number`, in a thread if `in_background`.
    pub(crate) fn start(
        storage: &Arc<dyn Storage>,
        paths: &Paths,
        (number, bytes): (u64, u64),
        in_background: bool,
        health: &LogHealth,
    ) -> Self {
        if !in_background {
            return Self::Later;
        }
        let (storage, paths, health) = (Arc::clone(storage), paths.clone(), health.clone());
        let desk = Arc::new(Desk::default());
        let own = Arc::clone(&desk);
        let make = move || segment::create_empty(&*storage, &paths, number, bytes);
        let started =
            thread::Builder::new().name("log-segment".into()).spawn(move || own.run(&make, &health));
        // Where there is no thread to be had the segment is made when it is needed, which is slower and no
        // less right.
        started.map_or(Self::Later, |thread| Self::Making(Maker { desk, thread: Some(thread) }))
    }

    /// Waits until segment `number` is there, or until making it has failed and not yet succeeded.
    ///
    /// # Errors
    /// `NoNextSegment`; it may be asked again.
    pub(crate) fn be_ready(
        &mut self,
        storage: &dyn Storage,
        paths: &Paths,
        (number, bytes): (u64, u64),
        health: &LogHealth,
    ) -> Result<()> {
        let made = match self {
            Self::Ready(_) => return Ok(()),
            Self::Making(maker) => maker.desk.wait(),
            Self::Later => {
                segment::create_empty(storage, paths, number, bytes).map_err(|error| health.failed(&error))
            }
        };
        match made {
            Ok(file) => {
                health.healed();
                *self = Self::Ready(file);
                Ok(())
            }
            Err(why) => {
                health.refuses_writes();
                Err(Error::NoNextSegment { number, why })
            }
        }
    }
}

/// A thread that makes a segment. Dropped, it is told to stop, and waited for.
#[derive(Debug)]
pub(crate) struct Maker {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Maker {
    /// The directory's lock must not go while something still writes there.
    fn drop(&mut self) {
        self.desk.lock().is_stopped = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // What comes of it does not matter any more: an unfinished segment has a temporary name, and is
            // removed at the next opening.
            drop(thread.join());
        }
    }
}

/// Where the thread and the writer of the log meet.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    made: Option<Box<dyn StorageFile>>,
    /// Why the last try failed.
    failed: Option<Arc<str>>,
    is_stopped: bool,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, make: &dyn Fn() -> Result<Box<dyn StorageFile>>, health: &LogHealth) {
        let mut pause = RETRY_FIRST;
        loop {
            let outcome = make();
            let mut state = self.lock();
            match outcome {
                Ok(file) => {
                    state.made = Some(file);
                    state.failed = None;
                    health.healed();
                    self.changed.notify_all();
                    return;
                }
                Err(error) => state.failed = Some(health.failed(&error)),
            }
            self.changed.notify_all();
            let waited = self.changed.wait_timeout_while(state, pause, |state| !state.is_stopped);
            let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if state.is_stopped {
                return;
            }
            pause = (pause * 2).min(RETRY_LAST);
        }
    }

    /// The segment, as soon as it is there; or why there is none, as soon as a try has failed.
    fn wait(&self) -> std::result::Result<Box<dyn StorageFile>, Arc<str>> {
        let state = self.lock();
        let waited = self.changed.wait_while(state, |state| state.made.is_none() && state.failed.is_none());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        match (state.made.take(), &state.failed) {
            (Some(file), _) => Ok(file),
            (None, Some(why)) => Err(Arc::clone(why)),
            (None, None) => unreachable!("it was waited for"),
        }
    }
}
