//! What can be asked of a network, and what can come of it.
//!
//! Commands are what the log holds; outcomes are what `State::apply` makes of them, always the same for the same state. Both are
//! closed enums of plain data. Numbers given here are on disk: they are never renumbered and never used again for something else.

use super::{
    actor::Actor,
    plan::{PlacementRule, Plan},
    types::{Code, EntryStatus, MemberId, MemberIx, Money, Role, Status, Timestamp},
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
    /// Who sent it. `None` for a command that was logged before format 3, which did not say; what else such a command means as it did then
    /// follows from this too ([`Stamped::is_of_format_3`]).
    pub actor: Option<Actor>,
    pub command: Command,
}

impl Stamped {
    /// Whether the command was logged in format 3 or a later one.
    pub fn is_of_format_3(&self) -> bool {
        self.actor.is_some()
    }
}

/// A client's idempotency key with what it was sent for. Both are hashes, so that a key costs the same whatever its length.
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
    /// "Strategic": exactly there, or not at all. The parent must be the sponsor or in the sponsor's placement subtree.
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
}

/// What a command came to. Small and `Copy`: idempotency keys remember it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// 0: a rule said no; nothing changed but the LSN.
    Rejected(Rejection),
    /// 1
    Registered { member: MemberIx },
    /// 2: `entries` ledger entries from `first_entry` on; `withheld` levels were not paid since their receiver may not earn.
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

impl Outcome {
    /// As three numbers, the first of them its kind: what goes into hashes that are on disk. Never changed.
    pub(super) fn words(self) -> [u64; 3] {
        match self {
            Outcome::Rejected(rejection) => [0, rejection as u64, 0],
            Outcome::Registered { member } => [1, u64::from(member.0), 0],
            Outcome::BonusPaid { first_entry, entries, withheld } => [2, first_entry, u64::from(entries) << 32 | u64::from(withheld)],
            Outcome::EntryPaid { entry, changed } => [3, entry, u64::from(changed)],
            Outcome::AllPaid { entries } => [4, entries, 0],
            Outcome::StatusSet { member, changed } => [5, u64::from(member.0), u64::from(changed)],
            Outcome::RoleSet { member, changed } => [6, u64::from(member.0), u64::from(changed)],
            Outcome::PlanActivated { version } => [7, u64::from(version), 0],
            Outcome::EntryImported { entry } => [9, entry, 0],
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
}

impl Rejection {
    pub const ALL: [Rejection; 30] = [
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
