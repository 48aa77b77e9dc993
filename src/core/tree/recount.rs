//! All counts of a tree from scratch, on all cores: each member's downline and head-counts of levels 1 to 15.
//!
//! One pass over the tree's order, children first, suffices: a member's counts are complete when the pass
//! reaches it, and are then added to its parent, one level further down. Only members with children have a
//! row; most have none. Rows are numbered in the order of the tree, parents first, and the pass goes block by
//! block. Within a block one thread does it; what a block adds to earlier rows is partitioned by row, so that
//! no two threads ever touch the same one, and the sums are the same for any number of threads.

use rayon::prelude::*;

use crate::core::{
    store::region,
    tree::{genealogy::Genealogy, order::Order},
    words::types::{LEVELS_MAX, MemberIx, NONE},
};

/// Members of a block. Work is dispatched once per block, and a sleeping thread may take milliseconds to
/// wake, so blocks are long; additions within a block are done by one thread, so they are not longer.
const BLOCK: usize = if cfg!(test) { 4 * 1_024 } else { 256 * 1_024 };
/// Adjacent rows that go to the same thread; pieces go to threads in turn, which spreads neighboring parents.
const PIECE: usize = 1_024;

/// The downline, then levels 1 to 15: one line of memory.
type Row = [u32; LEVELS_MAX + 1];

/// The result of a recount.
pub struct Counts {
    /// Per member, its place in `rows`; `NONE` without children.
    place: Vec<u32>,
    rows: Vec<Row>,
}

impl Counts {
    /// Descendants of a member.
    pub fn downline(&self, member: MemberIx) -> u32 {
        self.row(member)[0]
    }

    /// Head-counts of levels 1 to 15 below a member.
    pub fn levels(&self, member: MemberIx) -> [u32; LEVELS_MAX] {
        let row = self.row(member);
        std::array::from_fn(|level| row[level + 1])
    }

    fn row(&self, member: MemberIx) -> Row {
        row_at(&self.rows, self.place[member.at()], 0)
    }
}

/// Every member's whole downline. O(members).
pub(in crate::core) fn downlines(tree: &Genealogy) -> Vec<u32> {
    let mut sizes = region::filled(0_u32, tree.len());
    for member in tree.order().children_first() {
        let parent = tree.link(member).parent;
        if parent != NONE {
            sizes[parent as usize] += sizes[member.at()] + 1;
        }
    }
    sizes
}

/// Counts a tree. O(members), some 70 bytes for each member with children and 8 for each other one; 12 more
/// for each member if the tree is not in join order.
pub(in crate::core) fn count(tree: &Genealogy) -> Counts {
    let order = tree.order();
    let positions = order.positions();
    let position_of = |member: u32| match &positions {
        None => member as usize,
        Some(positions) => positions[member as usize] as usize,
    };
    // By position, as all that follows, up to the result.
    let (place, inner_before) = places(tree, &order);
    let mut parents: Vec<u32> = region::filled(NONE, tree.len());
    parents.par_chunks_mut(BLOCK).enumerate().for_each(|(block, parents)| {
        for (row, position) in parents.iter_mut().zip(block * BLOCK..) {
            let parent = tree.link(order.member_at(position)).parent;
            if parent != NONE {
                *row = place[position_of(parent)];
            }
        }
    });
    let mut rows: Vec<Row> =
        region::filled([0; LEVELS_MAX + 1], inner_before.last().copied().unwrap_or(0) as usize);
    for (block, first) in inner_before.iter().enumerate().rev().skip(1) {
        let block = block * BLOCK..order.len().min((block + 1) * BLOCK);
        let (before, own) = rows.split_at_mut(*first as usize);
        add_within(&place[block.clone()], &parents[block.clone()], own, *first);
        add_before(&place[block.clone()], &parents[block], own, *first, before);
    }
    let place = match &positions {
        None => place,
        Some(positions) => {
            let mut by_member = region::filled(NONE, order.len());
            by_member.iter_mut().zip(positions).for_each(|(own, position)| *own = place[*position as usize]);
            by_member
        }
    };
    Counts { place, rows }
}

/// Numbers the members with children by position, in their order; returns how many precede each block, and
/// the total.
fn places(tree: &Genealogy, order: &Order) -> (Vec<u32>, Vec<u32>) {
    let mut place = region::filled(NONE, tree.len());
    let has_children = |position: usize| tree.link(order.member_at(position)).first_child != NONE;
    let number = |(block, place): (usize, &mut [u32])| {
        let mut inner = 0;
        for (offset, place) in place.iter_mut().enumerate() {
            if has_children(block * BLOCK + offset) {
                *place = inner;
                inner += 1;
            }
        }
        inner
    };
    let inner: Vec<u32> = place.par_chunks_mut(BLOCK).enumerate().map(number).collect();
    let mut before = vec![0];
    before.extend(inner.iter().scan(0, |sum, inner| {
        *sum += inner;
        Some(*sum)
    }));
    place.par_chunks_mut(BLOCK).zip(&before).for_each(|(place, before)| {
        place.iter_mut().filter(|place| **place != NONE).for_each(|place| *place += before);
    });
    (place, before)
}

