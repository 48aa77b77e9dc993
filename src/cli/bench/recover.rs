//! `bench recover`: from program start to serving, with the files in the page cache; and log replay alone,
//! against signups in the core (P9).

use std::time::{Duration, Instant};

use super::{Args, Report, child::Child, disk, on_disk, stop_if_asked, timing::rate};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
    },
    core::{network_digest, plan::Plan},
    durability::storage::Disk,
    engine,
    shapes::Shape,
    workload::Apply,
    workload::{Network, Signups},
};

const MEMBERS: u32 = 10_000_000;
const LONGEST: Duration = Duration::from_millis(2_500);
/// Members whose signups are in the log: as many as P1 uses.
const LOGGED: u32 = 4_000_000;
/// Minimum share of the rate of signups in the core.
const REPLAY_SHARE_MIN: f64 = 0.7;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let (shape, plan) = (args.shape(Shape::Real), args.plan()?);
    Ok(vec![from_snapshot(args, shape, &plan, interrupt)?, from_log(args, shape, &plan, interrupt)?])
}

fn from_snapshot(args: &Args, shape: Shape, plan: &Plan, interrupt: &Interrupt) -> Result<Report, Failure> {
    let members = args.members(MEMBERS);
    let target =
        "P9: 10 M members, files in the page cache: <= 2.5 s from the start of the process to serving";
    let mut report = args.report("recover", target, members, shape, plan);
    report.param("from", "snapshot");
    let scratch = args.scratch()?;
    let digest =
        on_disk::write(&on_disk::grown(plan, shape, members, args.seed, interrupt)?, &scratch.data_dir())?;
    let (bytes, read_rate) = disk::read_rate(&disk::largest_file(&scratch.data_dir().join("snapshots"))?)?;
    let (server, address) = Child::serve(scratch.folder(), &scratch.data_dir(), interrupt)?;
    let config = ureq::Agent::config_builder().proxy(None).timeout_global(Some(LONGEST)).build();
    let agent: ureq::Agent = config.into();
    let unready =
        |error: ureq::Error| Failure::new(Exit::Failed, format!("the server is not ready: {error}"));
    let get = |path: &str| agent.get(format!("http://{address}{path}")).call();
    get("/readyz").map_err(unready)?;
    let took = server.age();
    let metrics =
        get("/metrics").and_then(|mut answer| answer.body_mut().read_to_string()).map_err(unready)?;
    let metric =
        |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    if metric("upline_members ") != Some(members.into()) {
        return Err(Failure::new(Exit::Failed, "the server has not all members"));
    }
    report.figure("seconds", took.as_secs_f64());
    report.figure("members_per_second", rate(members.into(), took));
    if let Some(seconds) = metric("upline_recovery_seconds ") {
        report.figure("opening_seconds", seconds);
    }
    if let Some(resident) = server.resident_bytes() {
        report.figure("resident_bytes", resident);
    }
    report.figure("snapshot_bytes", bytes);
    // Before it was ready, the server compared the rebuilt state with its full digest.
    report.digest = Some(digest.to_string());
    report.limit("cached_read_bytes_per_second", read_rate);
    report.limit("cached_read_seconds", bytes as f64 / read_rate);
    report.compare(bytes as f64 / read_rate, took.as_secs_f64());
    report.met = (members == MEMBERS && shape == Shape::Real).then_some(took <= LONGEST);
    Ok(report)
}

/// Measures all signups from the log, and the same signups in the core.
fn from_log(args: &Args, shape: Shape, plan: &Plan, interrupt: &Interrupt) -> Result<Report, Failure> {
    let members = args.members(MEMBERS).min(LOGGED);
    let target = "P9: log replay at >= 70% of the rate of signups in the core";
    let mut report = args.report("recover", target, members, shape, plan);
    report.param("from", "log");
    let scratch = args.scratch()?;
    let path = scratch.data_dir();
    drop(on_disk::write_log(plan, shape, members, args.seed, &path, interrupt)?);
    let loaded = engine::load(&Disk::shared(), &path, &mut |_| {})?;
    if loaded.report.replayed != u64::from(members) {
        return Err(Failure::new(Exit::Failed, format!("{} commands were replayed", loaded.report.replayed)));
    }
    let reached = rate(members.into(), loaded.report.duration);
    report.figure("replayed_per_second", reached);
    report.figure("seconds", loaded.report.duration.as_secs_f64());
    report.digest = Some(network_digest(&loaded.state).to_string());
    drop(loaded);
    let limit = rate(members.into(), applied_in(plan, shape, members, args.seed, interrupt)?);
    report.limit("signups_in_the_core_per_second", limit);
    report.compare(reached, limit);
    report.met = (members == LOGGED && shape == Shape::Real).then_some(REPLAY_SHARE_MIN * limit <= reached);
    Ok(report)
}

/// Measures the signups in the core, without building the commands.
fn applied_in(
    plan: &Plan,
    shape: Shape,
    members: u32,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<Duration, Failure> {
    let mut network = Network::empty(plan.clone(), 0);
    let mut signups = Signups::new(shape, members, seed);
    let mut took = Duration::ZERO;
    loop {
        stop_if_asked(interrupt)?;
        let batch = signups.batch();
        if batch.is_empty() {
            return Ok(took);
        }
        let started = Instant::now();
        network.apply(&batch);
        took += started.elapsed();
    }
}
