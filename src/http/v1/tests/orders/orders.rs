//! Placing, reading and refunding an order.

use serde_json::{Value, json};

use super::shop::{Shop, admin, expect, id, member, order, rejected, service, with};
use crate::{access::Scope, engine::Rejection};

#[tokio::test]
async fn an_order_is_placed_once_and_shown_as_it_stands() {
    let shop = Shop::new().await;
    let body = json!({
        "order_id": "A-1",
        "credits": [{ "user_id": id(2), "part": "0.25" }, { "code": "m3", "part": "0.75" }],
        "customer": "C-1", "kind": "signup", "tags": ["party"], "group": "party-12", "market": "de",
        "lines": [
            { "amount": "12.50", "volumes": { "pv": "10", "points": 3 } },
            { "amount": 7, "volumes": { "pv": "0.07" } },
        ],
    });
    let placed = shop.post("/v1/orders", &body).await;
    assert_eq!(placed.status, 201, "{}", placed.text);
    assert_eq!(placed.headers["location"], "/v1/orders/A-1");
    let found = placed.json();
    assert_eq!(placed.headers["x-lsn"], found["lsn"].to_string());
    let expected = json!({
        "order_id": "A-1", "lsn": found["lsn"], "time": found["time"],
        "credits": [{ "user_id": id(2), "part": "0.25" }, { "user_id": id(3), "part": "0.75" }],
        "customer": "C-1", "kind": "signup", "tags": ["party"], "group": "party-12", "market": "de",
        "currency": "USD",
        "lines": [
            { "amount": "12.50", "volumes": { "pv": "10.00", "cv": "8.0", "points": "3" }, "refunded": "0" },
            { "amount": "7.00", "volumes": { "pv": "0.07", "cv": "0.1", "points": "0" }, "refunded": "0" },
        ],
        "placed": { "amount": "19.50", "volumes": { "pv": "10.07", "cv": "8.1", "points": "3" } },
        "left": { "amount": "19.50", "volumes": { "pv": "10.07", "cv": "8.1", "points": "3" } },
        "booking": { "month": "new", "week": "new" }, "refunds": [],
    });
    assert_eq!(found, expected);
    // The same, however it is written.
    let same = with(
        body.clone(),
        json!({
            "credits": [{ "code": "M2", "part": "0.250" }, { "user_id": id(3), "part": "0.75" }],
            "lines": [
                { "amount": "12.5", "volumes": { "points": "3", "pv": 10 } },
                { "amount": "7.00", "volumes": { "pv": "0.07", "points": 0 } },
            ],
        }),
    );
    for repeat in [&body, &same] {
        let repeated = shop.post("/v1/orders", repeat).await;
        assert_eq!((repeated.status, repeated.json()), (200, expected.clone()));
        assert_eq!(repeated.headers["location"], "/v1/orders/A-1");
    }
    assert_eq!(shop.get("/v1/orders/A-1").await.json(), expected);
    // Anything else is another order.
    for other in [
        json!({ "customer": null }),
        json!({ "market": "us" }),
        json!({ "tags": [] }),
        json!({ "kind": "retail" }),
        json!({ "group": "party-13" }),
        json!({ "time": found["time"] }),
        json!({ "lines": [{ "amount": "12.50" }] }),
        json!({ "credits": null, "user_id": id(2) }),
    ] {
        let refused = shop.post("/v1/orders", &with(body.clone(), other.clone())).await;
        expect(&refused, (409, "order_id_taken", "order_id"), &other.to_string());
    }
    expect(&shop.get("/v1/orders/A-2").await, (404, "order_unknown", ""), "unknown");
    expect(&shop.get("/v1/orders/A%202").await, (422, "parameter_invalid", "id"), "no id");
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_named() {
    let shop = Shop::new().await;
    let line = |fields: Value| json!({ "lines": [with(json!({ "amount": "1" }), fields)] });
    let of_lines = |count: usize| json!({ "lines": vec![json!({ "amount": 1 }); count] });
    let credits = |credits: Value| json!({ "user_id": null, "credits": credits });
    let at = |days: i64| {
        let time = crate::engine::Timestamp(Shop::day(days));
        json!({ "time": crate::time_text::print(time) })
    };
    let invalid = |field: &'static str| (422, "field_invalid", field);
    let malformed = |field: &'static str| (422, "order_malformed", field);
    // fields, refusal
    let table = [
        (json!({ "order_id": "" }), invalid("order_id")),
        (json!({ "order_id": "a b" }), invalid("order_id")),
        (json!({ "order_id": "x".repeat(65) }), invalid("order_id")),
        (json!({ "user_id": null }), invalid("user_id")),
        (json!({ "code": "M1" }), invalid("user_id")),
        (json!({ "user_id": null, "code": "a b" }), invalid("code")),
        (json!({ "user_id": null, "code": "nobody" }), (404, "member_unknown", "code")),
        (json!({ "user_id": id(99) }), (404, "member_unknown", "user_id")),
        (json!({ "credits": [] }), invalid("credits")),
        (credits(json!([])), malformed("credits")),
        (credits(json!([{ "user_id": id(1), "part": "0.5" }])), malformed("credits")),
        (
            credits(json!([{ "user_id": id(1), "part": "0.5" }, { "code": "M1", "part": "0.5" }])),
            malformed("credits[1]"),
        ),
        (credits(json!([{ "user_id": id(1), "part": "0" }])), invalid("credits[0].part")),
        (credits(json!([{ "user_id": id(1), "part": "1.5" }])), invalid("credits[0].part")),
        (credits(json!([{ "user_id": id(1), "part": "0.0000000001" }])), invalid("credits[0].part")),
        (credits(json!([{ "user_id": id(99), "part": 1 }])), (404, "member_unknown", "credits[0].user_id")),
        (json!({ "customer": "a/b" }), invalid("customer")),
        (json!({ "group": "" }), invalid("group")),
        (json!({ "kind": null }), (422, "order_kind_unknown", "kind")),
        (json!({ "kind": "other" }), (422, "order_kind_unknown", "kind")),
        (json!({ "tags": ["party", "other"] }), (422, "order_tag_unknown", "tags[1]")),
        (json!({ "tags": ["party", "party"] }), malformed("tags[1]")),
        (json!({ "market": "fr" }), (422, "market_unknown", "market")),
        (of_lines(0), malformed("lines")),
        (of_lines(65), malformed("lines")),
        (line(json!({ "amount": "-1" })), invalid("lines[0].amount")),
        (line(json!({ "amount": "1.001" })), invalid("lines[0].amount")),
        (line(json!({ "amount": 1.5 })), invalid("lines[0].amount")),
        (line(json!({ "amount": "100000000000.01" })), invalid("lines[0].amount")),
        (line(json!({ "volumes": { "xv": 1 } })), invalid("lines[0].volumes.xv")),
        (line(json!({ "volumes": { "amount": 1 } })), invalid("lines[0].volumes.amount")),
        (line(json!({ "volumes": { "cv": 1 } })), invalid("lines[0].volumes.cv")),
        (line(json!({ "volumes": { "pv": "0.001" } })), invalid("lines[0].volumes.pv")),
        (line(json!({ "volumes": { "points": "0.5" } })), invalid("lines[0].volumes.points")),
        (line(json!({ "quantity": 1 })), (422, "field_unknown", "lines[0].quantity")),
        (at(1), (422, "time_in_future", "time")),
        (at(-61), (409, "before_opening", "time")),
        // The week refuses late orders.
        (at(-5), (409, "order_late", "time")),
    ];
    for (fields, expected) in table {
        let refused = shop.post("/v1/orders", &with(order("A-1", 1), fields.clone())).await;
        expect(&refused, expected, &fields.to_string());
    }
    shop.place(&with(order("A-1", 1), json!({ "customer": "C-1" }))).await;
    let refused = shop.post("/v1/orders", &with(order("A-2", 2), json!({ "customer": "C-1" }))).await;
    expect(&refused, (409, "customer_of_another", "customer"), "a customer of another member");
    let listed = shop.get("/v1/orders").await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "nothing else was placed");
}

