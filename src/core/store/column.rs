//! Columns: long arrays that grow without moving, with copy-on-write frozen views that cost the writer only
//! the pages it touches.
//!
//! Growing a `Vec` of ten million rows stops the world while it is copied; a column adds a region instead.
//! Long work (snapshots, recounts, exports) must see a single moment while signups continue: `freeze` marks
//! that moment in O(1), from then on the writer copies each 4 KiB page before it first changes it, and
//! `copy_step` reassembles the column as it was, 64 KiB at a time. Compared with columns of shared pages
//! (`Arc`), reads and writes stay plain array accesses, without reference counting. (Rows that never change
//! are handled in `settled.rs`.)
//!
//! # What frozen views cost
//!
//! Several views can be frozen at different moments. A page is kept once for all views that need it
//! (`pages.rs`), so between two freezes the writer copies each page at most once, however many views there
//! are. A page is kept only until all of these have copied it, and the pages kept before are freed region by
//! region (`release`) as the copies advance. So a view takes at most one copy of the columns and a region,
//! however much is written meanwhile. All of it is in mappings of its own (`region.rs`) and goes back to the
//! system when dropped.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::core::store::{
    freeing::Freeing,
    held::Held,
    pages::RegionPages,
    region::{self, Plain, Region},
};

/// Bytes copied per step: under one hold of the lock.
const STEP_BYTES: usize = 64 * 1024;
/// Bytes of a page, the unit of copy-on-write.
const PAGE_BYTES: usize = 4 * 1024;

/// Names a frozen view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ViewId {
    /// Ascends from freeze to freeze, and is never used again.
    pub(in crate::core) number: u64,
    /// Leaves out what trees count, which the links of a tree determine.
    pub(in crate::core) lean: bool,
}

#[cfg(test)]
impl ViewId {
    /// The first view of a part, in its tests.
    pub const FIRST: Self = Self { number: 1, lean: false };
}

/// A part of a state that can be frozen and copied as it was, for several views at once. Composite parts
/// forward to their fields (`freeze_fields!`).
pub(crate) trait Freeze: Held {
    /// Marks this moment for a view, which is newer than all others here.
    fn freeze(&mut self, view: ViewId);
    /// Ends a view, if it has this part. Drop what `freeing` gathered after releasing the lock. O(columns and
    /// regions); also O(pages) if the view needed pages that older ones need.
    fn thaw(&mut self, view: ViewId, freeing: &mut Freeing);
    /// Copies the next bounded part of a view that has this part into `copy`, which starts out empty. Returns
    /// true when `copy` is complete; further calls then change nothing.
    fn copy_step(&self, view: ViewId, copy: &mut Self) -> bool;
    /// Declares that the rest of the view is not going to be copied. The writer keeps no page for it any
    /// more.
    fn skip(&self, view: ViewId);
    /// Frees pages of what the view has copied or skipped. Each view can be copied once only. Ends early when
    /// `freeing` has no step left.
    fn release(&mut self, view: ViewId, freeing: &mut Freeing);
    /// Replaces full regions of immutable rows that `other` has too by the other's. What was replaced goes to
    /// `freeing`, which has a step for each region that may still be compared.
    fn share(&mut self, other: &Self, freeing: &mut Freeing);
    /// Called on a complete copy: builds the indexes that copies omit.
    fn index_copy(&mut self) {}
}

