//! Bonuses: what triggers, signups and ranks pay, to which members, and what is withheld.

use crate::core::{
    ledger::{
        breakage::{Breakage, BreakageReason},
        entries::Entry,
        once::ONCE_BITS,
        part::Posted,
        rows::{EntryRow, TriggerRow},
    },
    plan::{BonusRule, KIND_REGISTRATION, LevelPay, NAME_BYTES_MAX, TRIGGERS_MAX},
    requests::command::{EntryRules, ImportEntry, Outcome, Rejection, TriggerBonus},
    state::parts::State,
    words::{
        directory::Directory,
        row_kind::RowKind,
        types::{
            ADMIN_LEVELS_MAX, ADMINS_MAX, EntryStatus, KINDS_MAX, LEVELS_MAX, MemberIx, Money, Status,
            Timestamp,
        },
    },
};

/// Kind of a signup's entries. Kinds below `KINDS_MAX` are trigger names by number; from `KIND_RANK` on,
/// rank rewards.
pub(in crate::core) const KIND_SIGNUP: u16 = 0x7fff;
/// Kind of the reward for rank 0; that for rank `r` is `KIND_RANK + r`.
pub(in crate::core) const KIND_RANK: u16 = 0x8000;
/// Prefix of the ordinal in the printed kind of a rank reward.
pub(in crate::core) const KIND_RANK_PREFIX: &str = "rank:";

/// The most entries one trigger or signup rule makes: one per level, and one per admin beyond them.
const ENTRIES_PER_TRIGGER_MAX: usize = LEVELS_MAX + ADMINS_MAX;
const _: () = assert!(ENTRIES_PER_TRIGGER_MAX <= 1_024, "a trigger stays small");
/// The most entries of one command: a signup that every rule pays, and that promotes members to every rank.
pub(in crate::core) const ENTRIES_PER_COMMAND_MAX: usize =
    (TRIGGERS_MAX + ADMIN_LEVELS_MAX) * ENTRIES_PER_TRIGGER_MAX;

/// One receiver of a bonus, before checking whether it may earn.
#[derive(Clone, Copy)]
pub(in crate::core) struct Share {
    pub receiver: MemberIx,
    pub level: u32,
    pub amount: Money,
    /// An admin above the last paid level of the rule.
    pub is_beyond: bool,
}

/// The shares of one rule.
pub(in crate::core) struct Shares {
    near: [Share; LEVELS_MAX],
    len: usize,
    /// Those of admins above the last paid level.
    beyond: Vec<Share>,
}

impl Shares {
    /// Level ascending.
    pub fn iter(&self) -> impl Iterator<Item = &Share> {
        self.near[..self.len].iter().chain(&self.beyond)
    }
}

/// The fate of a share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShareFate {
    /// It becomes a ledger entry.
    Paid,
    /// The plan pays this level nothing: no entry.
    Nothing,
    /// The receiver, with this status, may not earn: no entry, the amount is breakage.
    Withheld(Status),
}

/// The common fields of one trigger's entries.
#[derive(Clone, Copy)]
struct Cause {
    kind: u16,
    source: MemberIx,
    amount: Money,
    time: Timestamp,
}

/// What judging a trigger found.
pub(in crate::core) struct DueTrigger {
    source: MemberIx,
    /// Position of its rule in the plan.
    rule: usize,
    /// Number of its name.
    kind: u16,
}

/// What judging an imported entry found.
pub(in crate::core) struct DueImport {
    receiver: MemberIx,
    source: MemberIx,
    /// `None` for a trigger name that has no number yet.
    kind: Option<u16>,
}

