//! Health of a log short of failure: whether it will have room for more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::Error;

/// Health of the log short of failure. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct LogHealth(Arc<Mutex<Health>>);

#[derive(Debug, Default)]
struct Health {
    trouble: Option<LogTrouble>,
    failures: u64,
}

/// The log cannot prepare room for more commands at present.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogTrouble {
    /// What failed in the last try.
    pub why: Arc<str>,
    /// The operating system's error.
    pub cause: Arc<str>,
    /// The room that there was is used up: writes are refused until there is more. (A small group may still
    /// fit where a larger one did not.)
    pub refuses_writes: bool,
}

impl LogHealth {
    /// Returns what keeps the log from preparing room, if anything does.
    pub fn trouble(&self) -> Option<LogTrouble> {
        self.lock().trouble.clone()
    }

    /// Returns how often preparing room has failed since the start.
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    pub(super) fn failed(&self, error: &Error) -> Arc<str> {
        let why: Arc<str> = error.to_string().into();
        let cause =
            if let Error::Io { source, .. } = error { source.to_string().into() } else { Arc::clone(&why) };
        let mut health = self.lock();
        health.failures += 1;
        let refuses_writes = health.trouble.as_ref().is_some_and(|trouble| trouble.refuses_writes);
        health.trouble = Some(LogTrouble { why: Arc::clone(&why), cause, refuses_writes });
        why
    }

    pub(super) fn refuses_writes(&self) {
        if let Some(trouble) = &mut self.lock().trouble {
            trouble.refuses_writes = true;
        }
    }

    pub(super) fn healed(&self) {
        self.lock().trouble = None;
    }

    /// No invariant is ever broken under this lock, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, Health> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
