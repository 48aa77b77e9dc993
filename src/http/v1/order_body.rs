//! Orders and refunds as they are sent, and the commands that they ask for: names of the plan become their
//! positions, decimals become units.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    decimal::{Decimal, NamedDecimals},
    problem::{Code, Problem},
    types::{Time, member_id},
};
use crate::{
    engine::{
        Code as ReferralCode, Credit, Directory, LinePart, MemberId, Money, ORDER_CREDITS_MAX,
        ORDER_LINES_MAX, OrderId, OrderLine, PlaceOrder, Plan, RefundOrder, RefundScope, Rejection, State,
        Timestamp, WHOLE, commerce::VolumeForm,
    },
    http::limits::TIME_AHEAD_MAX,
};

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// An order. It is credited to one member, named by `user_id` or `code`, or to several in `credits`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "order_id": "A-4711", "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c",
    "lines": [{ "amount": "12.50", "volumes": { "pv": "10" } }],
}))]
pub struct OrderGiven {
    /// Chosen by the client, unique for ever, among refunds too. The same id with the same content is
    /// answered as the first time.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "A-4711")]
    pub order_id: String,
    /// The member that it is credited to.
    #[serde(default)]
    user_id: Option<Uuid>,
    /// The same by referral code.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    code: Option<String>,
    /// Several members, each once, with parts that add up to 1.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 16)]
    credits: Option<Vec<CreditGiven>>,
    /// The customer who bought it, by an id of the client's own; absent or null: the first credited member
    /// did. With their first order customers become those of its first credited member.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "C-88")]
    customer: Option<String>,
    /// When it was placed, if that is not now.
    #[serde(default)]
    time: Option<Time>,
    /// One of the plan's kinds of orders, where it has some.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, example = "first")]
    kind: Option<String>,
    /// Some of the plan's tags of orders.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["autoship"]))]
    tags: Vec<String>,
    /// What it belongs to: a party, a shopping event.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "party-12")]
    group: Option<String>,
    /// One of the plan's markets.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, example = "us")]
    market: Option<String>,
    #[schema(min_items = 1, max_items = 64)]
    lines: Vec<LineGiven>,
}

/// A member to whom an order is credited, and how much of it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "code": "ANNA-7", "part": "0.5" }))]
pub struct CreditGiven {
    /// Either this or `code`.
    #[serde(default)]
    user_id: Option<Uuid>,
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    code: Option<String>,
    /// Above 0, up to 1, with 9 decimals at most.
    part: Decimal,
}

/// A line of an order.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "amount": "12.50", "volumes": { "pv": "10" } }))]
pub struct LineGiven {
    /// In units of the plan's currency.
    amount: Decimal,
    /// Volumes of the plan by name; those that are missing are 0. Those that are a percentage follow from
    /// others, and are not given.
    #[serde(default)]
    volumes: NamedDecimals,
}

// As above.
/// A refund of an order: of a part of each line, of some lines, or, with neither, of all that is left.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "refund_id": "R-1", "lines": [{ "line": 0, "part": "0.5" }] }))]
pub struct RefundGiven {
    /// Of the same name space as the ids of orders.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "R-1")]
    refund_id: String,
    /// When it was given, if that is not now.
    #[serde(default)]
    time: Option<Time>,
    /// A part of each line as it was placed: above 0, up to 1, with 9 decimals at most.
    #[serde(default)]
    #[schema(value_type = Option<Decimal>)]
    part: Option<Decimal>,
    /// Some lines, each once.
    #[serde(default)]
    #[schema(min_items = 1, max_items = 64)]
    lines: Option<Vec<RefundLineGiven>>,
}

/// A line that is refunded.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundLineGiven {
    /// Position of the line in the order, from 0.
    #[schema(maximum = 63)]
    line: u8,
    /// A part of the line as it was placed; absent or null for what is left of it.
    #[serde(default)]
    #[schema(value_type = Option<Decimal>)]
    part: Option<Decimal>,
}

