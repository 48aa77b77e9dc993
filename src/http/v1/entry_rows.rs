//! Entries of the ledger as lists show them.

use super::{
    page::Reader,
    types::{Amount, Bonus, Time, user_id},
};
use crate::http::auth::SeenEntry;

impl Bonus {
    /// An entry as its reader sees it.
    pub fn new(reader: &Reader<'_>, entry: &SeenEntry) -> Self {
        let state = reader.state;
        Self {
            id: reader.entry_id(entry.index),
            receiver: user_id(state, entry.receiver),
            source: entry.source.map(|source| user_id(state, source)),
            kind: state.kind_name(entry.kind).into_owned(),
            level: entry.level,
            amount: Amount::new(entry.amount, state.plan()),
            status: entry.status.into(),
            time: Time(entry.time),
            lsn: entry.lsn,
            plan_version: entry.plan_version,
            reference: entry.reference(state).map(|reference| reference.as_str().to_owned()),
            reverses: state.reverses(entry.index).map(|reversed| reader.entry_id(reversed)),
            reversed_by: state.reversal_of(entry.index).map(|reversal| reader.entry_id(reversal)),
        }
    }
}
