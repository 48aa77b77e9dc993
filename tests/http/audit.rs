//! Attribution on the running binary: every write records its actor, in the feed, in explanations, and in the
//! audit.

use std::process::Command;

use serde_json::{Value, json};

use crate::{
    auth::support::{self, Place},
    common::{Reply, Server, binary, registration, uuid},
};

type Headers = Vec<(String, String)>;

fn ask(server: &Server, headers: &Headers, method: &str, path: &str, body: &str) -> Reply {
    let mut all: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if !body.is_empty() {
        let kind = if path.ends_with("/batch") { "application/x-ndjson" } else { "application/json" };
        all.push(("content-type", kind));
    }
    server.request(method, path, &all, body.as_bytes())
}

fn headers_of(key: &support::Key) -> Headers {
    vec![("x-api-key".into(), key.id.clone()), ("x-api-secret".into(), key.secret.clone())]
}

/// Performs a write on every writing route.
fn write_all(server: &Server, headers: &Headers) {
    let expect = |reply: Reply, what: &str| {
        assert!((200..300).contains(&reply.status), "{what}: {} {}", reply.status, reply.text());
    };
    let send =
        |method: &str, path: &str, body: String| expect(ask(server, headers, method, path, &body), path);
    send("POST", "/user/root_user", registration(&uuid(1), None));
    send("POST", "/user/register", registration(&uuid(2), Some(&uuid(1))));
    send("POST", "/v1/members", json!({"user_id": uuid(3), "sponsor": {"user_id": uuid(2)}}).to_string());
    send(
        "POST",
        "/v1/members/batch",
        format!("{}\n", json!({"user_id": uuid(4), "sponsor": {"user_id": uuid(3)}})),
    );
    send(
        "PATCH",
        &format!("/v1/members/{}", uuid(4)),
        json!({"status": "inactive", "role": "admin"}).to_string(),
    );
    send("POST", "/bonus/", json!({"source_user_id": uuid(3), "trigger_type": "referral"}).to_string());
    send("POST", "/v1/bonuses", json!({"source": uuid(2), "kind": "referral", "once": false}).to_string());
    let bonuses = ask(server, headers, "GET", "/bonus/", "").json();
    let id = |at: usize| bonuses[at]["id"].as_str().expect("an id").to_owned();
    send("PATCH", &format!("/bonus/{}/mark-paid", id(0)), "{}".into());
    send("POST", &format!("/v1/bonuses/{}/pay", id(1)), String::new());
    send("POST", "/v1/bonuses/pay-all", String::new());
    send("POST", "/bonus/", json!({"source_user_id": uuid(3), "trigger_type": "referral"}).to_string());
    let pending = ask(server, headers, "GET", "/v1/bonuses?status=pending", "").json();
    let bonus = |at: usize| format!("/v1/bonuses/{}", pending["items"][at]["id"].as_str().expect("an id"));
    for change in ["hold", "release", "void"] {
        send("POST", &format!("{}/{change}", bonus(0)), json!({"reason": "under review"}).to_string());
    }
    send("POST", &format!("{}/reverse", bonus(1)), String::new());
    send("GET", "/bonus/mark-paid/all", String::new());
    let mut plan = ask(server, headers, "GET", "/v1/plan", "").json()["plan"].clone();
    plan["name"] = json!("another name");
    let mut with_version = headers.clone();
    with_version.push(("if-match".into(), "\"1\"".into()));
    expect(ask(server, &with_version, "PUT", "/v1/plan", &plan.to_string()), "PUT /v1/plan");
}

fn audit(server: &Server, headers: &Headers, query: &str) -> Value {
    let reply = ask(server, headers, "GET", &format!("/v1/audit{query}"), "");
    assert_eq!(reply.status, 200, "{query}: {}", reply.text());
    reply.json()
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().expect("a list")
}