impl State {
    pub(in crate::core) fn judge_trigger<D: Directory>(
        &self,
        directory: &D,
        trigger: &TriggerBonus,
    ) -> Result<DueTrigger, Rejection> {
        let source = self.find(directory, &trigger.source).ok_or(Rejection::MemberUnknown)?;
        let position = self.plans.plan().bonus_position(&trigger.trigger).ok_or(Rejection::TriggerUnknown)?;
        let rule = &self.plans.plan().bonuses[position];
        if trigger.amount.is_some_and(|amount| amount.0 < 0 || !amount.in_range()) {
            return Err(Rejection::AmountOutOfRange);
        }
        if rule.pay.at(1, trigger.amount).is_none() {
            return Err(Rejection::AmountMissing);
        }
        if !shares_in_range(rule, trigger.amount) {
            return Err(Rejection::AmountOutOfRange);
        }
        let kind = self.plans.kind(position);
        if trigger.once && self.paid_once(source, kind) {
            return Err(Rejection::TriggeredBefore);
        }
        let has_room = self.ledger.entries().has_room(ENTRIES_PER_TRIGGER_MAX as u64)
            && (!trigger.once || kind < ONCE_BITS || self.ledger.has_room_for_once());
        if has_room { Ok(DueTrigger { source, rule: position, kind }) } else { Err(Rejection::LedgerFull) }
    }

    pub(in crate::core) fn trigger_bonus(&mut self, trigger: &TriggerBonus, due: &DueTrigger) -> Outcome {
        let DueTrigger { source, rule, kind } = *due;
        if trigger.once {
            self.set_paid_once(source, kind);
        }
        let rule = &self.plans.plan().bonuses[rule];
        let shares = self.shares(rule, trigger.amount, source);
        if let Some(unreached) = self.unreached_to_itemize(rule, trigger.amount, source) {
            self.ledger.add_unreached(&unreached);
        }
        let amount = trigger.amount.unwrap_or_default();
        let first_entry = self.entries();
        let withheld =
            self.pay_shares(shares.iter(), Cause { kind, source, amount, time: self.scalars.time });
        let entries =
            u32::try_from(self.entries() - first_entry).expect("limited by ENTRIES_PER_TRIGGER_MAX");
        if entries != 0 {
            self.ledger.refer(trigger.reference.as_ref());
        }
        Outcome::BonusPaid { first_entry, entries, withheld }
    }

    /// Whether the ledger has room for the most that one signup can pay.
    pub(in crate::core) fn has_room_for_signup(&self) -> bool {
        let rules = self.plans.plan().bonuses.iter().filter(|rule| rule.on_registration).count() as u64;
        // A signup can promote at most one member past each minimum of a count, and each of the levels and
        // admins of a level rule.
        let ranks = (self.plans.plan().ranks.steps().len() * (LEVELS_MAX + ADMINS_MAX)) as u64;
        self.ledger.entries().has_room(rules * ENTRIES_PER_TRIGGER_MAX as u64 + ranks)
    }

    /// Pays the registration bonuses.
    pub(in crate::core) fn pay_registration(&mut self, member: MemberIx) {
        let rules = || self.plans.plan().bonuses.iter().filter(|rule| rule.on_registration);
        if rules().next().is_none() {
            return;
        }
        let mut unreached = Breakage::default();
        rules()
            .filter_map(|rule| self.unreached_to_itemize(rule, None, member))
            .for_each(|of_rule| unreached.add_all(&of_rule));
        let shares = self.registration_shares(member);
        self.ledger.add_unreached(&unreached);
        let cause = Cause { kind: KIND_SIGNUP, source: member, amount: Money(0), time: self.scalars.time };
        self.pay_shares(shares.iter().map(|(_, share)| share), cause);
    }

    /// The shares of the signup of `member`, level ascending, each with the position of its rule in the plan.
    pub(in crate::core) fn registration_shares(&self, member: MemberIx) -> Vec<(usize, Share)> {
        let mut shares = Vec::new();
        for (position, rule) in self.plans.plan().bonuses.iter().enumerate() {
            if rule.on_registration {
                shares.extend(self.shares(rule, None, member).iter().map(|share| (position, *share)));
            }
        }
        shares.sort_by_key(|(_, share)| share.level);
        shares
    }

    /// Pays the reward of a rank that `receiver` first reached through the signup of `source`.
    pub(in crate::core) fn pay_reward(&mut self, source: MemberIx, receiver: MemberIx, rank: u16) {
        let reward = self.plans.plan().ranks.steps().get(usize::from(rank) - 1).and_then(|step| step.reward);
        let cause = Cause { kind: KIND_RANK + rank, source, amount: Money(0), time: self.scalars.time };
        if let Some(amount) = reward {
            self.pay_shares(&[Share { receiver, level: 0, amount, is_beyond: false }], cause);
        }
    }

