//! Search by prefix of an id or a referral code. There are no names to search for: the engine holds no
//! personal data.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    extract::Query,
    lists::NetworkProblems,
    problem::{Code, Problem},
    types::{Role, Status, Time},
};
use crate::{
    engine::{CODE_BYTES_MAX, MemberIx, Prefix, SearchBusy, State},
    http::{auth::Action, context::Shared, reply::Reply},
};

/// Maximum results of a search: with more matches, the user types on.
const RESULTS_MAX: u32 = 100;
/// Default results of a search.
const RESULTS_DEFAULT: u32 = 20;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(search))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    /// The beginning of a user_id (with its hyphens or with none) or of a referral code, generated ones
    /// included. Case does not matter. Where no code begins so, O is read as 0 and I and L as 1.
    #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$", example = "2b22e1a6")]
    q: String,
    /// Members, at most.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<u32>,
}

/// A member that was found.
#[derive(Serialize, ToSchema)]
struct SearchResult {
    user_id: Uuid,
    /// Referral code.
    #[schema(max_length = 64)]
    code: String,
    /// What begins with the text.
    matches: SearchMatch,
    /// Level in the placement tree; 1 for a root.
    level: u32,
    joined_at: Time,
    status: Status,
    role: Role,
}

#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SearchMatch {
    Code,
    UserId,
}

/// Members that were found.
#[derive(Serialize, ToSchema)]
struct SearchResults {
    /// Codes first, then ids, each in the order of the text.
    #[schema(max_items = 100)]
    items: Vec<SearchResult>,
    /// Whether there are others: a longer text finds them.
    more: bool,
}

fn found(state: &State, index: MemberIx, matches: SearchMatch) -> SearchResult {
    let member = state.member(index);
    SearchResult {
        user_id: Uuid::from_bytes(member.id.0),
        code: state.code(index).into_string(),
        matches,
        level: member.level,
        joined_at: Time(member.joined_at),
        status: member.status.into(),
        role: member.role.into(),
    }
}

/// Members whose user_id or referral code begins with a text
///
/// The first search after a start makes an index, about a second for a million members.
#[utoipa::path(
    get, path = "/v1/search", tag = "members",
    params(SearchQuery),
    responses(
        (
            status = 200, description = "Who was found", body = SearchResults,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        NetworkProblems
    )
)]
async fn search(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Reply, Problem> {
    let invalid = |field: &str, detail: String| {
        Problem::new(Code::ParameterInvalid).with("field", field).detail(detail)
    };
    let most = query.limit.unwrap_or(RESULTS_DEFAULT);
    if !(1..=RESULTS_MAX).contains(&most) {
        return Err(invalid("limit", format!("limit must be within 1..={RESULTS_MAX}")));
    }
    let code = Prefix::of_code(&query.q).filter(|_| !query.q.is_empty());
    let code = code
        .ok_or_else(|| invalid("q", format!("q must be 1 to {CODE_BYTES_MAX} of A-Z, a-z, 0-9, _ and -")))?;
    let engine = shared.v1_engine()?;
    engine.read(|state, directory| caller.network(Action::ReadNetwork, state, directory))?;
    let (searching, most) = (engine.clone(), most as usize);
    // Not on this thread: the first search is slow, and all read the state many times.
    let searched = shared.heavy.run_search(move || {
        let of_kind = |prefix: Option<Prefix>| {
            prefix.map_or(Ok(Vec::new()), |prefix| searching.search(&prefix, most + 1))
        };
        let (alike, mut codes) = (code.alike(), of_kind(Some(code))?);
        if codes.is_empty() {
            codes = of_kind(alike)?;
        }
        Ok((codes, of_kind(Prefix::of_id(&query.q))?))
    });
    let busy = |busy: SearchBusy| Problem::new(Code::Overloaded).detail(busy.to_string());
    let (codes, ids) = searched.await?.map_err(|_| Code::Internal)?.map_err(busy)?;
    let ids: Vec<MemberIx> = ids.into_iter().filter(|id| !codes.contains(id)).collect();
    let more = most < codes.len() + ids.len();
    Ok(engine.read(|state, _| {
        let codes = codes.iter().map(|index| (*index, SearchMatch::Code));
        let all = codes.chain(ids.iter().map(|index| (*index, SearchMatch::UserId)));
        let items = all.take(most).map(|(index, matches)| found(state, index, matches)).collect();
        answer(StatusCode::OK, state.lsn(), &SearchResults { items, more })
    }))
}
