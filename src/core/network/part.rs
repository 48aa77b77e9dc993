//! The network as a part of the state: members, both trees, free slots, codes and admins, with the only
//! functions that change them. `growth.rs` adds members, `ranking.rs` re-rates them, `restore.rs` takes them
//! from an image. The plan is an argument where its rules matter.

use std::{collections::BTreeMap, sync::Arc};

use crate::core::{
    network::{
        codes::{CodeKey, Codes},
        members::Members,
        rank,
    },
    orders::live::Trees,
    plan::Plan,
    store::{
        column::Scalar, freeing::Freeing, held::Held, parallel::both, sums::FreshSum,
        view_parts::freeze_parts,
    },
    tree::{counting::Watch, genealogy::Genealogy, placement::SlotFinder, tour::Split},
    words::types::{ADMIN_LEVELS_MAX, MemberIx, Role, Status, Tree},
};

pub(crate) struct Network {
    pub(super) members: Members,
    /// Also the sponsor tree where the plan makes both the same.
    pub(super) placement: Genealogy,
    pub(super) sponsors: Genealogy,
    pub(super) slots: SlotFinder,
    pub(super) codes: Codes,
    pub(super) admins: Scalar<Admins>,
    pub(super) shape: Scalar<Shape>,
}

freeze_parts!(Network {
    always { shape }
    parts {
        Members: members,
        Placement: placement,
        Sponsors: sponsors,
        Slots: slots,
        Codes: codes,
        Admins: admins,
    }
});

/// Head-counts beyond `LEVELS_MAX` of each admin: by tree, then level.
pub(crate) type Admins = BTreeMap<MemberIx, [Vec<u32>; 2]>;

/// Values that exist once per network.
#[derive(Clone)]
pub(super) struct Shape {
    pub code_key: CodeKey,
    /// The plan makes both trees the same, so that one is stored.
    pub trees_coincide: bool,
    pub depth: u32,
    /// Members by paid-as rank.
    pub rank_distribution: Vec<u64>,
    /// Counts at which ranks are checked again, by tree.
    pub watches: [Arc<Watch>; 2],
}

impl Held for Shape {
    fn bytes(&self) -> usize {
        let Self { code_key: _, trees_coincide: _, depth: _, rank_distribution, watches } = self;
        rank_distribution.bytes() + watches.bytes()
    }
}

impl Network {
    /// An empty network under a plan. `code_key` determines how referral codes are generated.
    pub fn new(plan: &Plan, code_key: CodeKey) -> Self {
        let mut network = Self::empty(plan, code_key);
        network.restart(plan);
        network
    }

    /// Completely empty: the initial value of a frozen copy.
    pub fn empty(plan: &Plan, code_key: CodeKey) -> Self {
        Self {
            members: Members::new(),
            placement: Genealogy::empty_copy(),
            sponsors: Genealogy::empty_copy(),
            slots: SlotFinder::new(&plan.placement),
            codes: Codes::new(),
            admins: Scalar::new(Admins::new()),
            shape: Scalar::new(Shape {
                code_key,
                trees_coincide: plan.placement.trees_coincide(),
                depth: 0,
                rank_distribution: Vec::new(),
                watches: rank::watches(plan),
            }),
        }
    }

    /// Gives a network without members the trees of a plan. Views that have trees or slots must be lost.
    pub fn restart(&mut self, plan: &Plan) {
        debug_assert_eq!(self.members.len(), 0);
        self.placement = Genealogy::new(true);
        self.sponsors = Genealogy::new(plan.count_sponsor_tree);
        self.slots = SlotFinder::new(&plan.placement);
        self.shape.trees_coincide = plan.placement.trees_coincide();
    }

    /// Stops counting both trees of a network without members: see `state/in_bulk.rs`.
    pub fn stop_counting(&mut self) {
        debug_assert_eq!(self.members.len(), 0);
        self.placement = Genealogy::new(false);
        self.sponsors = Genealogy::new(false);
    }

    /// Counts the trees that a plan counts, and the deep levels of admins. O(members).
    pub fn count_all(&mut self, plan: &Plan) {
        if self.members.len() == 0 {
            return self.restart(plan);
        }
        let Self { shape, placement, sponsors, .. } = self;
        let [sponsor_watch, placement_watch] = &shape.watches;
        if shape.trees_coincide {
            *sponsors = Genealogy::new(plan.count_sponsor_tree);
        }
        let counts_sponsors = plan.count_sponsor_tree && !shape.trees_coincide;
        both(
            || placement.count_anew(placement_watch),
            || counts_sponsors.then(|| sponsors.count_anew(sponsor_watch)),
        );
        self.recount_admins();
    }

    pub fn members(&self) -> &Members {
        &self.members
    }

    pub fn placement(&self) -> &Genealogy {
        &self.placement
    }

    pub fn sponsors(&self) -> &Genealogy {
        &self.sponsors
    }

    pub fn slots(&self) -> &SlotFinder {
        &self.slots
    }

    pub fn codes(&self) -> &Codes {
        &self.codes
    }

    /// Admins with their deep counts.
    pub fn admins(&self) -> &Admins {
        &self.admins
    }

    pub fn code_key(&self) -> CodeKey {
        self.shape.code_key
    }

    /// Deepest level of the placement tree; 0 when empty.
    pub fn depth(&self) -> u32 {
        self.shape.depth
    }

    /// Members by paid-as rank; trailing ranks never held may be missing.
    pub fn rank_distribution(&self) -> &[u64] {
        &self.shape.rank_distribution
    }

    /// The watched counts in a tree.
    pub fn watch(&self, tree: Tree) -> &Watch {
        &self.shape.watches[tree as usize]
    }