#[test]
fn every_route_that_writes_names_who_sent_it() {
    let place = Place::new();
    let admin = place.key(&["--role", "admin"]);
    let server = place.serve(&["--test-data"]);
    let headers = headers_of(&admin);
    write_all(&server, &headers);
    let all = audit(&server, &headers, "?limit=1000");
    assert_eq!(items(&all).len(), 18, "{all}");
    for item in items(&all) {
        assert_eq!(item["actor"], json!({"kind": "admin", "id": admin.id}), "{item}");
    }
    assert_eq!(all["next"], Value::Null);
    // Newest first, and filtered.
    let lsns: Vec<u64> = items(&all).iter().map(|item| item["lsn"].as_u64().expect("a number")).collect();
    assert!(lsns.is_sorted_by(|newer, older| newer > older), "{lsns:?}");
    let of = |query: &str| items(&audit(&server, &headers, query)).len();
    assert_eq!((of("?kind=pay_all"), of("?kind=put_plan"), of("?actor_kind=admin&kind=register")), (2, 1, 4));
    assert_eq!(
        (
            of("?actor_kind=service"),
            of("?actor_id=somebody"),
            of(&format!("?actor_id={}&kind=set_role", admin.id))
        ),
        (0, 0, 1)
    );
    // Pages concatenate to the whole list, despite concurrent writes.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = audit(&server, &headers, &format!("?limit=4{cursor}"));
        seen.extend(items(&page).iter().map(|item| item["lsn"].as_u64().expect("a number")));
        ask(
            &server,
            &headers,
            "POST",
            "/user/root_user",
            &registration(&uuid(1_000 + seen.len() as u64), None),
        );
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, lsns);
    // Times: at least, and less than.
    let time = |at: usize| items(&all)[at]["time"].as_str().expect("a time").to_owned();
    let (newer, older) = (time(2), time(5));
    let expected = items(&all).iter().filter(|item| {
        let time = item["time"].as_str().expect("a time");
        older.as_str() <= time && time < newer.as_str()
    });
    assert_eq!(of(&format!("?limit=1000&from={older}&to={newer}")), expected.count());
    // Who activated a version of the plan: the command with its LSN.
    let versions = ask(&server, &headers, "GET", "/v1/plan/versions", "").json();
    let changes = audit(&server, &headers, "?kind=put_plan");
    assert_eq!(items(&changes)[0]["lsn"], versions["versions"][0]["from_lsn"]);
    // Unknown values.
    for query in
        ["?kind=nothing", "?actor_kind=nobody", "?limit=0", "?since=1", "?cursor=AAAA", "?from=yesterday"]
    {
        let reply = ask(&server, &headers, "GET", &format!("/v1/audit{query}"), "");
        assert!(matches!(reply.status, 400 | 422), "{query}: {}", reply.text());
    }
    // The explanation of a bonus names the actor of its payment.
    let bonuses = ask(&server, &headers, "GET", "/bonus/", "").json();
    let id = bonuses[0]["id"].as_str().expect("an id");
    let explained = ask(&server, &headers, "GET", &format!("/v1/bonuses/{id}/explain"), "").json();
    assert_eq!(explained["paid"]["actor"]["id"], json!(admin.id), "{explained}");
    assert_eq!(explained["command"]["actor"]["kind"], json!("admin"), "{explained}");
}

#[test]
fn only_admins_and_auditors_read_the_audit() {
    let place = Place::new();
    let [admin, auditor] = ["admin", "auditor"].map(|role| place.key(&["--role", role]));
    let every = place.key(&["--scope", "events:read"]);
    let server = place.serve(&[]);
    for (key, expected) in [(&admin, 200), (&auditor, 200), (&every, 403)] {
        assert_eq!(ask(&server, &headers_of(key), "GET", "/v1/audit", "").status, expected);
    }
    assert_eq!(server.get("/v1/audit").status, 401);
}

#[test]
fn a_sender_without_credentials_is_named_by_its_address_and_a_command_by_its_user() {
    let place = Place::new();
    let server = place.serve(&["--test-data"]);
    let none = Headers::new();
    write_all(&server, &none);
    for item in items(&audit(&server, &none, "?limit=1000")) {
        assert_eq!(item["actor"], json!({"kind": "anonymous", "id": "127.0.0.1"}), "{item}");
    }
    let newest = audit(&server, &none, "?limit=1")["items"][0]["lsn"].as_u64().expect("a number");
    drop(server);
    let rows = place.file("rows.csv");
    std::fs::write(&rows, format!("member,sponsor,joined_at\n{},{},2025-03-01\n", uuid(77), uuid(1)))
        .expect("a file");
    let mut import = Command::new(binary());
    let done = import
        .args(["import", "--data-dir"])
        .arg(place.data())
        .arg(&rows)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let shown = Command::new(binary())
        .args(["inspect", "log", "--json", "--from", &(newest + 1).to_string(), "--data-dir"])
        .arg(place.data())
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .output()
        .expect("it runs");
    let lines = String::from_utf8(shown.stdout).expect("UTF-8");
    let commands: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let imported: Vec<&Value> = commands.iter().filter(|line| line["what"] == "command").collect();
    assert_eq!(imported.len(), 1, "{lines}");
    assert_eq!(imported[0]["actor"]["kind"], "cli");
    assert!(imported[0]["actor"]["id"].as_str().is_some_and(|id| !id.is_empty()));
    let server = place.serve(&[]);
    assert_eq!(items(&audit(&server, &none, "?actor_kind=cli")).len(), 1);
}
