//! Kept sums: of the hashes of rows, chunk by chunk, with what has changed since each was computed.
//!
//! The rows themselves are elsewhere, in columns. Whatever changes a row there marks its chunk: one store,
//! and only if the chunk has no mark of the present *moment* yet. A moment ends when sums begin to be
//! computed: with a frozen view, or on the network itself ([`Sums::begin`]). So a sum is current if its
//! moment began after the last change of its chunk, however long the computation took, in whatever order
//! results come back, and whatever was computed meanwhile. Nothing has to be subtracted, and no list of
//! changes grows.
//!
//! A frozen view takes the sums and marks along, as columns. What is computed from it belongs to the moment
//! that began with the view.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use bytemuck::{Pod, Zeroable};

use crate::core::store::{
    column::{Column, Freeze, Moments, ViewId, freeze_fields},
    freeing::Freeing,
    held::Held,
};

/// A sum modulo 2^64 in each of four lanes.
pub type Lanes = [u64; 4];

/// The sum of some rows.
pub(in crate::core) fn sum(rows: impl Iterator<Item = Lanes>) -> Lanes {
    rows.fold([0; 4], |total, row| std::array::from_fn(|lane| total[lane].wrapping_add(row[lane])))
}

/// A sum that was computed, to be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::core) struct FreshSum {
    pub chunk: usize,
    pub sum: Lanes,
    /// The moment that it is of.
    pub moment: u64,
}

/// The sums of chunks of 2^`SHIFT` rows.
pub(crate) struct Sums<const SHIFT: u32> {
    /// By chunk, the moment in which a row of it changed last.
    changed: Column<u64>,
    known: Column<Known>,
    moment: Moment,
}

freeze_fields!([const SHIFT: u32] Sums<SHIFT> { changed, known, moment });

/// The last sum of a chunk.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(C)]
struct Known {
    sum: Lanes,
    /// Which it is of; 0 for none.
    moment: u64,
}

impl<const SHIFT: u32> Sums<SHIFT> {
    pub const CHUNK_ROWS: usize = 1 << SHIFT;

    pub fn new() -> Self {
        Self { changed: Column::new(), known: Column::new(), moment: Moment::default() }
    }

    /// Marks the chunk of a row that changes, or is the next one. Not for a row that is further ahead.
    #[inline]
    pub fn mark(&mut self, row: usize) {
        let (chunk, now) = (row >> SHIFT, self.moment.now());
        if chunk == self.changed.len() {
            self.changed.push(now);
            self.known.push(Known::zeroed());
        } else if *self.changed.get(chunk) != now {
            *self.changed.get_mut(chunk) = now;
        }
    }

    /// Marks all chunks. O(chunks).
    pub fn mark_all(&mut self) {
        (0..self.chunks()).for_each(|chunk| self.mark(chunk << SHIFT));
    }

    /// The rows of a chunk, of `len` in all.
    pub fn rows(chunk: usize, len: usize) -> Range<usize> {
        chunk << SHIFT..len.min((chunk + 1) << SHIFT)
    }

    pub fn chunks(&self) -> usize {
        self.changed.len()
    }

    /// The sum of a chunk, if no row of it has changed since.
    pub fn current(&self, chunk: usize) -> Option<Lanes> {
        let known = self.known.get(chunk);
        (*self.changed.get(chunk) < known.moment).then_some(known.sum)
    }

    /// Begins a moment on the network itself: all changes so far are before it. Later ones are not, so hold
    /// the lock until everything is copied that may change.
    pub fn begin(&self) -> u64 {
        self.moment.begin()
    }

    /// The moment that a sum is of if it is computed from these rows as they are. A copy that was changed
    /// after it was frozen has rows of no moment: 0, whose sums are not kept.
    pub fn moment_of(&self, chunk: usize) -> u64 {
        let now = self.moment.now();
        if *self.changed.get(chunk) < now { now } else { 0 }
    }

    /// Keeps a sum, unless a newer one is there or its chunk has changed.
    pub fn keep(&mut self, fresh: &FreshSum) {
        let is_newer = self.known.get(fresh.chunk).moment < fresh.moment;
        if is_newer && *self.changed.get(fresh.chunk) < fresh.moment {
            *self.known.get_mut(fresh.chunk) = Known { sum: fresh.sum, moment: fresh.moment };
        }
    }
}

/// Counts moments. A view that is frozen begins one.
#[derive(Default)]
struct Moment {
    /// Alongside other readers under the lock: the writer reads it alone.
    now: AtomicU64,
    frozen: Moments<u64>,
}

impl Moment {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn begin(&self) -> u64 {
        self.now.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Held for Moment {
    fn bytes(&self) -> usize {
        0
    }
}

impl Freeze for Moment {
    fn freeze(&mut self, view: ViewId) {
        let begun = self.begin();
        self.frozen.begin(view, begun);
    }