    /// [`State::unreached`], if breakage is itemized.
    fn unreached_to_itemize(
        &self,
        rule: &BonusRule,
        amount: Option<Money>,
        source: MemberIx,
    ) -> Option<Breakage> {
        self.itemized_from().and_then(|_| self.unreached(rule, amount, source))
    }

    /// What a rule would pay to levels that reach nobody: those above the root, and admins further up than
    /// `ADMIN_LEVELS_MAX`. `None` where there can be none of either, O(1); else O(levels + admins).
    pub(in crate::core) fn unreached(
        &self,
        rule: &BonusRule,
        amount: Option<Money>,
        source: MemberIx,
    ) -> Option<Breakage> {
        let tree = self.tree(rule.tree);
        let (levels, source_level) = (rule.pay.levels(), tree.link(source).level as usize);
        // A root is at level 1.
        let may_be_too_far = rule.admins_beyond && ADMIN_LEVELS_MAX + 1 < source_level;
        if levels < source_level && !may_be_too_far {
            return None;
        }
        let at_level = |level: usize| rule.pay.at(level, amount).expect("an amount was asked for");
        let mut breakage = Breakage::default();
        for level in source_level..=levels {
            breakage.add(BreakageReason::ShortUpline, at_level(level));
        }
        if may_be_too_far {
            let is_too_far = |admin: &MemberIx| {
                let level = source_level.saturating_sub(tree.link(*admin).level as usize);
                ADMIN_LEVELS_MAX < level && tree.is_ancestor(*admin, source)
            };
            let too_far = self.network.admins().keys().filter(|admin| is_too_far(admin)).count();
            (0..too_far).for_each(|_| breakage.add(BreakageReason::LevelCap, at_level(levels)));
        }
        Some(breakage)
    }

    /// The shares of a rule. O(levels + admins).
    pub(in crate::core) fn shares(
        &self,
        rule: &BonusRule,
        amount: Option<Money>,
        source: MemberIx,
    ) -> Shares {
        const NO_SHARE: Share = Share { receiver: MemberIx(0), level: 0, amount: Money(0), is_beyond: false };
        let tree = self.tree(rule.tree);
        let levels = rule.pay.levels();
        let at_level = |level: usize| rule.pay.at(level, amount).expect("an amount was asked for");
        let upline = tree.near_upline(source, levels);
        let mut shares = Shares { near: [NO_SHARE; LEVELS_MAX], len: upline.len, beyond: Vec::new() };
        for ((share, receiver), level) in shares.near.iter_mut().zip(upline.as_slice()).zip(1_u32..) {
            let amount = at_level(level as usize);
            *share = Share { receiver: *receiver, level, amount, is_beyond: false };
        }
        if rule.admins_beyond {
            let source_level = tree.link(source).level;
            let beyond = |admin: &MemberIx| {
                let level = source_level.saturating_sub(tree.link(*admin).level);
                let beyond = levels < level as usize && level as usize <= ADMIN_LEVELS_MAX;
                (beyond && tree.is_ancestor(*admin, source)).then(|| Share {
                    receiver: *admin,
                    level,
                    amount: at_level(levels),
                    is_beyond: true,
                })
            };
            shares.beyond.extend(self.network.admins().keys().filter_map(beyond));
            shares.beyond.sort_by_key(|share| share.level);
        }
        shares
    }

