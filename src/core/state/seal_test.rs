//! Seals: what leaves, what stays, what comes back, and that an image tells the same.

use super::{
    super::shop::{Shop, at, id, line, member, order, plan, restored},
    *,
};
use crate::core::{
    plan::calendar::Late,
    requests::command::{Command, Credit, PeriodRef, RefundOrder, RefundScope, WHOLE},
    state::prepare::Preparation,
    state_digest,
    words::{actor::Actor, types::MemberIx},
};

const SHORT: PeriodRef = PeriodRef { calendar: 0, period: 0 };
const LONG: PeriodRef = PeriodRef { calendar: 1, period: 0 };

/// What a seal of a period would be now, if the files were written now, judged or not.
fn seal_now(shop: &Shop, period: PeriodRef) -> SealPeriod {
    let orders: Vec<_> = shop.state.sealable().map(|number| shop.state.order_in_files(number)).collect();
    let Known { orders: orders_known, refunds: refunds_known } = shop.state.orders.known();
    SealPeriod {
        period,
        seal: u32::try_from(shop.state.seals().len()).unwrap(),
        as_of: shop.state.lsn(),
        orders_known,
        refunds_known,
        orders: u32::try_from(orders.len()).unwrap(),
        refunds: u32::try_from(orders.iter().map(|order| order.refunds.len()).sum::<usize>()).unwrap(),
        manifest: [5; 32],
        boundary: 1,
        network: [6; 32],
        reason: None,
        by: Actor::unknown(),
    }
}

fn seals(shop: &mut Shop, seal: SealPeriod) -> Outcome {
    shop.outcome(Command::SealPeriod(Box::new(seal)))
}

fn kept_in_files(shop: &Shop, name: &str) -> RecallOrder {
    shop.state.order_in_files(shop.state.order_number(&id(name)).expect("it is there"))
}

/// Orders of two short periods and one long one: the first short period and the long one are posted, with two
/// sealable orders, one of them partly refunded. `later` is booked in the second short period.
fn posted_shop() -> Shop {
    let mut shop = Shop::open(plan(Late::Book, true), 0);
    shop.time = 5;
    shop.places(order("whole", 2, 1, vec![line(500, 100)]));
    let mut shared = order("part", 3, 2, vec![line(700, 70), line(300, 30)]);
    shared.credits = [(3, WHOLE / 4), (2, WHOLE - WHOLE / 4)]
        .map(|(number, part)| Credit { member: member(number), part })
        .into();
    shared.customer = Some(id("C-1"));
    shared.group = Some(id("party"));
    shop.places(shared);
    shop.refunds("r1", "part", RefundScope::Part(WHOLE / 10));
    shop.time = 12;
    shop.places(order("later", 2, 12, vec![line(50, 50)]));
    for (calendar, period, start) in [(0, 2, 20), (0, 3, 30), (1, 1, 30)] {
        shop.opens(calendar, period, (start, if calendar == 0 { 10 } else { 30 }), 0);
    }
    shop.time = 31;
    for period in [SHORT, LONG] {
        shop.closes(period);
        shop.posts(period);
    }
    shop
}

/// Whether an image of the state tells the same of orders and periods, in digest and in what follows.
fn survives_an_image(shop: &Shop) {
    let again = restored(&shop.state);
    assert_eq!(state_digest(&again), state_digest(&shop.state));
    for period in [SHORT, LONG, at(0, 1), at(0, 3), at(1, 1)] {
        assert_eq!(again.period_totals(period), shop.state.period_totals(period), "{period:?}");
        for value in 0..3 {
            for number in 0..3 {
                let sums = |state: &State| state.live_sums(period, value, MemberIx(number));
                assert_eq!(sums(&again), sums(&shop.state), "{period:?} {value} {number}");
            }
        }
    }
}

#[test]
fn sealed_orders_leave_and_totals_stay() {
    let mut shop = posted_shop();
    let totals = |shop: &Shop| [SHORT, LONG, at(0, 1)].map(|period| shop.state.period_totals(period));
    let before = totals(&shop);
    let seal = seal_now(&shop, SHORT);
    assert_eq!((seal.orders, seal.refunds), (2, 1), "the third order is in a period that is not posted");
    assert_eq!(seals(&mut shop, seal.clone()), Outcome::PeriodSealed { seal: 0, orders: 2, changed: true });
    assert_eq!(totals(&shop), before);
    let state = &shop.state;
    assert_eq!((state.orders_len(), state.order_number(&id("whole"))), (1, None));
    assert_eq!(state.order(state.order_number(&id("later")).unwrap()).id.as_ref(), "later");
    assert_eq!(state.live_sums(LONG, 1, MemberIx(1)), None, "its volumes are in files");
    assert!(state.customer(&id("C-1")).is_some(), "customers stay");
    assert_eq!(state.period(SHORT).unwrap().state(), PeriodState::Sealed);
    assert_eq!(state.period(LONG).unwrap().state(), PeriodState::Posted);
    survives_an_image(&shop);
    // Sealed again, nothing happens; the other period is sealed with nothing of its own.
    assert_eq!(seals(&mut shop, seal), Outcome::PeriodSealed { seal: 0, orders: 0, changed: false });
    let other = seal_now(&shop, LONG);
    assert_eq!(seals(&mut shop, other), Outcome::PeriodSealed { seal: 1, orders: 0, changed: true });
    assert_eq!(totals(&shop), before);
    survives_an_image(&shop);
}

