//! References: external names of the order, invoice or payment behind a trigger.
//!
//! Most triggers may have none, so they are stored separately: one row for each trigger that has one and made
//! entries, ascending by trigger, and an index by text. Memory: the text and some 22 bytes.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    ledger::rows::ReferenceRow,
    store::{
        column::{Freeze, ViewId},
        freeing::Freeing,
        order::Sequence,
        rows::{Rows, SoFar, require},
        search::partition_point,
        settled::Settled,
    },
    words::types::{Reference, Timestamp},
};

#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
struct Row {
    trigger: u32,
    bytes: u32,
    offset: u64,
}

pub(crate) struct References {
    rows: Settled<Row>,
    text: Settled<u8>,
    /// Positions of rows by text, then by the time of their trigger, then by trigger. Not in copies: derived
    /// from the rows.
    ordered: Sequence,
    is_ordered: bool,
}

impl Freeze for References {
    fn freeze(&mut self, view: ViewId) {
        self.rows.freeze(view);
        self.text.freeze(view);
    }

    fn thaw(&mut self, view: ViewId, freeing: &mut Freeing) {
        self.rows.thaw(view, freeing);
        self.text.thaw(view, freeing);
    }

    fn copy_step(&self, view: ViewId, copy: &mut Self) -> bool {
        copy.is_ordered = false;
        self.rows.copy_step(view, &mut copy.rows) && self.text.copy_step(view, &mut copy.text)
    }

    fn skip(&self, view: ViewId) {
        self.rows.skip(view);
        self.text.skip(view);
    }

    fn release(&mut self, view: ViewId, freeing: &mut Freeing) {
        self.rows.release(view, freeing);
        self.text.release(view, freeing);
    }

    fn share(&mut self, other: &Self, freeing: &mut Freeing) {
        self.rows.share(&other.rows, freeing);
        self.text.share(&other.text, freeing);
    }
}

impl Rows for References {
    type Row = ReferenceRow;

    fn count(&self) -> usize {
        self.len()
    }

    fn row_at(&self, at: usize) -> ReferenceRow {
        let (trigger, reference) = self.row(at);
        ReferenceRow { trigger, text: reference.as_str().into() }
    }

    /// The index is built when all rows are there ([`References::order`]).
    fn restore(&mut self, row: ReferenceRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("reference of trigger {}: {what}", row.trigger);
        require(row.trigger < so_far.triggers, || wrong("no such trigger"))?;
        let newest = self.len().checked_sub(1).map(|newest| self.rows.get(newest).trigger);
        require(newest.is_none_or(|newest| newest < row.trigger), || wrong("out of order"))?;
        let reference = Reference::parse(&row.text).ok_or_else(|| wrong("not a reference"))?;
        self.defer_order();
        self.push(row.trigger, &reference, |_| Timestamp(0));
        Ok(())
    }
}

