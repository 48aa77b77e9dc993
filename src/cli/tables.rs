//! Tables in the terminal, of values with the terms of `/v1`.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value};

use super::screen;
use crate::{amount, core::types::Money};

/// Returns an empty table without lines.
pub(super) fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

/// Formats objects, one a line. A column has its header and the name of its field; numbers and amounts are
/// aligned to the right.
pub(super) fn of_objects(columns: &[(&str, &str)], objects: &[Value]) -> String {
    let mut table = plain();
    table.add_row(columns.iter().map(|(header, _)| *header));
    for object in objects {
        table.add_row(columns.iter().map(|(_, field)| shown(&object[*field])));
    }
    for (at, (_, field)) in columns.iter().enumerate() {
        let is_number = objects.iter().any(|object| object[*field].is_number() || object[*field].is_object());
        if let Some(column) = table.column_mut(at).filter(|_| is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Aligns the columns from this one on to the right.
pub(super) fn align_right(table: &mut Table, from: usize) {
    for column in table.column_iter_mut().skip(from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Formats a value for a cell: an object is an amount.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), screen::grouped),
        Value::Object(amount) => money(amount),
        other => other.to_string(),
    }
}

fn money(amount: &Map<String, Value>) -> String {
    let minor = amount.get("minor").and_then(Value::as_i64).unwrap_or_default();
    let exponent = amount
        .get("exponent")
        .and_then(Value::as_u64)
        .and_then(|exponent| u8::try_from(exponent).ok())
        .unwrap_or_default();
    let currency = amount.get("currency").and_then(Value::as_str).unwrap_or_default();
    format!("{} {currency}", amount::print(Money(minor), exponent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_amounts_are_on_the_right() {
        let objects = [
            json!({
                "name": "a", "level": 12_345, "amount": {"minor": -1_050, "currency": "USD", "exponent": 2},
            }),
            json!({"name": null, "level": 1, "amount": {"minor": 5, "currency": "USD", "exponent": 2}}),
        ];
        let table = of_objects(&[("who", "name"), ("level", "level"), ("amount", "amount")], &objects);
        assert_eq!(table, " who   level      amount\n a    12,345  -10.50 USD\n -         1    0.05 USD");
    }
}
