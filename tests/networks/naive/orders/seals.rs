//! Seals and recalls: what leaves the lists, and what comes back.

use std::collections::BTreeSet;

use upline::core::{
    RefundState,
    command::{
        OrderId, Outcome, PeriodRef, PlaceOrder, RecallBooking, RecallLine, RecallOrder, RecallRefund,
        RefundOrder, RefundScope, Rejection, SEALED_REFUND_LINES_MAX, SEALED_REFUNDS_MAX, SealPeriod,
        VALUE_MAX, WHOLE,
    },
};

use super::{Act, LineRefund, Order, Refund, SUM_MAX, Stage};
use crate::networks::{naive::Naive, picture::Files};

/// The amount, and the volumes that a plan may have.
const VALUES_MAX: usize = 9;

/// Totals of a period, or a difference of totals.
#[derive(Clone, Copy, Default)]
pub(super) struct Left {
    pub(super) orders: i64,
    pub(super) refunds: i64,
    /// By value.
    pub(super) sums: [i64; VALUES_MAX],
}

impl Left {
    pub(super) fn add(&mut self, other: &Left, sign: i64) {
        self.orders += sign * other.orders;
        self.refunds += sign * other.refunds;
        self.sums.iter_mut().zip(other.sums).for_each(|(sum, other)| *sum += sign * other);
    }
}

impl Naive {
    /// What a seal would be now.
    pub(in crate::networks::naive) fn sealable(&self) -> Files {
        let (orders, refunds) = (self.commerce.orders.len(), self.commerce.refunds.len());
        let sealable = (0..orders).filter(|order| self.is_sealable(*order, orders, refunds));
        Files {
            seal: self.commerce.seals.len() as u32,
            as_of: self.lsn,
            orders_known: orders as u32,
            refunds_known: refunds as u32,
            orders: sealable.map(|order| self.in_files(order)).collect(),
        }
    }

    /// Whether a period is sealed.
    pub fn is_sealed(&self, period: PeriodRef) -> bool {
        self.find_period(period).is_ok_and(|place| self.commerce.seals.contains(&place))
    }

    fn is_final(&self, calendar: usize, period: usize) -> bool {
        self.periods_of(calendar).get(period).is_some_and(|period| Stage::Posted <= period.stage)
    }

    /// The period in which a refund acts; none while it waits.
    fn acts_in(&self, refund: &Refund, calendar: usize) -> Option<usize> {
        match refund.acts[calendar] {
            Act::Lowers => Some(self.commerce.orders[refund.order].periods[calendar]),
            Act::Waits => None,
            Act::Corrects { period, .. } => Some(period),
        }
    }

    fn is_sealable(&self, order: usize, orders_known: usize, refunds_known: usize) -> bool {
        let known = self.commerce.refunds.iter().take(refunds_known);
        let refunds: Vec<&Refund> = known.filter(|refund| refund.order == order).collect();
        let is_done = |refund: &&Refund| {
            (0..refund.acts.len()).all(|calendar| {
                self.acts_in(refund, calendar).is_some_and(|period| self.is_final(calendar, period))
            })
        };
        let lines: usize = refunds.iter().map(|refund| refund.lines.len()).sum();
        let mut periods = self.commerce.orders[order].periods.iter().enumerate();
        order < orders_known
            && periods.all(|(calendar, period)| self.is_final(calendar, *period))
            && refunds.iter().all(is_done)
            && refunds.len() <= SEALED_REFUNDS_MAX
            && lines <= SEALED_REFUND_LINES_MAX
    }

    fn in_files(&self, at: usize) -> RecallOrder {
        let Order { content, fingerprint, lsn, time, credits, lines, periods, .. } =
            &self.commerce.orders[at];
        let PlaceOrder { id, customer, kind, tags, group, market, .. } = content.clone();
        let credit = |(member, part): &(usize, u32)| upline::core::command::Credit {
            member: self.members[*member].id,
            part: *part,
        };
        RecallOrder {
            id,
            lsn: *lsn,
            time: *time,
            fingerprint: *fingerprint,
            tags,
            kind,
            market,
            customer,
            group,
            credits: credits.iter().map(credit).collect(),
            lines: lines.clone(),
            periods: periods.iter().map(|period| *period as u32).collect(),
            refunds: self.refunds_of(at).map(|refund| self.refund_in_files(refund)).collect(),
        }
    }

