//! Explains a bonus: `GET /v1/bonuses/{id}/explain`.

use std::{collections::BTreeSet, sync::Arc};

use axum::{extract::State as Extract, http::StatusCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, on_past},
    caller::Caller,
    extract::Path,
    page::Reader,
    problem::{Code, Problem, problems},
    stats::BrokenOff,
    types::{Amount, Bonus, Status, Time, TreeName, user_id},
};
use crate::{
    command_json::{actor_json, stamped_json},
    engine::{
        Cause, Engine, Explanation, PaidBy, Plan, RankBasis, RankReached, Rejection, SetAside, ShareFate,
        Stamped, Walk,
    },
    http::{
        auth::{Action, Principal, Sight},
        context::Shared,
        reply::Reply,
    },
    plan_document::TriggerDocument,
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// Why a bonus is what it is.
#[derive(Serialize, ToSchema)]
struct Explained {
    bonus: Bonus,
    /// What it came from: `trigger`, `registration`, `rank` (the reward of one), `reversal` (it takes another
    /// bonus back, `bonus.reverses`) or `import` (computed elsewhere).
    #[schema(pattern = "^(trigger|registration|rank|reversal|import)$", example = "trigger")]
    cause: &'static str,
    /// The logged command that made it, as the change feed shows it. Null where the caller may not see all of
    /// it, and where the network was imported with it.
    #[schema(
        value_type = Option<Object>,
        example = json!({
            "lsn": 7, "time": "2026-11-20T01:02:03.000000Z", "idempotency_key": null,
            "actor": {"kind": "service", "id": "ulk_2b22e1a6"},
            "command": {
                "kind": "trigger_bonus", "source": "2b22e1a6-0289-4314-a6d2-6b688bb468fa",
                "trigger": "referral", "amount_minor": null, "once": false, "reference": "order 4711",
            },
        })
    )]
    command: Option<Value>,
    /// Name of the plan that was in force.
    plan: Option<String>,
    /// LSN from which that plan holds, 0 for the one that the network began with. Null without a plan, and
    /// where it is not known exactly (`GET /v1/plan/versions`).
    plan_from_lsn: Option<u64>,
    /// The rules of that plan that were applied.
    #[schema(value_type = Vec<TriggerDocument>)]
    rules: Vec<TriggerDocument>,
    /// Everybody who was looked at on the way up from the source, nearest first.
    walk: Vec<Step>,
    /// Those of them who are not shown, since the caller may not see them.
    hidden: u32,
    /// Ancestors above the last level that the rules pay.
    beyond: u32,
    /// How the rank was reached, for its reward.
    rank: Option<Reached>,
    /// What nobody got of what the rules pay, by reason. Null where the caller may not see everybody on
    /// the way.
    breakage: Option<Vec<BrokenOff>>,
    /// What marked it paid; null while it is not.
    paid: Option<PaidThrough>,
    /// What held or voided it; null in other states, and where it was not found.
    set_aside: Option<SetAsideThrough>,
    /// LSN of the source's signup, where the source is shown and it was found in the retained log: near the
    /// time at which it joined, or among the 262,144 commands before the bonus.
    source_signup_lsn: Option<u64>,
    /// The same of the receiver.
    receiver_signup_lsn: Option<u64>,
}

/// One receiver on the way.
#[derive(Serialize, ToSchema)]
struct Step {
    user_id: Uuid,
    level: u32,
    amount: Amount,
    /// `paid`; `nothing`: the rule gives this level nothing; `withheld`: the receiver was not active.
    #[schema(pattern = "^(paid|nothing|withheld)$", example = "paid")]
    fate: &'static str,
    /// The status for which it was withheld.
    status: Option<Status>,
    /// An admin above the last level, who gets what that level gets.
    admin_beyond: bool,
    /// Trigger of the rule that names the amount.
    rule: String,
}

/// How a rank was reached.
#[derive(Serialize, ToSchema)]
struct Reached {
    ordinal: u16,
    name: Option<String>,
    #[schema(inline)]
    tree: TreeName,
    /// What is counted: `direct`, `downline`, or `level-fill`.
    #[schema(pattern = "^(direct|downline|level-fill)$", example = "downline")]
    basis: &'static str,
    needs: Vec<Need>,
    /// Levels from the receiver down to the member whose signup it was.
    distance: Option<u32>,
}

