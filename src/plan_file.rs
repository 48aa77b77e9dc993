//! Plan files: a plan document in TOML.
//!
//! The shipped files in `plans/` explain the fields. A file is refused with all its errors, each with line,
//! field and reason; an unknown key is an error, since a misspelled one would silently mean its default.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::Value as Json;
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use crate::{
    core::plan::Plan,
    plan_document::{Fault, Format, Node, PlanDocument, former_key, former_path, read, renewed},
    toml_reader::{FileError, Reader},
};

/// The default plan of a network: `plans/matrix.toml`.
pub const DEFAULT_PLAN: &str = include_str!("../plans/matrix.toml");

const DEMO_PLAN: &str = include_str!("../plans/demo.toml");

/// The default plan.
pub fn default_plan() -> Plan {
    parse(DEFAULT_PLAN).expect("the embedded plan is checked by a test")
}

/// The plan of `upline demo`: the default plan, and what a company needs that takes orders.
pub fn demo_plan() -> Plan {
    parse(DEMO_PLAN).expect("the embedded plan is checked by a test")
}

/// Reads and validates a plan.
///
/// # Errors
/// All errors, in file order. For a file of the form before version 4 of the data format the first one has
/// the same plan in the form of today, if there is nothing else wrong with it.
pub fn parse(text: &str) -> Result<Plan, Vec<FileError>> {
    let (mut reader, document) = Reader::parse(text)?;
    let document = table_node(&mut reader, "", document.get_ref());
    if let Some(key) = former_key(&document) {
        return Err(former_errors(reader, key, &renewed(&document)));
    }
    read(&document, Format::Toml).map_err(|faults| errors(reader, faults, str::to_owned))
}

/// Returns the errors, at the lines of the fields that they name.
fn errors(mut reader: Reader, faults: Vec<Fault>, place: impl Fn(&str) -> String) -> Vec<FileError> {
    for fault in faults {
        reader.fault(&place(&fault.field), fault.reason);
    }
    reader.into_errors()
}

/// Returns the errors of a file of the former form.
fn former_errors(mut reader: Reader, key: &str, renewed: &Node) -> Vec<FileError> {
    const FORMER: &str = "is how plans were written before version 4 of the data format";
    match read(renewed, Format::Toml) {
        Ok(plan) => {
            let reason = format!("{FORMER}. The same plan as it is written now:\n\n{}", to_text(&plan));
            reader.fault(key, reason.trim_end());
            reader.into_errors()
        }
        Err(faults) => {
            let reason =
                format!("{FORMER}. Once the other errors are mended, it is shown as it is written now");
            reader.fault(key, reason);
            errors(reader, faults, former_path)
        }
    }
}

/// Returns a table as a node, and notes the line of each field. The parser bounds the depth.
fn table_node(reader: &mut Reader, path: &str, table: &DeTable<'_>) -> Node {
    let dot = if path.is_empty() { "" } else { "." };
    // The parser sorts the keys; a document has them in the order of the file.
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let field = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        let path = format!("{path}{dot}{name}");
        reader.note_line(&path, &key.span());
        (name.clone().into_owned(), node(reader, &path, value.get_ref()))
    };
    Node::Table(entries.into_iter().map(field).collect())
}

