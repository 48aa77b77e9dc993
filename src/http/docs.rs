//! The API's description: `/openapi.json` for programs, `/docs` for people. Everything is in the binary;
//! nothing is loaded from elsewhere.

use std::sync::{Arc, LazyLock};

use axum::{
    Extension, Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    routing::get,
};
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::{Config, serve};

use super::{
    auth::Principal,
    context::Shared,
    dropin::{describe, examples},
    prepared::Prepared,
    reply::{self, Reply},
    route_table::{Access, Route, ops_routes},
    v1,
};

/// The routes.
pub fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/openapi.json", get(openapi))
        .route("/docs", get(page))
        .route("/docs/{file}", get(file))
        .route("/redoc", get(redoc))
}

async fn openapi(Extension(principal): Extension<Principal>, headers: HeaderMap) -> Reply {
    static TEXT: LazyLock<Prepared> =
        LazyLock::new(|| Prepared::of_plain("application/json", description().to_string()));
    principal.answers_everybody();
    TEXT.answer(&headers)
}

async fn redoc(Extension(principal): Extension<Principal>) -> Reply {
    principal.answers_everybody();
    let reply = reply::text(StatusCode::TEMPORARY_REDIRECT, "");
    reply::with_header(reply, header::LOCATION, HeaderValue::from_static("/docs"))
}

/// All routes as OpenAPI 3.1: those of `/v1` as their handlers declare them, the others from their tables.
pub fn description() -> Value {
    let mut whole = serde_json::to_value(v1::description()).expect("descriptions are plain data");
    // This description is written for one version, whatever the generator's default.
    whole["openapi"] = "3.1.0".into();
    let mut paths = describe::paths();
    paths.extend(operations());
    let mut schemas = describe::schemas();
    schemas["Problem"] = v1::problem::schema();
    for (place, more) in [("/paths", Value::Object(paths)), ("/components/schemas", schemas)] {
        let (Some(Value::Object(known)), Value::Object(more)) = (whole.pointer_mut(place), more) else {
            unreachable!("both are objects")
        };
        for (name, value) in more {
            assert!(known.insert(name.clone(), value).is_none(), "{name} is described twice");
        }
    }
    v1::event_schema::fill(&mut whole);
    v1::examples::fill(&mut whole);
    mend_remarks(&mut whole);
    add_frame(&mut whole);
    whole
}

/// Adds the parts above the paths that the generator does not write.
fn add_frame(description: &mut Value) {
    description["info"]["license"] =
        json!({ "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") });
    // Relative to wherever this description was read from.
    description["servers"] = json!([{ "url": "/" }]);
    let tags = TAGS.map(|(name, about)| json!({ "name": name, "description": about }));
    description["tags"] = tags.into_iter().collect();
}

/// Groups of operations.
const TAGS: [(&str, &str); 12] = [
    ("members", "One member: registration, change, look-up"),
    ("lists", "Members along a tree, in pages or streamed"),
    ("levels", "Members and commissions by level"),
    ("ranks", "Ranks of members"),
    ("trees", "Windows of a tree, and places in it"),
    ("bonuses", "What is paid, to whom, and why; sums and reports"),
    ("orders", "Orders, their refunds, and the volumes of members"),
    ("periods", "Calendars, the life of their periods, and runs"),
    ("plan", "The compensation plan"),
    ("events", "The change feed"),
    ("operations", "For operators"),
    ("drop-in", "The routes of the service that this one replaces"),
];

