//! The snapshotter: one thread that writes snapshots alongside the running engine.
//!
//! It takes a frozen view, so that signups go on while it reads; computes both digests from the view; hands
//! the rows to durability chunk by chunk, resting between chunks while writes come in; publishes; and lets
//! the writer retire the log that no kept snapshot needs. While nobody writes, it computes ahead what the
//! next network digest needs. One snapshot is made at a time. Requests that arrive while one runs share the
//! next, since the running one may lack their writes. A failure is counted, logged, and reported in the
//! status and to the requesters; it never stops a signup.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    SnapshotError, SnapshotInfo, SnapshotPolicy,
    limits::{SNAPSHOT_REST_MAX, SNAPSHOT_RETRY_AFTER, SNAPSHOT_WAITERS_MAX, TICK},
    marks::Marks,
    shared::Shared,
    sync::{Condvar, Mutex, MutexGuard, sleep},
    writer::Job,
};
use crate::core::{
    FreshSums,
    state::{Parts, State},
};

type Reply = oneshot::Sender<Result<SnapshotInfo, SnapshotError>>;

/// Writes a state as a snapshot; into the directory, or a test's substitute.
pub(super) trait SnapshotSink: Send {
    /// Writes and publishes a snapshot of `view`. `rest` is called between chunks and may sleep; when it
    /// returns `false`, the snapshot is abandoned. Returns the snapshot and the LSN up to which the log is no
    /// longer needed.
    ///
    /// # Errors
    /// A human-readable reason.
    fn write(
        &mut self,
        view: &State,
        marks: &Marks,
        rest: &mut dyn FnMut() -> bool,
    ) -> Result<Written, String>;
}

/// A published snapshot.
pub(super) struct Written {
    pub info: SnapshotInfo,
    /// The older kept snapshot holds everything up to here.
    pub retire_up_to: u64,
    /// Computed for the network digest, to be kept.
    pub sums: FreshSums,
}

/// The channel between the snapshotter and the rest of the engine.
pub(super) struct SnapshotDesk {
    desk: Mutex<Desk>,
    changed: Condvar,
}

struct Desk {
    waiters: Vec<Reply>,
    stop: Option<Stop>,
    /// Waits for the final snapshot.
    last: Option<Reply>,
    running: bool,
    newest: SnapshotInfo,
    failures: u64,
    error: Option<String>,
}

impl Desk {
    /// Nobody waits for a snapshot or an end.
    fn is_quiet(&self) -> bool {
        self.waiters.is_empty() && self.stop.is_none()
    }
}

/// How the snapshotter is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// A running snapshot is abandoned.
    Now,
    /// A running snapshot is finished without resting and is the final one: what came after it began is in
    /// the log, and a second one would only double the time to stop. If none runs, one is made.
    AfterFinal,
}

/// The snapshotter's part of `status`.
pub(super) struct SnapshotStatus {
    pub running: bool,
    pub newest: SnapshotInfo,
    pub failures: u64,
    pub error: Option<String>,
}

impl SnapshotDesk {
    pub fn new(newest: SnapshotInfo) -> Self {
        let desk = Desk {
            waiters: Vec::new(),
            stop: None,
            last: None,
            running: false,
            newest,
            failures: 0,
            error: None,
        };
        Self { desk: Mutex::new(desk), changed: Condvar::new() }
    }

    /// Asks for a snapshot that begins after this call.
    pub fn request(&self) -> Result<oneshot::Receiver<Result<SnapshotInfo, SnapshotError>>, SnapshotError> {
        let mut desk = self.desk.lock();
        if desk.stop.is_some() {
            return Err(SnapshotError::Stopping);
        }
        if desk.waiters.len() == SNAPSHOT_WAITERS_MAX {
            return Err(SnapshotError::Overloaded);
        }
        let (reply, answer) = oneshot::channel();
        desk.waiters.push(reply);
        self.changed.notify_all();
        Ok(answer)
    }

    /// Ends the snapshotter; a running snapshot is abandoned.
    pub fn stop(&self) {
        self.desk.lock().stop = Some(Stop::Now);
        self.changed.notify_all();
    }

    /// Ends the snapshotter after the running snapshot, or, if none runs, after one more of the current
    /// state.
    pub fn stop_after_final(&self) -> oneshot::Receiver<Result<SnapshotInfo, SnapshotError>> {
        let (reply, answer) = oneshot::channel();
        let mut desk = self.desk.lock();
        desk.stop = Some(Stop::AfterFinal);
        desk.last = Some(reply);
        self.changed.notify_all();
        answer
    }

