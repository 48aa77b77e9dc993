//! Why a ledger entry is what it is, down to the plan rule and the log records.

use std::sync::Arc;

use super::{effort::Effort, error::HistoryError};
use crate::{
    core::{
        Actor, Entry, EntryKind, PlanVersion, RankReached, Walk,
        command::{ChangeEntry, Command, EntryRules, PayFilter, Stamped},
        plan::Plan,
        state::State,
        types::{EntryStatus, MemberId, MemberIx, Reason, Timestamp},
    },
    durability::{Error as DurabilityError, Group},
    engine::{MemberDirectory, limits::EXPLAIN_SCAN_COMMANDS, shared::Shared},
};

/// Everything about one ledger entry.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// LSN of the state that this describes.
    pub lsn: u64,
    /// The plan in force then; amounts are in its currency.
    pub plan: Arc<Plan>,
    /// As it was then.
    pub entry: Entry,
    /// The entry that reversed it by then, if any.
    pub reversed_by: Option<u64>,
    /// Its printed kind.
    pub kind: String,
    /// The plan version in force at its LSN, where that is known.
    pub plan_version: Option<PlanVersion>,
    pub cause: Cause,
    /// What marked it paid; `None` while it is not.
    pub paid: Option<PaidBy>,
    /// What held or voided it; `None` in other states, and where it is not retained or not found.
    pub set_aside: Option<SetAside>,
    /// LSN of the signup of the source, if retained and found.
    pub source_signup: Option<u64>,
    /// LSN of the signup of the receiver, likewise.
    pub receiver_signup: Option<u64>,
}

/// The cause of an entry.
#[derive(Clone, PartialEq, Debug)]
pub enum Cause {
    /// It was imported; no rule of ours computed it. With the command, unless the network itself was imported
    /// before its log began.
    Imported { command: Option<Box<Stamped>> },
    /// A trigger of the plan in force then: `plan.bonuses[rule]`.
    Trigger { command: Box<Stamped>, plan: Arc<Plan>, rule: usize, walk: Walk },
    /// The registration bonus of the plan in force then.
    Registration { command: Box<Stamped>, plan: Arc<Plan>, walk: Walk },
    /// It reverses the entry `reverses`.
    Reversal { command: Box<Stamped>, reverses: u64 },
    /// The reward for a rank that the receiver reached by a signup.
    Rank { command: Box<Stamped>, plan: Arc<Plan>, reached: RankReached },
}

/// The command that held or voided an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetAside {
    pub lsn: u64,
    pub time: Timestamp,
    pub reason: Reason,
    pub actor: Option<Actor>,
}

/// How an entry came to be paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PaidBy {
    /// It was imported as paid.
    Import,
    /// This command marked it as paid.
    Command { lsn: u64, time: Timestamp, is_pay_all: bool, actor: Option<Actor> },
    /// No command up to this LSN did, and later ones were not searched.
    After { lsn: u64 },
    /// It was imported, and whether it was paid then is not retained.
    Unknown,
}

/// See `Engine::explain`.
pub(in super::super) fn explain(
    shared: &Shared,
    index: u64,
    effort: &mut Effort,
) -> Result<Option<Explanation>, HistoryError> {
    let found = shared.read(|state, _| {
        (index < state.entries()).then(|| {
            let entry = state.entry(index);
            let joined = |member: MemberIx| {
                let member = state.member(member);
                (member.id, member.joined_at)
            };
            let now = (state.lsn(), Arc::clone(state.plan()), state.reversal_of(index));
            (
                now,
                entry,
                state.kind_name(entry.kind).into_owned(),
                state.plan_versions().at(entry.lsn).cloned(),
                joined(entry.source),
                joined(entry.receiver),
            )
        })
    });
    let Some(((lsn, plan, reversed_by), entry, kind, plan_version, source, receiver)) = found else {
        return Ok(None);
    };
    let cause = cause_of(shared, &entry, effort)?;
    let (mut paid, mut set_aside) = (None, None);
    match entry.status {
        EntryStatus::Pending => {}
        EntryStatus::Paid => paid = Some(paid_by(shared, &entry, lsn, &cause, effort)?),
        EntryStatus::Held | EntryStatus::Void => {
            set_aside = set_aside_by(shared, &entry, lsn, &cause, effort)?;
        }
    }
    let source_signup = signup_of(shared, source, entry.lsn, effort)?;
    let receiver_signup = signup_of(shared, receiver, entry.lsn, effort)?;
    Ok(Some(Explanation {
        lsn,
        plan,
        entry,
        reversed_by,
        kind,
        plan_version,
        cause,
        paid,
        set_aside,
        source_signup,
        receiver_signup,
    }))
}

