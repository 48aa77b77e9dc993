//! `bench guard`: signup latency under concurrent expensive queries.
//!
//! Signups arrive in an open loop, at a rate far below the peak, on their own connections; 64 other
//! connections send heavy queries in a closed loop, answered or refused. Rounds with and without them
//! alternate, so that drift of the machine affects both.

use rand_pcg::{Pcg64, rand_core::RngCore};
use uuid::Uuid;

use super::{
    Bench, Pace, READ_CONNECTIONS, Side, WARM_UP, Who, ask, failed,
    groups::metric,
    requests::{Facts, Heavy, Kind},
};
use crate::cli::{
    bench::{Args, Report},
    exit::{Exit, Failure},
    interrupt::Interrupt,
};

/// Rounds per query, with and without it.
const TURNS: u32 = 3;
/// Signups per second: a busy day's rate, and far from the peak.
const SIGNUPS_PER_SECOND: f64 = 1_000.0;
const SIGNUP_CONNECTIONS: usize = 64;
/// The target: signup p99 under heavy queries, relative to p99 without them.
const P99_FACTOR_MAX: f64 = 2.0;

pub(in super::super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let mut bench = Bench::begin(args, interrupt)?;
    let signups = (Kind::Signups, SIGNUP_CONNECTIONS, Pace::Open { per_second: SIGNUPS_PER_SECOND });
    let mut warm = Side::default();
    bench.turn(Who::Server, &[signups], WARM_UP * 3, &mut [&mut warm])?;
    bench.learn_facts()?;
    let mut reports = Vec::new();
    for question in Heavy::ALL {
        let asked = (Kind::Heavy(question), READ_CONNECTIONS, Pace::Closed);
        let (mut alone, mut loaded, mut heavy) = (Side::default(), Side::default(), Side::default());
        let turn = bench.lasting / TURNS;
        for _ in 0..TURNS {
            bench.turn(Who::Server, &[signups], turn, &mut [&mut alone])?;
            bench.turn(Who::Server, &[signups, asked], turn, &mut [&mut loaded, &mut heavy])?;
        }
        let target = format!(
            "guard: signup p99 during {} on 64 connections at most twice that without",
            question.shown()
        );
        let mut report = bench.report(&target, READ_CONNECTIONS)?;
        report.bench = "guard";
        report.param("route", question.shown());
        report.param("signups_per_second", SIGNUPS_PER_SECOND);
        report.param("signup_connections", SIGNUP_CONNECTIONS);
        report.figure("signup_p50_us", loaded.at(0.5));
        report.figure("signup_p99_us", loaded.at(0.99));
        report.figure("heavy_per_second", heavy.rate());
        report.figure("heavy_answers", heavy.answers);
        report.figure("heavy_refused", heavy.refused);
        report.limit("signup_p50_us", alone.at(0.5));
        report.limit("signup_p99_us", alone.at(0.99));
        report.limit("generator_late_p99_us", loaded.late(0.99));
        report.compare(alone.at(0.99), loaded.at(0.99));
        let keeps =
            loaded.at(0.99).zip(alone.at(0.99)).map(|(loaded, alone)| loaded <= P99_FACTOR_MAX * alone);
        report.judge(bench.is_asked(), keeps);
        reports.push(report);
    }
    let (members, verified) = bench.verify()?;
    for report in &mut reports {
        report.figure("members_after", members);
        report.figure("verified", verified);
        report.digest = Some(bench.digest.clone());
    }
    Ok(reports)
}

impl Bench<'_> {
    /// Collects the parameters of heavy queries: bonuses of the first member, and retained LSNs.
    fn learn_facts(&mut self) -> Result<(), Failure> {
        let address = self.serving(Who::Server).address;
        let text = ask(address, "/metrics").map_err(failed)?;
        let lsn = |name| format!("{:.0}", metric(&text, name)).parse::<u64>().unwrap_or(0);
        let path = format!("/v1/members/{}/bonuses?limit=100", self.members.first());
        let page = ask(address, &path).map_err(failed)?;
        let page: serde_json::Value =
            serde_json::from_str(&page).map_err(|error| Failure::new(Exit::Failed, error))?;
        let ids = page["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|item| item["id"].as_str()?.parse::<Uuid>().ok());
        let mut bonuses: Vec<Uuid> = ids.collect();
        // Shuffled, so that each query needs another state.
        let mut random = Pcg64::new(u128::from(self.args.seed), 7);
        for place in (1..bonuses.len()).rev() {
            let other = usize::try_from(random.next_u64() % (place as u64 + 1)).unwrap_or(0);
            bonuses.swap(place, other);
        }
        let facts = Facts { bonuses, lsns: lsn("upline_snapshot_lsn")..lsn("upline_applied_lsn") };
        self.members.facts = std::sync::Arc::new(facts);
        self.generator.members = self.members.clone();
        Ok(())
    }
}
