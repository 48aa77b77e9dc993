//! The change feed: all commands in order, with their effects.

use std::{ops::Range, sync::Arc};

use tokio::sync::watch;

use super::error::HistoryError;
use crate::{
    core::{
        Bookings, Member, Unchanged,
        command::{Command, Stamped},
        state::State,
        types::Code,
    },
    durability::{Error as DurabilityError, Group, GroupReader},
    engine::{
        MemberDirectory,
        limits::{EVENT_STEPS, FEED_BATCH_COMMANDS, FEED_STEPS_MAX},
        shared::Shared,
    },
};

/// A command that was applied, and its effect.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// LSN, log time, idempotency key and command.
    pub stamped: Stamped,
    pub fate: Fate,
    /// For a signup known to have succeeded: the new member, with its position, and its code. Its mutable
    /// parts (status, role) are as of now.
    pub member: Option<(Member, Code)>,
    /// The ledger entries it made.
    pub entries: Range<u64>,
    /// What it booked, for an order or a refund. `None` for one that was sealed since: files have it.
    pub booked: Option<Bookings>,
}

/// Whether a command changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Changed,
    /// No, and why.
    Unchanged(Unchanged),
    /// It predates what is remembered: see `State::changed_nothing_after`.
    NotKnown,
}

impl Fate {
    /// The fate of the applied command `lsn`.
    pub(super) fn of(state: &State, lsn: u64) -> Self {
        match state.changed_nothing(lsn) {
            Some(reason) => Fate::Unchanged(reason),
            None if lsn <= state.changed_nothing_after() => Fate::NotKnown,
            None => Fate::Changed,
        }
    }

    /// Whether it changed anything, and why not; `None` where not known.
    pub fn words(self) -> (Option<bool>, Option<&'static str>) {
        match self {
            Fate::Changed => (Some(true), None),
            Fate::Unchanged(reason) => (Some(false), Some(reason.name())),
            Fate::NotKnown => (None, None),
        }
    }
}

/// Follows the log: at least once, in order, without gaps. Nothing is buffered for a slow reader but its
/// current batch: it just reads later. Dropping it ends it.
pub struct Feed {
    shared: Arc<Shared>,
    applied: watch::Receiver<u64>,
    /// First LSN not handed out yet.
    next: u64,
    /// `None` until the first batch, and while one is being read.
    reader: Option<Box<dyn GroupReader>>,
}

impl Feed {
    pub(in super::super) fn new(shared: Arc<Shared>, lsn: u64) -> Result<Self, HistoryError> {
        let oldest = shared.history.log.oldest_lsn();
        // LSNs begin with 1; 0 also means "from the beginning".
        let next = lsn.max(1);
        if next < oldest {
            return Err(HistoryError::BelowRetained { oldest });
        }
        let applied = shared.marks.applied();
        if applied + 1 < next {
            return Err(HistoryError::Ahead { applied });
        }
        Ok(Self { applied: shared.marks.follow(), shared, next, reader: None })
    }

    /// First LSN that `next_batch` will return: all before were handed out.
    pub fn next_lsn(&self) -> u64 {
        self.next
    }

    /// Waits until the next command is applied (true) or the engine stops (false).
    pub(in super::super) async fn has_next(&mut self) -> bool {
        loop {
            if self.next <= *self.applied.borrow_and_update() {
                return true;
            }
            if self.shared.is_stopping() || self.applied.changed().await.is_err() {
                return false;
            }
        }
    }