/// Implements [`Freeze`] and [`Held`] field by field. The destructuring fails to compile when a field is
/// missing. Fields named after `derived` follow from the others: they are not copied, and the type's
/// `index_derived` builds them. Fields after `cached` are not copied either, and fill by themselves when they
/// are needed. The parameters of a generic type stand before it, in brackets.
macro_rules! freeze_fields {
    ([$($generics:tt)*] $type:ty { $($field:ident),* $(,)? } $(derived { $($derived:ident),+ $(,)? })?
     $(cached { $($cached:ident),+ $(,)? })?) => {
        impl<$($generics)*> $crate::core::store::column::Freeze for $type {
            #[allow(unused_variables, reason = "a type may have nothing to be frozen")]
            fn freeze(&mut self, view: $crate::core::store::column::ViewId) {
                let Self { $($field,)* $($($derived: _,)+)? $($($cached: _),+)? } = self;
                $($field.freeze(view);)*
            }
            #[allow(unused_variables, reason = "as above")]
            fn thaw(
                &mut self,
                view: $crate::core::store::column::ViewId,
                freeing: &mut $crate::core::store::freeing::Freeing,
            ) {
                let Self { $($field,)* $($($derived: _,)+)? $($($cached: _),+)? } = self;
                $($field.thaw(view, freeing);)*
            }
            #[allow(unused_variables, reason = "as above")]
            fn copy_step(&self, view: $crate::core::store::column::ViewId, copy: &mut Self) -> bool {
                let Self { $($field,)* $($($derived: _,)+)? $($($cached: _),+)? } = self;
                $($field.copy_step(view, &mut copy.$field) &&)* true
            }
            #[allow(unused_variables, reason = "as above")]
            fn skip(&self, view: $crate::core::store::column::ViewId) {
                let Self { $($field,)* $($($derived: _,)+)? $($($cached: _),+)? } = self;
                $($field.skip(view);)*
            }
            #[allow(unused_variables, reason = "as above")]
            fn release(
                &mut self,
                view: $crate::core::store::column::ViewId,
                freeing: &mut $crate::core::store::freeing::Freeing,
            ) {
                let Self { $($field,)* $($($derived: _,)+)? $($($cached: _),+)? } = self;
                $($field.release(view, freeing);)*
            }
            #[allow(unused_variables, reason = "as above")]
            fn share(&mut self, other: &Self, freeing: &mut $crate::core::store::freeing::Freeing) {
                let Self { $($field,)* $($($derived: _,)+)? $($($cached: _),+)? } = self;
                $($field.share(&other.$field, freeing);)*
            }
            fn index_copy(&mut self) {
                let Self { $($field,)* $($($derived: _,)+)? $($($cached: _),+)? } = self;
                $($field.index_copy();)*
                $(
                    $(let _ = &self.$derived;)+
                    self.index_derived();
                )?
            }
        }

        impl<$($generics)*> $crate::core::store::held::Held for $type {
            fn bytes(&self) -> usize {
                use $crate::core::store::held::Held;
                let Self { $($field,)* $($($derived,)+)? $($($cached),+)? } = self;
                0 $(+ Held::bytes($field))* $($(+ Held::bytes($derived))+)? $($(+ Held::bytes($cached))+)?
            }
        }
    };
    ($type:ty { $($fields:tt)* } $($others:tt)*) => {
        $crate::core::store::column::freeze_fields!([] $type { $($fields)* } $($others)*);
    };
}
pub(crate) use freeze_fields;

/// Implements [`Freeze`] for a part that a plan may not need. Whether there is one must not change while a
/// view that has it is frozen: see `State::lose_views`.
macro_rules! freeze_optional {
    ([$($generics:tt)*] $type:ty, $empty:expr) => {
        impl<$($generics)*> $crate::core::store::column::Freeze for Option<$type> {
            fn freeze(&mut self, view: $crate::core::store::column::ViewId) {
                self.iter_mut().for_each(|part| part.freeze(view));
            }
            fn thaw(
                &mut self,
                view: $crate::core::store::column::ViewId,
                freeing: &mut $crate::core::store::freeing::Freeing,
            ) {
                self.iter_mut().for_each(|part| part.thaw(view, freeing));
            }
            fn copy_step(&self, view: $crate::core::store::column::ViewId, copy: &mut Self) -> bool {
                self.as_ref().is_none_or(|part| part.copy_step(view, copy.get_or_insert_with(|| $empty)))
            }
            fn skip(&self, view: $crate::core::store::column::ViewId) {
                self.iter().for_each(|part| part.skip(view));
            }
            fn release(
                &mut self,
                view: $crate::core::store::column::ViewId,
                freeing: &mut $crate::core::store::freeing::Freeing,
            ) {
                self.iter_mut().for_each(|part| part.release(view, freeing));
            }
            fn share(&mut self, other: &Self, freeing: &mut $crate::core::store::freeing::Freeing) {
                if let (Some(part), Some(other)) = (self, other) {
                    part.share(other, freeing);
                }
            }
        }
    };
}
pub(crate) use freeze_optional;

/// An array of mutable rows that grows without moving.
pub(crate) struct Column<T: Plain> {
    /// All but the last are full. The first starts small.
    regions: Vec<Region<T>>,
    len: usize,
    views: Option<Box<Views<T>>>,
}

/// The frozen views of a column.
struct Views<T: Plain> {
    /// Oldest first, at least one.
    live: Vec<Live>,
    /// The pages kept of each region, up to the end of the newest view.
    kept: Vec<RegionPages<T>>,
}

/// A frozen view of a column.
struct Live {
    view: u64,
    len: usize,
    /// Rows already copied: they no longer need a page. Written alongside other readers, read by the writer
    /// under its lock.
    copied: AtomicUsize,
}

impl Live {
    /// Whether it still needs some of these rows.
    fn needs(&self, rows: std::ops::Range<usize>) -> bool {
        let end = self.len.min(rows.end);
        rows.start < end && self.copied.load(Ordering::Relaxed) < end
    }
}

