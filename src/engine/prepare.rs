//! Computes the result of a command before it is queued, while the network keeps serving, where the core says
//! that it is worth it: today for a plan change and for a new admin.
//!
//! The submitting thread makes the preparation, for seconds on large networks; the writer updates it for
//! commands queued in between, off the write lock, and swaps columns under it. One such command is in flight
//! at a time: two would invalidate each other's work. A preparation that fails (no thread, a shutdown) does
//! not fail the command: it computes under the lock.

use std::sync::Arc;

use tokio::sync::{MutexGuard, oneshot};

use super::{
    answer::Answer,
    error::SubmitError,
    handle::Engine,
    limits::{PREPARATION_STEPS, PREPARATION_THREADS, PREPARE_FROM_MEMBERS},
    shared::Shared,
    sync,
};
use crate::core::{
    Need, Preparation,
    command::{Command, RequestKey},
    on_threads,
};

/// A command ready to be queued, or its answer.
pub(super) enum Ready<'engine> {
    Answered(Answer),
    Queue {
        preparation: Option<Preparation>,
        /// Held until the command is applied.
        alone: Option<MutexGuard<'engine, ()>>,
    },
}

impl Engine {
    /// Answers at once what needs no log; prepares what is worth it. If dropped, the preparation runs on
    /// unused and undoes nothing.
    pub(super) async fn prepared(
        &self,
        command: &Command,
        key: Option<RequestKey>,
    ) -> Result<Ready<'_>, SubmitError> {
        if self.need(command).is_none() {
            return Ok(Ready::Queue { preparation: None, alone: None });
        }
        if let Some(answer) = self.judge(command, key, |_| false)? {
            return Ok(Ready::Answered(answer));
        }
        let alone = self.inner.preparing.lock().await;
        let (reply, answer) = oneshot::channel();
        let (shared, command) = (Arc::clone(&self.inner.shared), command.clone());
        let prepare = move || {
            let _ = reply.send(shared.prepare(&command));
        };
        let started = sync::spawn("upline-prepare", prepare);
        let preparation = if started.is_ok() { answer.await.ok().flatten() } else { None };
        Ok(Ready::Queue { preparation, alone: Some(alone) })
    }

    /// As `prepared`, for threads that may block.
    pub(super) fn prepared_blocking(
        &self,
        command: &Command,
        key: Option<RequestKey>,
    ) -> Result<Ready<'_>, SubmitError> {
        if self.need(command).is_none() {
            return Ok(Ready::Queue { preparation: None, alone: None });
        }
        if let Some(answer) = self.judge(command, key, |_| false)? {
            return Ok(Ready::Answered(answer));
        }
        let alone = self.inner.preparing.blocking_lock();
        Ok(Ready::Queue { preparation: self.inner.shared.prepare(command), alone: Some(alone) })
    }

    fn need(&self, command: &Command) -> Option<Need> {
        // All other commands skip the lock.
        if !Preparation::is_possible(command) {
            return None;
        }
        self.read(|state, directory| state.preparation_for(directory, command, PREPARE_FROM_MEMBERS))
    }
}

impl Shared {
    /// The preparation for `command`, nearly up to date. Blocks. `None` when none is needed any more, the
    /// command would be refused, or the engine stops.
    fn prepare(&self, command: &Command) -> Option<Preparation> {
        let need = self.state.read().preparation_for(&self.directory, command, PREPARE_FROM_MEMBERS)?;
        let mut preparation = match need {
            Need::Copy(parts) => {
                let copy = self.frozen_copy(parts)?;
                on_threads(PREPARATION_THREADS, || Preparation::on_copy(copy, command))?
            }
            Need::Network => Preparation::on_network(&self.state.read(), &self.directory, command)?,
        };
        while !self.is_stopping() {
            if preparation.advance(&self.state.read(), PREPARATION_STEPS) {
                return Some(preparation);
            }
        }
        None
    }

    /// Brings a preparation up to the state's LSN. For the writer only, which alone changes the state:
    /// nothing can come between this and the command.
    pub fn complete(&self, preparation: &mut Preparation) {
        while !preparation.advance(&self.state.read(), PREPARATION_STEPS) {}
        preparation.complete(&self.state.read());
    }
}
