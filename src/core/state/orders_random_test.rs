//! Random orders, refunds and periods: what each command is said to have booked is what it changed, then and
//! later, and sums that are added up are those that are kept live.

use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use crate::core::state::shop::{Shop, at, by, line, member, order, plan, restored};
use crate::core::{
    Bookings, PeriodSums,
    orders::totals::VALUES_MAX,
    plan::{Plan, calendar::Late},
    requests::command::{
        Command, Credit, LinePart, Origin, Outcome, PeriodRef, PeriodStep, PlaceOrder, PlacementRequest,
        RefundScope, Register, WHOLE,
    },
    state::parts::State,
    words::types::{MemberIx, Role, Timestamp, Tree},
};

const MEMBERS: u8 = 12;
const VALUES: usize = 3;
/// Periods of the short calendar.
const PERIODS: u32 = 5;

/// Everything is live.
fn live(lowers: bool) -> Plan {
    let mut plan = plan(Late::Book, lowers);
    plan.commerce.amount_live = true;
    plan.commerce.live_levels = 3;
    plan.commerce.volumes.iter_mut().for_each(|volume| volume.live = true);
    plan
}

/// What members have themselves in each period of the short calendar and the first of the long one, by the
/// simplest way: from each order with its refunds.
fn own_sums(state: &State) -> Vec<Vec<[i64; VALUES]>> {
    let periods = all_periods(state);
    let mut sums = vec![vec![[0; VALUES]; usize::from(MEMBERS)]; periods.len()];
    let mut add = |period: PeriodRef, shares: &[(MemberIx, Vec<i64>)]| {
        let at = periods.iter().position(|other| *other == period).unwrap();
        for (member, share) in shares {
            sums[at][member.at()].iter_mut().zip(share).for_each(|(sum, units)| *sum += units);
        }
    };
    for number in 0..state.orders_len() {
        state.orders.booked_values(number).for_each(|booked| add(booked.period, &booked.shares));
    }
    for number in 0..state.refunds_len() {
        state.orders.corrected_values(number).for_each(|booked| add(booked.period, &booked.shares));
    }
    sums
}

/// Periods open in the short calendar alone: they come last.
fn all_periods(state: &State) -> Vec<PeriodRef> {
    [1, 0]
        .into_iter()
        .flat_map(|calendar| (0..state.periods_len(calendar)).map(move |period| at(calendar, period)))
        .collect()
}

/// A sum of what commands are said to have booked.
fn added(state: &State, Bookings { periods: booked, shares }: &Bookings) -> Vec<Vec<[i64; VALUES]>> {
    let periods = all_periods(state);
    let mut sums = vec![vec![[0; VALUES]; usize::from(MEMBERS)]; periods.len()];
    for period in booked {
        let at = periods.iter().position(|other| other == period).unwrap();
        for (member, share) in shares {
            sums[at][member.at()].iter_mut().zip(share).for_each(|(sum, units)| *sum += units);
        }
    }
    sums
}

fn difference(before: &[Vec<[i64; VALUES]>], after: &[Vec<[i64; VALUES]>]) -> Vec<Vec<[i64; VALUES]>> {
    let less = |before: &[i64; VALUES], after: &[i64; VALUES]| {
        std::array::from_fn(|value| after[value] - before[value])
    };
    let of_period = |(at, after): (usize, &Vec<[i64; VALUES]>)| {
        let before = before.get(at).cloned().unwrap_or_else(|| vec![[0; VALUES]; after.len()]);
        before.iter().zip(after).map(|(before, after)| less(before, after)).collect()
    };
    after.iter().enumerate().map(of_period).collect()
}

/// Adds all up, in pieces.
fn added_up(state: &State, member: MemberIx, period: PeriodRef, legs: &[MemberIx]) -> PeriodSums {
    let values: Vec<u8> = (0..).take(VALUES).collect();
    let mut sums = state.period_sums(member, period, &values, legs).unwrap();
    while !sums.is_over() {
        state.period_sums_step(&mut sums, 7).unwrap();
    }
    sums
}

