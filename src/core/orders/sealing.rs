//! Which orders a seal moves into files, and the lists without them.
//!
//! An order is *sealable* when all its periods are final, and those of all its refunds: nothing about it can
//! change any more, but by another refund. It goes together with its refunds. The files of a seal were
//! written from a view of the state; an order that has got a refund since stays in the state as well, behind
//! all others, and is sealed once more by a later seal.

use std::collections::BTreeSet;

use crate::core::{
    orders::{
        bookings::BookingRow,
        credits::CreditRow,
        part::Orders,
        refund_bookings::{RefundBookingRow, RefundState},
        refund_lines::RefundLineRow,
        refunds::RefundRow,
        sealed_totals::ByPeriod,
        totals::VALUES_MAX,
    },
    requests::command::{OrderId, SEALED_REFUND_LINES_MAX, SEALED_REFUNDS_MAX, SealPeriod},
    store::rows::Rows,
};

/// Orders and refunds that a view of the state has: what came later has higher numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::core) struct Known {
    pub orders: u32,
    pub refunds: u32,
}

impl Known {
    /// What the files of a seal know.
    pub fn by(seal: &SealPeriod) -> Self {
        Self { orders: seal.orders_known, refunds: seal.refunds_known }
    }
}

/// What leaves the state.
#[derive(Default)]
pub(in crate::core) struct Leaving {
    /// Orders and refunds in the files.
    pub orders: u32,
    pub refunds: u32,
    /// Those of the orders that stay as well.
    pub late: u32,
    /// What the others contributed to the totals of their periods.
    pub by_period: ByPeriod,
    /// The sums of their values as they were placed.
    pub placed: [i64; VALUES_MAX],
}

/// The lists without the orders of a seal, while they are being made.
pub(in crate::core) struct Remaining {
    known: Known,
    /// The lists of orders and refunds, and the newest ones of customers and groups. Nothing else of it is
    /// used.
    rest: Orders,
    /// The numbers that the orders and refunds of `rest` had, ascending.
    orders: Vec<u32>,
    refunds: Vec<u32>,
    /// Orders and refunds looked at so far.
    orders_seen: u32,
    refunds_seen: u32,
    /// Orders in the files that have got refunds since.
    late: BTreeSet<u32>,
    leaving: Leaving,
}

impl Orders {
    /// Whether an order is sealable, as far as it was known. O(its refunds).
    pub fn is_sealable(&self, order: u32, known: Known) -> bool {
        let refunds = || self.refunds_of(order).filter(|refund| *refund < known.refunds);
        let is_final = |refund: u32| {
            self.refund_states(refund)
                .all(|(period, state)| state != RefundState::Waiting && self.periods().is_final(period))
        };
        order < known.orders
            && self.periods_of(order).all(|period| self.periods().is_final(period))
            && refunds().all(is_final)
            && refunds().count() <= SEALED_REFUNDS_MAX
            && refunds().map(|refund| self.refund_lines(refund).count()).sum::<usize>()
                <= SEALED_REFUND_LINES_MAX
    }

    /// What is known now.
    pub fn known(&self) -> Known {
        let orders = u32::try_from(self.len()).expect("limited by ORDERS_MAX");
        Known { orders, refunds: self.refunds_len() }
    }

    /// What an order and its known refunds contribute to the totals of final periods.
    pub(super) fn contribution(&self, order: u32, known: Known) -> ByPeriod {
        let mut by_period = ByPeriod::new();
        for booked in self.booked_values(order) {
            let totals = by_period.entry(booked.period).or_default();
            totals.orders += 1;
            totals.add_values(&booked.values);
        }
        for refund in self.refunds_of(order).filter(|refund| *refund < known.refunds) {
            for (period, _) in self.refund_states(refund) {
                by_period.entry(period).or_default().refunds += 1;
            }
            for corrected in self.corrected_values(refund) {
                by_period.entry(corrected.period).or_default().add_values(&corrected.values);
            }
        }
        by_period
    }

    /// The sums of the values of an order as it was placed.
    pub(super) fn placed_values(&self, order: u32) -> Vec<i64> {
        self.values_left(order, &vec![0; self.order(order).lines.into()])
    }

    /// Adds an order of other lists, without its refunds.
    fn copy_order(&mut self, from: &Self, order: u32) {
        let row = *from.order(order);
        let id = OrderId::parse(&from.order_id(order)).expect("it was one");
        let (lines, values) = (row.lines, row.values);
        let number = self.lists.placed.push(row, &id);
        for credit in from.credits_of(order) {
            self.lists.credits.push(CreditRow { order: number, member: credit.member, part: credit.part });
        }
        for (line, value) in (0..lines).flat_map(|line| (0..values).map(move |value| (line, value))) {
            self.lists.values.push(from.value(order, line, value));
        }
        for booking in from.booking_rows(order) {
            self.lists.bookings.push(BookingRow { order: number, ..booking });
        }
        self.link(number);
    }

