//! `bench orders`: orders in the core with live volumes kept, and reading them (R5).

use std::{hint::black_box, time::Duration};

use super::{
    Args, Report, stop_if_asked,
    timing::{Latencies, Stopwatch, rate},
};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    core::{
        command::PeriodRef,
        plan::Plan,
        state_digest,
        types::{MemberIx, Tree},
    },
    shapes::Shape,
    workload::{Apply, Network, Pick, orders, periods, shop_plan},
};

const MEMBERS: u32 = 10_000_000;
const ORDERS: u64 = 2_000_000;
/// Minimum orders per second.
const LEAST: f64 = 500_000.0;
/// The 99th percentile of reading the own, group and level volumes of a member in both trees.
const READ_MAX: Duration = Duration::from_micros(50);
const READS: u32 = 200_000;
/// Orders generated and then applied together.
const BATCH: u64 = 65_536;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let (members, shape) = (args.members(MEMBERS), args.shape(Shape::Real));
    let plan = args.plan()?;
    let target = "R5: >= 500,000 orders/s with live volumes of two calendars, 10 M members; read in 50 us";
    let mut report = args.report("orders", target, members, shape, &plan);
    report.param("orders", ORDERS);
    let (network, watch) = placed(args, shop_plan(plan.clone(), true), members, shape, interrupt)?;
    let reached = rate(ORDERS, watch.took());
    report.figure("orders_per_second", reached);
    watch.report(&mut report);
    let memory = network.state.memory();
    report.figure("bytes_per_order_with_volumes", memory.orders as f64 / ORDERS as f64);
    report.digest = Some(state_digest(&network.state).to_string());
    let reads = read(&network, members, args.seed);
    report.figure("read_p50_us", reads.micros_at(0.5));
    report.figure("read_p99_us", reads.micros_at(0.99));
    drop(network);
    let (network, watch) = placed(args, shop_plan(plan, false), members, shape, interrupt)?;
    let limit = rate(ORDERS, watch.took());
    report.limit("orders_without_volumes_per_second", limit);
    report.figure("bytes_per_order", network.state.memory().orders as f64 / ORDERS as f64);
    report.compare(reached, limit);
    let keeps = reads.at(0.99).map(|p99| LEAST <= reached && p99 <= READ_MAX);
    report.judge(MEMBERS <= members, keeps);
    Ok(vec![report])
}

/// Grows a network, opens a period of each calendar, and places all orders.
fn placed(
    args: &Args,
    plan: Plan,
    members: u32,
    shape: Shape,
    interrupt: &Interrupt,
) -> Result<(Network, Stopwatch), Failure> {
    let mut network = Network::grown(plan, shape, members, args.seed);
    network.apply(&periods(network.state.lsn()));
    let lsn = network.state.lsn();
    let mut watch = Stopwatch::default();
    for first in (0..ORDERS).step_by(usize::try_from(BATCH).expect("a small number")) {
        stop_if_asked(interrupt)?;
        let batch = orders(lsn, members, args.seed, first..ORDERS.min(first + BATCH));
        watch.time(|| network.apply(&batch));
    }
    Ok((network, watch))
}

/// Times the live volumes of random members in both calendars, along both trees.
fn read(network: &Network, members: u32, seed: u64) -> Latencies {
    let mut pick = Pick::of(members, seed);
    let volumes = |member: MemberIx| {
        for calendar in 0..2 {
            let period = PeriodRef { calendar, period: 0 };
            black_box(network.state.live_sums(period, 1, member));
            black_box(network.state.live_group(period, 1, Tree::Placement, member));
        }
    };
    Latencies::measure(READS, || volumes(pick.member()))
}
