//! `/v1` accepts only what its description lists: each unknown parameter, unexpected body, array in place of
//! an object and wrong type is refused by name, in terms of the request; and a started operation completes,
//! whether or not its client waits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{PATIENCE, Reply, Server, uuid};

fn start() -> (tempfile::TempDir, Server) {
    let directory = crate::common::scratch();
    let server = Server::start(&directory.path().join("data"), &[]);
    (directory, server)
}

fn send(server: &Server, method: &str, path: &str, body: &str) -> Reply {
    server.request(method, path, &[("content-type", "application/json")], body.as_bytes())
}

/// Returns status, code and field; the field is empty if there is none.
fn told(reply: &Reply) -> (u16, String, String) {
    if reply.status < 400 {
        return (reply.status, String::new(), String::new());
    }
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{}", reply.text());
    let problem = reply.json();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    (reply.status, text("code"), text("field"))
}

fn expect(reply: &Reply, expected: (u16, &str, &str), about: &str) {
    let (status, code, field) = told(reply);
    assert_eq!((status, code.as_str(), field.as_str()), expected, "{about}: {}", reply.text());
}

/// Returns the operations of `/v1`: method, path with its parameters filled in, description.
fn operations(server: &Server) -> Vec<(String, String, Value)> {
    let description = server.get("/openapi.json").json();
    let paths = description["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/"));
    let filled = |path: &str| {
        let parts = path.split('/').map(|part| match part {
            "{level}" => "1".to_owned(),
            "{code}" => "ANNA".to_owned(),
            part if part.starts_with('{') => uuid(1),
            part => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join("/")
    };
    let operations = paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_ascii_uppercase(), filled(path), operation.clone()))
    });
    operations.collect()
}

fn lsn(server: &Server) -> u64 {
    server.get("/v1/stats").header("x-lsn").unwrap().parse().unwrap()
}

fn member(server: &Server, number: u64) -> Value {
    server.get(&format!("/v1/members/{}", uuid(number))).json()
}

/// Creates root 1 and 2 below it; the referral of 2 has paid 1.
fn small_network(server: &Server) {
    for body in [
        json!({ "user_id": uuid(1), "code": "ANNA" }),
        json!({ "user_id": uuid(2), "sponsor": { "user_id": uuid(1) } }),
    ] {
        assert_eq!(send(server, "POST", "/v1/members", &body.to_string()).status, 201);
    }
    let body = json!({ "source": uuid(2), "kind": "referral" }).to_string();
    assert_eq!(send(server, "POST", "/v1/bonuses", &body).status, 201);
}

#[test]
fn every_route_refuses_a_parameter_that_it_does_not_know() {
    let (_directory, server) = start();
    small_network(&server);
    let before = lsn(&server);
    let operations = operations(&server);
    assert!(30 < operations.len(), "{}", operations.len());
    for (method, path, operation) in &operations {
        let about = format!("{method} {path}");
        let reply = send(&server, method, &format!("{path}?zzz=1"), "");
        expect(&reply, (422, "parameter_unknown", "zzz"), &about);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("parameter") && !detail.contains("field"), "{about}: {detail}");
        expect(
            &send(&server, method, &format!("{path}?%7Azz"), ""),
            (422, "parameter_unknown", "zzz"),
            &about,
        );
        let described = operation["responses"]["422"].to_string();
        assert!(described.contains("parameter_unknown"), "{about} does not say so: {described}");
    }
    assert_eq!(lsn(&server), before, "nothing was done");
    // An empty query has no parameters.
    assert_eq!(server.get("/v1/stats?").status, 200);
    assert_eq!(server.get("/v1/stats?&").status, 200);
    assert_eq!(server.request("HEAD", "/v1/stats?zzz=1", &[], b"").status, 422);
    expect(&server.get("/v1/nothing?zzz=1"), (404, "route_unknown", ""), "no route");
    expect(&send(&server, "DELETE", "/v1/plan?zzz=1", ""), (405, "method_not_allowed", ""), "no method");
}

