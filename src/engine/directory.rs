//! The directory maps external ids to member indexes.
//!
//! The writer thread alone writes it, under the state's lock; anyone may read it. An index is copied out at
//! once: no guard ever leaves a function of this file, so none can be held across another call or an await.
//!
//! The table of ids (`core/store/id_table.rs`) holds member indexes and hashes only: the ids themselves are
//! in the state, which confirms each candidate. A member costs some 10 bytes here instead of the 35 of a map
//! keyed by id, and a group of signups can prefetch all of its members under one lock, so that their cache
//! misses overlap (one lock each would serialize them).
//!
//! Hashing is `SipHash` under a key that is random per process (`RandomState`): ids and codes come from
//! outside, so clients must not be able to force collisions.

use std::{
    hash::{BuildHasher, RandomState},
    hint::black_box,
};

use dashmap::DashMap;
use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockWriteGuard};

use super::limits::DIRECTORY_SHARDS;
use crate::core::{
    id_table::IdTable,
    state::Directory,
    types::{MemberId, MemberIx, alike},
};

/// Members whose lines are read together.
const TOGETHER: usize = 64;

/// From ids and referral codes to indexes. Some 10 bytes per member, and the code's own bytes plus some 28
/// per code that was given (generated codes are computed, not stored).
///
/// Readers use it inside `Engine::read`, where the state's lock keeps it consistent with the state: every
/// index in it is below `State::len`. With a frozen view or a past state, it may return members that those do
/// not have yet: the caller confirms each candidate.
pub struct MemberDirectory {
    ids: RwLock<IdIndex>,
    codes: CodeIndex,
}

/// The same for one thread, without locks around ids: a lookup does not wait for earlier stores.
pub struct UnsharedDirectory {
    ids: IdIndex,
    codes: CodeIndex,
}

/// Owners of given codes, by the code and by what resembles it.
struct CodeIndex {
    codes: DashMap<Box<str>, u32, RandomState>,
    alike: AlikeIndex,
}

impl CodeIndex {
    fn with_capacity(codes: usize) -> Self {
        Self {
            codes: DashMap::with_capacity_and_hasher_and_shard_amount(
                codes,
                RandomState::new(),
                DIRECTORY_SHARDS,
            ),
            alike: AlikeIndex::new(),
        }
    }

    fn owner(&self, folded: &str) -> Option<MemberIx> {
        self.codes.get(folded).map(|index| MemberIx(*index))
    }

    fn add(&self, folded: &str, member: MemberIx) {
        let before = self.codes.insert(folded.into(), member.0);
        assert!(before.is_none(), "a code is given once");
        let alike = alike(folded);
        if alike != folded {
            self.alike.add(&alike, member);
        }
    }
}

/// Owners of given codes that differ from their `alike` form (those with O, I or L in them), found by that
/// form. It stores no text: the state confirms each candidate. 9 bytes for each such code.
struct AlikeIndex {
    /// Half a hash of the form, and the owner.
    shards: Vec<RwLock<HashTable<(u32, u32)>>>,
    hashing: RandomState,
}

impl AlikeIndex {
    fn new() -> Self {
        Self {
            shards: std::iter::repeat_with(RwLock::default).take(DIRECTORY_SHARDS).collect(),
            hashing: RandomState::new(),
        }
    }

    fn hash(&self, alike: &str) -> u32 {
        u32::try_from(self.hashing.hash_one(alike) >> 32).expect("32 bits")
    }

    /// A table uses the lowest bits for placement and the highest for tags.
    fn spread(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }

    fn shard(&self, hash: u32) -> &RwLock<HashTable<(u32, u32)>> {
        &self.shards[hash as usize % DIRECTORY_SHARDS]
    }

    fn add(&self, alike: &str, member: MemberIx) {
        let hash = self.hash(alike);
        self.shard(hash)
            .write()
            .insert_unique(Self::spread(hash), (hash, member.0), |(hash, _)| Self::spread(*hash));
    }

