//! The writer thread, and the order of the write path. Only this thread appends, syncs or applies.

use std::{ops::Range, sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot};

use super::{
    answer::Sent,
    error::SubmitError,
    limits::{APPLY_SLICE_MAX, GROUP_BYTES_MAX, GROUP_COMMANDS_MAX},
    shared::{AbortOnPanic, Shared},
    status::LogFigures,
    sync::{self, RwLockWriteGuard, SyncSender},
};
use crate::{
    core::{
        ACTOR_ID_BYTES_MAX, Preparation,
        command::{Applied, Command, Outcome, Stamped},
        region,
        types::Timestamp,
    },
    durability::{
        Error as DurabilityError, Journal, RECORD_BYTES_MAX, TEXT_BYTES_MAX, longest_text, record_bytes_bound,
    },
    metrics::{OrderAnswer, Refusal, RejectionStage},
};

/// A job in the writer's queue.
#[expect(clippy::large_enum_variant, reason = "nearly all are writes; boxed, each would cost an allocation")]
pub(super) enum Job {
    Write(Write),
    /// The log has been idle for a while: record in it how far it is durable.
    Mark,
    /// Snapshots cover everything up to here: older segments may be deleted.
    Retire {
        up_to: u64,
    },
    /// Signal when all jobs queued before are done.
    Fence(SyncSender<()>),
}

pub(super) struct Write {
    pub command: Command,
    pub sent: Sent,
    /// The result of preparing the command ahead.
    pub preparation: Option<Preparation>,
    pub queued_at: Instant,
    pub reply: oneshot::Sender<Result<Applied, SubmitError>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    journal: Box<dyn Journal>,
    queue: mpsc::Receiver<Job>,
    /// Last LSN given to the log, log time of that command, outcome hash after it: as in the state, which
    /// only this thread changes.
    lsn: u64,
    time: Timestamp,
    outcome_hash: u64,
    group_bytes_max: usize,
    /// The zero of group times in the process's log.
    begun: Instant,
    // The current group; the four are parallel, and reused between groups to save allocations.
    group: Vec<Stamped>,
    preparations: Vec<Option<Preparation>>,
    replies: Vec<(Instant, oneshot::Sender<Result<Applied, SubmitError>>)>,
    applied: Vec<Applied>,
}

impl Writer {
    /// The state must be at the journal's LSN.
    pub fn new(shared: Arc<Shared>, journal: Box<dyn Journal>, queue: mpsc::Receiver<Job>) -> Self {
        let (lsn, time, outcome_hash) = {
            let state = shared.state.read();
            (state.lsn(), state.time(), state.outcome_hash())
        };
        let group_bytes_max = journal.group_bytes_max().min(GROUP_BYTES_MAX);
        let writer = Self {
            shared,
            journal,
            queue,
            lsn,
            time,
            outcome_hash,
            group_bytes_max,
            begun: Instant::now(),
            group: Vec::with_capacity(GROUP_COMMANDS_MAX),
            preparations: Vec::with_capacity(GROUP_COMMANDS_MAX),
            replies: Vec::with_capacity(GROUP_COMMANDS_MAX),
            applied: Vec::with_capacity(GROUP_COMMANDS_MAX),
        };
        writer.publish_figures();
        writer
    }

    /// Runs until no sender is left; everything queued by then is still written and answered.
    pub fn run(mut self) {
        let _abort = AbortOnPanic("writer");
        region::use_small_pages();
        while let Some(job) = sync::receive(&mut self.queue) {
            self.work(job);
        }
    }

    /// One turn of `run`, for callers without a writer thread; `false` when the queue is empty.
    pub fn step(&mut self) -> bool {
        let job = self.queue.try_recv();
        job.map(|job| self.work(job)).is_ok()
    }

    /// Does a job, batched with queued jobs that can be done with it.
    fn work(&mut self, job: Job) {
        let other = self.take_group(job);
        if !self.group.is_empty() {
            self.commit_group();
        }
        match other {
            None => {}
            Some(Job::Mark) => self.mark(),
            Some(Job::Retire { up_to }) => self.retire(up_to),
            Some(Job::Fence(done)) => {
                // The requester may be gone.
                let _ = done.try_send(());
            }
            Some(Job::Write(_)) => unreachable!("take_group keeps the writes"),
        }
    }

    /// Takes the queued writes, up to the limits of a group, or up to another job, which is returned.
    fn take_group(&mut self, first: Job) -> Option<Job> {
        let mut bytes = 0;
        let mut next = first;
        loop {
            let Job::Write(write) = next else { return Some(next) };
            bytes += record_bytes_bound(&write.command) + ACTOR_BYTES_MAX;
            let Sent { actor, key } = write.sent;
            self.group.push(Stamped {
                lsn: 0,
                time: self.time,
                key,
                actor: Some(actor),
                format: Stamped::FORMAT,
                command: write.command,
            });
            self.preparations.push(write.preparation);
            self.replies.push((write.queued_at, write.reply));
            // The next command's size is not known yet, but is at most the largest.
            if self.group.len() == GROUP_COMMANDS_MAX || self.group_bytes_max < bytes + RECORD_BYTES_MAX {
                return None;
            }
            next = self.queue.try_recv().ok()?;
        }
    }

