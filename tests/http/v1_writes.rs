//! The write and operator routes of `/v1`, on the running binary: each route's success and each of its
//! failures, and that a repeat gets the original response, whatever happened in between.

use std::sync::{Arc, Barrier};

use serde_json::{Value, json};

use crate::common::{Reply, Server, uuid};

/// Two legs, selectable rules and slots, fixed amounts and shares, a reward.
const PLAN: &str = r#"
name = "two legs"
currency = { code = "EUR", exponent = 2 }
[placement]
width = 2
rule = "breadth-first"
allow = ["left", "right"]
strategic = true
[[trigger]]
id = "referral"
rate = { by = "level", money = ["10.00", "5.00"] }
[[trigger]]
id = "purchase"
rate = { by = "level", percent = [10, 5] }
[ladder.live]
rule = "thresholds"
basis = "direct"
[[ladder.live.rank]]
name = "Pair"
minimum = 2
reward = "1.00"
"#;

pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = crate::common::scratch();
        std::fs::write(directory.path().join("plan.toml"), PLAN).unwrap();
        Self { directory }
    }

    pub fn start(&self) -> Server {
        let plan = self.directory.path().join("plan.toml");
        Server::start(&self.directory.path().join("data"), &["--plan", plan.to_str().unwrap()])
    }

    /// For directories whose plan has changed since.
    fn start_as_is(&self) -> Server {
        Server::start(&self.directory.path().join("data"), &[])
    }
}

/// Sends a request; null means no body.
pub fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let headers = [&[("content-type", "application/json")], headers].concat();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    server.request(method, path, &headers, body.as_bytes())
}

pub fn post(server: &Server, path: &str, body: &Value) -> Reply {
    send(server, "POST", path, &[], body)
}

pub fn lsn(reply: &Reply) -> u64 {
    reply.header("x-lsn").expect("every answer of a state names its LSN").parse().unwrap()
}

/// Returns status, code and field of a response.
fn told(reply: &Reply) -> (u16, String, String) {
    if reply.status < 400 {
        return (reply.status, String::new(), String::new());
    }
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}", reply.text());
    let problem = reply.json();
    assert_eq!(problem["status"], reply.status);
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("code"), text("field"))
}

pub fn expect(reply: &Reply, expected: (u16, &str, &str), about: &str) {
    let (status, code, field) = told(reply);
    assert_eq!((status, code.as_str(), field.as_str()), expected, "{about}: {}", reply.text());
}

pub fn member(number: u64, sponsor: u64) -> Value {
    json!({ "user_id": uuid(number), "sponsor": { "user_id": uuid(sponsor) } })
}

