//! `POST /v1/orders/batch`: orders.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::{Request, State as Extract};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{Problems, RejectedLine, Subject};
use crate::{
    engine::{Answer, Command, Engine, MemberDirectory, OrderId, Rejection, State},
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::ORDER_LINE_BYTES_MAX,
        reply::Reply,
        v1::{
            caller::Caller,
            extract,
            order_body::OrderGiven,
            order_view::{calendar, label},
            orders::settle,
            problem::Problem,
        },
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(batch_orders))
}

/// The answer to one line: one that was accepted has the order's periods, one that was rejected a
/// problem.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the description of `super::LineAnswer`")]
enum OrderLineAnswer {
    Accepted(AcceptedOrder),
    Rejected(RejectedLine),
}

/// A line whose order is placed.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "line": 2, "status": 201, "lsn": 1801, "order_id": "A-4711",
    "booking": { "month": "2026-11" },
}))]
struct AcceptedOrder {
    /// Number of the line, from 1; empty lines are counted and not answered.
    #[schema(minimum = 1)]
    line: u64,
    /// As a single order would be answered: 201, or 200 for a repeat.
    #[schema(minimum = 200, maximum = 201)]
    status: u16,
    /// LSN of the answer, as that of a single order.
    lsn: u64,
    #[schema(max_length = 64)]
    order_id: String,
    /// The period in which each calendar booked it. Empty for a repeat of an order that was sealed.
    booking: BTreeMap<String, String>,
}

/// Place many orders
///
/// One order a line (at most 32,768 bytes), as for `POST /v1/orders`; one answer a line, in the same order,
/// while lines still come in. Any number of lines, in bounded memory. A line that is refused or not
/// understood is answered with its problem, and the rest goes on. What was answered is durable. To resume
/// after a cut connection send the whole again: what was placed before is 200.
///
/// Read while you send. All other rules are those of `POST /v1/members/batch`, with which it shares its
/// places.
#[utoipa::path(
    post,
    path = "/v1/orders/batch",
    tag = "orders",
    request_body(
        content = OrderGiven, content_type = "application/x-ndjson", description = "One JSON object a line"
    ),
    responses(
        (
            status = 200, body = OrderLineAnswer, content_type = "application/x-ndjson",
            description = "One JSON object a line",
            headers(("x-lsn" = u64, description = "LSN at the beginning"))
        ),
        Problems,
    ),
)]
async fn batch_orders(Extract(shared): Extract<Arc<Shared>>, caller: Caller, request: Request) -> Reply {
    super::answer::<Orders>(&shared, &caller, request).await
}

/// Orders.
struct Orders;

impl Subject for Orders {
    const PATH: &'static str = "/v1/orders/batch";
    const ACTION: Action = Action::WriteOrders;
    const LINE_BYTES_MAX: usize = ORDER_LINE_BYTES_MAX;

    type Kept = OrderId;
    type Accepted = AcceptedOrder;

    fn begin(_: &State) -> Self {
        Self
    }

    fn read(&self, engine: &Engine, text: &[u8]) -> Result<(OrderId, Command), Problem> {
        let given: OrderGiven = extract::parse(text)?;
        let now = engine.clock().wall;
        let order = engine.read(|state, directory| given.order(state, directory, now))?;
        Ok((order.id.clone(), Command::PlaceOrder(Box::new(order))))
    }

    /// An order in flight may be the reason why another is refused, and never lets one pass.
    fn may_be_on_its_way<'k>(&self, _: impl Iterator<Item = &'k OrderId>, _: &OrderId, _: Rejection) -> bool {
        false
    }

    fn settle(
        line: u64,
        id: &OrderId,
        answer: Answer,
        _: Sight,
        state: &State,
        _: &MemberDirectory,
    ) -> Result<AcceptedOrder, Problem> {
        let done = settle(answer, "order_id")?;
        let plan = state.plan();
        let booked = state.order_number(id).into_iter().flat_map(|number| state.order_periods(number));
        Ok(AcceptedOrder {
            line,
            status: done.status().as_u16(),
            lsn: answer.applied.lsn,
            order_id: id.as_str().to_owned(),
            booking: booked
                .map(|period| (calendar(plan, period).to_owned(), label(state, period).to_owned()))
                .collect(),
        })
    }
}
