//! Prefetching: reads the memory that a group of signups, or a slice of a list, will touch, for all of them
//! together.
//!
//! A signup in a large network touches some thirty cache lines in sequence, since each points to the next:
//! sponsor, place, family, tour, then the counts of fifteen ancestors. Most of its time is memory latency.
//! The signups of a group are independent, so each step is made for all of them before the next one, and the
//! processor has many misses in flight at once. Prefetching decides nothing: where an earlier signup of the
//! group changes the path, applying the command finds the right one and takes longer.

use std::hint::black_box;

use crate::core::{
    network::part::Network,
    requests::command::{Command, PlacementRequest, Register, SponsorRef, Stamped},
    words::{
        directory::Directory,
        types::{MemberId, MemberIx, NONE, Tree},
    },
};

/// Commands, or members, prefetched together: enough to saturate the memory, few enough that the lines are
/// still in the nearest caches when used (some 3 KiB for a signup).
pub(in crate::core) const TOGETHER: usize = 64;

/// Smaller networks fit in the caches anyway.
pub(in crate::core) const PREFETCH_FROM_MEMBERS: usize = 1 << 16;

/// Steps followed down from a sponsor to the placement. Deeper placements are reached through members that
/// many signups pass, which are cached.
const STEPS_DOWN: usize = 4;

impl Network {
    /// Prefetches what a list shows of `members`, and the ids of their parents in `tree`: in a walk through a
    /// downline each is in a different place. Changes nothing. O(members).
    pub fn prefetch_rows(&self, tree: Tree, members: &[MemberIx]) {
        let seen = members.iter().fold(0, |seen, member| {
            let above = self.tree(tree).link(*member).parent;
            let above_id = if above == NONE { 0 } else { self.members.id(MemberIx(above)).0[0] };
            let linked = [Tree::Placement, Tree::Sponsor].map(|tree| self.tree(tree).link(*member).parent);
            seen ^ self.members.prefetch_all(*member)
                ^ linked[0]
                ^ linked[1]
                ^ u32::from(above_id)
                ^ self.codes.prefetch(*member)
        });
        black_box(seen);
    }

    /// Prefetches what the signups of a group will touch. `members` is memory to work in. O(group).
    pub fn prefetch<D: Directory>(&self, directory: &D, group: &[Stamped], members: &mut Vec<MemberIx>) {
        let registers = || group.iter().filter_map(|stamped| register_in(&stamped.command));
        // The directory slots where the new ids will be inserted. The ids are new, so the candidates do not
        // matter.
        directory.candidates(registers().map(|register| &register.member), members);
        members.clear();
        directory.candidates(registers().filter_map(sponsor_of), members);
        members.retain(|member| member.at() < self.members.len());
        // If one member sponsors many, one lookup suffices.
        members.dedup();
        black_box(self.prefetch_places(members));
    }

    /// Reads, step by step for all of `places`, which are initially sponsors, what a signup below them
    /// touches. The result is meaningless.
    fn prefetch_places(&self, places: &mut [MemberIx]) -> u32 {
        let own_sponsor_tree = !self.shape.trees_coincide;
        let mut seen = 0;
        for sponsor in places.iter() {
            seen ^= self.members.prefetch(*sponsor)
                ^ self.slots.prefetch(*sponsor)
                ^ self.placement.link(*sponsor).last_child;
            if own_sponsor_tree {
                seen ^= self.sponsors.link(*sponsor).last_child;
            }
        }
        if own_sponsor_tree {
            for sponsor in places.iter() {
                seen ^= self.sponsors.prefetch_last_child(*sponsor);
            }
        }
        for _ in 0..STEPS_DOWN {
            for place in places.iter() {
                seen ^= self.slots.prefetch_children(&self.placement, *place);
            }
            for place in places.iter_mut() {
                *place = self.slots.step_down(&self.placement, *place);
            }
        }
        seen ^ self.placement.prefetch(places)
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
