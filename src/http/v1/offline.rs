//! Orders, periods and attributes of a data directory in the words of `/v1`: for commands that work without a
//! server.

use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;

use super::{
    attributes::{Attributes, AttributesGiven},
    calendars::{Period, PeriodInFull},
    opening::{MemberOpening, OpeningState},
    order_body::{OrderGiven, RefundGiven},
    order_view::Order,
    problem::{Code, Problem},
    strict_json,
    types::user_id,
};
pub use super::{calendars::find as find_period, order_lists::OrderFilter};
use crate::{
    engine::{
        Directory, MemberIx, OrderId, PeriodRef, PlaceOrder, RefundOrder, SealedFilter, SealedOrders,
        SetAttributes, State, Timestamp,
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

/// Returns the newest orders that a filter leaves, at most `most`, as `GET /v1/orders` has them: those that
/// are sealed last.
///
/// # Errors
/// Files of sealed orders cannot be read.
pub fn orders(
    filter: &OrderFilter,
    most: usize,
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
) -> Result<Vec<Value>, Problem> {
    let mut found = Vec::new();
    let Some(list) = filter.list(state) else { return Ok(found) };
    let mut place = state.first_order(list);
    while found.len() < most
        && let Some((number, next)) = place.and_then(|place| state.order_at(list, place))
    {
        place = next;
        let view = state.order(number);
        if filter.shows(&view) {
            found.push(object(&Order::new(state, Sight::All, &view)));
        }
    }
    let mut before = None;
    while found.len() < most && !sealed.is_empty() {
        let (rows, next) = sealed.list(&filter.of_sealed(state), before, most - found.len())?;
        for row in rows {
            // One that was recalled is in the state.
            let is_open = row.id().is_some_and(|id| state.order_number(&id).is_some());
            if !is_open {
                found.push(object(&Order::new(state, Sight::All, &row.view(state, directory)?)));
            }
        }
        if next.is_none() {
            break;
        }
        before = next;
    }
    Ok(found)
}

/// Tells `each` all orders, each once and as it is now, as `GET /v1/orders/{id}` has them: those of the state
/// newest first, then those that are sealed. `each` may end it.
///
/// # Errors
/// Files of sealed orders cannot be read.
pub fn each_order(
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
    each: &mut dyn FnMut(Value) -> ControlFlow<()>,
) -> Result<(), Problem> {
    for number in (0..state.orders_len()).rev() {
        if each(object(&Order::new(state, Sight::All, &state.order(number)))).is_break() {
            return Ok(());
        }
    }
    let mut before = None;
    while !sealed.is_empty() {
        let (rows, next) = sealed.list(&SealedFilter::default(), before, EACH_PAGE)?;
        for row in rows {
            // One that was recalled is in the state.
            let is_open = row.id().is_some_and(|id| state.order_number(&id).is_some());
            let shown =
                || Ok::<_, Problem>(object(&Order::new(state, Sight::All, &row.view(state, directory)?)));
            if !is_open && each(shown()?).is_break() {
                return Ok(());
            }
        }
        if next.is_none() {
            break;
        }
        before = next;
    }
    Ok(())
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
/// What a server would answer.
pub fn place_order(
    body: &[u8],
    state: &State,
    directory: &impl Directory,
    now: Timestamp,
) -> Result<PlaceOrder, Problem> {
    given::<OrderGiven>(body)?.order(state, directory, now)
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
