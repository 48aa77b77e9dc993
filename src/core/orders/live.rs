//! Live volumes: what members and those below them have sold in the newest periods, kept with each booking.
//!
//! For a calendar, a period and a value (the amount, or a volume of the plan) there are the sum of each
//! member's own bookings, and for each counted tree the sums of the nearest levels below it, and totals for
//! the sum of its whole downline (`tree/weights.rs`). A booking changes one number for the member, one for
//! each of its nearest ancestors and some four in the tour: the depth of the tree does not matter.
//!
//! The sums are what was booked: a refund may make one negative, and those who show it decide what that
//! means. They fit 64 bits: admission bounds the sums over all orders (`totals.rs`). All of them follow from
//! the bookings, so they are neither frozen nor on disk: a restore loads the members' own sums and rebuilds
//! the others.

use std::hint::black_box;

use crate::core::{
    requests::command::PeriodRef,
    store::{held::Held, pace::Pace, parallel::both, sparse::Sparse},
    tree::{counting::Counts, genealogy::Genealogy, tour::Split, weights::Weights},
    words::types::{LEVELS_MAX, MemberIx, NONE, Tree, index},
};

/// Periods of each calendar whose volumes are kept: the newest, and the one before it in its grace.
pub(in crate::core) const PERIODS_LIVE: usize = 2;

/// The trees along which volumes are added up; a tree that is not counted adds up nothing.
#[derive(Clone, Copy)]
pub(in crate::core) struct Trees<'t> {
    /// `None` where it is the same as the placement tree.
    pub sponsor: Option<&'t Genealogy>,
    pub placement: &'t Genealogy,
}

impl<'t> Trees<'t> {
    fn counted(&self, tree: Tree) -> Option<(&'t Genealogy, &'t Counts)> {
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

/// The sums of one value in one period of one calendar.
pub(in crate::core) struct LiveVolume {
    own: Sparse<i64>,
    /// By the number of the tree.
    along: [Along; 2],
}

/// The sums along one tree.
struct Along {
    /// A row of `stride` for each family: the sums of the nearest levels below its parent.
    levels: Sparse<i64>,
    /// Levels kept.
    deepest: usize,
    /// A power of two, so that up to eight levels of a family are in one line of memory.
    stride: usize,
    weights: Weights,
}

impl Held for LiveVolume {
    fn bytes(&self) -> usize {
        let Self { own, along } = self;
        own.bytes() + along.iter().map(|along| along.levels.bytes() + along.weights.bytes()).sum::<usize>()
    }
}

impl LiveVolume {
    /// Nothing is booked. `levels` are kept below each member.
    pub fn new(levels: u8) -> Self {
        Self { own: Sparse::new(), along: [Along::new(levels.into()), Along::new(levels.into())] }
    }

    /// Books for a member. O(log n).
    pub fn book(&mut self, trees: &Trees, member: MemberIx, delta: i64) {
        if delta == 0 {
            return;
        }
        self.load(member, delta);
        for (along, counted) in self.along.iter_mut().zip(trees.all_counted()) {
            if let Some((tree, counts)) = counted {
                along.book(tree, counts, member, delta);
            }
        }
    }

    /// Books for a member, without the sums of others: for bulk loading before [`LiveVolume::rebuild`].
    pub fn load(&mut self, member: MemberIx, delta: i64) {
        *self.own.get_mut(member.at()) += delta;
    }

    /// Whether nothing was ever booked.
    pub fn is_untouched(&self) -> bool {
        self.own.is_empty()
    }

    /// What was booked for a member.
    pub fn own(&self, member: MemberIx) -> i64 {
        self.own.get(member.at())
    }

    /// What was booked for a member and its downline. `None` where the tree is not counted. O(log n).
    pub fn group(&self, trees: &Trees, tree: Tree, member: MemberIx) -> Option<i64> {
        let (links, counts) = trees.counted(tree)?;
        if links.link(member).first_child == NONE {
            return Some(self.own(member));
        }
        Some(self.along[tree as usize].weights.subtree(&counts.tour, member, |member| self.own(member)))
    }

    /// What was booked for those 1, 2, ... levels below a member; 0 beyond the levels that are kept. `None`
    /// where the tree is not counted.
    pub fn levels(&self, trees: &Trees, tree: Tree, member: MemberIx) -> Option<[i64; LEVELS_MAX]> {
        let (links, _) = trees.counted(tree)?;
        let family = links.link(member).family;
        let mut levels = [0; LEVELS_MAX];
        if family != NONE {
            let along = &self.along[tree as usize];
            let kept = levels.iter_mut().take(along.deepest);
            kept.enumerate().for_each(|(level, sum)| *sum = along.levels.get(along.place(family, level)));
        }
        Some(levels)
    }

    /// Follows a split of a tree's tour: before the next member joins that tree, and before the next booking.
    pub fn follow(&mut self, trees: &Trees, tree: Tree, split: &Split) {
        let Some((_, counts)) = trees.counted(tree) else { return };
        let Self { own, along } = self;
        along[tree as usize].weights.follow(&counts.tour, split, |member| own.get(member.at()));
    }

    /// All other sums from the members' own ones, with as many levels: after loading, and after a tree was
    /// counted again. O(n).
    pub fn rebuild(&mut self, levels: u8, trees: &Trees) {
        let Self { own, along: [in_sponsors, in_placement] } = self;
        let own = &*own;
        let rebuild = |along: &mut Along, tree: Tree| {
            *along = Along::new(levels.into());
            if let Some((tree, counts)) = trees.counted(tree) {
                along.add_up(tree, counts, own);
            }
        };
        both(|| rebuild(in_sponsors, Tree::Sponsor), || rebuild(in_placement, Tree::Placement));
    }
}

impl Along {
    fn new(deepest: usize) -> Self {
        let stride = deepest.next_power_of_two();
        Self { levels: Sparse::new(), deepest, stride, weights: Weights::new() }
    }

    /// The place of a level, counted from 0, in the row of a family.
    #[inline]
    fn place(&self, family: u32, level: usize) -> usize {
        family as usize * self.stride + level
    }

    fn book(&mut self, tree: &Genealogy, counts: &Counts, member: MemberIx, delta: i64) {
        self.weights.add(&counts.tour, member, delta);
        for (level, family) in self.families(tree, counts, member).iter().enumerate() {
            if *family == NONE {
                break;
            }
            let place = self.place(*family, level);
            *self.levels.get_mut(place) += delta;
        }
    }

    /// The families of the ancestors by whose levels a member is counted, nearest first; `NONE` where there
    /// are no more.
    fn families<'c>(&self, tree: &Genealogy, counts: &'c Counts, member: MemberIx) -> &'c [u32] {
        let Some(parent) = MemberIx::from_column(tree.link(member).parent) else { return &[] };
        &counts.chains.get(tree.link(parent).family as usize)[..self.deepest]
    }

