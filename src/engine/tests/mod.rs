//! The engine's threads against a scripted journal and snapshot sink; `logs.rs` runs it on whole logs. Tests
//! that need real files are in `tests/engine`.

mod logs;
#[cfg(feature = "shuttle")]
mod models;
mod order_lists;
#[cfg(not(feature = "shuttle"))]
mod periods;
mod replica;
pub(super) mod rig;
mod seals;
mod seals_mended;
#[cfg(not(feature = "shuttle"))]
mod views;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub(super) use self::rig::empty_history;
use self::rig::{ScriptInner, SinkScript, member, plan, rig, signup, submit_aside, wait_until};
use super::*;

#[test]
fn a_write_is_logged_synced_applied_and_answered() {
    let rig = rig(|_, _, _| {});
    let answer = rig.engine.submit_blocking(signup(1, None), None).unwrap();
    assert_eq!(
        answer,
        Answer {
            applied: Applied { outcome: Outcome::Registered { member: MemberIx(0) }, lsn: 1 },
            by: AnsweredBy::Log
        }
    );
    let answer = rig.engine.submit_blocking(signup(2, Some(1)), None).unwrap();
    assert_eq!(answer.applied.lsn, 2);
    assert_eq!(
        rig.script.get(|script| (script.groups.len(), script.syncs, script.durable_lsn(), script.failures)),
        (2, 2, 2, 0)
    );
    let hash_after_first = rig.script.get(|script| script.groups[1].1);
    assert_ne!(
        hash_after_first,
        rig.script.get(|script| script.groups[0].1),
        "the second group carries the hash after the first"
    );
    let seen = rig
        .engine
        .read(|state, directory| state.find(directory, &member(2)).map(|index| state.member(index).parent));
    assert_eq!(seen, Some(Some(MemberIx(0))));
    let status = rig.engine.status();
    assert_eq!(status.lsn, Watermarks { snapshot: 0, applied: 2, durable: 2, admitted: 2 });
    assert_eq!(
        (status.members, status.queue_depth, status.log),
        (2, 0, LogFigures { bytes: 300, segments: 3 })
    );
}

#[test]
fn nothing_is_shown_or_answered_before_the_sync() {
    let rig = rig(|_, _, _| {});
    rig.engine.submit_blocking(signup(1, None), None).unwrap();
    rig.script.set(|script| script.hold_sync = true);
    let key = RequestKey { key: [3; 16], fingerprint: 7 };
    let write = |key| {
        let engine = rig.engine.clone();
        std::thread::spawn(move || engine.submit_blocking(signup(2, Some(1)), key))
    };
    let first = write(Some(key));
    wait_until("it is being synced", || rig.script.get(|script| script.syncs) == 2);
    let repeat = write(Some(key));
    wait_until("its repeat waits too", || rig.engine.status().queue_depth == 1);
    assert_eq!(rig.engine.status().lsn, Watermarks { snapshot: 0, applied: 1, durable: 1, admitted: 2 });
    let seen = rig.engine.read(|state, directory| (state.len(), state.find(directory, &member(2))));
    assert_eq!(seen, (1, None), "it may still be lost");
    assert!(!first.is_finished() && !repeat.is_finished());
    rig.script.set(|script| script.hold_sync = false);
    let first = first.join().unwrap().unwrap();
    assert_eq!(first.applied.outcome, Outcome::Registered { member: MemberIx(1) });
    let repeat = repeat.join().unwrap().unwrap();
    assert_eq!(
        (repeat.applied, repeat.by),
        (first.applied, AnsweredBy::Log),
        "the log judged the repeat, and gave the first result"
    );
}

#[test]
fn a_read_inside_a_read_panics_instead_of_waiting_for_ever() {
    type Inner = fn(&Engine);
    let rig = rig(|_, _, _| {});
    let other = self::rig(|_, _, _| {});
    let forbidden: [Inner; 3] = [
        |engine| engine.read(|_, _| {}),
        |engine| _ = engine.frozen_view(),
        |engine| _ = engine.submit_blocking(signup(1, None), None),
    ];
    for inner in forbidden {
        let nested = || rig.engine.read(|_, _| inner(&rig.engine));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(nested)).is_err());
    }
    rig.engine.read(|_, _| other.engine.read(|_, _| {}));
    rig.engine.read(|_, _| {});
    assert!(rig.engine.submit_blocking(signup(1, None), None).is_ok(), "and all goes on");
}

