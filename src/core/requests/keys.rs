//! Idempotency keys and their outcomes, kept for a span of log time.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    requests::{command::Outcome, outcome::OUTCOME_BYTES, rows::KeyRow},
    store::{
        column::freeze_fields,
        ring::Ring,
        rows::{Rows, SoFar, require},
    },
    words::types::Timestamp,
};

/// The most keys kept; the oldest goes first.
pub const KEYS_MAX: usize = 1_000_000;
/// How long a key is kept: 72 hours of log time, in microseconds.
pub const KEY_TIME: i64 = 72 * 3_600 * 1_000_000;
/// How much of one step of log time counts toward that, in microseconds: an hour. However far a machine's
/// clock jumps for one write, and back, it ages no key by more than that, so that a retry with the same key
/// is still recognized. Commands of formats before 3 count in full.
pub const KEY_STEP_MAX: i64 = 3_600 * 1_000_000;
/// The most keys one command expires. Each adds at most one, so expired keys are removed faster than they
/// arrive, and no command pays for a million keys of a busy hour three days ago.
const EXPIRED_PER_COMMAND: usize = 64;

/// A ring of rows, oldest to newest, with an index that frozen copies omit and rebuild from the rows.
///
/// Expired rows may linger, but are never returned. A key that is reused after its expiry can therefore have
/// two rows: the index holds the newer one.
///
/// Times here are those of the keys' own clock ([`Clock`]): log time minus what did not count.
pub(crate) struct Keys {
    ring: Ring<Kept, KEYS_MAX>,
    /// The place of a key's row in the ring.
    place_of: HashMap<[u8; 16], u32>,
}

/// A row as numbers: one line of memory.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Kept {
    key: [u8; 16],
    fingerprint: u64,
    time: Timestamp,
    lsn: u64,
    outcome: [u8; OUTCOME_BYTES],
}

const _: () = assert!(size_of::<Kept>() == 64);

impl Kept {
    fn new(row: KeyRow) -> Self {
        let KeyRow { key, fingerprint, time, lsn, outcome } = row;
        Self { key, fingerprint, time, lsn, outcome: outcome.to_bytes() }
    }

    fn row(&self) -> KeyRow {
        let Self { key, fingerprint, time, lsn, outcome } = *self;
        let outcome = Outcome::of_bytes(&outcome).expect("it was one");
        KeyRow { key, fingerprint, time, lsn, outcome }
    }
}

/// The clock that expires keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::core) struct Clock {
    /// Log time.
    pub time: Timestamp,
    /// Microseconds of log time that did not count, never negative.
    pub lag: i64,
}

impl Clock {
    /// The time that dates and expires keys.
    pub fn now(self) -> Timestamp {
        Timestamp(self.time.0.saturating_sub(self.lag))
    }

    /// Advances log time by one step. If the step is `bounded`, at most [`KEY_STEP_MAX`] of it counts.
    pub fn step(self, time: Timestamp, bounded: bool) -> Self {
        let beyond = time.0.saturating_sub(self.time.0).saturating_sub(KEY_STEP_MAX).max(0);
        let lag = if bounded { self.lag.saturating_add(beyond) } else { self.lag };
        Self { time, lag }
    }
}

freeze_fields!(Keys { ring } derived { place_of });

/// Oldest first.
impl Rows for Keys {
    type Row = KeyRow;

    fn count(&self) -> usize {
        self.len()
    }

    fn row_at(&self, at: usize) -> KeyRow {
        self.ring.get(at).row()
    }

    fn restore(&mut self, row: KeyRow, _so_far: &SoFar) -> Result<(), String> {
        require(self.get(&row.key, row.time).is_none(), || "an idempotency key is there twice".into())?;
        require(self.len() < KEYS_MAX, || "too many idempotency keys".into())?;
        let newest = self.newest().unwrap_or(Timestamp(i64::MIN));
        require(newest <= row.time, || "idempotency keys out of order".into())?;
        self.push(row);
        Ok(())
    }
}

impl Keys {
    pub fn new() -> Self {
        Self { ring: Ring::new(), place_of: HashMap::new() }
    }

    fn index_derived(&mut self) {
        self.place_of =
            (0..self.len()).map(|at| (self.ring.get(at).key, narrow(self.ring.place(at)))).collect();
    }

    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// The row of a key, unless it has expired at `now`. O(1).
    pub fn get(&self, key: &[u8; 16], now: Timestamp) -> Option<KeyRow> {
        let kept = self.place_of.get(key).map(|place| self.ring.at_place(*place as usize));
        kept.filter(|kept| !is_expired(kept, now)).map(Kept::row)
    }

    /// The time of the newest row.
    pub fn newest(&self) -> Option<Timestamp> {
        self.ring.newest().map(|row| row.time)
    }

