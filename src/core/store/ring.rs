//! A ring of rows: a queue of bounded length that freezes and is copied like a column.

use crate::core::store::{
    column::{Column, Scalar, freeze_fields},
    region::Plain,
};

/// A queue of at most `MAX` rows, oldest first. A row keeps its place while it is in the queue, so an index
/// can refer to it by that.
pub(crate) struct Ring<T: Plain, const MAX: usize> {
    rows: Column<T>,
    ends: Scalar<Ends>,
}

#[derive(Clone, Copy)]
struct Ends {
    /// The place of the oldest row.
    oldest: usize,
    len: usize,
}

freeze_fields!([T: Plain, const MAX: usize] Ring<T, MAX> { ends, rows });

impl<T: Plain, const MAX: usize> Ring<T, MAX> {
    pub fn new() -> Self {
        Self { rows: Column::new(), ends: Scalar::new(Ends { oldest: 0, len: 0 }) }
    }

    pub fn len(&self) -> usize {
        self.ends.len
    }

    /// The place of the `at`-th row, oldest first.
    pub fn place(&self, at: usize) -> usize {
        (self.ends.oldest + at) % MAX
    }

    /// The row at a place.
    pub fn at_place(&self, place: usize) -> &T {
        self.rows.get(place)
    }

    /// The `at`-th row, oldest first. `at` must be below `len`.
    pub fn get(&self, at: usize) -> &T {
        self.at_place(self.place(at))
    }

    pub fn oldest(&self) -> Option<&T> {
        (self.len() != 0).then(|| self.get(0))
    }

    pub fn newest(&self) -> Option<&T> {
        self.len().checked_sub(1).map(|last| self.get(last))
    }

    /// Adds a row and returns its place. The ring must not be full: see [`Ring::make_room`].
    pub fn push(&mut self, row: T) -> usize {
        debug_assert!(self.len() < MAX);
        let place = self.place(self.len());
        if place == self.rows.len() {
            self.rows.push(row);
        } else {
            *self.rows.get_mut(place) = row;
        }
        self.ends.len += 1;
        place
    }

    /// Takes the oldest row out if the ring is full; returns it and its place.
    pub fn make_room(&mut self) -> Option<(usize, T)> {
        if self.len() == MAX { self.pop() } else { None }
    }

    /// Takes the oldest row out; returns it and its place.
    pub fn pop(&mut self) -> Option<(usize, T)> {
        let (place, row) = (self.ends.oldest, *self.oldest()?);
        self.ends.len -= 1;
        // An empty ring begins again at its first place.
        self.ends.oldest = if self.len() == 0 { 0 } else { self.place(1) };
        Some((place, row))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::core::store::{
        column::{Freeze, ViewId},
        freeing::Freeing,
    };

    fn all<const MAX: usize>(ring: &Ring<u64, MAX>) -> Vec<u64> {
        (0..ring.len()).map(|at| *ring.get(at)).collect()
    }

    #[test]
    fn it_is_a_queue_that_wraps_around() {
        let (mut ring, mut queue) = (Ring::<u64, 7>::new(), VecDeque::new());
        for step in 0..10_000_u64 {
            // Longer runs of one kind, so that it gets full and empty.
            if step / 11 % 3 == 0 || step % 5 == 0 {
                let taken = ring.pop();
                assert_eq!(taken.map(|(_, row)| row), queue.pop_front());
            } else {
                let gone = ring.make_room();
                assert_eq!(gone.is_some(), queue.len() == 7);
                if gone.is_some() {
                    assert_eq!(gone.map(|(_, row)| row), queue.pop_front());
                }
                let place = ring.push(step);
                queue.push_back(step);
                assert_eq!((place, *ring.at_place(place)), (ring.place(ring.len() - 1), step));
            }
            assert_eq!((ring.oldest(), ring.newest()), (queue.front(), queue.back()));
            assert!(all(&ring).iter().eq(&queue), "{step}");
        }
    }

    #[test]
    fn a_frozen_copy_is_the_ring_as_it_was() {
        let mut ring = Ring::<u64, 20>::new();
        let add = |ring: &mut Ring<u64, 20>, row| {
            ring.make_room();
            ring.push(row);
        };
        (0..30).for_each(|row| add(&mut ring, row));
        ring.freeze(ViewId::FIRST);
        (30..45).for_each(|row| add(&mut ring, row));
        let mut copy = Ring::new();
        while !ring.copy_step(ViewId::FIRST, &mut copy) {}
        ring.thaw(ViewId::FIRST, &mut Freeing::new());
        assert!(all(&copy).into_iter().eq(10..30) && all(&ring).into_iter().eq(25..45));
        add(&mut copy, 7);
        assert_eq!((copy.len(), copy.newest()), (20, Some(&7)));
    }
}
