//! Checks `/v1` responses against `/openapi.json`: batches line by line, the change feed command by command.
//! All other responses are checked where tests request them (`common/described.rs`).

use std::{
    collections::BTreeSet,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::common::{
    Server, binary,
    described::{fits, validate},
    uuid,
};

const LINE: &str = "/paths/~1v1~1members~1batch/post/responses/200/content/application~1x-ndjson/schema";
const EVENT: &str = "/paths/~1v1~1events/get/responses/200/content/application~1x-ndjson/schema";

fn send(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let reply =
        server.request(method, path, &[("content-type", "application/json")], body.to_string().as_bytes());
    assert!(matches!(reply.status, 200 | 201), "{method} {path}: {}", reply.text());
    reply.json()
}

#[test]
fn lines_of_a_batch_are_accepted_or_rejected() {
    let dir = crate::common::scratch();
    let server = Server::start(dir.path(), &[]);
    let id = |number: u64| uuid(number);
    // line, whether it is accepted
    let table = [
        (json!({ "user_id": id(1) }).to_string(), true),
        (json!({ "user_id": id(2), "sponsor": { "user_id": id(1) }, "code": "Bob" }).to_string(), true),
        (json!({ "user_id": id(2), "sponsor": { "user_id": id(1) }, "code": "Bob" }).to_string(), true),
        (json!({ "user_id": id(2) }).to_string(), false),
        (json!({ "user_id": id(3), "sponsor": { "user_id": id(9) } }).to_string(), false),
        (json!({ "user_id": id(3), "code": "BOB" }).to_string(), false),
        (json!({ "user_id": id(3), "more": 1 }).to_string(), false),
        (json!({ "user_id": 3 }).to_string(), false),
        ("nonsense".to_owned(), false),
        ("x".repeat(5_000), false),
    ];
    let lines: Vec<&str> = table.iter().map(|(line, _)| line.as_str()).collect();
    let text = lines.join("\n");
    let reply = server.request(
        "POST",
        "/v1/members/batch",
        &[("content-type", "application/x-ndjson")],
        text.as_bytes(),
    );
    let answers: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), table.len());
    for (answer, (line, is_accepted)) in answers.iter().zip(&table) {
        validate(LINE, answer, line);
        for (name, expected) in [("AcceptedLine", *is_accepted), ("RejectedLine", !is_accepted)] {
            assert_eq!(fits(&format!("/components/schemas/{name}"), answer), expected, "{name}: {answer}");
        }
    }
    // The schema distinguishes them: a mixture of both is invalid.
    let mut mixed = answers[3].clone();
    mixed["user_id"] = id(2).into();
    assert!(!fits(LINE, &mixed) && !fits(LINE, &json!({ "line": 1, "status": 201 })));
}

/// Returns the change feed up to an LSN.
fn feed(server: &Server, last: u64) -> Vec<Value> {
    let mut client = server.connect();
    client
        .send(b"GET /v1/events?from=1 HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n")
        .unwrap();
    assert_eq!(client.read_head().unwrap().0, 200);
    let mut seen = Vec::new();
    loop {
        assert!(client.read_chunk(&mut seen).unwrap());
        let events: Vec<Value> = seen
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map_while(|line| serde_json::from_slice(line).ok())
            .collect();
        if events.iter().any(|event| event["lsn"] == last) {
            return events;
        }
    }
}

fn lsn(server: &Server) -> u64 {
    server.get("/v1/plan").header("x-lsn").unwrap().parse().unwrap()
}

fn checked(server: &Server) -> Vec<Value> {
    let events = feed(server, lsn(server));
    for event in &events {
        validate(EVENT, event, "the change feed");
    }
    events
}