#[test]
fn periods_are_sealed_in_their_order_and_once_posted() {
    let mut shop = posted_shop();
    let refuses = |shop: &mut Shop, period, why| {
        let seal = seal_now(shop, period);
        assert_eq!(seals(shop, seal), Outcome::Rejected(why));
    };
    refuses(&mut shop, at(0, 1), Rejection::PeriodStepNotAllowed);
    refuses(&mut shop, at(0, 9), Rejection::PeriodUnknown);
    shop.closes(at(0, 1));
    shop.posts(at(0, 1));
    refuses(&mut shop, at(0, 1), Rejection::PeriodOutOfOrder);
}

#[test]
fn files_that_are_not_what_would_leave_are_refused() {
    let fresh = || {
        let shop = posted_shop();
        let seal = seal_now(&shop, SHORT);
        (shop, seal)
    };
    let refused = |shop: &mut Shop, seal| {
        let before = shop.state.orders_len();
        assert_eq!(seals(shop, seal), Outcome::Rejected(Rejection::SealStale));
        assert_eq!(shop.state.orders_len(), before);
        survives_an_image(shop);
    };
    let (mut shop, seal) = fresh();
    refused(&mut shop, SealPeriod { seal: 1, ..seal.clone() });
    refused(&mut shop, SealPeriod { orders: 1, ..seal.clone() });
    refused(&mut shop, SealPeriod { refunds: 0, ..seal.clone() });
    refused(&mut shop, SealPeriod { orders_known: 9, ..seal.clone() });
    // A period that was posted since would make `later` leave, which is in no file.
    shop.closes(at(0, 1));
    shop.posts(at(0, 1));
    refused(&mut shop, seal);
}

#[test]
fn an_order_that_is_refunded_while_its_files_are_written_stays() {
    let mut shop = posted_shop();
    let seal = seal_now(&shop, SHORT);
    let before = shop.state.period_totals(LONG);
    shop.refunds("r2", "whole", RefundScope::Part(WHOLE / 2));
    assert_eq!(seals(&mut shop, seal), Outcome::PeriodSealed { seal: 0, orders: 1, changed: true });
    assert_eq!(shop.state.period_totals(LONG), before);
    let order = shop.state.order(shop.state.order_number(&id("whole")).unwrap());
    assert_eq!((order.number, order.refunds.len()), (1, 1), "behind the others");
    assert_eq!(shop.sums(at(0, 3))[1], -50, "the correction");
    survives_an_image(&shop);
    // Its correction is in an open period, so it is not sealed by the next seal either.
    let seal = seal_now(&shop, LONG);
    assert_eq!(seal.orders, 0);
}

#[test]
fn a_sealed_order_is_recalled_refunded_and_sealed_again() {
    let mut shop = posted_shop();
    let recall = kept_in_files(&shop, "part");
    let before = shop.state.period_totals(LONG);
    let mut early = recall.clone();
    early.id = id("never");
    shop.refuses(Command::RecallOrder(Box::new(early)), Rejection::RecallMismatched);
    let seal = seal_now(&shop, SHORT);
    shop.does(Command::SealPeriod(Box::new(seal)));
    shop.refuses(
        Command::RefundOrder(Box::new(RefundOrder {
            id: id("r9"),
            order: id("part"),
            time: None,
            scope: RefundScope::Rest,
        })),
        Rejection::OrderUnknown,
    );
    let outcome = shop.does(Command::RecallOrder(Box::new(recall.clone())));
    assert_eq!(outcome, Outcome::OrderRecalled { order: 1, changed: true });
    let outcome = shop.does(Command::RecallOrder(Box::new(recall.clone())));
    assert_eq!(outcome, Outcome::OrderRecalled { order: 1, changed: false });
    assert_eq!(shop.state.period_totals(LONG), before);
    survives_an_image(&shop);
    let refunded = shop.refunds("r9", "part", RefundScope::Rest);
    assert_eq!(refunded, Outcome::OrderRefunded { refund: 1, changed: true }, "after the one it had");
    // 10% were refunded before.
    assert_eq!(shop.sums(at(0, 3)), [-900, -90, -69]);
    survives_an_image(&shop);
    for period in [at(0, 1), at(0, 2), at(0, 3), at(1, 1)] {
        shop.time = 100;
        shop.closes(period);
        if period.period == 3 || period.calendar == 1 {
            shop.opens(
                period.calendar,
                period.period + 1,
                (if period.calendar == 0 { 40 } else { 60 }, 100),
                0,
            );
        }
        shop.posts(period);
    }
    let seal = seal_now(&shop, at(0, 1));
    assert_eq!((seal.orders, seal.refunds), (2, 2), "`later`, and the recalled one with both refunds");
    assert_eq!(seals(&mut shop, seal), Outcome::PeriodSealed { seal: 1, orders: 2, changed: true });
    assert_eq!(shop.state.orders_len(), 0);
    survives_an_image(&shop);
}