    /// Writes entries for receivers that may earn; the other shares are breakage. Zero shares make no entry.
    /// Returns how many were withheld.
    fn pay_shares<'shares>(&mut self, shares: impl IntoIterator<Item = &'shares Share>, cause: Cause) -> u32 {
        let mut begun = false;
        let mut withheld = 0;
        for share in shares {
            match self.fate(share) {
                ShareFate::Nothing => {}
                ShareFate::Withheld(status) => {
                    self.ledger.withhold(status, share.amount);
                    withheld += 1;
                }
                ShareFate::Paid => {
                    if !begun {
                        self.begin_group(cause);
                        begun = true;
                    }
                    self.post(share, EntryStatus::Pending);
                }
            }
        }
        withheld
    }

    /// Whether a share is paid: the single implementation of that rule, used for paying and for explaining.
    pub(in crate::core) fn fate(&self, share: &Share) -> ShareFate {
        if share.amount == Money(0) {
            return ShareFate::Nothing;
        }
        match self.network.members().status(share.receiver) {
            Status::Active => ShareFate::Paid,
            status => ShareFate::Withheld(status),
        }
    }

    fn begin_group(&mut self, cause: Cause) {
        self.ledger.begin(TriggerRow {
            lsn: self.scalars.lsn,
            time: cause.time,
            amount: cause.amount.0,
            source: cause.source.0,
            first_entry: 0,
            plan_version: self.plans.version(),
            kind: cause.kind,
        });
    }

    fn post(&mut self, share: &Share, status: EntryStatus) -> u32 {
        self.append_entry(EntryRow {
            amount: share.amount.0,
            receiver: share.receiver.0,
            level: share.level,
            status,
        })
    }

    /// Adds an entry to the group begun last; returns its index.
    pub(in crate::core) fn append_entry(&mut self, row: EntryRow) -> u32 {
        let receiver = MemberIx(row.receiver);
        let known = self.network.members().account(receiver);
        let Posted { entry, account } = self.ledger.post(row, known);
        if known.is_none() {
            self.network.set_account(receiver, account);
        }
        entry
    }

    /// Adds an entry of the negative amount for the same receiver, regardless of later changes to the entry
    /// or the receiver: what was paid by mistake is owed back. It is pending, or held like the reversed
    /// entry. It shares the reference of that one, so that both are found by it.
    pub(in crate::core) fn reverse_entry(&mut self, reversed: &Entry, rules: EntryRules) -> Outcome {
        let reference = self.reference_of(reversed.index);
        self.begin_group(Cause {
            kind: reversed.kind,
            source: reversed.source,
            amount: Money(0),
            time: self.scalars.time,
        });
        let (receiver, level, amount) =
            (reversed.receiver, reversed.level, Money(reversed.amount.0.wrapping_neg()));
        let status = match reversed.status {
            EntryStatus::Held if rules == EntryRules::InPairs => EntryStatus::Held,
            _ => EntryStatus::Pending,
        };
        let reversal = self.post(&Share { receiver, level, amount, is_beyond: false }, status);
        self.ledger.refer(reference.as_ref());
        self.ledger.keep_reversal(reversal, reversed.index);
        let held = status == EntryStatus::Held;
        Outcome::Reversed { entry: reversed.index, reversal: reversal.into(), held }
    }

    /// Whether an imported entry may reverse the one that it names.
    fn judge_imported_reversal(&self, entry: &ImportEntry, rules: EntryRules) -> Result<(), Rejection> {
        match entry.reverses {
            Some(named) => {
                let reversed = match rules {
                    EntryRules::OneByOne => self.ledger.judge_reverse(named)?,
                    EntryRules::InPairs => self.ledger.judge_unreversed(named)?,
                };
                self.judge_reversal_of(&reversed, entry, rules)
            }
            None if entry.amount.0 < 0 => Err(Rejection::ReversalUnmatched),
            None => Ok(()),
        }
    }

    /// Whether an imported entry takes back exactly `reversed`, and is in a state that goes with it: void if
    /// that one is void, and held only if it is held or paid. (Before format 5 neither could be void.)
    ///
    /// # Errors
    /// `ReversalUnmatched`, `EntryChangeNotAllowed` for a state that does not fit.
    pub fn judge_reversal_of(
        &self,
        reversed: &Entry,
        entry: &ImportEntry,
        rules: EntryRules,
    ) -> Result<(), Rejection> {
        let parties = (self.id(reversed.receiver), self.id(reversed.source), reversed.level);
        let fits = parties == (entry.receiver, entry.source, entry.level)
            && *self.kind_name(reversed.kind) == *entry.kind
            && -reversed.amount.0 == entry.amount.0;
        if !fits {
            return Err(Rejection::ReversalUnmatched);
        }
        let is_void = entry.status == EntryStatus::Void;
        let goes_with_it = match rules {
            EntryRules::OneByOne => !is_void,
            EntryRules::InPairs => {
                let is_apart = (entry.status, reversed.status) == (EntryStatus::Held, EntryStatus::Pending);
                is_void == (reversed.status == EntryStatus::Void) && !is_apart
            }
        };
        if goes_with_it { Ok(()) } else { Err(Rejection::EntryChangeNotAllowed) }
    }

    /// Whether an imported entry would be accepted.
    ///
    /// # Errors
    /// The rejection that [`Command::ImportEntry`](crate::core::requests::command::Command::ImportEntry)
    /// would get.
    pub fn judge_import_entry<D: Directory>(
        &self,
        directory: &D,
        entry: &ImportEntry,
    ) -> Result<(), Rejection> {
        self.judge_import(directory, entry, KINDS_MAX, EntryRules::InPairs).map(|_| ())
    }

    /// As [`State::judge_import_entry`], under a limit of trigger names and the rules of a format.
    pub(in crate::core) fn judge_import<D: Directory>(
        &self,
        directory: &D,
        entry: &ImportEntry,
        kinds_max: usize,
        rules: EntryRules,
    ) -> Result<DueImport, Rejection> {
        let receiver = self.find(directory, &entry.receiver).ok_or(Rejection::MemberUnknown)?;
        let source = self.find(directory, &entry.source).ok_or(Rejection::MemberUnknown)?;
        self.ledger.judge_row_id(entry.row_id)?;
        let kind = match kind_from_name(&entry.kind).ok_or(Rejection::TriggerUnknown)? {
            Kind::Signup => Some(KIND_SIGNUP),
            Kind::Rank(rank) => Some(KIND_RANK + rank),
            Kind::Trigger => {
                let kind = self.ledger.kinds().number(&entry.kind);
                if !self.ledger.kinds().has_room(usize::from(kind.is_none()), kinds_max) {
                    return Err(Rejection::PlanKindsFull);
                }
                kind
            }
        };
        if !entry.amount.in_range() {
            return Err(Rejection::AmountOutOfRange);
        }
        if !self.ledger.entries().has_room(1) {
            return Err(Rejection::LedgerFull);
        }
        self.judge_imported_reversal(entry, rules)?;
        Ok(DueImport { receiver, source, kind })
    }

    pub(in crate::core) fn import_entry(&mut self, entry: &ImportEntry, due: &DueImport) -> Outcome {
        let DueImport { receiver, source, kind } = *due;
        let kind = kind.unwrap_or_else(|| self.ledger.add_kind(&entry.kind));
        self.begin_group(Cause { kind, source, amount: Money(0), time: entry.time });
        let posted = self.post(
            &Share { receiver, level: entry.level, amount: entry.amount, is_beyond: false },
            entry.status,
        );
        self.ledger.keep_row_id(RowKind::Entry, posted, entry.row_id);
        self.ledger.refer(entry.reference.as_ref());
        if let Some(reverses) = entry.reverses {
            self.ledger.keep_reversal(posted, reverses);
        }
        Outcome::EntryImported { entry: u64::from(posted) }
    }
}

