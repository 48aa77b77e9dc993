//! All counts of a tree from scratch, on all cores: each member's downline and head-counts of levels 1 to 15.
//!
//! Only members with children have a row; most have none, and what these add to their parents is the parent's
//! number of children, which its link has. So rows begin with that, and one pass over the rows alone,
//! children first, adds each to its parent's, one level further down: a row is complete when the pass reaches
//! it.
//!
//! In a tree in join order rows are in an order of the tree, and the pass goes block by block. Within a block
//! one thread does it; what a block adds to earlier rows is partitioned by row, so that no two threads ever
//! touch the same one, and the sums are the same for any number of threads. Any other tree, which few
//! networks have, is counted by one thread along its order.

use rayon::prelude::*;

use crate::core::{
    store::region::Region,
    tree::{
        genealogy::Genealogy,
        passes::{
            inner::Inner,
            row::{Row, add},
        },
    },
    words::types::{LEVELS_MAX, MemberIx, NONE, index},
};

/// Members whose rows are begun by one thread.
const MEMBERS: usize = if cfg!(test) { 2 * 1_024 } else { 64 * 1_024 };
/// Rows of a block. Work is dispatched once per block, and a sleeping thread may take milliseconds to wake,
/// so blocks are long; additions within a block are done by one thread, so they are not longer.
const BLOCK: usize = if cfg!(test) { 1_024 } else { 128 * 1_024 };
/// Adjacent rows that go to the same thread; pieces go to threads in turn, which spreads neighboring parents.
const PIECE: usize = 1_024;

/// The result of a recount.
pub struct Counts {
    inner: Inner,
    /// Of members with children, in the order of their numbers.
    rows: Region<Row>,
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
        self.inner.number(member).map_or([0; LEVELS_MAX + 1], |number| self.rows[number])
    }
}

/// Every member's whole downline. O(members).
pub(in crate::core) fn downlines(tree: &Genealogy) -> Region<u32> {
    let mut sizes: Region<u32> = Region::zeroed(tree.len());
    for member in tree.order().children_first() {
        let parent = tree.link(member).parent;
        if parent != NONE {
            sizes[parent as usize] += sizes[member.at()] + 1;
        }
    }
    sizes
}

/// Counts a tree. O(members), some 70 bytes for each member with children; 4 more for each member if the tree
/// is not in join order.
pub(in crate::core) fn count(tree: &Genealogy) -> Counts {
    let inner = Inner::of(tree);
    let (mut rows, parents) = begun(tree, &inner);
    if tree.is_in_join_order() {
        add_up(&mut rows, &parents);
    } else {
        for member in tree.order().children_first() {
            let Some(number) = inner.number(member) else { continue };
            let row = rows[number];
            if parents[number] != NONE {
                add(&mut rows[parents[number] as usize], &row);
            }
        }
    }
    Counts { inner, rows }
}

/// Rows that hold the children alone, and the numbers of their parents' rows.
fn begun(tree: &Genealogy, inner: &Inner) -> (Region<Row>, Region<u32>) {
    let mut rows: Region<Row> = Region::zeroed(inner.len());
    let mut parents: Region<u32> = Region::zeroed(inner.len());
    let (mut rows_left, mut parents_left) = (&mut *rows, &mut *parents);
    let mut shares = Vec::with_capacity(tree.len().div_ceil(MEMBERS));
    for first in (0..tree.len()).step_by(MEMBERS) {
        let members = first..tree.len().min(first + MEMBERS);
        let many = inner.before(members.end) - inner.before(members.start);
        let (rows, parents);
        (rows, rows_left) = std::mem::take(&mut rows_left).split_at_mut(many);
        (parents, parents_left) = std::mem::take(&mut parents_left).split_at_mut(many);
        shares.push((members, rows, parents));
    }
    shares.into_par_iter().for_each(|(members, rows, parents)| {
        let links = members.map(|member| tree.link(index(member))).filter(|link| link.children != 0);
        for ((row, parent), link) in rows.iter_mut().zip(parents).zip(links) {
            row[..2].fill(link.children);
            let above = MemberIx::from_column(link.parent).and_then(|above| inner.number(above));
            *parent = above.map_or(NONE, |above| index(above).0);
        }
    });
    (rows, parents)
}

/// Adds all rows to those of their parents, which come before them.
fn add_up(rows: &mut [Row], parents: &[u32]) {
    for first in (0..rows.len()).step_by(BLOCK).rev() {
        let parents = &parents[first..rows.len().min(first + BLOCK)];
        let (before, rest) = rows.split_at_mut(first);
        let own = &mut rest[..parents.len()];
        add_within(parents, own, first);
        add_before(parents, own, before);
    }
}

/// Adds rows of a block to parents in the same block, whose rows begin at `first`.
fn add_within(parents: &[u32], own: &mut [Row], first: usize) {
    for at in (0..own.len()).rev() {
        let parent = parents[at] as usize;
        if (first..first + at).contains(&parent) {
            let (above, row) = own.split_at_mut(at);
            add(&mut above[parent - first], &row[0]);
        }
    }
}

/// Adds rows of a block, which are complete, to parents in earlier blocks.
fn add_before(parents: &[u32], own: &[Row], before: &mut [Row]) {
    let threads = rayon::current_num_threads();
    if threads == 1 {
        for (parent, row) in parents.iter().zip(own) {
            if let Some(above) = before.get_mut(*parent as usize) {
                add(above, row);
            }
        }
        return;
    }
    let first = before.len();
    let mut shares: Vec<Vec<&mut [Row]>> = (0..threads).map(|_| Vec::new()).collect();
    for (number, piece) in before.chunks_mut(PIECE).enumerate() {
        shares[number % threads].push(piece);
    }
    shares.into_par_iter().enumerate().for_each(|(thread, mut share)| {
        for (parent, row) in parents.iter().zip(own) {
            let parent = *parent as usize;
            let (piece, within) = (parent / PIECE, parent % PIECE);
            if parent < first && piece % threads == thread {
                add(&mut share[piece / threads][within], row);
            }
        }
    });
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
        assert_eq!((counts.inner.len(), counts.rows.len()), (0, 0));
    }
}
