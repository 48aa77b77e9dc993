//! Our own API, under `/v1`.
//!
//! One module per resource; each declares its routes with their description, and the router and
//! `/openapi.json` are made of the same declarations. What all of them share: failures (`problem`), what is
//! taken (`extract`), lists (`page`), words (`types`).
//!
//! Rules for a route: describe what it takes (`known` lets nothing else in) and take it through `extract`;
//! ask `authorize` under the same read lock that looks the target up, so that nobody learns what they may not
//! see; answer with [`answer`], which names the LSN of the state that was read or written.

pub mod as_of;
mod audit;
mod batch;
mod bonus_lists;
mod clock;
mod desk;
pub mod event_schema;
mod events;
mod explain;
mod levels;
mod lists;
mod manage;
mod members;
mod operate;
mod pay;
mod plan;
mod rank;
mod register;
mod roster;
mod search;
mod stats;
mod totals;
mod tree;
mod unfinished;

pub mod examples;
pub mod page;
mod plan_document;
pub mod problem;

mod caller;
mod extract;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod known;
mod media;
mod strict_json;
mod types;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, header, request::Parts},
};
use serde::Serialize;
use tower::ServiceExt;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder,
    security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

use self::problem::{Code, Problem};
pub use self::{desk::Desk, known::operations};
use super::{
    reply::{self, Reply},
    routes::RouteIndex,
    service::Shared,
};

/// LSN of the state that an answer shows or made.
pub const X_LSN: HeaderName = HeaderName::from_static("x-lsn");

/// What all paths of this API begin with.
pub const PREFIX: &str = "/v1";

/// Whether a path is one of this API's, so that its failures are problems.
pub fn is_ours(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a request may take longer than others: its work grows with the network.
pub fn takes_long(method: &Method, path: &str) -> bool {
    match path {
        "/v1/snapshots" | "/v1/ranks/recompute" | "/v1/plan/check" => method == Method::POST,
        "/v1/digest" => true,
        _ => false,
    }
}

/// The route whose body is read by itself, line by line, and not before it.
const STREAMED: &str = "/v1/members/batch";

/// Whether a request is for [`STREAMED`].
pub fn takes_stream(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == STREAMED
}

/// Whether a request asks for an answer that has no end of its own.
pub fn is_endless(path: &str) -> bool {
    path == "/v1/events"
}

/// What reads.
fn reads() -> OpenApiRouter<Arc<Shared>> {
    let all = [
        members::routes,
        roster::routes,
        lists::routes,
        levels::routes,
        rank::routes,
        tree::routes,
        bonus_lists::routes,
        totals::routes,
        search::routes,
        stats::routes,
        explain::routes,
        events::routes,
        audit::routes,
    ];
    all.into_iter().fold(OpenApiRouter::default(), |router, routes| router.merge(routes()))
}

/// What writes and what operates.
fn writes() -> OpenApiRouter<Arc<Shared>> {
    let all = [
        register::routes,
        batch::routes,
        manage::routes,
        pay::routes,
        plan::routes,
        operate::routes,
        clock::routes,
    ];
    all.into_iter().fold(OpenApiRouter::default(), |router, routes| router.merge(routes()))
}

fn declared() -> OpenApiRouter<Arc<Shared>> {
    // Each route names its whole path. Nested, they would cost each request a path of its own without the
    // prefix.
    OpenApiRouter::with_openapi(about()).merge(reads()).merge(writes())
}

/// The description without its routes.
fn about() -> OpenApi {
    let info = InfoBuilder::new()
        .title("upline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A network engine for multi-level marketing. `/v1` is its own API; the routes outside of it are those of the service that it replaces, \
             as that one answers them. Every answer of `/v1` names the LSN (log sequence number) of the state it shows or made in `x-lsn`; every failure is \
             problem+json with a stable `code`. What was answered with 2xx is durable.",
        ))
        .build();
    let header_key = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
    };
    let components = ComponentsBuilder::new()
        .security_scheme("key", header_key("X-Api-Key", "Id of a service key; goes with X-Api-Secret"))
        .security_scheme("secret", header_key("X-Api-Secret", "Secret of a service key"))
        .security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build(),
            ),
        )
        .build();
    let security = [
        SecurityRequirement::new("key", Vec::<String>::new()).add("secret", Vec::<String>::new()),
        SecurityRequirement::new("bearer", Vec::<String>::new()),
        SecurityRequirement::default(),
    ];
    OpenApiBuilder::new().info(info).components(Some(components)).security(Some(security)).build()
}

/// The routes, with the check that stands before each of them. Cheap to clone.
#[derive(Clone)]
pub struct Routes(Router);

impl Routes {
    pub fn new(shared: Arc<Shared>) -> Self {
        let (router, _) = declared().split_for_parts();
        Self(
            router.method_not_allowed_fallback(method_not_allowed).fallback(route_unknown).with_state(shared),
        )
    }

    /// Answers a request, and tells which route did, so that it can be counted; none where the path or its
    /// method is not known.
    ///
    /// The check is no layer of the router: that costs each request a few boxes.
    pub async fn answer(&self, request: Request<Body>) -> (Reply, Option<RouteIndex>) {
        let Some(position) = known::find(request.method(), request.uri().path()) else {
            return (self.routed(request).await, None);
        };
        let route = RouteIndex::of_v1(position, request.method());
        let reply = match known::operations()[position].check(&request) {
            Ok(()) => self.routed(request).await,
            // What a stream sends along is not read.
            Err(problem) if request.uri().path() == STREAMED => {
                reply::with_header(problem.into(), header::CONNECTION, HeaderValue::from_static("close"))
            }
            Err(problem) => problem.into(),
        };
        (reply, Some(route))
    }

    async fn routed(&self, request: Request<Body>) -> Reply {
        let Ok(reply) = self.0.clone().oneshot(request).await;
        reply
    }
}

/// The description of the routes.
pub fn description() -> OpenApi {
    declared().into_openapi()
}

async fn method_not_allowed() -> Problem {
    Code::MethodNotAllowed.into()
}

async fn route_unknown() -> Problem {
    Code::RouteUnknown.into()
}

/// A JSON answer that names its LSN.
pub fn answer(status: StatusCode, lsn: u64, body: &impl Serialize) -> Reply {
    // Without the room that was left for more: it would be held as long as the answer is.
    let text = serde_json::to_vec(body).expect("answers are plain data").into_boxed_slice();
    let mut reply = reply::json(status, text);
    reply.headers_mut().insert(X_LSN, HeaderValue::from(lsn));
    reply
}

#[cfg(test)]
#[path = "tests/reads/mod.rs"]
mod reads_tests;
