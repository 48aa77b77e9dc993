//! Commands of golden directories whose kinds came after those that `format.rs` places one by one: from the
//! table of commands, with contents by type.

use upline::core::{
    Actor, ActorKind, OpeningRow,
    command::{
        AddOpening, AttributeChange, ChangeEntry, CloseOpening, Command, CommandKind, Credit, EntryChange,
        ImportEntry, LinePart, OpenPeriod, OpeningEntry, OpeningKind, OpeningText, OrderId, OrderLine,
        PayFilter, PeriodRef, PeriodStep, PlaceOrder, RecallBooking, RecallLine, RecallOrder, RecallRefund,
        RecordRun, RefundOrder, RefundScope, Register, SealPeriod, SetAttributes, StepPeriod, TriggerBonus,
        WHOLE, commands,
    },
    plan::Plan,
    types::{MemberId, MemberIx, Money, Reason, Role, Status, Timestamp},
};

use super::{CREATED, member};

/// The last kind of command that has LSNs of its own in [`super::command`] or in [`in_turn`].
const PLACED: CommandKind = CommandKind::RecallOrder;

/// Kinds after that which have LSNs of their own too.
const OPENING: [CommandKind; 2] = [CommandKind::AddOpening, CommandKind::CloseOpening];

/// The other kinds after [`PLACED`] take turns, each from its version on.
pub fn command(version: u32, lsn: u64) -> Option<Command> {
    if let Some(kind) = in_turn(version, lsn) {
        let mut command = golden_command(kind, lsn);
        if let Command::OpenPeriod(open) = &mut command
            && 7 <= version
            && lsn < 200
        {
            (open.end, open.grace_until) = (hours(305), hours(305));
        }
        return Some(command);
    }
    let has_turn = |kind: &CommandKind| PLACED < *kind && !OPENING.contains(kind) && kind.since() <= version;
    let kinds = CommandKind::ALL.into_iter().filter(has_turn);
    let kinds: Vec<CommandKind> = kinds.collect();
    let turn = usize::try_from(lsn / 20).unwrap() % kinds.len().max(1);
    kinds.get(turn).map(|kind| golden_command(*kind, lsn))
}

/// Whether a command from the table comes at this LSN instead of the usual one.
pub fn has_turn(version: u32, lsn: u64) -> bool {
    !lsn.is_multiple_of(20) && in_turn(version, lsn).is_some()
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
        // Version 7: all first periods become final, and one of them is sealed with both orders. One of these
        // is recalled and refunded.
        222 if 7 <= version => CommandKind::PlaceOrder,
        lsn if 7 <= version && OPENED.contains(&lsn) => CommandKind::OpenPeriod,
        lsn if 7 <= version && CLOSED.contains(&lsn) => CommandKind::ClosePeriod,
        lsn if 7 <= version && is_step(lsn) => CommandKind::StepPeriod,
        lsn if 7 <= version && RAN.contains(&lsn) => CommandKind::RecordRun,
        352 => CommandKind::SealPeriod,
        353 => CommandKind::RecallOrder,
        354 if 7 <= version => CommandKind::RefundOrder,
        _ => return None,
    };
    (kind.since() <= version).then_some(kind)
}

/// The calendar whose first period is closed and locked; from version 7 on, that of all is.
const MONTH: u8 = 3;
const CALENDARS: u8 = 8;

/// Where the first periods of all other calendars are closed, locked, run, approved and posted, one after the
/// other, and the second ones opened.
const OPENED: [u64; 7] = [282, 283, 284, 285, 287, 288, 289];
const CLOSED: [u64; 7] = [302, 303, 304, 305, 307, 308, 309];
const LOCKED: [u64; 7] = [310, 311, 312, 313, 314, 315, 316];
const RAN: [u64; 7] = [322, 323, 324, 325, 327, 328, 329];
const APPROVED: [u64; 7] = [330, 331, 332, 333, 334, 335, 336];
const POSTED: [u64; 7] = [342, 343, 344, 345, 347, 348, 349];
/// Where that of [`MONTH`] is.
const MONTH_APPROVED: u64 = 350;
const MONTH_POSTED: u64 = 351;

