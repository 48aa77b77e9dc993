//! Orders, periods and volumes as plain data: every volume is added up again from the list of orders.

use upline::core::{
    command::{OpenPeriod, OrderId},
    types::LEVELS_MAX,
};

use super::{Act, Left, LineRefund, Order, Refund, shares};
use crate::networks::{
    naive::{Naive, index},
    picture::{LivePicture, OrderPicture, PeriodPicture, RefundPicture, TREES, Volumes},
};

impl Naive {
    /// What members have in a period, by value, order by order.
    fn volumes_in(&self, calendar: usize, period: usize, value: usize) -> Vec<i64> {
        let mut own = vec![0; self.members.len()];
        let mut add = |order: &Order, amount: Vec<i64>, sign: i64| {
            for ((member, _), share) in order.credits.iter().zip(amount) {
                own[*member] += sign * share;
            }
        };
        for (at, order) in self.commerce.orders.iter().enumerate() {
            if order.periods.get(calendar) == Some(&period) && value < order.lines[0].len() {
                let left = self.left(at, |refund| refund.acts[calendar] == Act::Lowers)[value];
                add(order, shares(left, &order.credits), 1);
            }
        }
        for refund in &self.commerce.refunds {
            let order = &self.commerce.orders[refund.order];
            let lowers = refund.acts.get(calendar) == Some(&Act::Corrects { period, lowers: true });
            if lowers && value < order.lines[0].len() {
                let before = self.left(refund.order, |other| other.lsn < refund.lsn)[value];
                let after = self.left(refund.order, |other| other.lsn <= refund.lsn)[value];
                add(order, shares(before, &order.credits), -1);
                add(order, shares(after, &order.credits), 1);
            }
        }
        own
    }

    pub(in crate::networks::naive) fn live_pictures(&self) -> Vec<LivePicture> {
        let mut pictures = Vec::new();
        for calendar in (0..self.commerce.periods.len()).filter(|_| !self.members.is_empty()) {
            let periods = self.periods_of(calendar);
            let newest = periods.len().saturating_sub(2);
            let has_left = |period| self.commerce.left.contains_key(&(calendar, period));
            let kept = periods.iter().enumerate().skip(newest).filter(|(period, _)| !has_left(*period));
            for (period, of_period) in kept {
                for value in &of_period.live {
                    let own = self.volumes_in(calendar, period, *value);
                    pictures.push(LivePicture {
                        calendar: calendar as u8,
                        period: period as u32,
                        value: *value as u8,
                        members: self.added_up(&own, of_period.live_levels),
                    });
                }
            }
        }
        pictures
    }

    /// Groups and levels of all members from what each has itself.
    fn added_up(&self, own: &[i64], levels: usize) -> Vec<Volumes> {
        let mut volumes: Vec<Volumes> = own
            .iter()
            .map(|own| Volumes {
                own: *own,
                groups: TREES.map(|tree| self.plan.counts(tree).then_some(*own)),
                levels: TREES.map(|tree| self.plan.counts(tree).then_some([0; LEVELS_MAX])),
            })
            .collect();
        for (at, tree) in TREES.into_iter().enumerate() {
            for (member, own) in own.iter().enumerate().filter(|(_, own)| **own != 0) {
                for (distance, above) in self.upline(tree, member).enumerate() {
                    if let Some(group) = &mut volumes[above].groups[at] {
                        *group += own;
                    }
                    if let Some(sums) = &mut volumes[above].levels[at]
                        && distance < levels
                    {
                        sums[distance] += own;
                    }
                }
            }
        }
        volumes
    }

    pub(in crate::networks::naive) fn order_pictures(&self) -> Vec<OrderPicture> {
        let text = |id: &Option<OrderId>| id.as_ref().map(|id| id.as_str().to_owned());
        let orders = self.commerce.orders.iter().enumerate();
        orders
            .map(|(at, order)| OrderPicture {
                id: order.content.id.as_str().to_owned(),
                lsn: order.lsn,
                time: order.time,
                credits: order.credits.iter().map(|(member, part)| (index(*member), *part)).collect(),
                customer: text(&order.content.customer),
                kind: order.content.kind,
                market: order.content.market,
                tags: order.content.tags,
                group: text(&order.content.group),
                lines: (order.lines.iter().enumerate())
                    .map(|(line, values)| (values.clone(), self.refunded(at, line)))
                    .collect(),
                periods: (order.periods.iter().enumerate())
                    .map(|(calendar, period)| (calendar as u8, *period as u32))
                    .collect(),
                refunds: self.refunds_of(at).map(|refund| self.refund_picture(refund)).collect(),
            })
            .collect()
    }

    fn refund_picture(&self, refund: &Refund) -> RefundPicture {
        let order = &self.commerce.orders[refund.order];
        let act = |(calendar, act): (usize, &Act)| match act {
            Act::Lowers => ("lowers", order.periods[calendar] as u32),
            Act::Waits => ("waits", order.periods[calendar] as u32),
            Act::Corrects { period, .. } => ("corrects", *period as u32),
        };
        RefundPicture {
            id: refund.content.id.as_str().to_owned(),
            lsn: refund.lsn,
            time: refund.time,
            lines: (refund.lines.iter())
                .map(|LineRefund { line, before, after }| (*line as u8, *before, *after))
                .collect(),
            acts: refund.acts.iter().enumerate().map(act).collect(),
        }
    }

    pub(in crate::networks::naive) fn period_pictures(&self) -> Vec<PeriodPicture> {
        let mut pictures = Vec::new();
        for calendar in 0..self.commerce.periods.len() {
            for (at, period) in self.periods_of(calendar).iter().enumerate() {
                let OpenPeriod { label, start, end, grace_until, .. } = &period.content;
                let Left { orders, refunds, sums } = self.totals(calendar, at);
                let values = 1 + self.plan.commerce.volumes.len();
                pictures.push(PeriodPicture {
                    calendar: calendar as u8,
                    label: label.as_str().to_owned(),
                    start: *start,
                    end: *end,
                    grace_until: *grace_until,
                    state: format!("{:?}", period.stage),
                    orders: orders.cast_unsigned(),
                    refunds: refunds.cast_unsigned(),
                    sums: sums[..values].to_vec(),
                    runs: period.runs,
                });
            }
        }
        pictures
    }

    /// What a period has: what is still there, and what left.
    pub(super) fn totals(&self, calendar: usize, period: usize) -> Left {
        let mut totals = self.present(calendar, period);
        if let Some(left) = self.commerce.left.get(&(calendar, period)) {
            totals.add(left, 1);
        }
        totals
    }

    /// What a period has from the orders and refunds that are still there.
    pub(super) fn present(&self, calendar: usize, period: usize) -> Left {
        let booked = self.commerce.orders.iter();
        let booked = booked.filter(|order| order.periods.get(calendar) == Some(&period));
        Left {
            orders: booked.count() as i64,
            refunds: self.refunds_in(calendar, period),
            sums: std::array::from_fn(|value| self.volumes_in(calendar, period, value).iter().sum()),
        }
    }

    /// Refunds of orders of a period, and corrections in it.
    fn refunds_in(&self, calendar: usize, period: usize) -> i64 {
        let acts_there = |refund: &&Refund| match refund.acts.get(calendar) {
            None | Some(Act::Waits) => false,
            Some(Act::Lowers) => self.commerce.orders[refund.order].periods[calendar] == period,
            Some(Act::Corrects { period: corrected, .. }) => *corrected == period,
        };
        self.commerce.refunds.iter().filter(acts_there).count() as i64
    }
}
