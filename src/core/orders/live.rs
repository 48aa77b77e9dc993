//! Live volumes: what members and those below them have sold in the newest periods, kept with each booking.
//!
//! For a calendar, a period and a value (the amount, or a volume of the plan) there are the sum of each
//! member's own bookings, and for each counted tree the sums of the nearest levels below those who have many
//! below them (`tree/level_weights.rs`), and totals for the sum of a whole downline (`tree/weights.rs`). A
//! booking changes the sums of the member, those of some of its nearest ancestors, and some four in the tour:
//! the depth of the tree does not matter.
//!
//! The sums of all calendars are side by side in the rows of a table (`live_table.rs`), so that a booking
//! reads the way up once, and changes one line of memory where there would be one for each calendar. A period
//! that is no longer kept leaves its fields to a newer one. There is more than one table where sums do not
//! fit in one, and where plans kept other levels.
//!
//! The sums are what was booked: a refund may make one negative, and those who show it decide what that
//! means. They fit 64 bits: admission bounds the sums over all orders (`totals.rs`). All of them follow from
//! the bookings, so they are neither frozen nor on disk: a restore loads the members' own sums and rebuilds
//! the others.

use crate::core::{
    orders::live_table::{Table, prefetch},
    requests::command::PeriodRef,
    store::{
        held::{Held, holds_nothing},
        sum_rows::FIELDS_MAX,
    },
    tree::tour::Split,
    words::types::{LEVELS_MAX, MemberIx, Tree},
};

pub(in crate::core) use crate::core::orders::live_table::Trees;

/// Periods of each calendar whose volumes are kept: the newest, and the one before it in its grace.
pub(in crate::core) const PERIODS_LIVE: usize = 2;

/// The volumes of the newest periods.
#[derive(Default)]
pub(in crate::core) struct LiveVolumes {
    /// By calendar, the newest first.
    periods: Vec<LivePeriod>,
    tables: Vec<Table>,
}

/// A period whose volumes are kept.
struct LivePeriod {
    of: PeriodRef,
    sums: Vec<LiveSum>,
}

/// Where the sums of a value are.
struct LiveSum {
    value: u8,
    table: usize,
    field: usize,
}

holds_nothing!(LiveSum);

impl Held for LivePeriod {
    fn bytes(&self) -> usize {
        self.sums.bytes()
    }
}

impl Held for LiveVolumes {
    fn bytes(&self) -> usize {
        self.periods.bytes() + self.tables.bytes()
    }
}

/// The sums of one value in one period of one calendar, to be read.
#[derive(Clone, Copy)]
pub(in crate::core) struct LiveVolume<'v> {
    table: &'v Table,
    field: usize,
}

