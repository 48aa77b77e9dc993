//! The schema of the change feed's lines, field by field, for `/openapi.json`.
//!
//! Written by hand, since the feed is written by `command_json`, which `upline inspect` shares and which
//! knows no descriptions. The tests check every kind of command against this schema; no command may have a
//! field that is missing here.

use serde_json::{Map, Value, json};

use crate::engine::{ActorKind, CommandKind, Rejection};

/// Where the description of `GET /v1/events` has the schema of its lines.
const PLACE: &str = "/paths/~1v1~1events/get/responses/200/content/application~1x-ndjson/schema";

/// Adds the schemas, and refers to them from the route.
///
/// # Panics
/// When the route is not described, or a name is taken: our bug.
pub fn fill(description: &mut Value) {
    *description.pointer_mut(PLACE).expect("the change feed is described") = reference("Event");
    let Some(Value::Object(known)) = description.pointer_mut("/components/schemas") else {
        unreachable!("there are schemas")
    };
    if let Some(items) =
        known.get_mut("AuditList").and_then(|list| list.pointer_mut("/properties/items/items"))
    {
        *items = reference("AuditedCommand");
    }
    for (name, schema) in schemas() {
        assert!(known.insert(name.clone(), schema).is_none(), "{name} is described twice");
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object whose fields are all required.
fn object(about: &str, fields: Value) -> Value {
    let required: Vec<String> = fields.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    let mut schema = json!({ "type": "object", "description": about, "required": required });
    schema["properties"] = fields;
    schema
}

/// One of several objects, distinguished by a field.
fn one_of(about: &str, field: &str, choices: &[(&str, &str)]) -> Value {
    let mapping: Map<String, Value> = choices
        .iter()
        .map(|(value, name)| ((*value).to_owned(), format!("#/components/schemas/{name}").into()))
        .collect();
    json!({
        "description": about,
        "oneOf": choices.iter().map(|(_, name)| reference(name)).collect::<Vec<_>>(),
        "discriminator": { "propertyName": field, "mapping": mapping },
    })
}

fn schemas() -> Map<String, Value> {
    let all = [feed(), commands(), payments(), registration()];
    all.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

type Named = Vec<(&'static str, Value)>;

fn described(about: &str, mut schema: Value) -> Value {
    schema["description"] = about.into();
    schema
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn minor() -> Value {
    json!({ "type": "integer", "description": "Minor units of the plan's currency" })
}

fn constant(value: &str) -> Value {
    json!({ "type": "string", "const": value })
}

fn choice(values: &[&str]) -> Value {
    json!({ "type": "string", "enum": values })
}

/// The same, or null.
fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
        return schema;
    }
    json!({ "oneOf": [schema, { "type": "null" }] })
}

/// The reference of a trigger.
fn order() -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 64 });
    described("The external system's name for its origin", nullable(text))
}

fn list(items: Value) -> Value {
    let mut schema = json!({ "type": "array" });
    schema["items"] = items;
    schema
}

fn fate() -> Value {
    json!({
        "type": ["boolean", "null"],
        "description": "Whether it changed anything; null when it came too long ago for that to be known",
    })
}

fn reason() -> Value {
    let names = ["repeat", "already"].into_iter().chain(Rejection::ALL.into_iter().map(Rejection::name));
    json!({
        "type": ["string", "null"],
        "enum": names.map(Value::from).chain([Value::Null]).collect::<Vec<_>>(),
        "description": "Why it changed nothing: the code of a rejection, `repeat` (of an idempotency key), \
                        or `already` (it was so)",
    })
}

