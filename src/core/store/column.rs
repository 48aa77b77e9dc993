//! Columns: long arrays that grow without moving, with a copy-on-write frozen view that costs the writer only
//! the pages it touches.
//!
//! Growing a `Vec` of ten million rows stops the world while it is copied; a column adds a region instead.
//! Long work (snapshots, recounts, exports) must see a single moment while signups continue: `freeze` marks
//! that moment in O(1), from then on the writer copies each 4 KiB page before it first changes it, and
//! `copy_step` reassembles the column as it was, 64 KiB at a time. Compared with columns of shared pages
//! (`Arc`), reads and writes stay plain array accesses, without reference counting. (Rows that never change
//! are handled in `settled.rs`.)
//!
//! # What a frozen view costs
//!
//! A page is kept only until it is copied, and the pages kept before are freed region by region (`release`)
//! as the copy advances. So pages and copy together take at most one copy of the columns and a region,
//! however much is written meanwhile. All of it is in mappings of its own (`region.rs`) and goes back to the
//! system when dropped.

use std::{
    any::Any,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::core::{store::region, words::types::NONE};

/// Bytes copied per step: under one hold of the lock.
const STEP_BYTES: usize = 64 * 1024;
/// Bytes of a page, the unit of copy-on-write.
const PAGE_BYTES: usize = 4 * 1024;

/// A part of a state that can be frozen and copied as it was. Composite parts forward to their fields
/// (`freeze_fields!`).
pub(crate) trait Freeze {
    /// Marks this moment. Only one frozen view exists at a time.
    fn freeze(&mut self);
    /// Ends the frozen view. Its pages go to `kept`: freeing them takes time, and should not happen under a
    /// lock.
    fn thaw(&mut self, kept: &mut Kept);
    /// Copies the next bounded part of the frozen view into `copy`, which starts out empty. Returns true when
    /// `copy` is complete; further calls then change nothing.
    fn copy_step(&self, copy: &mut Self) -> bool;
    /// Moves to `kept` the pages of parts already copied. Valid for one copy only: a view is copied once.
    fn release(&mut self, kept: &mut Kept);
    /// Called on a complete copy: builds the indexes that copies omit.
    fn index_copy(&mut self) {}
}

/// Pages of a frozen view, to be dropped.
pub(crate) type Kept = Vec<Box<dyn Any + Send + Sync>>;

/// Implements [`Freeze`] field by field. The destructuring fails to compile when a field is missing.
macro_rules! freeze_fields {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::core::store::column::Freeze for $type {
            fn freeze(&mut self) {
                let Self { $($field),+ } = self;
                $($field.freeze();)+
            }
            fn thaw(&mut self, kept: &mut $crate::core::store::column::Kept) {
                let Self { $($field),+ } = self;
                $($field.thaw(kept);)+
            }
            fn copy_step(&self, copy: &mut Self) -> bool {
                let Self { $($field),+ } = self;
                $($field.copy_step(&mut copy.$field) &&)+ true
            }
            fn release(&mut self, kept: &mut $crate::core::store::column::Kept) {
                let Self { $($field),+ } = self;
                $($field.release(kept);)+
            }
            fn index_copy(&mut self) {
                let Self { $($field),+ } = self;
                $($field.index_copy();)+
            }
        }
    };
}
pub(crate) use freeze_fields;

/// An array of mutable rows that grows without moving.
pub(crate) struct Column<T> {
    /// All but the last are full. The first starts small.
    regions: Vec<Vec<T>>,
    len: usize,
    frozen: Option<Box<Frozen<T>>>,
}

struct Frozen<T> {
    len: usize,
    /// Rows already copied: they no longer need a page. Written alongside other readers, read by the writer
    /// under its lock.
    copied: AtomicUsize,
    /// The kept pages of each region.
    regions: Vec<KeptRegion<T>>,
}

/// Pages kept of a region.
struct KeptRegion<T> {
    /// By page, its index in `pages`; `NONE` while it is unchanged. Empty until the first is kept.
    place_of: Vec<u32>,
    pages: Vec<T>,
}

impl<T> KeptRegion<T> {
    const NONE: Self = Self { place_of: Vec::new(), pages: Vec::new() };
}

impl<T: Copy> Column<T> {
    const REGION_SHIFT: u32 = region::rows_within::<T>(region::REGION_BYTES).ilog2();
    const REGION_ROWS: usize = 1 << Self::REGION_SHIFT;
    const STEP_ROWS: usize = region::rows_within::<T>(STEP_BYTES);
    const PAGE_SHIFT: u32 = region::rows_within::<T>(PAGE_BYTES).ilog2();
    const PAGE_ROWS: usize = 1 << Self::PAGE_SHIFT;

    pub fn new() -> Self {
        Self { regions: Vec::new(), len: 0, frozen: None }
    }

    /// A column of `len` rows that all hold `fill`.
    pub fn filled(fill: T, len: usize) -> Self {
        let mut column = Self::new();
        for first in (0..len).step_by(Self::REGION_ROWS) {
            let mut region = Self::next_region(first, len);
            region.resize(Self::REGION_ROWS.min(len - first), fill);
            column.regions.push(region);
        }
        column.len = len;
        column
    }

