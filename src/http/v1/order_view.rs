//! Orders, refunds, values and volumes as answers show them.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    decimal::{Part, Units, print},
    problem::Problem,
    types::{CurrencyCode, Time, user_id},
};
use crate::{
    engine::{LineView, OrderView, PeriodRef, Plan, RefundView, Rejection, State},
    http::auth::Sight,
};

/// Looking up the sum of a group, in steps.
pub const GROUP_STEPS: usize = 4;

/// An order as it stands.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "order_id": "A-4711", "lsn": 12, "time": "2026-11-20T01:02:03.000000Z",
    "credits": [{ "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c", "part": "1" }],
    "customer": null, "kind": null, "tags": [], "group": null, "market": null, "currency": "USD",
    "lines": [{ "amount": "12.50", "volumes": { "pv": "10.00" }, "refunded": "0" }],
    "placed": { "amount": "12.50", "volumes": { "pv": "10.00" } },
    "left": { "amount": "12.50", "volumes": { "pv": "10.00" } },
    "booking": { "month": "2026-11" }, "refunds": [],
}))]
#[expect(clippy::struct_field_names, reason = "names on the wire")]
pub struct Order<'o> {
    #[schema(max_length = 64)]
    pub order_id: Cow<'o, str>,
    /// LSN of the command that placed it.
    pub lsn: u64,
    pub time: Time,
    /// The members that it is credited to.
    #[schema(min_items = 1, max_items = 16)]
    pub credits: Vec<Credited>,
    /// The customer who bought it; null if the first credited member did, and where the caller may not see
    /// that member.
    #[schema(max_length = 64)]
    pub customer: Option<Cow<'o, str>>,
    #[schema(max_length = 64)]
    pub kind: Option<Cow<'o, str>>,
    #[schema(max_items = 64)]
    pub tags: Vec<Cow<'o, str>>,
    #[schema(max_length = 64)]
    pub group: Option<Cow<'o, str>>,
    #[schema(max_length = 64)]
    pub market: Option<Cow<'o, str>>,
    /// Of the amounts: ISO 4217, or XXX for none.
    #[schema(value_type = String, min_length = 3, max_length = 3)]
    pub currency: CurrencyCode,
    #[schema(min_items = 1, max_items = 64)]
    pub lines: Vec<Line<'o>>,
    /// The sums of its lines as it was placed.
    pub placed: Values<'o>,
    /// What is left of them after all refunds, also of those that wait or act in a later period.
    pub left: Values<'o>,
    /// The period in which each calendar booked it.
    #[schema(value_type = BTreeMap<String, String>, example = json!({ "month": "2026-11" }))]
    pub booking: Named<'o, Cow<'o, str>>,
    /// Oldest first.
    pub refunds: Vec<Refunded>,
}

/// A member to whom an order is credited, and how much of it.
#[derive(Serialize, ToSchema)]
pub struct Credited {
    /// Null where the caller may not see the member.
    pub user_id: Option<Uuid>,
    /// The parts of an order add up to 1.
    #[schema(value_type = String, example = "0.5")]
    pub part: Part,
}

/// An amount and volumes, as text with all decimals.
#[derive(Serialize, ToSchema)]
pub struct Values<'o> {
    #[schema(value_type = String, example = "12.50")]
    pub amount: Units,
    /// By the name of the volume.
    #[schema(value_type = BTreeMap<String, String>, example = json!({ "pv": "10.00" }))]
    pub volumes: Named<'o, Units>,
}

/// A line of an order.
#[derive(Serialize, ToSchema)]
pub struct Line<'o> {
    /// As it was placed.
    #[schema(value_type = String, example = "12.50")]
    pub amount: Units,
    /// By the name of the volume, as they were placed; also those that are a percentage.
    #[schema(value_type = BTreeMap<String, String>, example = json!({ "pv": "10.00" }))]
    pub volumes: Named<'o, Units>,
    /// The part of it that was refunded: 0 to 1.
    #[schema(value_type = String, example = "0.5")]
    pub refunded: Part,
}

/// Values by names of the plan, which an answer has as an object, in the order of the names.
pub struct Named<'o, T>(Vec<(Cow<'o, str>, T)>);

