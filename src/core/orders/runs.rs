//! Runs of periods: what was computed, from what, and the digest of the results.

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

/// A run, in the order in which they were recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunRow {
    /// The command that recorded it.
    pub lsn: u64,
    pub time: Timestamp,
    /// The last command that it took into account: `lsn` at most.
    pub up_to_lsn: u64,
    /// Lines of pay.
    pub pay_lines: u64,
    pub period: u32,
    pub plan_version: u32,
    pub calendar: u16,
    /// Code of the kind of actor, and its id.
    pub by_kind: u8,
    pub digest: [u8; 32],
    pub by: Box<str>,
}

impl RunRow {
    pub fn actor(&self) -> Actor {
        actor(self.by_kind, &self.by)
    }

    pub fn is_of(&self, period: PeriodRef) -> bool {
        (self.calendar, self.period) == (period.calendar.into(), period.period)
    }
}

impl Held for RunRow {
    fn bytes(&self) -> usize {
        self.by.len()
    }
}

/// Runs of all periods that are kept: looking for those of one looks at all.
pub const RUNS_MAX: usize = 100_000;

pub(crate) struct Runs {
    rows: KeptLog<RunRow>,
}

freeze_fields!(Runs { rows });

impl Rows for Runs {
    type Row = RunRow;

    fn count(&self) -> usize {
        self.rows.list().len()
    }

    fn row_at(&self, at: usize) -> RunRow {
        self.rows.list()[at].clone()
    }

    fn restore(&mut self, row: RunRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("run by command {}: {what}", row.lsn);
        let periods = so_far.periods.get(usize::from(row.calendar)).copied().unwrap_or(0);
        require(row.period < periods, || wrong("no such period"))?;
        require((1..=so_far.lsn).contains(&row.lsn) && row.up_to_lsn <= row.lsn, || {
            wrong("no such command so far")
        })?;
        require(ActorKind::from_repr(row.by_kind).is_some(), || wrong("an unknown actor"))?;
        require(self.has_room(), || wrong("one too many"))?;
        self.rows.push(row);
        Ok(())
    }
}

impl Runs {
    pub fn new() -> Self {
        Self { rows: KeptLog::new() }
    }

    pub fn list(&self) -> &[RunRow] {
        self.rows.list()
    }

    /// Whether another one fits.
    pub fn has_room(&self) -> bool {
        self.list().len() < RUNS_MAX
    }

    pub fn push(&mut self, row: RunRow) {
        self.rows.push(row);
    }

    /// The newest run of a period. O(runs).
    pub fn newest(&self, period: PeriodRef) -> Option<&RunRow> {
        self.list().iter().rev().find(|run| run.is_of(period))
    }
}
