//! What admission asks of sealed orders.

use super::orders::{SealedFilter, SealedOrders, SealedRow};
use crate::{
    core::{
        OrderView,
        command::{Applied, Command, OrderId, Outcome},
    },
    engine::{Answer, AnsweredBy, SubmitError, handle::Engine},
};

/// Orders that are put together under one hold of the lock.
const SHOWN_TOGETHER: usize = 64;

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

    /// Some sealed orders, newest first, and where the list goes on: see [`SealedOrders::list`]. Reads files:
    /// call it from a thread that may block.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn sealed_orders(
        &self,
        filter: &SealedFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<OrderView>, Option<u64>), SubmitError> {
        let (rows, next) = self.inner.shared.sealed.orders().list(filter, before, limit)?;
        let mut views = Vec::with_capacity(rows.len());
        for some in rows.chunks(SHOWN_TOGETHER) {
            self.read(|state, directory| {
                // One that was recalled is in the state.
                let is_open = |row: &&SealedRow| row.id().is_some_and(|id| state.order_number(&id).is_some());
                let sealed = some.iter().filter(|row| !is_open(row));
                sealed.map(|row| row.view(state, directory)).try_for_each(|view| {
                    views.push(view?);
                    Ok(())
                })
            })?;
        }
        Ok((views, next))
    }
}
