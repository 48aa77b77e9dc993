//! Commands and their outcomes.
//!
//! Commands are what the log holds; outcomes are what `State::apply` makes of them, always the same for the
//! same state. Both are closed enums of plain data. Numbers given here are on disk: they are never renumbered
//! or reused.

use crate::core::{
    plan::{PlacementRule, Plan},
    words::{
        actor::Actor,
        types::{
            Code, EntryStatus, KINDS_MAX, KINDS_MAX_BEFORE_FORMAT_4, MemberId, MemberIx, Money, Reason,
            Reference, Role, Status, Timestamp,
        },
    },
};

/// A command as admitted: everything that the state does not determine has been decided by now.
#[derive(Clone, PartialEq, Debug)]
pub struct Stamped {
    /// Log sequence number; the state must be at exactly `lsn - 1`.
    pub lsn: u64,
    /// Log time: not before that of the previous command.
    pub time: Timestamp,
    /// The client's own key for this write, if it sent one.
    pub key: Option<RequestKey>,
    /// Who sent it. `None` for a command logged before format 3, which had no actors; such commands also keep
    /// the semantics of that format ([`Stamped::is_of_format_3`]).
    pub actor: Option<Actor>,
    /// The format of the record that holds it: 1 (also for format 2), 3 or 4. A log is replayed under the
    /// rules of the release that wrote it.
    pub format: u32,
    pub command: Command,
}

impl Stamped {
    /// The format of commands that are logged today.
    pub const FORMAT: u32 = 4;

    /// Whether the command was logged in format 4 or a later one.
    pub fn is_of_format_4(&self) -> bool {
        4 <= self.format
    }

    /// The most trigger names that the network may have after the command.
    pub(in crate::core) fn kinds_max(&self) -> usize {
        if self.is_of_format_4() { KINDS_MAX } else { KINDS_MAX_BEFORE_FORMAT_4 }
    }

    /// Whether the command was logged in format 3 or a later one.
    pub fn is_of_format_3(&self) -> bool {
        self.actor.is_some()
    }

    /// The rules for codes in this command.
    pub fn code_rules(&self) -> CodeRules {
        if self.is_of_format_3() { CodeRules::Alike } else { CodeRules::Exact }
    }
}

/// A client's idempotency key and the request it was sent with. Both are hashes, so a key costs the same
/// whatever its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestKey {
    /// Hash of principal, route and key.
    pub key: [u8; 16],
    /// Hash of the request's content: the same key with other content is refused.
    pub fingerprint: u64,
}

/// A write. The number in each comment is its kind on disk. 8 is reserved for anonymizing a member.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// 1: a new member.
    Register(Register),
    /// 2: pay the bonus that the plan names for this trigger.
    TriggerBonus(TriggerBonus),
    /// 3: mark one ledger entry paid. Idempotent.
    PayEntry { entry: u64 },
    /// 4: mark every pending entry paid.
    PayAll,
    /// 5
    SetStatus { member: MemberId, status: Status },
    /// 6
    SetRole { member: MemberId, role: Role },
    /// 7: activate a plan. The full plan is in the log.
    PutPlan(Box<Plan>),
    /// 9: one imported ledger entry, unchanged.
    ImportEntry(ImportEntry),
    /// 10: reverse a ledger entry, by another of the negative amount.
    ReverseEntry { entry: u64 },
    /// 11: mark paid the pending entries that match a filter, or all of them if it is empty.
    PayMatching(PayFilter),
    /// 12: hold, release or void one ledger entry. Idempotent.
    ChangeEntry(ChangeEntry),
}

