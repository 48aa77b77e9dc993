//! A server whose clock jumps: the response of each route, and who may accept the clock.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use serde_json::{Value, json};
use upline::{
    durability::memory::Memory,
    engine::{Engine, Timestamp},
};

use super::{Running, assert_unavailable, run};
use crate::common::{Client, Reply, registration, uuid};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// 2026-01-01.
const START: i64 = 1_767_225_600 * SECOND;

/// A server on clocks that the test sets.
struct Clocked {
    running: Running,
    wall: Arc<AtomicI64>,
    boot: Arc<AtomicI64>,
}

fn clocked(memory: &Memory, wall: i64) -> Clocked {
    let running = run(|_| {});
    let (wall, boot) = (Arc::new(AtomicI64::new(wall)), Arc::new(AtomicI64::new(HOUR)));
    let mut options = running.engine_options(memory);
    let (now, since_boot) = (Arc::clone(&wall), Arc::clone(&boot));
    options.clock = Arc::new(move || Timestamp(now.load(Ordering::Relaxed)));
    options.boot_clock = Arc::new(move || since_boot.load(Ordering::Relaxed));
    running.slot.set(Engine::open(options).unwrap().0);
    Clocked { running, wall, boot }
}

impl Clocked {
    fn passes(&self, time: i64, jump: i64) {
        self.wall.fetch_add(time + jump, Ordering::Relaxed);
        self.boot.fetch_add(time, Ordering::Relaxed);
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let kind = [("content-type", "application/json")];
        let headers = [if body.is_empty() { &[][..] } else { &kind[..] }, headers].concat();
        Client::connect(self.running.address).request(method, path, &headers, body.as_bytes())
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, &[], body)
    }

    fn pay(&self, key: &str) -> Reply {
        let body = json!({ "source": uuid(2), "kind": "referral", "once": false });
        self.send("POST", "/v1/bonuses", &[("idempotency-key", key)], &body)
    }

    fn bonuses(&self) -> usize {
        self.running.get("/v1/bonuses").json()["items"].as_array().unwrap().len()
    }

    fn metric(&self, line: &str) -> bool {
        self.running.get("/metrics").text().lines().any(|found| found == line)
    }
}

fn assert_jumped(reply: &Reply, about: &str) {
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (503, Some("clock_jumped")),
        "{about}: {}",
        reply.text()
    );
    let seconds: u32 = reply.header("retry-after").expect("when to come back").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{about}");
}

#[test]
fn while_the_clock_has_jumped_writes_are_refused_and_reads_go_on() {
    for jump in [HOUR, -HOUR] {
        let memory = Memory::new();
        let server = clocked(&memory, START);
        assert_eq!(server.running.register(1, None).status, 200);
        assert_eq!(server.running.register(2, Some(1)).status, 200);
        assert_eq!(server.pay("a").status, 201);
        let bonus = server.running.get("/v1/bonuses").json()["items"][0]["id"].as_str().unwrap().to_owned();
        assert!(server.metric("upline_clock_jumped 0") && server.metric("upline_ready 1"));
        let before = (server.running.get("/v1/digest").json()["state_digest"].clone(), memory.all());

        server.passes(SECOND, jump);
        // The original's routes, in its own terms.
        let words = "The clock of the server jumped, nothing was done";
        assert_unavailable(&server.running.register(3, Some(1)), words);
        assert_unavailable(&server.running.get("/bonus/mark-paid/all"), words);
        assert_unavailable(
            &server.send("PATCH", &format!("/bonus/{bonus}/mark-paid"), &[], &Value::Null),
            words,
        );
        assert_unavailable(
            &server.post("/bonus/", &json!({ "source_user_id": uuid(2), "trigger_type": "referral" })),
            words,
        );
        // And /v1.
        let member = json!({ "user_id": uuid(3), "sponsor": { "user_id": uuid(1) } });
        let mut plan = server.running.get("/v1/plan").json()["plan"].clone();
        plan["name"] = "another".into();
        let writes = [
            ("POST", "/v1/members".to_owned(), member.clone()),
            ("PATCH", format!("/v1/members/{}", uuid(2)), json!({ "status": "inactive" })),
            ("PATCH", format!("/v1/members/{}", uuid(2)), json!({ "role": "admin" })),
            (
                "POST",
                "/v1/bonuses".to_owned(),
                json!({ "source": uuid(2), "kind": "referral", "once": false }),
            ),
            ("POST", format!("/v1/bonuses/{bonus}/pay"), Value::Null),
            ("POST", format!("/v1/bonuses/{bonus}/reverse"), Value::Null),
            ("POST", "/v1/bonuses/pay-all".to_owned(), Value::Null),
            ("PUT", "/v1/plan".to_owned(), plan),
        ];
        for (method, path, body) in &writes {
            assert_jumped(&server.send(method, path, &[], body), &format!("{method} {path}"));
        }
        let lines =
            format!("{member}\n{}\n", json!({ "user_id": uuid(4), "sponsor": { "user_id": uuid(3) } }));
        let headers = [("content-type", "application/x-ndjson")];
        let batch = Client::connect(server.running.address).request(
            "POST",
            "/v1/members/batch",
            &headers,
            lines.as_bytes(),
        );
        assert_eq!(batch.text().matches("\"clock_jumped\"").count(), 2, "{}", batch.text());

        // None of it had any effect, and this is reported.
        assert_eq!((server.running.get("/v1/digest").json()["state_digest"].clone(), memory.all()), before);
        assert_eq!(server.pay("a").status, 201, "what is known already needs no log");
        let ready = server.running.get("/readyz");
        let detail = ready.json()["detail"].as_str().unwrap().to_owned();
        assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("clock_jumped")));
        let how = if jump < 0 {
            "is 3599 s behind the log's last time"
        } else {
            "gained 3600 s since the last command"
        };
        assert!(detail.contains(how), "{detail}");
        assert_eq!(server.running.get("/livez").status, 200);
        assert!(server.metric("upline_clock_jumped 1") && server.metric("upline_ready 0"));
        let now = server.running.get("/v1/clock").json();
        assert_eq!(now["jumped"], if jump < 0 { "behind" } else { "ahead" });
        assert_eq!(
            (&now["jump_max_seconds"], &now["last_command"]),
            (&json!(600), &json!("2026-01-01T00:00:00.000000Z"))
        );

        // Once corrected it resumes, and a retry with the key of a refused payment is paid once.
        assert_jumped(&server.pay("b"), "pay");
        let paid = server.bonuses();
        server.passes(SECOND, -jump);
        assert_eq!(server.running.get("/readyz").status, 200);
        let first = server.pay("b");
        assert_eq!((first.status, server.bonuses()), (201, 2 * paid));
        let again = server.pay("b");
        assert_eq!(
            (again.status, again.text(), server.bonuses()),
            (first.status, first.text(), 2 * paid),
            "paid once"
        );
        for (method, path, body) in writes {
            let reply = server.send(method, &path, &[], &body);
            assert!(reply.status < 300, "{method} {path}: {} {}", reply.status, reply.text());
        }
    }
}

