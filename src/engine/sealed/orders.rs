//! Sealed orders, for reading: whose ids are taken, and what they are.

use std::{path::Path, sync::Arc};

use super::{convert, named::known_of};
use crate::{
    core::{
        OrderView,
        command::{Command, OrderId, Outcome, RecallOrder, RefundOrder, Rejection},
        state::{Directory, State},
        types::{MemberId, Timestamp},
    },
    durability::{
        Error as DurabilityError,
        sealed::{self, Filter, Found, Known, SealedOrder, Store, What},
        storage::Storage,
    },
    engine::SubmitError,
};

/// No number: a sealed order or refund has none.
const NO_NUMBER: u32 = u32::MAX;

/// The sealed orders of a data directory. Cheap to clone. What it reads blocks, for milliseconds.
/// The default has none.
#[derive(Clone, Default)]
pub struct SealedOrders(Option<Arc<Store>>);

impl SealedOrders {
    /// Opens those that a state knows, without changing anything. O(seals).
    ///
    /// # Errors
    /// Files are missing or damaged, or the disk fails.
    pub fn open(storage: &Arc<dyn Storage>, root: &Path, state: &State) -> Result<Self, DurabilityError> {
        Store::open(storage, root, &known_of(state)).map(Self::of)
    }

    /// Opens seals. Lost files of ids are made again from the orders.
    pub(super) fn open_or_mend(
        storage: &Arc<dyn Storage>,
        root: &Path,
        known: &[Known],
    ) -> Result<Self, DurabilityError> {
        let store = match Store::open(storage, root, known) {
            Err(DurabilityError::Damaged(damage)) => {
                tracing::warn!(%damage, "the ids of sealed orders are made again");
                sealed::rebuild_ids(storage, root, known)?;
                Store::open(storage, root, known)?
            }
            opened => opened?,
        };
        Ok(Self::of(store))
    }

    pub(super) fn of(store: Store) -> Self {
        Self(Some(Arc::new(store)))
    }

    /// `None` where there is none.
    pub(super) fn store(&self) -> Option<&Store> {
        self.0.as_deref()
    }

    /// Whether no order is sealed.
    pub fn is_empty(&self) -> bool {
        self.store().is_none_or(|store| store.ids_count() == 0)
    }

