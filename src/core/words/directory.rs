//! How members are found by what the outside calls them.

use crate::core::words::types::{MemberId, MemberIx};

/// Where the state looks members up by what the outside calls them. Get and insert only: no iteration order
/// can leak into results.
pub trait Directory {
    /// The member of this id for whom `is` says that it is meant. Several may be asked about: a directory
    /// need not keep ids, since the state does.
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx>;
    /// Adds a member whose id nobody has. `id_of` tells the id of any member added, this one included.
    fn add_member(&mut self, id: &MemberId, member: MemberIx, id_of: impl Fn(MemberIx) -> MemberId);
    /// Adds a member unless an earlier one has its id; whether it was added.
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
    /// Members that may have these ids, unverified: `State::prefetch` reads their rows. A directory that has
    /// no cheap candidates adds none.
    fn candidates<'a>(&self, _ids: impl Iterator<Item = &'a MemberId>, _candidates: &mut Vec<MemberIx>) {}
    /// `folded` is `Code::folded`.
    fn code(&self, folded: &str) -> Option<MemberIx>;
    fn add_code(&mut self, folded: &str, member: MemberIx);
    /// Calls `each` with all members whose code was added, is `alike` in the sense of `Code::alike`, and is
    /// not written so itself; maybe with others too.
    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx));
}
