//! Orders, refunds and periods. Everything is recounted from the list of orders.

mod periods;
mod pictures;
mod seals;

use std::collections::{BTreeMap, BTreeSet};

use upline::core::{
    Actor,
    command::{
        LinePart, OpenPeriod, OrderId, OrderLine, Outcome, PlaceOrder, RefundOrder, RefundScope, Rejection,
        VALUE_MAX, WHOLE,
    },
    plan::{
        calendar::Late,
        commerce::{VolumeForm, VolumeOf},
    },
    types::{MemberIx, Timestamp},
};

use seals::Left;

use super::{Naive, index};

/// The largest sum of a value over all orders.
const SUM_MAX: i128 = i64::MAX as i128 / 4;

/// Orders, refunds and periods.
#[derive(Default)]
pub(super) struct Commerce {
    orders: Vec<Order>,
    refunds: Vec<Refund>,
    /// By calendar.
    periods: Vec<Vec<Period>>,
    runs: u32,
    /// Customers, and the members to whom they belong.
    owners: BTreeMap<String, MemberIx>,
    groups: BTreeSet<String>,
    /// The sealed periods, in the order of their seals.
    seals: Vec<(usize, usize)>,
    /// The command that posted a period last.
    posted: u64,
    /// Periods that orders or refunds left, and what the totals have beyond what is still there.
    left: BTreeMap<(usize, usize), Left>,
}

struct Order {
    /// Of a recalled one without lines and time.
    content: PlaceOrder,
    fingerprint: u64,
    is_recalled: bool,
    lsn: u64,
    time: Timestamp,
    /// Members and their parts.
    credits: Vec<(usize, u32)>,
    /// By line, the amount and the volumes.
    lines: Vec<Vec<i64>>,
    /// By calendar.
    periods: Vec<usize>,
}

struct Refund {
    /// Of one whose order was recalled without time and scope.
    content: RefundOrder,
    fingerprint: u64,
    is_recalled: bool,
    order: usize,
    lsn: u64,
    time: Timestamp,
    lines: Vec<LineRefund>,
    /// By calendar: what it does there.
    acts: Vec<Act>,
}

/// How much of a line was refunded before, and with it.
struct LineRefund {
    line: usize,
    before: u32,
    after: u32,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Act {
    /// Lowers the order in its period.
    Lowers,
    /// Waits until the order's period is unlocked or posted.
    Waits,
    /// Is an entry of this period; it lowers volumes where the plan says so.
    Corrects { period: usize, lowers: bool },
}

struct Period {
    content: OpenPeriod,
    /// The command that opened it.
    opened: u64,
    stage: Stage,
    /// Whether it was ever locked: this ends its grace.
    was_locked: bool,
    /// Who ran it since it was locked last.
    runner: Option<Actor>,
    runs: u32,
    /// Values and levels kept live, by the plan under which it was opened.
    live: Vec<usize>,
    live_levels: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Open,
    Closing,
    Locked,
    Approved,
    Posted,
    Sealed,
}

impl Period {
    fn has(&self, time: Timestamp) -> bool {
        self.content.start <= time && time < self.content.end
    }

    fn takes_orders(&self, now: Timestamp) -> bool {
        !self.was_locked && now < self.content.grace_until
    }
}

// --- orders

impl Naive {
    /// Whether anything refers to the names of the plan.
    pub(super) fn has_orders(&self) -> bool {
        let Commerce { orders, periods, .. } = &self.commerce;
        let has_periods = periods.iter().any(|periods| !periods.is_empty());
        !orders.is_empty() || has_periods || self.has_attributes() || self.opening_has_calendars()
    }

    /// Whether a period was ever locked.
    pub(super) fn was_any_locked(&self) -> bool {
        self.commerce.periods.iter().flatten().any(|period| period.was_locked)
    }

    /// Whether an instant lies in a period that is not locked.
    pub(super) fn is_correctable(&self, at: Timestamp) -> bool {
        let mut periods = self.commerce.periods.iter().flatten();
        periods.any(|period| period.has(at) && period.stage < Stage::Locked)
    }

    /// Where the newest two periods of each calendar end.
    pub(super) fn boundaries(&self) -> Vec<Timestamp> {
        let newest = self.commerce.periods.iter().flat_map(|periods| periods.iter().rev().take(2));
        newest.map(|period| period.content.end).collect()
    }

