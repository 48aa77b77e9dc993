//! A disk that fails: the writer is poisoned, reads continue, snapshots fail without stopping signups.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::tempdir;
use upline::{
    durability::{
        storage::Disk,
        surrounded::{Around, FileCall, Surrounded},
    },
    engine::{Engine, SnapshotError, SubmitError},
};

use super::common::{digest, grow, open, options, signup, submit};

/// The failing calls, on files below one directory.
#[derive(Debug, Default)]
struct Faults {
    writes: AtomicBool,
    syncs: AtomicBool,
}

/// The faults of files below `directory`.
#[derive(Debug)]
struct Faulty {
    directory: PathBuf,
    faults: Arc<Faults>,
}

impl Around for Faulty {
    fn around<R>(&self, call: FileCall, path: &Path, run: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let (flag, kind) = match call {
            FileCall::Write => (&self.faults.writes, io::ErrorKind::StorageFull),
            FileCall::SyncData | FileCall::SyncAll => (&self.faults.syncs, io::ErrorKind::Other),
        };
        if path.starts_with(&self.directory) && flag.load(Ordering::SeqCst) {
            Err(kind.into())
        } else {
            run()
        }
    }
}

fn open_faulty(path: &Path, below: &str) -> (Engine, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let mut options = options(path);
    let around = Faulty { directory: path.join(below), faults: Arc::clone(&faults) };
    options.storage = Arc::new(Surrounded::new(Disk::shared(), Arc::new(around)));
    (Engine::open(options).unwrap().0, faults)
}

#[test]
fn a_failing_log_poisons_the_writer_until_a_restart() {
    type Fault = fn(&Faults) -> &AtomicBool;
    let kinds: [Fault; 2] = [|faults| &faults.writes, |faults| &faults.syncs];
    for fault in kinds {
        let directory = tempdir().unwrap();
        let (engine, faults) = open_faulty(directory.path(), "log");
        grow(&engine, 0, 30);
        let before = digest(&engine);
        fault(&faults).store(true, Ordering::SeqCst);
        assert_eq!(engine.submit_blocking(signup(30, Some(0)), None), Err(SubmitError::OutcomeUnknown));
        fault(&faults).store(false, Ordering::SeqCst);
        for _ in 0..3 {
            assert_eq!(engine.submit_blocking(signup(31, Some(0)), None), Err(SubmitError::ReadOnly));
        }
        assert_eq!(engine.snapshot_now_blocking(), Err(SnapshotError::ReadOnly));
        assert_eq!(digest(&engine), before, "reads go on");
        let status = engine.status();
        assert!(status.poisoned.is_some() && !status.ready);
        engine.refresh_metrics();
        let metrics = engine.metrics().render();
        for line in [
            "upline_writer_poisoned 1",
            "upline_ready 0",
            "upline_refused_writes_total{reason=\"outcome_unknown\"} 1",
            "upline_refused_writes_total{reason=\"read_only\"} 3",
        ] {
            assert!(metrics.lines().any(|found| found == line), "{line}");
        }
        engine.shutdown();
        drop(engine);

        let engine = open(directory.path());
        let members = engine.read(|state, _| state.len());
        assert!((30..=31).contains(&members), "all that was answered, and what was in flight at most");
        submit(&engine, signup(31, Some(0)));
    }
}

#[test]
fn a_failing_snapshot_stops_no_signup() {
    let directory = tempdir().unwrap();
    let (engine, faults) = open_faulty(directory.path(), "snapshots");
    grow(&engine, 0, 30);
    for fault in [&faults.writes, &faults.syncs] {
        fault.store(true, Ordering::SeqCst);
        assert!(matches!(engine.snapshot_now_blocking(), Err(SnapshotError::Failed(_))));
        let members = engine.read(|state, _| u64::from(state.len()));
        grow(&engine, members, members + 5);
        fault.store(false, Ordering::SeqCst);
    }
    let status = engine.status();
    assert_eq!((status.snapshot_failures, status.ready, status.lsn.snapshot), (2, true, 0));
    assert_eq!(engine.snapshot_now_blocking().unwrap().lsn, 40, "and the next one is good");
    let before = digest(&engine);
    drop(engine);
    let (engine, report) = Engine::open(options(directory.path())).unwrap();
    assert_eq!((report.snapshot_lsn, digest(&engine)), (40, before));
}
