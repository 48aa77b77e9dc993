//! Orders and refunds: the members that they name, and the volumes that they change.

use crate::core::{
    orders::{
        admission::AdmittedOrder,
        refunding::{AdmittedRefund, ValuesChange},
        shares::{less, shares_of},
    },
    requests::command::{Outcome, PeriodRef, PlaceOrder, RefundOrder, Rejection},
    state::{
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    words::{
        directory::Directory,
        types::{MemberIx, Timestamp},
    },
};

impl Rules for kinds::PlaceOrder {
    type Content<'a> = &'a PlaceOrder;
    type Found = AdmittedOrder;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        order: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.judge_order(directory, order, state.scalars.time)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        order: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.place_order(order, found)
    }
}

impl Rules for kinds::RefundOrder {
    type Content<'a> = &'a RefundOrder;
    type Found = AdmittedRefund;

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        refund: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        state.orders.judge_refund(refund, state.refunds_lower_volume(), state.scalars.time)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        refund: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        state.refund_order(refund, found)
    }
}

impl State {
    /// Judges an order at the log time `now`.
    pub(in crate::core) fn judge_order<D: Directory>(
        &self,
        directory: &D,
        order: &PlaceOrder,
        now: Timestamp,
    ) -> Result<AdmittedOrder, Rejection> {
        if let Some(known) = self.orders.judge_order_id(order)? {
            return Ok(AdmittedOrder::Known(known));
        }
        let plan = self.plan();
        if !plan.commerce.takes_orders() {
            return Err(Rejection::OrdersNotTaken);
        }
        if !order.is_well_formed() {
            return Err(Rejection::OrderMalformed);
        }
        let member = |id| self.find(directory, id).ok_or(Rejection::MemberUnknown);
        let members: Vec<MemberIx> =
            order.credits.iter().map(|credit| member(&credit.member)).collect::<Result<_, _>>()?;
        let joined = members.iter().map(|member| self.network.members().joined_at(*member));
        let joined = joined.max().expect("a well-formed order has a member");
        let new = self.orders.judge_order(plan, order, members, [joined, now])?;
        Ok(AdmittedOrder::New(new))
    }

    fn place_order(&mut self, order: &PlaceOrder, found: AdmittedOrder) -> Outcome {
        let new = match found {
            AdmittedOrder::Known(order) => return Outcome::OrderPlaced { order, changed: false },
            AdmittedOrder::New(new) => new,
        };
        let number = self.orders.place(order, &new, self.scalars.lsn);
        let periods =
            (0..).zip(new.periods()).map(|(calendar, period)| PeriodRef { calendar, period: *period });
        periods.clone().for_each(|period| self.orders.count_order(period));
        let totals = new.totals();
        if let [member] = new.members[..] {
            self.book(&periods, totals, std::iter::once((member, totals)));
        } else {
            let parts: Vec<u32> = order.credits.iter().map(|credit| credit.part).collect();
            let shares = shares_of(totals, &parts);
            let shares = shares.iter().map(Vec::as_slice);
            self.book(&periods, totals, new.members.iter().copied().zip(shares));
        }
        Outcome::OrderPlaced { order: number, changed: true }
    }

    fn refund_order(&mut self, refund: &RefundOrder, found: AdmittedRefund) -> Outcome {
        let new = match found {
            AdmittedRefund::Known(refund) => return Outcome::OrderRefunded { refund, changed: false },
            AdmittedRefund::New(new) => new,
        };
        let (number, changes) = self.orders.give_refund(refund, &new, self.scalars.lsn);
        changes.iter().for_each(|change| self.change_values(change));
        Outcome::OrderRefunded { refund: number, changed: true }
    }

    /// Whether a refund after posting lowers the volumes of the period that has the correction.
    pub(in crate::core) fn refunds_lower_volume(&self) -> bool {
        self.plan().commerce.refund_lowers_volume == Some(true)
    }

    /// Books the change of an order's values in a period.
    pub(in crate::core) fn change_values(&mut self, change: &ValuesChange) {
        let ValuesChange { order, period, before, after } = change;
        let credits: Vec<(MemberIx, u32)> =
            self.orders.credits_of(*order).map(|credit| (MemberIx(credit.member), credit.part)).collect();
        let parts: Vec<u32> = credits.iter().map(|(_, part)| *part).collect();
        let [shares_before, shares_after] = [before, after].map(|values| shares_of(values, &parts));
        let shares: Vec<Vec<i64>> =
            shares_before.iter().zip(&shares_after).map(|(before, after)| less(before, after)).collect();
        let shares = credits.iter().map(|(member, _)| *member).zip(shares.iter().map(Vec::as_slice));
        self.book(&std::iter::once(*period), &less(before, after), shares);
    }

    /// Adds values to periods of different calendars, and each member's share of them to the volumes that are
    /// kept live.
    fn book<'s>(
        &mut self,
        periods: &(impl Iterator<Item = PeriodRef> + Clone),
        totals: &[i64],
        shares: impl Iterator<Item = (MemberIx, &'s [i64])>,
    ) {
        let Self { network, orders, .. } = self;
        orders.book(periods, totals, &network.volume_trees(), shares);
    }
}

#[cfg(test)]
#[path = "orders_random_test.rs"]
mod random_tests;
#[cfg(test)]
#[path = "orders_test.rs"]
mod tests;
