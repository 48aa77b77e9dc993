//! Calendars and their periods, as they are read.

use std::sync::Arc;

use axum::{
    extract::State as Extract,
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer,
    as_of::{self, AsOf, AsOfQuery},
    caller::Caller,
    extract::{Path, Query},
    lists::{COMMON, cursor_invalid, opened},
    order_view::{Values, find_calendar},
    page::{self, Cursors, Listing, Page, Reader, list_query},
    problem::{Code, Problem, problems},
    types::Time,
};
use crate::{
    engine::{
        Actor, MemberDirectory, PeriodRef, PeriodRow, Rejection, RunRow, State, StepRow,
        calendar::{Calendar, Late},
    },
    http::{auth::Action, context::Shared, reply::Reply},
};

/// Steps of a period that are shown: the newest.
const STEPS_SHOWN_MAX: usize = 100;
/// Runs of a period that are shown with it: the newest.
const RUNS_SHOWN_MAX: usize = 10;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(calendars))
        .routes(routes!(periods))
        .routes(routes!(period))
        .routes(routes!(period_runs))
}

/// The calendars of the plan.
#[derive(Serialize, ToSchema)]
struct Calendars {
    /// In the plan's order.
    #[schema(max_items = 8)]
    items: Vec<CalendarView>,
}

/// A calendar, and how far its periods are.
#[derive(Serialize, ToSchema)]
struct CalendarView {
    #[schema(max_length = 64, example = "month")]
    name: String,
    /// A name of the IANA time zone database.
    #[schema(max_length = 64, example = "America/New_York")]
    timezone: String,
    /// What becomes of an order whose period takes no more orders: `book` or `refuse`.
    #[schema(value_type = String, pattern = "^(book|refuse)$", example = "book")]
    late: &'static str,
    /// Whether who approves a run must be somebody else than who made it.
    four_eyes: bool,
    /// How many periods it has.
    periods: u32,
    /// The newest period; null before the first.
    newest: Option<Period>,
    /// The oldest period that is not posted: the next one to be locked, run, approved or posted.
    oldest_not_posted: Option<Period>,
}

/// A period of a calendar.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "calendar": "month", "label": "2026-11", "number": 4, "state": "open",
    "start": "2026-11-01T04:00:00.000000Z", "end": "2026-12-01T05:00:00.000000Z",
    "grace_until": "2026-12-04T05:00:00.000000Z", "opened_lsn": 12, "was_locked": false,
    "totals": { "orders": 1, "refunds": 0, "sums": { "amount": "12.50", "volumes": { "pv": "10.00" } } },
}))]
pub struct Period {
    #[schema(max_length = 64)]
    pub calendar: String,
    #[schema(max_length = 64)]
    pub label: String,
    /// Counted from 0 in the calendar.
    pub number: u32,
    /// `open`: its end has not passed. `closing`: it has; late orders come in until `grace_until`. `locked`:
    /// nothing of it changes, unless it is unlocked. `approved`: its run was accepted. `posted`: it is final.
    /// `sealed`: its orders are in files.
    #[schema(value_type = String, pattern = "^(open|closing|locked|approved|posted|sealed)$")]
    pub state: &'static str,
    pub start: Time,
    /// The first instant behind it.
    pub end: Time,
    /// The first instant at which it takes no more orders.
    pub grace_until: Time,
    /// LSN of the command that opened it.
    pub opened_lsn: u64,
    /// Whether it was ever locked: it takes no more orders then, even when it is unlocked.
    pub was_locked: bool,
    pub totals: PeriodTotals,
}

/// A period, and what was done with it.
#[derive(Serialize, ToSchema)]
pub struct PeriodInFull {
    period: Period,
    /// What people did with it, newest first: the newest 100.
    #[schema(max_items = 100)]
    steps: Vec<StepTaken>,
    /// Newest first: the newest 10.
    #[schema(max_items = 10)]
    runs: Vec<Run>,
}