#[tokio::test]
async fn without_calendars_or_periods_there_are_no_orders() {
    let shop = Shop::closed().await;
    expect(&shop.post("/v1/orders", &order("A-1", 1)).await, (409, "period_not_open", "time"), "no period");
    let other = crate::http::v1::reads_tests::network::Network::new(1, 1).await;
    let other = Shop(other);
    expect(&other.post("/v1/orders", &order("A-1", 1)).await, (409, "orders_not_taken", ""), "no calendar");
}

#[tokio::test]
async fn a_key_stands_for_one_order() {
    let shop = Shop::new().await;
    let key = [("idempotency-key", "k1")];
    let first = shop.post_as(admin(), "/v1/orders", &key, &order("A-1", 1)).await;
    let again = shop.post_as(admin(), "/v1/orders", &key, &order("A-1", 1)).await;
    assert_eq!((first.status, again.status), (201, 200));
    assert_eq!((first.json(), &first.headers["x-lsn"]), (again.json(), &again.headers["x-lsn"]));
    let other = shop.post_as(admin(), "/v1/orders", &key, &order("A-2", 1)).await;
    expect(&other, (422, "key_reused", "Idempotency-Key"), "another body");
    expect(&shop.get("/v1/orders/A-2").await, (404, "order_unknown", ""), "it was not placed");
}

