//! The engine without threads: only requested steps happen, in the requested order.

use std::path::Path;

use upline::{
    durability::memory::{Fault, Memory},
    engine::{
        EngineOptions, SnapshotError, SnapshotStep, SteppedEngine, SteppedWriter, SubmitError, Submitted,
    },
};

use super::common::{options, signup};

fn stepped(memory: &Memory) -> EngineOptions {
    let mut options = options(Path::new("/data"));
    options.storage = memory.shared();
    options.log.prepare_in_background = false;
    options
}

fn open(memory: &Memory) -> SteppedEngine {
    SteppedEngine::open(stepped(memory)).unwrap().0
}

fn members(engine: &SteppedEngine) -> u32 {
    engine.engine().read(|state, _| state.len())
}

fn queue(writing: &SteppedWriter, number: u64) -> upline::engine::PendingWrite {
    match writing.submit(signup(number, (number != 0).then_some(0)), None, |_| true) {
        Submitted::Queued(pending) => pending,
        Submitted::Answered(answer) => panic!("{answer:?}"),
    }
}

#[test]
fn a_step_is_a_group_and_nothing_happens_between_steps() {
    let memory = Memory::new();
    let mut engine = open(&memory);
    assert!(!engine.writing().step(), "nothing waits");
    let mut pending: Vec<_> = (0..3).map(|number| queue(engine.writing(), number)).collect();
    assert!(pending.iter_mut().all(|pending| pending.try_answer().is_none()));
    assert_eq!(members(&engine), 0);
    memory.set_fault(None);
    assert!(engine.writing().step());
    assert_eq!(
        memory.calls(),
        3,
        "three signups: one write and one sync of the log, and one write of the durable mark"
    );
    let lsns: Vec<u64> =
        pending.iter_mut().map(|pending| pending.try_answer().unwrap().unwrap().applied.lsn).collect();
    assert_eq!((lsns, members(&engine)), (vec![1, 2, 3], 3));
    assert!(!engine.writing().step());
    engine.writing().ask_for_mark();
    assert!(engine.writing().step());
    assert_eq!(memory.calls(), 7, "what stands once more is synced; two marks and a sync");
    // Requests queued when it ends were never started.
    let _unanswered = queue(engine.writing(), 3);
    drop(engine);
    assert_eq!(members(&open(&memory)), 3);
}

#[test]
fn groups_go_on_between_the_chunks_of_a_snapshot() {
    let memory = Memory::new();
    let mut engine = open(&memory);
    drop((0..3).map(|number| queue(engine.writing(), number)).collect::<Vec<_>>());
    assert!(engine.writing().step());
    let mut next = 3;
    let mut sign_up = |writing: &mut SteppedWriter, _: SnapshotStep| {
        drop(queue(writing, next));
        next += 1;
        writing.step()
    };
    let info = engine.snapshot(&mut sign_up).unwrap();
    assert_eq!((info.lsn, info.members), (3, 3), "it holds what was there when it began");
    assert!(3 < members(&engine));
    let mut steps = Vec::new();
    for given_up_before in [SnapshotStep::Copy, SnapshotStep::Write] {
        let mut go_on = |_: &mut SteppedWriter, step| {
            steps.push(step);
            step != given_up_before
        };
        assert_eq!(engine.snapshot(&mut go_on), Err(SnapshotError::Stopping), "given up");
    }
    assert_eq!(steps[..2], [SnapshotStep::Copy; 2], "once for the snapshot that ended there");
    assert!(
        10 < steps.len() && steps.last() == Some(&SnapshotStep::Write),
        "each column is a step of its own: {steps:?}"
    );
    let info = engine.snapshot(&mut |_, _| true).unwrap();
    assert_eq!(info.members, members(&engine));
    drop(engine);
    let (engine, report) = SteppedEngine::open(stepped(&memory)).unwrap();
    assert_eq!((report.snapshot_lsn, report.replayed, members(&engine)), (info.lsn, 0, info.members));
}

#[test]
fn a_failed_step_poisons_as_it_does_with_threads() {
    let memory = Memory::new();
    let mut engine = open(&memory);
    memory.set_fault(Some(Fault::LostSync { at: 2, seed: 1 }));
    let mut pending = queue(engine.writing(), 0);
    assert!(engine.writing().step());
    assert_eq!(pending.try_answer(), Some(Err(SubmitError::OutcomeUnknown)));
    assert!(matches!(
        engine.writing().submit(signup(1, None), None, |_| false),
        Submitted::Answered(Err(SubmitError::ReadOnly))
    ));
    assert_eq!((members(&engine), engine.engine().ready()), (0, false));
}

/// The next segment is still empty, so failing to create it is no failure of the log: writes are refused, and
/// resume when it can be created.
#[test]
fn a_log_without_room_refuses_and_goes_on() {
    let memory = Memory::new();
    let mut options = stepped(&memory);
    options.log.segment_bytes = 16 << 10;
    let mut engine = SteppedEngine::open(options).unwrap().0;
    memory.set_capacity(Some(memory.used()));
    let write = |engine: &mut SteppedEngine, number| {
        let mut pending = queue(engine.writing(), number);
        assert!(engine.writing().step());
        pending.try_answer().expect("it is answered")
    };
    let mut done = 0;
    while write(&mut engine, done).is_ok() {
        done += 1;
    }
    for _ in 0..3 {
        assert_eq!(write(&mut engine, done), Err(SubmitError::NoRoom));
        let status = engine.engine().status();
        assert!(!status.ready && status.poisoned.is_none());
        assert!(status.log_trouble.is_some_and(|trouble| trouble.refuses_writes));
        assert_eq!((status.lsn.admitted, status.lsn.applied), (done, done));
    }
    memory.set_capacity(None);
    let answer = write(&mut engine, done).unwrap();
    assert_eq!(
        (answer.applied.lsn, engine.engine().ready(), engine.engine().log_trouble()),
        (done + 1, true, None)
    );
    drop(engine);
    assert_eq!(u64::from(members(&open(&memory))), done + 1);
}
