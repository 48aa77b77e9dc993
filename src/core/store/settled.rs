//! Rows that never change once written: ids, join times, chains, ledger lines.
//!
//! Like a [`Column`](crate::core::store::column::Column) it grows without moving, but a frozen copy shares
//! its full regions, which are immutable, instead of copying them. So a view of such rows costs nothing,
//! neither writer time nor memory, except for the last region.

use std::sync::Arc;

use crate::core::store::{
    column::{Freeze, Moments, ViewId},
    freeing::Freeing,
    held::Held,
    region::{self, Plain, Region},
};

/// Bytes of the last region copied, or of a region compared, under one hold of the lock.
const STEP_BYTES: usize = 64 * 1024;
/// Regions shared with a copy under one hold of the lock.
const REGIONS_STEP: usize = 256;

/// An array of immutable rows that grows without moving.
pub(crate) struct Settled<T: Plain> {
    full: Vec<Arc<Region<T>>>,
    /// The region that is being filled.
    last: Region<T>,
    /// The length at the freeze of each view.
    frozen: Moments<usize>,
    /// Full regions that were compared with those of another state (`share`), and rows of the next one.
    compared: usize,
    compared_rows: usize,
}

impl<T: Plain> Settled<T> {
    const REGION_SHIFT: u32 = region::rows_within::<T>(region::SHARED_BYTES).ilog2();
    const REGION_ROWS: usize = 1 << Self::REGION_SHIFT;

    pub fn new() -> Self {
        Self {
            full: Vec::new(),
            last: Region::empty(),
            frozen: Moments::default(),
            compared: 0,
            compared_rows: 0,
        }
    }

    pub fn len(&self) -> usize {
        (self.full.len() << Self::REGION_SHIFT) + self.last.len()
    }

    /// The row at `index`, which must be below `len`.
    #[inline]
    pub fn get(&self, index: usize) -> &T {
        let within = index & (Self::REGION_ROWS - 1);
        match self.full.get(index >> Self::REGION_SHIFT) {
            Some(region) => region.row(within),
            None => self.last.row(within),
        }
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        self.last.push_growing(value, Self::REGION_ROWS);
        if self.last.len() == Self::REGION_ROWS {
            self.settle();
        }
    }

    /// Appends rows.
    pub fn extend_from_slice(&mut self, rows: &[T]) {
        let mut rest = rows;
        while let Some((next, others)) = rest.split_first() {
            let fits = rest.len().min(self.last.room() - self.last.len());
            if fits == 0 {
                self.push(*next);
                rest = others;
                continue;
            }
            self.last.extend_from_slice(&rest[..fits]);
            rest = &rest[fits..];
            if self.last.len() == Self::REGION_ROWS {
                self.settle();
            }
        }
    }

    /// Seals the last region.
    #[cold]
    fn settle(&mut self) {
        let full = std::mem::replace(&mut self.last, Region::with_room(Self::REGION_ROWS));
        self.full.push(Arc::new(full));
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.full.iter().flat_map(|region| region.iter()).chain(&self.last)
    }

    /// Appends the rows of `range`, which must be below `len`.
    pub fn copy_range(&self, range: std::ops::Range<usize>, out: &mut Vec<T>) {
        self.each_range(range, |rows| out.extend_from_slice(rows));
    }

    /// The rows of `range`, which must be below `len`, region by region.
    pub fn each_range(&self, range: std::ops::Range<usize>, mut each: impl FnMut(&[T])) {
        debug_assert!(range.end <= self.len());
        let mut at = range.start;
        while at < range.end {
            let region = self.full.get(at >> Self::REGION_SHIFT).map_or(&self.last, |region| region);
            let start = at & (Self::REGION_ROWS - 1);
            let rows = (range.end - at).min(Self::REGION_ROWS - start);
            each(&region[start..start + rows]);
            at += rows;
        }
    }
}

/// Including what is shared with copies.
impl<T: Plain> Held for Settled<T> {
    fn bytes(&self) -> usize {
        self.len() * size_of::<T>()
    }
}

impl<T: Plain + PartialEq> Freeze for Settled<T> {
    fn freeze(&mut self, view: ViewId) {
        self.frozen.begin(view, self.len());
    }

    fn thaw(&mut self, view: ViewId, _freeing: &mut Freeing) {
        self.frozen.end(view);
    }

    fn skip(&self, _view: ViewId) {}

    /// A view holds nothing.
    fn release(&mut self, _view: ViewId, _freeing: &mut Freeing) {}

    /// Shares some full regions, or copies 64 KiB of the rows that were in none.
    fn copy_step(&self, view: ViewId, copy: &mut Self) -> bool {
        let frozen = *self.frozen.of(view);
        let (from, full) = (copy.full.len(), frozen >> Self::REGION_SHIFT);
        if from < full {
            copy.full.extend_from_slice(&self.full[from..full.min(from + REGIONS_STEP)]);
            return false;
        }
        let first = copy.len();
        if first < frozen {
            if copy.last.room() == 0 {
                copy.last = Region::sparse(frozen - first);
            }
            let end = frozen.min(first + region::rows_within::<T>(STEP_BYTES));
            self.each_range(first..end, |rows| copy.last.extend_from_slice(rows));
            return false;
        }
        true
    }

