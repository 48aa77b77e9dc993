//! Late triggers, whose time lies before that of an earlier one, and their entries.
//!
//! Lists are by time. Triggers that pay carry the log time, so index order is time order, and nothing else is
//! stored. Imported entries carry their own times, in any order: late ones are kept separately, sorted, and
//! lists merge both. A network without late entries stores none of this; one whose whole ledger was imported
//! in a bad order pays some 12 bytes an entry. Lateness follows from the times alone, so images omit it: it
//! is rebuilt with one sort.

use crate::core::{
    store::{
        column::{Freeze, ViewId},
        freeing::Freeing,
        held::Held,
        order::Sequence,
    },
    words::types::Timestamp,
};

pub(crate) struct Late {
    /// Bit `i % 64` of word `i / 64`: trigger `i` is late. As long as the last late one needs.
    marks: Vec<u64>,
    /// Late triggers by time, then index.
    pub triggers: Sequence,
    /// Entries of late triggers by receiver, then time, then index.
    pub entries: Sequence,
    /// Whether the sequences are maintained as triggers arrive. Not in copies, nor during a restore.
    pub is_ordered: bool,
    /// The time of the latest trigger so far.
    newest: Timestamp,
    /// Whether the newest trigger is late.
    newest_is_behind: bool,
}

impl Held for Late {
    fn bytes(&self) -> usize {
        let Self { marks, triggers, entries, is_ordered: _, newest: _, newest_is_behind: _ } = self;
        marks.bytes() + triggers.bytes() + entries.bytes()
    }
}

/// Not copied.
impl Freeze for Late {
    fn freeze(&mut self, _view: ViewId) {}

    fn thaw(&mut self, _view: ViewId, _freeing: &mut Freeing) {}

    fn copy_step(&self, _view: ViewId, copy: &mut Self) -> bool {
        copy.is_ordered = false;
        true
    }

    fn skip(&self, _view: ViewId) {}

    fn release(&mut self, _view: ViewId, _freeing: &mut Freeing) {}

    fn share(&mut self, _other: &Self, _freeing: &mut Freeing) {}
}

impl Late {
    pub fn new() -> Self {
        Self {
            marks: Vec::new(),
            triggers: Sequence::new(),
            entries: Sequence::new(),
            is_ordered: true,
            newest: Timestamp(i64::MIN),
            newest_is_behind: false,
        }
    }

    /// Records the time of the next trigger; returns whether it is late.
    pub fn take(&mut self, trigger: usize, time: Timestamp) -> bool {
        self.newest_is_behind = time < self.newest;
        self.newest = self.newest.max(time);
        if self.newest_is_behind {
            self.marks.resize(trigger / 64 + 1, 0);
            self.marks[trigger / 64] |= 1 << (trigger % 64);
        }
        self.newest_is_behind
    }

    pub fn newest_is_behind(&self) -> bool {
        self.newest_is_behind
    }

    pub fn is_late(&self, trigger: u32) -> bool {
        self.word(trigger as usize / 64) >> (trigger % 64) & 1 != 0
    }

    /// The last trigger below `bound` that is not late. O(1) if there is one nearby, O(bound / 64) at worst.
    pub fn in_time_below(&self, bound: u32) -> Option<u32> {
        let mut bound = bound;
        while 0 < bound {
            let last = bound - 1;
            let below = !self.word(last as usize / 64) << (63 - last % 64);
            if below != 0 {
                return Some(last - below.leading_zeros());
            }
            bound = last / 64 * 64;
        }
        None
    }

    /// The first late trigger from this one on. O(marks / 64) at worst.
    pub fn late_from(&self, trigger: u32) -> Option<u32> {
        let first = trigger as usize / 64;
        let mut marked = self.word(first) & (u64::MAX << (trigger % 64));
        for word in first.. {
            if marked != 0 {
                return u32::try_from(word * 64 + marked.trailing_zeros() as usize).ok();
            }
            if self.marks.len() <= word + 1 {
                return None;
            }
            marked = self.marks[word + 1];
        }
        None
    }

    fn word(&self, word: usize) -> u64 {
        self.marks.get(word).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_in_time_are_found_among_late_ones() {
        let mut late = Late::new();
        let times: Vec<i64> = (0..1_000)
            .map(|number| if (100..900).contains(&number) { number % 90 } else { number })
            .collect();
        let expected: Vec<bool> =
            (0..1_000).map(|at| times[..at].iter().any(|time| times[at] < *time)).collect();
        for (trigger, time) in times.iter().enumerate() {
            assert_eq!(late.take(trigger, Timestamp(*time)), expected[trigger], "{trigger}");
        }
        for bound in 0..=1_000 {
            let below = (0..bound).rev().find(|trigger| !expected[*trigger as usize]);
            assert_eq!(late.in_time_below(bound), below, "{bound}");
            assert_eq!(
                late.late_from(bound),
                (bound..1_000).find(|trigger| expected[*trigger as usize]),
                "{bound}"
            );
            assert!(bound == 1_000 || late.is_late(bound) == expected[bound as usize]);
        }
        assert!(!late.is_late(100_000));
    }
}
