//! Pipelined writes in order: for callers with a long list of commands of which later ones depend on earlier
//! ones.
//!
//! `submit` waits for each outcome, and judges each command by the published state. A list would then take a
//! sync per line, or its lines would be refused because of lines still in flight. Here commands are queued in
//! call order without waiting for earlier ones; the writer takes them in that order, so groups form by
//! themselves. Admission cannot see commands in flight, so the caller, who knows the list, says which
//! refusals they may explain: those commands are judged when they are applied.

use std::{sync::Arc, time::Instant};

use tokio::sync::oneshot;

use super::{
    answer::{Answer, AnsweredBy, Sent},
    error::SubmitError,
    handle::Engine,
    writer::{self, Job, Write},
};
use crate::{
    core::{
        command::{Applied, Command, Outcome, Rejection, RequestKey},
        judge_carried_id,
        state::Verdict,
    },
    metrics::{Metrics, OrderAnswer, RejectionStage},
};

/// A queued write: its outcome will come, whether or not the caller waits for it.
pub struct PendingWrite {
    reply: oneshot::Receiver<Result<Applied, SubmitError>>,
    metrics: Arc<Metrics>,
}

impl PendingWrite {
    pub(super) fn new(reply: oneshot::Receiver<Result<Applied, SubmitError>>, metrics: Arc<Metrics>) -> Self {
        Self { reply, metrics }
    }

    /// Waits for the outcome. Cancel-safe until it has answered.
    ///
    /// # Errors
    /// When there is no outcome.
    pub async fn answer(&mut self) -> Result<Answer, SubmitError> {
        let reply = (&mut self.reply).await;
        self.conclude(reply.unwrap_or(Err(SubmitError::OutcomeUnknown)))
    }

    /// The outcome, if it has arrived and was not taken before.
    pub fn try_answer(&mut self) -> Option<Result<Answer, SubmitError>> {
        match self.reply.try_recv() {
            Ok(reply) => Some(self.conclude(reply)),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => {
                Some(self.conclude(Err(SubmitError::OutcomeUnknown)))
            }
        }
    }

    fn conclude(&self, reply: Result<Applied, SubmitError>) -> Result<Answer, SubmitError> {
        let answer = reply.map(|applied| Answer { applied, by: AnsweredBy::Log });
        answer.inspect_err(|error| self.metrics.writes.refusal(writer::refusal(*error)))
    }
}

impl Engine {
    /// Answers at once what needs no log: refusals and repeats. `None` is for [`Engine::queue`]. A refusal
    /// for which `may_pass` returns true is deferred: the command is judged when it is applied.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    ///
    /// # Panics
    /// When a plan in the command was not validated: our bug.
    pub fn judge(
        &self,
        command: &Command,
        key: Option<RequestKey>,
        may_pass: impl FnOnce(Rejection) -> bool,
    ) -> Result<Option<Answer>, SubmitError> {
        let shared = &self.inner.shared;
        if let Command::PutPlan(plan) = command {
            // Once logged, an invalid plan would make the log unreadable.
            assert_eq!(plan.validate(), Ok(()), "plans are validated where they come from");
        }
        if shared.is_stopping() {
            return Err(SubmitError::Stopping);
        }
        if shared.is_poisoned() {
            return Err(SubmitError::ReadOnly);
        }
        let (mut verdict, lsn) =
            self.read(|state, directory| (state.check(directory, key, command), state.lsn()));
        if verdict == Verdict::Admit
            && let Err(reason) = judge_carried_id(&shared.row_ids, command.carried_row_id())
        {
            verdict = Verdict::Reject(reason);
        }
        match verdict {
            Verdict::Reject(reason) if !may_pass(reason) => {
                // A repeat of what was sealed is answered as the first time, whatever holds now.
                let sealed = self.inner.shared.sealed.orders();
                if let Some(answer) = self.sealed_answer(&sealed, command)? {
                    return Ok(Some(answer));
                }
                shared.metrics.writes.rejection(reason, RejectionStage::Admission);
                shared.metrics.orders.answered(command, OrderAnswer::Refused);
                let applied = Applied { outcome: Outcome::Rejected(reason), lsn };
                return Ok(Some(Answer { applied, by: AnsweredBy::Admission }));
            }
            Verdict::Admit | Verdict::Reject(_) => {}
            Verdict::Repeat(applied) => {
                // Applied implies durable: the sync comes before.
                shared.metrics.writes.repeats.increment(1);
                shared.metrics.orders.answered(command, OrderAnswer::Repeated);
                return Ok(Some(Answer { applied, by: AnsweredBy::Repeat }));
            }
        }
        if writer::fits_the_log(command, self.inner.command_bytes_max) {
            Ok(None)
        } else {
            Err(SubmitError::TooLarge)
        }
    }

    /// Queues a command that [`Engine::judge`] let pass, behind those queued before by the same caller. Waits
    /// for room in the queue. A caller that does not wait for answers must bound its commands in flight, well
    /// below the queue's length, or all other clients are refused.
    ///
    /// Nothing is prepared for it: a plan change or a new admin blocks the engine for as long as it computes.
    /// Use `submit` for those.
    ///
    /// # Errors
    /// `Stopping`, `SealsUnreadable`.
    pub async fn queue(&self, command: Command, sent: impl Into<Sent>) -> Result<PendingWrite, SubmitError> {
        let (reply, answer) = oneshot::channel();
        // A sender of our own while the queue is full: shutdown waits for it.
        let queue = self.inner.queue.read().clone().ok_or(SubmitError::Stopping)?;
        let place = queue.reserve().await.map_err(|_| SubmitError::Stopping)?;
        // Held until the command is queued: see `admit`.
        let sealed = self.inner.shared.sealed.hold();
        if let Some(answer) = self.sealed_answer(&sealed, &command)? {
            // Nobody waits if the receiver is gone.
            let _ = reply.send(Ok(answer.applied));
        } else {
            let sent = sent.into();
            let write = Write { command, sent, preparation: None, queued_at: Instant::now(), reply };
            place.send(Job::Write(write));
        }
        drop(sealed);
        Ok(PendingWrite::new(answer, Arc::clone(&self.inner.shared.metrics)))
    }
}
