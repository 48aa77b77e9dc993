//! The sums of some values in some periods, side by side: a booking changes all of them in one climb.

use std::hint::black_box;

use crate::core::{
    store::{
        held::Held,
        pace::Pace,
        parallel::both,
        sum_rows::{FIELDS_MAX, Fields, SumRows},
    },
    tree::{
        counting::Counts, genealogy::Genealogy, level_weights::LevelWeights, tour::Split, weights::Weights,
    },
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
    fn counted(&self, tree: Tree) -> Option<Counted<'t>> {
        let tree = match tree {
            Tree::Sponsor => self.sponsor?,
            Tree::Placement => self.placement,
        };
        Some((tree, tree.counts()?))
    }

    /// By the number of the tree.
    fn all_counted(&self) -> [Option<Counted<'t>>; 2] {
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
    /// Of the nearest levels below each member.
    levels: LevelWeights,
    /// Of the whole downline.
    weights: Weights,
}

/// A tree with its counts.
type Counted<'t> = (&'t Genealogy, &'t Counts);

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
        self.along[0].levels.deepest()
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
            if let Some(counted) = counted {
                along.book(counted, member, &more);
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
        let own = |member| self.own(field, member);
        Some(self.along[tree as usize].levels.levels(trees.counted(tree)?, member, field, own))
    }

    /// Follows a split of a tree's tour: before the next member joins that tree, and before the next booking.
    pub fn follow(&mut self, trees: &Trees, tree: Tree, split: &Split) {
        let Self { own, along, .. } = self;
        if let Some(counted) = trees.counted(tree) {
            along[tree as usize].follow(counted, split, own);
        }
    }

    /// All other sums from the members' own ones: after loading, and after a tree was counted again. O(n).
    pub fn rebuild(&mut self, trees: &Trees) {
        let Self { own, along: [in_sponsors, in_placement], .. } = self;
        let own = &*own;
        let rebuild = |along: &mut Along, tree: Tree| {
            if let Some(counted) = trees.counted(tree) {
                along.rebuild(counted, own);
            } else {
                *along = Along::new(own.fields(), along.levels.deepest());
            }
        };
        both(|| rebuild(in_sponsors, Tree::Sponsor), || rebuild(in_placement, Tree::Placement));
    }
}

impl Along {
    fn new(fields: usize, deepest: usize) -> Self {
        Self { levels: LevelWeights::new(fields, deepest), weights: Weights::new(fields) }
    }

    fn book(&mut self, (links, counts): Counted, member: MemberIx, more: &Fields) {
        self.weights.add(&counts.tour, member, more);
        if let Some(parent) = MemberIx::from_column(links.link(member).parent) {
            self.levels.add(counts, links.link(parent).family, more);
        }
    }

    fn follow(&mut self, counted: Counted, split: &Split, own: &SumRows) {
        if !self.weights.is_empty() {
            self.weights.follow(&counted.1.tour, split, |member| own.row(member.at()));
            self.levels.follow(counted, split, |member| own.row(member.at()));
        }
    }

    /// Everything from the members' own sums.
    fn rebuild(&mut self, counted: Counted, own: &SumRows) {
        let rows = (0..own.end()).paced().map(|at| (index(at), own.row(at)));
        let booked = rows.filter(|(_, sums)| *sums != [0; FIELDS_MAX]);
        self.weights.rebuild(&counted.1.tour, booked);
        self.levels.rebuild(counted, |member| own.row(member.at()));
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
        let along = || tables.iter().map(|table| &table.along[number]);
        families.clear();
        for member in members {
            let parent = MemberIx::from_column(tree.link(*member).parent);
            families.extend(parent.map(|parent| tree.link(parent).family));
            let of_tables = along().map(|along| along.weights.prefetch_leaf(&counts.tour, *member));
            sums ^= of_tables.fold(0, |seen, read| seen ^ read);
        }
        for member in members {
            let of_tables = along().map(|along| along.weights.prefetch_above(&counts.tour, *member));
            sums ^= of_tables.fold(0, |seen, read| seen ^ read);
        }
        sums ^= along().fold(0, |seen, along| seen ^ along.levels.prefetch(counts, &families));
    }
    black_box((words, sums));
}