/// Returns a registration with additional fields.
fn member_with(number: u64, sponsor: u64, more: &Value) -> Value {
    let mut body = member(number, sponsor);
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn registrations_are_answered_by_the_rules() {
    let place = Place::new();
    let server = place.start();
    let slot = |parent: u64, slot: i64| json!({ "placement": { "parent": uuid(parent), "slot": slot } });
    // body, status, code, field; in this order
    let table = [
        (json!({ "user_id": uuid(1) }), 201, "", ""),
        (member_with(2, 1, &json!({ "code": "bob", "joined_at": "2020-02-03T04:05:06Z" })), 201, "", ""),
        (
            json!({
                "user_id": uuid(3), "sponsor": { "code": "BOB" }, "placement": null, "code": null,
                "joined_at": null,
            }),
            201,
            "",
            "",
        ),
        (member_with(4, 1, &json!({ "placement": { "rule": "right" } })), 201, "", ""),
        (member_with(5, 1, &slot(2, 1)), 201, "", ""),
        (member(6, 99), 404, "sponsor_unknown", "sponsor"),
        (json!({ "user_id": uuid(6), "sponsor": { "code": "nobody" } }), 404, "sponsor_unknown", "sponsor"),
        (member_with(6, 1, &slot(99, 0)), 404, "parent_unknown", "placement.parent"),
        (member_with(6, 3, &slot(1, 0)), 409, "parent_outside_sponsor_subtree", "placement.parent"),
        (member_with(6, 1, &slot(2, 1)), 409, "slot_taken", "placement.slot"),
        (member_with(6, 1, &slot(2, 2)), 409, "slot_out_of_range", "placement.slot"),
        (
            member_with(6, 1, &json!({ "placement": { "rule": "balanced" } })),
            409,
            "rule_not_allowed",
            "placement.rule",
        ),
        (member_with(6, 1, &json!({ "code": "Bob" })), 409, "code_taken", "code"),
        (member_with(6, 1, &json!({ "code": "B0B" })), 409, "code_taken", "code"),
        (member_with(6, 1, &json!({ "code": uuid(2) })), 422, "code_reads_as_id", "code"),
        (
            member_with(6, 1, &json!({ "code": uuid(8).replace('-', "").to_uppercase() })),
            422,
            "code_reads_as_id",
            "code",
        ),
        (
            json!({ "user_id": uuid(6), "placement": { "rule": "left" } }),
            409,
            "root_with_placement",
            "placement",
        ),
        (member(5, 2), 409, "member_exists", "user_id"),
        (json!({}), 422, "field_invalid", "user_id"),
        (json!({ "user_id": "x" }), 422, "field_invalid", "user_id"),
        (json!({ "user_id": "00000000-0000-0000-0000-000000000000" }), 422, "field_invalid", "user_id"),
        (json!({ "user_id": uuid(6), "parent_id": uuid(1) }), 422, "field_unknown", "parent_id"),
        (json!({ "user_id": uuid(6), "sponsor": {} }), 422, "field_invalid", "sponsor"),
        (
            json!({ "user_id": uuid(6), "sponsor": { "user_id": uuid(1), "code": "bob" } }),
            422,
            "field_invalid",
            "sponsor",
        ),
        (json!({ "user_id": uuid(6), "sponsor": { "id": uuid(1) } }), 422, "field_unknown", "sponsor.id"),
        (json!({ "user_id": uuid(6), "sponsor": { "code": "a@b" } }), 422, "field_invalid", "sponsor.code"),
        (
            member_with(6, 1, &json!({ "placement": { "rule": "sideways" } })),
            422,
            "field_invalid",
            "placement.rule",
        ),
        (
            member_with(6, 1, &json!({ "placement": { "parent": uuid(1) } })),
            422,
            "field_invalid",
            "placement",
        ),
        (member_with(6, 1, &slot(1, -1)), 422, "field_invalid", "placement.slot"),
        (member_with(6, 1, &json!({ "code": "" })), 422, "field_invalid", "code"),
        (member_with(6, 1, &json!({ "code": "x".repeat(65) })), 422, "field_invalid", "code"),
        (member_with(6, 1, &json!({ "code": "a b" })), 422, "field_invalid", "code"),
        (member_with(6, 1, &json!({ "role": "owner" })), 422, "field_invalid", "role"),
        (
            member_with(6, 1, &json!({ "joined_at": "1969-12-31T23:59:59Z" })),
            422,
            "field_invalid",
            "joined_at",
        ),
        (member_with(6, 1, &json!({ "joined_at": "yesterday" })), 422, "field_invalid", "joined_at"),
        (member(6, 1), 201, "", ""),
    ];
    for (body, status, code, field) in table {
        expect(&post(&server, "/v1/members", &body), (status, code, field), &body.to_string());
    }
    let reply = post(&server, "/v1/members", &member(7, 1));
    assert_eq!(reply.header("location"), Some(format!("/v1/members/{}", uuid(7)).as_str()));
    let got = server.get(reply.header("location").unwrap());
    assert_eq!((got.json(), lsn(&got)), (reply.json(), lsn(&reply)), "the member as it is right after");
    assert_eq!(
        server.get(&format!("/v1/members/{}", uuid(2))).json()["joined_at"],
        "2020-02-03T04:05:06.000000Z"
    );
    assert_eq!(server.get(&format!("/v1/members/{}", uuid(5))).json()["slot"], 1);
    // Inactive members cannot sponsor.
    send(&server, "PATCH", &format!("/v1/members/{}", uuid(7)), &[], &json!({ "status": "inactive" }));
    expect(
        &post(&server, "/v1/members", &member(8, 7)),
        (409, "sponsor_not_active", "sponsor"),
        "inactive sponsor",
    );
    // Invalid JSON.
    let raw =
        |kind: &str, body: &[u8]| server.request("POST", "/v1/members", &[("content-type", kind)], body);
    expect(&raw("application/json", b"{"), (400, "body_malformed", ""), "broken");
    expect(&raw("text/plain", b"{}"), (415, "media_type_unsupported", ""), "text");
    expect(&raw("application/json", &vec![b' '; 70_000]), (413, "body_too_large", ""), "large");
    expect(&send(&server, "PUT", "/v1/members", &[], &json!({})), (405, "method_not_allowed", ""), "PUT");
    let long_key = "k".repeat(256);
    let reply = send(&server, "POST", "/v1/members", &[("idempotency-key", &long_key)], &member(8, 1));
    expect(&reply, (422, "parameter_invalid", "Idempotency-Key"), "long key");
}

#[test]
fn a_repeat_is_the_first_answer_whatever_happened_since() {
    let place = Place::new();
    let server = place.start();
    let bodies = [
        json!({ "user_id": uuid(1) }),
        member_with(2, 1, &json!({ "role": "admin", "code": "Anna" })),
        member_with(3, 1, &json!({ "placement": { "parent": uuid(2), "slot": 1 } })),
        member_with(
            4,
            1,
            &json!({ "placement": { "rule": "right" }, "joined_at": "2021-01-01T00:00:00.5Z" }),
        ),
        member_with(5, 1, &json!({ "placement": { "rule": "breadth-first" } })),
        json!({ "user_id": uuid(6), "sponsor": { "code": "anna" } }),
        member(7, 2),
    ];
    let first: Vec<Reply> = bodies.iter().map(|body| post(&server, "/v1/members", body)).collect();
    first.iter().for_each(|reply| assert_eq!(reply.status, 201, "{}", reply.text()));

    let keyed = |server: &Server, method: &str, path: &str, key: &str, body: &Value| {
        let reply = send(server, method, path, &[("idempotency-key", key)], body);
        (reply.status, reply.text().to_owned(), reply.header("x-lsn").map(str::to_owned))
    };
    let trigger = json!({
        "source": uuid(7), "kind": "purchase", "amount": { "minor": 1_005, "currency": "EUR", "exponent": 2 },
    });
    let paid = keyed(&server, "POST", "/v1/bonuses", "order-1", &trigger);
    assert_eq!(paid.0, 201, "{paid:?}");
    let bonus =
        serde_json::from_str::<Value>(&paid.1).unwrap()["bonuses"][0]["id"].as_str().unwrap().to_owned();
    let other = json!({ "source": uuid(7), "kind": "purchase", "amount": { "minor": 1_006 } });
    // method, path, key, body; each is repeated below
    let promote = (uuid(3), json!({ "status": "inactive", "role": "admin" }));
    let writes = [
        ("POST", "/v1/bonuses".to_owned(), "order-1", trigger.clone()),
        ("PATCH", format!("/v1/members/{}", promote.0), "change-1", promote.1),
        (
            "PATCH",
            format!("/v1/members/{}", uuid(2)),
            "change-2",
            json!({ "role": "member", "status": "terminated" }),
        ),
        ("POST", format!("/v1/bonuses/{bonus}/pay"), "pay-1", json!(null)),
        ("POST", "/v1/bonuses/pay-all".to_owned(), "pay-2", json!(null)),
        ("POST", "/v1/members".to_owned(), "signup-1", member(8, 1)),
    ];
    let answers: Vec<_> =
        writes.iter().map(|(method, path, key, body)| keyed(&server, method, path, key, body)).collect();
    assert_eq!(answers[0], paid);

    let check = |server: &Server, about: &str| {
        for (body, first) in bodies.iter().zip(&first) {
            let again = post(server, "/v1/members", body);
            assert_eq!((again.status, again.text()), (200, first.text()), "{about}: {body}");
            assert_eq!(again.header("location"), first.header("location"));
            assert!(lsn(first) <= lsn(&again));
        }
        for ((method, path, key, body), first) in writes.iter().zip(&answers) {
            let mut again = keyed(server, method, path, key, body);
            if path == "/v1/members" {
                assert_eq!(again.0, 200);
                again.0 = 201;
            }
            assert_eq!(again, *first, "{about}: {method} {path}");
        }
        expect(
            &send(server, "POST", "/v1/bonuses", &[("idempotency-key", "order-1")], &other),
            (422, "key_reused", "Idempotency-Key"),
            about,
        );
        // The same key is a different key on another route.
        let elsewhere =
            send(server, "POST", "/v1/bonuses/pay-all", &[("idempotency-key", "order-1")], &json!(null));
        assert_eq!(elsewhere.status, 200);
        // The sponsor by its other name, the default rule explicit or not, the code in other case.
        let alike = [
            member(6, 2),
            member(5, 1),
            member_with(7, 2, &json!({ "placement": { "rule": "breadth-first" } })),
            member_with(2, 1, &json!({ "role": "admin", "code": "ANNA" })),
        ];
        for body in alike {
            assert_eq!(post(server, "/v1/members", &body).status, 200, "{about}: {body}");
        }
        let others = [
            member(1, 2),
            json!({ "user_id": uuid(2) }),
            member(2, 1),
            member_with(2, 1, &json!({ "role": "admin", "code": "Anne" })),
            member_with(3, 1, &json!({ "role": "admin" })),
            member_with(3, 1, &json!({ "placement": { "parent": uuid(2), "slot": 0 } })),
            member_with(4, 1, &json!({ "placement": { "rule": "right" } })),
            member_with(
                4,
                1,
                &json!({ "placement": { "rule": "left" }, "joined_at": "2021-01-01T00:00:00.5Z" }),
            ),
            member_with(5, 1, &json!({ "joined_at": "2021-01-01T00:00:00.5Z" })),
            member(7, 1),
        ];
        for body in others {
            expect(
                &post(server, "/v1/members", &body),
                (409, "member_exists", "user_id"),
                &format!("{about}: {body}"),
            );
        }
    };
    check(&server, "at once");
    server.kill();
    let server = place.start();
    check(&server, "after kill -9");
    assert_eq!(post(&server, "/v1/snapshots", &json!(null)).status, 201);
    server.kill();
    let server = place.start();
    check(&server, "from a snapshot");
}

#[test]
fn of_equal_registrations_at_once_all_get_the_one_member() {
    const CLIENTS: u64 = 8;
    const ROUNDS: u64 = 30;
    let place = Place::new();
    let server = Arc::new(place.start());
    post(&server, "/v1/members", &json!({ "user_id": uuid(1) }));
    let barrier = Arc::new(Barrier::new(usize::try_from(CLIENTS).unwrap()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (server, barrier) = (Arc::clone(&server), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let mut client = server.connect();
                let round = |round: u64| {
                    barrier.wait();
                    client.post("/v1/members", &member(10 + round, 1).to_string())
                };
                (0..ROUNDS).map(round).collect::<Vec<_>>()
            })
        })
        .collect();
    let replies: Vec<Vec<Reply>> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    for round in 0..usize::try_from(ROUNDS).unwrap() {
        let of_round: Vec<&Reply> = replies.iter().map(|replies| &replies[round]).collect();
        let made = of_round.iter().filter(|reply| reply.status == 201).count();
        assert_eq!(made, 1, "{:?}", of_round.iter().map(|reply| reply.status).collect::<Vec<_>>());
        for reply in &of_round {
            assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
            assert_eq!(reply.body, of_round[0].body);
        }
    }
}

