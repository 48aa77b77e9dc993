//! Handles one request: routed, measured, bounded in time, and always answered.

use std::{
    convert::Infallible, net::IpAddr, panic::AssertUnwindSafe, pin::Pin, sync::Arc, task::Poll, time::Instant,
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::State,
    http::{HeaderValue, Method, Request, Response, header, request::Parts},
};
use hyper::body::Incoming;
use tower::ServiceExt;

use super::{
    answer_body::AnswerBody,
    auth::{self, Denied, Principal, Refusal, TurnedAway, Verdict, is_told},
    connection::{Answering, Peer},
    content::{self, Content},
    context::Shared,
    docs, dropin,
    edge::Edge,
    host::{self, Forwarded},
    limits::LONG_REQUEST_TIMEOUT,
    ops,
    reply::{self, Reply},
    route_table::{Api, Work},
    routing::{self, Found},
    series::SeriesIndex,
    v1,
};

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
    v1: v1::Routes,
    /// Operations and documentation.
    ops: Router,
}

/// An answer, and which route gave it; `None` where no route did.
type Answered = (Reply, Option<Found>);

impl Service {
    pub fn new(shared: Arc<Shared>) -> Self {
        let ops = ops::router()
            .merge(docs::router())
            .method_not_allowed_fallback(ops::method_not_allowed)
            .fallback(elsewhere)
            .with_state(Arc::clone(&shared));
        Self { v1: v1::Routes::new(Arc::clone(&shared)), shared, ops }
    }

    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Admits and routes a request, or turns it away. Nothing is routed that did not pass the gate.
    async fn route(
        &self,
        request: Request<Incoming>,
        found: Option<Found>,
        peer: IpAddr,
        endless: Option<Peer>,
    ) -> Answered {
        let (mut parts, body) = request.into_parts();
        if !host::is_named(&parts) {
            let reply = Edge::of(parts.uri.path()).host_invalid();
            return (self.turn_away(&parts, found, body, reply).await, None);
        }
        let gate = &self.shared.gate;
        let principal = match gate.admit(&parts, peer) {
            Ok(principal) => principal,
            Err(reason) => {
                let reply = auth::turned_away(parts.uri.path(), reason);
                let reply = self.turn_away(&parts, found, body, reply).await;
                self.tell_refusal(
                    &parts.method,
                    parts.uri.path(),
                    reply.status().as_u16(),
                    Some(gate.address_of(&parts, peer)),
                    "",
                );
                return (reply, None);
            }
        };
        if gate.trusts(peer)
            && let Some(forwarded) = Forwarded::read(&parts.headers)
        {
            parts.extensions.insert(forwarded);
        }
        if let Some(peer) = endless {
            parts.extensions.insert(peer);
        }
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let answered = self.route_principal(parts, body, found, &principal).await;
        self.tell_refusal(&method, &path, answered.0.status().as_u16(), principal.address(), &principal.name);
        answered
    }

    /// Logs an answer that is a refusal.
    fn tell_refusal(
        &self,
        method: &Method,
        path: &str,
        status: u16,
        address: Option<IpAddr>,
        principal: &str,
    ) {
        let is_write = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if is_told(status, is_write) {
            self.shared.gate.refusals().tell(&Refusal {
                status,
                method: method.as_str(),
                path,
                address,
                principal,
            });
        }
    }

    /// Routes the request of an admitted principal.
    async fn route_principal(
        &self,
        mut parts: Parts,
        body: Incoming,
        found: Option<Found>,
        principal: &Principal,
    ) -> Answered {
        let gate = &self.shared.gate;
        let asked = found.and_then(|found| found.route.access.asked());
        parts.extensions.insert(principal.clone().asked_for(asked));
        if !gate.is_on() || gate.is_open(parts.uri.path()) {
            return self.route_admitted(parts, body, found).await;
        }
        let path = parts.uri.path().to_owned();
        let (reply, route) = self.route_admitted(parts, body, found).await;
        match principal.verdict() {
            Verdict::Unseen => self.shared.metrics.access.denied(true),
            Verdict::Forbidden => self.shared.metrics.access.denied(false),
            Verdict::NotAsked if reply.status().is_success() => {
                tracing::error!(path, "a route answered without checking rights; its answer is withheld");
                return (auth::turned_away(&path, TurnedAway::Denied(Denied::Forbidden)), route);
            }
            Verdict::NotAsked | Verdict::Allowed => {}
        }
        (reply, route)
    }

