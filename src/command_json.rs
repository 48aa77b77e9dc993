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
//! # Commands by `kind`
//!
//! | kind | fields |
//! | --- | --- |
//! | `register` | `user_id`; `sponsor`: `null` for a root, `{"user_id"}` or `{"code"}`; `placement`: `{"by": "plan"}`, `{"by": "rule", "rule"}` or `{"by": "slot", "parent", "slot"}`; `code`: the referral code given, or `null`; `role`; `joined_at`: a time, or `null` for the log time; `origin`: `signup` or `import`; `carried`: `null`, or what was carried over for an imported member: `{"id"` (its row's id elsewhere, or `null`), `"lifetime_rank"`, `"turn"` (0: nothing), `"status"`, `"sponsor_too"` (whether the sponsor was imported too, so that the sponsor's being active was not checked)`}` |
//! | `trigger_bonus` | `source`, `trigger`, `amount_minor`: minor units or `null`, `once`, `reference`: the outside system's name for its origin, or `null` |
//! | `pay_bonus` | `bonus`: the row id, `entry`: the position in the ledger |
//! | `pay_all` | which pending ones, each `null` if unrestricted: `up_to_lsn`: made by commands up to this one, `bonus_kind`, `receiver`, `from` and `to`: times, the first included, the second not |
//! | `change_bonus` | `bonus`: the row id, `entry`: its position in the ledger, `change`: `hold`, `release` or `void`, `reason`: why, in a person's words |
//! | `keep_once` | `source`, `trigger`: this member's trigger of this name counts as paid once; an import carries it over |
//! | `reverse_bonus` | `bonus`: the row id of the one taken back, `entry`: its position in the ledger |
//! | `set_status` | `user_id`, `status` |
//! | `set_role` | `user_id`, `role` |
//! | `put_plan` | `plan`: the document of `plan_document` |
//! | `import_bonus` | `receiver`, `source`, `bonus_kind`, `level`, `amount_minor`, `status`, `time`, `id`: its row's id elsewhere, or `null`, `reference`, `reverses`: the row id of the bonus that it takes back, or `null` |
//!
//! Members are identified by UUID. Amounts are in minor units of the plan's currency, except in a plan: that
//! is the document of `/v1/plan`.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    engine::{
        Actor, ActorKind, Carried, ChangeEntry, Code, Command, ImportEntry, MemberId, Origin, PayFilter,
        PlacementRequest, Reference, Register, Role, SponsorRef, Stamped, Status, Timestamp,
    },
    plan_document::PlanDocument,
};

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
    let mut value = match command {
        Command::Register(register) => register_json(register),
        Command::TriggerBonus(trigger) => json!({
            "source": uuid(trigger.source),
            "trigger": trigger.trigger,
            "amount_minor": trigger.amount.map(|amount| amount.0),
            "once": trigger.once,
            "reference": trigger.reference.as_ref().map(Reference::as_str),
        }),
        Command::PayEntry { entry } | Command::ReverseEntry { entry } => {
            json!({"bonus": bonus_id(*entry), "entry": entry})
        }
        Command::ChangeEntry(ChangeEntry { entry, change, reason }) => json!({
            "bonus": bonus_id(*entry),
            "entry": entry,
            "change": change.name(),
            "reason": reason.as_str(),
        }),
        Command::PayAll => filter_json(&PayFilter::default()),
        Command::PayMatching(filter) => filter_json(filter),
        Command::SetStatus { member, status } => {
            json!({"user_id": uuid(*member), "status": status_name(*status)})
        }
        Command::SetRole { member, role } => json!({"user_id": uuid(*member), "role": role_name(*role)}),
        Command::PutPlan(plan) => json!({"plan": PlanDocument::new(plan)}),
        Command::ImportEntry(entry) => import_json(entry, bonus_id),
        Command::KeepOnce { source, trigger } => json!({"source": uuid(*source), "trigger": trigger}),
    };
    value["kind"] = command.kind().printed().into();
    value
}

fn filter_json(filter: &PayFilter) -> Value {
    let PayFilter { up_to_lsn, kind, receiver, from, until } = filter;
    json!({
        "up_to_lsn": up_to_lsn,
        "bonus_kind": kind,
        "receiver": receiver.map(uuid),
        "from": from.map(time_text),
        "to": until.map(time_text),
    })
}

fn register_json(register: &Register) -> Value {
    let sponsor = match &register.sponsor {
        SponsorRef::None => Value::Null,
        SponsorRef::Member(id) => json!({"user_id": uuid(*id)}),
        SponsorRef::Code(code) => json!({"code": code.as_str()}),
    };
    let placement = match register.placement {
        PlacementRequest::PlanDefault => json!({"by": "plan"}),
        PlacementRequest::Rule(rule) => json!({"by": "rule", "rule": rule.name()}),
        PlacementRequest::Slot { parent, slot } => {
            json!({"by": "slot", "parent": uuid(parent), "slot": slot})
        }
    };
    json!({
        "user_id": uuid(register.member),
        "sponsor": sponsor,
        "placement": placement,
        "code": register.code.as_ref().map(Code::as_str),
        "role": role_name(register.role),
        "joined_at": register.joined_at.map(time_text),
        "origin": match register.origin {
            Origin::Signup => "signup",
            Origin::Import(_) => "import",
        },
        "carried": match register.origin {
            Origin::Import(carried) if carried != Carried::default() => carried_json(carried),
            Origin::Import(_) | Origin::Signup => Value::Null,
        },
    })
}

/// Returns what was carried over for an imported member; 0 means nothing, as in the log.
fn carried_json(carried: Carried) -> Value {
    json!({
        "id": carried.row_id.map(Uuid::from_bytes),
        "lifetime_rank": carried.lifetime_rank,
        "turn": carried.turn,
        "status": status_name(carried.status),
        "sponsor_too": carried.sponsor_too,
    })
}

fn import_json(entry: &ImportEntry, bonus_id: &dyn Fn(u64) -> Uuid) -> Value {
    json!({
        "receiver": uuid(entry.receiver),
        "source": uuid(entry.source),
        "bonus_kind": entry.kind,
        "level": entry.level,
        "amount_minor": entry.amount.0,
        "status": entry.status.name(),
        "time": time_text(entry.time),
        "id": entry.row_id.map(Uuid::from_bytes),
        "reference": entry.reference.as_ref().map(Reference::as_str),
        "reverses": entry.reverses.map(bonus_id),
    })
}

/// Returns a time as RFC 3339, UTC, with microseconds; as a number of microseconds beyond the calendar.
pub fn time_text(time: Timestamp) -> String {
    crate::time_text::print(time)
}

fn uuid(id: MemberId) -> Uuid {
    Uuid::from_bytes(id.0)
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Active => "active",
        Status::Inactive => "inactive",
        Status::Terminated => "terminated",
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EntryChange, Money, PlacementRule, Reason, RequestKey, TriggerBonus};

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
