//! Seals: what leaves the state when a period is sealed, and what comes back to be refunded.

use crate::core::{
    orders::{
        periods::PeriodState,
        recalling::AdmittedRecall,
        sealing::{Known, Remaining},
        seals::SealRow,
        steps::StepRow,
    },
    requests::command::{Outcome, PeriodStep, RecallOrder, Rejection, SealPeriod},
    state::{
        parts::State,
        prepare::Aside,
        rules::{FormatRules, Rules, kinds},
    },
    store::view_parts::{Part, Parts},
    words::{directory::Directory, types::Reason},
};

impl Rules for kinds::SealPeriod {
    type Content<'a> = &'a SealPeriod;
    type Found = bool;

    fn judge<D: Directory>(
        state: &State,
        _directory: &D,
        seal: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<bool, Rejection> {
        state.judge_seal(seal)
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        seal: Self::Content<'_>,
        changed: bool,
        aside: &mut Aside,
    ) -> Outcome {
        if changed {
            state.seal(seal, aside)
        } else {
            Outcome::PeriodSealed { seal: state.seal_of(seal), orders: 0, changed: false }
        }
    }
}

impl Rules for kinds::RecallOrder {
    type Content<'a> = &'a RecallOrder;
    type Found = AdmittedRecall;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        order: Self::Content<'_>,
        _format: &FormatRules,
    ) -> Result<Self::Found, Rejection> {
        let member = |id| state.find(directory, id).ok_or(Rejection::RecallMismatched);
        let members = order.credits.iter().map(|credit| member(&credit.member)).collect::<Result<_, _>>()?;
        state.orders.judge_recall(&state.plan().commerce, order, members, state.lsn())
    }

    fn act<D: Directory>(
        state: &mut State,
        _directory: &mut D,
        order: Self::Content<'_>,
        found: Self::Found,
        _aside: &mut Aside,
    ) -> Outcome {
        match found {
            AdmittedRecall::Known(order) => Outcome::OrderRecalled { order, changed: false },
            AdmittedRecall::New(new) => {
                Outcome::OrderRecalled { order: state.orders.recall(order, &new), changed: true }
            }
        }
    }
}

impl State {
    /// Whether the period is to be sealed; false if it is sealed already. O(steps).
    fn judge_seal(&self, seal: &SealPeriod) -> Result<bool, Rejection> {
        if !self.orders.periods().judge_seal(seal.period)? {
            return Ok(false);
        }
        let Known { orders, refunds } = self.orders.known();
        let is_next = self.orders.seals().list().len() == seal.seal as usize;
        let is_past = seal.as_of <= self.lsn()
            && seal.boundary <= seal.as_of
            && seal.orders_known <= orders
            && seal.refunds_known <= refunds;
        // What was posted since then would leave the state, and is in no file.
        let steps = self.orders.steps();
        let mut since = steps.list().iter().rev().take_while(|step| seal.as_of < step.lsn);
        let is_settled = since.all(|step| step.step() != PeriodStep::Post);
        if !(is_next && is_past && is_settled) {
            return Err(Rejection::SealStale);
        }
        if steps.has_room() { Ok(true) } else { Err(Rejection::PeriodsFull) }
    }

    /// O(orders), unless it was prepared.
    fn seal(&mut self, seal: &SealPeriod, aside: &mut Aside) -> Outcome {
        let mut remaining = Self::take_prepared_seal(aside).unwrap_or_else(|| {
            let mut remaining = Remaining::new(Known::by(seal));
            remaining.advance(&self.orders, usize::MAX);
            remaining.complete(&self.orders);
            Box::new(remaining)
        });
        let leaving = remaining.leaving();
        // Judged before it had its own LSN, a seal may name that one.
        let is_past = seal.as_of < self.scalars.lsn;
        if !is_past || (leaving.orders, leaving.refunds) != (seal.orders, seal.refunds) {
            return Outcome::Rejected(Rejection::SealStale);
        }
        let orders = leaving.orders - leaving.late;
        let periods: Vec<_> = leaving.by_period.keys().copied().collect();
        self.lose_views(Parts::of(&[Part::Orders]), &mut aside.replaced);
        remaining.swap_into(&mut self.orders);
        aside.replaced.push(remaining);
        for period in periods {
            aside.replaced.push(Box::new(self.orders.live_mut().close(period)));
        }
        self.note_seal(seal, orders);
        Outcome::PeriodSealed { seal: seal.seal, orders, changed: true }
    }

    fn note_seal(&mut self, seal: &SealPeriod, orders: u32) {
        let SealPeriod { period, as_of, refunds, manifest, boundary, network, reason, by, .. } = seal;
        let (lsn, time) = (self.scalars.lsn, self.scalars.time);
        self.orders.periods_mut().set_state(*period, PeriodState::Sealed);
        self.orders.steps_mut().push(StepRow {
            lsn,
            time,
            period: period.period,
            calendar: period.calendar.into(),
            step: PeriodStep::Seal as u8,
            by_kind: by.kind() as u8,
            by: by.id().into(),
            reason: reason.as_ref().map_or("", Reason::as_str).into(),
        });
        self.orders.seals_mut().push(SealRow {
            lsn,
            time,
            as_of: *as_of,
            orders,
            refunds: *refunds,
            period: period.period,
            calendar: period.calendar.into(),
            by_kind: by.kind() as u8,
            manifest: *manifest,
            boundary: *boundary,
            network: *network,
            by: by.id().into(),
        });
    }

    /// The number of the seal of a sealed period.
    fn seal_of(&self, seal: &SealPeriod) -> u32 {
        let seals = self.orders.seals().list();
        let place = seals.iter().position(|kept| kept.is_of(seal.period)).expect("it is sealed");
        u32::try_from(place).expect("few")
    }
}

#[cfg(test)]
#[path = "seal_test.rs"]
mod tests;