#[tokio::test]
async fn refunds_add_up_and_never_exceed_the_order() {
    let shop = Shop::new().await;
    let lines = json!([
        { "amount": "10.00", "volumes": { "pv": "0.03" } }, { "amount": "1.00", "volumes": { "pv": "1" } },
    ]);
    shop.place(&with(order("A-1", 1), json!({ "lines": lines }))).await;
    let path = "/v1/orders/A-1/refund";
    let part = json!({ "refund_id": "R-1", "part": "0.5" });
    let refunded = shop.post(path, &part).await;
    assert_eq!((refunded.status, &refunded.headers["location"]), (201, &"/v1/orders/A-1".parse().unwrap()));
    let found = refunded.json();
    // Volumes are refunded rounded down.
    assert_eq!(
        found["left"],
        json!({
            "amount": "5.50", "volumes": { "pv": "0.52", "cv": "0.4", "points": "0" },
        })
    );
    assert_eq!(found["placed"]["amount"], "11.00");
    let lowered = json!({ "period": "new", "state": "lowered" });
    assert_eq!(
        found["refunds"],
        json!([{
            "refund_id": "R-1", "lsn": found["refunds"][0]["lsn"], "time": found["refunds"][0]["time"],
            "lines": [{ "line": 0, "part": "0.5" }, { "line": 1, "part": "0.5" }],
            "acts": { "month": lowered, "week": lowered },
        }])
    );
    let repeated = shop.post(path, &part).await;
    assert_eq!((repeated.status, repeated.json()), (200, found));
    // body, refusal
    let table = [
        (json!({ "refund_id": "R-1", "part": "0.25" }), (409, "order_id_taken", "refund_id")),
        (json!({ "refund_id": "A-1" }), (409, "order_id_taken", "refund_id")),
        (json!({ "refund_id": "R-2", "part": "0.51" }), (409, "refund_too_large", "")),
        (json!({ "refund_id": "R-2", "lines": [{ "line": 2 }] }), (422, "order_line_unknown", "lines")),
        (json!({ "refund_id": "R-2", "lines": [] }), (422, "order_malformed", "lines")),
        (
            json!({ "refund_id": "R-2", "lines": [{ "line": 1 }, { "line": 1 }] }),
            (422, "order_malformed", "lines"),
        ),
        (
            json!({ "refund_id": "R-2", "lines": [{ "line": 0, "part": 0 }] }),
            (422, "field_invalid", "lines[0].part"),
        ),
        (
            json!({ "refund_id": "R-2", "part": "0.1", "lines": [{ "line": 0 }] }),
            (422, "field_invalid", "part"),
        ),
        (json!({ "refund_id": "R 2" }), (422, "field_invalid", "refund_id")),
        (json!({ "refund_id": "R-2", "time": "2999-01-01T00:00:00Z" }), (422, "time_in_future", "time")),
        (json!({ "refund_id": "R-2", "all": true }), (422, "field_unknown", "all")),
    ];
    for (body, expected) in table {
        expect(&shop.post(path, &body).await, expected, &body.to_string());
    }
    let unknown = shop.post("/v1/orders/A-9/refund", &json!({ "refund_id": "R-2" })).await;
    expect(&unknown, (404, "order_unknown", ""), "an unknown order");
    let taken = shop.post("/v1/orders", &order("R-1", 1)).await;
    expect(&taken, (409, "order_id_taken", "order_id"), "an order with the id of a refund");
    // Lines in any order; then the rest.
    let lines = json!({ "refund_id": "R-2", "lines": [{ "line": 1 }, { "line": 0, "part": "0.1" }] });
    let found = shop.post(path, &lines).await.json();
    assert_eq!(found["lines"][0]["refunded"], "0.6");
    assert_eq!(found["lines"][1]["refunded"], "1");
    let found = shop.post(path, &json!({ "refund_id": "R-3" })).await.json();
    let nothing = json!({ "amount": "0.00", "volumes": { "pv": "0.00", "cv": "0.0", "points": "0" } });
    assert_eq!((&found["left"], found["refunds"].as_array().unwrap().len()), (&nothing, 3));
    rejected(
        &shop.post(path, &json!({ "refund_id": "R-4" })).await,
        Rejection::RefundTooLarge,
        "nothing is left",
    );
}