fn cause_of(shared: &Shared, entry: &Entry, effort: &mut Effort) -> Result<Cause, HistoryError> {
    let log = &shared.history.log;
    if entry.lsn < log.oldest_lsn() && log.is_whole() {
        // An import makes the first snapshot, and the log begins after it.
        return Ok(Cause::Imported { command: None });
    }
    let mut command = None;
    scan(shared, entry.lsn, entry.lsn, effort, |stamped| {
        command = Some(Box::new(stamped.clone()));
        false
    })?;
    let command = command
        .ok_or_else(|| HistoryError::Unreadable(format!("the log has no command at LSN {}", entry.lsn)))?;
    if matches!(command.command, Command::ImportEntry(_)) {
        return Ok(Cause::Imported { command: Some(command) });
    }
    if let Command::ReverseEntry { entry: reverses } = command.command {
        return Ok(Cause::Reversal { command, reverses });
    }
    // Right after the command: see `core::explain`.
    let state = shared.state_at(entry.lsn, effort)?;
    told(&state, entry, command).ok_or_else(|| {
        let reason =
            format!("the command at LSN {} does not make entries like number {}", entry.lsn, entry.index);
        HistoryError::Unreadable(reason)
    })
}

/// The cause, from the state right after the command. `None` where they do not match.
fn told(state: &State, entry: &Entry, command: Box<Stamped>) -> Option<Cause> {
    let plan = Arc::clone(state.plan());
    match (EntryKind::of(entry.kind), &command.command) {
        (EntryKind::Trigger, Command::TriggerBonus(trigger)) => {
            let walk = state.explain_trigger(entry.source, &trigger.trigger, trigger.amount)?;
            let rule = plan.bonuses.iter().position(|rule| rule.trigger == trigger.trigger)?;
            Some(Cause::Trigger { command, plan, rule, walk })
        }
        (EntryKind::Registration, Command::Register(_)) => {
            let walk = state.explain_registration(entry.source);
            Some(Cause::Registration { command, plan, walk })
        }
        (EntryKind::Rank(rank), Command::Register(_)) => {
            let reached = state.explain_rank(entry.receiver, rank, entry.source)?;
            Some(Cause::Rank { command, plan, reached })
        }
        _ => None,
    }
}

/// The last command up to an LSN that held or voided an entry: the one that led to its present state. That of
/// a reversal may be the one that held what it reverses, before it was made.
fn set_aside_by(
    shared: &Shared,
    entry: &Entry,
    until: u64,
    cause: &Cause,
    effort: &mut Effort,
) -> Result<Option<SetAside>, HistoryError> {
    let other = other_half(shared, entry.index);
    let found = last_set_aside(shared, entry, (entry.lsn + 1, until), effort, &|stamped, change| {
        reaches(stamped, change, entry.index, other)
    })?;
    match cause {
        Cause::Reversal { reverses, .. } if found.is_none() && entry.status == EntryStatus::Held => {
            let made = shared.read(|state, _| state.entry(*reverses).lsn);
            last_set_aside(shared, entry, (made + 1, entry.lsn), effort, &|_, change| {
                change.entry == *reverses
            })
        }
        _ => Ok(found),
    }
}

