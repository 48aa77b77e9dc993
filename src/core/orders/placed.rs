//! The orders themselves, in the order in which they were placed.

use bytemuck::{Pod, Zeroable};

use crate::core::{
    plan::commerce::{CALENDARS_MAX, VOLUMES_MAX},
    requests::command::{ORDER_CREDITS_MAX, ORDER_LINES_MAX, OrderId},
    store::{
        column::freeze_fields,
        rows::{Rows, SoFar, require},
        settled::Settled,
        texts::Texts,
    },
    words::types::{NONE, Timestamp},
};

/// Orders that are not sealed, at most: their lines, credits and bookings have 32-bit numbers.
pub const ORDERS_MAX: usize = 1 << 28;
/// No order, in a list.
pub(crate) const NO_ORDER: u32 = NONE;
/// No kind, or no market.
pub(crate) const NO_NAME: u16 = u16::MAX;

/// An order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderRow {
    /// The command that placed it.
    pub lsn: u64,
    pub time: Timestamp,
    /// Hash of its content.
    pub fingerprint: u64,
    /// A bit for each of the plan's tags.
    pub tags: u64,
    /// The number of the customer; `u32::MAX` for the first credited member.
    pub customer: u32,
    /// The number of its group; `u32::MAX` for none.
    pub group: u32,
    /// The position of its kind in the plan; `u16::MAX` for none.
    pub kind: u16,
    /// The position of its market, likewise.
    pub market: u16,
    pub lines: u8,
    pub credits: u8,
    /// Calendars in which it is booked.
    pub calendars: u8,
    /// Values of each line: the amount and the volumes.
    pub values: u8,
    pub id: Box<str>,
}

/// An order as numbers, with the places of what it has several of.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Order {
    pub lsn: u64,
    pub time: Timestamp,
    pub fingerprint: u64,
    pub tags: u64,
    /// The place of its first value; those of a line follow one another.
    pub first_value: u64,
    pub first_credit: u32,
    pub first_booking: u32,
    pub customer: u32,
    pub group: u32,
    pub kind: u16,
    pub market: u16,
    pub lines: u8,
    pub credits: u8,
    pub calendars: u8,
    pub values: u8,
}

// One line of memory.
const _: () = assert!(size_of::<Order>() == 64);

/// The orders before an order in the lists of its customer and of its group.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Before {
    pub of_customer: u32,
    pub of_group: u32,
}

pub(crate) struct Placed {
    ids: Texts,
    rows: Settled<Order>,
    /// Not in copies, until all are linked again.
    before: Settled<Before>,
}

freeze_fields!(Placed { ids, rows } cached { before });

impl Rows for Placed {
    type Row = OrderRow;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn row_at(&self, at: usize) -> OrderRow {
        let Order { lsn, time, fingerprint, tags, customer, group, kind, market, .. } = *self.rows.get(at);
        let Order { lines, credits, calendars, values, .. } = *self.rows.get(at);
        OrderRow {
            lsn,
            time,
            fingerprint,
            tags,
            customer,
            group,
            kind,
            market,
            lines,
            credits,
            calendars,
            values,
            id: self.ids.text(at),
        }
    }

    /// What an order refers to is checked when all is there (`part.rs`).
    fn restore(&mut self, row: OrderRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("order `{}`: {what}", row.id);
        let id = OrderId::parse(&row.id).ok_or_else(|| wrong("not an id"))?;
        require((1..=so_far.lsn).contains(&row.lsn), || wrong("by no command so far"))?;
        require(self.find(&id).is_none(), || wrong("there twice"))?;
        require(self.len() < ORDERS_MAX, || wrong("one too many"))?;
        let within = |count: u8, most: usize| (1..=most).contains(&usize::from(count));
        let fits = within(row.lines, ORDER_LINES_MAX)
            && within(row.credits, ORDER_CREDITS_MAX)
            && within(row.calendars, CALENDARS_MAX)
            && within(row.values, VOLUMES_MAX + 1);
        require(fits, || wrong("an impossible number of lines, credits, calendars or values"))?;
        let [credit, booking] = self.next_places();
        let has_room = credit.checked_add(row.credits.into()).is_some()
            && booking.checked_add(row.calendars.into()).is_some();
        require(has_room, || wrong("one credit or booking too many"))?;
        let OrderRow { lsn, time, fingerprint, tags, customer, group, kind, market, .. } = row;
        let OrderRow { lines, credits, calendars, values, .. } = row;
        let order = Order {
            lsn,
            time,
            fingerprint,
            tags,
            customer,
            group,
            kind,
            market,
            lines,
            credits,
            calendars,
            values,
            ..Order::zeroed()
        };
        self.push(order, &id);
        Ok(())
    }
}

impl Placed {
    pub fn new() -> Self {
        Self { ids: Texts::new(), rows: Settled::new(), before: Settled::new() }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// The number of an order. O(1).
    pub fn find(&self, id: &OrderId) -> Option<u32> {
        self.ids.find(id.as_str())
    }

    pub fn id(&self, order: u32) -> Box<str> {
        self.ids.text(order as usize)
    }

    pub fn get(&self, order: u32) -> &Order {
        self.rows.get(order as usize)
    }

    /// The orders before it in its lists. None in a copy.
    pub fn before(&self, order: u32) -> Before {
        if !self.is_linked() {
            return Before { of_customer: NO_ORDER, of_group: NO_ORDER };
        }
        *self.before.get(order as usize)
    }

    /// Whether all orders are in the lists of their customers and groups: not in a copy.
    pub fn is_linked(&self) -> bool {
        self.before.len() == self.rows.len()
    }

    /// Puts the first order that is in no list yet into those of its customer and its group.
    pub fn link(&mut self, before: Before) {
        self.before.push(before);
    }

    /// The places of the next order's credits and bookings: after those of the newest.
    fn next_places(&self) -> [u32; 2] {
        let Some(newest) = self.rows.len().checked_sub(1) else { return [0; 2] };
        let newest = self.rows.get(newest);
        [newest.first_credit + u32::from(newest.credits), newest.first_booking + u32::from(newest.calendars)]
    }

    /// Adds an order, whose lines, credits, values and bookings are added after those of the orders before:
    /// that tells their places.
    pub fn push(&mut self, order: Order, id: &OrderId) -> u32 {
        let [first_credit, first_booking] = self.next_places();
        let last = self.rows.len().checked_sub(1).map(|last| self.rows.get(last));
        let first_value =
            last.map_or(0, |last| last.first_value + u64::from(last.lines) * u64::from(last.values));
        self.rows.push(Order { first_value, first_credit, first_booking, ..order });
        self.ids.push(id.as_str())
    }

    /// Prefetches what [`Placed::find`] reads. The result is meaningless.
    pub fn prefetch<'i>(&self, ids: impl Iterator<Item = &'i OrderId>) -> u32 {
        self.ids.prefetch(ids.map(OrderId::as_str), |_| 0)
    }
}