#[test]
fn members_are_managed_by_the_rules() {
    let place = Place::new();
    let server = place.start();
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 1)] {
        post(&server, "/v1/members", &body);
    }
    // member, change, status, code, field
    let table = [
        (2, json!({ "status": "inactive" }), 200, "", ""),
        (2, json!({ "status": "inactive" }), 200, "", ""),
        (2, json!({ "status": "active", "role": "admin" }), 200, "", ""),
        (2, json!({ "status": "terminated" }), 200, "", ""),
        (2, json!({ "status": "active" }), 409, "status_change_not_allowed", "status"),
        (2, json!({ "status": "active", "role": "member" }), 409, "status_change_not_allowed", "status"),
        (99, json!({ "status": "active" }), 404, "member_unknown", ""),
        (2, json!({}), 422, "field_invalid", ""),
        (2, json!({ "status": "gone" }), 422, "field_invalid", "status"),
        (2, json!({ "rank": 1 }), 422, "field_unknown", "rank"),
    ];
    for (number, change, status, code, field) in table {
        let reply = send(&server, "PATCH", &format!("/v1/members/{}", uuid(number)), &[], &change);
        expect(&reply, (status, code, field), &change.to_string());
    }
    let got = server.get(&format!("/v1/members/{}", uuid(2))).json();
    assert_eq!(
        (&got["status"], &got["role"]),
        (&json!("terminated"), &json!("admin")),
        "what was refused changed nothing, not even its half"
    );
    expect(
        &send(&server, "PATCH", "/v1/members/x", &[], &json!({})),
        (422, "parameter_invalid", "id"),
        "no id",
    );
    let changed =
        send(&server, "PATCH", &format!("/v1/members/{}", uuid(3)), &[], &json!({ "role": "admin" }));
    assert_eq!(
        changed.json(),
        json!({ "user_id": uuid(3), "status": null, "role": { "now": "admin", "changed": true } })
    );
    // At most 64 admins are allowed; two exist.
    for number in 100..162 {
        assert_eq!(
            post(&server, "/v1/members", &member_with(number, 1, &json!({ "role": "admin" }))).status,
            201
        );
    }
    expect(
        &post(&server, "/v1/members", &member_with(200, 1, &json!({ "role": "admin" }))),
        (409, "admins_full", "role"),
        "register",
    );
    let both = json!({ "role": "admin", "status": "inactive" });
    expect(
        &send(&server, "PATCH", &format!("/v1/members/{}", uuid(1)), &[], &both),
        (409, "admins_full", "role"),
        "promote",
    );
    assert_eq!(server.get(&format!("/v1/members/{}", uuid(1))).json()["status"], "active", "judged together");
}

