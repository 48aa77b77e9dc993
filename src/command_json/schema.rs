//! Pieces of JSON schemas.

use serde_json::{Map, Value, json};

/// Schemas with their names.
pub type Named = Vec<(String, Value)>;

pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object whose fields are all required.
pub fn object(about: &str, fields: Value) -> Value {
    let required: Vec<String> = fields.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    let mut schema = json!({ "type": "object", "description": about, "required": required });
    schema["properties"] = fields;
    schema
}

/// One of several objects, distinguished by a field.
pub fn one_of(about: &str, field: &str, choices: &[(&str, &str)]) -> Value {
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

pub fn described(about: &str, mut schema: Value) -> Value {
    schema["description"] = about.into();
    schema
}

pub fn text() -> Value {
    json!({ "type": "string" })
}

pub fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

pub fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

pub fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub fn minor() -> Value {
    json!({ "type": "integer", "description": "Minor units of the plan's currency" })
}

pub fn constant(value: &str) -> Value {
    json!({ "type": "string", "const": value })
}

pub fn choice(values: &[&str]) -> Value {
    json!({ "type": "string", "enum": values })
}

/// The same, or null.
pub fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
        return schema;
    }
    json!({ "oneOf": [schema, { "type": "null" }] })
}

pub fn list(items: Value) -> Value {
    let mut schema = json!({ "type": "array" });
    schema["items"] = items;
    schema
}
