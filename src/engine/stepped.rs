//! The engine without threads: its owner takes the steps that the threads would take, in any order.
//!
//! The components are the production ones: the same opening, admission, writer, snapshotter. Only the caller
//! differs, so a simulation can choose each interleaving that threads might produce, and replay it.

use std::sync::Arc;

use super::{
    Actor, Answer, BegunSeal, Command, EngineOptions, OpenError, OpenReport, PendingWrite, PeriodRef, Reason,
    Rejection, SealError, SealStart, Sent, SnapshotError, SnapshotInfo, SubmitError,
    handle::Engine,
    lifecycle::{Assembled, assemble},
    open,
    snapshotter::{SnapshotStep, Snapshotter},
    submit::Admitted,
    writer::{Job, Writer},
};

/// An engine that does nothing by itself. Dropping it acts like a killed process: queued writes are lost.
pub struct SteppedEngine {
    snapshotter: Snapshotter,
    writing: SteppedWriter,
}

/// A stepped engine without its snapshotter: what keeps running while a snapshot is made.
pub struct SteppedWriter {
    writer: Writer,
    // Dropped last: it holds the directory's lock.
    engine: Engine,
}

/// The state of a submitted write.
pub enum Submitted {
    /// It needed no log, or could not be queued.
    Answered(Result<Answer, SubmitError>),
    /// It waits for a step of the writer.
    Queued(PendingWrite),
}

impl SteppedEngine {
    /// As [`Engine::open`], but for the threads. `options.log.prepare_in_background` is the caller's choice:
    /// off, nothing here starts a thread that touches the disk.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open(mut options: EngineOptions) -> Result<(Self, OpenReport), OpenError> {
        let parts = open::open(&mut options)?;
        let report = parts.report.clone();
        let Assembled { inner, writer, snapshotter, .. } = assemble(parts, options);
        Ok((Self { snapshotter, writing: SteppedWriter { writer, engine: Engine { inner } } }, report))
    }

    /// Everything but snapshots.
    pub fn writing(&mut self) -> &mut SteppedWriter {
        &mut self.writing
    }

    /// For reading. Its `submit` and `snapshot_now` would wait for threads that do not exist.
    pub fn engine(&self) -> &Engine {
        &self.writing.engine
    }

    /// Makes a snapshot, calling `between` before each step, where other threads would interleave; when that
    /// returns `false` the snapshot is abandoned. (It may request a view that it does not share while one is
    /// being copied.) The log that no kept snapshot needs is retired by one of the next steps of the writer.
    ///
    /// # Errors
    /// As [`Engine::snapshot_now`].
    pub fn snapshot(
        &mut self,
        between: &mut dyn FnMut(&mut SteppedWriter, SnapshotStep) -> bool,
    ) -> Result<SnapshotInfo, SnapshotError> {
        let Self { snapshotter, writing } = self;
        snapshotter.snapshot(&mut |step| between(writing, step))
    }
}

impl SteppedWriter {
    /// As [`Engine::judge`] and [`Engine::queue`] together, without waiting: a full queue is `Overloaded`.
    ///
    /// # Panics
    /// When a plan in the command was not validated.
    pub fn submit(
        &self,
        command: Command,
        sent: impl Into<Sent>,
        may_pass: impl FnOnce(Rejection) -> bool,
    ) -> Submitted {
        match self.engine.admit(command, sent.into(), None, may_pass) {
            Ok(Admitted::Answered(answer)) => Submitted::Answered(Ok(answer)),
            Ok(Admitted::Queued(reply)) => {
                Submitted::Queued(PendingWrite::new(reply, Arc::clone(self.engine.metrics())))
            }
            Err(error) => Submitted::Answered(Err(error)),
        }
    }

    /// What [`Engine::seal_period_blocking`] does before its command, which the caller then submits. It makes
    /// a view of its own: not while one is being copied for a snapshot.
    ///
    /// # Errors
    /// As [`Engine::seal_period_blocking`].
    pub fn begin_seal(
        &self,
        period: PeriodRef,
        reason: Option<Reason>,
        by: Actor,
    ) -> Result<SealStart, SealError> {
        self.engine.begin_seal(period, reason, by)
    }

    /// What [`Engine::seal_period_blocking`] does with the answer to its command.
    pub fn end_seal(&self, begun: BegunSeal, answer: &Result<Answer, SubmitError>) {
        self.engine.end_seal(begun, answer);
    }

    /// What [`Engine::submit`] submits before a refund of a sealed order, and waits for.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn recall_needed(&self, command: &Command) -> Result<Option<Command>, SubmitError> {
        self.engine.recall_needed(command)
    }

    /// What the ticker does after an idle moment: requests a mark, which a step of the writer then makes. A
    /// full queue is not idle.
    pub fn ask_for_mark(&self) {
        if let Some(queue) = self.engine.inner.queue.read().as_ref() {
            // Full: not idle, so nothing to mark.
            let _ = queue.try_send(Job::Mark);
        }
    }

    /// One turn of the writer: a group of queued writes, and any other job queued after it. `false` when the
    /// queue is empty.
    pub fn step(&mut self) -> bool {
        self.writer.step()
    }

    /// For reading.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
