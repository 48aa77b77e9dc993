//! A deterministic simulation of the whole engine on a failing disk: everything from admission to recovery,
//! without threads or a real clock.
//!
//! One seed is one network's history. The engine's own parts (`SteppedEngine`: opening, admission, writer,
//! snapshotter) run on one thread on the file system in memory (`durability::memory`), and the seed decides
//! everything else: the plan, each command and its key, which of them wait together for one group, marks,
//! snapshots with groups between their chunks, seals with groups between their files and their command,
//! segment size and retention, when the clock jumps and whether it is corrected or accepted, which call of
//! which life fails and how, whether the process is killed or the power fails and which sectors and names
//! then survive, what fails again while the next process recovers, which byte of a stopped directory flips
//! and which of its files is cut or missing.
//!
//! Guarantees checked (numbered as in the design):
//!
//! - After each acknowledged group everything visible of the state matches an independently written naive
//!   model (`tests/networks/naive.rs`, the one that the core is tested against), which was given the
//!   acknowledged commands and no others.
//! - D1, D2: on opening a process finds what was acknowledged, plus all or none of the group in flight.
//!   Nothing acknowledged is ever rolled back, so all outcomes stay valid.
//! - D3: opening is refused only after deliberate damage; then nothing was changed. Where it is not refused,
//!   nothing is lost.
//! - D4: a failed log answers "unknown" to the current group and "read-only" to all others; reads continue,
//!   showing what was acknowledged.
//! - D5: repeated keys and registrations get their original response, before and after restarts.
//! - A seal whose process ends at any moment was made or was not. Sealed orders are in their files as they
//!   were, are listed, and come back for refunds; their ids stay taken.
//! - Writes are refused after a clock jump exactly when another naive model says so
//!   (`tests/common/naive_clock.rs`), and then nothing is changed.
//! - D6: replay yields the digest that the state had at that LSN; so does each past state that is still
//!   retained.
//!
//! A hundredth of the seeds is run twice: every disk call with its arguments and its result, and every
//! outcome, must repeat.
//!
//! `UPLINE_SIM_SEEDS` (count), `UPLINE_SIM_FIRST` (first seed) and `UPLINE_SIM_OPERATIONS` (commands per
//! seed) set the amount, so that a runner can add up seeds over many runs; `UPLINE_SIM_SEED=n` runs one and
//! prints its steps.
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

/// Seeds in a plain test run.
const SEEDS: u64 = 2_500;
/// Commands submitted per seed.
const OPERATIONS: u64 = 100;
const FIRST_SEED: u64 = 1;
/// One of this many seeds is run twice.
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
    // With few seeds not everything is reached.
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

/// Runs the seeds on all cores, until the first failure.
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
                // The histograms keep every sample until they are drained.
                metrics.upkeep();
            }
        }
        total.lock().expect("nobody panics with it").add(&tally);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            // With a separate pool each seed computes on the thread that runs it.
            scope.spawn(|| on_threads(1, work));
        }
    });
    assert!(!failed.load(Ordering::Relaxed), "a seed failed: see above");
    total.into_inner().expect("nobody panics with it")
}

fn command_for(seed: u64, operations: u64) -> String {
    format!(
        "UPLINE_SIM_SEED={seed} UPLINE_SIM_OPERATIONS={operations} cargo test --test simulation \
         nothing_acknowledged -- --nocapture"
    )
}