#[tokio::test]
async fn members_see_the_orders_of_their_downline_and_place_none() {
    let shop = Shop::new().await;
    let shared = json!({
        "user_id": null, "customer": "C-1",
        "credits": [{ "user_id": id(3), "part": "0.5" }, { "user_id": id(5), "part": "0.5" }],
    });
    shop.place(&with(order("A-1", 3), shared)).await;
    let path = "/v1/orders/A-1";
    // Who sees it, and what of it: 2 is above 5, and neither above nor below 3.
    for (number, seen) in [(1, [true, true]), (2, [false, true]), (3, [true, false]), (5, [false, true])] {
        let found = shop.get_as(member(number), path).await.json();
        let [first, second] = [3, 5].map(|credited| json!(id(credited)));
        let shown = |is_seen: bool, id: Value| if is_seen { id } else { Value::Null };
        assert_eq!(found["credits"][0]["user_id"], shown(seen[0], first), "{number}");
        assert_eq!(found["credits"][1]["user_id"], shown(seen[1], second), "{number}");
        assert_eq!(found["customer"], shown(seen[0], json!("C-1")), "{number}");
    }
    // What is hidden is as what does not exist, to the byte.
    let hidden = shop.get_as(member(6), path).await;
    let missing = shop.get_as(member(6), "/v1/orders/A-2").await;
    assert_eq!((hidden.status, hidden.text), (404, missing.text));
    let refund = json!({ "refund_id": "R-1" });
    let refused = shop.post_as(member(1), "/v1/orders", &[], &order("A-2", 1)).await;
    expect(&refused, (403, "forbidden", ""), "a member");
    let refused = shop.post_as(member(1), "/v1/orders/A-1/refund", &[], &refund).await;
    expect(&refused, (403, "forbidden", ""), "a member");
    // A key for orders writes them and reads nothing.
    let writer = service(&[Scope::OrdersWrite]);
    let placed = shop.post_as(writer.clone(), "/v1/orders", &[], &order("A-2", 1)).await;
    assert_eq!(placed.status, 201);
    expect(&shop.get_as(writer.clone(), path).await, (403, "forbidden", ""), "no scope to read");
    assert_eq!(shop.post_as(writer, "/v1/orders/A-1/refund", &[], &refund).await.status, 201);
    let reader = service(&[Scope::MembersRead]);
    assert_eq!(shop.get_as(reader.clone(), path).await.status, 200);
    let refused = shop.post_as(reader, "/v1/orders", &[], &order("A-3", 1)).await;
    expect(&refused, (403, "forbidden", ""), "no scope to write");
}
