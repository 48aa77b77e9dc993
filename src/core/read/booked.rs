//! What a command booked: the change that it made, from the state alone, however old it is.
//!
//! Orders, refunds and steps of periods are never changed, so that it follows from them how an order or a
//! refund acted when it came. How a refund acts today may be another matter: one that came while the order's
//! period was locked changed nothing then, and lowers the order since the period was unlocked.

use crate::core::{
    orders::{
        refund_bookings::RefundState,
        shares::{less, shares_of},
    },
    requests::command::{PeriodRef, PeriodStep},
    state::parts::State,
    words::types::MemberIx,
};

/// What a command added to what members have sold: the same in several periods, one of each calendar.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Bookings {
    pub periods: Vec<PeriodRef>,
    /// By member the amount, then the volumes, in units of their exponents; negative for a refund. Members to
    /// whose volumes nothing is added are left out.
    pub shares: Vec<(MemberIx, Vec<i64>)>,
}

impl State {
    /// The command that placed an order.
    pub fn order_lsn(&self, order: u32) -> u64 {
        self.orders.order(order).lsn
    }

    /// The command that gave a refund.
    pub fn refund_lsn(&self, refund: u32) -> u64 {
        self.orders.refund(refund).lsn
    }

    /// What placing an order booked. O(lines and bookings).
    pub fn booked_by_order(&self, order: u32) -> Bookings {
        let orders = &self.orders;
        let placed = orders.values_left(order, &vec![0; orders.order(order).lines.into()]);
        let (members, parts) = self.credits(order);
        let shares = members.into_iter().zip(shares_of(&placed, &parts));
        Bookings {
            periods: orders.periods_of(order).collect(),
            shares: shares.filter(is_something).collect(),
        }
    }

    /// What giving a refund booked at once: nothing in a calendar whose period was locked then, nor where it
    /// is a correction that lowers no volumes. O(refunds of the order, its lines, and steps of periods).
    pub fn booked_by_refund(&self, refund: u32) -> Bookings {
        let orders = &self.orders;
        let row = orders.refund(refund);
        let order = row.order;
        // All refunds of the order before it had come, and those of an unlocked period lower it there: so the
        // change is the same in each calendar.
        let before = orders.values_left(order, &orders.refunded(order, |other| other < refund));
        let after = orders.values_left(order, &orders.refunded(order, |other| other <= refund));
        let (members, parts) = self.credits(order);
        let changes = shares_of(&before, &parts).into_iter().zip(shares_of(&after, &parts));
        let changes = changes.map(|(before, after)| less(&before, &after));
        let booked: Vec<PeriodRef> = orders.periods_of(order).collect();
        let steps = self.last_steps(&booked, row.lsn);
        let acts = orders.refund_states(refund).zip(&booked).zip(steps);
        let lowered = acts.filter_map(|(((now, state), booked), step)| match step {
            None | Some(PeriodStep::Unlock) => Some(*booked),
            Some(PeriodStep::Lock | PeriodStep::Approve) => None,
            Some(PeriodStep::Post | PeriodStep::Seal) => (state == RefundState::LowersLater).then_some(now),
        });
        Bookings {
            periods: lowered.collect(),
            shares: members.into_iter().zip(changes).filter(is_something).collect(),
        }
    }

    /// How much work it is to say what a refund booked, in steps.
    pub fn refund_steps(&self, refund: u32) -> usize {
        let order = self.orders.refund(refund).order;
        let lines = usize::from(self.orders.order(order).lines);
        (lines + 1) * (1 + self.orders.refunds_of(order).count()) + self.orders.steps().list().len()
    }

    fn credits(&self, order: u32) -> (Vec<MemberIx>, Vec<u32>) {
        self.orders.credits_of(order).map(|credit| (MemberIx(credit.member), credit.part)).unzip()
    }

    /// The last step that was taken with each of these periods, one of each calendar, before a command.
    fn last_steps(&self, periods: &[PeriodRef], lsn: u64) -> Vec<Option<PeriodStep>> {
        let mut last = vec![None; periods.len()];
        let steps = self.orders.steps().list();
        let taken = &steps[..steps.partition_point(|step| step.lsn < lsn)];
        let was_locked = |period: &PeriodRef| {
            let row = self.orders.periods().get(*period);
            row.is_some_and(|row| row.was_locked != 0)
        };
        let mut sought = periods.iter().filter(|period| was_locked(period)).count();
        for step in taken.iter().rev() {
            if sought == 0 {
                break;
            }
            let is_of =
                |(at, period): (usize, &PeriodRef)| (last[at].is_none() && step.is_of(*period)).then_some(at);
            if let Some(at) = periods.iter().enumerate().find_map(is_of) {
                last[at] = Some(step.step());
                sought -= 1;
            }
        }
        last
    }
}

fn is_something((_, values): &(MemberIx, Vec<i64>)) -> bool {
    values.iter().any(|value| *value != 0)
}
