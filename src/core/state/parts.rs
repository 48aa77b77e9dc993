//! The parts of a network's state, and their common types.

use std::{collections::BTreeMap, sync::Arc};

use crate::core::{
    ledger::entries::Ledger,
    network::{
        codes::{CodeKey, Codes},
        members::{Members, ONCE_KINDS},
        rank,
    },
    plan::Plan,
    state::{image::Tables, part::Views, plans::PlanVersions},
    store::column::Scalar,
    tree::{counting::Watch, genealogy::Genealogy, placement::SlotFinder},
    words::types::{MemberIx, Money, Timestamp, Tree},
};

/// A network at one LSN.
pub struct State {
    pub(in crate::core) scalars: Scalar<Scalars>,
    pub(in crate::core) members: Members,
    /// Also the sponsor tree where the plan makes both the same.
    pub(in crate::core) placement: Genealogy,
    pub(in crate::core) sponsors: Genealogy,
    pub(in crate::core) slots: SlotFinder,
    pub(in crate::core) codes: Codes,
    pub(in crate::core) ledger: Ledger,
    /// Requests, row ids, references and others: each a list of rows.
    pub(in crate::core) tables: Tables,
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
    /// Microseconds of log time that did not count toward the expiry of keys (`keys.rs`).
    pub key_lag: i64,
    pub outcome_hash: u64,
    pub code_key: CodeKey,
    pub plan: Arc<Plan>,
    pub plan_version: u32,
    /// Known plans with the LSNs from which they hold; the last is `plan`.
    pub plans: PlanVersions,
    /// Trigger names ever in a plan or imported, in order of first appearance.
    pub kinds: Vec<Box<str>>,
    pub breakage_levels: u64,
    pub breakage_amount: i64,
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
        state.scalars.kinds = state.scalars.plan.bonuses.iter().map(|rule| rule.trigger.clone()).collect();
        state
    }

    /// Completely empty: the initial value of a frozen copy.
    pub(in crate::core) fn empty(plan: Plan, code_key: CodeKey) -> Self {
        let watches = watches(&plan);
        let plan = Arc::new(plan);
        Self {
            slots: SlotFinder::new(&plan.placement),
            scalars: Scalar::new(Scalars {
                lsn: 0,
                time: Timestamp(0),
                key_lag: 0,
                outcome_hash: 0,
                code_key,
                plans: PlanVersions::new(Arc::clone(&plan)),
                plan,
                plan_version: 1,
                kinds: Vec::new(),
                breakage_levels: 0,
                breakage_amount: 0,
                depth: 0,
                rank_distribution: Vec::new(),
                watches,
            }),
            members: Members::new(),
            placement: Genealogy::empty_copy(),
            sponsors: Genealogy::empty_copy(),
            codes: Codes::new(),
            ledger: Ledger::new(),
            tables: Tables::new(),
            admins: Scalar::new(Admins::new()),
            views: Views::default(),
        }
    }

    /// The tree that stores this one: the placement tree serves as both where the plan makes them the same.
    pub(in crate::core) fn kept_tree(&self, tree: Tree) -> Tree {
        if self.scalars.plan.placement.trees_coincide() { Tree::Placement } else { tree }
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

    /// Adds to the breakage: what was not paid because the receiver may not earn.
    pub(in crate::core) fn withhold(&mut self, amount: Money) {
        self.scalars.breakage_levels += 1;
        self.scalars.breakage_amount = self.scalars.breakage_amount.saturating_add(amount.0);
    }

    /// The number of a trigger name, if it has one.
    pub(in crate::core) fn kind_of(&self, name: &str) -> Option<usize> {
        self.scalars.kinds.iter().position(|kind| &**kind == name)
    }

    /// How many of `names` have no number yet, and how many more can get one.
    pub(in crate::core) fn has_room_for_kinds<'a>(&self, names: impl Iterator<Item = &'a str>) -> bool {
        let new = names.filter(|name| self.kind_of(name).is_none()).count();
        self.scalars.kinds.len() + new <= ONCE_KINDS
    }

    /// The number of a trigger name, assigned now if it has none. Room was checked before.
    pub(in crate::core) fn intern_kind(&mut self, name: &str) -> usize {
        self.kind_of(name).unwrap_or_else(|| {
            self.scalars.kinds.push(name.into());
            self.scalars.kinds.len() - 1
        })
    }
}

/// The watched counts in each tree under a plan.
pub(in crate::core) fn watches(plan: &Plan) -> [Arc<Watch>; 2] {
    let coincide = plan.placement.trees_coincide();
    [Tree::Sponsor, Tree::Placement].map(|tree| Arc::new(rank::watch(&plan.ranks, tree, coincide)))
}
