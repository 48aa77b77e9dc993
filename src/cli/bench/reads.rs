//! `bench reads`: single-member queries through the engine, without HTTP (P5, second half).

use std::{hint::black_box, time::Duration};

use super::{
    Args, Report, on_disk, stop_if_asked,
    timing::{Latencies, micros},
};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    engine::{Engine, EngineOptions, PlanChoice, SnapshotPolicy},
    metrics::Metrics,
    shapes::{Shape, member_id},
    workload::{Apply, Pick, QUERIES, referrals},
};

const MEMBERS: u32 = 10_000_000;
/// Calls per query.
const CALLS: u32 = 1_000_000;
const P99_MAX: Duration = Duration::from_micros(50);

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let plan = args.plan()?;
    let (members, shape) = (args.members(MEMBERS), args.shape(Shape::Real));
    let target = "P5: p99 <= 50 us over 10^6 random calls of each single-member query, 10 M members";
    let mut report = args.report("reads", target, members, shape, &plan);
    // With few members, few calls, for the tests.
    let calls = if members < CALLS { members } else { CALLS };
    report.param("calls", calls);
    let scratch = args.scratch()?;
    let mut network = on_disk::grown(&plan, shape, members, args.seed, interrupt)?;
    network.apply(&referrals(network.state.lsn(), members, args.seed, 0..members.into()));
    on_disk::write(&network, &scratch.data_dir())?;
    drop(network);
    let choice = PlanChoice { plan, plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(scratch.data_dir(), choice, Metrics::new(&[]));
    options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
    let (engine, _) = Engine::open(options)?;
    let mut worst = Some(Duration::ZERO);
    for (name, query) in QUERIES {
        stop_if_asked(interrupt)?;
        let mut pick = Pick::of(members, args.seed);
        let latencies = Latencies::measure(calls, || {
            let (member, other) = (pick.member(), pick.member());
            query(&engine, member, member_id(args.seed, member.0), other);
        });
        let name = name.replace(", ", "_").replace(' ', "_");
        report.figure(&format!("{name}_p50_us"), latencies.micros_at(0.5));
        report.figure(&format!("{name}_p99_us"), latencies.micros_at(0.99));
        worst = worst.zip(latencies.at(0.99)).map(|(worst, p99)| worst.max(p99));
    }
    let nothing = Latencies::measure(calls, || {
        let mut pick = Pick::of(members, args.seed);
        black_box(member_id(args.seed, pick.member().0));
    });
    report.limit("making_an_id_and_looking_at_the_clock_p99_us", nothing.micros_at(0.99));
    report.figure("worst_p99_us", worst.map(micros));
    report.compare(nothing.micros_at(0.99), worst.map(micros));
    report.digest = Some(engine.digests().state.to_string());
    report.judge(MEMBERS <= members, worst.map(|worst| worst <= P99_MAX));
    engine.shutdown();
    Ok(vec![report])
}
