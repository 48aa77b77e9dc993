//! A deterministic simulation of the whole engine on a disk that fails: everything from admission to
//! recovery, without a thread or a clock.
//!
//! One seed is one network's history. The engine's own parts (`SteppedEngine`: opening, admission, writer,
//! snapshotter) run on one thread on the file system in memory (`durability::memory`), and the seed decides
//! everything else: the plan, each command and its key, which of them wait together for one group, marks,
//! snapshots with groups between their chunks, segment size and retention, when the clock jumps and who puts
//! it right or accepts it, which call of which life fails and how, whether the process is killed or the power
//! goes and which sectors and names then survive, what goes wrong again while the next process recovers,
//! which byte of a stopped directory flips and which of its files is cut or missing.
//!
//! What must hold (the numbers are those of the design's promises):
//!
//! - After each acknowledged group everything that can be seen of the state is what a naive model says,
//!   written independently (`tests/networks/naive.rs`, the one that the core is tested against), which was given
//!   the acknowledged commands and no others.
//! - D1, D2: what a process finds when it opens is what was acknowledged, plus the whole group that was in
//!   flight, or none of it. Nothing acknowledged is ever taken back, so that all outcomes stay true.
//! - D3: opening is refused only where something was damaged on purpose; then nothing was changed. Where it
//!   is not refused, nothing is lost.
//! - D4: a failed log answers "unknown" to the group at hand and "read-only" to all others; reads go on,
//!   showing what was acknowledged.
//! - D5: repeated keys and registrations get the answer that they had, before and after restarts.
//! - A clock that jumped is not written by: refused is what another naive model says
//!   (`tests/common/naive_clock.rs`), and then nothing is changed.
//! - D6: replay gives the digest that the state had at that LSN; so does each state of the past that is still
//!   retained.
//!
//! A hundredth of the seeds is run twice: every call of the disk with its arguments and its result, and every
//! outcome, must come again.
//!
//! `UPLINE_SIM_SEEDS` (how many), `UPLINE_SIM_FIRST` (from which on), `UPLINE_SIM_OPERATIONS` (commands in
//! each) say how much is done, so that a runner can add up seeds over many runs; `UPLINE_SIM_SEED=n` runs one
//! and prints what it does.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "numbers of a test are small"
)]

mod disk;
mod faults;
#[path = "../common/naive_clock.rs"]
mod naive_clock;
#[path = "../networks/mod.rs"]
mod networks;
mod tally;
mod world;

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use tally::Tally;
use upline::{core::on_threads, metrics::Metrics};
use world::{Setting, World};

/// Seeds of a plain test run.
const SEEDS: u64 = 10_000;
/// Commands that each of them submits.
const OPERATIONS: u64 = 100;
const FIRST_SEED: u64 = 1;
/// Of so many seeds one is run twice.
const TWICE_EVERY: u64 = 100;

#[test]
fn nothing_acknowledged_is_ever_lost() {
    let operations = from_environment("UPLINE_SIM_OPERATIONS").unwrap_or(OPERATIONS);
    if let Some(seed) = from_environment("UPLINE_SIM_SEED") {
        return one_seed(seed, operations);
    }
    let seeds = from_environment("UPLINE_SIM_SEEDS").unwrap_or(SEEDS);
    let first = from_environment("UPLINE_SIM_FIRST").unwrap_or(FIRST_SEED);
    let tally = run_seeds(first, seeds, operations);
    println!("{tally}");
    println!("{}", tally.reached());
    // With few seeds not everything can be met.
    if 1_000 <= seeds {
        tally.assert_everything_was_reached();
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn one_seed(seed: u64, operations: u64) {
    let metrics = Metrics::new(&[]);
    let (tally, trace) = World::new(Setting { seed, operations, traced: true, loud: true }, metrics).run();
    println!("seed {seed}: trace {trace:016x}");
    println!("{tally}");
}

/// Runs the seeds on all cores, to the first failure.
fn run_seeds(first: u64, seeds: u64, operations: u64) -> Tally {
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let total = Mutex::new(Tally::default());
    let work = || {
        let metrics = Metrics::new(&[]);
        let mut tally = Tally::default();
        while !failed.load(Ordering::Relaxed)
            && let number = next.fetch_add(1, Ordering::Relaxed)
            && number < seeds
        {
            let seed = first + number;
            let run =
                |traced| World::new(Setting { seed, operations, traced, loud: false }, metrics.clone()).run();
            let done = panic::catch_unwind(AssertUnwindSafe(|| {
                let twice = seed.is_multiple_of(TWICE_EVERY);
                let (tally, trace) = run(twice);
                assert!(!twice || run(true).1 == trace, "the seed does not give the same trace twice");
                tally
            }));
            let Ok(done) = done else {
                failed.store(true, Ordering::Relaxed);
                println!(
                    "simulation: seed {seed} failed after {number} others; again: {}",
                    command_for(seed, operations)
                );
                break;
            };
            tally.add(&done);
            tally.twice += u64::from(seed.is_multiple_of(TWICE_EVERY));
            if number.is_multiple_of(64) {
                // The histograms keep every sample until somebody takes them.
                metrics.upkeep();
            }
        }
        total.lock().expect("nobody panics with it").add(&tally);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            // In a pool of its own each seed computes on the thread that runs it.
            scope.spawn(|| on_threads(1, work));
        }
    });
    assert!(!failed.load(Ordering::Relaxed), "a seed failed: see above");
    total.into_inner().expect("nobody panics with it")
}

fn command_for(seed: u64, operations: u64) -> String {
    format!(
        "UPLINE_SIM_SEED={seed} UPLINE_SIM_OPERATIONS={operations} cargo test --test simulation nothing_acknowledged -- --nocapture"
    )
}
