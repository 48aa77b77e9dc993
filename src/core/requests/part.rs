//! What is kept of past requests, as a part of the state: idempotency keys with their outcomes, and the
//! commands that changed nothing.

use crate::core::{
    requests::{
        command::{Applied, RequestKey},
        keys::{Clock, Keys},
        rows::{KeyRow, UnchangedRow},
        unchanged::{Unchanged, UnchangedList},
    },
    store::{
        column::{Scalar, freeze_fields},
        rows::keeps,
    },
    words::types::Timestamp,
};

pub(crate) struct Requests {
    keys: Keys,
    unchanged: UnchangedList,
    /// Microseconds of log time that did not count toward the expiry of keys (`keys.rs`).
    lag: Scalar<i64>,
}

freeze_fields!(Requests { keys, unchanged, lag });

keeps!(Requests { keys: Keys, unchanged: UnchangedList });

impl Requests {
    pub fn new() -> Self {
        Self { keys: Keys::new(), unchanged: UnchangedList::new(), lag: Scalar::new(0) }
    }

    pub fn unchanged(&self) -> &UnchangedList {
        &self.unchanged
    }

    /// What of log time did not count toward the expiry of keys, in microseconds.
    pub fn lag(&self) -> i64 {
        *self.lag
    }

    /// Sets what [`Requests::lag`] tells.
    pub fn set_lag(&mut self, lag: i64) {
        *self.lag = lag;
    }

    /// Advances from the log time of one command to that of the next; see [`Clock::step`].
    pub fn step(&mut self, before: Timestamp, time: Timestamp, bounded: bool) {
        *self.lag = self.clock(before).step(time, bounded).lag;
    }

    /// Drops some of the keys that expired by this log time.
    pub fn expire(&mut self, time: Timestamp) {
        self.keys.expire(self.clock(time).now());
    }

    /// What is kept of a key at this log time. O(1).
    pub fn get(&self, key: &[u8; 16], time: Timestamp) -> Option<KeyRow> {
        self.keys.get(key, self.clock(time).now())
    }

    /// Keeps the outcome of a command for its key.
    pub fn remember(&mut self, key: RequestKey, time: Timestamp, applied: Applied) {
        self.keys.push(KeyRow::new(key, self.clock(time).now(), applied));
    }

    /// Adds the command `lsn` to the list if it changed nothing.
    pub fn note(&mut self, applied: &Applied, lsn: u64) {
        if let Some(reason) = Unchanged::of(lsn, applied) {
            self.unchanged.push(UnchangedRow { lsn, reason: reason.code() });
        }
    }

    /// See [`UnchangedList::set_complete_after`].
    pub fn set_complete_after(&mut self, lsn: u64) {
        self.unchanged.set_complete_after(lsn);
    }

    /// The clock that expires keys.
    fn clock(&self, time: Timestamp) -> Clock {
        Clock { time, lag: *self.lag }
    }
}
