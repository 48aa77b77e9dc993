//! Orders on the running binary: a plan file with calendars, periods that the server opens, orders and
//! refunds that survive a kill, batches on the wire. The rules, code by code, are in
//! `src/http/v1/tests/orders`.

use std::{fs, io::Write as _, path::Path};

use serde_json::{Value, json};

use crate::{
    auth::support::Place,
    common::{Server, uuid},
};

const PLAN: &str = r#"
name = "orders"
currency = { code = "USD", exponent = 2 }
placement = { width = 0, rule = "unilevel" }

[calendar.month]
every = "month"
timezone = "UTC"
first = "2026-07-01"

[volume.pv]
exponent = 2

[orders]
kinds = ["retail", "signup"]

[answers]
refund_lowers_volume = "no"

[ladder.live]
rule = "thresholds"
basis = "direct"

[[ladder.live.rank]]
name = "Builder"
minimum = 3
"#;

/// Writes the plan next to the data, and returns its path.
fn plan(place: &Path) -> String {
    let file = place.join("orders.toml");
    fs::write(&file, PLAN).unwrap();
    file.to_str().unwrap().to_owned()
}

fn start(place: &Path) -> Server {
    Server::start(&place.join("data"), &["--plan", &plan(place)])
}

fn order(order_id: &str, member: u64) -> Value {
    json!({
        "order_id": order_id, "user_id": uuid(member), "kind": "retail",
        "lines": [{ "amount": "12.50", "volumes": { "pv": "10" } }],
    })
}

fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    let reply = server.post(path, &body.to_string());
    (reply.status, reply.json())
}

/// Members 1 and, below it, 2.
fn join(server: &Server) {
    assert_eq!(post(server, "/v1/members", &json!({ "user_id": uuid(1) })).0, 201);
    let second = json!({ "user_id": uuid(2), "sponsor": { "user_id": uuid(1) }, "code": "Bert" });
    assert_eq!(post(server, "/v1/members", &second).0, 201);
}

fn group(server: &Server, member: u64) -> Value {
    let volumes = server.get(&format!("/v1/members/{}/volumes", uuid(member))).json();
    volumes["periods"][0]["volumes"][0]["sponsor"]["group"]["sum"].clone()
}

#[test]
fn orders_and_refunds_survive_a_kill() {
    let place = crate::common::scratch();
    let server = start(place.path());
    join(&server);
    let (status, placed) = post(&server, "/v1/orders", &order("A-1", 2));
    assert_eq!(status, 201, "{placed}");
    let refund = json!({ "refund_id": "R-1", "part": "0.5" });
    let (status, refunded) = post(&server, "/v1/orders/A-1/refund", &refund);
    assert_eq!(status, 201, "{refunded}");
    assert_eq!(group(&server, 1), "5.00");
    let periods = server.get("/v1/calendars/month/periods").json();
    server.kill();
    let server = start(place.path());
    assert_eq!(server.get("/v1/orders/A-1").json(), refunded);
    assert_eq!(post(&server, "/v1/orders", &order("A-1", 2)), (200, refunded.clone()));
    assert_eq!(post(&server, "/v1/orders/A-1/refund", &refund), (200, refunded));
    assert_eq!(group(&server, 1), "5.00");
    let named = |periods: &Value| -> Vec<Value> {
        periods["items"].as_array().unwrap().iter().map(|period| period["label"].clone()).collect()
    };
    let (before, now) = (named(&periods), named(&server.get("/v1/calendars/month/periods").json()));
    assert_eq!(before.last(), Some(&json!("2026-07")));
    assert!(now.ends_with(&before), "{before:?} {now:?}");
    assert_eq!(post(&server, "/v1/orders", &order("A-1", 1)).0, 409);
}

#[test]
fn a_batch_is_answered_line_by_line_however_it_is_cut() {
    let place = crate::common::scratch();
    let server = start(place.path());
    join(&server);
    let text = (0..500)
        .map(|number| {
            let member = if number == 250 { 99 } else { 1 + number % 2 };
            format!("{}\n", order(&format!("A-{number}"), member))
        })
        .collect::<Vec<_>>()
        .concat();
    for size in [1_000, 7_777] {
        let mut client = server.connect();
        let mut sender = client.sender();
        let head = "POST /v1/orders/batch HTTP/1.1\r\nhost: localhost\r\n\
                    content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        sender.write_all(head.as_bytes()).unwrap();
        for chunk in text.as_bytes().chunks(size) {
            let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
            sender.write_all(&framed).unwrap();
        }
        sender.write_all(b"0\r\n\r\n").unwrap();
        let reply = client.read_reply(false).unwrap();
        let lines: Vec<Value> =
            reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 500);
        // The second time they are repeats.
        let status = if size == 1_000 { 201 } else { 200 };
        for (number, line) in lines.iter().enumerate() {
            let expected = if number == 250 { 404 } else { status };
            assert_eq!((&line["line"], &line["status"]), (&json!(number + 1), &json!(expected)), "{line}");
        }
    }
    assert_eq!(group(&server, 1), "4990.00");
}

#[test]
fn a_period_is_led_through_its_life_and_each_command_names_who_sent_it() {
    let place = Place::new();
    let admin = place.key(&["--role", "admin"]);
    let shop = place.key(&["--scope", "orders:write"]);
    let folder = crate::common::scratch();
    let server = place.serve(&["--plan", &plan(folder.path())]);
    let send = |key: &crate::auth::support::Key, path: &str, body: &Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut headers = vec![("x-api-key", key.id.as_str()), ("x-api-secret", key.secret.as_str())];
        if !body.is_empty() {
            headers.push(("content-type", "application/json"));
        }
        let reply = server.request("POST", path, &headers, body.as_bytes());
        (reply.status, reply.json())
    };
    assert_eq!(send(&admin, "/v1/members", &json!({ "user_id": uuid(1) })).0, 201);
    assert_eq!(send(&shop, "/v1/orders", &order("A-1", 1)).0, 201);
    assert_eq!(send(&shop, "/v1/orders/A-1/refund", &json!({ "refund_id": "R-1" })).0, 201);
    let path = "/v1/calendars/month/periods/2026-07";
    assert_eq!(send(&shop, &format!("{path}/lock"), &json!({})).0, 403);
    let reason = json!({ "reason": "looked through" });
    assert_eq!(send(&admin, &format!("{path}/lock"), &reason).0, 200);
    assert_eq!(send(&admin, &format!("{path}/runs"), &Value::Null).0, 201);
    assert_eq!(send(&admin, &format!("{path}/approve"), &reason).0, 200);
    let (status, posted) = send(&admin, &format!("{path}/post"), &reason);
    assert_eq!((status, &posted["period"]["state"]), (200, &json!("posted")));
    let by = json!({ "kind": "admin", "id": admin.id });
    let steps = posted["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["by"] == by && step["reason"] == "looked through"), "{posted}");
    assert_eq!(posted["runs"][0]["by"], by);
    let headers = [("x-api-key", admin.id.as_str()), ("x-api-secret", admin.secret.as_str())];
    // Who sent each command.
    let system = json!({ "kind": "system", "id": null });
    let of_shop = json!({ "kind": "service", "id": shop.id });
    for (kind, actor) in [
        ("open_period", &system),
        ("close_period", &system),
        ("place_order", &of_shop),
        ("refund_order", &of_shop),
        ("step_period", &by),
        ("record_run", &by),
    ] {
        let audited = server.request("GET", &format!("/v1/audit?kind={kind}&limit=1"), &headers, b"").json();
        assert_eq!(audited["items"][0]["actor"], *actor, "{kind}");
    }
}
