//! Columns: long arrays in chunks, with a frozen view that costs the writer only the pages it touches.
//!
//! A `Vec` of ten million rows stops the world for as long as it takes to copy it when it grows; a column adds a chunk instead. And
//! long work (snapshots, recounts, exports) must see one moment while signups go on: `freeze` marks that moment in O(1), from then on
//! the writer keeps a copy of each 4 KiB page before it first changes it, and `copy_step` puts together, a chunk at a time, the column as
//! it was. Compared with columns of shared pages (`Arc`), reads and writes stay plain array accesses, without a
//! reference count on the way.

use std::any::Any;

use super::types::NONE;

/// Bytes of a chunk: small enough that allocating one does not show in a signup's time, large enough that the table of chunks
/// of ten million rows stays in cache.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes of a page, the unit that is kept for a frozen view.
const PAGE_BYTES: usize = 4 * 1024;

/// Part of a state that can be frozen and copied as it was. Composite parts forward to their fields (`freeze_fields!`).
pub(crate) trait Freeze {
    /// Marks this moment. There is one frozen view at a time.
    fn freeze(&mut self);
    /// Ends the frozen view. What was kept for it goes to `kept`: giving the memory back takes its time, and need not be done under a
    /// lock.
    fn thaw(&mut self, kept: &mut Kept);
    /// Copies the next bounded part of the frozen view into `copy`, which starts out empty. True when `copy` is complete; further
    /// calls then change nothing.
    fn copy_step(&self, copy: &mut Self) -> bool;
}

/// What a frozen view kept, to be dropped.
pub(crate) type Kept = Vec<Box<dyn Any + Send + Sync>>;

/// Implements [`Freeze`] field by field. The destructuring fails to compile when a field is missing.
macro_rules! freeze_fields {
    ($type:ty { $($field:ident),+ $(,)? }) => {
        impl $crate::core::column::Freeze for $type {
            fn freeze(&mut self) {
                let Self { $($field),+ } = self;
                $($field.freeze();)+
            }
            fn thaw(&mut self, kept: &mut $crate::core::column::Kept) {
                let Self { $($field),+ } = self;
                $($field.thaw(kept);)+
            }
            fn copy_step(&self, copy: &mut Self) -> bool {
                let Self { $($field),+ } = self;
                $($field.copy_step(&mut copy.$field) &&)+ true
            }
        }
    };
}
pub(crate) use freeze_fields;

/// An array that grows without moving.
pub(crate) struct Column<T> {
    chunks: Vec<Box<[T]>>,
    len: usize,
    fill: T,
    frozen: Option<Box<Frozen<T>>>,
}

struct Frozen<T> {
    len: usize,
    /// By page, its place in `pages`; `NONE` as long as it was not changed.
    place_of: Vec<u32>,
    pages: Vec<Box<[T]>>,
}

impl<T: Copy> Column<T> {
    const CHUNK_SHIFT: u32 = (CHUNK_BYTES / size_of::<T>()).ilog2();
    const PAGE_SHIFT: u32 = if size_of::<T>() < PAGE_BYTES { (PAGE_BYTES / size_of::<T>()).ilog2() } else { 0 };
    const CHUNK_ROWS: usize = 1 << Self::CHUNK_SHIFT;
    const PAGE_ROWS: usize = 1 << Self::PAGE_SHIFT;

    /// An empty column. `fill` is what unused room of a chunk holds; it is never seen.
    pub fn new(fill: T) -> Self {
        Self { chunks: Vec::new(), len: 0, fill, frozen: None }
    }

    /// A column of `len` rows that all hold `fill`.
    pub fn filled(fill: T, len: usize) -> Self {
        let chunks = (0..len.div_ceil(Self::CHUNK_ROWS)).map(|_| vec![fill; Self::CHUNK_ROWS].into_boxed_slice());
        Self { chunks: chunks.collect(), len, fill, frozen: None }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The row at `index`, which must be below `len`.
    #[inline]
    pub fn get(&self, index: usize) -> &T {
        debug_assert!(index < self.len);
        &self.chunks[index >> Self::CHUNK_SHIFT][index & (Self::CHUNK_ROWS - 1)]
    }

    /// The row at `index`, to be changed.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        debug_assert!(index < self.len);
        if self.frozen.is_some() {
            self.keep_page(index);
        }
        &mut self.chunks[index >> Self::CHUNK_SHIFT][index & (Self::CHUNK_ROWS - 1)]
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        let chunk = self.len >> Self::CHUNK_SHIFT;
        if chunk == self.chunks.len() {
            self.chunks.push(vec![self.fill; Self::CHUNK_ROWS].into_boxed_slice());
        }
        // No page is kept for rows beyond the frozen length: the view does not have them.
        self.chunks[chunk][self.len & (Self::CHUNK_ROWS - 1)] = value;
        self.len += 1;
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.chunks.iter().flatten().take(self.len)
    }

    /// Appends the rows of `range`, which must be below `len`.
    pub fn copy_range(&self, range: std::ops::Range<usize>, out: &mut Vec<T>) {
        debug_assert!(range.end <= self.len);
        let mut at = range.start;
        while at < range.end {
            let chunk = &self.chunks[at >> Self::CHUNK_SHIFT];
            let start = at & (Self::CHUNK_ROWS - 1);
            let rows = (range.end - at).min(Self::CHUNK_ROWS - start);
            out.extend_from_slice(&chunk[start..start + rows]);
            at += rows;
        }
    }

