//! The change feed: `GET /v1/events`.
//!
//! Every logged command from an LSN on, in order, at least once, without gaps, and then each new one as soon
//! as it is durable and applied. A slow client is sent events later; nothing is buffered for it. It resumes
//! after the last LSN it has seen.

use std::{convert::Infallible, sync::Arc, time::Duration, vec};

use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, Response, header},
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    X_LSN,
    caller::Caller,
    extract::Query,
    media::accepts,
    order_view::{Values, calendar, label},
    page::NDJSON,
    problem::{Code, Problem, problems},
    types::user_id,
};
use crate::{
    command_json::stamped_json,
    engine::{Bookings, Engine, Event, Feed, HistoryError, PeriodRef, RowKind},
    http::{
        auth::Action,
        connection::Peer,
        context::Shared,
        heavy::Heavy,
        limits::{EVENT_HEARTBEAT, EVENT_LOOK, EVENTS_AT_ONCE, STREAM_ROWS},
        reply::Reply,
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct EventsQuery {
    /// LSN of the first command to send; what comes next, unless given. Commands begin with LSN 1.
    from: Option<u64>,
}

problems!(
    Problems: [
        Code::AsOfInvalid,
        Code::HistoryNotRetained,
        Code::FieldUnknown,
        Code::ParameterInvalid,
        Code::Overloaded,
        Code::Stopping,
    ]
);

/// Media type of server-sent events.
const SSE: &str = "text/event-stream";

/// The format of events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// One line each.
    Lines,
    /// Server-sent events.
    Sse,
}

/// All commands from an LSN on
///
/// Each is `{"lsn", "time", "idempotency_key", "actor", "command", "effect"}`; `actor` is who sent it,
/// `{"kind", "id"}`; `effect` is `{"changed", "unchanged", "member", "bonuses", "volumes"}`: whether the
/// command changed anything (`null`: it came too long ago to be known), if not the code of the rejection,
/// `repeat` (of an idempotency key) or `already` (it was so), for a signup the new member's place, the ids of
/// the bonuses it made, and for an order or a refund what it added to the volumes of members. Every 15
/// seconds without an event, each second to a client that has closed its sending half, comes a heartbeat: a
/// comment in server-sent events, else a line `{"heartbeat": true, "next_lsn"}`. The stream ends when the
/// server stops, when the credentials end (revoked, expired), and whenever the client is to resume: after the
/// last LSN seen, by `from` or by `Last-Event-ID`.
#[utoipa::path(
    get, path = "/v1/events", tag = "events",
    params(
        EventsQuery,
        (
            "Last-Event-ID" = Option<u64>, Header,
            description = "The last LSN seen: the stream goes on with the next. Comes before `from`"
        )
    ),
    responses(
        (
            status = 200, description = "A stream that does not end by itself",
            headers(("x-lsn" = u64, description = "LSN of the first command to come")),
            content(
                (String = "application/x-ndjson", example = json!({
                    "lsn": 8, "time": "2026-11-20T01:02:03.000000Z", "idempotency_key": null,
                    "actor": {"kind": "admin", "id": "ulk_2b22e1a6"},
                    "command": {
                        "kind": "pay_all", "up_to_lsn": null, "bonus_kind": null, "receiver": null,
                        "from": null, "to": null,
                    },
                    "effect": {
                        "changed": true, "unchanged": null, "member": null, "bonuses": [], "volumes": [],
                    },
                })),
                (
                    String = "text/event-stream",
                    example = "id: 8\nevent: command\n\
                               data: {\"lsn\":8,\"time\":\"2026-11-20T01:02:03.000000Z\",\
                               \"idempotency_key\":null,\
                               \"actor\":{\"kind\":\"admin\",\"id\":\"ulk_2b22e1a6\"},\
                               \"command\":{\"kind\":\"pay_all\",\"up_to_lsn\":null,\
                               \"bonus_kind\":null,\"receiver\":null,\"from\":null,\"to\":null},\
                               \"effect\":{\"changed\":true,\"unchanged\":null,\"member\":null,\
                               \"bonuses\":[],\"volumes\":[]}}\n\n"
                )
            )
        ),
        Problems
    )
)]
async fn events(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may(Action::ReadEvents)?;
    let resumed = last_event_id(&headers)?.map(|last| last.saturating_add(1));
    let next = engine.read(|state, _| state.lsn()) + 1;
    let from = resumed.or(query.from).unwrap_or(next);
    let permit = Arc::clone(&shared.feeds).try_acquire_owned().map_err(|_| Code::Overloaded)?;
    let feed = engine.feed(from)?;
    let form = if !accepts(&headers, NDJSON) && accepts(&headers, SSE) { Form::Sse } else { Form::Lines };
    let lsn = feed.next_lsn();
    let peer = peer.map(|Extension(peer)| peer);
    let follower = Follower {
        engine: engine.clone(),
        shared,
        feed,
        form,
        peer,
        caller,
        unsent: Vec::new().into_iter(),
        last_sent: Instant::now(),
        _permit: permit,
    };
    let body = stream::unfold(follower, |mut follower| async move {
        let chunk = follower.next_chunk().await?;
        Some((Ok::<Bytes, Infallible>(chunk), follower))
    });
    let mut reply = Response::new(Body::from_stream(body));
    let content_type = match form {
        Form::Lines => NDJSON,
        Form::Sse => SSE,
    };
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(X_LSN, HeaderValue::from(lsn));
    Ok(reply)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    // Signs are rejected; parsing a number would accept one.
    let digits = value
        .to_str()
        .ok()
        .map(str::trim)
        .filter(|text| text.starts_with(|first: char| first.is_ascii_digit()));
    let number = digits.and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        Problem::new(Code::ParameterInvalid)
            .with("field", "Last-Event-ID")
            .detail("must be the LSN of an event")
    })
}

