//! `PATCH /v1/members/{id}`: status and role.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    desk,
    extract::{IdempotencyKey, Json, Path},
    problem::{Code, Problem, problems},
    register::NOT_WRITTEN,
    types::{Role, Status, member_id},
};
use crate::{
    engine::{Command, Engine, Outcome, Rejection, RequestKey, Sent, Verdict},
    http::{auth::Action, context::Shared, reply::Reply},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(manage))
}

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// What to change.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "status": "inactive" }), min_properties = 1)]
pub(super) struct Change {
    /// Active and inactive change into each other; terminated is for good.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(inline, nullable = false)]
    status: Option<Status>,
    /// At most 64 admins.
    #[serde(default, deserialize_with = "not_null")]
    #[schema(inline, nullable = false)]
    role: Option<Role>,
}

/// A field that may be absent but says something where it is there: null would look like a change to nothing.
fn not_null<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What was changed; the same for a repeat, whatever happened since.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c", "status": { "now": "inactive", "changed": true },
    "role": null,
}))]
struct Changed {
    user_id: Uuid,
    /// Null when the request did not name it.
    status: Option<StatusChanged>,
    /// Null when the request did not name it.
    role: Option<RoleChanged>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct StatusChanged {
    now: Status,
    /// False when it was so before.
    changed: bool,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
struct RoleChanged {
    now: Role,
    /// False when it was so before.
    changed: bool,
}

problems!(
    Problems: [
        Code::BodyMalformed,
        Code::Rejected(Rejection::MemberUnknown),
        Code::BodyTooSlow,
        Code::Rejected(Rejection::StatusChangeNotAllowed),
        Code::Rejected(Rejection::AdminsFull),
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::FieldUnknown,
        Code::FieldInvalid,
        Code::ParameterInvalid,
        Code::Rejected(Rejection::KeyReused),
    ], NOT_WRITTEN
);

/// Scopes of the keys of the two commands that one request may send.
const STATUS_SCOPE: &str = "PATCH /v1/members/{id} status";
const ROLE_SCOPE: &str = "PATCH /v1/members/{id} role";

/// Change a member's status, role, or both
///
/// Both are judged before either is done, so a request that breaks a rule changes nothing. They are two
/// commands all the same, status first, and there are two ways to only the first of them. Another change that
/// comes between can have the second refused; the problem then says so. And the process can end between the
/// two; then there was no answer (or `stopping`), and the role is as it was. Either way the same request
/// again, with the same key, does what is missing. A client that leaves does not stop it half-way.
#[utoipa::path(
    patch,
    path = "/v1/members/{id}",
    tag = "members",
    request_body = Change,
    params(
        ("id" = Uuid, Path, description = "The member's user_id"),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another request is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = Changed, description = "Changed, or so already", headers(("x-lsn" = u64))),
        Problems
    ),
)]
async fn manage(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    Json(change): Json<Change>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    engine.read(|state, directory| caller.member(Action::ManageMember, id, state, directory))?;
    if change.status.is_none() && change.role.is_none() {
        return Err(Problem::new(Code::FieldInvalid).detail("name status, role or both"));
    }
    let member = member_id(id);
    let key = |scope| key.for_request(&caller.0.client, scope, &(id, change));
    let sends = |scope| caller.sends(key(scope));
    let status = change
        .status
        .map(|status| (status, Command::SetStatus { member, status: status.into() }, sends(STATUS_SCOPE)));
    let role =
        change.role.map(|role| (role, Command::SetRole { member, role: role.into() }, sends(ROLE_SCOPE)));
    let engine = engine.clone();
    // The client may leave between the two commands; the second is sent all the same.
    let (done, lsn) = desk::to_the_end(async move { carry_out(&engine, id, status, role).await }).await?;
    Ok(answer(StatusCode::OK, lsn, &done))
}

/// A change with its command, its sender and its key.
type Step<T> = Option<(T, Command, Sent)>;

/// Makes the changes; returns what was changed, and when. Judges both before it makes either.
async fn carry_out(
    engine: &Engine,
    id: Uuid,
    status: Step<Status>,
    role: Step<Role>,
) -> Result<(Changed, u64), Problem> {
    let of_status = status.as_ref().map(|(_, command, sent)| (command, sent.key, "status"));
    let of_role = role.as_ref().map(|(_, command, sent)| (command, sent.key, "role"));
    judge(engine, [of_status, of_role])?;
    let mut done = Changed { user_id: id, status: None, role: None };
    let mut lsn = 0;
    if let Some((now, command, sent)) = status {
        let (changed, at) = submit(engine, command, sent, "status").await?;
        (done.status, lsn) = (Some(StatusChanged { now, changed }), at);
    }
    if let Some((now, command, sent)) = role {
        let result = submit(engine, command, sent, "role").await;
        let (changed, at) = result.map_err(|problem| match done.status {
            Some(_) => problem.detail("the status was set, the role was not"),
            None => problem,
        })?;
        (done.role, lsn) = (Some(RoleChanged { now, changed }), at);
    }
    Ok((done, lsn))
}

/// Rejects, before anything is done, what the rules currently forbid.
fn judge(
    engine: &Engine,
    commands: [Option<(&Command, Option<RequestKey>, &'static str)>; 2],
) -> Result<(), Problem> {
    engine.read(|state, directory| {
        for (command, key, field) in commands.into_iter().flatten() {
            if let Verdict::Reject(rejection) = state.check(directory, key, command) {
                return Err(rejected(rejection, state.lsn(), field));
            }
        }
        Ok(())
    })
}

/// Submits a command; returns whether it changed anything, and when.
async fn submit(
    engine: &Engine,
    command: Command,
    sent: Sent,
    field: &'static str,
) -> Result<(bool, u64), Problem> {
    let applied = engine.submit(command, sent).await?.applied;
    match applied.outcome {
        Outcome::StatusSet { changed, .. } | Outcome::RoleSet { changed, .. } => Ok((changed, applied.lsn)),
        Outcome::Rejected(rejection) => Err(rejected(rejection, applied.lsn, field)),
        _ => Err(Code::Internal.into()),
    }
}

fn rejected(rejection: Rejection, lsn: u64, field: &'static str) -> Problem {
    let problem = Problem::from(rejection).at(lsn);
    match rejection {
        Rejection::MemberUnknown => problem,
        Rejection::KeyReused => problem.with("field", "Idempotency-Key"),
        _ => problem.with("field", field),
    }
}
