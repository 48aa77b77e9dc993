//! `bench snapshot`: snapshots of an engine on the real disk, idle and while members sign up (P8).

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::{Duration, Instant},
};

use super::{
    Args, Report,
    disk::{self, Span, Spans},
    on_disk, stop_if_asked,
    timing::{Latencies, micros, nanos, rate},
};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
        scratch::Scratch,
    },
    core::{plan::Plan, types::Timestamp},
    engine::{Engine, EngineOptions, PlanChoice, SnapshotInfo, SnapshotPolicy},
    metrics::Metrics,
    shapes::{Shape, member_id},
    workload::register,
};

const MEMBERS: u32 = 10_000_000;
/// Duration of signups without a snapshot.
const SECONDS: u64 = 10;
/// Threads that sign up members in a closed loop: with more of them, queueing behind each other would
/// dominate the latency.
const CLIENTS: u32 = 2;
/// Minimum share of the disk's rate for the same bytes.
const DISK_SHARE_MIN: f64 = 0.8;
const HELD_UP_MAX: Duration = Duration::from_millis(5);
const SYNC_FACTOR_MAX: f64 = 3.0;

/// The thread whose disk calls are those of the log.
const WRITER: &str = "upline-writer";

pub(super) fn run(args: &Args, interrupt: &Interrupt) -> Result<Vec<Report>, Failure> {
    let (members, shape, plan) = (args.members(MEMBERS), args.shape(Shape::Real), args.plan()?);
    let scratch = args.scratch()?;
    on_disk::write(&on_disk::grown(&plan, shape, members, args.seed, interrupt)?, &scratch.data_dir())?;
    let (engine, spans) = open(&scratch, &plan, members)?;
    let rig = Rig { engine: &engine, spans, next: AtomicU32::new(members), seed: args.seed };
    let is_asked = members == MEMBERS && shape == Shape::Real;
    let report = |state: &str, target: &str| {
        let mut report = args.report("snapshot", target, members, shape, &plan);
        report.param("state", state);
        report
    };
    let idle = report("idle", "P8: 10 M members, idle: >= 80% of the disk's rate");
    let idle = rig.idle(idle, &scratch, is_asked);
    stop_if_asked(interrupt)?;
    let target = "P8: under signups: queue + apply + publish <= 5 ms, the log's fdatasync p99 <= 3 times \
                  that without a snapshot";
    let busy = rig.under_signups(
        report("under signups", target),
        args.seconds.unwrap_or(SECONDS),
        is_asked,
        interrupt,
    );
    engine.shutdown();
    Ok(vec![idle?, busy?])
}

/// Opens the engine as `serve` does, but without automatic snapshots, and with a deterministic clock, so that
/// digests are reproducible.
fn open(scratch: &Scratch, plan: &Plan, members: u32) -> Result<(Engine, Spans), Failure> {
    let choice = PlanChoice { plan: plan.clone(), plan_is_explicit: true, width_is_explicit: true };
    let (storage, spans) = disk::timed(WRITER);
    let now = Timestamp(i64::from(members) + 1);
    let options = EngineOptions {
        snapshots: SnapshotPolicy { every_commands: None, every: None, on_shutdown: false },
        storage,
        clock: std::sync::Arc::new(move || now),
        ..EngineOptions::new(scratch.data_dir(), choice, Metrics::new(&[]))
    };
    Ok((Engine::open(options)?.0, spans))
}

struct Rig<'e> {
    engine: &'e Engine,
    spans: Spans,
    /// Number of the next member to sign up.
    next: AtomicU32,
    seed: u64,
}

/// The results of signups.
struct SignedUp {
    /// From call to response, minus the log's write and sync time meanwhile: queue, apply, publish, and
    /// wake-up.
    held_up: Latencies,
    syncs: Latencies,
    per_second: f64,
}

