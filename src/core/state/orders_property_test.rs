//! Properties of orders: their arrival does not matter, refunds take back what was placed and no more, and
//! volumes that were kept with each booking are those of a recount.

use proptest::prelude::*;

use super::*;
use crate::core::{
    PeriodTotals, audit,
    plan::Plan,
    requests::command::{OrderLine, Origin, PlacementRequest, Register, VALUE_MAX},
    state::shop::by,
    words::types::{Role, Timestamp},
};

/// Members of a network of these tests before more of them join.
const MEMBERS: u8 = 9;
const PERIODS: [PeriodRef; 3] = [
    PeriodRef { calendar: 0, period: 0 },
    PeriodRef { calendar: 0, period: 1 },
    PeriodRef { calendar: 1, period: 0 },
];

impl Shop {
    /// A network of [`MEMBERS`], whose two trees differ: all are sponsored by one of the first three.
    fn of_members(plan: Plan) -> Self {
        let mut shop = Self::open(plan, 5);
        (4..=MEMBERS).for_each(|number| shop.joins(number, 1 + number % 3));
        shop
    }

    fn joins(&mut self, number: u8, sponsor: u8) {
        self.does(Command::Register(Register {
            member: member(number),
            sponsor: by(sponsor),
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: Some(Timestamp(0)),
            origin: Origin::Signup,
        }));
    }

    /// All live sums of all members, and the totals of all periods.
    fn volumes(&self) -> Vec<Vec<i64>> {
        let mut all = Vec::new();
        for period in PERIODS {
            let PeriodTotals { orders, refunds, sums } = self.state.period_totals(period);
            let counts = [orders, refunds].map(|count| i64::try_from(count).unwrap());
            all.push(counts.into_iter().chain(sums).collect());
            for member in (0..self.state.len()).map(MemberIx) {
                let live = self.state.live_sums(period, 1, member).expect("pv is live");
                let along = live.along.iter().flatten();
                let along = along.flat_map(|along| [along.group].into_iter().chain(along.levels));
                all.push([live.own].into_iter().chain(along).collect());
            }
        }
        all
    }

    /// Everything that is kept is what a recount says, and what an image gives.
    fn holds(&self) {
        assert_eq!(audit(&self.state, 5), Vec::<String>::new());
        let restored = Self {
            state: restored(&self.state),
            directory: MemberDirectory::with_capacity(0, 0),
            time: self.time,
        };
        assert_eq!(audit(&restored.state, 5), Vec::<String>::new(), "of an image");
        assert_eq!(restored.volumes(), self.volumes(), "of an image");
    }
}

/// An order with its own time, and parts that are refunded of it one after the other: together no more than
/// the whole.
#[derive(Clone, Debug)]
struct Sold {
    order: PlaceOrder,
    refunds: Vec<u32>,
}

fn lines() -> impl Strategy<Value = Vec<OrderLine>> {
    let value = || prop_oneof![0..4_i64, 0..2_000_i64, Just(VALUE_MAX)];
    prop::collection::vec((value(), value()).prop_map(|(amount, pv)| line(amount, pv)), 1..4)
}

fn credits() -> impl Strategy<Value = Vec<Credit>> {
    let members = prop::collection::btree_set(1..=MEMBERS, 1..4);
    (members, prop::collection::vec(1..WHOLE / 4, 3)).prop_map(|(members, parts)| {
        let mut credits: Vec<Credit> =
            members.iter().zip(parts).map(|(by, part)| Credit { member: member(*by), part }).collect();
        let others: u32 = credits[1..].iter().map(|credit| credit.part).sum();
        credits[0].part = WHOLE - others;
        credits
    })
}

fn sold() -> impl Strategy<Value = Vec<Sold>> {
    let one = (credits(), lines(), 0..20_i64, any::<bool>(), prop::collection::vec(1..WHOLE / 3, 0..4));
    prop::collection::vec(one, 1..10).prop_map(|all| {
        let sold =
            |(at, (credits, lines, time, has_customer, refunds)): (usize, (Vec<Credit>, _, _, _, _))| {
                // Customers buy of one member, or the second of their orders would be refused.
                let owner = credits[0].member.0[0];
                let customer = if has_customer { Some(id(&format!("c{owner}"))) } else { None };
                let order = PlaceOrder { credits, customer, ..order(&format!("o{at}"), 1, time, lines) };
                Sold { order, refunds }
            };
        all.into_iter().enumerate().map(sold).collect()
    })
}

/// What a client sends: an order, or the next refund of one.
type Sent = (usize, Option<usize>);

fn sent(all: &[Sold]) -> Vec<Sent> {
    let of = |(at, sold): (usize, &Sold)| {
        let refunds = (0..sold.refunds.len()).map(move |refund| (at, Some(refund)));
        [(at, None)].into_iter().chain(refunds)
    };
    all.iter().enumerate().flat_map(of).collect()
}

