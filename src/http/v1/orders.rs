//! `/v1/orders`: placing one, reading one, refunding one.

use std::sync::Arc;

use axum::{
    extract::State as Extract,
    http::{HeaderValue, StatusCode, header},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    answer,
    as_of::{self, AsOfQuery},
    caller::Caller,
    extract::{IdempotencyKey, Json, Path, Query},
    lists,
    order_body::{OrderGiven, RefundGiven},
    order_view::Order,
    pay,
    problem::{Code, Problem, problems},
    register::{Done, NOT_WRITTEN},
};
use crate::{
    engine::{
        Answer, AnsweredBy, Command, Engine, MemberDirectory, OrderId, OrderView, Outcome, Rejection, State,
    },
    http::{
        auth::{Action, Target},
        context::Shared,
        reply::{self, Reply},
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(place_order)).routes(routes!(order)).routes(routes!(refund_order))
}

/// Whether an order was placed or refunded now or before. The order is found by its id: a seal changes the
/// numbers that outcomes have. `id` is the field of the body that names what is new.
///
/// # Errors
/// The rejection, with the field that it is about.
pub fn settle(answer: Answer, id: &str) -> Result<Done, Problem> {
    let changed = match answer.applied.outcome {
        Outcome::OrderPlaced { changed, .. } | Outcome::OrderRefunded { changed, .. } => changed,
        Outcome::Rejected(rejection) => return Err(rejected(rejection, id, answer.applied.lsn)),
        _ => return Err(Code::Internal.into()),
    };
    let is_new = changed && !matches!(answer.by, AnsweredBy::Repeat | AnsweredBy::Seal);
    Ok(if is_new { Done::Now } else { Done::Before })
}

/// A rejection with the field of the body that it is about.
fn rejected(rejection: Rejection, id: &str, lsn: u64) -> Problem {
    let problem = Problem::from(rejection).at(lsn);
    let field = match rejection {
        Rejection::OrderIdTaken => id,
        Rejection::MemberUnknown => "user_id",
        Rejection::OrderKindUnknown => "kind",
        Rejection::CustomerOfAnother => "customer",
        Rejection::BeforeOpening | Rejection::OrderLate | Rejection::PeriodNotOpen => "time",
        Rejection::OrderLineUnknown => "lines",
        Rejection::KeyReused => "Idempotency-Key",
        _ => return problem,
    };
    problem.with("field", field)
}

/// Answers with an order as it stands. `id` is that of the order, `field` the field of the body that names
/// what is new.
async fn shown(
    engine: &Engine,
    caller: &Caller,
    done: Answer,
    id: OrderId,
    field: &str,
) -> Result<Reply, Problem> {
    let when = settle(done, field)?;
    let reply = |state: &State, directory: &MemberDirectory, order: &OrderView| {
        let order = Order::new(state, caller.0.sight(state, directory), order);
        let location = HeaderValue::try_from(format!("/v1/orders/{}", order.order_id));
        let reply = answer(when.status(), done.applied.lsn, &order);
        reply::with_header(reply, header::LOCATION, location.expect("ids are plain ASCII"))
    };
    let found = engine.read(|state, directory| {
        let number = state.order_number(&id)?;
        Some(reply(state, directory, &state.order(number)))
    });
    if let Some(reply) = found {
        return Ok(reply);
    }
    let order = sealed(engine, id).await?.ok_or(Code::Internal)?;
    Ok(engine.read(|state, directory| reply(state, directory, &order)))
}

/// A sealed order, read on a thread that may block. `None` if no seal has it.
async fn sealed(engine: &Engine, id: OrderId) -> Result<Option<OrderView>, Problem> {
    if !engine.has_sealed_orders() {
        return Ok(None);
    }
    let engine = engine.clone();
    let read = tokio::task::spawn_blocking(move || engine.sealed_order(&id));
    Ok(read.await.map_err(|_| Problem::from(Code::Internal))??)
}

