//! `upline bench`, small (`bench http` is in `bench_http.rs`): the form of its output, that equal work has
//! equal digests, and that nothing is left behind.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{self, Place, command, signal, wait};

const FIELDS: [&str; 8] = ["bench", "digest", "figures", "limit", "met", "params", "ratio", "target"];

/// Runs a small bench and returns its lines.
fn bench(name: &str, place: &Path, more: &[&str]) -> Vec<Value> {
    let place = place.to_str().expect("temporary paths are UTF-8");
    let arguments = ["bench", name, "--members", "2000", "--seconds", "1", "--json", "--dir", place];
    let ran = support::run(arguments.iter().chain(more)).ends_with(0);
    ran.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("it is there").next().is_none()
}

/// Checks a line of a bench and returns its figures.
fn check<'a>(line: &'a Value, name: &str, target: &str, figures: &[&str]) -> &'a Value {
    let fields: Vec<&String> = line.as_object().expect("an object").keys().collect();
    assert_eq!(fields, FIELDS, "{line}");
    assert_eq!(line["bench"], name);
    assert!(line["target"].as_str().expect("text").starts_with(target), "{line}");
    assert_eq!(line["met"], Value::Null, "the target is not for so few members: {line}");
    assert_eq!(line["params"]["members"], 2_000);
    // Figures that could not be measured in so short a time are null and never 0.
    let is_known = |value: &Value| value.as_f64().is_some_and(|figure| 0.0 < figure);
    let is_percentile = |name: &str| name.contains("_p99");
    let lacks_some = ["figures", "limit"]
        .iter()
        .any(|part| line[part].as_object().expect("an object").values().any(Value::is_null));
    assert!(is_known(&line["ratio"]) || (lacks_some && line["ratio"].is_null()), "{line}");
    for figure in figures {
        let value = &line["figures"][figure];
        assert!(is_known(value) || (is_percentile(figure) && value.is_null()), "{figure}: {line}");
    }
    assert!(!line["limit"].as_object().expect("an object").is_empty(), "{line}");
    &line["figures"]
}

fn digests(lines: &[Value]) -> Vec<&Value> {
    lines.iter().map(|line| &line["digest"]).collect()
}

/// Runs a bench twice with one seed and once with another.
fn same_work_same_digest(name: &str) -> Vec<Value> {
    let place = Place::on_disk();
    let lines = bench(name, place.root(), &[]);
    assert!(is_empty(place.root()), "it leaves nothing behind");
    let digested: Vec<&Value> = digests(&lines).into_iter().filter(|digest| digest.is_string()).collect();
    assert!(!digested.is_empty());
    let (again, other) = (bench(name, place.root(), &[]), bench(name, place.root(), &["--seed", "2"]));
    assert_eq!(digests(&lines), digests(&again));
    let others = digests(&other);
    assert!(digested.iter().all(|digest| !others.contains(digest)), "another network has another digest");
    lines
}

#[test]
fn place() {
    let lines = same_work_same_digest("place");
    assert_eq!(lines.len(), 1);
    check(&lines[0], "place", "P1: ", &["signups_per_second", "without_ids_per_second", "seconds", "depth"]);
    // The digest in the table of the Criterion bench of the same networks: both run one workload.
    let line = &bench("place", Place::on_disk().root(), &["--shape", "uniform"])[0];
    assert!(line["digest"].as_str().expect("text").starts_with("5417d9e925ca7bd7"), "{line}");
    let chain = &bench("place", Place::on_disk().root(), &["--shape", "chain"])[0];
    check(chain, "place", "P2: ", &["signups_per_second", "single_p50_us", "single_p99_us"]);
    assert_eq!(chain["figures"]["depth"], 2_000);
}

#[test]
fn bonus() {
    let lines = same_work_same_digest("bonus");
    check(&lines[0], "bonus", "P11: ", &["triggers_per_second", "entries", "entry_bytes"]);
    assert_eq!(lines[0]["params"]["triggers"], 20_000);
}

#[test]
fn orders() {
    let lines = same_work_same_digest("orders");
    check(
        &lines[0],
        "orders",
        "R5: ",
        &["orders_per_second", "bytes_per_order_with_volumes", "bytes_per_order"],
    );
    assert_eq!(lines[0]["params"]["orders"], 2_000);
}