/// An order as rows of a table have it: a cell of each column, empty where it says nothing. Its lines follow
/// ([`OrderCells::given`]).
pub struct OrderCells<'a> {
    pub order_id: &'a str,
    pub customer: &'a str,
    pub time: Option<Timestamp>,
    pub kind: &'a str,
    /// Separated by blanks.
    pub tags: &'a str,
    pub group: &'a str,
    pub market: &'a str,
}

impl OrderCells<'_> {
    /// The order that would be sent, but for the member that it is credited to. A line is its amount, and a
    /// cell for each of `volumes`.
    pub fn given<'a, C: AsRef<str> + 'a>(
        self,
        volumes: &[String],
        lines: impl Iterator<Item = (&'a str, &'a [C])>,
    ) -> OrderGiven {
        let text = |cell: &str| (!cell.is_empty()).then(|| cell.to_owned());
        let decimal = |cell: &str| Decimal::Text(cell.into());
        let line = |(amount, cells): (&str, &'a [C])| {
            let named = volumes.iter().zip(cells).filter(|(_, cell)| !cell.as_ref().is_empty());
            let named = named.map(|(name, cell)| (name.as_str().into(), decimal(cell.as_ref())));
            LineGiven { amount: decimal(amount), volumes: NamedDecimals(named.collect()) }
        };
        OrderGiven {
            order_id: self.order_id.to_owned(),
            user_id: None,
            code: None,
            credits: None,
            customer: text(self.customer),
            time: self.time.map(Time),
            kind: text(self.kind),
            tags: self.tags.split_whitespace().map(str::to_owned).collect(),
            group: text(self.group),
            market: text(self.market),
            lines: lines.map(line).collect(),
        }
    }
}

impl OrderGiven {
    /// The command that it asks for under the plan in force, at a reading of the clock.
    ///
    /// # Errors
    /// What is wrong with it whatever orders there are, naming the field.
    pub fn order(
        &self,
        state: &State,
        directory: &impl Directory,
        now: Timestamp,
    ) -> Result<PlaceOrder, Problem> {
        self.under(state.plan(), state.lsn(), now, || self.credits(state, directory))
    }

    /// The same under a plan that was in force at an LSN, without members: they are to be found where the
    /// network is ([`OrderGiven::credits`]).
    ///
    /// # Errors
    /// What is wrong with all the rest.
    pub fn uncredited(&self, plan: &Plan, lsn: u64, now: Timestamp) -> Result<PlaceOrder, Problem> {
        self.under(plan, lsn, now, || Ok(Vec::new()))
    }

    fn under(
        &self,
        plan: &Plan,
        lsn: u64,
        now: Timestamp,
        credits: impl FnOnce() -> Result<Vec<Credit>, Problem>,
    ) -> Result<PlaceOrder, Problem> {
        let commerce = &plan.commerce;
        if !commerce.takes_orders() {
            return Err(Problem::from(Rejection::OrdersNotTaken).at(lsn));
        }
        let position = |name: &str, names: &[Box<str>], field: &dyn Fn() -> String, unknown: Rejection| {
            let found = names.iter().position(|known| **known == *name);
            found.and_then(|at| u16::try_from(at).ok()).ok_or_else(|| about(unknown, field()).at(lsn))
        };
        let kind = self.kind.as_deref().map(|kind| {
            position(kind, &commerce.order_kinds, &|| "kind".into(), Rejection::OrderKindUnknown)
        });
        let market = self
            .market
            .as_deref()
            .map(|market| position(market, &commerce.markets, &|| "market".into(), Rejection::MarketUnknown));
        let mut tags = 0;
        for (at, tag) in self.tags.iter().enumerate() {
            let field = || format!("tags[{at}]");
            let bit = 1_u64 << position(tag, &commerce.order_tags, &field, Rejection::OrderTagUnknown)?;
            if tags & bit != 0 {
                return Err(malformed(&field(), "this tag is there twice"));
            }
            tags |= bit;
        }
        if !(1..=ORDER_LINES_MAX).contains(&self.lines.len()) {
            return Err(malformed("lines", "an order has 1 to 64 lines"));
        }
        let lines = self.lines.iter().enumerate().map(|(at, line)| line.line(plan, at));
        Ok(PlaceOrder {
            id: id("order_id", &self.order_id)?,
            credits: credits()?,
            customer: self.customer.as_deref().map(|text| id("customer", text)).transpose()?,
            time: not_ahead(self.time, now)?,
            kind: kind.transpose()?,
            tags,
            group: self.group.as_deref().map(|text| id("group", text)).transpose()?,
            market: market.transpose()?,
            lines: lines.collect::<Result<_, _>>()?,
        })
    }