/// Fixes schemas with annotations (a default, a description): the generator adds a second required schema of
/// type object, which no text or number satisfies. Next to a reference, an annotation loses its type; an
/// inline schema absorbs it.
fn mend_remarks(description: &mut Value) {
    let mut waiting = vec![description];
    while let Some(value) = waiting.pop() {
        if let Some(Value::Array(parts)) = value.get_mut("allOf") {
            let is_remark =
                |part: &Map<String, Value>| !part.contains_key("properties") && !part.contains_key("$ref");
            for part in
                parts.iter_mut().skip(1).filter_map(Value::as_object_mut).filter(|part| is_remark(part))
            {
                part.remove("type");
            }
            let are_remarks = parts.iter().skip(1).filter_map(Value::as_object).all(is_remark);
            let is_inline =
                parts.first().is_some_and(|first| first.get("$ref").is_none() && first.get("type").is_some());
            if is_inline
                && are_remarks
                && let Some(whole) = value.as_object_mut()
            {
                let Some(Value::Array(parts)) = whole.remove("allOf") else { unreachable!("it was there") };
                whole.extend(
                    parts
                        .into_iter()
                        .filter_map(|part| if let Value::Object(part) = part { Some(part) } else { None })
                        .flatten(),
                );
            }
        }
        match value {
            Value::Object(members) => waiting.extend(members.values_mut()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
}

/// The operations routes, and these.
fn operations() -> Map<String, Value> {
    let status = |values: &[&'static str]| {
        let properties =
            json!({ "status": { "type": "string", "enum": values }, "detail": { "type": "string" } });
        let schema = json!({ "type": "object", "properties": properties, "required": ["status"] });
        describe::content(&schema, values.iter().map(|value| (*value, json!({ "status": value }))).collect())
    };
    let answer =
        |description: &str, content: Value| json!({ "description": description, "content": content });
    let other = |kind: &str, schema: &Value, example: Value| {
        json!({
            kind: { "schema": schema, "example": example },
        })
    };
    let text = json!({ "type": "string" });
    let this_version =
        json!({ "name": "upline", "version": env!("CARGO_PKG_VERSION"), "commit": "3cfc229f0a1b" });
    let failure = |description: &str, status: &str| {
        answer(
            description,
            describe::content(
                &json!({ "$ref": "#/components/schemas/DropinError" }),
                examples::shared(status),
            ),
        )
    };
    // Closed like the other routes where credentials are asked for, unless `docs_open` says otherwise.
    let of_docs = |mut answers: Value| {
        answers["401"] = failure("No credentials", "401");
        answers["503"] = failure("Tokens cannot be checked yet", "503");
        answers
    };
    // path, summary, description, answers
    let table = [
        (
            "/livez",
            "Whether the process answers",
            "Live as long as it can answer, also while loading, stopping, or unable to write.",
            json!({ "200": answer("Live", status(&["live"])) }),
        ),
        (
            "/readyz",
            "Whether writes are accepted",
            "Not ready while the network is being loaded, while stopping, while the log has no room or the \
             clock jumped, and for good once a write to the log has failed; reads are answered then. \
             `detail` is for people.",
            json!({
                "200": answer("Ready", status(&["ready"])),
                "503": answer(
                    "Not now", status(&["starting", "draining", "no_room", "clock_jumped", "read_only"])
                ),
            }),
        ),
        (
            "/version",
            "Name and version",
            "Of this build.",
            json!({ "200": answer("Version", other("application/json", &version_schema(), this_version)) }),
        ),
        (
            "/metrics",
            "Metrics in the Prometheus text format",
            "Of network, log, snapshots, requests and process.",
            json!({
                "200": answer(
                    "Metrics",
                    other("text/plain; version=0.0.4; charset=utf-8", &text, METRICS_EXAMPLE.into())
                ),
                "401": failure("No credentials", "401"),
                "403": failure("Not allowed", "403"),
                "503": failure("Tokens cannot be checked yet", "503"),
            }),
        ),
        (
            "/openapi.json",
            "This description",
            "All routes of this server, as OpenAPI 3.1.",
            of_docs(json!({
                "200": answer(
                    "OpenAPI 3.1",
                    other("application/json", &json!({ "type": "object" }), description_example())
                ),
                "304": { "description": "The client has it already" },
            })),
        ),
        (
            "/docs",
            "This description as a page to try it",
            "Loads nothing from other hosts.",
            of_docs(json!({
                "200": answer("A page", other("text/html; charset=utf-8", &text, PAGE.into())),
                "304": { "description": "The client has it already" },
            })),
        ),
        (
            "/redoc",
            "Redirects to /docs",
            "For clients that request the path where the replaced service had its documentation.",
            of_docs(json!({ "307": { "description": "To /docs" } })),
        ),
    ];
    let describe = |route: &Route| {
        let row = table.iter().find(|(path, ..)| *path == route.path);
        let (path, summary, about, answers) = row.expect("each route of operators is described").clone();
        let id = format!("ops_{}", path.trim_start_matches('/').replace('.', "_"));
        let mut operation = json!({
            "summary": summary, "description": about, "operationId": id, "tags": ["operations"],
            "responses": answers,
        });
        for (status, about) in describe::EVERYWHERE {
            operation["responses"][status] = failure(about, status);
        }
        // Probes are never rate limited.
        if !route.is_unlimited {
            operation["responses"]["429"] = failure("Too many requests", "429");
        }
        if route.access == Access::Open {
            operation["security"] = json!([]);
        }
        (path.to_owned(), json!({ "get": operation }))
    };
    ops_routes().iter().map(describe).collect()
}

/// The schema of `/version`.
fn version_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" }, "version": { "type": "string" },
            "commit": { "type": ["string", "null"] },
        },
        "required": ["name", "version"],
    })
}

