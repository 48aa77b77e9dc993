//! `bench http`: the server over HTTP with durable writes, compared with a stub on the same stack and the
//! bare disk (P3, P4, P5); orders, compared with signups (R5).
//!
//! One run creates a network, starts the real server on it and the stub next to it (both are this program, in
//! separate processes), and loads them alternately with its own generator:
//!
//! - **P3**, closed loop: 256 connections sign up members as fast as they are answered, alternating between
//!   the stub and the server, with the bare disk after each round.
//! - **P5**: 64 connections query members while signups continue at half of the peak found before; the stub
//!   gets the same signups. The rate is that of a closed loop; latencies are those of an open loop, at one
//!   rate for both.
//! - **P4**, open loop at half of the peak, on a server that logs each sync; latencies are compared with an
//!   ideal group commit of those very syncs.
//! - **R5**, closed loop: orders, and signups and orders together, alternate with signups under the same
//!   plan.
//!
//! Signups use the route that the replaced service's clients use, `POST /user/register`; so do counts. The
//! other queries use `/v1`. Authorization is off, and everything else is as in `upline serve`. Servers are
//! killed, not stopped; then `upline verify` must find in the directory what the network had and every
//! acknowledged signup and order, no more and no less.

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rand_pcg::Pcg64;

use self::{
    child::{Cores, Serving, cpu_seconds},
    disk::Prepared,
    groups::GroupFigures,
    load::{Generator, Outcome, Pace, Stream, at},
    requests::{Kind, Members, Question},
    stub::Answers,
    wire::Connection,
};
use super::{Args, Report, timing::Latencies};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
        scratch::Scratch,
        screen,
    },
    private_file,
    shapes::Shape,
};

mod child;
mod disk;
mod groups;
pub(super) mod guard;
mod ideal;
mod load;
mod orders;
mod requests;
pub(super) mod stub;
mod wire;

/// Default members in the initial network: far more than fits the caches.
const MEMBERS: u32 = 1_000_000;
const SECONDS: u64 = 10;
/// Connections that sign up, per P3.
const SIGNUP_CONNECTIONS: usize = 256;
/// Connections that query.
const READ_CONNECTIONS: usize = 64;
/// Rounds of stub, server and disk: drift of the machine then affects all of them.
const TURNS: u32 = 5;
/// Members whose responses the stub has.
const ANSWERS: u32 = 256;
/// The warm-up is not measured: connections, caches and the allocator settle.
const WARM_UP: Duration = Duration::from_millis(300);

/// P3: share of the stub's rate, and signups per second; the latter is lowered to this share of what the disk
/// allows.
const P3_SHARE_MIN: f64 = 0.62;
const P3_RATE_MIN: f64 = 46_000.0;
const P3_DISK_SHARE: f64 = 0.85;
/// On average a request waits for half a sync and then a whole one.
const P3_SYNCS_WAITED: f64 = 1.5;
/// P4: maximum above the ideal, in microseconds.
const P4_P99_MAX: f64 = 1_000.0;
const P4_P999_MAX: f64 = 3_000.0;
/// P5: share of the stub's rate, and maximum above the stub's latency, in microseconds.
const P5_SHARE_MIN: f64 = 0.65;
const P5_P99_MAX: f64 = 1_000.0;

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let mut bench = Bench::begin(args, interrupt)?;
    let (p3, peak) = bench.peak()?;
    let p5 = bench.reads(peak)?;
    let p4 = bench.latency(peak)?;
    let r5 = bench.orders()?;
    let mut reports = vec![p3, p4, p5, r5];
    let (members, verified) = bench.verify()?;
    for report in &mut reports {
        report.figure("acknowledged", bench.acknowledged);
        report.figure("members_after", members);
        report.figure("verified", verified);
        report.digest = Some(bench.digest.clone());
    }
    Ok(reports)
}

/// The state of the whole run.
struct Bench<'a> {
    args: &'a Args,
    interrupt: &'a Interrupt,
    cores: Cores,
    generator: Generator,
    /// `None` between two servers.
    server: Option<Serving>,
    stub: Serving,
    disk: Prepared,
    /// Duration of each measurement.
    lasting: Duration,
    members: Members,
    /// Digest of the initial network.
    digest: String,
    /// Signups and orders that the server answered with 2xx.
    acknowledged: u64,
    acknowledged_orders: u64,
    data_dir: String,
    /// Declared last, so that it is removed after everything above.
    scratch: Scratch,
}