/// Compares the sums that are added up with those that are kept live where they are, and with totals.
fn compare_sums(state: &State) {
    for period in all_periods(state) {
        let mut roots = [0; VALUES_MAX];
        for member in (0..u32::from(MEMBERS)).map(MemberIx) {
            let legs: Vec<MemberIx> = state.children(Tree::Placement, member).collect();
            let sums = added_up(state, member, period, &legs);
            for value in (0..).take(VALUES) {
                let summed = sums.of(value).unwrap();
                if state.member(member).parent.is_none() {
                    roots[usize::from(value)] += summed.sums.along[1].unwrap().group;
                }
                let Some(kept) = state.live_sums(period, value, member) else { continue };
                assert_eq!(summed.sums, kept, "{period:?}, {value}, {member:?}");
                let kept_legs: Vec<i64> = legs
                    .iter()
                    .map(|leg| state.live_group(period, value, Tree::Placement, *leg).unwrap())
                    .collect();
                assert_eq!(summed.legs, kept_legs, "{period:?}, {value}, {member:?}");
            }
        }
        assert_eq!(roots, state.period_totals(period).sums, "{period:?}");
    }
}

struct Random(Pcg64Mcg);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    fn member(&mut self) -> u8 {
        1 + u8::try_from(self.below(MEMBERS.into())).unwrap()
    }

    fn order(&mut self, number: u32, now: i64) -> PlaceOrder {
        let lines =
            (0..=self.below(2)).map(|_| line(self.below(1_000).into(), self.below(1_000).into())).collect();
        let (first, second) = (self.member(), self.member());
        let part = 1 + self.below(WHOLE - 1);
        let time = i64::from(self.below(u32::try_from(now).unwrap() + 1));
        let order = order(&format!("o{number}"), first, time, lines);
        if first == second {
            return order;
        }
        let credits =
            [(first, part), (second, WHOLE - part)].map(|(by, part)| Credit { member: member(by), part });
        PlaceOrder { credits: credits.to_vec(), ..order }
    }

    fn scope(&mut self) -> RefundScope {
        match self.below(4) {
            0 => RefundScope::Rest,
            1 => RefundScope::Part(1 + self.below(WHOLE / 2)),
            _ => RefundScope::Lines(vec![LinePart { line: 0, part: Some(1 + self.below(WHOLE / 2)) }]),
        }
    }
}

/// Members, of which each is below one of those before it, in both trees.
fn shop(random: &mut Random, lowers: bool) -> Shop {
    let mut shop = Shop::open(live(lowers), 15);
    for number in 4..=MEMBERS {
        let sponsor = 1 + u8::try_from(random.below(u32::from(number) - 1)).unwrap();
        let register = Register {
            member: member(number),
            sponsor: by(sponsor),
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        };
        shop.does(Command::Register(register));
    }
    shop
}