/// Sends everything in an order; what comes too early, a refund before its order, is sent again at the end.
fn send(shop: &mut Shop, all: &[Sold], order: &[Sent]) {
    let mut early = Vec::new();
    for (at, refund) in order {
        let Some(number) = refund else {
            shop.places(all[*at].order.clone());
            continue;
        };
        let name = format!("r{at}-{number}");
        let part = RefundScope::Part(all[*at].refunds[*number]);
        match shop.refunds(&name, &format!("o{at}"), part) {
            Outcome::Rejected(Rejection::OrderUnknown) => early.push((*at, *refund)),
            outcome => {
                assert!(matches!(outcome, Outcome::OrderRefunded { changed: true, .. }), "{outcome:?}");
            }
        }
    }
    if !early.is_empty() {
        send(shop, all, &early);
    }
}

/// An order as it stands, without what says when it came.
fn content(shop: &Shop, name: &str) -> impl PartialEq + std::fmt::Debug + use<> {
    let order = shop.state.order(shop.state.order_number(&id(name)).expect("it was placed"));
    (order.credits.clone(), order.customer.clone(), order.left(), order.totals(), order.periods, order.time)
}

/// A request about one of the orders.
#[derive(Clone, Debug)]
enum Asked {
    Refund(usize, RefundScope),
    Lock,
    Unlock,
    /// A member joins, sponsored by this one.
    Join(u8),
    Place,
}

fn asked() -> impl Strategy<Value = Vec<Asked>> {
    let part =
        || prop_oneof![1..WHOLE, Just(WHOLE), Just(WHOLE / 2), Just(0), Just(WHOLE + 1), Just(u32::MAX)];
    let lines = prop::collection::btree_map(0..4_u8, prop::option::of(part()), 0..4).prop_map(|lines| {
        RefundScope::Lines(lines.into_iter().map(|(line, part)| LinePart { line, part }).collect())
    });
    let scope = prop_oneof![Just(RefundScope::Rest), part().prop_map(RefundScope::Part), lines];
    let one = prop_oneof![
        6 => (0..10_usize, scope).prop_map(|(order, scope)| Asked::Refund(order, scope)),
        1 => Just(Asked::Lock),
        1 => Just(Asked::Unlock),
        2 => (1..=MEMBERS).prop_map(Asked::Join),
        2 => Just(Asked::Place),
    ];
    prop::collection::vec(one, 0..60)
}

/// Asks; what is refused changes nothing.
fn ask(shop: &mut Shop, all: &[Sold], asked: &[Asked]) {
    let (mut joined, mut placed) = (MEMBERS, 0);
    for (number, asked) in asked.iter().enumerate() {
        match asked {
            Asked::Refund(order, scope) => {
                let (order, name) = (order % all.len(), format!("asked-{number}"));
                let before = (shop.volumes(), content(shop, &format!("o{order}")));
                let outcome = shop.refunds(&name, &format!("o{order}"), scope.clone());
                if matches!(outcome, Outcome::Rejected(_)) {
                    let after = (shop.volumes(), content(shop, &format!("o{order}")));
                    assert_eq!(after, before, "refused: {scope:?}");
                }
            }
            Asked::Lock => drop(shop.steps(at(0, 0), PeriodStep::Lock)),
            Asked::Unlock => drop(shop.steps(at(0, 0), PeriodStep::Unlock)),
            Asked::Join(sponsor) => {
                joined += 1;
                shop.joins(joined, *sponsor);
            }
            Asked::Place => {
                placed += 1;
                shop.places(order(&format!("more-{placed}"), joined, 11, vec![line(7, 13)]));
            }
        }
        never_below_zero(shop);
    }
}

