//! The directory: from what the outside calls a member to the member's index.
//!
//! Two concurrent hash maps, written by the writer thread alone and read by everybody. An index is copied out at once: no guard of
//! the map ever leaves a function of this file, so none can be held across another call or an await.
//!
//! Hashing is `SipHash` under a key that is random per process (`RandomState`): ids and codes come from outside, and whoever chooses them must
//! not be able to choose where they collide.

use std::hash::{Hash, Hasher, RandomState};

use dashmap::DashMap;

use super::limits::DIRECTORY_SHARDS;
use crate::core::{
    state::Directory,
    types::{MemberId, MemberIx},
};

/// From ids and referral codes to indexes. Some 24 bytes per member and the code's own bytes plus some 28 per code that was given
/// (generated codes are computed, not stored).
///
/// Readers meet it inside `Engine::read`, where the state's lock keeps it in step with the state: every index in it is below
/// `State::len`. Used beside a frozen view, an index at or beyond that view's length is a member the view does not know yet: use the `_below`
/// methods there.
pub struct MemberDirectory {
    members: DashMap<IdKey, u32, RandomState>,
    codes: DashMap<Box<str>, u32, RandomState>,
}

impl MemberDirectory {
    /// Empty, with room for `members` and `codes` entries.
    pub fn with_capacity(members: usize, codes: usize) -> Self {
        Self {
            members: DashMap::with_capacity_and_hasher_and_shard_amount(members, RandomState::new(), DIRECTORY_SHARDS),
            codes: DashMap::with_capacity_and_hasher_and_shard_amount(codes, RandomState::new(), DIRECTORY_SHARDS),
        }
    }

    /// As [`Directory::member`], but a member at or beyond `published` (a length of some state) is unknown.
    pub fn member_below(&self, id: &MemberId, published: u32) -> Option<MemberIx> {
        self.member(id).filter(|member| member.0 < published)
    }

    /// As [`Directory::code`], but a member at or beyond `published` (a length of some state) is unknown.
    pub fn code_below(&self, folded: &str, published: u32) -> Option<MemberIx> {
        self.code(folded).filter(|member| member.0 < published)
    }

    /// Members in the directory. O(shards).
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// Given codes in the directory. O(shards).
    pub fn codes(&self) -> usize {
        self.codes.len()
    }

    /// Bytes held by the maps, as far as they say: room for entries, used or not, without what they allocate around it. O(shards).
    pub fn bytes(&self) -> usize {
        self.members.capacity() * (size_of::<(IdKey, u32)>() + 1) + self.codes.capacity() * (size_of::<(Box<str>, u32)>() + 1)
    }

    fn insert_member(&self, id: MemberId, member: MemberIx) {
        let before = self.members.insert(IdKey(id.0), member.0);
        assert!(before.is_none(), "a member is added once");
    }

    fn insert_code(&self, folded: &str, member: MemberIx) {
        let before = self.codes.insert(folded.into(), member.0);
        assert!(before.is_none(), "a code is given once");
    }
}

impl Directory for MemberDirectory {
    fn member(&self, id: &MemberId) -> Option<MemberIx> {
        self.members.get(&IdKey(id.0)).map(|index| MemberIx(*index))
    }

    fn add_member(&mut self, id: MemberId, member: MemberIx) {
        self.insert_member(id, member);
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        self.codes.get(folded).map(|index| MemberIx(*index))
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        self.insert_code(folded, member);
    }
}

/// What the writer holds: the same directory, shared with readers.
impl Directory for &MemberDirectory {
    fn member(&self, id: &MemberId) -> Option<MemberIx> {
        (**self).member(id)
    }

    fn add_member(&mut self, id: MemberId, member: MemberIx) {
        self.insert_member(id, member);
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        (**self).code(folded)
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        self.insert_code(folded, member);
    }
}

/// The bytes of an id, aligned to one byte so that an entry takes 20, and hashed as one number (the derived hash of an array would
/// feed its length too).
#[derive(Clone, Copy, PartialEq, Eq)]
struct IdKey([u8; 16]);

impl Hash for IdKey {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u128(u128::from_ne_bytes(self.0));
    }
}

const _: () = assert!(size_of::<(IdKey, u32)>() == 20);
const _: () = assert!(size_of::<(Box<str>, u32)>() == 24);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> MemberId {
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        MemberId(bytes)
    }

    #[test]
    fn what_was_added_is_found_and_nothing_else() {
        let directory = MemberDirectory::with_capacity(0, 0);
        let mut writer = &directory;
        for number in 0..10_000 {
            writer.add_member(id(number), MemberIx(number));
            writer.add_code(&format!("code-{number}"), MemberIx(number));
        }
        for number in 0..10_000 {
            assert_eq!(directory.member(&id(number)), Some(MemberIx(number)));
            assert_eq!(directory.code(&format!("code-{number}")), Some(MemberIx(number)));
        }
        assert_eq!(directory.member(&id(10_000)), None);
        assert_eq!(directory.code("code-10000"), None);
        assert_eq!((directory.members(), directory.codes()), (10_000, 10_000));
    }

    #[test]
    fn a_member_beyond_the_published_length_is_unknown() {
        let mut directory = MemberDirectory::with_capacity(1, 1);
        directory.add_member(id(5), MemberIx(5));
        directory.add_code("five", MemberIx(5));
        assert_eq!(directory.member_below(&id(5), 5), None);
        assert_eq!(directory.member_below(&id(5), 6), Some(MemberIx(5)));
        assert_eq!(directory.code_below("five", 5), None);
        assert_eq!(directory.code_below("five", 6), Some(MemberIx(5)));
    }

    #[test]
    #[should_panic(expected = "a member is added once")]
    fn adding_a_member_twice_is_our_bug() {
        let mut directory = MemberDirectory::with_capacity(1, 0);
        directory.add_member(id(1), MemberIx(0));
        directory.add_member(id(1), MemberIx(1));
    }
}