    /// The outcome of a command whose id belongs to an order or a refund in the files: what the same one was
    /// answered before, or that the id is taken. `None` for all other commands. Reads 4 KiB of each file of
    /// ids.
    ///
    /// The state may have the order as well: a seal is about to take it, or it was recalled. The answer is
    /// the same, and does not depend on which of the two is applied first.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn outcome_of(&self, command: &Command) -> Result<Option<Outcome>, SubmitError> {
        if self.is_empty() {
            return Ok(None);
        }
        let (id, fingerprint, what, outcome) = match command {
            Command::PlaceOrder(order) => {
                let outcome = Outcome::OrderPlaced { order: NO_NUMBER, changed: false };
                (&order.id, order.fingerprint(), What::Order, outcome)
            }
            Command::RefundOrder(refund) => {
                let outcome = Outcome::OrderRefunded { refund: NO_NUMBER, changed: false };
                (&refund.id, refund.fingerprint(), What::Refund, outcome)
            }
            _ => return Ok(None),
        };
        let Some(found) = self.find(id)? else { return Ok(None) };
        let is_same = found.what == what && found.fingerprint == fingerprint;
        Ok(Some(if is_same { outcome } else { Outcome::Rejected(Rejection::OrderIdTaken) }))
    }

    /// The order that a refund is of, where a seal has it and not the refund.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub(super) fn to_recall(
        &self,
        refund: &RefundOrder,
    ) -> Result<Option<SealedOrder<'static>>, SubmitError> {
        // A repeat of a sealed refund is answered without its order.
        if self.is_empty() || self.find(&refund.id)?.is_some() {
            return Ok(None);
        }
        self.find_order(&refund.order)?.map(|found| self.read(&found)).transpose()
    }

    /// Whether a seal has an order or a refund with this id.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn has(&self, id: &OrderId) -> Result<bool, SubmitError> {
        Ok(self.find(id)?.is_some())
    }

    /// Whether a seal has this order.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub(super) fn has_order(&self, id: &OrderId) -> Result<bool, SubmitError> {
        Ok(self.find_order(id)?.is_some())
    }

    /// The command that must come before this one: a refund of a sealed order recalls that. `None` for all
    /// other commands.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn recall_before(&self, command: &Command, state: &State) -> Result<Option<Command>, SubmitError> {
        let Command::RefundOrder(refund) = command else { return Ok(None) };
        if !may_need_recall(state, refund) {
            return Ok(None);
        }
        let Some(order) = self.to_recall(refund)? else { return Ok(None) };
        Ok(Some(Command::RecallOrder(Box::new(recall_of(state, &order)?))))
    }

    /// A sealed order with its refunds; `None` if no seal has it.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn order(&self, id: &OrderId) -> Result<Option<SealedRow>, SubmitError> {
        if self.is_empty() {
            return Ok(None);
        }
        self.find_order(id)?.map(|found| self.read(&found).map(SealedRow)).transpose()
    }

    /// Some orders of the first `seals` seals, newest first: at most `limit` of those whose LSN is below
    /// `before`. The second is the LSN before which the list goes on, `None` at its end: from there on these
    /// are all. A page reads a bounded number of row groups, and may be short, or empty: see [`Store::list`].
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub(super) fn list(
        &self,
        filter: &SealedFilter,
        seals: u32,
        before: u64,
        limit: usize,
    ) -> Result<(Vec<SealedRow>, Option<u64>), SubmitError> {
        let SealedFilter { member, customer, group, period, from, until } = filter;
        let filter = Filter {
            member: member.map(|member| member.0),
            customer: customer.as_ref().map(OrderId::as_str),
            group: group.as_ref().map(OrderId::as_str),
            period: period.as_ref().map(|(calendar, label)| (&**calendar, &**label)),
            from: *from,
            until: *until,
        };
        let Some(store) = self.store() else { return Ok((Vec::new(), None)) };
        let listed = store.list(&filter, seals, Some(before), limit).map_err(|error| unreadable(&error))?;
        Ok((listed.orders.into_iter().map(SealedRow).collect(), listed.next))
    }

    fn find_order(&self, id: &OrderId) -> Result<Option<Found>, SubmitError> {
        Ok(self.find(id)?.filter(|found| found.what == What::Order))
    }

    fn find(&self, id: &OrderId) -> Result<Option<Found>, SubmitError> {
        let found = self.store().map_or(Ok(None), |store| store.find(id.as_str()));
        found.map_err(|error| unreadable(&error))
    }

    fn read(&self, found: &Found) -> Result<SealedOrder<'static>, SubmitError> {
        let store = self.store().expect("it has what was found there");
        store.order(found.place).map_err(|error| unreadable(&error))
    }
}

/// Whether a refund is of an order that the state does not have. One whose own id is taken is refused without
/// its order.
pub(super) fn may_need_recall(state: &State, refund: &RefundOrder) -> bool {
    let is_taken = state.order_number(&refund.id).is_some() || state.refund_number(&refund.id).is_some();
    state.order_number(&refund.order).is_none() && !is_taken
}

/// An order as files have it.
pub struct SealedRow(SealedOrder<'static>);

impl SealedRow {
    /// Its id.
    pub fn id(&self) -> Option<OrderId> {
        OrderId::parse(&self.0.id)
    }

    /// The order as it is shown.
    ///
    /// # Errors
    /// `SealsUnreadable`: it is not one of this network.
    pub fn view<D: Directory>(&self, state: &State, directory: &D) -> Result<OrderView, SubmitError> {
        let recall = recall_of(state, &self.0)?;
        convert::view(state, directory, &recall).ok_or_else(|| foreign(&self.0.id))
    }
}

/// Which sealed orders a list has: those for which all of these hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct SealedFilter {
    /// A credited member. For a customer, give its member too: that is what makes it quick.
    pub member: Option<MemberId>,
    pub customer: Option<OrderId>,
    pub group: Option<OrderId>,
    /// A calendar and the label of a period.
    pub period: Option<(Box<str>, Box<str>)>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// A sealed order as the core takes it back.
pub(super) fn recall_of(state: &State, order: &SealedOrder<'_>) -> Result<RecallOrder, SubmitError> {
    convert::from_files(state, order).ok_or_else(|| foreign(&order.id))
}

fn unreadable(error: &DurabilityError) -> SubmitError {
    tracing::error!(%error, "the files of sealed orders cannot be read: `upline repair`");
    SubmitError::SealsUnreadable
}

/// An order that names what this network does not have.
fn foreign(id: &str) -> SubmitError {
    tracing::error!(order = id, "a sealed order is not one of this network");
    SubmitError::SealsUnreadable
}