impl<T: Plain> Views<T> {
    fn find(&self, view: ViewId) -> Option<&Live> {
        self.live.iter().find(|live| live.view == view.number)
    }
}

impl<T: Plain> Column<T> {
    const REGION_SHIFT: u32 = region::rows_within::<T>(region::REGION_BYTES).ilog2();
    const REGION_ROWS: usize = 1 << Self::REGION_SHIFT;
    const STEP_ROWS: usize = region::rows_within::<T>(STEP_BYTES);
    const PAGE_SHIFT: u32 = region::rows_within::<T>(PAGE_BYTES).ilog2();
    const PAGE_ROWS: usize = 1 << Self::PAGE_SHIFT;

    pub fn new() -> Self {
        Self { regions: Vec::new(), len: 0, views: None }
    }

    /// A column of `len` rows that all hold `fill`.
    pub fn filled(fill: T, len: usize) -> Self {
        let mut column = Self::new();
        for first in (0..len).step_by(Self::REGION_ROWS) {
            let mut region = Region::reserved(Self::next_room(first, len), len - first);
            region.resize(Self::REGION_ROWS.min(len - first), fill);
            column.regions.push(region);
        }
        column.len = len;
        column
    }

    /// The room of the region that starts with row `first`, when `len` rows are expected: it never has to
    /// move to grow, except in a small column.
    fn next_room(first: usize, len: usize) -> usize {
        if first == 0 && region::is_small::<T>(len) { len } else { Self::REGION_ROWS }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The row at `index`, which must be below `len`.
    #[inline]
    pub fn get(&self, index: usize) -> &T {
        debug_assert!(index < self.len);
        self.regions[index >> Self::REGION_SHIFT].row(index & (Self::REGION_ROWS - 1))
    }

    /// The row at `index`, for writing.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        debug_assert!(index < self.len);
        if self.views.is_some() {
            self.keep_page(index);
        }
        self.regions[index >> Self::REGION_SHIFT].row_mut(index & (Self::REGION_ROWS - 1))
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        // Rows beyond the frozen length need no page: the view does not have them.
        match self.regions.last_mut() {
            Some(last) if last.len() < Self::REGION_ROWS => last.push_growing(value, Self::REGION_ROWS),
            _ => self.push_beyond(value),
        }
        self.len += 1;
    }

    /// The first row of a region.
    #[cold]
    fn push_beyond(&mut self, value: T) {
        let room = if self.regions.is_empty() { 0 } else { Self::REGION_ROWS };
        let mut region = Region::with_room(room);
        region.push_growing(value, Self::REGION_ROWS);
        self.regions.push(region);
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> + '_ {
        self.regions.iter().flatten()
    }

    #[cold]
    fn keep_page(&mut self, index: usize) {
        let Some(views) = &mut self.views else { return };
        let first = index >> Self::PAGE_SHIFT << Self::PAGE_SHIFT;
        // Copies end with a whole page, or with the view.
        let needs = |live: &&Live| first < live.len && live.copied.load(Ordering::Relaxed) <= first;
        let Some(newest) = views.live.iter().rev().find(needs) else { return };
        let (region, start) = (first >> Self::REGION_SHIFT, first & (Self::REGION_ROWS - 1));
        let rows = &self.regions[region];
        let rows = &rows[start..rows.len().min(start + Self::PAGE_ROWS)];
        let rows_of_view = Self::REGION_ROWS.min(newest.len - (first - start));
        let place = (start >> Self::PAGE_SHIFT, rows_of_view.div_ceil(Self::PAGE_ROWS));
        views.kept[region].keep(newest.view, place, rows, Self::PAGE_ROWS);
    }
}

impl<T: Plain> Column<T> {
    /// Frees the pages of a region that only this view needed, the `at`-th.
    fn forget(views: &mut Views<T>, at: usize, region: usize, freeing: &mut Freeing) {
        let kept = &mut views.kept[region];
        if kept.is_empty() {
            return;
        }
        let first = region << Self::REGION_SHIFT;
        let heirs =
            |older: &&Live| older.needs(first..first + Self::REGION_ROWS) || kept.has_table(older.view);
        let heir = views.live[..at].iter().rev().find(heirs).map(|heir| heir.view);
        kept.forget(views.live[at].view, heir, freeing);
    }
}

/// Without kept pages.
impl<T: Plain> Held for Column<T> {
    fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }
}

impl<T: Plain> Freeze for Column<T> {
    fn freeze(&mut self, view: ViewId) {
        let views = self.views.get_or_insert_with(|| Box::new(Views { live: Vec::new(), kept: Vec::new() }));
        debug_assert!(views.live.last().is_none_or(|last| last.view < view.number));
        views.live.push(Live { view: view.number, len: self.len, copied: AtomicUsize::new(0) });
        views.kept.resize_with(self.regions.len(), RegionPages::default);
    }

