//! `upline bench`: how fast this program is on this machine, and how close to its bounds.
//!
//! One file per bench. Each creates its network with [`crate::shapes`], does its work, measures the bound of
//! that work in the same run, and reports with the digest of the result. Benches that need the whole program
//! run it in a separate process. `BENCHMARKS.md` lists what each measures and its target.

use clap::ValueEnum;

use self::report::Report;
use super::{
    exit::{Exit, Failure},
    interrupt::Interrupt,
    scratch::Scratch,
    screen,
};
use crate::{core::plan::Plan, plan_file, shapes::Shape};

mod bonus;
mod child;
mod disk;
mod export;
mod http;
mod import;
mod mem;
mod on_disk;
mod orders;
mod place;
mod plain_arena;
mod processes;
mod ranks;
mod reads;
mod recover;
mod report;
mod snapshot;
mod timing;
mod volumes;

/// The largest network of a bench: ten times the largest supported network.
const MEMBERS_MAX: u32 = 100_000_000;
/// Maximum duration of a timed bench.
const SECONDS_MAX: u64 = 3_600;

/// Measures one thing, and what bounds it.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// What to measure
    #[arg(value_enum, value_name = "NAME")]
    name: Name,
    /// Members of the network [default: as the target of the bench has it]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=i64::from(MEMBERS_MAX)))]
    members: Option<u32>,
    /// Shape of the sponsor tree [default: as the target has it]
    #[arg(long, value_enum)]
    shape: Option<Shape>,
    /// Width of the placement tree [default: that of plans/matrix.toml, 3]
    #[arg(long, value_name = "W", value_parser = clap::value_parser!(u16).range(1..))]
    width: Option<u16>,
    /// The same seed gives the same network
    #[arg(long, value_name = "K", default_value_t = 1)]
    seed: u64,
    /// How long to measure, where that is a matter of time [default: 10]
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: Option<u64>,
    /// Where files go, for benches that write: on the disk to be measured [default: the system's temporary
    /// directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
    /// One JSON object for each target, on a line of its own
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Name {
    /// Signups in the core, one thread (P1; P2 with --shape chain)
    Place,
    /// CSV files into an empty directory, durable at the end (P7)
    Import,
    /// Snapshots on the real disk, idle and while members sign up (P8)
    Snapshot,
    /// From the start of the program to serving, and the log alone (P9)
    Recover,
    /// A whole downline as NDJSON from a server of its own (P12)
    Export,
    /// Bonus triggers in the core, one thread (P11)
    Bonus,
    /// Orders in the core with live volumes of two calendars, one thread (R5)
    Orders,
    /// Live volumes of members and a top list, read in the core (R5)
    Volumes,
    /// All ranks and counts from scratch, one thread and two (P6)
    Ranks,
    /// Questions about one member through the engine, without HTTP (P5)
    Reads,
    /// Resident memory per member (P10)
    Mem,
    /// Durable signups and reads over HTTP, beside a stub that only does what nobody can leave out (P3, P4,
    /// P5)
    Http,
    /// Durable signups over HTTP while others ask for what costs much
    Guard,
}

impl Args {
    fn members(&self, default: u32) -> u32 {
        self.members.unwrap_or(default)
    }

    fn shape(&self, default: Shape) -> Shape {
        self.shape.unwrap_or(default)
    }

    /// A scratch folder on the disk to be measured, removed on drop.
    fn scratch(&self) -> Result<Scratch, Failure> {
        Scratch::new(self.dir.as_deref(), "upline-bench-", "--dir")
    }

    /// Returns the default plan with the requested width.
    fn plan(&self) -> Result<Plan, Failure> {
        let mut plan = plan_file::default_plan();
        if let Some(width) = self.width {
            plan.placement.width = Some(width);
            let complaint = |errors: Vec<crate::core::plan::PlanError>| {
                let reasons: Vec<String> =
                    errors.iter().map(|error| format!("{}: {}", error.field, error.reason)).collect();
                Failure::new(
                    Exit::Config,
                    format!("the plan does not go with width {width}: {}", reasons.join("; ")),
                )
            };
            plan.validate().map_err(complaint)?;
        }
        Ok(plan)
    }

    /// Returns a report with the parameters of the network.
    fn report(
        &self,
        bench: &'static str,
        target: impl Into<String>,
        members: u32,
        shape: Shape,
        plan: &Plan,
    ) -> Report {
        let mut report = Report::new(bench, target);
        report.param("members", members);
        report.param("shape", shape.name());
        report.param("width", plan.placement.width);
        report.param("seed", self.seed);
        report
    }
}

pub(super) use self::http::stub::{Args as StubArgs, run as run_stub};

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let reports = match args.name {
        Name::Place => place::run(args, &interrupt)?,
        Name::Import => import::run(args, &interrupt)?,
        Name::Snapshot => snapshot::run(args, &interrupt)?,
        Name::Recover => recover::run(args, &interrupt)?,
        Name::Export => export::run(args, &interrupt)?,
        Name::Bonus => bonus::run(args, &interrupt)?,
        Name::Orders => orders::run(args, &interrupt)?,
        Name::Volumes => volumes::run(args, &interrupt)?,
        Name::Ranks => ranks::run(args, &interrupt)?,
        Name::Reads => reads::run(args, &interrupt)?,
        Name::Mem => mem::run(args, &interrupt)?,
        Name::Http => http::run(args, &interrupt)?,
        Name::Guard => http::guard::run(args, &interrupt)?,
    };
    for report in reports {
        let object = serde_json::to_value(&report).map_err(|error| Failure::new(Exit::Failed, error))?;
        screen::say_result(args.json, &object, || report.in_words())?;
    }
    Ok(())
}

/// Fails if the bench was told to stop.
fn stop_if_asked(interrupt: &Interrupt) -> Result<(), Failure> {
    if interrupt.asked() { Err(Failure::interrupted("nothing was measured")) } else { Ok(()) }
}
