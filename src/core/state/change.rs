//! Changes to members and to the plan.

use std::sync::Arc;

use crate::core::{
    plan::{Plan, RankRule},
    requests::command::{Outcome, Rejection},
    state::{
        all_ranks,
        part::{Part, Parts},
        parts::{State, watches},
        plans::PlanChange,
        prepare::Aside,
    },
    store::freeing::Freeing,
    tree::{counting::Watch, genealogy::Genealogy, placement::SlotFinder, recount},
    words::{
        directory::Directory,
        types::{ADMIN_LEVELS_MAX, ADMINS_MAX, KINDS_MAX, MemberId, MemberIx, Role, Status, Tree, index},
    },
};

/// What judging a change of one member found.
#[derive(Clone, Copy)]
pub(in crate::core) struct MemberChange {
    member: MemberIx,
    /// False if the member is like that already.
    changed: bool,
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
        let present = self.members.status(member);
        if present == Status::Terminated && status != Status::Terminated {
            return Err(Rejection::StatusChangeNotAllowed);
        }
        Ok(MemberChange { member, changed: present != status })
    }

    pub(in crate::core) fn set_status(&mut self, status: Status, change: MemberChange) -> Outcome {
        let MemberChange { member, changed } = change;
        if changed {
            self.members.set_status(member, status);
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
        let changed = self.members.role(member) != role;
        if changed && role == Role::Admin && ADMINS_MAX <= self.admins.len() {
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
        self.members.set_role(member, role);
        match role {
            Role::Admin => {
                let deep = deep.unwrap_or_else(|| self.deep_levels(member));
                self.admins.insert(member, deep);
            }
            Role::Member => {
                self.admins.remove(&member);
            }
        }
        self.rerate(member);
    }

    /// An admin's head-counts beyond `LEVELS_MAX`, from scratch.
    pub(in crate::core) fn deep_levels(&self, member: MemberIx) -> [Vec<u32>; 2] {
        let mut deep = [Vec::new(), Vec::new()];
        for tree in self.counted_trees() {
            deep[tree as usize] = self.tree(tree).deep_levels(member, ADMIN_LEVELS_MAX);
        }
        deep
    }

    pub(in crate::core) fn judge_plan(&self, plan: &Plan, kinds_max: usize) -> Result<PlanChange, Rejection> {
        self.plans.judge(plan, !self.is_empty(), &self.ledger, kinds_max)
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
            self.placement = Genealogy::new(true);
            self.sponsors = Genealogy::new(plan.count_sponsor_tree);
            self.slots = SlotFinder::new(&plan.placement);
        }
        let is_prepared = self.adopt_prepared_plan(aside);
        let plan = Arc::new(plan.clone());
        let watched_before = std::mem::replace(&mut self.scalars.watches, watches(&plan));
        let at = (self.scalars.lsn, self.scalars.time);
        let before = self.plans.activate(Arc::clone(&plan), change, &mut self.ledger, at);
        if !is_prepared {
            self.recount_watched(&watched_before);
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
        let counts_otherwise =
            plan.count_sponsor_tree != self.sponsors.is_counted() && !plan.placement.trees_coincide();
        counts_otherwise || !rates_alike(&self.plans.plan().ranks, &plan.ranks)
    }

    /// Starts or stops counting the sponsor tree. O(members).
    fn count_sponsor_tree_as_planned(&mut self, replaced: &mut Freeing) {
        let planned = self.plans.plan().count_sponsor_tree;
        if self.plans.plan().placement.trees_coincide() || self.sponsors.is_counted() == planned {
            return;
        }
        self.lose_views(Parts::of(&[Part::Counts]), replaced);
        let mut admins = std::mem::take(&mut *self.admins);
        if planned {
            self.sponsors.count_anew(&self.scalars.watches[Tree::Sponsor as usize]);
        } else if let Some(counts) = self.sponsors.stop_counting() {
            replaced.push(counts);
        }
        for (admin, deep) in &mut admins {
            deep[Tree::Sponsor as usize] =
                if planned { self.sponsors.deep_levels(*admin, ADMIN_LEVELS_MAX) } else { Vec::new() };
        }
        *self.admins = admins;
    }

    /// Counts the deep levels of all admins from scratch.
    pub(in crate::core) fn recount_admins(&mut self) {
        let admins: Vec<MemberIx> = self.admins.keys().copied().collect();
        for admin in admins {
            let deep = self.deep_levels(admin);
            self.admins.insert(admin, deep);
        }
    }

    /// Recomputes the near downlines for the present watches.
    pub(in crate::core) fn recount_watched(&mut self, before: &[Arc<Watch>; 2]) {
        let watched = self.scalars.watches.clone();
        for (tree, index) in
            [(&mut self.sponsors, Tree::Sponsor as usize), (&mut self.placement, Tree::Placement as usize)]
        {
            if before[index] != watched[index] && tree.is_counted() {
                let sizes = recount::downlines(tree);
                tree.rewatch(&watched[index], &sizes);
            }
        }
    }

    /// Re-rates every member under the plan in force, from the counts that are kept.
    fn rerate_all(&mut self) {
        for (member, paid_as) in all_ranks::kept_ranks(self).into_iter().enumerate() {
            let member = index(member);
            if self.members.ranks(member).paid_as != paid_as {
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