/// What the company has in a period.
#[derive(Serialize, ToSchema)]
pub struct PeriodTotals {
    /// Orders that were booked in it.
    orders: u64,
    /// Refunds of its orders, and corrections in it.
    refunds: u64,
    /// What is left of its orders, with corrections where they lower volumes. As booked: a sum may be
    /// negative.
    sums: Values<'static>,
}

/// A step that a person took.
#[derive(Serialize, ToSchema)]
struct StepTaken {
    /// `lock`, `unlock`, `approve` or `post`.
    #[schema(value_type = String, pattern = "^(lock|unlock|approve|post|seal)$", example = "lock")]
    step: &'static str,
    /// LSN of the command that took it.
    lsn: u64,
    time: Time,
    by: By,
    #[schema(max_length = 200)]
    reason: Option<String>,
}

/// Who did something.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "kind": "admin", "id": "ulk_2b22e1a6" }))]
pub struct By {
    /// The kind of principal, as in the change feed.
    #[schema(value_type = String)]
    kind: &'static str,
    #[schema(max_length = 128)]
    id: Option<String>,
}

/// A run: the result of a period.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "names on the wire")]
pub struct Run {
    /// Counted from 0 over all runs of the network.
    pub run: u32,
    /// LSN of the command that recorded it.
    pub lsn: u64,
    pub time: Time,
    by: By,
    /// The plan version by which it was computed.
    pub plan_version: u32,
    /// The last command that it took into account.
    pub up_to_lsn: u64,
    /// Lines of pay: none, until plans pay bonuses over periods.
    pub pay_lines: u64,
    /// BLAKE3 of its results, in hexadecimal digits.
    #[schema(min_length = 64, max_length = 64)]
    pub digest: String,
}

impl By {
    pub fn new(actor: &Actor) -> Self {
        let id = Some(actor.id()).filter(|id| !id.is_empty());
        Self { kind: actor.kind().name(), id: id.map(str::to_owned) }
    }
}

impl Period {
    pub fn new(state: &State, period: PeriodRef, row: &PeriodRow) -> Self {
        Self {
            calendar: super::order_view::calendar(state.plan(), period).to_owned(),
            label: row.label.to_string(),
            number: period.period,
            state: row.state().name(),
            start: Time(row.start),
            end: Time(row.end),
            grace_until: Time(row.grace_until),
            opened_lsn: row.opened,
            was_locked: row.was_locked != 0,
            totals: PeriodTotals::new(state, period),
        }
    }

    fn find(state: &State, period: PeriodRef) -> Option<Self> {
        state.period(period).map(|row| Self::new(state, period, row))
    }
}

impl PeriodTotals {
    fn new(state: &State, period: PeriodRef) -> Self {
        let plan = state.plan();
        let totals = state.period_totals(period);
        let values = 1 + plan.commerce.volumes.len();
        let sums = Values::new(plan, &totals.sums[..values]).into_owned();
        Self { orders: totals.orders, refunds: totals.refunds, sums }
    }
}

impl PeriodInFull {
    /// O(steps and runs of the network).
    pub fn new(state: &State, period: PeriodRef) -> Option<Self> {
        let newest_first = |mut all: Vec<StepTaken>| {
            all.reverse();
            all.truncate(STEPS_SHOWN_MAX);
            all
        };
        Some(Self {
            period: Period::find(state, period)?,
            steps: newest_first(state.period_steps(period).map(StepTaken::new).collect()),
            runs: runs_of(state, period, RUNS_SHOWN_MAX),
        })
    }
}

impl StepTaken {
    fn new(row: &StepRow) -> Self {
        Self {
            step: row.step().name(),
            lsn: row.lsn,
            time: Time(row.time),
            by: By::new(&row.actor()),
            reason: Some(&row.reason).filter(|reason| !reason.is_empty()).map(ToString::to_string),
        }
    }
}

