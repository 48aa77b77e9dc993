//! A plan as the body of a request.

use axum::extract::{FromRequest, Request};
use serde_json::{Value, json};

use super::{
    extract, media,
    problem::{Code, Problem, cut},
};
use crate::{
    engine::Plan,
    http::content::Content,
    plan_document::{self, Fault, Format, Node},
};

/// A valid plan. Anything else is a problem with all that is wrong with it.
pub struct PlanBody(pub Plan);

impl<S: Sync> FromRequest<S> for PlanBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (mut parts, _) = request.into_parts();
        let Content(bytes) = parts.extensions.remove().unwrap_or_default();
        media::check_body(&parts.headers, extract::is_json_type, "application/json")?;
        read(&bytes).map(Self)
    }
}

/// Reads a plan.
///
/// # Errors
/// `body_malformed` when it is not JSON; `field_unknown` or `field_invalid`, by the first error, with all
/// errors.
pub fn read(bytes: &[u8]) -> Result<Plan, Problem> {
    let document: Node = extract::parse(bytes)?;
    plan_document::read(&document, Format::Json).map_err(|faults| invalid(&faults))
}

fn invalid(faults: &[Fault]) -> Problem {
    let error = |fault: &Fault| {
        json!({
            "field": cut(fault.field.clone().into()), "reason": cut(fault.reason.clone().into()),
        })
    };
    let list: Vec<Value> = faults.iter().map(error).collect();
    let Some(first) = faults.first() else { return Code::Internal.into() };
    let code = if first.is_unknown { Code::FieldUnknown } else { Code::FieldInvalid };
    let problem = Problem::new(code).with("errors", list);
    if first.field.is_empty() {
        return problem.detail(first.reason.clone());
    }
    problem.with("field", first.field.clone()).detail(format!("{}: {}", first.field, first.reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::PlacementRule, plan_document::PlanDocument};

    fn document() -> Value {
        json!({
            "name": "Two legs",
            "currency": { "code": "USD", "exponent": 2 },
            "placement": {
                "width": 2, "rule": "breadth-first", "allow": ["right", "left"], "strategic": true,
            },
            "trigger": [
                {
                    "id": "referral", "rate": { "by": "level", "money": ["10.00", "5"] },
                    "on_registration": true,
                },
                { "id": "purchase", "tree": "sponsor", "rate": { "by": "level", "percent": ["5"] } },
            ],
            "ladder": { "live": {
                "rule": "thresholds",
                "basis": "direct",
                "rank": [{ "name": "Silver", "minimum": 3 }, { "name": "Gold", "minimum": 9, "reward": "1" }],
            } },
        })
    }

    fn told(document: &Value) -> Result<Plan, Value> {
        read(document.to_string().as_bytes()).map_err(|problem| problem.to_json())
    }

    #[test]
    fn a_plan_written_is_the_plan_read() {
        let plan = told(&document()).unwrap();
        assert_eq!(plan.level_cap, 15);
        assert_eq!(plan.placement.other_rules, [PlacementRule::Left, PlacementRule::Right]);
        let written = serde_json::to_value(PlanDocument::new(&plan)).unwrap();
        assert_eq!(written["count_sponsor_tree"], false, "defaults are written: {written}");
        assert_eq!(written["trigger"][0]["rate"]["money"], json!(["10.00", "5.00"]));
        assert_eq!(told(&written), Ok(plan));
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_named() {
        let money = "/trigger/0/rate/money";
        let percent = "/trigger/1/rate/percent";
        // where, inserted value, code, field
        let table = [
            ("/name", json!(""), "field_invalid", "name"),
            ("/name", json!(7), "field_invalid", "name"),
            ("/currency/code", json!("dollar"), "field_invalid", "currency.code"),
            ("/currency/code", json!("usd"), "field_invalid", "currency.code"),
            ("/currency", json!(["USD", 2]), "field_invalid", "currency"),
            ("/placement/rule", json!("sideways"), "field_invalid", "placement.rule"),
            ("/placement/width", json!(1_001), "field_invalid", "placement.width"),
            ("/placement/width", json!(null), "field_invalid", "placement.width"),
            ("/placement/allow", json!(["left", "left"]), "field_invalid", "placement.allow"),
            ("/placement/allow", json!(["unilevel"]), "field_invalid", "placement.rule"),
            (money, json!([]), "field_invalid", "trigger[0].rate.money"),
            (money, json!(["-1"]), "field_invalid", "trigger[0].rate.money"),
            (money, json!(["0.001"]), "field_invalid", "trigger[0].rate.money[0]"),
            (money, json!([1_000]), "field_invalid", "trigger[0].rate.money[0]"),
            (money, json!([1.5]), "field_invalid", "trigger[0].rate.money[0]"),
            (percent, json!(["1000.01"]), "field_invalid", "trigger[1].rate.percent"),
            (percent, json!(vec!["1"; 16]), "field_invalid", "trigger[1].rate.percent"),
            (percent, Value::Null, "field_invalid", "trigger[1].rate"),
            ("/trigger/1/id", json!("referral"), "field_invalid", "trigger[1].id"),
            ("/trigger/0/rate", json!({ "by": "level", "pays": 1 }), "field_unknown", "trigger[0].rate.pays"),
            (
                "/trigger/0/rate",
                json!({ "by": "rank", "money": ["1"] }),
                "field_invalid",
                "trigger[0].rate.by",
            ),
            ("/ladder/live/rule", json!("level-fill"), "field_invalid", "ladder.live.basis"),
            ("/ladder/live/basis", json!({ "direct": null }), "field_invalid", "ladder.live.basis"),
            ("/ladder/live/rank/1/minimum", json!(3), "field_invalid", "ladder.live.rank[1].minimum"),
            ("/ladder", json!({}), "field_invalid", "ladder.live"),
            ("/trigger", json!([]), "", ""),
        ];
        for (place, value, code, field) in table {
            let mut document = document();
            *document.pointer_mut(place).unwrap() = value.clone();
            let found = told(&document);
            let expected = (!code.is_empty()).then_some((code, field));
            let found = found
                .as_ref()
                .err()
                .map(|problem| (problem["code"].as_str().unwrap(), problem["field"].as_str().unwrap()));
            assert_eq!(found, expected, "{place} = {value}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let mut document = document();
        document["name"] = json!(7);
        document["placement"]["rule"] = json!("sideways");
        document["currency"]["exponent"] = json!("two");
        document["ladder"]["live"]["rank"][1]["minimum"] = json!(0);
        document["color"] = json!("green");
        let problem = told(&document).unwrap_err();
        let fields: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        let mut sorted = fields.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            [
                "color",
                "currency.exponent",
                "ladder.live.rank[1].minimum",
                "ladder.live.rank[1].minimum",
                "name",
                "placement.rule"
            ],
            "{problem}"
        );
    }

    #[test]
    fn the_former_form_is_told_what_is_called_what_now() {
        let former = json!({
            "name": "x",
            "currency": { "code": "USD", "exponent": 2 },
            "placement": { "width": 3, "rule": "breadth-first" },
            "bonus": [{ "trigger": "referral", "amounts": [1000] }],
            "ranks": { "rule": "thresholds" },
            "rank": [],
        });
        let problem = told(&former).unwrap_err();
        assert_eq!(problem["code"], "field_unknown");
        let errors = problem["errors"].as_array().unwrap();
        let reason = |field: &str| {
            errors
                .iter()
                .find(|error| error["field"] == field)
                .unwrap_or_else(|| panic!("{field}: {problem}"))["reason"]
                .clone()
        };
        assert_eq!(reason("bonus"), "is now `trigger`, each with `id` and `rate`");
        assert_eq!(reason("ranks"), "is now `ladder.live`");
        assert_eq!(reason("rank"), "is now `ladder.live.rank`");
        assert_eq!(reason("ladder"), "is missing");
    }
}
