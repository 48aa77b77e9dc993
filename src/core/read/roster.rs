//! The list of all members, by a filter, in the order in which they were registered.
//!
//! There is no index of statuses, roles, ranks or times: a list looks at one member after the other, in the
//! order in which they stand in memory, and can rest after each. So it costs a step for each member that it
//! passes, shown or not, and its reader bounds the steps.

use crate::core::{
    state::parts::State,
    words::types::{MemberIx, NONE, Role, Status, Timestamp},
};

/// Which members a list shows. All conditions hold; status, role and rank are those of when a member is
/// looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberFilter {
    /// Only those without a sponsor.
    pub roots: bool,
    pub status: Option<Status>,
    pub role: Option<Role>,
    /// Ordinal of the rank in force; 0 for none.
    pub rank: Option<u16>,
    /// Only those that joined then or later.
    pub from: Timestamp,
    /// Only those that joined before.
    pub until: Timestamp,
}

impl Default for MemberFilter {
    /// Everybody.
    fn default() -> Self {
        Self {
            roots: false,
            status: None,
            role: None,
            rank: None,
            from: Timestamp(i64::MIN),
            until: Timestamp(i64::MAX),
        }
    }
}

/// In which direction a list goes through the members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RosterOrder {
    /// First who was registered first: sponsors and parents come before those below them.
    OldestFirst,
    NewestFirst,
}

/// Words of [`Roster::position`].
pub const ROSTER_WORDS: usize = 2;

/// A walk through all members that can rest after any step. Who registers after it was begun is not in it,
/// and nobody who was there is lost: members are never removed, and their order never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roster {
    filter: MemberFilter,
    order: RosterOrder,
    /// Members that were looked at.
    looked: u32,
    /// Members that there were when it was begun.
    before: u32,
}

impl Roster {
    /// Whether nobody is left.
    pub fn is_over(&self) -> bool {
        self.looked == self.before
    }

    /// Where it is, for [`State::roster_from`].
    pub fn position(&self) -> [u64; ROSTER_WORDS] {
        [self.looked.into(), self.before.into()]
    }
}

impl State {
    /// A list from its beginning.
    pub fn roster(&self, filter: MemberFilter, order: RosterOrder) -> Roster {
        Roster { filter, order, looked: 0, before: self.len() }
    }

    /// A list that goes on at a position; `None` for one that it cannot have been at.
    pub fn roster_from(
        &self,
        filter: MemberFilter,
        order: RosterOrder,
        position: [u64; ROSTER_WORDS],
    ) -> Option<Roster> {
        let [looked, before] = position.map(|word| u32::try_from(word).ok());
        let (looked, before) = (looked?, before?);
        (looked <= before && before <= self.len()).then_some(Roster { filter, order, looked, before })
    }

    /// The next member of a list. `None` when it is over, or when `steps`, which are counted down, are used
    /// up: [`Roster::is_over`] tells. O(steps).
    pub fn roster_step(&self, roster: &mut Roster, steps: &mut usize) -> Option<MemberIx> {
        while 0 < *steps && !roster.is_over() {
            *steps -= 1;
            let member = MemberIx(match roster.order {
                RosterOrder::OldestFirst => roster.looked,
                RosterOrder::NewestFirst => roster.before - 1 - roster.looked,
            });
            roster.looked += 1;
            if self.is_listed(&roster.filter, member) {
                return Some(member);
            }
        }
        None
    }

    /// Whether a list that has come so far shows anybody else. Where that takes more than `steps`, it may,
    /// and has come that much further.
    pub fn roster_goes_on(&self, roster: &mut Roster, steps: &mut usize) -> bool {
        let mut ahead = *roster;
        if self.roster_step(&mut ahead, steps).is_some() {
            return true;
        }
        *roster = ahead;
        !roster.is_over()
    }

    /// Looks at what most filters are about first: a column that is not asked for is not read.
    fn is_listed(&self, filter: &MemberFilter, member: MemberIx) -> bool {
        let MemberFilter { roots, status, role, rank, from, until } = *filter;
        let is_any_time = from == Timestamp(i64::MIN) && until == Timestamp(i64::MAX);
        status.is_none_or(|status| self.members.status(member) == status)
            && role.is_none_or(|role| self.members.role(member) == role)
            && rank.is_none_or(|rank| self.members.ranks(member).paid_as == rank)
            && (is_any_time || (from..until).contains(&self.members.joined_at(member)))
            && (!roots || self.placement.link(member).parent == NONE)
    }
}

#[cfg(test)]
#[path = "roster_test.rs"]
mod tests;