#[test]
fn bonuses_are_paid_by_the_rules() {
    let place = Place::new();
    let server = place.start();
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 2), member(4, 3)] {
        post(&server, "/v1/members", &body);
    }
    let source = uuid(4);
    // body, status, code, field
    let table = [
        (json!({ "source": uuid(99), "kind": "referral" }), 404, "member_unknown", "source"),
        (json!({ "source": source, "kind": "lottery" }), 409, "trigger_unknown", "kind"),
        (json!({ "source": source, "kind": "purchase" }), 409, "amount_missing", "amount"),
        (json!({ "source": source, "kind": "" }), 422, "field_invalid", "kind"),
        (json!({ "source": source, "kind": "k".repeat(65) }), 422, "field_invalid", "kind"),
        (json!({ "source": source, "kind": "purchase", "amount": 5 }), 422, "field_invalid", "amount"),
        (
            json!({ "source": source, "kind": "purchase", "amount": { "minor": -1 } }),
            422,
            "field_invalid",
            "amount.minor",
        ),
        (
            json!({ "source": source, "kind": "purchase", "amount": { "minor": 1.5 } }),
            422,
            "field_invalid",
            "amount.minor",
        ),
        (
            json!({ "source": source, "kind": "purchase", "amount": { "minor": 10_000_000_000_001_i64 } }),
            422,
            "field_invalid",
            "amount.minor",
        ),
        (
            json!({ "source": source, "kind": "purchase", "amount": { "minor": 1, "currency": "USD" } }),
            422,
            "field_invalid",
            "amount.currency",
        ),
        (
            json!({ "source": source, "kind": "purchase", "amount": { "minor": 1, "exponent": 3 } }),
            422,
            "field_invalid",
            "amount.exponent",
        ),
        (json!({ "source": source, "kind": "referral", "level": 1 }), 422, "field_unknown", "level"),
        (json!({ "source": source, "kind": "referral", "once": false }), 201, "", ""),
        (json!({ "source": source, "kind": "referral" }), 201, "", ""),
        (json!({ "source": source, "kind": "referral" }), 409, "triggered_before", ""),
        (json!({ "source": source, "kind": "referral", "once": true }), 409, "triggered_before", ""),
        (json!({ "source": source, "kind": "referral", "once": false }), 201, "", ""),
    ];
    for (body, status, code, field) in table {
        expect(&post(&server, "/v1/bonuses", &body), (status, code, field), &body.to_string());
    }
    send(&server, "PATCH", &format!("/v1/members/{}", uuid(2)), &[], &json!({ "status": "inactive" }));
    let reply = post(
        &server,
        "/v1/bonuses",
        &json!({ "source": source, "kind": "purchase", "amount": { "minor": 1_005 } }),
    );
    let paid = reply.json();
    assert_eq!(
        (reply.status, &paid["withheld"], paid["bonuses"].as_array().unwrap().len()),
        (201, &json!(1), 1)
    );
    let bonus = &paid["bonuses"][0];
    assert_eq!(
        (&bonus["receiver"], &bonus["amount"], &bonus["status"], &bonus["level"], &bonus["lsn"]),
        (
            &json!(uuid(3)),
            &json!({ "minor": 101, "currency": "EUR", "exponent": 2 }),
            &json!("pending"),
            &json!(1),
            &json!(lsn(&reply))
        ),
        "rounded half away from zero"
    );
    let pay = |id: &str| send(&server, "POST", &format!("/v1/bonuses/{id}/pay"), &[], &json!(null));
    let id = bonus["id"].as_str().unwrap();
    for _ in 0..2 {
        let mut expected = bonus.clone();
        expected["status"] = json!("paid");
        assert_eq!(pay(id).json(), expected);
    }
    expect(&pay(&uuid(77)), (404, "entry_unknown", ""), "an id that names nothing");
    expect(&pay("x"), (422, "parameter_invalid", "id"), "no id");
    let pay_all = || {
        let reply = send(&server, "POST", "/v1/bonuses/pay-all", &[], &json!(null));
        let (paid, lsn) = (reply.json(), lsn(&reply));
        assert_eq!(paid["up_to_lsn"], lsn - 1);
        (paid["entries"].clone(), paid["total"]["minor"].clone())
    };
    assert_eq!(
        [pay_all(), pay_all()],
        [(json!(6), json!(4_500)), (json!(0), json!(0))],
        "the two of each referral"
    );
}

/// Pays what was seen, and nothing later; each response says what it covered, again for a repeat. The state
/// that a request is validated against may have changed since it was done: its key is looked up first.
#[test]
fn a_repeat_is_known_under_a_plan_that_would_refuse_it() {
    let place = crate::common::scratch();
    let server = Server::start(place.path(), &[]);
    post(&server, "/v1/members", &json!({ "user_id": uuid(1) }));
    // A root's purchase pays no one, so the currency is not fixed yet.
    let body = json!({
        "source": uuid(1), "kind": "purchase", "amount": { "minor": 10_000, "currency": "USD", "exponent": 2 }
    });
    let key = |key| [("idempotency-key", key)];
    let paid = send(&server, "POST", "/v1/bonuses", &key("e1"), &body);
    assert_eq!(paid.status, 201, "{}", paid.text());
    let mut plan = server.get("/v1/plan").json()["plan"].clone();
    plan["currency"]["code"] = json!("EUR");
    let put = send(&server, "PUT", "/v1/plan", &[("if-match", "\"1\"")], &plan);
    assert_eq!(put.status, 200, "{}", put.text());
    let again = send(&server, "POST", "/v1/bonuses", &key("e1"), &body);
    assert_eq!((again.status, again.header("x-lsn")), (201, paid.header("x-lsn")), "{}", again.text());
    assert_eq!(again.json(), paid.json());
    expect(
        &send(&server, "POST", "/v1/bonuses", &key("e2"), &body),
        (422, "field_invalid", "amount.currency"),
        "another key",
    );
    let other = json!({ "source": uuid(1), "kind": "purchase", "amount": { "minor": 1, "currency": "USD" } });
    expect(
        &send(&server, "POST", "/v1/bonuses", &key("e1"), &other),
        (422, "key_reused", "Idempotency-Key"),
        "another body",
    );
    for wrong in ["%2B5", "-5", "", "5x"] {
        let reply = send(&server, "POST", &format!("/v1/bonuses/pay-all?up_to={wrong}"), &[], &Value::Null);
        assert_eq!(
            (reply.status, reply.json()["field"].as_str()),
            (422, Some("up_to")),
            "{wrong}: {}",
            reply.text()
        );
    }
    // A registration that writes nothing stores no key.
    post(&server, "/v1/members", &member(2, 1));
    let register = |number| send(&server, "POST", "/v1/members", &key("k7"), &member(number, 1)).status;
    assert_eq!((register(2), register(3), register(3), register(4)), (200, 201, 200, 422));
}

