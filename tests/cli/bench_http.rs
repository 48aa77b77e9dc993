//! `upline bench http`, small: its output, that every request was answered, and that the network holds
//! exactly the acknowledged signups.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::common::binary;

const MEMBERS: u64 = 1_000;
/// Generous: a loaded machine must not fail a test.
const PATIENCE: Duration = Duration::from_mins(5);

fn bench(dir: &Path, seconds: &str) -> Command {
    named("http", dir, seconds)
}

fn named(name: &str, dir: &Path, seconds: &str) -> Command {
    let mut command = Command::new(binary());
    let members = MEMBERS.to_string();
    command
        .args(["bench", name, "--members", &members, "--seconds", seconds, "--json", "--dir"])
        .arg(dir)
        .stdin(Stdio::null());
    command
}

#[test]
fn it_says_what_it_measured_and_the_network_holds_what_was_acknowledged() {
    // It measures the disk too.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = bench(dir.path(), "1").output().expect("the binary starts");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // A single non-2xx response, or one member too many or too few, fails it.
    assert!(output.status.success(), "{said}\n{complained}");
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect();
    let targets: Vec<&str> =
        lines.iter().filter_map(|line| line["target"].as_str()?.split(':').next()).collect();
    assert_eq!(targets, ["P3", "P4", "P5", "R5"]);
    for line in &lines {
        let mut names: Vec<&String> = line.as_object().expect("an object").keys().collect();
        names.sort();
        assert_eq!(names, ["bench", "digest", "figures", "limit", "met", "params", "ratio", "target"]);
        assert_eq!(
            (&line["bench"], &line["met"]),
            (&Value::from("http"), &Value::Null),
            "too small for the targets: {line}"
        );
        assert_eq!(line["params"]["members"], MEMBERS);
        assert_eq!(line["digest"], lines[0]["digest"]);
        assert!(line["ratio"].is_null() || line["ratio"].as_f64().is_some_and(|ratio| 0.0 < ratio), "{line}");
        let acknowledged = line["figures"]["acknowledged"].as_u64().expect("a number");
        assert!(100 < acknowledged, "{line}");
        assert_eq!(line["figures"]["members_after"], MEMBERS + acknowledged);
        assert_eq!(line["figures"]["verified"], true);
    }
    let number = |line: &Value, part: &str, name: &str| {
        line[part][name].as_f64().unwrap_or_else(|| panic!("{part}.{name}: {line}"))
    };
    for (line, figures, limits) in [
        (
            &lines[0],
            &["signups_per_second", "p99_us", "group_commands_mean"][..],
            &["stub_per_second", "fdatasync_p50_us", "disk_bound_per_second"][..],
        ),
        (
            &lines[1],
            &["signups_per_second", "p50_us", "p99_us", "p999_us"],
            &["groups", "ideal_p50_us", "ideal_p99_us", "ideal_p999_us"],
        ),
        (
            &lines[2],
            &["reads_per_second", "p99_us", "alone_per_second"],
            &["stub_per_second", "stub_p99_us", "stub_alone_per_second"],
        ),
        (&lines[3], &["acknowledged_orders"], &[]),
    ] {
        // With few calls in a short time high percentiles are unknown: null, and never 0.
        let is_unknown = |part: &str, name: &str| name.contains("p99") && line[part][name].is_null();
        figures.iter().for_each(|name| {
            assert!(is_unknown("figures", name) || 0.0 < number(line, "figures", name), "{name}: {line}");
        });
        limits.iter().for_each(|name| {
            assert!(is_unknown("limit", name) || 0.0 < number(line, "limit", name), "{name}: {line}");
        });
    }
    assert!(1.0 <= number(&lines[0], "figures", "group_commands_mean"));
    // A round of a busy machine may be too short for the rates of this line.
    for (part, name) in [("figures", "orders_per_second"), ("limit", "signups_per_second")] {
        assert!(lines[3][part].as_object().expect("an object").contains_key(name), "{}", lines[3]);
    }
    assert_eq!(files_in(dir.path()), 0, "nothing is left behind");
}

#[test]
fn guard_asks_for_what_costs_much_while_members_sign_up() {
    let dir = crate::common::scratch();
    let output = named("guard", dir.path(), "1").output().expect("the binary starts");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("each line is an object")).collect();
    let routes: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["params"]["route"].as_str()?.split('?').next()?.rsplit('/').next())
        .collect();
    assert_eq!(routes, ["downline", "tree", "20", "explain", "{id}"]);
    for line in &lines {
        assert_eq!(
            (&line["bench"], &line["met"], &line["figures"]["verified"]),
            (&"guard".into(), &Value::Null, &true.into()),
            "{line}"
        );
        for part in ["figures", "limit"] {
            let p99 = &line[part]["signup_p99_us"];
            assert!(p99.is_null() || p99.as_f64().is_some_and(|figure| 0.0 < figure), "{part}: {line}");
        }
        // On a busy machine none may finish in time, but all are answered or refused.
        let [answers, refused] =
            ["heavy_answers", "heavy_refused"].map(|name| line["figures"][name].as_u64().expect("a number"));
        assert!(0 < answers + refused, "{line}");
    }
    assert_eq!(files_in(dir.path()), 0, "nothing is left behind");
}

/// Stopping it yields no figures and leaves no servers running.
#[test]
fn a_bench_that_is_stopped_takes_its_servers_with_it() {
    let dir = crate::common::scratch();
    let mut child = bench(dir.path(), "3600")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let begin = Instant::now();
    // The stub starts last before the load.
    while of_command_line(dir.path(), "bench-stub") == 0 {
        assert!(
            begin.elapsed() < PATIENCE && child.try_wait().expect("it can be waited for").is_none(),
            "the stub does not start"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("`kill` runs");
    assert!(killed.success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(output.stdout.is_empty());
    assert_eq!(of_command_line(dir.path(), "upline"), 0, "servers go on");
    assert_eq!(files_in(dir.path()), 0, "nothing is left behind");
}

fn files_in(dir: &Path) -> usize {
    std::fs::read_dir(dir).expect("it can be listed").count()
}

/// Counts running processes, except the bench itself, whose command line contains the directory and this
/// word.
fn of_command_line(dir: &Path, word: &str) -> usize {
    let dir = dir.to_str().expect("temporary paths are UTF-8");
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(dir) && line.contains(word) && !line.contains(" bench http "))
        .count()
}
