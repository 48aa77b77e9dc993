//! Short texts, numbered in the order in which they came, each once, with an index from text to number.

use std::{
    hash::{BuildHasher, RandomState},
    hint::black_box,
};

use bytemuck::{Pod, Zeroable};

use crate::core::{
    store::{column::freeze_fields, held::holds_nothing, id_table::IdTable, settled::Settled},
    words::types::MemberIx,
};

/// The most bytes of a text.
pub(crate) const TEXT_BYTES_MAX: usize = 64;
/// The most texts.
const TEXTS_MAX: usize = u32::MAX as usize - 1;

/// Texts whose lines are read together.
const TOGETHER: usize = 64;

/// Where a text ends; it begins where the one before ends.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq)]
#[repr(transparent)]
struct End(u64);

/// The texts. Memory: their bytes and some 18 for each.
pub(crate) struct Texts {
    ends: Settled<End>,
    bytes: Settled<u8>,
    /// Numbers by hash of the text. Not in copies: rebuilt.
    table: IdTable,
    /// Random per process: texts come from outside, so clients must not be able to force collisions.
    hashing: RandomState,
}

holds_nothing!(RandomState);

freeze_fields!(Texts { ends, bytes } derived { table, hashing });

impl Texts {
    pub fn new() -> Self {
        Self {
            ends: Settled::new(),
            bytes: Settled::new(),
            table: IdTable::with_capacity(0),
            hashing: RandomState::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    fn index_derived(&mut self) {
        let mut table = IdTable::with_capacity(self.len());
        for at in 0..self.len() {
            table.add(self.hash(self.text(at).as_bytes()), MemberIx(narrow(at)));
        }
        self.table = table;
    }

    /// The text of a number below `len`.
    pub fn text(&self, at: usize) -> Box<str> {
        let mut room = [0; TEXT_BYTES_MAX];
        std::str::from_utf8(self.read(at, &mut room)).expect("only texts are stored").into()
    }

    /// The number of a text. O(1).
    pub fn find(&self, text: &str) -> Option<u32> {
        if self.len() == 0 {
            return None;
        }
        let mut room = [0; TEXT_BYTES_MAX];
        let is = |at: MemberIx| self.read(at.at(), &mut room) == text.as_bytes();
        self.table.find(self.hash(text.as_bytes()), is).map(|found| found.0)
    }

    /// Whether another text fits.
    pub fn has_room(&self) -> bool {
        self.len() < TEXTS_MAX
    }

    /// Numbers a text of at most [`TEXT_BYTES_MAX`] bytes that is not there. O(1).
    pub fn push(&mut self, text: &str) -> u32 {
        debug_assert!(text.len() <= TEXT_BYTES_MAX && self.find(text).is_none());
        let at = narrow(self.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.push(End(self.bytes.len() as u64));
        self.table.add(self.hash(text.as_bytes()), MemberIx(at));
        at
    }

    /// Prefetches what [`Texts::find`] reads, for all of `texts` together, and what `beyond` reads by the
    /// number that a text is most likely to have. The result is meaningless.
    pub fn prefetch<'t>(
        &self,
        mut texts: impl Iterator<Item = &'t str>,
        beyond: impl Fn(usize) -> u32,
    ) -> u32 {
        let (mut hashes, mut seen) = ([0; TOGETHER], 0);
        let first_byte = |at: usize| self.bytes.get(self.start(at));
        let mut numbers = Vec::with_capacity(TOGETHER);
        loop {
            // All hashes first: computing one between two reads would leave few of them in flight.
            let pairs = hashes.iter_mut().zip(texts.by_ref());
            let known = pairs.map(|(hash, text)| *hash = self.hash(text.as_bytes())).count();
            if known == 0 {
                return seen;
            }
            let hashes = &hashes[..known];
            seen = hashes.iter().fold(seen, |seen, hash| seen ^ self.table.prefetch(*hash));
            numbers.clear();
            let found = hashes.iter().filter_map(|hash| self.table.find(*hash, |_| true));
            numbers.extend(found.map(MemberIx::at));
            black_box(numbers.iter().fold(0, |seen, at| seen ^ self.start(*at)));
            seen = numbers.iter().fold(seen, |seen, at| seen ^ beyond(*at) ^ u32::from(*first_byte(*at)));
        }
    }

    /// Where a text begins.
    fn start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.end(before))
    }

    fn end(&self, at: usize) -> usize {
        usize::try_from(self.ends.get(at).0).expect("offsets are positions in memory")
    }

    fn read<'r>(&self, at: usize, room: &'r mut [u8; TEXT_BYTES_MAX]) -> &'r [u8] {
        let mut read = 0;
        self.bytes.each_range(self.start(at)..self.end(at), |bytes| {
            room[read..read + bytes.len()].copy_from_slice(bytes);
            read += bytes.len();
        });
        &room[..read]
    }

    fn hash(&self, text: &[u8]) -> u32 {
        u32::try_from(self.hashing.hash_one(text) >> 32).expect("32 bits")
    }
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).expect("limited by TEXTS_MAX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::store::{
        column::{Freeze, ViewId},
        freeing::Freeing,
    };

    #[test]
    fn texts_and_numbers_lead_to_each_other_in_copies_too() {
        let text = |at: u32| format!("{:x}-{at}", at.wrapping_mul(2_654_435_761));
        let mut texts = Texts::new();
        for at in 0..3_000 {
            assert_eq!(texts.find(&text(at)), None);
            assert_eq!(texts.push(&text(at)), at);
        }
        texts.freeze(ViewId::FIRST);
        let longest = "\u{fc}".repeat(TEXT_BYTES_MAX / 2);
        texts.push(&longest);
        let mut copy = Texts::new();
        while !texts.copy_step(ViewId::FIRST, &mut copy) {}
        texts.thaw(ViewId::FIRST, &mut Freeing::new());
        copy.index_copy();
        assert_eq!((texts.find(&longest), copy.find(&longest)), (Some(3_000), None));
        for texts in [&texts, &copy] {
            for at in 0..3_000 {
                assert_eq!((&*texts.text(at as usize), texts.find(&text(at))), (&*text(at), Some(at)));
            }
            assert_eq!(texts.find(""), None);
        }
    }
}