    /// Adds a refund of other lists, of the order that has this number here.
    fn copy_refund(&mut self, from: &Self, refund: u32, order: u32) {
        let row = RefundRow { order, ..from.lists.refunds.row_at(refund as usize) };
        let id = OrderId::parse(&row.id).expect("it was one");
        let number = self.refunds_len();
        self.lists.refunds.push(&row, &id);
        for (line, from, to) in from.refund_lines(refund) {
            self.lists.refund_lines.push(RefundLineRow { from, to, line });
        }
        for (period, state) in from.refund_states(refund) {
            self.lists.refund_bookings.push(RefundBookingRow { period: period.period, state: state as u8 });
        }
        self.note_waiting(number);
    }
}

impl Remaining {
    /// Nothing was looked at yet.
    pub fn new(known: Known) -> Self {
        Self {
            known,
            rest: Orders::new(),
            orders: Vec::new(),
            refunds: Vec::new(),
            orders_seen: 0,
            refunds_seen: 0,
            late: BTreeSet::new(),
            leaving: Leaving::default(),
        }
    }

    /// Looks at so many more orders and refunds. Returns whether none is left. O(steps).
    pub fn advance(&mut self, all: &Orders, steps: usize) -> bool {
        let Known { orders, refunds } = all.known();
        for _ in 0..steps {
            if self.orders_seen < orders {
                self.take_order(all, self.orders_seen);
                self.orders_seen += 1;
            } else if self.refunds_seen < refunds {
                self.take_refund(all, self.refunds_seen);
                self.refunds_seen += 1;
            } else {
                break;
            }
        }
        (self.orders_seen, self.refunds_seen) == (orders, refunds)
    }

    fn take_order(&mut self, all: &Orders, order: u32) {
        if !all.is_sealable(order, self.known) {
            self.rest.copy_order(all, order);
            self.orders.push(order);
            return;
        }
        let leaving = &mut self.leaving;
        leaving.orders += 1;
        for (period, totals) in all.contribution(order, self.known) {
            leaving.by_period.entry(period).or_default().add(&totals);
        }
        leaving.placed.iter_mut().zip(all.placed_values(order)).for_each(|(sum, value)| *sum += value);
    }

    fn take_refund(&mut self, all: &Orders, refund: u32) {
        let order = all.refund(refund).order;
        match self.orders.binary_search(&order) {
            Ok(number) => {
                let number = u32::try_from(number).expect("numbered");
                self.rest.copy_refund(all, refund, number);
                self.refunds.push(refund);
            }
            Err(_) if refund < self.known.refunds => self.leaving.refunds += 1,
            Err(_) => _ = self.late.insert(order),
        }
    }

    /// The final step, when nothing is left to look at: refunds that waited may act by now, and orders that
    /// have got refunds stay. O(waiting refunds, orders with later refunds).
    pub fn complete(&mut self, all: &Orders) {
        for refund in std::mem::take(&mut self.rest.waiting).into_values().flatten().collect::<BTreeSet<_>>()
        {
            let first = self.rest.refund(refund).first_booking;
            let was = self.refunds[refund as usize];
            for (place, (period, state)) in (first..).zip(all.refund_states(was)) {
                let row = RefundBookingRow { period: period.period, state: state as u8 };
                self.rest.lists.refund_bookings.set(place, row);
            }
            self.rest.note_waiting(refund);
        }
        for order in std::mem::take(&mut self.late) {
            let number = u32::try_from(self.rest.len()).expect("numbered");
            self.rest.copy_order(all, order);
            let mut refunds: Vec<u32> = all.refunds_of(order).collect();
            refunds.reverse();
            for refund in refunds {
                self.rest.copy_refund(all, refund, number);
            }
            let leaving = &mut self.leaving;
            leaving.late += 1;
            for (period, totals) in all.contribution(order, self.known) {
                leaving.by_period.entry(period).or_default().take_off(&totals);
            }
            leaving.placed.iter_mut().zip(all.placed_values(order)).for_each(|(sum, value)| *sum -= value);
        }
        // Nothing left the periods that only these orders have.
        self.leaving.by_period.retain(|_, totals| (totals.orders, totals.refunds) != (0, 0));
    }

    /// What leaves.
    pub fn leaving(&self) -> &Leaving {
        &self.leaving
    }

    /// Exchanges the lists with those of the state. What it got is to be dropped. O(periods).
    pub fn swap_into(&mut self, all: &mut Orders) {
        let Self { rest, leaving, .. } = self;
        let (own, others) = (&mut rest.lists, &mut all.lists);
        std::mem::swap(&mut own.placed, &mut others.placed);
        std::mem::swap(&mut own.credits, &mut others.credits);
        std::mem::swap(&mut own.values, &mut others.values);
        std::mem::swap(&mut own.bookings, &mut others.bookings);
        std::mem::swap(&mut own.refunds, &mut others.refunds);
        std::mem::swap(&mut own.refund_lines, &mut others.refund_lines);
        std::mem::swap(&mut own.refund_bookings, &mut others.refund_bookings);
        own.customers.swap_newest(&mut others.customers);
        own.groups.swap_newest(&mut others.groups);
        std::mem::swap(&mut rest.waiting, &mut all.waiting);
        std::mem::swap(&mut rest.strays, &mut all.strays);
        all.totals.leave(&leaving.placed);
        all.lists.sealed_totals.add(&leaving.by_period);
    }
}
