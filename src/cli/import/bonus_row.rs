//! One row of a bonus file, as `export --bonuses` writes it.

use super::{
    lines::Row,
    member_row::{Name, parse_time},
    refusal::Refusal,
};
use crate::{
    amount,
    cli::network::Network,
    core::{
        Entry,
        command::ImportEntry,
        types::{EntryStatus, MemberId},
    },
};

/// Columns of a bonus file; all are needed.
pub(super) const COLUMNS: [(&str, bool); 7] =
    [("receiver", true), ("source", true), ("level", true), ("amount", true), ("kind", true), ("status", true), ("created_at", true)];

/// Reads a row against the members that are there.
pub(super) fn parse(row: &Row<'_>, network: &Network) -> Result<ImportEntry, Refusal> {
    let [receiver, source, level, amount, kind, status, created_at] = std::array::from_fn(|column| row.cell(column));
    let exponent = network.state.plan().currency.exponent;
    Ok(ImportEntry {
        receiver: member(network, receiver)?,
        source: member(network, source)?,
        kind: kind.into(),
        level: level.parse().map_err(|_| Refusal::BadLevel)?,
        amount: amount::parse(amount, exponent).map_err(Refusal::BadAmount)?,
        status: EntryStatus::from_name(status).ok_or(Refusal::BadStatus)?,
        time: parse_time(created_at).ok_or_else(|| Refusal::BadTime(created_at.into()))?,
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
    };
    held == *named
}
