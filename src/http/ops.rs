//! Routes for operators: liveness, readiness, version, metrics.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    routing::get,
};
use serde_json::json;

use super::{
    auth::{self, Action, Principal, TurnedAway},
    context::Shared,
    reply::{self, Reply},
};
use crate::{
    engine::{ClockJump, ClockStanding},
    version,
};

/// The routes that axum's router matches.
pub fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/version", get(version))
        .route("/metrics", get(metrics))
}

/// The answer to other methods on all routes outside of `/v1` that axum matches.
pub async fn method_not_allowed() -> Reply {
    let reply = reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    reply::with_header(reply, header::ALLOW, HeaderValue::from_static("GET, HEAD"))
}

/// Always 200: a process that can answer is alive. Also while loading, draining, or with a poisoned log: a
/// restart by itself would fix none of these.
async fn livez() -> Reply {
    reply::json(StatusCode::OK, "{\"status\":\"live\"}")
}

/// 200 when writes are accepted, with a detail while the next segment of the log cannot be created; 503 while
/// the log is full for that reason, while the clock is not trusted, while the network is loading, while
/// draining, and permanently after the log has failed (reads still work then, but traffic should go
/// elsewhere).
async fn readyz(State(shared): State<Arc<Shared>>) -> Reply {
    let status = match shared.engine.get() {
        _ if shared.draining.load(Ordering::Relaxed) => "draining",
        None => "starting",
        Some(engine) => match (engine.ready(), engine.log_trouble()) {
            (true, None) => return reply::json(StatusCode::OK, "{\"status\":\"ready\"}"),
            (true, Some(trouble)) => {
                let detail = format!(
                    "the log's next segment cannot be made, writes go on until this one is full: {}",
                    trouble.cause
                );
                return reply::json(
                    StatusCode::OK,
                    json!({ "status": "ready", "detail": detail }).to_string(),
                );
            }
            (false, Some(trouble)) if trouble.refuses_writes => {
                let detail = format!("the log is full until its next segment can be made: {}", trouble.cause);
                let body = json!({ "status": "no_room", "detail": detail });
                return reply::json(StatusCode::SERVICE_UNAVAILABLE, body.to_string());
            }
            (false, _) => match engine.clock() {
                _ if engine.is_read_only() => "read_only",
                clock if clock.jump.is_some() => {
                    let body = json!({ "status": "clock_jumped", "detail": clock_detail(&clock) });
                    return reply::json(StatusCode::SERVICE_UNAVAILABLE, body.to_string());
                }
                // It is stopping, or the cause is gone.
                _ => "read_only",
            },
        },
    };
    reply::json(StatusCode::SERVICE_UNAVAILABLE, format!("{{\"status\":\"{status}\"}}"))
}

/// Tells an operator about a clock that jumped.
fn clock_detail(clock: &ClockStanding) -> String {
    let seconds = clock.jumped_by().as_secs();
    let how = match clock.jump {
        Some(ClockJump::Behind) => format!("is {seconds} s behind the log's last time"),
        _ => format!("gained {seconds} s since the last command"),
    };
    format!("the clock {how}: writes are refused until it is back, or an operator accepts it")
}

async fn version() -> Reply {
    let body =
        json!({ "name": env!("CARGO_PKG_NAME"), "version": version::VERSION, "commit": version::commit() });
    reply::json(StatusCode::OK, body.to_string())
}

async fn metrics(State(shared): State<Arc<Shared>>, Extension(principal): Extension<Principal>) -> Reply {
    if !shared.gate.is_open("/metrics")
        && let Err(denied) = auth::permit(&principal, Action::ReadMetrics)
    {
        return auth::turned_away("/metrics", TurnedAway::Denied(denied));
    }
    let render = {
        let shared = Arc::clone(&shared);
        move || {
            if let Some(engine) = shared.engine.get() {
                engine.refresh_metrics();
            }
            shared.gate.refresh_metrics();
            shared.metrics.render()
        }
    };
    match shared.rendering.of_now(render).await {
        Some(text) => reply::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        None => reply::internal_error(),
    }
}