    /// The next events, at least one; waits for them. `None` when the engine stops. Cancel-safe: call it
    /// again.
    ///
    /// # Errors
    /// `BelowRetained` when the log was retired faster than it was read; `Unreadable`.
    pub async fn next_batch(&mut self) -> Result<Option<Vec<Event>>, HistoryError> {
        if !self.has_next().await {
            return Ok(None);
        }
        let (shared, reader, next) = (Arc::clone(&self.shared), self.reader.take(), self.next);
        let read = tokio::task::spawn_blocking(move || read_batch(&shared, reader, next));
        let (reader, batch) = read.await.map_err(|error| HistoryError::Unreadable(error.to_string()))??;
        let last = batch.last().map_or(next - 1, |stamped| stamped.lsn);
        // Commands are durable before they are applied: the rest of a group may lag for a moment.
        let is_shown = |applied: &u64| last <= *applied || self.shared.is_stopping();
        if self.applied.wait_for(is_shown).await.is_err() || self.shared.marks.applied() < last {
            return Ok(None);
        }
        let mut events = Vec::with_capacity(batch.len());
        let mut batch = batch.into_iter();
        while events.len() < events.capacity() {
            self.shared.read(|state, directory| {
                let mut steps = 0;
                while steps < FEED_STEPS_MAX
                    && let Some(stamped) = batch.next()
                {
                    events.push(event(state, directory, stamped, &mut steps));
                }
            });
        }
        self.reader = Some(reader);
        self.next = last + 1;
        Ok(Some(events))
    }
}

/// Reads whole groups until there are enough commands.
fn read_batch(
    shared: &Shared,
    reader: Option<Box<dyn GroupReader>>,
    next: u64,
) -> Result<(Box<dyn GroupReader>, Vec<Stamped>), HistoryError> {
    let log = &shared.history.log;
    let failed = |error: DurabilityError| match error {
        DurabilityError::BelowRetained { .. } => HistoryError::BelowRetained { oldest: log.oldest_lsn() },
        error => shared.history.unreadable(error.into()),
    };
    let mut reader = match reader {
        Some(mut reader) => {
            reader.extend();
            reader
        }
        None => log.read_from(next).map_err(failed)?,
    };
    let mut commands = Vec::new();
    let mut group = Group::default();
    while commands.len() < FEED_BATCH_COMMANDS && reader.next_into(&mut group).map_err(failed)? {
        commands.append(&mut group.commands);
    }
    if commands.is_empty() {
        return Err(HistoryError::Unreadable(format!(
            "the log has nothing at LSN {next}, which was applied"
        )));
    }
    Ok((reader, commands))
}

/// The effect of a command, from the present state: members stay where they were placed, entries stay, and so
/// do orders and refunds. Adds the work that it was to `steps`.
fn event(state: &State, directory: &MemberDirectory, stamped: Stamped, steps: &mut usize) -> Event {
    let fate = Fate::of(state, stamped.lsn);
    let placed = match &stamped.command {
        Command::Register(register) if fate == Fate::Changed => state.find(directory, &register.member),
        _ => None,
    };
    let member = placed.map(|index| (state.member(index), state.code(index)));
    let entries = state.entries_of(stamped.lsn);
    let booked = booked(state, &stamped, fate, steps);
    *steps += EVENT_STEPS;
    Event { stamped, fate, member, entries, booked }
}

/// What an order or a refund booked. A repeat booked nothing: what its id names came by another command.
/// `None` where the state no longer has it.
fn booked(state: &State, stamped: &Stamped, fate: Fate, steps: &mut usize) -> Option<Bookings> {
    let absent = || (fate != Fate::Changed || state.seals().is_empty()).then(Bookings::default);
    match &stamped.command {
        Command::PlaceOrder(order) => {
            let number = state.order_number(&order.id);
            let Some(number) = number.filter(|number| state.order_lsn(*number) == stamped.lsn) else {
                return absent();
            };
            let booked = state.booked_by_order(number);
            *steps += order.lines.len() + booked.shares.len();
            Some(booked)
        }
        Command::RefundOrder(refund) => {
            let number = state.refund_number(&refund.id).map(|(_, refund)| refund);
            let Some(number) = number.filter(|number| state.refund_lsn(*number) == stamped.lsn) else {
                return absent();
            };
            *steps += state.refund_steps(number);
            Some(state.booked_by_refund(number))
        }
        _ => Some(Bookings::default()),
    }
}
