//! What people do with periods: lock, unlock, approve, post and seal them, and run them.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer,
    calendars::{PeriodInFull, Run, find},
    caller::Caller,
    extract::{IdempotencyKey, Json, Path},
    pay,
    problem::{Code, Problem, problems},
    register::{NOT_WRITTEN, field_invalid},
};
use crate::{
    engine::{Answer, Command, Outcome, PeriodStep, Reason, RecordRun, Rejection, SealError, StepPeriod},
    http::{auth::Action, context::Shared, reply::Reply},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(lock_period))
        .routes(routes!(unlock_period))
        .routes(routes!(approve_period))
        .routes(routes!(post_period))
        .routes(routes!(seal_period))
        .routes(routes!(run_period))
}

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// Why a step is taken.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "month closed" }))]
struct StepGiven {
    /// In a person's words: printable, not blank at its ends. Kept with the period.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200, example = "month closed")]
    reason: Option<String>,
}

problems!(
    StepProblems: [
        Code::BodyMalformed,
        Code::BodyTooSlow,
        Code::Rejected(Rejection::CalendarUnknown),
        Code::Rejected(Rejection::PeriodUnknown),
        Code::Rejected(Rejection::PeriodNotOver),
        Code::Rejected(Rejection::PeriodOutOfOrder),
        Code::Rejected(Rejection::PeriodStepNotAllowed),
        Code::Rejected(Rejection::OpeningUnfinished),
        Code::Rejected(Rejection::ApproverIsRunner),
        Code::Rejected(Rejection::PeriodNotOpen),
        Code::Rejected(Rejection::PeriodsFull),
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::FieldInvalid,
    ], pay::COMMON, NOT_WRITTEN
);
problems!(
    SealProblems: [
        Code::BodyMalformed,
        Code::BodyTooSlow,
        Code::Rejected(Rejection::CalendarUnknown),
        Code::Rejected(Rejection::PeriodUnknown),
        Code::Rejected(Rejection::PeriodOutOfOrder),
        Code::Rejected(Rejection::PeriodStepNotAllowed),
        Code::Rejected(Rejection::SealStale),
        Code::Rejected(Rejection::PeriodsFull),
        Code::SealsUnreadable,
        Code::HistoryNotRetained,
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::FieldInvalid,
    ], pay::COMMON, NOT_WRITTEN
);
problems!(
    RunProblems: [
        Code::Rejected(Rejection::CalendarUnknown),
        Code::Rejected(Rejection::PeriodUnknown),
        Code::Rejected(Rejection::PeriodOutOfOrder),
        Code::Rejected(Rejection::PeriodStepNotAllowed),
        Code::Rejected(Rejection::RunMismatched),
        Code::Rejected(Rejection::PeriodsFull),
    ], pay::COMMON, NOT_WRITTEN
);

/// Lock a period
///
/// Once its end has passed, and after all earlier periods of the calendar. This ends its grace: nothing of it
/// changes any more, unless it is unlocked. An opening state that was begun must be closed. Harmless when it
/// is locked already.
#[utoipa::path(
    post,
    path = "/v1/calendars/{name}/periods/{label}/lock",
    tag = "periods",
    request_body = StepGiven,
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = PeriodInFull, description = "Locked", headers(("x-lsn" = u64))),
        StepProblems
    ),
)]
async fn lock_period(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<(String, String)>,
    key: IdempotencyKey,
    Json(body): Json<StepGiven>,
) -> Result<Reply, Problem> {
    step(&shared, &caller, path, &key, &body, PeriodStep::Lock).await
}

/// Unlock a period
///
/// Before a later one is locked, and not once it is posted. Takes an approval back; runs are kept, and a new
/// one is needed. Refunds that waited lower their orders. It takes no more orders. Harmless when it is not
/// locked.
#[utoipa::path(
    post,
    path = "/v1/calendars/{name}/periods/{label}/unlock",
    tag = "periods",
    request_body = StepGiven,
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = PeriodInFull, description = "Unlocked", headers(("x-lsn" = u64))),
        StepProblems
    ),
)]
async fn unlock_period(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<(String, String)>,
    key: IdempotencyKey,
    Json(body): Json<StepGiven>,
) -> Result<Reply, Problem> {
    step(&shared, &caller, path, &key, &body, PeriodStep::Unlock).await
}

