//! The end of the opening state: how many rows it has, and their digest. There is one row, or none.

use crate::core::{
    orders::{kept_log::KeptLog, steps::actor},
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

/// Who closed the opening state, when, and what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpeningCloseRow {
    /// The command that closed it.
    pub lsn: u64,
    pub time: Timestamp,
    /// How many rows it has.
    pub rows: u64,
    /// BLAKE3 of them.
    pub digest: [u8; 32],
    /// Code of the kind of actor, and its id.
    pub by_kind: u8,
    pub by: Box<str>,
}

impl OpeningCloseRow {
    pub fn actor(&self) -> Actor {
        actor(self.by_kind, &self.by)
    }
}

impl Held for OpeningCloseRow {
    fn bytes(&self) -> usize {
        self.by.len()
    }
}

pub(crate) struct OpeningClose {
    rows: KeptLog<OpeningCloseRow>,
}

freeze_fields!(OpeningClose { rows });

impl Rows for OpeningClose {
    type Row = OpeningCloseRow;

    fn count(&self) -> usize {
        self.rows.list().len()
    }

    fn row_at(&self, at: usize) -> OpeningCloseRow {
        self.rows.list()[at].clone()
    }

    fn restore(&mut self, row: OpeningCloseRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("end of the opening state by command {}: {what}", row.lsn);
        require(self.get().is_none(), || wrong("there twice"))?;
        require((1..=so_far.lsn).contains(&row.lsn), || wrong("no such command so far"))?;
        require(ActorKind::from_repr(row.by_kind).is_some(), || wrong("an unknown actor"))?;
        self.rows.push(row);
        Ok(())
    }
}

impl OpeningClose {
    pub fn new() -> Self {
        Self { rows: KeptLog::new() }
    }

    pub fn get(&self) -> Option<&OpeningCloseRow> {
        self.rows.list().first()
    }

    pub fn set(&mut self, row: OpeningCloseRow) {
        debug_assert!(self.get().is_none());
        self.rows.push(row);
    }
}