    pub(super) fn place_order(&mut self, order: &PlaceOrder) -> Result<Outcome, Rejection> {
        if let Some(at) = self.order_with(&order.id) {
            let known = &self.commerce.orders[at];
            let is_same = if known.is_recalled {
                known.fingerprint == order.fingerprint()
            } else {
                known.content == named(order)
            };
            let outcome = Outcome::OrderPlaced { order: at as u32, changed: false };
            return if is_same { Ok(outcome) } else { Err(Rejection::OrderIdTaken) };
        }
        if self.refund_with(&order.id).is_some() {
            return Err(Rejection::OrderIdTaken);
        }
        let plan = &self.plan.commerce;
        if plan.calendars.is_empty() {
            return Err(Rejection::OrdersNotTaken);
        }
        if !is_well_formed(order) {
            return Err(Rejection::OrderMalformed);
        }
        let mut credits = Vec::new();
        for credit in &order.credits {
            credits.push((self.find(&credit.member)?, credit.part));
        }
        let kinds = plan.order_kinds.len();
        if order.kind.map_or(kinds != 0, |kind| kinds <= usize::from(kind)) {
            return Err(Rejection::OrderKindUnknown);
        }
        if (0..64).any(|tag| order.tags >> tag & 1 == 1 && plan.order_tags.len() <= tag) {
            return Err(Rejection::OrderTagUnknown);
        }
        if order.market.is_some_and(|market| plan.markets.len() <= usize::from(market)) {
            return Err(Rejection::MarketUnknown);
        }
        if let Some(customer) = &order.customer
            && self.customers().get(customer.as_str()).is_some_and(|owner| owner.at() != credits[0].0)
        {
            return Err(Rejection::CustomerOfAnother);
        }
        let lines: Vec<Vec<i64>> =
            order.lines.iter().map(|line| self.values_of(line)).collect::<Result<_, _>>()?;
        for value in 0..=plan.volumes.len() {
            let earlier = self.commerce.orders.iter().flat_map(|order| &order.lines);
            let sum: i128 =
                earlier.chain(&lines).map(|line| i128::from(line.get(value).copied().unwrap_or(0))).sum();
            if SUM_MAX < sum {
                return Err(Rejection::VolumesFull);
            }
        }
        let time = order.time.unwrap_or(self.time);
        let joined = credits.iter().map(|(member, _)| self.members[*member].joined_at).max();
        let periods = (0..plan.calendars.len())
            .map(|calendar| self.period_for(calendar, time, joined))
            .collect::<Result<_, _>>()?;
        if let Some(customer) = &order.customer {
            self.commerce.owners.entry(customer.as_str().into()).or_insert(index(credits[0].0));
        }
        self.commerce.groups.extend(order.group.iter().map(|group| group.as_str().to_owned()));
        let (lsn, content, fingerprint) = (self.lsn, named(order), order.fingerprint());
        let order = Order { content, fingerprint, is_recalled: false, lsn, time, credits, lines, periods };
        self.commerce.orders.push(order);
        Ok(Outcome::OrderPlaced { order: self.commerce.orders.len() as u32 - 1, changed: true })
    }

    /// The period of a calendar into which an order is booked.
    fn period_for(
        &self,
        calendar: usize,
        time: Timestamp,
        joined: Option<Timestamp>,
    ) -> Result<usize, Rejection> {
        let periods = self.periods_of(calendar);
        if periods.first().is_some_and(|first| time < first.content.start) {
            return Err(Rejection::BeforeOpening);
        }
        let time = joined.map_or(time, |joined| time.max(joined));
        let Some(own) = periods.iter().position(|period| period.has(time)) else {
            return Err(Rejection::PeriodNotOpen);
        };
        if periods[own].takes_orders(self.time) {
            return Ok(own);
        }
        if self.plan.commerce.calendars[calendar].late == Late::Refuse {
            return Err(Rejection::OrderLate);
        }
        periods.iter().position(|period| period.takes_orders(self.time)).ok_or(Rejection::PeriodNotOpen)
    }

    fn periods_of(&self, calendar: usize) -> &[Period] {
        self.commerce.periods.get(calendar).map_or(&[], Vec::as_slice)
    }

    /// The amount of a line and its volumes.
    fn values_of(&self, line: &OrderLine) -> Result<Vec<i64>, Rejection> {
        let mut values = vec![line.amount.0];
        let mut exponents = vec![self.plan.currency.exponent];
        let mut given = line.volumes.iter();
        for volume in &self.plan.commerce.volumes {
            let value = match volume.form {
                VolumeForm::Given => given.next().copied().unwrap_or(0),
                VolumeForm::Percent { of, rate } => {
                    let of = match of {
                        VolumeOf::Amount => 0,
                        VolumeOf::Volume(position) => 1 + usize::from(position),
                    };
                    let scale = |exponent: u8| 10_i128.pow(u32::from(exponent));
                    let exact = i128::from(values[of]) * i128::from(rate.0) * scale(volume.exponent);
                    let rounded = self.plan.commerce.rounding.divide(exact, 10_000 * scale(exponents[of]));
                    if i128::from(VALUE_MAX) < rounded {
                        return Err(Rejection::OrderMalformed);
                    }
                    rounded as i64
                }
            };
            values.push(value);
            exponents.push(volume.exponent);
        }
        if given.any(|more| *more != 0) { Err(Rejection::OrderMalformed) } else { Ok(values) }
    }

