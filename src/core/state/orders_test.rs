//! Orders, refunds and periods, by the examples of the page on compensation.

use super::{
    super::shop::{Shop, at, id, line, member, order, plan, restored},
    *,
};
use crate::core::{
    OrderList, PeriodState, RefundState,
    orders::refunds::ORDER_REFUNDS_MAX,
    plan::calendar::Late,
    requests::command::{Command, Credit, LinePart, PeriodStep, RecordRun, RefundScope, WHOLE},
    words::actor::Actor,
};
use crate::engine::MemberDirectory;

#[test]
fn an_order_is_booked_in_each_calendar_and_once() {
    let mut shop = Shop::open(plan(Late::Book, false), 5);
    let three = order("a", 3, 12, vec![line(100, 33), line(100, 33), line(100, 33)]);
    assert_eq!(shop.places(three.clone()), Outcome::OrderPlaced { order: 0, changed: true });
    // 75% of each line, rounded once: 25 + 25 + 25.
    assert_eq!((shop.sums(at(0, 1)), shop.sums(at(1, 0))), ([300, 99, 75], [300, 99, 75]));
    assert_eq!((shop.sums(at(0, 0)), shop.pv(at(0, 1), 3)), ([0; 3], (99, 99)));
    assert_eq!((shop.pv(at(0, 1), 1), shop.pv(at(1, 0), 2)), ((0, 99), (0, 99)));
    assert_eq!(shop.places(three.clone()), Outcome::OrderPlaced { order: 0, changed: false });
    let other = PlaceOrder { lines: vec![line(1, 1)], ..three };
    shop.refuses(Command::PlaceOrder(Box::new(other)), Rejection::OrderIdTaken);
    assert_eq!(shop.sums(at(0, 1)), [300, 99, 75]);
}

#[test]
fn a_late_order_goes_where_orders_are_taken_or_is_refused() {
    for late in [Late::Book, Late::Refuse] {
        let mut shop = Shop::open(plan(late, false), 5);
        shop.time = 14;
        shop.places(order("in-grace", 3, 3, vec![line(1, 1)]));
        assert_eq!(shop.sums(at(0, 0)), [1, 1, 1]);
        shop.time = 15;
        let too_late = order("late", 3, 3, vec![line(1, 1)]);
        match late {
            Late::Book => {
                shop.places(too_late);
                assert_eq!((shop.sums(at(0, 0)), shop.sums(at(0, 1))), ([1, 1, 1], [1, 1, 1]));
            }
            Late::Refuse => shop.refuses(Command::PlaceOrder(Box::new(too_late)), Rejection::OrderLate),
        }
        let ahead = order("ahead", 3, 20, vec![line(1, 1)]);
        shop.refuses(Command::PlaceOrder(Box::new(ahead)), Rejection::PeriodNotOpen);
        let early = order("early", 3, -1, vec![line(1, 1)]);
        shop.refuses(Command::PlaceOrder(Box::new(early)), Rejection::BeforeOpening);
    }
}

#[test]
fn a_lock_ends_the_grace_and_unlocking_does_not_open_it_again() {
    let mut shop = Shop::open(plan(Late::Book, false), 5);
    shop.time = 11;
    assert_eq!(shop.steps(at(0, 0), PeriodStep::Lock), Outcome::Rejected(Rejection::PeriodNotOver));
    shop.closes(at(0, 0));
    assert_eq!(shop.steps(at(0, 0), PeriodStep::Lock), Outcome::PeriodStepped { period: 0, changed: true });
    assert_eq!(shop.steps(at(0, 0), PeriodStep::Unlock), Outcome::PeriodStepped { period: 0, changed: true });
    shop.places(order("a", 3, 3, vec![line(1, 1)]));
    assert_eq!((shop.sums(at(0, 0)), shop.sums(at(0, 1))), ([0; 3], [1, 1, 1]));
}

