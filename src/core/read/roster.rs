//! The filtered list of members, in registration order.
//!
//! There is no index of statuses, roles, ranks or times: a list scans members in memory order, and can pause
//! after each. It costs one step for each member it passes, shown or not; the caller bounds the steps.

use crate::core::{
    state::parts::State,
    words::types::{MemberIx, NONE, Role, Status, Timestamp},
};

/// Which members a list shows. All conditions must hold; status, role and rank are those at the time of the
/// scan.
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
    /// Matches all members.
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

/// The direction of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RosterOrder {
    /// In registration order.
    OldestFirst,
    NewestFirst,
}

/// Words of [`Roster::position`].
pub const ROSTER_WORDS: usize = 2;

/// A walk through all members that can pause after any step. Members registered after it began are left out,
/// and none of the others is missed: members are never removed, and their order never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roster {
    filter: MemberFilter,
    order: RosterOrder,
    /// Members scanned.
    looked: u32,
    /// Number of members when it began.
    before: u32,
}

impl Roster {
    /// Whether the walk is over.
    pub fn is_over(&self) -> bool {
        self.looked == self.before
    }

    /// The position, for [`State::roster_from`].
    pub fn position(&self) -> [u64; ROSTER_WORDS] {
        [self.looked.into(), self.before.into()]
    }
}

impl State {
    /// A list from its beginning.
    pub fn roster(&self, filter: MemberFilter, order: RosterOrder) -> Roster {
        Roster { filter, order, looked: 0, before: self.len() }
    }

    /// Resumes a list at a position; `None` for an impossible one.
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

    /// The next member of a list. `None` when it is over, or when `steps`, which it decrements, are used up:
    /// [`Roster::is_over`] tells which. O(steps).
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

    /// Whether a list shows any more members. If that takes more than `steps`, returns true, having advanced
    /// that far.
    pub fn roster_goes_on(&self, roster: &mut Roster, steps: &mut usize) -> bool {
        let mut ahead = *roster;
        if self.roster_step(&mut ahead, steps).is_some() {
            return true;
        }
        *roster = ahead;
        !roster.is_over()
    }

    /// Checks the most common conditions first: a column without a condition is not read.
    fn is_listed(&self, filter: &MemberFilter, member: MemberIx) -> bool {
        let MemberFilter { roots, status, role, rank, from, until } = *filter;
        let is_any_time = from == Timestamp(i64::MIN) && until == Timestamp(i64::MAX);
        status.is_none_or(|status| self.network.members().status(member) == status)
            && role.is_none_or(|role| self.network.members().role(member) == role)
            && rank.is_none_or(|rank| self.network.members().ranks(member).paid_as == rank)
            && (is_any_time || (from..until).contains(&self.network.members().joined_at(member)))
            && (!roots || self.network.placement().link(member).parent == NONE)
    }
}

#[cfg(test)]
#[path = "roster_test.rs"]
mod tests;