    fn refund_in_files(&self, refund: &Refund) -> RecallRefund {
        let booking = |(calendar, act): (usize, &Act)| RecallBooking {
            period: self.acts_in(refund, calendar).expect("it does not wait") as u32,
            state: match act {
                Act::Lowers => RefundState::Lowered,
                Act::Waits => RefundState::Waiting,
                Act::Corrects { lowers: false, .. } => RefundState::Correction,
                Act::Corrects { lowers: true, .. } => RefundState::LowersLater,
            } as u8,
        };
        RecallRefund {
            id: refund.content.id.clone(),
            lsn: refund.lsn,
            time: refund.time,
            fingerprint: refund.fingerprint,
            lines: (refund.lines.iter())
                .map(|part| RecallLine { line: part.line as u8, from: part.before, to: part.after })
                .collect(),
            bookings: refund.acts.iter().enumerate().map(booking).collect(),
        }
    }

    pub(in crate::networks::naive) fn seal_period(
        &mut self,
        seal: &SealPeriod,
    ) -> Result<Outcome, Rejection> {
        let (calendar, at) = self.find_period(seal.period)?;
        let periods = self.periods_of(calendar);
        match periods[at].stage {
            Stage::Sealed => {
                let number = self.commerce.seals.iter().position(|sealed| *sealed == (calendar, at));
                let seal = number.expect("it was sealed") as u32;
                return Ok(Outcome::PeriodSealed { seal, orders: 0, changed: false });
            }
            Stage::Posted if periods[..at].iter().any(|earlier| earlier.stage != Stage::Sealed) => {
                return Err(Rejection::PeriodOutOfOrder);
            }
            Stage::Posted => {}
            _ => return Err(Rejection::PeriodStepNotAllowed),
        }
        let (orders, refunds) = (&self.commerce.orders, &self.commerce.refunds);
        let (orders_known, refunds_known) = (seal.orders_known as usize, seal.refunds_known as usize);
        let is_good = seal.seal as usize == self.commerce.seals.len()
            && seal.as_of < self.lsn
            && orders_known <= orders.len()
            && refunds_known <= refunds.len()
            && self.commerce.posted <= seal.as_of;
        if !is_good {
            return Err(Rejection::SealStale);
        }
        let sealable: BTreeSet<usize> =
            (0..orders.len()).filter(|order| self.is_sealable(*order, orders_known, refunds_known)).collect();
        let is_known =
            |(number, refund): &(usize, &Refund)| *number < refunds_known && sealable.contains(&refund.order);
        let known = refunds.iter().enumerate().filter(is_known).count();
        if (seal.orders as usize, seal.refunds as usize) != (sealable.len(), known) {
            return Err(Rejection::SealStale);
        }
        let late: BTreeSet<usize> = refunds.iter().skip(refunds_known).map(|refund| refund.order).collect();
        let late: BTreeSet<usize> = sealable.intersection(&late).copied().collect();
        self.leave(&sealable, &late);
        self.commerce.periods[calendar][at].stage = Stage::Sealed;
        self.commerce.seals.push((calendar, at));
        let left = (sealable.len() - late.len()) as u32;
        Ok(Outcome::PeriodSealed { seal: seal.seal, orders: left, changed: true })
    }

    /// Takes the sealable orders out; those that are late move behind all others.
    fn leave(&mut self, sealable: &BTreeSet<usize>, late: &BTreeSet<usize>) {
        let mut periods = BTreeSet::new();
        for order in sealable.difference(late) {
            periods.extend(self.commerce.orders[*order].periods.iter().copied().enumerate());
            for refund in self.refunds_of(*order) {
                let acts = (0..refund.acts.len()).map(|calendar| (calendar, self.acts_in(refund, calendar)));
                periods.extend(acts.map(|(calendar, period)| (calendar, period.expect("it acts"))));
            }
        }
        let before: Vec<_> = periods.iter().map(|(calendar, at)| self.present(*calendar, *at)).collect();
        let all = 0..self.commerce.orders.len();
        let rest = all.filter(|order| !sealable.contains(order)).chain(late.iter().copied());
        let numbers: Vec<usize> = rest.collect();
        let mut orders: Vec<Option<Order>> =
            std::mem::take(&mut self.commerce.orders).into_iter().map(Some).collect();
        let mut refunds: Vec<Option<Refund>> =
            std::mem::take(&mut self.commerce.refunds).into_iter().map(Some).collect();
        // Those of orders that stay where they were, then order by order.
        let was_of: Vec<usize> = refunds.iter().flatten().map(|refund| refund.order).collect();
        let stay = (0..was_of.len()).filter(|refund| !sealable.contains(&was_of[*refund]));
        let of_late = late.iter().flat_map(|order| {
            let was_of = &was_of;
            (0..was_of.len()).filter(move |refund| was_of[*refund] == *order)
        });
        for number in stay.chain(of_late) {
            let refund = refunds[number].take().expect("it stays once");
            let order = numbers.iter().position(|was| *was == refund.order).expect("it stays");
            self.commerce.refunds.push(Refund { order, ..refund });
        }
        let kept = numbers.iter().map(|number| orders[*number].take().expect("it stays once"));
        self.commerce.orders = kept.collect();
        for ((calendar, at), before) in periods.into_iter().zip(before) {
            let after = self.present(calendar, at);
            let left = self.commerce.left.entry((calendar, at)).or_default();
            left.add(&before, 1);
            left.add(&after, -1);
        }
    }

