//! The schema of the change feed's lines, field by field, for `/openapi.json`.
//!
//! The commands describe themselves (`command_json`); what is around them is written by hand here. The tests
//! check every kind of command against this schema; no command may have a field that is missing here.

use serde_json::{Map, Value, json};

use crate::{
    command_json::{
        self,
        schema::{choice, count, described, list, nullable, object, reference, text, time, uuid},
    },
    engine::{ActorKind, CommandKind, Rejection},
};

/// Where the description of `GET /v1/events` has the schema of its lines.
const PLACE: &str = "/paths/~1v1~1events/get/responses/200/content/application~1x-ndjson/schema";

/// Where the description of `GET /v1/audit` has its parameters.
const FILTERS: &str = "/paths/~1v1~1audit/get/parameters";

/// Adds the schemas, and refers to them from the routes; adds the kinds of commands that the audit takes as a
/// filter.
///
/// # Panics
/// When the route is not described, or a name is taken: our bug.
pub fn fill(description: &mut Value) {
    *description.pointer_mut(PLACE).expect("the change feed is described") = reference("Event");
    let Some(Value::Array(filters)) = description.pointer_mut(FILTERS) else {
        unreachable!("the audit has filters")
    };
    let kind = filters.iter_mut().find(|filter| filter["name"] == "kind").expect("the audit has kinds");
    kind["schema"]["pattern"] = format!("^({})$", CommandKind::printed_names().join("|")).into();
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

fn schemas() -> Map<String, Value> {
    let lines = feed().into_iter().map(|(name, schema)| (name.to_owned(), schema));
    lines.chain(command_json::schemas()).collect()
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

/// What `volumes` of an effect are.
const VOLUMES: &str = "What an order or a refund added to the volumes of members, by calendar and credited \
                       member, where that is not 0; empty for other commands. What the command itself did: a \
                       refund that waits, or that is a correction without volumes, has none, and what \
                       becomes of it when its period is unlocked or posted is said by no event";

/// What a command added to the volumes of a member in a period.
fn changed_volumes() -> Value {
    let decimal = |about: &str| described(about, text());
    let volumes = json!({
        "type": "object", "additionalProperties": { "type": "string" },
        "description": "By the name of the volume",
    });
    object(
        "What a command added to the volumes of a member in a period; negative for a refund",
        json!({
            "user_id": uuid(),
            "calendar": described("Name of the calendar", text()),
            "period": described("Label of the period", text()),
            "amount": decimal("As text with all decimals"),
            "volumes": volumes,
        }),
    )
}

/// The lines themselves.
fn feed() -> Vec<(&'static str, Value)> {
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
            "volumes": described(VOLUMES, nullable(list(reference("ChangedVolumes")))),
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
        ("ChangedVolumes", changed_volumes()),
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
        // The three placements, and the three attributes.
        assert_eq!(count, CommandKind::printed_names().len() + 6);
    }
}
