//! Ranks: of one member, and how many members hold each.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, AsOfQuery},
    caller::Caller,
    extract::{Path, Query},
    lists::{NetworkProblems, PastMemberProblems},
    problem::Problem,
};
use crate::{
    engine::{MemberIx, RankRule, State},
    http::{auth::Action, context::Shared, reply::Reply},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(rank)).routes(routes!(ranks))
}

/// A rank by number and name.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "ordinal": 2, "name": "Silver" }))]
pub struct RankName {
    /// 0 for no rank.
    pub ordinal: u16,
    /// Null for no rank.
    #[schema(max_length = 64)]
    pub name: Option<String>,
}

impl RankName {
    pub fn new(rule: &RankRule, ordinal: u16) -> Self {
        Self { ordinal, name: rule.name_of(ordinal) }
    }
}

/// What the next rank asks for.
#[derive(Serialize, ToSchema)]
#[schema(
    example = json!({ "ordinal": 3, "name": "Gold", "level": null, "minimum": 50, "held": 12, "missing": 38 })
)]
struct NextRank {
    ordinal: u16,
    #[schema(max_length = 64)]
    name: Option<String>,
    /// The level whose members are counted, where the plan ranks by filled levels; null otherwise.
    level: Option<u32>,
    /// Members needed.
    minimum: u32,
    /// Members there are.
    held: u32,
    missing: u32,
}

/// A member's rank.
#[derive(Serialize, ToSchema)]
struct MemberRank {
    user_id: Uuid,
    /// In force now.
    paid_as: RankName,
    /// The best ever held; never lowered.
    lifetime: RankName,
    /// Null at the top.
    next: Option<NextRank>,
}

fn rank_of(state: &State, member: MemberIx) -> MemberRank {
    let (view, rule) = (state.rank(member), &state.plan().ranks);
    MemberRank {
        user_id: super::types::user_id(state, member),
        paid_as: RankName::new(rule, view.paid_as),
        lifetime: RankName::new(rule, view.lifetime),
        next: view.next.map(|next| NextRank {
            ordinal: next.rank,
            name: rule.name_of(next.rank),
            level: (next.level != 0).then_some(next.level),
            minimum: next.minimum,
            held: next.minimum - next.missing,
            missing: next.missing,
        }),
    }
}

/// A member's rank, and what is missing for the next
///
/// The rank in force, the best one ever, and how far it is to the next one by the plan's rule.
#[utoipa::path(
    get, path = "/v1/members/{id}/rank", tag = "ranks",
    params(("id" = Uuid, Path, description = "The member's user_id"), AsOfQuery),
    responses(
        (
            status = 200, description = "The rank", body = MemberRank,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        PastMemberProblems
    )
)]
async fn rank(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    as_of::read(&shared, &caller, query.as_of, |state, directory| {
        let member = caller.member(Action::ReadMember, id, state, directory)?;
        Ok(answer(StatusCode::OK, state.lsn(), &rank_of(state, member)))
    })
    .await
}

/// How many hold a rank.
#[derive(Serialize, ToSchema)]
struct RankHolders {
    rank: RankName,
    members: u64,
}

/// Members by the rank in force.
#[derive(Serialize, ToSchema)]
struct RankDistribution {
    /// All ranks of the plan, from none up, and those above that admins hold.
    ranks: Vec<RankHolders>,
    members: u32,
}

/// Members by rank
///
/// How many hold each rank now.
#[utoipa::path(
    get, path = "/v1/ranks", tag = "ranks",
    responses(
        (
            status = 200, description = "All ranks", body = RankDistribution,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        NetworkProblems
    )
)]
async fn ranks(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    shared.v1_engine()?.read(|state, directory| {
        caller.network(Action::ReadNetwork, state, directory)?;
        let (rule, held) = (&state.plan().ranks, state.rank_distribution());
        let holders = |rank: usize| RankHolders {
            rank: RankName::new(
                rule,
                u16::try_from(rank).expect("ranks are limited by RANKS_MAX and ADMIN_LEVELS_MAX"),
            ),
            members: held.get(rank).copied().unwrap_or(0),
        };
        let ranks = (0..held.len().max(rule.steps().len() + 1)).map(holders).collect();
        Ok(answer(StatusCode::OK, state.lsn(), &RankDistribution { ranks, members: state.len() }))
    })
}
