//! Writing bonuses: triggers, reversals, and marking paid.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    extract::{IdempotencyKey, Json, Path, Query},
    page::Reader,
    problem::{Code, Problem, problems},
    register::{NOT_WRITTEN, field_invalid},
    totals::Total,
    types::{Bonus, BonusStatus, Time, member_id},
};
use crate::{
    engine::{
        Applied, Command, Engine, Money, Outcome, PayFilter, Plan, Reference, Rejection, RequestKey, Sent,
        Sum, TriggerBonus,
    },
    http::{
        auth::{Action, SeenEntry},
        context::Shared,
        reply::Reply,
    },
};

/// Maximum bytes of the name of a bonus; those of plans are no longer.
pub(super) const KIND_BYTES_MAX: usize = 64;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(trigger))
        .routes(routes!(pay))
        .routes(routes!(reverse))
        .routes(routes!(pay_all))
}

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// A trigger.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "source": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c", "kind": "purchase",
    "amount": { "minor": 12500, "currency": "USD" }, "reference": "order 4711",
}))]
pub(super) struct Trigger {
    /// Whose referral, purchase or the like it is; the uplines of this member are paid.
    source: Uuid,
    /// The trigger's name in the plan.
    #[schema(min_length = 1, max_length = 64, example = "referral")]
    kind: String,
    /// What shares are taken of; fixed bonuses do not look at it.
    #[serde(default)]
    amount: Option<AmountGiven>,
    /// Refuse when this source's trigger of this name was paid with `once` before; one without it, as the
    /// drop-in routes send, is not looked at. Unless said otherwise true for a `referral`, which a member is
    /// once, and false for everything else.
    #[serde(default)]
    once: Option<bool>,
    /// The external system's name for its origin, e.g. an order: printable, not blank at its ends. Kept
    /// with the bonuses, which are found by it. It says nothing about repeats: for those there is the
    /// `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, example = "order 4711")]
    reference: Option<String>,
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
    /// The entries made, nearest receiver first: one for each level, and for each admin beyond, at most 79.
    /// As made: pending.
    #[schema(max_items = 79)]
    bonuses: Vec<Bonus>,
    /// Receivers who got nothing since they are not active: breakage.
    withheld: u32,
}

/// What became paid; the same for a repeat.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "entries": 3, "total": { "bonuses": 3, "minor": 1_700, "currency": "USD", "exponent": 2 }, "up_to_lsn": 41
}))]
struct AllPaid {
    entries: u64,
    /// What they come to. Null for a repeat of a request that an older release did.
    total: Option<Total>,
    /// Bonuses that later commands made or released are not among them.
    up_to_lsn: u64,
}

/// What a reversal came to; the same for a repeat.
#[derive(Serialize, ToSchema)]
struct Reversed {
    /// The reversal, as made: with the negative amount; pending, or held if what it takes back was held.
    reversal: Bonus,
}

/// The newest bonuses to pay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum UpTo {
    Lsn(u64),
    Bonus(Uuid),
}

