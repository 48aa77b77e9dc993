//! Benches of the whole program: import and export, snapshots, startup, HTTP. Each sample is a small run of
//! `upline bench NAME`, which measures itself. So there is one workload for both; Criterion adds its
//! statistics and the comparison with the previous run.
//!
//! - `cargo bench --bench program` measures, on networks of [`MEMBERS`] members. Some ten minutes.
//! - Otherwise (`cargo test`, `cargo bench -- --test`) each quick one runs once with [`MEMBERS_IN_TESTS`];
//!   `tests/cli/bench.rs` checks their output in detail.
#![forbid(unsafe_code)]

mod harness;

use std::{process::Command, time::Duration};

use criterion::{Criterion, SamplingMode, Throughput};
use serde_json::Value;

const MEMBERS: u32 = 100_000;
const MEMBERS_IN_TESTS: u32 = 500;
/// Duration of timed measurements.
const SECONDS: u32 = 1;

/// A figure of a bench: the line it is in, and its name.
struct Measured {
    name: &'static str,
    bench: &'static str,
    line: usize,
    figure: &'static str,
    is: Figure,
}

/// The meaning of a figure.
#[derive(Clone, Copy)]
enum Figure {
    /// Total for all members.
    Seconds,
    /// A rate: the time per item is its inverse.
    PerSecond,
}

const fn measured(
    name: &'static str,
    bench: &'static str,
    line: usize,
    figure: &'static str,
    is: Figure,
) -> Measured {
    Measured { name, bench, line, figure, is }
}

const PROGRAM: [Measured; 10] = [
    measured("import binary", "import", 0, "seconds", Figure::Seconds),
    measured("import sponsors", "import", 1, "seconds", Figure::Seconds),
    measured("export NDJSON", "export", 0, "seconds", Figure::Seconds),
    measured("export CSV with loading", "export", 0, "csv_with_loading_seconds", Figure::Seconds),
    measured("snapshot idle", "snapshot", 0, "seconds", Figure::Seconds),
    measured("snapshot under signups", "snapshot", 1, "seconds", Figure::Seconds),
    measured("start to serving", "recover", 0, "seconds", Figure::Seconds),
    measured("replay", "recover", 1, "replayed_per_second", Figure::PerSecond),
    measured("http signup", "http", 0, "signups_per_second", Figure::PerSecond),
    measured("http read", "http", 2, "reads_per_second", Figure::PerSecond),
];

impl Measured {
    /// Returns the time per item for a rate, otherwise the total, from the lines of its bench.
    ///
    /// # Panics
    /// When the bench does not report it.
    fn read(&self, lines: &[Value]) -> Duration {
        let figures = &lines[self.line]["figures"];
        let figure = figures[self.figure].as_f64().unwrap_or_else(|| panic!("{} in {figures}", self.figure));
        Duration::from_secs_f64(match self.is {
            Figure::Seconds => figure,
            Figure::PerSecond => figure.recip(),
        })
    }
}

/// Runs a bench of the program once and returns its lines.
///
/// # Panics
/// When it fails, or prints anything but JSON.
fn ran(bench: &str, members: u32) -> Vec<Value> {
    let (members, seconds) = (members.to_string(), SECONDS.to_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_upline"));
    let output = command
        .args(["bench", bench, "--members", &members, "--seconds", &seconds, "--json"])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    said.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

fn main() {
    let criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(1))
        .measurement_time(Duration::from_secs(1));
    harness::run(criterion, measure, check);
}

fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("program");
    for measured in &PROGRAM {
        let elements = match measured.is {
            Figure::Seconds => MEMBERS.into(),
            Figure::PerSecond => 1,
        };
        // One run of the program is one sample, however little it measured: startup and building the network
        // are excluded.
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(elements));
        group.bench_function(measured.name, |bencher| {
            bencher.iter_custom(|times| {
                measured.read(&ran(measured.bench, MEMBERS)) * u32::try_from(times).expect("few")
            });
        });
    }
    group.finish();
}

/// Runs each bench once, small, and checks that it reports the figures used here. HTTP, which takes seconds
/// even when small, is left to `tests/cli/bench_http.rs`.
fn check() {
    let mut benches: Vec<&str> =
        PROGRAM.iter().map(|measured| measured.bench).filter(|bench| *bench != "http").collect();
    benches.dedup();
    for bench in benches {
        let lines = ran(bench, MEMBERS_IN_TESTS);
        for measured in PROGRAM.iter().filter(|measured| measured.bench == bench) {
            assert!(Duration::ZERO < measured.read(&lines), "{}", measured.name);
        }
    }
    println!("program: all benches said what they measured");
}
