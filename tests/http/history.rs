//! History over HTTP, on the running binary: `as_of`, explanations, the change feed.

use serde_json::{Value, json};

use crate::common::{self, Client, Server, registration, uuid};

/// Starts a server on a new directory with members 0 to 5, each under the previous one, and one bonus from
/// the last.
fn grown(arguments: &[&str]) -> (Server, tempfile::TempDir) {
    let place = crate::common::scratch();
    let server = Server::start(&place.path().join("data"), arguments);
    for number in 0..6 {
        sign_up(&server, number);
    }
    let body = json!({"source_user_id": uuid(5), "trigger_type": "referral"}).to_string();
    let reply = server.post("/bonus/", &body);
    assert_eq!(reply.status, 200, "{}", reply.text());
    (server, place)
}

/// Signs up a member, with LSN `number + 1` if nothing else is written.
fn sign_up(server: &Server, number: u64) {
    let parent = number.checked_sub(1).map(uuid);
    let reply = server.post("/user/register", &registration(&uuid(number), parent.as_deref()));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

fn problem(server: &Server, path: &str, status: u16, code: &str) -> Value {
    let reply = server.get(path);
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (status, Some("application/problem+json")),
        "{path}: {}",
        reply.text()
    );
    assert_eq!(reply.json()["code"], code, "{path}");
    reply.json()
}

/// Races of two lines that are tried until one is lost.
const RACES_MAX: u64 = 1_000;

/// Sends one batch of two members that exclude each other. Returns whether both are in the log: the second
/// was judged before the first was in the network, and lost there. Otherwise it was refused before the log,
/// which is as right, and happens on a busy machine.
fn is_lost_in_the_log(server: &Server, lines: &[Value; 2]) -> bool {
    let newest = || server.get("/v1/members").header("x-lsn").and_then(|lsn| lsn.parse::<u64>().ok());
    let before = newest().expect("a number");
    let body = lines.each_ref().map(Value::to_string).join("\n");
    let kind = [("content-type", "application/x-ndjson")];
    let reply = server.request("POST", "/v1/members/batch", &kind, body.as_bytes());
    let statuses: Vec<Value> = reply
        .text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["status"].clone())
        .collect();
    assert_eq!(statuses, [201, 409], "{}", reply.text());
    newest().expect("a number") == before + 2
}

/// An open feed.
struct Following {
    client: Client,
    text: Vec<u8>,
    read: usize,
}

impl Following {
    fn start(server: &Server, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut client = server.connect();
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n");
        for (name, value) in headers {
            head = head + name + ": " + value + "\r\n";
        }
        client.send((head + "\r\n").as_bytes()).expect("it reads");
        let (status, headers) = client.read_head().expect("it answers");
        assert_eq!(status, 200, "{headers:?}");
        Self { client, text: Vec::new(), read: 0 }
    }

    /// Returns the next nonempty line; `None` at the end of the stream.
    fn line(&mut self) -> Option<String> {
        loop {
            while let Some(length) = self.text[self.read..].iter().position(|byte| *byte == b'\n') {
                let line =
                    String::from_utf8(self.text[self.read..self.read + length].to_vec()).expect("UTF-8");
                self.read += length + 1;
                if !line.is_empty() {
                    return Some(line);
                }
            }
            if !self.client.read_chunk(&mut self.text).expect("it goes on") {
                return None;
            }
        }
    }

    fn event(&mut self) -> Value {
        serde_json::from_str(&self.line().expect("it goes on")).expect("JSON")
    }
}

