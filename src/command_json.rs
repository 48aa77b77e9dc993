//! Commands as JSON: the only form in which a logged command is shown, by the change feed and by `upline
//! inspect log`.
//!
//! # A stamped command
//!
//! | field | what |
//! | --- | --- |
//! | `lsn` | log sequence number |
//! | `time` | log time, RFC 3339 UTC with microseconds |
//! | `idempotency_key` | `null`, or `{"key", "fingerprint"}`: hexadecimal hashes of the client's key and of the request it was sent with |
//! | `actor` | who sent it: `{"kind", "id"}`; `kind` is `member`, `service`, `auditor` or `admin` (the id is that of the key, or the subject of the token), `anonymous` (where no credentials are required; the peer's address), `cli` (the operating system's user who ran a command), `unknown` (logged before format 3; the id is `null`) |
//! | `command` | below; `kind` says which |
//!
//! The fields of each command are those of the table below, which also describes them for `/openapi.json`.
//! Members are identified by UUID. Amounts are in minor units of the plan's currency, except in a plan: that
//! is the document of `/v1/plan`.

pub mod schema;
mod shown;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use self::{
    schema::{Named, constant, object, one_of},
    shown::{BonusId, Facts, Shown},
};
use crate::engine::{
    Actor, ActorKind, AttributeChange, Code, Command, CommandKind, Credit, EntryChange, EntryStatus,
    MemberId, Money, OpeningEntry, OrderId, OrderLine, Origin, PayFilter, PeriodStep, PlacementRequest, Plan,
    Reason, Reference, RefundScope, Role, SponsorRef, Stamped, Status, Timestamp,
};