#[test]
fn refunds_lower_wait_and_correct() {
    // Whether a correction lowers volume, the sums of the period in which it is.
    for (lowers, corrected) in [(false, [0; 3]), (true, [-50, -50, -38])] {
        let mut shop = Shop::open(plan(Late::Book, lowers), 0);
        shop.places(order("a", 3, 3, vec![line(100, 100)]));
        let half = || RefundScope::Lines(vec![LinePart { line: 0, part: Some(WHOLE / 4) }]);
        shop.time = 12;
        shop.closes(at(0, 0));
        shop.refunds("r1", "a", half());
        assert_eq!((shop.sums(at(0, 0)), shop.pv(at(0, 0), 1)), ([75, 75, 57], (0, 75)));
        shop.steps(at(0, 0), PeriodStep::Lock);
        shop.refunds("r2", "a", half());
        assert_eq!(shop.sums(at(0, 0)), [75, 75, 57], "it waits");
        assert_eq!(shop.sums(at(1, 0)), [50, 50, 38], "the other calendar is open");
        shop.steps(at(0, 0), PeriodStep::Unlock);
        assert_eq!(shop.sums(at(0, 0)), [50, 50, 38], "it acts");
        shop.posts(at(0, 0));
        let states = |shop: &Shop, refund: usize| {
            shop.state.order(0).refunds[refund].states.iter().map(|(_, state)| *state).collect::<Vec<_>>()
        };
        shop.refunds("r3", "a", RefundScope::Rest);
        assert_eq!(shop.sums(at(0, 0)), [50, 50, 38], "it is final");
        assert_eq!((shop.sums(at(0, 1)), shop.sums(at(1, 0))), (corrected, [0; 3]));
        assert_eq!(states(&shop, 2), [RefundState::correction(lowers), RefundState::Lowered]);
        assert_eq!(shop.refunds("r4", "a", RefundScope::Rest), Outcome::Rejected(Rejection::RefundTooLarge));
        assert!(shop.state.order(0).is_refunded());
        assert_eq!(shop.state.period(at(0, 0)).unwrap().state(), PeriodState::Posted);
    }
}

#[test]
fn what_waits_becomes_a_correction_when_the_period_is_posted() {
    let mut shop = Shop::open(plan(Late::Book, true), 0);
    shop.places(order("a", 3, 3, vec![line(100, 100)]));
    shop.time = 12;
    shop.closes(at(0, 0));
    shop.steps(at(0, 0), PeriodStep::Lock);
    shop.refunds("r1", "a", RefundScope::Part(WHOLE / 2));
    shop.posts(at(0, 0));
    assert_eq!((shop.sums(at(0, 0)), shop.sums(at(0, 1))), ([100, 100, 75], [-50, -50, -37]));
    assert_eq!((shop.pv(at(0, 1), 3), shop.pv(at(0, 1), 1)), ((-50, -50), (0, -50)), "raw");
}

#[test]
fn a_run_that_names_its_own_command_survives_an_image() {
    let mut shop = Shop::open(plan(Late::Book, false), 0);
    shop.time = 12;
    shop.closes(at(0, 0));
    shop.steps(at(0, 0), PeriodStep::Lock);
    let up_to_lsn = shop.state.lsn() + 1;
    shop.does(Command::RecordRun(Box::new(RecordRun {
        period: at(0, 0),
        plan_version: 1,
        up_to_lsn,
        lines: 0,
        digest: [0; 32],
        by: Actor::unknown(),
    })));
    assert_eq!(crate::core::state_digest(&restored(&shop.state)), crate::core::state_digest(&shop.state));
}

#[test]
fn an_order_has_so_many_refunds_and_no_more() {
    let mut shop = Shop::open(plan(Late::Book, false), 0);
    shop.places(order("a", 3, 3, vec![line(1, 1)]));
    for number in 0..ORDER_REFUNDS_MAX {
        let given = shop.refunds(&format!("r{number}"), "a", RefundScope::Part(1));
        assert!(matches!(given, Outcome::OrderRefunded { changed: true, .. }), "{number}: {given:?}");
    }
    assert_eq!(shop.refunds("more", "a", RefundScope::Rest), Outcome::Rejected(Rejection::RefundsFull));
    assert_eq!(restored(&shop.state).order(0), shop.state.order(0));
}

/// The state of an image.
#[test]
fn a_customer_stays_with_a_member_and_credits_divide() {
    let mut shop = Shop::open(plan(Late::Book, false), 0);
    let customer =
        |name: &str, by| PlaceOrder { customer: Some(id("c")), ..order(name, by, 3, vec![line(5, 5)]) };
    shop.places(customer("a", 3));
    shop.refuses(Command::PlaceOrder(Box::new(customer("b", 2))), Rejection::CustomerOfAnother);
    let credits = [(1, WHOLE / 2), (3, WHOLE / 2)].map(|(by, part)| Credit { member: member(by), part });
    let divided = PlaceOrder { credits: credits.to_vec(), ..order("d", 1, 3, vec![line(5, 5)]) };
    shop.places(divided);
    assert_eq!((shop.pv(at(0, 0), 1), shop.pv(at(0, 0), 3)), ((3, 10), (7, 7)));
    let short = PlaceOrder {
        credits: vec![Credit { member: member(1), part: WHOLE - 1 }],
        ..order("e", 1, 3, vec![line(5, 5)])
    };
    shop.refuses(Command::PlaceOrder(Box::new(short)), Rejection::OrderMalformed);
}