#[test]
fn a_record_is_never_larger_than_its_bound() {
    let longest = Code::parse(&"x".repeat(CODE_BYTES_MAX)).unwrap();
    let key = Some(RequestKey { key: [1; 16], fingerprint: u64::MAX });
    let register = Register {
        member: member(1),
        sponsor: SponsorRef::Code(longest.clone()),
        placement: PlacementRequest::Slot { parent: member(2), slot: u32::MAX },
        code: Some(longest),
        role: Role::Admin,
        joined_at: Some(Timestamp(i64::MAX)),
        origin: Origin::Import(Carried {
            row_id: Some([1; 16]),
            lifetime_rank: u16::MAX,
            turn: u16::MAX,
            ..Carried::default()
        }),
    };
    let text: Box<str> = "t".repeat(crate::durability::TEXT_BYTES_MAX).into();
    let trigger = TriggerBonus {
        source: member(1),
        trigger: text.clone(),
        amount: Some(Money(i64::MAX)),
        once: true,
        reference: None,
    };
    let import = ImportEntry {
        receiver: member(1),
        source: member(2),
        kind: text,
        level: u32::MAX,
        amount: Money(i64::MIN),
        status: EntryStatus::Paid,
        time: Timestamp(i64::MIN),
        row_id: Some([2; 16]),
        reference: None,
        reverses: None,
    };
    for command in [
        Command::Register(register),
        Command::TriggerBonus(trigger),
        Command::PayEntry { entry: u64::MAX },
        Command::PayAll,
        Command::SetStatus { member: member(1), status: Status::Terminated },
        Command::SetRole { member: member(1), role: Role::Admin },
        Command::PutPlan(Box::new(plan())),
        Command::ImportEntry(import),
    ] {
        let bound = crate::durability::record_bytes_bound(&command);
        let stamped =
            Stamped { lsn: u64::MAX, time: Timestamp(i64::MAX), key, actor: None, format: 1, command };
        let bytes = crate::durability::record_bytes(&stamped).unwrap();
        assert!(bytes <= bound, "{bytes} bytes, bound {bound}: {stamped:?}");
    }
}

#[test]
fn a_queue_without_a_place_gets_one() {
    let rig = rig(|options, _, _| options.queue_max = 0);
    assert!(rig.engine.submit_blocking(signup(1, None), None).is_ok());
    assert_eq!(rig.engine.status().queue_capacity, 1);
}

#[test]
fn what_breaks_a_rule_never_reaches_the_log() {
    let rig = rig(|_, _, _| {});
    rig.engine.submit_blocking(signup(1, None), None).unwrap();
    let answer = rig.engine.submit_blocking(signup(2, Some(99)), None).unwrap();
    assert_eq!(answer.by, AnsweredBy::Admission);
    assert_eq!(answer.applied, Applied { outcome: Outcome::Rejected(Rejection::SponsorUnknown), lsn: 1 });
    assert_eq!(rig.script.get(|script| script.groups.len()), 1);
}

#[test]
fn a_repeated_key_is_answered_with_the_first_result() {
    let rig = rig(|_, _, _| {});
    let key = RequestKey { key: [3; 16], fingerprint: 7 };
    let first = rig.engine.submit_blocking(signup(1, None), Some(key)).unwrap();
    let again = rig.engine.submit_blocking(signup(1, None), Some(key)).unwrap();
    assert_eq!((again.applied, again.by), (first.applied, AnsweredBy::Repeat));
    let other = RequestKey { fingerprint: 8, ..key };
    let refused = rig.engine.submit_blocking(signup(2, None), Some(other)).unwrap();
    assert_eq!(refused.applied.outcome, Outcome::Rejected(Rejection::KeyReused));
    assert_eq!(rig.script.get(|script| script.groups.len()), 1);
}

