//! Seals: files while the network goes on, then the command; and what becomes of the orders.

use std::collections::{BTreeMap, VecDeque};

use upline::{
    core::command::{
        Command, OrderId, Outcome, PeriodRef, RecallOrder, RefundOrder, RefundScope, Rejection, RequestKey,
        SealPeriod,
    },
    engine::{
        Answer, AnsweredBy, BegunSeal, Engine, HistoryError, NextOrder, OrderFilter, OrderPages, SealError,
        SealStart, SteppedWriter, SubmitError, verify_sealed,
    },
};

use super::{ROOT, Waiting, World, is_poisoned};
use crate::{
    faults::{self, Trouble},
    networks::picture::{Files, Network},
};

/// Percentage of the steps of a process that begin a seal, where one is due.
const BEGIN_PERCENT: u64 = 60;
/// Percentage of the groups that send a begun one.
const SEND_PERCENT: u64 = 60;
/// Percentage of refunds that do not wait for the recall of their order.
const HASTY_PERCENT: u64 = 10;
/// Sealed orders that are looked at after a seal and an opening.
pub(super) const CHECKED: usize = 3;
/// Orders that are read from files at a time, and steps of a slice of a list.
const PAGE: usize = 3;
const SLICE_STEPS: usize = 100;

/// A seal in progress, and what was sealed.
#[derive(Default)]
pub struct Seals {
    /// Files that are written, until their command is answered.
    begun: Option<BegunSeal>,
    is_sent: bool,
    /// What the newest files hold, as the model saw it.
    draft: Option<Files>,
    /// The newest content of each sealed order.
    orders: BTreeMap<OrderId, RecallOrder>,
    /// The sealed order of each sealed refund.
    refunds: BTreeMap<OrderId, OrderId>,
}

impl Seals {
    /// Forgets what a process that ended had in progress. What its log held is known after the next opening.
    pub fn end_of_process(&mut self) {
        (self.begun, self.is_sent) = (None, false);
    }

    /// Whether an id is that of an order or a refund in files, and the fingerprint of that.
    fn find(&self, id: &OrderId) -> Option<(Kind, u64)> {
        self.find_in_draft(id).or_else(|| self.find_sealed(id))
    }

    /// Likewise, in files that are written, and whose command is on its way.
    fn find_in_draft(&self, id: &OrderId) -> Option<(Kind, u64)> {
        let draft = self.draft.as_ref().filter(|_| self.begun.is_some())?;
        draft.orders.iter().find_map(|order| {
            let refund = order.refunds.iter().find(|refund| refund.id == *id);
            let refund = refund.map(|refund| (Kind::Refund, refund.fingerprint));
            if order.id == *id { Some((Kind::Order, order.fingerprint)) } else { refund }
        })
    }

    fn find_sealed(&self, id: &OrderId) -> Option<(Kind, u64)> {
        if let Some(order) = self.orders.get(id) {
            return Some((Kind::Order, order.fingerprint));
        }
        let refunds = &self.orders[self.refunds.get(id)?].refunds;
        let refund = refunds.iter().find(|refund| refund.id == *id).expect("its order has it");
        Some((Kind::Refund, refund.fingerprint))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Order,
    Refund,
}

impl World {
    /// Writes the files of a seal if one is due, now and then.
    pub(super) fn begin_seal(&mut self, writing: &SteppedWriter) {
        if self.seals.begun.is_some() || is_poisoned(writing.engine()) {
            return;
        }
        let Some(period) = self.maker.next_seal().filter(|_| self.chance.percent(BEGIN_PERCENT)) else {
            return;
        };
        let (by, reason) = self.maker.acts();
        let files = self.naive.files();
        let start = writing.begin_seal(period, reason, by);
        self.say(|| format!("seal of {period:?}: {:?}", start.as_ref().map(|_| ())));
        match start {
            Ok(SealStart::Answered(answer)) => {
                let refusal =
                    self.naive.without_effect(None, &Command::SealPeriod(Box::new(nothing(period))));
                assert_eq!(answer.applied.outcome, Outcome::Rejected(refusal.expect_err("it was refused")));
            }
            Ok(SealStart::Begun(begun)) => {
                self.seals.draft = self.check_begun(&begun.command, files);
                self.seals.begun = Some(begun);
                if let Some(trouble) = faults::while_sealing(&mut self.chance) {
                    self.set_trouble(trouble);
                }
            }
            // A moment that lasts: the clock was set back to it.
            Err(SealError::Past(HistoryError::InFuture { now })) => {
                let end = writing.engine().read(|state, _| state.period(period).map(|period| period.end));
                assert_eq!(Some(now), end);
                self.tally.seals_failed += 1;
            }
            Err(SealError::Past(error)) => {
                assert!(self.trouble != Trouble::None || self.past_damaged, "{error}");
                self.tally.seals_failed += 1;
            }
            Err(error) => {
                assert_ne!(self.trouble, Trouble::None, "a seal failed, and nothing was wrong: {error}");
                self.tally.seals_failed += 1;
            }
        }
    }