fn import(data: &Path, rows: &str, bonuses: &str) {
    let folder = crate::common::scratch();
    let (members, ledger) = (folder.path().join("members.csv"), folder.path().join("bonuses.csv"));
    std::fs::write(&members, rows).unwrap();
    std::fs::write(&ledger, bonuses).unwrap();
    let mut command = Command::new(binary());
    command.arg("import").arg(&members).arg("--bonuses").arg(&ledger).arg("--data-dir").arg(data);
    let output =
        command.env_clear().envs([crate::common::SMALL_SEGMENTS]).stdin(Stdio::null()).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Every kind of command that can be in the log, with every form of its parts.
#[test]
fn every_kind_of_command_is_described_as_it_is_sent() {
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let rows = format!(
        "member,sponsor,joined_at,code,role,status,id,lifetime_rank,paid_once\n\
         {0},,2025-03-01,ROOT,admin,active,{2},0,\n{1},ROOT,,,member,inactive,,0,purchase\n",
        uuid(1),
        uuid(2),
        uuid(70)
    );
    let bonuses = format!(
        "receiver,source,level,amount,kind,status,created_at,id\n\
         {0},{1},1,10.00,referral,paid,2025-03-02,{2}\n{0},{1},1,3,referral,pending,2025-03-03,\n",
        uuid(1),
        uuid(2),
        uuid(71)
    );
    // Into an existing network: what precedes the first command is not in the log.
    Server::start(&data, &[]).kill();
    import(&data, &rows, &bonuses);
    let server = Server::start(&data, &[]);
    let root = json!({ "user_id": uuid(1) });
    for (number, more) in [
        (10, json!({ "sponsor": { "code": "root" }, "code": "Anna" })),
        (11, json!({ "sponsor": root, "placement": { "rule": "breadth-first" }, "role": "admin" })),
        (
            12,
            json!({
                "sponsor": root, "placement": { "parent": uuid(10), "slot": 1 },
                "joined_at": "2025-03-04T00:00:00Z",
            }),
        ),
        (13, json!({})),
    ] {
        let mut body = more;
        body["user_id"] = uuid(number).into();
        send(&server, "POST", "/v1/members", &body);
    }
    let key = [("content-type", "application/json"), ("idempotency-key", "order-1")];
    let trigger = json!({
        "source": uuid(12), "kind": "purchase",
        "amount": { "minor": 1_000, "currency": "USD", "exponent": 2 },
    })
    .to_string();
    for _ in 0..2 {
        assert!(matches!(server.request("POST", "/v1/bonuses", &key, trigger.as_bytes()).status, 200 | 201));
    }
    let made = send(&server, "POST", "/v1/bonuses", &json!({ "source": uuid(12), "kind": "referral" }));
    let bonus = made["bonuses"][0]["id"].as_str().unwrap();
    for change in ["hold", "release"] {
        send(&server, "POST", &format!("/v1/bonuses/{bonus}/{change}"), &json!({ "reason": "fraud check" }));
    }
    server.request("POST", &format!("/v1/bonuses/{bonus}/pay"), &[], b"");
    server.request("POST", &format!("/v1/bonuses/{bonus}/reverse"), &[], b"");
    server.request("POST", "/v1/bonuses/pay-all", &[], b"");
    send(
        &server,
        "PATCH",
        &format!("/v1/members/{}", uuid(10)),
        &json!({ "status": "inactive", "role": "admin" }),
    );
    send(&server, "PATCH", &format!("/v1/members/{}", uuid(10)), &json!({ "status": "active" }));
    let mut plan = server.get("/v1/plan").json()["plan"].clone();
    plan["name"] = "another".into();
    send(&server, "PUT", "/v1/plan", &plan);
    let events = checked(&server);
    let kinds: BTreeSet<&str> = events.iter().filter_map(|event| event["command"]["kind"].as_str()).collect();
    let described = upline::http::description();
    let mapping =
        described["components"]["schemas"]["Command"]["discriminator"]["mapping"].as_object().unwrap();
    // JSON and schema of a command come from one table, so a kind that no route sends yet is right if the
    // types of its fields are. All of today are sent.
    assert!(10 <= kinds.len() && kinds.iter().all(|kind| mapping.contains_key(*kind)), "{kinds:?}");
    for placement in ["plan", "rule", "slot"] {
        assert!(events.iter().any(|event| event["command"]["placement"]["by"] == placement), "{placement}");
    }
    assert!(
        events.iter().any(|event| event["command"]["carried"].is_object())
            && events.iter().any(|event| event["idempotency_key"].is_object())
    );
    validate(EVENT, &json!({ "heartbeat": true, "next_lsn": 9 }), "a heartbeat");
    assert!(!fits(EVENT, &json!({ "lsn": 1, "heartbeat": true })));
}

#[test]
fn every_form_of_a_plan_is_described_in_the_feed() {
    let dir = crate::common::scratch();
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans");
    let (mut rules, mut pays) = (BTreeSet::new(), BTreeSet::new());
    for (at, name) in ["binary", "levels", "matrix"].into_iter().enumerate() {
        let file = plans.join(format!("{name}.toml"));
        let source =
            Server::start(&dir.path().join(format!("source-{at}")), &["--plan", file.to_str().unwrap()]);
        let mut plan = source.get("/v1/plan").json()["plan"].clone();
        plan["name"] = "put".into();
        let server = Server::start(&dir.path().join(format!("target-{at}")), &[]);
        send(&server, "PUT", "/v1/plan", &plan);
        for event in checked(&server) {
            let plan = &event["command"]["plan"];
            rules.insert(plan["ladder"]["live"]["rule"].as_str().unwrap().to_owned());
            assert_eq!(plan, &server.get("/v1/plan").json()["plan"], "one form");
            for trigger in plan["trigger"].as_array().unwrap() {
                pays.insert(trigger["rate"].get("percent").is_some());
            }
        }
    }
    assert_eq!(rules.into_iter().collect::<Vec<_>>(), ["level-fill", "thresholds"]);
    assert_eq!(pays.into_iter().collect::<Vec<_>>(), [false, true]);
}
