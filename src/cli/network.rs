//! A single-threaded network in memory without a log: what commands build or change by themselves before
//! anything is written.

use std::ops::Range;

use super::{
    exit::{Exit, Failure},
    names::FileNames,
    os_user,
    record::Record,
};
use crate::{
    core::{
        Actor,
        command::{Command, ImportEntry, Outcome, PlaceOrder, Rejection, Stamped, TriggerBonus},
        judge_carried_id,
        state::{Directory, State},
        types::{MemberId, MemberIx, Timestamp},
    },
    engine::{RowIds, SealedOrders, SubmitError, UnsharedDirectory},
    shapes::{self, Shape},
    workload,
};

/// Members between two updates of progress and checks for interruption.
const LOOK_EVERY_MEMBERS: u32 = 1_024;

/// Members whose sponsors are looked up together, so that the waits for memory overlap.
const MEMBERS_PREFETCHED: usize = 64;

pub(super) struct Network {
    pub state: State,
    pub directory: UnsharedDirectory,
    /// The timestamp of all commands; never before that of the state.
    time: Timestamp,
    /// How the network generates row ids, once that is known: imported ids must not collide with those.
    pub row_ids: Option<RowIds>,
    /// The names in the imported file.
    pub names: FileNames,
    /// The actor recorded in the log.
    actor: Actor,
    /// Its sealed orders: their ids stay taken.
    pub sealed: SealedOrders,
    /// The commands applied so far, if they are to be logged.
    pub record: Option<Record>,
}

/// A member's id, and the member if there is one.
pub(super) type KnownMember = (MemberId, Option<MemberIx>);

/// A directory of which some members are known.
struct Known<'a> {
    directory: &'a mut UnsharedDirectory,
    members: &'a [KnownMember],
}

impl Directory for Known<'_> {
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx> {
        let known = self.members.iter().find(|(known, _)| known == id);
        known.map_or_else(|| self.directory.member(id, is), |(_, member)| *member)
    }

    fn add_member(&mut self, id: &MemberId, member: MemberIx, id_of: impl Fn(MemberIx) -> MemberId) {
        self.directory.add_member(id, member, id_of);
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        self.directory.code(folded)
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        self.directory.add_code(folded, member);
    }

    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx)) {
        self.directory.codes_alike(alike, each);
    }
}

/// The reason is printed where it is found.
fn unreadable(_error: SubmitError) -> Rejection {
    Rejection::RecallMismatched
}

impl Network {
    pub fn new(state: State, directory: impl Into<UnsharedDirectory>, now: Timestamp) -> Self {
        let time = state.time().max(now);
        Self {
            state,
            directory: directory.into(),
            time,
            row_ids: None,
            names: FileNames::default(),
            actor: os_user::actor(),
            sealed: SealedOrders::default(),
            record: None,
        }
    }

    /// The timestamp of all commands.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Gives later commands this timestamp, or that of the state where it is later.
    pub fn go_on_to(&mut self, time: Timestamp) {
        self.time = time.max(self.state.time());
    }

    /// Applies a command, unless a rule refuses it: then nothing changes, not even the LSN.
    ///
    /// # Errors
    /// The rejection.
    pub fn apply(&mut self, command: Command) -> Result<Outcome, Rejection> {
        self.apply_known(command, &[])
    }

    /// As [`Network::apply`], without looking members up again that the caller just looked up.
    ///
    /// # Errors
    /// The rejection.
    pub fn apply_known(&mut self, command: Command, members: &[KnownMember]) -> Result<Outcome, Rejection> {
        if !self.sealed.is_empty() {
            match self.sealed.outcome_of(&command).map_err(unreadable)? {
                Some(Outcome::Rejected(rejection)) => return Err(rejection),
                Some(outcome) => return Ok(outcome),
                None => {}
            }
            if let Some(recall) = self.sealed.recall_before(&command, &self.state).map_err(unreadable)? {
                self.apply_open(recall, &[])?;
            }
        }
        self.apply_open(command, members)
    }