    /// Everything from the members' own sums, where there is nothing yet.
    fn add_up(&mut self, tree: &Genealogy, counts: &Counts, own: &Sparse<i64>) {
        let booked =
            || (0..own.end()).paced().map(|at| (index(at), own.get(at))).filter(|(_, sum)| *sum != 0);
        self.weights.rebuild(&counts.tour, booked());
        if self.deepest == 0 {
            return;
        }
        for (member, sum) in booked() {
            if let Some(family) = self.families(tree, counts, member).first() {
                let place = self.place(*family, 0);
                *self.levels.get_mut(place) += sum;
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
                let sum = self.levels.get(family * self.stride + level - 1);
                if sum != 0 {
                    let place = self.place(above, level);
                    *self.levels.get_mut(place) += sum;
                }
            }
        }
    }
}

/// The volumes of the newest periods.
#[derive(Default)]
pub(in crate::core) struct LiveVolumes {
    /// By calendar, the newest first.
    periods: Vec<LivePeriod>,
}

/// The volumes of a period.
pub(in crate::core) struct LivePeriod {
    pub of: PeriodRef,
    /// Levels kept below each member.
    levels: u8,
    /// With the number of each value.
    volumes: Vec<(u8, LiveVolume)>,
}

impl Held for LivePeriod {
    fn bytes(&self) -> usize {
        let volumes = &self.volumes;
        volumes.capacity() * size_of::<(u8, LiveVolume)>()
            + volumes.iter().map(|(_, volume)| volume.bytes()).sum::<usize>()
    }
}

impl Held for LiveVolumes {
    fn bytes(&self) -> usize {
        self.periods.bytes()
    }
}

impl LiveVolumes {
    /// No period is kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no period is kept: nothing is to be followed then.
    pub fn is_empty(&self) -> bool {
        self.periods.is_empty()
    }

    /// Keeps the volumes of a period from now on: of the values whose bits are set, and so many levels.
    /// Returns the period that is no longer kept, if there were two of this calendar, to be freed outside of
    /// locks. If that would be the opened one, it is not kept.
    #[must_use = "freeing it takes time"]
    pub fn open(&mut self, period: PeriodRef, values: u16, levels: u8) -> Option<LivePeriod> {
        let Err(place) = self.place(period) else { return None };
        let live = (0..16_u8).filter(|value| values >> value & 1 != 0);
        let volumes = live.map(|value| (value, LiveVolume::new(levels))).collect();
        self.periods.insert(place, LivePeriod { of: period, levels, volumes });
        let mut kept =
            self.periods.iter().enumerate().filter(|(_, kept)| kept.of.calendar == period.calendar);
        let oldest = kept.nth(PERIODS_LIVE).map(|(place, _)| place);
        oldest.map(|place| self.periods.remove(place))
    }