    /// Bytes held, without what a frozen view keeps.
    pub fn bytes(&self) -> usize {
        self.chunks.len() * Self::CHUNK_ROWS * size_of::<T>()
    }

    #[cold]
    fn keep_page(&mut self, index: usize) {
        let Some(frozen) = &mut self.frozen else { return };
        let page = index >> Self::PAGE_SHIFT;
        let first = page << Self::PAGE_SHIFT;
        if frozen.len <= first {
            return;
        }
        if frozen.place_of[page] != NONE {
            return;
        }
        frozen.place_of[page] = u32::try_from(frozen.pages.len()).expect("fewer pages than rows");
        let chunk = &self.chunks[first >> Self::CHUNK_SHIFT];
        let start = first & (Self::CHUNK_ROWS - 1);
        frozen.pages.push(chunk[start..start + Self::PAGE_ROWS].into());
    }
}

impl<T: Copy + Send + Sync + 'static> Freeze for Column<T> {
    fn freeze(&mut self) {
        assert!(self.frozen.is_none(), "one frozen view at a time");
        let pages = self.len.div_ceil(Self::PAGE_ROWS);
        self.frozen = Some(Box::new(Frozen { len: self.len, place_of: vec![NONE; pages], pages: Vec::new() }));
    }

    fn thaw(&mut self, kept: &mut Kept) {
        if let Some(frozen) = self.frozen.take() {
            kept.push(frozen);
        }
    }

    /// Copies one chunk.
    fn copy_step(&self, copy: &mut Self) -> bool {
        let frozen = self.frozen.as_ref().expect("copy_step follows freeze");
        if copy.len == frozen.len {
            return true;
        }
        let first = copy.len;
        let mut chunk = self.chunks[first >> Self::CHUNK_SHIFT].clone();
        for page in first >> Self::PAGE_SHIFT..(first + Self::CHUNK_ROWS) >> Self::PAGE_SHIFT {
            let place = frozen.place_of.get(page).copied().unwrap_or(NONE);
            if place != NONE {
                let start = (page << Self::PAGE_SHIFT) - first;
                chunk[start..start + Self::PAGE_ROWS].copy_from_slice(&frozen.pages[place as usize]);
            }
        }
        copy.chunks.push(chunk);
        copy.len = frozen.len.min(first + Self::CHUNK_ROWS);
        // Even if that was all: what comes next is copied under another hold of the lock.
        false
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
        self.as_ref().is_none_or(|column| column.copy_step(copy.get_or_insert_with(|| Column::new(column.fill))))
    }
}

/// A small value that freezes with the columns: copied whole.
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

    fn copy_step(&self, copy: &mut Self) -> bool {
        copy.now.clone_from(self.frozen.as_ref().expect("copy_step follows freeze"));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(column: &Column<u64>) -> Vec<u64> {
        let mut copy = Column::new(0);
        while !column.copy_step(&mut copy) {}
        assert!(column.copy_step(&mut copy));
        copy.iter().copied().collect()
    }

    #[test]
    fn a_frozen_view_is_the_column_as_it_was() {
        for len in [0_u64, 1, 511, 512, 8_191, 8_192, 8_193, 30_000] {
            let mut column = Column::new(0);
            (0..len).for_each(|value| column.push(value));
            column.freeze();
            for index in (0..len).step_by(97) {
                *column.get_mut(usize::try_from(index).unwrap()) += 1_000_000;
                column.push(index);
            }
            (len..2 * len).for_each(|index| *column.get_mut(usize::try_from(index % (len.max(1))).unwrap()) += 1);
            assert_eq!(copied(&column), (0..len).collect::<Vec<_>>(), "{len}");
            column.thaw(&mut Kept::new());
            column.freeze();
            assert_eq!(copied(&column), column.iter().copied().collect::<Vec<_>>(), "{len}");
        }
    }

    #[test]
    fn writes_between_the_steps_of_a_copy_do_not_show() {
        let mut column = Column::new(0);
        (0..40_000).for_each(|value| column.push(value));
        column.freeze();
        let mut copy = Column::new(0);
        let mut round = 0;
        loop {
            for index in (round..40_000).step_by(1_000) {
                *column.get_mut(index) = 7;
            }
            round += 1;
            if column.copy_step(&mut copy) {
                break;
            }
        }
        assert!(copy.iter().copied().eq(0..40_000));
    }

    #[test]
    fn ranges_are_copied_across_chunks() {
        let mut column = Column::new(0_u64);
        (0..20_000).for_each(|value| column.push(value));
        for range in [0..0, 0..1, 8_191..8_193, 5..20_000, 8_192..16_384, 20_000..20_000] {
            let mut out = vec![7];
            column.copy_range(range.clone(), &mut out);
            assert!(out.iter().copied().eq([7].into_iter().chain(range.start as u64..range.end as u64)), "{range:?}");
        }
    }

    #[test]
    fn rows_larger_than_a_page_work() {
        let mut column = Column::new([0_u8; 8_192]);
        (0..20).for_each(|value| column.push([value; 8_192]));
        column.freeze();
        column.get_mut(3)[0] = 99;
        let mut copy = Column::new([0; 8_192]);
        while !column.copy_step(&mut copy) {}
        assert_eq!(copy.get(3)[0], 3);
    }
}