/// No level may pay more than the largest amount. Fixed amounts were checked with the plan.
fn shares_in_range(rule: &BonusRule, amount: Option<Money>) -> bool {
    match (&rule.pay, amount) {
        (LevelPay::Share(rates), Some(amount)) => {
            rates.iter().max().is_none_or(|most| amount.basis_points(*most).in_range())
        }
        (LevelPay::Share(_), None) | (LevelPay::Fixed(_), _) => true,
    }
}

/// The purpose of an entry, parsed from its printed kind.
pub(in crate::core) enum Kind {
    Signup,
    Rank(u16),
    Trigger,
}

/// Parses a printed kind; `None` for an invalid one.
pub(in crate::core) fn kind_from_name(name: &str) -> Option<Kind> {
    if name == KIND_REGISTRATION {
        return Some(Kind::Signup);
    }
    if let Some(ordinal) = name.strip_prefix(KIND_RANK_PREFIX) {
        let rank: u16 = ordinal.parse().ok()?;
        let canonical = (1..KIND_RANK).contains(&rank) && rank.to_string() == ordinal;
        return canonical.then_some(Kind::Rank(rank));
    }
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    ((1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)).then_some(Kind::Trigger)
}

const _: () = assert!(KINDS_MAX < KIND_SIGNUP as usize);
