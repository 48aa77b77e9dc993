//! `POST /v1/members/batch`: registrations.

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
    engine::{
        Answer, Command, Engine, MemberDirectory, MemberIx, Outcome, PlacementRequest, Register, Rejection,
        SponsorRef, State,
    },
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::BATCH_LINE_BYTES_MAX,
        reply::Reply,
        v1::{
            caller::Caller,
            extract,
            problem::Problem,
            register::{Registration, settle},
            types::user_id,
        },
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(batch))
}

/// The answer to one line: one that was accepted has a place, one that was rejected a problem.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the description of `super::LineAnswer`")]
enum LineAnswer {
    Accepted(AcceptedLine),
    Rejected(RejectedLine),
}

/// A line whose member is registered, and what was decided then.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "line": 2, "status": 201, "lsn": 1801, "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c",
    "code": "BERT_1",
    "sponsor": "0c7f6a52-6a5e-4a7e-8d5f-1f2e3d4c5b6a", "parent": "0c7f6a52-6a5e-4a7e-8d5f-1f2e3d4c5b6a",
    "slot": 1,
}))]
struct AcceptedLine {
    /// Number of the line, from 1; empty lines are counted and not answered.
    #[schema(minimum = 1)]
    line: u64,
    /// As a single registration would be answered: 201, or 200 for a repeat.
    #[schema(minimum = 200, maximum = 201)]
    status: u16,
    /// LSN of the registration; for a repeat, of the state it was found in.
    lsn: u64,
    user_id: Uuid,
    #[schema(max_length = 64)]
    code: String,
    /// Null for a root.
    sponsor: Option<Uuid>,
    /// Null for a root.
    parent: Option<Uuid>,
    slot: u32,
}

impl AcceptedLine {
    fn new(line: u64, status: StatusCode, lsn: u64, state: &State, sight: Sight, member: MemberIx) -> Self {
        let row = state.member(member);
        let seen = |other: Option<_>| {
            other.filter(|other| sight.sees(state, *other)).map(|other| user_id(state, other))
        };
        Self {
            line,
            status: status.as_u16(),
            lsn,
            user_id: Uuid::from_bytes(row.id.0),
            code: state.code(member).into_string(),
            sponsor: seen(row.sponsor),
            parent: seen(row.parent),
            slot: row.slot,
        }
    }
}

/// Register many members
///
/// One registration a line (at most 4,096 bytes), as for `POST /v1/members`; one answer a line, in the same
/// order, while lines still come in. Any number of lines, in bounded memory. Lines are applied in their
/// order, so a child may follow its sponsor. A line that is refused or not understood is answered with its
/// problem, and the rest goes on. What was answered is durable. To resume after a cut connection send the
/// whole again: what was registered before is 200.
///
/// Read while you send. A client that does not read is not read from either once some 4 MiB of answers wait,
/// and its connection ends after 30 seconds without progress. A line must be complete 10 seconds after the
/// one before, or after the server has taken that; empty lines do not count. Four batches run at once, two of
/// one principal; one that has waited 2 seconds for its next line makes way for another that finds no place,
/// and so does one that had fewer than 10 lines for each second of waiting for its client to send or to read,
/// once that is 10 seconds. When no line can be taken any more (the body broke off or was too slow; another
/// batch took the place; the credentials were revoked or expired; the server stops; the log failed) the last
/// answer is the problem with status 400, 401, 408, 500 or 503, and nothing after that line was looked at.
#[utoipa::path(
    post,
    path = "/v1/members/batch",
    tag = "members",
    request_body(
        content = Registration, content_type = "application/x-ndjson", description = "One JSON object a line"
    ),
    responses(
        (
            status = 200, body = LineAnswer, content_type = "application/x-ndjson",
            description = "One JSON object a line",
            headers(("x-lsn" = u64, description = "LSN at the beginning"))
        ),
        Problems,
    ),
)]
async fn batch(Extract(shared): Extract<Arc<Shared>>, caller: Caller, request: Request) -> Reply {
    super::answer::<Registrations>(&shared, &caller, request).await
}

/// Registrations.
struct Registrations {
    /// Slots are unnumbered, so only the next one is free.
    is_unlimited: bool,
}

impl Subject for Registrations {
    const PATH: &'static str = "/v1/members/batch";
    const ACTION: Action = Action::RegisterMember;
    const LINE_BYTES_MAX: usize = BATCH_LINE_BYTES_MAX;

    type Kept = Register;
    type Accepted = AcceptedLine;

    fn begin(state: &State) -> Self {
        Self { is_unlimited: state.plan().placement.width.is_none() }
    }

    fn read(&self, _: &Engine, text: &[u8]) -> Result<(Register, Command), Problem> {
        let registration: Registration = extract::parse(text)?;
        let register = registration.register()?;
        Ok((register.clone(), Command::Register(register)))
    }

    /// A sponsor or parent that comes first, or the slots before this one.
    fn may_be_on_its_way<'k>(
        &self,
        mut waiting: impl Iterator<Item = &'k Register>,
        register: &Register,
        rejection: Rejection,
    ) -> bool {
        let sponsor_is = |other: &Register| match &register.sponsor {
            SponsorRef::None => false,
            SponsorRef::Member(id) => *id == other.member,
            SponsorRef::Code(code) => {
                other.code.as_ref().is_some_and(|theirs| theirs.alike() == code.alike())
            }
        };
        let parent = match register.placement {
            PlacementRequest::Slot { parent, .. } => Some(parent),
            PlacementRequest::PlanDefault | PlacementRequest::Rule(_) => None,
        };
        match rejection {
            Rejection::SponsorUnknown => waiting.any(sponsor_is),
            Rejection::ParentUnknown => waiting.any(|other| Some(other.member) == parent),
            // Without a width only the next slot is free; any line under the same sponsor or parent may take
            // the one before.
            Rejection::SlotOutOfRange if self.is_unlimited => waiting.any(|other| match other.placement {
                PlacementRequest::Slot { parent: theirs, .. } => Some(theirs) == parent,
                PlacementRequest::PlanDefault | PlacementRequest::Rule(_) => {
                    other.sponsor == register.sponsor
                }
            }),
            _ => false,
        }
    }

    fn settle(
        line: u64,
        register: &Register,
        answer: Answer,
        sight: Sight,
        state: &State,
        directory: &MemberDirectory,
    ) -> Result<AcceptedLine, Problem> {
        let (member, done) = settle(register, answer.applied, answer.by, state, directory)?;
        let lsn = if matches!(answer.applied.outcome, Outcome::Registered { .. }) {
            answer.applied.lsn
        } else {
            state.lsn()
        };
        Ok(AcceptedLine::new(line, done.status(), lsn, state, sight, member))
    }
}