/// The results of the server or the stub for one kind of load, round by round.
#[derive(Default)]
struct Side {
    per_second: Vec<f64>,
    latency: Option<Histogram<u64>>,
    late: Option<Histogram<u64>>,
    answers: u64,
    refused: u64,
    /// `None` where the system does not report it.
    cpu_seconds: Option<f64>,
    generator_seconds: Option<f64>,
    seconds: f64,
}

impl Side {
    /// Returns the median of the rounds; `None` where it had no responses.
    fn rate(&self) -> Option<f64> {
        let mut rates = self.per_second.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().filter(|rate| *rate != 0.0)
    }

    fn at(&self, share: f64) -> Option<f64> {
        self.latency.as_ref().and_then(|latency| at(latency, share))
    }

    fn late(&self, share: f64) -> Option<f64> {
        self.late.as_ref().and_then(|late| at(late, share))
    }

    fn add(&mut self, outcome: Outcome) {
        self.per_second.push(outcome.per_second);
        self.answers += outcome.good;
        self.refused += outcome.refused;
        let sum = |sum: &mut Option<Histogram<u64>>, part: Histogram<u64>| match sum {
            Some(sum) => sum.add(part).expect("all have the same bounds"),
            None => *sum = Some(part),
        };
        sum(&mut self.latency, outcome.latency);
        sum(&mut self.late, outcome.late);
    }

    /// Returns the server's CPU time per response. `None` where it is unknown, or shorter than a clock tick.
    fn cpu_micros(&self) -> Option<f64> {
        let seconds = self.cpu_seconds.filter(|seconds| *seconds != 0.0 && self.answers != 0)?;
        Some(seconds / self.answers as f64 * 1e6)
    }

    fn generator_share(&self, threads: usize) -> Option<f64> {
        let seconds = self.generator_seconds.filter(|_| 0.0 < self.seconds)?;
        Some(seconds / (self.seconds * threads as f64))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Server,
    Stub,
}

impl<'a> Bench<'a> {
    /// Creates the network and starts server and stub.
    fn begin(args: &'a Args, interrupt: &'a Interrupt) -> Result<Self, Failure> {
        args.plan()?;
        let scratch = args.scratch()?;
        let file = |name: &str| scratch.folder().join(name);
        let members = Members::new(args.seed, args.members(MEMBERS));
        let data_dir = text(scratch.data_dir())?;
        let cores = Cores::split();
        screen::tell(&format!(
            "making {} in {}",
            screen::counted(members.count.into(), "member"),
            scratch.folder().display()
        ));
        let digest = make_network(args, &cores, &members, &data_dir, interrupt)?;
        let server = serve(&cores, &data_dir, "warn", interrupt)?;
        let (answers, log) = (file("answers.json"), text(file("stub.log"))?);
        let given = sample(&server, &members).map_err(failed)?;
        let written = serde_json::to_vec(&given).map_err(|error| Failure::new(Exit::Failed, error))?;
        private_file::create_new(&answers).and_then(|mut file| file.write_all(&written)).map_err(failed)?;
        let stub =
            Serving::start(&cores, &["bench-stub", "--answers", &text(answers)?, "--log", &log], interrupt)?;
        let disk = Prepared::create(&file("disk")).map_err(failed)?;
        let generator = Generator::new(members.clone(), cores.generator_threads(), interrupt.clone());
        Ok(Self {
            args,
            interrupt,
            cores,
            generator,
            server: Some(server),
            stub,
            disk,
            lasting: Duration::from_secs(args.seconds.unwrap_or(SECONDS)),
            members,
            digest,
            // The sample signs up one member.
            acknowledged: 1,
            acknowledged_orders: 0,
            data_dir,
            scratch,
        })
    }