    /// Reads the body of a request, whether or not its route uses it, and routes it: an unread body would end
    /// the connection without notice, and its client would lose its next request.
    async fn route_admitted(&self, mut parts: Parts, body: Incoming, found: Option<Found>) -> Answered {
        if takes_stream(found) {
            let request = Request::from_parts(parts, Body::new(body));
            return (self.v1.answer(request, found).await, found);
        }
        let is_held_back = content::is_held_back(&parts);
        match content::read(Body::new(body), is_held_back, &self.shared.options.limits).await {
            Ok(bytes) => parts.extensions.insert(Content(bytes)),
            Err(error) => return (Edge::of(parts.uri.path()).unread(error), None),
        };
        let edge = Edge::of(parts.uri.path());
        let request = Request::from_parts(parts, Body::empty());
        match edge {
            Edge::V1 => (self.v1.answer(request, found).await, found),
            Edge::Dropin if found.is_none() => dropin::answer(&self.shared, request).await,
            Edge::Dropin => {
                let Ok(reply) = self.ops.clone().oneshot(request).await;
                (reply, found)
            }
        }
    }

    /// Answers a request that was turned away. Its body is read and dropped, within the limits, so that its
    /// client sees the answer; an endless body, or one that is not sent before it is asked for, ends the
    /// connection.
    async fn turn_away(&self, parts: &Parts, found: Option<Found>, body: Incoming, reply: Reply) -> Reply {
        let limits = &self.shared.options.limits;
        let is_held_back = !body.is_end_stream() && content::is_held_back(parts);
        let is_read = !is_held_back
            && !takes_stream(found)
            && content::read(Body::new(body), false, limits).await.is_ok();
        if is_read {
            reply
        } else {
            reply::with_header(reply, header::CONNECTION, HeaderValue::from_static("close"))
        }
    }

    /// Answers one request. `answering` lives until the answer's body is sent.
    ///
    /// # Errors
    /// None: everything has an answer.
    pub async fn answer(
        self,
        request: Request<Incoming>,
        peer: IpAddr,
        answering: Answering,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let begin = Instant::now();
        let edge = Edge::of(request.uri().path());
        let method = request.method().clone();
        let found = routing::find(&method, request.uri().path());
        let work = found.map_or(Work::Short, |found| found.route.work);
        let is_read = matches!(method, Method::GET | Method::HEAD);
        let is_long = work == Work::Long;
        let limit = if is_long { LONG_REQUEST_TIMEOUT } else { self.shared.options.limits.request_timeout };
        let is_spare = answering.seat().is_spare();
        let endless = (work == Work::Endless).then(|| answering.peer());
        let routed = std::pin::pin!(self.route(request, found, peer, endless));
        let answered = tokio::time::timeout(limit, catch_panic(routed)).await;
        let (mut reply, route) = match answered {
            Ok(Some(answered)) => answered,
            Ok(None) => (edge.panicked(), None),
            Err(_) if is_read => (edge.read_too_slow(), None),
            Err(_) => (edge.write_too_slow(), None),
        };
        let series = route
            .or(of_ops(found))
            .map_or_else(|| SeriesIndex::unmatched(&method), |found| SeriesIndex::of(found, &method));
        reply.headers_mut().insert(header::SERVER, HeaderValue::from_static(edge.server()));
        if is_spare {
            // The seat is free again afterwards.
            reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.shared.metrics.http.request(series.0, reply.status().as_u16(), begin.elapsed().as_secs_f64());
        Ok(AnswerBody::of(reply, answering))
    }
}

/// Whether the route reads its own body.
fn takes_stream(found: Option<Found>) -> bool {
    found.is_some_and(|found| found.route.work == Work::StreamedBody)
}

/// The route of operators at the path: it counts for whatever was answered there.
fn of_ops(found: Option<Found>) -> Option<Found> {
    found.filter(|found| found.route.api == Api::Ops)
}

/// Answers paths that look like operations but are not.
async fn elsewhere(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Reply {
    dropin::answer(&shared, request).await.0
}

/// Runs a future; `None` when it panicked. The panic hook has logged where; the client learns nothing of it.
/// Takes it by reference: by value, the enclosing future would have room for it twice, for each connection.
async fn catch_panic<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_caught() {
        assert_eq!(catch_panic(pin!(async { 1 })).await, Some(1));
        let panics = pin!(async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "expected in this test");
        });
        assert_eq!(catch_panic(panics).await, None);
    }
}
