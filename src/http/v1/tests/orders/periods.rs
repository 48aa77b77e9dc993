//! Calendars, periods, what people do with them, and runs.

use serde_json::{Value, json};

use super::shop::{Shop, expect, member, named_admin, order, service};
use crate::{access::Scope, http::auth::Principal};

const OLD: &str = "/v1/calendars/month/periods/old";
const NEW: &str = "/v1/calendars/month/periods/new";

async fn act(shop: &Shop, principal: Principal, path: &str) -> super::super::reads_tests::network::Answer {
    let body = if path.ends_with("/runs") { Value::Null } else { json!({ "reason": "the month is over" }) };
    shop.post_as(principal, path, &[], &body).await
}

#[tokio::test]
async fn a_period_is_locked_run_approved_and_posted() {
    let shop = Shop::new().await;
    shop.place(&order("A-1", 1)).await;
    let anna = || named_admin("anna");
    let refused = act(&shop, anna(), &format!("{OLD}/approve")).await;
    expect(&refused, (409, "period_step_not_allowed", ""), "not locked");
    expect(
        &act(&shop, anna(), &format!("{OLD}/runs")).await,
        (409, "period_step_not_allowed", ""),
        "not locked",
    );
    expect(&act(&shop, anna(), &format!("{NEW}/lock")).await, (409, "period_not_over", ""), "not over");
    let locked = act(&shop, anna(), &format!("{OLD}/lock")).await;
    assert_eq!(locked.status, 200, "{}", locked.text);
    let found = locked.json();
    assert_eq!((&found["period"]["state"], &found["period"]["was_locked"]), (&json!("locked"), &json!(true)));
    let step = json!({
        "step": "lock", "lsn": found["steps"][0]["lsn"], "time": found["steps"][0]["time"],
        "by": { "kind": "admin", "id": "anna" }, "reason": "the month is over",
    });
    assert_eq!(found["steps"], json!([step]));
    // Again: nothing happens.
    let again = act(&shop, anna(), &format!("{OLD}/lock")).await;
    assert_eq!((again.status, again.json()["steps"].as_array().unwrap().len()), (200, 1));
    expect(
        &act(&shop, anna(), &format!("{OLD}/approve")).await,
        (409, "period_step_not_allowed", ""),
        "no run",
    );
    let run = act(&shop, service(&[Scope::Finance]), &format!("{OLD}/runs")).await;
    assert_eq!(run.status, 201, "{}", run.text);
    let run = run.json();
    assert_eq!(run["digest"], blake3::hash(b"").to_hex().to_string());
    assert_eq!(
        (&run["run"], &run["pay_lines"], &run["plan_version"], &run["by"]["kind"]),
        (&json!(0), &json!(0), &json!(1), &json!("service"))
    );
    assert_eq!(run["up_to_lsn"].as_u64().unwrap() + 1, run["lsn"].as_u64().unwrap());
    expect(
        &act(&shop, anna(), &format!("{OLD}/post")).await,
        (409, "period_step_not_allowed", ""),
        "not approved",
    );
    assert_eq!(act(&shop, anna(), &format!("{OLD}/approve")).await.json()["period"]["state"], "approved");
    // Unlocking takes the approval back, and a new run is needed.
    let unlocked = act(&shop, anna(), &format!("{OLD}/unlock")).await.json();
    assert_eq!((&unlocked["period"]["state"], &unlocked["runs"]), (&json!("closing"), &json!([run])));
    act(&shop, anna(), &format!("{OLD}/lock")).await;
    expect(
        &act(&shop, anna(), &format!("{OLD}/approve")).await,
        (409, "period_step_not_allowed", ""),
        "an old run",
    );
    assert_eq!(act(&shop, anna(), &format!("{OLD}/runs")).await.json()["run"], 1);
    act(&shop, anna(), &format!("{OLD}/approve")).await;
    let posted = act(&shop, anna(), &format!("{OLD}/post")).await.json();
    assert_eq!(posted["period"]["state"], "posted");
    let steps: Vec<&Value> = posted["steps"].as_array().unwrap().iter().map(|step| &step["step"]).collect();
    assert_eq!(steps, ["post", "approve", "lock", "unlock", "approve", "lock"]);
    expect(
        &act(&shop, anna(), &format!("{OLD}/unlock")).await,
        (409, "period_step_not_allowed", ""),
        "final",
    );
    let runs = shop.get(&format!("{OLD}/runs")).await.json();
    let numbers: Vec<&Value> = runs["items"].as_array().unwrap().iter().map(|run| &run["run"]).collect();
    assert_eq!(numbers, [1, 0]);
}

