//! `bench volumes`: reading live volumes in the core (R5, second half).

use std::{cmp::Reverse, collections::BinaryHeap, hint::black_box, time::Duration};

use super::{
    Args, Report, orders, stop_if_asked,
    timing::{Latencies, Stopwatch, micros},
};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    core::{
        command::PeriodRef,
        state::State,
        state_digest,
        types::{MemberIx, Tree},
    },
    shapes::Shape,
    workload::{Pick, shop_plan},
};

const READS: u32 = 200_000;
/// The 99th percentile of reading all volumes of a member.
const READ_MAX: Duration = Duration::from_micros(50);
/// Legs whose groups are read, at most: those of a unilevel plan may be many.
const LEGS: usize = 16;
/// The groups of a top list.
const TOP: usize = 100;
/// The volume that [`shop_plan`] keeps live.
const PV: u8 = 1;

/// A reading of volumes of a member, with its name.
type Reading = (&'static str, fn(&State, MemberIx));

/// Each of both calendars. The last one is all of them: what an answer about a member's volumes has.
const READINGS: [Reading; 3] = [
    ("own_group_and_levels", own_group_and_levels),
    ("groups_of_legs", groups_of_legs),
    ("volumes", |state, member| {
        own_group_and_levels(state, member);
        groups_of_legs(state, member);
    }),
];

fn calendars() -> impl Iterator<Item = PeriodRef> {
    (0..2).map(|calendar| PeriodRef { calendar, period: 0 })
}

/// Along both trees.
fn own_group_and_levels(state: &State, member: MemberIx) {
    calendars().for_each(|period| _ = black_box(state.live_sums(period, PV, member)));
}

fn groups_of_legs(state: &State, member: MemberIx) {
    for leg in state.children(Tree::Placement, member).take(LEGS) {
        calendars().for_each(|period| _ = black_box(state.live_group(period, PV, Tree::Placement, leg)));
    }
}

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let (members, shape) = (args.members(orders::MEMBERS), args.shape(Shape::Real));
    let plan = args.plan()?;
    let target =
        "R5: p99 <= 50 us for own, group, levels and legs of a member in two calendars, 10 M members";
    let mut report = args.report("volumes", target, members, shape, &plan);
    report.param("orders", orders::number(members));
    let reads = READS.min(members);
    report.param("reads", reads);
    let network = orders::placed(args, shop_plan(plan, true), (members, shape), interrupt)?;
    let state = &network.state;
    let mut all = None;
    for (name, read) in READINGS {
        stop_if_asked(interrupt)?;
        let mut pick = Pick::of(members, args.seed);
        let latencies = Latencies::measure(reads, || read(state, pick.member()));
        report.figure(&format!("{name}_p50_us"), latencies.micros_at(0.5));
        report.figure(&format!("{name}_p99_us"), latencies.micros_at(0.99));
        all = latencies.at(0.99);
    }
    let mut watch = Stopwatch::default();
    let largest = watch.time(|| top(state, members));
    stop_if_asked(interrupt)?;
    report.figure("top_list_seconds", watch.took().as_secs_f64());
    report.figure("top_list_groups", largest);
    let mut pick = Pick::of(members, args.seed);
    let nothing = Latencies::measure(reads, || _ = black_box(pick.member()));
    report.limit("looking_at_the_clock_p99_us", nothing.micros_at(0.99));
    report.compare(nothing.micros_at(0.99), all.map(micros));
    report.digest = Some(state_digest(state).to_string());
    report.judge(orders::MEMBERS <= members, all.map(|p99| p99 <= READ_MAX));
    Ok(vec![report])
}

/// The number of largest groups in the placement tree, found by looking at all members, as a top list does.
fn top(state: &State, members: u32) -> usize {
    let period = PeriodRef { calendar: 0, period: 0 };
    let mut largest = BinaryHeap::with_capacity(TOP + 1);
    for member in (0..members).map(MemberIx) {
        let group = state.live_group(period, PV, Tree::Placement, member).unwrap_or(0);
        if 0 < group {
            largest.push(Reverse((group, Reverse(member.0))));
            if TOP < largest.len() {
                largest.pop();
            }
        }
    }
    black_box(largest).len()
}
