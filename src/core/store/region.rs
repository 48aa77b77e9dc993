//! Memory for many rows, in mappings of its own and in huge pages: it goes back to the system when dropped,
//! and only the used part is resident.
//!
//! Work that grows with the network (a frozen copy, its kept pages, a recount) takes gigabytes of memory for
//! some seconds, each time on another thread. Small allocations come from the allocator's per-thread arenas,
//! and stay there when freed: four such tasks left a server of 3.8 GB with 14.4. So all but small regions are
//! anonymous mappings.
//!
//! Rows all over a large network are found through more 4 KiB pages than the processor can remember, so that
//! nearly every row costs a walk through the page tables first. A mapping asks the system for huge pages
//! (2 MiB, `MADV_HUGEPAGE`), which take a five hundredth of the entries. Where there are none, or the request
//! is refused, everything works as before. Memory is resident in units of huge pages then, so they are asked
//! for only where they will be filled.
//!
//! The first touch of a huge page clears all of it: 0.2 ms, and several where a virtual machine's host has to
//! find the memory first. So they are for what is filled ahead or in the background (restores, imports,
//! recounts). What grows while somebody waits for each row (the writer's thread), or is copied under a lock,
//! is in small pages.

use std::{
    fmt,
    ops::{Deref, DerefMut, Range},
};

pub use crate::core::store::room::{Plain, is_small, use_small_pages};
use crate::core::store::{
    pace::Pace,
    room::{HUGE_PAGE_BYTES, Room},
};

/// The largest size of a region: some huge pages, so that the first of them, which stay small, do not matter.
/// After a load at most one region of each kind is partly untouched.
pub(crate) const REGION_BYTES: usize = 8 * 1024 * 1024;
/// The largest size of a region that copies share once it is full: small, since copies duplicate the partial
/// one.
pub(crate) const SHARED_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that are filled at a time: new memory costs some 0.3 us a page.
const FILLED_BYTES: usize = 128 * 1024;
/// Minimum room of a region that grows, in rows.
const ROWS_FIRST: usize = 4;

/// The largest power of two of rows that fit in this many bytes, at least one.
pub(crate) const fn rows_within<T>(bytes: usize) -> usize {
    let rows = bytes / size_of::<T>();
    if rows == 0 { 1 } else { 1 << rows.ilog2() }
}

/// Rows in one piece of memory of a fixed size, used from the start: a vector that does not move.
pub struct Region<T: Plain> {
    room: Room<T>,
    len: usize,
}

impl<T: Plain> Region<T> {
    fn of(rows: usize, plain_bytes: usize) -> Self {
        Self { room: Room::of(rows, plain_bytes), len: 0 }
    }

    /// An empty region with room for `rows`, all of which are going to be used.
    pub fn with_room(rows: usize) -> Self {
        Self::of(rows, 0)
    }

    /// An empty region with room for `rows`, of which `expected` are going to be used for sure. If they do
    /// not fill a huge page, the first 2 MiB are in small ones: a small network takes little memory.
    pub fn reserved(rows: usize, expected: usize) -> Self {
        let few = expected < HUGE_PAGE_BYTES / size_of::<T>();
        Self::of(rows, if few { HUGE_PAGE_BYTES } else { 0 })
    }

    /// An empty region with room for `rows` without huge pages: few of them may ever be used, or somebody
    /// waits while it is filled.
    pub fn sparse(rows: usize) -> Self {
        Self::of(rows, usize::MAX)
    }

    /// As `vec![0; rows]`, without a pass over the memory, which is zeros when it comes from the system.
    pub fn zeroed(rows: usize) -> Self {
        Self { len: rows, ..Self::with_room(rows) }
    }

    /// As `vec![value; rows]`.
    pub fn filled(value: T, rows: usize) -> Self {
        let mut region = Self::with_room(rows);
        region.resize(rows, value);
        region
    }

    /// An empty region without room, for [`Region::push_growing`].
    pub fn empty() -> Self {
        Self::of(0, 0)
    }

    /// Rows that it has room for.
    pub fn room(&self) -> usize {
        self.room.rows().len()
    }

    /// The row at `index`, which must be below `len` (not checked: beyond it are zeros, within its room).
    #[inline]
    pub fn row(&self, index: usize) -> &T {
        &self.room.rows()[index]
    }

    /// The row at `index`, for writing.
    #[inline]
    pub fn row_mut(&mut self, index: usize) -> &mut T {
        &mut self.room.rows_mut()[index]
    }

    /// Rows in a range, which must be within its room, as [`Region::row`].
    #[inline]
    pub fn room_of(&self, rows: Range<usize>) -> &[T] {
        &self.room.rows()[rows]
    }

    /// As [`Region::room_of`], for writing.
    #[inline]
    pub fn room_of_mut(&mut self, rows: Range<usize>) -> &mut [T] {
        &mut self.room.rows_mut()[rows]
    }

    /// Appends a row. There must be room.
    #[inline]
    pub fn push(&mut self, value: T) {
        let at = self.len;
        self.room.rows_mut()[at] = value;
        self.len += 1;
    }

    /// Appends a row to a region of up to `region_rows` that is not full. A full one doubles while it is
    /// small, then gets all of its room at once: only small ones are ever moved.
    #[inline]
    pub fn push_growing(&mut self, value: T, region_rows: usize) {
        if self.len == self.room() {
            self.grow(region_rows);
        }
        self.push(value);
    }

    #[cold]
    fn grow(&mut self, region_rows: usize) {
        let twice = (self.len * 2).max(ROWS_FIRST);
        let mut larger = Self::reserved(if is_small::<T>(twice) { twice } else { region_rows }, 0);
        larger.extend_from_slice(self);
        *self = larger;
    }

    /// Appends rows. There must be room.
    pub fn extend_from_slice(&mut self, more: &[T]) {
        let at = self.len;
        self.room.rows_mut()[at..at + more.len()].copy_from_slice(more);
        self.len += more.len();
    }

    /// Appends rows. There must be room.
    pub fn extend(&mut self, more: impl IntoIterator<Item = T>) {
        more.into_iter().for_each(|row| self.push(row));
    }

    /// Appends `value` until there are `rows`. There must be room.
    pub fn resize(&mut self, rows: usize, value: T) {
        let from = self.len;
        let pieces = self.room.rows_mut()[from..rows].chunks_mut(rows_within::<T>(FILLED_BYTES));
        pieces.paced_by(1).for_each(|piece| piece.fill(value));
        self.len = rows;
    }
}

impl<T: Plain> Deref for Region<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        &self.room.rows()[..self.len]
    }
}

impl<T: Plain> DerefMut for Region<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        let len = self.len;
        &mut self.room.rows_mut()[..len]
    }
}

impl<T: Plain + PartialEq> PartialEq<Vec<T>> for Region<T> {
    fn eq(&self, other: &Vec<T>) -> bool {
        **self == **other
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Region<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(out)
    }
}

impl<'a, T: Plain> IntoIterator for &'a Region<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
#[path = "region_test.rs"]
mod tests;
