//! Orders, periods and attributes of a data directory in the words of `/v1`: for commands that work without a
//! server.

use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;

use super::{
    attributes::{Attributes, AttributesGiven},
    calendars::{Period, PeriodInFull},
    opening::{MemberOpening, OpeningState},
    order_body::RefundGiven,
    order_view::Order,
    problem::{Code, Problem},
    strict_json,
    types::user_id,
};
pub use super::{
    calendars::find as find_period,
    carried::{Carried, Difference, NotCarried, carry_order, lsn_of_exported},
    order_body::{OrderCells, OrderGiven},
};
use crate::{
    engine::{
        Directory, MemberIx, NextOrder, OrderFilter, OrderId, OrderPages, PeriodRef, RefundOrder,
        SealedOrders, SetAttributes, State, Timestamp,
    },
    http::auth::Sight,
};

/// Sealed orders that are read at a time where all are.
const EACH_PAGE: usize = 4_096;

/// Returns an order as `GET /v1/orders/{id}` has it; `None` if there is none of this id.
///
/// # Errors
/// Files of sealed orders cannot be read.
pub fn order(
    id: &OrderId,
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
) -> Result<Option<Value>, Problem> {
    let view = match state.order_number(id) {
        Some(number) => Some(state.order(number)),
        None => sealed.order(id)?.map(|row| row.view(state, directory)).transpose()?,
    };
    Ok(view.map(|view| object(&Order::new(state, Sight::All, &view))))
}

/// Returns the newest orders that a filter leaves, at most `most`, as `GET /v1/orders` has them.
///
/// # Errors
/// Files of sealed orders cannot be read.
pub fn orders(
    filter: OrderFilter,
    most: usize,
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
) -> Result<Vec<Value>, Problem> {
    let mut found = Vec::new();
    listed(filter, most, state, directory, sealed, &mut |order| {
        found.push(order);
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(found)
}

/// Tells `each` all orders, each once and as it is now, as `GET /v1/orders/{id}` has them: the newest first.
/// `each` may end it.
///
/// # Errors
/// Files of sealed orders cannot be read.
pub fn each_order(
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
    each: &mut dyn FnMut(Value) -> ControlFlow<()>,
) -> Result<(), Problem> {
    listed(OrderFilter::ALL, EACH_PAGE, state, directory, sealed, each)
}

/// Tells `each` the orders of a list, of which `rows` are read from files at a time.
fn listed(
    filter: OrderFilter,
    rows: usize,
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
    each: &mut dyn FnMut(Value) -> ControlFlow<()>,
) -> Result<(), Problem> {
    let mut pages = OrderPages::new(state, filter);
    loop {
        // Nobody waits for a lock.
        let mut steps = usize::MAX;
        let order = match pages.next(state, &mut steps) {
            NextOrder::Open(order) | NextOrder::Sealed(order) => order,
            NextOrder::NeedsFiles => {
                pages.prepare_offline(sealed, rows, state, directory)?;
                continue;
            }
            NextOrder::Tired => continue,
            NextOrder::End => return Ok(()),
        };
        if each(object(&Order::new(state, Sight::All, &order))).is_break() {
            return Ok(());
        }
    }
}

/// Returns a period as lists have it.
pub fn period_row(state: &State, period: PeriodRef) -> Option<Value> {
    state.period(period).map(|row| object(&Period::new(state, period, row)))
}

/// Returns a period as `GET /v1/calendars/{name}/periods/{label}` has it.
pub fn period(state: &State, period: PeriodRef) -> Option<Value> {
    PeriodInFull::new(state, period).map(|period| object(&period))
}

/// Returns the opening state as `GET /v1/opening` has it.
pub fn opening(state: &State) -> Value {
    object(&OpeningState::new(state))
}

/// Returns a member's opening state as `GET /v1/members/{id}/opening` has it.
pub fn opening_of(state: &State, member: MemberIx) -> Value {
    object(&MemberOpening::new(state, member))
}

/// Reads an order as `POST /v1/orders` takes it.
///
/// # Errors
/// It is not one.
pub fn read_order(body: &[u8]) -> Result<OrderGiven, Problem> {
    given(body)
}

/// Reads a refund as `POST /v1/orders/{id}/refund` takes it.
///
/// # Errors
/// What a server would answer.
pub fn refund_order(body: &[u8], order: OrderId, now: Timestamp) -> Result<RefundOrder, Problem> {
    given::<RefundGiven>(body)?.refund(order, now)
}

/// Returns the attributes of a member as `GET /v1/members/{id}/attributes` has them.
pub fn attributes(state: &State, member: MemberIx) -> Value {
    object(&Attributes::new(state, Sight::All, member, None))
}

/// Reads attributes as `PUT /v1/members/{id}/attributes` takes them.
///
/// # Errors
/// What a server would answer.
pub fn set_attributes(body: &[u8], member: MemberIx, state: &State) -> Result<SetAttributes, Problem> {
    given::<AttributesGiven>(body)?.command(user_id(state, member), state)
}

fn given<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    strict_json::from_slice(body).map_err(|error| Problem::new(Code::BodyMalformed).detail(error.to_string()))
}

fn object(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).unwrap_or_default()
}
