//! Submission: a command's path into the writer's queue, and its answer's path back.

use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::{
    answer::{Answer, AnsweredBy, Sent},
    error::SubmitError,
    handle::Engine,
    limits::SEALED_MEANWHILE_MAX,
    prepare::Ready,
    sync,
    writer::{self, Job, Write},
};
use crate::core::{
    Preparation,
    command::{Applied, Command, Rejection},
};

/// The result of admission.
pub(super) enum Admitted {
    Answered(Answer),
    Queued(oneshot::Receiver<Result<Applied, SubmitError>>),
}

impl Engine {
    /// Writes: returns when the command is durable and applied, or refused by a rule.
    ///
    /// A plan change or a new admin in a large network is first prepared, for seconds, in a separate thread
    /// (`prepare.rs`).
    ///
    /// Dropping the future does not cancel a command that is already queued.
    ///
    /// # Errors
    /// Only when there is no outcome: see [`SubmitError`].
    ///
    /// # Panics
    /// When a plan in the command was not validated: our bug.
    pub async fn submit(&self, command: Command, sent: impl Into<Sent>) -> Result<Answer, SubmitError> {
        let sent = sent.into();
        if matches!(command, Command::RefundOrder(_)) {
            for _ in 0..SEALED_MEANWHILE_MAX {
                let answer = self.submit_once(command.clone(), sent.clone()).await?;
                if !self.was_sealed_meanwhile(&command, &answer)? {
                    return Ok(answer);
                }
            }
        }
        self.submit_once(command, sent).await
    }

    async fn submit_once(&self, command: Command, sent: Sent) -> Result<Answer, SubmitError> {
        if let Err(error) = self.recall_before(&command).await {
            return self.conclude(Err(error));
        }
        let has_calendars = self.may_change_calendars(&command);
        let (preparation, _alone) = match self.prepared(&command, sent.key).await {
            Ok(Ready::Answered(answer)) => return Ok(answer),
            Ok(Ready::Queue { preparation, alone }) => (preparation, alone),
            Err(error) => return self.conclude(Err(error)),
        };
        let result = match self.admit(command, sent, preparation, |_| false) {
            Ok(Admitted::Answered(answer)) => return Ok(answer),
            // If the writer ended without an answer, the outcome is unknown.
            Ok(Admitted::Queued(reply)) => reply.await.unwrap_or(Err(SubmitError::OutcomeUnknown)),
            Err(error) => Err(error),
        };
        if has_calendars {
            // Without the ticker nothing is opened.
            let _ = self.inner.ticker.ask_for_periods().await;
        }
        self.conclude(result)
    }

    /// Whether periods may be due when the command was applied: an order that follows it finds its period.
    fn may_change_calendars(&self, command: &Command) -> bool {
        self.inner.keeps_periods && matches!(command, Command::PutPlan(plan) if plan.commerce.takes_orders())
    }

    /// As [`Engine::submit`], for threads that may block. Panics inside an async runtime.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub fn submit_blocking(&self, command: Command, sent: impl Into<Sent>) -> Result<Answer, SubmitError> {
        let sent = sent.into();
        if matches!(command, Command::RefundOrder(_)) {
            for _ in 0..SEALED_MEANWHILE_MAX {
                let answer = self.submit_once_blocking(command.clone(), sent.clone())?;
                if !self.was_sealed_meanwhile(&command, &answer)? {
                    return Ok(answer);
                }
            }
        }
        self.submit_once_blocking(command, sent)
    }

    fn submit_once_blocking(&self, command: Command, sent: Sent) -> Result<Answer, SubmitError> {
        if let Err(error) = self.recall_before_blocking(&command) {
            return self.conclude(Err(error));
        }
        let has_calendars = self.may_change_calendars(&command);
        let (preparation, _alone) = match self.prepared_blocking(&command, sent.key) {
            Ok(Ready::Answered(answer)) => return Ok(answer),
            Ok(Ready::Queue { preparation, alone }) => (preparation, alone),
            Err(error) => return self.conclude(Err(error)),
        };
        let result = match self.admit(command, sent, preparation, |_| false) {
            Ok(Admitted::Answered(answer)) => return Ok(answer),
            Ok(Admitted::Queued(reply)) => {
                sync::wait_for_answer(reply).unwrap_or(Err(SubmitError::OutcomeUnknown))
            }
            Err(error) => Err(error),
        };
        if has_calendars {
            let _ = sync::wait_for_answer(self.inner.ticker.ask_for_periods());
        }
        self.conclude(result)
    }

    /// Answers at once what needs no log, queues the rest. `may_pass` as for [`Engine::judge`].
    pub(super) fn admit(
        &self,
        command: Command,
        sent: Sent,
        preparation: Option<Preparation>,
        may_pass: impl FnOnce(Rejection) -> bool,
    ) -> Result<Admitted, SubmitError> {
        if let Some(answer) = self.judge(&command, sent.key, may_pass)? {
            return Ok(Admitted::Answered(answer));
        }
        // Held until the command is queued: by the time a later seal is submitted, all commands that were
        // checked against the files before it are in front of it, and the state still has its orders. What
        // comes behind it was checked against its files too.
        let sealed = self.inner.shared.sealed.hold();
        if let Some(answer) = self.sealed_answer(&sealed, &command)? {
            return Ok(Admitted::Answered(answer));
        }
        let (reply, answer) = oneshot::channel();
        let write = Write { command, sent, preparation, queued_at: Instant::now(), reply };
        let queue = self.inner.queue.read();
        let queue = queue.as_ref().ok_or(SubmitError::Stopping)?;
        queue.try_send(Job::Write(write)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Stopping,
        })?;
        Ok(Admitted::Queued(answer))
    }

    pub(super) fn conclude(&self, result: Result<Applied, SubmitError>) -> Result<Answer, SubmitError> {
        match result {
            Ok(applied) => Ok(Answer { applied, by: AnsweredBy::Log }),
            Err(error) => {
                self.inner.shared.metrics.writes.refusal(writer::refusal(error));
                Err(error)
            }
        }
    }
}
