//! Refunds of orders.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    orders::placed::NO_ORDER,
    plan::commerce::CALENDARS_MAX,
    requests::command::{ORDER_LINES_MAX, OrderId},
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        settled::Settled,
        texts::Texts,
    },
    words::types::Timestamp,
};

/// Refunds of an order: judging and showing it looks at each of them.
pub const ORDER_REFUNDS_MAX: usize = 1_000;

/// A refund, in the order in which they were given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefundRow {
    /// The command that gave it.
    pub lsn: u64,
    pub time: Timestamp,
    /// Hash of its content.
    pub fingerprint: u64,
    pub order: u32,
    /// Lines that it refunds a part of.
    pub lines: u8,
    /// Calendars in which its order is booked, and so it.
    pub calendars: u8,
    pub id: Box<str>,
}

/// A refund as numbers, with the places of what it has several of.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Refund {
    pub lsn: u64,
    pub time: Timestamp,
    pub fingerprint: u64,
    pub order: u32,
    pub first_line: u32,
    pub first_booking: u32,
    /// The refund of the same order before it.
    pub before: u32,
    pub lines: u16,
    pub calendars: u16,
    pub _unused: u32,
}

pub(crate) struct Refunds {
    ids: Texts,
    rows: Settled<Refund>,
    /// The newest refund of each order that has some. Not in copies: rebuilt from the rows.
    newest: HashMap<u32, u32>,
}

freeze_fields!(Refunds { ids, rows } derived { newest });

impl Rows for Refunds {
    type Row = RefundRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> RefundRow {
        let Refund { lsn, time, fingerprint, order, lines, calendars, .. } = *self.rows.get(at);
        let [lines, calendars] = [lines, calendars].map(|count| u8::try_from(count).expect("it was one"));
        RefundRow { lsn, time, fingerprint, order, lines, calendars, id: self.ids.text(at) }
    }

    fn restore(&mut self, row: RefundRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("refund `{}`: {what}", row.id);
        let id = OrderId::parse(&row.id).ok_or_else(|| wrong("not an id"))?;
        require((1..=so_far.lsn).contains(&row.lsn), || wrong("by no command so far"))?;
        require(row.order < so_far.orders, || wrong("no such order"))?;
        require(usize::from(row.lines) <= ORDER_LINES_MAX, || wrong("too many lines"))?;
        require(usize::from(row.calendars) <= CALENDARS_MAX, || wrong("too many calendars"))?;
        require(self.find(&id).is_none(), || wrong("there twice"))?;
        require(self.of_order(row.order).count() < ORDER_REFUNDS_MAX, || wrong("one too many"))?;
        let [line, booking] = self.next_places();
        let has_room = line.checked_add(row.lines.into()).is_some()
            && booking.checked_add(row.calendars.into()).is_some();
        require(has_room, || wrong("one line or booking too many"))?;
        self.push(&row, &id);
        Ok(())
    }
}

impl Refunds {
    pub fn new() -> Self {
        Self { ids: Texts::new(), rows: Settled::new(), newest: HashMap::new() }
    }

    fn index_derived(&mut self) {
        self.newest = (0..).zip(self.rows.iter()).map(|(at, refund)| (refund.order, at)).collect();
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The number of a refund. O(1).
    pub fn find(&self, id: &OrderId) -> Option<u32> {
        self.ids.find(id.as_str())
    }

    pub fn id(&self, refund: u32) -> Box<str> {
        self.ids.text(refund as usize)
    }

    pub fn get(&self, refund: u32) -> &Refund {
        self.rows.get(refund as usize)
    }

    /// The refunds of an order, newest first.
    pub fn of_order(&self, order: u32) -> impl Iterator<Item = u32> + '_ {
        let newest = self.newest.get(&order).copied();
        std::iter::successors(newest, |refund| {
            Some(self.get(*refund).before).filter(|before| *before != NO_ORDER)
        })
    }

    /// The places of the next refund's lines and bookings: after those of the newest.
    fn next_places(&self) -> [u32; 2] {
        let Some(newest) = self.rows.len().checked_sub(1) else { return [0; 2] };
        let newest = self.rows.get(newest);
        [newest.first_line + u32::from(newest.lines), newest.first_booking + u32::from(newest.calendars)]
    }

    /// Adds a refund, whose lines and bookings are added after those of the refunds before.
    pub fn push(&mut self, row: &RefundRow, id: &OrderId) -> u32 {
        let RefundRow { lsn, time, fingerprint, order, lines, calendars, id: _ } = *row;
        let refund = self.ids.push(id.as_str());
        let [first_line, first_booking] = self.next_places();
        let before = self.newest.insert(order, refund).unwrap_or(NO_ORDER);
        self.rows.push(Refund {
            lsn,
            time,
            fingerprint,
            order,
            first_line,
            first_booking,
            before,
            lines: lines.into(),
            calendars: calendars.into(),
            _unused: 0,
        });
        refund
    }
}
