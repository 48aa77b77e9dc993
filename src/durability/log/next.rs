//! The segment after the active one: prepared ahead, concurrently with writing, and retried on failure.
//!
//! It holds no commands yet, so failing to prepare it is not a log failure: it is reported ([`LogHealth`])
//! and retried with a fresh file each time. Groups are refused only while the active segment is full and
//! there is no next one.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::segment;
use crate::durability::{
    error::{Error, Result},
    health::LogHealth,
    paths::Paths,
    storage::{Storage, StorageFile},
};

/// Delay before the first retry. It doubles with each further one, since a try writes as much as fits.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest delay, and so the longest time until the log resumes after space was freed.
const RETRY_LAST: Duration = Duration::from_secs(8);

/// The segment after the active one: ready, being prepared, or to be prepared on demand.
#[derive(Debug)]
pub(crate) enum Next {
    Ready(Box<dyn StorageFile>),
    Making(Maker),
    Later,
}

impl Next {
    /// Starts preparing segment `number`, in a thread if `in_background`.
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
        // If no thread can be started the segment is prepared on demand, which is slower but just as correct.
        started.map_or(Self::Later, |thread| Self::Making(Maker { desk, thread: Some(thread) }))
    }

    /// Waits until segment `number` exists, or until a try to prepare it has failed.
    ///
    /// # Errors
    /// `NoRoom`; the call may be repeated.
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
                Err(Error::NoRoom { needs: format!("segment {number}").into(), why })
            }
        }
    }
}

/// A thread that prepares a segment. Dropping this stops the thread and joins it.
#[derive(Debug)]
pub(crate) struct Maker {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Maker {
    /// The directory's lock must not be released while something still writes there.
    fn drop(&mut self) {
        self.desk.lock().is_stopped = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Its result no longer matters: an unfinished segment has a temporary name, and the next opening
            // removes it.
            drop(thread.join());
        }
    }
}

/// State shared by the thread and the log writer.
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

    /// Returns the segment once it exists, or the error once a try has failed.
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