fn is_step(lsn: u64) -> bool {
    [LOCKED, APPROVED, POSTED].iter().any(|lsns| lsns.contains(&lsn))
        || [MONTH_APPROVED, MONTH_POSTED].contains(&lsn)
}

/// The calendar of a command about periods.
fn calendar_at(lsn: u64) -> u8 {
    let lists = [OPENED, CLOSED, LOCKED, RAN, APPROVED, POSTED];
    let place = lists.iter().find_map(|lsns| lsns.iter().position(|at| *at == lsn));
    place.map_or(MONTH, |place| {
        let place = u8::try_from(place).unwrap();
        if place < MONTH { place } else { place + 1 }
    })
}

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
            order: order_id("order", if lsn == 354 { 220 } else { lsn - 20 }),
            time: (lsn != 354).then(|| hours(230)),
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
            _ => (calendar_at(lsn), 305, 9_000),
        };
        let label = order_id("period", lsn);
        OpenPeriod { calendar, label, start: hours(start), end: hours(end), grace_until: hours(end) }
    }
}
impl Golden for PeriodRef {
    fn golden(lsn: u64) -> Self {
        PeriodRef { calendar: calendar_at(lsn), period: 0 }
    }
}
impl Golden for Box<StepPeriod> {
    fn golden(lsn: u64) -> Self {
        Box::new(StepPeriod {
            period: Golden::golden(lsn),
            step: match lsn {
                lsn if APPROVED.contains(&lsn) || lsn == MONTH_APPROVED => PeriodStep::Approve,
                lsn if POSTED.contains(&lsn) || lsn == MONTH_POSTED => PeriodStep::Post,
                _ => PeriodStep::Lock,
            },
            reason: Some(Golden::golden(lsn)),
            // Who approves is not who ran it.
            by: Actor::new(ActorKind::Admin, if lsn < 330 { "golden" } else { "golden-2" }),
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
impl Golden for Box<SealPeriod> {
    fn golden(lsn: u64) -> Self {
        Box::new(SealPeriod {
            period: Golden::golden(lsn),
            seal: 0,
            as_of: lsn - 1,
            orders_known: 2,
            refunds_known: 1,
            orders: 2,
            refunds: 1,
            manifest: [9; 32],
            boundary: lsn - 50,
            network: [8; 32],
            reason: Some(Golden::golden(lsn)),
            by: Actor::new(ActorKind::Admin, "golden"),
        })
    }
}
impl Golden for Box<RecallOrder> {
    /// The order of LSN 220 with its refund, as it was sealed.
    fn golden(_lsn: u64) -> Self {
        let (order, refund) = (Box::<PlaceOrder>::golden(220), Box::<RefundOrder>::golden(240));
        Box::new(RecallOrder {
            id: order.id.clone(),
            lsn: 220,
            time: Timestamp(hours(300).0 + 220 * 60_000_000),
            fingerprint: order.fingerprint(),
            tags: order.tags,
            kind: order.kind,
            market: order.market,
            customer: order.customer.clone(),
            group: order.group.clone(),
            credits: order.credits.clone(),
            lines: vec![vec![12_345, 10_001, 8_001, 15_240], vec![5, 0, 0, 6]],
            periods: vec![0; usize::from(CALENDARS)],
            refunds: vec![RecallRefund {
                id: refund.id.clone(),
                lsn: 240,
                time: hours(230),
                fingerprint: refund.fingerprint(),
                lines: vec![RecallLine { line: 0, from: 0, to: WHOLE / 3 }],
                bookings: vec![RecallBooking { period: 0, state: 0 }; usize::from(CALENDARS)],
            }],
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