#[test]
fn what_was_listed_is_what_is_paid() {
    let place = Place::new();
    let server = place.start();
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 2)] {
        post(&server, "/v1/members", &body);
    }
    let refer = |source: u64, reference: &str| {
        post(
            &server,
            "/v1/bonuses",
            &json!({ "source": uuid(source), "kind": "referral", "once": false, "reference": reference }),
        )
        .json()
    };
    let first = refer(3, "order 1");
    assert_eq!(first["bonuses"][0]["reference"], "order 1");
    let listed = server.get("/v1/bonuses?status=pending");
    refer(2, "order 2");
    let pay = |query: &str, key: &str| {
        send(
            &server,
            "POST",
            &format!("/v1/bonuses/pay-all{query}"),
            &[("idempotency-key", key)],
            &json!(null),
        )
    };
    let query = format!("?up_to={}", lsn(&listed));
    let paid = pay(&query, "a").json();
    let expected = json!({ "bonuses": 2, "minor": 1_500, "currency": "EUR", "exponent": 2 });
    assert_eq!(
        (&paid["entries"], &paid["total"], &paid["up_to_lsn"]),
        (&json!(2), &expected, &json!(lsn(&listed)))
    );
    assert_eq!(pay(&query, "a").json(), paid, "a repeat");
    expect(&pay("", "a"), (422, "key_reused", "Idempotency-Key"), "another filter");
    // table: query, how many of the four that are pending, what they come to
    refer(3, "order 1");
    let bonus = first["bonuses"][0]["id"].as_str().unwrap();
    let table = [
        (format!("?up_to={bonus}"), 0, 0),
        ("?kind=purchase".to_owned(), 0, 0),
        (format!("?receiver={}&to=2000-01-01T00:00:00Z", uuid(1)), 0, 0),
        (format!("?receiver={}&kind=referral&from=2000-01-01T00:00:00Z", uuid(2)), 1, 1_000),
        (format!("?receiver={}", uuid(1)), 2, 1_500),
    ];
    for (number, (query, entries, minor)) in table.into_iter().enumerate() {
        let paid = pay(&query, &format!("b{number}")).json();
        assert_eq!(
            (&paid["entries"], &paid["total"]["minor"]),
            (&json!(entries), &json!(minor)),
            "{query}: {paid}"
        );
    }
    let table = [
        ("?up_to=x", 422, "parameter_invalid", "up_to"),
        ("?kind=", 422, "parameter_invalid", "kind"),
        ("?kind=never", 409, "trigger_unknown", "kind"),
        ("?from=2001-01-01T00:00:00Z&to=2000-01-01T00:00:00Z", 422, "parameter_invalid", "from"),
        ("?status=pending", 422, "parameter_unknown", "status"),
    ];
    for (query, status, code, field) in table {
        expect(&pay(query, "c"), (status, code, field), query);
    }
    expect(&pay(&format!("?receiver={}", uuid(77)), "c"), (404, "member_unknown", "receiver"), "no member");
    expect(&pay(&format!("?up_to={}", uuid(77)), "c"), (404, "entry_unknown", "up_to"), "no bonus");
}