    fn each(&self, alike: &str, each: &mut dyn FnMut(MemberIx)) {
        let hash = self.hash(alike);
        let candidates: Vec<u32> = {
            let table = self.shard(hash).read();
            table
                .iter_hash(Self::spread(hash))
                .filter(|(theirs, _)| *theirs == hash)
                .map(|(_, member)| *member)
                .collect()
        };
        candidates.into_iter().map(MemberIx).for_each(each);
    }

    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().allocation_size()).sum()
    }
}

/// Member indexes by the hash of the member's id.
struct IdIndex {
    table: IdTable,
    hashing: RandomState,
}

impl IdIndex {
    fn with_capacity(members: usize) -> Self {
        Self { table: IdTable::with_capacity(members), hashing: RandomState::new() }
    }

    fn hash(&self, id: &MemberId) -> u32 {
        u32::try_from(self.hashing.hash_one(u128::from_ne_bytes(id.0)) >> 32).expect("32 bits")
    }

    fn find(&self, id: &MemberId, is: impl FnMut(MemberIx) -> bool) -> Option<MemberIx> {
        self.table.find(self.hash(id), is)
    }

    fn add(&mut self, id: &MemberId, member: MemberIx) {
        self.table.add(self.hash(id), member);
    }

    /// See [`Directory::add_new_member`]: one hash; finding and adding separately take two.
    fn add_new(&mut self, id: &MemberId, member: MemberIx, id_of: impl Fn(MemberIx) -> MemberId) -> bool {
        self.add_hashed(self.hash(id), id, member, id_of)
    }

    #[inline]
    fn add_hashed(
        &mut self,
        hash: u32,
        id: &MemberId,
        member: MemberIx,
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> bool {
        let is_new = self.table.find(hash, |other| other < member && id_of(other) == *id).is_none();
        if is_new {
            self.table.add(hash, member);
        }
        is_new
    }

    /// See [`Directory::candidates`]. The lines of some ids are read together, so that their misses overlap.
    fn candidates<'a>(&self, ids: impl Iterator<Item = &'a MemberId>, candidates: &mut Vec<MemberIx>) {
        let mut hashes = [0; TOGETHER];
        let mut ids = ids;
        loop {
            let known = hashes.iter_mut().zip(ids.by_ref()).map(|(hash, id)| *hash = self.hash(id)).count();
            if known == 0 {
                return;
            }
            let hashes = &hashes[..known];
            black_box(hashes.iter().fold(0, |seen, hash| seen ^ self.table.prefetch(*hash)));
            candidates.extend(hashes.iter().filter_map(|hash| self.table.find(*hash, |_| true)));
        }
    }

    /// See [`Directory::add_new_members`]. Each id is in a line of its own, which is in no cache if there are
    /// many: those of some members are read together, so that their misses overlap.
    fn add_all_new(
        &mut self,
        first: MemberIx,
        ids: &[MemberId],
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> Result<(), MemberIx> {
        let mut hashes = [0; TOGETHER];
        let mut members = (first.0..).map(MemberIx);
        for ids in ids.chunks(TOGETHER) {
            // All hashes first: computing one between two reads would leave few of them in flight.
            hashes.iter_mut().zip(ids).for_each(|(hash, id)| *hash = self.hash(id));
            let hashes = &hashes[..ids.len()];
            black_box(hashes.iter().fold(0, |seen, hash| seen ^ self.table.prefetch(*hash)));
            for ((hash, id), member) in hashes.iter().zip(ids).zip(&mut members) {
                if !self.add_hashed(*hash, id, member, &id_of) {
                    return Err(member);
                }
            }
        }
        Ok(())
    }
}

impl MemberDirectory {
    /// Empty, with room for `members` and `codes` entries.
    pub fn with_capacity(members: usize, codes: usize) -> Self {
        Self { ids: RwLock::new(IdIndex::with_capacity(members)), codes: CodeIndex::with_capacity(codes) }
    }

    /// As [`Directory::code`], but a member at or beyond `published` (the length of some state) is unknown.
    pub fn code_below(&self, folded: &str, published: u32) -> Option<MemberIx> {
        self.code(folded).filter(|member| member.0 < published)
    }