    fn report(&self, target: &str, connections: usize) -> Result<Report, Failure> {
        let mut report = self.args.report(
            "http",
            target,
            self.members.count,
            self.args.shape(Shape::Real),
            &self.args.plan()?,
        );
        report.param("seconds", self.lasting.as_secs());
        report.param("connections", connections);
        report.param("server_cores", self.cores.server_shown());
        report.param("generator_cores", self.cores.generator_shown());
        report.param("generator_threads", self.generator.threads);
        Ok(report)
    }

    fn serving(&self, who: Who) -> &Serving {
        match who {
            Who::Server => self.server.as_ref().expect("a server runs while it is loaded"),
            Who::Stub => &self.stub,
        }
    }

    /// Runs one round of some streams, each added to its side. Any failed request ends the bench: figures
    /// with failures mean nothing.
    fn turn(
        &mut self,
        who: Who,
        streams: &[(Kind, usize, Pace)],
        lasting: Duration,
        sides: &mut [&mut Side],
    ) -> Result<(), Failure> {
        let address = self.serving(who).address;
        let streams: Vec<Stream> = streams
            .iter()
            .map(|(kind, connections, pace)| Stream {
                address,
                kind: *kind,
                connections: *connections,
                pace: *pace,
            })
            .collect();
        let used = |bench: &Self| (bench.serving(who).cpu_seconds(), cpu_seconds("self"));
        let (before, begin) = (used(self), Instant::now());
        let outcomes =
            self.generator.run(&streams, lasting).map_err(|error| self.load_failed(who, &error))?;
        let (after, seconds) = (used(self), begin.elapsed().as_secs_f64());
        super::stop_if_asked(self.interrupt)?;
        for ((outcome, stream), side) in outcomes.into_iter().zip(&streams).zip(sides) {
            if outcome.bad != 0 || outcome.given_up != 0 {
                let said = outcome.complaint.unwrap_or_default();
                return Err(Failure::new(
                    Exit::Failed,
                    format!(
                        "{} requests got a wrong response, {} got none: {said}",
                        outcome.bad, outcome.given_up
                    ),
                ));
            }
            match (who, stream.kind) {
                (Who::Server, Kind::Signups) => self.acknowledged += outcome.good,
                (Who::Server, Kind::Orders) => self.acknowledged_orders += outcome.good,
                _ => {}
            }
            side.cpu_seconds = sum(side.cpu_seconds, before.0, after.0);
            side.generator_seconds = sum(side.generator_seconds, before.1, after.1);
            side.seconds += seconds;
            side.add(outcome);
        }
        Ok(())
    }

    fn load_failed(&self, who: Who, error: &std::io::Error) -> Failure {
        let said = self.serving(who).take_log().pop().unwrap_or_default();
        Failure::new(
            Exit::Failed,
            format!(
                "the load on the {} failed: {error}; {said}",
                if who == Who::Server { "server" } else { "stub" }
            ),
        )
    }

