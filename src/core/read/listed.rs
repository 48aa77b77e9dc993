//! Lists of ledger entries: newest first, by time and then by LSN; the entries of one command by level, then
//! by index. One walk serves the lists of the whole network, of one receiver and of one reference, and can
//! pause after any step.
//!
//! Entries are mostly made in time order, so a list is a backward walk; late ones (`late.rs`) are merged in.
//! Entries made after a walk began are not seen, whatever their time.

use std::cmp::Reverse;

use crate::core::{
    ledger::filter::EntryFilter,
    state::{bonus::ENTRIES_PER_COMMAND_MAX, parts::State},
    words::types::{MemberIx, Reference, Timestamp},
};

/// The most triggers of one command that are sorted together: more than one command makes. (Only a hand-made
/// image has more.)
#[expect(clippy::cast_possible_truncation, reason = "asserted below")]
const RUN_TRIGGERS_MAX: u32 = ENTRIES_PER_COMMAND_MAX as u32;
const _: () = assert!(RUN_TRIGGERS_MAX as usize == ENTRIES_PER_COMMAND_MAX);

/// A walk through a list, for [`State::listed_step`].
#[derive(Clone, Debug)]
pub struct Listed {
    filter: EntryFilter,
    /// Entries with an index below this existed when the walk began.
    before: u64,
    along: Along,
    /// The position before the current command was taken up, until one of its entries is examined.
    untouched: Option<Along>,
    /// Entries of the current command, the first to show last.
    run: Vec<u64>,
    /// The entry examined last.
    last: Option<u64>,
}

/// The next position.
#[derive(Clone, Copy, Debug)]
enum Along {
    /// Triggers: the next one in time and the next late one.
    All {
        in_time: Option<u32>,
        late: Option<u32>,
    },
    Receiver(ReceivedWalk),
    /// The next trigger of the reference.
    Reference(Option<u32>),
}

impl Along {
    const OVER: Along = Along::All { in_time: None, late: None };

    fn is_over(&self) -> bool {
        match self {
            Along::All { in_time, late } => in_time.is_none() && late.is_none(),
            Along::Receiver(walk) => walk.is_over(),
            Along::Reference(next) => next.is_none(),
        }
    }
}

impl Listed {
    /// Whether the walk is over.
    pub fn is_over(&self) -> bool {
        self.run.is_empty() && self.along.is_over()
    }

    /// Passes the next entry of the current command.
    fn look(&mut self) {
        (self.last, self.untouched) = (self.run.pop(), None);
    }

    /// The position, for [`State::listed_from`].
    pub fn position(&self) -> [u64; 3] {
        let next = match self.untouched.as_ref().unwrap_or(&self.along) {
            Along::All { in_time, .. } => in_time.map(u64::from),
            Along::Receiver(walk) => walk.in_time,
            Along::Reference(_) => None,
        };
        [self.last.map_or(0, |last| last + 1), self.before, next.map_or(0, |next| next + 1)]
    }
}

/// A walk through all entries of one receiver by time, then index, newest first; including entries made after
/// it began, if they are still ahead.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedWalk {
    receiver: MemberIx,
    /// The next in-time entry, and the next late one.
    in_time: Option<u64>,
    late: Option<u64>,
}

impl ReceivedWalk {
    /// Whether the walk is over.
    pub fn is_over(&self) -> bool {
        self.in_time.is_none() && self.late.is_none()
    }
}

impl State {
    /// A walk through all entries of `receiver`, for [`State::received_step`]. In a copy of a frozen view it
    /// omits late ones.
    pub fn received(&self, receiver: MemberIx) -> ReceivedWalk {
        self.received_until(receiver, Timestamp(i64::MAX))
    }

    /// As [`State::received`]; of late entries, only those before `until`.
    pub(in crate::core) fn received_until(&self, receiver: MemberIx, until: Timestamp) -> ReceivedWalk {
        let late = self
            .ledger
            .entries()
            .is_ordered()
            .then(|| self.ledger.entries().late_received_before(receiver, (until, 0)))
            .flatten()
            .map(u64::from);
        ReceivedWalk { receiver, in_time: self.newest_received(receiver), late }
    }

    /// The newest entry of `receiver` that is not late. O(1).
    pub(in crate::core) fn newest_received(&self, receiver: MemberIx) -> Option<u64> {
        self.ledger.accounts().newest(self.network.members().account(receiver)?).map(u64::from)
    }

