//! `POST /v1/orders/batch`.

use serde_json::{Value, json};

use super::shop::{Shop, admin, order, service, with};
use crate::{access::Scope, http::limits::ORDER_LINE_BYTES_MAX};

const NDJSON: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

fn told(answer: &Value) -> (u64, u64, &str, &str) {
    let text = |value: &'static str| answer["problem"][value].as_str().unwrap_or_default();
    (answer["line"].as_u64().unwrap(), answer["status"].as_u64().unwrap(), text("code"), text("field"))
}

#[tokio::test]
async fn each_line_is_answered_and_a_bad_one_stops_nothing() {
    let shop = Shop::new().await;
    let long = with(order("L-1", 1), json!({ "group": "x".repeat(ORDER_LINE_BYTES_MAX) }));
    // line, answer
    let table = [
        (order("A-1", 1).to_string(), (201, "", "")),
        (order("A-2", 2).to_string(), (201, "", "")),
        // A repeat of a line that is still in flight.
        (order("A-1", 1).to_string(), (200, "", "")),
        (order("A-1", 2).to_string(), (409, "order_id_taken", "order_id")),
        (order("A-3", 99).to_string(), (404, "member_unknown", "user_id")),
        (with(order("A-3", 1), json!({ "kind": "x" })).to_string(), (422, "order_kind_unknown", "kind")),
        (with(order("A-3", 1), json!({ "more": 1 })).to_string(), (422, "field_unknown", "more")),
        (
            with(order("A-3", 1), json!({ "lines": [{}] })).to_string(),
            (422, "field_invalid", "lines[0].amount"),
        ),
        ("nonsense".to_owned(), (400, "body_malformed", "")),
        (long.to_string(), (413, "body_too_large", "")),
        (order("A-3", 3).to_string(), (201, "", "")),
    ];
    let text = table.iter().map(|(line, _)| format!("{line}\n")).collect::<Vec<_>>().concat();
    let answer = shop.0.send(admin(), "/v1/orders/batch", &NDJSON, text).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let lines = answer.lines();
    let expected: Vec<(u64, u64, &str, &str)> = (1..)
        .zip(&table)
        .map(|(number, (_, (status, code, field)))| (number, *status, *code, *field))
        .collect();
    assert_eq!(lines.iter().map(told).collect::<Vec<_>>(), expected);
    let first = shop.get("/v1/orders/A-1").await.json();
    for name in ["order_id", "lsn", "booking"] {
        assert_eq!(lines[0][name], first[name], "{name}");
    }
    assert_eq!(shop.get("/v1/orders").await.json()["items"].as_array().unwrap().len(), 3);
    // The whole may be sent again.
    let again = ["A-1", "A-2", "A-3"]
        .iter()
        .zip(1..)
        .map(|(id, member)| format!("{}\n", order(id, member)))
        .collect::<Vec<_>>()
        .concat();
    let answer = shop.0.send(admin(), "/v1/orders/batch", &NDJSON, again).await;
    assert!(answer.lines().iter().all(|line| line["status"] == 200), "{}", answer.text);
}

#[tokio::test]
async fn a_batch_needs_its_scope_and_its_media_type() {
    let shop = Shop::new().await;
    let path = "/v1/orders/batch";
    let send = |principal, kind| {
        let shop = &shop;
        async move {
            let headers = [("content-type", kind)];
            shop.0.send(principal, path, &headers, format!("{}\n", order("A-1", 1))).await
        }
    };
    assert_eq!(send(service(&[Scope::MembersRegister]), "application/x-ndjson").await.status, 403);
    let wrong = send(service(&[Scope::OrdersWrite]), "application/json").await;
    assert_eq!((wrong.status, &wrong.headers["connection"]), (415, &"close".parse().unwrap()));
    assert_eq!(send(service(&[Scope::OrdersWrite]), "application/x-ndjson").await.lines()[0]["status"], 201);
}