fn never_below_zero(shop: &Shop) {
    assert!(shop.volumes().iter().flatten().all(|sum| 0 <= *sum), "{:?}", shop.volumes());
    for number in 0..shop.state.orders_len() {
        let order = shop.state.order(number);
        assert!(order.lines.iter().all(|line| line.refunded <= WHOLE), "{order:?}");
        let (left, placed) = (order.left(), order.totals());
        assert!(left.iter().zip(&placed).all(|(left, placed)| (0..=*placed).contains(left)), "{order:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nothing is late here: all periods take orders the whole time.
    #[test]
    fn orders_and_refunds_come_to_the_same_in_any_order(
        (all, shuffled) in sold().prop_flat_map(|all| {
            let sent = sent(&all);
            (Just(all), Just(sent).prop_shuffle())
        }),
    ) {
        let [mut one, mut other] = [(); 2].map(|()| Shop::of_members(plan(Late::Book, false)));
        send(&mut one, &all, &sent(&all));
        send(&mut other, &all, &shuffled);
        prop_assert_eq!(one.volumes(), other.volumes());
        for number in 0..all.len() {
            let name = format!("o{number}");
            prop_assert_eq!(content(&one, &name), content(&other, &name));
        }
        one.holds();
        other.holds();
    }

    #[test]
    fn refunds_take_back_what_was_placed_and_no_more(all in sold(), asked in asked()) {
        let mut shop = Shop::of_members(plan(Late::Book, true));
        for sold in &all {
            shop.places(sold.order.clone());
        }
        shop.time = 12;
        shop.closes(at(0, 0));
        ask(&mut shop, &all, &asked);
        shop.holds();
        shop.steps(at(0, 0), PeriodStep::Unlock);
        for number in 0..shop.state.orders_len() {
            let order = shop.state.order_id(number);
            shop.refunds(&format!("last-{number}"), &order, RefundScope::Rest);
            prop_assert!(shop.state.order(number).is_refunded());
        }
        for period in PERIODS {
            prop_assert_eq!(shop.state.period_totals(period).sums, PeriodTotals::default().sums);
        }
        let sums = shop.volumes();
        let of_members = sums.iter().filter(|sums| sums.len() != PeriodTotals::default().sums.len() + 2);
        prop_assert!(of_members.flatten().all(|sum| *sum == 0));
        shop.holds();
    }

    /// Also where corrections make sums negative.
    #[test]
    fn volumes_are_those_of_a_recount(all in sold(), asked in asked(), lowers in any::<bool>()) {
        let mut shop = Shop::of_members(plan(Late::Book, lowers));
        for sold in &all {
            shop.places(sold.order.clone());
        }
        shop.time = 12;
        shop.closes(at(0, 0));
        ask(&mut shop, &all, &asked);
        shop.steps(at(0, 0), PeriodStep::Unlock);
        let half = RefundScope::Lines(vec![LinePart { line: 0, part: Some(WHOLE / 2) }]);
        shop.steps(at(0, 0), PeriodStep::Lock);
        shop.refunds("waits", "o0", half);
        shop.holds();
        shop.posts(at(0, 0));
        for number in 0..all.len() {
            shop.refunds(&format!("late-{number}"), &format!("o{number}"), RefundScope::Rest);
        }
        shop.holds();
    }
}

/// Many members, so that both tours split often, with bookings between any two of them.
#[test]
fn volumes_follow_the_trees_while_they_grow() {
    let mut shop = Shop::of_members(plan(Late::Book, false));
    for number in MEMBERS + 1..=250 {
        shop.joins(number, 1 + number / 3);
        let sold = order(&format!("o{number}"), 1 + number / 2, i64::from(number % 20), vec![line(1, 10)]);
        shop.places(sold);
        if number % 40 == 0 {
            shop.holds();
        }
    }
    shop.holds();
}

#[test]
fn a_percentage_is_rounded_once() {
    let mut plan = plan(Late::Book, false);
    plan.commerce.volumes[1].exponent = 0;
    let mut shop = Shop::open(plan, 0);
    // 75% of 0.66 are 0.495. Rounded to cents that would be 0.50, and then 1.
    shop.places(order("a", 3, 3, vec![line(1, 66), line(1, 67)]));
    assert_eq!(shop.sums(at(0, 0)), [2, 133, 1]);
}

#[test]
fn sums_beyond_their_bound_are_refused() {
    let mut shop = Shop::open(plan(Late::Book, false), 0);
    let largest = || vec![line(VALUE_MAX, VALUE_MAX / 2); 64];
    let orders = crate::core::orders::totals::VOLUMES_SUM_MAX / (64 * VALUE_MAX);
    for number in 0..orders {
        shop.places(order(&format!("o{number}"), 3, 3, largest()));
    }
    let before = shop.sums(at(0, 0));
    shop.refuses(Command::PlaceOrder(Box::new(order("more", 3, 3, largest()))), Rejection::VolumesFull);
    assert_eq!(shop.sums(at(0, 0)), before);
    assert_eq!(audit(&shop.state, 5), Vec::<String>::new());
    // Refunds do not make room: a sum could be exceeded while they come and go.
    shop.refunds("r", "o0", RefundScope::Rest);
    shop.refuses(Command::PlaceOrder(Box::new(order("more", 3, 3, largest()))), Rejection::VolumesFull);
}

/// The first instant behind a period is of the next one, in orders as in attributes.
#[test]
fn a_period_ends_before_its_end() {
    let mut shop = Shop::open(plan(Late::Book, false), 5);
    for (name, time) in [("start", 0), ("last", 9), ("end", 10)] {
        shop.places(order(name, 3, time, vec![line(1, 1)]));
    }
    assert_eq!((shop.sums(at(0, 0)), shop.sums(at(0, 1))), ([2, 2, 2], [1, 1, 1]));
    shop.time = 14;
    shop.places(order("in-grace", 3, 9, vec![line(1, 1)]));
    shop.time = 15;
    shop.places(order("behind-it", 3, 9, vec![line(1, 1)]));
    assert_eq!((shop.sums(at(0, 0)), shop.sums(at(0, 1))), ([3, 3, 3], [2, 2, 2]));
}
