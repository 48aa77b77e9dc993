//! Commands of golden directories whose kinds came after those that `format.rs` places one by one: from the
//! table of commands, with contents by type.

use upline::core::{
    Actor, ActorKind, OpeningRow,
    command::{
        AddOpening, AttributeChange, ChangeEntry, CloseOpening, Command, CommandKind, Credit, EntryChange,
        ImportEntry, LinePart, OpenPeriod, OpeningEntry, OpeningKind, OpeningText, OrderId, OrderLine,
        PayFilter, PeriodRef, PeriodStep, PlaceOrder, RecordRun, RefundOrder, RefundScope, Register,
        SetAttributes, StepPeriod, TriggerBonus, WHOLE, commands,
    },
    plan::Plan,
    types::{MemberId, MemberIx, Money, Reason, Role, Status, Timestamp},
};

use super::{CREATED, member};

/// The last kind of command that has LSNs of its own in [`super::command`] or in [`in_turn`].
const PLACED: CommandKind = CommandKind::SetAttributes;

/// Kinds after that which have LSNs of their own too.
const OPENING: [CommandKind; 2] = [CommandKind::AddOpening, CommandKind::CloseOpening];

/// The other kinds after [`PLACED`] take turns, each from its version on.
pub fn command(version: u32, lsn: u64) -> Option<Command> {
    if let Some(kind) = in_turn(version, lsn) {
        return Some(golden_command(kind, lsn));
    }
    let has_turn = |kind: &CommandKind| PLACED < *kind && !OPENING.contains(kind) && kind.since() <= version;
    let kinds = CommandKind::ALL.into_iter().filter(has_turn);
    let kinds: Vec<CommandKind> = kinds.collect();
    let turn = usize::try_from(lsn / 20).unwrap() % kinds.len().max(1);
    kinds.get(turn).map(|kind| golden_command(*kind, lsn))
}

/// Kinds that need one another, in this order, under the plan that has calendars.
fn in_turn(version: u32, lsn: u64) -> Option<CommandKind> {
    let kind = match lsn {
        181..=188 | 280 => CommandKind::OpenPeriod,
        // The first is refused: the plan has no calendars yet.
        100 | 220 | 360 => CommandKind::PlaceOrder,
        240 => CommandKind::RefundOrder,
        300 => CommandKind::ClosePeriod,
        320 => CommandKind::StepPeriod,
        340 => CommandKind::RecordRun,
        // The second is a correction.
        190 | 191 => CommandKind::SetAttributes,
        192 => CommandKind::AddOpening,
        193 | 194 => CommandKind::CloseOpening,
        _ => return None,
    };
    (kind.since() <= version).then_some(kind)
}

/// The calendar whose first period is closed and locked.
const MONTH: u8 = 3;

fn order_id(kind: &str, lsn: u64) -> OrderId {
    OrderId::parse(&format!("{kind}-{lsn}")).unwrap()
}

fn hours(hours: i64) -> Timestamp {
    Timestamp(CREATED + hours * 3_600_000_000)
}

/// A field of a command, which follows from the LSN.
trait Golden: Sized {
    fn golden(_lsn: u64) -> Self {
        unreachable!("commands with such content have LSNs of their own")
    }
}