/// A bonus is reversed once; sums, lists and lookup by reference reflect it.
#[test]
fn bonuses_are_taken_back_once() {
    let place = Place::new();
    let server = place.start();
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 2)] {
        post(&server, "/v1/members", &body);
    }
    let body = json!({
        "source": uuid(3), "kind": "purchase", "amount": { "minor": 20_000 }, "reference": "order 7",
    });
    let paid = post(&server, "/v1/bonuses", &body).json();
    let bonus = paid["bonuses"][0].clone();
    let id = bonus["id"].as_str().unwrap();
    let reverse = |id: &str, key: &str| {
        send(&server, "POST", &format!("/v1/bonuses/{id}/reverse"), &[("idempotency-key", key)], &json!(null))
    };
    let reply = reverse(id, "r");
    let reversal = reply.json()["reversal"].clone();
    let reversal_id = reversal["id"].as_str().unwrap();
    let mut expected = bonus.clone();
    for (field, value) in [
        ("id", json!(reversal_id)),
        ("lsn", json!(lsn(&reply))),
        ("time", reversal["time"].clone()),
        ("amount", json!({ "minor": -2_000, "currency": "EUR", "exponent": 2 })),
        ("reverses", json!(id)),
    ] {
        expected[field] = value;
    }
    assert_eq!((reply.status, &reversal), (201, &expected));
    assert_eq!(reverse(id, "r").json()["reversal"], reversal, "a repeat");
    expect(&reverse(id, "s"), (409, "reversed_before", ""), "again");
    expect(&reverse(reversal_id, "s"), (409, "entry_is_reversal", ""), "the reversal");
    expect(&reverse(&uuid(77), "s"), (404, "entry_unknown", ""), "no bonus");
    let ids = |query: &str| -> Vec<String> {
        let list = server.get(&format!("/v1/bonuses?{query}")).json();
        list["items"]
            .as_array()
            .unwrap_or_else(|| panic!("{query}: {list}"))
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let other = paid["bonuses"][1]["id"].as_str().unwrap();
    let all = [reversal_id.to_owned(), id.to_owned(), other.to_owned()];
    assert_eq!((ids("reference=order%207"), ids("reference=order%208")), (all.to_vec(), vec![]));
    assert_eq!(ids(&format!("source={}&kind=purchase", uuid(3))), all);
    assert_eq!(ids(&format!("reference=order%207&receiver={}", uuid(1))), [other]);
    assert_eq!(ids(&format!("receiver={}&status=pending", uuid(2))), all[..2]);
    assert_eq!(
        (ids("kind=referral"), ids("kind=never"), ids("to=2000-01-01T00:00:00Z")),
        (vec![], vec![], vec![])
    );
    assert_eq!(ids("from=2000-01-01T00:00:00Z"), all);
    let bonuses = server.get("/v1/bonuses").json();
    assert_eq!(bonuses["items"][1]["reversed_by"], json!(reversal_id));
    for (query, status, code, field) in [
        (format!("receiver={}", uuid(77)), 404, "member_unknown", "receiver"),
        (format!("source={}", uuid(77)), 404, "member_unknown", "source"),
        ("reference=%20x".to_owned(), 422, "parameter_invalid", "reference"),
    ] {
        expect(&server.get(&format!("/v1/bonuses?{query}")), (status, code, field), &query);
    }
    let report = server.get(&format!("/v1/members/{}/report", uuid(2))).json();
    let sums = ["total", "pending", "reversed"]
        .map(|name| (report[name]["bonuses"].clone(), report[name]["minor"].clone()));
    assert_eq!(sums, [(json!(2), json!(0)), (json!(2), json!(0)), (json!(1), json!(-2_000))]);
    let told = server.get(&format!("/v1/bonuses/{reversal_id}/explain")).json();
    assert_eq!(
        (&told["cause"], &told["bonus"]["reverses"], &told["command"]["command"]["kind"]),
        (&json!("reversal"), &json!(id), &json!("reverse_bonus"))
    );
    let trigger = server.get(&format!("/v1/bonuses/{id}/explain")).json();
    assert_eq!(trigger["command"]["command"]["reference"], "order 7");
    let weekly = server.get(&format!("/reports/weekly/{}", uuid(2)));
    let weekly = weekly.text();
    assert!(weekly.contains("\"total_bonus\":0.0") && weekly.contains("\"amount\":-20.0"), "{weekly}");
    // Feed and restart.
    let paid = send(&server, "POST", "/v1/bonuses/pay-all", &[], &json!(null)).json();
    assert_eq!((&paid["entries"], &paid["total"]["minor"]), (&json!(3), &json!(1_000)));
    drop(server);
    let server = place.start_as_is();
    expect(
        &send(&server, "POST", &format!("/v1/bonuses/{id}/reverse"), &[], &json!(null)),
        (409, "reversed_before", ""),
        "after a restart",
    );
    assert_eq!(server.get("/v1/bonuses?reference=order%207").json()["items"][0]["id"], json!(reversal_id));
}

/// A held bonus is owed and not paid, a void one is neither; the routes of the original know no such states.
#[test]
fn bonuses_are_held_released_and_voided() {
    let place = Place::new();
    let server = place.start();
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 2)] {
        post(&server, "/v1/members", &body);
    }
    let body = json!({ "source": uuid(3), "kind": "purchase", "amount": { "minor": 20_000 } });
    let paid = post(&server, "/v1/bonuses", &body).json();
    let [id, other] = [0, 1].map(|at| paid["bonuses"][at]["id"].as_str().unwrap().to_owned());
    let minor = paid["bonuses"][0]["amount"]["minor"].as_i64().unwrap();
    let change = |id: &str, change: &str, reason: &str, key: &str| {
        let path = format!("/v1/bonuses/{id}/{change}");
        send(&server, "POST", &path, &[("idempotency-key", key)], &json!({ "reason": reason }))
    };
    let balance = || server.get(&format!("/v1/members/{}/report", uuid(2))).json()["balance"].clone();
    let amounts = |pending: i64, held: i64, paid: i64| {
        json!({
            "pending": pending, "held": held, "paid": paid, "currency": "EUR", "exponent": 2,
        })
    };
    let held = change(&id, "hold", "under review", "h");
    assert_eq!((held.status, &held.json()["status"], &held.json()["id"]), (200, &json!("held"), &json!(id)));
    assert_eq!(change(&id, "hold", "under review", "h").json(), held.json(), "a repeat");
    expect(&change(&id, "hold", "another", "h"), (422, "key_reused", "Idempotency-Key"), "another reason");
    expect(&change(&id, "hold", " ", "i"), (422, "field_invalid", "reason"), "no reason");
    expect(&change(&uuid(77), "hold", "x", "i"), (404, "entry_unknown", ""), "no bonus");
    assert_eq!(balance(), amounts(0, minor, 0));
    // No payout takes it, and clients of the original see one that is not paid yet.
    let refused = (409, "entry_change_not_allowed", "");
    let pay = |id: &str| send(&server, "POST", &format!("/v1/bonuses/{id}/pay"), &[], &json!(null));
    expect(&pay(&id), refused, "it is held");
    let receiver = format!("/v1/bonuses/pay-all?receiver={}", uuid(2));
    assert_eq!(send(&server, "POST", &receiver, &[], &json!(null)).json()["entries"], 0);
    let old = |status: &str| server.get(&format!("/bonus/?status={status}")).json();
    assert_eq!((old("pending").as_array().unwrap().len(), &old("held")), (2, &json!([])));
    assert_eq!(send(&server, "PATCH", &format!("/bonus/{id}/mark-paid"), &[], &json!(null)).status, 409);
    let ids = |status: &str| {
        let list = server.get(&format!("/v1/bonuses?status={status}")).json();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!((ids("held"), ids("pending")), (vec![id.clone()], vec![other.clone()]));
    let told = server.get(&format!("/v1/bonuses/{id}/explain")).json();
    assert_eq!((&told["set_aside"]["reason"], &told["paid"]), (&json!("under review"), &json!(null)));
    assert_eq!(told["breakage"], json!([]));
    assert_eq!(change(&id, "release", "reviewed", "r").json()["status"], "pending");
    assert_eq!(pay(&id).json()["status"], "paid");
    assert_eq!(balance(), amounts(0, 0, minor));
    expect(&change(&id, "void", "too late", "v"), refused, "it is paid");
    assert_eq!(change(&other, "void", "a mistake", "w").json()["status"], "void");
    expect(&pay(&other), refused, "it is void");
    let shown: Vec<_> =
        server.get("/bonus/").json().as_array().unwrap().iter().map(|row| row["id"].clone()).collect();
    assert_eq!(shown, [json!(id)]);
    let figures = &server.get("/v1/stats").json()["network"];
    assert_eq!((&figures["held_bonuses"], &figures["void_bonuses"]), (&json!(0), &json!(1)));
    drop(server);
    let server = place.start_as_is();
    let told = server.get(&format!("/v1/bonuses/{other}/explain")).json();
    assert_eq!(
        (&told["bonus"]["status"], &told["set_aside"]["reason"]),
        (&json!("void"), &json!("a mistake"))
    );
    // The plan pays two levels, and the source has one ancestor.
    let body = json!({ "source": uuid(2), "kind": "purchase", "amount": { "minor": 20_000 } });
    let paid = post(&server, "/v1/bonuses", &body).json();
    let total = json!({ "bonuses": 1, "minor": 1_000, "currency": "EUR", "exponent": 2 });
    let short = json!([{ "reason": "short_upline", "total": total }]);
    let told =
        server.get(&format!("/v1/bonuses/{}/explain", paid["bonuses"][0]["id"].as_str().unwrap())).json();
    assert_eq!(told["breakage"], short);
    let figures = &server.get("/v1/stats").json()["network"];
    assert_eq!(
        (&figures["breakage_by_reason"], &figures["breakage_by_reason_from_lsn"]),
        (&short, &json!(1))
    );
}

