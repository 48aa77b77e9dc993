//! `bench bonus`: triggers in the core (P11).

use super::{
    Args, Report, stop_if_asked,
    timing::{Stopwatch, rate},
};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    shapes::Shape,
    workload::{Apply, Network, referrals},
};

/// Members in the network; each gets triggers, ten million in all.
const MEMBERS: u32 = 1_000_000;
const TRIGGERS_EACH: u64 = 10;
/// Minimum triggers per second.
const LEAST: f64 = 2.0e6;
/// Maximum bytes per entry, including its share of the trigger's own record (P10).
const ENTRY_BYTES_MAX: f64 = 40.0;
/// Triggers generated and then applied together.
const BATCH: u64 = 65_536;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let plan = args.plan()?;
    let (members, shape) = (args.members(MEMBERS), args.shape(Shape::Real));
    let target = "P11: >= 2 M triggers/s, 10 M triggers of up to 4 levels; <= 40 bytes per entry (P10)";
    let mut report = args.report("bonus", target, members, shape, &plan);
    let triggers = u64::from(members) * TRIGGERS_EACH;
    report.param("triggers", triggers);
    let mut network = Network::grown(plan, shape, members, args.seed);
    let (lsn, before) = (network.state.lsn(), network.state.memory().ledger);
    let mut watch = Stopwatch::default();
    for first in (0..triggers).step_by(usize::try_from(BATCH).expect("a small number")) {
        stop_if_asked(interrupt)?;
        let batch = referrals(lsn, members, args.seed, first..triggers.min(first + BATCH));
        watch.time(|| network.apply(&batch));
    }
    let state = &network.state;
    let reached = rate(triggers, watch.took());
    let entry_bytes =
        (state.entries() != 0).then(|| (state.memory().ledger - before) as f64 / state.entries() as f64);
    report.figure("triggers_per_second", reached);
    watch.report(&mut report);
    report.figure("entries", state.entries());
    report.figure("entry_bytes", entry_bytes);
    report.digest = Some(network.digest().to_string());
    let lines = rate(state.entries(), written(state.entries(), members));
    report.limit("lines_appended_and_linked_per_second", lines);
    report.compare(rate(state.entries(), watch.took()), lines);
    report.judge(MEMBERS <= members, entry_bytes.map(|bytes| LEAST <= reached && bytes <= ENTRY_BYTES_MAX));
    Ok(vec![report])
}

/// The minimum work of a ledger per entry: append a line and link it to the last one of its receiver, which
/// is a random member.
fn written(entries: u64, members: u32) -> std::time::Duration {
    let mut newest = vec![u32::MAX; members as usize];
    let mut pick = crate::workload::Pick::of(members, 1);
    let mut watch = Stopwatch::default();
    let lines = watch.time(|| {
        let mut lines: Vec<[u32; 6]> = Vec::new();
        for entry in 0..entries {
            let number = u32::try_from(entry).expect("a ledger's entries have 32-bit numbers");
            let last = &mut newest[pick.member().at()];
            lines.push([number, 0, *last, number, 1, 0]);
            *last = number;
        }
        lines
    });
    std::hint::black_box(lines);
    watch.took()
}
