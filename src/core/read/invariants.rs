//! Every invariant of a state, checked the slow way. Maintained counts are compared with a recount from
//! scratch. Members are checked block by block, in parallel; findings come in the order of members.

use std::ops::Range;

use crate::core::{
    ledger::{accounts::Balance, sum::Sum},
    read::volumes::faults_of_volumes,
    state::{all_ranks, parts::State},
    store::{
        parallel::{both, in_blocks},
        rows::Rows,
    },
    tree::order::{Order, below_themselves},
    words::types::{EntryStatus, MemberIx, NONE, Role, Timestamp, Tree, index},
};

/// Violated invariants, at most `most` findings, each naming member or entry. O(members * log members +
/// entries + orders, and members * levels for each live volume).
pub fn audit(state: &State, most: usize) -> Vec<String> {
    let mut findings = Findings::new(most);
    let trees =
        [Tree::Sponsor, Tree::Placement].into_iter().filter(|tree| state.network.kept_tree(*tree) == *tree);
    trees.clone().for_each(|tree| audit_links(state, tree, &mut findings));
    // Everything else walks along the links, and would not terminate on a cycle.
    if !findings.list.is_empty() {
        return findings.list;
    }
    trees.for_each(|tree| audit_counts(state, tree, &mut findings));
    audit_placement(state, &mut findings);
    audit_ranks(state, &mut findings);
    audit_admins(state, &mut findings);
    audit_ledger(state, &mut findings);
    let list = faults_of_volumes(state, most);
    findings.add(Findings { list, most });
    audit_opening(state, &mut findings);
    findings.list
}

struct Findings {
    list: Vec<String>,
    most: usize,
}

impl Findings {
    fn new(most: usize) -> Self {
        Self { list: Vec::new(), most }
    }

    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.list.len() < self.most {
            self.list.push(what());
        }
    }

    /// Adds what was found elsewhere.
    fn add(&mut self, found: Findings) {
        let room = self.most - self.list.len();
        self.list.extend(found.list.into_iter().take(room));
    }

    /// Checks all members, in parallel. Returns what `check` returns for each block, in order.
    fn each_block<R: Send>(
        &mut self,
        state: &State,
        check: impl Fn(Range<usize>, &mut Findings) -> R + Sync,
    ) -> Vec<R> {
        let most = self.most;
        let blocks = in_blocks(state.len() as usize, |block| {
            let mut findings = Findings::new(most);
            let result = check(block, &mut findings);
            (findings, result)
        });
        let add = |(found, result)| {
            self.add(found);
            result
        };
        blocks.into_iter().map(add).collect()
    }

    fn each_member(&mut self, state: &State, check: impl Fn(MemberIx, &mut Findings) + Sync) {
        self.each_block(state, |block, findings| {
            block.map(index).for_each(|member| check(member, findings));
        });
    }
}

fn members(state: &State) -> impl Iterator<Item = MemberIx> {
    (0..state.len()).map(MemberIx)
}

/// Parents lead up to a root; children lists agree with parents and reach everybody; slots ascend, levels are
/// one below.
fn audit_links(state: &State, name: Tree, findings: &mut Findings) {
    let tree = state.tree(name);
    findings.require(tree.len() == state.len() as usize, || {
        format!("{name:?} tree has {} members of {}", tree.len(), state.len())
    });
    if !audit_parents(state, name, findings) {
        return;
    }
    let lists = || {
        let mut found = Findings::new(findings.most);
        let listed = found.each_block(state, |block, findings| -> u64 {
            block.map(|member| audit_list(state, name, index(member), findings)).sum()
        });
        (found, listed.into_iter().sum::<u64>())
    };
    // Implied where nothing was found: each child is listed once, under its parent, and no parent is below
    // its child.
    let (walked, (found, listed)) = both(|| Order::walked(&tree.links).map(drop), lists);
    findings.add(found);
    let below_somebody = in_blocks(state.len() as usize, |block| {
        block.filter(|member| tree.link(index(*member)).parent != NONE).count() as u64
    });
    let below_somebody: u64 = below_somebody.into_iter().sum();
    findings.require(listed == below_somebody, || {
        format!("{name:?} tree lists {listed} children of {below_somebody}")
    });
    if let Err(lost) = walked {
        findings.require(false, || format!("{lost:?} is not reached from a root of the {name:?} tree"));
    }
}