#[test]
fn a_route_that_takes_no_body_refuses_one() {
    let (_directory, server) = start();
    small_network(&server);
    let before = lsn(&server);
    let mut without = 0;
    for (method, path, operation) in operations(&server) {
        if operation["requestBody"].is_object() {
            continue;
        }
        without += 1;
        for body in ["{bad", "{}", "null", " "] {
            expect(
                &send(&server, &method, &path, body),
                (422, "field_unknown", ""),
                &format!("{method} {path} {body}"),
            );
        }
        let described = operation["responses"]["422"].to_string();
        assert!(described.contains("field_unknown"), "{method} {path} does not say so: {described}");
    }
    assert!(20 < without, "{without}");
    assert_eq!(lsn(&server), before, "nothing was paid");
    assert_eq!(
        send(&server, "POST", "/v1/bonuses/pay-all", "").json()["entries"],
        1,
        "an empty body is none"
    );
}

#[test]
fn an_array_is_no_object() {
    let (_directory, server) = start();
    small_network(&server);
    let (one, three) = (uuid(1), uuid(3));
    let change = format!("/v1/members/{one}");
    let plan = server.get("/v1/plan").json()["plan"].clone();
    let with = |place: &str, value: Value| {
        let mut changed = plan.clone();
        *changed.pointer_mut(place).unwrap() = value;
        changed.to_string()
    };
    let currency = json!([plan["currency"]["code"], plan["currency"]["exponent"]]);
    let rank = &plan["ladder"]["live"]["rank"][0];
    let rank = json!([rank["name"], rank["minimum"], null]);
    // method, path, body, field
    let table = [
        (
            "POST",
            "/v1/members",
            json!([three, null, null, null, "member", "2020-01-01T00:00:00Z"]).to_string(),
            "",
        ),
        ("POST", "/v1/members", json!({ "user_id": three, "sponsor": [one, null] }).to_string(), "sponsor"),
        (
            "POST",
            "/v1/members",
            json!({ "user_id": three, "placement": ["breadth-first", null, null] }).to_string(),
            "placement",
        ),
        ("POST", "/v1/members", json!({ "user_id": [three] }).to_string(), "user_id"),
        ("POST", "/v1/bonuses", json!([uuid(2), "referral", null, false]).to_string(), ""),
        (
            "POST",
            "/v1/bonuses",
            json!({ "source": uuid(2), "kind": "purchase", "amount": [100, null, null] }).to_string(),
            "amount",
        ),
        ("PATCH", &change, json!(["inactive", "admin"]).to_string(), ""),
        (
            "PUT",
            "/v1/plan",
            json!(["x", 15, false, currency, [3, "breadth-first", [], false], [], [["thresholds"]]])
                .to_string(),
            "",
        ),
        ("PUT", "/v1/plan", with("/currency", currency.clone()), "currency"),
        ("POST", "/v1/plan/check", with("/currency", currency.clone()), "currency"),
        ("POST", "/v1/plan/check", with("/placement", json!([3, "breadth-first", [], false])), "placement"),
        ("POST", "/v1/plan/check", with("/ladder/live/rank/0", rank), "ladder.live.rank[0]"),
        (
            "POST",
            "/v1/plan/check",
            with("/trigger/0", json!(["referral", "placement", [1], null, false, false])),
            "trigger[0]",
        ),
    ];
    let before = lsn(&server);
    for (method, path, body, field) in &table {
        let reply = send(&server, method, path, body);
        expect(&reply, (422, "field_invalid", field), body);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(!detail.contains("struct") && !detail.contains("sequence"), "{body}: {detail}");
    }
    // Lines of a batch follow the same rule.
    let lines: Vec<&str> = table
        .iter()
        .filter(|(_, path, ..)| *path == "/v1/members")
        .map(|(_, _, body, _)| body.as_str())
        .collect();
    let kind = [("content-type", "application/x-ndjson")];
    let reply = server.request("POST", "/v1/members/batch", &kind, lines.join("\n").as_bytes());
    let answers: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), lines.len());
    for (answer, line) in answers.iter().zip(lines) {
        assert_eq!(
            (&answer["status"], &answer["problem"]["code"]),
            (&json!(422), &json!("field_invalid")),
            "{line}: {answer}"
        );
    }
    assert_eq!(lsn(&server), before, "nothing was done");
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let (_directory, server) = start();
    small_network(&server);
    let plan = server.get("/v1/plan").json()["plan"].clone();
    let change = format!("/v1/members/{}", uuid(1));
    // method, path, body, position of an enum in it, field
    let registration =
        json!({ "user_id": uuid(3), "role": "member", "placement": { "rule": "breadth-first" } });
    let mut named = plan.clone();
    named["trigger"][0]["tree"] = json!("placement");
    named["ladder"]["live"]["basis"] = json!("downline");
    let table = [
        ("POST", "/v1/members", &registration, "/role", "role"),
        ("POST", "/v1/members", &registration, "/placement/rule", "placement.rule"),
        ("PATCH", &change, &json!({ "status": "active" }), "/status", "status"),
        ("PATCH", &change, &json!({ "role": "member" }), "/role", "role"),
        ("POST", "/v1/plan/check", &named, "/placement/rule", "placement.rule"),
        ("POST", "/v1/plan/check", &named, "/trigger/0/tree", "trigger[0].tree"),
        ("POST", "/v1/plan/check", &named, "/ladder/live/rule", "ladder.live.rule"),
        ("POST", "/v1/plan/check", &named, "/ladder/live/tree", "ladder.live.tree"),
        ("POST", "/v1/plan/check", &named, "/ladder/live/basis", "ladder.live.basis"),
    ];
    let before = lsn(&server);
    for (method, path, body, place, field) in table {
        let known = body.pointer(place).unwrap_or_else(|| panic!("{place} of {body}"));
        let as_map = json!({ known.as_str().unwrap(): null });
        for value in [
            json!(null),
            json!(5),
            json!(1.5),
            json!(true),
            json!([known]),
            json!({}),
            as_map,
            json!("nonsense"),
        ] {
            // Null means an absent placement or basis.
            if value.is_null() && matches!(place, "/placement/rule" | "/ladder/live/basis") {
                continue;
            }
            let mut body = body.clone();
            *body.pointer_mut(place).unwrap() = value.clone();
            expect(
                &send(&server, method, path, &body.to_string()),
                (422, "field_invalid", field),
                &format!("{path} {place} = {value}"),
            );
        }
    }
    assert_eq!(lsn(&server), before, "nothing was done");
    // JSON numbers that we do not support are a field error too; invalid JSON remains a JSON error.
    let raw = |body: &str| told(&send(&server, "POST", "/v1/bonuses", body));
    let trigger = |amount: &str| {
        format!("{{\"source\":\"{}\",\"kind\":\"purchase\",\"amount\":{{\"minor\":{amount}}}}}", uuid(2))
    };
    assert_eq!(raw(&trigger("1e999")), (422, "field_invalid".into(), "amount.minor".into()));
    assert_eq!(raw(&trigger("01")), (400, "body_malformed".into(), String::new()));
    assert_eq!(raw(&trigger("NaN")), (400, "body_malformed".into(), String::new()));
    assert_eq!(raw(&trigger("1}")), (400, "body_malformed".into(), String::new()));
}