    /// The order of the write path. A failure before the group is durable poisons the writer and applies
    /// nothing.
    fn commit_group(&mut self) {
        if self.shared.is_poisoned() {
            return self.refuse_group(SubmitError::ReadOnly);
        }
        let metrics = Arc::clone(&self.shared.metrics);
        let metrics = &metrics.writes;
        let taken = Instant::now();
        let before = (self.lsn, self.time);
        let clock = self.shared.clock.read();
        if self.shared.clock.judge(clock).is_some() {
            return self.refuse_group(SubmitError::ClockJumped);
        }
        self.stamp(clock.wall);

        let result = self.journal.append(&self.group, self.outcome_hash);
        if let Err(DurabilityError::NoRoom { .. }) = result {
            // Nothing was written: the next group reuses these LSNs.
            (self.lsn, self.time) = before;
            return self.refuse_group(SubmitError::NoRoom);
        }
        self.shared.marks.admit(self.lsn);
        let appended = Instant::now();
        let durable = match result.and_then(|()| self.journal.sync()) {
            Ok(durable) => durable,
            Err(error) => return self.poison(&error.to_string()),
        };
        let synced = Instant::now();
        assert!(self.lsn <= durable, "a sync makes everything appended durable");
        self.shared.marks.make_durable(self.lsn);

        self.apply_group();
        let applied = Instant::now();
        self.publish_figures();
        for (queued_at, _) in &self.replies {
            metrics.wait_seconds.record(taken.saturating_duration_since(*queued_at).as_secs_f64());
        }
        self.count_outcomes();
        self.shared.clock.written(clock, self.time);
        // Before the answers: a client that has its answer finds the write in the metrics.
        metrics.group_commands.record(self.applied.len() as f64);
        metrics.append_seconds.record((appended - taken).as_secs_f64());
        metrics.sync_seconds.record((synced - appended).as_secs_f64());
        metrics.apply_seconds.record((applied - synced).as_secs_f64());
        let counted = Instant::now();
        self.answer_group();
        metrics.answer_seconds.record(counted.elapsed().as_secs_f64());
        // Each sync individually, to compare latencies with the disk: histograms are too coarse for that
        // (`upline bench http`).
        let nanos = |duration: std::time::Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (began_ns, sync_ns) = (nanos(appended - self.begun), nanos(synced - appended));
        tracing::trace!(commands = self.applied.len(), began_ns, sync_ns, "group");
        self.shared.marks.get().validate();
        self.group.clear();
        self.preparations.clear();
        self.applied.clear();
    }

    /// Gives each command its LSN and all of them one time: not before that of the last command, whatever the
    /// clock says.
    fn stamp(&mut self, wall: Timestamp) {
        self.time = self.time.max(wall);
        for stamped in &mut self.group {
            self.lsn += 1;
            stamped.lsn = self.lsn;
            stamped.time = self.time;
        }
    }

    /// Applies the group in slices. The lock is handed over fairly between them: waiting readers come next,
    /// whatever the group's size.
    ///
    /// Commands that may touch much of the network are applied alone, with their preparation.
    fn apply_group(&mut self) {
        let mut from = 0;
        while from < self.group.len() {
            let rest = &self.group[from..];
            let short = rest
                .iter()
                .position(|stamped| Preparation::is_possible(&stamped.command))
                .unwrap_or(rest.len());
            if short == 0 {
                self.apply_long(from);
                from += 1;
            } else {
                let to = from + short.min(APPLY_SLICE_MAX);
                self.apply_slice(from..to);
                from = to;
            }
        }
    }

    fn apply_slice(&mut self, slice: Range<usize>) {
        // Alongside the readers: only this thread changes anything.
        self.shared.state.read().prefetch(&self.shared.directory, &self.group[slice.clone()]);
        let mut state = self.shared.state.write();
        let mut directory = self.shared.directory.write();
        self.applied.extend(self.group[slice].iter().map(|stamped| state.apply(&mut directory, stamped)));
        drop(directory);
        self.outcome_hash = state.outcome_hash();
        self.shared.note_carried_row_ids(&state);
        // Inside the lock: a reader that sees the state sees the mark.
        self.shared.marks.apply(state.lsn());
        RwLockWriteGuard::unlock_fair(state);
    }

    /// The preparation is brought up to date before the lock is taken, and what it replaced is given back by
    /// a thread of its own: that takes longer than everything under the lock.
    fn apply_long(&mut self, at: usize) {
        let mut preparation = self.preparations[at].take();
        if let Some(preparation) = &mut preparation {
            self.shared.complete(preparation);
        }
        let mut state = self.shared.state.write();
        let mut directory = self.shared.directory.write();
        let (applied, replaced) = state.apply_prepared(&mut directory, &self.group[at], preparation);
        drop(directory);
        self.applied.push(applied);
        self.outcome_hash = state.outcome_hash();
        self.shared.marks.apply(state.lsn());
        RwLockWriteGuard::unlock_fair(state);
        if !replaced.is_empty() {
            // Without a thread it is dropped here, which is slow but correct.
            let _ = sync::spawn("upline-give-back", move || drop(replaced));
        }
    }

