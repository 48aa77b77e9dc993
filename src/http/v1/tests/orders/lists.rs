//! `GET /v1/orders`.

use serde_json::{Value, json};

use super::shop::{Shop, expect, id, member, order, with};
use crate::{engine::Timestamp, time_text};

fn ids(items: &Value) -> Vec<String> {
    let items = items.as_array().unwrap();
    items.iter().map(|item| item["order_id"].as_str().unwrap().to_owned()).collect()
}

/// Orders O-0, O-1, ...: of members by turns, every third of a customer, every fourth of a group, every fifth
/// in the month before.
async fn filled(orders: u8) -> Shop {
    let shop = Shop::new().await;
    for number in 0..orders {
        let member = 1 + number % 5;
        let mut body = order(&format!("O-{number}"), member);
        if number % 3 == 0 {
            body = with(body, json!({ "customer": format!("C-{member}") }));
        }
        if number % 4 == 0 {
            body = with(body, json!({ "group": "party" }));
        }
        if number % 5 == 0 {
            let time = Timestamp(Shop::day(-2) + i64::from(number));
            body = with(body, json!({ "time": time_text::print(time) }));
        }
        shop.place(&body).await;
    }
    shop
}

#[tokio::test]
async fn filters_leave_what_they_say_and_pages_are_the_list() {
    type Shows = fn(u8) -> bool;
    const ORDERS: u8 = 40;
    let shop = filled(ORDERS).await;
    let day = time_text::print(Timestamp(Shop::day(-1)));
    let two_days = time_text::print(Timestamp(Shop::day(-2) + 10));
    // query, which orders
    let table: [(String, Shows); 12] = [
        (String::new(), |_| true),
        (format!("member={}&", id(2)), |number| number % 5 == 1),
        ("member=m2&".into(), |number| number % 5 == 1),
        ("customer=C-1&".into(), |number| number % 15 == 0),
        ("customer=nobody&".into(), |_| false),
        ("group=party&".into(), |number| number % 4 == 0),
        ("group=nothing&".into(), |_| false),
        ("calendar=month&period=new&".into(), |_| true),
        ("calendar=month&period=old&".into(), |_| false),
        (format!("from={day}&"), |number| number % 5 != 0),
        (format!("from={two_days}&to={day}&"), |number| number % 5 == 0 && 10 <= number),
        ("member=M1&group=party&calendar=week&period=new&".into(), |number| number % 20 == 0),
    ];
    for (query, shows) in table {
        let expected: Vec<String> =
            (0..ORDERS).rev().filter(|number| shows(*number)).map(|number| format!("O-{number}")).collect();
        for limit in [1, 7, 1_000] {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = shop.get(&format!("/v1/orders?{query}limit={limit}{cursor}")).await;
                assert_eq!(page.status, 200, "{query}: {}", page.text);
                let page = page.json();
                let items = ids(&page["items"]);
                assert!(items.len() <= limit, "{query}");
                found.extend(items);
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(found, expected, "{query} in pages of {limit}");
        }
        let streamed = shop.0.stream(&format!("/v1/orders?{query}limit=1")).await.lines();
        assert_eq!(ids(&Value::Array(streamed)), expected, "{query} as a stream");
    }
    // What is placed meanwhile is in no later page.
    let first = shop.get("/v1/orders?limit=10").await.json();
    shop.place(&order("later", 1)).await;
    let next = first["next"].as_str().unwrap();
    let second = shop.get(&format!("/v1/orders?limit=10&cursor={next}")).await.json();
    assert_eq!(ids(&second["items"])[0], "O-29");
    expect(
        &shop.get(&format!("/v1/orders?group=party&cursor={next}")).await,
        (400, "cursor_invalid", ""),
        "a cursor of another list",
    );
}

#[tokio::test]
async fn a_member_lists_its_own_downline() {
    let shop = filled(10).await;
    let get = |number: u8, query: String| {
        let shop = &shop;
        async move { shop.get_as(member(number), &format!("/v1/orders{query}")).await }
    };
    assert_eq!(ids(&get(2, format!("?member={}", id(2))).await.json()["items"]), ["O-6", "O-1"]);
    assert_eq!(ids(&get(2, "?member=M4".into()).await.json()["items"]), ["O-8", "O-3"]);
    let own = get(1, "?member=M1&customer=C-1".into()).await.json();
    assert_eq!(ids(&own["items"]), ["O-0"]);
    // A customer of another member is nobody to it.
    let other = get(2, "?member=M2&customer=C-1".into()).await.json();
    assert_eq!(ids(&other["items"]), [] as [&str; 0]);
    for query in ["", "?customer=C-1", "?group=party", "?calendar=month&period=new"] {
        expect(&get(1, query.into()).await, (403, "forbidden", ""), query);
    }
    for hidden in ["M1".to_owned(), "M3".into(), id(3).to_string(), id(99).to_string(), "nobody".into()] {
        expect(&get(2, format!("?member={hidden}")).await, (404, "member_unknown", "member"), &hidden);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_query_is_named() {
    let shop = Shop::new().await;
    // query, refusal
    let table = [
        ("member=a.b", (422, "parameter_invalid", "member")),
        ("member=nobody", (404, "member_unknown", "member")),
        ("customer=a%2Fb", (422, "parameter_invalid", "customer")),
        ("group=", (422, "parameter_invalid", "group")),
        ("calendar=month", (422, "parameter_invalid", "period")),
        ("period=new", (422, "parameter_invalid", "period")),
        ("calendar=year&period=new", (404, "calendar_unknown", "")),
        ("calendar=month&period=none", (404, "period_unknown", "")),
        ("limit=0", (422, "parameter_invalid", "limit")),
        ("cursor=x", (400, "cursor_invalid", "")),
        ("kind=retail", (422, "parameter_unknown", "kind")),
    ];
    for (query, expected) in table {
        expect(&shop.get(&format!("/v1/orders?{query}")).await, expected, query);
    }
}