impl Run {
    pub fn new(number: usize, row: &RunRow) -> Self {
        Self {
            run: u32::try_from(number).expect("few"),
            lsn: row.lsn,
            time: Time(row.time),
            by: By::new(&row.actor()),
            plan_version: row.plan_version,
            up_to_lsn: row.up_to_lsn,
            pay_lines: row.pay_lines,
            digest: blake3::Hash::from_bytes(row.digest).to_hex().to_string(),
        }
    }
}

/// The newest runs of a period, newest first.
fn runs_of(state: &State, period: PeriodRef, most: usize) -> Vec<Run> {
    let mut all: Vec<Run> = state.period_runs(period).map(|(number, row)| Run::new(number, row)).collect();
    all.reverse();
    all.truncate(most);
    all
}

/// The period of a calendar with a label.
///
/// # Errors
/// `calendar_unknown`, `period_unknown`.
pub fn find(state: &State, calendar: &str, label: &str) -> Result<PeriodRef, Problem> {
    let calendar = find_calendar(state, calendar)?;
    let unknown = || Problem::from(Rejection::PeriodUnknown).at(state.lsn());
    state.period_labeled(calendar, label).ok_or_else(unknown)
}

problems!(
    /// What reading a period can fail with.
    pub PeriodProblems: COMMON,
    [Code::Rejected(Rejection::CalendarUnknown), Code::Rejected(Rejection::PeriodUnknown)], as_of::PROBLEMS
);
problems!(
    ListProblems: COMMON,
    [Code::CursorInvalid, Code::Rejected(Rejection::CalendarUnknown)], as_of::PROBLEMS
);
problems!(CalendarsProblems: COMMON, as_of::PROBLEMS);

/// The calendars of the plan
///
/// Each with its newest period, and the oldest that is not posted.
#[utoipa::path(
    get, path = "/v1/calendars", tag = "periods",
    params(AsOfQuery),
    responses(
        (status = 200, description = "All", body = Calendars, headers(("x-lsn" = u64))),
        CalendarsProblems
    )
)]
async fn calendars(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    caller.may(Action::ReadPeriods)?;
    as_of::read(&shared, &caller, query.as_of, |state, _| {
        let calendars = (0..).zip(&state.plan().commerce.calendars);
        let items = calendars.map(|(position, calendar)| CalendarView::new(state, position, calendar));
        Ok(answer(StatusCode::OK, state.lsn(), &Calendars { items: items.collect() }))
    })
    .await
}

impl CalendarView {
    fn new(state: &State, position: u8, calendar: &Calendar) -> Self {
        let periods = state.periods_len(position);
        let period = |number: u32| Period::find(state, PeriodRef { calendar: position, period: number });
        let not_posted = oldest_not_posted(state, position, periods);
        Self {
            name: calendar.name.to_string(),
            timezone: calendar.timezone.to_string(),
            late: match calendar.late {
                Late::Book => "book",
                Late::Refuse => "refuse",
            },
            four_eyes: calendar.four_eyes,
            periods,
            newest: periods.checked_sub(1).and_then(period),
            oldest_not_posted: not_posted.and_then(period),
        }
    }
}

/// The first period that is not posted. Periods are posted one after the other.
fn oldest_not_posted(state: &State, calendar: u8, periods: u32) -> Option<u32> {
    let is_posted = |number: u32| {
        let row = state.period(PeriodRef { calendar, period: number });
        row.is_some_and(|row| row.state().is_final())
    };
    let (mut posted, mut end) = (0, periods);
    while posted < end {
        let middle = posted.midpoint(end);
        if is_posted(middle) { posted = middle + 1 } else { end = middle }
    }
    (posted < periods).then_some(posted)
}

list_query! {
    struct PeriodsQuery {
        /// Read the past: an LSN, or a time that is over. As far back as the log is kept; always in pages.
        #[param(value_type = Option<String>, max_length = 96)]
        as_of: Option<AsOf>,
    }
}

