//! Opening: new directories, different plans, locks, snapshots and logs that do not match.

use tempfile::tempdir;
use upline::{
    durability::{DataDir, Error, Journal},
    engine::{Command, Engine, OpenError, Outcome, Plan, Stamped, Timestamp, load},
};

use super::common::{contents, digest, disk, grow, open, options, plan, signup, submit};

#[test]
fn a_new_directory_is_made_and_says_so() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("deep").join("data");
    let mut new = options(&path);
    new.network_id = 42;
    let (engine, report) = Engine::open(new).unwrap();
    assert!(report.created);
    assert_eq!((report.members, report.lsn, report.replayed), (0, 0, 0));
    assert_eq!((engine.network_id(), engine.status().network_id), (42, 42));
    grow(&engine, 0, 3);
    drop(engine);
    let (engine, report) = Engine::open(options(&path)).unwrap();
    assert!(!report.created);
    assert_eq!((report.members, report.lsn, report.replayed, engine.network_id()), (3, 3, 3, 42));
    assert_eq!(engine.open_report(), &report);
}

#[test]
fn an_invalid_plan_makes_nothing() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("data");
    let mut wrong = options(&path);
    wrong.plan.plan.level_cap = 0;
    assert!(
        matches!(Engine::open(wrong), Err(OpenError::PlanInvalid(errors)) if errors[0].field == "level_cap")
    );
    assert!(!path.exists());
}

#[test]
fn another_plan_or_width_is_refused_only_if_asked_for() {
    type Change = fn(&mut Plan);
    let directory = tempdir().unwrap();
    drop(open(directory.path()));
    let before = contents(directory.path());
    // plan explicit, width explicit, change, opens
    let wider: Change = |plan| plan.placement.width = Some(4);
    let renamed: Change = |plan| plan.name = "other".into();
    let same: Change = |_| {};
    let table = [
        (false, false, wider, true),
        (true, false, wider, false),
        (false, true, wider, false),
        (true, false, renamed, false),
        (false, true, renamed, true),
        (true, true, same, true),
    ];
    for (row, (plan_is_explicit, width_is_explicit, change, opens)) in table.into_iter().enumerate() {
        let mut choice = options(directory.path());
        change(&mut choice.plan.plan);
        choice.plan.plan_is_explicit = plan_is_explicit;
        choice.plan.width_is_explicit = width_is_explicit;
        let wanted = choice.plan.plan.clone();
        match Engine::open(choice) {
            Ok(_) => assert!(opens, "row {row}"),
            Err(OpenError::PlanDiffers { wanted: told, present, version }) => {
                assert!(!opens, "row {row}");
                assert_eq!((*told, *present, version), (wanted, plan(), 1), "row {row}");
            }
            Err(error) => panic!("row {row}: {error}"),
        }
    }
    assert!(before == contents(directory.path()), "nothing was changed by any of them");
}

#[test]
fn the_plan_compared_is_the_one_in_force() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    let newer = Plan { name: "newer".into(), ..plan() };
    let answer = submit(&engine, Command::PutPlan(Box::new(newer.clone())));
    assert_eq!(answer.applied.outcome, Outcome::PlanActivated { version: 2 });
    drop(engine);
    let explicit = |plan: Plan| {
        let mut choice = options(directory.path());
        choice.plan.plan = plan;
        choice.plan.plan_is_explicit = true;
        Engine::open(choice).map(|(engine, _)| engine.status().plan_version)
    };
    assert!(matches!(explicit(plan()), Err(OpenError::PlanDiffers { version: 2, .. })));
    assert_eq!(explicit(newer).unwrap(), 2);
}

#[test]
fn a_directory_has_one_owner() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 2);
    assert!(matches!(Engine::open(options(directory.path())), Err(OpenError::Data(Error::Locked { .. }))));
    assert!(matches!(
        load(&disk(), directory.path(), &mut |_| {}),
        Err(OpenError::Data(Error::Locked { .. }))
    ));
    grow(&engine, 2, 4);
    drop(engine);
    assert_eq!(load(&disk(), directory.path(), &mut |_| {}).unwrap().state.len(), 4);
}

