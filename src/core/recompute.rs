//! Everything derived, from scratch: the second way to every number.
//!
//! The signup path keeps counts and ranks by small steps; this computes them whole, by another way, in
//! parallel, with the same result for any number of threads (integer sums in a fixed order). Used when a plan
//! changes, and by `audit`.

use rayon::prelude::*;

use super::{
    genealogy::Genealogy,
    plan::RankRule,
    rank::{self, ADMIN_LEVELS_MAX, Standing},
    recount::{self, Counts},
    region,
    state::State,
    types::{MemberIx, NONE, Role, Tree},
};

/// Members handled together by one thread.
const BLOCK: usize = 16 * 1_024;

/// Every member's whole downline. Children have larger indexes than parents, so one pass from the end does
/// it.
pub(super) fn downlines(tree: &Genealogy) -> Vec<u32> {
    let mut sizes = region::filled(0_u32, tree.len());
    for member in (0..sizes.len()).rev() {
        let parent = tree.link(index(member)).parent;
        if parent != NONE {
            sizes[parent as usize] += sizes[member] + 1;
        }
    }
    sizes
}

/// The downline and level counts of every member of a tree. O(members).
pub fn counts(state: &State, tree: Tree) -> Counts {
    recount::count(state.tree(tree))
}

/// Every member's paid-as rank under the plan in force, from counts computed here.
pub fn ranks(state: &State) -> Vec<u16> {
    ranks_under(state, &state.plan().ranks)
}

/// As [`ranks`], under another rule: what a change of the plan would make of them.
pub fn ranks_under(state: &State, rule: &RankRule) -> Vec<u16> {
    ranks_from(state, rule, &counts(state, rule.tree()))
}

/// As [`ranks_under`], from counts of the rule's tree.
pub fn ranks_from(state: &State, rule: &RankRule, counts: &Counts) -> Vec<u16> {
    let tree = state.tree(rule.tree());
    let rank = |member: MemberIx| {
        let is_admin = state.members.role(member) == Role::Admin;
        let deep = is_admin.then(|| tree.deep_levels(member, ADMIN_LEVELS_MAX));
        let standing = Standing {
            direct: tree.link(member).children,
            near_downline: counts.downline(member),
            levels: counts.levels(member),
            deep: deep.as_deref(),
        };
        rank::paid_as(rule, &standing)
    };
    let mut ranks = region::filled(0, tree.len());
    ranks.par_chunks_mut(BLOCK).enumerate().for_each(|(block, ranks)| {
        ranks.iter_mut().zip(block * BLOCK..).for_each(|(kept, member)| *kept = rank(index(member)));
    });
    ranks
}

/// Runs recounts and digests on so many threads of their own instead of one per core: beside a network that
/// serves, where the writer must find a core free. Where the system gives no threads, on those there are.
pub fn on_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(work),
        Err(_) => work(),
    }
}

/// Applies `work` to consecutive ranges that cover `0..len`, in parallel; results in order.
pub(super) fn in_blocks<R: Send>(len: usize, work: impl Fn(std::ops::Range<usize>) -> R + Sync) -> Vec<R> {
    (0..len.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| work(block * BLOCK..len.min((block + 1) * BLOCK)))
        .collect()
}

/// Runs two pieces of work, side by side where there is a thread for it.
pub(super) fn both<A: Send, B: Send>(
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    rayon::join(one, other)
}

/// Sorts in parallel. Equal values are the same, so their order does not show.
pub(super) fn sort<T: Ord + Send>(items: &mut [T]) {
    items.par_sort_unstable();
}

pub(super) fn index(member: usize) -> MemberIx {
    MemberIx(u32::try_from(member).expect("limited by MEMBERS_MAX"))
}
