//! The sums of some values in some periods, side by side: a booking changes all of them in one climb.

use std::hint::black_box;

use crate::core::{
    store::{
        held::Held,
        pace::Pace,
        parallel::both,
        sum_rows::{FIELDS_MAX, Fields, SumRows},
    },
    tree::{counting::Counts, genealogy::Genealogy, tour::Split, weights::Weights},
    words::types::{LEVELS_MAX, MemberIx, NONE, Tree, index},
};

/// The trees along which volumes are added up; a tree that is not counted adds up nothing.
#[derive(Clone, Copy)]
pub(in crate::core) struct Trees<'t> {
    /// `None` where it is the same as the placement tree.
    pub sponsor: Option<&'t Genealogy>,
    pub placement: &'t Genealogy,
}

impl<'t> Trees<'t> {
    pub(super) fn counted(&self, tree: Tree) -> Option<(&'t Genealogy, &'t Counts)> {
        let tree = match tree {
            Tree::Sponsor => self.sponsor?,
            Tree::Placement => self.placement,
        };
        Some((tree, tree.counts()?))
    }

    /// By the number of the tree.
    fn all_counted(&self) -> [Option<(&'t Genealogy, &'t Counts)>; 2] {
        [Tree::Sponsor, Tree::Placement].map(|tree| self.counted(tree))
    }
}

/// Sums of up to eight values, each of one period, for all members. Each has a field of all rows.
pub(in crate::core) struct Table {
    /// The fields that are in use.
    taken: [bool; FIELDS_MAX],
    /// By member.
    own: SumRows,
    /// By the number of the tree.
    along: [Along; 2],
    /// What the booking at hand adds.
    booking: Option<Fields>,
}

/// The sums along one tree.
struct Along {
    /// `stride` rows for each family: the sums of the nearest levels below its parent.
    levels: SumRows,
    /// Levels kept.
    deepest: usize,
    /// A power of two, so that the rows of a family are in as few lines of memory as there can be.
    stride: usize,
    weights: Weights,
}

impl Held for Table {
    fn bytes(&self) -> usize {
        let Self { taken: _, own, along, booking: _ } = self;
        own.bytes() + along.iter().map(|along| along.levels.bytes() + along.weights.bytes()).sum::<usize>()
    }
}

impl Table {
    /// Nothing is booked, and no field is in use. `levels` are kept below each member; `fields` is a power of
    /// two.
    pub fn new(fields: usize, levels: u8) -> Self {
        let along = || Along::new(fields, levels.into());
        Self {
            taken: [false; FIELDS_MAX],
            own: SumRows::new(fields),
            along: [along(), along()],
            booking: None,
        }
    }

    /// Levels kept.
    pub fn levels_kept(&self) -> usize {
        self.along[0].deepest
    }

    pub fn fields(&self) -> usize {
        self.own.fields()
    }

    /// Whether a field is in use.
    pub fn is_used(&self) -> bool {
        self.taken != [false; FIELDS_MAX]
    }

    /// Whether no field is in use any more, but something was booked.
    pub fn is_left(&self) -> bool {
        !self.is_used() && !self.own.is_empty()
    }

    /// Takes a field that is not in use, if there is one. Its sums are zeros.
    pub fn take_field(&mut self) -> Option<usize> {
        let field = self.taken[..self.own.fields()].iter().position(|taken| !taken)?;
        self.taken[field] = true;
        Some(field)
    }

    /// Gives back a field, for another use. O(1).
    pub fn release(&mut self, field: usize) {
        let Self { taken, own, along, booking: _ } = self;
        taken[field] = false;
        own.empty(field);
        for along in along {
            along.levels.empty(field);
            along.weights.empty(field);
        }
    }

    /// Adds to the booking at hand.
    pub fn put(&mut self, field: usize, value: i64) {
        if value != 0 {
            self.booking.get_or_insert_default()[field] += value;
        }
    }

    /// Books what was put for a member. O(log n).
    pub fn book(&mut self, trees: &Trees, member: MemberIx) {
        let Some(more) = self.booking.take() else { return };
        self.own.add(member.at(), &more);
        for (along, counted) in self.along.iter_mut().zip(trees.all_counted()) {
            if let Some((tree, counts)) = counted {
                along.book(tree, counts, member, &more);
            }
        }
    }

    /// Books what was put for a member, without the sums of others: for bulk loading before
    /// [`Table::rebuild`].
    pub fn load(&mut self, member: MemberIx) {
        if let Some(more) = self.booking.take() {
            self.own.add(member.at(), &more);
        }
    }

    /// What was booked for a member.
    pub fn own(&self, field: usize, member: MemberIx) -> i64 {
        self.own.get(member.at(), field)
    }

    /// What was booked for a member and its downline. `None` where the tree is not counted. O(log n).
    pub fn group(&self, field: usize, trees: &Trees, tree: Tree, member: MemberIx) -> Option<i64> {
        let (links, counts) = trees.counted(tree)?;
        let own = |member| self.own(field, member);
        if links.link(member).first_child == NONE {
            return Some(own(member));
        }
        Some(self.along[tree as usize].weights.subtree(&counts.tour, member, field, own))
    }