/// One client's stream.
struct Follower {
    engine: Engine,
    shared: Arc<Shared>,
    feed: Feed,
    form: Form,
    /// `None` where there is no connection.
    peer: Option<Peer>,
    caller: Caller,
    /// What is left of the batch that was read last.
    unsent: vec::IntoIter<Event>,
    last_sent: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next chunk; `None` at the end.
    async fn next_chunk(&mut self) -> Option<Bytes> {
        loop {
            // Who may not ask any more gets no more. The client reconnects, and is told so.
            let is_over = self.shared.draining.load(std::sync::atomic::Ordering::Relaxed);
            if is_over || !self.shared.gate.stands(&self.caller.0) {
                return None;
            }
            let events: Vec<Event> = self.unsent.by_ref().take(STREAM_ROWS).collect();
            if !events.is_empty() {
                let chunk =
                    print(self.engine.clone(), Arc::clone(&self.shared.heavy), self.form, events).await;
                self.last_sent = Instant::now();
                return Some(chunk);
            }
            // A client that sends no more may be gone; only a write tells, and its seat is needed.
            let heartbeat =
                if self.peer.as_ref().is_some_and(Peer::has_finished) { EVENT_LOOK } else { EVENT_HEARTBEAT };
            let until = EVENT_LOOK
                .min(heartbeat.saturating_sub(self.last_sent.elapsed()))
                .max(Duration::from_millis(1));
            // Cancelling the wait loses nothing.
            let next = tokio::time::timeout(until, self.feed.next_batch()).await;
            match next {
                Ok(Ok(Some(events))) => self.unsent = events.into_iter(),
                Ok(Ok(None)) => return None,
                // The client reconnects and is told why.
                Ok(Err(error)) => {
                    if !matches!(error, HistoryError::Stopping) {
                        tracing::warn!(%error, lsn = self.feed.next_lsn(), "a change feed ends");
                    }
                    return None;
                }
                Err(_) if heartbeat <= self.last_sent.elapsed() => {
                    self.last_sent = Instant::now();
                    return Some(self.heartbeat());
                }
                Err(_) => {}
            }
        }
    }

    fn heartbeat(&self) -> Bytes {
        match self.form {
            Form::Lines => {
                format!("{}\n", json!({"heartbeat": true, "next_lsn": self.feed.next_lsn()})).into()
            }
            Form::Sse => Bytes::from_static(b": heartbeat\n\n"),
        }
    }
}

/// Prints a piece of a batch. A batch has thousands of events after a large group; printed at once, those of
/// a few dozen feeds kept new connections waiting for seconds.
async fn print(engine: Engine, heavy: Arc<Heavy>, form: Form, events: Vec<Event>) -> Bytes {
    if events.len() <= EVENTS_AT_ONCE {
        return written(&engine, form, &events);
    }
    heavy.run(move || written(&engine, form, &events)).await
}

fn written(engine: &Engine, form: Form, events: &[Event]) -> Bytes {
    let mut out = String::with_capacity(events.len() * 512);
    for event in events {
        let text = event_json(engine, event).to_string();
        match form {
            Form::Lines => {
                out.push_str(&text);
                out.push('\n');
            }
            Form::Sse => {
                out.push_str(&format!("id: {}\nevent: command\ndata: {text}\n\n", event.stamped.lsn));
            }
        }
    }
    out.into()
}

fn event_json(engine: &Engine, event: &Event) -> Value {
    let bonus_id = |entry: u64| Uuid::from_bytes(engine.row_id(RowKind::Entry, entry));
    let member = event.member.as_ref().map(|(member, code)| {
        let id_of = |member| engine.read(|state, _| user_id(state, member));
        json!({
            "user_id": Uuid::from_bytes(member.id.0),
            "code": code.as_str(),
            "sponsor": member.sponsor.map(id_of),
            "parent": member.parent.map(id_of),
            "slot": member.slot,
            "level": member.level,
            "sponsor_level": member.sponsor_level,
        })
    });
    let mut object = stamped_json(&event.stamped, &bonus_id);
    let bonuses: Vec<Uuid> = event.entries.clone().map(bonus_id).collect();
    let (changed, unchanged) = event.fate.words();
    let volumes = event.booked.as_ref().map(|booked| volumes_json(engine, booked));
    object["effect"] = json!({
        "changed": changed, "unchanged": unchanged, "member": member, "bonuses": bonuses, "volumes": volumes,
    });
    object
}

/// What a command added to the volumes of members, by the names of the plan.
fn volumes_json(engine: &Engine, Bookings { periods, shares }: &Bookings) -> Vec<Value> {
    if periods.is_empty() || shares.is_empty() {
        return Vec::new();
    }
    engine.read(|state, _| {
        let plan = state.plan();
        let in_periods = |period: &PeriodRef| {
            let (calendar, period) = (calendar(plan, *period), label(state, *period));
            let shown = shares.iter().map(move |(member, values)| {
                let Values { amount, volumes } = Values::new(plan, values);
                json!({
                    "user_id": user_id(state, *member), "calendar": calendar, "period": period,
                    "amount": amount, "volumes": volumes,
                })
            });
            shown.collect::<Vec<Value>>()
        };
        periods.iter().flat_map(in_periods).collect()
    })
}
