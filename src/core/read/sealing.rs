//! What a seal moves into files: the orders, as the files have them.

use crate::core::{
    orders::{periods::PeriodState, sealing::Known, seals::SealRow},
    requests::command::{
        Credit, OrderId, PeriodRef, RecallBooking, RecallLine, RecallOrder, RecallRefund, Rejection,
        SealPeriod,
    },
    state::parts::State,
    words::{actor::Actor, types::Reason},
};

impl State {
    /// The seals so far, by number.
    pub fn seals(&self) -> &[SealRow] {
        self.orders.seals().list()
    }

    /// Whether orders of a period were sealed: what members have in it cannot be added up from the state.
    pub fn has_sealed_orders(&self, period: PeriodRef) -> bool {
        self.orders.has_sealed(period)
    }

    /// The command that opened the oldest period that is not sealed: its past may be needed. O(periods).
    pub fn unsealed_since(&self) -> Option<u64> {
        let calendars = 0..u8::try_from(self.plan().commerce.calendars.len()).expect("few");
        let opened = |calendar| {
            let periods = (0..self.periods_len(calendar)).map(move |period| PeriodRef { calendar, period });
            let mut rows = periods.filter_map(|period| self.period(period));
            rows.find(|row| row.state() != PeriodState::Sealed).map(|row| row.opened)
        };
        calendars.filter_map(opened).min()
    }

    /// The command that would seal a period now, without the counts and the manifest of its files. O(1).
    ///
    /// Returns whether there is something to do: false if the period is sealed already.
    ///
    /// # Errors
    /// Why the period cannot be sealed.
    pub fn seal_to_come(
        &self,
        period: PeriodRef,
        by: Actor,
        reason: Option<Reason>,
    ) -> Result<(SealPeriod, bool), Rejection> {
        let is_due = self.orders.periods().judge_seal(period)?;
        let Known { orders: orders_known, refunds: refunds_known } = self.orders.known();
        let seal = u32::try_from(self.seals().len()).expect("at most one for each period");
        let (as_of, manifest, boundary, network) = (self.lsn(), [0; 32], 0, [0; 32]);
        let (orders, refunds) = (0, 0);
        let seal = SealPeriod {
            period,
            seal,
            as_of,
            orders_known,
            refunds_known,
            orders,
            refunds,
            manifest,
            boundary,
            network,
            reason,
            by,
        };
        Ok((seal, is_due))
    }

    /// The numbers of the orders that a seal moves into files now, ascending. O(orders and refunds) for all
    /// of them.
    pub fn sealable(&self) -> impl Iterator<Item = u32> + '_ {
        let known = self.orders.known();
        (0..known.orders).filter(move |order| self.orders.is_sealable(*order, known))
    }

    /// An order as the files of a seal have it. O(lines and refunds).
    pub fn order_in_files(&self, number: u32) -> RecallOrder {
        let view = self.order(number);
        let id = |text: &str| OrderId::parse(text).expect("it was one");
        let refunds = view.refunds.iter().zip(self.refund_fingerprints(number));
        RecallOrder {
            id: id(&view.id),
            lsn: view.lsn,
            time: view.time,
            fingerprint: self.orders.order(number).fingerprint,
            tags: view.tags,
            kind: view.kind,
            market: view.market,
            customer: view.customer.as_deref().map(id),
            group: view.group.as_deref().map(id),
            credits: view
                .credits
                .iter()
                .map(|(member, part)| Credit { member: *self.network.members().id(*member), part: *part })
                .collect(),
            lines: view.lines.iter().map(|line| line.values.clone()).collect(),
            periods: view.periods.iter().map(|period| period.period).collect(),
            refunds: refunds
                .map(|(refund, fingerprint)| RecallRefund {
                    id: id(&refund.id),
                    lsn: refund.lsn,
                    time: refund.time,
                    fingerprint,
                    lines: refund
                        .lines
                        .iter()
                        .map(|(line, from, to)| RecallLine { line: *line, from: *from, to: *to })
                        .collect(),
                    bookings: refund
                        .states
                        .iter()
                        .map(|(period, state)| RecallBooking { period: period.period, state: *state as u8 })
                        .collect(),
                })
                .collect(),
        }
    }

    /// Of the refunds of an order, oldest first.
    fn refund_fingerprints(&self, order: u32) -> Vec<u64> {
        let refunds = self.orders.refunds_of(order);
        let mut fingerprints: Vec<u64> =
            refunds.map(|refund| self.orders.refund(refund).fingerprint).collect();
        fingerprints.reverse();
        fingerprints
    }
}
