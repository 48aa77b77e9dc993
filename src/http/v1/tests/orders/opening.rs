//! The opening state: totals for finance, rows for who may see the member's money.

use serde_json::{Value, json};

use super::shop::{Shop, expect, id, member, named_admin, service};
use crate::{
    access::Scope,
    engine::{
        Actor, ActorKind, AddOpening, CloseOpening, Command, MemberId, OpeningEntry, OpeningKind, OpeningText,
    },
};

/// Brings rows for members 1 and 4.
async fn bring(shop: &Shop) {
    let text = |text: &str| OpeningText::parse(text).unwrap();
    let balance = |number: u8, value| OpeningEntry {
        member: MemberId(id(number).into_bytes()),
        kind: OpeningKind::Balance,
        name: text(""),
        text: text(""),
        calendar: None,
        position: 0,
        since: None,
        value,
        decimals: 1,
    };
    let last = OpeningEntry {
        kind: OpeningKind::LastN,
        name: text("PV"),
        calendar: Some(1),
        position: 2,
        ..balance(4, -75)
    };
    let rows = vec![balance(1, 125), last, balance(4, 3)];
    shop.write(Command::AddOpening(Box::new(AddOpening { rows }))).await;
}

async fn close(shop: &Shop) {
    let digest = shop.0.engine.read(|state, _| state.opening_digest());
    let by = Actor::new(ActorKind::Cli, "anna");
    shop.write(Command::CloseOpening(Box::new(CloseOpening { rows: 3, digest, by }))).await;
}

#[tokio::test]
async fn the_opening_state_is_shown_whole_and_by_member() {
    let shop = Shop::new().await;
    let empty = shop.get("/v1/opening").await.json();
    assert_eq!(empty, json!({ "rows": 0, "closed": null, "totals": [] }));
    bring(&shop).await;
    let lock = "/v1/calendars/month/periods/old/lock";
    expect(&shop.post(lock, &json!({})).await, (409, "opening_unfinished", ""), "a lock");
    close(&shop).await;
    let found = shop.get("/v1/opening").await.json();
    let total = |kind: &str, name: Value, calendar: Value, position: Value, rows: u64, sum: &str| {
        json!({
            "kind": kind, "name": name, "text": null, "calendar": calendar, "position": position,
            "rows": rows, "sum": sum,
        })
    };
    let totals = json!([
        total("last_n", json!("PV"), json!("week"), json!(2), 1, "-7.5"),
        total("balance", Value::Null, Value::Null, Value::Null, 2, "12.8"),
    ]);
    assert_eq!((&found["rows"], &found["totals"]), (&json!(3), &totals));
    assert_eq!(found["closed"]["by"], json!({ "kind": "cli", "id": "anna" }));
    assert_eq!(found["closed"]["digest"].as_str().map(str::len), Some(64));
    let path = format!("/v1/members/{}/opening", id(4));
    let rows = shop.get(&path).await.json();
    assert_eq!(
        rows["rows"][0],
        json!({
            "kind": "last_n", "name": "PV", "text": null, "calendar": "week", "position": 2, "since": null,
            "value": "-7.5",
        })
    );
    assert_eq!(
        (&rows["rows"][1]["kind"], rows["rows"].as_array().map(Vec::len)),
        (&json!("balance"), Some(2))
    );
    let none = shop.get(&format!("/v1/members/{}/opening", id(6))).await.json();
    assert_eq!(none, json!({ "user_id": id(6), "rows": [] }));
    assert_eq!(shop.post(lock, &json!({})).await.status, 200);
}

#[tokio::test]
async fn totals_are_for_finance_and_rows_for_who_sees_bonuses() {
    let shop = Shop::new().await;
    bring(&shop).await;
    let path = format!("/v1/members/{}/opening", id(4));
    // principal, answers to the whole and to member 4
    let table = [
        (named_admin("anna"), 200, 200),
        (service(&[Scope::Finance]), 200, 403),
        (service(&[Scope::BonusesRead]), 403, 200),
        (service(&[Scope::OrdersWrite, Scope::MembersRead]), 403, 403),
        (member(4), 403, 200),
        (member(2), 403, 200),
        (member(5), 403, 404),
        (member(3), 403, 404),
    ];
    for (principal, whole, of_member) in table {
        let name = format!("{principal:?}");
        assert_eq!(shop.get_as(principal.clone(), "/v1/opening").await.status, whole, "{name}");
        assert_eq!(shop.get_as(principal, &path).await.status, of_member, "{name}");
    }
}
