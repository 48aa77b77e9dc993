//! Memory of a fixed size, in a mapping of its own, and the rows in it.
//!
//! A mapping is bytes, and a room shows them as rows. Both crates that this takes keep the unsafe code: rows
//! must be plain numbers, for which any bytes are valid (`bytemuck`), and the slice of rows is kept next to
//! the mapping that it borrows (`ouroboros`), so that reading a row costs what it does in a vector.

#![expect(clippy::mut_from_ref, reason = "in code that `ouroboros` writes")]

use std::cell::Cell;

use bytemuck::Pod;
use memmap2::MmapMut;

use crate::core::store::pace::give_way;

/// Rows up to this size stay on the heap: so little does not matter.
const SMALL_BYTES: usize = 64 * 1024;
/// Bytes of a huge page, as on most machines. Elsewhere the requests are merely less exact.
pub(super) const HUGE_PAGE_BYTES: usize = 2 * 1024 * 1024;

thread_local! {
    /// Whether mappings made on this thread do without huge pages.
    static SMALL_PAGES: Cell<bool> = const { Cell::new(false) };
}

/// From now on mappings made on this thread do without huge pages. For threads on which somebody waits for
/// each single step: the first touch of a huge page takes hundreds of times as long as that of a small one.
pub fn use_small_pages() {
    SMALL_PAGES.set(true);
}

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

/// The system takes back small pages one by one: those of a whole network in milliseconds.
impl<T: Plain> Drop for Room<T> {
    fn drop(&mut self) {
        give_way();
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
    let huge_bytes = huge_bytes(bytes, plain_bytes);
    #[cfg(target_os = "linux")]
    if huge_bytes != 0 {
        // A kernel without huge pages refuses.
        let _ = map.advise_range(memmap2::Advice::HugePage, plain_bytes, huge_bytes);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = huge_bytes;
    Some(map)
}

/// How much of a mapping asks for huge pages: whole ones, beyond the first `plain_bytes`.
fn huge_bytes(bytes: usize, plain_bytes: usize) -> usize {
    if SMALL_PAGES.get() {
        return 0;
    }
    (bytes / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES).saturating_sub(plain_bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::core::store::parallel::in_background;

    #[test]
    fn the_core_is_offered_before_each_mapping_that_goes() {
        static OFFERS: AtomicUsize = AtomicUsize::new(0);
        let rooms: Vec<Room<u64>> = (0..10).map(|_| Room::of(100_000, 0)).collect();
        in_background(1, || _ = OFFERS.fetch_add(1, Ordering::Relaxed), || drop(rooms));
        assert_eq!(OFFERS.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn whole_huge_pages_are_asked_for_except_on_threads_that_use_small_ones() {
        const HUGE: usize = HUGE_PAGE_BYTES;
        let asked = || {
            [(HUGE - 1, 0), (3 * HUGE + 5, 0), (3 * HUGE, HUGE), (HUGE, usize::MAX)]
                .map(|(bytes, plain)| huge_bytes(bytes, plain))
        };
        assert_eq!(asked(), [0, 3 * HUGE, 2 * HUGE, 0]);
        let elsewhere = std::thread::spawn(move || {
            use_small_pages();
            asked()
        });
        assert_eq!(elsewhere.join().unwrap(), [0; 4]);
        assert_eq!(in_background(1, || (), asked), [0; 4]);
        assert_eq!(asked(), [0, 3 * HUGE, 2 * HUGE, 0]);
    }
}