    /// Measures P3, and the peak.
    fn peak(&mut self) -> Result<(Report, f64), Failure> {
        let closed = [(Kind::Signups, SIGNUP_CONNECTIONS, Pace::Closed)];
        let (mut server, mut stub, mut warm) = (Side::default(), Side::default(), Side::default());
        for who in [Who::Stub, Who::Server] {
            self.turn(who, &closed, WARM_UP, &mut [&mut warm])?;
        }
        let (mut syncs, turn) = (Vec::new(), self.lasting / TURNS);
        let groups = self.groups()?;
        let mut bytes = 0;
        for number in 0..TURNS {
            // The order alternates, so that both inherit the other's leftovers equally often.
            let order =
                if number.is_multiple_of(2) { [Who::Stub, Who::Server] } else { [Who::Server, Who::Stub] };
            for who in order {
                self.turn(who, &closed, turn, &mut [if who == Who::Stub { &mut stub } else { &mut server }])?;
            }
            // Nothing is known about a round without groups: assume syncs of the smallest group.
            bytes = stub::group_bytes(self.groups()?.since(groups).mean().unwrap_or(1.0));
            syncs.extend(disk::syncs(&mut self.disk, bytes, Instant::now() + turn / 2).map_err(failed)?);
        }
        let group = self.groups()?.since(groups);
        let (peak, limit, sync) = (server.rate(), stub.rate(), Latencies::of(syncs));
        let peak = known(peak, "signups")?;
        let disk_bound = sync
            .at(0.5)
            .map(|sync| SIGNUP_CONNECTIONS as f64 / (P3_SYNCS_WAITED * sync.as_secs_f64().max(1e-9)));
        let least = disk_bound.map(|bound| P3_RATE_MIN.min(P3_DISK_SHARE * bound));
        let target = "P3: durable signups over HTTP, 256 connections: >= 62% of the stub, and >= 46,000/s or \
                      85% of 256 / (1.5 x fdatasync p50)";
        let mut report = self.report(target, SIGNUP_CONNECTIONS)?;
        report.param("route", "POST /user/register");
        report.figure("signups_per_second", peak);
        report.figure("p50_us", server.at(0.5));
        report.figure("p99_us", server.at(0.99));
        report.figure("group_commands_mean", group.mean());
        report.figure("sync_mean_us", group.sync_mean_micros());
        report.figure("cpu_us_per_signup", server.cpu_micros());
        report.limit("stub_per_second", limit);
        report.limit("stub_p50_us", stub.at(0.5));
        report.limit("stub_p99_us", stub.at(0.99));
        report.limit("stub_cpu_us_per_signup", stub.cpu_micros());
        report.limit("generator_cpu_share", server.generator_share(self.generator.threads));
        report.limit("fdatasync_bytes", bytes);
        report.limit("fdatasync_p50_us", sync.micros_at(0.5));
        report.limit("fdatasync_p99_us", sync.micros_at(0.99));
        report.limit("disk_bound_per_second", disk_bound);
        report.limit("least_per_second", least);
        report.compare(peak, limit);
        report.judge(
            self.is_asked(),
            limit.zip(least).map(|(limit, least)| P3_SHARE_MIN * limit <= peak && least <= peak),
        );
        Ok((report, peak))
    }

    /// Measures P4, on a separate server that logs its syncs.
    fn latency(&mut self, peak: f64) -> Result<Report, Failure> {
        self.server = None;
        self.server =
            Some(serve(&self.cores, &self.data_dir, "warn,upline::engine::writer=trace", self.interrupt)?);
        let per_second = peak / 2.0;
        let open = [(Kind::Signups, SIGNUP_CONNECTIONS, Pace::Open { per_second })];
        let (mut warm, mut side) = (Side::default(), Side::default());
        self.turn(Who::Server, &open, WARM_UP, &mut [&mut warm])?;
        self.serving(Who::Server).take_log();
        self.turn(Who::Server, &open, self.lasting, &mut [&mut side])?;
        let syncs = syncs_of(&self.serving(Who::Server).take_log());
        let ideal = ideal::latencies(&syncs, self.args.seed);
        let target = "P4: at half of that peak, open loop, corrected: p99 within 1 ms and p99.9 within 3 ms \
                      of an ideal group commit of the run's own syncs";
        let mut report = self.report(target, SIGNUP_CONNECTIONS)?;
        report.param("route", "POST /user/register");
        report.param("per_second", per_second.round());
        report.param("syncs_from", "the server's log, one line a group");
        report.figure("signups_per_second", side.rate());
        for (name, share) in PERCENTILES {
            report.figure(&format!("{name}_us"), side.at(share));
        }
        report.limit("groups", syncs.len());
        report.limit("generator_late_p99_us", side.late(0.99));
        if let Some(ideal) = ideal {
            for (name, share) in PERCENTILES {
                report.limit(&format!("ideal_{name}_us"), at(&ideal, share));
            }
            let beyond = |share| side.at(share).zip(at(&ideal, share)).map(|(found, ideal)| found - ideal);
            report.figure("p99_beyond_ideal_us", beyond(0.99));
            report.figure("p999_beyond_ideal_us", beyond(0.999));
            // More is better, as everywhere: the unavoidable share of the latency.
            report.compare(at(&ideal, 0.99), side.at(0.99));
            let keeps =
                beyond(0.99).zip(beyond(0.999)).map(|(p99, p999)| p99 <= P4_P99_MAX && p999 <= P4_P999_MAX);
            report.judge(self.is_asked(), keeps);
        }
        Ok(report)
    }

