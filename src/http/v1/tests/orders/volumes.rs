//! Volumes of members, and the largest groups.

use serde_json::{Value, json};

use super::shop::{Meter, Shop, expect, id, member, order, with};

/// The sums of a volume of a member in a period of the month.
async fn sums(shop: &Shop, number: u8, period: &str, volume: &str) -> Value {
    let answer = shop.get(&format!("/v1/members/{}/volumes", id(number))).await.json();
    let named = |list: &Value, name: &str, wanted: &str| {
        let found = list.as_array().unwrap().iter().find(|item| item[name] == wanted).cloned();
        found.unwrap_or_else(|| panic!("{wanted} in {list}"))
    };
    let periods = answer["periods"].as_array().unwrap();
    let of_month: Vec<Value> = periods.iter().filter(|of| of["calendar"] == "month").cloned().collect();
    named(&named(&of_month.into(), "period", period)["volumes"], "volume", volume)
}

fn plain(sums: &[&str]) -> Value {
    sums.iter().map(|sum| json!({ "sum": sum, "raw": null })).collect()
}

#[tokio::test]
async fn volumes_are_own_group_levels_and_legs() {
    let shop = Shop::new().await;
    for (number, pv) in [(1, "1"), (2, "20"), (3, "300"), (4, "4000"), (5, "50000")] {
        let lines = json!({ "lines": [{ "amount": "1.00", "volumes": { "pv": pv } }] });
        shop.place(&with(order(&format!("A-{number}"), number), lines)).await;
    }
    let found = sums(&shop, 1, "new", "pv").await;
    assert_eq!(found["own"], json!({ "sum": "1.00", "raw": null }));
    for tree in ["sponsor", "placement"] {
        assert_eq!(found[tree]["group"]["sum"], "54321.00", "{tree}");
        assert_eq!(found[tree]["levels"], plain(&["320.00", "4000.00", "50000.00"]), "{tree}");
    }
    let leg = |number: u8, slot: u32, sum: &str| {
        let group = json!({ "sum": sum, "raw": null });
        json!({ "user_id": id(number), "slot": slot, "group": group })
    };
    assert_eq!(found["legs"], json!([leg(2, 0, "54020.00"), leg(3, 1, "300.00")]));
    let found = sums(&shop, 1, "new", "amount").await;
    assert_eq!(found["placement"]["group"]["sum"], "5.00");
    assert_eq!(sums(&shop, 1, "old", "pv").await["placement"]["group"]["sum"], "0.00");
    let answer = shop.get(&format!("/v1/members/{}/volumes", id(1))).await.json();
    let named: Vec<(&Value, &Value)> =
        answer["periods"].as_array().unwrap().iter().map(|of| (&of["calendar"], &of["period"])).collect();
    let expected = [("month", "new"), ("month", "old"), ("week", "new"), ("week", "old")];
    assert_eq!(
        named,
        expected
            .map(|(calendar, period)| (json!(calendar), json!(period)))
            .iter()
            .map(|(calendar, period)| (calendar, period))
            .collect::<Vec<_>>()
    );
    assert_eq!(answer["more_legs"], false);
    // A refund lowers all of them.
    shop.post("/v1/orders/A-5/refund", &json!({ "refund_id": "R-1", "part": "0.5" })).await;
    assert_eq!(sums(&shop, 1, "new", "pv").await["sponsor"]["group"]["sum"], "29321.00");
    // Its downline alone is a member's to see.
    let path = |number: u8| format!("/v1/members/{}/volumes", id(number));
    assert_eq!(shop.get_as(member(2), &path(5)).await.status, 200);
    for hidden in [1, 3, 6, 99] {
        expect(&shop.get_as(member(2), &path(hidden)).await, (404, "member_unknown", ""), "hidden");
    }
}

