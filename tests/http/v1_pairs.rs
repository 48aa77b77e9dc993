//! Money on the running binary: payouts of what a list showed, halves of a reversal that change together, and
//! void bonuses, which are in no total.

use serde_json::{Value, json};

use crate::{
    common::{Reply, Server, uuid},
    v1_writes::{Place, expect, lsn, member, post, send},
};

/// A chain of three members, and the bonuses of a purchase by the last: of 20.00 and 10.00.
fn bought(server: &Server) -> [String; 2] {
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 2)] {
        post(server, "/v1/members", &body);
    }
    buy(server)
}

fn buy(server: &Server) -> [String; 2] {
    let body = json!({ "source": uuid(3), "kind": "purchase", "amount": { "minor": 20_000 } });
    let paid = post(server, "/v1/bonuses", &body).json();
    [0, 1].map(|at| paid["bonuses"][at]["id"].as_str().unwrap().to_owned())
}

fn change(server: &Server, id: &str, change: &str, reason: &str) -> Reply {
    post(server, &format!("/v1/bonuses/{id}/{change}"), &json!({ "reason": reason }))
}

fn pay_all(server: &Server, query: &str) -> Value {
    send(server, "POST", &format!("/v1/bonuses/pay-all{query}"), &[], &Value::Null).json()
}

fn status(server: &Server, id: &str) -> Value {
    explained(server, id)["bonus"]["status"].clone()
}

fn explained(server: &Server, id: &str) -> Value {
    server.get(&format!("/v1/bonuses/{id}/explain")).json()
}

#[test]
fn what_was_held_when_a_list_was_read_is_not_paid_by_it() {
    let place = Place::new();
    let server = place.start();
    let [id, other] = bought(&server);
    change(&server, &id, "hold", "under review");
    let listed = server.get("/v1/bonuses?status=pending");
    assert_eq!(listed.json()["items"].as_array().unwrap().len(), 1);
    change(&server, &id, "release", "reviewed");
    let paid = pay_all(&server, &format!("?up_to={}", lsn(&listed)));
    assert_eq!((&paid["entries"], &paid["total"]["minor"]), (&json!(1), &json!(1_000)));
    assert_eq!((status(&server, &id), status(&server, &other)), (json!("pending"), json!("paid")));
    // A bonus stands for the LSN of the command that made it: the release came later.
    let receiver = format!("receiver={}", uuid(2));
    assert_eq!(pay_all(&server, &format!("?up_to={id}&{receiver}"))["entries"], 0);
    let now = server.get("/v1/bonuses?status=pending");
    let paid = send(
        &server,
        "POST",
        &format!("/v1/bonuses/pay-all?up_to={}&{receiver}", lsn(&now)),
        &[],
        &Value::Null,
    );
    assert_eq!(paid.json()["entries"], 1);
    let told = explained(&server, &id);
    assert_eq!((&told["paid"]["by"], &told["paid"]["lsn"]), (&json!("pay_all"), &json!(lsn(&paid))));
}

#[test]
fn unpaid_halves_of_a_reversal_change_together() {
    let place = Place::new();
    let server = place.start();
    let [id, _] = bought(&server);
    let reverse = |id: &str, key: &str| {
        let path = format!("/v1/bonuses/{id}/reverse");
        send(&server, "POST", &path, &[("idempotency-key", key)], &Value::Null)
    };
    let held = change(&server, &id, "hold", "under review");
    let reversed = reverse(&id, "r");
    let reversal = reversed.json()["reversal"].clone();
    let reversal_id = reversal["id"].as_str().unwrap().to_owned();
    assert_eq!((&reversal["status"], &reversal["reverses"]), (&json!("held"), &json!(id)));
    let told = explained(&server, &reversal_id);
    assert_eq!(
        (&told["set_aside"]["reason"], &told["set_aside"]["lsn"]),
        (&json!("under review"), &json!(lsn(&held))),
        "it was held with what it takes back"
    );
    assert_eq!(pay_all(&server, "")["total"]["minor"], 1_000, "the other receiver's alone");
    let released = change(&server, &reversal_id, "release", "reviewed");
    assert_eq!(released.json()["reversed_by"], Value::Null);
    assert_eq!((status(&server, &id), status(&server, &reversal_id)), (json!("pending"), json!("pending")));
    assert_eq!(reverse(&id, "r").json(), reversed.json(), "a repeat");
    let early = pay_all(&server, &format!("?up_to={}", lsn(&reversed)));
    assert_eq!(early["entries"], 0, "both were released since");
    let paid = send(&server, "POST", "/v1/bonuses/pay-all", &[], &Value::Null);
    assert_eq!((&paid.json()["entries"], &paid.json()["total"]["minor"]), (&json!(2), &json!(0)));
    for half in [&id, &reversal_id] {
        assert_eq!(explained(&server, half)["paid"]["lsn"], json!(lsn(&paid)), "{half}");
    }

    // Void: together, and not where one is paid.
    let [id, other] = buy(&server);
    let reversal_id = reverse(&id, "s").json()["reversal"]["id"].as_str().unwrap().to_owned();
    assert_eq!(change(&server, &id, "void", "a mistake").json()["status"], "void");
    for half in [&id, &reversal_id] {
        let told = explained(&server, half);
        assert_eq!(
            (&told["bonus"]["status"], &told["set_aside"]["reason"]),
            (&json!("void"), &json!("a mistake"))
        );
    }
    assert_eq!(post(&server, &format!("/v1/bonuses/{other}/pay"), &Value::Null).status, 200);
    let reversal_id = reverse(&other, "t").json()["reversal"]["id"].as_str().unwrap().to_owned();
    expect(&change(&server, &reversal_id, "void", "no"), (409, "entry_is_reversal", ""), "the other is paid");
    assert_eq!(change(&server, &reversal_id, "hold", "alone").json()["status"], "held");
    assert_eq!(status(&server, &other), "paid");
}

/// Void bonuses are never paid, so no total of bonuses has them: neither levels nor the report.
#[test]
fn void_bonuses_are_in_no_total() {
    let place = Place::new();
    let server = place.start();
    let [_, _] = bought(&server);
    let [id, _] = buy(&server);
    change(&server, &id, "void", "a mistake");
    let total = |value: &Value| (value["bonuses"].clone(), value["minor"].clone());
    let (kept, void) = ((json!(1), json!(2_000)), (json!(1), json!(2_000)));
    let report = server.get(&format!("/v1/members/{}/report", uuid(2))).json();
    assert_eq!((total(&report["total"]), total(&report["void"])), (kept.clone(), void));
    assert_eq!(total(&report["by_kind"][0]["total"]), kept);
    assert_eq!(total(&report["by_level"][0]["total"]), kept);
    let levels = server.get(&format!("/v1/members/{}/levels", uuid(2))).json();
    assert_eq!(
        (total(&levels["commission"]), total(&levels["levels"][0]["commission"])),
        (kept.clone(), kept.clone())
    );
    let level = server.get(&format!("/v1/members/{}/levels/1", uuid(2))).json();
    assert_eq!(total(&level["items"][0]["commission"]), kept);
    let weekly = server.get(&format!("/reports/weekly/{}", uuid(2))).json();
    assert_eq!((&weekly["count"], &weekly["total_bonus"]), (&json!(1), &json!(20.0)));
}
