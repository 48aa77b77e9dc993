//! The plan in force: read, change, try.

use std::sync::Arc;

use axum::{
    extract::State as Extract,
    http::{HeaderMap, HeaderValue, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    X_LSN, answer,
    caller::Caller,
    desk,
    extract::{IdempotencyKey, Query},
    media::accepts,
    plan_body::PlanBody,
    problem::{Code, Problem, problems},
    register::NOT_WRITTEN,
    types::Time,
};
use crate::{
    engine::{
        Applied, Command, Engine, Outcome, Plan, PlanTrial, PlanVersion, Rejection, Sent, Verdict, plan_at,
    },
    http::{
        auth::Action,
        context::Shared,
        reply::{self, Reply},
    },
    plan_document::{PlanDocument, print_percent},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new()
        .routes(routes!(plan, put_plan))
        .routes(routes!(check_plan))
        .routes(routes!(plan_versions))
}

/// The plan in force.
#[derive(Serialize, ToSchema)]
struct PlanInForce {
    /// How often a plan was activated, the first included. Also the `ETag`.
    version: u32,
    /// LSN of the command that activated it; 0 for the plan that the network began with.
    from_lsn: u64,
    /// Log time of that command; null for the plan that the network began with.
    from_time: Option<Time>,
    /// False where it is known only that it held at `from_lsn` at the latest: the network was kept by a
    /// release that did not note it.
    exact: bool,
    #[schema(value_type = PlanDocument)]
    plan: PlanDocument,
}

/// The known versions of the plan.
#[derive(Serialize, ToSchema)]
struct KnownVersions {
    /// Newest first: the first one is in force. The newest 1,024 are kept.
    #[schema(max_items = 1024)]
    versions: Vec<KnownVersion>,
}

/// A version of the plan. `GET /v1/plan?at=<from_lsn>` has the plan itself.
#[derive(Serialize, ToSchema)]
struct KnownVersion {
    version: u32,
    /// Of the plan.
    #[schema(max_length = 64)]
    name: String,
    /// LSN of the command that activated it; 0 for the plan that the network began with.
    from_lsn: u64,
    /// Log time of that command; null for the plan that the network began with.
    from_time: Option<Time>,
    /// False where it is known only that it held at `from_lsn` at the latest: the network was kept by a
    /// release that did not note it.
    exact: bool,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct PlanQuery {
    /// The plan that was in force right after the command with this LSN.
    at: Option<u64>,
}

/// What a change came to; the same for a repeat with the same key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({ "version": 2, "changed": true }))]
struct PlanChanged {
    /// The version in force.
    version: u32,
    /// False when this plan was in force already.
    changed: bool,
}

/// What a plan would do. Computed for the network at the answer's LSN; nothing is changed.
#[derive(Serialize, ToSchema)]
struct PlanChecked {
    /// The version in force, which it was compared with.
    version: u32,
    /// Whether the plan is the one in force.
    unchanged: bool,
    /// Code of the rejection that activating it would be answered with; null when nothing speaks against it.
    #[schema(example = "plan_placement_fixed")]
    refused: Option<&'static str>,
    /// Members by rank, now and then, by ordinal; 0 is no rank. Empty when the plan would be refused.
    #[schema(max_items = 1025)]
    ranks: Vec<RankChange>,
    /// Members whose rank would rise.
    promoted: u64,
    /// Members whose rank would fall; the best they ever held stays.
    demoted: u64,
    /// What is allowed and mostly a mistake. It does not keep the plan from being activated.
    #[schema(max_items = 16)]
    warnings: Vec<PlanWarning>,
    seconds: f64,
}

/// A trigger that pays more than the whole of its amount.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "trigger": "purchase", "percent": "105", "detail": "`purchase` pays 105.00% of its amount over all levels"
}))]
struct PlanWarning {
    /// Its `id`.
    #[schema(max_length = 64)]
    trigger: String,
    /// The sum of its rates over all levels.
    #[schema(max_length = 32)]
    percent: String,
    /// In words.
    detail: String,
}

#[derive(Serialize, ToSchema)]
struct RankChange {
    rank: usize,
    /// In the plan that was sent; null for rank 0.
    #[schema(max_length = 64)]
    name: Option<String>,
    before: u64,
    after: u64,
}

