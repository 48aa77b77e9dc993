//! Orders as a part of the state: what was placed, refunded and booked, with the only functions that change
//! it. `admission.rs` judges and places orders, `refunding.rs` refunds them; the rules of periods are in
//! `periods.rs`. Members are named by index: who they are, and the trees, are known above (`state/order.rs`).

use std::collections::BTreeMap;

use crate::core::{
    orders::{
        attributes::Attributes,
        bookings::{Booked, BookingRow},
        credits::Credited,
        lists::Lists,
        live::{LiveVolumes, Trees},
        opening::Opening,
        opening_close::OpeningClose,
        periods::Periods,
        placed::{Before, NO_ORDER, Order},
        refund_bookings::RefundState,
        refunds::Refund,
        runs::Runs,
        seals::Seals,
        shares::left,
        steps::Steps,
        strays::Strays,
        totals::{PeriodTotals, Totals, VALUES_MAX},
    },
    requests::command::{OrderId, PeriodRef, PlaceOrder},
    store::{column::freeze_fields, rows::Rows},
    words::types::MemberIx,
};

pub(crate) struct Orders {
    pub(super) lists: Lists,
    /// Follow from the lists. Not in copies: they are not asked for them.
    pub(super) totals: Totals,
    pub(super) live: LiveVolumes,
    /// Refunds that wait, by the period that they wait for.
    pub(super) waiting: BTreeMap<PeriodRef, Vec<u32>>,
    pub(super) strays: Strays,
}

freeze_fields!(Orders { lists } cached { totals, live, waiting, strays });

impl Orders {
    pub fn new() -> Self {
        Self {
            lists: Lists::new(),
            totals: Totals::default(),
            live: LiveVolumes::new(),
            waiting: BTreeMap::new(),
            strays: Strays::default(),
        }
    }