    /// What was booked for those 1, 2, ... levels below a member; 0 beyond the levels that are kept. `None`
    /// where the tree is not counted.
    pub fn levels(
        &self,
        field: usize,
        trees: &Trees,
        tree: Tree,
        member: MemberIx,
    ) -> Option<[i64; LEVELS_MAX]> {
        let (links, _) = trees.counted(tree)?;
        let family = links.link(member).family;
        let mut levels = [0; LEVELS_MAX];
        if family != NONE {
            let along = &self.along[tree as usize];
            let kept = levels.iter_mut().take(along.deepest).enumerate();
            kept.for_each(|(level, sum)| *sum = along.levels.get(along.row(family, level), field));
        }
        Some(levels)
    }

    /// Follows a split of a tree's tour: before the next member joins that tree, and before the next booking.
    pub fn follow(&mut self, trees: &Trees, tree: Tree, split: &Split) {
        let Some((_, counts)) = trees.counted(tree) else { return };
        let Self { own, along, .. } = self;
        along[tree as usize].weights.follow(&counts.tour, split, |member| own.row(member.at()));
    }

    /// All other sums from the members' own ones: after loading, and after a tree was counted again. O(n).
    pub fn rebuild(&mut self, trees: &Trees) {
        let Self { own, along: [in_sponsors, in_placement], .. } = self;
        let own = &*own;
        let rebuild = |along: &mut Along, tree: Tree| {
            *along = Along::new(own.fields(), along.deepest);
            if let Some((tree, counts)) = trees.counted(tree) {
                along.add_up(tree, counts, own);
            }
        };
        both(|| rebuild(in_sponsors, Tree::Sponsor), || rebuild(in_placement, Tree::Placement));
    }
}

impl Along {
    fn new(fields: usize, deepest: usize) -> Self {
        let stride = deepest.next_power_of_two();
        Self { levels: SumRows::new(fields), deepest, stride, weights: Weights::new(fields) }
    }

    /// The row of a level, counted from 0, of a family.
    #[inline]
    fn row(&self, family: u32, level: usize) -> usize {
        family as usize * self.stride + level
    }

    fn book(&mut self, tree: &Genealogy, counts: &Counts, member: MemberIx, more: &Fields) {
        self.weights.add(&counts.tour, member, more);
        for (level, family) in self.families(tree, counts, member).iter().enumerate() {
            if *family == NONE {
                break;
            }
            let row = self.row(*family, level);
            self.levels.add(row, more);
        }
    }

    /// The families of the ancestors by whose levels a member is counted, nearest first; `NONE` where there
    /// are no more.
    fn families<'c>(&self, tree: &Genealogy, counts: &'c Counts, member: MemberIx) -> &'c [u32] {
        let Some(parent) = MemberIx::from_column(tree.link(member).parent) else { return &[] };
        &counts.chains.get(tree.link(parent).family as usize)[..self.deepest]
    }

    /// Everything from the members' own sums, where there is nothing yet.
    fn add_up(&mut self, tree: &Genealogy, counts: &Counts, own: &SumRows) {
        let booked = || {
            let rows = (0..own.end()).paced().map(|at| (index(at), own.row(at)));
            rows.filter(|(_, sums)| *sums != [0; FIELDS_MAX])
        };
        self.weights.rebuild(&counts.tour, booked());
        if self.deepest == 0 {
            return;
        }
        for (member, sums) in booked() {
            if let Some(family) = self.families(tree, counts, member).first() {
                let row = self.row(*family, 0);
                self.levels.add(row, &sums);
            }
        }
        // A family's number is higher than those of the families above it.
        let families = self.levels.end().div_ceil(self.stride);
        for family in (0..families).rev().paced() {
            // The second of a chain is the family of the owner's parent.
            let above = counts.chains.get(family)[1];
            if above == NONE {
                continue;
            }
            for level in 1..self.deepest {
                let sums = self.levels.row(family * self.stride + level - 1);
                if sums != [0; FIELDS_MAX] {
                    let row = self.row(above, level);
                    self.levels.add(row, &sums);
                }
            }
        }
    }
}

/// Reads what bookings for a group of members will change, step by step for all of them: see
/// `network::prefetch`. Changes nothing. O(group).
pub(super) fn prefetch(tables: &[&Table], trees: &Trees, members: &[MemberIx]) {
    let (mut words, mut sums) = (0, 0);
    for member in members {
        sums ^= tables.iter().fold(0, |seen, table| seen ^ table.own.prefetch(member.at()));
        for (tree, counts) in trees.all_counted().into_iter().flatten() {
            words ^= tree.link(*member).parent ^ counts.tour.prefetch_leaf(*member);
        }
    }
    let mut families = Vec::with_capacity(members.len());
    for (number, counted) in trees.all_counted().into_iter().enumerate() {
        let Some((tree, counts)) = counted else { continue };
        families.clear();
        for member in members {
            let parent = MemberIx::from_column(tree.link(*member).parent);
            families.extend(parent.map(|parent| tree.link(parent).family as usize));
            for table in tables {
                sums ^= table.along[number].weights.prefetch_leaf(&counts.tour, *member);
            }
        }
        for member in members {
            let of_tables = tables.iter().map(|table| &table.along[number].weights);
            sums ^= of_tables.fold(0, |seen, weights| seen ^ weights.prefetch_above(&counts.tour, *member));
        }
        words ^= families.iter().fold(0, |seen, family| seen ^ counts.chains.get(*family)[0]);
        for family in &families {
            let chain = counts.chains.get(*family);
            for along in tables.iter().map(|table| &table.along[number]) {
                let above = chain[..along.deepest].iter().take_while(|family| **family != NONE);
                for (level, family) in above.enumerate() {
                    sums ^= along.levels.prefetch(along.row(*family, level));
                }
            }
        }
    }
    black_box((words, sums));
}