    /// The next entry. O(1), O(log late entries) where some are late.
    pub fn received_step(&self, walk: &mut ReceivedWalk) -> Option<u64> {
        let key = |entry: u64| (self.entry(entry).time, entry);
        match (walk.in_time, walk.late) {
            (Some(in_time), late) if late.is_none_or(|late| key(late) < key(in_time)) => {
                walk.in_time = self.ledger.entries().older(in_time);
                Some(in_time)
            }
            (_, Some(late)) => {
                walk.late = self.late_received_below(walk.receiver, late);
                Some(late)
            }
            _ => None,
        }
    }

    /// All entries of `receiver` by time, then index, newest first.
    pub fn received_entries(&self, receiver: MemberIx) -> impl Iterator<Item = u64> + '_ {
        let mut walk = self.received(receiver);
        std::iter::from_fn(move || self.received_step(&mut walk))
    }

    /// The receiver's previous late entry in its list.
    fn late_received_below(&self, receiver: MemberIx, entry: u64) -> Option<u64> {
        let index = u32::try_from(entry).expect("an entry's index");
        self.ledger.entries().late_received_before(receiver, (self.entry(entry).time, index)).map(u64::from)
    }

    /// The last trigger of a reference before a list position.
    fn referred_before(&self, reference: &Reference, place: (Timestamp, u32)) -> Option<u32> {
        self.ledger.referred_before(reference, place)
    }

    /// A walk through the list of the present entries. O(log entries).
    pub fn listed(&self, filter: EntryFilter) -> Listed {
        let before = self.entries();
        let along = match (&filter.reference, filter.receiver) {
            (Some(reference), _) => Along::Reference(self.referred_before(reference, (filter.until, 0))),
            (None, Some(receiver)) => Along::Receiver(self.received_until(receiver, filter.until)),
            (None, None) => {
                let end = self.ledger.entries().in_time_until(filter.until);
                let in_time = self.ledger.entries().in_time_below(end, before, filter.statuses);
                Along::All { in_time, late: self.ledger.entries().late_before((filter.until, 0)) }
            }
        };
        Listed { filter, before, along, untouched: None, run: Vec::new(), last: None }
    }

    /// Resumes a walk from [`Listed::position`]; `None` for a position that no walk with this filter can
    /// have. O(log entries).
    pub fn listed_from(&self, filter: EntryFilter, position: [u64; 3]) -> Option<Listed> {
        let [last, before, next] = position;
        if self.entries() < before {
            return None;
        }
        let next = next.checked_sub(1);
        let Some(last) = last.checked_sub(1) else {
            return Some(Listed { before, ..self.listed(filter) });
        };
        // A list by reference visits whole triggers, including entries of other receivers.
        let is_of_other = |receiver| filter.reference.is_none() && self.entry(last).receiver != receiver;
        if self.entries() <= last || filter.receiver.is_some_and(is_of_other) {
            return None;
        }
        let entry = self.entry(last);
        let triggers =
            self.ledger.entries().triggers_beside(self.ledger.entries().trigger_of(last), RUN_TRIGGERS_MAX);
        let mut run: Vec<u64> =
            triggers.clone().flat_map(|trigger| self.ledger.entries().entries_of_trigger(trigger)).collect();
        run.retain(|index| filter.receiver.is_none_or(|receiver| self.entry(*index).receiver == receiver));
        let lowest = run.first().copied().unwrap_or(last);
        self.put_in_order(&mut run);
        run.retain(|index| (entry.level, last) < (self.entry(*index).level, *index));
        let along = match (&filter.reference, filter.receiver) {
            (Some(reference), _) => {
                if self.reference_of(last).as_ref() != Some(reference) {
                    return None;
                }
                Along::Reference(self.referred_before(reference, (entry.time, triggers.start)))
            }
            (None, Some(receiver)) => {
                let is_of = |next: &u64| {
                    *next < self.entries()
                        && self.entry(*next).receiver == receiver
                        && !self.ledger.entries().is_late(*next)
                };
                if !next.as_ref().is_none_or(is_of) {
                    return None;
                }
                let late = self.late_received_below(receiver, lowest);
                Along::Receiver(ReceivedWalk { receiver, in_time: next, late })
            }
            (None, None) => {
                let in_time = match next {
                    None => None,
                    Some(next) => Some(
                        u32::try_from(next)
                            .ok()
                            .filter(|next| (*next as usize) < self.ledger.entries().triggers())?,
                    ),
                };
                Along::All { in_time, late: self.ledger.entries().late_before((entry.time, triggers.start)) }
            }
        };
        Some(Listed { filter, before, along, untouched: None, run, last: Some(last) })
    }

    /// Iterates over a list's entries with unbounded steps between them: not under a lock.
    pub fn listed_entries(&self, filter: EntryFilter) -> impl Iterator<Item = u64> + '_ {
        let (mut walk, mut steps) = (self.listed(filter), usize::MAX);
        std::iter::from_fn(move || self.listed_step(&mut walk, &mut steps))
    }

    /// The next entry of a walk. `None` when it is over, or when `steps`, which it decrements, are used up:
    /// [`Listed::is_over`] tells which. A step is an entry examined, or a command whose entries were sorted.
    pub fn listed_step(&self, walk: &mut Listed, steps: &mut usize) -> Option<u64> {
        if !self.listed_goes_on(walk, steps) {
            return None;
        }
        walk.look();
        walk.last
    }

    /// Advances to the next entry without taking it; returns whether one was found. Steps as in
    /// [`State::listed_step`].
    pub fn listed_goes_on(&self, walk: &mut Listed, steps: &mut usize) -> bool {
        while 0 < *steps {
            match walk.run.last() {
                Some(index) if *index < walk.before && walk.filter.takes(&self.entry(*index)) => return true,
                Some(_) => walk.look(),
                None if walk.along.is_over() => return false,
                None => self.begin_run(walk),
            }
            *steps -= 1;
        }
        false
    }

    /// Collects the entries of the next command.
    fn begin_run(&self, walk: &mut Listed) {
        walk.untouched = Some(walk.along);
        match &mut walk.along {
            Along::Receiver(received) => self.collect_received(received, &mut walk.run),
            Along::Reference(next) => {
                let (Some(trigger), Some(reference)) = (*next, &walk.filter.reference) else { return };
                *next = self.referred_before(reference, self.ledger.entries().trigger_key(trigger));
                walk.run.extend(self.ledger.entries().entries_of_trigger(trigger));
            }
            Along::All { in_time, late } => {
                let key = |trigger: u32| self.ledger.entries().trigger_key(trigger);
                let is_late = in_time.is_none_or(|in_time| late.is_some_and(|late| key(in_time) < key(late)));
                let Some(trigger) = (if is_late { *late } else { *in_time }) else { return };
                let triggers = self.ledger.entries().triggers_beside(trigger, RUN_TRIGGERS_MAX);
                if is_late {
                    *late = self.ledger.entries().late_before(key(triggers.start));
                } else {
                    *in_time = self.ledger.entries().in_time_below(
                        triggers.start,
                        walk.before,
                        walk.filter.statuses,
                    );
                }
                walk.run
                    .extend(triggers.flat_map(|trigger| self.ledger.entries().entries_of_trigger(trigger)));
            }
        }
        let is_too_old = walk.run.first().is_some_and(|index| self.entry(*index).time < walk.filter.from);
        if is_too_old {
            // And so are all that follow.
            walk.run.clear();
            (walk.along, walk.untouched) = (Along::OVER, None);
        }
        self.put_in_order(&mut walk.run);
    }

    /// The entries of the next command for one receiver.
    fn collect_received(&self, walk: &mut ReceivedWalk, run: &mut Vec<u64>) {
        let Some(first) = self.received_step(walk) else { return };
        let lsn = self.entry(first).lsn;
        run.push(first);
        while run.len() < RUN_TRIGGERS_MAX as usize {
            let mut ahead = *walk;
            match self.received_step(&mut ahead) {
                Some(next) if self.entry(next).lsn == lsn => run.push(next),
                _ => return,
            }
            *walk = ahead;
        }
    }

    /// Sorts by level, then index; the first to show last.
    fn put_in_order(&self, run: &mut [u64]) {
        run.sort_unstable_by_key(|index| Reverse((self.entry(*index).level, *index)));
    }
}

#[cfg(test)]
#[path = "listed_test.rs"]
mod tests;