    pub fn status(&self) -> SnapshotStatus {
        let desk = self.desk.lock();
        SnapshotStatus {
            running: desk.running,
            newest: desk.newest.clone(),
            failures: desk.failures,
            error: desk.error.clone(),
        }
    }

    fn stopping(&self) -> Option<Stop> {
        self.desk.lock().stop
    }
}

pub(super) struct Snapshotter {
    pub shared: Arc<Shared>,
    pub desk: Arc<SnapshotDesk>,
    pub policy: SnapshotPolicy,
    pub sink: Box<dyn SnapshotSink>,
    /// Weak: the snapshotter does not keep the writer alive.
    pub queue: mpsc::WeakSender<Job>,
    /// The LSN at which the sums for the network digest were current last.
    pub refreshed_at: Option<u64>,
}

impl Snapshotter {
    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut last_try = Instant::now();
        loop {
            let (waiters, is_last) = match self.wait_for_work(last_try) {
                Work::Snapshot { waiters, is_last } => (waiters, is_last),
                Work::Sums => {
                    self.refresh_sums();
                    continue;
                }
                Work::End => break,
            };
            let mut pace = Pace::new(Arc::clone(&self.shared), Arc::clone(&self.desk));
            let result = self.snapshot(&mut |step| pace.rest(step));
            last_try = Instant::now();
            for waiter in waiters {
                let _ = waiter.send(result.clone());
            }
            if is_last || self.was_last(&result) {
                break;
            }
        }
        let mut desk = self.desk.desk.lock();
        let last = desk.last.take();
        for waiter in desk.waiters.drain(..).chain(last) {
            let _ = waiter.send(Err(SnapshotError::Stopping));
        }
    }

    /// Sleeps until a snapshot is due or requested. On shutdown, one more is made unless it must end now.
    fn wait_for_work(&self, last_try: Instant) -> Work {
        let mut desk = self.desk.desk.lock();
        loop {
            match desk.stop {
                Some(Stop::Now) => return Work::End,
                Some(Stop::AfterFinal) => break,
                None => {}
            }
            let pause = if desk.error.is_some() { SNAPSHOT_RETRY_AFTER } else { Duration::ZERO };
            let since_try = last_try.elapsed();
            if !desk.waiters.is_empty() || pause <= since_try && self.is_due(desk.newest.lsn, since_try) {
                break;
            }
            let before = self.shared.marks.applied();
            self.changed_or_tick(&mut desk);
            let is_idle = before == self.shared.marks.applied() && desk.is_quiet();
            if is_idle && self.refreshed_at != Some(before) {
                return Work::Sums;
            }
        }
        desk.running = true;
        let mut waiters = std::mem::take(&mut desk.waiters);
        waiters.extend(desk.last.take());
        Work::Snapshot { waiters, is_last: desk.stop.is_some() }
    }

    /// Hashes what is stale for the network digest as long as nobody writes, and nothing else is to be done
    /// here.
    fn refresh_sums(&mut self) {
        let lsn = self.shared.marks.applied();
        let goes_on = &mut || self.shared.marks.applied() == lsn && self.desk.desk.lock().is_quiet();
        if self.shared.refresh_sums(goes_on) {
            self.refreshed_at = Some(lsn);
        }
    }

    /// Whether the snapshot that just ended is the final one because shutdown was requested while it ran. A
    /// failed one is not: the final one is still to be tried.
    fn was_last(&self, result: &Result<SnapshotInfo, SnapshotError>) -> bool {
        let mut desk = self.desk.desk.lock();
        if desk.stop != Some(Stop::AfterFinal) || result.is_err() {
            return false;
        }
        if let Some(last) = desk.last.take() {
            let _ = last.send(result.clone());
        }
        true
    }

    fn changed_or_tick(&self, desk: &mut MutexGuard<'_, Desk>) {
        self.desk.changed.wait_for(desk, TICK);
    }

    /// Whether the policy calls for a snapshot now. Never when nothing changed.
    fn is_due(&self, newest: u64, since_last: Duration) -> bool {
        let commands = self.shared.marks.applied() - newest;
        let by_count = self.policy.every_commands.is_some_and(|every| every <= commands);
        let by_time = self.policy.every.is_some_and(|every| every <= since_last);
        commands != 0 && (by_count || by_time) && !self.shared.is_poisoned()
    }

    /// Makes one snapshot and records the result. `rest` is called before each of its steps; when it returns
    /// `false` the snapshot is abandoned.
    pub fn snapshot(
        &mut self,
        rest: &mut dyn FnMut(SnapshotStep) -> bool,
    ) -> Result<SnapshotInfo, SnapshotError> {
        let started = Instant::now();
        // A panic here can only be our bug, but it is no reason to stop signups: the view is thawed during
        // unwinding.
        let result = catch_unwind(AssertUnwindSafe(|| self.write(rest)))
            .unwrap_or_else(|_| Err(SnapshotError::Failed("panic".into())));
        let metrics = &self.shared.metrics.snapshots;
        let mut desk = self.desk.desk.lock();
        desk.running = false;
        match result {
            Ok((mut info, fresh)) => {
                if fresh {
                    info.duration = started.elapsed();
                    metrics.made.increment(1);
                    metrics.duration_seconds.record(info.duration.as_secs_f64());
                    metrics.bytes.set(info.bytes as f64);
                    tracing::info!(
                        lsn = info.lsn,
                        members = info.members,
                        bytes = info.bytes,
                        seconds = info.duration.as_secs_f64(),
                        "snapshot"
                    );
                }
                desk.newest = info.clone();
                desk.error = None;
                Ok(info)
            }
            Err(error) => {
                // Being told to stop midway is not a failure of the snapshot, and a poisoned writer was
                // already reported.
                if matches!(error, SnapshotError::Failed(_)) {
                    metrics.failures.increment(1);
                    desk.failures += 1;
                    desk.error = Some(error.to_string());
                    tracing::error!(%error, "no snapshot; signups go on");
                }
                Err(error)
            }
        }
    }

    /// The snapshot, and whether it was made now: if nothing changed, the last one is reused.
    fn write(
        &mut self,
        rest: &mut dyn FnMut(SnapshotStep) -> bool,
    ) -> Result<(SnapshotInfo, bool), SnapshotError> {
        if self.shared.is_poisoned() {
            return Err(SnapshotError::ReadOnly);
        }
        let newest = self.desk.desk.lock().newest.clone();
        if newest.lsn == self.shared.marks.applied() {
            return Ok((newest, false));
        }
        let view = self
            .shared
            .frozen_view_unless(Parts::ALL, &mut || rest(SnapshotStep::Copy))
            .ok_or(SnapshotError::Stopping)?;
        let mut given_up = false;
        let written = self.sink.write(&view, &self.shared.marks, &mut || {
            given_up |= !rest(SnapshotStep::Write);
            !given_up
        });
        drop(view);
        let written = match written {
            Err(_) if given_up => return Err(SnapshotError::Stopping),
            written => written.map_err(SnapshotError::Failed)?,
        };
        self.shared.keep_sums(written.sums);
        self.shared.marks.snapshot(written.info.lsn);
        self.shared.marks.get().validate();
        // If the queue is full, the next snapshot retires this part too.
        if let Some(queue) = self.queue.upgrade() {
            let _ = queue.try_send(Job::Retire { up_to: written.retire_up_to });
        }
        Ok((written.info, true))
    }
}

