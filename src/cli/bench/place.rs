//! `bench place`: signups in the core (P1), and how little depth matters (P2).

use std::time::{Duration, Instant};

use super::{
    Args, Report, plain_arena, stop_if_asked,
    timing::{Latencies, Stopwatch, micros, nanos, rate},
};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    core::{
        plan::Plan,
        state::Directory,
        types::{MemberIx, NONE, Tree},
    },
    engine::MemberDirectory,
    shapes::Shape,
    workload::{Apply, Network, Numbers, Signups},
};

/// Members of the network in P1, and depth of the chain in P2.
const MEMBERS: u32 = 4_000_000;
const DEPTH: u32 = 1_000_000;

/// Minimum members per second.
const ROOT_MIN: f64 = 1.6e6;
const REAL_MIN: f64 = 0.9e6;
const OTHERS_MIN: f64 = 0.8e6;
/// Minimum share of the rate with uniform sponsors.
const CHAIN_SHARE_MIN: f64 = 0.8;
const CHAIN_LONGEST: Duration = Duration::from_micros(100);

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let plan = args.plan()?;
    let report = if args.shape == Some(Shape::Chain) {
        depth(args, &plan, interrupt)?
    } else {
        rates(args, &plan, interrupt)?
    };
    Ok(vec![report])
}

/// Measures all signups of one shape, and the plain arena with the same parents.
fn rates(args: &Args, plan: &Plan, interrupt: &Interrupt) -> Result<Report, Failure> {
    let shape = args.shape(Shape::Uniform);
    let members = args.members(MEMBERS);
    let least = match shape {
        Shape::Root => ROOT_MIN,
        Shape::Real => REAL_MIN,
        _ => OTHERS_MIN,
    };
    let mut report = args.report(
        "place",
        format!("P1: >= {} M signups/s, 4 M members, width 3", least / 1e6),
        members,
        shape,
        plan,
    );
    let numbers = Network::with_directory(plan.clone(), Numbers::default());
    let core = Placed::new(numbers, Signups::numbered(shape, members, args.seed), interrupt)?;
    report.figure("without_ids_per_second", rate(members.into(), core.watch.took()));
    report.figure("without_ids_on_core_seconds", core.watch.on_core().map(|time| time.as_secs_f64()));
    drop(core);
    let placed = Placed::new(
        Network::empty(plan.clone(), members),
        Signups::new(shape, members, args.seed),
        interrupt,
    )?;
    let reached = rate(members.into(), placed.watch.took());
    report.figure("signups_per_second", reached);
    placed.watch.report(&mut report);
    report.figure("depth", placed.network.state.depth());
    report.digest = Some(placed.network.digest().to_string());
    let parents: Vec<u32> = (0..members).map(|member| placed.parent(MemberIx(member))).collect();
    drop(placed);
    let limit = rate(members.into(), plain(&parents));
    report.limit("plain_arena_per_second", limit);
    report.compare(reached, limit);
    let is_asked = members == MEMBERS
        && plan.placement.width == Some(3)
        && matches!(shape, Shape::Root | Shape::Uniform | Shape::Real);
    report.met = is_asked.then_some(least <= reached);
    Ok(report)
}

/// Measures a chain against uniform sponsors in a network of the same size, and each signup at its end
/// separately.
fn depth(args: &Args, plan: &Plan, interrupt: &Interrupt) -> Result<Report, Failure> {
    let members = args.members(DEPTH);
    let target =
        "P2: a chain of 10^6 at >= 80% of the uniform rate, a single signup there (p99) under 100 us";
    let mut report = args.report("place", target, members, Shape::Chain, plan);
    let place = |shape| {
        Placed::new(Network::empty(plan.clone(), members), Signups::new(shape, members, args.seed), interrupt)
    };
    let uniform = rate(members.into(), place(Shape::Uniform)?.watch.took());
    let chain = place(Shape::Chain)?;
    let reached = rate(members.into(), chain.watch.took());
    report.figure("signups_per_second", reached);
    report.figure("depth", chain.network.state.depth());
    report.digest = Some(chain.network.digest().to_string());
    let single = at_the_end(chain.network, members, args.seed);
    report.figure("single_p50_us", single.micros_at(0.5));
    report.figure("single_p99_us", single.micros_at(0.99));
    report.figure("single_longest_us", single.longest().map(micros));
    report.limit("uniform_per_second", uniform);
    report.compare(reached, uniform);
    let keeps = single.at(0.99).map(|p99| CHAIN_SHARE_MIN * uniform <= reached && p99 < CHAIN_LONGEST);
    report.judge(DEPTH <= members, keeps);
    Ok(report)
}

/// Signs up ten thousand more at the end of the chain, each timed separately.
fn at_the_end(mut network: Network, members: u32, seed: u64) -> Latencies {
    const MORE: u32 = 10_000;
    let mut signups = Signups::new(Shape::Chain, members + MORE, seed);
    let mut times = Vec::with_capacity(MORE as usize);
    loop {
        let batch = signups.batch();
        if batch.is_empty() {
            return Latencies::of(times);
        }
        for command in batch.iter().filter(|command| u64::from(members) < command.lsn) {
            let started = Instant::now();
            network.apply(std::slice::from_ref(command));
            times.push(nanos(started.elapsed()));
        }
    }
}

fn plain(parents: &[u32]) -> Duration {
    let started = Instant::now();
    std::hint::black_box(plain_arena::place(parents));
    started.elapsed()
}

/// A network, and the duration of its signups without building their commands.
struct Placed<D: Directory = MemberDirectory> {
    network: Network<D>,
    watch: Stopwatch,
}

impl<D: Directory> Placed<D>
where
    Network<D>: Apply,
{
    fn new(mut network: Network<D>, mut signups: Signups, interrupt: &Interrupt) -> Result<Self, Failure> {
        let mut watch = Stopwatch::default();
        loop {
            stop_if_asked(interrupt)?;
            let batch = signups.batch();
            if batch.is_empty() {
                return Ok(Self { network, watch });
            }
            watch.time(|| network.apply(&batch));
        }
    }

    fn parent(&self, member: MemberIx) -> u32 {
        self.network.state.upline(Tree::Placement, member).next().map_or(NONE, |parent| parent.0)
    }
}
