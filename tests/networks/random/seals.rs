//! Random seals and recalls. The model says what the files of a seal would hold; without it none is drawn.

use upline::core::command::{OrderId, PeriodRef, RecallLine, RecallOrder, SealPeriod, WHOLE};

use super::StepMaker;
use crate::networks::picture::Files;

/// What the maker of steps knows of seals.
#[derive(Default)]
pub(super) struct Seals {
    /// What a seal would be now.
    now: Option<Files>,
    /// What it would have been a while ago: the files are being written, and the network goes on.
    draft: Option<Files>,
    /// What the last one drawn was made from.
    sent: Vec<RecallOrder>,
    /// The newest content of each sealed order.
    sealed: Vec<RecallOrder>,
    recalled: Option<OrderId>,
}

impl Seals {
    pub(super) fn is_possible(&self) -> bool {
        self.now.is_some()
    }

    pub(super) fn sealed(&mut self) {
        for order in std::mem::take(&mut self.sent) {
            self.sealed.retain(|other| other.id != order.id);
            self.sealed.push(order);
        }
        self.draft = None;
    }

    pub(super) fn recalled(&mut self, order: &RecallOrder) {
        self.recalled = Some(order.id.clone());
    }
}

impl StepMaker {
    pub(super) fn has_posted(&self) -> bool {
        self.seals.is_possible() || self.known.next_to_seal().is_some()
    }

    pub(super) fn show_files(&mut self, files: Files) {
        if self.seals.draft.is_none() && !files.orders.is_empty() && self.chance.percent(25) {
            self.seals.draft = Some(files.clone());
        }
        self.seals.now = Some(files);
    }

    /// Mostly one that is right now, or that was a while ago.
    pub(super) fn seal(&mut self) -> SealPeriod {
        let next = self.known.next_to_seal().filter(|_| self.chance.percent(92));
        let period = next.unwrap_or_else(|| self.some_period());
        let draft = if self.chance.percent(75) { self.seals.draft.take() } else { None };
        let files = draft.or_else(|| self.seals.now.clone());
        let files = files.unwrap_or(Files {
            seal: 0,
            as_of: 0,
            orders_known: 0,
            refunds_known: 0,
            orders: Vec::new(),
        });
        let refunds = files.refunds();
        let Files { seal, as_of, orders_known, refunds_known, orders } = files;
        let mut made = SealPeriod {
            period,
            seal,
            as_of,
            orders_known,
            refunds_known,
            orders: orders.len() as u32,
            refunds,
            manifest: [self.chance.below(256) as u8; 32],

            boundary: 0,
            network: [6; 32],
            reason: None,
            by: self.operator(),
        };
        match self.chance.below(50) {
            0 => made.seal += 1,
            1 => made.as_of += 1_000,
            2 => made.as_of = self.lsn + 1,
            3 => made.orders_known += 50,
            4 => made.refunds_known += 50,
            5 => made.orders += 1,
            6 => made.refunds += 1,
            7 => made.seal = made.seal.wrapping_sub(1),
            _ => {}
        }
        self.seals.sent = orders;
        made
    }

    /// One that is sealed or near it.
    fn some_period(&mut self) -> PeriodRef {
        let mut period = self.period();
        period.period = period.period.saturating_sub(self.chance.below(3) as u32);
        period
    }

    /// Mostly one that was sealed, as it was then.
    pub(super) fn recall(&mut self) -> RecallOrder {
        let waiting = self.seals.now.as_ref().map_or(&[][..], |files| &files.orders);
        let among = if self.chance.percent(90) && !self.seals.sealed.is_empty() {
            &self.seals.sealed
        } else {
            waiting
        };
        if among.is_empty() {
            return nothing();
        }
        // Often one of the newest.
        let newest = if self.chance.percent(50) { 3 } else { among.len() };
        let back = self.chance.below(among.len().min(newest) as u64);
        let mut order = among[among.len() - 1 - back as usize].clone();
        if self.chance.percent(20) {
            self.spoil(&mut order);
        }
        order
    }

    fn spoil(&mut self, order: &mut RecallOrder) {
        let last = order.refunds.last_mut();
        match (self.chance.below(26), last) {
            (0, _) => order.fingerprint ^= 1,
            (1, _) => order.credits[0].part -= 1,
            (2, _) => order.credits[0].member.0 = [0xEE; 16],
            (3, _) => order.periods[0] += 1,
            (4, _) => order.periods.push(0),
            (5, _) => order.periods.clear(),
            (6, _) => order.kind = Some(100),
            (7, _) => order.market = Some(100),
            (8, _) => order.tags |= 1 << 63,
            (9, _) => order.lines[0][0] = -1,
            (10, _) => order.lines[0].push(1),
            (11, _) => order.lines.clear(),
            (12, _) => order.customer = OrderId::parse("nobody"),
            (13, _) => order.group = OrderId::parse("none"),
            (14, _) => order.lsn += 1_000,
            (15, _) => order.periods[0] = order.periods[0].wrapping_sub(1),
            (16, _) => order.id = OrderId::parse("o9999").expect("an id"),
            (17, Some(refund)) => refund.id = order.id.clone(),
            (18, Some(refund)) => refund.lines.push(RecallLine { line: 0, from: 0, to: WHOLE }),
            (19, Some(refund)) => refund.bookings[0].state = self.chance.below(5) as u8,
            (20, Some(refund)) => refund.bookings[0].period += 1,
            (21, Some(refund)) => refund.bookings.truncate(0),
            (22, Some(refund)) => refund.lsn += 1_000,
            (23, Some(refund)) => refund.lines[0].to += 1,
            (24, Some(_)) => order.refunds.reverse(),
            (25, Some(_)) => _ = order.refunds.pop(),
            _ => order.credits.clear(),
        }
    }

    /// Sometimes an order that a seal is about to take, or that was recalled.
    pub(super) fn refunded_before_a_seal(&mut self) -> Option<OrderId> {
        let drafted = self.seals.draft.as_ref().map_or(&[][..], |files| &files.orders);
        if !drafted.is_empty() && self.chance.percent(20) {
            let at = self.chance.below(drafted.len() as u64) as usize;
            return Some(drafted[at].id.clone());
        }
        if self.chance.percent(25) { self.seals.recalled.clone() } else { None }
    }
}

/// No order at all.
fn nothing() -> RecallOrder {
    RecallOrder {
        id: OrderId::parse("nothing").expect("an id"),
        lsn: 0,
        time: upline::core::types::Timestamp(0),
        fingerprint: 0,
        tags: 0,
        kind: None,
        market: None,
        customer: None,
        group: None,
        credits: Vec::new(),
        lines: Vec::new(),
        periods: Vec::new(),
        refunds: Vec::new(),
    }
}