    pub(in crate::networks::naive) fn recall_order(
        &mut self,
        order: &RecallOrder,
    ) -> Result<Outcome, Rejection> {
        let wrong = Rejection::RecallMismatched;
        let mut credits = Vec::new();
        for credit in &order.credits {
            credits.push((self.find(&credit.member).map_err(|_| wrong)?, credit.part));
        }
        if let Some(known) = self.order_with(&order.id) {
            let is_same = self.commerce.orders[known].fingerprint == order.fingerprint;
            let outcome = Outcome::OrderRecalled { order: known as u32, changed: false };
            return if is_same { Ok(outcome) } else { Err(wrong) };
        }
        if self.commerce.seals.is_empty()
            || !is_order(order)
            || !self.are_free(order)
            || !self.has_names(order)
            || !self.is_of_final_periods(order)
        {
            return Err(wrong);
        }
        for value in 0..order.lines[0].len() {
            let there = self.commerce.orders.iter().flat_map(|order| &order.lines);
            let of_line = |line: &Vec<i64>| i128::from(line.get(value).copied().unwrap_or(0));
            if SUM_MAX < there.chain(&order.lines).map(of_line).sum() {
                return Err(Rejection::VolumesFull);
            }
        }
        let touched: BTreeSet<(usize, usize)> = periods_of(order).collect();
        let before: Vec<_> = touched.iter().map(|(calendar, at)| self.totals(*calendar, *at)).collect();
        let number = self.commerce.orders.len();
        self.come_back(order, credits);
        for ((calendar, at), before) in touched.iter().zip(before) {
            let after = self.totals(*calendar, *at);
            let left = self.commerce.left.entry((*calendar, *at)).or_default();
            left.add(&before, 1);
            left.add(&after, -1);
        }
        Ok(Outcome::OrderRecalled { order: number as u32, changed: true })
    }

    fn come_back(&mut self, order: &RecallOrder, credits: Vec<(usize, u32)>) {
        let number = self.commerce.orders.len();
        for refund in &order.refunds {
            let content = RefundOrder {
                id: refund.id.clone(),
                order: order.id.clone(),
                time: None,
                scope: RefundScope::Rest,
            };
            let act = |booking: &RecallBooking| {
                let period = booking.period as usize;
                match RefundState::from_repr(booking.state).expect("it was looked at") {
                    RefundState::Lowered => Act::Lowers,
                    RefundState::Waiting => Act::Waits,
                    RefundState::Correction => Act::Corrects { period, lowers: false },
                    RefundState::LowersLater => Act::Corrects { period, lowers: true },
                }
            };
            let line =
                |part: &RecallLine| LineRefund { line: part.line.into(), before: part.from, after: part.to };
            self.commerce.refunds.push(Refund {
                content,
                fingerprint: refund.fingerprint,
                is_recalled: true,
                order: number,
                lsn: refund.lsn,
                time: refund.time,
                lines: refund.lines.iter().map(line).collect(),
                acts: refund.bookings.iter().map(act).collect(),
            });
        }
        let content = PlaceOrder {
            id: order.id.clone(),
            credits: order.credits.clone(),
            customer: order.customer.clone(),
            time: None,
            kind: order.kind,
            tags: order.tags,
            group: order.group.clone(),
            market: order.market,
            lines: Vec::new(),
        };
        self.commerce.orders.push(Order {
            content,
            fingerprint: order.fingerprint,
            is_recalled: true,
            lsn: order.lsn,
            time: order.time,
            credits,
            lines: order.lines.clone(),
            periods: order.periods.iter().map(|period| *period as usize).collect(),
        });
    }

    /// Whether its ids, and those of its refunds, are nobody else's.
    fn are_free(&self, order: &RecallOrder) -> bool {
        let ids: Vec<&OrderId> =
            std::iter::once(&order.id).chain(order.refunds.iter().map(|refund| &refund.id)).collect();
        let is_free = |id: &OrderId| self.order_with(id).is_none() && self.refund_with(id).is_none();
        ids.iter().collect::<BTreeSet<_>>().len() == ids.len() && ids.iter().all(|id| is_free(id))
    }

