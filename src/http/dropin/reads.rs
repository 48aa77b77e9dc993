//! Operations that change nothing. Members that do not exist have empty downlines, no bonuses and no rank, as
//! in the original.

use std::sync::Arc;

use axum::http::{StatusCode, request::Parts};

use super::{
    body,
    errors::refused,
    lists::{Downline, Entries, Nothing, OldStatus},
    python::print::print_str,
    query::query_parameter,
    weekly::Weekly,
};
use crate::{
    engine::{MemberId, Tree, system_time},
    http::{
        auth::{self, Principal, TurnedAway},
        context::Shared,
        limits::RETRY_SOON_SECONDS,
        reply::{self, Refused, Reply},
        stream::{self, Source},
    },
};

/// The source of a list, if its reader is allowed to read it.
fn source(shared: &Shared, parts: &Parts) -> Result<Source, Refused> {
    let principal = parts.extensions.get::<Principal>().ok_or_else(reply::internal_error)?;
    let payer = principal.payer.clone();
    payer.check().map_err(|wait| auth::turned_away(parts.uri.path(), TurnedAway::TooOften(wait)))?;
    let too_much = |_| reply::unavailable("Too much heavy work is waiting", RETRY_SOON_SECONDS);
    shared.heavy.enter().map_err(too_much)?;
    Ok(Source { engine: shared.engine()?.clone(), heavy: Arc::clone(&shared.heavy), payer })
}

fn user_id(parameter: &str) -> Result<MemberId, Refused> {
    body::path_uuid("user_id", parameter).map(MemberId).map_err(refused)
}

/// `GET /user/downline/{user_id}`
pub async fn downline(shared: &Shared, parts: &Parts, parameter: &str) -> Result<Reply, Refused> {
    let (user, source) = (user_id(parameter)?, source(shared, parts)?);
    let rows = source
        .engine
        .read(|state, directory| state.find(directory, &user).map(|member| Downline::new(state, member)));
    Ok(match rows {
        Some(rows) => stream::list(source, rows).await,
        None => stream::list(source, Nothing).await,
    })
}

/// `GET /user/downline/{user_id}/count`
pub fn downline_count(shared: &Shared, parameter: &str) -> Result<Reply, Refused> {
    let (user, engine) = (user_id(parameter)?, shared.engine()?);
    let count = engine.read(|state, directory| {
        state.find(directory, &user).and_then(|member| state.downline(Tree::Placement, member))
    });
    Ok(reply::json(StatusCode::OK, count.unwrap_or(0).to_string()))
}

/// `GET /bonus/user/{user_id}`
pub async fn bonuses_of(
    shared: &Shared,
    principal: &Principal,
    parts: &Parts,
    parameter: &str,
) -> Result<Reply, Refused> {
    let (user, source) = (user_id(parameter)?, source(shared, parts)?);
    let rows = source.engine.read(|state, directory| {
        state
            .find(directory, &user)
            .map(|member| Entries::of(state, principal.sight(state, directory), member))
    });
    Ok(match rows {
        Some(rows) => stream::list(source, rows).await,
        None => stream::list(source, Nothing).await,
    })
}

/// `GET /bonus/`
pub async fn bonuses(shared: &Shared, principal: &Principal, parts: &Parts) -> Result<Reply, Refused> {
    let source = source(shared, parts)?;
    let status = match query_parameter(parts.uri.query(), "status").as_deref() {
        None | Some("") => None,
        Some(name) => match name.parse::<OldStatus>() {
            Ok(status) => Some(status),
            // Compared exactly: no entry has another status.
            Err(_) => return Ok(stream::list(source, Nothing).await),
        },
    };
    let rows =
        source.engine.read(|state, directory| Entries::all(state, principal.sight(state, directory), status));
    Ok(stream::list(source, rows).await)
}

/// `POST /ranks/evaluate/{user_id}`. Ranks are always up to date, so nothing is evaluated.
pub fn rank(shared: &Shared, parameter: &str) -> Result<Reply, Refused> {
    let (user, engine) = (user_id(parameter)?, shared.engine()?);
    let name = engine.read(|state, directory| {
        let member = state.find(directory, &user)?;
        state.plan().ranks.name_of(state.rank(member).paid_as)
    });
    let mut body = String::from("{\"message\":");
    print_str(&format!("Assigned rank: {}", name.as_deref().unwrap_or("No rank")), &mut body);
    body.push('}');
    Ok(reply::json(StatusCode::OK, body))
}

/// `GET /reports/weekly/{user_id}`
pub async fn weekly(
    shared: &Shared,
    principal: &Principal,
    parts: &Parts,
    parameter: &str,
) -> Result<Reply, Refused> {
    let (user, source) = (user_id(parameter)?, source(shared, parts)?);
    // The weekly window is counted back from here.
    let now = system_time();
    let rows = source.engine.read(|state, directory| {
        Weekly::new(state, principal.sight(state, directory), user.0, state.find(directory, &user), now)
    });
    Ok(stream::list(source, rows).await)
}
