//! A sorted sequence of 32-bit numbers with insertion anywhere: an index whose keys are stored elsewhere.
//!
//! The caller defines the order: each call passes a predicate that says whether a number is before the
//! position meant. Numbers are in leaves of at most [`LEAF_ITEMS_MAX`], so an insertion moves a few kilobytes
//! whatever the length. 4 bytes a number when built at once, some 6 when inserted in any order.

use crate::core::store::held::Held;

/// The most numbers per leaf: 4 KiB.
const LEAF_ITEMS_MAX: usize = 1_024;

#[derive(Default)]
pub(crate) struct Sequence {
    /// None of them is empty.
    leaves: Vec<Vec<u32>>,
}

impl Sequence {
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds a sequence from sorted numbers.
    pub fn of_sorted(items: impl Iterator<Item = u32>) -> Self {
        let mut leaves: Vec<Vec<u32>> = Vec::new();
        for item in items {
            match leaves.last_mut() {
                Some(leaf) if leaf.len() + 1 < LEAF_ITEMS_MAX => leaf.push(item),
                _ => leaves.push(vec![item]),
            }
        }
        Self { leaves }
    }

    /// Number of items. O(leaves).
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.leaves.iter().map(Vec::len).sum()
    }

    /// The last number for which `is_before` holds, which must hold for a prefix of the sequence. O(log n).
    pub fn last(&self, is_before: impl Fn(u32) -> bool) -> Option<u32> {
        let after = self.leaves.partition_point(|leaf| is_before(leaf[0]));
        let leaf = &self.leaves[after.checked_sub(1)?];
        Some(leaf[leaf.partition_point(|item| is_before(*item)) - 1])
    }

    /// Inserts a number after those for which `is_before` holds. O(log n), plus moving the numbers of one
    /// leaf.
    pub fn insert(&mut self, item: u32, is_before: impl Fn(u32) -> bool) {
        let leaf = self.leaves.partition_point(|leaf| is_before(leaf[0])).saturating_sub(1);
        let Some(items) = self.leaves.get_mut(leaf) else {
            self.leaves.push(vec![item]);
            return;
        };
        let at = items.partition_point(|other| is_before(*other));
        items.insert(at, item);
        if items.len() == LEAF_ITEMS_MAX {
            // Sequences that mostly grow at the end keep full leaves.
            let is_last = at + 1 == LEAF_ITEMS_MAX;
            let rest = items.split_off(if is_last { at } else { LEAF_ITEMS_MAX / 2 });
            self.leaves.insert(leaf + 1, rest);
        }
    }
}

impl Held for Sequence {
    fn bytes(&self) -> usize {
        let items: usize = self.leaves.iter().map(Vec::capacity).sum();
        items * size_of::<u32>() + self.leaves.capacity() * size_of::<Vec<u32>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(sequence: &Sequence) -> Vec<u32> {
        sequence.leaves.iter().flatten().copied().collect()
    }

    #[test]
    fn numbers_put_in_anywhere_stand_in_order() {
        for step in [1, 7, 4_999, 9_998] {
            let mut sequence = Sequence::new();
            let numbers: Vec<u32> = (0..10_000).map(|number| number * step % 10_007).collect();
            for number in &numbers {
                sequence.insert(*number, |other| other < *number);
                assert!(sequence.leaves.iter().all(|leaf| !leaf.is_empty() && leaf.len() < LEAF_ITEMS_MAX));
            }
            let mut sorted = numbers;
            sorted.sort_unstable();
            assert_eq!((all(&sequence), sequence.len()), (sorted.clone(), sorted.len()), "{step}");
            assert_eq!(all(&Sequence::of_sorted(sorted.iter().copied())), sorted);
            for bound in (0..10_010).step_by(13) {
                let expected = sorted[..sorted.partition_point(|number| *number < bound)].last().copied();
                assert_eq!(sequence.last(|number| number < bound), expected, "{bound}");
            }
        }
    }

    #[test]
    fn what_comes_in_order_keeps_full_leaves() {
        let mut sequence = Sequence::new();
        (0..100_000).for_each(|number| sequence.insert(number, |other| other < number));
        assert!(sequence.leaves.len() <= 100_000 / (LEAF_ITEMS_MAX - 1) + 1);
        assert_eq!((Sequence::new().len(), Sequence::new().last(|_| true)), (0, None));
    }
}
