//! The counts along one tree.
//!
//! The data that a signup touches is grouped by *family*: the children of one parent. All of them have the
//! same ancestors, so the chain of the nearest sixteen is stored once per family, as family numbers; and an
//! ancestor's counts are in one 64-byte line of its own family. So a signup reads one line (the chain) and
//! then changes up to fifteen independent lines.

use std::hint::black_box;

use crate::core::{
    store::{
        column::{Column, freeze_fields, freeze_optional},
        held::Held,
        pace::Pace,
        settled::Settled,
    },
    tree::{link::Link, order::Order, passes::row, tour::Tour},
    words::types::{LEVELS_MAX, MemberIx, NONE},
};

/// Ancestors in a chain: one more than the levels counted, so that a walk beyond them can continue from the
/// last.
pub(in crate::core) const CHAIN: usize = 16;
/// Members whose families are founded after what these follow from was read, for all of them together.
const FOUNDED_TOGETHER: usize = 64;
/// Index in a tally of the downline, exact below the cap of `Watch`, else the cap.
pub(in crate::core) const NEAR: usize = 0;

/// Counts at which an ancestor must be checked again (rank minima).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Watch {
    /// Downline counts up to the largest of these are kept in the tallies. Ascending.
    pub downline: Vec<u32>,
    /// Per level from 1; 0 for an unwatched level.
    pub levels: [u32; LEVELS_MAX + 1],
}

impl Watch {
    pub fn near_cap(&self) -> u32 {
        self.downline.last().copied().unwrap_or(0)
    }
}

impl Held for Watch {
    fn bytes(&self) -> usize {
        self.downline.bytes()
    }
}

/// The counts along one tree.
pub(in crate::core) struct Counts {
    pub tour: Tour,
    /// Per family, the families of its parent's ancestors: its own first, nearest next.
    pub chains: Settled<[u32; CHAIN]>,
    /// Per family, the counts below its parent: the near downline, then levels 1 to 15.
    pub tallies: Column<[u32; CHAIN]>,
    /// The parent.
    pub owners: Settled<u32>,
}

freeze_fields!(Counts { tour, chains, tallies, owners });

freeze_optional!([] Counts, Counts::with_tour(Tour::empty_copy()));

/// Up to sixteen ancestors, parent first.
pub(crate) struct NearUpline {
    pub members: [MemberIx; CHAIN],
    pub len: usize,
}

impl NearUpline {
    pub fn add(&mut self, member: MemberIx) {
        self.members[self.len] = member;
        self.len += 1;
    }

    pub fn as_slice(&self) -> &[MemberIx] {
        &self.members[..self.len]
    }
}

impl Counts {
    pub fn with_tour(tour: Tour) -> Self {
        Self { tour, chains: Settled::new(), tallies: Column::new(), owners: Settled::new() }
    }

    pub fn tally(&self, link: &Link) -> Option<&[u32; CHAIN]> {
        (link.family != NONE).then(|| self.tallies.get(link.family as usize))
    }

    /// Gives `parent` a family if this is its first child.
    pub fn found_family(&mut self, links: &mut Column<Link>, parent: MemberIx) {
        let link = links.get(parent.at());
        if link.family != NONE {
            return;
        }
        let family = u32::try_from(self.owners.len()).expect("fewer families than members");
        let mut chain = [NONE; CHAIN];
        chain[0] = family;
        if link.parent != NONE {
            let above = self.chains.get(links.get(link.parent as usize).family as usize);
            chain[1..].copy_from_slice(&above[..CHAIN - 1]);
        }
        self.chains.push(chain);
        self.tallies.push([0; CHAIN]);
        self.owners.push(parent.0);
        links.get_mut(parent.at()).family = family;
    }

    /// Gives every member with children a family, and no other member. `order` is that of the tree: a chain
    /// follows from the parent's.
    pub fn found_families(&mut self, links: &mut Column<Link>, order: &Order) {
        let mut members = order.parents_first();
        for first in (0..links.len()).step_by(FOUNDED_TOGETHER) {
            let group = first..links.len().min(first + FOUNDED_TOGETHER);
            let chains = group.clone().map(|position| self.prefetch_chain(links, order.member_at(position)));
            black_box(chains.fold(0, |seen, family| seen ^ family));
            for member in members.by_ref().take(group.len()) {
                let link = links.get(member.at());
                let has_children = link.first_child != NONE;
                if link.family != NONE {
                    links.get_mut(member.at()).family = NONE;
                }
                if has_children {
                    self.found_family(links, member);
                }
            }
        }
    }

    /// Reads the chain from which that of a member with children follows, if it is there. The result is
    /// meaningless.
    fn prefetch_chain(&self, links: &Column<Link>, member: MemberIx) -> u32 {
        let link = links.get(member.at());
        if link.first_child == NONE || link.parent == NONE {
            return NONE;
        }
        let above = links.get(link.parent as usize).family;
        if (above as usize) < self.chains.len() { self.chains.get(above as usize)[0] } else { above }
    }

    /// Sets all tallies, the exact downline as the near one, from the families, which must be in an order of
    /// the tree. One pass over the families, children first: what members without children add to a parent is
    /// its number of children.
    pub fn add_up(&mut self, links: &Column<Link>) {
        for (family, owner) in self.owners.iter().enumerate().paced() {
            let children = links.get(*owner as usize).children;
            self.tallies.get_mut(family)[..2].fill(children);
        }
        for family in (0..self.owners.len()).rev().paced() {
            // The second of a chain is the family of the owner's parent.
            let above = self.chains.get(family)[1];
            if above != NONE {
                let row = *self.tallies.get(family);
                row::add(self.tallies.get_mut(above as usize), &row);
            }
        }
    }

    /// Counts a new member of `family` for all ancestors that count it.
    pub fn count(&mut self, family: u32, watch: &Watch, reached: &mut Vec<MemberIx>) {
        let cap = watch.near_cap();
        let chain = *self.chains.get(family as usize);
        let mut still_near = true;
        for (above, family) in chain.iter().enumerate() {
            let level = above + 1;
            if *family == NONE {
                return;
            }
            if LEVELS_MAX < level && !still_near {
                return;
            }
            let tally = self.tallies.get_mut(*family as usize);
            let mut marked = false;
            if level <= LEVELS_MAX {
                tally[level] += 1;
                marked = tally[level] == watch.levels[level];
            }
            still_near = still_near && tally[NEAR] < cap;
            if still_near {
                tally[NEAR] += 1;
                marked |= watch.downline.contains(&tally[NEAR]);
            }
            if marked {
                reached.push(MemberIx(*self.owners.get(*family as usize)));
            }
        }
        if still_near {
            self.count_far(&chain, watch, reached);
        }
    }

    /// Continues from the end of a chain to ancestors whose downline is still below the cap. Downlines
    /// strictly grow going up: once one is above the cap, so are all ancestors.
    fn count_far(&mut self, chain: &[u32; CHAIN], watch: &Watch, reached: &mut Vec<MemberIx>) {
        let mut chain = *chain;
        loop {
            chain = *self.chains.get(chain[CHAIN - 1] as usize);
            for family in &chain[1..] {
                if *family == NONE {
                    return;
                }
                let tally = self.tallies.get_mut(*family as usize);
                if watch.near_cap() <= tally[NEAR] {
                    return;
                }
                tally[NEAR] += 1;
                if watch.downline.contains(&tally[NEAR]) {
                    reached.push(MemberIx(*self.owners.get(*family as usize)));
                }
            }
        }
    }
}