impl Command {
    /// The kind number of the command in the log.
    pub fn kind(&self) -> u16 {
        match self {
            Command::Register(_) => 1,
            Command::TriggerBonus(_) => 2,
            Command::PayEntry { .. } => 3,
            Command::PayAll => 4,
            Command::SetStatus { .. } => 5,
            Command::SetRole { .. } => 6,
            Command::PutPlan(_) => 7,
            Command::ImportEntry(_) => 9,
            Command::ReverseEntry { .. } => 10,
            Command::PayMatching(_) => 11,
            Command::ChangeEntry(_) => 12,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    pub member: MemberId,
    pub sponsor: SponsorRef,
    pub placement: PlacementRequest,
    /// The member's own referral code; one is generated when absent.
    pub code: Option<Code>,
    pub role: Role,
    /// When the member joined, if not now.
    pub joined_at: Option<Timestamp>,
    pub origin: Origin,
}

/// The rules for codes in a registration. A log is replayed under those of the release that wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeRules {
    /// Before format 3 a sponsor's code had to match exactly except for case, and a chosen code was free if
    /// no member had exactly that one.
    Exact,
    /// Codes are looked up as people write them ([`crate::core::state::parts::State::look_up_code`]), and a
    /// chosen code must not be similar to another (an imported one only not equal), nor read as a UUID.
    Alike,
}

/// How the sponsor was named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SponsorRef {
    /// A new root.
    None,
    Member(MemberId),
    Code(Code),
}

/// The requested position of the new member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlacementRequest {
    /// By the plan's default rule, starting at the sponsor.
    PlanDefault,
    /// By another rule that the plan allows.
    Rule(PlacementRule),
    /// "Strategic": exactly there, or not at all. The parent must be the sponsor or in the sponsor's
    /// placement subtree.
    Slot { parent: MemberId, slot: u32 },
}

/// Whether the signup happens now or was imported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// 0: pays registration bonuses and rank rewards.
    Signup,
    /// 1: pays nothing; earlier payments are imported as `ImportEntry`.
    Import(Carried),
}

/// History carried over with an imported member, which cannot be computed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Carried {
    /// Its row id in the old system, by which other systems know it.
    pub row_id: Option<[u8; 16]>,
    /// The highest rank it ever had, by ordinal; 0 if its position here already implies it.
    pub lifetime_rank: u16,
    /// Round robin: the slot its next spill goes to.
    pub turn: u16,
    /// Its status in the old system.
    pub status: Status,
    /// Its sponsor was imported too, with its present status: it recruited while it was active, so its status
    /// is not checked.
    pub sponsor_too: bool,
}

