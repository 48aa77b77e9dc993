//! Brings a sealed order back into the state before it is refunded.

use tokio::sync::oneshot;

use super::orders::recall_of;
use crate::{
    core::{
        Actor, ActorKind,
        command::{Command, OrderId, RefundOrder},
    },
    engine::{Sent, SubmitError, handle::Engine, sync},
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
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub(in crate::engine) fn recall_before_blocking(&self, command: &Command) -> Result<(), SubmitError> {
        self.refund_of_sealed(command).map_or(Ok(()), |refund| self.recall(refund))
    }

    /// A refund of an order that the state does not have, where there are sealed ones.
    fn refund_of_sealed<'c>(&self, command: &'c Command) -> Option<&'c RefundOrder> {
        let Command::RefundOrder(refund) = command else { return None };
        (self.has_sealed_orders() && !self.has_order(&refund.order)).then_some(refund)
    }

    fn has_order(&self, id: &OrderId) -> bool {
        self.read(|state, _| state.order_number(id).is_some())
    }

    fn recall(&self, refund: &RefundOrder) -> Result<(), SubmitError> {
        let Some(order) = self.inner.shared.sealed.orders().to_recall(refund)? else { return Ok(()) };
        let recall = self.read(|state, _| recall_of(state, &order))?;
        // A refusal is not ours to tell: without its order the refund is refused.
        let sent = Sent { actor: Actor::new(ActorKind::System, ""), key: None };
        self.submit_blocking(Command::RecallOrder(Box::new(recall)), sent).map(drop)
    }
}
