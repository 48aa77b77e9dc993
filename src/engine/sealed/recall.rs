//! Brings a sealed order back into the state before it is refunded.

use tokio::sync::oneshot;

use super::orders::{may_need_recall, recall_of};
use crate::{
    core::{
        Actor, ActorKind,
        command::{Command, Outcome, RefundOrder, Rejection},
    },
    engine::{Answer, Sent, SubmitError, handle::Engine, sync},
};

impl Engine {
    /// Recalls the order that a command refunds, if it is sealed and the refund is not. Does nothing for all
    /// other commands.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub(in crate::engine) async fn recall_before(&self, command: &Command) -> Result<(), SubmitError> {
        let Some(refund) = self.refund_of_sealed(command) else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        let (engine, refund) = (self.clone(), refund.clone());
        let recall = move || {
            let _ = reply.send(engine.recall(&refund));
        };
        sync::spawn("upline-recall", recall).map_err(|_| SubmitError::Overloaded)?;
        answer.await.unwrap_or(Err(SubmitError::Stopping))
    }

    /// As `recall_before`, for threads that may block.
    pub(in crate::engine) fn recall_before_blocking(&self, command: &Command) -> Result<(), SubmitError> {
        self.refund_of_sealed(command).map_or(Ok(()), |refund| self.recall(refund))
    }

    /// The command that recalls the order that this one refunds; `None` for all other commands. Reads files.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub(in crate::engine) fn recall_needed(&self, command: &Command) -> Result<Option<Command>, SubmitError> {
        self.refund_of_sealed(command).map_or(Ok(None), |refund| self.recall_for(refund))
    }

    /// Whether a refund was refused because its order left the state after it was looked for there: a seal
    /// came between. Reads 4 KiB of each file of ids.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub(in crate::engine) fn was_sealed_meanwhile(
        &self,
        command: &Command,
        answer: &Answer,
    ) -> Result<bool, SubmitError> {
        if answer.applied.outcome != Outcome::Rejected(Rejection::OrderUnknown) {
            return Ok(false);
        }
        let Some(refund) = self.refund_of_sealed(command) else { return Ok(false) };
        self.inner.shared.sealed.orders().has_order(&refund.order)
    }

    /// A refund of an order that the state does not have, where there are sealed ones.
    fn refund_of_sealed<'c>(&self, command: &'c Command) -> Option<&'c RefundOrder> {
        let Command::RefundOrder(refund) = command else { return None };
        let may_need = self.has_sealed_orders() && self.read(|state, _| may_need_recall(state, refund));
        may_need.then_some(refund)
    }

    fn recall_for(&self, refund: &RefundOrder) -> Result<Option<Command>, SubmitError> {
        let Some(order) = self.inner.shared.sealed.orders().to_recall(refund)? else { return Ok(None) };
        let recall = self.read(|state, _| recall_of(state, &order))?;
        Ok(Some(Command::RecallOrder(Box::new(recall))))
    }

    fn recall(&self, refund: &RefundOrder) -> Result<(), SubmitError> {
        let Some(recall) = self.recall_for(refund)? else { return Ok(()) };
        // A refusal is not ours to tell: without its order the refund is refused.
        let sent = Sent { actor: Actor::new(ActorKind::System, ""), key: None };
        self.submit_blocking(recall, sent).map(drop)
    }
}
