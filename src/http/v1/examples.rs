//! Examples in the description: every successful answer and every body gets one, made of the examples and limits of its schema, so that no
//! route can be without.

use serde_json::{Map, Value, json};

/// Schemas inside schemas, at most. Ours are not recursive; a schema that were would end here.
const DEPTH_MAX: u32 = 12;

/// Adds an example to each body and each 2xx answer of `/v1` that has none.
pub fn fill(description: &mut Value) {
    let schemas = description.pointer("/components/schemas").cloned().unwrap_or_default();
    let Some(Value::Object(paths)) = description.get_mut("paths") else { return };
    let ours = paths.iter_mut().filter(|(path, _)| super::is_ours(path)).filter_map(|(_, item)| item.as_object_mut());
    for operation in ours.flat_map(Map::values_mut) {
        if let Some(content) = operation.pointer_mut("/requestBody/content") {
            fill_content(content, &schemas);
        }
        let Some(Value::Object(answers)) = operation.get_mut("responses") else { continue };
        let successes = answers.iter_mut().filter(|(status, _)| status.starts_with('2'));
        successes.filter_map(|(_, answer)| answer.get_mut("content")).for_each(|content| fill_content(content, &schemas));
    }
}

/// Adds an example for each media type.
fn fill_content(content: &mut Value, schemas: &Value) {
    let Some(content) = content.as_object_mut() else { return };
    for media in content.values_mut().filter_map(Value::as_object_mut) {
        if media.contains_key("example") || media.contains_key("examples") {
            continue;
        }
        if let Some(example) = media.get("schema").and_then(|schema| example_of(schema, schemas, DEPTH_MAX)) {
            media.insert("example".into(), example);
        }
    }
}

/// A value that fits a schema; `None` for a schema that says too little.
fn example_of(schema: &Value, schemas: &Value, depth: u32) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    if let Some(example) = schema.get("example").or_else(|| schema.pointer("/examples/0")).or_else(|| schema.get("default")) {
        return Some(example.clone());
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return example_of(schemas.get(name.rsplit('/').next()?)?, schemas, depth);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.first().cloned();
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(schemas_of) = schema.get(choice).and_then(Value::as_array) {
            let is_null = |schema: &&Value| schema.get("type").and_then(Value::as_str) == Some("null");
            return schemas_of.iter().find(|schema| !is_null(schema)).and_then(|schema| example_of(schema, schemas, depth));
        }
    }
    let kind = schema.get("type")?;
    // Of `["string", "null"]` the first.
    match kind.as_str().or_else(|| kind.get(0)?.as_str())? {
        "object" => {
            let properties = schema.get("properties").and_then(Value::as_object)?;
            let example = properties.iter().filter_map(|(name, schema)| Some((name.clone(), example_of(schema, schemas, depth)?)));
            Some(Value::Object(example.collect()))
        }
        "array" => Some(json!([example_of(schema.get("items")?, schemas, depth)?])),
        "string" => Some(text_of(schema).into()),
        "integer" | "number" => {
            Some(schema.get("minimum").filter(|least| least.as_i64().is_some_and(|least| 0 < least)).cloned().unwrap_or(1.into()))
        }
        "boolean" => Some(true.into()),
        _ => None,
    }
}

fn text_of(schema: &Value) -> &'static str {
    let least = schema.get("minLength").and_then(Value::as_u64);
    match (schema.get("format").and_then(Value::as_str), least, schema.get("maxLength").and_then(Value::as_u64)) {
        (Some("uuid"), ..) => "2b22e1a6-0289-4314-a6d2-6b688bb468fa",
        (Some("date-time"), ..) => "2026-11-20T01:02:03.000000Z",
        // A currency.
        (_, Some(3), Some(3)) => "USD",
        _ => "K7M2XQ4A",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_success_has_an_example_that_fits() {
        let description = crate::http::docs::description();
        let mut answers = 0;
        for (path, item) in description["paths"].as_object().unwrap().iter().filter(|(path, _)| super::super::is_ours(path)) {
            for (method, operation) in item.as_object().unwrap() {
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let Some(content) = answer.get("content").and_then(Value::as_object) else { continue };
                    for (kind, media) in content {
                        assert!(media.get("example").or(media.get("examples")).is_some(), "{method} {path} {status} {kind}");
                        answers += 1;
                    }
                }
            }
        }
        assert!(100 < answers, "{answers}");
    }

    #[test]
    fn examples_are_made_of_schemas() {
        let schemas = json!({ "Inner": { "type": "object", "properties": { "id": { "type": "string", "format": "uuid" } } } });
        // schema, example
        let table = [
            (json!({ "type": "integer", "minimum": 3 }), json!(3)),
            (json!({ "type": ["string", "null"], "format": "date-time" }), json!("2026-11-20T01:02:03.000000Z")),
            (
                json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Inner" }] }),
                json!({ "id": "2b22e1a6-0289-4314-a6d2-6b688bb468fa" }),
            ),
            (json!({ "type": "array", "items": { "type": "string", "enum": ["a", "b"] } }), json!(["a"])),
            (json!({ "type": "string", "example": "x" }), json!("x")),
        ];
        for (schema, example) in table {
            assert_eq!(example_of(&schema, &schemas, DEPTH_MAX), Some(example), "{schema}");
        }
        let endless = json!({ "Endless": { "type": "array", "items": { "$ref": "#/components/schemas/Endless" } } });
        assert_eq!(example_of(&endless["Endless"], &endless, DEPTH_MAX), None);
    }
}