const BODY: [Code; 7] = [
    Code::BodyMalformed,
    Code::BodyTooSlow,
    Code::BodyTooLarge,
    Code::MediaTypeUnsupported,
    Code::BodyEncoded,
    Code::FieldUnknown,
    Code::FieldInvalid,
];

problems!(GetProblems: [Code::FieldUnknown]);
problems!(
    AtProblems: [Code::FieldUnknown, Code::ParameterInvalid, Code::AsOfInvalid, Code::HistoryNotRetained]
);
problems!(
    PutProblems: [
        Code::Rejected(Rejection::PlanPlacementFixed),
        Code::Rejected(Rejection::PlanCurrencyFixed),
        Code::Rejected(Rejection::PlanRanksRemoved),
        Code::Rejected(Rejection::PlanNamesRemoved),
        Code::Rejected(Rejection::PlanKindsFull),
        Code::PlanVersionDiffers,
        Code::ParameterInvalid,
        Code::Rejected(Rejection::KeyReused),
    ], BODY, NOT_WRITTEN
);
problems!(CheckProblems: BODY, [Code::Overloaded, Code::OutcomeUnknown]);

/// Media type of a plan file.
const TOML: &str = "application/toml";

fn etag(version: u32) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits and quotes")
}

/// The plan in force
///
/// As JSON with its version, or with `Accept: application/toml` as a plan file. The version is also the
/// `ETag`. With `at` the plan that was in force then: this needs no log, but a network knows its newest 1,024
/// plans alone, and one that was kept by a release before data format 4 those since then (410 before).
#[utoipa::path(
    get,
    path = "/v1/plan",
    tag = "plan",
    params(PlanQuery),
    responses(
        (
            status = 200, description = "The plan in force",
            headers(("ETag" = String, description = "The version, in quotes"), ("x-lsn" = u64)),
            content((PlanInForce = "application/json"), (String = "application/toml")),
        ),
        AtProblems,
    ),
)]
async fn plan(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    Query(query): Query<PlanQuery>,
) -> Result<Reply, Problem> {
    caller.may(Action::ReadPlan)?;
    let engine = shared.v1_engine()?;
    let (known, lsn) = engine.read(|state, _| (plan_at(state, query.at).cloned(), state.lsn()));
    let known = known?;
    let (version, plan) = (known.version, &known.plan);
    let mut reply = match shared.options.plan_text {
        Some(text) if accepts(&headers, TOML) => {
            let reply = reply::with_type(StatusCode::OK, TOML, text(plan));
            reply::with_header(reply, X_LSN, HeaderValue::from(lsn))
        }
        _ => answer(
            StatusCode::OK,
            lsn,
            &PlanInForce {
                version,
                from_lsn: known.lsn,
                from_time: from_time(&known),
                exact: known.is_exact,
                plan: PlanDocument::new(plan),
            },
        ),
    };
    reply.headers_mut().insert(header::ETAG, etag(version));
    reply.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(reply)
}

/// The versions of the plan
///
/// Every plan that was activated, with the LSN from which it holds: the newest 1,024, and those since the
/// network is kept in data format 4. Who activated it is in `GET /v1/audit?kind=put_plan`, in the command
/// with that LSN, as far back as the log is retained.
#[utoipa::path(
    get,
    path = "/v1/plan/versions",
    tag = "plan",
    responses(
        (status = 200, body = KnownVersions, description = "The versions", headers(("x-lsn" = u64))),
        GetProblems
    ),
)]
async fn plan_versions(Extract(shared): Extract<Arc<Shared>>, caller: Caller) -> Result<Reply, Problem> {
    caller.may(Action::ReadPlan)?;
    let engine = shared.v1_engine()?;
    let (known, lsn) = engine.read(|state, _| (state.plan_versions().clone(), state.lsn()));
    let version = |known: &PlanVersion| KnownVersion {
        version: known.version,
        name: known.plan.name.to_string(),
        from_lsn: known.lsn,
        from_time: from_time(known),
        exact: known.is_exact,
    };
    let versions = known.list().iter().rev().map(version).collect();
    Ok(answer(StatusCode::OK, lsn, &KnownVersions { versions }))
}