    /// The files hold what the model says. There are none for a period that is sealed.
    fn check_begun(&self, command: &Command, files: Files) -> Option<Files> {
        let Command::SealPeriod(seal) = command else { panic!("{command:?}") };
        if self.naive.is_sealed(seal.period) {
            return None;
        }
        let written = (seal.seal, seal.as_of, seal.orders_known, seal.refunds_known);
        assert_eq!(written, (files.seal, files.as_of, files.orders_known, files.refunds_known));
        assert_eq!((seal.orders as usize, seal.refunds), (files.orders.len(), files.refunds()));
        Some(files)
    }

    /// Sends the command of a begun seal, now or later.
    pub(super) fn send_seal(&mut self, writing: &SteppedWriter, queued: &mut VecDeque<Waiting>) {
        if self.seals.is_sent || !self.chance.percent(SEND_PERCENT) {
            return;
        }
        let Some(command) = self.seals.begun.as_ref().map(|begun| begun.command.clone()) else { return };
        self.seals.is_sent = true;
        let key = self
            .chance
            .percent(30)
            .then(|| RequestKey { key: u128::from(self.chance.next()).to_le_bytes(), fingerprint: 0 });
        self.submit(writing, command, key, queued);
    }

    /// Concludes the seal that was sent, if this was its command.
    pub(super) fn end_seal(
        &mut self,
        writing: &SteppedWriter,
        command: &Command,
        answer: &Result<Answer, SubmitError>,
    ) {
        if !self.seals.is_sent || self.seals.begun.as_ref().is_none_or(|begun| begun.command != *command) {
            return;
        }
        self.seals.is_sent = false;
        let begun = self.seals.begun.take().expect("it was looked at");
        writing.end_seal(begun, answer);
        if let Ok(answer) = answer {
            let is_stale = answer.applied.outcome == Outcome::Rejected(Rejection::SealStale);
            self.tally.seals_stale += u64::from(is_stale);
            self.check_sealed(writing, CHECKED);
        }
    }

    /// Notes what left the state. D5: what is sealed is not placed or refunded a second time.
    pub(super) fn note_sealed(&mut self, command: &Command, outcome: Outcome) {
        let placed = match (command, outcome) {
            (Command::PlaceOrder(order), Outcome::OrderPlaced { changed: true, .. }) => Some(&order.id),
            (Command::RefundOrder(refund), Outcome::OrderRefunded { changed: true, .. }) => Some(&refund.id),
            _ => None,
        };
        assert_eq!(placed.and_then(|id| self.seals.find_sealed(id).map(|_| id)), None, "D5: counted twice");
        if !matches!(command, Command::SealPeriod(_)) {
            return;
        }
        let files = self.seals.draft.take();
        if !matches!(outcome, Outcome::PeriodSealed { changed: true, .. }) {
            return;
        }
        for order in files.expect("its files were written").orders {
            self.tally.sealed_orders += 1;
            for refund in &order.refunds {
                self.seals.refunds.insert(refund.id.clone(), order.id.clone());
            }
            self.seals.orders.insert(order.id.clone(), order);
        }
    }

    /// The answer to a command whose id belongs to an order or a refund in files.
    pub(super) fn sealed_answer(
        &self,
        key: Option<RequestKey>,
        command: &Command,
    ) -> Option<(Outcome, AnsweredBy)> {
        if key.is_some_and(|key| matches!(self.naive.repeat_of(key), Some(Ok(_)))) {
            return None;
        }
        let (id, sent, again) = match command {
            Command::PlaceOrder(order) => {
                let again = Outcome::OrderPlaced { order: u32::MAX, changed: false };
                (&order.id, (Kind::Order, order.fingerprint()), again)
            }
            Command::RefundOrder(refund) => {
                let again = Outcome::OrderRefunded { refund: u32::MAX, changed: false };
                (&refund.id, (Kind::Refund, refund.fingerprint()), again)
            }
            _ => return None,
        };
        let known = self.seals.find(id)?;
        Some(if known == sent {
            (again, AnsweredBy::Seal)
        } else {
            (Outcome::Rejected(Rejection::OrderIdTaken), AnsweredBy::Admission)
        })
    }

