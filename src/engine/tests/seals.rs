//! Seals through the engine: files, ids that stay taken, recalls, restarts.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use super::{
    rig::{fresh_options, log_options, member, signup},
    *,
};
use crate::{
    core::plan::{
        calendar::{Calendar, Every, Grace, Late},
        commerce::{Commerce, Volume, VolumeForm},
    },
    durability::{
        Retention,
        memory::{Fault, Memory, Survival},
        sealed::{Basis, Layout, Schema, Writer},
        storage::Storage,
    },
    engine::empty_run,
};

pub(super) const FIRST: PeriodRef = PeriodRef { calendar: 0, period: 0 };
pub(super) const SECOND: PeriodRef = PeriodRef { calendar: 0, period: 1 };

/// A shop whose engine can be opened again on the same disk.
pub(super) struct Shop {
    storage: Arc<dyn Storage>,
    now: Arc<AtomicI64>,
    pub engine: Engine,
}

fn shop_plan() -> Plan {
    let calendar = Calendar {
        name: "month".into(),
        every: Every::Month,
        timezone: "UTC".into(),
        grace: Grace::default(),
        late: Late::Refuse,
        first: None,
        four_eyes: false,
    };
    let pv = Volume { name: "pv".into(), exponent: 2, form: VolumeForm::Given, live: true };
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect::<Vec<Box<str>>>();
    let commerce = Commerce {
        calendars: vec![calendar],
        volumes: vec![pv],
        order_kinds: names(&["retail", "autoship"]),
        order_tags: names(&["online", "gift"]),
        markets: names(&["us"]),
        live_levels: 3,
        refund_lowers_volume: Some(true),
        ..Commerce::default()
    };
    Plan { commerce, count_sponsor_tree: true, ..crate::plan_file::default_plan() }
}

fn opened(storage: &Arc<dyn Storage>, now: &Arc<AtomicI64>) -> Engine {
    let mut options = fresh_options("/d".into());
    options.plan.plan = shop_plan();
    options.storage = Arc::clone(storage);
    // Of the past only what a period needs.
    options.log = LogOptions { retention: Retention::Bytes(0), ..log_options() };
    options.clock_jump_max = None;
    let now = Arc::clone(now);
    options.clock = Arc::new(move || Timestamp(now.load(Ordering::SeqCst)));
    Engine::open(options).unwrap().0
}

fn id(text: &str) -> OrderId {
    OrderId::parse(text).unwrap()
}

pub(super) fn order(name: &str, by: u64, amount: i64) -> PlaceOrder {
    PlaceOrder {
        id: id(name),
        credits: vec![Credit { member: member(by), part: WHOLE }],
        customer: Some(id("C-1")),
        time: Some(Timestamp(1_500)),
        kind: Some(1),
        tags: 0b10,
        group: Some(id("party")),
        market: Some(0),
        lines: vec![
            OrderLine { amount: Money(amount), volumes: vec![amount / 2] },
            OrderLine { amount: Money(7), volumes: Vec::new() },
        ],
    }
}

impl Shop {
    /// Two members, two orders of the first period, one of them partly refunded; the first period is posted.
    pub fn posted() -> Self {
        Self::posted_on(Memory::new().shared())
    }

    pub fn posted_on(storage: Arc<dyn Storage>) -> Self {
        let now = Arc::new(AtomicI64::new(1_000));
        let engine = opened(&storage, &now);
        let shop = Self { storage, now, engine };
        shop.does(signup(1, None));
        shop.does(signup(2, Some(1)));
        shop.opens(FIRST, (1_000, 2_000));
        shop.now.store(1_600, Ordering::SeqCst);
        shop.does(Command::PlaceOrder(Box::new(order("A", 1, 1_000))));
        shop.does(Command::PlaceOrder(Box::new(order("B", 1, 333))));
        shop.does(refund("r1", "B", RefundScope::Part(WHOLE / 3)));
        shop.opens(SECOND, (2_000, 3_000));
        shop.posts(FIRST, 2_001);
        shop
    }

    pub fn answer(&self, command: Command) -> Answer {
        self.engine.submit_blocking(command, None).unwrap()
    }

    pub fn does(&self, command: Command) -> Outcome {
        let outcome = self.answer(command).applied.outcome;
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        outcome
    }