impl References {
    pub fn new() -> Self {
        Self { rows: Settled::new(), text: Settled::new(), ordered: Sequence::new(), is_ordered: true }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The `at`-th row: a trigger and its reference.
    pub fn row(&self, at: usize) -> (u32, Reference) {
        let text = String::from_utf8(self.bytes_of(at)).expect("only texts are stored");
        (self.rows.get(at).trigger, Reference::parse(&text).expect("only references are stored"))
    }

    /// Adds the reference of the newest trigger. `time_of` gives the time of any trigger. O(log n).
    pub fn push(&mut self, trigger: u32, reference: &Reference, time_of: impl Fn(u32) -> Timestamp) {
        debug_assert!(self.rows.len() == 0 || self.rows.get(self.rows.len() - 1).trigger < trigger);
        let at = narrow(self.rows.len());
        let text = reference.as_str().as_bytes();
        self.rows.push(Row { trigger, bytes: narrow(text.len()), offset: self.text.len() as u64 });
        text.iter().for_each(|byte| self.text.push(*byte));
        if self.is_ordered {
            let mut ordered = std::mem::take(&mut self.ordered);
            let key = (text, time_of(trigger), trigger);
            ordered.insert(at, |other| self.stands_before(other, key, &time_of));
            self.ordered = ordered;
        }
    }

    /// From here on the index is built only by [`References::order`]: for bulk loading.
    pub fn defer_order(&mut self) {
        self.is_ordered = false;
    }

    /// Builds the index. O(n log n).
    pub fn order(&mut self, time_of: impl Fn(u32) -> Timestamp) {
        let key = |at: u32| (self.bytes_of(at as usize), time_of(self.rows.get(at as usize).trigger), at);
        let mut all: Vec<u32> = (0..narrow(self.rows.len())).collect();
        all.sort_by_cached_key(|at| key(*at));
        self.ordered = Sequence::of_sorted(all.into_iter());
        self.is_ordered = true;
    }

    /// The reference of a trigger. O(log n).
    pub fn of(&self, trigger: u32) -> Option<Reference> {
        let at = partition_point(0..self.rows.len(), |at| self.rows.get(at).trigger < trigger);
        (at < self.rows.len() && self.rows.get(at).trigger == trigger).then(|| self.row(at).1)
    }

    /// The last trigger with this reference before a list position. O(log n).
    pub fn before(
        &self,
        reference: &Reference,
        place: (Timestamp, u32),
        time_of: impl Fn(u32) -> Timestamp,
    ) -> Option<u32> {
        let key = (reference.as_str().as_bytes(), place.0, place.1);
        let found = self.ordered.last(|other| self.stands_before(other, key, &time_of))? as usize;
        (self.bytes_of(found) == key.0).then(|| self.rows.get(found).trigger)
    }

    /// Whether a row precedes a position in the index.
    fn stands_before(
        &self,
        at: u32,
        (text, time, trigger): (&[u8], Timestamp, u32),
        time_of: &impl Fn(u32) -> Timestamp,
    ) -> bool {
        let row = self.rows.get(at as usize);
        let order = self.bytes_of(at as usize).as_slice().cmp(text);
        order.then_with(|| (time_of(row.trigger), row.trigger).cmp(&(time, trigger))).is_lt()
    }

    fn bytes_of(&self, at: usize) -> Vec<u8> {
        let row = self.rows.get(at);
        let start = usize::try_from(row.offset).expect("offsets are positions in memory");
        let mut bytes = Vec::with_capacity(row.bytes as usize);
        self.text.copy_range(start..start + row.bytes as usize, &mut bytes);
        bytes
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.rows.bytes() + self.text.bytes() + self.ordered.bytes()
    }
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).expect("at most as many references as triggers, and each is short")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(text: &str) -> Reference {
        Reference::parse(text).unwrap()
    }

    #[test]
    fn triggers_are_found_by_reference_newest_first() {
        let time_of = |trigger: u32| Timestamp(i64::from(trigger * 7 % 1_000));
        let mut references = References::new();
        for trigger in (0..2_000).step_by(2) {
            references.push(trigger, &reference(&format!("order {}", trigger % 30)), time_of);
        }
        references.freeze(ViewId::FIRST);
        let mut copy = References::new();
        while !references.copy_step(ViewId::FIRST, &mut copy) {}
        references.thaw(ViewId::FIRST, &mut Freeing::new());
        copy.order(time_of);
        for references in [&references, &copy] {
            assert_eq!((references.of(28), references.of(29)), (Some(reference("order 28")), None));
            for number in (0..30).step_by(2) {
                let mut expected: Vec<u32> =
                    (0..2_000).step_by(2).filter(|trigger| trigger % 30 == number).collect();
                expected.sort_by_key(|trigger| std::cmp::Reverse((time_of(*trigger), *trigger)));
                let next = |place| references.before(&reference(&format!("order {number}")), place, time_of);
                let found: Vec<u32> = std::iter::successors(next((Timestamp(i64::MAX), 0)), |found| {
                    next((time_of(*found), *found))
                })
                .collect();
                assert_eq!(found, expected, "{number}");
            }
            assert_eq!(references.before(&reference("order"), (Timestamp(i64::MAX), 0), time_of), None);
        }
    }
}
