//! What a plan change or a new admin needs is computed before the command is queued, beside a network that
//! goes on.
//!
//! Who submits such a command makes the preparation, for seconds on large networks; the writer brings it up
//! to date for what was queued in between, off the write lock, and exchanges columns under it. One such
//! command is under way at a time: two would make each other's work useless. A preparation that fails (no
//! thread, a stop) is no failure of the command: it computes under the lock.

use std::sync::Arc;

use tokio::sync::{MutexGuard, oneshot};

use super::{
    answer::Answer,
    error::SubmitError,
    handle::Engine,
    limits::{PREPARATION_STEPS, PREPARATION_THREADS, PREPARE_FROM_MEMBERS},
    shared::Shared,
    sync,
    writer::is_long,
};
use crate::core::{
    Need, Preparation,
    command::{Command, RequestKey},
    on_threads,
};

/// A command that may be queued, or is answered already.
pub(super) enum Ready<'engine> {
    Answered(Answer),
    Queue {
        preparation: Option<Preparation>,
        /// Held until the command is applied.
        alone: Option<MutexGuard<'engine, ()>>,
    },
}

impl Engine {
    /// Answers at once what needs no log; prepares what is worth it. Dropped, it prepares on for nothing, and
    /// takes nothing back.
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
        // All other commands are spared the lock.
        if !is_long(command) {
            return None;
        }
        self.read(|state, directory| state.preparation_for(directory, command, PREPARE_FROM_MEMBERS))
    }
}

impl Shared {
    /// What `command` needs, nearly up to date. Blocks. `None` when it needs nothing any more, would be
    /// refused, or the engine stops.
    fn prepare(&self, command: &Command) -> Option<Preparation> {
        let need = self.state.read().preparation_for(&self.directory, command, PREPARE_FROM_MEMBERS)?;
        let mut preparation = match (need, command) {
            (Need::Plan, Command::PutPlan(plan)) => {
                let copy = self.copy_for_plan()?;
                on_threads(PREPARATION_THREADS, || Preparation::of_plan(copy, plan))?
            }
            (Need::Admin(member), _) => Preparation::of_admin(&self.state.read(), member),
            (Need::Plan, _) => return None,
        };
        while !self.is_stopping() {
            if preparation.advance(&self.state.read(), PREPARATION_STEPS) {
                return Some(preparation);
            }
        }
        None
    }

    /// Brings a preparation to where the state stands. For the writer, which alone changes the state: nothing
    /// can come between this and the command.
    pub fn complete(&self, preparation: &mut Preparation) {
        while !preparation.advance(&self.state.read(), PREPARATION_STEPS) {}
        preparation.complete(&self.state.read());
    }
}