    fn has_names(&self, order: &RecallOrder) -> bool {
        let plan = &self.plan.commerce;
        let knows = |name: Option<u16>, names: usize| name.is_none_or(|name| usize::from(name) < names);
        let knows_customer = |id: &OrderId| self.commerce.owners.contains_key(id.as_str());
        let knows_group = |id: &OrderId| self.commerce.groups.contains(id.as_str());
        knows(order.kind, plan.order_kinds.len())
            && knows(order.market, plan.markets.len())
            && (plan.order_tags.len()..64).all(|tag| order.tags >> tag & 1 == 0)
            && order.lines[0].len() <= 1 + plan.volumes.len()
            && order.periods.len() <= plan.calendars.len()
            && order.customer.as_ref().is_none_or(knows_customer)
            && order.group.as_ref().is_none_or(knows_group)
    }

    /// Whether its periods, and those in which its refunds act, are final, and it may have left them.
    fn is_of_final_periods(&self, order: &RecallOrder) -> bool {
        let left = |calendar, at| self.commerce.left.get(&(calendar, at)).copied().unwrap_or_default();
        let acts = |booked: (usize, &RecallBooking)| {
            let (calendar, RecallBooking { period, state }) = booked;
            match RefundState::from_repr(*state) {
                Some(RefundState::Lowered) => order.periods.get(calendar) == Some(period),
                Some(RefundState::Correction | RefundState::LowersLater) => true,
                Some(RefundState::Waiting) | None => false,
            }
        };
        let mut bookings = order.refunds.iter().flat_map(|refund| refund.bookings.iter().enumerate());
        let lsns = std::iter::once(order.lsn).chain(order.refunds.iter().map(|refund| refund.lsn));
        let refunds_in = |calendar: usize, at: usize| {
            let there = order.refunds.iter().filter_map(|refund| refund.bookings.get(calendar));
            there.filter(|booking| booking.period as usize == at).count() as i64
        };
        let is_own = |calendar: usize, at: usize| order.periods.get(calendar) == Some(&(at as u32));
        bookings.all(acts)
            && lsns.into_iter().all(|lsn| 0 < lsn && lsn <= self.lsn)
            && periods_of(order).all(|(calendar, at)| {
                let left = left(calendar, at);
                self.is_final(calendar, at)
                    && i64::from(is_own(calendar, at)) <= left.orders
                    && refunds_in(calendar, at) <= left.refunds
            })
    }
}

/// Its periods, and those in which its refunds act.
fn periods_of(order: &RecallOrder) -> impl Iterator<Item = (usize, usize)> + '_ {
    let own = order.periods.iter().copied().enumerate();
    let acts = |refund: &'_ RecallRefund| -> Vec<(usize, u32)> {
        refund.bookings.iter().map(|booking| booking.period).enumerate().collect()
    };
    own.chain(order.refunds.iter().flat_map(acts)).map(|(calendar, at)| (calendar, at as usize))
}

/// Whether it has the shape of an order, and its refunds follow one another.
fn is_order(order: &RecallOrder) -> bool {
    let parts: u64 = order.credits.iter().map(|credit| u64::from(credit.part)).sum();
    let values = order.lines.first().map_or(0, Vec::len);
    let mut refunded = vec![0; order.lines.len()];
    for refund in &order.refunds {
        let ascends = refund.lines.is_sorted_by(|one, next| one.line < next.line);
        if !ascends || refund.bookings.len() != order.periods.len() {
            return false;
        }
        for part in &refund.lines {
            match refunded.get_mut(usize::from(part.line)) {
                Some(so_far) if *so_far == part.from && part.from < part.to && part.to <= WHOLE => {
                    *so_far = part.to;
                }
                _ => return false,
            }
        }
    }
    let lines: usize = order.refunds.iter().map(|refund| refund.lines.len()).sum();
    (1..=16).contains(&order.credits.len())
        && order.credits.iter().all(|credit| 0 < credit.part)
        && parts == u64::from(WHOLE)
        && (1..=64).contains(&order.lines.len())
        && 0 < values
        && order.lines.iter().all(|line| line.len() == values)
        && order.lines.iter().flatten().all(|value| (0..=VALUE_MAX).contains(value))
        && !order.periods.is_empty()
        && order.refunds.len() <= SEALED_REFUNDS_MAX
        && lines <= SEALED_REFUND_LINES_MAX
}