/// A process being spawned holds copies of all open files, including the lock, until it execs.
#[test]
fn a_closed_directory_is_free_though_processes_are_started() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let directory = tempdir().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let mut started = 0;
            while !done.load(Ordering::Relaxed) {
                assert!(std::process::Command::new("true").status().unwrap().success());
                started += 1;
            }
            started
        });
        let opened: Vec<_> = (0..40)
            .map(|_| Engine::open(options(directory.path())).map(drop).map_err(|error| error.to_string()))
            .collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(opened, vec![Ok(()); 40]);
        assert!(0 < starting.join().unwrap());
    });
}

#[test]
fn something_else_s_directory_is_left_alone() {
    let directory = tempdir().unwrap();
    std::fs::write(directory.path().join("holiday.jpg"), b"not ours").unwrap();
    let before = contents(directory.path());
    assert!(matches!(
        Engine::open(options(directory.path())),
        Err(OpenError::Data(Error::NotADataDirectory { .. }))
    ));
    assert!(before == contents(directory.path()));
}

/// Publishes a snapshot of the directory's current state that claims to be of another state.
fn publish_with_a_wrong_digest(path: &std::path::Path) {
    let state = load(&disk(), path, &mut |_| {}).unwrap().state;
    let opened = DataDir::open(&disk(), path, options(path).log).unwrap();
    let mut snapshot = opened.snapshots.begin(&state.image_header()).unwrap();
    for rows in state.image_rows(100) {
        snapshot.push(&rows).unwrap();
    }
    snapshot.publish(state.lsn(), [1; 32], [2; 32]).unwrap();
}

#[test]
fn a_snapshot_with_another_digest_is_not_used() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 20);
    let before = digest(&engine);
    drop(engine);
    publish_with_a_wrong_digest(directory.path());
    let (engine, report) = Engine::open(options(directory.path())).unwrap();
    assert_eq!(
        (digest(&engine), report.snapshot_lsn, report.replayed),
        (before, 0, 20),
        "the first snapshot and the whole log"
    );
    assert_eq!(report.fallbacks.len(), 1);
    assert!(engine.status().opened.fallbacks[0].contains("digest"));
    let snapshots = || {
        let mut names: Vec<_> = directory
            .path()
            .join("snapshots")
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let first = format!("{:020}.snap", 0);
    assert_eq!(snapshots(), [first.clone(), format!("{:020}.snap.damaged", 20)], "set aside");
    // The next snapshot is kept in addition to the first, and the log after the first stays.
    grow(&engine, 20, 21);
    engine.snapshot_now_blocking().unwrap();
    assert_eq!(snapshots(), [first, format!("{:020}.snap.damaged", 20), format!("{:020}.snap", 21)]);
    drop(engine);
    let report = Engine::open(options(directory.path())).unwrap().1;
    assert_eq!((report.snapshot_lsn, report.fallbacks), (21, vec![]));
}

#[test]
fn without_another_snapshot_a_wrong_digest_is_refused() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 20);
    drop(engine);
    publish_with_a_wrong_digest(directory.path());
    for entry in directory.path().join("snapshots").read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("00000000000000000000.") {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert!(matches!(Engine::open(options(directory.path())), Err(OpenError::Digest { lsn: 20, .. })));
}

#[test]
fn a_log_whose_outcomes_differ_is_refused() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 3);
    let time = engine.status().time;
    drop(engine);
    let mut opened = DataDir::open(&disk(), directory.path(), options(directory.path()).log).unwrap();
    let stamped = Stamped { lsn: 4, time, key: None, actor: None, format: 1, command: signup(3, Some(0)) };
    opened.journal.append(&[stamped], 0xbad).unwrap();
    opened.journal.sync().unwrap();
    drop(opened);
    match Engine::open(options(directory.path())) {
        Err(OpenError::OutcomeDiffers { lsn: 3, recorded: 0xbad, .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
}

#[test]
fn a_log_that_runs_backwards_is_refused() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 3);
    let hash = engine.read(|state, _| state.outcome_hash());
    drop(engine);
    let mut opened = DataDir::open(&disk(), directory.path(), options(directory.path()).log).unwrap();
    let stamped = Stamped {
        lsn: 4,
        time: Timestamp(1),
        key: None,
        actor: None,
        format: 1,
        command: signup(3, Some(0)),
    };
    opened.journal.append(&[stamped], hash).unwrap();
    opened.journal.sync().unwrap();
    drop(opened);
    match Engine::open(options(directory.path())) {
        Err(OpenError::Replay { lsn: 4, .. }) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it opened"),
    }
}