    /// Names the member that it is credited to, where it names none.
    #[must_use]
    pub fn credited_to(mut self, member: MemberId) -> Self {
        self.user_id = Some(Uuid::from_bytes(member.0));
        self
    }

    /// The members that it is credited to, and how much of it.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn credits(&self, state: &State, directory: &impl Directory) -> Result<Vec<Credit>, Problem> {
        let Some(credits) = &self.credits else {
            let member = named(self.user_id, self.code.as_deref(), "", state, directory)?;
            return Ok(vec![Credit { member, part: WHOLE }]);
        };
        if self.user_id.is_some() || self.code.is_some() {
            return Err(invalid("credits", "an order names one member, or several in credits, not both"));
        }
        if !(1..=ORDER_CREDITS_MAX).contains(&credits.len()) {
            return Err(malformed("credits", "an order is credited to 1 to 16 members"));
        }
        let mut all: Vec<Credit> = Vec::with_capacity(credits.len());
        for (at, credit) in credits.iter().enumerate() {
            let member =
                named(credit.user_id, credit.code.as_deref(), &format!("credits[{at}]."), state, directory)?;
            if all.iter().any(|earlier| earlier.member == member) {
                return Err(malformed(&format!("credits[{at}]"), "this member is there twice"));
            }
            all.push(Credit { member, part: credit.part.part(|| format!("credits[{at}].part"))? });
        }
        let sum: u64 = all.iter().map(|credit| u64::from(credit.part)).sum();
        if sum == u64::from(WHOLE) { Ok(all) } else { Err(malformed("credits", "parts must add up to 1")) }
    }
}

impl LineGiven {
    fn line(&self, plan: &Plan, at: usize) -> Result<OrderLine, Problem> {
        let amount = self.amount.units(plan.currency.exponent, || format!("lines[{at}].amount"))?;
        let volumes = &plan.commerce.volumes;
        let field = |name: &str| format!("lines[{at}].volumes.{name}");
        // By the position of the volume in the plan; those that are a percentage are taken out afterwards.
        let mut given = vec![0; volumes.len()];
        for (name, decimal) in &self.volumes.0 {
            let position = plan.commerce.volume(name);
            let position = position.ok_or_else(|| invalid(&field(name), "the plan has no such volume"))?;
            if volumes[position].form != VolumeForm::Given {
                return Err(invalid(&field(name), "this volume is a percentage, and follows from others"));
            }
            given[position] = decimal.units(volumes[position].exponent, || field(name))?;
        }
        let all = given.into_iter().zip(volumes);
        let volumes = all.filter(|(_, volume)| volume.form == VolumeForm::Given).map(|(units, _)| units);
        Ok(OrderLine { amount: Money(amount), volumes: volumes.collect() })
    }
}

