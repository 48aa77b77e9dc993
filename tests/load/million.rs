//! A million members with realistic sponsors: every single-member query is quick, and signups are not held up
//! by a snapshot.
//!
//! The file system is in memory where the machine has one (`/dev/shm`), so that what is measured is the
//! engine and not the disk of the day. What was seen is printed; the bounds of the project are asserted with
//! `UPLINE_STRICT=1`, for a machine that does nothing else.

use std::{
    hint::black_box,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use upline::{
    engine::{Engine, EngineOptions, Outcome, PlanChoice, SnapshotPolicy},
    metrics::Metrics,
    plan_file,
    shapes::member_id,
    workload::{Pick, QUERIES, register},
};

use crate::common::{assert_within, turn};

const MEMBERS: u32 = 1_000_000;
const CALLS: u32 = 1_000_000;
const SEED: u64 = 7;

/// Longest that one query may take for all but a hundredth of the calls.
const QUERY_P99: Duration = Duration::from_micros(50);
/// Longest that a signup may be held up in the engine while a snapshot is made.
const HOLD_UP: Duration = Duration::from_millis(5);
/// This many of the signups during a snapshot must keep to it; the rest is what the scheduler of a shared
/// two-core machine does to any thread, with or without a snapshot.
const HOLD_UP_SHARE: f64 = 0.999;

/// A directory for data in memory, where this system has such a file system; else in the ordinary place for
/// temporary files.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

/// An engine on a network that `upline demo` made.
fn engine(directory: &Path) -> Engine {
    let started = Instant::now();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_upline"))
        .args(["demo", "--no-serve", "--shape", "real", "--json"])
        .args(["--members", &MEMBERS.to_string(), "--seed", &SEED.to_string(), "--data-dir"])
        .arg(directory)
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    println!("made in {:?}", started.elapsed());
    let choice =
        PlanChoice { plan: plan_file::default_plan(), plan_is_explicit: false, width_is_explicit: false };
    let mut options = EngineOptions::new(directory.into(), choice, Metrics::new(&[]));
    options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
    let (engine, report) = Engine::open(options).expect("what demo made opens");
    println!("opened {} members after {:?}", report.members, started.elapsed());
    engine
}

struct Latencies(Vec<u32>);

impl Latencies {
    fn at(&self, share: f64) -> Duration {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a small count"
        )]
        let place = ((self.0.len() as f64 * share) as usize).min(self.0.len() - 1);
        Duration::from_nanos(u64::from(self.0[place]))
    }

    fn in_words(&self) -> String {
        format!(
            "{} of them, p50 {:?} p99.9 {:?} longest {:?}",
            self.0.len(),
            self.at(0.5),
            self.at(0.999),
            self.at(1.0)
        )
    }

    fn measure(calls: u32, mut call: impl FnMut()) -> Self {
        let mut nanos: Vec<u32> = (0..calls)
            .map(|_| {
                let started = Instant::now();
                call();
                u32::try_from(started.elapsed().as_nanos()).unwrap_or(u32::MAX)
            })
            .collect();
        nanos.sort_unstable();
        Self(nanos)
    }
}

#[test]
fn a_million_members_are_quick_to_ask_and_not_held_up_by_a_snapshot() {
    let _turn = turn();
    let directory = scratch();
    let engine = engine(&directory.path().join("data"));
    ask(&engine);
    sign_up_during_a_snapshot(&engine);
    engine.shutdown();
}

fn ask(engine: &Engine) {
    for (name, query) in QUERIES {
        let mut pick = Pick::of(MEMBERS, SEED);
        let latencies = Latencies::measure(CALLS, || {
            let (member, other) = (pick.member(), pick.member());
            query(engine, member, member_id(SEED, member.0), other);
        });
        println!(
            "{name:15} p50 {:?} p99 {:?} p99.9 {:?}",
            latencies.at(0.5),
            latencies.at(0.99),
            latencies.at(0.999)
        );
        assert_within(QUERY_P99, latencies.at(0.99), &format!("{name}, p99"));
    }
}

fn sign_up_during_a_snapshot(engine: &Engine) {
    let alone = Latencies::measure(20_000, sign_up(engine, 1));
    println!("signup alone: {}", alone.in_words());
    // What the machine's scheduler does to a signup when any other thread is busy, whatever that does: the
    // measure for the next figure.
    let (beside_work, ()) = sign_up_while(engine, 2, || {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(4) {
            black_box((0..100_000_u64).fold(0, |sum, number| sum ^ black_box(number)));
        }
    });
    println!("signup beside a thread that only computes: {}", beside_work.in_words());
    let started = Instant::now();
    let (during, info) =
        sign_up_while(engine, 3, || engine.snapshot_now_blocking().expect("a snapshot in memory"));
    println!(
        "signup during a snapshot of {} members, {:?}: {}",
        info.members,
        started.elapsed(),
        during.in_words()
    );
    assert_within(HOLD_UP, during.at(HOLD_UP_SHARE), "signups were held up by a snapshot");
}

/// Signs members up for as long as `work` takes on another thread.
fn sign_up_while<R: Send>(engine: &Engine, series: u64, work: impl FnOnce() -> R + Send) -> (Latencies, R) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let result = work();
            done.store(true, Ordering::Release);
            result
        });
        let mut nanos = Vec::new();
        let mut one = sign_up(engine, series);
        while !done.load(Ordering::Acquire) {
            nanos.append(&mut Latencies::measure(100, &mut one).0);
        }
        nanos.sort_unstable();
        (Latencies(nanos), worker.join().expect("no panic"))
    })
}

/// Signs new members up one after the other, under members all over the network.
fn sign_up(engine: &Engine, series: u64) -> impl FnMut() {
    let mut pick = Pick::of(MEMBERS, series);
    let mut number = 0;
    move || {
        let command = register(member_id(SEED + series, number), Some(member_id(SEED, pick.member().0)));
        number += 1;
        let answer = engine.submit_blocking(command, None).expect("the engine is open");
        assert!(matches!(answer.applied.outcome, Outcome::Registered { .. }));
    }
}