#[test]
fn what_waits_during_a_sync_becomes_one_group_and_a_race_is_rejected_by_apply() {
    let rig = rig(|_, _, _| {});
    rig.engine.submit_blocking(signup(1, None), None).unwrap();
    rig.script.set(|script| script.hold = true);
    let first = submit_aside(&rig.engine, signup(2, Some(1)));
    wait_until("the writer holds the first", || rig.script.get(|script| script.groups.len()) == 2);
    // Both are admitted, since neither is applied yet: one of them loses the race in the log.
    let racing: Vec<_> = (0..2).map(|_| submit_aside(&rig.engine, signup(3, Some(1)))).collect();
    wait_until("both wait", || rig.engine.status().queue_depth == 2);
    rig.script.set(|script| script.hold = false);
    assert!(first.join().unwrap().is_ok());
    let mut outcomes: Vec<_> = racing
        .into_iter()
        .map(|thread| thread.join().unwrap().unwrap())
        .map(|answer| (answer.applied.lsn, answer))
        .collect();
    outcomes.sort_by_key(|(lsn, _)| *lsn);
    assert_eq!(
        outcomes[0].1.applied,
        Applied { outcome: Outcome::Registered { member: MemberIx(2) }, lsn: 3 }
    );
    assert_eq!(
        outcomes[1].1.applied,
        Applied { outcome: Outcome::Rejected(Rejection::MemberExists), lsn: 4 }
    );
    assert_eq!(outcomes[1].1.by, AnsweredBy::Log);
    assert_eq!(rig.script.get(|script| script.groups[2].0.len()), 2, "one group, one sync");
    let times: Vec<_> =
        rig.script.get(|script| script.groups[2].0.iter().map(|stamped| stamped.time).collect());
    assert_eq!(times[0], times[1]);
}

#[test]
fn log_time_never_goes_back() {
    let clock = Arc::new(AtomicU64::new(5_000));
    let rig = rig(|options, _, _| {
        let clock = Arc::clone(&clock);
        options.clock = Arc::new(move || Timestamp(clock.load(Ordering::Relaxed).cast_signed()));
    });
    for (number, (now, expected)) in [(5_000, 5_000), (4_000, 5_000), (6_000, 6_000)].into_iter().enumerate()
    {
        clock.store(now, Ordering::Relaxed);
        rig.engine.submit_blocking(signup(number as u64, None), None).unwrap();
        assert_eq!(rig.engine.status().time, Timestamp(expected));
    }
}

#[test]
fn a_failed_sync_poisons_the_writer_and_reads_go_on() {
    for (stage, break_it) in [
        ("append", (|script: &mut ScriptInner| script.fail_append = true) as fn(&mut ScriptInner)),
        ("sync", |script: &mut ScriptInner| script.fail_sync = true),
    ] {
        let rig = rig(|_, _, _| {});
        rig.engine.submit_blocking(signup(1, None), None).unwrap();
        rig.script.set(|script| {
            script.hold = true;
            break_it(script);
        });
        let in_the_log = submit_aside(&rig.engine, signup(2, Some(1)));
        wait_until("the writer holds it", || rig.script.get(|script| script.groups.len()) == 2);
        let in_the_queue = submit_aside(&rig.engine, signup(3, Some(1)));
        wait_until("it waits", || rig.engine.status().queue_depth == 1);
        rig.script.set(|script| script.hold = false);

        assert_eq!(in_the_log.join().unwrap(), Err(SubmitError::OutcomeUnknown), "{stage}");
        assert_eq!(
            in_the_queue.join().unwrap(),
            Err(SubmitError::ReadOnly),
            "{stage}: it never was in the log"
        );
        // The disk has recovered, which proves nothing about what was lost.
        rig.script.set(|script| {
            script.fail_append = false;
            script.fail_sync = false;
        });
        assert_eq!(
            rig.engine.submit_blocking(signup(4, Some(1)), None),
            Err(SubmitError::ReadOnly),
            "{stage}"
        );
        assert_eq!(
            rig.engine.submit_blocking(signup(1, None), None),
            Err(SubmitError::ReadOnly),
            "{stage}: not even judged"
        );
        assert_eq!(rig.engine.snapshot_now_blocking(), Err(SnapshotError::ReadOnly), "{stage}");
        assert_eq!(rig.script.get(|script| script.groups.len()), 2, "{stage}: nothing is tried again");
        assert_eq!(
            rig.engine.read(|state, _| (state.len(), state.lsn())),
            (1, 1),
            "{stage}: nothing of it was applied"
        );
        let status = rig.engine.status();
        assert!(!status.ready && !rig.engine.ready(), "{stage}");
        assert!(status.poisoned.unwrap().contains("scripted failure"), "{stage}");
        assert_eq!(status.lsn.applied, 1, "{stage}");
    }
}