macro_rules! golden {
    ($($type:ty: |$lsn:ident| $value:expr;)+) => {
        $(
            impl Golden for $type {
                fn golden($lsn: u64) -> Self {
                    $value
                }
            }
        )+
    };
}
golden! {
    bool: |lsn| lsn.is_multiple_of(40);
    u64: |lsn| lsn / 20 * 3;
    Box<str>: |lsn| format!("golden-{lsn}").into();
    MemberId: |lsn| member(lsn - 18);
    Status: |_lsn| Status::Active;
    Role: |_lsn| Role::Member;
    EntryChange: |lsn| EntryChange::ALL[usize::try_from(lsn / 20).unwrap() % 3];
    Reason: |lsn| Reason::parse(&format!("golden {lsn}")).unwrap();
}
impl Golden for Box<PlaceOrder> {
    fn golden(lsn: u64) -> Self {
        let credit = |number: u64, part: u32| Credit { member: member(number), part };
        Box::new(PlaceOrder {
            id: order_id("order", lsn),
            credits: vec![credit(2, WHOLE / 4), credit(1, WHOLE / 4 * 3)],
            customer: Some(order_id("customer", 7)),
            time: None,
            kind: Some(1),
            tags: 1,
            group: Some(order_id("party", 3)),
            market: Some(1),
            lines: vec![
                OrderLine { amount: Money(12_345), volumes: vec![10_001] },
                OrderLine { amount: Money(5), volumes: Vec::new() },
            ],
        })
    }
}
impl Golden for Box<RefundOrder> {
    fn golden(lsn: u64) -> Self {
        let line = LinePart { line: 0, part: Some(WHOLE / 3) };
        Box::new(RefundOrder {
            id: order_id("refund", lsn),
            order: order_id("order", lsn - 20),
            time: Some(hours(230)),
            scope: RefundScope::Lines(vec![line]),
        })
    }
}
impl Golden for OpenPeriod {
    /// One of each calendar, and then a second one of [`MONTH`].
    fn golden(lsn: u64) -> Self {
        let (calendar, start, end) = match lsn {
            ..200 if lsn - 181 == u64::from(MONTH) => (MONTH, 0, 305),
            ..200 => (u8::try_from(lsn - 181).unwrap(), 0, 9_000),
            _ => (MONTH, 305, 9_000),
        };
        let label = order_id("period", lsn);
        OpenPeriod { calendar, label, start: hours(start), end: hours(end), grace_until: hours(end) }
    }
}
impl Golden for PeriodRef {
    fn golden(_lsn: u64) -> Self {
        PeriodRef { calendar: MONTH, period: 0 }
    }
}
impl Golden for Box<StepPeriod> {
    fn golden(lsn: u64) -> Self {
        Box::new(StepPeriod {
            period: Golden::golden(lsn),
            step: PeriodStep::Lock,
            reason: Some(Golden::golden(lsn)),
            by: Actor::new(ActorKind::Admin, "golden"),
        })
    }
}
impl Golden for Box<RecordRun> {
    fn golden(lsn: u64) -> Self {
        Box::new(RecordRun {
            period: Golden::golden(lsn),
            plan_version: 2,
            up_to_lsn: lsn - 10,
            lines: 0,
            digest: [7; 32],
            by: Actor::new(ActorKind::Admin, "golden"),
        })
    }
}
impl Golden for Box<SetAttributes> {
    fn golden(lsn: u64) -> Self {
        let tag = AttributeChange::Tag { tag: 0, from: Some(hours(1)), until: None, set: true };
        let correction = vec![AttributeChange::Market(Some(1)), AttributeChange::Owner(Some(member(1)))];
        let (changes, effective) = if lsn == 190 { (vec![tag], None) } else { (correction, Some(hours(2))) };
        Box::new(SetAttributes { member: member(2), changes, effective })
    }
}
impl Golden for Box<AddOpening> {
    fn golden(_lsn: u64) -> Self {
        let text = |text: &str| OpeningText::parse(text).unwrap();
        let carry = OpeningEntry {
            member: member(1),
            kind: OpeningKind::Carry,
            name: text("binary"),
            text: text(""),
            calendar: None,
            position: 1,
            since: Some(hours(3)),
            value: 31_051,
            decimals: 2,
        };
        let held = OpeningEntry {
            member: member(2),
            kind: OpeningKind::Held,
            name: text("title"),
            text: text("Silver Executive"),
            calendar: Some(MONTH),
            position: 0,
            since: None,
            value: 0b1_0111,
            decimals: 0,
        };
        Box::new(AddOpening { rows: vec![carry, held] })
    }
}
impl Golden for Box<CloseOpening> {
    /// The first is refused: the digest is of other rows.
    fn golden(lsn: u64) -> Self {
        let AddOpening { rows } = *<Box<AddOpening> as Golden>::golden(lsn);
        let mut bytes = Vec::new();
        for row in &rows {
            OpeningRow::new(MemberIx(0), row).put_bytes(row.member, &mut bytes);
        }
        let digest = if lsn == 193 { [7; 32] } else { *blake3::hash(&bytes).as_bytes() };
        Box::new(CloseOpening { rows: 2, digest, by: Actor::new(ActorKind::Cli, "golden") })
    }
}
impl Golden for Box<Plan> {}
impl Golden for Register {}
impl Golden for TriggerBonus {}
impl Golden for ImportEntry {}
impl Golden for PayFilter {}
impl Golden for ChangeEntry {}

macro_rules! golden_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        fn golden_command(kind: CommandKind, lsn: u64) -> Command {
            match kind {
                $(CommandKind::$kind => {
                    $(let $content: $type = Golden::golden(lsn);)?
                    $($(let $field: $field_type = Golden::golden(lsn);)+)?
                    Command::$kind $(($content))? $({ $($field),+ })?
                })+
            }
        }
    };
}
commands!(golden_commands);