/// Approve the run of a period
///
/// The newest since it was locked. Where the plan says so, who approves is not who ran it: 409
/// `approver_is_runner`. Harmless when it is approved already.
#[utoipa::path(
    post,
    path = "/v1/calendars/{name}/periods/{label}/approve",
    tag = "periods",
    request_body = StepGiven,
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = PeriodInFull, description = "Approved", headers(("x-lsn" = u64))),
        StepProblems
    ),
)]
async fn approve_period(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<(String, String)>,
    key: IdempotencyKey,
    Json(body): Json<StepGiven>,
) -> Result<Reply, Problem> {
    step(&shared, &caller, path, &key, &body, PeriodStep::Approve).await
}

/// Post a period
///
/// Once it is approved, and after all earlier ones. It is final: refunds of its orders, those that waited
/// too, are corrections in a later period. Harmless when it is posted already.
#[utoipa::path(
    post,
    path = "/v1/calendars/{name}/periods/{label}/post",
    tag = "periods",
    request_body = StepGiven,
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = PeriodInFull, description = "Posted", headers(("x-lsn" = u64))),
        StepProblems
    ),
)]
async fn post_period(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(path): Path<(String, String)>,
    key: IdempotencyKey,
    Json(body): Json<StepGiven>,
) -> Result<Reply, Problem> {
    step(&shared, &caller, path, &key, &body, PeriodStep::Post).await
}

/// Seal a period
///
/// Once it is posted, and after all earlier ones of its calendar. The orders whose periods in all calendars
/// are posted, with their refunds, are written into files in the data directory (`orders/`), and leave the
/// memory of the server; they are found, listed and refunded as before. Takes seconds for millions of orders.
/// Harmless when it is sealed already.
#[utoipa::path(
    post,
    path = "/v1/calendars/{name}/periods/{label}/seal",
    tag = "periods",
    request_body = StepGiven,
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = PeriodInFull, description = "Sealed", headers(("x-lsn" = u64))),
        SealProblems
    ),
)]
async fn seal_period(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path((name, label)): Path<(String, String)>,
    key: IdempotencyKey,
    Json(body): Json<StepGiven>,
) -> Result<Reply, Problem> {
    caller.may(Action::StepPeriod)?;
    let engine = shared.v1_engine()?.clone();
    let reason = reason_of(&body)?;
    let scope = "POST /v1/calendars/{name}/periods/{label}/seal";
    let sent = caller.sends(key.for_request(&caller.0.client, scope, &(&name, &label, &body)));
    let period = engine.read(|state, _| find(state, &name, &label))?;
    let work = engine.clone();
    let sealed = shared.desk.alone(move || work.seal_period_blocking(period, reason, sent)).await?;
    let done = sealed.map_err(|error| match error {
        SealError::Submit(error) => Problem::from(error),
        SealError::Past(error) => error.into(),
        SealError::Files(error) => {
            tracing::error!(%error, "a period was not sealed");
            Code::SealsUnreadable.into()
        }
    })?;
    let Outcome::PeriodSealed { .. } = accepted(done)? else { return Err(Code::Internal.into()) };
    engine.read(|state, _| {
        let period = PeriodInFull::new(state, period).ok_or_else(|| Problem::from(Code::Internal))?;
        Ok(answer(StatusCode::OK, done.applied.lsn, &period))
    })
}

/// The reason of a step.
fn reason_of(body: &StepGiven) -> Result<Option<Reason>, Problem> {
    let detail = "must have 1 to 200 printable characters, neither blank at its ends";
    let reason = body.reason.as_deref().map(|text| Reason::parse(text).ok_or(text)).transpose();
    reason.map_err(|_| field_invalid("reason", detail))
}