/// One count that a rank asks for.
#[derive(Serialize, ToSchema)]
struct Need {
    /// For `level-fill`; null otherwise.
    level: Option<u32>,
    minimum: u32,
    /// What was there once the signup was applied.
    count: u32,
}

/// What marked a bonus paid.
#[derive(Serialize, ToSchema)]
struct PaidThrough {
    /// `pay_bonus`, `pay_all`, `import` (it came paid), or `unknown`: not among the commands that were looked
    /// at.
    #[schema(pattern = "^(pay_bonus|pay_all|import|unknown)$", example = "pay_all")]
    by: &'static str,
    lsn: Option<u64>,
    time: Option<Time>,
    /// Who sent that command, as the change feed shows it. Null where the caller may not see all of it.
    #[schema(value_type = Option<Object>, example = json!({"kind": "admin", "id": "ulk_2b22e1a6"}))]
    actor: Option<Value>,
    /// The last LSN that was looked at, where it was not found.
    searched_to_lsn: Option<u64>,
}

/// What held or voided a bonus.
#[derive(Serialize, ToSchema)]
struct SetAsideThrough {
    lsn: u64,
    time: Time,
    /// Why, in a person's words. Null where the caller may not see all of the command.
    #[schema(max_length = 200, example = "under review")]
    reason: Option<String>,
    /// Who sent that command, as the change feed shows it. Null where the caller may not see all of it.
    #[schema(value_type = Option<Object>, example = json!({"kind": "admin", "id": "ulk_2b22e1a6"}))]
    actor: Option<Value>,
}

problems!(
    Problems: [
        Code::Rejected(Rejection::EntryUnknown),
        Code::FieldUnknown,
        Code::ParameterInvalid,
    ], as_of::PROBLEMS
);

/// Why a bonus is what it is: plan rule, path walked, who was skipped and why, log records
///
/// A member sees of the path only itself and its own downline.
#[utoipa::path(
    get, path = "/v1/bonuses/{id}/explain", tag = "bonuses",
    params(("id" = Uuid, Path, description = "The bonus's id")),
    responses(
        (
            status = 200, description = "The explanation", body = Explained,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        Problems
    )
)]
async fn explain(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    caller.may_cost()?;
    let entry = caller.entry(Action::ReadBonuses, id, engine)?;
    let told =
        on_past(&shared, &caller, move |engine, effort| engine.explain_counting(entry, effort)).await?;
    let told = told.ok_or(Code::Rejected(Rejection::EntryUnknown))?;
    Ok(told_to(&caller.0, engine, &told))
}

/// The answer. Visibility is checked against the present; everything else is from the explained state.
pub(super) fn told_to(principal: &Principal, engine: &Engine, told: &Explanation) -> Reply {
    engine.read(|state, directory| {
        let sight = principal.sight(state, directory);
        answer(StatusCode::OK, told.lsn, &explained(&Reader::new(engine, state), sight, told))
    })
}

