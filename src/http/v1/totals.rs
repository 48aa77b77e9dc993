//! Sums of bonuses on the wire, and the report over a window of time.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{ObjectBuilder, Schema, Type},
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    extract::{Path, Query},
    lists::MemberProblems,
    problem::{Code, Problem},
    types::{Amount, CurrencyCode, Time},
};
use crate::{
    engine::{Balance, EntryStatus, Money, Plan, ReceivedSums, Sum, Timestamp, system_time},
    http::{
        auth::Action,
        context::Shared,
        limits::{LIGHT_STEPS, SLICE_STEPS},
        reply::Reply,
    },
};

/// Default window of a report: seven days.
const WINDOW_MICROSECONDS: i64 = 7 * 24 * 3_600 * 1_000_000;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(report))
}

/// How many bonuses, and what they come to.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "bonuses": 12, "minor": 21_000, "currency": "USD", "exponent": 2 }))]
pub struct Total {
    pub bonuses: u64,
    /// Minor units. May exceed 64 bits where very many of the largest amounts are added.
    #[schema(schema_with = minor_units)]
    pub minor: i128,
    /// ISO 4217, or XXX for none: the plan's currency.
    #[schema(value_type = String, min_length = 3, max_length = 3)]
    pub currency: CurrencyCode,
    /// Decimal digits of the minor unit.
    #[schema(maximum = 8)]
    pub exponent: u8,
}

/// An integer of any size, for which OpenAPI has no format.
fn minor_units() -> Schema {
    let description = "Minor units. May exceed 64 bits where very many of the largest amounts are added";
    ObjectBuilder::new().schema_type(Type::Integer).description(Some(description)).into()
}

impl Total {
    pub fn new(sum: Sum, plan: &Plan) -> Self {
        let Amount { currency, exponent, .. } = Amount::new(Money(0), plan);
        Self { bonuses: sum.entries, minor: sum.amount, currency, exponent }
    }
}

/// What a member received in a window of time.
#[derive(Serialize, ToSchema)]
struct Report {
    user_id: Uuid,
    /// Included.
    from: Time,
    /// Not included.
    to: Time,
    /// All but void ones.
    total: Total,
    /// The part that is not paid yet.
    pending: Total,
    paid: Total,
    /// The part that is owed, but that no payout takes until it is released.
    held: Total,
    /// What is never to be paid; it is in no other sum.
    void: Total,
    /// What all bonuses of the member come to, of whatever time, as of the same LSN.
    balance: BalanceOf,
    /// The part of `total` that takes other bonuses back: it counts each reversal, and comes to their
    /// negative amounts.
    reversed: Total,
    /// Kinds that occur, in the order in which the network came to know them.
    by_kind: Vec<TotalOfKind>,
    /// Levels that occur; 0 for the rewards of ranks. Bonuses above level 2,048, which only an import makes,
    /// count as of level 2,048.
    by_level: Vec<TotalOfLevel>,
}

/// Sums of all bonuses of a member by state; void ones are in none.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "pending": 1_700, "held": 0, "paid": 21_000, "currency": "USD", "exponent": 2 }))]
struct BalanceOf {
    /// Minor units. Negative when more was taken back than is owed.
    #[schema(schema_with = minor_units)]
    pending: i128,
    #[schema(schema_with = minor_units)]
    held: i128,
    #[schema(schema_with = minor_units)]
    paid: i128,
    /// ISO 4217, or XXX for none: the plan's currency.
    #[schema(value_type = String, min_length = 3, max_length = 3)]
    currency: CurrencyCode,
    /// Decimal digits of the minor unit.
    #[schema(maximum = 8)]
    exponent: u8,
}

impl BalanceOf {
    fn new(balance: Balance, plan: &Plan) -> Self {
        let Amount { currency, exponent, .. } = Amount::new(Money(0), plan);
        let Balance { pending, held, paid } = balance;
        Self { pending, held, paid, currency, exponent }
    }
}

