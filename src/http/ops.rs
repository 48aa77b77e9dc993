//! Routes for those who run the process: life, readiness, version, metrics, and what the API is.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    routing::get,
};
use serde_json::{Value, json};

use super::{
    reply::{self, Reply},
    routes::{DROPIN, OPS, Operation},
    service::Shared,
    v1,
};

/// The routes that axum's router matches.
pub fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .route("/docs", get(docs))
        .route("/redoc", get(redoc))
        .method_not_allowed_fallback(method_not_allowed)
}

async fn method_not_allowed() -> Reply {
    let reply = reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    reply::with_header(reply, header::ALLOW, HeaderValue::from_static("GET, HEAD"))
}

/// Always 200: whoever can answer is alive. Also while loading, draining, or with a poisoned log, none of which a restart of a process
/// that is doing its best would mend by itself.
async fn livez() -> Reply {
    reply::json(StatusCode::OK, "{\"status\":\"live\"}")
}

/// 200 when writes are accepted; 503 while the network is being loaded, while draining, and for good after the log has failed (reads still
/// work then, but traffic should go elsewhere).
async fn readyz(State(shared): State<Arc<Shared>>) -> Reply {
    let status = match shared.engine.get() {
        _ if shared.draining.load(Ordering::Relaxed) => "draining",
        None => "starting",
        Some(engine) if engine.ready() => return reply::json(StatusCode::OK, "{\"status\":\"ready\"}"),
        Some(_) => "read_only",
    };
    reply::json(StatusCode::SERVICE_UNAVAILABLE, format!("{{\"status\":\"{status}\"}}"))
}

async fn version() -> Reply {
    let body = json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    reply::json(StatusCode::OK, body.to_string())
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Reply {
    // Rendering reads files of the process and formats every series: not for a thread that serves requests.
    let rendered = tokio::task::spawn_blocking(move || {
        if let Some(engine) = shared.engine.get() {
            engine.refresh_metrics();
        }
        shared.metrics.render()
    });
    match rendered.await {
        Ok(text) => reply::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        Err(_) => reply::internal_error(),
    }
}

async fn openapi() -> Reply {
    static DESCRIPTION: OnceLock<String> = OnceLock::new();
    reply::json(StatusCode::OK, DESCRIPTION.get_or_init(|| describe().to_string()).as_str())
}

async fn redoc() -> Reply {
    let reply = reply::text(StatusCode::TEMPORARY_REDIRECT, "");
    reply::with_header(reply, header::LOCATION, HeaderValue::from_static("/docs"))
}

async fn docs() -> Reply {
    static PAGE: OnceLock<String> = OnceLock::new();
    let page = PAGE.get_or_init(print_page);
    let reply = reply::with_type(StatusCode::OK, "text/html; charset=utf-8", page.as_str());
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'");
    reply::with_header(reply, header::CONTENT_SECURITY_POLICY, policy)
}

/// What an operation is, in a line.
fn summary(operation: Operation) -> &'static str {
    match operation {
        Operation::Welcome => "A greeting",
        Operation::Health => "Always healthy; see /readyz for more",
        Operation::Status => "Always running; see /readyz for more",
        Operation::Register => "Register a member below another one, spilling over to the first free slot, or as a new root",
        Operation::RootUser => "Register a new root",
        Operation::Downline => "The whole downline of a member, nested",
        Operation::DownlineCount => "How many members a downline has",
        Operation::AddTestData => "Fill an empty network with 251 members and a referral each; off unless configured",
        Operation::Trigger => "Pay the bonuses of a referral or purchase to the uplines of its source",
        Operation::BonusesOf => "Bonuses of one receiver, newest first",
        Operation::Bonuses => "All bonuses, newest first",
        Operation::MarkPaid => "Mark one bonus paid",
        Operation::MarkAllPaid => "Mark every pending bonus paid (a GET that writes, as in the original)",
        Operation::EvaluateRank => "The rank of a member",
        Operation::Weekly => "Bonuses of one receiver in the last seven days, with their total",
    }
}

/// Paths that the original's README names and the original never had.
fn is_alias(path: &str) -> bool {
    path.starts_with("/bonus/bonus")
}

