//! The preparation of a new admin: the head-counts of its downline beyond `LEVELS_MAX`.

use crate::core::{
    network::growth::add_at,
    state::{
        ahead::{Ahead, ResultId},
        parts::State,
    },
    tree::preorder::Preorder,
    words::types::{ADMIN_LEVELS_MAX, LEVELS_MAX, MemberIx, Tree},
};

/// The head-counts of a future admin beyond `LEVELS_MAX`, while being counted.
pub(in crate::core) struct DeepLevels {
    member: MemberIx,
    /// Counted trees, each with the walk through the members present when counting began.
    walks: Vec<(Tree, Preorder)>,
    deep: [Vec<u32>; 2],
    /// Members below this index are covered by the walks or were added since.
    seen: u32,
}

/// Identifies the result of making `member` an admin as the next command.
pub(in crate::core) fn result(state: &State, member: MemberIx) -> ResultId {
    ResultId::of_network("admin", &member.0.to_le_bytes(), state)
}

impl DeepLevels {
    /// Starts counting the deep levels of `member`. O(1).
    pub fn new(state: &State, member: MemberIx) -> Self {
        let seen = state.len();
        let walks = state
            .network
            .counted_trees()
            .map(|tree| (tree, state.tree(tree).preorder(member, member, seen)))
            .collect();
        Self { member, walks, deep: [Vec::new(), Vec::new()], seen }
    }

    pub fn is_of(&self, member: MemberIx) -> bool {
        self.member == member
    }

    /// By tree, then level.
    pub fn into_deep(self) -> [Vec<u32>; 2] {
        self.deep
    }
}

impl Ahead for DeepLevels {
    fn id(&self, state: &State) -> ResultId {
        result(state, self.member)
    }

    fn advance(&mut self, state: &State, mut steps: usize) -> bool {
        if !self.walks.iter().map(|(tree, _)| *tree).eq(state.network.counted_trees()) {
            // A plan change started or stopped counting a tree.
            *self = Self::new(state, self.member);
        }
        let Self { member, walks, deep, seen } = self;
        for (tree, walk) in walks.iter_mut() {
            let genealogy = state.tree(*tree);
            let top = genealogy.link(*member).level;
            while let Some(below) = genealogy.preorder_next(walk, &mut steps) {
                add_deep(&mut deep[*tree as usize], genealogy.link(below).level - top);
            }
            if !walk.is_over() {
                return false;
            }
        }
        while 0 < steps && *seen < state.len() {
            for (tree, _) in walks.iter() {
                let genealogy = state.tree(*tree);
                let depth =
                    genealogy.link(MemberIx(*seen)).level.saturating_sub(genealogy.link(*member).level);
                if is_deep(depth) && genealogy.is_ancestor(*member, MemberIx(*seen)) {
                    add_deep(&mut deep[*tree as usize], depth);
                }
            }
            *seen += 1;
            steps -= 1;
        }
        *seen == state.len()
    }

    fn complete(&mut self, _state: &State) -> bool {
        true
    }
}

fn is_deep(depth: u32) -> bool {
    (LEVELS_MAX + 1..=ADMIN_LEVELS_MAX).contains(&(depth as usize))
}

fn add_deep(deep: &mut Vec<u32>, depth: u32) {
    if is_deep(depth) {
        add_at(deep, depth as usize - LEVELS_MAX - 1);
    }
}
