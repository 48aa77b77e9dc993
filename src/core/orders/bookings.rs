//! The periods in which orders are booked: one of each calendar, decided once.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    orders::placed::NO_ORDER,
    requests::command::PeriodRef,
    store::{
        column::freeze_fields,
        pace::Pace,
        rows::{Rows, SoFar, require},
        settled::Settled,
    },
};

/// The period of an order in a calendar. Ascending by order, those of an order by calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookingRow {
    pub order: u32,
    pub period: u32,
    pub calendar: u16,
}

/// A booking with the one in the same period before it.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Booked {
    pub order: u32,
    pub period: u32,
    pub calendar: u32,
    pub before: u32,
}

pub(crate) struct Bookings {
    rows: Settled<Booked>,
    /// The newest booking in each period, by calendar. Not in copies, until [`Bookings::index`].
    newest: Vec<Vec<u32>>,
}

freeze_fields!(Bookings { rows } cached { newest });

impl Rows for Bookings {
    type Row = BookingRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> BookingRow {
        let Booked { order, period, calendar, before: _ } = *self.rows.get(at);
        BookingRow { order, period, calendar: u16::try_from(calendar).expect("it was one") }
    }

    fn restore(&mut self, row: BookingRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("booking of order {}: {what}", row.order);
        require(row.order < so_far.orders, || wrong("no such order"))?;
        let periods = so_far.periods.get(usize::from(row.calendar)).copied().unwrap_or(0);
        require(row.period < periods, || wrong("no such period"))?;
        self.push(row);
        Ok(())
    }
}

impl Bookings {
    pub fn new() -> Self {
        Self { rows: Settled::new(), newest: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn get(&self, place: u32) -> &Booked {
        self.rows.get(place as usize)
    }

    /// Books the newest order in the next calendar.
    pub fn push(&mut self, row: BookingRow) {
        let BookingRow { order, period, calendar } = row;
        let place = u32::try_from(self.rows.len()).expect("limited by ORDERS_MAX");
        let before = std::mem::replace(self.newest_mut(calendar, period), place);
        self.rows.push(Booked { order, period, calendar: calendar.into(), before });
    }

    /// Finds the newest booking in each period, in a copy. O(bookings).
    pub fn index(&mut self) {
        self.newest = Vec::new();
        for place in (0..self.rows.len()).paced() {
            let Booked { period, calendar, .. } = *self.rows.get(place);
            let calendar = u16::try_from(calendar).expect("it was one");
            *self.newest_mut(calendar, period) = u32::try_from(place).expect("limited by ORDERS_MAX");
        }
    }

    /// The newest booking in a period.
    pub fn newest(&self, period: PeriodRef) -> u32 {
        let of_calendar = self.newest.get(usize::from(period.calendar));
        of_calendar.and_then(|newest| newest.get(period.period as usize)).copied().unwrap_or(NO_ORDER)
    }

    fn newest_mut(&mut self, calendar: u16, period: u32) -> &mut u32 {
        let (calendar, period) = (usize::from(calendar), period as usize);
        if self.newest.len() <= calendar {
            self.newest.resize(calendar + 1, Vec::new());
        }
        let newest = &mut self.newest[calendar];
        if newest.len() <= period {
            newest.resize(period + 1, NO_ORDER);
        }
        &mut newest[period]
    }
}
