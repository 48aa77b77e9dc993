//! Looking ahead: what a group of signups, or a slice of a list, is about to touch is read first, for all of
//! them together.
//!
//! A signup in a large network touches some thirty lines of memory that are in no cache, one after the other,
//! since each says where the next is: sponsor, place, family, tour, then the counts of fifteen ancestors.
//! Waiting for memory is most of its time. But the signups of a group do not wait for each other: here each
//! step is made for all of them before the next, so that the processor waits for many lines at once. Nothing
//! is decided: whatever was guessed wrong, since an earlier signup of the group changes the way, is found out
//! when the command is applied. It only takes longer.

use std::hint::black_box;

use super::{
    command::{Command, PlacementRequest, Register, SponsorRef, Stamped},
    state::{Directory, State},
    types::{MemberId, MemberIx, NONE, Tree},
};

/// Commands, or members, looked ahead for together: enough to keep the memory busy, few enough that what was
/// fetched is still in the nearest caches when it is used (some 3 KiB for a signup).
pub(super) const TOGETHER: usize = 64;

/// Networks smaller than this are in the caches anyway.
const LOOK_AHEAD_FROM_MEMBERS: usize = 1 << 16;

/// Steps down from a sponsor to its place that are followed. Places further down are reached through members
/// that many signups pass, which are in the caches.
const STEPS_DOWN: usize = 4;

impl State {
    /// Fetches what a list shows of `members`, and the ids of who is above them in `tree`: in a walk through
    /// a downline each is somewhere else. Changes nothing. O(members).
    pub fn look_ahead_to_rows(&self, tree: Tree, members: &[MemberIx]) {
        let seen = members.iter().fold(0, |seen, member| {
            let above = self.tree(tree).link(*member).parent;
            let above_id = if above == NONE { 0 } else { self.members.id(MemberIx(above)).0[0] };
            let linked = [Tree::Placement, Tree::Sponsor].map(|tree| self.tree(tree).link(*member).parent);
            seen ^ self.members.peek_all(*member)
                ^ linked[0]
                ^ linked[1]
                ^ u32::from(above_id)
                ^ self.codes.peek(*member)
        });
        black_box(seen);
    }

    /// Fetches what applying `commands` will touch. Changes nothing. O(commands).
    pub fn look_ahead<D: Directory>(&self, directory: &D, commands: &[Stamped]) {
        if self.members.len() < LOOK_AHEAD_FROM_MEMBERS {
            return;
        }
        let mut guesses = Vec::with_capacity(TOGETHER);
        for together in commands.chunks(TOGETHER) {
            let registers = || together.iter().filter_map(|stamped| register_in(&stamped.command));
            // Where the new ones will be entered; nobody has their ids yet, so who is guessed does not
            // matter.
            directory.guess(registers().map(|register| &register.member), &mut guesses);
            guesses.clear();
            directory.guess(registers().filter_map(sponsor_of), &mut guesses);
            guesses.retain(|member| member.at() < self.members.len());
            // Where one member signs up many, one look is enough.
            guesses.dedup();
            black_box(self.look_ahead_from(&mut guesses));
        }
    }

    /// Reads, step by step for all of `places`, which are sponsors at first, what a signup below them
    /// touches. The result means nothing.
    fn look_ahead_from(&self, places: &mut [MemberIx]) -> u32 {
        let own_sponsor_tree = !self.scalars.plan.placement.trees_coincide();
        let mut seen = 0;
        for sponsor in places.iter() {
            seen ^= self.members.peek(*sponsor)
                ^ self.slots.peek(*sponsor)
                ^ self.placement.link(*sponsor).last_child;
            if own_sponsor_tree {
                seen ^= self.sponsors.link(*sponsor).last_child;
            }
        }
        if own_sponsor_tree {
            for sponsor in places.iter() {
                seen ^= self.sponsors.peek_last_child(*sponsor);
            }
        }
        for _ in 0..STEPS_DOWN {
            for place in places.iter() {
                seen ^= self.slots.peek_children(&self.placement, *place);
            }
            for place in places.iter_mut() {
                *place = self.slots.step_down(&self.placement, *place);
            }
        }
        seen ^ self.placement.look_ahead(places)
    }
}

/// A signup that is placed by a rule. Others are rare.
fn register_in(command: &Command) -> Option<&Register> {
    match command {
        Command::Register(register) if !matches!(register.placement, PlacementRequest::Slot { .. }) => {
            Some(register)
        }
        _ => None,
    }
}

fn sponsor_of(register: &Register) -> Option<&MemberId> {
    match &register.sponsor {
        SponsorRef::Member(id) => Some(id),
        SponsorRef::None | SponsorRef::Code(_) => None,
    }
}