    fn thaw(&mut self, view: ViewId, freeing: &mut Freeing) {
        let Some(views) = &mut self.views else { return };
        let Some(at) = views.live.iter().position(|live| live.view == view.number) else { return };
        if views.live.len() == 1 {
            freeing.extend(self.views.take());
            return;
        }
        for region in 0..views.kept.len() {
            Self::forget(views, at, region, freeing);
        }
        views.live.remove(at);
    }

    /// Copies 64 KiB.
    fn copy_step(&self, view: ViewId, copy: &mut Self) -> bool {
        let views = self.views.as_ref().expect("copy_step follows freeze");
        let frozen = views.find(view).expect("copy_step follows freeze");
        if copy.len == frozen.len {
            return true;
        }
        let first = copy.len;
        if first & (Self::REGION_ROWS - 1) == 0 {
            // It is filled under the lock.
            copy.regions.push(Region::sparse(Self::next_room(first, frozen.len)));
        }
        let end = frozen.len.min(first + Self::STEP_ROWS);
        let target = &mut copy.regions[first >> Self::REGION_SHIFT];
        let begin = target.len();
        target.extend_from_slice(&self.regions[first >> Self::REGION_SHIFT][begin..begin + (end - first)]);
        let kept = &views.kept[first >> Self::REGION_SHIFT];
        for start in (begin..target.len()).step_by(Self::PAGE_ROWS) {
            let page = kept.page(frozen.view, start >> Self::PAGE_SHIFT, Self::PAGE_ROWS);
            if let Some(page) = page {
                let rows = Self::PAGE_ROWS.min(target.len() - start);
                target[start..start + rows].copy_from_slice(&page[..rows]);
            }
        }
        copy.len = end;
        frozen.copied.store(end, Ordering::Relaxed);
        // Even if that was all: the next part is copied under another hold of the lock.
        false
    }

    fn skip(&self, view: ViewId) {
        if let Some(frozen) = self.views.as_ref().and_then(|views| views.find(view)) {
            frozen.copied.store(frozen.len, Ordering::Relaxed);
        }
    }

    fn release(&mut self, view: ViewId, freeing: &mut Freeing) {
        let Some(views) = &mut self.views else { return };
        let Some(at) = views.live.iter().position(|live| live.view == view.number) else { return };
        let frozen = &mut views.live[at];
        let copied = *frozen.copied.get_mut();
        let whole = if copied == frozen.len { views.kept.len() } else { copied >> Self::REGION_SHIFT };
        for region in 0..whole {
            Self::forget(views, at, region, freeing);
        }
    }

    /// Its rows may change.
    fn share(&mut self, _other: &Self, _freeing: &mut Freeing) {}
}

freeze_optional!([T: Plain] Column<T>, Column::new());

/// What was true at the freeze of each view: a few words each.
pub(crate) struct Moments<M>(Vec<(u64, M)>);

impl<M> Default for Moments<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<M> Moments<M> {
    pub fn begin(&mut self, view: ViewId, moment: M) {
        self.0.push((view.number, moment));
    }

    /// # Panics
    /// When the view was not frozen here: a bug.
    pub fn of(&self, view: ViewId) -> &M {
        let found = self.0.iter().find(|(number, _)| *number == view.number);
        found.map(|(_, moment)| moment).expect("copy_step follows freeze")
    }

    pub fn end(&mut self, view: ViewId) {
        self.0.retain(|(number, _)| *number != view.number);
    }
}

/// A small value that freezes along with the columns: copied whole.
#[derive(Default)]
pub(crate) struct Scalar<T> {
    now: T,
    frozen: Moments<T>,
}

impl<T: Clone> Scalar<T> {
    pub fn new(value: T) -> Self {
        Self { now: value, frozen: Moments::default() }
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

/// Without what frozen views keep of it.
impl<T: Held> Held for Scalar<T> {
    fn bytes(&self) -> usize {
        self.now.bytes()
    }
}

impl<T: Clone + Held> Freeze for Scalar<T> {
    fn freeze(&mut self, view: ViewId) {
        self.frozen.begin(view, self.now.clone());
    }

    fn thaw(&mut self, view: ViewId, _freeing: &mut Freeing) {
        self.frozen.end(view);
    }

    fn copy_step(&self, view: ViewId, copy: &mut Self) -> bool {
        copy.now.clone_from(self.frozen.of(view));
        true
    }

    fn skip(&self, _view: ViewId) {}

    fn release(&mut self, _view: ViewId, _freeing: &mut Freeing) {}

    fn share(&mut self, _other: &Self, _freeing: &mut Freeing) {}
}

#[cfg(test)]
#[path = "column_test.rs"]
mod tests;