impl Origin {
    /// The carried history.
    pub fn carried(&self) -> Carried {
        match self {
            Origin::Import(carried) => *carried,
            Origin::Signup => Carried::default(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TriggerBonus {
    pub source: MemberId,
    /// The trigger's name in the plan, e.g. `referral`.
    pub trigger: Box<str>,
    /// The base of percentage pay; without it only fixed amounts can be paid.
    pub amount: Option<Money>,
    /// Refuse if this source's trigger of this name was already paid with `once`.
    pub once: bool,
    /// The external name of its cause, e.g. an order.
    pub reference: Option<Reference>,
}

/// Which pending entries to pay: those that match all fields.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PayFilter {
    /// Only entries made by commands up to this LSN: those that existed when a list was read.
    pub up_to_lsn: Option<u64>,
    /// Kind as printed.
    pub kind: Option<Box<str>>,
    pub receiver: Option<MemberId>,
    /// Entries of this time or later.
    pub from: Option<Timestamp>,
    /// Entries from before this time.
    pub until: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportEntry {
    pub receiver: MemberId,
    pub source: MemberId,
    /// Kind as printed: a trigger's name, `registration`, or `rank:<ordinal>`.
    pub kind: Box<str>,
    /// Distance of source and receiver; 0 for a rank reward.
    pub level: u32,
    pub amount: Money,
    pub status: EntryStatus,
    pub time: Timestamp,
    /// Its row id in the old system, by which other systems know it.
    pub row_id: Option<[u8; 16]>,
    /// The external name of its cause.
    pub reference: Option<Reference>,
    /// The ledger entry that it reverses: one of the same receiver, source, level and kind, and of the
    /// opposite amount. Negative amounts need one.
    pub reverses: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeEntry {
    pub entry: u64,
    pub change: EntryChange,
    pub reason: Reason,
}

/// What happens to an entry that is not paid. Codes are on disk: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum EntryChange {
    /// No payout takes it until it is released.
    Hold = 1,
    /// It is pending again.
    Release = 2,
    /// It is never paid.
    Void = 3,
}

impl EntryChange {
    pub const ALL: [EntryChange; 3] = [EntryChange::Hold, EntryChange::Release, EntryChange::Void];

    /// The state that it leads to.
    pub fn status(self) -> EntryStatus {
        match self {
            EntryChange::Hold => EntryStatus::Held,
            EntryChange::Release => EntryStatus::Pending,
            EntryChange::Void => EntryStatus::Void,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            EntryChange::Hold => "hold",
            EntryChange::Release => "release",
            EntryChange::Void => "void",
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|change| *change as u8 == code)
    }
}

/// A sum of many amounts, in minor units: 96 bits hold the sum of a whole ledger.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WideMoney {
    high: i32,
    low: u64,
}

impl WideMoney {
    /// # Panics
    /// When the sum exceeds what a full ledger can hold.
    pub fn new(sum: i128) -> Self {
        let low = u64::try_from(sum & i128::from(u64::MAX)).expect("masked");
        Self { high: i32::try_from(sum >> 64).expect("2^32 amounts of 10^13"), low }
    }

    /// Reassembles [`WideMoney::parts`].
    pub fn of_parts(high: i32, low: u64) -> Self {
        Self { high, low }
    }

    /// The upper 32 bits, signed, and the lower 64.
    pub fn parts(self) -> (i32, u64) {
        (self.high, self.low)
    }

    pub fn sum(self) -> i128 {
        i128::from(self.high) << 64 | i128::from(self.low)
    }
}

/// The outcome of a command. Small and `Copy`: idempotency keys remember it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// 0: a rule refused it; nothing changed but the LSN.
    Rejected(Rejection),
    /// 1
    Registered { member: MemberIx },
    /// 2: `entries` ledger entries from `first_entry` on; `withheld` levels were not paid because their
    /// receiver may not earn.
    BonusPaid { first_entry: u64, entries: u32, withheld: u32 },
    /// 3: `changed` is false if it was already paid.
    EntryPaid { entry: u64, changed: bool },
    /// 4
    AllPaid { entries: u64 },
    /// 5
    StatusSet { member: MemberIx, changed: bool },
    /// 6
    RoleSet { member: MemberIx, changed: bool },
    /// 7: the new version of the plan.
    PlanActivated { version: u32 },
    /// 9
    EntryImported { entry: u64 },
    /// 10: `reversal` reverses `entry`.
    Reversed { entry: u64, reversal: u64 },
    /// 11: how many became paid, and their sum.
    MatchingPaid { entries: u32, amount: WideMoney },
    /// 12: `changed` is false if it had that state already.
    EntryChanged { entry: u64, changed: bool },
}

impl Command {
    /// The row id that the command imports.
    pub fn carried_row_id(&self) -> Option<[u8; 16]> {
        match self {
            Command::Register(Register { origin: Origin::Import(carried), .. }) => carried.row_id,
            Command::ImportEntry(entry) => entry.row_id,
            _ => None,
        }
    }
}

impl Command {
    /// Whether it has content that logs of formats 1 and 2 cannot express: such a command needs an actor.
    pub fn needs_format_3(&self) -> bool {
        match self {
            Command::TriggerBonus(trigger) => trigger.reference.is_some(),
            Command::ImportEntry(entry) => entry.reference.is_some() || entry.reverses.is_some(),
            Command::ReverseEntry { .. } | Command::PayMatching(_) => true,
            Command::Register(_)
            | Command::PayEntry { .. }
            | Command::PayAll
            | Command::SetStatus { .. }
            | Command::SetRole { .. }
            | Command::PutPlan(_) => false,
            Command::ChangeEntry(_) => true,
        }
    }

    /// Whether it has content that logs of earlier formats than 4 cannot express.
    pub fn needs_format_4(&self) -> bool {
        match self {
            Command::ChangeEntry(_) => true,
            Command::ImportEntry(entry) => matches!(entry.status, EntryStatus::Held | EntryStatus::Void),
            _ => false,
        }
    }
}

impl Outcome {
    /// Three numbers, the first of them the kind: the input of hashes that are on disk. Never changed.
    pub(in crate::core) fn words(self) -> [u64; 3] {
        match self {
            Outcome::Rejected(rejection) => [0, rejection as u64, 0],
            Outcome::Registered { member } => [1, u64::from(member.0), 0],
            Outcome::BonusPaid { first_entry, entries, withheld } => {
                [2, first_entry, u64::from(entries) << 32 | u64::from(withheld)]
            }
            Outcome::EntryPaid { entry, changed } => [3, entry, u64::from(changed)],
            Outcome::AllPaid { entries } => [4, entries, 0],
            Outcome::StatusSet { member, changed } => [5, u64::from(member.0), u64::from(changed)],
            Outcome::RoleSet { member, changed } => [6, u64::from(member.0), u64::from(changed)],
            Outcome::PlanActivated { version } => [7, u64::from(version), 0],
            Outcome::EntryImported { entry } => [9, entry, 0],
            Outcome::EntryChanged { entry, changed } => [12, entry, u64::from(changed)],
            Outcome::Reversed { entry, reversal } => [10, entry, reversal],
            Outcome::MatchingPaid { entries, amount: WideMoney { high, low } } => {
                [11, low, u64::from(high.cast_unsigned()) << 32 | u64::from(entries)]
            }
        }
    }
}

/// An outcome, and whether it is that of an earlier command with the same key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Applied {
    pub outcome: Outcome,
    /// LSN of the command that did it: an earlier one for a repeat.
    pub lsn: u64,
}

/// Why a rule refused a command. The numbers are on disk and in clients: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
pub enum Rejection {
    MemberExists = 1,
    SponsorUnknown = 2,
    SponsorNotActive = 3,
    ParentUnknown = 4,
    ParentOutsideSponsorSubtree = 5,
    SlotTaken = 6,
    SlotOutOfRange = 7,
    RuleNotAllowed = 8,
    StrategicNotAllowed = 9,
    CodeTaken = 10,
    NetworkFull = 11,
    MemberUnknown = 13,
    AdminsFull = 14,
    StatusChangeNotAllowed = 15,
    TriggerUnknown = 16,
    AmountMissing = 17,
    AmountOutOfRange = 18,
    TriggeredBefore = 19,
    EntryUnknown = 20,
    LedgerFull = 21,
    KeyReused = 22,
    PlanPlacementFixed = 23,
    PlanCurrencyFixed = 24,
    PlanRanksRemoved = 25,
    PlanKindsFull = 26,
    PlanUnchanged = 27,
    RootWithPlacement = 28,
    RowIdTaken = 29,
    RankUnknown = 30,
    TurnUnknown = 31,
    ReversedBefore = 32,
    EntryIsReversal = 33,
    ReversalUnmatched = 34,
    /// Several codes are similar to the given one, and none is equal.
    CodeAmbiguous = 35,
    /// A chosen code that reads as a UUID could be mistaken for an id.
    CodeReadsAsId = 36,
    /// A bonus in this state cannot get the one that was asked for.
    EntryChangeNotAllowed = 37,
}

impl Rejection {
    pub const ALL: [Rejection; 36] = [
        Rejection::MemberExists,
        Rejection::SponsorUnknown,
        Rejection::SponsorNotActive,
        Rejection::ParentUnknown,
        Rejection::ParentOutsideSponsorSubtree,
        Rejection::SlotTaken,
        Rejection::SlotOutOfRange,
        Rejection::RuleNotAllowed,
        Rejection::StrategicNotAllowed,
        Rejection::CodeTaken,
        Rejection::NetworkFull,
        Rejection::MemberUnknown,
        Rejection::AdminsFull,
        Rejection::StatusChangeNotAllowed,
        Rejection::TriggerUnknown,
        Rejection::AmountMissing,
        Rejection::AmountOutOfRange,
        Rejection::TriggeredBefore,
        Rejection::EntryUnknown,
        Rejection::LedgerFull,
        Rejection::KeyReused,
        Rejection::PlanPlacementFixed,
        Rejection::PlanCurrencyFixed,
        Rejection::PlanRanksRemoved,
        Rejection::PlanKindsFull,
        Rejection::PlanUnchanged,
        Rejection::RootWithPlacement,
        Rejection::RowIdTaken,
        Rejection::RankUnknown,
        Rejection::TurnUnknown,
        Rejection::CodeAmbiguous,
        Rejection::CodeReadsAsId,
        Rejection::ReversedBefore,
        Rejection::EntryIsReversal,
        Rejection::ReversalUnmatched,
        Rejection::EntryChangeNotAllowed,
    ];