/// Adds members of a block to parents in the same block, whose rows begin at `first`.
fn add_within(place: &[u32], parents: &[u32], own: &mut [Row], first: u32) {
    for (place, parent) in place.iter().zip(parents).rev() {
        if *parent != NONE && first <= *parent {
            let row = row_at(own, *place, first);
            add(&mut own[(*parent - first) as usize], &row);
        }
    }
}

/// Adds members of a block, whose rows are complete, to parents in earlier blocks.
fn add_before(place: &[u32], parents: &[u32], own: &[Row], first: u32, before: &mut [Row]) {
    let threads = rayon::current_num_threads();
    let mut shares: Vec<Vec<&mut [Row]>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, piece) in before.chunks_mut(PIECE).enumerate() {
        shares[number % threads].push(piece);
    }
    shares.into_par_iter().enumerate().for_each(|(thread, mut share)| {
        for (place, parent) in place.iter().zip(parents) {
            let (piece, within) = (*parent as usize / PIECE, *parent as usize % PIECE);
            if *parent < first && piece % threads == thread {
                add(&mut share[piece / threads][within], &row_at(own, *place, first));
            }
        }
    });
}

/// The row at a place, where the first of `rows` is `first`; zeros for a member without one.
fn row_at(rows: &[Row], place: u32, first: u32) -> Row {
    if place == NONE { [0; LEVELS_MAX + 1] } else { rows[(place - first) as usize] }
}

/// Adds a child and its counts to its parent.
fn add(parent: &mut Row, child: &Row) {
    parent[0] += child[0] + 1;
    parent[1] += 1;
    for level in 2..=LEVELS_MAX {
        parent[level] += child[level - 1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{store::parallel::on_threads, tree::counting::Watch};

    /// A tree of a shape, and its counts the slow way: each member is counted for every ancestor.
    fn tree(shape: &str, members: u32) -> (Genealogy, Vec<Row>) {
        let mut random = 7_u64;
        let mut tree = Genealogy::new(false);
        let mut rows: Vec<Row> = vec![[0; LEVELS_MAX + 1]; members as usize];
        let mut recruits = vec![0; members as usize];
        for member in 0..members {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let any = u32::try_from((random >> 33) % u64::from(member.max(1))).unwrap();
            let parent = match shape {
                "chain" => member.saturating_sub(1),
                "star" => 0,
                "ternary" => member.saturating_sub(1) / 3,
                _ => any,
            };
            let place = (member != 0 && (shape != "forest" || member % 50 != 7)).then_some(MemberIx(parent));
            tree.attach(
                place.map(|parent| (parent, recruits[parent.at()])),
                &Watch::default(),
                &mut Vec::new(),
            );
            place.iter().for_each(|parent| recruits[parent.at()] += 1);
            // Long chains would take forever; the other shapes cover counts beyond the levels.
            let reach = if shape == "chain" { LEVELS_MAX } else { usize::MAX };
            for (distance, above) in tree.upline(MemberIx(member)).take(reach).enumerate() {
                rows[above.at()][0] += 1;
                if distance < LEVELS_MAX {
                    rows[above.at()][distance + 1] += 1;
                }
            }
        }
        (tree, rows)
    }

    #[test]
    fn counts_are_those_of_a_walk_for_every_shape_and_number_of_threads() {
        let members = u32::try_from(2 * BLOCK + 100).unwrap();
        for shape in ["chain", "star", "ternary", "uniform", "forest"] {
            let (tree, rows) = tree(shape, members);
            for threads in [1, 2, 5] {
                let counts = on_threads(threads, || count(&tree));
                for (member, row) in (0..).zip(&rows) {
                    let downline = if shape == "chain" { members - member - 1 } else { row[0] };
                    assert_eq!(counts.downline(MemberIx(member)), downline, "{shape} {member} on {threads}");
                    assert_eq!(counts.levels(MemberIx(member)), row[1..], "{shape} {member} on {threads}");
                }
            }
        }
    }

    #[test]
    fn an_empty_tree_has_no_counts() {
        let counts = count(&Genealogy::new(false));
        assert!(counts.place.is_empty() && counts.rows.is_empty());
    }
}
