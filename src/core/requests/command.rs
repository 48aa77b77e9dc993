//! Commands and their outcomes.
//!
//! Commands are what the log holds; outcomes are what `State::apply` makes of them, always the same for the
//! same state. Both are closed enums of plain data. Numbers given here are on disk: they are never renumbered
//! or reused.

use strum::{FromRepr, IntoStaticStr, VariantArray};

use crate::core::{
    plan::Plan,
    words::{
        actor::Actor,
        all::all,
        types::{
            EntryStatus, KINDS_MAX, KINDS_MAX_BEFORE_FORMAT_4, MemberId, MemberIx, Role, Status, Timestamp,
        },
    },
};

pub use crate::core::requests::{
    bonuses::{ChangeEntry, EntryChange, EntryRules, ImportEntry, PayFilter, TriggerBonus, WideMoney},
    members::{Carried, CodeRules, Origin, PlacementRequest, Register, SponsorRef},
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
    /// The format of the record that holds it: 1 (also for format 2), 3, 4 or 5. A log is replayed under the
    /// rules of the release that wrote it.
    pub format: u32,
    pub command: Command,
}

impl Stamped {
    /// The format of commands that are logged today.
    pub const FORMAT: u32 = 5;

    /// Whether the command was logged in format 4 or a later one.
    pub fn is_of_format_4(&self) -> bool {
        4 <= self.format
    }

    /// The most trigger names that the network may have after the command.
    pub(in crate::core) fn kinds_max(&self) -> usize {
        if self.is_of_format_4() { KINDS_MAX } else { KINDS_MAX_BEFORE_FORMAT_4 }
    }