fn print_page() -> String {
    use std::fmt::Write;
    let mut rows = String::new();
    let dropin = DROPIN.iter().map(|route| (route.method, route.path, summary(route.operation)));
    let ops = OPS.iter().map(|path| ("GET", *path, ops_summary(path)));
    for (method, path, summary) in dropin.chain(ops) {
        writeln!(rows, "<tr><td>{method}</td><td><code>{path}</code></td><td>{summary}</td></tr>").expect("strings take everything");
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>MLM micro-service</title>\n\
         <style>body{{font:16px/1.5 sans-serif;margin:2rem;max-width:70rem}}table{{border-collapse:collapse}}\
         td,th{{padding:.3rem .8rem;text-align:left;border-bottom:1px solid #ccc}}</style>\n</head>\n<body>\n\
         <h1>MLM micro-service</h1>\n<p>The machine-readable description is at <a href=\"/openapi.json\">/openapi.json</a>.</p>\n\
         <table>\n<tr><th>Method</th><th>Path</th><th>What it does</th></tr>\n{rows}</table>\n</body>\n</html>\n"
    )
}

fn ops_summary(path: &str) -> &'static str {
    match path {
        "/livez" => "Whether the process answers",
        "/readyz" => "Whether writes are accepted",
        "/version" => "Name and version",
        "/metrics" => "Metrics in the Prometheus text format",
        "/openapi.json" => "This API as OpenAPI 3.1",
        "/docs" => "This page",
        _ => "Redirects to /docs",
    }
}

/// All routes as OpenAPI 3.1: ours as their handlers declare them, the drop-in's from its table.
fn describe() -> Value {
    let mut whole = serde_json::to_value(v1::description()).expect("descriptions are plain data");
    let dropin = describe_dropin();
    for place in [&["paths"][..], &["components", "schemas"]] {
        let at = |value: &Value| place.iter().fold(value.clone(), |value, name| value[name].clone());
        let (Value::Object(mut ours), Value::Object(theirs)) = (at(&whole), at(&dropin)) else { continue };
        for (name, value) in theirs {
            assert!(ours.insert(name.clone(), value).is_none(), "{name} is described twice");
        }
        match place {
            ["paths"] => whole["paths"] = ours.into(),
            _ => whole["components"]["schemas"] = ours.into(),
        }
    }
    whole
}

/// The drop-in's routes.
fn describe_dropin() -> Value {
    let mut paths = serde_json::Map::new();
    for route in &DROPIN {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = describe_operation(route.operation, route.path);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "MLM micro-service", "version": "1.0.0" },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn answer(description: &str, schema: &Value) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn describe_operation(operation: Operation, path: &str) -> Value {
    let message = |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] });
    let list_of = |schema: &str| json!({ "type": "array", "items": reference(schema) });
    let success = match operation {
        Operation::Welcome | Operation::EvaluateRank => message("message"),
        Operation::Health | Operation::Status => message("status"),
        Operation::Register | Operation::RootUser => reference("Member"),
        Operation::Downline => list_of("Member"),
        Operation::DownlineCount => json!({ "type": "integer", "minimum": 0 }),
        Operation::AddTestData => json!({
            "type": "object",
            "properties": { "message": { "type": "string" }, "root_user_id": { "type": "string", "format": "uuid" } },
            "required": ["message", "root_user_id"],
        }),
        Operation::Trigger | Operation::MarkAllPaid => message("detail"),
        Operation::BonusesOf | Operation::Bonuses => list_of("Bonus"),
        Operation::MarkPaid => reference("Bonus"),
        Operation::Weekly => reference("WeeklyReport"),
    };
    let mut described = json!({
        "summary": summary(operation),
        "deprecated": is_alias(path),
        "responses": { "200": answer("Success", &success) },
    });
    let mut errors: Vec<(&str, &str, &str)> = match operation {
        Operation::Register => vec![
            ("400", "Member exists, or the body is not text", "Error"),
            ("404", "Parent unknown", "Error"),
            ("409", "Parent not active", "Error"),
        ],
        Operation::RootUser => vec![("400", "Member exists, or the body is not text", "Error")],
        Operation::Trigger => {
            vec![("400", "The body is not text", "Error"), ("404", "Source unknown", "Error"), ("409", "The plan cannot pay this", "Error")]
        }
        Operation::MarkPaid => vec![("404", "Bonus unknown", "Error")],
        Operation::AddTestData => vec![("404", "Off", "Error"), ("409", "The network is not empty", "Error")],
        _ => vec![],
    };
    let body = match operation {
        Operation::Register | Operation::RootUser => Some("Register"),
        Operation::Trigger => Some("Trigger"),
        _ => None,
    };
    let parameter = path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
    let mut parameters = Vec::new();
    if let Some(name) = parameter {
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "format": "uuid" } }));
    }
    if operation == Operation::Bonuses {
        parameters.push(json!({ "name": "status", "in": "query", "required": false, "schema": { "type": "string" } }));
    }
    if is_keyed(operation) {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": super::limits::IDEMPOTENCY_KEY_BYTES_MAX });
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "required": false, "schema": schema }));
    }
    if body.is_some() || parameter.is_some() {
        errors.push(("422", "A field is missing or wrong", "ValidationError"));
    }
    if let Some(schema) = body {
        described["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": reference(schema) } } });
        errors.push(("408", "The body came too slowly", "Error"));
        errors.push(("413", "The body is too large", "Error"));
    }
    if !matches!(operation, Operation::Welcome | Operation::Health | Operation::Status) {
        errors.push(("503", "Overloaded, starting, stopping or read-only; see Retry-After", "Error"));
    }
    for (status, description, schema) in errors {
        described["responses"][status] = answer(description, &reference(schema));
    }
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    described
}