impl RefundGiven {
    /// The command that it asks for, for an order, at a reading of the clock.
    ///
    /// # Errors
    /// What is wrong with it whatever orders there are, naming the field.
    pub fn refund(&self, order: OrderId, now: Timestamp) -> Result<RefundOrder, Problem> {
        let scope = match (&self.part, &self.lines) {
            (None, None) => RefundScope::Rest,
            (Some(part), None) => RefundScope::Part(part.part(|| "part".into())?),
            (None, Some(lines)) => RefundScope::Lines(parts_of(lines)?),
            (Some(_), Some(_)) => return Err(invalid("part", "a refund has a part or lines, not both")),
        };
        Ok(RefundOrder {
            id: id("refund_id", &self.refund_id)?,
            order,
            time: not_ahead(self.time, now)?,
            scope,
        })
    }
}

fn parts_of(lines: &[RefundLineGiven]) -> Result<Vec<LinePart>, Problem> {
    if !(1..=ORDER_LINES_MAX).contains(&lines.len()) {
        return Err(malformed("lines", "a refund names 1 to 64 lines, or none by having no lines at all"));
    }
    let line_part = |(at, given): (usize, &RefundLineGiven)| {
        let part = given.part.as_ref().map(|part| part.part(|| format!("lines[{at}].part"))).transpose()?;
        Ok::<_, Problem>(LinePart { line: given.line, part })
    };
    let mut all: Vec<LinePart> = lines.iter().enumerate().map(line_part).collect::<Result<_, _>>()?;
    all.sort_by_key(|part| part.line);
    if all.windows(2).any(|pair| pair[0].line == pair[1].line) {
        return Err(malformed("lines", "a line is there twice"));
    }
    Ok(all)
}

/// A member that is named by id or by code. `path` is where in the body.
fn named(
    user_id: Option<Uuid>,
    code: Option<&str>,
    path: &str,
    state: &State,
    directory: &impl Directory,
) -> Result<MemberId, Problem> {
    let field = |name: &str| format!("{path}{name}");
    match (user_id, code) {
        (Some(id), None) => {
            let id = member_id(id);
            let is_member = state.find(directory, &id).is_some();
            let unknown = || about(Rejection::MemberUnknown, field("user_id")).at(state.lsn());
            if is_member { Ok(id) } else { Err(unknown()) }
        }
        (None, Some(text)) => {
            let code = ReferralCode::parse(text)
                .ok_or_else(|| invalid(&field("code"), "codes are 1 to 64 of A-Z, a-z, 0-9, _ and -"))?;
            let refused = |rejection| about(rejection, field("code")).at(state.lsn());
            let found = state.look_up_code(directory, &code).map_err(refused)?;
            let member = found.ok_or_else(|| refused(Rejection::MemberUnknown))?;
            Ok(state.member(member).id)
        }
        _ => Err(invalid(&field("user_id"), "a member is named by user_id or by code, one of them")),
    }
}

/// A time that is not too far ahead of the clock.
///
/// # Errors
/// `time_in_future`.
fn not_ahead(time: Option<Time>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let ahead = i64::try_from(TIME_AHEAD_MAX.as_micros()).expect("minutes");
    match time {
        Some(Time(time)) if now.0.saturating_add(ahead) < time.0 => {
            Err(Problem::new(Code::TimeInFuture).with("field", "time"))
        }
        time => Ok(time.map(|time| time.0)),
    }
}

/// An id that a client chose.
///
/// # Errors
/// `field_invalid`.
fn id(field: &str, text: &str) -> Result<OrderId, Problem> {
    OrderId::parse(text).ok_or_else(|| invalid(field, "ids are 1 to 64 of A-Z, a-z, 0-9, ., _, : and -"))
}

fn about(rejection: Rejection, field: impl Into<String>) -> Problem {
    Problem::from(rejection).with("field", field.into())
}

fn malformed(field: &str, detail: &'static str) -> Problem {
    about(Rejection::OrderMalformed, field).detail(detail)
}

fn invalid(field: &str, detail: &'static str) -> Problem {
    Problem::new(Code::FieldInvalid).with("field", field).detail(detail)
}
