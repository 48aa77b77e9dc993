//! The real binary under `strace -e inject`: at every call that modifies the disk, during a script with a new
//! directory, rotation, snapshot and recovery, the process is killed, or the call fails (EIO, ENOSPC), is
//! interrupted, or reports one byte that it did not write.
//!
//! - In every case the directory opens again, with everything acknowledged and beyond that only what was in
//!   flight, in order (D2).
//! - A failed write or sync of the log is 503 `outcome_unknown` for waiting requests, `read_only` for later
//!   writes, and reads continue (D4). A failed snapshot stops nothing.
//! - An interrupted call fails nothing.
//! - A disk that lies about a byte may lead to a refusal, never to a silent loss (D3).
//!
//! `UPLINE_POINTS` (30) points are taken from the shuffled list of all, from `UPLINE_POINTS_FIRST` on;
//! `UPLINE_SEED` shuffles. `strace` counts calls per thread, so a point is the n-th such call of each thread.

mod offline;
mod opening;
mod orders;
mod script;
mod seals;
mod traced;

use std::{collections::BTreeSet, fs, path::Path, time::Instant};

use script::{Seen, Stage};
use traced::{Fault, Point};

use crate::proof::{self, Chance};

/// The possible faults of each call. Only calls that the operating system may interrupt are interrupted.
const CALLS: [(&str, &[Fault]); 7] = [
    ("pwrite64", &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Interrupt, Fault::Lie]),
    ("fdatasync", &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Interrupt]),
    ("fsync", &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Interrupt]),
    ("openat", &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC"), Fault::Interrupt]),
    ("rename", &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC")]),
    ("unlink", &[Fault::Kill, Fault::Error("EIO")]),
    ("mkdir", &[Fault::Kill, Fault::Error("EIO"), Fault::Error("ENOSPC")]),
];

/// The initial directory of a stage, and all its points.
struct Prepared {
    stage: Stage,
    directory: tempfile::TempDir,
    /// Copied for each point; `None` for the stage that creates a new directory.
    before: Option<std::path::PathBuf>,
    seen: Seen,
    points: Vec<Point>,
    listing: Point,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Leaves what a crash leaves: a torn frame after the last whole one, and the beginnings of files.
fn leave_debris(data: &Path) {
    let log = data.join("log");
    let mut segments: Vec<_> =
        fs::read_dir(&log).expect("a log").map(|entry| entry.expect("an entry").path()).collect();
    segments.sort();
    let mut is_torn = false;
    for path in segments.iter().rev() {
        let mut content = fs::read(path).expect("a segment");
        let Some(last) = content.iter().rposition(|byte| *byte != 0) else { continue };
        let begin = (last + 1).next_multiple_of(64);
        content[begin..begin + 70].fill(0xa5);
        fs::write(path, content).expect("a segment");
        is_torn = true;
        break;
    }
    assert!(is_torn, "a segment is in use");
    fs::write(log.join("00000000000000000099.log.tmp"), b"half").expect("a file");
    fs::write(data.join("snapshots").join("00000000000000000099.snap.tmp"), b"half").expect("a file");
}

fn prepare(stage: Stage, seen: &Seen, before: Option<&Path>) -> Prepared {
    let directory = crate::common::scratch();
    let data = directory.path().join("data");
    let before = before.map(|before| {
        let kept = directory.path().join("before");
        copy(before, &kept);
        leave_debris(&kept);
        copy(&kept, &data);
        kept
    });
    let trace = directory.path().join("trace");
    let names: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
    let mut seen = seen.clone();
    script::run(
        stage,
        &data,
        &["-o", trace.to_str().expect("UTF-8"), "-e", &format!("trace={}", names.join(","))],
        &mut seen,
    );
    assert!(
        !seen.is_read_only && seen.unknown.is_empty() && seen.ended_well,
        "without a fault all goes well"
    );
    let trace = fs::read_to_string(&trace).expect("a trace");
    traced::assert_synced(&trace, seen.singles);
    let points = traced::points(&trace, &data, &CALLS);
    let listing = traced::first_listing(&trace, &data).expect("directories are listed");
    Prepared { stage, directory, before, seen, points, listing }
}

/// Runs the stage with one fault and asserts the guarantees.
fn try_point(prepared: &Prepared, begin: &Seen, point: &Point) -> Seen {
    let directory = crate::common::scratch();
    let data = directory.path().join("data");
    if let Some(before) = &prepared.before {
        copy(before, &data);
    }
    let mut seen = begin.clone();
    let trace = directory.path().join("trace");
    let (call, inject) = (format!("trace={}", point.call), point.inject());
    let mut arguments = vec!["-o", trace.to_str().expect("UTF-8"), "-e", &call, "-e", &inject];
    if point.fault != Fault::Kill {
        // Faster; but it disables injected signals.
        arguments.push("--seccomp-bpf");
    }
    script::run(prepared.stage, &data, &arguments, &mut seen);
    seen.was_reached =
        seen.was_killed || fs::read_to_string(&trace).is_ok_and(|trace| trace.contains("(INJECTED)"));
    match point.fault {
        Fault::Interrupt => assert!(
            !seen.is_read_only && seen.unknown.is_empty() && seen.ended_well,
            "an interruption is no failure"
        ),
        Fault::Kill | Fault::Error(_) => {}
        Fault::Lie => {
            if script::is_refused(&data) {
                return seen;
            }
        }
    }
    script::assert_kept(&data, &seen, point.fault == Fault::Lie);
    seen
}

#[test]
fn every_call_may_fail() {
    let _turn = crate::common::turn();
    if !traced::is_there() {
        println!("NOT RUN: strace is not there or may not trace; this test injects faults with it");
        proof::summary("syscalls: skipped=1 points=0");
        assert!(
            std::env::var_os("UPLINE_PROOF_COMPLETE").is_none(),
            "where the proof is to be complete, strace must work"
        );
        return;
    }
    let (count, first) = (proof::number("UPLINE_POINTS", 30), proof::number("UPLINE_POINTS_FIRST", 0));
    let seed = proof::number("UPLINE_SEED", 1);
    println!("seed {seed}");
    let begin = Instant::now();
    let none = Seen::default();
    let fresh = prepare(Stage::Fresh, &none, None);
    let data = fresh.directory.path().join("data");
    let recovery = prepare(Stage::Recovery, &fresh.seen, Some(&data));
    let mut all: Vec<(&Prepared, &Seen, Point)> =
        fresh.points.iter().map(|point| (&fresh, &none, point.clone())).collect();
    all.extend(recovery.points.iter().map(|point| (&recovery, &fresh.seen, point.clone())));
    let mut chance = Chance::new(seed);
    for at in (1..all.len()).rev() {
        all.swap(at, usize::try_from(chance.below(at as u64 + 1)).expect("an index"));
    }
    // Regardless of the shuffle.
    all.insert(0, (&recovery, &fresh.seen, recovery.listing.clone()));
    let total = all.len();
    let (mut done, mut reached, mut killed, mut poisoned, mut refused, mut acknowledged) =
        (0_u64, 0_u64, 0_u64, 0_u64, 0_u64, 0);
    let mut kinds = BTreeSet::new();
    for (prepared, begin, point) in all.into_iter().skip(usize::try_from(first).expect("an index")) {
        if count <= done {
            break;
        }
        println!("point {}: {:?} {point:?}", first + done, prepared.stage);
        let outcome = try_point(prepared, begin, &point);
        done += 1;
        reached += u64::from(outcome.was_reached);
        killed += u64::from(outcome.was_killed);
        poisoned += u64::from(outcome.is_read_only);
        refused += u64::from(outcome.ended_early && !outcome.was_killed);
        acknowledged += outcome.members.len();
        kinds.insert((point.call.clone(), format!("{:?}", point.fault)));
    }
    proof::summary(&format!(
        "syscalls: seed={seed} points={done} first={first} of={total} kinds={} reached={reached} \
         killed={killed} poisoned={poisoned} not_started={refused} acknowledged={acknowledged} \
         lost=0 seconds={}",
        kinds.len(),
        begin.elapsed().as_secs()
    ));
    assert!(count.min((total as u64).saturating_sub(first)) <= done);
    // Group sizes depend on timing, so a late call of a thread may not happen.
    assert!(done / 2 <= reached, "{reached} of {done} points were reached");
}