/// The lines themselves.
fn feed() -> Named {
    let event = json!({
        "description": "A line of the change feed",
        "oneOf": [reference("LoggedCommand"), reference("Heartbeat")],
    });
    let logged = object(
        "A command of the log, and what it did",
        json!({
            "lsn": json!({
                "type": "integer", "minimum": 1,
                "description": "Log sequence number: each command has the next",
            }),
            "time": described("Log time", time()),
            "idempotency_key": nullable(reference("LoggedKey")),
            "actor": reference("Actor"),
            "command": reference("Command"),
            "effect": reference("Effect"),
        }),
    );
    let actor = object(
        "Who sent a command",
        json!({
            "kind": choice(&ActorKind::ALL.map(ActorKind::name)),
            "id": nullable(json!({
                "type": "string", "maxLength": 128,
                "description": "Of a key, the token's subject, a peer's address, or an operating \
                                system's user, by kind",
            })),
        }),
    );
    let audited = object(
        "A command of the log, and whether it changed anything",
        json!({
            "lsn": json!({ "type": "integer", "minimum": 1, "description": "Log sequence number" }),
            "time": described("Log time", time()),
            "idempotency_key": nullable(reference("LoggedKey")),
            "actor": reference("Actor"),
            "command": reference("Command"),
            "changed": fate(),
            "unchanged": reason(),
        }),
    );
    let heartbeat = object(
        "Sent after 15 seconds without a command, and each second to a client that sends no more",
        json!({
            "heartbeat": { "type": "boolean", "const": true },
            "next_lsn": described("LSN of the next command to come", count()),
        }),
    );
    let key = object(
        "Hashes of an idempotency key and of what it was sent with, hexadecimal",
        json!({
            "key": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
            "fingerprint": { "type": "string", "pattern": "^[0-9a-f]{16}$" },
        }),
    );
    let effect = object(
        "What a command did",
        json!({
            "changed": fate(),
            "unchanged": reason(),
            "member": nullable(reference("RegisteredMember")),
            "bonuses": described("Ids of the bonuses that it made", list(uuid())),
        }),
    );
    let member = object(
        "The place of a new member",
        json!({
            "user_id": uuid(),
            "code": { "type": "string", "maxLength": 64, "description": "Referral code" },
            "sponsor": described("Null for a root", nullable(uuid())),
            "parent": described("Null for a root", nullable(uuid())),
            "slot": count(),
            "level": {
                "type": "integer", "minimum": 1, "description": "In the placement tree; 1 for a root",
            },
            "sponsor_level": {
                "type": "integer", "minimum": 1, "description": "In the sponsor tree; 1 for a root",
            },
        }),
    );
    vec![
        ("Event", event),
        ("LoggedCommand", logged),
        ("AuditedCommand", audited),
        ("Heartbeat", heartbeat),
        ("LoggedKey", key),
        ("Actor", actor),
        ("Effect", effect),
        ("RegisteredMember", member),
    ]
}

/// The commands, except those about bonuses and the parts of registrations.
fn commands() -> Named {
    // `pay_bonus` is a `PayBonusCommand`.
    let schema_of = |kind: &str| -> String {
        let capitalized = |word: &str| word[..1].to_uppercase() + &word[1..];
        kind.split('_').map(capitalized).chain(["Command".into()]).collect()
    };
    let names: Vec<_> =
        CommandKind::printed_names().into_iter().map(|kind| (kind, schema_of(kind))).collect();
    let kinds: Vec<_> = names.iter().map(|(kind, schema)| (*kind, schema.as_str())).collect();
    let register = object(
        "A signup, or a member of an import",
        json!({
            "kind": constant("register"),
            "user_id": uuid(),
            "sponsor": nullable(reference("LoggedSponsor")),
            "placement": reference("LoggedPlacement"),
            "code": described("The referral code that was given", nullable(text())),
            "role": choice(&["member", "admin"]),
            "joined_at": described("Null: the log time", nullable(time())),
            "origin": choice(&["signup", "import"]),
            "carried": nullable(reference("CarriedFacts")),
        }),
    );
    let status = object(
        "A member's status",
        json!({
            "kind": constant("set_status"),
            "user_id": uuid(),
            "status": choice(&["active", "inactive", "terminated"]),
        }),
    );
    let role = object(
        "A member's role",
        json!({
            "kind": constant("set_role"),
            "user_id": uuid(),
            "role": choice(&["member", "admin"]),
        }),
    );
    vec![
        ("Command", one_of("A command; `kind` says which", "kind", &kinds)),
        ("RegisterCommand", register),
        ("SetStatusCommand", status),
        ("SetRoleCommand", role),
        (
            "PutPlanCommand",
            object(
                "A plan comes into force",
                json!({ "kind": constant("put_plan"), "plan": reference("Plan") }),
            ),
        ),
    ]
}