/// Operations that take an `Idempotency-Key`.
fn is_keyed(operation: Operation) -> bool {
    matches!(operation, Operation::Register | Operation::RootUser | Operation::Trigger | Operation::MarkPaid | Operation::MarkAllPaid)
}

fn schemas() -> Value {
    let uuid = || json!({ "type": "string", "format": "uuid" });
    let nullable_uuid = json!({ "anyOf": [uuid(), { "type": "null" }] });
    let time = || json!({ "type": "string", "format": "date-time" });
    let trigger_type = json!({ "type": "string", "enum": ["referral", "purchase"] });
    let location = json!({ "type": "array", "items": { "anyOf": [{ "type": "string" }, { "type": "integer" }] } });
    json!({
        "Register": {
            "type": "object",
            "properties": { "user_id": uuid(), "parent_id": nullable_uuid },
            "required": ["user_id"],
        },
        "Trigger": {
            "type": "object",
            "properties": { "source_user_id": uuid(), "trigger_type": trigger_type },
            "required": ["source_user_id", "trigger_type"],
        },
        "Member": {
            "type": "object",
            "properties": {
                "id": uuid(), "user_id": uuid(), "parent_id": nullable_uuid, "level": { "type": "integer", "minimum": 1 },
                "created_at": time(), "updated_at": { "type": "null" }, "children": { "type": "array", "items": reference("Member") },
            },
            "required": ["id", "user_id", "parent_id", "level", "created_at", "updated_at", "children"],
        },
        "Bonus": {
            "type": "object",
            "properties": {
                "id": uuid(), "user_id": uuid(), "source_user_id": uuid(), "level": { "type": "integer", "minimum": 0 },
                "amount": { "type": "number" }, "type": { "type": "string" },
                "status": { "type": "string", "enum": ["pending", "paid"] }, "created_at": time(),
            },
            "required": ["id", "user_id", "source_user_id", "level", "amount", "type", "status", "created_at"],
        },
        "WeeklyReport": {
            "type": "object",
            "properties": {
                "user_id": uuid(), "total_bonus": { "type": "number" }, "count": { "type": "integer", "minimum": 0 },
                "bonuses": { "type": "array", "items": reference("Bonus") },
            },
            "required": ["user_id", "total_bonus", "count", "bonuses"],
        },
        "Error": { "type": "object", "properties": { "detail": { "type": "string" } }, "required": ["detail"] },
        "ValidationError": {
            "type": "object",
            "properties": { "detail": { "anyOf": [{ "type": "string" }, { "type": "array", "items": {
                "type": "object",
                "properties": { "type": { "type": "string" }, "loc": location, "msg": { "type": "string" }, "input": {}, "ctx": { "type": "object" } },
                "required": ["type", "loc", "msg", "input"],
            } }] } },
            "required": ["detail"],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_every_route_and_nothing_undefined() {
        let description = describe();
        for route in &DROPIN {
            assert!(description["paths"][route.path][route.method.to_ascii_lowercase()].is_object(), "{} {}", route.method, route.path);
        }
        let text = description.to_string();
        for piece in text.split("\"#/components/schemas/").skip(1) {
            let name = piece.split('"').next().unwrap();
            assert!(description["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = print_page();
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
        for route in &DROPIN {
            assert!(page.contains(route.path));
        }
    }
}