/// The commands as they are shown: the fields of each, with their types ([`Shown`]), values, and what the
/// description says of them. `kind` is added to all.
macro_rules! shown {
    ($(
        $kind:ident $(($content:ident))? $({ $($part:ident),+ })? $about:literal {
            $($field:ident: $type:ty = $value:expr $(, $note:literal)?;)+
        }
    )+) => {
        /// Returns the fields of a command.
        fn fields_of(command: &Command, bonus_id: &dyn Fn(u64) -> Uuid) -> Map<String, Value> {
            let mut fields = Map::new();
            match command {
                $(Command::$kind $(($content))? $({ $($part),+ })? => {
                    $(
                        let value = <$type as Shown>::shown(&$value, bonus_id);
                        fields.insert(stringify!($field).into(), value);
                    )+
                })+
                // The kind that came before filters is shown as they are.
                Command::PayAll => return fields_of(&Command::PayMatching(PayFilter::default()), bonus_id),
            }
            fields
        }

        /// Returns the schema of each command that prints a name of its own.
        fn schemas_of_commands() -> Vec<(CommandKind, Value)> {
            vec![$({
                let mut fields = Map::new();
                fields.insert("kind".into(), constant(CommandKind::$kind.printed()));
                $(
                    #[allow(unused_mut, reason = "most fields need no note")]
                    let mut schema = <$type as Shown>::schema();
                    $(schema["description"] = $note.into();)?
                    fields.insert(stringify!($field).into(), schema);
                )+
                (CommandKind::$kind, object($about, fields.into()))
            }),+]
        }
    };
}
shown! {
    Register(register) "A signup, or a member of an import" {
        user_id: MemberId = register.member;
        sponsor: SponsorRef = register.sponsor;
        placement: PlacementRequest = register.placement;
        code: Option<Code> = register.code, "The referral code that was given";
        role: Role = register.role;
        joined_at: Option<Timestamp> = register.joined_at, "Null: the log time";
        origin: Origin = register.origin;
        carried: Facts = Facts(register.origin);
    }
    TriggerBonus(trigger) "A trigger that pays the uplines of its source" {
        source: MemberId = trigger.source;
        trigger: Box<str> = trigger.trigger;
        amount_minor: Option<Money> = trigger.amount;
        once: bool = trigger.once, "Pays once for its source";
        reference: Option<Reference> = trigger.reference, "The external system's name for its origin";
    }
    PayEntry { entry } "One bonus is marked paid" {
        bonus: BonusId = BonusId(*entry), "Id of the bonus";
        entry: u64 = *entry, "Its position in the ledger";
    }
    SetStatus { member, status } "A member's status" {
        user_id: MemberId = *member;
        status: Status = *status;
    }
    SetRole { member, role } "A member's role" {
        user_id: MemberId = *member;
        role: Role = *role;
    }
    PutPlan(plan) "A plan comes into force" {
        plan: Plan = **plan;
    }
    ImportEntry(entry) "A bonus of an import" {
        receiver: MemberId = entry.receiver;
        source: MemberId = entry.source;
        bonus_kind: Box<str> = entry.kind;
        level: u32 = entry.level;
        amount_minor: Money = entry.amount;
        status: EntryStatus = entry.status;
        time: Timestamp = entry.time;
        id: Option<[u8; 16]> = entry.row_id, "Its id elsewhere";
        reference: Option<Reference> = entry.reference, "The external system's name for its origin";
        reverses: Option<BonusId> = entry.reverses.map(BonusId), "Id of the bonus that it takes back";
    }
    ReverseEntry { entry } "A bonus is taken back" {
        bonus: BonusId = BonusId(*entry), "Id of the bonus that is taken back";
        entry: u64 = *entry, "Its position in the ledger";
    }
    PayMatching(filter) "Pending bonuses are marked paid: those that pass every filter that is not null" {
        up_to_lsn: Option<u64> = filter.up_to_lsn, "Made by commands up to this one, and not released since";
        bonus_kind: Option<Box<str>> = filter.kind;
        receiver: Option<MemberId> = filter.receiver;
        from: Option<Timestamp> = filter.from, "Of this time or later";
        to: Option<Timestamp> = filter.until, "Of before this time";
    }
    ChangeEntry(change)
    "A bonus is held, released or voided, and with it the other half of a reversal if neither is paid" {
        bonus: BonusId = BonusId(change.entry), "Id of the bonus";
        entry: u64 = change.entry, "Its position in the ledger";
        change: EntryChange = change.change;
        reason: Reason = change.reason, "Why, in a person's words";
    }
    KeepOnce { source, trigger } "A trigger counts as paid once: an import carries it over" {
        source: MemberId = *source;
        trigger: Box<str> = *trigger;
    }
    PlaceOrder(order) "An order" {
        order_id: OrderId = order.id;
        credits: Vec<Credit> = order.credits;
        customer: Option<OrderId> = order.customer, "Null: the first credited member bought it";
        time: Option<Timestamp> = order.time, "Null: the log time";
        order_kind: Option<u16> = order.kind, "Position in the plan's kinds";
        tags: u64 = order.tags, "A bit for each of the plan's tags of orders";
        group: Option<OrderId> = order.group;
        market: Option<u16> = order.market, "Position in the plan's markets";
        lines: Vec<OrderLine> = order.lines;
    }
    RefundOrder(refund) "A refund of an order" {
        refund_id: OrderId = refund.id;
        order_id: OrderId = refund.order;
        time: Option<Timestamp> = refund.time, "Null: the log time";
        lines: RefundScope = refund.scope;
    }
    OpenPeriod(open) "A period opens" {
        calendar: u8 = open.calendar, "Position in the plan's calendars";
        period: OrderId = open.label;
        start: Timestamp = open.start;
        end: Timestamp = open.end;
        grace_until: Timestamp = open.grace_until;
    }
    ClosePeriod(period) "The end of a period has passed" {
        calendar: u8 = period.calendar, "Position in the plan's calendars";
        number: u32 = period.period, "Counted from 0 in the calendar";
    }
    StepPeriod(step) "A period is locked, unlocked, approved or posted" {
        calendar: u8 = step.period.calendar, "Position in the plan's calendars";
        number: u32 = step.period.period, "Counted from 0 in the calendar";
        step: PeriodStep = step.step;
        reason: Option<Reason> = step.reason, "Why, in a person's words";
    }
    RecordRun(run) "The result of a run of a period" {
        calendar: u8 = run.period.calendar, "Position in the plan's calendars";
        number: u32 = run.period.period, "Counted from 0 in the calendar";
        plan_version: u32 = run.plan_version;
        up_to_lsn: u64 = run.up_to_lsn, "The last command that it took into account";
        pay_lines: u64 = run.lines;
        digest: [u8; 32] = run.digest, "BLAKE3 of the results";
    }
    SealPeriod(seal) "A posted period is sealed: files have its orders" {
        calendar: u8 = seal.period.calendar, "Position in the plan's calendars";
        number: u32 = seal.period.period, "Counted from 0 in the calendar";
        seal: u32 = seal.seal, "Number of the seal, counted from 0";
        as_of: u64 = seal.as_of, "The command up to which the files know the network";
        orders: u32 = seal.orders, "Orders in the files";
        refunds: u32 = seal.refunds, "Refunds in the files";
        manifest: [u8; 32] = seal.manifest, "BLAKE3 of the manifest that names the files";
        boundary: u64 = seal.boundary, "The last command at the end of the period";
        network: [u8; 32] = seal.network, "BLAKE3 of the manifest of the network's files at that end";
        reason: Option<Reason> = seal.reason, "Why, in a person's words";
    }
    RecallOrder(order) "A sealed order is brought back, to be refunded" {
        order_id: OrderId = order.id;
        placed: u64 = order.lsn, "The command that placed it";
        time: Timestamp = order.time;
    }
    SetAttributes(change) "Attributes of a member" {
        user_id: MemberId = change.member;
        changes: Vec<AttributeChange> = change.changes;
        effective: Option<Timestamp> = change.effective, "Since when they hold; null: the log time";
    }
    AddOpening(add) "Rows of the opening state" {
        rows: Vec<OpeningEntry> = add.rows;
    }
    CloseOpening(close) "The opening state is complete" {
        rows: u64 = close.rows, "How many rows it has";
        digest: [u8; 32] = close.digest, "BLAKE3 of the rows";
    }
}

