//! Keeps ranks up to date with the counts that they follow from.

use std::sync::Arc;

use crate::core::{
    network::{
        members::Ranks,
        part::Network,
        rank::{self, Standing},
    },
    plan::{Plan, RankRule},
    tree::{counting::Watch, passes::recount},
    words::types::{LEVELS_MAX, MemberIx, Tree},
};

impl Network {
    /// Updates a member's ranks from its counts. Returns those before and after.
    pub fn rerate(&mut self, rule: &RankRule, member: MemberIx) -> (Ranks, Ranks) {
        let before = self.members.ranks(member);
        let paid_as = rank::paid_as(rule, &self.standing(rule, member));
        let after = Ranks { paid_as, lifetime: before.lifetime.max(paid_as) };
        if before != after {
            self.members.set_ranks(member, after);
            self.count_rank(before.paid_as, -1);
            self.count_rank(after.paid_as, 1);
        }
        (before, after)
    }

    /// The inputs of a rank rule for a member.
    pub fn standing(&self, rule: &RankRule, member: MemberIx) -> Standing<'_> {
        let tree = self.kept_tree(rule.tree());
        let genealogy = self.tree(tree);
        Standing {
            direct: genealogy.link(member).children,
            near_downline: genealogy.near_downline(member).unwrap_or(0),
            levels: genealogy.levels(member).unwrap_or([0; LEVELS_MAX]),
            deep: self.admins.get(&member).map(|deep| deep[tree as usize].as_slice()),
        }
    }

    pub(super) fn count_rank(&mut self, rank: u16, change: i64) {
        let distribution = &mut self.shape.rank_distribution;
        let at = usize::from(rank);
        if distribution.len() <= at {
            distribution.resize(at + 1, 0);
        }
        distribution[at] =
            distribution[at].checked_add_signed(change).expect("each member is counted at one rank");
    }

    /// Watches the counts of another plan. Returns those watched before, for [`Network::recount_watched`].
    pub fn watch_for(&mut self, plan: &Plan) -> [Arc<Watch>; 2] {
        std::mem::replace(&mut self.shape.watches, rank::watches(plan))
    }

    /// Recomputes the near downlines for the present watches.
    pub fn recount_watched(&mut self, before: &[Arc<Watch>; 2]) {
        let watched = self.shape.watches.clone();
        for (tree, index) in
            [(&mut self.sponsors, Tree::Sponsor as usize), (&mut self.placement, Tree::Placement as usize)]
        {
            if before[index] != watched[index] && tree.is_counted() {
                let sizes = recount::downlines(tree);
                tree.rewatch(&watched[index], &sizes);
            }
        }
    }
}