async fn step(
    shared: &Shared,
    caller: &Caller,
    (name, label): (String, String),
    key: &IdempotencyKey,
    body: &StepGiven,
    step: PeriodStep,
) -> Result<Reply, Problem> {
    caller.may(Action::StepPeriod)?;
    let engine = shared.v1_engine()?;
    let reason = reason_of(body)?;
    let scope = match step {
        PeriodStep::Lock => "POST /v1/calendars/{name}/periods/{label}/lock",
        PeriodStep::Unlock => "POST /v1/calendars/{name}/periods/{label}/unlock",
        PeriodStep::Approve => "POST /v1/calendars/{name}/periods/{label}/approve",
        PeriodStep::Post => "POST /v1/calendars/{name}/periods/{label}/post",
        PeriodStep::Seal => return Err(Code::Internal.into()),
    };
    let key = key.for_request(&caller.0.client, scope, &(&name, &label, body));
    let period = engine.read(|state, _| find(state, &name, &label))?;
    let command = StepPeriod { period, step, reason, by: caller.0.actor() };
    let done = engine.submit(Command::StepPeriod(Box::new(command)), caller.sends(key)).await?;
    let Outcome::PeriodStepped { .. } = accepted(done)? else { return Err(Code::Internal.into()) };
    engine.read(|state, _| {
        let period = PeriodInFull::new(state, period).ok_or_else(|| Problem::from(Code::Internal))?;
        Ok(answer(StatusCode::OK, done.applied.lsn, &period))
    })
}

/// The outcome, or the rejection as a problem.
fn accepted(done: Answer) -> Result<Outcome, Problem> {
    let Outcome::Rejected(rejection) = done.applied.outcome else { return Ok(done.applied.outcome) };
    let problem = Problem::from(rejection).at(done.applied.lsn);
    Err(match rejection {
        Rejection::KeyReused => problem.with("field", "Idempotency-Key"),
        _ => problem,
    })
}

/// Run a period
///
/// Once it is locked, and the one before it is posted. The result is recorded with the plan version by which
/// it was computed and the LSN of the state that it read. It is empty, until plans pay bonuses over periods.
/// Any number of runs may be made; the newest is the one that is approved.
#[utoipa::path(
    post,
    path = "/v1/calendars/{name}/periods/{label}/runs",
    tag = "periods",
    params(
        ("name" = String, Path, description = "The calendar", max_length = 64),
        ("label" = String, Path, description = "The label of the period", max_length = 64),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key on another period is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (
            status = 201, body = Run,
            description = "Recorded; the same answer for a repeat with the same key", headers(("x-lsn" = u64))
        ),
        RunProblems
    ),
)]
async fn run_period(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path((name, label)): Path<(String, String)>,
    key: IdempotencyKey,
) -> Result<Reply, Problem> {
    caller.may(Action::RunPeriod)?;
    let engine = shared.v1_engine()?;
    let scope = "POST /v1/calendars/{name}/periods/{label}/runs";
    let key = key.for_request(&caller.0.client, scope, &(&name, &label));
    let (period, plan_version, up_to_lsn) = engine.read(|state, _| {
        let period = find(state, &name, &label)?;
        let plan_version = state.plan_version_of_period(period).unwrap_or_default();
        Ok::<_, Problem>((period, plan_version, state.lsn()))
    })?;
    let command = RecordRun {
        period,
        plan_version,
        up_to_lsn,
        // No bonus over periods exists yet, so that the result of every run is nothing.
        lines: 0,
        digest: *blake3::hash(&[]).as_bytes(),
        by: caller.0.actor(),
    };
    let done = engine.submit(Command::RecordRun(Box::new(command)), caller.sends(key)).await?;
    let Outcome::RunRecorded { run } = accepted(done)? else { return Err(Code::Internal.into()) };
    engine.read(|state, _| {
        let (number, row) = state
            .period_runs(period)
            .find(|(number, _)| *number == run as usize)
            .ok_or_else(|| Problem::from(Code::Internal))?;
        Ok(answer(StatusCode::CREATED, done.applied.lsn, &Run::new(number, row)))
    })
}