    /// Applies a command that no sealed order answers.
    fn apply_open(&mut self, command: Command, members: &[KnownMember]) -> Result<Outcome, Rejection> {
        self.judge_row_id(command.carried_row_id())?;
        let outcome_hash_before = self.state.outcome_hash();
        let (lsn, actor) = (self.state.lsn() + 1, Some(self.actor.clone()));
        let stamped = Stamped { lsn, time: self.time, key: None, actor, format: Stamped::FORMAT, command };
        let mut directory = Known { directory: &mut self.directory, members };
        let applied = self.state.apply_unless_rejected(&mut directory, &stamped)?;
        if let Some(record) = &mut self.record {
            record.push(stamped, outcome_hash_before);
        }
        Ok(applied.outcome)
    }

    /// Prefetches what placing some orders will touch.
    pub fn prefetch_orders<'o>(&self, orders: impl Iterator<Item = &'o PlaceOrder> + Clone) {
        self.state.prefetch_orders(&self.directory, orders);
    }

    /// Checks whether an entry would be accepted, without applying it.
    ///
    /// # Errors
    /// The rejection.
    pub fn judge_entry(&self, entry: &ImportEntry) -> Result<(), Rejection> {
        self.judge_row_id(entry.row_id)?;
        self.state.judge_import_entry(&self.directory, entry)
    }

    /// Rejects imported row ids that the network would generate itself.
    fn judge_row_id(&self, id: Option<[u8; 16]>) -> Result<(), Rejection> {
        self.row_ids.as_ref().map_or(Ok(()), |row_ids| judge_carried_id(row_ids, id))
    }

    /// Signs up the members of a generated network, evenly spread over `joining`, and fires `trigger` once
    /// for each. `look` is called with the number of members now and then, and may stop it.
    ///
    /// # Errors
    /// When the plan rejects the network, and errors of `look`.
    pub fn grow(
        &mut self,
        shape: Shape,
        members: u32,
        seed: u64,
        trigger: Option<&str>,
        joining: &Range<Timestamp>,
        look: &mut dyn FnMut(u32) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let refused = |rejection: Rejection| {
            Failure::new(Exit::Failed, format!("the plan does not take the network: {}", rejection.name()))
        };
        // Rewards are paid when a rank is reached.
        let has_rewards = self.state.plan().ranks.steps().iter().any(|step| step.reward.is_some());
        if self.record.is_none() && !has_rewards {
            self.state.begin_bulk();
        }
        let mut signups =
            (0..members).zip(shapes::sponsors(shape, members, seed)).map(|(number, sponsor)| {
                let id = |number| shapes::member_id(seed, number);
                (number, id(number), sponsor.map(id))
            });
        let mut together = Vec::with_capacity(MEMBERS_PREFETCHED);
        loop {
            together.clear();
            together.extend(signups.by_ref().take(MEMBERS_PREFETCHED));
            if together.is_empty() {
                break;
            }
            self.state.prefetch_named(
                &self.directory,
                together.iter().filter_map(|(_, _, sponsor)| sponsor.as_ref()),
            );
            for (number, member, sponsor) in together.drain(..) {
                self.go_on_to(part_of(joining, number, members));
                self.apply(workload::register(member, sponsor)).map_err(refused)?;
                if let Some(trigger) = trigger {
                    let trigger = TriggerBonus {
                        source: member,
                        trigger: trigger.into(),
                        amount: None,
                        once: true,
                        reference: None,
                    };
                    self.apply(Command::TriggerBonus(trigger)).map_err(refused)?;
                }
                if number.is_multiple_of(LOOK_EVERY_MEMBERS) {
                    look(number)?;
                }
            }
        }
        self.state.end_bulk();
        Ok(())
    }
}

/// The time after `part` of `parts` of a span.
pub(super) fn part_of(span: &Range<Timestamp>, part: u32, parts: u32) -> Timestamp {
    let whole = i128::from(span.end.0 - span.start.0);
    let passed = whole * i128::from(part) / i128::from(parts.max(1));
    Timestamp(span.start.0 + i64::try_from(passed).expect("a part of an i64"))
}