/// A network with everything that orders have.
fn busy() -> Shop {
    let mut shop = Shop::open(plan(Late::Book, true), 0);
    for number in 0..40_u8 {
        let name = format!("o{number}");
        let lines = vec![line(i64::from(number) * 7, 11), line(3, i64::from(number))];
        let credits = [(1, WHOLE / 3), (3, WHOLE - WHOLE / 3)];
        let credits = credits.map(|(by, part)| Credit { member: member(by), part }).to_vec();
        let customer = (number % 3 == 0).then(|| id(&format!("c{}", number % 6)));
        let group = (number % 4 == 0).then(|| id("party"));
        let order = order(&name, 1, i64::from(number % 20), lines);
        shop.places(PlaceOrder { credits, customer, group, ..order });
    }
    shop.time = 12;
    for (number, scope) in [(1, RefundScope::Rest), (2, RefundScope::Part(WHOLE / 3))] {
        shop.refunds(&format!("early{number}"), &format!("o{number}"), scope);
    }
    shop.closes(at(0, 0));
    shop.steps(at(0, 0), PeriodStep::Lock);
    shop.refunds("waits", "o3", RefundScope::Part(WHOLE / 7));
    shop.posts(at(0, 0));
    shop.refunds("later", "o3", RefundScope::Rest);
    shop
}

#[test]
fn an_image_gives_the_same_orders_and_volumes() {
    let shop = busy();
    assert_same(&shop, restored(&shop.state));
}

/// A copy of a frozen view has no lists, totals and volumes, and says so; completed, it has all of them.
#[test]
fn a_copy_of_a_view_is_completed_when_its_lists_are_wanted() {
    use crate::core::state::{CopyProgress, FrozenCopy, Parts};
    let mut shop = busy();
    let view = shop.state.freeze(Parts::ALL).unwrap();
    let mut copy = FrozenCopy::default();
    while shop.state.copy_frozen(view, &mut copy) == CopyProgress::More {}
    drop(shop.state.thaw(view));
    let mut copy = copy.into_state();
    assert!(shop.state.has_order_lists() && !copy.has_order_lists());
    for list in [OrderList::OfMember(MemberIx(2)), OrderList::OfCustomer(0), OrderList::InPeriod(at(0, 1))] {
        assert_eq!(copy.first_order(list), None, "{list:?}");
    }
    assert_eq!(copy.order_at(OrderList::OfCustomer(0), 0), Some((0, None)), "no list goes on");
    assert_eq!((copy.period_totals(at(0, 0)).orders, copy.live_sums(at(0, 1), 1, MemberIx(0))), (0, None));
    copy.complete_order_lists().unwrap();
    assert!(copy.has_order_lists());
    copy.complete_order_lists().unwrap();
    assert_same(&shop, copy);
}

fn assert_same(shop: &Shop, restored: State) {
    assert_eq!(crate::core::state_digest(&restored), crate::core::state_digest(&shop.state));
    let directory = MemberDirectory::with_capacity(0, 0);
    let restored = Shop { state: restored, directory, time: shop.time };
    for period in [at(0, 0), at(0, 1), at(1, 0)] {
        assert_eq!(restored.state.period_totals(period), shop.state.period_totals(period), "{period:?}");
    }
    for (period, number) in
        [at(0, 0), at(0, 1), at(1, 0)].into_iter().flat_map(|at| [(at, 1), (at, 2), (at, 3)])
    {
        assert_eq!(restored.pv(period, number), shop.pv(period, number), "{period:?}, {number}");
    }
    for number in 0..40 {
        assert_eq!(restored.state.order(number), shop.state.order(number));
    }
    let group = shop.state.order_group(&id("party")).unwrap();
    let lists = [
        OrderList::All,
        OrderList::OfMember(MemberIx(2)),
        OrderList::OfCustomer(0),
        OrderList::OfGroup(group),
        OrderList::InPeriod(at(0, 1)),
    ];
    for list in lists {
        let all = |state: &State| -> Vec<u32> {
            let mut next = state.first_order(list);
            std::iter::from_fn(|| {
                let (order, after) = state.order_at(list, next?)?;
                next = after;
                Some(order)
            })
            .collect()
        };
        let found = all(&shop.state);
        assert!(found.is_sorted_by(|one, other| one > other) && 1 < found.len(), "{list:?}: {found:?}");
        assert_eq!(all(&restored.state), found, "{list:?}");
    }
}

#[path = "orders_property_test.rs"]
mod properties;
