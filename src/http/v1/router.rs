//! Routes a request, after the checks common to all routes: may its sender do what the route does, and is its
//! input known.

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
    problem::{Code, Problem},
};
use crate::http::{
    auth::{Principal, may_none},
    context::Shared,
    reply::{self, Reply},
    route_table::Work,
    routing::Found,
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

    /// Answers a request for the route that was found; `None` where the path or its method is unknown.
    ///
    /// The checks are no layer of the router: that costs each request a few boxes.
    pub async fn answer(&self, request: Request<Body>, found: Option<Found>) -> Reply {
        let Some(Found { route, position }) = found else { return self.routed(request).await };
        let refused = request
            .extensions()
            .get::<Principal>()
            .zip(route.access.asked())
            .is_some_and(|(principal, actions)| may_none(principal, actions));
        let checked =
            if refused { Err(Code::Forbidden.into()) } else { known::inputs()[position].check(&request) };
        match checked {
            Ok(()) => self.routed(request).await,
            // A stream's body is not read.
            Err(problem) if route.work == Work::StreamedBody => {
                reply::with_header(problem.into(), header::CONNECTION, HeaderValue::from_static("close"))
            }
            Err(problem) => problem.into(),
        }
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
