//! A bonus of a data directory as `/v1` shows it.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    core::{RowIds, RowKind, state::State},
    time_text,
};

/// Returns the object that `/v1` has for a ledger entry.
pub(super) fn bonus(state: &State, rows: RowIds, index: u64) -> Value {
    let (entry, currency) = (state.entry(index), &state.plan().currency);
    let id = |index| Uuid::from_bytes(state.row_id(rows, RowKind::Entry, index)).to_string();
    json!({
        "id": id(index),
        "receiver": state.id(entry.receiver).to_string(),
        "source": state.id(entry.source).to_string(),
        "kind": state.kind_name(entry.kind),
        "level": entry.level,
        "amount": {
            "minor": entry.amount.0,
            "currency": String::from_utf8_lossy(&currency.code),
            "exponent": currency.exponent,
        },
        "status": entry.status.name(),
        "time": time_text::print(entry.time),
        "lsn": entry.lsn,
        "plan_version": entry.plan_version,
        "reference": state.reference_of(index).map(|reference| reference.as_str().to_owned()),
        "reverses": state.reverses(index).map(id),
        "reversed_by": state.reversal_of(index).map(id),
    })
}
