//! Memory for many rows, in mappings of its own: it goes back to the system when dropped, and only the used
//! part is resident.
//!
//! Work that grows with the network (a frozen copy, its kept pages, a recount) takes gigabytes of memory for
//! some seconds, each time on another thread. Small allocations come from the allocator's per-thread arenas,
//! and stay there when freed: four such tasks left a server of 3.8 GB with 14.4.
//!
//! An allocation as large as the allocator's largest threshold gets a mapping of its own, whatever was
//! allocated before (glibc: 32 MiB, `M_MMAP_THRESHOLD` in mallopt(3); the other common ones start far below),
//! and keeps it when shrunk while empty. So a vector is allocated that large and then shrunk to the intended
//! size, which costs two system calls and no memory. This needs no unsafe code and no other allocator; a
//! better way would change only this file.

use crate::core::store::pace::Pace;

/// Allocations of at least this size get a mapping of their own.
const MAPPED_BYTES: usize = 32 * 1024 * 1024;
/// Rows up to this size stay on the heap: so little does not matter.
const SMALL_BYTES: usize = 64 * 1024;
/// The largest size of a region: large enough that huge pages, where enabled, cover nearly all of it at any
/// alignment.
pub(crate) const REGION_BYTES: usize = MAPPED_BYTES;
/// The largest size of a region that copies share once it is full: small, since copies duplicate the partial
/// one.
pub(crate) const SHARED_BYTES: usize = 4 * 1024 * 1024;
/// Bytes that are filled at a time: new memory costs some 0.3 us a page.
const FILLED_BYTES: usize = 1024 * 1024;
/// Minimum initial capacity of a vector, in rows.
const ROWS_FIRST: usize = 4;

/// The largest power of two of rows that fit in this many bytes, at least one.
pub(crate) const fn rows_within<T>(bytes: usize) -> usize {
    let rows = bytes / size_of::<T>();
    if rows == 0 { 1 } else { 1 << rows.ilog2() }
}

/// Whether this many rows stay on the heap.
pub(crate) const fn is_small<T>(rows: usize) -> bool {
    rows <= SMALL_BYTES / size_of::<T>()
}

/// An empty vector with capacity for `rows`, in a mapping of its own unless they are few.
pub(crate) fn with_room<T>(rows: usize) -> Vec<T> {
    if is_small::<T>(rows) {
        return Vec::with_capacity(rows);
    }
    let mut room = Vec::with_capacity(rows.max(MAPPED_BYTES.div_ceil(size_of::<T>())));
    room.shrink_to(rows);
    room
}

/// Like `vec![value; rows]`, allocated as by [`with_room`].
pub(crate) fn filled<T: Copy>(value: T, rows: usize) -> Vec<T> {
    let mut filled = with_room(rows);
    fill_to(&mut filled, rows, value);
    filled
}

/// Fills up to this many rows, in pieces.
pub(crate) fn fill_to<T: Copy>(filled: &mut Vec<T>, rows: usize, value: T) {
    let pieces = (filled.len()..rows).step_by(rows_within::<T>(FILLED_BYTES)).skip(1);
    for end in pieces.chain([rows]).paced_by(1) {
        filled.resize(end, value);
    }
}

/// Appends a row to a region of up to `region_rows` that is not full. A full allocation doubles while it is
/// small, then becomes a region at once: only small ones are ever moved.
#[inline]
pub(crate) fn push<T>(rows: &mut Vec<T>, value: T, region_rows: usize) {
    if rows.len() == rows.capacity() {
        grow(rows, region_rows);
    }
    rows.push(value);
}

#[cold]
fn grow<T>(rows: &mut Vec<T>, region_rows: usize) {
    let twice = (rows.len() * 2).max(ROWS_FIRST);
    let room = if twice * size_of::<T>() <= SMALL_BYTES { twice } else { region_rows };
    let mut larger = with_room(room);
    larger.append(rows);
    *rows = larger;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_what_was_asked_for() {
        for rows in [0, 1, 100, SMALL_BYTES / 8, SMALL_BYTES / 8 + 1, 1_000_000, 10_000_000] {
            assert_eq!(with_room::<u64>(rows).capacity(), rows);
        }
        assert_eq!(filled(7_u16, 100_000), vec![7; 100_000]);
        assert_eq!(rows_within::<[u8; 24]>(SHARED_BYTES), 131_072);
        assert_eq!((rows_within::<[u8; 24]>(4_096), rows_within::<[u8; 8_192]>(4_096)), (128, 1));
    }

    #[test]
    fn a_vector_moves_only_while_it_is_small() {
        let (mut rows, mut moves, mut room) = (Vec::new(), 0, 0);
        for row in 0..500_000 {
            push(&mut rows, row, 500_000);
            if rows.capacity() != room {
                assert!(rows.len() * 8 <= SMALL_BYTES + 8);
                (room, moves) = (rows.capacity(), moves + 1);
            }
        }
        assert!((2..20).contains(&moves), "{moves}");
        assert!(rows.iter().copied().eq(0..rows.len() as u64));
    }
}