#[test]
fn volumes() {
    let lines = same_work_same_digest("volumes");
    let figures = check(
        &lines[0],
        "volumes",
        "R5: ",
        &["own_group_and_levels_p99_us", "groups_of_legs_p99_us", "volumes_p99_us", "top_list_seconds"],
    );
    assert_eq!(figures["top_list_groups"], 100);
}

#[test]
fn ranks() {
    let lines = same_work_same_digest("ranks");
    let figures = check(&lines[0], "ranks", "P6: ", &["one_thread_ms", "two_threads_ms", "speedup"]);
    assert_eq!(figures["differences"], 0);
}

#[test]
fn mem() {
    let lines = same_work_same_digest("mem");
    check(
        &lines[0],
        "mem",
        "P10: ",
        &["members_bytes", "links_bytes", "counts_bytes", "directory_bytes", "resident_bytes"],
    );
}

#[test]
fn reads() {
    let lines = same_work_same_digest("reads");
    check(&lines[0], "reads", "P5: ", &["member_by_id_p50_us", "rank_p99_us", "worst_p99_us"]);
    assert_eq!(lines[0]["params"]["calls"], 2_000);
}

#[test]
fn import() {
    let lines = same_work_same_digest("import");
    assert_eq!(lines.len(), 2);
    for (line, file) in lines.iter().zip(["binary", "sponsors"]) {
        check(
            line,
            "import",
            "P7: ",
            &["seconds", "members_per_second", "csv_bytes", "snapshot_bytes", "peak_bytes"],
        );
        assert_eq!(line["params"]["file"], file);
    }
    assert_eq!(lines[0]["params"]["width"], 2);
}

#[test]
fn export() {
    let lines = same_work_same_digest("export");
    assert_eq!(lines.len(), 1);
    let figures = check(
        &lines[0],
        "export",
        "P12: ",
        &["members_per_second", "seconds", "bytes", "csv_with_loading_seconds"],
    );
    assert!(figures["server_growth_bytes"].is_u64(), "{figures}");
}

#[test]
fn snapshot() {
    let lines = same_work_same_digest("snapshot");
    assert_eq!(lines.len(), 2);
    check(&lines[0], "snapshot", "P8: ", &["seconds", "bytes", "bytes_per_second"]);
    let busy = check(
        &lines[1],
        "snapshot",
        "P8: ",
        &["signups_per_second", "held_up_p99_us", "held_up_longest_us", "fdatasync_p99_us"],
    );
    assert!(
        busy["held_up_p99_us"].is_null()
            || busy["held_up_p99_us"].as_f64() <= busy["held_up_longest_us"].as_f64(),
        "{busy}"
    );
    assert_eq!(lines[1]["digest"], Value::Null, "how many sign up meanwhile is up to the machine");
}

#[test]
fn recover() {
    let lines = same_work_same_digest("recover");
    assert_eq!(lines.len(), 2);
    check(&lines[0], "recover", "P9: ", &["seconds", "opening_seconds", "resident_bytes", "snapshot_bytes"]);
    check(&lines[1], "recover", "P9: ", &["replayed_per_second", "seconds"]);
    assert_eq!([&lines[0]["params"]["from"], &lines[1]["params"]["from"]], ["snapshot", "log"]);
}

#[test]
fn a_bench_that_is_interrupted_leaves_no_files_and_no_children() {
    for name in ["import", "export", "snapshot", "recover"] {
        let place = Place::on_disk();
        let arguments = ["bench", name, "--members", "300000", "--seconds", "3600", "--dir", &place.text("")];
        let started = command(arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn();
        let bench = started.expect("the program starts");
        let begin = Instant::now();
        while is_empty(place.root()) {
            assert!(begin.elapsed() < Duration::from_secs(60), "{name} begins");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Somewhere in the middle, at a varying point.
        std::thread::sleep(Duration::from_millis(300));
        let begin = Instant::now();
        signal(&bench, "INT");
        wait(bench).ends_with(130).says("nothing was measured");
        assert!(begin.elapsed() < Duration::from_secs(60), "{name} stops soon");
        assert!(is_empty(place.root()), "{name} leaves nothing behind");
        assert!(!works_in(place.root()), "{name} leaves no process behind");
    }
}

/// Returns whether a process works in a folder: children of a bench do, wherever they were started from.
fn works_in(place: &Path) -> bool {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok())
        .any(|folder| folder.starts_with(place))
}
