//! The parts of a network's state, and their common types.

use std::{collections::BTreeMap, sync::Arc};

use crate::core::{
    ledger::{kinds::Kinds, part::Ledger},
    network::{
        codes::{CodeKey, Codes},
        members::Members,
        rank,
    },
    plan::Plan,
    requests::part::Requests,
    state::{part::Views, plans::Plans},
    store::column::Scalar,
    tree::{counting::Watch, genealogy::Genealogy, placement::SlotFinder},
    words::types::{MemberIx, Timestamp, Tree},
};

/// A network at one LSN.
pub struct State {
    pub(in crate::core) scalars: Scalar<Scalars>,
    pub(in crate::core) plans: Plans,
    pub(in crate::core) members: Members,
    /// Also the sponsor tree where the plan makes both the same.
    pub(in crate::core) placement: Genealogy,
    pub(in crate::core) sponsors: Genealogy,
    pub(in crate::core) slots: SlotFinder,
    pub(in crate::core) codes: Codes,
    pub(in crate::core) ledger: Ledger,
    pub(in crate::core) requests: Requests,
    pub(in crate::core) admins: Scalar<Admins>,
    pub(in crate::core) views: Views,
}

/// Head-counts beyond `LEVELS_MAX` of each admin: by tree, then level.
pub(in crate::core) type Admins = BTreeMap<MemberIx, [Vec<u32>; 2]>;

/// Values that exist once per network.
#[derive(Clone)]
pub(in crate::core) struct Scalars {
    pub lsn: u64,
    pub time: Timestamp,
    pub outcome_hash: u64,
    pub code_key: CodeKey,
    pub depth: u32,
    /// Members by paid-as rank.
    pub rank_distribution: Vec<u64>,
    /// Counts at which ranks are checked again, by tree.
    pub watches: [Arc<Watch>; 2],
}

impl State {
    /// An empty network at LSN 0. `code_key` determines how referral codes are generated.
    ///
    /// # Panics
    /// When the plan is not valid (`Plan::validate`).
    pub fn new(plan: Plan, code_key: impl Into<CodeKey>) -> Self {
        assert_eq!(plan.validate(), Ok(()), "plans are validated where they come from");
        let mut state = Self {
            placement: Genealogy::new(true),
            sponsors: Genealogy::new(plan.count_sponsor_tree),
            slots: SlotFinder::new(&plan.placement),
            ..Self::empty(plan, code_key.into())
        };
        let names = state.plans.plan().bonuses.iter().map(|rule| rule.trigger.clone());
        let kinds = Kinds::of(names).expect("a plan has few triggers, each once");
        state.set_kinds(kinds).expect("each was numbered");
        state
    }

    /// Completely empty: the initial value of a frozen copy.
    pub(in crate::core) fn empty(plan: Plan, code_key: CodeKey) -> Self {
        let watches = watches(&plan);
        Self {
            slots: SlotFinder::new(&plan.placement),
            scalars: Scalar::new(Scalars {
                lsn: 0,
                time: Timestamp(0),
                outcome_hash: 0,
                code_key,
                depth: 0,
                rank_distribution: Vec::new(),
                watches,
            }),
            plans: Plans::new(plan),
            members: Members::new(),
            placement: Genealogy::empty_copy(),
            sponsors: Genealogy::empty_copy(),
            codes: Codes::new(),
            ledger: Ledger::new(),
            requests: Requests::new(),
            admins: Scalar::new(Admins::new()),
            views: Views::default(),
        }
    }

    /// The tree that stores this one: the placement tree serves as both where the plan makes them the same.
    pub(in crate::core) fn kept_tree(&self, tree: Tree) -> Tree {
        if self.plans.plan().placement.trees_coincide() { Tree::Placement } else { tree }
    }

    pub(in crate::core) fn tree(&self, tree: Tree) -> &Genealogy {
        match self.kept_tree(tree) {
            Tree::Sponsor => &self.sponsors,
            Tree::Placement => &self.placement,
        }
    }

    /// Trees that are stored separately and counted.
    pub(in crate::core) fn counted_trees(&self) -> impl Iterator<Item = Tree> + use<> {
        let sponsors = self.kept_tree(Tree::Sponsor) == Tree::Sponsor && self.sponsors.is_counted();
        [Tree::Placement].into_iter().chain(sponsors.then_some(Tree::Sponsor))
    }

    /// Sets the numbers of trigger names. `None` if a trigger of the plan has none.
    pub(in crate::core) fn set_kinds(&mut self, kinds: Kinds) -> Option<()> {
        self.ledger.set_kinds(kinds);
        self.plans.number_kinds(&self.ledger)
    }
}

/// The watched counts in each tree under a plan.
pub(in crate::core) fn watches(plan: &Plan) -> [Arc<Watch>; 2] {
    let coincide = plan.placement.trees_coincide();
    [Tree::Sponsor, Tree::Placement].map(|tree| Arc::new(rank::watch(&plan.ranks, tree, coincide)))
}