    /// Whether nothing refers to the names of the plan.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
            && self.lists.periods.count() == 0
            && self.lists.attributes.is_empty()
            && !self.lists.opening.has_calendars()
    }

    /// Whether lists, totals and live volumes are there, which copies lack until they are completed.
    pub fn is_complete(&self) -> bool {
        self.lists.placed.is_linked() && (self.lists.periods.count() == 0 || !self.live.is_empty())
    }

    /// Finds where the lists of a copy begin, before it is completed ([`Orders::complete`]). O(orders).
    pub fn index_lists(&mut self) {
        self.lists.credits.index();
        self.lists.bookings.index();
    }

    /// The number of orders.
    pub fn len(&self) -> usize {
        self.lists.placed.len()
    }

    pub fn attributes(&self) -> &Attributes {
        &self.lists.attributes
    }

    pub fn attributes_mut(&mut self) -> &mut Attributes {
        &mut self.lists.attributes
    }

    pub fn periods(&self) -> &Periods {
        &self.lists.periods
    }

    pub fn periods_mut(&mut self) -> &mut Periods {
        &mut self.lists.periods
    }

    pub fn opening(&self) -> &Opening {
        &self.lists.opening
    }

    pub fn opening_mut(&mut self) -> &mut Opening {
        &mut self.lists.opening
    }

    pub fn opening_close(&self) -> &OpeningClose {
        &self.lists.opening_close
    }

    pub fn opening_close_mut(&mut self) -> &mut OpeningClose {
        &mut self.lists.opening_close
    }

    pub fn steps(&self) -> &Steps {
        &self.lists.steps
    }

    pub fn steps_mut(&mut self) -> &mut Steps {
        &mut self.lists.steps
    }

    pub fn runs(&self) -> &Runs {
        &self.lists.runs
    }

    pub fn runs_mut(&mut self) -> &mut Runs {
        &mut self.lists.runs
    }

    pub fn seals(&self) -> &Seals {
        &self.lists.seals
    }

    pub fn seals_mut(&mut self) -> &mut Seals {
        &mut self.lists.seals
    }

    /// Whether orders or refunds of a period were sealed: its live volumes are no longer kept.
    pub fn has_sealed(&self, period: PeriodRef) -> bool {
        self.lists.sealed_totals.has(period)
    }

    /// What sealed orders and refunds are of the totals of periods.
    pub fn sealed_totals(&self) -> impl Iterator<Item = (PeriodRef, PeriodTotals)> + '_ {
        self.lists.sealed_totals.iter()
    }

    pub fn live(&self) -> &LiveVolumes {
        &self.live
    }

    pub fn live_mut(&mut self) -> &mut LiveVolumes {
        &mut self.live
    }

    /// By value, the sums over all orders, before refunds.
    pub fn sums(&self) -> &[i64; VALUES_MAX] {
        self.totals.orders()
    }

    /// What the company has in a period.
    pub fn totals(&self, period: PeriodRef) -> PeriodTotals {
        self.totals.get(period)
    }

    /// The number of refunds.
    pub fn refunds_len(&self) -> u32 {
        u32::try_from(self.lists.refunds.len()).expect("numbered")
    }

    /// The refunds that wait for a period to be unlocked or posted, oldest first.
    pub fn waiting_for(&self, period: PeriodRef) -> &[u32] {
        self.waiting.get(&period).map_or(&[], Vec::as_slice)
    }

    /// The number of an order. O(1).
    pub fn find(&self, id: &OrderId) -> Option<u32> {
        self.lists.placed.find(id)
    }

    /// Prefetches what looking up orders and their customers reads. The result is meaningless.
    pub fn prefetch<'o>(&self, orders: impl Iterator<Item = &'o PlaceOrder> + Clone) -> u32 {
        let customers = orders.clone().filter_map(|order| order.customer.as_ref());
        self.lists.placed.prefetch(orders.map(|order| &order.id)) ^ self.lists.customers.prefetch(customers)
    }

    /// Prefetches what crediting a member changes. The result is meaningless.
    pub fn prefetch_credit(&self, member: MemberIx) -> u32 {
        self.lists.credits.newest(member).unwrap_or(NO_ORDER)
    }

    /// The number of a refund. O(1).
    pub fn find_refund(&self, id: &OrderId) -> Option<u32> {
        self.lists.refunds.find(id)
    }

    pub fn order(&self, order: u32) -> &Order {
        self.lists.placed.get(order)
    }

    pub fn order_id(&self, order: u32) -> Box<str> {
        self.lists.placed.id(order)
    }

    pub fn refund(&self, refund: u32) -> &Refund {
        self.lists.refunds.get(refund)
    }

    pub fn refund_id(&self, refund: u32) -> Box<str> {
        self.lists.refunds.id(refund)
    }

    /// The refunds of an order, newest first.
    pub fn refunds_of(&self, order: u32) -> impl Iterator<Item = u32> + '_ {
        self.lists.refunds.of_order(order)
    }

    /// The lines that a refund takes back a part of: position, part before, part with it.
    pub fn refund_lines(&self, refund: u32) -> impl Iterator<Item = (u8, u32, u32)> + '_ {
        let Refund { first_line, lines, .. } = *self.refund(refund);
        (first_line..first_line + u32::from(lines)).map(|place| {
            let row = self.lists.refund_lines.row_at(place as usize);
            (row.line, row.from, row.to)
        })
    }

    /// How a refund acts in each calendar of its order, and in which period.
    pub fn refund_states(&self, refund: u32) -> impl Iterator<Item = (PeriodRef, RefundState)> + '_ {
        let Refund { first_booking, calendars, .. } = *self.refund(refund);
        (0..calendars).map(move |calendar| {
            let row = self.lists.refund_bookings.row_at((first_booking + u32::from(calendar)) as usize);
            let calendar = u8::try_from(calendar).expect("one of a few");
            (PeriodRef { calendar, period: row.period }, row.state())
        })
    }

    /// The customer of an order, by number.
    pub fn customer_of(&self, order: u32) -> Option<u32> {
        Some(self.order(order).customer).filter(|customer| *customer != NO_ORDER)
    }

    pub fn customer_id(&self, customer: u32) -> Box<str> {
        self.lists.customers.id(customer)
    }

    /// The number of a customer. O(1).
    pub fn find_customer(&self, id: &OrderId) -> Option<u32> {
        self.lists.customers.find(id)
    }

    pub fn customer_owner(&self, customer: u32) -> MemberIx {
        self.lists.customers.owner(customer)
    }

    /// The number of a group. O(1).
    pub fn find_group(&self, id: &OrderId) -> Option<u32> {
        self.lists.groups.find(id)
    }

    pub fn group_id(&self, group: u32) -> Box<str> {
        self.lists.groups.id(group)
    }

    /// The members that an order is credited to, as they were named.
    pub fn credits_of(&self, order: u32) -> impl Iterator<Item = &Credited> + '_ {
        let Order { first_credit, credits, .. } = *self.order(order);
        (first_credit..first_credit + u32::from(credits)).map(|credit| self.lists.credits.get(credit))
    }

    /// The periods in which an order is booked, by calendar.
    pub fn periods_of(&self, order: u32) -> impl Iterator<Item = PeriodRef> + '_ {
        let Order { first_booking, calendars, .. } = *self.order(order);
        (0..calendars).map(move |calendar| {
            let booked = self.lists.bookings.get(first_booking + u32::from(calendar));
            PeriodRef { calendar, period: booked.period }
        })
    }

    /// The bookings of an order, by calendar.
    pub(super) fn booking_rows(&self, order: u32) -> impl Iterator<Item = BookingRow> + '_ {
        let Order { first_booking, calendars, .. } = *self.order(order);
        let place = move |calendar: u8| (first_booking + u32::from(calendar)) as usize;
        (0..calendars).map(move |calendar| self.lists.bookings.row_at(place(calendar)))
    }

    /// A value of a line, before refunds.
    pub fn value(&self, order: u32, line: u8, value: u8) -> i64 {
        let Order { first_value, values, .. } = *self.order(order);
        let place = u64::from(line) * u64::from(values) + u64::from(value);
        self.lists.values.get(first_value + place)
    }

    /// How much of each line was refunded, in parts of the whole: by those refunds that `counts` names.
    /// O(refunds of the order).
    pub fn refunded(&self, order: u32, counts: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut refunded = vec![0; self.order(order).lines.into()];
        for refund in self.refunds_of(order).filter(|refund| counts(*refund)) {
            for (line, _, to) in self.refund_lines(refund) {
                let so_far = &mut refunded[usize::from(line)];
                *so_far = to.max(*so_far);
            }
        }
        refunded
    }

    /// The values of an order after some of each line was refunded, the amount first.
    pub fn values_left(&self, order: u32, refunded: &[u32]) -> Vec<i64> {
        let values = self.order(order).values;
        let of_value = |value| {
            let lines = (0..).zip(refunded);
            lines.map(|(line, refunded)| left(self.value(order, line, value), *refunded)).sum()
        };
        (0..values).map(of_value).collect()
    }

    /// What is left of an order in its period of a calendar: refunds that wait, or became corrections, do not
    /// lower it.
    pub fn values_in(&self, order: u32, calendar: u8) -> Vec<i64> {
        let lowers = |refund| {
            self.refund_states(refund)
                .any(|(period, state)| period.calendar == calendar && state == RefundState::Lowered)
        };
        self.values_left(order, &self.refunded(order, lowers))
    }

    /// Counts a refund in a period.
    pub fn count_refund(&mut self, period: PeriodRef) {
        self.totals.get_mut(period).refunds += 1;
    }

    /// Counts an order in a period.
    pub fn count_order(&mut self, period: PeriodRef) {
        self.totals.get_mut(period).orders += 1;
    }

    /// Adds values to periods of different calendars, and each member's share of them to the volumes that are
    /// kept live.
    pub fn book<'s>(
        &mut self,
        periods: &(impl Iterator<Item = PeriodRef> + Clone),
        values: &[i64],
        trees: &Trees<'_>,
        shares: impl Iterator<Item = (MemberIx, &'s [i64])>,
    ) {
        periods.clone().for_each(|period| self.totals.add(period, values));
        for (member, share) in shares {
            self.live.book(periods.clone(), trees, member, share);
        }
    }

    /// Orders that are behind newer ones.
    pub fn strays(&self) -> &Strays {
        &self.strays
    }

    /// The newest credit of a member.
    pub fn newest_credit(&self, member: MemberIx) -> Option<u32> {
        self.lists.credits.newest(member)
    }

    /// A credit, by number.
    pub fn credit(&self, credit: u32) -> Option<&Credited> {
        ((credit as usize) < self.lists.credits.len()).then(|| self.lists.credits.get(credit))
    }

    /// The newest order of a customer.
    pub fn newest_of_customer(&self, customer: u32) -> u32 {
        self.lists.customers.newest(customer)
    }

    /// The newest order of a group.
    pub fn newest_of_group(&self, group: u32) -> u32 {
        self.lists.groups.newest(group)
    }

    /// The orders before one in its lists.
    pub fn before(&self, order: u32) -> Before {
        self.lists.placed.before(order)
    }

    /// The newest booking in a period.
    pub fn newest_booking(&self, period: PeriodRef) -> u32 {
        self.lists.bookings.newest(period)
    }

    /// A booking, by number.
    pub fn booking(&self, booking: u32) -> Option<&Booked> {
        ((booking as usize) < self.lists.bookings.len()).then(|| self.lists.bookings.get(booking))
    }
}
