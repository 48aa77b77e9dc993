//! The engine without threads: whoever holds it takes the steps that the threads would take, in the order
//! that it likes.
//!
//! The parts are those that serve: the same opening, admission, writer, snapshotter. Only who calls them
//! differs, so that what the threads do in some order that nobody chose can be done in each order that
//! somebody did, and again in the same one: for simulations.

use std::sync::Arc;

use super::{
    Answer, Command, EngineOptions, OpenError, OpenReport, PendingWrite, Rejection, Sent, SnapshotError,
    SnapshotInfo, SubmitError,
    handle::Engine,
    lifecycle::{Assembled, assemble},
    open,
    snapshotter::{SnapshotStep, Snapshotter},
    submit::Admitted,
    writer::{Job, Writer},
};

/// An engine that does nothing by itself. Dropped, it ends as a killed process does: what is queued is not
/// written.
pub struct SteppedEngine {
    snapshotter: Snapshotter,
    writing: SteppedWriter,
}

/// All of a stepped engine but its snapshotter: what goes on while a snapshot is made.
pub struct SteppedWriter {
    writer: Writer,
    // Dropped last: it holds the lock of the directory.
    engine: Engine,
}

/// What became of a write so far.
pub enum Submitted {
    /// It needed no log, or found no way into it.
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

    /// For reading. Its `submit` and `snapshot_now` wait for threads that are not there.
    pub fn engine(&self) -> &Engine {
        &self.writing.engine
    }

    /// Makes a snapshot, and before each step of it whatever `between` does, where other threads would come
    /// between; when that says `false` the snapshot is given up. (It is not to ask for a view of its own
    /// while one is copied: one is made at a time.) The log that no kept snapshot needs is retired by one of
    /// the next steps of the writer.
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

    /// What the ticker does after an idle moment: asks for a mark, which a step of the writer then makes. A
    /// full queue is not idle.
    pub fn ask_for_mark(&self) {
        if let Some(queue) = self.engine.inner.queue.read().as_ref() {
            // Full: then there is no idle moment to mark.
            let _ = queue.try_send(Job::Mark);
        }
    }

    /// One turn of the writer: a group of what is queued, and whatever else was asked for behind it. `false`
    /// when nothing waits.
    pub fn step(&mut self) -> bool {
        self.writer.step()
    }

    /// For reading.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}
