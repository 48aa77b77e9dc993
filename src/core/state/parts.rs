//! The parts of a network's state, and their common types.

use crate::core::{
    ledger::{kinds::Kinds, part::Ledger},
    network::{codes::CodeKey, part::Network},
    orders::part::Orders,
    plan::Plan,
    requests::part::Requests,
    state::plans::Plans,
    store::{
        column::{Scalar, ViewId},
        held::holds_nothing,
        view_parts::Parts,
    },
    tree::genealogy::Genealogy,
    words::types::{MemberIx, Timestamp, Tree},
};

/// A network at one LSN. Each part has private fields, and sees the others only as arguments.
pub struct State {
    pub(in crate::core) scalars: Scalar<Scalars>,
    pub(in crate::core) plans: Plans,
    pub(in crate::core) network: Network,
    pub(in crate::core) ledger: Ledger,
    pub(in crate::core) requests: Requests,
    pub(in crate::core) orders: Orders,
    pub(in crate::core) views: Views,
}

/// Where the log stands.
#[derive(Clone)]
pub(in crate::core) struct Scalars {
    pub lsn: u64,
    pub time: Timestamp,
    pub outcome_hash: u64,
}

holds_nothing!(Scalars);

/// The frozen views of a state.
#[derive(Default)]
pub(in crate::core) struct Views {
    /// The number of the newest view so far.
    pub newest: u64,
    /// Oldest first.
    pub live: Vec<LiveView>,
}

pub(in crate::core) struct LiveView {
    pub id: ViewId,
    pub parts: Parts,
    /// A plan change replaced columns under it.
    pub is_lost: bool,
}

impl Views {
    pub fn find(&self, id: ViewId) -> Option<&LiveView> {
        self.live.iter().find(|live| live.id == id && !live.is_lost)
    }
}

impl State {
    /// An empty network at LSN 0. `code_key` determines how referral codes are generated.
    ///
    /// # Panics
    /// When the plan is not valid (`Plan::validate`).
    pub fn new(plan: Plan, code_key: impl Into<CodeKey>) -> Self {
        assert_eq!(plan.validate(), Ok(()), "plans are validated where they come from");
        let code_key = code_key.into();
        let network = Network::new(&plan, code_key);
        let mut state = Self { network, ..Self::empty(plan, code_key) };
        let names = state.plans.plan().bonuses.iter().map(|rule| rule.trigger.clone());
        let kinds = Kinds::of(names).expect("a plan has few triggers, each once");
        state.set_kinds(kinds).expect("each was numbered");
        state
    }

    /// Completely empty: the initial value of a frozen copy.
    pub(in crate::core) fn empty(plan: Plan, code_key: CodeKey) -> Self {
        Self {
            scalars: Scalar::new(Scalars { lsn: 0, time: Timestamp(0), outcome_hash: 0 }),
            network: Network::empty(&plan, code_key),
            plans: Plans::new(plan),
            ledger: Ledger::new(),
            requests: Requests::new(),
            orders: Orders::new(),
            views: Views::default(),
        }
    }

    pub(in crate::core) fn tree(&self, tree: Tree) -> &Genealogy {
        self.network.tree(tree)
    }

    /// Sets the numbers of trigger names. `None` if a trigger of the plan has none.
    pub(in crate::core) fn set_kinds(&mut self, kinds: Kinds) -> Option<()> {
        self.ledger.set_kinds(kinds);
        self.plans.number_kinds(&self.ledger)
    }

    /// Prefetches what a list shows of `members`, and the ids of their parents in `tree`: in a walk through a
    /// downline each is in a different place. Changes nothing. O(members).
    pub fn prefetch_rows(&self, tree: Tree, members: &[MemberIx]) {
        self.network.prefetch_rows(tree, members);
    }
}