    /// For a slice of changes, under the state's lock.
    pub fn write(&self) -> DirectoryWriter<'_> {
        DirectoryWriter { ids: self.ids.write(), shared: self }
    }

    /// Members in the directory.
    pub fn members(&self) -> usize {
        self.ids.read().table.len()
    }

    /// Given codes in the directory. O(shards).
    pub fn codes(&self) -> usize {
        self.codes.codes.len()
    }

    /// Bytes held by the tables: their capacity, without the text of codes. O(shards).
    pub fn bytes(&self) -> usize {
        let ids = self.ids.read().table.bytes();
        let CodeIndex { codes, alike } = &self.codes;
        ids + codes.capacity() * (size_of::<(Box<str>, u32)>() + 1) + alike.bytes()
    }
}

impl Directory for MemberDirectory {
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx> {
        self.ids.read().find(id, is)
    }

    fn add_member(&mut self, id: &MemberId, member: MemberIx, _: impl Fn(MemberIx) -> MemberId) {
        self.ids.get_mut().add(id, member);
    }

    fn add_new_member(
        &mut self,
        id: &MemberId,
        member: MemberIx,
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> bool {
        self.ids.get_mut().add_new(id, member, id_of)
    }

    fn add_new_members(
        &mut self,
        first: MemberIx,
        ids: &[MemberId],
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> Result<(), MemberIx> {
        self.ids.get_mut().add_all_new(first, ids, id_of)
    }

    fn candidates<'a>(&self, ids: impl Iterator<Item = &'a MemberId>, candidates: &mut Vec<MemberIx>) {
        self.ids.read().candidates(ids, candidates);
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        self.codes.owner(folded)
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        self.codes.add(folded, member);
    }

    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx)) {
        self.codes.alike.each(alike, each);
    }
}

impl From<MemberDirectory> for UnsharedDirectory {
    fn from(shared: MemberDirectory) -> Self {
        Self { ids: shared.ids.into_inner(), codes: shared.codes }
    }
}

impl Directory for UnsharedDirectory {
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx> {
        self.ids.find(id, is)
    }

    fn add_member(&mut self, id: &MemberId, member: MemberIx, _: impl Fn(MemberIx) -> MemberId) {
        self.ids.add(id, member);
    }

    fn add_new_member(
        &mut self,
        id: &MemberId,
        member: MemberIx,
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> bool {
        self.ids.add_new(id, member, id_of)
    }

    fn candidates<'a>(&self, ids: impl Iterator<Item = &'a MemberId>, candidates: &mut Vec<MemberIx>) {
        self.ids.candidates(ids, candidates);
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        self.codes.owner(folded)
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        self.codes.add(folded, member);
    }

    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx)) {
        self.codes.alike.each(alike, each);
    }
}

/// Write access to the directory, without a lock per lookup: each lock would stall the processor until all
/// earlier stores have reached its cache. Other threads wait meanwhile: hold it for one slice of a group.
pub struct DirectoryWriter<'a> {
    ids: RwLockWriteGuard<'a, IdIndex>,
    shared: &'a MemberDirectory,
}

impl Directory for DirectoryWriter<'_> {
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx> {
        self.ids.find(id, is)
    }

    fn add_member(&mut self, id: &MemberId, member: MemberIx, _: impl Fn(MemberIx) -> MemberId) {
        self.ids.add(id, member);
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        self.shared.code(folded)
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        self.shared.codes.add(folded, member);
    }

    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx)) {
        self.shared.codes_alike(alike, each);
    }
}

