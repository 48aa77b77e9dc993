//! Holding, releasing and voiding bonuses.

use std::sync::Arc;

use axum::extract::State as Extract;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    caller::Caller,
    extract::{IdempotencyKey, Json, Path},
    pay::{COMMON, changed, submit},
    problem::{Code, Problem, problems},
    register::{NOT_WRITTEN, field_invalid},
    types::Bonus,
};
use crate::{
    engine::{ChangeEntry, Command, EntryChange, Outcome, Reason, Rejection},
    http::{auth::Action, context::Shared, reply::Reply},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(hold)).routes(routes!(release)).routes(routes!(void))
}

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// Why a bonus is held, released or voided.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "under review" }))]
pub(super) struct Because {
    /// In a person's words: printable, not blank at its ends. Kept with the command, and shown by `explain`
    /// and the change feed.
    #[schema(min_length = 1, max_length = 200, example = "under review")]
    reason: String,
}

problems!(
    ChangeProblems: [
        Code::BodyMalformed,
        Code::BodyTooSlow,
        Code::Rejected(Rejection::EntryUnknown),
        Code::Rejected(Rejection::EntryChangeNotAllowed),
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::FieldInvalid,
    ], COMMON, NOT_WRITTEN
);
problems!(
    VoidProblems: [
        Code::BodyMalformed,
        Code::BodyTooSlow,
        Code::Rejected(Rejection::EntryUnknown),
        Code::Rejected(Rejection::EntryChangeNotAllowed),
        Code::Rejected(Rejection::ReversedBefore),
        Code::Rejected(Rejection::EntryIsReversal),
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::FieldInvalid,
    ], COMMON, NOT_WRITTEN
);

/// Hold one bonus
///
/// It stays owed, but no payout takes it until it is released. Harmless when it is held already; a paid or
/// void one is not held. If it takes back another or is taken back, and the other one is not paid either,
/// that is held too.
#[utoipa::path(
    post,
    path = "/v1/bonuses/{id}/hold",
    tag = "bonuses",
    request_body = Because,
    params(
        ("id" = Uuid, Path, description = "Id of the bonus"),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses((status = 200, body = Bonus, description = "Held", headers(("x-lsn" = u64))), ChangeProblems),
)]
async fn hold(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    Json(body): Json<Because>,
) -> Result<Reply, Problem> {
    change(&shared, &caller, id, &key, &body, EntryChange::Hold).await
}

/// Release one bonus
///
/// One that is held is pending again, and so is what it takes back or what takes it back, if that is not
/// paid. Harmless when it is pending. A payout with `up_to` takes it only if that is not before the release.
#[utoipa::path(
    post,
    path = "/v1/bonuses/{id}/release",
    tag = "bonuses",
    request_body = Because,
    params(
        ("id" = Uuid, Path, description = "Id of the bonus"),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = Bonus, description = "Released", headers(("x-lsn" = u64))),
        ChangeProblems
    ),
)]
async fn release(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    Json(body): Json<Because>,
) -> Result<Reply, Problem> {
    change(&shared, &caller, id, &key, &body, EntryChange::Release).await
}

/// Void one bonus
///
/// One that is pending or held is never paid. This is final. Harmless when it is void already; what was paid
/// is taken back by a reversal. A reversal and what it takes back are voided together, and not at all where
/// one of them is paid: 409 `reversed_before` or `entry_is_reversal`.
#[utoipa::path(
    post,
    path = "/v1/bonuses/{id}/void",
    tag = "bonuses",
    request_body = Because,
    params(
        ("id" = Uuid, Path, description = "Id of the bonus"),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses((status = 200, body = Bonus, description = "Void", headers(("x-lsn" = u64))), VoidProblems),
)]
async fn void(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    Json(body): Json<Because>,
) -> Result<Reply, Problem> {
    change(&shared, &caller, id, &key, &body, EntryChange::Void).await
}

async fn change(
    shared: &Shared,
    caller: &Caller,
    id: Uuid,
    key: &IdempotencyKey,
    body: &Because,
    change: EntryChange,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let entry = caller.entry(Action::PayBonus, id, engine)?;
    let detail = "must have 1 to 200 printable characters, neither blank at its ends";
    let reason = Reason::parse(&body.reason).ok_or_else(|| field_invalid("reason", detail))?;
    let scope = match change {
        EntryChange::Hold => "POST /v1/bonuses/{id}/hold",
        EntryChange::Release => "POST /v1/bonuses/{id}/release",
        EntryChange::Void => "POST /v1/bonuses/{id}/void",
    };
    let key = key.for_request(&caller.0.name, scope, &(id, body));
    let command = Command::ChangeEntry(ChangeEntry { entry, change, reason });
    let (outcome, lsn) = submit(engine, command, caller.sends(key)).await?;
    let Outcome::EntryChanged { entry, .. } = outcome else { return Err(Code::Internal.into()) };
    Ok(changed(engine, caller, entry, lsn))
}