#[test]
fn a_torn_tail_is_cut_and_counted() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 10);
    let before = digest(&engine);
    drop(engine);
    // What a crash during a write leaves: a torn frame.
    let log = directory.path().join("log");
    let mut segments: Vec<_> = log.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    let mut bytes = std::fs::read(&segments[0]).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let copied: Vec<u8> = bytes[end - 150..end - 100].to_vec();
    bytes[end..end + 50].copy_from_slice(&copied);
    std::fs::write(&segments[0], &bytes).unwrap();
    let (engine, report) = Engine::open(options(directory.path())).unwrap();
    assert_eq!((digest(&engine), report.cuts.len()), (before, 1), "{:?}", report.cuts);
    engine.refresh_metrics();
    assert!(engine.metrics().render().lines().any(|line| line == "upline_recovery_cuts_total 1"));
    assert!(engine.metrics().render().lines().any(|line| line == "upline_recovery_replayed_commands 10"));
    grow(&engine, 10, 12);
    drop(engine);
    assert_eq!(Engine::open(options(directory.path())).unwrap().1.cuts, Vec::<String>::new());
}

#[test]
fn leftovers_of_a_crash_are_removed_and_noted() {
    let directory = tempdir().unwrap();
    drop(open(directory.path()));
    let leftover = directory.path().join("snapshots").join(format!("{:020}.snap.tmp", 7));
    std::fs::write(&leftover, b"half a snapshot").unwrap();
    assert_eq!(load(&disk(), directory.path(), &mut |_| {}).unwrap().report.notes, ["unfinished files: 1"]);
    assert!(leftover.exists(), "looking changes nothing");
    assert_eq!(Engine::open(options(directory.path())).unwrap().1.notes, ["unfinished files: 1"]);
    assert!(!leftover.exists());
}

#[test]
fn a_clock_behind_the_log_is_told() {
    use std::sync::Arc;
    let directory = tempdir().unwrap();
    let mut late = options(directory.path());
    late.clock = Arc::new(|| Timestamp(5_000_000));
    let engine = Engine::open(late).unwrap().0;
    grow(&engine, 0, 1);
    drop(engine);
    let mut early = options(directory.path());
    early.clock = Arc::new(|| Timestamp(2_000_000));
    let (engine, report) = Engine::open(early).unwrap();
    assert_eq!(report.clock_behind, std::time::Duration::from_secs(3));
    grow(&engine, 1, 2);
    assert_eq!(engine.status().time, Timestamp(5_000_000), "log time stands still");
}

#[test]
fn progress_is_told_while_opening() {
    use std::sync::{Arc, Mutex};
    use upline::engine::OpenProgress;
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 10);
    engine.snapshot_now_blocking().unwrap();
    grow(&engine, 10, 15);
    drop(engine);
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut telling = options(directory.path());
    let list = Arc::clone(&told);
    telling.progress = Some(Box::new(move |progress| list.lock().unwrap().push(progress)));
    Engine::open(telling).unwrap();
    let told = told.lock().unwrap();
    let checking = told.iter().position(|progress| *progress == OpenProgress::Checking).unwrap();
    assert!(matches!(
        told[checking - 1], OpenProgress::Loading { rows, rows_total } if rows == rows_total && 10 <= rows
    ));
    assert_eq!(told.last(), Some(&OpenProgress::Replaying { commands: 5 }));
}