#[tokio::test]
async fn who_approves_is_not_who_ran_it_where_the_plan_says_so() {
    let shop = Shop::new().await;
    let path = "/v1/calendars/week/periods/old";
    act(&shop, named_admin("anna"), &format!("{path}/lock")).await;
    act(&shop, named_admin("anna"), &format!("{path}/runs")).await;
    let refused = act(&shop, named_admin("anna"), &format!("{path}/approve")).await;
    expect(&refused, (409, "approver_is_runner", ""), "the same person");
    assert_eq!(act(&shop, named_admin("bert"), &format!("{path}/approve")).await.status, 200);
}

#[tokio::test]
async fn calendars_and_periods_are_listed() {
    let shop = Shop::new().await;
    shop.place(&order("A-1", 1)).await;
    let found = shop.get("/v1/calendars").await.json();
    let month = &found["items"][0];
    assert_eq!(
        (&month["name"], &month["timezone"], &month["late"], &month["four_eyes"], &month["periods"]),
        (&json!("month"), &json!("UTC"), &json!("book"), &json!(false), &json!(2))
    );
    assert_eq!(
        (&month["newest"]["label"], &month["oldest_not_posted"]["label"]),
        (&json!("new"), &json!("old"))
    );
    assert_eq!(
        (&found["items"][1]["late"], &found["items"][1]["four_eyes"]),
        (&json!("refuse"), &json!(true))
    );
    let first = shop.get("/v1/calendars/month/periods?limit=1").await.json();
    let next = first["next"].as_str().unwrap();
    let second = shop.get(&format!("/v1/calendars/month/periods?limit=1&cursor={next}")).await.json();
    assert_eq!(
        (&first["items"][0]["label"], &second["items"][0]["label"], &second["next"]),
        (&json!("new"), &json!("old"), &Value::Null)
    );
    let totals = json!({
        "orders": 1, "refunds": 0,
        "sums": { "amount": "12.50", "volumes": { "pv": "10.00", "cv": "8.0", "points": "0" } },
    });
    assert_eq!(first["items"][0]["totals"], totals);
    let one = shop.get(NEW).await.json();
    assert_eq!((&one["period"], &one["steps"], &one["runs"]), (&first["items"][0], &json!([]), &json!([])));
    // path, refusal
    for (path, expected) in [
        ("/v1/calendars/year/periods", (404, "calendar_unknown", "")),
        ("/v1/calendars/year/periods/old", (404, "calendar_unknown", "")),
        ("/v1/calendars/month/periods/none", (404, "period_unknown", "")),
        ("/v1/calendars/month/periods/none/runs", (404, "period_unknown", "")),
    ] {
        expect(&shop.get(path).await, expected, path);
    }
}

#[tokio::test]
async fn steps_are_for_admins_and_reads_and_runs_for_finance() {
    let shop = Shop::new().await;
    let finance = || service(&[Scope::Finance]);
    let other = || service(&[Scope::NetworkRead, Scope::OrdersWrite, Scope::Operate]);
    for path in ["/v1/calendars", "/v1/calendars/month/periods", OLD, &format!("{OLD}/runs")] {
        assert_eq!(shop.get_as(finance(), path).await.status, 200, "{path}");
        for principal in [other(), member(1)] {
            expect(&shop.get_as(principal, path).await, (403, "forbidden", ""), path);
        }
    }
    for step in ["lock", "unlock", "approve", "post"] {
        for principal in [finance(), other(), member(1)] {
            expect(&act(&shop, principal, &format!("{OLD}/{step}")).await, (403, "forbidden", ""), step);
        }
    }
    act(&shop, named_admin("anna"), &format!("{OLD}/lock")).await;
    for principal in [other(), member(1)] {
        expect(&act(&shop, principal, &format!("{OLD}/runs")).await, (403, "forbidden", ""), "a run");
    }
    // A run is repeated by its key alone.
    let run = |key: &'static str| {
        let shop = &shop;
        async move {
            let path = format!("{OLD}/runs");
            shop.post_as(finance(), &path, &[("idempotency-key", key)], &Value::Null).await.json()
        }
    };
    let (first, again, other) = (run("k1").await, run("k1").await, run("k2").await);
    assert_eq!((&first, &other["run"]), (&again, &json!(1)));
    for (body, expected) in [
        (json!({ "reason": "" }), (422, "field_invalid", "reason")),
        (json!({ "reason": " x" }), (422, "field_invalid", "reason")),
        (json!({ "why": "x" }), (422, "field_unknown", "why")),
    ] {
        expect(&shop.post(&format!("{OLD}/lock"), &body).await, expected, &body.to_string());
    }
}
