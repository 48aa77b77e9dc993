//! Memory of a fixed size, in a mapping of its own, and the rows in it.
//!
//! A mapping is bytes, and a room shows them as rows. Both crates that this takes keep the unsafe code: rows
//! must be plain numbers, for which any bytes are valid (`bytemuck`), and the slice of rows is kept next to
//! the mapping that it borrows (`ouroboros`), so that reading a row costs what it does in a vector.

#![expect(clippy::mut_from_ref, reason = "in code that `ouroboros` writes")]

use bytemuck::Pod;
use memmap2::MmapMut;

/// Rows up to this size stay on the heap: so little does not matter.
const SMALL_BYTES: usize = 64 * 1024;
/// Bytes of a huge page, as on most machines. Elsewhere the requests are merely less exact.
pub(super) const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

/// A row that can be in a region: numbers without gaps between them, for which all bytes are valid.
pub trait Plain: Pod + Send + Sync {}

impl<T: Pod + Send + Sync> Plain for T {}

/// Whether this many rows stay on the heap.
pub const fn is_small<T>(rows: usize) -> bool {
    rows <= SMALL_BYTES / size_of::<T>()
}

/// Rows, all of them there: zeros at first.
pub(super) struct Room<T: Plain>(Shown<T>);

impl<T: Plain> Room<T> {
    /// Room for `rows`. What is beyond the first `plain_bytes` asks for huge pages.
    pub fn of(rows: usize, plain_bytes: usize) -> Self {
        Self(Shown::new(Memory::new(rows, plain_bytes), Memory::rows))
    }

    #[inline]
    pub fn rows(&self) -> &[T] {
        self.0.borrow_rows()
    }

    #[inline]
    pub fn rows_mut(&mut self) -> &mut [T] {
        self.0.with_rows_mut(|rows| &mut **rows)
    }
}

/// Memory, and all of it as rows.
#[ouroboros::self_referencing]
struct Shown<T: Plain> {
    memory: Memory<T>,
    #[borrows(mut memory)]
    rows: &'this mut [T],
}

enum Memory<T> {
    Heap(Box<[T]>),
    Mapped { map: MmapMut, bytes: usize },
}

impl<T: Plain> Memory<T> {
    /// Zeros, of which the first `plain_bytes` are in pages of the usual size.
    fn new(rows: usize, plain_bytes: usize) -> Self {
        let bytes = rows.checked_mul(size_of::<T>()).expect("rows that are in memory");
        let map = if is_small::<T>(rows) { None } else { mapping(bytes, plain_bytes) };
        // Without a mapping there is hardly any memory left: the allocator gives it, or ends the process.
        map.map_or_else(|| Self::Heap(bytemuck::zeroed_slice_box(rows)), |map| Self::Mapped { map, bytes })
    }

    fn rows(&mut self) -> &mut [T] {
        match self {
            Self::Heap(rows) => rows,
            Self::Mapped { map, bytes } => bytemuck::cast_slice_mut(&mut map[..*bytes]),
        }
    }
}

/// A mapping that asks for huge pages beyond `plain_bytes`, but for no more than it has room for.
fn mapping(bytes: usize, plain_bytes: usize) -> Option<MmapMut> {
    // Systems align a mapping to huge pages if it consists of whole ones.
    let map = MmapMut::map_anon(bytes.checked_next_multiple_of(HUGE_PAGE_BYTES)?).ok()?;
    let huge_bytes = (bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES).saturating_sub(plain_bytes);
    #[cfg(target_os = "linux")]
    if huge_bytes != 0 {
        // A kernel without huge pages refuses.
        let _ = map.advise_range(memmap2::Advice::HugePage, plain_bytes, huge_bytes);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = huge_bytes;
    Some(map)
}
