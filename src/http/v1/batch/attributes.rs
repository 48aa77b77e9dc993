//! `POST /v1/members/attributes/batch`: attributes of members.

use std::sync::Arc;

use axum::{
    extract::{Request, State as Extract},
    http::StatusCode,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{Problems, RejectedLine, Subject};
use crate::{
    engine::{Answer, Command, Engine, MemberDirectory, Rejection, State},
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::ORDER_LINE_BYTES_MAX,
        reply::Reply,
        v1::{
            attributes::{AttributesOfMember, settle},
            caller::Caller,
            extract,
            problem::Problem,
            types::user_id,
        },
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(batch_attributes))
}

/// The answer to one line: one that was accepted says whether it changed anything, one that was rejected has
/// a problem.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the description of `super::LineAnswer`")]
enum AttributesLineAnswer {
    Accepted(AcceptedAttributes),
    Rejected(RejectedLine),
}

/// A line whose attributes are set.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "line": 2, "status": 200, "lsn": 1801, "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c", "changed": true,
}))]
struct AcceptedAttributes {
    /// Number of the line, from 1; empty lines are counted and not answered.
    #[schema(minimum = 1)]
    line: u64,
    /// As a single request would be answered.
    #[schema(minimum = 200, maximum = 200)]
    status: u16,
    /// LSN of the answer, as that of a single request.
    lsn: u64,
    user_id: Uuid,
    /// False when all of it was so before.
    changed: bool,
}

/// Set attributes of many members
///
/// One member a line (at most 32,768 bytes): its `user_id`, and what `PUT /v1/members/{id}/attributes` takes;
/// one answer a line, in the same order, while lines still come in. Any number of lines, in bounded memory.
/// Lines take effect in their order; of one line all is set, or nothing if some of it is refused. A line that
/// is refused or not understood is answered with its problem, and the rest goes on. What was answered is
/// durable. To resume after a cut connection send the whole again: what was set before changes nothing,
/// unless it was set to something else since.
///
/// Read while you send. All other rules are those of `POST /v1/members/batch`, with which it shares its
/// places.
#[utoipa::path(
    post,
    path = "/v1/members/attributes/batch",
    tag = "members",
    request_body(
        content = AttributesOfMember, content_type = "application/x-ndjson",
        description = "One JSON object a line"
    ),
    responses(
        (
            status = 200, body = AttributesLineAnswer, content_type = "application/x-ndjson",
            description = "One JSON object a line",
            headers(("x-lsn" = u64, description = "LSN at the beginning"))
        ),
        Problems,
    ),
)]
async fn batch_attributes(Extract(shared): Extract<Arc<Shared>>, caller: Caller, request: Request) -> Reply {
    super::answer::<Attributes>(&shared, &caller, request).await
}

/// Attributes of members.
struct Attributes;

impl Subject for Attributes {
    const PATH: &'static str = "/v1/members/attributes/batch";
    const ACTION: Action = Action::ManageMember;
    // With all tags of a plan, each with two times.
    const LINE_BYTES_MAX: usize = ORDER_LINE_BYTES_MAX;

    /// An outcome says all that an answer needs.
    type Kept = ();
    type Accepted = AcceptedAttributes;

    fn begin(_: &State) -> Self {
        Self
    }

    fn read(&self, engine: &Engine, text: &[u8]) -> Result<((), Command), Problem> {
        let given: AttributesOfMember = extract::parse(text)?;
        let change = engine.read(|state, _| given.command(state))?;
        Ok(((), Command::SetAttributes(Box::new(change))))
    }

    /// No attributes in flight let others pass: members and periods are made elsewhere.
    fn may_be_on_its_way<'k>(&self, _: impl Iterator<Item = &'k ()>, (): &(), _: Rejection) -> bool {
        false
    }

    fn settle(
        line: u64,
        (): &(),
        answer: Answer,
        _: Sight,
        state: &State,
        _: &MemberDirectory,
    ) -> Result<AcceptedAttributes, Problem> {
        let (member, changed) = settle(answer.applied)?;
        Ok(AcceptedAttributes {
            line,
            status: StatusCode::OK.as_u16(),
            lsn: answer.applied.lsn,
            user_id: user_id(state, member),
            changed,
        })
    }
}