fn explained(reader: &Reader<'_>, sight: Sight, told: &Explanation) -> Explained {
    let (cause, command, plan, walk, reached) = parts(&told.cause);
    let plan_now = &told.plan;
    let used: BTreeSet<usize> = match (&told.cause, walk) {
        (Cause::Trigger { rule, .. }, _) => [*rule].into(),
        (_, Some(walk)) => walk.shares.iter().map(|share| share.rule).collect(),
        _ => BTreeSet::new(),
    };
    let shares = walk.map(|walk| walk.shares.as_slice()).unwrap_or_default();
    let seen = || shares.iter().filter(|share| sight.sees(reader.state, share.receiver));
    let rules = plan.map(|plan| plan.bonuses.as_slice()).unwrap_or_default();
    let steps = seen().map(|share| Step {
        user_id: user_id(reader.state, share.receiver),
        level: share.level,
        amount: Amount::new(share.amount, plan.unwrap_or(plan_now)),
        fate: match share.fate {
            ShareFate::Paid => "paid",
            ShareFate::Nothing => "nothing",
            ShareFate::Withheld(_) => "withheld",
        },
        status: match share.fate {
            ShareFate::Withheld(status) => Some(status.into()),
            ShareFate::Paid | ShareFate::Nothing => None,
        },
        admin_beyond: share.is_beyond,
        rule: rules[share.rule].trigger.to_string(),
    });
    let entry = sight.of_entry(reader.state, &told.entry);
    let from_lsn = told.plan_version.as_ref().filter(|known| known.is_exact).map(|known| known.lsn);
    Explained {
        bonus: Bonus {
            amount: Amount::new(entry.amount, plan_now),
            reversed_by: told.reversed_by.map(|reversal| reader.entry_id(reversal)),
            ..Bonus::new(reader, &entry)
        },
        cause,
        command: command
            .filter(|_| sight == Sight::All)
            .map(|command| stamped_json(command, &|entry| reader.entry_id(entry))),
        plan: plan.map(|plan| plan.name.to_string()),
        plan_from_lsn: plan.and(from_lsn),
        rules: used
            .iter()
            .map(|rule| TriggerDocument::new(&rules[*rule], plan.unwrap_or(plan_now).currency))
            .collect(),
        hidden: u32::try_from(shares.len() - seen().count()).expect("a trigger has few entries"),
        walk: steps.collect(),
        beyond: walk.map_or(0, |walk| walk.beyond),
        rank: reached.map(reached_of),
        breakage: (sight == Sight::All).then(|| {
            walk.map_or(Vec::new(), |walk| BrokenOff::all(&walk.breakage, plan.unwrap_or(plan_now)))
        }),
        paid: told.paid.as_ref().map(|paid| paid_of(paid, sight)),
        set_aside: told.set_aside.as_ref().map(|told| set_aside_of(told, sight)),
        source_signup_lsn: told.source_signup.filter(|_| entry.source.is_some()),
        receiver_signup_lsn: told.receiver_signup,
    }
}

type CauseParts<'a> =
    (&'static str, Option<&'a Stamped>, Option<&'a Plan>, Option<&'a Walk>, Option<&'a RankReached>);

fn parts(cause: &Cause) -> CauseParts<'_> {
    match cause {
        Cause::Imported { command } => ("import", command.as_deref(), None, None, None),
        Cause::Reversal { command, .. } => ("reversal", Some(command), None, None, None),
        Cause::Trigger { command, plan, walk, .. } => {
            ("trigger", Some(command), Some(plan), Some(walk), None)
        }
        Cause::Registration { command, plan, walk } => {
            ("registration", Some(command), Some(plan), Some(walk), None)
        }
        Cause::Rank { command, plan, reached } => ("rank", Some(command), Some(plan), None, Some(reached)),
    }
}

fn reached_of(reached: &RankReached) -> Reached {
    Reached {
        ordinal: reached.rank,
        name: reached.name.clone(),
        tree: reached.tree.into(),
        basis: match reached.basis {
            Some(RankBasis::Direct) => "direct",
            Some(RankBasis::Downline) => "downline",
            None => "level-fill",
        },
        needs: reached
            .needs
            .iter()
            .map(|need| Need {
                level: (need.level != 0).then_some(need.level),
                minimum: need.minimum,
                count: need.count,
            })
            .collect(),
        distance: reached.distance,
    }
}

fn set_aside_of(told: &SetAside, sight: Sight) -> SetAsideThrough {
    let is_whole = sight == Sight::All;
    SetAsideThrough {
        lsn: told.lsn,
        time: Time(told.time),
        reason: is_whole.then(|| told.reason.as_str().to_owned()),
        actor: is_whole.then(|| actor_json(told.actor.as_ref())),
    }
}

fn paid_of(paid: &PaidBy, sight: Sight) -> PaidThrough {
    let nobody = PaidThrough { by: "unknown", lsn: None, time: None, actor: None, searched_to_lsn: None };
    match *paid {
        PaidBy::Import => PaidThrough { by: "import", ..nobody },
        PaidBy::Command { lsn, time, is_pay_all, ref actor } => PaidThrough {
            by: if is_pay_all { "pay_all" } else { "pay_bonus" },
            lsn: Some(lsn),
            time: Some(Time(time)),
            actor: (sight == Sight::All).then(|| actor_json(actor.as_ref())),
            searched_to_lsn: None,
        },
        PaidBy::After { lsn } => PaidThrough { searched_to_lsn: Some(lsn), ..nobody },
        PaidBy::Unknown => nobody,
    }
}