#[test]
fn problems_of_parameters_name_them_and_speak_of_them() {
    let (_directory, server) = start();
    small_network(&server);
    let one = uuid(1);
    // method, path, field
    let table = [
        ("GET", "/v1/members/zzz".to_owned(), "id"),
        ("GET", "/v1/members/%ff".to_owned(), "id"),
        ("PATCH", "/v1/members/zzz".to_owned(), "id"),
        ("GET", "/v1/members/by-code/%ff".to_owned(), "code"),
        ("GET", format!("/v1/members/{one}/levels/zzz"), "level"),
        ("GET", format!("/v1/members/{one}/levels/-1"), "level"),
        ("GET", format!("/v1/members/{one}/levels/5000000000"), "level"),
        ("GET", "/v1/members/zzz/levels/1".to_owned(), "id"),
        ("GET", format!("/v1/members/{one}/is-ancestor-of/zzz"), "other"),
        ("GET", format!("/v1/members/zzz/is-ancestor-of/{one}"), "id"),
        ("POST", "/v1/bonuses/zzz/pay".to_owned(), "id"),
        ("GET", "/v1/bonuses/zzz/explain".to_owned(), "id"),
        ("GET", format!("/v1/members/{one}/downline?limit=zzz"), "limit"),
        ("GET", format!("/v1/members/{one}/downline?limit="), "limit"),
        ("GET", format!("/v1/members/{one}/downline?limit=-1"), "limit"),
        ("GET", format!("/v1/members/{one}/downline?limit=%2B5"), "limit"),
        ("GET", format!("/v1/members/{one}/downline?%6cimit=%2b5"), "limit"),
        ("GET", format!("/v1/members/{one}/downline?depth=%2B5"), "depth"),
        ("GET", format!("/v1/members/{one}/levels/+1"), "level"),
        ("GET", format!("/v1/members/{one}/levels/%2B1"), "level"),
        ("GET", "/v1/events?from=%2B1".to_owned(), "from"),
        ("GET", format!("/v1/members/{one}/downline?limit=99999999999"), "limit"),
        ("GET", format!("/v1/members/{one}/downline?limit=1&limit=2"), "limit"),
        ("GET", format!("/v1/members/{one}/downline?tree=oak"), "tree"),
        ("GET", "/v1/search".to_owned(), "q"),
        ("GET", "/v1/placement/preview?sponsor=zzz".to_owned(), "sponsor"),
        ("GET", "/v1/events?from=zzz".to_owned(), "from"),
    ];
    for (method, path, field) in table {
        let reply = send(&server, method, &path, if method == "PATCH" { "{\"role\":\"admin\"}" } else { "" });
        expect(&reply, (422, "parameter_invalid", field), &path);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        for inside in
            ["Invalid URL", "parse", "index", "u32", "digit", "field", "struct", "target type", "zzz"]
        {
            assert!(!detail.contains(inside), "{path}: {detail}");
        }
    }
}