fn node(reader: &mut Reader, path: &str, value: &DeValue<'_>) -> Node {
    match value {
        DeValue::String(text) => Node::Text(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let other_radix = || i64::from_str_radix(number.as_str(), number.radix()).ok();
            let digits = if number.radix() == 10 { None } else { other_radix() };
            Node::Whole(digits.map_or_else(|| number.as_str().to_owned(), |number| number.to_string()))
        }
        DeValue::Float(number) => Node::Real(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Node::Flag(*flag),
        DeValue::Datetime(date) => Node::Date(date.to_string()),
        DeValue::Array(items) => {
            let item = |(position, item): (usize, &toml::Spanned<DeValue<'_>>)| {
                let path = format!("{path}[{position}]");
                reader.note_line(&path, &item.span());
                node(reader, &path, item.get_ref())
            };
            Node::List(items.iter().enumerate().map(item).collect())
        }
        DeValue::Table(table) => table_node(reader, path, table),
    }
}

/// Returns the canonical text of a plan: every field, defaults included, in a fixed order. `parse` reads the
/// same plan back.
pub fn to_text(plan: &Plan) -> String {
    let document =
        Table::try_from(PlanDocument::new(plan)).expect("a plan document is a table of plain data");
    let mut text = String::new();
    write_table(&mut text, "", &document);
    text
}

/// Writes the fields of a table, then the tables in it. A plan has tables three deep.
fn write_table(text: &mut String, path: &str, table: &Table) {
    // Tables with names of their own keep their order.
    let is_on_line = |value: &&Value| !has_tables_alone(table) && is_on_one_line(value);
    for (name, value) in table.iter().filter(|(_, value)| is_on_line(value)) {
        writeln!(text, "{name} = {value}").expect("writing to a string does not fail");
    }
    for (name, value) in table.iter().filter(|(_, value)| !is_on_line(value)) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Table(inner) => {
                // One that has tables alone needs no line of its own.
                if !has_tables_alone(inner) && inner.values().any(is_on_one_line) {
                    writeln!(text, "\n[{path}]").expect("writing to a string does not fail");
                }
                write_table(text, &path, inner);
            }
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_table) {
                    writeln!(text, "\n[[{path}]]").expect("writing to a string does not fail");
                    write_table(text, &path, item);
                }
            }
            _ => unreachable!("the others are on one line"),
        }
    }
}

fn has_tables_alone(table: &Table) -> bool {
    table.values().all(Value::is_table)
}

/// Returns whether a value is written behind its name: all but longer tables, and lists of tables.
fn is_on_one_line(value: &Value) -> bool {
    match value {
        Value::Table(table) => table.len() <= 2 && table.values().all(|value| !value.is_table()),
        Value::Array(items) => !items.iter().any(Value::is_table),
        _ => true,
    }
}

/// Returns the differences between two plans, one line per field: `placement.width: 3 in the directory, 5
/// wanted`. Empty if they are the same.
pub fn diff(in_directory: &Plan, wanted: &Plan) -> Vec<String> {
    let (old, new) = (flat(in_directory), flat(wanted));
    let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let value = |plan: &BTreeMap<String, String>, field: &String| {
        plan.get(field).map_or("absent".into(), Clone::clone)
    };
    let differing = fields.into_iter().filter(|field| old.get(*field) != new.get(*field));
    differing
        .map(|field| {
            format!("{field}: {} in the directory, {} wanted", value(&old, field), value(&new, field))
        })
        .collect()
}

/// Returns every field of a plan under its path.
fn flat(plan: &Plan) -> BTreeMap<String, String> {
    let document = serde_json::to_value(PlanDocument::new(plan)).expect("a plan document is plain data");
    let mut flat = BTreeMap::new();
    let calendars: Vec<&str> = plan.commerce.calendars.iter().map(|calendar| &*calendar.name).collect();
    let volumes: Vec<&str> = plan.commerce.volumes.iter().map(|volume| &*volume.name).collect();
    // Their order is a part of the plan.
    for (field, names) in [("calendar", calendars), ("volume", volumes)] {
        if !names.is_empty() {
            flat.insert(field.to_owned(), names.join(", "));
        }
    }
    let mut left = vec![(String::new(), document)];
    while let Some((path, value)) = left.pop() {
        match value {
            Json::Object(fields) => {
                let dot = if path.is_empty() { "" } else { "." };
                left.extend(fields.into_iter().map(|(name, value)| (format!("{path}{dot}{name}"), value)));
            }
            Json::Array(items) if items.iter().any(Json::is_object) => {
                let items = items.into_iter().enumerate();
                left.extend(items.map(|(position, item)| (format!("{path}[{position}]"), item)));
            }
            other => _ = flat.insert(path, other.to_string()),
        }
    }
    flat
}

#[cfg(test)]
#[path = "plan_file_orders_test.rs"]
mod order_tests;
#[cfg(test)]
#[path = "plan_file_test.rs"]
mod tests;