    pub fn opens(&self, period: PeriodRef, (start, end): (i64, i64)) {
        self.does(Command::OpenPeriod(OpenPeriod {
            calendar: period.calendar,
            label: id(&format!("p{}", period.period)),
            start: Timestamp(start),
            end: Timestamp(end),
            grace_until: Timestamp(end),
        }));
    }

    /// Makes a period final at a time.
    pub fn posts(&self, period: PeriodRef, time: i64) {
        self.now.store(time, Ordering::SeqCst);
        let step = |step| {
            let step = StepPeriod { period, step, reason: None, by: Actor::unknown() };
            self.does(Command::StepPeriod(Box::new(step)))
        };
        self.does(Command::ClosePeriod(period));
        step(PeriodStep::Lock);
        let run = self.engine.read(|state, _| empty_run(state, period, Actor::unknown()));
        self.does(Command::RecordRun(Box::new(run)));
        step(PeriodStep::Approve);
        step(PeriodStep::Post);
    }

    pub fn seals(&self, period: PeriodRef) -> Outcome {
        let sent = Sent { actor: Actor::unknown(), key: None };
        self.engine.seal_period_blocking(period, None, sent).unwrap().applied.outcome
    }

    /// Ends the engine as a kill does, and opens it again.
    fn restart(self) -> Self {
        let Self { storage, now, engine } = self;
        drop(engine);
        let engine = opened(&storage, &now);
        Self { storage, now, engine }
    }

    /// An order as it stands, in the state or in files. Numbers change.
    pub fn view(&self, name: &str) -> Option<OrderView> {
        let open = self.engine.read(|state, _| {
            let number = state.order_number(&id(name))?;
            Some(state.order(number))
        });
        let view = open.or_else(|| self.engine.sealed_order(&id(name)).unwrap());
        view.map(|view| OrderView { number: 0, ..view })
    }

    fn orders_in_state(&self) -> u32 {
        self.engine.read(|state, _| state.orders_len())
    }

    fn files(&self) -> Vec<String> {
        let mut names = self.storage.list("/d/orders/seals".as_ref()).unwrap_or_default();
        names.sort();
        names
    }
}

pub(super) fn refund(name: &str, of: &str, scope: RefundScope) -> Command {
    Command::RefundOrder(Box::new(RefundOrder { id: id(name), order: id(of), time: None, scope }))
}

#[test]
fn sealed_orders_are_found_and_their_ids_stay_taken() {
    let mut shop = Shop::posted();
    let before = ["A", "B"].map(|name| shop.view(name).unwrap());
    assert_eq!(shop.seals(FIRST), Outcome::PeriodSealed { seal: 0, orders: 2, changed: true });
    for round in 0..2 {
        assert_eq!(shop.orders_in_state(), 0);
        assert_eq!(["A", "B"].map(|name| shop.view(name).unwrap()), before, "{round}");
        assert_eq!(shop.view("C"), None);
        let repeat = shop.answer(Command::PlaceOrder(Box::new(order("A", 1, 1_000))));
        assert_eq!(repeat.by, AnsweredBy::Seal, "though the calendar refuses late orders");
        assert!(matches!(repeat.applied.outcome, Outcome::OrderPlaced { changed: false, .. }));
        let taken = Outcome::Rejected(Rejection::OrderIdTaken);
        for other in [
            Command::PlaceOrder(Box::new(order("A", 1, 999))),
            Command::PlaceOrder(Box::new(order("r1", 1, 1_000))),
            refund("A", "B", RefundScope::Rest),
            refund("r1", "B", RefundScope::Rest),
        ] {
            assert_eq!(shop.answer(other).applied.outcome, taken);
        }
        let repeat = shop.answer(refund("r1", "B", RefundScope::Part(WHOLE / 3)));
        assert_eq!(repeat.by, AnsweredBy::Seal);
        assert_eq!(shop.orders_in_state(), 0, "a repeat recalls nothing");
        let unknown = shop.answer(refund("r9", "Z", RefundScope::Rest)).applied.outcome;
        assert_eq!(unknown, Outcome::Rejected(Rejection::OrderUnknown));
        assert_eq!(shop.seals(FIRST), Outcome::PeriodSealed { seal: 0, orders: 0, changed: false });
        let digest = shop.engine.digests().state;
        shop = shop.restart();
        assert_eq!(shop.engine.digests().state, digest);
    }
}

