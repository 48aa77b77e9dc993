//! What the change feed says of orders and refunds.

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::shop::{Shop, admin, check_event, id, order, with};

/// All events, by the id of the order or the refund.
async fn volumes(shop: &Shop, wanted: &str) -> Value {
    let newest = shop.lsn();
    let mut body = shop.0.begin(admin(), "/v1/events?from=1", "application/x-ndjson").await.into_body();
    let (mut seen, mut found) = (0, None);
    while seen < newest {
        let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        for event in serde_json::Deserializer::from_slice(&piece).into_iter::<Value>() {
            let event = event.unwrap();
            check_event(&event);
            seen = event["lsn"].as_u64().unwrap();
            let command = &event["command"];
            let kinds = ["place_order", "refund_order"];
            let is_order = kinds.iter().any(|kind| command["kind"] == *kind);
            assert!(is_order || event["effect"]["volumes"] == json!([]), "{event}");
            let id =
                if command["refund_id"].is_null() { &command["order_id"] } else { &command["refund_id"] };
            if id == wanted && event["effect"]["changed"] == true {
                found = Some(event["effect"]["volumes"].clone());
            }
        }
    }
    found.unwrap_or_else(|| panic!("no event of {wanted}"))
}

fn changed(number: u8, calendar: &str, period: &str, values: [&str; 4]) -> Value {
    let [amount, pv, cv, points] = values;
    json!({
        "user_id": id(number), "calendar": calendar, "period": period, "amount": amount,
        "volumes": { "pv": pv, "cv": cv, "points": points },
    })
}

#[tokio::test]
async fn an_order_says_what_it_booked_for_each_member_and_calendar() {
    let shop = Shop::new().await;
    let mut body = with(
        order("A-1", 2),
        json!({ "credits": [
        { "user_id": id(2), "part": "0.25" }, { "user_id": id(3), "part": "0.75" },
    ] }),
    );
    body.as_object_mut().unwrap().remove("user_id");
    shop.place(&body).await;
    let expected = |sign: &str, [first, second]: [[&str; 3]; 2]| {
        let signed = |units: &str| format!("{sign}{units}");
        let of = |number: u8, calendar: &str, [amount, pv, cv]: [&str; 3]| {
            changed(number, calendar, "new", [&signed(amount), &signed(pv), &signed(cv), "0"])
        };
        json!([of(2, "month", first), of(3, "month", second), of(2, "week", first), of(3, "week", second),])
    };
    assert_eq!(volumes(&shop, "A-1").await, expected("", [["3.13", "2.50", "2.0"], ["9.37", "7.50", "6.0"]]));
    // A repeat books nothing, and what the first one booked stays said of it.
    assert_eq!(shop.post("/v1/orders", &body).await.status, 200);
    shop.post("/v1/orders/A-1/refund", &json!({ "refund_id": "R-1", "part": "0.5" })).await;
    assert_eq!(volumes(&shop, "A-1").await, expected("", [["3.13", "2.50", "2.0"], ["9.37", "7.50", "6.0"]]));
    assert_eq!(
        volumes(&shop, "R-1").await,
        expected("-", [["1.57", "1.25", "1.0"], ["4.68", "3.75", "3.0"]])
    );
}

/// A refund of a locked period changes nothing when it comes, also after it acts.
#[tokio::test]
async fn a_refund_says_what_it_changed_when_it_came() {
    let shop = Shop::closed().await;
    for (label, days) in [("old", [-30, 0, 5]), ("new", [0, 30, 30])] {
        shop.open_until(0, label, days).await;
    }
    shop.open(1, "week", -10, 30).await;
    shop.write(crate::engine::Command::ClosePeriod(crate::engine::PeriodRef { calendar: 0, period: 0 }))
        .await;
    let time = crate::time_text::print(crate::engine::Timestamp(Shop::day(-2)));
    shop.place(&with(order("A-1", 2), json!({ "time": time }))).await;
    let refund = async |id: &str| {
        let answer = shop.post("/v1/orders/A-1/refund", &json!({ "refund_id": id, "part": "0.2" })).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    };
    let step = async |step: &str| {
        let answer = shop.post(&format!("/v1/calendars/month/periods/old/{step}"), &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    let of = |calendar: &str, period: &str| changed(2, calendar, period, ["-2.50", "-2.00", "-1.6", "0"]);
    refund("R-0").await;
    step("lock").await;
    refund("R-1").await;
    step("unlock").await;
    refund("R-2").await;
    shop.posts("old").await;
    refund("R-3").await;
    // refund, what it changed
    let table = [
        ("R-0", json!([of("month", "old"), of("week", "week")])),
        ("R-1", json!([of("week", "week")])),
        ("R-2", json!([of("month", "old"), of("week", "week")])),
        ("R-3", json!([of("month", "new"), of("week", "week")])),
    ];
    for (id, expected) in table {
        assert_eq!(volumes(&shop, id).await, expected, "{id}");
    }
}
