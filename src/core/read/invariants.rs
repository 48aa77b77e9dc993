//! Every invariant of a state, checked the slow way. Maintained counts are compared with a recount from
//! scratch.

use crate::core::{
    ledger::{accounts::Balance, sum::Sum},
    state::{all_ranks, parts::State},
    store::rows::Rows,
    tree::order::{Order, below_themselves},
    words::types::{EntryStatus, MemberIx, NONE, Role, Timestamp, Tree},
};

/// Violated invariants, at most `most` findings, each naming member or entry. O(members * log members +
/// entries).
pub fn audit(state: &State, most: usize) -> Vec<String> {
    let mut findings = Findings { list: Vec::new(), most };
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
    findings.list
}

struct Findings {
    list: Vec<String>,
    most: usize,
}

impl Findings {
    fn require(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.list.len() < self.most {
            self.list.push(what());
        }
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
    let mut listed = 0;
    for member in members(state) {
        let link = tree.link(member);
        let mut children = 0;
        let mut slot_before = None;
        // Bounded by the number of members over all lists: a list may contain a cycle.
        for child in tree.children(member).take((state.len() - listed) as usize) {
            let below = tree.link(child);
            findings.require(below.parent == member.0, || {
                format!("{child:?} is listed under {member:?} but names another {name:?}")
            });
            findings.require(below.level == link.level + 1, || {
                format!("level of {child:?} in the {name:?} tree")
            });
            findings.require(slot_before < Some(below.slot), || {
                format!("slots under {member:?} do not ascend in the {name:?} tree")
            });
            slot_before = Some(below.slot);
            children += 1;
        }
        findings.require(children == link.children, || {
            format!("direct count of {member:?} in the {name:?} tree")
        });
        listed += children;
        let root_level_right = link.parent != NONE || link.level == 1;
        findings.require(root_level_right, || format!("level of root {member:?}"));
    }
    let below_somebody = members(state).filter(|member| tree.link(*member).parent != NONE).count();
    findings.require(listed as usize == below_somebody, || {
        format!("{name:?} tree lists {listed} children of {below_somebody}")
    });
    // Implied where nothing was found: each child is listed once, under its parent, and no parent is below
    // its child.
    if let Err(lost) = Order::walked(&tree.links) {
        findings.require(false, || format!("{lost:?} is not reached from a root of the {name:?} tree"));
    }
}

/// Parents exist, nobody is below itself, and each parent joined first if the tree says so. Returns false
/// when the links must not be followed.
fn audit_parents(state: &State, name: Tree, findings: &mut Findings) -> bool {
    let tree = state.tree(name);
    let with_parent = || {
        let with_parent =
            |member| MemberIx::from_column(tree.link(member).parent).map(|above| (member, above));
        members(state).filter_map(with_parent)
    };
    if with_parent().all(|(member, parent)| parent < member) {
        return true;
    }
    let mut exist = true;
    for (member, parent) in with_parent() {
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
    for member in tree.wrong_jumps() {
        findings.require(false, || format!("the way up from {member:?} in the {name:?} tree"));
    }
    if !tree.is_counted() {
        return;
    }
    let counts = all_ranks::counts(state, name);
    let near_cap = state.network.watch(name).downline.last().copied().unwrap_or(0);
    for member in members(state) {
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
    }
}

/// The parent lies in the sponsor's placement subtree, slots are within the width.
fn audit_placement(state: &State, findings: &mut Findings) {
    let width = state.plan().placement.width.map(u32::from);
    for member in members(state) {
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
    }
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
    for member in members(state) {
        let is_admin = state.network.members().role(member) == Role::Admin;
        findings.require(is_admin == state.network.admins().contains_key(&member), || {
            format!("role of {member:?} and the list of admins disagree")
        });
    }
    for (admin, deep) in state.network.admins() {
        findings.require(*deep == state.network.deep_levels(*admin), || {
            format!("deep levels of admin {admin:?}")
        });
    }
}

/// Lists by receiver hold each entry once, newest first; sums and balances are right. A copy has no lists of
/// late entries: there they are counted.
fn audit_ledger(state: &State, findings: &mut Findings) {
    let mut listed = if state.ledger.entries().is_ordered() { 0 } else { late_entries(state) };
    for receiver in members(state) {
        let mut newer = (Timestamp(i64::MAX), u64::MAX);
        let mut walk = state.received(receiver);
        let mut is_sorted = true;
        while is_sorted && let Some(index) = state.received_step(&mut walk) {
            let entry = state.entry(index);
            findings
                .require(entry.receiver == receiver, || format!("entry {index} is listed for {receiver:?}"));
            listed += 1;
            is_sorted = (entry.time, index) < newer;
            newer = (entry.time, index);
        }
        findings.require(is_sorted, || format!("entries of {receiver:?} are not newest first"));
    }
    findings.require(listed == state.entries(), || {
        format!("{listed} entries are listed by receiver, of {}", state.entries())
    });
    audit_balances(state, findings);
    audit_reversals(state, findings);
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
    let mut sums = [Sum::default(); EntryStatus::ALL.len()];
    let mut balances = vec![Balance::default(); state.len() as usize];
    for entry in (0..state.entries()).map(|index| state.entry(index)) {
        sums[entry.status as usize].add(entry.amount);
        let balance = &mut balances[entry.receiver.at()];
        let part = match entry.status {
            EntryStatus::Pending => &mut balance.pending,
            EntryStatus::Held => &mut balance.held,
            EntryStatus::Paid => &mut balance.paid,
            EntryStatus::Void => continue,
        };
        *part += i128::from(entry.amount.0);
    }
    for status in EntryStatus::ALL {
        let (kept, real) = (state.entries_in(status), sums[status as usize]);
        findings.require(kept == real, || {
            let name = status.name();
            format!(
                "{name} entries: {} of {}, really {} of {}",
                kept.entries, kept.amount, real.entries, real.amount
            )
        });
    }
    for member in members(state) {
        let (kept, real) = (state.balance(member), balances[member.at()]);
        findings.require(kept == real, || format!("balance of {member:?}: {kept:?}, is {real:?}"));
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
