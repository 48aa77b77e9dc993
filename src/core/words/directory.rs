//! Lookup of members by external names.

use crate::core::words::types::{MemberId, MemberIx};

/// The state's lookup of members by external names. Get and insert only: no iteration order can leak into
/// results.
pub trait Directory {
    /// The member with this id, as confirmed by `is`, which may be called for several candidates: a directory
    /// need not store ids, since the state does.
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx>;
    /// Adds a member whose id is new. `id_of` returns the id of any member added, including this one.
    fn add_member(&mut self, id: &MemberId, member: MemberIx, id_of: impl Fn(MemberIx) -> MemberId);
    /// Adds a member unless an earlier one has its id; returns whether it was added.
    fn add_new_member(
        &mut self,
        id: &MemberId,
        member: MemberIx,
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> bool {
        let is_new = self.member(id, |other| other < member && id_of(other) == *id).is_none();
        if is_new {
            self.add_member(id, member, id_of);
        }
        is_new
    }
    /// Adds members, numbered from `first` on, with these ids. `id_of` returns the id of any of them, and of
    /// any member before.
    ///
    /// # Errors
    /// The first of them whose id an earlier member has; those before it were added.
    fn add_new_members(
        &mut self,
        first: MemberIx,
        ids: &[MemberId],
        id_of: impl Fn(MemberIx) -> MemberId,
    ) -> Result<(), MemberIx> {
        (first.0..).map(MemberIx).zip(ids).try_for_each(|(member, id)| {
            if self.add_new_member(id, member, &id_of) { Ok(()) } else { Err(member) }
        })
    }
    /// Members that may have these ids, unverified: `State::prefetch` reads their rows. A directory that has
    /// no cheap candidates adds none.
    fn candidates<'a>(&self, _ids: impl Iterator<Item = &'a MemberId>, _candidates: &mut Vec<MemberIx>) {}
    /// `folded` is `Code::folded`.
    fn code(&self, folded: &str) -> Option<MemberIx>;
    fn add_code(&mut self, folded: &str, member: MemberIx);
    /// Calls `each` with every member whose added code is `alike` in the sense of `Code::alike` but differs
    /// from that form; possibly with others too.
    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx));
}
