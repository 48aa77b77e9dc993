//! Writing bonuses: triggers, and marking paid.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    extract::{IdempotencyKey, Json, Path},
    page::Reader,
    problem::{Code, Problem, problems},
    register::{NOT_WRITTEN, field_invalid},
    types::{Bonus, BonusStatus, member_id},
};
use crate::{
    engine::{Command, Engine, Money, Outcome, Plan, Rejection, RowKind, TriggerBonus},
    http::{auth::Action, reply::Reply, service::Shared},
};

/// Bytes of the name of a bonus; those of plans are no longer.
const KIND_BYTES_MAX: usize = 64;
/// What happens to a member once, so that a repeat is a mistake unless it is asked for.
const PAID_ONCE: &str = "referral";

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(trigger)).routes(routes!(pay)).routes(routes!(pay_all))
}

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// A trigger.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "source": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c", "kind": "purchase", "amount": { "minor": 12500, "currency": "USD" } }))]
pub(super) struct Trigger {
    /// Whose referral, purchase or the like it is; the uplines of this member are paid.
    source: Uuid,
    /// The trigger's name in the plan.
    #[schema(min_length = 1, max_length = 64, example = "referral")]
    kind: String,
    /// What shares are taken of; fixed bonuses do not look at it.
    #[serde(default)]
    amount: Option<AmountGiven>,
    /// Refuse when this source's trigger of this name was paid with `once` before; one without it, as the drop-in routes send, is not looked at. Unless
    /// said otherwise true for a `referral`, which a member is once, and false for everything else.
    #[serde(default)]
    once: Option<bool>,
}

/// An amount as it is sent: an integer of minor units.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AmountGiven {
    /// Minor units of the plan's currency.
    #[schema(minimum = 0, maximum = 10_000_000_000_000_i64)]
    minor: i64,
    /// If named, it must be the plan's.
    #[serde(default)]
    #[schema(min_length = 3, max_length = 3)]
    currency: Option<String>,
    /// If named, it must be the plan's.
    #[serde(default)]
    #[schema(maximum = 8)]
    exponent: Option<u8>,
}

impl AmountGiven {
    fn money(&self, plan: &Plan) -> Result<Money, Problem> {
        if self.currency.as_ref().is_some_and(|code| code.as_bytes() != plan.currency.code) {
            return Err(field_invalid("amount.currency", "the plan has another currency"));
        }
        if self.exponent.is_some_and(|exponent| exponent != plan.currency.exponent) {
            return Err(field_invalid("amount.exponent", "the plan's currency has another exponent"));
        }
        let money = Money(self.minor);
        if self.minor < 0 || !money.in_range() {
            return Err(field_invalid("amount.minor", "must be within 0..=10000000000000"));
        }
        Ok(money)
    }
}

/// What a trigger came to; the same for a repeat.
#[derive(Serialize, ToSchema)]
struct Paid {
    /// The entries made, nearest receiver first: one for each level, and for each admin beyond, at most 79. As made: pending.
    #[schema(max_items = 79)]
    bonuses: Vec<Bonus>,
    /// Receivers who got nothing since they are not active: breakage.
    withheld: u32,
}

/// How many entries became paid; the same for a repeat.
#[derive(Serialize, ToSchema)]
struct AllPaid {
    entries: u64,
}

/// What all writes here can fail with, beside their own.
const COMMON: [Code; 3] = [Code::FieldUnknown, Code::ParameterInvalid, Code::Rejected(Rejection::KeyReused)];

problems!(
    TriggerProblems: [
        Code::BodyMalformed,
        Code::Rejected(Rejection::MemberUnknown),
        Code::BodyTooSlow,
        Code::Rejected(Rejection::TriggerUnknown),
        Code::Rejected(Rejection::AmountMissing),
        Code::Rejected(Rejection::AmountOutOfRange),
        Code::Rejected(Rejection::TriggeredBefore),
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::FieldInvalid,
        Code::Rejected(Rejection::LedgerFull),
    ], COMMON, NOT_WRITTEN
);
problems!(PayProblems: [Code::Rejected(Rejection::EntryUnknown)], COMMON, NOT_WRITTEN);
problems!(PayAllProblems: COMMON, NOT_WRITTEN);

/// Submits a command: what it came to, and when.
async fn submit(engine: &Engine, command: Command, key: Option<crate::engine::RequestKey>) -> Result<(Outcome, u64), Problem> {
    let applied = engine.submit(command, key).await?.applied;
    let Outcome::Rejected(rejection) = applied.outcome else { return Ok((applied.outcome, applied.lsn)) };
    let problem = Problem::from(rejection).at(applied.lsn);
    Err(match rejection {
        Rejection::MemberUnknown => problem.with("field", "source"),
        Rejection::TriggerUnknown => problem.with("field", "kind"),
        Rejection::AmountMissing | Rejection::AmountOutOfRange => problem.with("field", "amount"),
        Rejection::KeyReused => problem.with("field", "Idempotency-Key"),
        _ => problem,
    })
}