/// A refund after posting may make a sum negative, which is shown as 0.
#[tokio::test]
async fn a_negative_sum_is_shown_as_zero_and_as_booked() {
    let shop = Shop::closed().await;
    for (label, days) in [("old", [-60, -30, -30]), ("new", [-30, 0, 5]), ("next", [0, 30, 30])] {
        shop.open_until(0, label, days).await;
    }
    shop.open(1, "week", -10, 30).await;
    let time = crate::time_text::print(crate::engine::Timestamp(Shop::day(-2)));
    shop.place(&with(order("A-1", 2), json!({ "time": time }))).await;
    for period in 0..2 {
        let period = crate::engine::PeriodRef { calendar: 0, period };
        shop.write(crate::engine::Command::ClosePeriod(period)).await;
    }
    for period in ["old", "new"] {
        shop.posts(period).await;
    }
    shop.post("/v1/orders/A-1/refund", &json!({ "refund_id": "R-1" })).await;
    let order = shop.get("/v1/orders/A-1").await.json();
    assert_eq!(order["refunds"][0]["acts"]["month"], json!({ "period": "next", "state": "lowers_later" }));
    assert_eq!(sums(&shop, 2, "next", "pv").await["own"], json!({ "sum": "0.00", "raw": "-10.00" }));
    assert_eq!(
        sums(&shop, 1, "next", "pv").await["sponsor"]["group"],
        json!({ "sum": "0.00", "raw": "-10.00" })
    );
    assert_eq!(sums(&shop, 2, "new", "pv").await["own"], json!({ "sum": "10.00", "raw": null }));
    let period = shop.get("/v1/calendars/month/periods/next").await.json();
    assert_eq!(period["period"]["totals"]["sums"]["amount"], "-12.50");
    assert_eq!(period["period"]["totals"]["refunds"], 1);
}

#[tokio::test]
async fn the_largest_groups_come_first() {
    let shop = Shop::new().await;
    for (number, pv) in [(3, "300"), (5, "500"), (6, "300")] {
        let lines = json!({ "lines": [{ "amount": "1.00", "volumes": { "pv": pv } }] });
        shop.place(&with(order(&format!("A-{number}"), number), lines)).await;
    }
    let path = "/v1/volumes/top?calendar=month&period=new&volume=pv";
    for tree in ["", "&tree=sponsor"] {
        let found = shop.get(&format!("{path}{tree}")).await.json();
        let found: Vec<(&Value, &Value)> = found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (&item["user_id"], &item["group"]["sum"]))
            .collect();
        let expected =
            [(1, "800.00"), (2, "500.00"), (4, "500.00"), (5, "500.00"), (3, "300.00"), (6, "300.00")];
        let expected = expected.map(|(number, sum)| (json!(id(number)), json!(sum)));
        assert_eq!(found, expected.iter().map(|(id, sum)| (id, sum)).collect::<Vec<_>>());
    }
    let two = shop.get(&format!("{path}&limit=2")).await.json();
    assert_eq!(two["items"].as_array().unwrap().len(), 2);
    let old = shop.get("/v1/volumes/top?calendar=month&period=old&volume=amount").await.json();
    assert_eq!(old["items"], json!([]));
    // query, refusal
    let table = [
        ("calendar=month&period=new", (422, "parameter_invalid", "volume")),
        ("calendar=month&period=new&volume=xv", (422, "parameter_invalid", "volume")),
        ("calendar=month&period=new&volume=cv", (422, "parameter_invalid", "volume")),
        ("calendar=year&period=new&volume=pv", (404, "calendar_unknown", "")),
        ("calendar=month&period=none&volume=pv", (404, "period_unknown", "")),
        ("calendar=month&period=new&volume=pv&limit=101", (422, "parameter_invalid", "limit")),
    ];
    for (query, expected) in table {
        expect(&shop.get(&format!("/v1/volumes/top?{query}")).await, expected, query);
    }
    expect(&shop.get_as(member(1), path).await, (403, "forbidden", ""), "for operators");
}

/// Four months: two that are no longer kept, of which one is posted, and two that are.
async fn four_months() -> Shop {
    let shop = Shop::closed().await;
    for (label, days) in [("m0", [-120, -90, -90]), ("m1", [-90, -60, 30]), ("m2", [-60, -30, 30])] {
        shop.open_until(0, label, days).await;
    }
    shop.open(1, "week", -120, 30).await;
    for (number, day) in [(1, -80), (2, -80), (5, -70), (4, -40)] {
        let time = crate::time_text::print(crate::engine::Timestamp(Shop::day(day)));
        let line = |amount: &str, pv: u32| json!({ "amount": amount, "volumes": { "pv": pv, "points": 3 } });
        let lines = json!({ "time": time, "lines": [line("7.50", 10 * number), line("1.00", 1)] });
        let order = order(&format!("A-{number}"), u8::try_from(number).unwrap());
        shop.place(&with(order, lines)).await;
    }
    shop.post("/v1/orders/A-5/refund", &json!({ "refund_id": "R-1", "part": "0.4" })).await;
    shop
}