/// The last command of a range of LSNs that led an entry to its present state, among the changes that
/// `reaches` names.
fn last_set_aside(
    shared: &Shared,
    entry: &Entry,
    (from, until): (u64, u64),
    effort: &mut Effort,
    reaches: &dyn Fn(&Stamped, &ChangeEntry) -> bool,
) -> Result<Option<SetAside>, HistoryError> {
    let first = shared.history.log.oldest_lsn().max(from);
    let last = until.min(first.saturating_add(EXPLAIN_SCAN_COMMANDS - 1));
    let mut found = None;
    scan(shared, first, last, effort, |stamped| {
        if let Command::ChangeEntry(change) = &stamped.command
            && reaches(stamped, change)
            && took_effect(shared, stamped.lsn)
        {
            found = (change.change.status() == entry.status).then(|| SetAside {
                lsn: stamped.lsn,
                time: stamped.time,
                reason: change.reason.clone(),
                actor: stamped.actor.clone(),
            });
        }
        true
    })?;
    Ok(found)
}

/// The first command after the entry, up to an LSN at which it is paid, that marks it or all paid while it is
/// not held. Later commands only mark it again.
fn paid_by(
    shared: &Shared,
    entry: &Entry,
    paid_at: u64,
    cause: &Cause,
    effort: &mut Effort,
) -> Result<PaidBy, HistoryError> {
    let oldest = shared.history.log.oldest_lsn();
    let (last_released, other) =
        shared.read(|state, _| (state.released(entry.index), other_half_of(state, entry.index)));
    let mut is_held = false;
    if let Cause::Reversal { .. } = cause
        && last_released.is_some()
    {
        // It may have been held from the start, like what it reverses.
        match shared.state_at(entry.lsn, effort) {
            Ok(state) => is_held = state.entry(entry.index).status == EntryStatus::Held,
            Err(HistoryError::BelowRetained { .. }) => return Ok(PaidBy::Unknown),
            Err(error) => return Err(error),
        }
    }
    if let Cause::Imported { command } = cause {
        let status = match command.as_deref().map(|stamped| &stamped.command) {
            Some(Command::ImportEntry(imported)) => imported.status,
            // The first snapshot knows.
            _ => match shared.state_at(oldest - 1, effort) {
                Ok(state) => state.entry(entry.index).status,
                Err(HistoryError::BelowRetained { .. }) => return Ok(PaidBy::Unknown),
                Err(error) => return Err(error),
            },
        };
        if status == EntryStatus::Paid {
            return Ok(PaidBy::Import);
        }
        is_held = status == EntryStatus::Held;
    }
    let first = oldest.max(entry.lsn + 1);
    let last = paid_at.min(first.saturating_add(EXPLAIN_SCAN_COMMANDS - 1));
    let mut released = last_released.filter(|lsn| *lsn < first);
    let mut found = PaidBy::After { lsn: last };
    scan(shared, first, last, effort, |stamped| {
        let (is_pay_all, names_it) = match &stamped.command {
            Command::PayAll => (true, true),
            Command::PayMatching(filter) => {
                let rules = stamped.entry_rules();
                let is_meant =
                    |state: &State, directory: &_| is_meant(state, directory, filter, entry, rules, released);
                (true, shared.read(is_meant))
            }
            Command::PayEntry { entry: paid } => (false, *paid == entry.index),
            Command::ChangeEntry(change) if reaches(stamped, change, entry.index, other) => {
                if took_effect(shared, stamped.lsn) {
                    is_held = change.change.status() == EntryStatus::Held;
                    if !is_held {
                        released = Some(stamped.lsn);
                    }
                }
                (false, false)
            }
            _ => (false, false),
        };
        let marks = names_it && !is_held && took_effect(shared, stamped.lsn);
        if marks {
            found = PaidBy::Command {
                lsn: stamped.lsn,
                time: stamped.time,
                is_pay_all,
                actor: stamped.actor.clone(),
            };
        }
        !marks
    })?;
    Ok(found)
}