#[test]
fn a_full_queue_refuses_at_once() {
    let rig = rig(|options, _, _| options.queue_max = 4);
    rig.script.set(|script| script.hold = true);
    let mut threads = vec![submit_aside(&rig.engine, signup(0, None))];
    wait_until("the writer holds the first", || rig.script.get(|script| script.groups.len()) == 1);
    threads.extend((1..=4).map(|number| submit_aside(&rig.engine, signup(number, None))));
    wait_until("the queue is full", || rig.engine.status().queue_depth == 4);
    assert_eq!(rig.engine.submit_blocking(signup(5, None), None), Err(SubmitError::Overloaded));
    rig.script.set(|script| script.hold = false);
    assert!(threads.into_iter().all(|thread| thread.join().unwrap().is_ok()), "all that waited are answered");
    assert!(rig.engine.submit_blocking(signup(5, None), None).is_ok(), "and there is room again");
}

#[test]
fn groups_keep_within_their_bytes() {
    // Room for one and a half plans that say nothing about orders, and the largest record.
    let rig = rig(|_, script, _| {
        script.set(|script| script.group_bytes_max = 18 * 1_024 + crate::durability::RECORD_BYTES_MAX);
    });
    rig.script.set(|script| script.hold = true);
    let mut threads = vec![submit_aside(&rig.engine, signup(0, None))];
    wait_until("the writer holds the first", || rig.script.get(|script| script.groups.len()) == 1);
    for cap in 1..=5 {
        let plan = Plan { level_cap: cap, ..plan() };
        threads.push(submit_aside(&rig.engine, Command::PutPlan(Box::new(plan))));
    }
    wait_until("all wait", || rig.engine.status().queue_depth == 5);
    rig.script.set(|script| script.hold = false);
    assert!(threads.into_iter().all(|thread| thread.join().unwrap().is_ok()));
    let sizes: Vec<usize> =
        rig.script.get(|script| script.groups.iter().map(|(group, _)| group.len()).collect());
    assert_eq!(sizes, [1, 2, 2, 1]);
}

#[test]
fn what_the_log_cannot_take_is_refused_before_it() {
    let rig = rig(|_, script, _| script.set(|script| script.group_bytes_max = 4_096));
    let plan = Plan { level_cap: 3, ..plan() };
    assert_eq!(
        rig.engine.submit_blocking(Command::PutPlan(Box::new(plan)), None),
        Err(SubmitError::TooLarge)
    );
    assert!(rig.engine.submit_blocking(signup(0, None), None).is_ok());
    assert_eq!(rig.script.get(|script| script.groups.len()), 1);
}

#[test]
fn an_idle_moment_is_marked_once() {
    let rig = rig(|_, _, _| {});
    rig.engine.submit_blocking(signup(0, None), None).unwrap();
    wait_until("the mark", || rig.script.get(|script| script.groups.len()) == 2);
    assert_eq!(rig.script.get(|script| (script.groups[1].0.len(), script.syncs)), (0, 2));
    std::thread::sleep(limits::IDLE_MARK_AFTER + 2 * limits::TICK);
    assert_eq!(rig.script.get(|script| script.groups.len()), 2, "silence is marked once");
}

#[test]
fn snapshots_on_demand_retire_the_log_and_repeat_nothing() {
    let rig = rig(|_, _, _| {});
    assert_eq!(rig.engine.snapshot_now_blocking().unwrap().lsn, 0, "nothing changed: the one there is");
    for (number, retired) in [(0, vec![0]), (1, vec![0, 1])] {
        rig.engine.submit_blocking(signup(number, None), None).unwrap();
        let made = rig.engine.snapshot_now_blocking().unwrap();
        assert_eq!(made.lsn, number + 1);
        wait_until("the log is retired", || rig.script.get(|script| script.purged == retired));
        assert_eq!(rig.engine.snapshot_now_blocking().unwrap(), made, "nothing changed since");
    }
    assert_eq!(rig.sink.0.lock().unwrap().lsns, [1, 2]);
    assert_eq!(rig.engine.status().lsn.snapshot, 2);
}

#[test]
fn snapshots_come_by_count_and_by_time() {
    let by_count = rig(|options, _, _| options.snapshots.every_commands = Some(3));
    for number in 0..3 {
        by_count.engine.submit_blocking(signup(number, None), None).unwrap();
    }
    wait_until("a snapshot by count", || by_count.engine.status().lsn.snapshot == 3);
    let by_time = rig(|options, _, _| options.snapshots.every = Some(Duration::from_millis(10)));
    by_time.engine.submit_blocking(signup(0, None), None).unwrap();
    wait_until("a snapshot by time", || by_time.engine.status().lsn.snapshot == 1);
}

