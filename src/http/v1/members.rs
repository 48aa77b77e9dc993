//! One member: `GET /v1/members/{id}` and `GET /v1/members/by-code/{code}`.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, AsOfQuery},
    caller::Caller,
    extract::{Path, Query},
    lists::{COMMON, PastMemberProblems},
    problem::{Code, Problem, problems},
    types::{Role, Status, Time, user_id},
    volume_columns::PeriodColumns,
};
use crate::{
    engine::{self, Code as ReferralCode, MemberIx, Rejection, Tree},
    http::{
        auth::{Action, Sight, Target},
        context::Shared,
        reply::Reply,
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(member)).routes(routes!(member_by_code))
}

problems!(
    /// What looking a member up by its code can fail with.
    ByCodeProblems: COMMON, as_of::PROBLEMS,
    [Code::Rejected(Rejection::MemberUnknown), Code::Rejected(Rejection::CodeAmbiguous)]
);

/// A member as it stands at the answer's LSN.
#[derive(Serialize, ToSchema)]
pub struct Member {
    pub user_id: Uuid,
    /// Referral code.
    #[schema(max_length = 64)]
    pub code: String,
    /// Who recruited the member; null for a root, and where the caller may not see it.
    pub sponsor: Option<Uuid>,
    /// Below whom the member sits; null for a root, and where the caller may not see it.
    pub parent: Option<Uuid>,
    /// Slot under the parent, from 0.
    pub slot: u32,
    /// Level in the placement tree; 1 for a root.
    pub level: u32,
    /// Level in the sponsor tree; 1 for a root.
    pub sponsor_level: u32,
    pub joined_at: Time,
    pub status: Status,
    pub role: Role,
    /// Ordinal of the rank in force; 0 for none.
    pub rank: u16,
    pub placement: Counts,
    pub sponsored: Counts,
    /// Its volumes in the newest two periods of the calendars that a list names in `volumes`; not there
    /// otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 16)]
    pub volumes: Option<Vec<PeriodColumns>>,
}

/// Head-counts below a member in one tree.
#[derive(Serialize, ToSchema)]
pub struct Counts {
    pub direct: u32,
    /// All below; null where the plan does not count this tree.
    pub downline: Option<u32>,
}

impl Member {
    /// A member as far as a caller with this sight sees it. O(log n).
    pub fn new(state: &engine::State, sight: Sight, index: MemberIx) -> Self {
        let member = state.member(index);
        let seen = |other: Option<MemberIx>| {
            other.filter(|other| sight.sees(state, *other)).map(|other| user_id(state, other))
        };
        let counts =
            |tree| Counts { direct: state.direct(tree, index), downline: state.downline(tree, index) };
        Self {
            user_id: Uuid::from_bytes(member.id.0),
            code: state.code(index).into_string(),
            sponsor: seen(member.sponsor),
            parent: seen(member.parent),
            slot: member.slot,
            level: member.level,
            sponsor_level: member.sponsor_level,
            joined_at: Time(member.joined_at),
            status: member.status.into(),
            role: member.role.into(),
            rank: state.paid_as(index),
            placement: counts(Tree::Placement),
            sponsored: counts(Tree::Sponsor),
            volumes: None,
        }
    }
}

pub fn view(
    caller: &Caller,
    state: &engine::State,
    directory: &engine::MemberDirectory,
    index: MemberIx,
) -> Member {
    Member::new(state, caller.0.sight(state, directory), index)
}

/// One member
///
/// As it is now, or with `as_of` as it was.
#[utoipa::path(
    get, path = "/v1/members/{id}", tag = "members",
    params(("id" = Uuid, Path, description = "The member's user_id"), AsOfQuery),
    responses(
        (
            status = 200, description = "The member", body = Member,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        PastMemberProblems
    )
)]
async fn member(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    as_of::read(&shared, &caller, query.as_of, |state, directory| {
        let index = caller.member(Action::ReadMember, id, state, directory)?;
        Ok(answer(StatusCode::OK, state.lsn(), &view(&caller, state, directory, index)))
    })
    .await
}

/// One member, by referral code
///
/// A code that was given or one that was generated, without regard to case.
#[utoipa::path(
    get, path = "/v1/members/by-code/{code}", tag = "members",
    params(
        (
            "code" = String, Path,
            description = "Referral code; case does not matter. A code that nobody has is read with O as 0 \
                           and I and L as 1, if that leads to one member",
            max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$"
        ),
        AsOfQuery
    ),
    responses(
        (
            status = 200, description = "The member", body = Member,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        ByCodeProblems
    )
)]
async fn member_by_code(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(code): Path<String>,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    let code = ReferralCode::parse(&code).ok_or_else(|| {
        Problem::new(Code::ParameterInvalid)
            .with("field", "code")
            .detail("codes are 1 to 64 of A-Z, a-z, 0-9, _ and -")
    })?;
    as_of::read(&shared, &caller, query.as_of, |state, directory| {
        let owner = state.look_up_code(directory, &code).or_else(|rejection| {
            // The existence of a code is hidden from those who may not see its member.
            caller
                .network(Action::ReadNetwork, state, directory)
                .map_or(Ok(None), |()| Err(Problem::from(rejection).at(state.lsn())))
        })?;
        let index =
            caller.found(Action::ReadMember, Target::by_code(state, owner, &code), state, directory)?;
        Ok(answer(StatusCode::OK, state.lsn(), &view(&caller, state, directory, index)))
    })
    .await
}
