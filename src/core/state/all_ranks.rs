//! The ranks of all members at once: from a recount, an independent way to every number, or from the counts
//! that are kept.
//!
//! Signups maintain counts and ranks incrementally; this computes them in full, by another algorithm, in
//! parallel, with the same result for any number of threads (integer sums in a fixed order). Used when a plan
//! changes, and by `audit`.

use rayon::prelude::*;

use crate::core::{
    network::rank::{self, Standing},
    plan::RankRule,
    state::parts::State,
    store::{parallel::BLOCK, region::Region},
    tree::passes::recount::{self, Counts},
    words::types::{ADMIN_LEVELS_MAX, LEVELS_MAX, MemberIx, Role, Tree, index},
};

/// The downline and level counts of every member of a tree. O(members).
pub fn counts(state: &State, tree: Tree) -> Counts {
    recount::count(state.tree(tree))
}

/// Every member's paid-as rank under the plan in force, from fresh counts.
pub fn ranks(state: &State) -> Region<u16> {
    ranks_under(state, &state.plan().ranks)
}

/// As [`ranks`], under another rule: the effect of a plan change.
pub fn ranks_under(state: &State, rule: &RankRule) -> Region<u16> {
    ranks_from(state, rule, &counts(state, rule.tree()))
}

/// As [`ranks_under`], from counts of the rule's tree.
pub fn ranks_from(state: &State, rule: &RankRule, counts: &Counts) -> Region<u16> {
    let tree = state.tree(rule.tree());
    // Most members have no downline, and all of these have one rank.
    let nobody = Standing { direct: 0, near_downline: 0, levels: [0; LEVELS_MAX], deep: None };
    let alone = rank::paid_as(rule, &nobody);
    let rank = |member: MemberIx| {
        if tree.link(member).children == 0 {
            return alone;
        }
        let is_admin = state.network.members().role(member) == Role::Admin;
        let deep = is_admin.then(|| tree.deep_levels(member, ADMIN_LEVELS_MAX));
        let standing = Standing {
            direct: tree.link(member).children,
            near_downline: counts.downline(member),
            levels: counts.levels(member),
            deep: deep.as_deref(),
        };
        rank::paid_as(rule, &standing)
    };
    of_all(tree.len(), rank)
}

/// Every member's paid-as rank under the plan in force, from the counts that are kept: less work and memory
/// than [`ranks`], and no check of these counts.
pub(in crate::core) fn kept_ranks(state: &State) -> Region<u16> {
    of_all(state.network.members().len(), |member| {
        rank::paid_as(&state.plan().ranks, &state.standing(member))
    })
}

fn of_all(members: usize, rank: impl Fn(MemberIx) -> u16 + Sync) -> Region<u16> {
    let mut ranks: Region<u16> = Region::zeroed(members);
    ranks.par_chunks_mut(BLOCK).enumerate().for_each(|(block, ranks)| {
        ranks.iter_mut().zip(block * BLOCK..).for_each(|(kept, member)| *kept = rank(index(member)));
    });
    ranks
}