#[test]
fn what_a_command_booked_is_what_it_changed_and_sums_are_those_kept() {
    let (mut placed, mut lowered, mut waited, mut corrected) = (0, 0, 0, 0);
    for seed in 0..40 {
        println!("seed {seed}");
        let mut random = Random(Pcg64Mcg::seed_from_u64(seed));
        let mut shop = shop(&mut random, seed % 2 == 0);
        // By the LSN of a command: what it is said to have booked right after it.
        let mut said: Vec<(bool, u32, Bookings)> = Vec::new();
        let mut orders = 0;
        for turn in 0..120_u32 {
            shop.time = shop.time.max(i64::from(turn) / 3);
            let before = own_sums(&shop.state);
            let newest = shop.state.periods_len(0);
            let period = at(0, random.below(newest));
            let mut booked = Bookings::default();
            match random.below(10) {
                0..4 => {
                    let order = random.order(orders, shop.time);
                    if let Outcome::OrderPlaced { order, changed: true } =
                        shop.outcome(Command::PlaceOrder(Box::new(order)))
                    {
                        booked = shop.state.booked_by_order(order);
                        said.push((true, order, booked.clone()));
                        (orders, placed) = (orders + 1, placed + 1);
                    }
                }
                4..7 if 0 < orders => {
                    let of = format!("o{}", random.below(orders));
                    if let Outcome::OrderRefunded { refund, changed: true } =
                        shop.refunds(&format!("r{turn}"), &of, random.scope())
                    {
                        booked = shop.state.booked_by_refund(refund);
                        said.push((false, refund, booked.clone()));
                        let states: Vec<_> = shop.state.orders.refund_states(refund).collect();
                        lowered += usize::from(booked.periods.len() == states.len());
                        waited += usize::from(booked.periods.len() < states.len());
                        let is_later = states.iter().any(|(_, state)| state.is_later());
                        corrected += usize::from(is_later && booked.periods.len() == states.len());
                    }
                }
                7 => {
                    shop.outcome(Command::ClosePeriod(period));
                    // A step changes what it likes: only orders and refunds say what they booked.
                    let steps = [PeriodStep::Lock, PeriodStep::Unlock];
                    shop.steps(period, steps[random.below(2) as usize]);
                    continue;
                }
                8 if shop.state.period(period).unwrap().end.0 <= shop.time => {
                    shop.outcome(Command::ClosePeriod(period));
                    let is_first = (0..period.period).all(|before| {
                        shop.state.period(at(0, before)).unwrap().state() == crate::core::PeriodState::Posted
                    });
                    let state = shop.state.period(period).unwrap().state();
                    let takes_orders =
                        shop.state.period(at(0, newest - 1)).unwrap().takes_orders(Timestamp(shop.time));
                    if is_first && !state.is_locked() && newest != period.period + 1 && takes_orders {
                        shop.posts(period);
                    }
                    continue;
                }
                9 if newest < PERIODS => shop.opens(0, newest, (i64::from(newest) * 10, 10), 15),
                _ => {}
            }
            let after = own_sums(&shop.state);
            assert_eq!(difference(&before, &after), added(&shop.state, &booked), "turn {turn}");
        }
        compare_sums(&shop.state);
        let copy = restored(&shop.state);
        compare_sums(&copy);
        for (is_order, number, booked) in &said {
            for state in [&shop.state, &copy] {
                let now =
                    if *is_order { state.booked_by_order(*number) } else { state.booked_by_refund(*number) };
                assert_eq!(now, *booked, "it is said later too");
            }
        }
    }
    println!("{placed} placed, {lowered} lowered all, {waited} did not, {corrected} corrected");
    assert!(1_000 < placed && 100 < lowered && 50 < waited && 10 < corrected);
}

/// A walk that was begun before a period was locked says that it must be begun again; orders and refunds that
/// come meanwhile are left out.
#[test]
fn sums_are_those_of_the_moment_at_which_they_were_begun() {
    let mut shop = Shop::open(live(true), 0);
    for number in 0..20 {
        shop.places(order(&format!("o{number}"), 3, 3, vec![line(100, 100)]));
    }
    let begun = |shop: &Shop| shop.state.period_sums(MemberIx(0), at(0, 0), &[0, 1], &[MemberIx(1)]).unwrap();
    let mut sums = begun(&shop);
    shop.state.period_sums_step(&mut sums, 1).unwrap();
    assert!(!sums.is_over());
    shop.places(order("later", 3, 3, vec![line(7, 7)]));
    shop.refunds("r", "o0", RefundScope::Rest);
    let mut unfinished = sums.clone();
    while !sums.is_over() {
        shop.state.period_sums_step(&mut sums, 1).unwrap();
    }
    let summed = sums.of(1).unwrap();
    assert_eq!(
        (summed.sums.own, summed.sums.along[1].unwrap().group, &summed.legs[..]),
        (0, 2_000, &[2_000][..])
    );
    assert!(0 < sums.looked && sums.of(2).is_none());
    shop.time = 12;
    shop.closes(at(0, 0));
    shop.steps(at(0, 0), PeriodStep::Lock);
    assert!(shop.state.period_sums_step(&mut unfinished, 1).is_err());
    let mut again = begun(&shop);
    while !again.is_over() {
        shop.state.period_sums_step(&mut again, 1_000).unwrap();
    }
    assert_eq!(again.of(1).unwrap().sums.along[0].unwrap().group, 2_000 - 100 + 7);
    assert!(shop.state.period_sums(MemberIx(0), at(0, 9), &[0], &[]).is_none());
}
