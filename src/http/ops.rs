//! Routes for those who run the process: life, readiness, version, metrics.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    routing::get,
};
use serde_json::json;

use super::{
    auth::{self, Action, Principal, TurnedAway},
    reply::{self, Reply},
    service::Shared,
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

/// What all routes outside of `/v1` that axum matches say to other methods.
pub async fn method_not_allowed() -> Reply {
    let reply = reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    reply::with_header(reply, header::ALLOW, HeaderValue::from_static("GET, HEAD"))
}

/// Always 200: whoever can answer is alive. Also while loading, draining, or with a poisoned log, none of
/// which a restart of a process that is doing its best would mend by itself.
async fn livez() -> Reply {
    reply::json(StatusCode::OK, "{\"status\":\"live\"}")
}

/// 200 when writes are accepted, with a detail while the next segment of the log cannot be made; 503 while
/// the log is full for that reason, while the clock is not believed, while the network is being loaded, while
/// draining, and for good after the log has failed (reads still work then, but traffic should go elsewhere).
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
                // It stops, or what it was is over.
                _ => "read_only",
            },
        },
    };
    reply::json(StatusCode::SERVICE_UNAVAILABLE, format!("{{\"status\":\"{status}\"}}"))
}

/// What an operator should know of a clock that jumped.
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
    match shared.rendering.of_now(Arc::clone(&shared)).await {
        Some(text) => reply::with_type(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text),
        None => reply::internal_error(),
    }
}

/// Metrics being rendered: by one at a time, and once for all who ask meanwhile. Otherwise a client that asks
/// often, where nobody needs credentials, would keep a core busy.
#[derive(Default)]
pub struct Rendering {
    /// How many renderings were begun.
    begun: AtomicU64,
    /// The last one, and its number.
    last: tokio::sync::Mutex<(u64, Bytes)>,
}

impl Rendering {
    /// Metrics as they were at some moment after this was called. `None` when rendering failed.
    async fn of_now(&self, shared: Arc<Shared>) -> Option<Bytes> {
        let before = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if before < last.0 {
            return Some(last.1.clone());
        }
        let number = 1 + self.begun.fetch_add(1, Ordering::AcqRel);
        // Rendering reads files of the process and formats every series: not for a thread that serves
        // requests.
        let rendered = tokio::task::spawn_blocking(move || {
            if let Some(engine) = shared.engine.get() {
                engine.refresh_metrics();
            }
            shared.gate.refresh_metrics();
            shared.metrics.render()
        });
        let text = Bytes::from(rendered.await.ok()?.into_bytes().into_boxed_slice());
        *last = (number, text.clone());
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::HttpConfig,
        http::{Options, auth::Gate},
        metrics::Metrics,
    };

    #[tokio::test]
    async fn all_who_ask_while_metrics_are_rendered_share_the_next_ones() {
        let metrics = Metrics::new(crate::http::routes());
        let gate = Gate::off(&metrics);
        let options = Options::new(([127, 0, 0, 1], 0).into(), &HttpConfig::default());
        let shared = Shared::new(options, Arc::clone(&metrics), gate);
        let ask = || shared.rendering.of_now(Arc::clone(&shared));
        let seen = futures_util::future::join_all((0..100).map(|_| ask())).await;
        assert!(seen.iter().all(Option::is_some));
        assert!(shared.rendering.begun.load(Ordering::Acquire) <= 2, "a hundred at once are one or two");
        // What happened before somebody asked is in the answer.
        metrics.writes.signups.increment(1);
        let text = ask().await.unwrap();
        assert!(String::from_utf8_lossy(&text).contains("upline_signups_total 1"));
    }
}