    /// Measures P5.
    fn reads(&mut self, peak: f64) -> Result<Report, Failure> {
        let signups = (Kind::Signups, SIGNUP_CONNECTIONS, Pace::Open { per_second: peak / 2.0 });
        let closed = (Kind::Reads, READ_CONNECTIONS, Pace::Closed);
        let sides = || [Side::default(), Side::default()];
        let (mut alone, mut under, mut signed, mut open) = (sides(), sides(), sides(), sides());
        let turn = self.lasting / TURNS;
        for number in 0..TURNS {
            let order =
                if number.is_multiple_of(2) { [Who::Stub, Who::Server] } else { [Who::Server, Who::Stub] };
            for who in order {
                let at = usize::from(who == Who::Stub);
                self.turn(who, &[closed], turn / 2, &mut [&mut alone[at]])?;
                self.turn(who, &[closed, signups], turn, &mut [&mut under[at], &mut signed[at]])?;
            }
        }
        // One rate that both can serve: at its peak each would only show the length of its own queue.
        let per_second =
            known(under[0].rate(), "reads")?.min(known(under[1].rate(), "reads of the stub")?) / 2.0;
        let asked = (Kind::Reads, READ_CONNECTIONS, Pace::Open { per_second });
        for number in 0..TURNS {
            let order =
                if number.is_multiple_of(2) { [Who::Stub, Who::Server] } else { [Who::Server, Who::Stub] };
            for who in order {
                let at = usize::from(who == Who::Stub);
                self.turn(who, &[asked, signups], turn, &mut [&mut open[at], &mut signed[at]])?;
            }
        }
        let target = "P5: reads by id while signups run at half peak: >= 65% of the stub's rate, \
                      p99 <= the stub's under the same signups + 1 ms";
        let mut report = self.report(target, READ_CONNECTIONS)?;
        let routes: Vec<String> = Question::ALL.map(Question::shown).into();
        report.param("routes", routes);
        report.param("signups_per_second", (peak / 2.0).round());
        report.param("latency_at_reads_per_second", per_second.round());
        let [server, stub] = [0, 1];
        report.figure("reads_per_second", under[server].rate());
        report.figure("p50_us", open[server].at(0.5));
        report.figure("p99_us", open[server].at(0.99));
        report.figure("alone_per_second", alone[server].rate());
        report.figure("alone_cpu_us_per_read", alone[server].cpu_micros());
        report.limit("stub_per_second", under[stub].rate());
        report.limit("stub_p50_us", open[stub].at(0.5));
        report.limit("stub_p99_us", open[stub].at(0.99));
        report.limit("stub_alone_per_second", alone[stub].rate());
        report.limit("stub_alone_cpu_us_per_read", alone[stub].cpu_micros());
        report.limit("generator_cpu_share", alone[stub].generator_share(self.generator.threads));
        report.limit("generator_late_p99_us", open[server].late(0.99));
        report.compare(under[server].rate(), under[stub].rate());
        let keeps_rate =
            under[stub].rate().zip(under[server].rate()).map(|(stub, server)| P5_SHARE_MIN * stub <= server);
        let keeps_p99 =
            open[stub].at(0.99).zip(open[server].at(0.99)).map(|(stub, server)| server <= stub + P5_P99_MAX);
        report.judge(self.is_asked(), keeps_rate.zip(keeps_p99).map(|(rate, p99)| rate && p99));
        Ok(report)
    }

    /// Returns whether the measurement is the one that the targets are for.
    fn is_asked(&self) -> bool {
        MEMBERS <= self.members.count && SECONDS <= self.lasting.as_secs()
    }

    /// Returns the server's metrics of groups.
    fn groups(&self) -> Result<GroupFigures, Failure> {
        let address = self.serving(Who::Server).address;
        ask(address, "/metrics").map(|text| GroupFigures::of(&text)).map_err(failed)
    }

    /// Kills the server and verifies what it left behind.
    fn verify(&mut self) -> Result<(u64, bool), Failure> {
        self.server = None;
        let found =
            child::finish(&self.cores, &["verify", "--data-dir", &self.data_dir, "--json"], self.interrupt)?;
        let count = |what: &str| found[what].as_u64().unwrap_or(0);
        let acknowledged = u64::from(self.members.count) + self.acknowledged;
        for (what, expected) in [("members", acknowledged), ("orders", self.acknowledged_orders)] {
            if count(what) != expected {
                let (place, found) = (self.scratch.data_dir(), count(what));
                let place = place.display();
                let message = format!("{found} {what} in {place}, where {expected} were acknowledged");
                return Err(Failure::new(Exit::Failed, message));
            }
        }
        Ok((count("members"), found["ok"] == true))
    }
}

const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)];