#[test]
fn a_failed_snapshot_is_reported_and_stops_nothing() {
    type Break = fn(&mut SinkScript, bool);
    let ways: [Break; 2] = [|sink, on| sink.fail = on, |sink, on| sink.panic = on];
    for break_it in ways {
        let rig = rig(|_, _, _| {});
        rig.engine.submit_blocking(signup(0, None), None).unwrap();
        break_it(&mut rig.sink.0.lock().unwrap(), true);
        assert!(matches!(rig.engine.snapshot_now_blocking(), Err(SnapshotError::Failed(_))));
        let status = rig.engine.status();
        assert_eq!((status.snapshot_failures, status.ready, status.snapshot_running), (1, true, false));
        assert!(status.snapshot_error.is_some());
        assert!(rig.engine.submit_blocking(signup(1, Some(0)), None).is_ok());
        break_it(&mut rig.sink.0.lock().unwrap(), false);
        assert_eq!(rig.engine.snapshot_now_blocking().unwrap().lsn, 2);
        assert_eq!(rig.engine.status().snapshot_error, None);
    }
}

#[test]
fn requests_during_a_snapshot_share_the_next() {
    let rig = rig(|_, _, sink| sink.0.lock().unwrap().chunks = 50);
    rig.engine.submit_blocking(signup(0, None), None).unwrap();
    let ask = || {
        let engine = rig.engine.clone();
        std::thread::spawn(move || engine.snapshot_now_blocking().unwrap().lsn)
    };
    let first = ask();
    wait_until("it runs", || rig.engine.status().snapshot_running);
    rig.engine.submit_blocking(signup(1, None), None).unwrap();
    let later: Vec<_> = (0..3).map(|_| ask()).collect();
    assert_eq!(first.join().unwrap(), 1);
    assert!(later.into_iter().all(|thread| thread.join().unwrap() == 2));
    assert_eq!(rig.sink.0.lock().unwrap().lsns, [1, 2], "one for the first, one for all others");
}

#[test]
fn shutdown_drains_makes_a_last_snapshot_and_is_idempotent() {
    let rig = rig(|options, _, _| options.snapshots.on_shutdown = true);
    rig.script.set(|script| script.hold = true);
    let waiting: Vec<_> = (0..10).map(|number| submit_aside(&rig.engine, signup(number, None))).collect();
    wait_until("nine wait", || {
        9 <= rig.engine.status().queue_depth
            + rig.script.get(|script| script.groups.iter().map(|(group, _)| group.len() - 1).sum::<usize>())
    });
    let stopping = {
        let engine = rig.engine.clone();
        std::thread::spawn(move || engine.shutdown())
    };
    wait_until("it stops", || rig.engine.status().stopping);
    assert_eq!(rig.engine.submit_blocking(signup(99, None), None), Err(SubmitError::Stopping));
    rig.script.set(|script| script.hold = false);
    let report = stopping.join().unwrap();
    let answered = waiting.into_iter().flat_map(|thread| thread.join().unwrap()).count();
    assert_eq!(answered, 10, "what was queued is answered");
    assert_eq!(report.lsn, 10);
    assert_eq!(report.snapshot.as_ref().unwrap().as_ref().unwrap().lsn, 10);
    assert_eq!(rig.engine.shutdown(), report);
    assert_eq!(rig.engine.read(|state, _| state.len()), 10, "reads go on");
    assert_eq!(rig.engine.snapshot_now_blocking(), Err(SnapshotError::Stopping));
    assert_eq!(
        rig.script.get(|script| script.purged.clone()),
        [0],
        "the log is retired by the last snapshot too"
    );
}

#[test]
fn a_running_snapshot_is_the_last_one_when_stopping() {
    let rig = rig(|options, _, sink| {
        options.snapshots.on_shutdown = true;
        sink.0.lock().unwrap().chunks = 200;
    });
    rig.engine.submit_blocking(signup(0, None), None).unwrap();
    let asking = rig.engine.inner.desk.request().unwrap();
    wait_until("it runs", || rig.engine.status().snapshot_running);
    rig.engine.submit_blocking(signup(1, None), None).unwrap();
    let late = rig.engine.inner.desk.request().unwrap();
    let report = rig.engine.shutdown();
    assert_eq!(report.snapshot.unwrap().unwrap().lsn, 1, "the one that ran");
    assert_eq!(report.lsn, 2, "what came after it is in the log");
    assert_eq!(asking.blocking_recv().unwrap().unwrap().lsn, 1);
    assert_eq!(late.blocking_recv().unwrap(), Err(SnapshotError::Stopping));
    assert_eq!(rig.sink.0.lock().unwrap().lsns, [1]);
}