fn from_time(known: &PlanVersion) -> Option<Time> {
    (known.lsn != 0).then_some(Time(known.time))
}

/// Change the plan
///
/// The whole plan is sent. Width, placement rules, and the kind and number of ranks are fixed once a member
/// exists (409), the currency once a bonus exists (409). Once there are orders, periods or attributes,
/// calendars, volumes and lists of names may grow at their ends, and keep what they have (409). With
/// `If-Match` the change is made only if that version is in force (412). The plan that is in force already is
/// 200 and no change.
#[utoipa::path(
    put,
    path = "/v1/plan",
    tag = "plan",
    request_body = PlanDocument,
    params(
        (
            "If-Match" = Option<String>, Header,
            description = "`ETag` of the plan that is to be replaced, or `*`", max_length = 64
        ),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another plan is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (
            status = 200, body = PlanChanged, description = "In force",
            headers(("ETag" = String), ("x-lsn" = u64))
        ),
        PutProblems
    ),
)]
async fn put_plan(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    headers: HeaderMap,
    key: IdempotencyKey,
    PlanBody(wanted): PlanBody,
) -> Result<Reply, Problem> {
    caller.may(Action::ChangePlan)?;
    let engine = shared.v1_engine()?;
    // Equal plans have the same fingerprint, however their defaults were written.
    let sent = caller.sends(key.for_request(&caller.0.client, "PUT /v1/plan", &PlanDocument::new(&wanted)));
    let commerce = wanted.commerce.clone();
    let command = Command::PutPlan(Box::new(wanted));
    let engine = engine.clone();
    let alone = Arc::clone(&shared.desk.plan).lock_owned().await;
    let change = async move {
        // All plan changes take this lock, so nothing comes between the comparison of versions and the
        // change. It is held until the change has its outcome, even if the client has left by then.
        let _alone = alone;
        compare_and_change(&engine, &headers, command, sent).await
    };
    let (applied, version) = desk::to_the_end(change).await?;
    let (changed, version) = match applied.outcome {
        Outcome::PlanActivated { version } => (true, version),
        Outcome::Rejected(Rejection::PlanUnchanged) => (false, version),
        Outcome::Rejected(Rejection::KeyReused) => {
            return Err(Problem::from(Rejection::KeyReused).at(applied.lsn).with("field", "Idempotency-Key"));
        }
        Outcome::Rejected(Rejection::PlanNamesRemoved) => {
            let problem = rejected(Rejection::PlanNamesRemoved, applied.lsn);
            // By the plan in force now, which may be a later one already.
            let field = shared.v1_engine()?.read(|state, _| commerce.continues(&state.plan().commerce).err());
            return Err(match field {
                Some(field) => problem.with("field", field),
                None => problem,
            });
        }
        Outcome::Rejected(rejection) => return Err(rejected(rejection, applied.lsn)),
        _ => return Err(Code::Internal.into()),
    };
    let mut reply = answer(StatusCode::OK, applied.lsn, &PlanChanged { version, changed });
    reply.headers_mut().insert(header::ETAG, etag(version));
    Ok(reply)
}

/// Makes the change if the version in force is one that the request names; returns its outcome, and that
/// version. The caller keeps other changes out.
async fn compare_and_change(
    engine: &Engine,
    headers: &HeaderMap,
    command: Command,
    sent: Sent,
) -> Result<(Applied, u32), Problem> {
    let (version, lsn, is_known_key) = engine.read(|state, directory| {
        let verdict = state.check(directory, sent.key, &command);
        (
            state.plan_version(),
            state.lsn(),
            matches!(verdict, Verdict::Repeat(_) | Verdict::Reject(Rejection::KeyReused)),
        )
    });
    // A repeat names a version that the first attempt already replaced.
    if !is_known_key {
        match_version(headers, version).map_err(|problem| problem.at(lsn))?;
    }
    Ok((engine.submit(command, sent).await?.applied, version))
}

