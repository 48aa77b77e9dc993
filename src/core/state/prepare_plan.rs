//! The preparation of a plan change: a shadow of the network under the new plan.
//!
//! A *shadow* is a copy of a frozen view, without what ranks do not follow from, to which the new plan was
//! applied. It then adds each later member as the network did: at the same place, with the same counting, but
//! rated by the new plan. Nothing else that happens to a network changes counts; besides counts only roles
//! affect ranks, and these are compared.

use crate::core::{
    network::{members::Ranks, rank},
    plan::Plan,
    state::{
        ahead::{Ahead, ResultId},
        parts::State,
    },
    store::{
        freeing::Freeing,
        view_parts::{Part, Parts},
    },
    words::types::{MemberIx, Role, Tree},
};

/// The columns that replace those of the network.
const REPLACED: Parts = Parts::of(&[Part::Members, Part::Placement, Part::Sponsors, Part::Admins]);

/// The network under another plan.
pub(in crate::core) struct Shadow(State);

/// Identifies the result of activating `plan` as the next command.
pub(in crate::core) fn result(state: &State, plan: &Plan) -> ResultId {
    // This text has all fields of a plan, and never leaves the process.
    ResultId::of_network("plan", format!("{plan:?}").as_bytes(), state)
}

impl Shadow {
    /// The parts of a frozen view that it is made of.
    pub const READS: Parts = Parts::RANKED;

    /// Applies `plan` to a copy. `None` if the plan would be refused, or might be later: an empty network
    /// accepts a plan whose placement it refuses once a member exists.
    pub fn new(mut copy: State, plan: &Plan) -> Option<Self> {
        if copy.is_empty() {
            return None;
        }
        copy.put_plan_computed(plan).ok()?;
        Some(Self(copy))
    }

    /// Exchanges columns with the network, which it equals but for the plan. What it got goes to `replaced`.
    /// O(1), plus the pages of frozen views.
    pub fn swap_into(mut self: Box<Self>, state: &mut State, replaced: &mut Freeing) {
        let Self(shadow) = &mut *self;
        debug_assert_eq!(shadow.len(), state.len());
        state.lose_views(REPLACED, replaced);
        state.network.swap_ranked(&mut shadow.network);
        replaced.push(self);
    }
}

impl Ahead for Shadow {
    fn id(&self, state: &State) -> ResultId {
        result(state, self.0.plan())
    }

    fn advance(&mut self, state: &State, steps: usize) -> bool {
        self.0.follow(state, steps)
    }

    /// Copies the best-ever ranks, which are history and cannot be computed, from the network. Stale when
    /// another plan came between. O(members).
    fn complete(&mut self, state: &State) -> bool {
        let Self(shadow) = self;
        if shadow.plan_version() != state.plan_version() + 1 {
            return false;
        }
        shadow.network.take_lifetimes(&state.network);
        true
    }
}

impl State {
    /// Adds to a shadow the members that joined `present` since, at most `steps`, then its admins. Returns
    /// whether the two now agree.
    fn follow(&mut self, present: &State, steps: usize) -> bool {
        for _ in 0..steps {
            if self.len() == present.len() {
                break;
            }
            self.take_in(present, MemberIx(self.len()));
        }
        if self.len() != present.len() {
            return false;
        }
        let differing = |one: &State, other: &State| -> Vec<MemberIx> {
            one.network
                .admins()
                .keys()
                .copied()
                .filter(|admin| !other.network.admins().contains_key(admin))
                .collect()
        };
        for (members, role) in
            [(differing(self, present), Role::Member), (differing(present, self), Role::Admin)]
        {
            members.into_iter().for_each(|member| self.change_role(member, role, None));
        }
        true
    }

    /// Like a registration that pays nothing, at the member's place in the network.
    fn take_in(&mut self, present: &State, member: MemberIx) {
        let first = rank::first_rank(&self.plans.plan().ranks);
        let members = present.network.members();
        self.network.enter(
            members.flags(member),
            *members.id(member),
            members.joined_at(member),
            Ranks { paid_as: first, lifetime: first },
        );
        let place = present.network.placement().link(member);
        let spot = MemberIx::from_column(place.parent).map(|parent| (parent, place.slot));
        let sponsor = MemberIx::from_column(present.tree(Tree::Sponsor).link(member).parent);
        let plan = self.plans.plan();
        let mut reached = self.network.attach(plan, member, sponsor, spot);
        if members.role(member) == Role::Admin {
            self.network.add_admin(member);
        }
        self.network.count_for_admins(&plan.ranks, member, &mut reached);
        for receiver in reached {
            self.rerate(receiver);
        }
    }
}
