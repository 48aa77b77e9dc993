//! Idempotency keys and what came of them, kept for a time that the log measures.

use std::collections::HashMap;

use super::{
    column::{Column, Freeze, Kept, Scalar},
    command::{Applied, Outcome, RequestKey},
    image::KeyRow,
    types::Timestamp,
};

/// The most keys kept; the oldest goes first.
pub const KEYS_MAX: usize = 1_000_000;
/// How long a key is kept: 72 hours of log time, in microseconds.
pub const KEY_TIME: i64 = 72 * 3_600 * 1_000_000;

const NO_KEY: KeyRow = KeyRow {
    key: RequestKey { key: [0; 16], fingerprint: 0 },
    time: Timestamp(0),
    applied: Applied { outcome: Outcome::AllPaid { entries: 0 }, lsn: 0 },
};

/// A ring of rows, oldest to newest, with an index that is not part of frozen copies but made again from the rows.
pub(crate) struct Keys {
    ring: Column<KeyRow>,
    ends: Scalar<Ends>,
    row_of: HashMap<[u8; 16], u32>,
}

#[derive(Clone, Copy)]
struct Ends {
    oldest: usize,
    len: usize,
}

impl Freeze for Keys {
    fn freeze(&mut self) {
        self.ring.freeze();
        self.ends.freeze();
    }

    fn thaw(&mut self, kept: &mut Kept) {
        self.ring.thaw(kept);
        self.ends.thaw(kept);
    }

    fn copy_step(&self, copy: &mut Self) -> bool {
        self.ends.copy_step(&mut copy.ends) && self.ring.copy_step(&mut copy.ring)
    }
}

impl Keys {
    pub fn new() -> Self {
        Self { ring: Column::new(NO_KEY), ends: Scalar::new(Ends { oldest: 0, len: 0 }), row_of: HashMap::new() }
    }

    pub fn len(&self) -> usize {
        self.ends.len
    }

    /// The row kept for a key. O(1).
    pub fn get(&self, key: &[u8; 16]) -> Option<&KeyRow> {
        self.row_of.get(key).map(|row| self.ring.get(*row as usize))
    }

    /// Forgets what is too old at `now`.
    pub fn expire(&mut self, now: Timestamp) {
        while 0 < self.ends.len && self.ring.get(self.ends.oldest).time.0 <= now.0 - KEY_TIME {
            self.forget_oldest();
        }
    }

    /// Keeps a row whose key is not kept yet.
    pub fn push(&mut self, row: KeyRow) {
        if self.ends.len == KEYS_MAX {
            self.forget_oldest();
        }
        let place = (self.ends.oldest + self.ends.len) % KEYS_MAX;
        if place == self.ring.len() {
            self.ring.push(row);
        } else {
            *self.ring.get_mut(place) = row;
        }
        self.ends.len += 1;
        self.row_of.insert(row.key.key, u32::try_from(place).expect("below KEYS_MAX"));
    }

    /// Rows, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &KeyRow> + '_ {
        (0..self.ends.len).map(|at| self.ring.get((self.ends.oldest + at) % KEYS_MAX))
    }

    /// Makes the index of a frozen copy.
    pub fn index_copy(&mut self) {
        let places = (0..self.ends.len).map(|at| (self.ends.oldest + at) % KEYS_MAX);
        self.row_of = places.map(|place| (self.ring.get(place).key.key, u32::try_from(place).expect("below KEYS_MAX"))).collect();
    }

    fn forget_oldest(&mut self) {
        self.row_of.remove(&self.ring.get(self.ends.oldest).key.key);
        self.ends.oldest = (self.ends.oldest + 1) % KEYS_MAX;
        self.ends.len -= 1;
        if self.ends.len == 0 {
            self.ends.oldest = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: u64, time: i64) -> KeyRow {
        let key = RequestKey { key: u128::from(number).to_le_bytes(), fingerprint: number };
        KeyRow { key, time: Timestamp(time), applied: Applied { outcome: Outcome::AllPaid { entries: number }, lsn: number } }
    }

    #[test]
    fn keys_live_for_their_time_and_the_oldest_go_first() {
        let mut keys = Keys::new();
        (0..10).for_each(|number| keys.push(row(number, i64::try_from(number).unwrap())));
        keys.expire(Timestamp(KEY_TIME + 4));
        assert_eq!(keys.iter().map(|row| row.key.fingerprint).collect::<Vec<_>>(), [5, 6, 7, 8, 9]);
        assert!(keys.get(&row(4, 0).key.key).is_none());
        assert_eq!(keys.get(&row(5, 0).key.key), Some(&row(5, 5)));
    }

    #[test]
    fn the_ring_is_bounded() {
        let mut keys = Keys::new();
        for number in 0..KEYS_MAX as u64 + 3 {
            keys.push(row(number, 0));
        }
        assert_eq!(keys.len(), KEYS_MAX);
        assert_eq!(keys.iter().next().map(|row| row.key.fingerprint), Some(3));
        assert!(keys.get(&row(2, 0).key.key).is_none());
        assert!(keys.get(&row(KEYS_MAX as u64 + 2, 0).key.key).is_some());
        keys.index_copy();
        assert!(keys.get(&row(3, 0).key.key).is_some());
    }
}
