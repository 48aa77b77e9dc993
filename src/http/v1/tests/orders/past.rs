//! `as_of` of orders, periods and volumes: what each answered at an LSN is what it answers later.

use serde_json::{Value, json};

use super::shop::{Shop, expect, id, member, order, service, with};
use crate::access::Scope;

#[tokio::test]
async fn the_past_of_orders_periods_and_volumes_is_what_was_answered_then() {
    let shop = Shop::new().await;
    for (name, number) in [("A-1", 2), ("A-2", 4), ("A-3", 5)] {
        let more = json!({ "customer": format!("C-{name}"), "group": "party" });
        shop.place(&with(order(name, number), more)).await;
    }
    let volumes = format!("/v1/members/{}/volumes", id(1));
    let paths = [
        "/v1/orders/A-1".to_owned(),
        "/v1/orders?".into(),
        "/v1/orders?limit=1&".into(),
        "/v1/orders?customer=C-A-2&".into(),
        "/v1/orders?group=party&".into(),
        "/v1/orders?member=M4&".into(),
        "/v1/orders?calendar=month&period=new&".into(),
        "/v1/calendars".into(),
        "/v1/calendars/month/periods".into(),
        "/v1/calendars/month/periods?limit=1&".into(),
        "/v1/calendars/month/periods/new".into(),
        "/v1/calendars/month/periods/old/runs".into(),
        volumes.clone(),
        format!("{volumes}?calendar=month&period=old&"),
        format!("{volumes}?calendar=month&period=new&volume=points&"),
        "/v1/volumes/top?calendar=month&period=new&volume=pv&".into(),
    ];
    let mut said: Vec<(u64, String, Value)> = Vec::new();
    let look = async || {
        let mut found = Vec::new();
        for path in &paths {
            let answer = shop.get(path.trim_end_matches(['?', '&'])).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            // Cursors belong to lists of the present.
            let mut body = answer.json();
            body.as_object_mut().unwrap().remove("next");
            found.push((shop.lsn(), path.clone(), body));
        }
        found
    };
    said.extend(look().await);
    shop.place(&with(order("A-4", 4), json!({ "customer": "C-A-2", "group": "party" }))).await;
    shop.post("/v1/orders/A-1/refund", &json!({ "refund_id": "R-1", "part": "0.5" })).await;
    said.extend(look().await);
    shop.post("/v1/calendars/month/periods/old/lock", &json!({})).await;
    shop.post("/v1/calendars/month/periods/old/runs", &Value::Null).await;
    shop.open(0, "next", 30, 60).await;
    said.extend(look().await);
    shop.post("/v1/orders/A-3/refund", &json!({ "refund_id": "R-2" })).await;
    for (lsn, path, expected) in &said {
        let joint = if path.contains('?') { "" } else { "?" };
        let answer = shop.get(&format!("{path}{joint}as_of={lsn}")).await;
        assert_eq!(answer.status, 200, "{path} at {lsn}: {}", answer.text);
        assert_eq!(answer.headers["x-lsn"].to_str().unwrap(), lsn.to_string());
        let mut body = answer.json();
        body.as_object_mut().unwrap().remove("next");
        assert_eq!(body, *expected, "{path} at {lsn}");
    }
}

#[tokio::test]
async fn pages_of_the_past_go_on_in_the_past() {
    let shop = Shop::new().await;
    for number in 0..5 {
        shop.place(&order(&format!("A-{number}"), 2)).await;
    }
    let lsn = shop.lsn();
    shop.place(&order("A-5", 2)).await;
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/orders?limit=2&as_of={lsn}{cursor}");
        let page = shop.get(&path).await.json();
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["order_id"].clone()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
        let other = shop.get(&format!("/v1/orders?limit=2{cursor}")).await;
        expect(&other, (400, "cursor_invalid", ""), "of the past");
    }
    assert_eq!(ids, ["A-4", "A-3", "A-2", "A-1", "A-0"]);
}

#[tokio::test]
async fn the_past_has_the_rights_of_the_present() {
    let shop = Shop::new().await;
    let before = shop.lsn();
    shop.place(&order("A-1", 2)).await;
    let lsn = shop.lsn();
    expect(&shop.get(&format!("/v1/orders/A-1?as_of={before}")).await, (404, "order_unknown", ""), "not yet");
    let volumes = format!("/v1/members/{}/volumes", id(1));
    // path, for a member
    let table = [
        ("/v1/orders/A-1".to_owned(), (404, "order_unknown", "")),
        ("/v1/orders".to_owned(), (403, "forbidden", "")),
        (volumes.clone(), (404, "member_unknown", "")),
        ("/v1/calendars".to_owned(), (403, "forbidden", "")),
        ("/v1/calendars/month/periods".to_owned(), (403, "forbidden", "")),
        ("/v1/calendars/month/periods/new".to_owned(), (403, "forbidden", "")),
    ];
    for (path, expected) in table {
        expect(&shop.get_as(member(3), &format!("{path}?as_of={lsn}")).await, expected, &path);
        let ahead = format!("{path}?as_of={}", lsn + 1);
        expect(&shop.get(&ahead).await, (400, "as_of_invalid", ""), &path);
    }
    let finance = service(&[Scope::Finance]);
    assert_eq!(shop.get_as(finance, &format!("/v1/calendars?as_of={lsn}")).await.status, 200);
}