    /// Books the values of an order for a member, by their numbers, in a period; does nothing if that is not
    /// kept. O(log n).
    pub fn book(&mut self, period: PeriodRef, trees: &Trees, member: MemberIx, values: &[i64]) {
        self.each_live(period, values, |volume, value| volume.book(trees, member, value));
    }

    /// As `book`, without the sums of other members: for bulk loading before [`LiveVolumes::rebuild`].
    pub fn load(&mut self, period: PeriodRef, member: MemberIx, values: &[i64]) {
        self.each_live(period, values, |volume, value| volume.load(member, value));
    }

    /// Values that came with a later plan are not in older orders.
    fn each_live(&mut self, period: PeriodRef, values: &[i64], act: impl Fn(&mut LiveVolume, i64)) {
        if let Ok(place) = self.place(period) {
            for (number, volume) in &mut self.periods[place].volumes {
                act(volume, values.get(*number as usize).copied().unwrap_or(0));
            }
        }
    }

    /// The sums of a value in a period; `None` if they are not kept.
    pub fn read(&self, period: PeriodRef, value: u8) -> Option<&LiveVolume> {
        let kept = &self.periods[self.place(period).ok()?];
        kept.volumes.iter().find(|(number, _)| *number == value).map(|(_, volume)| volume)
    }

    /// Follows a split of a tree's tour: before the next member joins that tree, and before the next booking.
    pub fn follow(&mut self, trees: &Trees, tree: Tree, split: &Split) {
        let volumes = self.periods.iter_mut().flat_map(|kept| &mut kept.volumes);
        volumes.for_each(|(_, volume)| volume.follow(trees, tree, split));
    }

    /// All other sums from the members' own ones: after loading, and after a tree was counted again. O(n).
    pub fn rebuild(&mut self, trees: &Trees) {
        for LivePeriod { levels, volumes, .. } in &mut self.periods {
            volumes.iter_mut().for_each(|(_, volume)| volume.rebuild(*levels, trees));
        }
    }

    /// Reads what bookings for a group of members in some periods will change, step by step for all of them:
    /// see `network::prefetch`. Changes nothing. O(group).
    pub fn prefetch(&self, trees: &Trees, periods: &[PeriodRef], members: &[MemberIx]) {
        let places = periods.iter().filter_map(|period| self.place(*period).ok());
        let volumes: Vec<&LiveVolume> =
            places.flat_map(|place| &self.periods[place].volumes).map(|(_, volume)| volume).collect();
        let mut words = 0;
        let mut sums = 0;
        for member in members {
            sums ^= volumes.iter().fold(0, |seen, volume| seen ^ volume.own(*member));
            for (tree, counts) in trees.all_counted().into_iter().flatten() {
                words ^= tree.link(*member).parent ^ counts.tour.prefetch_leaf(*member);
            }
        }
        for (number, counted) in trees.all_counted().into_iter().enumerate() {
            let Some((tree, counts)) = counted else { continue };
            for member in members {
                let parent = MemberIx::from_column(tree.link(*member).parent);
                words ^= parent.map_or(0, |parent| tree.link(parent).family);
                for volume in &volumes {
                    sums ^= volume.along[number].weights.prefetch(&counts.tour, *member);
                }
            }
            let Some(first) = volumes.first() else { continue };
            for member in members {
                words ^=
                    first.along[number].families(tree, counts, *member).first().map_or(0, |family| *family);
            }
            for member in members {
                let families = first.along[number].families(tree, counts, *member);
                for (level, family) in families.iter().enumerate().take_while(|(_, family)| **family != NONE)
                {
                    for volume in &volumes {
                        let along = &volume.along[number];
                        sums ^= along.levels.get(along.place(*family, level));
                    }
                }
            }
        }
        black_box((words, sums));
    }

    /// Where a period is, or belongs.
    fn place(&self, period: PeriodRef) -> Result<usize, usize> {
        let order = |kept: &LivePeriod| {
            kept.of.calendar.cmp(&period.calendar).then_with(|| period.period.cmp(&kept.of.period))
        };
        self.periods.binary_search_by(order)
    }
}

#[cfg(test)]
#[path = "live_test.rs"]
mod tests;