/// Whether a principal may see an order, which may not exist.
///
/// # Errors
/// `order_unknown`, `forbidden`.
fn may_see(
    caller: &Caller,
    id: &OrderId,
    order: Option<&OrderView>,
    state: &State,
    directory: &MemberDirectory,
) -> Result<(), Problem> {
    let sight = caller.0.sight(state, directory);
    // A member sees an order that is credited to somebody whom it sees.
    let mut credited = order.into_iter().flat_map(|order| &order.credits).map(|(member, _)| *member);
    let first = credited.clone().next();
    let target = match credited.find(|member| sight.sees(state, *member)).or(first) {
        Some(member) => Target::Member(member),
        None => Target::order_unknown(state, id.as_str()),
    };
    let unknown = || Problem::from(Rejection::OrderUnknown).at(state.lsn());
    caller.allowed(Action::ReadMember, target, state, directory, unknown)
}

/// The id of an order in a path.
fn order_id(text: &str) -> Result<OrderId, Problem> {
    OrderId::parse(text).ok_or_else(|| {
        let detail = "ids are 1 to 64 of A-Z, a-z, 0-9, ., _, : and -";
        Problem::new(Code::ParameterInvalid).with("field", "id").detail(detail)
    })
}

/// What a body can be refused for.
const BODY: [Code; 7] = [
    Code::BodyMalformed,
    Code::BodyTooSlow,
    Code::BodyTooLarge,
    Code::MediaTypeUnsupported,
    Code::BodyEncoded,
    Code::FieldInvalid,
    Code::TimeInFuture,
];

problems!(
    PlaceProblems: [
        Code::Rejected(Rejection::OrdersNotTaken),
        Code::Rejected(Rejection::OrderIdTaken),
        Code::Rejected(Rejection::OrderMalformed),
        Code::Rejected(Rejection::MemberUnknown),
        Code::Rejected(Rejection::CodeAmbiguous),
        Code::Rejected(Rejection::OrderKindUnknown),
        Code::Rejected(Rejection::OrderTagUnknown),
        Code::Rejected(Rejection::MarketUnknown),
        Code::Rejected(Rejection::CustomerOfAnother),
        Code::Rejected(Rejection::BeforeOpening),
        Code::Rejected(Rejection::OrderLate),
        Code::Rejected(Rejection::PeriodNotOpen),
        Code::Rejected(Rejection::VolumesFull),
        Code::Rejected(Rejection::OrdersFull),
    ], BODY, pay::COMMON, NOT_WRITTEN
);
problems!(
    RefundProblems: [
        Code::Rejected(Rejection::OrderUnknown),
        Code::Rejected(Rejection::OrderIdTaken),
        Code::Rejected(Rejection::OrderMalformed),
        Code::Rejected(Rejection::OrderLineUnknown),
        Code::Rejected(Rejection::RefundTooLarge),
        Code::Rejected(Rejection::PeriodNotOpen),
        Code::Rejected(Rejection::PeriodUnknown),
        Code::Rejected(Rejection::OrdersFull),
        Code::Rejected(Rejection::RefundsFull),
    ], BODY, pay::COMMON, NOT_WRITTEN
);
problems!(ReadProblems: lists::COMMON, [Code::Rejected(Rejection::OrderUnknown)], as_of::PROBLEMS);

