//! Routes a request, after a check common to all routes.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, header},
};
use tower::ServiceExt;

use super::{
    declared::declared,
    known,
    paths::STREAMED,
    problem::{Code, Problem},
};
use crate::http::{
    context::Shared,
    reply::{self, Reply},
    route_table::RouteIndex,
};

/// The routes, with the check that runs before each of them. Cheap to clone.
#[derive(Clone)]
pub struct Routes(Router);

impl Routes {
    pub fn new(shared: Arc<Shared>) -> Self {
        let (router, _) = declared().split_for_parts();
        Self(
            router.method_not_allowed_fallback(method_not_allowed).fallback(route_unknown).with_state(shared),
        )
    }

    /// Answers a request, and returns which route did, for metrics; `None` where the path or its method is
    /// unknown.
    ///
    /// The check is not a layer of the router: that costs each request a few boxes.
    pub async fn answer(&self, request: Request<Body>) -> (Reply, Option<RouteIndex>) {
        let Some(position) = known::find(request.method(), request.uri().path()) else {
            return (self.routed(request).await, None);
        };
        let route = RouteIndex::of_v1(position, request.method());
        let reply = match known::operations()[position].check(&request) {
            Ok(()) => self.routed(request).await,
            // A stream's body is not read.
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

async fn method_not_allowed() -> Problem {
    Code::MethodNotAllowed.into()
}

async fn route_unknown() -> Problem {
    Code::RouteUnknown.into()
}