const _: () = assert!(size_of::<(Box<str>, u32)>() == 24);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u32) -> MemberId {
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        MemberId(bytes)
    }

    /// Stands in for the state.
    fn find(directory: &MemberDirectory, number: u32) -> Option<MemberIx> {
        directory.member(&id(number), |member| id(member.0) == id(number))
    }

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        let directory = MemberDirectory::with_capacity(0, 0);
        let mut writer = directory.write();
        for number in 0..10_000 {
            writer.add_member(&id(number), MemberIx(number), |member| id(member.0));
            writer.add_code(&format!("code-{number}"), MemberIx(number));
        }
        drop(writer);
        for number in 0..10_000 {
            assert_eq!(find(&directory, number), Some(MemberIx(number)));
            assert_eq!(directory.code(&format!("code-{number}")), Some(MemberIx(number)));
        }
        assert_eq!(find(&directory, 10_000), None);
        assert_eq!(directory.code("code-10000"), None);
        assert_eq!((directory.members(), directory.codes()), (10_000, 10_000));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Added together or one by one: the same members are found, up to the same first one that has an
        /// earlier one's id.
        #[test]
        fn members_added_together_are_those_added_one_by_one(
            before in 0..200_u32,
            repeats in proptest::option::of((0..700_u32, 0..700_u32)),
        ) {
            // All ids differ, or one is that of another.
            let id_of = |member: MemberIx| match repeats {
                Some((one, other)) if member.0 == one => id(other),
                _ => id(member.0),
            };
            let (mut together, mut single) =
                (MemberDirectory::with_capacity(0, 0), MemberDirectory::with_capacity(0, 0));
            let mut added = [Ok(()), Ok(())];
            for range in [0..before, before..700] {
                let ids: Vec<MemberId> = range.clone().map(|number| id_of(MemberIx(number))).collect();
                if added[0].is_ok() {
                    added[0] = together.add_new_members(MemberIx(range.start), &ids, id_of);
                }
                for member in range.map(MemberIx) {
                    if added[1].is_ok() && !single.add_new_member(&id_of(member), member, id_of) {
                        added[1] = Err(member);
                    }
                }
            }
            prop_assert_eq!(added[0], added[1]);
            let first = repeats.filter(|(one, other)| one != other).map(|(one, other)| one.max(other));
            prop_assert_eq!(added[0].err(), first.map(MemberIx));
            prop_assert_eq!(together.members(), single.members());
            for number in 0..700 {
                let [one, other] = [&together, &single]
                    .map(|directory| directory.member(&id(number), |member| id_of(member) == id(number)));
                prop_assert_eq!(one, other);
            }
        }
    }

    #[test]
    fn a_member_is_added_once() {
        let mut directory = MemberDirectory::with_capacity(0, 0);
        for number in 0..1_000 {
            assert!(directory.add_new_member(&id(number), MemberIx(number), |member| id(member.0)));
        }
        // The next member repeats the first id.
        let ids = |member: MemberIx| id(member.0 % 1_000);
        assert!(!directory.add_new_member(&id(0), MemberIx(1_000), ids));
        assert_eq!((directory.members(), find(&directory, 999)), (1_000, Some(MemberIx(999))));
    }

    #[test]
    fn nearly_all_candidates_are_right() {
        let mut directory = MemberDirectory::with_capacity(10_000, 0);
        for number in 0..10_000 {
            directory.add_member(&id(number), MemberIx(number), |member| id(member.0));
        }
        let ids: Vec<MemberId> = (0..10_000).map(id).collect();
        let mut candidates = Vec::new();
        directory.candidates(ids.iter(), &mut candidates);
        assert_eq!(candidates.len(), ids.len());
        let right = (0..).zip(&candidates).filter(|(number, candidate)| *number == candidate.0).count();
        assert!(9_000 < right, "{right}");
    }

    #[test]
    fn a_code_beyond_the_published_length_is_unknown() {
        let mut directory = MemberDirectory::with_capacity(1, 1);
        directory.add_code("five", MemberIx(5));
        assert_eq!(directory.code_below("five", 5), None);
        assert_eq!(directory.code_below("five", 6), Some(MemberIx(5)));
    }

    #[test]
    #[should_panic(expected = "a code is given once")]
    fn giving_a_code_twice_is_our_bug() {
        let mut directory = MemberDirectory::with_capacity(1, 0);
        directory.add_code("five", MemberIx(0));
        directory.add_code("five", MemberIx(1));
    }
}