#[test]
fn an_order_that_is_queued_without_waiting_is_found_too() {
    let shop = Shop::posted();
    shop.seals(FIRST);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answer = runtime.block_on(async {
        let command = Command::PlaceOrder(Box::new(order("B", 1, 333)));
        let mut pending = shop.engine.queue(command, None).await.unwrap();
        pending.answer().await.unwrap()
    });
    assert!(matches!(answer.applied.outcome, Outcome::OrderPlaced { changed: false, .. }));
    assert_eq!(shop.orders_in_state(), 0);
}

#[test]
fn a_sealed_order_is_refunded_and_sealed_again() {
    let mut shop = Shop::posted();
    let before = shop.view("B").unwrap();
    shop.seals(FIRST);
    let answer = shop.answer(refund("r2", "B", RefundScope::Rest));
    assert!(matches!(answer.applied.outcome, Outcome::OrderRefunded { changed: true, .. }));
    let refunded = shop.view("B").unwrap();
    assert_eq!(shop.orders_in_state(), 1);
    assert_eq!((refunded.refunds.len(), refunded.is_refunded()), (2, true));
    assert_eq!(refunded.refunds[0], before.refunds[0]);
    shop = shop.restart();
    assert_eq!(shop.view("B").unwrap(), refunded);
    shop.opens(PeriodRef { period: 2, ..FIRST }, (3_000, 9_000));
    shop.posts(SECOND, 3_001);
    assert_eq!(shop.seals(SECOND), Outcome::PeriodSealed { seal: 1, orders: 1, changed: true });
    assert_eq!(shop.orders_in_state(), 0);
    for _ in 0..2 {
        assert_eq!(shop.view("B").unwrap(), refunded, "the newer row");
        assert!(shop.view("A").is_some());
        let repeat = shop.answer(refund("r2", "B", RefundScope::Rest));
        assert_eq!(repeat.by, AnsweredBy::Seal, "also when the order was recalled");
        assert!(matches!(repeat.applied.outcome, Outcome::OrderRefunded { changed: false, .. }));
        let more = shop.answer(refund("r3", "B", RefundScope::Rest)).applied.outcome;
        assert_eq!(more, Outcome::Rejected(Rejection::RefundTooLarge));
        shop = shop.restart();
        assert_eq!(
            shop.orders_in_state(),
            1,
            "recalled for the refund that was refused, until the next seal"
        );
    }
}

#[test]
fn files_of_a_seal_without_its_command_are_removed() {
    let shop = Shop::posted();
    shop.seals(FIRST);
    let files = shop.files();
    let schema =
        Schema { currency: "USD".into(), amount_exponent: 2, volumes: Vec::new(), calendars: Vec::new() };
    let writer = Writer::begin(&shop.storage, "/d".as_ref(), 1, schema, Layout::NEWEST).unwrap();
    let basis = Basis { lsn: 20, periods: Vec::new(), previous: None };
    writer.finish(basis).unwrap();
    assert_ne!(shop.files(), files);
    let shop = shop.restart();
    assert_eq!(shop.files(), files);
    shop.opens(PeriodRef { period: 2, ..FIRST }, (3_000, 9_000));
    shop.posts(SECOND, 3_001);
    assert_eq!(shop.seals(SECOND), Outcome::PeriodSealed { seal: 1, orders: 0, changed: true });
    assert!(shop.view("A").is_some());
}

#[test]
fn a_period_that_cannot_be_sealed_leaves_no_files() {
    let shop = Shop::posted();
    assert_eq!(shop.seals(SECOND), Outcome::Rejected(Rejection::PeriodStepNotAllowed));
    assert_eq!(shop.files(), Vec::<String>::new());
}