#[test]
fn an_operator_accepts_the_jump_that_is_seen() {
    let server = clocked(&Memory::new(), START);
    let accept = || server.post("/v1/clock/accept", &Value::Null);
    let nothing = accept();
    assert_eq!((nothing.status, &nothing.json()["accepted"]), (200, &json!(false)));
    assert_eq!(nothing.json()["was"]["last_command"], Value::Null);
    assert_eq!(server.running.register(1, None).status, 200);
    server.passes(SECOND, 100 * HOUR);
    assert_eq!(server.running.register(2, Some(1)).status, 503);
    let accepted = accept();
    assert_eq!((accepted.status, &accepted.json()["accepted"]), (200, &json!(true)));
    let was = &accepted.json()["was"];
    assert_eq!((&was["jumped"], &was["gained_seconds"]), (&json!("ahead"), &json!(360_000.0)));
    assert_eq!(
        (&was["clock"], &was["last_command"]),
        (&json!("2026-01-05T04:00:01.000000Z"), &json!("2026-01-01T00:00:00.000000Z"))
    );
    assert_eq!(accept().json()["accepted"], false, "it is accepted");
    assert_eq!(server.running.register(2, Some(1)).status, 200);
    assert_eq!(server.running.get("/v1/clock").json()["last_command"], "2026-01-05T04:00:01.000000Z");
    // Back again is another jump: log time does not go back.
    server.passes(SECOND, -100 * HOUR);
    assert_eq!(server.running.register(3, Some(1)).status, 503);
    assert_eq!(accept().json()["was"]["jumped"], "behind");
    assert_eq!(server.running.register(3, Some(1)).status, 200);
    let now = server.running.get("/v1/clock").json();
    assert_eq!(
        (&now["jumped"], &now["last_command"]),
        (&Value::Null, &json!("2026-01-05T04:00:01.000000Z")),
        "it stands still"
    );
    assert_eq!(
        Client::connect(server.running.address).post("/v1/clock/accept", "{}").status,
        422,
        "it takes no body"
    );
}

/// `registration` is the body of the compatible route.
#[test]
fn the_words_of_the_drop_in_are_described() {
    let server = clocked(&Memory::new(), START);
    assert_eq!(
        Client::connect(server.running.address).post("/user/register", &registration(&uuid(1), None)).status,
        200
    );
    let description = server.running.get("/openapi.json").json();
    let examples = |path: &str, kind: &str| {
        description["paths"][path]["post"]["responses"]["503"]["content"][kind]["examples"].clone()
    };
    for path in [
        "/v1/members",
        "/v1/bonuses",
        "/v1/bonuses/pay-all",
        "/v1/bonuses/{id}/pay",
        "/v1/bonuses/{id}/reverse",
        "/v1/bonuses/{id}/hold",
        "/v1/bonuses/{id}/release",
        "/v1/bonuses/{id}/void",
    ] {
        assert_eq!(
            examples(path, "application/problem+json")["clock_jumped"]["value"]["code"],
            "clock_jumped",
            "{path}"
        );
    }
    let words = "The clock of the server jumped, nothing was done";
    assert_eq!(examples("/user/register", "application/json")["clock_jumped"]["value"]["detail"], words);
}
