//! Brings sealed orders back.

use bytemuck::Zeroable;

use crate::core::{
    orders::{
        bookings::BookingRow,
        credits::CreditRow,
        part::Orders,
        placed::{NO_NAME, NO_ORDER, ORDERS_MAX, Order},
        refund_bookings::{RefundBookingRow, RefundState},
        refund_lines::RefundLineRow,
        refunds::RefundRow,
        sealed_totals::ByPeriod,
    },
    plan::commerce::{CALENDARS_MAX, Commerce},
    requests::command::{OrderId, PeriodRef, RecallOrder, RecallRefund, Rejection},
    words::types::MemberIx,
};

/// What judging a recall found.
pub(in crate::core) enum AdmittedRecall {
    /// It is there.
    Known(u32),
    New(NewRecall),
}

/// An order that can be recalled.
pub(in crate::core) struct NewRecall {
    members: Vec<MemberIx>,
    /// The number of its customer and of its group.
    customer: u32,
    group: u32,
}

impl Orders {
    /// Judges a recall after the command `lsn`. `members` are the credited ones.
    ///
    /// # Errors
    /// The order, or a refund of it, is not one that was sealed here, or it does not fit.
    pub fn judge_recall(
        &self,
        commerce: &Commerce,
        order: &RecallOrder,
        members: Vec<MemberIx>,
        lsn: u64,
    ) -> Result<AdmittedRecall, Rejection> {
        let wrong = Rejection::RecallMismatched;
        let is_free = |id| self.find(id).is_none() && self.find_refund(id).is_none();
        if let Some(known) = self.find(&order.id) {
            let is_same = self.order(known).fingerprint == order.fingerprint;
            return if is_same { Ok(AdmittedRecall::Known(known)) } else { Err(wrong) };
        }
        let ids = || std::iter::once(&order.id).chain(order.refunds.iter().map(|refund| &refund.id));
        let mut own: Vec<&OrderId> = ids().collect();
        own.sort_unstable();
        own.dedup();
        let are_free = own.len() == 1 + order.refunds.len() && ids().all(is_free);
        if self.seals().list().is_empty() || !order.is_well_formed() || !are_free {
            return Err(wrong);
        }
        if !Self::names_are_known(commerce, order) || !self.are_final(order) {
            return Err(wrong);
        }
        let mut by_command = std::iter::once(order.lsn).chain(order.refunds.iter().map(|refund| refund.lsn));
        if !by_command.all(|by| (1..=lsn).contains(&by)) || !self.have_left(order) {
            return Err(wrong);
        }
        let customer = match &order.customer {
            Some(id) => self.find_customer(id).ok_or(wrong)?,
            None => NO_ORDER,
        };
        let group = match &order.group {
            Some(id) => self.find_group(id).ok_or(wrong)?,
            None => NO_ORDER,
        };
        let lists = &self.lists;
        let has_room = self.len() < ORDERS_MAX
            && lists.credits.len() + members.len() < u32::MAX as usize
            && lists.refunds.len() + order.refunds.len() < u32::MAX as usize / 8
            && lists.refund_lines.len() + order.refunds.len() * order.lines.len() < u32::MAX as usize;
        if !has_room {
            return Err(Rejection::OrdersFull);
        }
        self.totals.judge(&sums(order))?;
        Ok(AdmittedRecall::New(NewRecall { members, customer, group }))
    }

    fn names_are_known(commerce: &Commerce, order: &RecallOrder) -> bool {
        let tags = u32::try_from(commerce.order_tags.len()).expect("few");
        let values = order.lines.first().map_or(0, Vec::len);
        order.kind.is_none_or(|kind| usize::from(kind) < commerce.order_kinds.len())
            && order.market.is_none_or(|market| usize::from(market) < commerce.markets.len())
            && order.tags.checked_shr(tags).is_none_or(|beyond| beyond == 0)
            && values <= commerce.volumes.len() + 1
            && order.periods.len() <= commerce.calendars.len().min(CALENDARS_MAX)
    }