#[test]
fn the_past_is_read_by_lsn_and_by_time() {
    let (server, place) = grown(&[]);
    let root = format!("/v1/members/{}", uuid(0));
    // LSN, downline of the root, its rank (Bronze from three members on)
    for (lsn, downline, rank) in [(1, 0, 0), (2, 1, 0), (4, 3, 1), (6, 5, 1), (7, 5, 1)] {
        let reply = server.get(&format!("{root}?as_of={lsn}"));
        assert_eq!(
            (reply.status, reply.header("x-lsn")),
            (200, Some(lsn.to_string().as_str())),
            "{}",
            reply.text()
        );
        let member = reply.json();
        assert_eq!(
            (&member["placement"]["downline"], &member["rank"]),
            (&json!(downline), &json!(rank)),
            "LSN {lsn}"
        );
        assert_eq!(
            server.get(&format!("{root}/rank?as_of={lsn}")).json()["paid_as"]["ordinal"],
            rank,
            "LSN {lsn}"
        );
        let levels = server.get(&format!("{root}/levels?as_of={lsn}")).json();
        let counted: u64 =
            levels["levels"].as_array().unwrap().iter().filter_map(|level| level["members"].as_u64()).sum();
        assert_eq!(counted, downline, "LSN {lsn}");
    }
    let code = server.get(&root).json()["code"].as_str().unwrap().to_owned();
    assert_eq!(server.get(&format!("/v1/members/by-code/{code}?as_of=3")).json()["placement"]["downline"], 2);
    // The log has the time of each command.
    let mut feed = Following::start(&server, "/v1/events?from=1", &[]);
    let times: Vec<String> = (0..7).map(|_| feed.event()["time"].as_str().unwrap().to_owned()).collect();
    let at_third = server.get(&format!("{root}?as_of={}", times[2]));
    assert_eq!((at_third.status, at_third.header("x-lsn")), (200, Some("3")), "{}", at_third.text());

    // A past list continues in the past.
    let first = server.get(&format!("/v1/members/{}/upline?as_of=4&limit=2", uuid(3))).json();
    assert_eq!(first["items"][0]["user_id"], uuid(2));
    assert_eq!(first["items"][1]["direct"], 1);
    let cursor = first["next"].as_str().unwrap();
    let second = server.get(&format!("/v1/members/{}/upline?as_of=4&cursor={cursor}", uuid(3)));
    assert_eq!(
        (second.json()["items"][0]["user_id"].clone(), second.header("x-lsn")),
        (json!(uuid(0)), Some("4"))
    );
    problem(
        &server,
        &format!("/v1/members/{}/upline?as_of=5&cursor={cursor}", uuid(3)),
        400,
        "cursor_invalid",
    );
    problem(&server, &format!("/v1/members/{}/upline?cursor={cursor}", uuid(3)), 400, "cursor_invalid");

    // A later member is unknown; a future LSN is not history; neither is nonsense.
    problem(&server, &format!("/v1/members/{}?as_of=3", uuid(5)), 404, "member_unknown");
    assert_eq!(problem(&server, &format!("{root}?as_of=8"), 400, "as_of_invalid")["newest_lsn"], 7);
    problem(&server, &format!("{root}?as_of=2999-01-01T00:00:00Z"), 400, "as_of_invalid");
    let before = problem(&server, &format!("{root}?as_of=1970-01-01T00:00:00Z"), 404, "member_unknown");
    assert_eq!(before["lsn"], 0);
    problem(&server, &format!("{root}?as_of=yesterday"), 422, "parameter_invalid");
    problem(&server, &format!("{root}?as_off=3"), 422, "parameter_unknown");

    // The same after a restart from a snapshot.
    server.terminate();
    assert!(server.wait().success());
    let server = Server::start(&place.path().join("data"), &[]);
    assert_eq!(server.get(&format!("{root}?as_of=2")).json()["placement"]["downline"], 1);
}