    fn thaw(&mut self, view: ViewId, _freeing: &mut Freeing) {
        self.frozen.end(view);
    }

    fn copy_step(&self, view: ViewId, copy: &mut Self) -> bool {
        *copy.now.get_mut() = *self.frozen.of(view);
        true
    }

    fn skip(&self, _view: ViewId) {}

    fn release(&mut self, _view: ViewId, _freeing: &mut Freeing) {}

    fn share(&mut self, _other: &Self, _freeing: &mut Freeing) {}
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHIFT: u32 = 2;

    /// A step of the test below.
    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Change(usize),
        ChangeAll,
        /// Begins a moment and remembers the rows.
        Begin,
        Freeze,
        /// Computes what is stale at a remembered moment, and keeps it.
        Return(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Push),
            6 => any::<usize>().prop_map(Step::Change),
            1 => Just(Step::ChangeAll),
            2 => Just(Step::Begin),
            2 => Just(Step::Freeze),
            4 => any::<usize>().prop_map(Step::Return),
        ]
    }

    fn hash(row: u64) -> Lanes {
        [row, row.wrapping_mul(3), row << 60, !row]
    }

    fn chunk_of(rows: &[u64], chunk: usize) -> Lanes {
        let end = rows.len().min((chunk + 1) << SHIFT);
        sum(rows[chunk << SHIFT..end].iter().map(|row| hash(*row)))
    }

    /// The rows at a moment, and what was stale then.
    struct Past {
        rows: Vec<u64>,
        moment: u64,
        stale: Vec<usize>,
    }

    fn stale(sums: &Sums<SHIFT>) -> Vec<usize> {
        (0..sums.chunks()).filter(|chunk| sums.current(*chunk).is_none()).collect()
    }

    fn copied(sums: &mut Sums<SHIFT>, number: u64) -> Sums<SHIFT> {
        let view = ViewId { number, lean: false };
        sums.freeze(view);
        let mut copy = Sums::new();
        while !sums.copy_step(view, &mut copy) {}
        sums.thaw(view, &mut Freeing::new());
        copy
    }

    proptest! {
        #[test]
        fn a_current_sum_is_that_of_the_rows(steps in prop::collection::vec(step(), 1..120)) {
            let (mut sums, mut rows, mut next) = (Sums::<SHIFT>::new(), Vec::<u64>::new(), 1);
            let mut pasts = Vec::new();
            for (number, step) in (1..).zip(steps) {
                next += 1;
                match step {
                    Step::Push => {
                        sums.mark(rows.len());
                        rows.push(next);
                    }
                    Step::Change(at) if !rows.is_empty() => {
                        let at = at % rows.len();
                        sums.mark(at);
                        rows[at] = next;
                    }
                    Step::ChangeAll => {
                        sums.mark_all();
                        rows.iter_mut().for_each(|row| *row += 1_000);
                    }
                    Step::Begin => {
                        let past = Past { rows: rows.clone(), moment: sums.begin(), stale: stale(&sums) };
                        pasts.push(past);
                    }
                    Step::Freeze => {
                        let copy = copied(&mut sums, number);
                        prop_assert_eq!(stale(&copy), stale(&sums));
                        let moment = (0..copy.chunks()).next().map_or(0, |chunk| copy.moment_of(chunk));
                        pasts.push(Past { rows: rows.clone(), moment, stale: stale(&copy) });
                    }
                    Step::Return(at) if !pasts.is_empty() => {
                        let past: Past = pasts.swap_remove(at % pasts.len());
                        for chunk in past.stale {
                            let sum = chunk_of(&past.rows, chunk);
                            sums.keep(&FreshSum { chunk, sum, moment: past.moment });
                        }
                    }
                    Step::Change(_) | Step::Return(_) => {}
                }
                for chunk in 0..sums.chunks() {
                    prop_assert!(sums.current(chunk).is_none_or(|sum| sum == chunk_of(&rows, chunk)));
                }
            }
            let (moment, rest) = (sums.begin(), stale(&sums));
            rest.iter().for_each(|chunk| {
                sums.keep(&FreshSum { chunk: *chunk, sum: chunk_of(&rows, *chunk), moment });
            });
            prop_assert!(stale(&sums).is_empty(), "what is computed undisturbed is kept");
        }
    }

    #[test]
    fn a_copy_that_goes_on_by_itself_returns_nothing() {
        let mut sums = Sums::<SHIFT>::new();
        (0..8).for_each(|row| sums.mark(row));
        let mut copy = copied(&mut sums, 1);
        copy.mark(5);
        assert_ne!(copy.moment_of(0), 0);
        assert_eq!(copy.moment_of(1), 0);
        sums.keep(&FreshSum { chunk: 1, sum: [1; 4], moment: copy.moment_of(1) });
        assert_eq!(sums.current(1), None);
    }
}