    /// The region that starts with row `first`, when `len` rows are expected: it never has to move to grow,
    /// except in a small column.
    fn next_region(first: usize, len: usize) -> Vec<T> {
        region::with_room(if first == 0 && region::is_small::<T>(len) { len } else { Self::REGION_ROWS })
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The row at `index`, which must be below `len`.
    #[inline]
    pub fn get(&self, index: usize) -> &T {
        debug_assert!(index < self.len);
        &self.regions[index >> Self::REGION_SHIFT][index & (Self::REGION_ROWS - 1)]
    }

    /// The row at `index`, for writing.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        debug_assert!(index < self.len);
        if self.frozen.is_some() {
            self.keep_page(index);
        }
        &mut self.regions[index >> Self::REGION_SHIFT][index & (Self::REGION_ROWS - 1)]
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        // Rows beyond the frozen length need no page: the view does not have them.
        match self.regions.last_mut() {
            Some(last) if last.len() < Self::REGION_ROWS => region::push(last, value, Self::REGION_ROWS),
            _ => self.push_beyond(value),
        }
        self.len += 1;
    }

    /// The first row of a region.
    #[cold]
    fn push_beyond(&mut self, value: T) {
        let mut region = region::with_room(if self.regions.is_empty() { 0 } else { Self::REGION_ROWS });
        region::push(&mut region, value, Self::REGION_ROWS);
        self.regions.push(region);
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.regions.iter().flatten()
    }

    /// Bytes held, excluding kept pages.
    pub fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    #[cold]
    fn keep_page(&mut self, index: usize) {
        let Some(frozen) = &mut self.frozen else { return };
        let first = index >> Self::PAGE_SHIFT << Self::PAGE_SHIFT;
        // Copies end with a whole page, or with the view.
        if frozen.len <= first || first < frozen.copied.load(Ordering::Relaxed) {
            return;
        }
        let (region, start) = (first >> Self::REGION_SHIFT, first & (Self::REGION_ROWS - 1));
        let (rows, kept) = (&self.regions[region], &mut frozen.regions[region]);
        if kept.place_of.is_empty() {
            let rows = Self::REGION_ROWS.min(frozen.len - (first - start));
            kept.place_of = vec![NONE; rows.div_ceil(Self::PAGE_ROWS)];
            kept.pages = region::with_room(rows);
        }
        let place = &mut kept.place_of[start >> Self::PAGE_SHIFT];
        if *place != NONE {
            return;
        }
        *place = u32::try_from(kept.pages.len()).expect("fewer rows than a region has bytes");
        // The view may end within its last page; later rows are not part of it.
        let rows_kept = Self::PAGE_ROWS.min(frozen.len - first);
        kept.pages.extend_from_slice(&rows[start..start + rows_kept]);
    }
}

impl<T: Copy + Send + Sync + 'static> Freeze for Column<T> {
    fn freeze(&mut self) {
        assert!(self.frozen.is_none(), "one frozen view at a time");
        let regions = self.regions.iter().map(|_| KeptRegion::NONE).collect();
        self.frozen = Some(Box::new(Frozen { len: self.len, copied: AtomicUsize::new(0), regions }));
    }

    fn thaw(&mut self, kept: &mut Kept) {
        if let Some(frozen) = self.frozen.take() {
            kept.push(frozen);
        }
    }

    /// Copies 64 KiB.
    fn copy_step(&self, copy: &mut Self) -> bool {
        let frozen = self.frozen.as_ref().expect("copy_step follows freeze");
        if copy.len == frozen.len {
            return true;
        }
        let first = copy.len;
        if first & (Self::REGION_ROWS - 1) == 0 {
            copy.regions.push(Self::next_region(first, frozen.len));
        }
        let end = frozen.len.min(first + Self::STEP_ROWS);
        let target = &mut copy.regions[first >> Self::REGION_SHIFT];
        let begin = target.len();
        target.extend_from_slice(&self.regions[first >> Self::REGION_SHIFT][begin..begin + (end - first)]);
        let kept = &frozen.regions[first >> Self::REGION_SHIFT];
        for start in (begin..target.len()).step_by(Self::PAGE_ROWS) {
            let place = kept.place_of.get(start >> Self::PAGE_SHIFT).copied().unwrap_or(NONE);
            if place != NONE {
                let rows = Self::PAGE_ROWS.min(target.len() - start);
                target[start..start + rows]
                    .copy_from_slice(&kept.pages[place as usize..place as usize + rows]);
            }
        }
        copy.len = end;
        frozen.copied.store(end, Ordering::Relaxed);
        // Even if that was all: the next part is copied under another hold of the lock.
        false
    }

    fn release(&mut self, kept: &mut Kept) {
        let Some(frozen) = &mut self.frozen else { return };
        let copied = *frozen.copied.get_mut();
        let whole = if copied == frozen.len { frozen.regions.len() } else { copied >> Self::REGION_SHIFT };
        for region in &mut frozen.regions[..whole] {
            if !region.place_of.is_empty() {
                kept.push(Box::new(std::mem::replace(region, KeptRegion::NONE)));
            }
        }
    }
}