#[test]
fn stopping_gives_a_slow_snapshot_up_in_time() {
    let rig = rig(|options, _, sink| {
        options.snapshots.on_shutdown = true;
        sink.0.lock().unwrap().chunks = 1_000_000;
    });
    rig.engine.submit_blocking(signup(0, None), None).unwrap();
    let report = rig.engine.shutdown_within(Duration::from_millis(300));
    assert_eq!((report.lsn, report.snapshot), (1, Some(Err(SnapshotError::Stopping))));
    assert!(rig.sink.0.lock().unwrap().lsns.is_empty(), "none was published");
}

#[test]
fn stopping_does_not_wait_for_a_disk_that_hangs() {
    let rig = rig(|options, _, _| options.snapshots.on_shutdown = true);
    rig.script.set(|script| script.hold_sync = true);
    let waiting = submit_aside(&rig.engine, signup(0, None));
    wait_until("the sync hangs", || rig.script.get(|script| script.syncs != 0));
    // The sync hangs until this returns: without a bound it never would.
    let report = rig.engine.shutdown_within(Duration::from_millis(200));
    assert_eq!(report.lsn, 0, "nothing was acknowledged");
    rig.script.set(|script| script.hold_sync = false);
    assert_eq!(waiting.join().unwrap().unwrap().applied.lsn, 1, "it is answered when the disk has come back");
}

#[test]
fn dropping_the_last_clone_ends_the_threads_and_gives_a_snapshot_up() {
    let rig = rig(|_, _, sink| sink.0.lock().unwrap().chunks = 1_000_000);
    rig.engine.submit_blocking(signup(0, None), None).unwrap();
    let asking = {
        let desk = Arc::clone(&rig.engine.inner.desk);
        desk.request().unwrap()
    };
    wait_until("it runs", || rig.engine.status().snapshot_running);
    let journal = Arc::clone(&rig.script);
    drop(rig.engine);
    assert_eq!(asking.blocking_recv().unwrap(), Err(SnapshotError::Stopping));
    assert_eq!(Arc::strong_count(&journal), 2, "the writer is gone and its journal with it");
}

#[test]
fn a_frozen_view_stands_still_and_is_shared_while_nothing_changes() {
    let rig = rig(|_, _, _| {});
    for number in 0..500 {
        rig.engine.submit_blocking(signup(number, number.checked_sub(1)), None).unwrap();
    }
    let view = rig.engine.frozen_view();
    assert!(Arc::ptr_eq(&view, &rig.engine.frozen_view()));
    let digest = state_digest(&view);
    rig.engine.submit_blocking(signup(500, Some(0)), None).unwrap();
    assert_eq!((view.len(), state_digest(&view)), (500, digest));
    let later = rig.engine.frozen_view();
    assert_eq!(later.len(), 501);
    assert_eq!(rig.engine.read(|state, _| state_digest(state)), state_digest(&later));
    let unknown = rig.engine.read(|_, directory| view.find(directory, &member(500)));
    assert_eq!(unknown, None, "a member that came after the view");
}

#[test]
fn views_taken_while_writes_run_are_prefixes_of_the_log() {
    let rig = rig(|_, _, _| {});
    let writing = {
        let engine = rig.engine.clone();
        std::thread::spawn(move || {
            for number in 0..3_000_u64 {
                if number.is_multiple_of(64) {
                    // Invalidates a view that is being copied.
                    let level_cap = if number.is_multiple_of(128) { 9 } else { 15 };
                    engine
                        .submit_blocking(Command::PutPlan(Box::new(Plan { level_cap, ..plan() })), None)
                        .unwrap();
                }
                engine
                    .submit_blocking(signup(number, number.checked_sub(1).map(|last| last / 2)), None)
                    .unwrap();
            }
        })
    };
    let mut views = Vec::new();
    while !writing.is_finished() {
        views.push(rig.engine.frozen_view());
        std::thread::sleep(Duration::from_millis(1));
    }
    writing.join().unwrap();
    let log: Vec<Stamped> =
        rig.script.get(|script| script.groups.iter().flat_map(|(group, _)| group.clone()).collect());
    let mut replay = State::new(plan(), 5);
    let mut directory = MemberDirectory::with_capacity(0, 0);
    // The first may be of the empty network.
    let mut views = views.into_iter().skip_while(|view| view.lsn() == 0).peekable();
    let mut compared = 0;
    for stamped in &log {
        replay.apply(&mut directory, stamped);
        while let Some(view) = views.next_if(|view| view.lsn() == replay.lsn()) {
            assert_eq!(state_digest(&view), state_digest(&replay), "at LSN {}", replay.lsn());
            compared += 1;
        }
    }
    assert!(views.next().is_none(), "each view is of a state that was");
    assert!(2 <= compared, "views were taken while writes ran");
}

