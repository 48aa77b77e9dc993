//! The present directory, as seen from the past.

use super::super::MemberDirectory;
use crate::core::{
    Pace,
    state::Directory,
    types::{MemberId, MemberIx},
};

/// Replay uses this instead of a directory of its own: the live one, which holds all members that replay will
/// add, limited to the current replay length. Costs nothing, however large the network.
pub(super) struct PastDirectory<'a> {
    live: &'a MemberDirectory,
    /// Given codes of members below this index are known: they are added in join order, after the members.
    codes: u32,
}

impl<'a> PastDirectory<'a> {
    /// The directory as of `members` members.
    pub fn of(live: &'a MemberDirectory, members: u32) -> Self {
        Self { live, codes: members }
    }
}

impl Directory for PastDirectory<'_> {
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx> {
        self.live.member(id, is)
    }

    fn add_member(&mut self, id: &MemberId, member: MemberIx, _: impl Fn(MemberIx) -> MemberId) {
        debug_assert_eq!(
            self.live.member(id, |candidate| candidate == member),
            Some(member),
            "the past has no member that the present has not"
        );
    }

    /// Each is a look into memory that is in no cache.
    fn add_new_members(
        &mut self,
        first: MemberIx,
        ids: &[MemberId],
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> Result<(), MemberIx> {
        (first.0..).map(MemberIx).zip(ids).paced().try_for_each(|(member, id)| {
            if self.add_new_member(id, member, &id_of) { Ok(()) } else { Err(member) }
        })
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        self.live.code_below(folded, self.codes)
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        debug_assert_eq!(
            self.live.code(folded),
            Some(member),
            "the past has no code that the present has not"
        );
        self.codes = member.0 + 1;
    }

    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx)) {
        self.live.codes_alike(alike, each);
    }
}