#[derive(Serialize, ToSchema)]
struct TotalOfKind {
    /// The trigger's name, `registration`, or `rank:` and a number.
    #[schema(max_length = 64, example = "referral")]
    kind: String,
    total: Total,
}

#[derive(Serialize, ToSchema)]
struct TotalOfLevel {
    #[schema(maximum = 2048)]
    level: u32,
    total: Total,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct WindowQuery {
    /// Begin of the window, included. Seven days before its end, unless given.
    from: Option<Time>,
    /// End of the window, not included. Now, unless given.
    to: Option<Time>,
}

impl WindowQuery {
    /// # Errors
    /// `parameter_invalid` for a window that ends before it begins.
    fn window(&self, now: Timestamp) -> Result<(Timestamp, Timestamp), Problem> {
        let to = self.to.map_or(now, |to| to.0);
        let from =
            self.from.map_or(Timestamp(to.0.saturating_sub(WINDOW_MICROSECONDS).max(0)), |from| from.0);
        if from <= to {
            return Ok((from, to));
        }
        Err(Problem::new(Code::ParameterInvalid)
            .with("field", "from")
            .detail("the window ends before it begins"))
    }
}

/// Sums to the end. Beyond a few hundred steps it is heavy work.
///
/// # Errors
/// `overloaded` when too much heavy work is waiting.
pub async fn add_up(shared: &Shared, caller: &Caller, sums: &mut ReceivedSums) -> Result<(), Problem> {
    let engine = shared.v1_engine()?;
    engine.read(|state, _| state.received_sums_step(sums, LIGHT_STEPS));
    caller.pays(sums.looked);
    if sums.is_over() {
        return Ok(());
    }
    shared.heavy.enter()?;
    while !sums.is_over() {
        let looked = sums.looked;
        shared.heavy.run(|| engine.read(|state, _| state.received_sums_step(sums, SLICE_STEPS))).await;
        caller.pays(sums.looked - looked);
    }
    Ok(())
}

/// What a member received in a window of time
///
/// Adds up over the member's bonuses back to the begin of the window, some ten million a second. Reversals
/// are bonuses of a negative amount: they count in the window in which they were made, and so do the sums by
/// kind and level. Void bonuses are in `void` alone.
#[utoipa::path(
    get, path = "/v1/members/{id}/report", tag = "bonuses",
    params(("id" = Uuid, Path, description = "The member's user_id"), WindowQuery),
    responses(
        (
            status = 200, description = "Sums", body = Report,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        MemberProblems
    )
)]
async fn report(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<WindowQuery>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    let (from, to) = query.window(system_time())?;
    let (mut sums, balance, lsn) = engine.read(|state, directory| {
        let member = caller.member(Action::ReadBonuses, id, state, directory)?;
        Ok::<_, Problem>((state.received_sums(member, from, to), state.balance(member), state.lsn()))
    })?;
    add_up(&shared, &caller, &mut sums).await?;
    Ok(engine.read(|state, _| {
        let total = |sum: Sum| Total::new(sum, state.plan());
        let part = |status: EntryStatus| total(sums.by_status[status as usize]);
        let report = Report {
            user_id: id,
            from: Time(from),
            to: Time(to),
            total: total(sums.total),
            pending: part(EntryStatus::Pending),
            paid: part(EntryStatus::Paid),
            held: part(EntryStatus::Held),
            void: part(EntryStatus::Void),
            balance: BalanceOf::new(balance, state.plan()),
            reversed: total(sums.reversed),
            by_kind: sums
                .by_kind
                .iter()
                .map(|(kind, sum)| TotalOfKind {
                    kind: state.kind_name(*kind).into_owned(),
                    total: total(*sum),
                })
                .collect(),
            by_level: sums
                .by_level
                .iter()
                .map(|(level, sum)| TotalOfLevel { level: *level, total: total(*sum) })
                .collect(),
        };
        answer(StatusCode::OK, lsn, &report)
    }))
}
