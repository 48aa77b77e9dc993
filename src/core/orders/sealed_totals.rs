//! What sealed orders and refunds contributed to the totals of periods: the state no longer has them.

use std::{collections::BTreeMap, sync::Arc};

use crate::core::{
    orders::totals::{PeriodTotals, VALUES_MAX},
    requests::command::PeriodRef,
    store::{
        column::{Scalar, freeze_fields},
        held::holds_nothing,
        rows::{Rows, SoFar, require},
    },
};

/// The sealed part of the totals of a period, ascending by calendar and period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedTotalRow {
    pub orders: u64,
    pub refunds: u64,
    pub amount: i64,
    pub volume_1: i64,
    pub volume_2: i64,
    pub volume_3: i64,
    pub volume_4: i64,
    pub volume_5: i64,
    pub volume_6: i64,
    pub volume_7: i64,
    pub volume_8: i64,
    pub period: u32,
    pub calendar: u8,
}

holds_nothing!(SealedTotalRow);

impl SealedTotalRow {
    fn new(of: PeriodRef, totals: &PeriodTotals) -> Self {
        let PeriodTotals { orders, refunds, sums } = *totals;
        let [amount, volume_1, volume_2, volume_3, volume_4, volume_5, volume_6, volume_7, volume_8] = sums;
        Self {
            orders,
            refunds,
            amount,
            volume_1,
            volume_2,
            volume_3,
            volume_4,
            volume_5,
            volume_6,
            volume_7,
            volume_8,
            period: of.period,
            calendar: of.calendar,
        }
    }

    fn of(&self) -> PeriodRef {
        PeriodRef { calendar: self.calendar, period: self.period }
    }

    fn totals(&self) -> PeriodTotals {
        let sums: [i64; VALUES_MAX] = [
            self.amount,
            self.volume_1,
            self.volume_2,
            self.volume_3,
            self.volume_4,
            self.volume_5,
            self.volume_6,
            self.volume_7,
            self.volume_8,
        ];
        PeriodTotals { orders: self.orders, refunds: self.refunds, sums }
    }
}

/// The totals of some orders and refunds in each period. A period that has some stays, whatever is recalled.
pub(in crate::core) type ByPeriod = BTreeMap<PeriodRef, PeriodTotals>;

pub(crate) struct SealedTotals {
    periods: Scalar<Arc<Vec<SealedTotalRow>>>,
}

freeze_fields!(SealedTotals { periods });

impl Rows for SealedTotals {
    type Row = SealedTotalRow;

    fn count(&self) -> usize {
        self.periods.len()
    }

    fn row_at(&self, at: usize) -> SealedTotalRow {
        self.periods[at]
    }

    fn restore(&mut self, row: SealedTotalRow, so_far: &SoFar) -> Result<(), String> {
        let wrong =
            |what: &str| format!("sealed totals of period {} of {}: {what}", row.period, row.calendar);
        let periods = so_far.periods.get(usize::from(row.calendar)).copied().unwrap_or(0);
        require(row.period < periods, || wrong("no such period"))?;
        let follows = self.periods.last().is_none_or(|last| last.of() < row.of());
        require(follows, || wrong("out of order"))?;
        // Each was a command.
        let is_possible = row.orders <= so_far.lsn && row.refunds <= so_far.lsn;
        require(is_possible, || wrong("more orders or refunds than commands"))?;
        Arc::make_mut(&mut self.periods).push(row);
        Ok(())
    }
}

impl SealedTotals {
    pub fn new() -> Self {
        Self { periods: Scalar::new(Arc::default()) }
    }

    /// Whether orders or refunds of a period were sealed.
    pub fn has(&self, period: PeriodRef) -> bool {
        self.place(period).is_ok()
    }

    /// What a period had from orders and refunds that are sealed now. O(log periods).
    pub fn of(&self, period: PeriodRef) -> PeriodTotals {
        self.place(period).map_or_else(|_| PeriodTotals::default(), |place| self.periods[place].totals())
    }

    pub fn iter(&self) -> impl Iterator<Item = (PeriodRef, PeriodTotals)> + '_ {
        self.periods.iter().map(|row| (row.of(), row.totals()))
    }

    /// Adds what is sealed. O(periods that have sealed orders).
    pub fn add(&mut self, sealed: &ByPeriod) {
        for (period, totals) in sealed {
            self.change(*period, |kept| kept.add(totals));
        }
    }

    /// Takes off what is recalled.
    pub fn take_off(&mut self, recalled: &ByPeriod) {
        for (period, totals) in recalled {
            self.change(*period, |kept| kept.take_off(totals));
        }
    }

    fn change(&mut self, period: PeriodRef, change: impl FnOnce(&mut PeriodTotals)) {
        let (place, mut totals) = (self.place(period), self.of(period));
        change(&mut totals);
        let row = SealedTotalRow::new(period, &totals);
        match place {
            Ok(place) => Arc::make_mut(&mut self.periods)[place] = row,
            Err(place) => Arc::make_mut(&mut self.periods).insert(place, row),
        }
    }

    fn place(&self, period: PeriodRef) -> Result<usize, usize> {
        self.periods.binary_search_by_key(&period, SealedTotalRow::of)
    }
}