/// The commands about bonuses.
fn payments() -> Named {
    let trigger = object(
        "A trigger that pays the uplines of its source",
        json!({
            "kind": constant("trigger_bonus"),
            "source": uuid(),
            "trigger": text(),
            "amount_minor": nullable(minor()),
            "once": { "type": "boolean", "description": "Pays once for its source" },
            "reference": order(),
        }),
    );
    let pay = object(
        "One bonus is marked paid",
        json!({
            "kind": constant("pay_bonus"),
            "bonus": described("Id of the bonus", uuid()),
            "entry": described("Its position in the ledger", count()),
        }),
    );
    let import = object(
        "A bonus of an import",
        json!({
            "kind": constant("import_bonus"),
            "receiver": uuid(),
            "source": uuid(),
            "bonus_kind": text(),
            "level": count(),
            "amount_minor": minor(),
            "status": choice(&["pending", "paid", "held", "void"]),
            "time": time(),
            "id": described("Its id elsewhere", nullable(uuid())),
            "reference": order(),
            "reverses": described("Id of the bonus that it takes back", nullable(uuid())),
        }),
    );
    let pay_all = object(
        "Pending bonuses are marked paid: those that pass every filter that is not null",
        json!({
            "kind": constant("pay_all"),
            "up_to_lsn": described(
                "Made by commands up to this one, and not released since",
                nullable(count()),
            ),
            "bonus_kind": nullable(text()),
            "receiver": nullable(uuid()),
            "from": described("Of this time or later", nullable(time())),
            "to": described("Of before this time", nullable(time())),
        }),
    );
    let reverse = object(
        "A bonus is taken back",
        json!({
            "kind": constant("reverse_bonus"),
            "bonus": described("Id of the bonus that is taken back", uuid()),
            "entry": described("Its position in the ledger", count()),
        }),
    );
    let once = object(
        "A trigger counts as paid once: an import carries it over",
        json!({ "kind": constant("keep_once"), "source": uuid(), "trigger": text() }),
    );
    let change = object(
        "A bonus is held, released or voided, and with it the other half of a reversal if neither is paid",
        json!({
            "kind": constant("change_bonus"),
            "bonus": described("Id of the bonus", uuid()),
            "entry": described("Its position in the ledger", count()),
            "change": choice(&["hold", "release", "void"]),
            "reason": described("Why, in a person's words", text()),
        }),
    );
    vec![
        ("ChangeBonusCommand", change),
        ("KeepOnceCommand", once),
        ("TriggerBonusCommand", trigger),
        ("PayBonusCommand", pay),
        ("PayAllCommand", pay_all),
        ("ReverseBonusCommand", reverse),
        ("ImportBonusCommand", import),
    ]
}

/// The parts of a registration.
fn registration() -> Named {
    let sponsor = json!({
        "description": "The sponsor as it was named",
        "oneOf": [reference("LoggedSponsorById"), reference("LoggedSponsorByCode")],
    });
    let placements = [
        ("plan", "LoggedPlacementByPlan"),
        ("rule", "LoggedPlacementByRule"),
        ("slot", "LoggedPlacementBySlot"),
    ];
    let by_slot =
        object("A slot that was named", json!({ "by": constant("slot"), "parent": uuid(), "slot": count() }));
    let carried = object(
        "Data carried over with an imported member",
        json!({
            "id": described("Its row's id elsewhere", nullable(uuid())),
            "lifetime_rank": described("Ordinal of the best rank ever; 0 for none", count()),
            "turn": described("Round robin: the slot that the next spill goes to", count()),
            "status": choice(&["active", "inactive", "terminated"]),
            "sponsor_too": {
                "type": "boolean",
                "description": "The sponsor came by the same import, and was not asked whether it is active",
            },
        }),
    );
    vec![
        ("LoggedSponsor", sponsor),
        ("LoggedSponsorById", object("By id", json!({ "user_id": uuid() }))),
        ("LoggedSponsorByCode", object("By referral code", json!({ "code": text() }))),
        ("LoggedPlacement", one_of("The requested place of the member", "by", &placements)),
        ("LoggedPlacementByPlan", object("The plan's default rule", json!({ "by": constant("plan") }))),
        (
            "LoggedPlacementByRule",
            object("A rule that was named", json!({ "by": constant("rule"), "rule": text() })),
        ),
        ("LoggedPlacementBySlot", by_slot),
        ("CarriedFacts", carried),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind in the table of commands is described. Whether the description is right is checked by
    /// `tests/http/v1_described.rs`.
    #[test]
    fn choices_are_told_apart_by_what_they_say() {
        let schemas = schemas();
        let choices = schemas.values().filter(|schema| schema["discriminator"].is_object());
        let mut count = 0;
        for choice in choices {
            let field = choice["discriminator"]["propertyName"].as_str().unwrap();
            for (value, place) in choice["discriminator"]["mapping"].as_object().unwrap() {
                let schema = &schemas[place.as_str().unwrap().rsplit('/').next().unwrap()];
                assert_eq!(schema["properties"][field]["const"], value.as_str(), "{schema}");
                assert!(schema["required"].as_array().unwrap().contains(&field.into()));
                count += 1;
            }
        }
        assert_eq!(count, CommandKind::printed_names().len() + 3);
    }
}
