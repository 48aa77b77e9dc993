//! Checks every `/v1` response that a test sees against `/openapi.json`: the status must be described there
//! for the route, and the body must fit its schema.
//!
//! Stricter than the published schema: an object may have no undescribed field, so that nothing is returned
//! without documentation.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use serde_json::{Value, json};
use upline_judge::Judge;

use super::Reply;

/// The description of this build.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(upline::http::description);

/// Compiled schemas, by their pointer.
static JUDGES: LazyLock<Mutex<HashMap<String, Arc<Judge>>>> = LazyLock::new(Mutex::default);

/// Checks a response.
///
/// # Panics
/// When it does not match the description.
pub fn check(method: &str, path: &str, reply: &Reply) {
    let path = path.split('?').next().unwrap_or_default();
    // Hyper's own refusals do not have our server name.
    if !path.starts_with("/v1/") || reply.header("server") != Some("upline") || method == "HEAD" {
        return;
    }
    let about = format!("{method} {path} {}", reply.status);
    let kind = reply.header("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let Some(operation) = operation(method, path) else {
        assert!(matches!(reply.status, 400 | 401 | 404 | 405 | 408 | 413 | 429), "{about}: {}", reply.text());
        validate("/components/schemas/Problem", &reply.json(), &about);
        return;
    };
    let answer = format!("{operation}/responses/{}", reply.status);
    assert!(
        DESCRIPTION.pointer(&answer).is_some(),
        "{about} is not described: {}",
        String::from_utf8_lossy(&reply.body)
    );
    let Some(kind) = kind.filter(|_| !reply.body.is_empty()) else { return };
    let media = format!("{answer}/content/{}", escaped(kind));
    assert!(DESCRIPTION.pointer(&media).is_some(), "{about} is not described as {kind}");
    let schema = format!("{media}/schema");
    match kind {
        "application/x-ndjson" => {
            for line in reply.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                validate(&schema, &serde_json::from_slice(line).expect("a line is JSON"), &about);
            }
        }
        kind if kind.ends_with("json") => validate(&schema, &reply.json(), &about),
        _ => {}
    }
}

/// Checks a value against a schema of the description.
///
/// # Panics
/// When it does not fit.
pub fn validate(pointer: &str, value: &Value, about: &str) {
    let judge = {
        let mut judges = JUDGES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(judges.entry(pointer.to_owned()).or_insert_with(|| Arc::new(judge(pointer))))
    };
    let errors = judge.errors(value, 5);
    assert!(errors.is_empty(), "{about} is not as described at {pointer}: {errors:#?}\n{value:#}");
}

/// Returns whether a value fits a schema of the description.
pub fn fits(pointer: &str, value: &Value) -> bool {
    judge(pointer).fits(value)
}

fn judge(pointer: &str) -> Judge {
    let schema = DESCRIPTION.pointer(pointer).unwrap_or_else(|| panic!("nothing is described at {pointer}"));
    let mut whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": DESCRIPTION["components"],
        "allOf": [schema],
    });
    close(&mut whole["components"]["schemas"]);
    whole["allOf"].as_array_mut().expect("just made").iter_mut().for_each(close);
    Judge::new(&whole).unwrap_or_else(|error| panic!("{pointer}: {error}"))
}

/// Forbids undescribed fields. The parts of an `allOf` describe one object together, so each may have the
/// others' fields.
fn close(schema: &mut Value) {
    let mut waiting = vec![schema];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(members) => {
                let is_whole = members.get("type").is_some_and(|kind| {
                    kind == "object" || kind.as_array().is_some_and(|kinds| kinds.contains(&"object".into()))
                });
                if is_whole
                    && members.get("properties").is_some_and(Value::is_object)
                    && !members.contains_key("additionalProperties")
                {
                    members.insert("additionalProperties".into(), false.into());
                }
                waiting
                    .extend(members.iter_mut().filter(|(name, _)| *name != "allOf").map(|(_, value)| value));
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
}

/// Returns a pointer to the operation of a request: of the matching templates, the one with the fewest
/// parameters.
fn operation(method: &str, path: &str) -> Option<String> {
    let paths = DESCRIPTION["paths"].as_object().expect("paths are described");
    let fits = |template: &str| {
        let (mut theirs, mut ours) = (template.split('/'), path.split('/'));
        let are_equal = theirs
            .by_ref()
            .zip(ours.by_ref())
            .all(|(theirs, ours)| theirs == ours || theirs.starts_with('{') && !ours.is_empty());
        are_equal && template.split('/').count() == path.split('/').count()
    };
    let template = paths
        .keys()
        .filter(|template| fits(template))
        .min_by_key(|template| template.matches('{').count())?;
    let method = method.to_ascii_lowercase();
    paths[template].get(&method).map(|_| format!("/paths/{}/{method}", escaped(template)))
}

/// Escapes a name for a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
