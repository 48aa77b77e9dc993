//! `bench ranks`: all ranks and counts from scratch, on one thread and on all (P6).

use std::time::{Duration, Instant};

use super::{Args, Report};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    core::{
        on_threads, recomputed_ranks, recomputed_ranks_from, recounted,
        state::State,
        types::{MemberIx, NONE, Tree},
    },
    shapes::Shape,
    workload::Network,
};

const MEMBERS: u32 = 10_000_000;
/// Maximum for networks whose parents are random, and for those filled in order.
const LONGEST: Duration = Duration::from_millis(500);
const LONGEST_IN_ORDER: Duration = Duration::from_millis(200);
/// Minimum speedup from a second core.
const SPEEDUP_MIN: f64 = 1.5;
const THREADS: usize = 2;
/// Each time is the best of this many, to exclude other load on the machine.
const TRIES: usize = 3;

pub(super) fn run(args: &Args, _interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let plan = args.plan()?;
    let (members, shape) = (args.members(MEMBERS), args.shape(Shape::Uniform));
    let longest = if shape == Shape::Root { LONGEST_IN_ORDER } else { LONGEST };
    let target = format!(
        "P6: all of 10 M in <= {} ms on one thread, two threads <= one / 1.5, the same as kept",
        longest.as_millis()
    );
    let mut report = args.report("ranks", target, members, shape, &plan);
    let network = Network::grown(plan, shape, members, args.seed);
    let state = &network.state;
    let one = best(|| on_threads(1, || recompute(state)));
    let two = best(|| on_threads(THREADS, || recompute(state)));
    let speedup = one.as_secs_f64() / two.as_secs_f64();
    report.figure("one_thread_ms", one.as_secs_f64() * 1e3);
    report.figure("two_threads_ms", two.as_secs_f64() * 1e3);
    report.figure("speedup", speedup);
    let differences = differences(state);
    report.figure("differences", differences);
    report.digest = Some(network.digest().to_string());
    let parents: Vec<u32> = (0..members)
        .map(|member| state.upline(Tree::Placement, MemberIx(member)).next().map_or(NONE, |parent| parent.0))
        .collect();
    let limit = best(|| sizes(&parents));
    report.limit("downlines_of_a_plain_array_ms", limit.as_secs_f64() * 1e3);
    report.compare(limit.as_secs_f64(), two.as_secs_f64());
    report.met = (MEMBERS <= members).then_some(one <= longest && SPEEDUP_MIN <= speedup && differences == 0);
    Ok(vec![report])
}

fn recompute(state: &State) -> usize {
    let rule = &state.plan().ranks;
    let counts = recounted(state, rule.tree());
    recomputed_ranks_from(state, rule, &counts).len()
}

fn best<R>(mut work: impl FnMut() -> R) -> Duration {
    let once = || {
        let started = Instant::now();
        std::hint::black_box(work());
        started.elapsed()
    };
    std::iter::repeat_with(once).take(TRIES).min().expect("tried more than once")
}

/// Returns the number of members whose stored rank or counts differ from the recomputed ones.
fn differences(state: &State) -> u64 {
    let (ranks, counts) = (recomputed_ranks(state), recounted(state, Tree::Placement));
    let is_same = |member: MemberIx| {
        state.paid_as(member) == ranks[member.at()]
            && state.downline(Tree::Placement, member) == Some(counts.downline(member))
            && state.levels(Tree::Placement, member) == Some(counts.levels(member))
    };
    (0..state.len()).filter(|member| !is_same(MemberIx(*member))).count() as u64
}

/// The minimum work of a recount: the size of each downline, from an array of parents alone.
fn sizes(parents: &[u32]) -> Vec<u32> {
    let mut sizes = vec![0_u32; parents.len()];
    for (member, parent) in parents.iter().enumerate().rev() {
        let below = sizes[member] + 1;
        if let Some(size) = sizes.get_mut(*parent as usize) {
            *size += below;
        }
    }
    sizes
}
