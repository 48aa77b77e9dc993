//! Makes a seal: files first, then the command that names them.

use super::{files::Leftovers, named::known_of, orders::SealedOrders, write::complete_seal};
use crate::{
    core::{
        Actor,
        command::{Applied, Command, OrderId, Outcome, PeriodRef, RecallOrder, Rejection, SealPeriod},
        state::{Part, Parts, State},
        types::Reason,
    },
    durability::{
        Error as DurabilityError,
        sealed::{Known, Layout, Manifest, Store},
    },
    engine::{Answer, AnsweredBy, HistoryError, Sent, SubmitError, handle::Engine},
};

/// The parts of a view whose orders are written.
const SEALED: Parts = Parts::of(&[Part::Members, Part::Orders]);
/// Times that a seal begins again because a period was posted meanwhile.
const TRIES_MAX: usize = 3;

/// Why a seal was not made. The period is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The files could not be written, or files of earlier seals not be read.
    #[error("the files of the seal could not be written: {0}")]
    Files(#[from] DurabilityError),
    /// The network at the end of the period cannot be told any more.
    #[error("the network at the end of the period: {0}")]
    Past(#[from] HistoryError),
    /// The command has no outcome.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// What the beginning of a seal led to.
pub enum SealStart {
    /// A rule refuses it.
    Answered(Answer),
    Begun(BegunSeal),
}

/// A seal whose files are written and shown to admission: its command is to be submitted.
pub struct BegunSeal {
    pub command: Command,
    /// The files that admission saw before; `None` where the period was sealed already.
    before: Option<SealedOrders>,
}

impl BegunSeal {
    fn new(seal: SealPeriod, before: Option<SealedOrders>) -> Self {
        Self { command: Command::SealPeriod(Box::new(seal)), before }
    }
}

impl Engine {
    /// Seals a posted period: writes the orders whose periods are final, with their refunds, into files, and
    /// then takes them out of the state. Idempotent. Blocks, for seconds where there are millions of orders:
    /// call it from a thread that may block. Other calls wait.
    ///
    /// # Errors
    /// See [`SealError`]. A rule that refuses it is an outcome.
    pub fn seal_period_blocking(
        &self,
        period: PeriodRef,
        reason: Option<Reason>,
        sent: Sent,
    ) -> Result<Answer, SealError> {
        let _alone = self.inner.shared.sealed.sealing.lock();
        if let Some(applied) = self.read(|state, _| state.known(sent.key)) {
            return Ok(Answer { applied, by: AnsweredBy::Repeat });
        }
        for _ in 1..TRIES_MAX {
            let answer = self.try_seal(period, reason.clone(), sent.clone())?;
            if answer.applied.outcome != Outcome::Rejected(Rejection::SealStale) {
                return Ok(answer);
            }
        }
        self.try_seal(period, reason, sent)
    }

    fn try_seal(&self, period: PeriodRef, reason: Option<Reason>, sent: Sent) -> Result<Answer, SealError> {
        match self.begin_seal(period, reason, sent.actor.clone())? {
            SealStart::Answered(answer) => Ok(answer),
            SealStart::Begun(begun) => {
                let answer = self.submit_blocking(begun.command.clone(), sent);
                self.end_seal(begun, &answer);
                Ok(answer?)
            }
        }
    }

    /// Writes the files of a seal and shows them to admission. The command comes next, and then
    /// [`Engine::end_seal`]; no other seal begins before.
    ///
    /// # Errors
    /// As [`Engine::seal_period_blocking`]. No file is left then, as far as the disk allows.
    pub(in crate::engine) fn begin_seal(
        &self,
        period: PeriodRef,
        reason: Option<Reason>,
        by: Actor,
    ) -> Result<SealStart, SealError> {
        let view = self.frozen_view_of(SEALED);
        let mut seal = match view.seal_to_come(period, by, reason) {
            Err(rejection) => {
                let applied = Applied { outcome: Outcome::Rejected(rejection), lsn: view.lsn() };
                return Ok(SealStart::Answered(Answer { applied, by: AnsweredBy::Admission }));
            }
            // Sealed before: the command only says so.
            Ok((seal, false)) => return Ok(SealStart::Begun(BegunSeal::new(seal, None))),
            Ok((seal, true)) => seal,
        };
        let before = self.inner.shared.sealed.orders();
        match self.write_and_show(&view, &mut seal, &before) {
            Ok(()) => Ok(SealStart::Begun(BegunSeal::new(seal, Some(before)))),
            Err(error) => {
                self.remove_unnamed();
                Err(error)
            }
        }
    }

    /// Writes all files of a seal, enters them in its command, and shows them to admission.
    fn write_and_show(
        &self,
        view: &State,
        seal: &mut SealPeriod,
        before: &SealedOrders,
    ) -> Result<(), SealError> {
        let files = &self.inner.shared.sealed;
        let boundary = self.write_boundary(view, seal.period)?;
        let manifest = self.write(view, before)?;
        (seal.boundary, seal.network) = (boundary.lsn, boundary.hash);
        seal.manifest = manifest.hash();
        seal.orders = narrow(manifest.orders);
        seal.refunds = narrow(manifest.refunds);
        let mut known = self.read(|state, _| known_of(state));
        known.push(Known { number: seal.seal, hash: seal.manifest });
        files.exchange(SealedOrders::open_or_mend(&files.storage, &files.root, &known)?);
        Ok(())
    }

    /// Concludes a seal by the answer to its command: the files stay, or are hidden again and removed.
    pub(in crate::engine) fn end_seal(&self, begun: BegunSeal, answer: &Result<Answer, SubmitError>) {
        let Some(before) = begun.before else { return };
        match answer {
            Ok(answer) if matches!(answer.applied.outcome, Outcome::PeriodSealed { changed: true, .. }) => {
                self.merge_ids();
            }
            // After a restart the log says whether it came to the command.
            Err(SubmitError::OutcomeUnknown) => {}
            Ok(_) | Err(_) => {
                self.inner.shared.sealed.exchange(before);
                self.remove_unnamed();
            }
        }
    }

    /// Writes the files of a seal.
    fn write(&self, view: &State, before: &SealedOrders) -> Result<Manifest, DurabilityError> {
        let files = &self.inner.shared.sealed;
        let earlier = &mut |order: &RecallOrder| sealed_in(before, &order.id);
        let complete = complete_seal(&files.storage, &files.root, view, Layout::NEWEST, earlier)?;
        complete.publish()?;
        Ok(complete.into_manifest())
    }

    fn merge_ids(&self) {
        let files = &self.inner.shared.sealed;
        let orders = files.orders();
        let Some(store) = orders.store() else { return };
        match store.merged() {
            Ok(Some(store)) => {
                let merged = SealedOrders::of(store);
                files.exchange(merged.clone());
                let removed = merged.store().map_or(Ok(()), Store::remove_merged);
                if let Err(error) = removed {
                    tracing::warn!(%error, "files of ids that were merged could not be removed");
                }
            }
            Ok(None) => {}
            // The files stay as they are, and the next seal tries again.
            Err(error) => tracing::warn!(%error, "files of ids could not be merged"),
        }
    }

    /// Removes the files of a seal that no command names.
    fn remove_unnamed(&self) {
        let files = &self.inner.shared.sealed;
        if let Err(error) = self.read(|state, _| Leftovers::of(state)).remove(&files.storage, &files.root) {
            tracing::warn!(%error, "the files of a seal that failed could not be removed");
        }
    }
}

fn narrow(count: u64) -> u32 {
    u32::try_from(count).expect("orders have 32-bit numbers")
}

/// The seal that has an order already.
fn sealed_in(orders: &SealedOrders, id: &OrderId) -> Result<Option<u32>, DurabilityError> {
    let Some(store) = orders.store() else { return Ok(None) };
    Ok(store.find(id.as_str())?.map(|found| found.place.seal))
}