    fn count_outcomes(&self) {
        let (metrics, orders) = (&self.shared.metrics.writes, &self.shared.metrics.orders);
        for (stamped, applied) in self.group.iter().zip(&self.applied) {
            let command = &stamped.command;
            metrics.command(command);
            if applied.lsn != stamped.lsn {
                metrics.repeats.increment(1);
                orders.answered(command, OrderAnswer::Repeated);
                continue;
            }
            match applied.outcome {
                Outcome::Registered { .. } => metrics.signups.increment(1),
                Outcome::Rejected(reason) => {
                    metrics.rejection(reason, RejectionStage::Log);
                    orders.answered(command, OrderAnswer::Refused);
                }
                Outcome::OrderPlaced { changed, .. } | Outcome::OrderRefunded { changed, .. } => {
                    let answer = if changed { OrderAnswer::Done } else { OrderAnswer::Repeated };
                    orders.answered(command, answer);
                }
                _ => {}
            }
        }
    }

    fn answer_group(&mut self) {
        for ((_, reply), applied) in self.replies.drain(..).zip(&self.applied) {
            // The requester may be gone; the write is done nevertheless.
            let _ = reply.send(Ok(*applied));
        }
    }

    /// After this nothing is appended or applied any more. Whether the current group is on disk is unknown.
    fn poison(&mut self, why: &str) {
        tracing::error!(
            error = why,
            group = self.group.len(),
            lsn = self.lsn,
            "the log failed: read-only until a restart"
        );
        // A second failure cannot come: nothing is tried after the first.
        let _ = self.shared.poison.set(why.to_owned());
        self.shared.metrics.writes.poisoned.set(1.0);
        self.refuse_group(SubmitError::OutcomeUnknown);
    }

    fn refuse_group(&mut self, error: SubmitError) {
        for (_, reply) in self.replies.drain(..) {
            let _ = reply.send(Err(error));
        }
        self.group.clear();
        self.preparations.clear();
    }

    /// Records in the log how far it is durable.
    fn mark(&mut self) {
        if self.shared.is_poisoned() {
            return;
        }
        let marked = self.journal.mark(self.outcome_hash);
        match marked.and_then(|is_written| if is_written { self.journal.sync() } else { Ok(self.lsn) }) {
            // The mark is best effort: the next group records the same.
            Ok(_) | Err(DurabilityError::NoRoom { .. }) => {}
            Err(error) => self.poison(&error.to_string()),
        }
        self.publish_figures();
    }

    fn retire(&mut self, up_to: u64) {
        if self.shared.is_poisoned() {
            return;
        }
        // Where there are calendars, a period that is not sealed needs its past.
        let needed = self.shared.read(|state, _| state.unsealed_since());
        match self.journal.purge_prefix(up_to, needed) {
            Ok(purged) => tracing::info!(
                up_to,
                archived = purged.archived,
                deleted = purged.deleted,
                "retired log segments"
            ),
            // The log only stays longer than necessary: the next snapshot retries.
            Err(error) => tracing::warn!(up_to, %error, "log segments could not be retired"),
        }
        self.publish_figures();
    }

    fn publish_figures(&self) {
        let figures = self.journal.figures();
        *self.shared.log.lock() = LogFigures { bytes: figures.live_bytes, segments: figures.live_segments };
        self.shared.metrics.writes.queue_depth.set(self.queue.len() as f64);
    }
}

/// Upper bound on the actor's bytes in a record.
const ACTOR_BYTES_MAX: usize = 4 + ACTOR_ID_BYTES_MAX;

/// Whether the log can take the command: its names are not too long and it fits a group.
pub(super) fn fits_the_log(command: &Command, group_bytes_max: usize) -> bool {
    longest_text(command) <= TEXT_BYTES_MAX
        && record_bytes_bound(command) + ACTOR_BYTES_MAX <= group_bytes_max
}

/// Labels the reason for a refusal, for the metrics.
pub(super) fn refusal(error: SubmitError) -> Refusal {
    match error {
        SubmitError::Overloaded => Refusal::Overloaded,
        SubmitError::ReadOnly => Refusal::ReadOnly,
        SubmitError::OutcomeUnknown => Refusal::OutcomeUnknown,
        SubmitError::Stopping => Refusal::Stopping,
        SubmitError::TooLarge => Refusal::TooLarge,
        SubmitError::NoRoom => Refusal::NoRoom,
        SubmitError::ClockJumped => Refusal::ClockJumped,
        SubmitError::SealsUnreadable => Refusal::SealsUnreadable,
    }
}
