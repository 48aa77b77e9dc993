//! The members of a tree that have children, numbered by index: what passes need rows for.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use crate::core::{
    store::region::Region,
    tree::genealogy::Genealogy,
    words::types::{MemberIx, index},
};

/// Members of a word.
const BITS: usize = 32;
/// Words that one thread fills.
const BLOCK: usize = 2 * 1_024;

/// Some members, and the number of each among them. 2 bits a member, so all of it stays in a cache.
pub(super) struct Inner {
    words: Region<Word>,
    len: usize,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Word {
    /// A bit for each member, the lowest for the first.
    bits: u32,
    /// Members with a bit in earlier words.
    before: u32,
}

impl Inner {
    /// The members with children. O(members).
    pub fn of(tree: &Genealogy) -> Self {
        let mut words: Region<Word> = Region::zeroed(tree.len().div_ceil(BITS));
        words.par_chunks_mut(BLOCK).enumerate().for_each(|(block, words)| {
            for (word, number) in words.iter_mut().zip(block * BLOCK..) {
                let members = number * BITS..tree.len().min((number + 1) * BITS);
                for (bit, member) in members.enumerate() {
                    word.bits |= u32::from(tree.link(index(member)).children != 0) << bit;
                }
            }
        });
        let mut len = 0;
        for word in &mut *words {
            word.before = len;
            len += word.bits.count_ones();
        }
        Self { words, len: len as usize }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of a member, if it has children. O(1).
    #[inline]
    pub fn number(&self, member: MemberIx) -> Option<usize> {
        let word = self.words.row(member.at() / BITS);
        let bit = member.at() % BITS;
        let is_in = word.bits >> bit & 1 != 0;
        is_in.then(|| (word.before + (word.bits & !(u32::MAX << bit)).count_ones()) as usize)
    }

    /// How many members below `index` have children. O(1).
    pub fn before(&self, index: usize) -> usize {
        self.words.get(index / BITS).map_or(self.len, |word| {
            (word.before + (word.bits & !(u32::MAX << (index % BITS))).count_ones()) as usize
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tree::counting::Watch;

    #[test]
    fn members_with_children_are_numbered_in_their_order() {
        for members in [0, 1, 31, 32, 33, 64, 5_000_u32] {
            let mut tree = Genealogy::new(false);
            let mut children = vec![0; members as usize];
            for member in 0..members {
                let place = member.checked_sub(1).map(|before| MemberIx(before - before % 7));
                let spot = place.map(|parent| (parent, children[parent.at()]));
                tree.attach(spot, &Watch::default(), &mut Vec::new());
                place.iter().for_each(|parent| children[parent.at()] += 1);
            }
            let inner = Inner::of(&tree);
            let mut number = 0;
            for (member, children) in children.iter().enumerate() {
                assert_eq!(inner.before(member), number);
                let expected = (*children != 0).then_some(number);
                assert_eq!(inner.number(index(member)), expected, "{member} of {members}");
                number += usize::from(*children != 0);
            }
            assert_eq!((inner.len(), inner.before(members as usize)), (number, number));
        }
    }
}
