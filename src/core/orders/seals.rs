//! Seals: what moved orders into files, and the hashes by which the files are known.

use crate::core::{
    orders::{kept_log::KeptLog, steps::actor},
    requests::command::PeriodRef,
    store::{
        column::freeze_fields,
        held::Held,
        rows::{Rows, SoFar, require},
    },
    words::{
        actor::{Actor, ActorKind},
        types::Timestamp,
    },
};

/// A seal. Its number is its position.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealRow {
    /// The command that sealed.
    pub lsn: u64,
    pub time: Timestamp,
    /// The command up to which its files know the network.
    pub as_of: u64,
    /// Orders and refunds that left the state.
    pub orders: u32,
    pub refunds: u32,
    /// The period that was sealed.
    pub period: u32,
    pub calendar: u16,
    /// Code of the kind of actor, and its id.
    pub by_kind: u8,
    /// BLAKE3 of the manifest that names the files.
    pub manifest: [u8; 32],
    /// The last command at the end of the period, and BLAKE3 of the manifest of the network's files then.
    pub boundary: u64,
    pub network: [u8; 32],
    pub by: Box<str>,
}

impl SealRow {
    pub fn actor(&self) -> Actor {
        actor(self.by_kind, &self.by)
    }

    pub fn is_of(&self, period: PeriodRef) -> bool {
        (self.calendar, self.period) == (period.calendar.into(), period.period)
    }
}

impl Held for SealRow {
    fn bytes(&self) -> usize {
        self.by.len()
    }
}

pub(crate) struct Seals {
    rows: KeptLog<SealRow>,
}

freeze_fields!(Seals { rows });

impl Rows for Seals {
    type Row = SealRow;

    fn count(&self) -> usize {
        self.rows.list().len()
    }

    fn row_at(&self, at: usize) -> SealRow {
        self.rows.list()[at].clone()
    }

    fn restore(&mut self, row: SealRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("seal by command {}: {what}", row.lsn);
        let periods = so_far.periods.get(usize::from(row.calendar)).copied().unwrap_or(0);
        require(row.period < periods, || wrong("no such period"))?;
        let follows = self.list().last().is_none_or(|last| last.lsn < row.lsn);
        let is_past =
            (1..=so_far.lsn).contains(&row.lsn) && row.as_of <= row.lsn && row.boundary <= row.as_of;
        require(follows && is_past, || wrong("no such command so far"))?;
        require(ActorKind::from_repr(row.by_kind).is_some(), || wrong("an unknown actor"))?;
        self.rows.push(row);
        Ok(())
    }
}

impl Seals {
    pub fn new() -> Self {
        Self { rows: KeptLog::new() }
    }

    /// Each seals one period, so there are never more of them than periods.
    pub fn list(&self) -> &[SealRow] {
        self.rows.list()
    }

    pub fn push(&mut self, row: SealRow) {
        self.rows.push(row);
    }
}
