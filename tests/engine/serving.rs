//! Many writers, concurrent snapshots, stopping.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tempfile::tempdir;
use upline::engine::{
    Engine, MemberIx, Outcome, RowKind, SnapshotError, SubmitError, Tree, network_digest, state_digest,
};

use super::common::{digest, grow, member, open, options, signup, submit, trigger};

/// Sixteen clients, one root: the width is respected, breadth-first order is LSN order, and all of it
/// survives.
#[test]
fn concurrent_signups_never_exceed_the_width() {
    const CLIENTS: u64 = 16;
    const EACH: u64 = 125;
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    submit(&engine, signup(0, None));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let engine = engine.clone();
            std::thread::spawn(move || {
                (1..=EACH)
                    .map(|count| submit(&engine, signup(client * EACH + count, Some(0))))
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut answers: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    answers.sort_by_key(|answer| answer.applied.lsn);
    engine.read(|state, _| {
        assert_eq!(u64::from(state.len()), 1 + CLIENTS * EACH);
        for (place, answer) in (1_u32..).zip(&answers) {
            let Outcome::Registered { member } = answer.applied.outcome else { panic!("{answer:?}") };
            assert_eq!(member, MemberIx(place), "indexes are in LSN order");
            let row = state.member(member);
            assert_eq!(
                (row.parent, row.slot),
                (Some(MemberIx((place - 1) / 3)), (place - 1) % 3),
                "breadth first, in LSN order"
            );
        }
        assert!((0..state.len()).all(|index| state.direct(Tree::Placement, MemberIx(index)) <= 3));
    });
    let before = digest(&engine);
    drop(engine);
    assert_eq!(digest(&open(directory.path())), before);
}

#[test]
fn a_snapshot_is_made_while_signups_run() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 2_000);
    let (stop, signups) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(2_000)));
    let writer = {
        let (engine, stop, signups) = (engine.clone(), Arc::clone(&stop), Arc::clone(&signups));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let number = signups.load(Ordering::Relaxed);
                grow(&engine, number, number + 1);
                submit(&engine, trigger(number));
                signups.store(number + 1, Ordering::Relaxed);
            }
        })
    };
    let mut snapshots = Vec::new();
    while snapshots.len() < 4 {
        let made = engine.snapshot_now_blocking().unwrap();
        let at = signups.load(Ordering::Relaxed);
        snapshots.push(made);
        while signups.load(Ordering::Relaxed) < at + 20 {
            std::thread::yield_now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(snapshots.windows(2).all(|pair| pair[0].lsn < pair[1].lsn));
    let before = digest(&engine);
    let applied = engine.status().lsn.applied;
    assert_eq!(engine.status().lsn.snapshot, snapshots[3].lsn);
    engine.shutdown();
    drop(engine);

    let (engine, report) = Engine::open(options(directory.path())).unwrap();
    assert_eq!((report.snapshot_lsn, report.lsn), (snapshots[3].lsn, applied));
    assert_eq!(report.replayed, applied - snapshots[3].lsn);
    assert_eq!((digest(&engine), report.fallbacks.len(), report.cuts.len()), (before, 0, 0));
    assert!(
        directory.path().join("archive").read_dir().unwrap().next().is_some(),
        "the log before the older snapshot is archived"
    );
    assert_eq!(directory.path().join("snapshots").read_dir().unwrap().count(), 2, "two are kept");
}

#[test]
fn a_snapshot_carries_both_digests() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 50);
    let made = engine.snapshot_now_blocking().unwrap();
    let view = engine.frozen_view();
    assert_eq!((made.state_digest, made.network_digest), (state_digest(&view), network_digest(&view)));
    assert_eq!((made.members, made.lsn), (50, 50));
    assert!(0 < made.bytes);
}

#[test]
fn stopping_leaves_a_snapshot_and_a_free_directory() {
    let directory = tempdir().unwrap();
    let mut with_final = options(directory.path());
    with_final.snapshots.on_shutdown = true;
    let engine = Engine::open(with_final).unwrap().0;
    grow(&engine, 0, 100);
    let before = digest(&engine);
    let report = engine.shutdown();
    assert_eq!((report.lsn, report.snapshot.unwrap().unwrap().lsn), (100, 100));
    assert_eq!(engine.submit_blocking(signup(100, Some(0)), None), Err(SubmitError::Stopping));
    assert_eq!(engine.snapshot_now_blocking(), Err(SnapshotError::Stopping));
    // The old engine still serves reads while a new one has the directory.
    let (again, report) = Engine::open(options(directory.path())).unwrap();
    assert_eq!((report.snapshot_lsn, report.replayed), (100, 0));
    assert_eq!((digest(&again), digest(&engine)), (before, before));
}

#[test]
fn row_ids_stay_the_same_and_are_this_directory_s_own() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    let id = engine.row_id(RowKind::Entry, 12);
    assert_eq!(engine.entry_of(id), Some(12));
    let instance = engine.instance_id();
    drop(engine);
    let engine = open(directory.path());
    assert_eq!((engine.row_id(RowKind::Entry, 12), engine.instance_id()), (id, instance));
    let other = tempdir().unwrap();
    let stranger = open(other.path());
    assert_eq!(stranger.entry_of(id), None);
    assert_ne!(stranger.instance_id(), instance);
}

#[test]
fn the_directory_knows_ids_and_codes_whatever_their_case() {
    use upline::engine::Code;
    let path = tempdir().unwrap();
    for opening in 0..2 {
        let engine = open(path.path());
        if opening == 0 {
            grow(&engine, 0, 10);
        }
        engine.read(|state, directory| {
            assert_eq!(state.find(directory, &member(7)), Some(MemberIx(7)));
            assert_eq!(state.member_by_code(directory, &Code::parse("cODE-9").unwrap()), Some(MemberIx(9)));
            let generated = state.code(MemberIx(8));
            assert_eq!(state.member_by_code(directory, &generated), Some(MemberIx(8)));
        });
    }
}