    /// Recalls the order that a command refunds if it is sealed, as every client does, and mostly waits.
    pub(super) fn recall_before(
        &mut self,
        writing: &SteppedWriter,
        command: &Command,
        queued: &mut VecDeque<Waiting>,
    ) -> bool {
        let recall = match writing.recall_needed(command) {
            Ok(recall) => recall,
            Err(error) => {
                assert_ne!(self.trouble, Trouble::None, "{error}");
                return false;
            }
        };
        assert_eq!(recall, self.recall_of(command), "files, and the model");
        if let Some(recall) = recall {
            self.submit(writing, recall, None, queued);
            return !self.chance.percent(HASTY_PERCENT);
        }
        false
    }

    fn recall_of(&self, command: &Command) -> Option<Command> {
        let Command::RefundOrder(refund) = command else { return None };
        let is_taken = self.naive.has_order_id(&refund.id) || self.seals.find(&refund.id).is_some();
        if self.naive.has_order(&refund.order) || is_taken {
            return None;
        }
        let order = self.seals.orders.get(&refund.order)?.clone();
        Some(Command::RecallOrder(Box::new(order)))
    }

    /// Some sealed orders, which `most` bounds, are in the files as they were sealed.
    pub(super) fn check_sealed(&mut self, writing: &SteppedWriter, most: usize) {
        if self.trouble != Trouble::None || self.seals.orders.is_empty() {
            return;
        }
        let others = self.seals.orders.len().saturating_sub(most);
        let first = self.chance.below(others as u64 + 1) as usize;
        let fresh = OrderId::parse("fresh").expect("an id");
        for (id, order) in self.seals.orders.iter().skip(first).take(most) {
            let refund =
                RefundOrder { id: fresh.clone(), order: id.clone(), time: None, scope: RefundScope::Rest };
            let recall = writing.recall_needed(&Command::RefundOrder(Box::new(refund)));
            let expected = (!self.naive.has_order(id)).then(|| Command::RecallOrder(Box::new(order.clone())));
            assert_eq!(recall, Ok(expected), "{id:?}");
        }
    }

    /// All sealed orders are in the files as they were sealed, the list has those that were not recalled, and
    /// no file is damaged.
    pub(super) fn check_all_sealed(&mut self, writing: &SteppedWriter) {
        self.check_sealed(writing, usize::MAX);
        let (sealed, open) = listed(writing.engine());
        assert_eq!(sealed, self.to_list());
        assert_eq!(
            open,
            writing.engine().read(|state, _| state.orders_len()) as usize,
            "open orders, once each"
        );
        let found = writing
            .engine()
            .read(|state, _| verify_sealed(&self.storage(), ROOT.as_ref(), state))
            .expect("nothing is wrong");
        assert_eq!(found, [], "files of seals");
    }

    /// Sealed orders that were not recalled, newest first.
    fn to_list(&self) -> Vec<String> {
        let mut orders: Vec<&RecallOrder> =
            self.seals.orders.values().filter(|order| !self.naive.has_order(&order.id)).collect();
        orders.sort_by_key(|order| std::cmp::Reverse(order.lsn));
        orders.iter().map(|order| order.id.as_str().to_owned()).collect()
    }
}

/// The ids of those in the list of all orders that are sealed, and the number of the others. Each slice goes
/// on where the one before ended.
fn listed(engine: &Engine) -> (Vec<String>, usize) {
    let (mut ids, mut open, mut before) = (Vec::new(), 0, u64::MAX);
    let mut pages = engine.read(|state, _| OrderPages::new(state, OrderFilter::ALL));
    loop {
        pages.prepare(engine, PAGE).expect("nothing is wrong");
        let is_over = engine.read(|state, _| {
            let mut steps = SLICE_STEPS;
            loop {
                let order = match pages.next(state, &mut steps) {
                    NextOrder::Open(order) => {
                        open += 1;
                        order
                    }
                    NextOrder::Sealed(order) => {
                        ids.push(order.id.to_string());
                        order
                    }
                    NextOrder::NeedsFiles | NextOrder::Tired => return false,
                    NextOrder::End => return true,
                };
                assert!(order.lsn < before, "newest first, each once");
                before = order.lsn;
            }
        });
        if is_over {
            return (ids, open);
        }
    }
}

/// A seal that no network takes.
fn nothing(period: PeriodRef) -> SealPeriod {
    SealPeriod {
        period,
        seal: u32::MAX,
        as_of: 0,
        orders_known: 0,
        refunds_known: 0,
        orders: 0,
        refunds: 0,
        manifest: [0; 32],
        boundary: 0,
        network: [0; 32],
        reason: None,
        by: upline::core::Actor::unknown(),
    }
}