#[test]
fn plans_are_read_tried_and_changed() {
    let place = Place::new();
    let server = place.start();
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 1), member(4, 2)] {
        post(&server, "/v1/members", &body);
    }
    let got = server.get("/v1/plan");
    assert_eq!((got.status, got.header("etag"), &got.json()["version"]), (200, Some("\"1\""), &json!(1)));
    let plan = got.json()["plan"].clone();
    assert_eq!(plan["trigger"][0]["rate"], json!({ "by": "level", "money": ["10.00", "5.00"] }));
    let toml = server.request("GET", "/v1/plan", &[("accept", "application/toml")], b"");
    assert_eq!(toml.header("content-type"), Some("application/toml"));
    assert!(
        toml.text().contains("rate = { by = \"level\", money = [\"10.00\", \"5.00\"] }"),
        "{}",
        toml.text()
    );

    let with = |place: &str, value: Value| {
        let mut changed = plan.clone();
        *changed.pointer_mut(place).unwrap() = value;
        changed
    };
    let check = |plan: &Value| post(&server, "/v1/plan/check", plan);
    let put = |plan: &Value, headers: &[(&str, &str)]| send(&server, "PUT", "/v1/plan", headers, plan);
    // plan, result of the trial, result of the change
    let wider = with("/placement/width", json!(3));
    let dearer = with("/currency/code", json!("USD"));
    let shorter = with("/ladder/live/rank", json!([]));
    for (refused, code, field) in
        [(&shorter, "plan_ranks_removed", "ladder.live"), (&dearer, "plan_currency_fixed", "currency")]
    {
        assert_eq!(check(refused).json()["refused"], code);
        expect(&put(refused, &[]), (409, code, field), code);
    }
    // Rules of left and right legs require width 2, so this is not even a valid plan.
    expect(&check(&wider), (422, "field_invalid", "placement.rule"), "width 3");
    let mut other_rule = with("/placement/allow", json!(["left"]));
    assert_eq!(check(&other_rule).json()["refused"], "plan_placement_fixed");
    expect(&put(&other_rule, &[]), (409, "plan_placement_fixed", "placement"), "another rule");
    other_rule["surprise"] = json!(1);
    expect(&put(&other_rule, &[]), (422, "field_unknown", "surprise"), "unknown field");
    expect(
        &put(&with("/ladder/live/rank/0/minimum", json!(0)), &[]),
        (422, "field_invalid", "ladder.live.rank[0].minimum"),
        "minimum",
    );
    assert_eq!(
        put(&with("/ladder/live/rank/0/minimum", json!(0)), &[]).json()["errors"][0]["field"],
        "ladder.live.rank[0].minimum"
    );

    let easier = with("/ladder/live/rank/0/minimum", json!(1));
    let trial = check(&easier).json();
    assert_eq!(
        (&trial["refused"], &trial["promoted"], &trial["demoted"]),
        (&json!(null), &json!(1), &json!(0)),
        "{trial}"
    );
    assert_eq!(trial["ranks"][1], json!({ "rank": 1, "name": "Pair", "before": 1, "after": 2 }));
    let unchanged = check(&plan).json();
    assert_eq!(
        (&unchanged["unchanged"], &unchanged["refused"], &unchanged["promoted"]),
        (&json!(true), &json!(null), &json!(0))
    );
    assert_eq!(server.get("/v1/plan").json()["version"], 1, "trying changes nothing");

    expect(
        &put(&easier, &[("if-match", "\"2\"")]),
        (412, "plan_version_differs", "If-Match"),
        "another version",
    );
    expect(&put(&easier, &[("if-match", "1")]), (422, "parameter_invalid", "If-Match"), "no version");
    let headers = [("if-match", "\"1\""), ("idempotency-key", "plan-1")];
    let changed = put(&easier, &headers);
    assert_eq!(
        (changed.status, changed.json(), changed.header("etag")),
        (200, json!({ "version": 2, "changed": true }), Some("\"2\""))
    );
    let again = put(&easier, &headers);
    assert_eq!(
        (again.status, again.json(), lsn(&again)),
        (200, changed.json(), lsn(&changed)),
        "although version 1 is gone"
    );
    expect(&put(&plan, &headers), (422, "key_reused", "Idempotency-Key"), "another plan");
    assert_eq!(put(&easier, &[]).json(), json!({ "version": 2, "changed": false }));
    assert_eq!(server.get(&format!("/v1/members/{}", uuid(2))).json()["rank"], 1);
    server.kill();
    let server = place.start_as_is();
    let now = server.get("/v1/plan").json();
    assert_eq!(
        (&now["version"], &now["plan"], &now["from_lsn"]),
        (&json!(2), &easier, &json!(lsn(&changed)))
    );
    assert_eq!(
        send(&server, "PUT", "/v1/plan", &headers, &easier).json(),
        json!({ "version": 2, "changed": true }),
        "kept across the crash"
    );
}