impl<'de> Deserialize<'de> for UpTo {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        // Signs are rejected; parsing a number would accept one.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let up_to =
            if is_number { text.parse().ok().map(Self::Lsn) } else { text.parse().ok().map(Self::Bonus) };
        up_to.ok_or_else(|| serde::de::Error::custom("must be an LSN or the id of a bonus"))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PayQuery {
    /// Only bonuses that were pending then: an LSN, which is the `x-lsn` of the list that was looked at (of
    /// its first page), or the id of a bonus, which means the LSN of the command that made it. What was made
    /// or released by later commands is not paid. Take the LSN to pay exactly what a list showed: an id
    /// leaves out what was released after its bonus was made, and is refused where an import brought bonuses
    /// out of the order of their times at it or since, so that it does not say what a list showed.
    #[param(value_type = Option<String>, max_length = 64, example = "41")]
    up_to: Option<UpTo>,
    /// Only those of this kind: a trigger's name, `registration`, or `rank:` and a number.
    #[param(min_length = 1, max_length = 64, example = "purchase")]
    kind: Option<String>,
    /// Only those that this member gets.
    receiver: Option<Uuid>,
    /// Only those of this time or later.
    from: Option<Time>,
    /// Only those of before this time.
    to: Option<Time>,
}

impl PayQuery {
    /// The filter for the command.
    ///
    /// # Errors
    /// `entry_unknown`; `parameter_invalid` for a kind that is too long, a window that ends before it begins,
    /// or a bonus that does not say what a list showed.
    fn filter(self, engine: &Engine) -> Result<PayFilter, Problem> {
        let Self { up_to, kind, receiver, from, to } = self;
        let invalid = |field: &'static str, detail: &'static str| {
            Problem::new(Code::ParameterInvalid).with("field", field).detail(detail)
        };
        if kind.as_ref().is_some_and(|kind| !(1..=KIND_BYTES_MAX).contains(&kind.len())) {
            return Err(invalid("kind", "must have 1 to 64 bytes"));
        }
        if let (Some(from), Some(to)) = (from, to)
            && to < from
        {
            return Err(invalid("from", "the window ends before it begins"));
        }
        let up_to_lsn = match up_to {
            None => None,
            Some(UpTo::Lsn(lsn)) => Some(lsn),
            Some(UpTo::Bonus(id)) => Some(lsn_of(engine, id)?),
        };
        let (kind, receiver) = (kind.map(Into::into), receiver.map(member_id));
        Ok(PayFilter { up_to_lsn, kind, receiver, from: from.map(|from| from.0), until: to.map(|to| to.0) })
    }
}

/// The LSN of the command that created a bonus: if that says which bonuses a list shows from this one on.
fn lsn_of(engine: &Engine, id: Uuid) -> Result<u64, Problem> {
    let entry = engine.entry_of(id.into_bytes());
    engine.read(|state, _| {
        let entry = entry.filter(|entry| *entry < state.entries());
        let unknown = || Problem::from(Rejection::EntryUnknown).at(state.lsn()).with("field", "up_to");
        let entry = entry.ok_or_else(unknown)?;
        if !state.is_in_list_order(entry) {
            let detail = "bonuses were imported out of the order of their times: give the x-lsn of the list";
            return Err(Problem::new(Code::ParameterInvalid).with("field", "up_to").detail(detail));
        }
        Ok(state.entry(entry).lsn)
    })
}

/// Errors of all writes here, in addition to their own.
pub(super) const COMMON: [Code; 3] =
    [Code::FieldUnknown, Code::ParameterInvalid, Code::Rejected(Rejection::KeyReused)];

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
        Code::BodyEncoded,
        Code::FieldInvalid,
        Code::Rejected(Rejection::LedgerFull),
    ], COMMON, NOT_WRITTEN
);
problems!(
    PayProblems: [
        Code::Rejected(Rejection::EntryUnknown),
        Code::Rejected(Rejection::EntryChangeNotAllowed),
    ], COMMON, NOT_WRITTEN
);
problems!(
    ReverseProblems: [
        Code::Rejected(Rejection::EntryUnknown),
        Code::Rejected(Rejection::ReversedBefore),
        Code::Rejected(Rejection::EntryIsReversal),
        Code::Rejected(Rejection::EntryChangeNotAllowed),
        Code::Rejected(Rejection::LedgerFull),
    ], COMMON, NOT_WRITTEN
);
problems!(
    PayAllProblems: [
        Code::Rejected(Rejection::MemberUnknown),
        Code::Rejected(Rejection::TriggerUnknown),
        Code::Rejected(Rejection::EntryUnknown),
    ], COMMON, NOT_WRITTEN
);

/// Submits a command; returns its outcome, and when it was applied.
pub(super) async fn submit(engine: &Engine, command: Command, sent: Sent) -> Result<(Outcome, u64), Problem> {
    let member = if matches!(command, Command::PayMatching(_)) { "receiver" } else { "source" };
    let applied = engine.submit(command, sent).await?.applied;
    concluded(applied, member)
}

/// The outcome, or a rejection as a problem. `member` is the field that names the member.
fn concluded(applied: Applied, member: &'static str) -> Result<(Outcome, u64), Problem> {
    let Outcome::Rejected(rejection) = applied.outcome else { return Ok((applied.outcome, applied.lsn)) };
    let problem = Problem::from(rejection).at(applied.lsn);
    Err(match rejection {
        Rejection::MemberUnknown => problem.with("field", member),
        Rejection::TriggerUnknown => problem.with("field", "kind"),
        Rejection::AmountMissing | Rejection::AmountOutOfRange => problem.with("field", "amount"),
        Rejection::KeyReused => problem.with("field", "Idempotency-Key"),
        _ => problem,
    })
}

