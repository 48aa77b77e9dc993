//! What admission asks of sealed orders.

use super::orders::SealedOrders;
use crate::{
    core::{
        OrderView,
        command::{Applied, Command, OrderId, Outcome},
    },
    engine::{Answer, AnsweredBy, SubmitError, handle::Engine},
};

impl Engine {
    /// The answer to a command whose id belongs to an order or a refund in the files: see
    /// [`SealedOrders::outcome_of`].
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub(in crate::engine) fn sealed_answer(
        &self,
        sealed: &SealedOrders,
        command: &Command,
    ) -> Result<Option<Answer>, SubmitError> {
        let Some(outcome) = sealed.outcome_of(command)? else { return Ok(None) };
        let lsn = self.read(|state, _| state.lsn());
        let is_refused = matches!(outcome, Outcome::Rejected(_));
        let by = if is_refused { AnsweredBy::Admission } else { AnsweredBy::Seal };
        Ok(Some(Answer { applied: Applied { outcome, lsn }, by }))
    }

    /// Whether any order is sealed. O(1).
    pub fn has_sealed_orders(&self) -> bool {
        !self.inner.shared.sealed.hold().is_empty()
    }

    /// A sealed order with its refunds; `None` if no seal has it. Reads files: call it from a thread that may
    /// block.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn sealed_order(&self, id: &OrderId) -> Result<Option<OrderView>, SubmitError> {
        let order = self.inner.shared.sealed.orders().order(id)?;
        order.map(|order| self.read(|state, directory| order.view(state, directory))).transpose()
    }

    /// The files of seals as they are now: of all that a state names that was read before.
    pub(super) fn sealed_files(&self) -> SealedOrders {
        self.inner.shared.sealed.orders()
    }
}