#[test]
fn a_bonus_is_explained_down_to_the_log() {
    let (server, _place) = grown(&[]);
    let bonuses = server.get(&format!("/v1/members/{}/bonuses", uuid(3))).json();
    let id = bonuses["items"][0]["id"].as_str().unwrap().to_owned();
    let told = server.get(&format!("/v1/bonuses/{id}/explain"));
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!(
        (&told["cause"], &told["bonus"]["level"], &told["plan"]),
        (&json!("trigger"), &json!(2), &json!("matrix"))
    );
    assert_eq!(told["command"]["lsn"], 7);
    assert_eq!(told["command"]["command"]["source"], uuid(5));
    assert_eq!(told["rules"][0]["rate"]["money"], json!(["10.00", "5.00", "2.00", "1.00"]));
    let walk: Vec<(Value, i64, Value)> = told["walk"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            (step["user_id"].clone(), step["amount"]["minor"].as_i64().unwrap(), step["fate"].clone())
        })
        .collect();
    let expected = [(4, 1_000), (3, 500), (2, 200), (1, 100)]
        .map(|(number, amount)| (json!(uuid(number)), amount, json!("paid")));
    assert_eq!(walk, expected);
    // One more ancestor is above the last paid level.
    assert_eq!((&told["beyond"], &told["hidden"], &told["paid"]), (&json!(1), &json!(0), &Value::Null));
    assert_eq!((&told["source_signup_lsn"], &told["receiver_signup_lsn"]), (&json!(6), &json!(4)));
    // A member with an explicit join time is found too, but not the earlier failed attempt.
    let line = |number: u64, sponsor: u64, code: String| {
        json!({
            "user_id": uuid(number), "sponsor": {"user_id": uuid(sponsor)}, "code": code,
            "joined_at": "2024-02-03T04:05:06Z",
        })
    };
    // Each under the one before, so that the slots of member 5 stay free.
    let races = |round: u64| {
        let sponsor = if round == 0 { 4 } else { 9_999 + round };
        [10_000, 20_000].map(|from| line(from + round, sponsor, format!("TAKEN-{round}")))
    };
    let round = (0..RACES_MAX).find(|round| is_lost_in_the_log(&server, &races(*round)));
    let number = 20_000 + round.expect("one of them is lost");
    let (member, body) = (uuid(number), line(number, 5, "FREE".to_owned()));
    let json_body = [("content-type", "application/json")];
    let made = server.request("POST", "/v1/members", &json_body, body.to_string().as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let signup_lsn: u64 = made.header("x-lsn").and_then(|lsn| lsn.parse().ok()).expect("a number");
    let paid = server.request(
        "POST",
        "/v1/bonuses",
        &json_body,
        json!({"source": member, "kind": "referral"}).to_string().as_bytes(),
    );
    let id = paid.json()["bonuses"][0]["id"].as_str().expect("it pays").to_owned();
    let told = server.get(&format!("/v1/bonuses/{id}/explain")).json();
    assert_eq!((&told["source_signup_lsn"], &told["receiver_signup_lsn"]), (&json!(signup_lsn), &json!(6)));
    problem(&server, &format!("/v1/bonuses/{}/explain", uuid(77)), 404, "entry_unknown");
    problem(&server, "/v1/bonuses/seven/explain", 422, "parameter_invalid");
}

#[test]
fn the_feed_is_followed_resumed_and_ends_with_the_server() {
    let (server, _place) = grown(&[]);
    let mut lines = Following::start(&server, "/v1/events?from=1", &[]);
    for lsn in 1..=7 {
        let event = lines.event();
        assert_eq!((&event["lsn"], &event["effect"]["changed"]), (&json!(lsn), &json!(true)));
        if lsn == 2 {
            let member = &event["effect"]["member"];
            assert_eq!(
                (&member["user_id"], &member["parent"], &member["slot"]),
                (&json!(uuid(1)), &json!(uuid(0)), &json!(0))
            );
        }
        if lsn == 7 {
            assert_eq!(event["effect"]["bonuses"].as_array().unwrap().len(), 4);
        }
    }
    // Without a start: future events.
    let mut live = Following::start(&server, "/v1/events", &[("accept", "text/event-stream")]);
    sign_up(&server, 6);
    assert_eq!(lines.event()["lsn"], 8);
    assert_eq!(live.line().as_deref(), Some("id: 8"));
    assert_eq!(live.line().as_deref(), Some("event: command"));
    let data = live.line().expect("it goes on");
    let event: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
    assert_eq!(event["command"]["user_id"], uuid(6));
    // A browser reconnects with the last event it saw, regardless of the address.
    let mut resumed = Following::start(
        &server,
        "/v1/events?from=1",
        &[("accept", "text/event-stream"), ("last-event-id", "6")],
    );
    assert_eq!(resumed.line().as_deref(), Some("id: 7"));

    assert_eq!(problem(&server, "/v1/events?from=10", 400, "as_of_invalid")["newest_lsn"], 8);
    problem(&server, "/v1/events?from=x", 422, "parameter_invalid");
    problem(&server, "/v1/events?since=1", 422, "parameter_unknown");
    let bad = server.request("GET", "/v1/events", &[("last-event-id", "eight")], b"");
    assert_eq!((bad.status, bad.json()["code"].clone()), (422, json!("parameter_invalid")));

    server.terminate();
    assert_eq!(lines.line(), None, "it ends whole, and soon");
    assert_eq!(live.line(), None);
    assert!(server.wait().success());
}

