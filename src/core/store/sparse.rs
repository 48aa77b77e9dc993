//! An array that is zero where nothing was written: sums of some members, in memory for those alone.
//!
//! The memory comes in chunks, when something is written into them. Unlike columns these arrays are not
//! frozen: views do without what can be computed from the rest of a state.

use bytemuck::Zeroable;

use crate::core::store::{
    held::Held,
    region::{Plain, Region, rows_within},
};

/// Bytes of a chunk: a mapping of its own, so that all of it goes back to the system. The system provides its
/// pages one by one, as they are touched: smaller chunks would save nothing, and each would still occupy as
/// many addresses as a huge page.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// Rows by index; zeros where none was written.
pub(in crate::core) struct Sparse<T: Plain> {
    /// `None` where nothing was written.
    chunks: Vec<Option<Region<T>>>,
    /// One more than the largest index that was written.
    end: usize,
}

impl<T: Plain> Sparse<T> {
    const CHUNK_ROWS: usize = rows_within::<T>(CHUNK_BYTES);

    pub fn new() -> Self {
        Self { chunks: Vec::new(), end: 0 }
    }

    /// Whether nothing was ever written.
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// One more than the largest index that was written.
    pub fn end(&self) -> usize {
        self.end
    }

    #[inline]
    pub fn get(&self, index: usize) -> T {
        match self.chunks.get(index / Self::CHUNK_ROWS) {
            Some(Some(chunk)) => *chunk.row(index % Self::CHUNK_ROWS),
            _ => Zeroable::zeroed(),
        }
    }

    /// The row at `index`, for writing.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> &mut T {
        self.end = self.end.max(index + 1);
        let (number, row) = (index / Self::CHUNK_ROWS, index % Self::CHUNK_ROWS);
        if self.chunks.get(number).is_none_or(Option::is_none) {
            self.add_chunk(number);
        }
        self.chunks[number].as_mut().expect("it was added if it was absent").row_mut(row)
    }

    /// Rows from `first` on, which must be in one chunk: up to a power of two of them that divides `first`.
    /// `None` where none was written.
    #[inline]
    pub fn slice(&self, first: usize, rows: usize) -> Option<&[T]> {
        let chunk = self.chunks.get(first / Self::CHUNK_ROWS)?.as_ref()?;
        let at = first % Self::CHUNK_ROWS;
        Some(chunk.room_of(at..at + rows))
    }

    /// As [`Sparse::slice`], for writing.
    #[inline]
    pub fn slice_mut(&mut self, first: usize, rows: usize) -> &mut [T] {
        self.end = self.end.max(first + rows);
        let (number, at) = (first / Self::CHUNK_ROWS, first % Self::CHUNK_ROWS);
        if self.chunks.get(number).is_none_or(Option::is_none) {
            return self.added_chunk(number).room_of_mut(at..at + rows);
        }
        self.chunks[number].as_mut().expect("it is there").room_of_mut(at..at + rows)
    }

    #[cold]
    fn added_chunk(&mut self, number: usize) -> &mut Region<T> {
        self.add_chunk(number);
        self.chunks[number].as_mut().expect("it was added")
    }

    #[cold]
    fn add_chunk(&mut self, number: usize) {
        if self.chunks.len() <= number {
            self.chunks.resize_with(number + 1, || None);
        }
        self.chunks[number] = Some(Region::sparse(Self::CHUNK_ROWS));
    }
}

/// Chunks count as full up to the last row that was written, though pages without any are not in memory.
impl<T: Plain> Held for Sparse<T> {
    fn bytes(&self) -> usize {
        let unused = self.chunks.len() * Self::CHUNK_ROWS - self.end;
        let rows = self.chunks.iter().flatten().count() * Self::CHUNK_ROWS;
        (rows - unused) * size_of::<T>() + self.chunks.capacity() * size_of::<Option<Region<T>>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = Sparse::<i64>::CHUNK_ROWS;

    #[test]
    fn rows_are_zero_until_they_are_written() {
        let mut sparse = Sparse::<i64>::new();
        assert!(sparse.is_empty() && sparse.get(0) == 0 && sparse.get(usize::MAX) == 0);
        let written = [3, ROWS - 1, ROWS, 3 * ROWS + 7, 5];
        for (value, index) in (1..).zip(written) {
            assert_eq!(sparse.get(index), 0, "{index}");
            *sparse.get_mut(index) += value;
        }
        *sparse.get_mut(5) -= 12;
        let expected = [1, 2, 3, 4, -7];
        assert_eq!(written.map(|index| sparse.get(index)), expected);
        assert_eq!([0, 4, ROWS + 1, 2 * ROWS, 3 * ROWS + 8, 9 * ROWS].map(|index| sparse.get(index)), [0; 6]);
        assert_eq!(sparse.end(), 3 * ROWS + 8);
        assert!(!sparse.is_empty());
    }

    #[test]
    fn memory_is_that_of_chunks_in_use_up_to_the_last_row() {
        let mut sparse = Sparse::<i64>::new();
        assert_eq!(sparse.bytes(), 0);
        *sparse.get_mut(9) = 1;
        assert!((80..1_024).contains(&sparse.bytes()), "{}", sparse.bytes());
        *sparse.get_mut(3 * ROWS + 9) = 1;
        let chunk = ROWS * 8;
        assert!((chunk + 80..chunk + 4_096).contains(&sparse.bytes()), "{}", sparse.bytes());
    }
}