    /// Stable code for metrics, scenarios and clients.
    pub fn name(self) -> &'static str {
        match self {
            Rejection::MemberExists => "member_exists",
            Rejection::SponsorUnknown => "sponsor_unknown",
            Rejection::SponsorNotActive => "sponsor_not_active",
            Rejection::ParentUnknown => "parent_unknown",
            Rejection::ParentOutsideSponsorSubtree => "parent_outside_sponsor_subtree",
            Rejection::SlotTaken => "slot_taken",
            Rejection::SlotOutOfRange => "slot_out_of_range",
            Rejection::RuleNotAllowed => "rule_not_allowed",
            Rejection::StrategicNotAllowed => "strategic_not_allowed",
            Rejection::CodeTaken => "code_taken",
            Rejection::NetworkFull => "network_full",
            Rejection::MemberUnknown => "member_unknown",
            Rejection::AdminsFull => "admins_full",
            Rejection::StatusChangeNotAllowed => "status_change_not_allowed",
            Rejection::TriggerUnknown => "trigger_unknown",
            Rejection::AmountMissing => "amount_missing",
            Rejection::AmountOutOfRange => "amount_out_of_range",
            Rejection::TriggeredBefore => "triggered_before",
            Rejection::EntryUnknown => "entry_unknown",
            Rejection::LedgerFull => "ledger_full",
            Rejection::KeyReused => "key_reused",
            Rejection::PlanPlacementFixed => "plan_placement_fixed",
            Rejection::PlanCurrencyFixed => "plan_currency_fixed",
            Rejection::PlanRanksRemoved => "plan_ranks_removed",
            Rejection::PlanKindsFull => "plan_kinds_full",
            Rejection::PlanUnchanged => "plan_unchanged",
            Rejection::RootWithPlacement => "root_with_placement",
            Rejection::RowIdTaken => "row_id_taken",
            Rejection::RankUnknown => "rank_unknown",
            Rejection::TurnUnknown => "turn_unknown",
            Rejection::CodeAmbiguous => "code_ambiguous",
            Rejection::CodeReadsAsId => "code_reads_as_id",
            Rejection::ReversedBefore => "reversed_before",
            Rejection::EntryIsReversal => "entry_is_reversal",
            Rejection::ReversalUnmatched => "reversal_unmatched",
            Rejection::EntryChangeNotAllowed => "entry_change_not_allowed",
        }
    }

    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|rejection| *rejection as u16 == code)
    }
}

const _: () = assert!(size_of::<Outcome>() <= 24);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn wide_sums_come_back() {
        for sum in [
            0,
            1,
            -1,
            i128::from(u64::MAX),
            -i128::from(u64::MAX) - 1,
            (1 << 32) * i128::from(Money::MAX.0),
            -(1 << 32) * i128::from(Money::MAX.0),
        ] {
            let wide = WideMoney::new(sum);
            assert_eq!((wide.sum(), WideMoney::of_parts(wide.parts().0, wide.parts().1)), (sum, wide));
        }
    }

    #[test]
    fn rejections_have_one_number_and_one_name_each() {
        let numbers: BTreeSet<u16> = Rejection::ALL.iter().map(|rejection| *rejection as u16).collect();
        let names: BTreeSet<&str> = Rejection::ALL.iter().map(|rejection| rejection.name()).collect();
        assert_eq!(numbers.len(), Rejection::ALL.len());
        assert_eq!(names.len(), Rejection::ALL.len());
        for rejection in Rejection::ALL {
            assert_eq!(Rejection::from_code(rejection as u16), Some(rejection));
        }
    }
}