/// Pay the bonuses of a trigger to the uplines of its source
///
/// A referral pays once per source. Of other kinds a repeat pays again, without `once` and without an
/// `Idempotency-Key`.
#[utoipa::path(
    post,
    path = "/v1/bonuses",
    tag = "bonuses",
    request_body = Trigger,
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
        max_length = 255
    )),
    responses(
        (
            status = 201, body = Paid, description = "Paid; the same answer for a repeat with the same key",
            headers(("x-lsn" = u64))
        ),
        TriggerProblems
    ),
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
    let reference = match &body.reference {
        None => None,
        Some(text) => {
            let detail = "must have 1 to 64 printable characters, neither blank at its ends";
            Some(Reference::parse(text).ok_or_else(|| field_invalid("reference", detail))?)
        }
    };
    let key = key.for_request(&caller.0.name, "POST /v1/bonuses", &body);
    let (known, amount) = engine.read(|state, directory| {
        caller
            .member(Action::TriggerBonus, body.source, state, directory)
            .map_err(|problem| problem.with("field", "source"))?;
        // Checked before anything that depends on the plan, which may have changed by now.
        let known = state.known(key);
        let amount = body
            .amount
            .as_ref()
            .filter(|_| known.is_none())
            .map(|amount| amount.money(state.plan()))
            .transpose()?;
        Ok::<_, Problem>((known, amount))
    })?;
    let (outcome, lsn) = match known {
        Some(known) => concluded(known, "source")?,
        None => {
            let once = body.once.unwrap_or_else(|| TriggerBonus::is_once_by_default(&body.kind));
            let bonus = TriggerBonus {
                source: member_id(body.source),
                trigger: body.kind.as_str().into(),
                amount,
                once,
                reference,
            };
            submit(engine, Command::TriggerBonus(bonus), caller.sends(key)).await?
        }
    };
    let Outcome::BonusPaid { first_entry, entries, withheld } = outcome else {
        return Err(Code::Internal.into());
    };
    engine.read(|state, directory| {
        let (reader, sight) = (Reader::new(engine, state), caller.0.sight(state, directory));
        let made = (first_entry..first_entry + u64::from(entries))
            .map(|entry| sight.of_entry(state, &state.entry(entry)));
        let bonuses = made.map(|entry| as_made(&reader, &entry, BonusStatus::Pending)).collect();
        Ok(answer(StatusCode::CREATED, lsn, &Paid { bonuses, withheld }))
    })
}

/// A bonus as it was when it was created, with this status.
fn as_made(reader: &Reader<'_>, entry: &SeenEntry, status: BonusStatus) -> Bonus {
    Bonus { status, reversed_by: None, ..Bonus::new(reader, entry) }
}

/// Take one bonus back
///
/// Makes a bonus of the negative amount, to the same receiver and with the same source, level, kind and
/// reference, that names the one it takes back. Whether that was paid does not matter: what was paid by
/// mistake is owed back, what is pending cancels out. It is pending; if what it takes back is held, it is
/// held too, and while neither is paid both are held, released and voided together. A bonus is taken back
/// once, and what takes one back never is; a void one is not either. A `referral` that was taken back still
/// counts as triggered.
#[utoipa::path(
    post,
    path = "/v1/bonuses/{id}/reverse",
    tag = "bonuses",
    params(
        ("id" = Uuid, Path, description = "Id of the bonus"),
        (
            "Idempotency-Key" = Option<String>, Header, description = "Kept for 72 hours", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (
            status = 201, body = Reversed,
            description = "Taken back; the same answer for a repeat with the same key",
            headers(("x-lsn" = u64))
        ),
        ReverseProblems
    ),
)]
async fn reverse(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let entry = caller.entry(Action::PayBonus, id, engine)?;
    let key = key.for_request(&caller.0.name, "POST /v1/bonuses/{id}/reverse", &id);
    let (outcome, lsn) = submit(engine, Command::ReverseEntry { entry }, caller.sends(key)).await?;
    let Outcome::Reversed { reversal, held, .. } = outcome else { return Err(Code::Internal.into()) };
    let status = if held { BonusStatus::Held } else { BonusStatus::Pending };
    engine.read(|state, directory| {
        let (reader, sight) = (Reader::new(engine, state), caller.0.sight(state, directory));
        let reversal = as_made(&reader, &sight.of_entry(state, &state.entry(reversal)), status);
        Ok(answer(StatusCode::CREATED, lsn, &Reversed { reversal }))
    })
}

