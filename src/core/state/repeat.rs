//! What is known of a member's registration later: enough to recognize a repeat, and to return its first
//! answer again.
//!
//! Sponsor, parent, slot, join time and code never change, the requested placement is in the member's flags,
//! and the role it registered with follows from the present one. So a repeat is recognized indefinitely:
//! after a restart, from a snapshot, and whatever happened to the member since.

use crate::core::{
    network::{members::Requested, rank},
    plan::PlacementRule,
    requests::command::{PlacementRequest, Register, SponsorRef},
    state::parts::State,
    words::{
        directory::Directory,
        types::{MemberIx, Role, Tree},
    },
};

impl State {
    /// The member that `register` would register, if it was registered with the same arguments before.
    ///
    /// The comparison covers the sponsor, however named; the role at registration, whatever it is now; the
    /// join time, if either gives one; the requested placement, where naming the plan's default rule equals
    /// naming nothing; and the code, if one is given now (whether the first was generated or given). It
    /// ignores the status, which no registration names, and the origin.
    pub fn repeated<D: Directory>(&self, directory: &D, register: &Register) -> Option<MemberIx> {
        let member = self.find(directory, &register.member)?;
        let same = self.same_sponsor(directory, register, member)
            && register.role == self.role_at_registration(member)
            && register.joined_at
                == self
                    .network
                    .members()
                    .joined_at_given(member)
                    .then(|| self.network.members().joined_at(member))
            && self.same_placement(directory, register.placement, member)
            && register.code.as_ref().is_none_or(|code| code.folded() == self.code(member).folded());
        same.then_some(member)
    }

    /// The role that a member registered with.
    pub fn role_at_registration(&self, member: MemberIx) -> Role {
        let role = self.network.members().role(member);
        match (role, self.network.members().role_has_changed(member)) {
            (Role::Member, false) | (Role::Admin, true) => Role::Member,
            (Role::Admin, false) | (Role::Member, true) => Role::Admin,
        }
    }

    /// The rank that every member has on joining. The kind of rank rule, which decides it, is fixed once a
    /// member exists.
    pub fn rank_at_registration(&self) -> u16 {
        rank::first_rank(&self.plans.plan().ranks)
    }

    fn same_sponsor<D: Directory>(&self, directory: &D, register: &Register, member: MemberIx) -> bool {
        let present = MemberIx::from_column(self.tree(Tree::Sponsor).link(member).parent);
        match &register.sponsor {
            SponsorRef::None => present.is_none(),
            SponsorRef::Member(id) => present.is_some() && present == self.find(directory, id),
            SponsorRef::Code(code) => present.is_some() && Ok(present) == self.look_up_code(directory, code),
        }
    }

    fn same_placement<D: Directory>(
        &self,
        directory: &D,
        request: PlacementRequest,
        member: MemberIx,
    ) -> bool {
        let default_rule = self.plans.plan().placement.default_rule;
        let is_rule = |rule: PlacementRule| match self.network.members().requested(member) {
            Requested::PlanDefault => rule == default_rule,
            Requested::Rule(code) => code == rule as u32,
            Requested::Slot => false,
        };
        match request {
            PlacementRequest::PlanDefault => is_rule(default_rule),
            PlacementRequest::Rule(rule) => is_rule(rule),
            PlacementRequest::Slot { parent, slot } => {
                let link = self.network.placement().link(member);
                let present = MemberIx::from_column(link.parent);
                self.network.members().requested(member) == Requested::Slot
                    && present.is_some()
                    && present == self.find(directory, &parent)
                    && link.slot == slot
            }
        }
    }
}