/// The list of a member's children. Returns how many were listed.
fn audit_list(state: &State, name: Tree, member: MemberIx, findings: &mut Findings) -> u64 {
    let tree = state.tree(name);
    let link = tree.link(member);
    let (mut children, mut slot_before) = (0, None);
    // Bounded: a list may contain a cycle. One that is longer than its count is wrong anyway.
    for child in tree.children(member).take(link.children.min(state.len()) as usize + 1) {
        let below = tree.link(child);
        findings.require(below.parent == member.0, || {
            format!("{child:?} is listed under {member:?} but names another {name:?}")
        });
        findings
            .require(below.level == link.level + 1, || format!("level of {child:?} in the {name:?} tree"));
        findings.require(slot_before < Some(below.slot), || {
            format!("slots under {member:?} do not ascend in the {name:?} tree")
        });
        slot_before = Some(below.slot);
        children += 1;
    }
    findings
        .require(children == link.children, || format!("direct count of {member:?} in the {name:?} tree"));
    let root_level_right = link.parent != NONE || link.level == 1;
    findings.require(root_level_right, || format!("level of root {member:?}"));
    children.into()
}

/// Parents exist, nobody is below itself, and each parent joined first if the tree says so. Returns false
/// when the links must not be followed.
fn audit_parents(state: &State, name: Tree, findings: &mut Findings) -> bool {
    let tree = state.tree(name);
    let parent_of = |member: MemberIx| MemberIx::from_column(tree.link(member).parent);
    let in_order = in_blocks(state.len() as usize, |mut block| {
        block.all(|member| parent_of(index(member)).is_none_or(|parent| parent.at() < member))
    });
    if in_order.into_iter().all(|in_order| in_order) {
        return true;
    }
    let mut exist = true;
    for (member, parent) in members(state).filter_map(|member| Some((member, parent_of(member)?))) {
        let is_there = parent.0 < state.len();
        exist &= is_there;
        findings.require(is_there, || format!("{member:?} has a {name:?} parent that does not exist"));
        findings.require(parent < member || !tree.is_in_join_order(), || {
            format!("{member:?} is before its {name:?} parent")
        });
    }
    for member in below_themselves(&tree.links) {
        findings.require(false, || format!("{member:?} is below itself in the {name:?} tree"));
    }
    exist
}

/// Downlines and levels match a recount.
fn audit_counts(state: &State, name: Tree, findings: &mut Findings) {
    let tree = state.tree(name);
    if !tree.is_counted() {
        return findings.each_member(state, |member, findings| {
            let follows = tree.jump_follows(member);
            findings.require(follows, || format!("the way up from {member:?} in the {name:?} tree"));
        });
    }
    let counts = all_ranks::counts(state, name);
    let near_cap = state.network.watch(name).downline.last().copied().unwrap_or(0);
    findings.each_member(state, |member, findings| {
        let size = counts.downline(member);
        findings.require(tree.downline(member) == Some(size), || {
            format!("{name:?} downline of {member:?}: {:?}, is {size}", tree.downline(member))
        });
        findings.require(tree.near_downline(member) == Some(size.min(near_cap)), || {
            format!("near {name:?} downline of {member:?}")
        });
        let levels = counts.levels(member);
        findings.require(tree.levels(member) == Some(levels), || {
            format!("{name:?} levels of {member:?}: {:?}, are {levels:?}", tree.levels(member))
        });
    });
}

