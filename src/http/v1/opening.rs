//! `/v1/opening`, `/v1/members/{id}/opening`: what members brought from before the first period.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, AsOfQuery},
    calendars::By,
    caller::Caller,
    extract::{Path, Query},
    lists::{COMMON, PastMemberProblems},
    problem::{Problem, problems},
    types::{Time, user_id},
};
use crate::{
    engine::{MemberIx, OpeningCloseRow, OpeningRow, OpeningTotal, State},
    http::{auth::Action, context::Shared, reply::Reply},
    opening_text,
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(opening)).routes(routes!(member_opening))
}

/// The opening state of the network.
#[derive(Serialize, ToSchema)]
pub struct OpeningState {
    /// How many rows it has.
    rows: u32,
    /// Its end: nothing changes any more. Null while there is none.
    closed: Option<ClosedOpening>,
    /// Counts and sums, by kind, name and more.
    #[schema(max_items = 1_000)]
    totals: Vec<OpeningSum>,
}

/// The end of the opening state.
#[derive(Serialize, ToSchema)]
pub struct ClosedOpening {
    /// LSN of the command that closed it.
    lsn: u64,
    time: Time,
    by: By,
    /// BLAKE3 of all rows, in hexadecimal digits.
    #[schema(min_length = 64, max_length = 64)]
    digest: String,
}

/// Rows of the opening state that are counted together.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "carry", "name": "binary", "text": null, "calendar": null, "position": 0, "rows": 2,
    "sum": "310.5",
}))]
pub struct OpeningSum {
    #[schema(value_type = String)]
    kind: &'static str,
    #[schema(max_length = 64)]
    name: Option<Box<str>>,
    /// The rank, of `rank` and `held`.
    #[schema(max_length = 64)]
    text: Option<Box<str>>,
    #[schema(max_length = 64)]
    calendar: Option<Box<str>>,
    /// The period of `last_n`, the leg of `carry`.
    position: Option<u32>,
    rows: u64,
    /// The sum of their values; of `held` the number of periods. Null for kinds without values.
    sum: Option<String>,
}

/// The opening state of a member.
#[derive(Serialize, ToSchema)]
pub struct MemberOpening {
    user_id: Uuid,
    /// By kind and name.
    #[schema(max_items = 1_000)]
    rows: Vec<BroughtRow>,
}

/// One thing that a member brought from before the first period.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "kind": "rank", "name": "title", "text": "Silver", "calendar": null, "position": null,
    "since": "2024-05-01T00:00:00.000000Z", "value": null,
}))]
pub struct BroughtRow {
    /// `lifetime`, `last_n`, `rank`, `held`, `carry`, `once`, `bank`, `escrow`, `frozen`, `balance` or
    /// `debt`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// Of the metric, ladder, predicate, bonus or status.
    #[schema(max_length = 64)]
    name: Option<Box<str>>,
    /// The rank, key or status.
    #[schema(max_length = 64)]
    text: Option<Box<str>>,
    #[schema(max_length = 64)]
    calendar: Option<Box<str>>,
    /// Of `last_n`: the period, counted back from 1. Of `carry`: the leg. Of `bank`: free periods.
    position: Option<u32>,
    since: Option<Time>,
    /// A decimal; of `held` the periods, counted back from 1, such as `1-3 5`.
    value: Option<String>,
}

impl OpeningState {
    pub fn new(state: &State) -> Self {
        Self {
            rows: state.opening_len(),
            closed: state.opening_close().map(ClosedOpening::new),
            totals: state.opening_totals().into_iter().map(|total| OpeningSum::new(state, total)).collect(),
        }
    }
}

impl ClosedOpening {
    fn new(row: &OpeningCloseRow) -> Self {
        Self {
            lsn: row.lsn,
            time: Time(row.time),
            by: By::new(&row.actor()),
            digest: blake3::Hash::from_bytes(row.digest).to_hex().to_string(),
        }
    }
}

impl OpeningSum {
    pub fn new(state: &State, total: OpeningTotal) -> Self {
        let OpeningTotal { kind, name, text, calendar, position, rows, sum } = total;
        Self {
            kind: kind.name(),
            name: given(name),
            text: given(text),
            calendar: calendar_name(state, calendar),
            position,
            rows,
            sum: sum.map(|sum| opening_text::print_sum(kind.shape().value, sum)),
        }
    }
}

impl MemberOpening {
    pub fn new(state: &State, member: MemberIx) -> Self {
        let rows = state.opening_of(member).into_iter().map(|row| BroughtRow::new(state, row)).collect();
        Self { user_id: user_id(state, member), rows }
    }
}

impl BroughtRow {
    pub fn new(state: &State, row: OpeningRow) -> Self {
        let (kind, since, calendar) = (row.kind(), row.since(), row.calendar());
        let shape = kind.shape();
        Self {
            kind: kind.name(),
            name: given(row.name),
            text: given(row.text),
            calendar: calendar_name(state, calendar),
            position: (*shape.position.end() != 0).then_some(row.position),
            since: since.map(Time),
            value: opening_text::print_value(shape.value, row.value, row.decimals),
        }
    }
}

fn given(text: Box<str>) -> Option<Box<str>> {
    (!text.is_empty()).then_some(text)
}

fn calendar_name(state: &State, calendar: Option<u8>) -> Option<Box<str>> {
    Some(state.plan().commerce.calendars.get(usize::from(calendar?))?.name.clone())
}

problems!(OpeningProblems: COMMON, as_of::PROBLEMS);

/// The opening state
///
/// What members brought from before the first period, by counts and sums, and its digest once it is closed.
#[utoipa::path(
    get, path = "/v1/opening", tag = "periods",
    params(AsOfQuery),
    responses(
        (
            status = 200, description = "Counts and sums", body = OpeningState,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        OpeningProblems
    )
)]
async fn opening(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    as_of::read(&shared, &caller, query.as_of, |state, directory| {
        caller.network(Action::ReadPeriods, state, directory)?;
        Ok(answer(StatusCode::OK, state.lsn(), &OpeningState::new(state)))
    })
    .await
}

/// A member's opening state
///
/// What the member brought from before the first period. Missing history is 0, or was not held.
#[utoipa::path(
    get, path = "/v1/members/{id}/opening", tag = "members",
    params(("id" = Uuid, Path, description = "The member's user_id"), AsOfQuery),
    responses(
        (
            status = 200, description = "Its rows", body = MemberOpening,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        PastMemberProblems
    )
)]
async fn member_opening(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    as_of::read(&shared, &caller, query.as_of, |state, directory| {
        let member = caller.member(Action::ReadBonuses, id, state, directory)?;
        Ok(answer(StatusCode::OK, state.lsn(), &MemberOpening::new(state, member)))
    })
    .await
}