/// Pay the bonuses of a trigger to the uplines of its source
///
/// A referral pays once per source. Of other kinds a repeat pays again, without `once` and without an `Idempotency-Key`.
#[utoipa::path(
    post,
    path = "/v1/bonuses",
    tag = "bonuses",
    request_body = Trigger,
    params(("Idempotency-Key" = Option<String>, Header, description = "Kept for 72 hours; the same key with another body is 422", min_length = 1, max_length = 255)),
    responses((status = 201, body = Paid, description = "Paid; the same answer for a repeat with the same key", headers(("x-lsn" = u64))), TriggerProblems),
)]
async fn trigger(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    key: IdempotencyKey,
    Json(body): Json<Trigger>,
) -> Result<Reply, Problem> {
    caller.may(Action::TriggerBonus)?;
    let engine = shared.v1_engine()?;
    if !(1..=KIND_BYTES_MAX).contains(&body.kind.len()) {
        return Err(field_invalid("kind", "must have 1 to 64 bytes"));
    }
    let plan = engine.read(|state, directory| {
        caller.member(Action::TriggerBonus, body.source, state, directory).map_err(|problem| problem.with("field", "source"))?;
        Ok::<_, Problem>(Arc::clone(state.plan()))
    })?;
    let amount = body.amount.as_ref().map(|amount| amount.money(&plan)).transpose()?;
    let key = key.for_request(&caller.0.name, "POST /v1/bonuses", &body);
    let once = body.once.unwrap_or(body.kind == PAID_ONCE);
    let bonus = TriggerBonus { source: member_id(body.source), trigger: body.kind.as_str().into(), amount, once };
    let (outcome, lsn) = submit(engine, Command::TriggerBonus(bonus), key).await?;
    let Outcome::BonusPaid { first_entry, entries, withheld } = outcome else { return Err(Code::Internal.into()) };
    engine.read(|state, _| {
        let reader = Reader::new(engine, state);
        let made = (first_entry..first_entry + u64::from(entries)).map(|entry| state.entry(entry));
        let bonuses = made.map(|entry| Bonus { status: BonusStatus::Pending, ..Bonus::new(&reader, &entry) }).collect();
        Ok(answer(StatusCode::CREATED, lsn, &Paid { bonuses, withheld }))
    })
}

/// Mark one bonus paid
///
/// Harmless when it is paid already.
#[utoipa::path(
    post,
    path = "/v1/bonuses/{id}/pay",
    tag = "bonuses",
    params(
        ("id" = Uuid, Path, description = "Id of the bonus"),
        ("Idempotency-Key" = Option<String>, Header, description = "Kept for 72 hours", min_length = 1, max_length = 255),
    ),
    responses((status = 200, body = Bonus, description = "Paid", headers(("x-lsn" = u64))), PayProblems),
)]
async fn pay(Extract(shared): Extract<Arc<Shared>>, caller: Caller, Path(id): Path<Uuid>, key: IdempotencyKey) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let named = match engine.row_of(id.into_bytes()) {
        Some((RowKind::Entry, entry)) => Some(entry),
        _ => None,
    };
    let entry = engine.read(|state, directory| caller.entry(Action::PayBonus, named, state, directory))?;
    let key = key.for_request(&caller.0.name, "POST /v1/bonuses/{id}/pay", &id);
    let (outcome, lsn) = submit(engine, Command::PayEntry { entry }, key).await?;
    let Outcome::EntryPaid { entry, .. } = outcome else { return Err(Code::Internal.into()) };
    engine.read(|state, _| {
        let reader = Reader::new(engine, state);
        Ok(answer(StatusCode::OK, lsn, &Bonus::new(&reader, &state.entry(entry))))
    })
}

/// Mark every pending bonus paid
#[utoipa::path(
    post,
    path = "/v1/bonuses/pay-all",
    tag = "bonuses",
    params(("Idempotency-Key" = Option<String>, Header, description = "Kept for 72 hours", min_length = 1, max_length = 255)),
    responses((status = 200, body = AllPaid, description = "How many became paid", headers(("x-lsn" = u64)), example = json!({ "entries": 3 })), PayAllProblems),
)]
async fn pay_all(Extract(shared): Extract<Arc<Shared>>, caller: Caller, key: IdempotencyKey) -> Result<Reply, Problem> {
    caller.may(Action::PayBonus)?;
    let engine = shared.v1_engine()?;
    let key = key.for_request(&caller.0.name, "POST /v1/bonuses/pay-all", &());
    let (outcome, lsn) = submit(engine, Command::PayAll, key).await?;
    let Outcome::AllPaid { entries } = outcome else { return Err(Code::Internal.into()) };
    Ok(answer(StatusCode::OK, lsn, &AllPaid { entries }))
}
