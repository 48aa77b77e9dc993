//! Changes to members and to the plan.

use std::sync::Arc;

use crate::core::{
    plan::{Plan, RankRule},
    requests::command::{Outcome, Rejection},
    state::{
        all_ranks,
        parts::State,
        plans::PlanChange,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    store::{
        freeing::Freeing,
        view_parts::{Part, Parts},
    },
    words::{
        directory::Directory,
        types::{ADMINS_MAX, KINDS_MAX, MemberId, MemberIx, Role, Status, index},
    },
};

/// What judging a change of one member found.
#[derive(Clone, Copy)]
pub(in crate::core) struct MemberChange {
    member: MemberIx,
    /// False if the member is like that already.
    changed: bool,
}

impl Rules for kinds::SetStatus {
    type Content<'a> = (&'a MemberId, &'a Status);
    type Found = MemberChange;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        (member, status): Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_status(directory, member, *status)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        (_, status): Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.set_status(*status, found)
    }
}

impl Rules for kinds::SetRole {
    type Content<'a> = (&'a MemberId, &'a Role);
    type Found = MemberChange;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        (member, role): Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_role(directory, member, *role)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        (_, role): Self::Content<'_>,
        found: Self::Found,
        aside: &mut Aside,
    ) -> Outcome {
        state.set_role(*role, found, aside)
    }
}

impl Rules for kinds::PutPlan {
    type Content<'a> = &'a Plan;
    type Found = PlanChange;

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        plan: Self::Content<'_>,
        format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_plan(plan, format.kinds_max)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        plan: Self::Content<'_>,
        found: Self::Found,
        aside: &mut Aside,
    ) -> Outcome {
        state.put_plan(plan, &found, aside)
    }
}

impl State {
    /// Active and inactive are interchangeable; terminated is final.
    pub(in crate::core) fn judge_status<D: Directory>(
        &self,
        directory: &D,
        member: &MemberId,
        status: Status,
    ) -> Result<MemberChange, Rejection> {
        let member = self.find(directory, member).ok_or(Rejection::MemberUnknown)?;
        let present = self.network.members().status(member);
        if present == Status::Terminated && status != Status::Terminated {
            return Err(Rejection::StatusChangeNotAllowed);
        }
        Ok(MemberChange { member, changed: present != status })
    }

    pub(in crate::core) fn set_status(&mut self, status: Status, change: MemberChange) -> Outcome {
        let MemberChange { member, changed } = change;
        if changed {
            self.network.set_status(member, status);
        }
        Outcome::StatusSet { member, changed }
    }

    pub(in crate::core) fn judge_role<D: Directory>(
        &self,
        directory: &D,
        member: &MemberId,
        role: Role,
    ) -> Result<MemberChange, Rejection> {
        let member = self.find(directory, member).ok_or(Rejection::MemberUnknown)?;
        let changed = self.network.members().role(member) != role;
        if changed && role == Role::Admin && ADMINS_MAX <= self.network.admins().len() {
            return Err(Rejection::AdminsFull);
        }
        Ok(MemberChange { member, changed })
    }

    /// O(downline) when a member becomes an admin, since its deep levels were not counted before; O(1) when
    /// they were prepared.
    pub(in crate::core) fn set_role(
        &mut self,
        role: Role,
        change: MemberChange,
        aside: &mut Aside,
    ) -> Outcome {
        let MemberChange { member, changed } = change;
        if changed {
            self.change_role(member, role, Self::take_prepared_levels(member, aside));
        }
        Outcome::RoleSet { member, changed }
    }

    /// Sets a role that differs from the present one. `deep` are the deep levels of a new admin, if known.
    pub(in crate::core) fn change_role(&mut self, member: MemberIx, role: Role, deep: Option<[Vec<u32>; 2]>) {
        self.network.set_role(member, role, deep);
        self.rerate(member);
    }

    pub(in crate::core) fn judge_plan(&self, plan: &Plan, kinds_max: usize) -> Result<PlanChange, Rejection> {
        let has_members = !self.is_empty();
        // Only where there are members can there be orders, periods, attributes and an opening state.
        let has_commerce = self.has_orders();
        let has_opening = self.opening_len() != 0;
        self.plans.judge(plan, [has_members, has_commerce, has_opening], &self.ledger, kinds_max)
    }

    /// Activates a plan. If its rank minima differ, all ranks are recomputed, without paying rewards.
    /// O(members) then, O(members * log members) if it starts or stops counting the sponsor tree, both O(1)
    /// when prepared; O(1) otherwise.
    pub(in crate::core) fn put_plan(
        &mut self,
        plan: &Plan,
        change: &PlanChange,
        aside: &mut Aside,
    ) -> Outcome {
        if self.is_empty() {
            let replaced = Parts::of(&[Part::Placement, Part::Sponsors, Part::Slots]);
            self.lose_views(replaced, &mut aside.replaced);
            self.network.restart(plan);
        }
        let is_prepared = self.adopt_prepared_plan(aside);
        let plan = Arc::new(plan.clone());
        let watched_before = self.network.watch_for(&plan);
        let at = (self.scalars.lsn, self.scalars.time);
        let before = self.plans.activate(Arc::clone(&plan), change, &mut self.ledger, at);
        if is_prepared {
            self.add_up_volumes();
        } else {
            self.network.recount_watched(&watched_before);
            self.count_sponsor_tree_as_planned(&mut aside.replaced);
            if !rates_alike(&before.ranks, &plan.ranks) {
                self.rerate_all();
            }
        }
        Outcome::PlanActivated { version: self.plans.version() }
    }

    /// As `put_plan`, without a preparation, on a state that no lock protects.
    pub(in crate::core) fn put_plan_computed(&mut self, plan: &Plan) -> Result<Outcome, Rejection> {
        let change = self.judge_plan(plan, KINDS_MAX)?;
        Ok(self.put_plan(plan, &change, &mut Aside::default()))
    }

    /// Whether changing to `plan` costs more than O(1).
    pub(in crate::core) fn touches_members(&self, plan: &Plan) -> bool {
        let counts_otherwise = plan.count_sponsor_tree != self.network.sponsors().is_counted()
            && !plan.placement.trees_coincide();
        counts_otherwise || !rates_alike(&self.plans.plan().ranks, &plan.ranks)
    }

    /// Starts or stops counting the sponsor tree. O(members).
    fn count_sponsor_tree_as_planned(&mut self, replaced: &mut Freeing) {
        let planned = self.plans.plan().count_sponsor_tree;
        if self.plans.plan().placement.trees_coincide() || self.network.sponsors().is_counted() == planned {
            return;
        }
        self.lose_views(Parts::of(&[Part::Counts]), replaced);
        self.network.set_sponsors_counted(planned, replaced);
        self.add_up_volumes();
    }

    /// Re-rates every member under the plan in force, from the counts that are kept.
    pub(in crate::core) fn rerate_all(&mut self) {
        for (member, paid_as) in all_ranks::kept_ranks(self).iter().copied().enumerate() {
            let member = index(member);
            if self.network.members().ranks(member).paid_as != paid_as {
                self.rerate(member);
            }
        }
    }
}

/// Whether two rules give every member the same rank. Names and rewards do not matter.
fn rates_alike(one: &RankRule, other: &RankRule) -> bool {
    let basis = |rule: &RankRule| match rule {
        RankRule::Thresholds { basis, .. } => Some(*basis),
        RankRule::LevelFill { .. } => None,
    };
    let minima = |rule: &RankRule| rule.steps().iter().map(|step| step.minimum).collect::<Vec<_>>();
    one.tree() == other.tree() && basis(one) == basis(other) && minima(one) == minima(other)
}
