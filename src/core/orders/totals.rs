//! What the whole company has in each period: the number of orders, and the sums of each value.

use crate::core::{
    plan::commerce::VOLUMES_MAX,
    requests::command::{PeriodRef, Rejection},
    store::held::{Held, holds_nothing},
};

/// Values of a line, at most: the amount and the volumes.
pub const VALUES_MAX: usize = VOLUMES_MAX + 1;
/// The largest sum of each value over all orders of a network. Periods have the values of some orders, less
/// refunds and corrections of some: so no sum of theirs, in any order, exceeds 64 bits.
pub const VOLUMES_SUM_MAX: i64 = i64::MAX / 4;

/// The totals of a period.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct PeriodTotals {
    /// Orders booked in it.
    pub orders: u64,
    /// Refunds of its orders, and corrections in it.
    pub refunds: u64,
    /// By value, the sum of what is left after refunds, and of corrections that lower volumes.
    pub sums: [i64; VALUES_MAX],
}

holds_nothing!(PeriodTotals);

impl PeriodTotals {
    /// Adds the totals of other orders. Those of orders that were sealed and recalled many times stop at the
    /// ends of 64 bits.
    pub fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.refunds += other.refunds;
        let sums = self.sums.iter_mut().zip(other.sums);
        sums.for_each(|(sum, other)| *sum = sum.saturating_add(other));
    }

    /// Adds values.
    pub fn add_values(&mut self, values: &[i64]) {
        let sums = self.sums.iter_mut().zip(values);
        sums.for_each(|(sum, value)| *sum = sum.saturating_add(*value));
    }

    /// Takes off the totals of some of these orders.
    pub fn take_off(&mut self, other: &Self) {
        self.orders = self.orders.saturating_sub(other.orders);
        self.refunds = self.refunds.saturating_sub(other.refunds);
        let sums = self.sums.iter_mut().zip(other.sums);
        sums.for_each(|(sum, other)| *sum = sum.saturating_sub(other));
    }
}

#[derive(Default)]
pub(crate) struct Totals {
    /// By calendar and period.
    periods: Vec<Vec<PeriodTotals>>,
    /// The sums of each value over all orders, before refunds.
    orders: [i64; VALUES_MAX],
}

impl Held for Totals {
    fn bytes(&self) -> usize {
        self.periods.bytes()
    }
}

impl Totals {
    /// The sums of each value over all orders, before refunds.
    pub fn orders(&self) -> &[i64; VALUES_MAX] {
        &self.orders
    }

    /// The totals of a period. Zeros where nothing was booked.
    pub fn get(&self, period: PeriodRef) -> PeriodTotals {
        let of_calendar = self.periods.get(usize::from(period.calendar));
        of_calendar.and_then(|periods| periods.get(period.period as usize)).copied().unwrap_or_default()
    }

    pub fn get_mut(&mut self, period: PeriodRef) -> &mut PeriodTotals {
        let (calendar, at) = (usize::from(period.calendar), period.period as usize);
        if self.periods.len() <= calendar {
            self.periods.resize(calendar + 1, Vec::new());
        }
        let periods = &mut self.periods[calendar];
        if periods.len() <= at {
            periods.resize(at + 1, PeriodTotals::default());
        }
        &mut periods[at]
    }

    /// Whether the values of another order fit.
    ///
    /// # Errors
    /// The sums would become too large.
    pub fn judge(&self, values: &[i64]) -> Result<(), Rejection> {
        let fits = |(sum, value): (&i64, &i64)| *value <= VOLUMES_SUM_MAX - sum;
        if self.orders.iter().zip(values).all(fits) { Ok(()) } else { Err(Rejection::VolumesFull) }
    }

    /// Counts an order's values.
    pub fn place(&mut self, values: &[i64]) {
        self.orders.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }

    /// No longer counts the values of orders that were sealed.
    pub fn leave(&mut self, values: &[i64; VALUES_MAX]) {
        self.orders.iter_mut().zip(values).for_each(|(sum, value)| *sum -= value);
    }

    /// Adds values to a period, which are negative for a refund.
    pub fn add(&mut self, period: PeriodRef, values: &[i64]) {
        self.get_mut(period).add_values(values);
    }
}
