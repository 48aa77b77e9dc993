//! `GET /v1/audit`: who sent which command.

use std::sync::Arc;

use axum::{extract::State as Extract, http::StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, on_past},
    caller::Caller,
    extract::Query,
    page::{self, Cursors},
    problem::{Code, Problem, problems},
    types::Time,
};
use crate::{
    command_json::stamped_json,
    engine::{ACTOR_ID_BYTES_MAX, ActorKind, AuditFilter, CommandKind, Engine, Fate, RowKind, Stamped},
    http::{auth::Action, context::Shared, reply::Reply},
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(audit))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// Kind of the actor: `member`, `service`, `auditor`, `admin`, `cli`, `anonymous`, `system`, or `unknown`
    /// for what was logged before format 3.
    #[param(pattern = "^(unknown|member|service|auditor|admin|cli|anonymous|system)$", example = "service")]
    actor_kind: Option<String>,
    /// Id of the actor: of the key (`ulk_` and digits), the subject of the token, the peer's address, or the
    /// operating system's user. A subject that could be taken for another's id has `token:` before it; of one
    /// with more than 128 bytes it is `token:blake3:`, its hash and its beginning.
    #[param(max_length = 128, example = "ulk_2b22e1a6")]
    actor_id: Option<String>,
    /// Kind of the command, as the change feed names it.
    // `event_schema` says which there are.
    #[param(example = "pay_all")]
    kind: Option<String>,
    /// Log time of the command, at least.
    #[param(value_type = Option<String>, example = "2026-11-01T00:00:00Z")]
    from: Option<Time>,
    /// Log time of the command, less than this.
    #[param(value_type = Option<String>, example = "2026-12-01T00:00:00Z")]
    to: Option<Time>,
    /// Commands of the page, at most.
    #[param(minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<u32>,
    /// `next` of the page before. Anything else is 400.
    #[param(max_length = 128)]
    cursor: Option<String>,
}

/// A page of commands, newest first.
#[derive(Serialize, ToSchema)]
struct AuditList {
    /// `{"lsn", "time", "idempotency_key", "actor", "command", "changed", "unchanged"}`: the command as the
    /// change feed shows it, and whether it changed anything (null: it came too long ago to be known), if not
    /// why.
    #[schema(value_type = Vec<Object>, max_items = 1_000, example = json!([{
        "lsn": 8, "time": "2026-11-20T01:02:03.000000Z", "idempotency_key": null,
        "actor": {"kind": "service", "id": "ulk_2b22e1a6"},
        "command": {
            "kind": "pay_all", "up_to_lsn": 7, "bonus_kind": null, "receiver": null, "from": null, "to": null,
        },
        "changed": true, "unchanged": null,
    }]))]
    items: Vec<Value>,
    /// `cursor` of the next page; null when this is the last one. A page may have fewer items than asked for,
    /// and none at all, and not be the last.
    next: Option<String>,
}

problems!(
    Problems: [
        Code::CursorInvalid,
        Code::FieldUnknown,
        Code::ParameterInvalid,
    ], as_of::PROBLEMS
);

/// Who wrote what: logged commands by actor, kind and time
///
/// Newest first, as far back as the log is retained: a page beyond that is 410 `history_not_retained` with
/// the oldest LSN. Each page looks at a bounded part of the log, so one with few items or none may have a
/// `next`. There are only pages: `Accept: application/x-ndjson` is not looked at. What a rule refused before
/// the log is not in it; such refusals are in the log of the process.
#[utoipa::path(
    get, path = "/v1/audit", tag = "events",
    params(AuditQuery),
    responses(
        (
            status = 200, description = "Commands, newest first", body = AuditList,
            headers(("x-lsn" = u64, description = "LSN of the newest command"))
        ),
        Problems
    )
)]
async fn audit(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may(Action::ReadAudit)?;
    caller.may_cost()?;
    let limit = page::limit(query.limit)?;
    let filter = filter_of(&query)?;
    let cursors = Cursors::new(engine, &format!("audit {filter:?}"));
    let below = match query.cursor.as_deref().map(|cursor| cursors.open(cursor)).transpose()?.as_deref() {
        None => None,
        Some([below]) => Some(*below),
        Some(_) => return Err(Code::CursorInvalid.into()),
    };
    let lsn = engine.read(|state, _| state.lsn());
    let found =
        on_past(&shared, &caller, move |engine, effort| engine.audit_counting(&filter, below, limit, effort))
            .await?;
    let items = found.commands.iter().map(|(stamped, fate)| item(engine, stamped, *fate)).collect();
    let next = found.below.map(|below| cursors.seal(&[below]));
    Ok(answer(StatusCode::OK, lsn, &AuditList { items, next }))
}

fn filter_of(query: &AuditQuery) -> Result<AuditFilter, Problem> {
    let invalid = |field: &'static str| {
        Problem::new(Code::ParameterInvalid).with("field", field).detail(format!("{field} names no kind"))
    };
    let actor_kind =
        query.actor_kind.as_deref().map(|name| name.parse::<ActorKind>().map_err(|_| invalid("actor_kind")));
    let command_kind = query.kind.as_deref().map(|name| {
        let found = CommandKind::printed_names().into_iter().find(|known| *known == name);
        found.ok_or_else(|| invalid("kind"))
    });
    if query.actor_id.as_ref().is_some_and(|id| ACTOR_ID_BYTES_MAX < id.chars().count()) {
        let detail = format!("actor_id has at most {ACTOR_ID_BYTES_MAX} characters");
        return Err(Problem::new(Code::ParameterInvalid).with("field", "actor_id").detail(detail));
    }
    Ok(AuditFilter {
        actor_kind: actor_kind.transpose()?,
        actor_id: query.actor_id.clone(),
        command_kind: command_kind.transpose()?,
        from: query.from.map(|time| time.0),
        to: query.to.map(|time| time.0),
    })
}

fn item(engine: &Engine, stamped: &Stamped, fate: Fate) -> Value {
    let mut item = stamped_json(stamped, &|entry| Uuid::from_bytes(engine.row_id(RowKind::Entry, entry)));
    let (changed, unchanged) = fate.words();
    item["changed"] = changed.into();
    item["unchanged"] = unchanged.into();
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_has_every_kind_that_a_filter_takes() {
        let whole = crate::http::docs::description();
        let parameters = whole["paths"]["/v1/audit"]["get"]["parameters"].as_array().expect("it has some");
        let named = |name: &str| {
            let found = parameters.iter().find(|parameter| parameter["name"] == name);
            found.expect("it is described")["schema"]["pattern"].clone()
        };
        let pattern = |names: &[&str]| format!("^({})$", names.join("|"));
        assert_eq!(named("kind"), pattern(&CommandKind::printed_names()));
        assert_eq!(named("actor_kind"), pattern(&ActorKind::ALL.map(ActorKind::name)));
    }
}
