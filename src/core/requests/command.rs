//! What can be asked of a network, and what can come of it.
//!
//! Commands are what the log holds; outcomes are what `State::apply` makes of them, always the same for the
//! same state. Both are closed enums of plain data. Numbers given here are on disk: they are never renumbered
//! and never used again for something else.

use crate::core::{
    plan::{PlacementRule, Plan},
    words::{
        actor::Actor,
        types::{Code, EntryStatus, MemberId, MemberIx, Money, Reference, Role, Status, Timestamp},
    },
};

/// A command as admitted: everything that is not determined by the state was decided before it got here.
#[derive(Clone, PartialEq, Debug)]
pub struct Stamped {
    /// Log sequence number; the state must be at exactly `lsn - 1`.
    pub lsn: u64,
    /// Log time: not before that of the previous command.
    pub time: Timestamp,
    /// The client's own key for this write, if it sent one.
    pub key: Option<RequestKey>,
    /// Who sent it. `None` for a command that was logged before format 3, which did not say; what else such a
    /// command means as it did then follows from this too ([`Stamped::is_of_format_3`]).
    pub actor: Option<Actor>,
    pub command: Command,
}

impl Stamped {
    /// Whether the command was logged in format 3 or a later one.
    pub fn is_of_format_3(&self) -> bool {
        self.actor.is_some()
    }

    /// By which rules codes in it are taken.
    pub fn code_rules(&self) -> CodeRules {
        if self.is_of_format_3() { CodeRules::Alike } else { CodeRules::Exact }
    }
}

/// A client's idempotency key with what it was sent for. Both are hashes, so that a key costs the same
/// whatever its length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestKey {
    /// Hash of principal, route and key.
    pub key: [u8; 16],
    /// Hash of the request's content: the same key with other content is refused.
    pub fingerprint: u64,
}

/// A write. The number in each comment is its kind on disk. 8 is reserved for anonymising a member.
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
    /// 9: one ledger entry brought along from elsewhere, as it was there.
    ImportEntry(ImportEntry),
    /// 10: take a ledger entry back, by another of the negative amount.
    ReverseEntry { entry: u64 },
    /// 11: mark those pending entries paid that a filter names, all of them if it names none.
    PayMatching(PayFilter),
}

impl Command {
    /// The kind under which the command stands in the log.
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
    /// When the member joined, if that is not now.
    pub joined_at: Option<Timestamp>,
    pub origin: Origin,
}

/// By which rules the codes in a registration are taken. A log is replayed by those of the release that wrote
/// it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeRules {
    /// Before format 3 a sponsor's code had to be exact but for case, and a chosen code was free if nobody
    /// had exactly it.
    Exact,
    /// Codes are looked up as people write them ([`crate::core::state::parts::State::look_up_code`]), and a chosen code
    /// must not be like another (an imported one only not be another's), nor read as a UUID.
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

/// Where the new member is to sit.
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

/// Whether the signup happens now or happened elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// 0: pays what the plan pays on registration, and rank rewards.
    Signup,
    /// 1: pays nothing; what was paid elsewhere travels as `ImportEntry`.
    Import(Carried),
}

/// What a member that comes from elsewhere brings along beside its place: history, which cannot be computed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Carried {
    /// The id of its row there, by which other systems know it.
    pub row_id: Option<[u8; 16]>,
    /// The highest rank it ever had, by ordinal; 0 if that is no more than its place here gives it.
    pub lifetime_rank: u16,
    /// Round robin: the slot its next spill goes to.
    pub turn: u16,
    /// Its status there.
    pub status: Status,
    /// Its sponsor came from there too, with the status that it has now: it recruited while it was active, so
    /// it is not asked whether it is.
    pub sponsor_too: bool,
}

impl Origin {
    /// What came along.
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
    /// What basis points are taken of; without it only fixed amounts can be paid.
    pub amount: Option<Money>,
    /// Refuse if this source's trigger of this name was already paid with `once`.
    pub once: bool,
    /// What the outside calls that which it came from, e.g. an order.
    pub reference: Option<Reference>,
}

/// Which pending entries to pay: those to which all of it applies.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PayFilter {
    /// Only entries made by commands up to this LSN: those that were there when a list was read.
    pub up_to_lsn: Option<u64>,
    /// Kind as printed.
    pub kind: Option<Box<str>>,
    pub receiver: Option<MemberId>,
    /// Entries of this time or later.
    pub from: Option<Timestamp>,
    /// Entries of before this time.
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
    /// The id of its row there, by which other systems know it.
    pub row_id: Option<[u8; 16]>,
    /// What the outside calls that which it came from.
    pub reference: Option<Reference>,
    /// The ledger entry that it takes back: one of the same receiver, source, level and kind, and of the
    /// opposite amount. Negative amounts need one.
    pub reverses: Option<u64>,
}

/// A sum of many amounts, in minor units: 96 bits hold that of a whole ledger.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WideMoney {
    high: i32,
    low: u64,
}

impl WideMoney {
    /// # Panics
    /// When the sum is that of more entries than a ledger holds.
    pub fn new(sum: i128) -> Self {
        let low = u64::try_from(sum & i128::from(u64::MAX)).expect("masked");
        Self { high: i32::try_from(sum >> 64).expect("2^32 amounts of 10^13"), low }
    }

    /// From [`WideMoney::parts`].
    pub fn of_parts(high: i32, low: u64) -> Self {
        Self { high, low }
    }

    /// The upper 32 bits, which have the sign, and the lower 64.
    pub fn parts(self) -> (i32, u64) {
        (self.high, self.low)
    }

    pub fn sum(self) -> i128 {
        i128::from(self.high) << 64 | i128::from(self.low)
    }
}

/// What a command came to. Small and `Copy`: idempotency keys remember it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// 0: a rule said no; nothing changed but the LSN.
    Rejected(Rejection),
    /// 1
    Registered { member: MemberIx },
    /// 2: `entries` ledger entries from `first_entry` on; `withheld` levels were not paid since their
    /// receiver may not earn.
    BonusPaid { first_entry: u64, entries: u32, withheld: u32 },
    /// 3: `changed` is false when it was paid already.
    EntryPaid { entry: u64, changed: bool },
    /// 4
    AllPaid { entries: u64 },
    /// 5
    StatusSet { member: MemberIx, changed: bool },
    /// 6
    RoleSet { member: MemberIx, changed: bool },
    /// 7: the version the plan got.
    PlanActivated { version: u32 },
    /// 9
    EntryImported { entry: u64 },
    /// 10: `reversal` takes `entry` back.
    Reversed { entry: u64, reversal: u64 },
    /// 11: how many became paid, and what they come to.
    MatchingPaid { entries: u32, amount: WideMoney },
}

impl Command {
    /// The row id that the command brings along from elsewhere.
    pub fn carried_row_id(&self) -> Option<[u8; 16]> {
        match self {
            Command::Register(Register { origin: Origin::Import(carried), .. }) => carried.row_id,
            Command::ImportEntry(entry) => entry.row_id,
            _ => None,
        }
    }
}

impl Command {
    /// Whether it says what logs of formats 1 and 2 have no form for: such a command needs an actor.
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
        }
    }
}

impl Outcome {
    /// As three numbers, the first of them its kind: what goes into hashes that are on disk. Never changed.
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

/// Why a rule said no. The numbers are on disk and in clients: never renumbered.
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
    /// Several codes are like the one that was given, and none is it.
    CodeAmbiguous = 35,
    /// A chosen code that reads as a UUID would be taken for an id.
    CodeReadsAsId = 36,
}

impl Rejection {
    pub const ALL: [Rejection; 35] = [
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