/// The beginning of what `/metrics` answers.
const METRICS_EXAMPLE: &str =
    "# HELP upline_members Members of the network.\n# TYPE upline_members gauge\nupline_members 13\n";

/// The beginning of what `/openapi.json` answers.
fn description_example() -> Value {
    json!({
        "openapi": "3.1.0", "info": { "title": "upline", "version": env!("CARGO_PKG_VERSION") }, "paths": {},
    })
}

/// No scripts or styles but ours, and no connections but to this server. Scripts set the page's own styles,
/// hence `unsafe-inline` for them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>upline: API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png" sizes="32x32">
</head>
<body>
<noscript><p>This page needs JavaScript. The description for programs is at <a href="/openapi.json">/openapi.json</a>.</p></noscript>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"#;

const START: &str = r##"window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
"##;

async fn page(Extension(principal): Extension<Principal>, headers: HeaderMap) -> Reply {
    static TEXT: LazyLock<Prepared> = LazyLock::new(|| Prepared::of_plain("text/html; charset=utf-8", PAGE));
    principal.answers_everybody();
    reply::with_header(
        TEXT.answer(&headers),
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    )
}

/// The files of the page, all but one of them Swagger UI's.
async fn file(
    Extension(principal): Extension<Principal>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Reply {
    principal.answers_everybody();
    match files().iter().find(|(known, _)| *known == name) {
        Some((_, file)) => file.answer(&headers),
        None => reply::detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}

/// The files of Swagger UI's distribution that the page needs; the others are not served.
const FILES: [&str; 3] = ["swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"];

/// All files, prepared on first use: some 2 MB.
fn files() -> &'static [(&'static str, Prepared)] {
    static PREPARED: LazyLock<Vec<(&'static str, Prepared)>> = LazyLock::new(|| {
        let config = Arc::new(Config::from("/openapi.json"));
        let start = ("start.js", Prepared::of_plain("text/javascript; charset=utf-8", START));
        let theirs = FILES.iter().filter_map(|name| {
            let file = serve(name, Arc::clone(&config)).ok()??;
            let bytes = file.bytes.into_owned();
            let prepared = if file.gzpipped {
                Prepared::of_gzip(&file.content_type, bytes)
            } else {
                Some(Prepared::of_plain(&file.content_type, bytes))
            };
            Some((*name, prepared?))
        });
        std::iter::once(start).chain(theirs).collect()
    });
    &PREPARED
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http_body_util::BodyExt;

    use super::*;
    use crate::http::route_table::ROUTES;

    #[test]
    fn the_description_names_every_route_and_nothing_undefined() {
        let description = description();
        for route in &ROUTES {
            assert!(
                description["paths"][route.path][route.method.to_ascii_lowercase()].is_object(),
                "{} {}",
                route.method,
                route.path
            );
        }
        let text = description.to_string();
        for piece in text.split("\"#/components/schemas/").skip(1) {
            let name = piece.split('"').next().unwrap();
            assert!(description["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    /// Two types with one name would share a schema, which is right for at most one of them.
    #[test]
    fn schemas_have_names_of_their_own() {
        let mut names = BTreeSet::new();
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/v1")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                for piece in text
                    .split("#[derive(")
                    .skip(1)
                    .filter(|piece| piece.split(')').next().unwrap().contains("ToSchema"))
                {
                    let words = piece
                        .lines()
                        .map(|line| line.trim_start_matches("pub(super) ").trim_start_matches("pub "))
                        .find(|line| line.starts_with("struct ") || line.starts_with("enum "));
                    let name = words.unwrap().split(|end: char| !end.is_alphanumeric()).nth(1).unwrap();
                    assert!(names.insert(name.to_owned()), "{name} twice, the second in {}", path.display());
                }
            }
        }
        assert!(50 < names.len(), "{names:?}");
    }

    #[test]
    fn failures_are_described() {
        let problem = &description()["components"]["schemas"]["Problem"];
        assert!(
            problem["properties"]["code"]["enum"].as_array().unwrap().contains(&"member_exists".into()),
            "{problem}"
        );
    }

    #[test]
    fn descriptions_say_what_is_of_use_outside() {
        let description = description();
        assert!(!description.to_string().contains("on disk"), "the description does not mention storage");
        let minor = &description["components"]["schemas"]["Total"]["properties"]["minor"];
        assert!(
            minor["type"] == "integer" && minor["description"].is_string() && minor["format"].is_null(),
            "{minor}"
        );
    }

    #[test]
    fn digests_have_as_many_digits_as_they_have() {
        let description = description();
        let (mut waiting, mut fields, mut examples) = (vec![&description], 0, 0);
        while let Some(value) = waiting.pop() {
            if let Value::Object(members) = value {
                for (name, value) in members.iter().filter(|(name, _)| name.ends_with("_digest")) {
                    match value {
                        Value::String(text) => {
                            examples += 1;
                            assert!(
                                text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
                                "{name}: {text}"
                            );
                        }
                        schema => {
                            fields += 1;
                            assert_eq!(
                                (&schema["minLength"], &schema["maxLength"]),
                                (&json!(64), &json!(64)),
                                "{name}: {schema}"
                            );
                        }
                    }
                }
                waiting.extend(members.values());
            } else if let Value::Array(items) = value {
                waiting.extend(items);
            }
        }
        assert!(6 <= fields && 6 <= examples, "{fields} fields, {examples} examples");
    }

    /// A body is read before it is known whether the route takes one.
    #[test]
    fn every_operation_says_what_comes_of_a_body_and_a_host() {
        for (path, item) in description()["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for status in ["400", "408", "413"] {
                    assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
                }
                assert_eq!(
                    operation["requestBody"].is_object(),
                    operation["responses"]["415"].is_object(),
                    "{method} {path} 415"
                );
            }
        }
    }

    #[test]
    fn operations_have_ids_of_their_own() {
        let description = description();
        let mut ids = BTreeSet::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id =
                    operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
                assert!(ids.insert(id.to_owned()), "{id} twice");
                assert!(operation["summary"].is_string(), "{method} {path} has no summary");
            }
        }
    }

    #[test]
    fn remarks_on_a_schema_have_no_type() {
        let mut schema = json!([
            { "allOf": [
                { "$ref": "#/x" }, { "type": "object", "default": "x" },
                { "type": "object", "properties": {} }
            ] },
            { "allOf": [{ "type": "string", "enum": ["x"] }, { "type": "object", "default": "x" }] },
            { "allOf": [{ "$ref": "#/x" }, { "$ref": "#/y" }] },
        ]);
        mend_remarks(&mut schema);
        let mended = json!([
            { "allOf": [{ "$ref": "#/x" }, { "default": "x" }, { "type": "object", "properties": {} }] },
            { "type": "string", "enum": ["x"], "default": "x" },
            { "allOf": [{ "$ref": "#/x" }, { "$ref": "#/y" }] },
        ]);
        assert_eq!(schema, mended);
    }

    #[test]
    fn each_operation_is_described_and_in_a_group() {
        let description = description();
        let known: BTreeSet<&str> = TAGS.iter().map(|(name, _)| *name).collect();
        let mut used = BTreeSet::new();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(
                    operation["description"].as_str().is_some_and(|text| !text.is_empty()),
                    "{method} {path} has no description"
                );
                used.extend(operation["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()));
            }
        }
        assert_eq!(used, known);
    }

    #[tokio::test]
    async fn the_page_needs_nothing_from_elsewhere() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !START.contains("http"));
        let ask = |name: &str, headers| file(Extension(Principal::nobody()), Path(name.to_owned()), headers);
        for name in FILES {
            let mut sent = Vec::new();
            for encoding in ["gzip", "identity", "gzip", "identity"] {
                let headers =
                    HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding))]);
                let reply = ask(name, headers).await;
                assert_eq!(reply.status(), 200, "{name}");
                assert!(PAGE.contains(&format!("/docs/{name}")));
                sent.push(reply.into_body().collect().await.unwrap().to_bytes().as_ptr());
            }
            assert!(
                sent[0] == sent[2] && sent[1] == sent[3],
                "{name}: all responses share the same bytes, without copies"
            );
        }
        assert_eq!(ask("index.html", HeaderMap::new()).await.status(), 404);
    }
}
