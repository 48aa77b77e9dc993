//! `bench orders`: orders in the core with live volumes kept (R5).

use super::{
    Args, Report, stop_if_asked,
    timing::{Stopwatch, rate},
};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    core::{plan::Plan, state_digest},
    shapes::Shape,
    workload::{self, Apply, Network, periods, shop_plan},
};

pub(super) const MEMBERS: u32 = 10_000_000;
const ORDERS: u32 = 2_000_000;
/// Minimum orders per second.
const LEAST: f64 = 500_000.0;
/// Orders generated and then applied together.
const BATCH: u64 = 65_536;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let (members, shape) = (args.members(MEMBERS), args.shape(Shape::Real));
    let plan = args.plan()?;
    let target = "R5: >= 500,000 orders/s with live volumes of two calendars, 10 M members";
    let mut report = args.report("orders", target, members, shape, &plan);
    let orders = number(members);
    report.param("orders", orders);
    let grown = |live| grown(args, shop_plan(plan.clone(), live), (members, shape));
    let mut network = grown(true);
    let image = workload::image(&network);
    let watch = place(args, &mut network, members, interrupt)?;
    let reached = rate(orders, watch.took());
    report.figure("orders_per_second", reached);
    watch.report(&mut report);
    report.figure("bytes_per_order_with_volumes", network.state.memory().orders as f64 / orders as f64);
    let digest = state_digest(&network.state);
    report.digest = Some(digest.to_string());
    drop(network);
    // As a server has it, which was started since: most of it is in huge pages.
    let mut network = workload::restored(image);
    let watch = place(args, &mut network, members, interrupt)?;
    report.figure("orders_per_second_after_a_start", rate(orders, watch.took()));
    assert_eq!(state_digest(&network.state), digest, "a network is the same after a start");
    drop(network);
    let mut network = grown(false);
    let watch = place(args, &mut network, members, interrupt)?;
    let limit = rate(orders, watch.took());
    report.limit("orders_without_volumes_per_second", limit);
    let on_core = watch.on_core().map(|time| time.as_secs_f64());
    report.limit("orders_without_volumes_on_core_seconds", on_core);
    report.figure("bytes_per_order", network.state.memory().orders as f64 / orders as f64);
    report.compare(reached, limit);
    report.judge(MEMBERS <= members, LEAST <= reached);
    Ok(vec![report])
}

/// The number of orders: with few members few, for the tests.
pub(super) fn number(members: u32) -> u64 {
    ORDERS.min(members).into()
}

/// A network with a period of each calendar open.
fn grown(args: &Args, plan: Plan, (members, shape): (u32, Shape)) -> Network {
    let mut network = Network::grown(plan, shape, members, args.seed);
    network.apply(&periods(network.state.lsn()));
    network
}

/// Places the orders. Only these are timed.
fn place(
    args: &Args,
    network: &mut Network,
    members: u32,
    interrupt: &Interrupt,
) -> Result<Stopwatch, Failure> {
    let number = number(members);
    let lsn = network.state.lsn();
    let mut watch = Stopwatch::default();
    for first in (0..number).step_by(usize::try_from(BATCH).expect("a small number")) {
        stop_if_asked(interrupt)?;
        let batch = workload::orders(lsn, members, args.seed, first..number.min(first + BATCH));
        watch.time(|| network.apply(&batch));
    }
    Ok(watch)
}

/// A network with its orders.
pub(super) fn placed(
    args: &Args,
    plan: Plan,
    (members, shape): (u32, Shape),
    interrupt: &Interrupt,
) -> Result<Network, Failure> {
    let mut network = grown(args, plan, (members, shape));
    place(args, &mut network, members, interrupt)?;
    Ok(network)
}
