//! Operations that change nothing. Members that do not exist have empty downlines, no bonuses and no rank, as in the original.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::StatusCode;

use super::{
    body,
    errors::refused,
    lists::{AllEntries, Downline, EntriesOf, Nothing},
    python_print::print_str,
    query_parameter,
    weekly::Weekly,
};
use crate::{
    engine::{EntryStatus, MemberId, Timestamp, Tree},
    http::{
        auth::Principal,
        reply::{self, Refused, Reply},
        service::Shared,
        stream,
    },
};

fn user_id(parameter: &str) -> Result<MemberId, Refused> {
    body::path_uuid("user_id", parameter).map(MemberId).map_err(refused)
}

/// `GET /user/downline/{user_id}`
pub async fn downline(shared: &Shared, parameter: &str) -> Result<Reply, Refused> {
    let (user, engine) = (user_id(parameter)?, shared.engine()?);
    let rows = engine.read(|state, directory| state.find(directory, &user).map(|member| Downline::new(state, member)));
    Ok(match rows {
        Some(rows) => stream::list(engine.clone(), rows).await,
        None => stream::list(engine.clone(), Nothing).await,
    })
}

/// `GET /user/downline/{user_id}/count`
pub fn downline_count(shared: &Shared, parameter: &str) -> Result<Reply, Refused> {
    let (user, engine) = (user_id(parameter)?, shared.engine()?);
    let count = engine.read(|state, directory| state.find(directory, &user).and_then(|member| state.downline(Tree::Placement, member)));
    Ok(reply::json(StatusCode::OK, count.unwrap_or(0).to_string()))
}

/// `GET /bonus/user/{user_id}`
pub async fn bonuses_of(shared: &Shared, principal: &Principal, parameter: &str) -> Result<Reply, Refused> {
    let (user, engine) = (user_id(parameter)?, shared.engine()?);
    let rows = engine.read(|state, directory| {
        state.find(directory, &user).map(|member| EntriesOf::new(state, principal.sight(state, directory), member))
    });
    Ok(match rows {
        Some(rows) => stream::list(engine.clone(), rows).await,
        None => stream::list(engine.clone(), Nothing).await,
    })
}

/// `GET /bonus/`
pub async fn bonuses(shared: &Shared, principal: &Principal, query: Option<&str>) -> Result<Reply, Refused> {
    let engine = shared.engine()?;
    let status = match query_parameter(query, "status").as_deref() {
        None | Some("") => None,
        Some(name) => match EntryStatus::from_name(name) {
            Some(status) => Some(status),
            // Compared exactly: no entry has another status.
            None => return Ok(stream::list(engine.clone(), Nothing).await),
        },
    };
    let rows = engine.read(|state, directory| AllEntries::new(state, principal.sight(state, directory), status));
    Ok(stream::list(engine.clone(), rows).await)
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
pub async fn weekly(shared: &Shared, principal: &Principal, parameter: &str) -> Result<Reply, Refused> {
    let (user, engine) = (user_id(parameter)?, shared.engine()?);
    let now = now();
    let rows =
        engine.read(|state, directory| Weekly::new(state, principal.sight(state, directory), user.0, state.find(directory, &user), now));
    Ok(stream::list(engine.clone(), rows).await)
}

/// The wall clock, from which the weekly window is counted back.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