    /// Each region is compared once, 64 KiB a step: a whole one keeps the lock for milliseconds where its
    /// memory is in no cache.
    fn share(&mut self, other: &Self, freeing: &mut Freeing) {
        let both = self.full.len().min(other.full.len());
        while self.compared < both && freeing.may_go_on() {
            let (own, others) = (&mut self.full[self.compared], &other.full[self.compared]);
            let rows = self.compared_rows;
            let end = own.len().min(rows + region::rows_within::<T>(STEP_BYTES));
            if !Arc::ptr_eq(own, others) {
                freeing.took(1);
                if own[rows..end] == others[rows..end] {
                    if end < own.len() {
                        self.compared_rows = end;
                        continue;
                    }
                    freeing.push(Box::new(std::mem::replace(own, Arc::clone(others))));
                }
            }
            self.compared += 1;
            self.compared_rows = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIEW: ViewId = ViewId::FIRST;

    fn copied(rows: &Settled<u64>) -> Settled<u64> {
        let mut copy = Settled::new();
        while !rows.copy_step(VIEW, &mut copy) {}
        copy
    }

    #[test]
    fn a_copy_has_what_was_there_when_it_was_frozen_and_can_grow_by_itself() {
        for len in [0_u64, 1, 8_191, 8_193, 524_287, 524_288, 524_289, 524_288 * 3 + 5] {
            let mut rows = Settled::new();
            (0..len).for_each(|value| rows.push(value));
            rows.freeze(VIEW);
            (0..20_000).for_each(|_| rows.push(7));
            let mut copy = copied(&rows);
            assert!(copy.iter().copied().eq(0..len), "{len}");
            assert_eq!(u64::try_from(copy.len()).unwrap(), len);
            rows.thaw(VIEW, &mut Freeing::new());
            (0..20_000).for_each(|_| copy.push(9));
            let at = usize::try_from(len).unwrap();
            assert_eq!((*rows.get(at), *copy.get(at), *copy.get(at + 19_999)), (7, 9, 9), "{len}");
            if let Some(last) = at.checked_sub(1) {
                assert_eq!((*rows.get(last), *copy.get(last)), (len - 1, len - 1));
            }
        }
    }

    #[test]
    fn full_regions_are_shared() {
        let mut rows = Settled::new();
        (0..2_000_000_u64).for_each(|value| rows.push(value));
        rows.freeze(VIEW);
        let copy = copied(&rows);
        assert_eq!(copy.full.len(), 3);
        assert!(rows.full.iter().zip(&copy.full).all(|(one, other)| Arc::ptr_eq(one, other)));
    }

    #[test]
    fn equal_regions_of_two_arrays_become_one_and_others_do_not() {
        let grown = |differs_at: u64| {
            let mut rows = Settled::new();
            (0..2_000_000_u64).for_each(|value| rows.push(value + u64::from(value == differs_at)));
            rows
        };
        let (present, mut past) = (grown(u64::MAX), grown(600_000));
        let mut freeing = Freeing::within(2);
        past.share(&present, &mut freeing);
        assert!(!freeing.may_go_on() && !Arc::ptr_eq(&past.full[2], &present.full[2]), "steps are small");
        past.share(&present, &mut Freeing::new());
        let shared: Vec<bool> =
            past.full.iter().zip(&present.full).map(|(one, other)| Arc::ptr_eq(one, other)).collect();
        assert_eq!(shared, [true, false, true]);
        assert!(past.iter().copied().eq((0..2_000_000).map(|value| value + u64::from(value == 600_000))));
    }

    #[test]
    fn slices_are_appended_across_regions() {
        let mut rows = Settled::new();
        let mut next = 0_u64;
        for len in [0, 1, 3, 500, 9_000, 64, 524_288, 524_289, 7] {
            let slice: Vec<u64> = (next..next + len).collect();
            rows.extend_from_slice(&slice);
            next += len;
        }
        assert!(rows.iter().copied().eq(0..next));
        assert_eq!(rows.len() as u64, next);
    }

    #[test]
    fn ranges_are_copied_across_regions() {
        let mut rows = Settled::new();
        (0..600_000_u64).for_each(|value| rows.push(value));
        for range in [0..0, 0..1, 524_287..524_289, 5..600_000, 524_288..600_000, 600_000..600_000] {
            let mut out = vec![7];
            rows.copy_range(range.clone(), &mut out);
            assert!(
                out.iter().copied().eq([7].into_iter().chain(range.start as u64..range.end as u64)),
                "{range:?}"
            );
        }
    }
}
