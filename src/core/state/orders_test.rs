//! Orders, refunds and periods, by the examples of the page on compensation.

use super::*;
use crate::{
    core::{
        OrderList, PeriodState, PeriodTotals, RefundState,
        orders::refunds::ORDER_REFUNDS_MAX,
        plan::{
            Plan,
            calendar::{Calendar, Every, Grace, Late},
            commerce::{Commerce, Volume, VolumeForm, VolumeOf},
        },
        requests::command::{
            Command, Credit, LinePart, OpenPeriod, OrderId, OrderLine, Origin, Outcome, PeriodRef,
            PeriodStep, PlaceOrder, PlacementRequest, RecordRun, RefundOrder, RefundScope, Register,
            Rejection, SponsorRef, Stamped, StepPeriod, WHOLE,
        },
        words::{
            actor::Actor,
            types::{BasisPoints, MemberId, MemberIx, Money, Role, Timestamp, Tree},
        },
    },
    engine::{MemberDirectory, UnsharedDirectory},
};

/// A network with two calendars, `short` with periods of 10 and `long` with periods of 30.
pub(super) struct Shop {
    pub state: State,
    directory: MemberDirectory,
    pub time: i64,
}

pub(super) fn calendar(name: &str, late: Late) -> Calendar {
    Calendar {
        name: name.into(),
        every: Every::Month,
        timezone: "UTC".into(),
        grace: Grace::default(),
        late,
        first: None,
        four_eyes: false,
    }
}

pub(super) fn plan(late: Late, refund_lowers_volume: bool) -> Plan {
    let volume = |name: &str, form, live| Volume { name: name.into(), exponent: 2, form, live };
    let percent = VolumeForm::Percent { of: VolumeOf::Volume(0), rate: BasisPoints(7_500) };
    Plan {
        commerce: Commerce {
            calendars: vec![calendar("short", late), calendar("long", Late::Book)],
            volumes: vec![volume("pv", VolumeForm::Given, true), volume("cv", percent, false)],
            live_levels: 7,
            refund_lowers_volume: Some(refund_lowers_volume),
            ..Commerce::default()
        },
        count_sponsor_tree: true,
        ..crate::plan_file::default_plan()
    }
}

pub(super) fn member(number: u8) -> MemberId {
    MemberId([number; 16])
}

pub(super) fn id(text: &str) -> OrderId {
    OrderId::parse(text).unwrap()
}

pub(super) fn line(amount: i64, pv: i64) -> OrderLine {
    OrderLine { amount: Money(amount), volumes: vec![pv] }
}

pub(super) fn order(name: &str, by: u8, time: i64, lines: Vec<OrderLine>) -> PlaceOrder {
    PlaceOrder {
        id: id(name),
        credits: vec![Credit { member: member(by), part: WHOLE }],
        customer: None,
        time: Some(Timestamp(time)),
        kind: None,
        tags: 0,
        group: None,
        market: None,
        lines,
    }
}

pub(super) fn at(calendar: u8, period: u32) -> PeriodRef {
    PeriodRef { calendar, period }
}

impl Shop {
    /// Members 1, 2 below it, 3 below that; the first periods are open, and last until 10 and 30, with as
    /// much grace as `grace`.
    pub fn open(plan: Plan, grace: i64) -> Self {
        let mut shop =
            Self { state: State::new(plan, 7), directory: MemberDirectory::with_capacity(0, 0), time: 0 };
        for (number, sponsor) in [(1, SponsorRef::None), (2, by(1)), (3, by(2))] {
            let register = Register {
                member: member(number),
                sponsor,
                placement: PlacementRequest::PlanDefault,
                code: None,
                role: Role::Member,
                joined_at: None,
                origin: Origin::Signup,
            };
            shop.does(Command::Register(register));
        }
        for period in 0..2 {
            shop.opens(0, period, (i64::from(period) * 10, 10), grace);
        }
        shop.opens(1, 0, (0, 30), grace);
        shop
    }

    pub fn opens(&mut self, calendar: u8, period: u32, (start, length): (i64, i64), grace: i64) {
        let end = start + length;
        self.does(Command::OpenPeriod(OpenPeriod {
            calendar,
            label: id(&format!("p{period}")),
            start: Timestamp(start),
            end: Timestamp(end),
            grace_until: Timestamp(end + grace),
        }));
    }

    pub fn outcome(&mut self, command: Command) -> Outcome {
        let stamped = Stamped {
            lsn: self.state.lsn() + 1,
            time: Timestamp(self.time),
            key: None,
            actor: Some(Actor::unknown()),
            format: Stamped::FORMAT,
            command,
        };
        self.state.apply(&mut self.directory.write(), &stamped).outcome
    }

    pub fn does(&mut self, command: Command) -> Outcome {
        let outcome = self.outcome(command);
        assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        outcome
    }

    fn refuses(&mut self, command: Command, why: Rejection) {
        assert_eq!(self.outcome(command), Outcome::Rejected(why));
    }

    pub fn places(&mut self, order: PlaceOrder) -> Outcome {
        self.does(Command::PlaceOrder(Box::new(order)))
    }

    pub fn refunds(&mut self, name: &str, of: &str, scope: RefundScope) -> Outcome {
        let refund = RefundOrder { id: id(name), order: id(of), time: None, scope };
        self.outcome(Command::RefundOrder(Box::new(refund)))
    }

    pub fn steps(&mut self, period: PeriodRef, step: PeriodStep) -> Outcome {
        let step = StepPeriod { period, step, reason: None, by: Actor::unknown() };
        self.outcome(Command::StepPeriod(Box::new(step)))
    }

    pub fn closes(&mut self, period: PeriodRef) {
        self.does(Command::ClosePeriod(period));
    }

    /// Locks a period and makes everything of it final.
    pub fn posts(&mut self, period: PeriodRef) {
        assert!(matches!(self.steps(period, PeriodStep::Lock), Outcome::PeriodStepped { .. }));
        self.does(Command::RecordRun(Box::new(RecordRun {
            period,
            plan_version: 1,
            up_to_lsn: self.state.lsn(),
            lines: 0,
            digest: [0; 32],
            by: Actor::unknown(),
        })));
        for step in [PeriodStep::Approve, PeriodStep::Post] {
            assert!(matches!(self.steps(period, step), Outcome::PeriodStepped { changed: true, .. }));
        }
    }

    /// The sums of the amount, pv and cv in a period.
    fn sums(&self, period: PeriodRef) -> [i64; 3] {
        let PeriodTotals { sums, .. } = self.state.period_totals(period);
        [sums[0], sums[1], sums[2]]
    }

    /// Own pv, and the group's in the sponsor tree.
    fn pv(&self, period: PeriodRef, number: u8) -> (i64, i64) {
        let trees = self.state.network.volume_trees();
        let volume = self.state.orders.live().read(period, 1).expect("it is kept");
        let member = MemberIx(u32::from(number) - 1);
        (volume.own(member), volume.group(&trees, Tree::Sponsor, member).expect("it is counted"))
    }
}

pub(super) fn by(number: u8) -> SponsorRef {
    SponsorRef::Member(member(number))
}

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
pub(super) fn restored(state: &State) -> State {
    let mut restore = crate::core::Restore::new(state.image_header()).unwrap();
    let mut directory = UnsharedDirectory::from(MemberDirectory::with_capacity(0, 0));
    for rows in state.image_rows(7) {
        restore.push(&mut directory, rows).unwrap();
    }
    restore.finish().unwrap()
}

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