    fn order_with(&self, id: &OrderId) -> Option<usize> {
        self.commerce.orders.iter().position(|order| order.content.id == *id)
    }

    /// Whether an order with this id is in the state.
    pub fn has_order(&self, id: &OrderId) -> bool {
        self.order_with(id).is_some()
    }

    /// Whether an order or a refund in the state has this id.
    pub fn has_order_id(&self, id: &OrderId) -> bool {
        self.has_order(id) || self.refund_with(id).is_some()
    }

    fn refund_with(&self, id: &OrderId) -> Option<usize> {
        self.commerce.refunds.iter().position(|refund| refund.content.id == *id)
    }

    /// Customers, and the first credited members of their first orders. Their orders may be sealed.
    pub fn customers(&self) -> &BTreeMap<String, MemberIx> {
        &self.commerce.owners
    }

    /// Groups of orders, which may be sealed.
    pub fn groups(&self) -> &BTreeSet<String> {
        &self.commerce.groups
    }

    /// Customers who have orders that are not sealed.
    pub(super) fn present_customers(&self) -> BTreeMap<String, MemberIx> {
        let is_present = |customer: &str| {
            let mut names = self.commerce.orders.iter().filter_map(|order| order.content.customer.as_ref());
            names.any(|name| name.as_str() == customer)
        };
        let present = self.commerce.owners.iter().filter(|(customer, _)| is_present(customer));
        present.map(|(customer, owner)| (customer.clone(), *owner)).collect()
    }
}

/// An order whose volumes that are not named are left out.
fn named(order: &PlaceOrder) -> PlaceOrder {
    let mut order = order.clone();
    for line in &mut order.lines {
        while line.volumes.last() == Some(&0) {
            line.volumes.pop();
        }
    }
    order
}

fn is_well_formed(order: &PlaceOrder) -> bool {
    let good = |value: i64| (0..=VALUE_MAX).contains(&value);
    let parts: u64 = order.credits.iter().map(|credit| u64::from(credit.part)).sum();
    let mut members: Vec<_> = order.credits.iter().map(|credit| credit.member).collect();
    members.sort();
    members.dedup();
    (1..=16).contains(&order.credits.len())
        && members.len() == order.credits.len()
        && parts == u64::from(WHOLE)
        && order.credits.iter().all(|credit| 0 < credit.part)
        && (1..=64).contains(&order.lines.len())
        && order.lines.iter().all(|line| good(line.amount.0) && line.volumes.len() <= 8)
        && order.lines.iter().all(|line| line.volumes.iter().all(|volume| good(*volume)))
}

// --- refunds

impl Naive {
    pub(super) fn refund_order(&mut self, refund: &RefundOrder) -> Result<Outcome, Rejection> {
        if let Some(at) = self.refund_with(&refund.id) {
            let known = &self.commerce.refunds[at];
            let is_same = if known.is_recalled {
                known.fingerprint == refund.fingerprint()
            } else {
                known.content == *refund
            };
            let outcome = Outcome::OrderRefunded { refund: at as u32, changed: false };
            return if is_same { Ok(outcome) } else { Err(Rejection::OrderIdTaken) };
        }
        if self.order_with(&refund.id).is_some() {
            return Err(Rejection::OrderIdTaken);
        }
        let order = self.order_with(&refund.order).ok_or(Rejection::OrderUnknown)?;
        let lines = self.refunded_lines(order, &refund.scope)?;
        let time = refund.time.unwrap_or(self.time);
        let mut acts = Vec::new();
        for (calendar, period) in self.commerce.orders[order].periods.iter().enumerate() {
            acts.push(match self.periods_of(calendar)[*period].stage {
                Stage::Open | Stage::Closing => Act::Lowers,
                Stage::Locked | Stage::Approved => Act::Waits,
                Stage::Posted | Stage::Sealed => self.correction(calendar, time)?,
            });
        }
        let (lsn, content, fingerprint) = (self.lsn, refund.clone(), refund.fingerprint());
        let refund = Refund { content, fingerprint, is_recalled: false, order, lsn, time, lines, acts };
        self.commerce.refunds.push(refund);
        Ok(Outcome::OrderRefunded { refund: self.commerce.refunds.len() as u32 - 1, changed: true })
    }