/// A command that lost a race is in the log like any other; the feed reports that it had no effect, and why.
#[test]
fn the_feed_knows_what_changed_nothing_also_after_a_restart() {
    let place = crate::common::scratch();
    let server = Server::start(&place.path().join("data"), &[]);
    sign_up(&server, 0);
    let line = |number: u64, code: String| {
        json!({
            "user_id": uuid(number), "sponsor": {"user_id": uuid(0)}, "code": code,
        })
    };
    let same_member =
        |round: u64| [format!("ANNA-{round}"), format!("BERT-{round}")].map(|code| line(1_000 + round, code));
    let same_code = |round: u64| [10_000, 20_000].map(|from| line(from + round, format!("CARL-{round}")));
    let mut expected = vec![("register", true, Value::Null)];
    let mut lose = |lines: &dyn Fn(u64) -> [Value; 2], reason: &str| {
        let lost = (0..RACES_MAX).find(|round| {
            expected.push(("register", true, Value::Null));
            is_lost_in_the_log(&server, &lines(*round))
        });
        lost.expect("one of them is lost");
        expected.push(("register", false, json!(reason)));
    };
    lose(&same_member, "member_exists");
    lose(&same_code, "code_taken");
    let reply = server.post("/user/register", &registration(&uuid(2), Some(&uuid(0))));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let patch = |status: &str| {
        server.request(
            "PATCH",
            &format!("/v1/members/{}", uuid(2)),
            &[("content-type", "application/json")],
            status.as_bytes(),
        )
    };
    assert_eq!(patch(r#"{"status":"active"}"#).status, 200);
    assert_eq!(patch(r#"{"status":"inactive"}"#).status, 200);
    assert_eq!(server.post("/v1/bonuses/pay-all", "").status, 200);
    expected.extend([
        ("register", true, Value::Null),
        ("set_status", false, json!("already")),
        ("set_status", true, Value::Null),
        ("pay_all", false, json!("already")),
    ]);
    let seen = |server: &Server| {
        let mut lines = Following::start(server, "/v1/events?from=1", &[]);
        for (lsn, (kind, changed, reason)) in (1..).zip(&expected) {
            let event = lines.event();
            let told = (
                &event["lsn"],
                &event["command"]["kind"],
                &event["effect"]["changed"],
                &event["effect"]["unchanged"],
            );
            assert_eq!(told, (&json!(lsn), &json!(kind), &json!(changed), reason), "{event}");
            assert_eq!(event["effect"]["member"].is_object(), *kind == "register" && *changed, "{event}");
        }
    };
    seen(&server);
    server.terminate();
    assert!(server.wait().success());
    seen(&Server::start(&place.path().join("data"), &[]));
}

#[test]
fn only_so_many_feeds_are_followed() {
    let (server, _place) = grown(&[]);
    let feeds: Vec<Following> =
        (0..64).map(|_| Following::start(&server, "/v1/events?from=7", &[])).collect();
    assert_eq!(problem(&server, "/v1/events", 503, "overloaded")["status"], 503);
    drop(feeds);
    // The slot of a client that went away is free as soon as that is detected.
    let begin = std::time::Instant::now();
    while server.connect().request("HEAD", "/v1/events", &[], b"").status == 503 {
        assert!(begin.elapsed() < std::time::Duration::from_secs(60), "still taken");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// A service reads the feed and explanations with their scope only.
#[test]
fn keys_open_what_their_scope_says() {
    let place = crate::common::scratch();
    let data = place.path().join("data");
    drop(Server::start(&data, &[]));
    let key = |scope: &str| {
        let output = std::process::Command::new(common::binary())
            .args(["keys", "create", "--json", "--name", "feed", "--scope", scope, "--data-dir"])
            .arg(&data)
            .env_clear()
            .envs([crate::common::SMALL_SEGMENTS])
            .output()
            .expect("the binary starts");
        let key: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let part = |name: &str| key[name].as_str().unwrap_or_else(|| panic!("{key}")).to_owned();
        [("x-api-key", part("id")), ("x-api-secret", part("secret"))]
    };
    let (feed, members) = (key("events:read"), key("members:read"));
    let server = Server::start(&data, &[]);
    let ask = |path: &str, key: &[(&str, String); 2]| {
        let headers: Vec<(&str, &str)> = key.iter().map(|(name, value)| (*name, value.as_str())).collect();
        server.request("GET", path, &headers, b"").status
    };
    let explain = format!("/v1/bonuses/{}/explain", uuid(1));
    assert_eq!(ask("/v1/events?from=99", &feed), 400, "let in, and told that this is yet to come");
    assert_eq!(ask("/v1/events?from=99", &members), 403);
    assert_eq!(ask(&explain, &members), 403);
    assert_eq!(server.get("/v1/events").status, 401);
}