#[test]
fn an_order_is_recalled_once() {
    let mut shop = posted_shop();
    let recall = kept_in_files(&shop, "whole");
    let seal = seal_now(&shop, SHORT);
    shop.does(Command::SealPeriod(Box::new(seal)));
    // As much left its period with the other order: the counts alone would let it come twice.
    for changed in [true, false] {
        let outcome = shop.does(Command::RecallOrder(Box::new(recall.clone())));
        assert_eq!(outcome, Outcome::OrderRecalled { order: 1, changed });
        assert_eq!(shop.state.orders_len(), 2);
    }
    survives_an_image(&shop);
}

#[test]
fn what_was_not_sealed_here_is_not_recalled() {
    let mut shop = posted_shop();
    let recall = kept_in_files(&shop, "part");
    let seal = seal_now(&shop, SHORT);
    shop.does(Command::SealPeriod(Box::new(seal)));
    let wrongs: [fn(&mut RecallOrder); 12] = [
        |order| order.credits[0].part += 1,
        |order| order.credits[0].member = member(99),
        |order| order.periods[0] = 1,
        |order| order.periods.push(0),
        |order| order.periods.clear(),
        |order| order.kind = Some(0),
        |order| order.lines[0][0] = -1,
        |order| order.lines[1].push(1),
        |order| order.customer = Some(id("C-9")),
        |order| order.refunds[0].lines[0].from = 1,
        |order| order.refunds[0].bookings[0].state = 1,
        |order| order.refunds[0].id = order.id.clone(),
    ];
    for (at, wrong) in wrongs.iter().enumerate() {
        let mut order = recall.clone();
        wrong(&mut order);
        let outcome = shop.outcome(Command::RecallOrder(Box::new(order)));
        let why = Outcome::Rejected(Rejection::RecallMismatched);
        assert_eq!(outcome, why, "{at}");
        assert_eq!(shop.state.orders_len(), 1);
    }
    // One that is there already is not taken with another content either.
    shop.does(Command::RecallOrder(Box::new(recall.clone())));
    let other = RecallOrder { fingerprint: recall.fingerprint + 1, ..recall };
    shop.refuses(Command::RecallOrder(Box::new(other)), Rejection::RecallMismatched);
    assert_eq!(shop.state.orders_len(), 2);
}

#[test]
fn a_prepared_seal_is_the_one_that_is_computed() {
    let grown = || {
        let mut shop = posted_shop();
        let seal = seal_now(&shop, SHORT);
        let copy = restored(&shop.state);
        // What comes while it is prepared: a new order, refunds of orders that leave and of one that stays.
        shop.places(order("new", 1, 31, vec![line(10, 10)]));
        shop.refunds("r2", "whole", RefundScope::Part(WHOLE / 2));
        shop.refunds("r3", "later", RefundScope::Rest);
        (shop, copy, Command::SealPeriod(Box::new(seal)))
    };
    let (mut computed, _, command) = grown();
    assert!(!matches!(computed.outcome(command), Outcome::Rejected(_)));
    let (mut prepared, copy, command) = grown();
    let mut preparation = Preparation::on_copy(copy, &command).expect("it is worth it");
    while !preparation.advance(&prepared.state, 1) {}
    preparation.complete(&prepared.state);
    assert!(preparation.is_good_for(&prepared.state, &prepared.directory.write(), &command));
    let applied = prepared.outcome_prepared(command, preparation);
    assert_eq!(applied, Outcome::PeriodSealed { seal: 0, orders: 1, changed: true });
    assert_eq!(state_digest(&prepared.state), state_digest(&computed.state));
    survives_an_image(&prepared);
    let known = prepared.state.orders.known();
    assert_eq!((known.orders, known.refunds), (3, 2));
}

#[test]
fn a_seal_whose_files_are_older_than_a_posting_is_stale_prepared_or_not() {
    let mut shop = posted_shop();
    let command = Command::SealPeriod(Box::new(seal_now(&shop, SHORT)));
    // Prepared from the state of the files, in which `later` stays.
    let mut preparation = Preparation::on_copy(restored(&shop.state), &command).expect("it is worth it");
    shop.closes(at(0, 1));
    shop.posts(at(0, 1));
    while !preparation.advance(&shop.state, 1) {}
    preparation.complete(&shop.state);
    let stale = Outcome::Rejected(Rejection::SealStale);
    assert_eq!(shop.outcome_prepared(command.clone(), preparation), stale);
    assert_eq!(shop.outcome(command), stale);
    assert_eq!(shop.state.orders_len(), 3);
    survives_an_image(&shop);
}