/// A column that a plan may not need.
impl<T: Copy + Send + Sync + 'static> Freeze for Option<Column<T>> {
    fn freeze(&mut self) {
        self.iter_mut().for_each(Freeze::freeze);
    }

    fn thaw(&mut self, kept: &mut Kept) {
        self.iter_mut().for_each(|column| column.thaw(kept));
    }

    fn copy_step(&self, copy: &mut Self) -> bool {
        self.as_ref().is_none_or(|column| column.copy_step(copy.get_or_insert_with(Column::new)))
    }

    fn release(&mut self, kept: &mut Kept) {
        self.iter_mut().for_each(|column| column.release(kept));
    }
}

/// A small value that freezes along with the columns: copied whole.
#[derive(Default)]
pub(crate) struct Scalar<T> {
    now: T,
    frozen: Option<T>,
}

impl<T: Clone> Scalar<T> {
    pub fn new(value: T) -> Self {
        Self { now: value, frozen: None }
    }
}

impl<T> std::ops::Deref for Scalar<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.now
    }
}

impl<T> std::ops::DerefMut for Scalar<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.now
    }
}

impl<T: Clone> Freeze for Scalar<T> {
    fn freeze(&mut self) {
        self.frozen = Some(self.now.clone());
    }

    fn thaw(&mut self, _kept: &mut Kept) {
        self.frozen = None;
    }

    fn release(&mut self, _kept: &mut Kept) {}

    fn copy_step(&self, copy: &mut Self) -> bool {
        copy.now.clone_from(self.frozen.as_ref().expect("copy_step follows freeze"));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(column: &Column<u64>) -> Vec<u64> {
        let mut copy = Column::new();
        while !column.copy_step(&mut copy) {}
        assert!(column.copy_step(&mut copy));
        copy.iter().copied().collect()
    }

    #[test]
    fn a_frozen_view_is_the_column_as_it_was() {
        for len in [0_u64, 1, 511, 512, 8_191, 8_192, 8_193, 30_000] {
            let mut column = Column::new();
            (0..len).for_each(|value| column.push(value));
            column.freeze();
            for index in (0..len).step_by(97) {
                *column.get_mut(usize::try_from(index).unwrap()) += 1_000_000;
                column.push(index);
            }
            (len..2 * len)
                .for_each(|index| *column.get_mut(usize::try_from(index % (len.max(1))).unwrap()) += 1);
            assert_eq!(copied(&column), (0..len).collect::<Vec<_>>(), "{len}");
            column.thaw(&mut Kept::new());
            column.freeze();
            assert_eq!(copied(&column), column.iter().copied().collect::<Vec<_>>(), "{len}");
        }
    }

    /// Bytes of the pages kept for the view.
    fn kept_bytes<T>(column: &Column<T>) -> usize {
        let frozen = column.frozen.as_ref().expect("it is frozen");
        frozen.regions.iter().map(|region| region.pages.len() * size_of::<T>()).sum()
    }

    #[test]
    fn writes_between_the_steps_of_a_copy_do_not_show_and_what_was_copied_is_not_kept() {
        // Three regions, the last one not full, of rows of half a kilobyte.
        const LEN: usize = 150_000;
        const ROW_BYTES: usize = 512;
        let rows = || (0_u64..).map(|value| [value; ROW_BYTES / 8]).take(LEN);
        let mut column = Column::new();
        rows().for_each(|row| column.push(row));
        column.freeze();
        let (mut copy, mut round, mut most) = (Column::new(), 0, 0);
        loop {
            // All pages: the worst case for copy-on-write.
            for index in (round % 8..LEN).step_by(8).take(if round < 8 { LEN } else { 100 }) {
                column.get_mut(index)[0] = u64::MAX;
            }
            round += 1;
            if column.copy_step(&mut copy) {
                break;
            }
            column.release(&mut Kept::new());
            most = most.max(kept_bytes(&column) + copy.len() * ROW_BYTES);
        }
        assert!(copy.iter().copied().eq(rows()));
        assert!(LEN * ROW_BYTES < most, "{most}: all pages were kept before they were copied");
        assert!(most <= LEN * ROW_BYTES + region::REGION_BYTES, "{most}");
        column.release(&mut Kept::new());
        assert_eq!(kept_bytes(&column), 0);
        column.get_mut(0)[0] = 8;
        assert_eq!(kept_bytes(&column), 0, "nobody asks for it any more");
    }

    #[test]
    fn rows_larger_than_a_page_work() {
        let mut column = Column::new();
        (0_u8..20).for_each(|value| column.push([value; 8_192]));
        column.freeze();
        column.get_mut(3)[0] = 99;
        let mut copy = Column::new();
        while !column.copy_step(&mut copy) {}
        assert_eq!(copy.get(3)[0], 3);
    }
}
