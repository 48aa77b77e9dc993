//! Examples in the description: every answer and body without an example gets one, built from the examples
//! and limits of its schema, so that no route lacks any.

use serde_json::{Map, Value, json};

/// Maximum nesting of schemas. Ours are not recursive; a recursive one would end here.
const DEPTH_MAX: u32 = 12;

/// Adds an example to each body and each answer that has none.
pub fn fill(description: &mut Value) {
    let schemas = description.pointer("/components/schemas").cloned().unwrap_or_default();
    let Some(Value::Object(paths)) = description.get_mut("paths") else { return };
    for operation in paths.values_mut().filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        if let Some(content) = operation.pointer_mut("/requestBody/content") {
            fill_content(content, &schemas);
        }
        let Some(Value::Object(answers)) = operation.get_mut("responses") else { continue };
        answers
            .values_mut()
            .filter_map(|answer| answer.get_mut("content"))
            .for_each(|content| fill_content(content, &schemas));
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

/// A value that fits a schema; `None` for a schema that is too vague.
fn example_of(schema: &Value, schemas: &Value, depth: u32) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    if let Some(value) = schema.get("const") {
        return Some(value.clone());
    }
    if let Some(example) =
        schema.get("example").or_else(|| schema.pointer("/examples/0")).or_else(|| schema.get("default"))
    {
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
            return schemas_of
                .iter()
                .find(|schema| !is_null(schema))
                .and_then(|schema| example_of(schema, schemas, depth));
        }
    }
    let kind = schema.get("type")?;
    // The first of `["string", "null"]`.
    match kind.as_str().or_else(|| kind.get(0)?.as_str())? {
        "object" => {
            let properties = schema.get("properties").and_then(Value::as_object)?;
            let example = properties
                .iter()
                .filter_map(|(name, schema)| Some((name.clone(), example_of(schema, schemas, depth)?)));
            Some(Value::Object(example.collect()))
        }
        "array" => Some(json!([example_of(schema.get("items")?, schemas, depth)?])),
        "string" => Some(text_of(schema).into()),
        "integer" | "number" => Some(
            schema
                .get("minimum")
                .filter(|least| least.as_i64().is_some_and(|least| 0 < least))
                .cloned()
                .unwrap_or(1.into()),
        ),
        "boolean" => Some(true.into()),
        _ => None,
    }
}

fn text_of(schema: &Value) -> &'static str {
    let least = schema.get("minLength").and_then(Value::as_u64);
    match (
        schema.get("format").and_then(Value::as_str),
        least,
        schema.get("maxLength").and_then(Value::as_u64),
    ) {
        (Some("uuid"), ..) => "2b22e1a6-0289-4314-a6d2-6b688bb468fa",
        (Some("date-time"), ..) => "2026-11-20T01:02:03.000000Z",
        // A currency.
        (_, Some(3), Some(3)) => "USD",
        // A digest.
        (_, Some(64), Some(64)) => "4d1f6b0c9a7e3852d0c4b6f1a29e7d3385f0c1b2a4968e7d5c3b1a0f9e8d7c6b",
        _ => "K7M2XQ4A",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a value fits a schema: checks only types, required fields and choices.
    fn fits(value: &Value, schema: &Value, schemas: &Value) -> bool {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            return fits(value, &schemas[name.rsplit('/').next().unwrap()], schemas);
        }
        let of = |name: &str| schema.get(name).and_then(Value::as_array);
        if of("enum").is_some_and(|known| !known.contains(value))
            || ["oneOf", "anyOf"].iter().any(|name| {
                of(name).is_some_and(|any| !any.iter().any(|schema| fits(value, schema, schemas)))
            })
            || of("allOf").is_some_and(|all| !all.iter().all(|schema| fits(value, schema, schemas)))
        {
            return false;
        }
        let is_of = |kind: &str| match kind {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        let is_typed = match schema.get("type") {
            None => true,
            Some(Value::Array(kinds)) => kinds.iter().any(|kind| is_of(kind.as_str().unwrap())),
            Some(kind) => is_of(kind.as_str().unwrap()),
        };
        let has_all = of("required")
            .is_none_or(|names| names.iter().all(|name| value.get(name.as_str().unwrap()).is_some()));
        let fields = value.as_object().into_iter().flatten();
        let fit_fields = fields.clone().count() == 0
            || fields.clone().all(|(name, value)| {
                schema
                    .pointer(&format!("/properties/{name}"))
                    .is_none_or(|schema| fits(value, schema, schemas))
            });
        let fit_items = schema.get("items").is_none_or(|items| {
            value.as_array().into_iter().flatten().all(|item| fits(item, items, schemas))
        });
        is_typed && (value.is_null() || has_all && fit_fields && fit_items)
    }

    #[test]
    fn every_answer_and_body_has_an_example_that_fits() {
        let description = crate::http::docs::description();
        let schemas = &description["components"]["schemas"];
        let (mut answers, mut bodies) = (0, 0);
        let check = |content: &Value, about: &str| {
            let Some(content) = content.as_object() else { return 0 };
            for (kind, media) in content {
                let named = media
                    .get("examples")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(_, example)| &example["value"]);
                let examples: Vec<&Value> = media.get("example").into_iter().chain(named).collect();
                assert!(!examples.is_empty(), "{about} {kind}");
                for example in examples {
                    // A line or a page of text has another type than its schema, which describes its parts.
                    let is_text = example.is_string() && !kind.contains("json");
                    assert!(
                        is_text || fits(example, &media["schema"], schemas),
                        "{about} {kind}: {example} is no {}",
                        media["schema"]
                    );
                }
            }
            content.len()
        };
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                bodies += check(&operation["requestBody"]["content"], &format!("{method} {path}"));
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    answers += check(&answer["content"], &format!("{method} {path} {status}"));
                }
            }
        }
        assert!(400 < answers && 8 < bodies, "{answers} answers, {bodies} bodies");
    }

    #[test]
    fn examples_are_made_of_schemas() {
        let schemas = json!({
            "Inner": { "type": "object", "properties": { "id": { "type": "string", "format": "uuid" } } },
        });
        // schema, example
        let table = [
            (json!({ "type": "integer", "minimum": 3 }), json!(3)),
            (
                json!({ "type": ["string", "null"], "format": "date-time" }),
                json!("2026-11-20T01:02:03.000000Z"),
            ),
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
        let endless =
            json!({ "Endless": { "type": "array", "items": { "$ref": "#/components/schemas/Endless" } } });
        assert_eq!(example_of(&endless["Endless"], &endless, DEPTH_MAX), None);
    }
}
