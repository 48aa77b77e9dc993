//! What people did with periods, and why.

use crate::core::{
    orders::kept_log::KeptLog,
    requests::command::{PeriodRef, PeriodStep},
    store::{
        column::freeze_fields,
        held::Held,
        rows::{Rows, SoFar, require},
    },
    words::{
        actor::{Actor, ActorKind},
        types::{Reason, Timestamp},
    },
};

/// A step that was taken, in the order in which they were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepRow {
    /// The command that took it.
    pub lsn: u64,
    pub time: Timestamp,
    pub period: u32,
    pub calendar: u16,
    /// Code of the [`PeriodStep`].
    pub step: u8,
    /// Code of the kind of actor, and its id.
    pub by_kind: u8,
    pub by: Box<str>,
    /// Empty if none was given.
    pub reason: Box<str>,
}

impl StepRow {
    pub fn step(&self) -> PeriodStep {
        PeriodStep::from_repr(self.step).expect("it was one")
    }

    pub fn actor(&self) -> Actor {
        actor(self.by_kind, &self.by)
    }

    pub fn is_of(&self, period: PeriodRef) -> bool {
        (self.calendar, self.period) == (period.calendar.into(), period.period)
    }
}

impl Held for StepRow {
    fn bytes(&self) -> usize {
        self.by.len() + self.reason.len()
    }
}

/// The actor that was kept.
pub(super) fn actor(kind: u8, id: &str) -> Actor {
    Actor::new(ActorKind::from_repr(kind).expect("it was one"), id)
}

/// Steps of all periods that are kept: looking for those of one looks at all.
pub const STEPS_MAX: usize = 100_000;

pub(crate) struct Steps {
    rows: KeptLog<StepRow>,
}

freeze_fields!(Steps { rows });

impl Rows for Steps {
    type Row = StepRow;

    fn count(&self) -> usize {
        self.rows.list().len()
    }

    fn row_at(&self, at: usize) -> StepRow {
        self.rows.list()[at].clone()
    }

    fn restore(&mut self, row: StepRow, so_far: &SoFar) -> Result<(), String> {
        let wrong = |what: &str| format!("step of a period by command {}: {what}", row.lsn);
        let periods = so_far.periods.get(usize::from(row.calendar)).copied().unwrap_or(0);
        require(row.period < periods, || wrong("no such period"))?;
        require((1..=so_far.lsn).contains(&row.lsn), || wrong("no such command so far"))?;
        let is_known =
            PeriodStep::from_repr(row.step).is_some() && ActorKind::from_repr(row.by_kind).is_some();
        require(is_known, || wrong("an unknown step or actor"))?;
        require(row.reason.is_empty() || Reason::parse(&row.reason).is_some(), || wrong("no reason"))?;
        require(self.has_room(), || wrong("one too many"))?;
        self.rows.push(row);
        Ok(())
    }
}

impl Steps {
    pub fn new() -> Self {
        Self { rows: KeptLog::new() }
    }

    pub fn list(&self) -> &[StepRow] {
        self.rows.list()
    }

    /// Whether another one fits.
    pub fn has_room(&self) -> bool {
        self.list().len() < STEPS_MAX
    }

    pub fn push(&mut self, row: StepRow) {
        self.rows.push(row);
    }
}