    /// Removes some of the rows expired at `now`. O(1).
    pub fn expire(&mut self, now: Timestamp) {
        for _ in 0..EXPIRED_PER_COMMAND {
            if self.ring.oldest().is_none_or(|oldest| !is_expired(oldest, now)) {
                return;
            }
            let gone = self.ring.pop();
            self.forget(gone);
        }
    }

    /// Adds a row whose key `get` does not find.
    pub fn push(&mut self, row: KeyRow) {
        let gone = self.ring.make_room();
        self.forget(gone);
        let place = self.ring.push(Kept::new(row));
        self.place_of.insert(row.key, narrow(place));
    }

    /// Takes a row that left the ring out of the index, unless its key has a newer row by now.
    fn forget(&mut self, gone: Option<(usize, Kept)>) {
        if let Some((place, row)) = gone
            && self.place_of.get(&row.key) == Some(&narrow(place))
        {
            self.place_of.remove(&row.key);
        }
    }
}

fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("below KEYS_MAX")
}

fn is_expired(row: &Kept, now: Timestamp) -> bool {
    row.time.0 <= now.0.saturating_sub(KEY_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        requests::command::{Applied, Outcome, RequestKey},
        store::column::Freeze,
    };

    const NOW: Timestamp = Timestamp(9);

    fn row(number: u64, time: i64) -> KeyRow {
        let key = RequestKey { key: u128::from(number).to_le_bytes(), fingerprint: number };
        let applied = Applied { outcome: Outcome::AllPaid { entries: number }, lsn: number };
        KeyRow::new(key, Timestamp(time), applied)
    }

    fn fingerprints(keys: &Keys) -> Vec<u64> {
        (0..keys.len()).map(|at| keys.row_at(at).fingerprint).collect()
    }

    #[test]
    fn keys_live_for_their_time_and_the_oldest_go_first() {
        let mut keys = Keys::new();
        (0..10).for_each(|number| keys.push(row(number, i64::try_from(number).unwrap())));
        keys.expire(Timestamp(KEY_TIME + 4));
        assert_eq!(fingerprints(&keys), [5, 6, 7, 8, 9]);
        assert!(keys.get(&row(4, 0).key, NOW).is_none());
        assert_eq!(keys.get(&row(5, 0).key, NOW), Some(row(5, 5)));
    }

    #[test]
    fn one_step_counts_an_hour_at_most() {
        let hour = KEY_STEP_MAX;
        // lag, step, bounded, lag after
        let table = [
            (0, 0, true, 0),
            (0, hour, true, 0),
            (0, hour + 1, true, 1),
            (7, 100 * hour, true, 7 + 99 * hour),
            (7, 100 * hour, false, 7),
            (0, i64::MAX, true, i64::MAX - hour),
            (i64::MAX, i64::MAX, true, i64::MAX),
        ];
        for (lag, step, bounded, after) in table {
            let clock = Clock { time: Timestamp(0), lag }.step(Timestamp(step), bounded);
            assert_eq!(clock, Clock { time: Timestamp(step), lag: after }, "{lag} {step} {bounded}");
        }
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut keys = Keys::new();
        for number in 0..KEYS_MAX as u64 + 3 {
            keys.push(row(number, 0));
        }
        assert_eq!(keys.len(), KEYS_MAX);
        assert_eq!(fingerprints(&keys).first().copied(), Some(3));
        assert!(keys.get(&row(2, 0).key, NOW).is_none());
        assert!(keys.get(&row(KEYS_MAX as u64 + 2, 0).key, NOW).is_some());
        keys.index_copy();
        assert!(keys.get(&row(3, 0).key, NOW).is_some());
    }

    #[test]
    fn what_expired_is_never_shown_and_goes_in_small_steps() {
        let mut keys = Keys::new();
        let many = 3 * EXPIRED_PER_COMMAND as u64 + 5;
        (0..many).for_each(|number| keys.push(row(number, 0)));
        let later = Timestamp(KEY_TIME);
        let mut left = Vec::new();
        while left.last() != Some(&0) {
            assert!((0..many).all(|number| keys.get(&row(number, 0).key, later).is_none()));
            keys.expire(later);
            left.push(keys.len());
        }
        assert_eq!(left, [133, 69, 5, 0]);
    }

    #[test]
    fn a_key_that_comes_again_after_its_time_is_found_when_its_first_row_goes() {
        let mut keys = Keys::new();
        (0..100).for_each(|number| keys.push(row(number, 0)));
        keys.expire(Timestamp(KEY_TIME));
        let again = KeyRow { time: Timestamp(KEY_TIME), ..row(99, 0) };
        assert!(keys.get(&again.key, again.time).is_none());
        keys.push(again);
        keys.expire(Timestamp(KEY_TIME + 1));
        assert_eq!((keys.len(), keys.get(&again.key, again.time)), (1, Some(again)));
        assert_eq!(keys.newest(), Some(again.time));
    }
}
