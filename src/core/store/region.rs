//! Memory for many rows, in mappings of their own: it goes back to the system when it is dropped, and only
//! what is used of it is taken.
//!
//! Work that grows with the network (a frozen copy, the pages kept for it, a recount) takes memory by the
//! gigabyte for some seconds, each time on another thread. Taken in small pieces it comes from the
//! allocator's arenas, of which each thread has its own, and stays there when it is freed: four such works
//! left a server of 3.8 GB with 14.4.
//!
//! What is as large as the allocator's largest threshold is in a mapping alone, whatever the allocator has
//! seen before (glibc: 32 MiB, `M_MMAP_THRESHOLD` in mallopt(3); the other common ones begin far below), and
//! stays in one when it is made smaller while nothing is in it. So a room is asked for that large and then
//! cut to what is meant, which costs two calls of the system and no memory. No unsafe code is needed for it,
//! nor another allocator; this is the one place that would change, should there be a better way.

/// Bytes from which on an allocation is in a mapping of its own.
const MAPPED_BYTES: usize = 32 * 1024 * 1024;
/// Bytes up to which rows are on the heap all the same: so little goes unnoticed.
const SMALL_BYTES: usize = 64 * 1024;
/// Bytes of a region at most: so many that huge pages, where they are asked for, fill nearly all of it
/// wherever it begins.
pub(crate) const REGION_BYTES: usize = MAPPED_BYTES;
/// Bytes at most of a region that copies share once it is full: little, since they copy what is not.
pub(crate) const SHARED_BYTES: usize = 4 * 1024 * 1024;
/// Rows that a vector begins with, at least.
const ROWS_FIRST: usize = 4;

/// The largest power of two of rows that are within so many bytes, and at least one.
pub(crate) const fn rows_within<T>(bytes: usize) -> usize {
    let rows = bytes / size_of::<T>();
    if rows == 0 { 1 } else { 1 << rows.ilog2() }
}

/// Whether so many rows are on the heap.
pub(crate) const fn is_small<T>(rows: usize) -> bool {
    rows <= SMALL_BYTES / size_of::<T>()
}

/// An empty vector with room for `rows`, in a mapping of its own unless they are few.
pub(crate) fn with_room<T>(rows: usize) -> Vec<T> {
    if is_small::<T>(rows) {
        return Vec::with_capacity(rows);
    }
    let mut room = Vec::with_capacity(rows.max(MAPPED_BYTES.div_ceil(size_of::<T>())));
    room.shrink_to(rows);
    room
}

/// As `vec![value; rows]`, with room as by [`with_room`].
pub(crate) fn filled<T: Copy>(value: T, rows: usize) -> Vec<T> {
    let mut filled = with_room(rows);
    filled.resize(rows, value);
    filled
}

/// Appends a row to a region of up to `region_rows` that is not full. What there is no room for takes twice
/// as much room as long as it is small, then a region at once: no more than little is ever moved.
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