impl LiveVolume<'_> {
    /// What was booked for a member.
    pub fn own(&self, member: MemberIx) -> i64 {
        self.table.own(self.field, member)
    }

    /// What was booked for a member and its downline. `None` where the tree is not counted. O(log n).
    pub fn group(&self, trees: &Trees, tree: Tree, member: MemberIx) -> Option<i64> {
        self.table.group(self.field, trees, tree, member)
    }

    /// What was booked for those 1, 2, ... levels below a member; 0 beyond the levels that are kept. `None`
    /// where the tree is not counted.
    pub fn levels(&self, trees: &Trees, tree: Tree, member: MemberIx) -> Option<[i64; LEVELS_MAX]> {
        self.table.levels(self.field, trees, tree, member)
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
    /// `expected` sums of the plan will be kept in all: those of a table are side by side. Returns the period
    /// that is no longer kept, if there were two of this calendar, and the memory that nothing uses then, to
    /// be freed outside of locks. If that would be the opened one, it is not kept. O(tables).
    #[must_use = "freeing it takes time"]
    pub fn open(
        &mut self,
        period: PeriodRef,
        values: u16,
        levels: u8,
        expected: usize,
    ) -> Option<(PeriodRef, Vec<Table>)> {
        let Err(place) = self.place(period) else { return None };
        self.periods.insert(place, LivePeriod { of: period, sums: Vec::new() });
        let mut kept =
            self.periods.iter().enumerate().filter(|(_, kept)| kept.of.calendar == period.calendar);
        let oldest = kept.nth(PERIODS_LIVE).map(|(place, _)| place);
        let dropped = oldest.map(|place| self.drop_period(place));
        let mut unused = Vec::new();
        if let Ok(place) = self.place(period) {
            let live = (0..16_u8).filter(|value| values >> value & 1 != 0);
            let sums = live.map(|value| self.take_field(value, levels, expected, &mut unused)).collect();
            self.periods[place].sums = sums;
        }
        self.take_unused(&mut unused);
        dropped.map(|of| (of, unused))
    }

    /// No longer keeps the volumes of a period. Returns the memory that nothing uses then, to be freed
    /// outside of locks. O(tables).
    #[must_use = "freeing it takes time"]
    pub fn close(&mut self, period: PeriodRef) -> Vec<Table> {
        let mut unused = Vec::new();
        if let Ok(place) = self.place(period) {
            self.drop_period(place);
            self.take_unused(&mut unused);
        }
        unused
    }

    /// Takes out a period, whose fields may be used for another one.
    fn drop_period(&mut self, place: usize) -> PeriodRef {
        let LivePeriod { of, sums } = self.periods.remove(place);
        sums.iter().for_each(|LiveSum { table, field, .. }| self.tables[*table].release(*field));
        of
    }

    /// Tables stay, empty: places name them by number.
    fn take_unused(&mut self, unused: &mut Vec<Table>) {
        for table in self.tables.iter_mut().filter(|table| table.is_left()) {
            unused.push(std::mem::replace(table, Table::new(1, 0)));
        }
    }

    /// A place for the sums of a value. A table that it replaces goes to `unused`.
    fn take_field(&mut self, value: u8, levels: u8, expected: usize, unused: &mut Vec<Table>) -> LiveSum {
        let of_levels = |table: &Table| table.levels_kept() == usize::from(levels);
        for (number, table) in self.tables.iter_mut().enumerate().filter(|(_, table)| of_levels(table)) {
            if let Some(field) = table.take_field() {
                return LiveSum { value, table: number, field };
            }
        }
        let there: usize = self.tables.iter().filter(|table| of_levels(table)).map(Table::fields).sum();
        let fields = expected.saturating_sub(there).clamp(1, FIELDS_MAX).next_power_of_two();
        let mut table = Table::new(fields, levels);
        let field = table.take_field().expect("a new table has room");
        let number = match self.tables.iter().position(|table| !table.is_used()) {
            Some(number) => {
                unused.push(std::mem::replace(&mut self.tables[number], table));
                number
            }
            None => {
                self.tables.push(table);
                self.tables.len() - 1
            }
        };
        LiveSum { value, table: number, field }
    }

    /// Books the values of an order for a member, by their numbers, in some periods; does nothing in those
    /// that are not kept. O(log n).
    pub fn book(
        &mut self,
        periods: impl Iterator<Item = PeriodRef>,
        trees: &Trees,
        member: MemberIx,
        values: &[i64],
    ) {
        periods.for_each(|period| self.put(period, values));
        self.tables.iter_mut().for_each(|table| table.book(trees, member));
    }

    /// As `book`, without the sums of other members: for bulk loading before [`LiveVolumes::rebuild`].
    pub fn load(&mut self, period: PeriodRef, member: MemberIx, values: &[i64]) {
        self.put(period, values);
        self.tables.iter_mut().for_each(|table| table.load(member));
    }

    /// Values that came with a later plan are not in older orders.
    fn put(&mut self, period: PeriodRef, values: &[i64]) {
        if let Ok(place) = self.place(period) {
            for LiveSum { value, table, field } in &self.periods[place].sums {
                let value = values.get(usize::from(*value)).copied().unwrap_or(0);
                self.tables[*table].put(*field, value);
            }
        }
    }

    /// The sums of a value in a period; `None` if they are not kept.
    pub fn read(&self, period: PeriodRef, value: u8) -> Option<LiveVolume<'_>> {
        let kept = &self.periods[self.place(period).ok()?];
        let sum = kept.sums.iter().find(|sum| sum.value == value)?;
        Some(LiveVolume { table: &self.tables[sum.table], field: sum.field })
    }

    /// Follows a split of a tree's tour: before the next member joins that tree, and before the next booking.
    pub fn follow(&mut self, trees: &Trees, tree: Tree, split: &Split) {
        self.tables.iter_mut().for_each(|table| table.follow(trees, tree, split));
    }

    /// All other sums from the members' own ones: after loading, and after a tree was counted again. O(n).
    pub fn rebuild(&mut self, trees: &Trees) {
        self.tables.iter_mut().for_each(|table| table.rebuild(trees));
    }

    /// Reads what bookings for a group of members will change, step by step for all of them: see
    /// `network::prefetch`. Changes nothing. O(group).
    pub fn prefetch(&self, trees: &Trees, members: &[MemberIx]) {
        let tables: Vec<&Table> = self.tables.iter().filter(|table| table.is_used()).collect();
        if !tables.is_empty() {
            prefetch(&tables, trees, members);
        }
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
