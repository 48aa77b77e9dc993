//! The drop-in's routes as OpenAPI, from their table.

use serde_json::{Map, Value, json};

use super::examples::{self, Example};
use crate::http::{
    limits::IDEMPOTENCY_KEY_BYTES_MAX,
    route_table::{Access, Api, Operation, Route, dropin_routes},
};

/// Paths of the drop-in, with their operations.
pub fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for route in dropin_routes() {
        let Api::Dropin(operation) = route.api else { continue };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = describe_operation(operation, route);
    }
    paths
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/Dropin{schema}") })
}

fn answer(description: &str, schema: &Value, examples: Vec<Example>) -> Value {
    json!({ "description": description, "content": content(schema, examples) })
}

/// JSON with examples by name.
pub fn content(schema: &Value, examples: Vec<Example>) -> Value {
    let examples: Map<String, Value> =
        examples.into_iter().map(|(name, value)| (name.to_owned(), json!({ "value": value }))).collect();
    json!({ "application/json": { "schema": schema, "examples": examples } })
}

fn describe_operation(operation: Operation, route: &Route) -> Value {
    let path = route.path;
    let message = |name: &str| {
        json!({
            "type": "object", "properties": { name: { "type": "string" } }, "required": [name],
        })
    };
    let list_of = |schema: &str| json!({ "type": "array", "items": reference(schema) });
    let success = match operation {
        Operation::Welcome | Operation::EvaluateRank => message("message"),
        Operation::Health | Operation::Status => message("status"),
        Operation::Register | Operation::RootUser => reference("Member"),
        Operation::Downline => list_of("Member"),
        Operation::DownlineCount => json!({ "type": "integer", "minimum": 0 }),
        Operation::AddTestData => json!({
            "type": "object",
            "properties": {
                "message": { "type": "string" }, "root_user_id": { "type": "string", "format": "uuid" },
            },
            "required": ["message", "root_user_id"],
        }),
        Operation::Trigger | Operation::MarkAllPaid => message("detail"),
        Operation::BonusesOf | Operation::Bonuses => list_of("Bonus"),
        Operation::MarkPaid => reference("Bonus"),
        Operation::Weekly => reference("WeeklyReport"),
    };
    let mut described = json!({
        "summary": summary(operation),
        "description": if is_alias(path) {
            "The same under a path that the replaced service's README names."
        } else {
            "Answered as the service that this one replaces answers it."
        },
        "operationId": operation_id(operation, path),
        "tags": ["drop-in"],
        "deprecated": is_alias(path),
        "responses": { "200": answer("Success", &success, examples::successes(operation)) },
    });
    let mut errors: Vec<(&str, &str, &str)> = match operation {
        Operation::Register => vec![
            ("400", "Member exists, the body is not text, or the Host is wrong", "Error"),
            ("404", "Parent unknown", "Error"),
            ("409", "Parent not active", "Error"),
        ],
        Operation::RootUser => {
            vec![("400", "Member exists, the body is not text, or the Host is wrong", "Error")]
        }
        Operation::Trigger => {
            vec![("404", "Source unknown", "Error"), ("409", "The plan cannot pay this", "Error")]
        }
        Operation::MarkPaid => {
            vec![("404", "Bonus unknown", "Error"), ("409", "The bonus is held or void", "Error")]
        }
        Operation::AddTestData => vec![("404", "Off", "Error"), ("409", "The network is not empty", "Error")],
        _ => vec![],
    };
    if matches!(operation, Operation::Register | Operation::RootUser | Operation::Trigger) {
        errors.push(("507", "The network or the ledger is full", "Error"));
    }
    let body = match operation {
        Operation::Register | Operation::RootUser => Some("Register"),
        Operation::Trigger => Some("Trigger"),
        _ => None,
    };
    let parameter = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
    let mut parameters = Vec::new();
    if let Some(name) = parameter {
        parameters.push(json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string", "format": "uuid" },
        }));
    }
    if operation == Operation::Bonuses {
        parameters.push(
            json!({ "name": "status", "in": "query", "required": false, "schema": { "type": "string" } }),
        );
    }
    if operation.is_keyed() {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_BYTES_MAX });
        parameters
            .push(json!({ "name": "Idempotency-Key", "in": "header", "required": false, "schema": schema }));
    }
    if body.is_some() || parameter.is_some() || operation.is_keyed() {
        errors.push(("422", "A field or the Idempotency-Key is missing or wrong", "ValidationError"));
    }
    if let Some(schema) = body {
        described["requestBody"] =
            json!({ "required": true, "content": content(&reference(schema), examples::bodies(operation)) });
        errors.push(("415", "The body is compressed", "Error"));
    }
    // The body is read, and the Host checked, before the route is known.
    errors.extend(EVERYWHERE.map(|(status, about)| (status, about, "Error")).into_iter().filter(
        |(status, ..)| {
            let is_known = |status: &str| {
                matches!(operation, Operation::Register | Operation::RootUser) && status == "400"
            };
            !is_known(status)
        },
    ));
    if route.access == Access::Open {
        described["security"] = json!([]);
    } else {
        errors.push(("401", "Credentials are missing or not valid", "Error"));
        errors.push(("403", "These credentials do not allow this", "Error"));
        errors.push(("429", "Too many requests; see Retry-After", "Error"));
        errors.push((
            "503",
            "Overloaded, starting, stopping, or not writing at present; see Retry-After",
            "Error",
        ));
    }
    errors.push(("421", "The host is not a name of this server, which requires no credentials", "Error"));
    if parameter.is_some() && !errors.iter().any(|(status, ..)| *status == "404") {
        errors.push(("404", "Not visible to the member's token, or does not exist", "Error"));
    }
    for (status, description, schema) in errors {
        described["responses"][status] =
            answer(description, &reference(schema), examples::failures(operation, path, status));
    }
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    described
}