#[test]
fn the_plan_of_any_lsn_is_known() {
    let place = Place::new();
    let server = place.start();
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 1), member(4, 2)] {
        post(&server, "/v1/members", &body);
    }
    let first = server.get("/v1/plan").json();
    assert_eq!(
        (&first["version"], &first["from_lsn"], &first["from_time"], &first["exact"]),
        (&json!(1), &json!(0), &json!(null), &json!(true))
    );
    let mut second = first["plan"].clone();
    second["name"] = json!("second");
    let changed = lsn(&send(&server, "PUT", "/v1/plan", &[], &second));
    assert_eq!(changed, 5);
    post(&server, "/v1/snapshots", &json!(null));
    let body = json!({ "source": uuid(4), "kind": "referral" });
    let paid = post(&server, "/v1/bonuses", &body).json();
    server.kill();
    let server = place.start_as_is();
    for (at, version, plan) in
        [(0, 1, &first["plan"]), (4, 1, &first["plan"]), (5, 2, &second), (6, 2, &second)]
    {
        let found = server.get(&format!("/v1/plan?at={at}")).json();
        assert_eq!((&found["version"], &found["plan"]), (&json!(version), plan), "{at}");
    }
    let toml = server.request("GET", "/v1/plan?at=4", &[("accept", "application/toml")], b"");
    assert!(toml.text().starts_with("name = \"two legs\""), "{}", toml.text());
    let versions = server.get("/v1/plan/versions").json()["versions"].clone();
    let found: Vec<_> = versions
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (&version["version"], &version["name"], &version["from_lsn"], &version["exact"]))
        .collect();
    assert_eq!(
        found,
        [
            (&json!(2), &json!("second"), &json!(5), &json!(true)),
            (&json!(1), &json!("two legs"), &json!(0), &json!(true)),
        ]
    );
    assert!(versions[0]["from_time"].is_string() && versions[1]["from_time"].is_null(), "{versions}");
    let id = paid["bonuses"][0]["id"].as_str().unwrap();
    let told = server.get(&format!("/v1/bonuses/{id}/explain")).json();
    assert_eq!((&told["plan"], &told["plan_from_lsn"]), (&json!("second"), &json!(5)));
    // query, status, code
    for (query, status, code, field) in [
        ("at=7", 400, "as_of_invalid", ""),
        ("at=x", 422, "parameter_invalid", "at"),
        ("at=%2B5", 422, "parameter_invalid", "at"),
        ("as_of=5", 422, "parameter_unknown", "as_of"),
    ] {
        expect(&server.get(&format!("/v1/plan?{query}")), (status, code, field), query);
    }
}

#[test]
fn operators_get_snapshots_digests_and_recounts() {
    let place = Place::new();
    let server = Arc::new(place.start());
    for body in [json!({ "user_id": uuid(1) }), member(2, 1), member(3, 1), member(4, 2)] {
        post(&server, "/v1/members", &body);
    }
    let made = post(&server, "/v1/snapshots", &json!(null));
    assert_eq!(
        (made.status, &made.json()["lsn"], &made.json()["members"], lsn(&made)),
        (201, &json!(4), &json!(4), 4)
    );
    assert_eq!(post(&server, "/v1/snapshots", &json!(null)).status, 200, "nothing changed since");
    let kept = server.get("/v1/snapshots").json();
    assert_eq!(
        kept["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["lsn"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [4, 0]
    );
    assert_eq!(kept["items"][0]["bytes"], made.json()["bytes"]);
    let askers: Vec<_> = (0..8)
        .map(|_| {
            let server = Arc::clone(&server);
            std::thread::spawn(move || server.get("/v1/digest").json())
        })
        .collect();
    for asker in askers {
        let digest = asker.join().unwrap();
        assert_eq!(digest["lsn"], 4);
        for name in ["network_digest", "state_digest"] {
            assert_eq!(digest[name], made.json()[name], "{name}");
        }
    }
    let network = server.get("/v1/digest/network");
    assert_eq!((lsn(&network), &network.json()["members"]), (4, &json!(4)));
    assert_eq!(network.json()["network_digest"], made.json()["network_digest"]);
    let recomputed = post(&server, "/v1/ranks/recompute", &json!(null)).json();
    assert_eq!(
        (&recomputed["differences"], &recomputed["members"], &recomputed["lsn"]),
        (&json!(0), &json!(4), &json!(4))
    );
    post(&server, "/v1/members", &member(5, 1));
    let digest = server.get("/v1/digest").json();
    assert_eq!(digest["lsn"], 5, "never older than the request");
    assert_ne!(digest["network_digest"], made.json()["network_digest"]);
    let network = server.get("/v1/digest/network").json();
    for name in ["lsn", "members", "bonuses", "network_digest"] {
        assert_eq!(network[name], digest[name], "{name}");
    }
    for (method, path) in [
        ("DELETE", "/v1/snapshots"),
        ("POST", "/v1/digest"),
        ("POST", "/v1/digest/network"),
        ("GET", "/v1/ranks/recompute"),
        ("GET", "/v1/plan/check"),
    ] {
        expect(&server.request(method, path, &[], b""), (405, "method_not_allowed", ""), path);
    }
}