impl Rig<'_> {
    fn idle(&self, mut report: Report, scratch: &Scratch, is_asked: bool) -> Result<Report, Failure> {
        // Otherwise there would be nothing to snapshot.
        self.sign_up()?;
        let info = self.snapshot()?;
        let reached = rate(info.bytes, info.duration);
        report.figure("seconds", info.duration.as_secs_f64());
        report.figure("bytes", info.bytes);
        report.figure("bytes_per_second", reached);
        report.digest = Some(info.state_digest.to_string());
        let limit = disk::write_rate(scratch.folder(), info.bytes)?;
        report.limit("disk_write_bytes_per_second", limit);
        report.compare(reached, limit);
        report.met = is_asked.then_some(DISK_SHARE_MIN * limit <= reached);
        Ok(report)
    }

    fn under_signups(
        &self,
        mut report: Report,
        seconds: u64,
        is_asked: bool,
        interrupt: &Interrupt,
    ) -> Result<Report, Failure> {
        let (alone, ()) = self.signups_while(|| {
            let until = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < until && !interrupt.asked() {
                std::thread::sleep(Duration::from_millis(10));
            }
        })?;
        stop_if_asked(interrupt)?;
        let (during, info) = self.signups_while(|| self.snapshot())?;
        let info = info?;
        report.figure("seconds", info.duration.as_secs_f64());
        report.figure("bytes_per_second", rate(info.bytes, info.duration));
        report.figure("signups_per_second", during.per_second);
        report.figure("held_up_p99_us", during.held_up.micros_at(0.99));
        report.figure("held_up_p999_us", during.held_up.micros_at(0.999));
        report.figure("held_up_longest_us", during.held_up.longest().map(micros));
        report.figure("fdatasync_p50_us", during.syncs.micros_at(0.5));
        report.figure("fdatasync_p99_us", during.syncs.micros_at(0.99));
        report.limit("alone_signups_per_second", alone.per_second);
        report.limit("alone_held_up_p999_us", alone.held_up.micros_at(0.999));
        report.limit("alone_held_up_longest_us", alone.held_up.longest().map(micros));
        report.limit("alone_fdatasync_p50_us", alone.syncs.micros_at(0.5));
        report.limit("alone_fdatasync_p99_us", alone.syncs.micros_at(0.99));
        report.compare(alone.syncs.micros_at(0.99), during.syncs.micros_at(0.99));
        let syncs = during.syncs.at(0.99).zip(alone.syncs.at(0.99));
        let keeps =
            during.held_up.longest().zip(syncs).map(|(longest, (sync, alone))| {
                longest <= HELD_UP_MAX && sync <= alone.mul_f64(SYNC_FACTOR_MAX)
            });
        report.judge(is_asked, keeps);
        Ok(report)
    }

    fn snapshot(&self) -> Result<SnapshotInfo, Failure> {
        self.engine.snapshot_now_blocking().map_err(|error| Failure::new(Exit::Failed, error))
    }

    /// Signs up the next member, sponsored by the first one's recruit of the same number: anywhere in the
    /// network.
    fn sign_up(&self) -> Result<(Instant, Instant), Failure> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let sponsor = number.wrapping_mul(0x9e37_79b9) % number;
        let command = register(member_id(self.seed, number), Some(member_id(self.seed, sponsor)));
        let began = Instant::now();
        let answer = self.engine.submit_blocking(command, None);
        let ended = Instant::now();
        answer.map(|_| (began, ended)).map_err(|error| Failure::new(Exit::Failed, error))
    }

    /// Signs up members while some work runs on another thread.
    fn signups_while<R: Send>(&self, work: impl FnOnce() -> R + Send) -> Result<(SignedUp, R), Failure> {
        let done = AtomicBool::new(false);
        self.spans.take();
        let started = Instant::now();
        let (calls, result) = std::thread::scope(|scope| {
            let client = || -> Result<Vec<(Instant, Instant)>, Failure> {
                let mut calls = vec![self.sign_up()?];
                while !done.load(Ordering::Relaxed) {
                    calls.push(self.sign_up()?);
                }
                Ok(calls)
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
            let result = work();
            done.store(true, Ordering::Relaxed);
            let calls: Result<Vec<_>, Failure> =
                clients.into_iter().map(|client| client.join().expect("a client does not panic")).collect();
            calls.map(|calls| (calls.concat(), result))
        })?;
        let took = started.elapsed();
        let spans = self.spans.take();
        let held_up = calls
            .iter()
            .map(|(began, ended)| nanos((*ended - *began).saturating_sub(at_work(&spans, *began, *ended))));
        let syncs = spans.iter().filter(|span| span.is_sync).map(|span| nanos(span.ended - span.began));
        let signed_up = SignedUp {
            held_up: Latencies::of(held_up.collect()),
            syncs: Latencies::of(syncs.collect()),
            per_second: rate(calls.len() as u64, took),
        };
        Ok((signed_up, result))
    }
}

/// Returns how long the disk was busy between two moments. The spans do not overlap.
fn at_work(spans: &[Span], began: Instant, ended: Instant) -> Duration {
    let first = spans.partition_point(|span| span.ended <= began);
    let meanwhile = spans[first..].iter().take_while(|span| span.began < ended);
    meanwhile.map(|span| span.ended.min(ended) - span.began.max(began)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_the_disk_is_cut_to_the_call() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let spans = [(0, 10), (10, 20), (30, 40)].map(|(began, ended)| Span {
            began: at(began),
            ended: at(ended),
            is_sync: true,
        });
        // call, time of the disk within it
        let table =
            [((0, 10), 10), ((5, 15), 10), ((20, 30), 0), ((2, 50), 28), ((35, 36), 1), ((50, 60), 0)];
        for ((began, ended), expected) in table {
            assert_eq!(
                at_work(&spans, at(began), at(ended)),
                Duration::from_millis(expected),
                "{began} to {ended}"
            );
        }
    }
}