/// Returns the schemas of commands: `Command`, which is one of them, theirs, and those of their parts.
pub fn schemas() -> Named {
    // `pay_bonus` is a `PayBonusCommand`.
    let name_of = |kind: &str| -> String {
        let capitalized = |word: &str| word[..1].to_uppercase() + &word[1..];
        kind.split('_').map(capitalized).chain(["Command".into()]).collect()
    };
    let names: Vec<_> = CommandKind::printed_names().into_iter().map(|kind| (kind, name_of(kind))).collect();
    let kinds: Vec<_> = names.iter().map(|(kind, schema)| (*kind, schema.as_str())).collect();
    let mut all = vec![("Command".into(), one_of("A command; `kind` says which", "kind", &kinds))];
    all.extend(schemas_of_commands().into_iter().map(|(kind, schema)| (name_of(kind.printed()), schema)));
    all.extend(shown::parts().into_iter().map(|(name, schema)| (name.into(), schema)));
    all
}

/// Returns a logged command. `bonus_id` derives the row id of a ledger entry from its position.
pub fn stamped_json(stamped: &Stamped, bonus_id: &dyn Fn(u64) -> Uuid) -> Value {
    let key = stamped.key.map(|key| {
        let fingerprint = format!("{:016x}", key.fingerprint);
        json!({"key": format!("{:032x}", u128::from_be_bytes(key.key)), "fingerprint": fingerprint})
    });
    json!({
        "lsn": stamped.lsn,
        "time": time_text(stamped.time),
        "idempotency_key": key,
        "actor": actor_json(stamped.actor.as_ref()),
        "command": command_json(&stamped.command, bonus_id),
    })
}

/// Returns who sent a command.
pub fn actor_json(actor: Option<&Actor>) -> Value {
    let id = actor.map(Actor::id).filter(|id| !id.is_empty());
    json!({"kind": actor.map_or(ActorKind::Unknown, Actor::kind).name(), "id": id})
}

/// Returns a command without its stamp.
pub fn command_json(command: &Command, bonus_id: &dyn Fn(u64) -> Uuid) -> Value {
    let mut fields = fields_of(command, bonus_id);
    fields.insert("kind".into(), command.kind().printed().into());
    fields.into()
}