#[test]
fn lost_files_of_a_seal_refuse_the_start_and_lost_ids_are_made_again() {
    let shop = Shop::posted();
    shop.seals(FIRST);
    let before = shop.view("A");
    for name in shop.storage.list("/d/order-ids".as_ref()).unwrap() {
        shop.storage.remove(&std::path::Path::new("/d/order-ids").join(name)).unwrap();
    }
    let shop = shop.restart();
    assert_eq!(shop.view("A"), before);
    let repeat = shop.answer(Command::PlaceOrder(Box::new(order("A", 1, 1_000))));
    assert_eq!(repeat.by, AnsweredBy::Seal);
    let name = shop.files().into_iter().find(|name| !name.ends_with("sums")).unwrap();
    shop.storage.remove(&std::path::Path::new("/d/orders/seals").join(name)).unwrap();
    let Shop { storage, now, engine } = shop;
    drop(engine);
    let mut options = fresh_options("/d".into());
    options.storage = Arc::clone(&storage);
    options.log = log_options();
    options.clock_jump_max = None;
    options.clock = Arc::new(move || Timestamp(now.load(Ordering::SeqCst)));
    let error = Engine::open(options).err().expect("a seal is lost").to_string();
    assert!(error.contains("orders/seals"), "{error}");
}

#[test]
fn the_past_of_a_period_stays_until_it_is_sealed() {
    let shop = Shop::posted();
    let opened = shop.engine.read(|state, _| state.unsealed_since()).unwrap();
    // Several segments, which no kept snapshot needs.
    for first in [100, 300, 500] {
        (first..first + 150).for_each(|number| _ = shop.does(signup(number, Some(1))));
        shop.engine.snapshot_now_blocking().unwrap();
    }
    assert!(shop.engine.oldest_state_lsn().unwrap() <= opened);
    assert_eq!(shop.engine.state_at(opened).unwrap().lsn(), opened);
    let outcome = shop.seals(FIRST);
    assert_eq!(outcome, Outcome::PeriodSealed { seal: 0, orders: 2, changed: true });
}

/// What must be so before, while and after a period is sealed.
fn holds(shop: &Shop, before: &[OrderView; 2], totals: &PeriodTotals) {
    assert_eq!(["A", "B"].map(|name| shop.view(name).unwrap()), *before);
    assert_eq!(shop.engine.read(|state, _| state.period_totals(FIRST)), *totals);
    let taken = Outcome::Rejected(Rejection::OrderIdTaken);
    let other = shop.answer(Command::PlaceOrder(Box::new(order("A", 1, 999))));
    assert_eq!(other.applied.outcome, taken);
    let repeat = shop.answer(Command::PlaceOrder(Box::new(order("A", 1, 1_000))));
    assert!(matches!(repeat.applied.outcome, Outcome::OrderPlaced { changed: false, .. }));
}

#[test]
fn power_lost_at_any_call_of_a_seal_loses_nothing_and_doubles_nothing() {
    let memory = Memory::new();
    let shop = Shop::posted_on(memory.shared());
    let before = ["A", "B"].map(|name| shop.view(name).unwrap());
    let totals = shop.engine.read(|state, _| state.period_totals(FIRST));
    let Shop { now, engine, .. } = shop;
    drop(engine);
    let (mut sealed, mut open) = (0, 0);
    for at in 1.. {
        for survival in [Survival::Synced, Survival::Everything, Survival::Chance(at)] {
            let memory = memory.copy();
            let storage = memory.shared();
            let engine = opened(&storage, &now);
            memory.set_fault(Some(Fault::PowerLoss { at }));
            let sent = Sent { actor: Actor::unknown(), key: None };
            let answer = engine.seal_period_blocking(FIRST, None, sent);
            let is_over = memory.calls() < at;
            drop(engine);
            let storage = memory.crash(survival).shared();
            let shop = Shop { engine: opened(&storage, &now), storage, now: Arc::clone(&now) };
            let was_sealed = shop.orders_in_state() == 0;
            assert!(was_sealed || answer.is_err(), "{at} {survival:?}: acknowledged and lost");
            holds(&shop, &before, &totals);
            if was_sealed {
                sealed += 1;
            } else {
                open += 1;
                assert_eq!(shop.files(), Vec::<String>::new(), "{at} {survival:?}");
                assert_eq!(shop.seals(FIRST), Outcome::PeriodSealed { seal: 0, orders: 2, changed: true });
                holds(&shop, &before, &totals);
            }
            let state = shop.engine.read(|state, _| state.seals().len());
            assert_eq!(state, 1);
            let found = shop
                .engine
                .read(|state, _| crate::engine::verify_sealed(&shop.storage, "/d".as_ref(), state).unwrap());
            assert_eq!(found, []);
            if is_over && survival == Survival::Synced {
                assert!(20 < at && 10 < open && 3 < sealed, "{at} calls, {open} open, {sealed} sealed");
                return;
            }
        }
    }
}
