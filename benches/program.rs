//! What only the whole program does: files in and out, snapshots, starting, HTTP. Each sample is a run of
//! `upline bench NAME`, small, with what it measured itself. So there is one workload however it is run; here
//! it comes with Criterion's statistics and its comparison with the run before.
//!
//! - `cargo bench --bench program` measures, on networks of [`MEMBERS`] members. Some ten minutes.
//! - Otherwise (`cargo test`, `cargo bench -- --test`) each that is quick runs once with
//!   [`MEMBERS_IN_TESTS`]; what they say in detail is in `tests/cli/bench.rs`.
#![forbid(unsafe_code)]

mod harness;

use std::{process::Command, time::Duration};

use criterion::{Criterion, SamplingMode, Throughput};
use serde_json::Value;

const MEMBERS: u32 = 100_000;
const MEMBERS_IN_TESTS: u32 = 500;
/// What must be measured for some time is measured for this long.
const SECONDS: u32 = 1;

/// Something that a bench measures: which of its lines it is in, and under which name.
struct Measured {
    name: &'static str,
    bench: &'static str,
    line: usize,
    figure: &'static str,
    is: Figure,
}

/// What the figure says.
#[derive(Clone, Copy)]
enum Figure {
    /// For all members.
    Seconds,
    /// A rate: what one takes is its inverse.
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
    /// What one took for a rate, otherwise what the whole network did, from the lines of its bench.
    ///
    /// # Panics
    /// When the bench does not say it.
    fn read(&self, lines: &[Value]) -> Duration {
        let figures = &lines[self.line]["figures"];
        let figure = figures[self.figure].as_f64().unwrap_or_else(|| panic!("{} in {figures}", self.figure));
        Duration::from_secs_f64(match self.is {
            Figure::Seconds => figure,
            Figure::PerSecond => figure.recip(),
        })
    }
}

/// Runs a bench of the program once: its lines.
///
/// # Panics
/// When it fails, or says something else than JSON.
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
        // One run of the program is one sample, however little it measured: its start and its network are not
        // part of it.
        group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(elements));
        group.bench_function(measured.name, |bencher| {
            bencher.iter_custom(|times| {
                measured.read(&ran(measured.bench, MEMBERS)) * u32::try_from(times).expect("few")
            });
        });
    }
    group.finish();
}

/// Each bench once, small: it says what is measured here. HTTP, which takes seconds however small it is, is
/// left to `tests/cli/bench_http.rs`.
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