/// Returns a time as RFC 3339, UTC, with microseconds; as a number of microseconds beyond the calendar.
pub fn time_text(time: Timestamp) -> String {
    crate::time_text::print(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Carried, ChangeEntry, PlacementRule, Register, RequestKey, TriggerBonus};

    fn id(number: u8) -> MemberId {
        MemberId([number; 16])
    }

    fn shown(command: &Command) -> Value {
        command_json(command, &|entry| Uuid::from_u128(u128::from(entry)))
    }

    #[test]
    fn every_kind_says_everything_it_has() {
        let register = Register {
            member: id(1),
            sponsor: SponsorRef::Code(Code::parse("Ann").unwrap()),
            placement: PlacementRequest::Rule(PlacementRule::PowerLeg),
            code: Code::parse("bob"),
            role: Role::Admin,
            joined_at: Some(Timestamp(0)),
            origin: Origin::Import(Carried {
                row_id: Some([9; 16]),
                lifetime_rank: 3,
                status: Status::Inactive,
                ..Carried::default()
            }),
        };
        let first = "01010101-0101-0101-0101-010101010101";
        let expected = json!({
            "kind": "register", "user_id": first, "sponsor": {"code": "Ann"},
            "placement": {"by": "rule", "rule": "power-leg"}, "code": "bob",
            "role": "admin", "joined_at": "1970-01-01T00:00:00.000000Z", "origin": "import",
            "carried": {
                "id": "09090909-0909-0909-0909-090909090909", "lifetime_rank": 3, "turn": 0,
                "status": "inactive", "sponsor_too": false,
            },
        });
        assert_eq!(shown(&Command::Register(register.clone())), expected);
        let plain = Register {
            sponsor: SponsorRef::Member(id(2)),
            placement: PlacementRequest::Slot { parent: id(1), slot: 2 },
            code: None,
            joined_at: None,
            ..register
        };
        let plain = shown(&Command::Register(plain));
        assert_eq!(plain["placement"], json!({"by": "slot", "parent": first, "slot": 2}));
        assert_eq!((&plain["code"], &plain["joined_at"]), (&Value::Null, &Value::Null));
        let trigger = TriggerBonus {
            source: id(1),
            trigger: "referral".into(),
            amount: Some(Money(1_050)),
            once: true,
            reference: Reference::parse("A 7"),
        };
        let any = json!({
            "kind": "pay_all", "up_to_lsn": null, "bonus_kind": null, "receiver": null, "from": null,
            "to": null,
        });
        let some = PayFilter {
            up_to_lsn: Some(9),
            kind: Some("purchase".into()),
            receiver: Some(id(1)),
            from: Some(Timestamp(0)),
            until: Some(Timestamp(1_000_000)),
        };
        // command, expected JSON
        let table = [
            (
                Command::TriggerBonus(trigger),
                json!({
                    "kind": "trigger_bonus", "source": first, "trigger": "referral", "amount_minor": 1_050,
                    "once": true, "reference": "A 7",
                }),
            ),
            (
                Command::PayEntry { entry: 7 },
                json!({"kind": "pay_bonus", "bonus": "00000000-0000-0000-0000-000000000007", "entry": 7}),
            ),
            (Command::PayAll, any.clone()),
            (Command::PayMatching(PayFilter::default()), any),
            (
                Command::PayMatching(some),
                json!({
                    "kind": "pay_all", "up_to_lsn": 9, "bonus_kind": "purchase", "receiver": first,
                    "from": "1970-01-01T00:00:00.000000Z",
                    "to": "1970-01-01T00:00:01.000000Z",
                }),
            ),
            (
                Command::ChangeEntry(ChangeEntry {
                    entry: 7,
                    change: EntryChange::Hold,
                    reason: Reason::parse("under review").unwrap(),
                }),
                json!({
                    "kind": "change_bonus", "bonus": "00000000-0000-0000-0000-000000000007", "entry": 7,
                    "change": "hold", "reason": "under review",
                }),
            ),
            (
                Command::ReverseEntry { entry: 7 },
                json!({"kind": "reverse_bonus", "bonus": "00000000-0000-0000-0000-000000000007", "entry": 7}),
            ),
            (
                Command::KeepOnce { source: id(1), trigger: "referral".into() },
                json!({"kind": "keep_once", "source": first, "trigger": "referral"}),
            ),
            (
                Command::SetStatus { member: id(1), status: Status::Terminated },
                json!({"kind": "set_status", "user_id": first, "status": "terminated"}),
            ),
            (
                Command::SetRole { member: id(1), role: Role::Member },
                json!({"kind": "set_role", "user_id": first, "role": "member"}),
            ),
        ];
        for (command, expected) in table {
            assert_eq!(shown(&command), expected);
        }
    }

    #[test]
    fn a_plan_is_shown_by_the_names_of_its_file() {
        let plan = shown(&Command::PutPlan(Box::new(crate::plan_file::default_plan())));
        assert_eq!(plan["kind"], "put_plan");
        let plan = &plan["plan"];
        assert_eq!(
            (&plan["placement"]["width"], &plan["placement"]["rule"]),
            (&json!(3), &json!("breadth-first"))
        );
        let rate = json!({"by": "level", "money": ["10.00", "5.00", "2.00", "1.00"]});
        assert_eq!((&plan["trigger"][0]["id"], &plan["trigger"][0]["rate"]), (&json!("referral"), &rate));
        let ladder = &plan["ladder"]["live"];
        assert_eq!((&ladder["rule"], &ladder["basis"]), (&json!("thresholds"), &json!("downline")));
        assert_eq!(ladder["rank"][0], json!({"name": "Bronze", "minimum": 3}));
    }

    #[test]
    fn a_stamp_has_its_key_as_text() {
        let key = RequestKey { key: [0xab; 16], fingerprint: 0x1f };
        let stamped = Stamped {
            lsn: 9,
            time: Timestamp(1_500_000),
            key: Some(key),
            actor: None,
            format: 1,
            command: Command::PayAll,
        };
        let shown = stamped_json(&stamped, &|_| Uuid::nil());
        let by = Stamped { actor: Some(Actor::new(ActorKind::Service, "ulk_1")), ..stamped.clone() };
        assert_eq!(stamped_json(&by, &|_| Uuid::nil())["actor"], json!({"kind": "service", "id": "ulk_1"}));
        let key = json!({"key": "ab".repeat(16), "fingerprint": "000000000000001f"});
        let expected = json!({
            "lsn": 9, "time": "1970-01-01T00:00:01.500000Z", "idempotency_key": key,
            "actor": {"kind": "unknown", "id": null},
            "command": command_json(&Command::PayAll, &|_| Uuid::nil()),
        });
        assert_eq!(shown, expected);
    }
}
