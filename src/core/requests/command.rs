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
        types::{KINDS_MAX, KINDS_MAX_BEFORE_FORMAT_4, MemberId, MemberIx, Role, Status, Timestamp},
    },
};

pub use crate::core::requests::{
    attributes::{ATTRIBUTE_CHANGES_MAX, Attribute, AttributeChange, SetAttributes},
    bonuses::{ChangeEntry, EntryChange, EntryRules, ImportEntry, PayFilter, TriggerBonus, WideMoney},
    members::{Carried, CodeRules, Origin, PlacementRequest, Register, SponsorRef},
    opening::{AddOpening, CloseOpening, OpeningEntry, OpeningKind, OpeningText},
    orders::{
        Credit, LinePart, ORDER_CREDITS_MAX, ORDER_ID_CHARS_MAX, ORDER_LINES_MAX, OpenPeriod, OrderId,
        OrderLine, PeriodRef, PeriodStep, PlaceOrder, RecordRun, RefundOrder, RefundScope, StepPeriod,
        VALUE_MAX, WHOLE,
    },
    seals::{
        RecallBooking, RecallLine, RecallOrder, RecallRefund, SEALED_REFUND_LINES_MAX, SEALED_REFUNDS_MAX,
        SealPeriod,
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
    /// The format of the record that holds it: 1 (also for format 2), or 3 to 7. A log is replayed under the
    /// rules of the release that wrote it.
    pub format: u32,
    pub command: Command,
}

impl Stamped {
    /// The format of commands that are logged today.
    pub const FORMAT: u32 = 7;

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

/// The commands, one entry each. Calls the macro that it is given with this table:
///
/// - the number in the log, and the variant with its content: fields, or a type that has them
/// - the domain whose rules judge it
/// - the label of metrics, and the name that the feed, the audit and `inspect` print
/// - the first format version whose log can have it
/// - `gives`: its outcome, which has the same number. The fields decide how it is hashed and kept
///   ([`Outcome::words`], `durability/codec/outcome.rs`). `if` names the field that is false or 0 where
///   nothing changed. A command without `gives` returns the outcome of another.
///
/// What was released never changes. 8 is reserved for anonymizing a member. The types [`Command`],
/// [`CommandKind`] and [`Outcome`], the records in the log, kept outcomes, random commands of tests, and the
/// places in metrics and API follow from the table; a test compares `snapshots/README.md` with it.
///
/// # Adding a command
///
/// 1. Its entry here.
/// 2. Its rules: a [`Rules`](crate::core::state::rules::Rules), in the file of `core/state` that has its
///    subject.
/// 3. How it is shown, as JSON and as a schema: an entry in `command_json.rs`.
/// 4. Its rules for the second implementation, which the first is compared with: an arm in
///    `tests/networks/naive.rs`.
///
/// The compiler asks for 2 to 4. A type of field that no other command has needs its bytes
/// (`durability/codec/fields.rs`) and random values (`codec/arbitrary.rs`, `tests/networks/random.rs`), which
/// it asks for too. `UPLINE_REGENERATE_SPEC=1 cargo test --test tidy wiring::` writes the specification.
#[doc(hidden)]
#[macro_export]
macro_rules! __commands {
    ($with:ident) => {
        $with! {
            /// A new member.
            1 Register(register: Register) of Members, "register" as "register" since 1
                gives Registered { member: MemberIx };
            /// Pays the bonus that the plan names for this trigger.
            2 TriggerBonus(trigger: TriggerBonus) of Bonuses, "trigger_bonus" as "trigger_bonus" since 1
                /// `entries` ledger entries from `first_entry` on; `withheld` levels were not paid because
                /// their receiver may not earn.
                gives BonusPaid { first_entry: u64, entries: u32, withheld: u32 };
            /// Marks one ledger entry paid. Idempotent.
            3 PayEntry { entry: u64 } of Bonuses, "pay_entry" as "pay_bonus" since 1
                gives EntryPaid { entry: u64, changed: bool } if changed;
            /// Marks every pending entry paid.
            4 PayAll of Bonuses, "pay_all" as "pay_all" since 1
                gives AllPaid { entries: u64 } if entries;
            /// Changes a member's status.
            5 SetStatus { member: MemberId, status: Status } of Members, "set_status" as "set_status" since 1
                gives StatusSet { member: MemberIx, changed: bool } if changed;
            /// Changes a member's role.
            6 SetRole { member: MemberId, role: Role } of Members, "set_role" as "set_role" since 1
                gives RoleSet { member: MemberIx, changed: bool } if changed;
            /// Activates a plan. The full plan is in the log.
            7 PutPlan(plan: Box<Plan>) of Plans, "put_plan" as "put_plan" since 1
                /// The new version of the plan.
                gives PlanActivated { version: u32 };
            /// Adds one imported ledger entry, unchanged.
            9 ImportEntry(entry: ImportEntry) of Bonuses, "import_entry" as "import_bonus" since 1
                gives EntryImported { entry: u64 };
            /// Reverses a ledger entry, by another of the negative amount.
            10 ReverseEntry { entry: u64 } of Bonuses, "reverse_entry" as "reverse_bonus" since 3
                /// `reversal` reverses `entry`, and is `held` as that was; pending otherwise.
                gives Reversed { entry: u64, held: bool, reversal: u64 };
            /// Marks paid the pending entries that match a filter, or all of them if it is empty.
            11 PayMatching(filter: PayFilter) of Bonuses, "pay_matching" as "pay_all" since 3
                /// How many became paid, and their sum.
                gives MatchingPaid { amount: WideMoney, entries: u32 } if entries;
            /// Holds, releases or voids one ledger entry. Idempotent.
            12 ChangeEntry(change: ChangeEntry) of Bonuses, "change_entry" as "change_bonus" since 4
                gives EntryChanged { entry: u64, changed: bool } if changed;
            /// Marks a member's trigger of this name as paid once, without paying: for imports. Idempotent.
            13 KeepOnce { source: MemberId, trigger: Box<str> } of Bonuses, "keep_once" as "keep_once" since 5
                gives OnceKept { member: MemberIx, changed: bool } if changed;
            /// Places an order and books it in all calendars. The same order again changes nothing.
            14 PlaceOrder(order: Box<PlaceOrder>) of Orders, "place_order" as "place_order" since 6
                gives OrderPlaced { order: u32, changed: bool } if changed;
            /// Refunds an order, or a part of it. The same refund again changes nothing.
            15 RefundOrder(refund: Box<RefundOrder>) of Orders, "refund_order" as "refund_order" since 6
                gives OrderRefunded { refund: u32, changed: bool } if changed;
            /// Opens the next period of a calendar. Sent by the server when it is time.
            16 OpenPeriod(period: OpenPeriod) of Periods, "open_period" as "open_period" since 6
                gives PeriodOpened { calendar: u32, period: u32 };
            /// Begins to close a period whose end has passed. Sent by the server when it is time.
            17 ClosePeriod(period: PeriodRef) of Periods, "close_period" as "close_period" since 6
                gives PeriodClosing { period: u32, changed: bool } if changed;
            /// Locks, unlocks, approves or posts a period. Idempotent.
            18 StepPeriod(step: Box<StepPeriod>) of Periods, "step_period" as "step_period" since 6
                gives PeriodStepped { period: u32, changed: bool } if changed;
            /// Records the result of a run of a locked period.
            19 RecordRun(run: Box<RecordRun>) of Periods, "record_run" as "record_run" since 6
                gives RunRecorded { run: u32 };
            /// Sets attributes of a member. Idempotent.
            20 SetAttributes(change: Box<SetAttributes>) of Members,
                "set_attributes" as "set_attributes" since 6
                gives AttributesSet { member: MemberIx, changed: bool } if changed;
            /// Seals a posted period: its orders are in files from now on. Idempotent.
            21 SealPeriod(seal: Box<SealPeriod>) of Periods, "seal_period" as "seal_period" since 7
                /// Orders that left the state.
                gives PeriodSealed { seal: u32, orders: u32, changed: bool } if changed;
            /// Adds rows to the opening state: what members bring from before the first period.
            22 AddOpening(add: Box<AddOpening>) of Periods, "add_opening" as "add_opening" since 7
                /// The position of the first of them, and how many they are.
                gives OpeningAdded { first: u32, rows: u32 };
            /// Ends the opening state, which is complete. Idempotent.
            23 CloseOpening(close: Box<CloseOpening>) of Periods, "close_opening" as "close_opening" since 7
                gives OpeningClosed { rows: u32, changed: bool } if changed;
            /// Brings a sealed order back, to be refunded. Sent by the server. Idempotent.
            24 RecallOrder(order: Box<RecallOrder>) of Orders, "recall_order" as "recall_order" since 7
                gives OrderRecalled { order: u32, changed: bool } if changed;
        }
    };
}
pub use __commands as commands;

macro_rules! kinds_of_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
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

        /// The outcome of a command. Small and `Copy`: idempotency keys remember it.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Outcome {
            /// 0: a rule refused it; nothing changed but the LSN.
            Rejected(Rejection),
            $($($(#[$given])* $outcome { $($part: $part_type),+ },)?)+
        }

        impl Outcome {
            /// Three numbers, the first of them the kind: the input of hashes that are on disk. Never
            /// changed.
            pub(in crate::core) fn words(self) -> [u64; 3] {
                match self {
                    Outcome::Rejected(rejection) => [0, rejection as u64, 0],
                    $($(Outcome::$outcome { $($part),+ } => {
                        let mut words = Words::default();
                        $($part.join(&mut words);)+
                        [$number, words.first, words.rest]
                    })?)+
                }
            }

            /// Whether it is that of a no-op: a status or role that the member already had, a bonus already
            /// paid, all pending ones where there were none.
            pub fn is_no_op(self) -> bool {
                match self {
                    $($($(Outcome::$outcome { $sign, .. } => is_nothing(&$sign),)?)?)+
                    _ => false,
                }
            }
        }
    };
}
commands!(kinds_of_commands);

/// Whether a field is false or 0.
fn is_nothing<T: Default + PartialEq>(sign: &T) -> bool {
    *sign == T::default()
}

/// The fields of an outcome as two numbers: the first field, and all others, 32 bits each if there are
/// several.
#[derive(Default)]
struct Words {
    has_first: bool,
    first: u64,
    rest: u64,
}

impl Words {
    fn push(&mut self, number: u64) {
        if self.has_first {
            self.rest = self.rest << 32 | number;
        } else {
            (self.has_first, self.first) = (true, number);
        }
    }
}

/// A field of an outcome.
trait Joined {
    fn join(self, words: &mut Words);
}

macro_rules! joined {
    ($($type:ty: |$value:ident| $($number:expr),+;)+) => {
        $(
            impl Joined for $type {
                #[inline]
                fn join(self, words: &mut Words) {
                    let $value = self;
                    $(words.push($number);)+
                }
            }
        )+
    };
}
joined! {
    bool: |value| u64::from(value);
    u32: |value| u64::from(value);
    u64: |value| value;
    MemberIx: |value| u64::from(value.0);
    WideMoney: |value| value.parts().1, u64::from(value.parts().0.cast_unsigned());
}

/// The rules that judge a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Domain {
    /// Members: their places, codes, statuses, roles, attributes.
    Members,
    /// The ledger.
    Bonuses,
    /// The plan.
    Plans,
    /// Orders and refunds.
    Orders,
    /// Periods of calendars, runs, and the opening state.
    Periods,
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
    /// Orders, periods or attributes refer to names by their place in the plan.
    PlanNamesRemoved = 40,
    /// The plan has no calendars, so the network takes no orders.
    OrdersNotTaken = 41,
    /// The id belongs to another order, or to a refund.
    OrderIdTaken = 42,
    /// Parts that do not add up, no line, an amount or volume out of range.
    OrderMalformed = 43,
    /// Not one of the plan's kinds of orders; or none, though the plan has some.
    OrderKindUnknown = 44,
    OrderTagUnknown = 45,
    MarketUnknown = 46,
    /// The customer belongs to another member.
    CustomerOfAnother = 47,
    /// The order is of a time before the first period of a calendar.
    BeforeOpening = 48,
    /// The order's period takes no more orders, and its calendar refuses late ones.
    OrderLate = 49,
    /// The order is of a time whose period is not open yet.
    PeriodNotOpen = 50,
    /// The sum of a volume over all orders would exceed what 64 bits hold.
    VolumesFull = 51,
    OrdersFull = 52,
    OrderUnknown = 53,
    /// The order has no such line.
    OrderLineUnknown = 54,
    /// More than is left of the order or of a line.
    RefundTooLarge = 55,
    CalendarUnknown = 56,
    PeriodUnknown = 57,
    /// The next period of a calendar begins where the one before ends, and has a label of its own.
    PeriodMismatched = 58,
    /// The end of the period has not passed.
    PeriodNotOver = 59,
    /// A period is locked after all earlier ones, unlocked before a later one is locked, run and posted after
    /// its predecessor was posted.
    PeriodOutOfOrder = 60,
    /// A period in this state cannot take the step.
    PeriodStepNotAllowed = 61,
    /// The run must be approved by somebody else than who made it.
    ApproverIsRunner = 62,
    /// The run does not fit the state: another plan, or commands that were not applied.
    RunMismatched = 63,
    /// The plan declares no such attribute, or no such tag.
    AttributeUnknown = 64,
    /// Too many attributes, one twice, or a tag that ends before it begins.
    AttributeMalformed = 65,
    OwnerUnknown = 66,
    /// The time of a correction is in no period, or only in locked ones.
    AttributePeriodLocked = 67,
    /// The member, or the network, had too many values of attributes.
    AttributesFull = 68,
    /// The order has as many refunds as are kept of one.
    RefundsFull = 69,
    /// There are as many periods, or as many steps or runs of them, as are kept.
    PeriodsFull = 70,
    /// What the files of a seal hold is not what would leave the state now.
    SealStale = 71,
    /// An order that does not fit the network is not one that was sealed.
    RecallMismatched = 72,
    /// The opening state is closed: it never changes again.
    OpeningClosed = 80,
    /// A period was locked, so the opening state may have been computed with.
    OpeningTooLate = 81,
    /// A row of the opening state lacks something that its kind has, or has what it does not.
    OpeningMalformed = 82,
    /// Rows of the opening state ascend, and each is there once.
    OpeningOutOfOrder = 83,
    /// The opening state has other rows than its end says.
    OpeningMismatched = 84,
    /// The opening state was begun and is not closed, so no period can be locked.
    OpeningUnfinished = 85,
    /// As many rows of a member, or of the network, or sums of them, as are kept.
    OpeningFull = 86,
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