/// Answers given before the route is known: status and description. On every route outside of `/v1`.
pub const EVERYWHERE: [(&str, &str); 3] = [
    ("400", "The body broke off, or the Host header is missing, there twice, or not a host"),
    ("408", "The body came too slowly"),
    ("413", "The body is too large"),
];

/// Unique, and usable as a name in generated clients.
fn operation_id(operation: Operation, path: &str) -> String {
    format!("dropin_{operation:?}{}", if is_alias(path) { "_alias" } else { "" })
}

/// Schemas that the operations refer to.
pub fn schemas() -> Value {
    let uuid = || json!({ "type": "string", "format": "uuid" });
    let nullable_uuid = json!({ "anyOf": [uuid(), { "type": "null" }] });
    let hidden = "The nil UUID if the token is that of a member who may not see the source";
    let source = json!({ "type": "string", "format": "uuid", "description": hidden });
    let time = || json!({ "type": "string", "format": "date-time" });
    let trigger_type = json!({ "type": "string", "enum": ["referral", "purchase"] });
    let location =
        json!({ "type": "array", "items": { "anyOf": [{ "type": "string" }, { "type": "integer" }] } });
    json!({
        "DropinRegister": {
            "type": "object",
            "properties": { "user_id": uuid(), "parent_id": nullable_uuid },
            "required": ["user_id"],
        },
        "DropinTrigger": {
            "type": "object",
            "properties": { "source_user_id": uuid(), "trigger_type": trigger_type },
            "required": ["source_user_id", "trigger_type"],
        },
        "DropinMember": {
            "type": "object",
            "properties": {
                "id": uuid(), "user_id": uuid(), "parent_id": nullable_uuid,
                "level": { "type": "integer", "minimum": 1 },
                "created_at": time(), "updated_at": { "type": "null" },
                "children": { "type": "array", "items": reference("Member") },
            },
            "required": ["id", "user_id", "parent_id", "level", "created_at", "updated_at", "children"],
        },
        "DropinBonus": {
            "type": "object",
            "properties": {
                "id": uuid(), "user_id": uuid(), "source_user_id": source,
                "level": { "type": "integer", "minimum": 0 },
                "amount": { "type": "number" }, "type": { "type": "string" },
                "status": { "type": "string", "enum": ["pending", "paid"] }, "created_at": time(),
            },
            "required": [
                "id", "user_id", "source_user_id", "level", "amount", "type", "status", "created_at"
            ],
        },
        "DropinWeeklyReport": {
            "type": "object",
            "properties": {
                "user_id": uuid(), "total_bonus": { "type": "number" },
                "count": { "type": "integer", "minimum": 0 },
                "bonuses": { "type": "array", "items": reference("Bonus") },
            },
            "required": ["user_id", "total_bonus", "count", "bonuses"],
        },
        "DropinError": {
            "type": "object", "properties": { "detail": { "type": "string" } }, "required": ["detail"],
        },
        "DropinValidationError": {
            "type": "object",
            "properties": { "detail": { "anyOf": [{ "type": "string" }, { "type": "array", "items": {
                "type": "object",
                "properties": {
                    "type": { "type": "string" }, "loc": location, "msg": { "type": "string" }, "input": {},
                    "ctx": { "type": "object" },
                },
                "required": ["type", "loc", "msg", "input"],
            } }] } },
            "required": ["detail"],
        },
    })
}

/// A one-line summary of an operation.
fn summary(operation: Operation) -> &'static str {
    match operation {
        Operation::Welcome => "A greeting",
        Operation::Health => "Always healthy; see /readyz for more",
        Operation::Status => "Always running; see /readyz for more",
        Operation::Register => {
            "Register a member below another one, spilling over to the first free slot, or as a new root"
        }
        Operation::RootUser => "Register a new root",
        Operation::Downline => "The whole downline of a member, nested",
        Operation::DownlineCount => "How many members a downline has",
        Operation::AddTestData => {
            "Fill an empty network with 251 members and a referral each; off unless configured"
        }
        Operation::Trigger => "Pay the bonuses of a referral or purchase to the uplines of its source",
        Operation::BonusesOf => "Bonuses of one receiver, newest first",
        Operation::Bonuses => "All bonuses, newest first",
        Operation::MarkPaid => "Mark one bonus paid",
        Operation::MarkAllPaid => "Mark every pending bonus paid (a GET that writes, as in the original)",
        Operation::EvaluateRank => "The rank of a member",
        Operation::Weekly => "Bonuses of one receiver in the last seven days, with their total",
    }
}

/// Paths that the original's README names but the original never had.
fn is_alias(path: &str) -> bool {
    path.starts_with("/bonus/bonus")
}