enum Work {
    Snapshot {
        waiters: Vec<Reply>,
        /// The final snapshot.
        is_last: bool,
    },
    /// Nobody writes: sums for the network digest can be computed.
    Sums,
    End,
}

/// The next step of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SnapshotStep {
    /// Some 64 KiB of the frozen view are copied, under a short hold of the state's lock.
    Copy,
    /// A chunk is written. The view is complete.
    Write,
}

/// Rests between chunks while writes come in: as long as the last chunk took, up to a bound. So signups get
/// at least half of the disk and of a core, and an idle engine writes at full speed.
struct Pace {
    shared: Arc<Shared>,
    desk: Arc<SnapshotDesk>,
    lsn: u64,
    chunk_began: Instant,
}

impl Pace {
    fn new(shared: Arc<Shared>, desk: Arc<SnapshotDesk>) -> Self {
        let lsn = shared.marks.applied();
        Self { shared, desk, lsn, chunk_began: Instant::now() }
    }

    /// False when the snapshot is to be abandoned. There is no rest while copying: the sooner it ends, the
    /// fewer old copies the writer keeps for it.
    fn rest(&mut self, next: SnapshotStep) -> bool {
        let stop = self.desk.stopping();
        if stop == Some(Stop::Now) {
            return false;
        }
        if next == SnapshotStep::Copy {
            self.chunk_began = Instant::now();
            return true;
        }
        let lsn = self.shared.marks.applied();
        if lsn != self.lsn && stop.is_none() {
            sleep(self.chunk_began.elapsed().min(SNAPSHOT_REST_MAX));
        }
        self.lsn = lsn;
        self.chunk_began = Instant::now();
        true
    }
}