    /// Whether the periods of an order and its refunds are final.
    fn are_final(&self, order: &RecallOrder) -> bool {
        let is_final =
            |(calendar, period): (u8, u32)| self.periods().is_final(PeriodRef { calendar, period });
        let is_booked = |refund: &RecallRefund| {
            (0..).zip(&refund.bookings).all(|(calendar, booking)| {
                let state = RefundState::from_repr(booking.state);
                let is_own = order.periods.get(usize::from(calendar)) == Some(&booking.period);
                state.is_some_and(|state| state != RefundState::Waiting && (state.is_later() || is_own))
                    && is_final((calendar, booking.period))
            })
        };
        (0..).zip(order.periods.iter().copied()).all(is_final) && order.refunds.iter().all(is_booked)
    }

    /// Whether as many orders and refunds left its periods: else their totals would not stay what they are.
    fn have_left(&self, order: &RecallOrder) -> bool {
        let mut counts = ByPeriod::new();
        let of = |calendar, period| PeriodRef { calendar, period };
        for (calendar, period) in (0..).zip(&order.periods) {
            counts.entry(of(calendar, *period)).or_default().orders += 1;
        }
        for refund in &order.refunds {
            for (calendar, booking) in (0..).zip(&refund.bookings) {
                counts.entry(of(calendar, booking.period)).or_default().refunds += 1;
            }
        }
        counts.iter().all(|(period, counts)| {
            let left = self.lists.sealed_totals.of(*period);
            counts.orders <= left.orders && counts.refunds <= left.refunds
        })
    }

    /// Brings an order back that was judged: behind all others. The totals of its periods stay as they are.
    pub fn recall(&mut self, order: &RecallOrder, new: &NewRecall) -> u32 {
        let number = self.place_recalled(order, new);
        for refund in &order.refunds {
            self.give_recalled(refund, number);
        }
        self.totals.place(&sums(order));
        let recalled = self.contribution(number, self.known());
        self.lists.sealed_totals.take_off(&recalled);
        number
    }

    fn place_recalled(&mut self, order: &RecallOrder, new: &NewRecall) -> u32 {
        let lists = &mut self.lists;
        let row = Order {
            lsn: order.lsn,
            time: order.time,
            fingerprint: order.fingerprint,
            tags: order.tags,
            customer: new.customer,
            group: new.group,
            kind: order.kind.unwrap_or(NO_NAME),
            market: order.market.unwrap_or(NO_NAME),
            lines: short(order.lines.len()),
            credits: short(new.members.len()),
            calendars: short(order.periods.len()),
            values: short(order.lines[0].len()),
            ..Order::zeroed()
        };
        let number = lists.placed.push(row, &order.id);
        for (member, credit) in new.members.iter().zip(&order.credits) {
            lists.credits.push(CreditRow { order: number, member: member.0, part: credit.part });
        }
        order.lines.iter().flatten().for_each(|value| lists.values.push(*value));
        for (calendar, period) in (0..).zip(&order.periods) {
            lists.bookings.push(BookingRow { order: number, period: *period, calendar });
        }
        self.link(number);
        number
    }

    fn give_recalled(&mut self, refund: &RecallRefund, order: u32) {
        let row = RefundRow {
            lsn: refund.lsn,
            time: refund.time,
            fingerprint: refund.fingerprint,
            order,
            lines: short(refund.lines.len()),
            calendars: short(refund.bookings.len()),
            id: refund.id.as_str().into(),
        };
        let lists = &mut self.lists;
        lists.refunds.push(&row, &refund.id);
        for line in &refund.lines {
            lists.refund_lines.push(RefundLineRow { line: line.line, from: line.from, to: line.to });
        }
        for booking in &refund.bookings {
            lists.refund_bookings.push(RefundBookingRow { period: booking.period, state: booking.state });
        }
    }
}

/// The sums over all lines, by value.
fn sums(order: &RecallOrder) -> Vec<i64> {
    let mut sums = vec![0; order.lines.first().map_or(0, Vec::len)];
    for line in &order.lines {
        sums.iter_mut().zip(line).for_each(|(sum, value)| *sum += value);
    }
    sums
}

fn short(count: usize) -> u8 {
    u8::try_from(count).expect("limited")
}
