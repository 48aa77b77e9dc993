//! `bench mem`: resident bytes per member (P10).

use super::{Args, Report, processes, stop_if_asked};
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    shapes::Shape,
    workload::{Apply, Network, Signups},
};

const MEMBERS: u32 = 10_000_000;
/// Maximum resident bytes per member, including both trees, counts and id.
const MEMBER_BYTES_MAX: f64 = 170.0;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let plan = args.plan()?;
    let (members, shape) = (args.members(MEMBERS), args.shape(Shape::Real));
    let target = "P10: <= 170 resident bytes per member, 10 M members, no bonuses, no view";
    let mut report = args.report("mem", target, members, shape, &plan);
    let resident = || processes::resident_bytes(std::process::id());
    let before = resident();
    let mut signups = Signups::new(shape, members, args.seed);
    // Without reserved capacity: like a network that grows to an unknown size.
    let mut network = Network::empty(plan, 0);
    loop {
        stop_if_asked(interrupt)?;
        let batch = signups.batch();
        if batch.is_empty() {
            break;
        }
        network.apply(&batch);
    }
    drop(signups);
    let per_member = |bytes: usize| bytes as f64 / f64::from(members);
    let memory = network.state.memory();
    for (name, bytes) in [
        ("members_bytes", memory.members),
        ("links_bytes", memory.links),
        ("counts_bytes", memory.counts),
        ("slots_bytes", memory.slots),
        ("codes_bytes", memory.codes),
        ("ledger_bytes", memory.ledger),
        ("requests_bytes", memory.requests),
        ("others_bytes", memory.others),
        ("directory_bytes", network.directory.bytes()),
    ] {
        report.figure(name, per_member(bytes));
    }
    // A network that fits into memory the process already held shows no growth.
    let grown = before
        .zip(resident())
        .map(|(before, after)| after.saturating_sub(before))
        .filter(|grown| *grown != 0);
    if let Some(grown) = grown {
        let reached = per_member(usize::try_from(grown).unwrap_or(usize::MAX));
        report.figure("resident_bytes", reached);
        report.met = (MEMBERS <= members).then_some(reached <= MEMBER_BYTES_MAX);
        let least = 16.0 + 8.0 + 2.0 * 4.0;
        report.limit("id_time_and_two_parents_bytes", least);
        report.compare(least, reached);
    } else {
        report.figure("resident_bytes", None::<f64>);
    }
    report.digest = Some(network.digest().to_string());
    Ok(vec![report])
}