impl<'o, T> Named<'o, T> {
    fn new(named: impl Iterator<Item = (&'o str, T)>) -> Self {
        let mut all: Vec<(Cow<'o, str>, T)> = named.map(|(name, value)| (name.into(), value)).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(all)
    }

    fn into_owned<U>(self, owned: impl Fn(T) -> U) -> Named<'static, U> {
        Named(self.0.into_iter().map(|(name, value)| (owned_text(name), owned(value))).collect())
    }
}

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn owned_text(text: Cow<'_, str>) -> Cow<'static, str> {
    text.into_owned().into()
}

/// A refund of an order.
#[derive(Serialize, ToSchema)]
pub struct Refunded {
    #[schema(max_length = 64)]
    pub refund_id: String,
    /// LSN of the command that gave it.
    pub lsn: u64,
    pub time: Time,
    #[schema(min_items = 1, max_items = 64)]
    pub lines: Vec<RefundedLine>,
    /// How it acts, by calendar.
    pub acts: BTreeMap<String, Act>,
}

/// A line that was refunded, or a part of it.
#[derive(Serialize, ToSchema)]
pub struct RefundedLine {
    /// Position of the line in the order, from 0.
    #[schema(maximum = 63)]
    pub line: u8,
    /// The part of the line as it was placed.
    #[schema(value_type = String, example = "0.5")]
    pub part: Part,
}

/// How a refund acts in a calendar.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "period": "2026-11", "state": "lowered" }))]
pub struct Act {
    /// The order's period; that of the correction, for one.
    #[schema(max_length = 64)]
    pub period: String,
    /// `lowered`: it lowers the order in the order's period. `waiting`: that period is locked, and it waits
    /// until it is unlocked or posted. `correction`: the order's period was posted, and the refund is an
    /// entry of a later one. `lowers_later`: as that, and it lowers the volumes of that period.
    #[schema(value_type = String, pattern = "^(lowered|waiting|correction|lowers_later)$")]
    pub state: &'static str,
}

impl<'o> Order<'o> {
    /// An order as a principal sees it.
    pub fn new(state: &'o State, sight: Sight, order: &'o OrderView) -> Self {
        let plan = state.plan();
        let commerce = &plan.commerce;
        let name = |at: Option<u16>, names: &'o [Box<str>]| Some((&*names[usize::from(at?)]).into());
        let tags = commerce.order_tags.iter().enumerate();
        let tags = tags.filter(|(bit, _)| order.tags >> bit & 1 != 0).map(|(_, tag)| (&**tag).into());
        let booked =
            order.periods.iter().map(|period| (calendar(plan, *period), label(state, *period).into()));
        let first_is_seen = order.credits.first().is_some_and(|(first, _)| sight.sees(state, *first));
        Self {
            order_id: (&*order.id).into(),
            lsn: order.lsn,
            time: Time(order.time),
            credits: order
                .credits
                .iter()
                .map(|(member, part)| Credited {
                    user_id: sight.sees(state, *member).then(|| user_id(state, *member)),
                    part: Part(*part),
                })
                .collect(),
            customer: order.customer.as_deref().filter(|_| first_is_seen).map(Cow::Borrowed),
            kind: name(order.kind, &commerce.order_kinds),
            tags: tags.collect(),
            group: order.group.as_deref().map(Cow::Borrowed),
            market: name(order.market, &commerce.markets),
            currency: CurrencyCode::of(plan),
            lines: order.lines.iter().map(|line| Line::new(plan, line)).collect(),
            placed: Values::new(plan, &order.totals()),
            left: Values::new(plan, &order.left()),
            booking: Named::new(booked),
            refunds: order.refunds.iter().map(|refund| Refunded::new(state, refund)).collect(),
        }
    }

    /// The same without the state.
    pub fn into_owned(self) -> Order<'static> {
        let line = |Line { amount, volumes, refunded }| Line {
            amount,
            volumes: Named::into_owned(volumes, |units| units),
            refunded,
        };
        Order {
            order_id: owned_text(self.order_id),
            lsn: self.lsn,
            time: self.time,
            credits: self.credits,
            customer: self.customer.map(owned_text),
            kind: self.kind.map(owned_text),
            tags: self.tags.into_iter().map(owned_text).collect(),
            group: self.group.map(owned_text),
            market: self.market.map(owned_text),
            currency: self.currency,
            lines: self.lines.into_iter().map(line).collect(),
            placed: self.placed.into_owned(),
            left: self.left.into_owned(),
            booking: self.booking.into_owned(owned_text),
            refunds: self.refunds,
        }
    }
}

impl<'o> Values<'o> {
    /// Values in the order of their numbers: the amount, then the volumes, of which later plans have more.
    pub fn new(plan: &'o Plan, values: &[i64]) -> Self {
        let (amount, volumes) = values.split_first().map_or((0, values), |(first, rest)| (*first, rest));
        let named = plan.commerce.volumes.iter().zip(volumes);
        let named =
            named.map(|(volume, units)| (&*volume.name, Units { units: *units, exponent: volume.exponent }));
        Self { amount: Units { units: amount, exponent: plan.currency.exponent }, volumes: Named::new(named) }
    }