/// Adds the difference of two clock readings to a sum, where known.
fn sum(sum: Option<f64>, before: Option<f64>, after: Option<f64>) -> Option<f64> {
    let more = before.zip(after).map(|(before, after)| after - before);
    more.map(|more| sum.unwrap_or(0.0) + more).or(sum)
}

/// Returns the rate for the following measurements.
///
/// # Errors
/// The rate is unknown.
fn known(rate: Option<f64>, what: &str) -> Result<f64, Failure> {
    rate.ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("not enough data: no {what} were answered in time; --seconds gives them longer"),
        )
    })
}

/// Returns the syncs in a server's log.
fn syncs_of(lines: &[String]) -> Vec<ideal::Sync> {
    let sync = |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(ideal::Sync { began: line["began_ns"].as_u64()?, took: line["sync_ns"].as_u64()? })
    };
    lines.iter().filter_map(sync).collect()
}

fn make_network(
    args: &Args,
    cores: &Cores,
    members: &Members,
    data_dir: &str,
    interrupt: &Interrupt,
) -> Result<String, Failure> {
    let (count, seed, width) =
        (members.count.to_string(), members.seed.to_string(), args.width.map(|width| width.to_string()));
    let shape = args.shape(Shape::Real).name();
    let mut demo = vec![
        "demo",
        "--no-serve",
        "--orders",
        "0",
        "--json",
        "--members",
        &count,
        "--shape",
        shape,
        "--seed",
        &seed,
        "--data-dir",
        data_dir,
    ];
    if let Some(width) = &width {
        demo.extend(["--max-children", width]);
    }
    let made = child::finish(cores, &demo, interrupt)?;
    made["network_digest"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Failure::new(Exit::Failed, format!("no digest: {made}")))
}

fn serve(cores: &Cores, data_dir: &str, log: &str, interrupt: &Interrupt) -> Result<Serving, Failure> {
    let arguments = [
        "serve",
        "--addr",
        "127.0.0.1:0",
        "--data-dir",
        data_dir,
        "--auth",
        "off",
        "--log-format",
        "json",
        "--log",
        log,
    ];
    Serving::start(cores, &arguments, interrupt)
}

/// Returns responses of the server, for the stub.
fn sample(server: &Serving, members: &Members) -> std::io::Result<Answers> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        let mut request = Vec::new();
        requests::Requests::new(Kind::Signups, members.clone(), server.address, 0).next(&mut request);
        let signup = exchange(&mut connection, &request).await?;
        let mut random = Pcg64::new(u128::from(members.seed), 0);
        let mut questions: [Vec<String>; 4] = Default::default();
        for _ in 0..ANSWERS {
            let member = members.pick(&mut random);
            for (answers, question) in questions.iter_mut().zip(Question::ALL) {
                let request =
                    format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", question.path(member), server.address);
                answers.push(exchange(&mut connection, request.as_bytes()).await?);
            }
        }
        Ok(Answers { signup, questions })
    })
}

async fn exchange(connection: &mut Connection, request: &[u8]) -> std::io::Result<String> {
    let answer = connection.exchange(request).await?;
    let body = String::from_utf8_lossy(answer.body).into_owned();
    if answer.status == 200 {
        return Ok(body);
    }
    Err(std::io::Error::other(format!(
        "{} answered {} {body}",
        String::from_utf8_lossy(request),
        answer.status
    )))
}

fn ask(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = Connection::open(address).await?;
        exchange(&mut connection, format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await
    })
}

fn text(path: PathBuf) -> Result<String, Failure> {
    path.into_os_string()
        .into_string()
        .map_err(|path| Failure::new(Exit::Usage, format!("the path {} is no UTF-8", path.display())))
}

fn failed(error: std::io::Error) -> Failure {
    Failure::new(Exit::Failed, error)
}