/// Whether a filter matches an entry that a command released, if one did. The match depends on nothing else
/// that changes, so the present state can tell.
fn is_meant(
    state: &State,
    directory: &MemberDirectory,
    filter: &PayFilter,
    entry: &Entry,
    rules: EntryRules,
    released: Option<u64>,
) -> bool {
    state.payout(directory, filter, rules).is_ok_and(|payout| payout.takes(entry, released))
}

/// Whether a change of entries that took effect reached this one while it was not paid: by its name, or since
/// format 5 by that of the other half of its reversal.
fn reaches(stamped: &Stamped, change: &ChangeEntry, entry: u64, other: Option<u64>) -> bool {
    change.entry == entry || stamped.entry_rules() == EntryRules::InPairs && other == Some(change.entry)
}

/// What reverses an entry, or what it reverses.
fn other_half_of(state: &State, entry: u64) -> Option<u64> {
    state.reversal_of(entry).or_else(|| state.reverses(entry))
}

fn other_half(shared: &Shared, entry: u64) -> Option<u64> {
    shared.read(|state, _| other_half_of(state, entry))
}

/// Whether a command took effect, as far as known: a command that lost a race is in the log too.
fn took_effect(shared: &Shared, lsn: u64) -> bool {
    shared.read(|state, _| state.changed_nothing(lsn)).is_none()
}

/// The command by which a member joined. It is at the log position of the joining time, unless that time was
/// given by the client; then the commands before the entry are searched. `None` where the log does not reach
/// back so far, or beyond the search bound.
fn signup_of(
    shared: &Shared,
    (id, joined_at): (MemberId, Timestamp),
    before: u64,
    effort: &mut Effort,
) -> Result<Option<u64>, HistoryError> {
    let oldest = shared.history.log.oldest_lsn();
    let first = match joined_at.0.checked_sub(1).map(|earlier| shared.history.log.lsn_at(Timestamp(earlier)))
    {
        Some(Ok(lsn)) => lsn + 1,
        // It joined before the log begins, or by one of its first commands.
        None | Some(Err(DurabilityError::BelowRetained { .. })) => oldest,
        Some(Err(error)) => return Err(shared.history.unreadable(error.into())),
    };
    let mut find = |first: u64, last: u64, until: Timestamp| {
        let mut found = None;
        scan(shared, first, last, effort, |stamped| {
            let is_of = matches!(&stamped.command, Command::Register(register) if register.member == id);
            if is_of && took_effect(shared, stamped.lsn) {
                found = Some(stamped.lsn);
            }
            found.is_none() && stamped.time <= until
        })?;
        Ok::<_, HistoryError>(found)
    };
    let last = before.min(first.saturating_add(EXPLAIN_SCAN_COMMANDS - 1));
    let nearest = oldest.max((before + 1).saturating_sub(EXPLAIN_SCAN_COMMANDS));
    match find(first, last, joined_at)? {
        None => find(nearest, before, Timestamp(i64::MAX)),
        found => Ok(found),
    }
}

/// Passes the commands `first..=last` to `look` until it has seen enough.
pub(super) fn scan(
    shared: &Shared,
    first: u64,
    last: u64,
    effort: &mut Effort,
    mut look: impl FnMut(&Stamped) -> bool,
) -> Result<(), HistoryError> {
    if last < first {
        return Ok(());
    }
    let failed = |error: DurabilityError| shared.history.unreadable(error.into());
    let mut reader = shared.history.log.read_range(first, last).map_err(failed)?;
    let mut group = Group::default();
    while reader.next_into(&mut group).map_err(failed)? {
        effort.read += group.commands.len() as u64;
        effort.give_way(&shared.marks);
        for stamped in &group.commands {
            if !look(stamped) {
                return Ok(());
            }
        }
    }
    Ok(())
}