/// The parent lies in the sponsor's placement subtree, slots are within the width.
fn audit_placement(state: &State, findings: &mut Findings) {
    let width = state.plan().placement.width.map(u32::from);
    findings.each_member(state, |member, findings| {
        let row = state.member(member);
        findings.require(row.sponsor.is_some() == row.parent.is_some(), || {
            format!("{member:?} has a sponsor or a parent but not both")
        });
        if let (Some(sponsor), Some(parent)) = (row.sponsor, row.parent) {
            let inside = sponsor == parent || state.network.placement().is_ancestor(sponsor, parent);
            findings.require(inside, || format!("{member:?} is outside its sponsor's placement subtree"));
            findings.require(width.is_none_or(|width| row.slot < width), || {
                format!("slot of {member:?} is beyond the width")
            });
        }
    });
    let deepest =
        members(state).map(|member| state.network.placement().link(member).level).max().unwrap_or(0);
    findings.require(state.depth() == deepest, || format!("depth {}, is {deepest}", state.depth()));
}

fn audit_ranks(state: &State, findings: &mut Findings) {
    let ranks = all_ranks::ranks(state);
    let mut distribution = vec![0_u64; state.rank_distribution().len()];
    for member in members(state) {
        let held = state.network.members().ranks(member);
        let rank = ranks[member.at()];
        findings.require(held.paid_as == rank, || format!("rank of {member:?}: {}, is {rank}", held.paid_as));
        findings
            .require(held.paid_as <= held.lifetime, || format!("best rank of {member:?} is below its rank"));
        if let Some(count) = distribution.get_mut(usize::from(held.paid_as)) {
            *count += 1;
        }
    }
    findings.require(distribution == state.rank_distribution(), || {
        format!("rank distribution {:?}, is {distribution:?}", state.rank_distribution())
    });
}

fn audit_admins(state: &State, findings: &mut Findings) {
    findings.each_member(state, |member, findings| {
        let is_admin = state.network.members().role(member) == Role::Admin;
        findings.require(is_admin == state.network.admins().contains_key(&member), || {
            format!("role of {member:?} and the list of admins disagree")
        });
    });
    for (admin, deep) in state.network.admins() {
        findings.require(*deep == state.network.deep_levels(*admin), || {
            format!("deep levels of admin {admin:?}")
        });
    }
}

/// Lists by receiver hold each entry once, newest first; sums and balances are right. A copy has no lists of
/// late entries: there they are counted.
fn audit_ledger(state: &State, findings: &mut Findings) {
    let late = if state.ledger.entries().is_ordered() { 0 } else { late_entries(state) };
    let listed = findings.each_block(state, |block, findings| -> u64 {
        block.map(|receiver| audit_received(state, index(receiver), findings)).sum()
    });
    let listed = late + listed.into_iter().sum::<u64>();
    findings.require(listed == state.entries(), || {
        format!("{listed} entries are listed by receiver, of {}", state.entries())
    });
    audit_balances(state, findings);
    audit_reversals(state, findings);
}

/// The list of a receiver. Returns its length.
fn audit_received(state: &State, receiver: MemberIx, findings: &mut Findings) -> u64 {
    let mut newer = (Timestamp(i64::MAX), u64::MAX);
    let mut walk = state.received(receiver);
    let (mut listed, mut is_sorted) = (0, true);
    while is_sorted && let Some(index) = state.received_step(&mut walk) {
        let entry = state.entry(index);
        findings.require(entry.receiver == receiver, || format!("entry {index} is listed for {receiver:?}"));
        listed += 1;
        is_sorted = (entry.time, index) < newer;
        newer = (entry.time, index);
    }
    findings.require(is_sorted, || format!("entries of {receiver:?} are not newest first"));
    listed
}