    /// An entry of the open period.
    fn correction(&self, calendar: usize, time: Timestamp) -> Result<Act, Rejection> {
        let periods = self.periods_of(calendar);
        let oldest = periods.iter().find(|period| period.takes_orders(self.time));
        let time = oldest.map(|oldest| time.max(oldest.content.start)).ok_or(Rejection::PeriodNotOpen)?;
        let period = periods.iter().position(|period| period.has(time)).ok_or(Rejection::PeriodNotOpen)?;
        Ok(Act::Corrects { period, lowers: self.plan.commerce.refund_lowers_volume == Some(true) })
    }

    fn refunded_lines(&self, order: usize, scope: &RefundScope) -> Result<Vec<LineRefund>, Rejection> {
        let count = self.commerce.orders[order].lines.len();
        let refund_of = |line: usize, part: Option<u32>| {
            let before = self.refunded(order, line);
            let after = part.map_or(u64::from(WHOLE), |part| u64::from(before) + u64::from(part));
            if u64::from(WHOLE) < after || after == u64::from(before) {
                return Err(Rejection::RefundTooLarge);
            }
            Ok(LineRefund { line, before, after: after as u32 })
        };
        match scope {
            RefundScope::Rest => {
                let rest: Vec<LineRefund> =
                    (0..count).filter_map(|line| refund_of(line, None).ok()).collect();
                if rest.is_empty() { Err(Rejection::RefundTooLarge) } else { Ok(rest) }
            }
            RefundScope::Part(0) => Err(Rejection::OrderMalformed),
            RefundScope::Part(part) => (0..count).map(|line| refund_of(line, Some(*part))).collect(),
            RefundScope::Lines(parts) => {
                if parts.is_empty() || !parts.is_sorted_by(|left, right| left.line < right.line) {
                    return Err(Rejection::OrderMalformed);
                }
                let refund_of = |part: &LinePart| match (usize::from(part.line), part.part) {
                    (line, _) if count <= line => Err(Rejection::OrderLineUnknown),
                    (_, Some(0)) => Err(Rejection::OrderMalformed),
                    (line, part) => refund_of(line, part),
                };
                parts.iter().map(refund_of).collect()
            }
        }
    }

    /// Refunds that wait in some calendar.
    pub fn refunds_waiting(&self) -> usize {
        self.commerce.refunds.iter().filter(|refund| refund.acts.contains(&Act::Waits)).count()
    }

    fn refunds_of(&self, order: usize) -> impl Iterator<Item = &Refund> {
        self.commerce.refunds.iter().filter(move |refund| refund.order == order)
    }

    /// How much of a line was refunded.
    fn refunded(&self, order: usize, line: usize) -> u32 {
        let refunds = self.refunds_of(order).flat_map(|refund| &refund.lines);
        refunds.filter(|refund| refund.line == line).map(|refund| refund.after).max().unwrap_or(0)
    }

    /// What is left of an order after the refunds that count, by value.
    fn left(&self, order: usize, counts: impl Fn(&Refund) -> bool) -> Vec<i64> {
        let lines = &self.commerce.orders[order].lines;
        let mut left = vec![0; lines[0].len()];
        for (line, values) in lines.iter().enumerate() {
            let refunds = self.refunds_of(order).filter(|refund| counts(refund));
            let of_line = refunds.flat_map(|refund| &refund.lines).filter(|refund| refund.line == line);
            let refunded = of_line.map(|refund| refund.after).max().unwrap_or(0);
            for (left, value) in left.iter_mut().zip(values) {
                *left += remaining(*value, refunded);
            }
        }
        left
    }
}

/// What remains of a value of which a part was refunded.
fn remaining(value: i64, refunded: u32) -> i64 {
    value - (i128::from(value) * i128::from(refunded) / i128::from(WHOLE)) as i64
}

/// Shares by largest remainder; of equal ones the first written is the first to get a unit.
fn shares(value: i64, credits: &[(usize, u32)]) -> Vec<i64> {
    let exact = |part: u32| i128::from(value) * i128::from(part);
    let mut shares: Vec<i64> =
        credits.iter().map(|(_, part)| (exact(*part) / i128::from(WHOLE)) as i64).collect();
    let mut order: Vec<usize> = (0..credits.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(exact(credits[*at].1) % i128::from(WHOLE)));
    let missing = value - shares.iter().sum::<i64>();
    for at in order.into_iter().take(usize::try_from(missing).expect("less than one each")) {
        shares[at] += 1;
    }
    shares
}