    /// The same without the plan.
    pub fn into_owned(self) -> Values<'static> {
        Values { amount: self.amount, volumes: self.volumes.into_owned(|units| units) }
    }
}

impl<'o> Line<'o> {
    fn new(plan: &'o Plan, line: &LineView) -> Self {
        let Values { amount, volumes } = Values::new(plan, &line.values);
        Self { amount, volumes, refunded: Part(line.refunded) }
    }
}

impl Refunded {
    fn new(state: &State, refund: &RefundView) -> Self {
        let line =
            |(line, before, with): &(u8, u32, u32)| RefundedLine { line: *line, part: Part(with - before) };
        let acts = refund.states.iter().map(|(period, acts)| {
            let act = Act { period: label(state, *period).to_owned(), state: acts.name() };
            (calendar(state.plan(), *period).to_owned(), act)
        });
        Self {
            refund_id: refund.id.to_string(),
            lsn: refund.lsn,
            time: Time(refund.time),
            lines: refund.lines.iter().map(line).collect(),
            acts: acts.collect(),
        }
    }
}

/// A sum of a volume, as text with all decimals.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "sum": "120.00", "raw": null }))]
pub struct VolumeSum {
    /// Not below 0.
    #[schema(example = "120.00")]
    pub sum: String,
    /// The sum as it was booked, where refunds made it negative; null otherwise.
    #[schema(example = json!(null))]
    pub raw: Option<String>,
}

impl VolumeSum {
    pub fn new(units: i64, exponent: u8) -> Self {
        let raw = (units < 0).then(|| print(units, exponent));
        Self { sum: print(units.max(0), exponent), raw }
    }
}

/// The name of a period's calendar.
pub fn calendar(plan: &Plan, period: PeriodRef) -> &str {
    &plan.commerce.calendars[usize::from(period.calendar)].name
}

/// The position of a calendar in the plan.
///
/// # Errors
/// `calendar_unknown`.
pub fn find_calendar(state: &State, name: &str) -> Result<u8, Problem> {
    let position = state.plan().commerce.calendar(name).and_then(|at| u8::try_from(at).ok());
    position.ok_or_else(|| Problem::from(Rejection::CalendarUnknown).at(state.lsn()))
}

/// The label of a period that is there.
pub fn label(state: &State, period: PeriodRef) -> &str {
    state.period(period).map_or("", |row| &row.label)
}

/// The name of a value, by its number: `amount`, or that of a volume.
pub fn value_name(plan: &Plan, value: u8) -> String {
    match value.checked_sub(1) {
        None => AMOUNT.to_owned(),
        Some(volume) => plan.commerce.volumes[usize::from(volume)].name.to_string(),
    }
}

/// The decimal digits of a value, by its number.
pub fn value_exponent(plan: &Plan, value: u8) -> u8 {
    match value.checked_sub(1) {
        None => plan.currency.exponent,
        Some(volume) => plan.commerce.volumes[usize::from(volume)].exponent,
    }
}

/// The number of the value with a name.
pub fn value_named(plan: &Plan, name: &str) -> Option<u8> {
    if name == AMOUNT {
        return Some(0);
    }
    plan.commerce.volume(name).and_then(|volume| u8::try_from(volume + 1).ok())
}

/// The name of the amount among the values, which no volume has.
const AMOUNT: &str = "amount";
