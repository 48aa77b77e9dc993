//! Orders of another network, as `upline export --orders` writes them, to be placed here as they were.
//!
//! An order is placed by the rules of this network, with the time that it had, and its refunds are given
//! in their order. So before anything is done it is told what would come of it, and that must be what is
//! written, but for the LSNs: the same volumes, periods and refunds. What cannot be had, such as a booking
//! into a period that takes no more orders, is refused, and nothing of the order comes in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    order_body::{OrderGiven, RefundGiven},
    order_view::Order,
    problem::{Code, Problem},
    strict_json,
};
use crate::{
    engine::{
        Command, Directory, LineView, OrderId, OrderView, PlaceOrder, RefundOrder, RefundScope, RefundView,
        Rejection, SealedOrders, State, Timestamp, WHOLE, commerce::VolumeForm,
    },
    http::auth::Sight,
};

/// Fields that change when an order is refunded.
const REFUNDED: [&str; 3] = ["left", "lines", "refunds"];

/// An order as it is written. Fields that follow from others are compared, and not read here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    order_id: String,
    lsn: u64,
    time: Value,
    credits: Vec<Value>,
    customer: Value,
    kind: Value,
    tags: Value,
    group: Value,
    market: Value,
    #[serde(rename = "currency")]
    _currency: Value,
    lines: Vec<LineWritten>,
    #[serde(rename = "placed")]
    _placed: Value,
    #[serde(rename = "left")]
    _left: Value,
    #[serde(rename = "booking")]
    _booking: Value,
    refunds: Vec<RefundWritten>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineWritten {
    amount: Value,
    volumes: BTreeMap<String, Value>,
    #[serde(rename = "refunded")]
    _refunded: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundWritten {
    refund_id: String,
    lsn: u64,
    time: Value,
    lines: Value,
    #[serde(rename = "acts")]
    _acts: Value,
}

/// Why an order does not come in.
pub enum NotCarried {
    Refused(Problem),
    /// Another order has its id.
    Taken(Difference),
    /// It would not be what is written.
    Differs(Difference),
}

/// A field of an order: as it is written, and as it is here or would be.
pub struct Difference {
    pub field: String,
    pub written: Value,
    pub here: Value,
}

impl<P: Into<Problem>> From<P> for NotCarried {
    fn from(problem: P) -> Self {
        Self::Refused(problem.into())
    }
}

/// What carries an order: nothing, where all of it is here.
pub struct Carried {
    pub place: Option<PlaceOrder>,
    pub refunds: Vec<RefundOrder>,
}

impl Carried {
    pub fn commands(self) -> impl Iterator<Item = Command> {
        let place = self.place.map(|order| Command::PlaceOrder(Box::new(order)));
        let refunds = self.refunds.into_iter().map(|refund| Command::RefundOrder(Box::new(refund)));
        place.into_iter().chain(refunds)
    }
}

/// The command that placed an order in its network, if a line of a file is an order of an export: what is
/// sent to be placed names no periods.
pub fn lsn_of_exported(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Probe {
        lsn: Option<u64>,
        booking: Option<serde::de::IgnoredAny>,
    }
    // Most lines are spared the second reading.
    memchr::memmem::find(line, b"\"booking\"")?;
    let probe: Probe = serde_json::from_slice(line).ok()?;
    probe.booking.map(|_| probe.lsn.unwrap_or_default())
}

/// The commands by which a written order comes to be in a network at a log time.
///
/// # Errors
/// Why it cannot: see [`NotCarried`].
pub fn carry_order(
    line: &[u8],
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
    now: Timestamp,
) -> Result<Carried, NotCarried> {
    let malformed = |error: serde_json::Error| Problem::new(Code::BodyMalformed).detail(error.to_string());
    let written: Written = strict_json::from_slice(line).map_err(malformed)?;
    let whole: Value = serde_json::from_slice(line).map_err(malformed)?;
    let order = written.order(state, directory, now)?;
    let refunds = written.refunds(&order.id, now)?;
    let known = view_of(&order.id, state, directory, sealed)?;
    let is_known = known.is_some();
    let base = match known {
        Some(known) => known,
        None => state.preview_order(directory, &order, now)?,
    };
    let shown = |view: &OrderView| written.as_here(view, state);
    if is_known {
        let same = |field: &str| !REFUNDED.contains(&field);
        compare(&whole, &shown(&base), same).map_err(NotCarried::Taken)?;
    }
    let there = base.refunds.len().min(refunds.len());
    // Those that were given here since are here as well.
    let so_far = OrderView { refunds: base.refunds[..there].to_vec(), ..base.clone() };
    let missing = &refunds[there..];
    let target =
        missing.iter().try_fold(so_far, |view, refund| refunded(view, refund, (state, sealed), now))?;
    let target = with_lines(target);
    compare(&whole, &shown(&target), |_| true).map_err(NotCarried::Differs)?;
    Ok(Carried { place: (!is_known).then_some(order), refunds: missing.to_vec() })
}

impl Written {
    /// The order that it was placed as.
    fn order(
        &self,
        state: &State,
        directory: &impl Directory,
        now: Timestamp,
    ) -> Result<PlaceOrder, NotCarried> {
        let volumes = &state.plan().commerce.volumes;
        let follows = |name: &str| {
            volumes.iter().any(|volume| *volume.name == *name && volume.form != VolumeForm::Given)
        };
        let line = |line: &LineWritten| {
            let named = line.volumes.iter().filter(|(name, _)| !follows(name));
            let named: Map<String, Value> =
                named.map(|(name, units)| (name.clone(), units.clone())).collect();
            json!({ "amount": line.amount, "volumes": named })
        };
        let body = json!({
            "order_id": self.order_id, "credits": self.credits, "customer": self.customer,
            "time": self.time, "kind": self.kind, "tags": self.tags, "group": self.group,
            "market": self.market, "lines": self.lines.iter().map(line).collect::<Vec<_>>(),
        });
        let given: OrderGiven = read(&body)?;
        Ok(given.order(state, directory, now)?)
    }

    /// Its refunds, oldest first.
    fn refunds(&self, order: &OrderId, now: Timestamp) -> Result<Vec<RefundOrder>, NotCarried> {
        let refund = |refund: &RefundWritten| {
            let body = json!({ "refund_id": refund.refund_id, "time": refund.time, "lines": refund.lines });
            let given: RefundGiven = read(&body)?;
            Ok(given.refund(order.clone(), now)?)
        };
        self.refunds.iter().map(refund).collect()
    }

    /// An order of this network as it is written, with the LSNs of the other.
    fn as_here(&self, view: &OrderView, state: &State) -> Value {
        let mut view = OrderView { lsn: self.lsn, ..view.clone() };
        for (refund, written) in view.refunds.iter_mut().zip(&self.refunds) {
            refund.lsn = written.lsn;
        }
        serde_json::to_value(Order::new(state, Sight::All, &view))
            .expect("an order is an object of texts and numbers")
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &Value) -> Result<T, NotCarried> {
    let read = strict_json::from_slice(body.to_string().as_bytes());
    Ok(read.map_err(|error| Problem::new(Code::BodyMalformed).detail(error.to_string()))?)
}

fn view_of(
    id: &OrderId,
    state: &State,
    directory: &impl Directory,
    sealed: &SealedOrders,
) -> Result<Option<OrderView>, Problem> {
    if let Some(number) = state.order_number(id) {
        return Ok(Some(state.order(number)));
    }
    Ok(sealed.order(id)?.map(|row| row.view(state, directory)).transpose()?)
}

/// The order with one more refund, given at the log time `now`.
fn refunded(
    mut view: OrderView,
    refund: &RefundOrder,
    (state, sealed): (&State, &SealedOrders),
    now: Timestamp,
) -> Result<OrderView, NotCarried> {
    let id = &refund.id;
    let is_taken = *id.as_str() == *view.id
        || view.refunds.iter().any(|other| *other.id == *id.as_str())
        || state.order_number(id).is_some()
        || state.refund_number(id).is_some()
        || sealed.has(id)?;
    if is_taken {
        return Err(Problem::from(Rejection::OrderIdTaken).with("field", "refunds").into());
    }
    let RefundScope::Lines(parts) = &refund.scope else { return Err(Rejection::OrderMalformed.into()) };
    let mut lines = Vec::with_capacity(parts.len());
    for part in parts {
        let from = refunded_of(&view, part.line);
        let to = part.part.and_then(|part| from.checked_add(part)).filter(|to| *to <= WHOLE);
        if view.lines.len() <= usize::from(part.line) {
            return Err(Rejection::OrderLineUnknown.into());
        }
        lines.push((part.line, from, to.ok_or(Rejection::RefundTooLarge)?));
    }
    let time = refund.time.unwrap_or(now);
    view.refunds.push(RefundView {
        id: id.as_str().into(),
        lsn: 0,
        time,
        lines,
        states: state.preview_refund(&view.periods, [time, now])?,
    });
    Ok(view)
}

/// The order with as much refunded of each line as its refunds say.
fn with_lines(view: OrderView) -> OrderView {
    let lines = (0..)
        .zip(&view.lines)
        .map(|(at, line)| LineView { values: line.values.clone(), refunded: refunded_of(&view, at) });
    let lines = lines.collect();
    OrderView { lines, ..view }
}

/// How much of a line the refunds of an order take back, in parts of [`WHOLE`].
fn refunded_of(view: &OrderView, line: u8) -> u32 {
    let mut lines = view.refunds.iter().rev().flat_map(|refund| &refund.lines);
    lines.find(|(of, ..)| *of == line).map_or(0, |(_, _, to)| *to)
}

/// Compares some fields of what is written with what is here, and tells the first that differs.
fn compare(written: &Value, here: &Value, counts: impl Fn(&str) -> bool) -> Result<(), Difference> {
    let fields = here.as_object().into_iter().flatten().filter(|(field, _)| counts(field));
    for (field, here) in fields {
        let written = &written[field];
        if written != here {
            return Err(Difference { field: field.clone(), written: written.clone(), here: here.clone() });
        }
    }
    Ok(())
}