#[test]
fn readers_do_not_starve_the_writer() {
    let rig = rig(|_, _, _| {});
    rig.engine.submit_blocking(signup(0, None), None).unwrap();
    let (stop, reads) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 4]);
    std::thread::scope(|scope| {
        for reads in &reads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Long enough that the readers overlap all the time.
                    rig.engine.read(|state, _| {
                        (0..2_000).for_each(|_| _ = std::hint::black_box(state.member(MemberIx(0))));
                    });
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // On a busy machine a thread begins late.
        let all_read = || reads.iter().all(|reads| reads.load(Ordering::Relaxed) != 0);
        let written = (1..50_000)
            .take_while(|number| *number < 200 || !all_read())
            .try_for_each(|number| rig.engine.submit_blocking(signup(number, Some(0)), None).map(|_| ()));
        stop.store(true, Ordering::Relaxed);
        written.unwrap();
        assert!(all_read(), "the writer does not block the readers");
    });
}

#[test]
fn what_happened_is_in_the_metrics() {
    let rig = rig(|_, _, _| {});
    rig.engine.submit_blocking(signup(0, None), None).unwrap();
    rig.engine.submit_blocking(signup(1, Some(0)), None).unwrap();
    rig.engine.submit_blocking(signup(2, Some(77)), None).unwrap();
    rig.engine.snapshot_now_blocking().unwrap();
    rig.engine.refresh_metrics();
    let text = rig.engine.metrics().render();
    for line in [
        "upline_signups_total 2",
        "upline_commands_total{kind=\"register\"} 2",
        "upline_rejections_total{reason=\"sponsor_unknown\",stage=\"admission\"} 1",
        "upline_write_wait_seconds_count 2",
        "upline_write_append_seconds_count 2",
        "upline_write_sync_seconds_count 2",
        "upline_write_apply_seconds_count 2",
        "upline_group_commands_sum 2",
        "upline_queue_capacity 8192",
        "upline_snapshots_total 1",
        "upline_snapshot_bytes 77",
        "upline_members 2",
        "upline_depth_levels 2",
        "upline_rank_members{rank=\"0\"} 2",
        "upline_log_bytes 300",
        "upline_log_segments 3",
        "upline_applied_lsn 2",
        "upline_snapshot_lsn 2",
        "upline_ready 1",
        "upline_writer_poisoned 0",
    ] {
        assert!(text.lines().any(|found| found == line), "`{line}` is not in\n{text}");
    }
}

#[tokio::test]
async fn the_async_forms_do_the_same() {
    let rig = rig(|_, _, _| {});
    let answer = rig.engine.submit(signup(0, None), None).await.unwrap();
    assert_eq!((answer.applied.lsn, answer.by), (1, AnsweredBy::Log));
    assert_eq!(rig.engine.snapshot_now().await.unwrap().lsn, 1);
    let engine = rig.engine.clone();
    tokio::task::spawn_blocking(move || engine.shutdown()).await.unwrap();
    assert_eq!(rig.engine.submit(signup(1, None), None).await, Err(SubmitError::Stopping));
}

/// The writer's panic ends the process. The test re-executes itself and checks how that ended.
#[test]
fn a_panic_in_the_writer_ends_the_process() {
    const INSIDE: &str = "UPLINE_TEST_WRITER_PANIC";
    if std::env::var_os(INSIDE).is_some() {
        let rig = rig(|_, script, _| script.set(|script| script.panic = true));
        let answer = rig.engine.submit_blocking(signup(0, None), None);
        println!("went on with {answer:?}");
        return;
    }
    let name = "engine::tests::a_panic_in_the_writer_ends_the_process";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("scripted panic"), "{text}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("went on"), "nobody was answered");
}
