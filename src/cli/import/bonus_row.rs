//! One row of a bonus file, as `export --bonuses` writes it.

use super::{
    lines::Row,
    member_row::{Name, optional, parse_row_id},
    options::Reading,
    refusal::Refusal,
};
use crate::{
    amount,
    cli::network::Network,
    core::{
        Entry, RowKind,
        command::ImportEntry,
        types::{EntryStatus, MemberId},
    },
};

/// Columns of a bonus file, and whether they are needed.
pub(super) const COLUMNS: [(&str, bool); 8] = [
    ("receiver", true),
    ("source", true),
    ("level", true),
    ("amount", true),
    ("kind", true),
    ("status", true),
    ("created_at", true),
    ("id", false),
];

/// Reads a row against the members that are there.
pub(super) fn parse(row: &Row<'_>, reading: &Reading, network: &Network) -> Result<ImportEntry, Refusal> {
    let [receiver, source, level, amount, kind, status, created_at, id] = std::array::from_fn(|column| row.cell(column));
    let exponent = network.state.plan().currency.exponent;
    Ok(ImportEntry {
        receiver: member(network, receiver)?,
        source: member(network, source)?,
        kind: kind.into(),
        level: level.parse().map_err(|_| Refusal::BadLevel)?,
        amount: amount::parse(amount, exponent).map_err(Refusal::BadAmount)?,
        status: EntryStatus::from_name(status).ok_or(Refusal::BadStatus)?,
        time: reading.time(created_at)?,
        row_id: optional(id, parse_row_id, Refusal::BadRowId)?,
    })
}

fn member(network: &Network, text: &str) -> Result<MemberId, Refusal> {
    let unknown = || Refusal::UnknownMember(text.into());
    let found = Name::parse(text).and_then(|name| name.find(&network.state, &network.directory)).ok_or_else(unknown)?;
    Ok(network.state.member(found).id)
}

/// Whether an entry of the ledger is the one that a row names.
pub(super) fn is_same(network: &Network, entry: &Entry, named: &ImportEntry) -> bool {
    let state = &network.state;
    let held = ImportEntry {
        receiver: state.member(entry.receiver).id,
        source: state.member(entry.source).id,
        kind: state.kind_name(entry.kind).into(),
        level: entry.level,
        amount: entry.amount,
        status: entry.status,
        time: entry.time,
        // A file without row ids says nothing of them.
        row_id: named.row_id.and(state.carried_row_id(RowKind::Entry, entry.index)),
    };
    held == *named
}
