//! Volumes as columns of lists of members.

use serde_json::{Value, json};

use super::shop::{Meter, Shop, admin, expect, id, member, order, with};
use crate::http::limits::SLICE_STEPS;

/// What lists show of a member's volumes: those of its own route, without levels and legs.
async fn expected(shop: &Shop, user_id: &Value, calendars: &[&str]) -> Value {
    let path = format!("/v1/members/{}/volumes", user_id.as_str().unwrap());
    let mut periods = shop.get(&path).await.json()["periods"].take();
    let all = periods.as_array_mut().unwrap();
    all.retain(|period| calendars.iter().any(|name| period["calendar"] == *name));
    for volume in all.iter_mut().flat_map(|period| period["volumes"].as_array_mut().unwrap()) {
        volume.as_object_mut().unwrap().remove("legs");
        for tree in ["sponsor", "placement"] {
            volume[tree].as_object_mut().unwrap().remove("levels");
        }
    }
    periods
}

/// The member in a row of any list.
fn member_of(row: &Value) -> &Value {
    if row["member"].is_object() { &row["member"] } else { row }
}

async fn filled() -> Shop {
    let shop = Shop::new().await;
    for (number, pv) in [(1, "1"), (2, "20"), (3, "300"), (4, "4000"), (5, "50000")] {
        let lines = json!({ "lines": [{ "amount": "1.00", "volumes": { "pv": pv } }] });
        shop.place(&with(order(&format!("A-{number}"), number), lines)).await;
    }
    shop.post("/v1/orders/A-5/refund", &json!({ "refund_id": "R-1", "part": "0.5" })).await;
    shop
}

#[tokio::test]
async fn every_list_of_members_shows_the_volumes_of_each() {
    let shop = filled().await;
    // list, its rows
    let table = [
        ("/v1/members?".to_owned(), 6),
        (format!("/v1/members/{}/downline?", id(1)), 4),
        (format!("/v1/members/{}/downline?tree=sponsor&", id(1)), 4),
        (format!("/v1/members/{}/children?", id(1)), 2),
        (format!("/v1/members/{}/upline?", id(5)), 3),
        (format!("/v1/members/{}/levels/2?", id(1)), 1),
    ];
    for (path, rows) in table {
        for calendars in [&["month"][..], &["week", "month"]] {
            let path = format!("{path}volumes={}", calendars.join(","));
            let page = shop.get(&path).await.json();
            let items = page["items"].as_array().unwrap();
            assert_eq!(items.len(), rows, "{path}");
            for row in items {
                let row = member_of(row);
                assert_eq!(row["volumes"], expected(&shop, &row["user_id"], calendars).await, "{path}");
            }
            let streamed = shop.0.ask(admin(), &path, "application/x-ndjson").await.lines();
            assert_eq!(Value::from(streamed), page["items"], "{path}");
            let mut paged = Vec::new();
            let mut cursor = String::new();
            loop {
                let mut page = shop.get(&format!("{path}&limit=1{cursor}")).await.json();
                paged.append(page["items"].as_array_mut().unwrap());
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(Value::from(paged), page["items"], "{path}");
        }
        let plain = shop.get(path.trim_end_matches(['?', '&'])).await.json();
        assert_eq!(plain["items"].as_array().unwrap().len(), rows);
        assert!(member_of(&plain["items"][0]).get("volumes").is_none(), "they are shown on request only");
    }
}

#[tokio::test]
async fn an_upline_of_the_past_has_the_volumes_of_then() {
    let shop = filled().await;
    let path = format!("/v1/members/{}/upline?volumes=month", id(5));
    let then = shop.get(&path).await;
    let lsn = then.headers["x-lsn"].to_str().unwrap().to_owned();
    shop.place(&order("A-6", 5)).await;
    let now = shop.get(&path).await.json();
    let past = shop.get(&format!("{path}&as_of={lsn}")).await.json();
    assert_eq!(past["items"], then.json()["items"]);
    assert_ne!(past["items"], now["items"]);
}

#[tokio::test]
async fn volumes_of_unknown_calendars_are_refused() {
    let shop = Shop::new().await;
    // query, refusal
    let table = [
        ("year", (404, "calendar_unknown", "")),
        ("month,year", (404, "calendar_unknown", "")),
        ("month,month", (422, "parameter_invalid", "volumes")),
        ("month,", (404, "calendar_unknown", "")),
    ];
    for (calendars, expected) in table {
        for path in ["/v1/members".to_owned(), format!("/v1/members/{}/downline", id(1))] {
            expect(&shop.get(&format!("{path}?volumes={calendars}")).await, expected, calendars);
        }
    }
    // Whom a caller may not see it cannot ask about.
    let path = format!("/v1/members/{}/downline?volumes=year", id(1));
    expect(&shop.get_as(member(2), &path).await, (404, "member_unknown", ""), "hidden");
    // A cursor belongs to what its list shows.
    let path = format!("/v1/members/{}/downline?limit=1", id(1));
    let next = shop.get(&path).await.json()["next"].as_str().unwrap().to_owned();
    let other = shop.get(&format!("{path}&volumes=month&cursor={next}")).await;
    expect(&other, (400, "cursor_invalid", ""), "of another list");
}

/// Sums are paid for, and a page has fewer rows where each has many.
#[tokio::test]
async fn columns_cost_and_are_bounded() {
    let shop = filled().await;
    let path = format!("/v1/members/{}/downline", id(1));
    let cost_of = async |path: &str| {
        let meter = Meter::new();
        assert_eq!(shop.get_as(meter.reads(), path).await.status, 200);
        meter.units()
    };
    let plain = cost_of(&path).await;
    let one = cost_of(&format!("{path}?volumes=month")).await;
    let two = cost_of(&format!("{path}?volumes=month,week")).await;
    // Two periods with two volumes, nine steps each, for four members.
    assert_eq!([one - plain, two - plain], [4 * 4 * 9, 2 * 4 * 4 * 9]);
    let rows = shop.0.engine.read(|state, _| {
        let columns = super::super::volume_columns::Columns::asked(Some("month,week"), state).unwrap();
        columns.now(state).rows(usize::MAX)
    });
    assert_eq!(rows, SLICE_STEPS / (2 * 4 * 9));
}