fn rejected(rejection: Rejection, lsn: u64) -> Problem {
    let problem = Problem::from(rejection).at(lsn);
    match rejection {
        Rejection::PlanPlacementFixed => problem.with("field", "placement"),
        Rejection::PlanCurrencyFixed => problem.with("field", "currency"),
        Rejection::PlanRanksRemoved => problem.with("field", "ladder.live"),
        Rejection::PlanKindsFull => problem.with("field", "trigger"),
        _ => problem,
    }
}

/// # Errors
/// `plan_version_differs`; `parameter_invalid` for an invalid version.
fn match_version(headers: &HeaderMap, version: u32) -> Result<(), Problem> {
    let mut tags = headers.get_all(header::IF_MATCH).iter().peekable();
    if tags.peek().is_none() {
        return Ok(());
    }
    let mut matches = false;
    for value in tags {
        for tag in value.to_str().unwrap_or("?").split(',').map(str::trim) {
            let quoted = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            if tag != "*" && quoted.is_none() {
                return Err(Problem::new(Code::ParameterInvalid)
                    .with("field", "If-Match")
                    .detail("versions stand in quotes, as in ETag"));
            }
            matches |= tag == "*" || quoted == Some(&version.to_string());
        }
    }
    let differs = || {
        Problem::new(Code::PlanVersionDiffers)
            .with("field", "If-Match")
            .detail(format!("version {version} is in force"))
    };
    if matches { Ok(()) } else { Err(differs()) }
}

/// Try a plan
///
/// Validates it, says whether activating it would be refused for the network as it is, for how many members
/// which rank would change, and warns where the rates of a trigger add up to more than 100%. Changes nothing.
/// Works on a frozen view, one request at a time; others wait.
#[utoipa::path(
    post,
    path = "/v1/plan/check",
    tag = "plan",
    request_body = PlanDocument,
    responses(
        (
            status = 200, body = PlanChecked, description = "The effects of the change",
            headers(("x-lsn" = u64))
        ),
        CheckProblems
    ),
)]
async fn check_plan(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    PlanBody(wanted): PlanBody,
) -> Result<Reply, Problem> {
    caller.may(Action::ChangePlan)?;
    let engine = shared.v1_engine()?.clone();
    let (trial, plan) = shared.desk.alone(move || (engine.try_plan(&wanted), wanted)).await?;
    Ok(answer(StatusCode::OK, trial.lsn, &checked(&trial, &plan)))
}

fn checked(trial: &PlanTrial, plan: &Plan) -> PlanChecked {
    let unchanged = trial.refusal == Some(Rejection::PlanUnchanged);
    let refused = trial.refusal.filter(|_| !unchanged).map(Rejection::name);
    let is_refused = refused.is_some();
    let counts = trial.before.iter().zip(&trial.after).enumerate();
    let warnings = plan.above_whole().map(|warning| PlanWarning {
        trigger: warning.trigger.into(),
        percent: print_percent(warning.basis_points),
        detail: warning.to_string(),
    });
    let change = |(rank, (before, after)): (usize, (&u64, &u64))| RankChange {
        rank,
        name: plan.ranks.name_of(u16::try_from(rank).expect("ranks are 16 bits")),
        before: *before,
        after: *after,
    };
    PlanChecked {
        version: trial.version,
        unchanged,
        refused,
        ranks: if is_refused { Vec::new() } else { counts.map(change).collect() },
        promoted: if is_refused { 0 } else { trial.promoted },
        demoted: if is_refused { 0 } else { trial.demoted },
        warnings: warnings.collect(),
        seconds: trial.took.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_matched() {
        // If-Match, result with version 3 in force
        let table = [
            (None, None),
            (Some("\"3\""), None),
            (Some("*"), None),
            (Some("\"2\", \"3\""), None),
            (Some("\"2\""), Some(Code::PlanVersionDiffers)),
            (Some("W/\"3\""), Some(Code::ParameterInvalid)),
            (Some("3"), Some(Code::ParameterInvalid)),
            (Some("\""), Some(Code::ParameterInvalid)),
        ];
        for (given, expected) in table {
            let headers =
                given.map(|value| (header::IF_MATCH, HeaderValue::from_static(value))).into_iter().collect();
            assert_eq!(match_version(&headers, 3).err().map(|problem| problem.code()), expected, "{given:?}");
        }
    }
}