#[test]
fn the_root_of_the_api_answers_as_the_api() {
    let (_directory, server) = start();
    for path in ["/v1", "/v1/", "/v1//", "/v1/members/", "/v1/nothing"] {
        for method in ["GET", "POST"] {
            expect(&server.request(method, path, &[], b""), (404, "route_unknown", ""), path);
        }
    }
    assert_eq!(server.get("/v10/").json(), json!({ "detail": "Not Found" }));
}

#[test]
fn two_keys_are_refused_and_nothing_is_done() {
    let (_directory, server) = start();
    small_network(&server);
    let headers = [("content-type", "application/json"), ("idempotency-key", "a"), ("idempotency-key", "b")];
    let trigger = json!({ "source": uuid(2), "kind": "referral", "once": false }).to_string();
    let before = lsn(&server);
    expect(
        &server.request("POST", "/v1/bonuses", &headers, trigger.as_bytes()),
        (422, "parameter_invalid", "Idempotency-Key"),
        "two",
    );
    assert_eq!(lsn(&server), before);
    assert_eq!(server.request("POST", "/v1/bonuses", &headers[..2], trigger.as_bytes()).status, 201);
}

#[test]
fn what_was_sent_does_not_come_back_whole() {
    let (_directory, server) = start();
    small_network(&server);
    let long = "\u{e9}".repeat(25_000);
    let name = "x".repeat(50_000);
    let mut plan = server.get("/v1/plan").json()["plan"].clone();
    plan["trigger"][0]["id"] = json!(long);
    let long_query = "y".repeat(20_000);
    // method, path, body, code
    let table = [
        (
            "POST",
            "/v1/members".to_owned(),
            json!({ "user_id": uuid(3), "role": long }).to_string(),
            "field_invalid",
        ),
        ("POST", "/v1/members".to_owned(), json!({ "user_id": long }).to_string(), "field_invalid"),
        (
            "POST",
            "/v1/members".to_owned(),
            json!({ "user_id": uuid(3), &*name: 1 }).to_string(),
            "field_unknown",
        ),
        ("POST", "/v1/plan/check".to_owned(), plan.to_string(), "field_invalid"),
        ("GET", format!("/v1/stats?{long_query}=1"), String::new(), "parameter_unknown"),
        ("GET", format!("/v1/bonuses?status={long_query}"), String::new(), "parameter_invalid"),
    ];
    for (method, path, body, code) in table {
        let reply = send(&server, method, &path, &body);
        assert_eq!(told(&reply).1, code, "{}", reply.text());
        assert!(reply.body.len() < 2_000, "{code}: {} bytes", reply.body.len());
    }
}