/// Place an order
///
/// 201 with the order and its `Location`. A repeat, the same id with the same content, is 200 with the order
/// as it stands, for ever; other content is 409 `order_id_taken`. The content is what the body says: the same
/// members, however named, and the same values, however written; a time that is given is not the same as
/// none. Each calendar books the order into the period that holds the latest of its time, the joining of the
/// credited members, and the start of the oldest period that still takes orders; a calendar that refuses late
/// orders answers 409 `order_late`.
#[utoipa::path(
    post,
    path = "/v1/orders",
    tag = "orders",
    request_body = OrderGiven,
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
        max_length = 255
    )),
    responses(
        (
            status = 201, body = Order, description = "Placed",
            headers(("Location" = String, description = "The order"), ("x-lsn" = u64))
        ),
        (
            status = 200, body = Order, description = "Placed before with the same content",
            headers(("Location" = String, description = "The order"), ("x-lsn" = u64))
        ),
        PlaceProblems,
    ),
)]
async fn place_order(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    key: IdempotencyKey,
    Json(body): Json<OrderGiven>,
) -> Result<Reply, Problem> {
    caller.may(Action::WriteOrders)?;
    let engine = shared.v1_engine()?;
    let key = key.for_request(&caller.0.client, "POST /v1/orders", &body);
    let now = engine.clock().wall;
    let order = engine.read(|state, directory| body.order(state, directory, now))?;
    let id = order.id.clone();
    let done = engine.submit(Command::PlaceOrder(Box::new(order)), caller.sends(key)).await?;
    shown(engine, &caller, done, id, "order_id").await
}

/// One order
///
/// As it stands, with its refunds, or with `as_of` as it was. A member sees the orders that are credited to
/// it or to its downline. An order called `batch` is found in lists only.
#[utoipa::path(
    get,
    path = "/v1/orders/{id}",
    tag = "orders",
    params(("id" = String, Path, description = "The order_id", max_length = 64), AsOfQuery),
    responses(
        (status = 200, body = Order, description = "The order", headers(("x-lsn" = u64))),
        ReadProblems
    ),
)]
async fn order(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<AsOfQuery>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let id = order_id(&id)?;
    let is_open = engine.read(|state, _| state.order_number(&id).is_some());
    // An order that was recalled was in files before.
    let filed = if is_open && query.as_of.is_none() { None } else { sealed(engine, id.clone()).await? };
    as_of::read(&shared, &caller, query.as_of, |state, directory| {
        let open = state.order_number(&id).map(|number| state.order(number));
        let order = open.or_else(|| filed.clone().and_then(|order| order.as_of(state.lsn())));
        may_see(&caller, &id, order.as_ref(), state, directory)?;
        let order = order.ok_or_else(|| Problem::from(Rejection::OrderUnknown).at(state.lsn()))?;
        let order = Order::new(state, caller.0.sight(state, directory), &order);
        Ok(answer(StatusCode::OK, state.lsn(), &order))
    })
    .await
}

/// Refund an order
///
/// A part of each line, some lines, or, with neither, all that is left. 201 with the order as it stands; a
/// repeat, the same id with the same content, is 200. Refunds add up, and never exceed the order: 409
/// `refund_too_large`, and nothing is refunded. Volumes are refunded with the amount, rounded down; the
/// refund that completes a line takes its rest. In a period that is not locked the refund lowers the order;
/// in a locked one it waits until that is unlocked or posted; of a posted one it is a correction in a later
/// period.
#[utoipa::path(
    post,
    path = "/v1/orders/{id}/refund",
    tag = "orders",
    request_body = RefundGiven,
    params(
        ("id" = String, Path, description = "The order_id", max_length = 64),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (
            status = 201, body = Order, description = "Refunded",
            headers(("Location" = String, description = "The order"), ("x-lsn" = u64))
        ),
        (
            status = 200, body = Order, description = "Refunded before with the same content",
            headers(("Location" = String, description = "The order"), ("x-lsn" = u64))
        ),
        RefundProblems,
    ),
)]
async fn refund_order(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<String>,
    key: IdempotencyKey,
    Json(body): Json<RefundGiven>,
) -> Result<Reply, Problem> {
    caller.may(Action::WriteOrders)?;
    let engine = shared.v1_engine()?;
    let order = order_id(&id)?;
    let key = key.for_request(&caller.0.client, "POST /v1/orders/{id}/refund", &(&id, &body));
    let refund = body.refund(order.clone(), engine.clock().wall)?;
    let done = engine.submit(Command::RefundOrder(Box::new(refund)), caller.sends(key)).await?;
    shown(engine, &caller, done, order, "refund_id").await
}