    /// The tree that stores this one: the placement tree serves as both where the plan makes them the same.
    pub fn kept_tree(&self, tree: Tree) -> Tree {
        if self.shape.trees_coincide { Tree::Placement } else { tree }
    }

    pub fn tree(&self, tree: Tree) -> &Genealogy {
        match self.kept_tree(tree) {
            Tree::Sponsor => &self.sponsors,
            Tree::Placement => &self.placement,
        }
    }

    /// Trees that are stored separately and counted.
    pub fn counted_trees(&self) -> impl Iterator<Item = Tree> + use<> {
        let sponsors = self.kept_tree(Tree::Sponsor) == Tree::Sponsor && self.sponsors.is_counted();
        [Tree::Placement].into_iter().chain(sponsors.then_some(Tree::Sponsor))
    }

    /// The trees along which volumes are added up.
    pub fn volume_trees(&self) -> Trees<'_> {
        let sponsor = (self.kept_tree(Tree::Sponsor) == Tree::Sponsor).then_some(&self.sponsors);
        Trees { sponsor, placement: &self.placement }
    }

    /// What of a tree's tour the newest member divided.
    pub fn take_split(&mut self, tree: Tree) -> Option<Split> {
        match tree {
            Tree::Sponsor => self.sponsors.take_split(),
            Tree::Placement => self.placement.take_split(),
        }
    }

    pub fn set_status(&mut self, member: MemberIx, status: Status) {
        self.members.set_status(member, status);
    }

    /// Sets a role that differs from the present one, without rating the member again. `deep` are the deep
    /// levels of a new admin, if known.
    pub fn set_role(&mut self, member: MemberIx, role: Role, deep: Option<[Vec<u32>; 2]>) {
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
    }

    /// An admin's head-counts beyond `LEVELS_MAX`, from scratch.
    pub fn deep_levels(&self, member: MemberIx) -> [Vec<u32>; 2] {
        let mut deep = [Vec::new(), Vec::new()];
        for tree in self.counted_trees() {
            deep[tree as usize] = self.tree(tree).deep_levels(member, ADMIN_LEVELS_MAX);
        }
        deep
    }

    /// Counts the deep levels of all admins from scratch.
    pub fn recount_admins(&mut self) {
        let admins: Vec<MemberIx> = self.admins.keys().copied().collect();
        for admin in admins {
            let deep = self.deep_levels(admin);
            self.admins.insert(admin, deep);
        }
    }

    /// Keeps a sum of the hashes of members.
    pub fn keep_sum(&mut self, fresh: &FreshSum) {
        self.members.keep_sum(fresh);
    }

    /// Sets the number of a member's account.
    pub fn set_account(&mut self, member: MemberIx, account: u32) {
        self.members.set_account(member, account);
    }

    /// Marks a trigger name, one of those with a flag of the member, as paid with `once`.
    pub fn set_paid_once(&mut self, member: MemberIx, kind: u16) {
        self.members.set_paid_once(member, kind);
    }

    /// Starts or stops counting the sponsor tree. The views that have counts must be lost. O(members).
    pub fn set_sponsors_counted(&mut self, counted: bool, replaced: &mut Freeing) {
        let mut admins = std::mem::take(&mut *self.admins);
        if counted {
            self.sponsors.count_anew(&self.shape.watches[Tree::Sponsor as usize]);
        } else if let Some(counts) = self.sponsors.stop_counting() {
            replaced.push(counts);
        }
        for (admin, deep) in &mut admins {
            deep[Tree::Sponsor as usize] =
                if counted { self.sponsors.deep_levels(*admin, ADMIN_LEVELS_MAX) } else { Vec::new() };
        }
        *self.admins = admins;
    }

    /// Completes a copy: of parts that the view does not have, and of what trees lack without counts.
    pub fn complete_copy(&mut self, has_slots: bool, has_counts: bool) {
        if !has_slots {
            self.slots = SlotFinder::default();
        }
        if !has_counts {
            self.placement.set_jumps();
            self.sponsors.set_jumps();
        }
    }

    /// Exchanges trees, ranks and admins with `other`, which has the same members under another plan.
    pub fn swap_ranked(&mut self, other: &mut Self) {
        std::mem::swap(&mut self.placement, &mut other.placement);
        std::mem::swap(&mut self.sponsors, &mut other.sponsors);
        self.members.swap_ranks(&mut other.members);
        std::mem::swap(&mut *self.admins, &mut *other.admins);
        std::mem::swap(&mut self.shape.rank_distribution, &mut other.shape.rank_distribution);
    }

    /// See [`Members::take_lifetimes`].
    pub fn take_lifetimes(&mut self, other: &Self) {
        self.members.take_lifetimes(&other.members);
    }

    /// Corrupts members, trees, admins, the depth or the distribution of ranks, for a test of the audit.
    #[cfg(test)]
    pub fn members_mut(&mut self) -> &mut Members {
        &mut self.members
    }

    #[cfg(test)]
    pub fn placement_mut(&mut self) -> &mut Genealogy {
        &mut self.placement
    }

    #[cfg(test)]
    pub fn sponsors_mut(&mut self) -> &mut Genealogy {
        &mut self.sponsors
    }

    #[cfg(test)]
    pub fn admins_mut(&mut self) -> &mut Admins {
        &mut self.admins
    }

    #[cfg(test)]
    pub fn depth_mut(&mut self) -> &mut u32 {
        &mut self.shape.depth
    }

    #[cfg(test)]
    pub fn rank_distribution_mut(&mut self) -> &mut [u64] {
        &mut self.shape.rank_distribution
    }
}