/// Mark one bonus paid
///
/// Harmless when it is paid already. One that is held is refused until it is released, and a void one is
/// never paid. Of a bonus and what takes it back it pays the one that is named.
#[utoipa::path(
    post,
    path = "/v1/bonuses/{id}/pay",
    tag = "bonuses",
    params(
        ("id" = Uuid, Path, description = "Id of the bonus"),
        (
            "Idempotency-Key" = Option<String>, Header, description = "Kept for 72 hours", min_length = 1,
            max_length = 255
        ),
    ),
    responses((status = 200, body = Bonus, description = "Paid", headers(("x-lsn" = u64))), PayProblems),
)]
async fn pay(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let entry = caller.entry(Action::PayBonus, id, engine)?;
    let key = key.for_request(&caller.0.name, "POST /v1/bonuses/{id}/pay", &id);
    let (outcome, lsn) = submit(engine, Command::PayEntry { entry }, caller.sends(key)).await?;
    let Outcome::EntryPaid { entry, .. } = outcome else { return Err(Code::Internal.into()) };
    Ok(changed(engine, &caller, entry, lsn))
}

/// The answer to a change of one bonus: the bonus as it is now.
pub(super) fn changed(engine: &Engine, caller: &Caller, entry: u64, lsn: u64) -> Reply {
    engine.read(|state, directory| {
        let (reader, sight) = (Reader::new(engine, state), caller.0.sight(state, directory));
        answer(StatusCode::OK, lsn, &Bonus::new(&reader, &sight.of_entry(state, &state.entry(entry))))
    })
}

/// Mark pending bonuses paid: all, or those that a filter names
///
/// Without `up_to` also what was made or released since the list was looked at that led to this.
#[utoipa::path(
    post,
    path = "/v1/bonuses/pay-all",
    tag = "bonuses",
    params(
        PayQuery,
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another filter is 422", min_length = 1,
            max_length = 255
        )
    ),
    responses(
        (status = 200, body = AllPaid, description = "What became paid", headers(("x-lsn" = u64))),
        PayAllProblems
    ),
)]
async fn pay_all(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<PayQuery>,
    key: IdempotencyKey,
) -> Result<Reply, Problem> {
    caller.may(Action::PayBonus)?;
    let engine = shared.v1_engine()?;
    let filter = query.filter(engine)?;
    let key = pay_all_key(&key, &caller.0.name, &filter);
    let up_to = filter.up_to_lsn.unwrap_or(u64::MAX);
    let (outcome, lsn) = submit(engine, Command::PayMatching(filter), caller.sends(key)).await?;
    let sum = match outcome {
        Outcome::MatchingPaid { entries, amount } => Sum { entries: entries.into(), amount: amount.sum() },
        // A repeat of a request from before there were sums.
        Outcome::AllPaid { entries } => {
            return Ok(answer(StatusCode::OK, lsn, &AllPaid { entries, total: None, up_to_lsn: lsn - 1 }));
        }
        _ => return Err(Code::Internal.into()),
    };
    let total = engine.read(|state, _| Total::new(sum, state.plan()));
    Ok(answer(
        StatusCode::OK,
        lsn,
        &AllPaid { entries: sum.entries, total: Some(total), up_to_lsn: up_to.min(lsn - 1) },
    ))
}

/// A request without filters keeps the fingerprint it had before filters existed.
fn pay_all_key(key: &IdempotencyKey, principal: &str, filter: &PayFilter) -> Option<RequestKey> {
    const SCOPE: &str = "POST /v1/bonuses/pay-all";
    let PayFilter { up_to_lsn, kind, receiver, from, until } = filter;
    if *filter == PayFilter::default() {
        return key.for_request(principal, SCOPE, &());
    }
    let receiver = receiver.map(|receiver| Uuid::from_bytes(receiver.0));
    key.for_request(
        principal,
        SCOPE,
        &(up_to_lsn, kind, receiver, from.map(|from| from.0), until.map(|until| until.0)),
    )
}