/// A reversal and what it reverses cancel out, so neither is void without the other. (That one is held and
/// the other pending is possible only in what format 4 left.) What was released exists, and was made before.
fn audit_reversals(state: &State, findings: &mut Findings) {
    let reversals = state.ledger.reversals();
    for row in (0..reversals.len()).map(|at| reversals.row(at)) {
        let [reversed, reversal] = [row.reverses, row.entry].map(|index| state.entry(index.into()));
        let is_void = [&reversed, &reversal].map(|entry| entry.status == EntryStatus::Void);
        findings.require(is_void[0] == is_void[1], || {
            format!("of entry {} and its reversal {} only one is void", row.reverses, row.entry)
        });
    }
    let released = state.ledger.released();
    for row in (0..released.count()).map(|at| released.row_at(at)) {
        let is_possible = u64::from(row.entry) < state.entries()
            && (state.entry(row.entry.into()).lsn + 1..=state.lsn()).contains(&row.lsn)
            && released.of(row.entry.into()) == Some(row.lsn);
        findings.require(is_possible, || format!("release of entry {} by {}", row.entry, row.lsn));
    }
}

/// Sums by state, and the balance of each member, match the entries.
fn audit_balances(state: &State, findings: &mut Findings) {
    let entries = usize::try_from(state.entries()).expect("entries are in memory");
    let sums = in_blocks(entries, |block| {
        let mut sums = [Sum::default(); EntryStatus::ALL.len()];
        for entry in block.map(|index| state.entry(index as u64)) {
            sums[entry.status as usize].add(entry.amount);
        }
        sums
    });
    for status in EntryStatus::ALL {
        let mut real = Sum::default();
        sums.iter().for_each(|sums| real.add_all(sums[status as usize]));
        let kept = state.entries_in(status);
        findings.require(kept == real, || {
            let name = status.name();
            format!(
                "{name} entries: {} of {}, really {} of {}",
                kept.entries, kept.amount, real.entries, real.amount
            )
        });
    }
    let half = state.len() / 2;
    let most = findings.most;
    let of = |receivers| move || balances_of(state, receivers, most);
    let (one, other) = both(of(0..half), of(half..state.len()));
    findings.add(one);
    findings.add(other);
}

/// The balances of some members, from all entries.
fn balances_of(state: &State, receivers: Range<u32>, most: usize) -> Findings {
    let mut findings = Findings::new(most);
    let mut balances = vec![Balance::default(); receivers.len()];
    for index in 0..state.entries() {
        let entry = state.entry(index);
        if !receivers.contains(&entry.receiver.0) {
            continue;
        }
        let balance = &mut balances[(entry.receiver.0 - receivers.start) as usize];
        let part = match entry.status {
            EntryStatus::Pending => &mut balance.pending,
            EntryStatus::Held => &mut balance.held,
            EntryStatus::Paid => &mut balance.paid,
            EntryStatus::Void => continue,
        };
        *part += i128::from(entry.amount.0);
    }
    for (member, real) in receivers.map(MemberIx).zip(balances) {
        let kept = state.balance(member);
        findings.require(kept == real, || format!("balance of {member:?}: {kept:?}, is {real:?}"));
    }
    findings
}

/// Rows of the opening state ascend, its totals match a recount, and its end has the digest of its rows.
fn audit_opening(state: &State, findings: &mut Findings) {
    if let Err(wrong) = state.orders.opening().audit() {
        findings.require(false, || wrong);
    }
    if let Some(closed) = state.opening_close() {
        let found = state.opening_digest();
        findings.require(closed.rows == u64::from(state.opening_len()) && closed.digest == found, || {
            "the opening state is not what its end says".into()
        });
    }
}

/// Number of late entries, derived from their times.
fn late_entries(state: &State) -> u64 {
    let mut newest = Timestamp(i64::MIN);
    let is_late = |index: &u64| {
        let time = state.entry(*index).time;
        newest = newest.max(time);
        time < newest
    };
    (0..state.entries()).filter(is_late).count() as u64
}

#[cfg(test)]
#[path = "renumbered_test.rs"]
mod renumbered;
#[cfg(test)]
#[path = "invariants_test.rs"]
mod tests;