#[tokio::test]
async fn older_periods_are_added_up_from_their_orders() {
    let shop = four_months().await;
    let path = |number: u8| format!("/v1/members/{}/volumes", id(number));
    let live = async |number: u8, period: &str| {
        let all = shop.get(&format!("{}?calendar=month", path(number))).await.json();
        let periods = all["periods"].as_array().unwrap();
        periods.iter().find(|of| of["period"] == period).cloned().unwrap()
    };
    let mut kept = Vec::new();
    for number in 1..=6 {
        kept.push(live(number, "m1").await);
        // A period that is kept is answered from what is kept.
        let named = shop.get(&format!("{}?calendar=month&period=m1", path(number))).await.json();
        assert_eq!(named["periods"], json!([kept[usize::from(number) - 1]]));
    }
    assert_eq!(kept[0]["volumes"][1]["placement"]["group"]["sum"], "62.60");
    // Two newer ones open: it is not kept any more.
    shop.open_until(0, "m3", [-30, 0, 30]).await;
    shop.open_until(0, "m4", [0, 30, 30]).await;
    assert_eq!(live(1, "m3").await["period"], "m3");
    for (number, kept) in (1..).zip(&kept) {
        let all = shop.get(&format!("{}?calendar=month", path(number))).await.json();
        assert!(all["periods"].as_array().unwrap().iter().all(|of| of["period"] != "m1"));
        let meter = Meter::new();
        let summed = shop.get_as(meter.reads(), &format!("{}?calendar=month&period=m1", path(number))).await;
        assert_eq!(summed.json()["periods"], json!([kept]), "{number}");
        assert_eq!(summed.headers["x-lsn"].to_str().unwrap(), shop.lsn().to_string());
        assert!(20 < meter.units(), "it is paid for");
    }
    // What changes in it counts at once.
    shop.post("/v1/orders/A-2/refund", &json!({ "refund_id": "R-2" })).await;
    let summed = shop.get(&format!("{}?calendar=month&period=m1", path(1))).await.json();
    assert_eq!(summed["periods"][0]["volumes"][1]["placement"]["group"]["sum"], "41.60");
    assert_eq!(summed["periods"][0]["volumes"][1]["legs"][0]["group"]["sum"], "30.60");
}

#[tokio::test]
async fn volumes_that_are_not_kept_live_are_added_up_too() {
    let shop = four_months().await;
    let path = format!("/v1/members/{}/volumes", id(1));
    let volumes = async |query: &str| {
        let answer = shop.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.text);
        answer.json()["periods"][0]["volumes"].take()
    };
    let points = volumes("calendar=month&period=m1&volume=points").await;
    assert_eq!(points.as_array().unwrap().len(), 1);
    // Three orders of two lines with 3 points each; of one 0.4 of each line is refunded, rounded down.
    assert_eq!((&points[0]["volume"], &points[0]["own"]["sum"]), (&json!("points"), &json!("6")));
    assert_eq!(points[0]["sponsor"]["group"]["sum"], "16");
    assert_eq!(points[0]["placement"]["levels"][0]["sum"], "6");
    let live = volumes("calendar=month&period=m1&volume=pv").await;
    assert_eq!(live, json!([volumes("calendar=month&period=m1").await[1]]));
    // query, refusal
    let table = [
        ("period=m1", (422, "parameter_invalid", "period")),
        ("calendar=month&volume=pv", (422, "parameter_invalid", "volume")),
        ("calendar=month&period=m1&volume=xv", (422, "parameter_invalid", "volume")),
        ("calendar=year&period=m1", (404, "calendar_unknown", "")),
        ("calendar=year", (404, "calendar_unknown", "")),
        ("calendar=month&period=none", (404, "period_unknown", "")),
    ];
    for (query, expected) in table {
        expect(&shop.get(&format!("{path}?{query}")).await, expected, query);
    }
    let hidden = format!("{path}?calendar=month&period=m0");
    expect(&shop.get_as(member(2), &hidden).await, (404, "member_unknown", ""), "hidden");
}