    /// The rules for changes of entries by this command.
    pub fn entry_rules(&self) -> EntryRules {
        if 5 <= self.format { EntryRules::InPairs } else { EntryRules::OneByOne }
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

/// The commands, one line each. Calls the macro that it is given with this table:
///
/// - the number in the log, and the variant with its content
/// - the domain whose rules judge it
/// - the label of metrics, and the name that the feed, the audit and `inspect` print
/// - the first format version whose log can have it
///
/// What was released never changes. 8 is reserved for anonymizing a member. The type [`Command`], its kinds,
/// its records in the log and its places in metrics and API follow from the table; `snapshots/README.md`
/// repeats it.
///
/// Beyond its line, a command needs an arm wherever the compiler asks: its rules (`judge` and `act` in
/// `state/apply.rs`), its JSON (`command_json.rs`, with a schema in `http/v1/event_schema.rs`), and mostly an
/// [`Outcome`] of its own.
macro_rules! commands {
    ($with:ident) => {
        $with! {
            /// A new member.
            1 Register(register: Register) of Members, "register" as "register" since 1;
            /// Pays the bonus that the plan names for this trigger.
            2 TriggerBonus(trigger: TriggerBonus) of Bonuses, "trigger_bonus" as "trigger_bonus" since 1;
            /// Marks one ledger entry paid. Idempotent.
            3 PayEntry { entry: u64 } of Bonuses, "pay_entry" as "pay_bonus" since 1;
            /// Marks every pending entry paid.
            4 PayAll of Bonuses, "pay_all" as "pay_all" since 1;
            /// Changes a member's status.
            5 SetStatus { member: MemberId, status: Status } of Members, "set_status" as "set_status" since 1;
            /// Changes a member's role.
            6 SetRole { member: MemberId, role: Role } of Members, "set_role" as "set_role" since 1;
            /// Activates a plan. The full plan is in the log.
            7 PutPlan(plan: Box<Plan>) of Plans, "put_plan" as "put_plan" since 1;
            /// Adds one imported ledger entry, unchanged.
            9 ImportEntry(entry: ImportEntry) of Bonuses, "import_entry" as "import_bonus" since 1;
            /// Reverses a ledger entry, by another of the negative amount.
            10 ReverseEntry { entry: u64 } of Bonuses, "reverse_entry" as "reverse_bonus" since 3;
            /// Marks paid the pending entries that match a filter, or all of them if it is empty.
            11 PayMatching(filter: PayFilter) of Bonuses, "pay_matching" as "pay_all" since 3;
            /// Holds, releases or voids one ledger entry. Idempotent.
            12 ChangeEntry(change: ChangeEntry) of Bonuses, "change_entry" as "change_bonus" since 4;
            /// Marks a member's trigger of this name as paid once, without paying: for imports. Idempotent.
            13 KeepOnce { source: MemberId, trigger: Box<str> }
                of Bonuses, "keep_once" as "keep_once" since 5;
        }
    };
}
pub(crate) use commands;

macro_rules! kinds_of_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal;
    )+) => {
        /// A write.
        #[derive(Clone, PartialEq, Debug)]
        pub enum Command {
            $($(#[$about])* $kind $(($type))? $({ $($field: $field_type),+ })?,)+
        }

        /// The kind of a command. The numbers are in the log.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u16)]
        pub enum CommandKind {
            $($(#[$about])* $kind = $number,)+
        }

        impl Command {
            pub fn kind(&self) -> CommandKind {
                match self {
                    $(Command::$kind { .. } => CommandKind::$kind,)+
                }
            }
        }

        impl CommandKind {
            /// All kinds, ascending by number.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$kind),+];

            pub fn domain(self) -> Domain {
                match self {
                    $(Self::$kind => Domain::$domain,)+
                }
            }

            /// The label of metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// The name that the feed, the audit and `inspect` print. Two kinds share one: all pending
            /// bonuses, and those that a filter names.
            pub fn printed(self) -> &'static str {
                match self {
                    $(Self::$kind => $printed,)+
                }
            }

            /// The first format version whose log can have it.
            pub fn since(self) -> u32 {
                match self {
                    $(Self::$kind => $since,)+
                }
            }
        }
    };
}
commands!(kinds_of_commands);

/// The rules that judge a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Members: their places, codes, statuses, roles.
    Members,
    /// The ledger.
    Bonuses,
    /// The plan.
    Plans,
}

impl CommandKind {
    /// The kind with this number in the log.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == code)
    }

    /// The position in [`CommandKind::ALL`].
    pub fn position(self) -> usize {
        Self::ALL.iter().position(|kind| *kind == self).expect("ALL has every kind")
    }

    /// The printed names, each once, in the order of the kinds.
    pub fn printed_names() -> Vec<&'static str> {
        let mut names = Vec::new();
        for name in Self::ALL.map(Self::printed) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
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
    /// 10: `reversal` reverses `entry`, and is `held` as that was; pending otherwise.
    Reversed { entry: u64, reversal: u64, held: bool },
    /// 11: how many became paid, and their sum.
    MatchingPaid { entries: u32, amount: WideMoney },
    /// 12: `changed` is false if it had that state already.
    EntryChanged { entry: u64, changed: bool },
    /// 13: `changed` is false if the trigger was marked already.
    OnceKept { member: MemberIx, changed: bool },
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
        let has_content = match self {
            Command::TriggerBonus(trigger) => trigger.reference.is_some(),
            Command::ImportEntry(entry) => entry.reference.is_some() || entry.reverses.is_some(),
            _ => false,
        };
        has_content || 3 <= self.kind().since()
    }

    /// Whether it has content that logs of earlier formats than 4 cannot express.
    pub fn needs_format_4(&self) -> bool {
        let has_content = match self {
            Command::ImportEntry(entry) => matches!(entry.status, EntryStatus::Held | EntryStatus::Void),
            _ => false,
        };
        has_content || 4 <= self.kind().since()
    }

    /// Whether it has content that logs of earlier formats than 5 cannot express.
    pub fn needs_format_5(&self) -> bool {
        5 <= self.kind().since()
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
            Outcome::OnceKept { member, changed } => [13, u64::from(member.0), u64::from(changed)],
            // Entries are numbered in 32 bits.
            Outcome::Reversed { entry, reversal, held } => [10, entry, reversal | u64::from(held) << 32],
            Outcome::MatchingPaid { entries, amount } => {
                let (high, low) = amount.parts();
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

/// Why a rule refused a command, in the order in which the reasons are documented. The numbers are on disk
/// and in clients: never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u16)]
#[derive(FromRepr, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
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
    /// Several codes are similar to the given one, and none is equal.
    CodeAmbiguous = 35,
    /// A chosen code that reads as a UUID could be mistaken for an id.
    CodeReadsAsId = 36,
    ReversedBefore = 32,
    EntryIsReversal = 33,
    ReversalUnmatched = 34,
    /// A bonus in this state cannot get the one that was asked for.
    EntryChangeNotAllowed = 37,
}

impl Rejection {
    /// All of them, in the order in which they are documented.
    pub const ALL: [Self; Self::VARIANTS.len()] = all();

    /// Stable code for metrics, scenarios and clients.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

const _: () = assert!(size_of::<Outcome>() <= 24);