/// The periods of a calendar, newest first.
struct Periods {
    calendar: u8,
    /// Those with a smaller number are left.
    below: u32,
}

impl Listing for Periods {
    type Item = Period;

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Period>) -> bool {
        let rows = u32::try_from(rows).expect("limited");
        let end = self.below.saturating_sub(rows);
        let periods = (end..self.below).rev().map(|period| PeriodRef { calendar: self.calendar, period });
        out.extend(periods.filter_map(|period| Period::find(reader.state, period)));
        self.below = end;
        self.below != 0
    }

    fn position(&self) -> Vec<u64> {
        vec![self.below.into()]
    }
}

/// The periods of a calendar
///
/// Newest first.
#[utoipa::path(
    get, path = "/v1/calendars/{name}/periods", tag = "periods",
    params(("name" = String, Path, description = "The calendar", max_length = 64), PeriodsQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<Period> = "application/json"), (Period = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        ListProblems
    )
)]
async fn periods(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<PeriodsQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let as_of = query.as_of.map(|as_of| format!("/{as_of}")).unwrap_or_default();
    let cursors = Cursors::new(engine, &format!("periods/{name}{as_of}"));
    let after = opened(&cursors, query.cursor.as_deref())?;
    let begin = |state: &State, directory: &MemberDirectory| {
        caller.network(Action::ReadPeriods, state, directory)?;
        let calendar = find_calendar(state, &name)?;
        let periods = state.periods_len(calendar);
        let below = match after.as_deref() {
            None => periods,
            Some([below]) => {
                u32::try_from(*below).ok().filter(|below| *below <= periods).ok_or_else(cursor_invalid)?
            }
            Some(_) => return Err(cursor_invalid()),
        };
        Ok(Periods { calendar, below })
    };
    let Some(as_of) = query.as_of else {
        return page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await;
    };
    caller.may(Action::ReadPeriods)?;
    let past = as_of::past(&shared, &caller, as_of).await?;
    page::past(&shared, &caller, &past, query.limit, &cursors, begin).await
}

/// One period
///
/// Where it stands, what the company has in it, what people did with it and why, and its newest runs.
#[utoipa::path(
    get, path = "/v1/calendars/{name}/periods/{label}", tag = "periods",
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        AsOfQuery
    ),
    responses(
        (status = 200, description = "The period", body = PeriodInFull, headers(("x-lsn" = u64))),
        PeriodProblems
    )
)]
async fn period(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path((name, label)): Path<(String, String)>,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    caller.may(Action::ReadPeriods)?;
    as_of::read(&shared, &caller, query.as_of, |state, _| {
        let period = find(state, &name, &label)?;
        let period = PeriodInFull::new(state, period).ok_or_else(|| Problem::from(Code::Internal))?;
        Ok(answer(StatusCode::OK, state.lsn(), &period))
    })
    .await
}

/// The runs of a period.
#[derive(Serialize, ToSchema)]
struct Runs {
    /// Newest first: the newest 1,000.
    #[schema(max_items = 1_000)]
    items: Vec<Run>,
}

/// The runs of a period
///
/// Newest first. Those from before the period was unlocked are kept, and are not what is approved.
#[utoipa::path(
    get, path = "/v1/calendars/{name}/periods/{label}/runs", tag = "periods",
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        AsOfQuery
    ),
    responses(
        (status = 200, description = "The newest 1,000", body = Runs, headers(("x-lsn" = u64))),
        PeriodProblems
    )
)]
async fn period_runs(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path((name, label)): Path<(String, String)>,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    caller.may(Action::ReadPeriods)?;
    as_of::read(&shared, &caller, query.as_of, |state, _| {
        let items = runs_of(state, find(state, &name, &label)?, page::LIMIT_MAX as usize);
        Ok(answer(StatusCode::OK, state.lsn(), &Runs { items }))
    })
    .await
}