/// Sends a request and disconnects after a delay.
fn send_and_leave(server: &Server, method: &str, path: &str, headers: &str, body: &Value, after: Duration) {
    let body = body.to_string();
    let mut client = server.connect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         {headers}content-length: {}\r\n\r\n",
        body.len()
    );
    client.send(format!("{head}{body}").as_bytes()).unwrap();
    std::thread::sleep(after);
}

#[test]
fn a_change_of_both_is_whole_although_its_client_left() {
    /// At most 64 admins are allowed.
    const MEMBERS: u64 = 60;
    let (_directory, server) = start();
    for number in 1..=MEMBERS {
        assert_eq!(
            send(&server, "POST", "/v1/members", &json!({ "user_id": uuid(number) }).to_string()).status,
            201
        );
    }
    for number in 1..=MEMBERS {
        let path = format!("/v1/members/{}", uuid(number));
        // From before it is read until after the first of its two commands is durable.
        let after = Duration::from_micros(number % 20 * 50);
        send_and_leave(&server, "PATCH", &path, "", &json!({ "status": "inactive", "role": "admin" }), after);
    }
    // An accepted request completes fully, eventually; one dropped before it was read changes nothing.
    let is_half = |number: &u64| {
        let member = member(&server, *number);
        (member["status"] == "inactive") != (member["role"] == "admin")
    };
    let begin = Instant::now();
    let mut half: Vec<u64> = (1..=MEMBERS).filter(is_half).collect();
    while !half.is_empty() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        half.retain(is_half);
    }
    assert!(half.is_empty(), "status without role: {half:?}");
    let done = (1..=MEMBERS).filter(|number| member(&server, *number)["role"] == "admin").count();
    println!("{done} of {MEMBERS} were taken before their client had left");
    assert!(0 < done, "nothing was tried");
}

#[test]
fn plans_are_compared_and_changed_without_anything_between_although_a_client_left() {
    const ROUNDS: u64 = 100;
    let (_directory, server) = start();
    let mut plan = server.get("/v1/plan").json()["plan"].clone();
    let mut version = 1;
    let (mut both, mut first) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let named = |plan: &mut Value, name: &str| {
            plan["name"] = json!(format!("{name} {round}"));
            plan.clone()
        };
        let tag = format!("\"{version}\"");
        let after = Duration::from_micros(round % 20 * 50);
        send_and_leave(
            &server,
            "PUT",
            "/v1/plan",
            &format!("if-match: {tag}\r\n"),
            &named(&mut plan, "left"),
            after,
        );
        let headers = [("content-type", "application/json"), ("if-match", tag.as_str())];
        let reply =
            server.request("PUT", "/v1/plan", &headers, named(&mut plan, "stayed").to_string().as_bytes());
        match reply.status {
            200 if reply.json()["version"] == version + 1 => {}
            200 => both.push(reply.json()),
            _ => {
                assert_eq!(told(&reply).1, "plan_version_differs", "{}", reply.text());
                first += 1;
            }
        }
        version = server.get("/v1/plan").json()["version"].as_u64().unwrap();
    }
    println!("the one that left came first {first} times of {ROUNDS}");
    assert!(both.is_empty(), "both matched the same version: {both:?}");
}
