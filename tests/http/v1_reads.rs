//! The read routes of `/v1` on the running binary: responses and errors of each route. Random networks are
//! compared with a naive model inside the crate (`http::v1::reads_tests`); this file tests the wire, a
//! restart, and whole lists of a large network in bounded memory.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::common::{Client, PATIENCE, Reply, Server, binary, registration, uuid};

/// Builds a network: root 1 has sponsored 2 to 13, who fill two levels of three slots; 5 has fired one
/// trigger.
fn network(data: &Path) -> Server {
    let server = Server::start(data, &[]);
    let mut client = server.connect();
    for member in 1..=13 {
        let parent = (member != 1).then(|| uuid(1));
        assert_eq!(
            client.post("/user/register", &registration(&uuid(member), parent.as_deref())).status,
            200
        );
    }
    let trigger = format!("{{\"source_user_id\":\"{}\",\"trigger_type\":\"referral\"}}", uuid(5));
    assert_eq!(client.post("/bonus/", &trigger).status, 200);
    server
}

fn lsn(reply: &Reply) -> u64 {
    reply.header("x-lsn").expect("every answer names its LSN").parse().expect("a number")
}

/// Returns a 200 response with its LSN.
fn ok(server: &Server, path: &str) -> Value {
    let reply = server.get(path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
    assert_eq!(lsn(&reply), 14, "{path}");
    reply.json()
}

fn ids(items: &Value) -> Vec<String> {
    items
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| item["user_id"].as_str().expect("an id").to_owned())
        .collect()
}

fn uuids(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(uuid).collect()
}

/// Asserts all responses for one network.
fn assert_everything(server: &Server) {
    let (root, second, fifth) = (uuid(1), uuid(2), uuid(5));
    let member = ok(server, &format!("/v1/members/{fifth}"));
    assert_eq!(
        [
            &member["user_id"],
            &member["parent"],
            &member["sponsor"],
            &member["slot"],
            &member["level"],
            &member["sponsor_level"]
        ],
        [&json!(fifth), &json!(second), &json!(root), &json!(0), &json!(3), &json!(2)]
    );
    assert_eq!((&member["status"], &member["role"]), (&json!("active"), &json!("member")));
    let code = member["code"].as_str().expect("a code");
    assert_eq!(ok(server, &format!("/v1/members/by-code/{}", code.to_lowercase())), member);

    assert_eq!(ids(&ok(server, &format!("/v1/members/{fifth}/upline"))["items"]), uuids([2, 1]));
    assert_eq!(ids(&ok(server, &format!("/v1/members/{fifth}/upline?tree=sponsor"))["items"]), uuids([1]));
    assert_eq!(ids(&ok(server, &format!("/v1/members/{root}/downline"))["items"]), uuids(2..=13));
    assert_eq!(ids(&ok(server, &format!("/v1/members/{root}/downline?depth=1"))["items"]), uuids(2..=4));
    assert_eq!(ids(&ok(server, &format!("/v1/members/{root}/children"))["items"]), uuids(2..=4));
    assert_eq!(
        ids(&ok(server, &format!("/v1/members/{root}/children?tree=sponsor"))["items"]),
        uuids(2..=13)
    );

    let levels = ok(server, &format!("/v1/members/{root}/levels"));
    let counts: Vec<&Value> =
        levels["levels"].as_array().expect("levels").iter().map(|level| &level["members"]).take(3).collect();
    assert_eq!(counts, [&json!(3), &json!(9), &json!(0)]);
    // The plan's referral pays 10.00, 5.00, 2.00 and 1.00 up the tree.
    assert_eq!(
        levels["levels"][1]["commission"],
        json!({ "bonuses": 1, "minor": 500, "currency": "USD", "exponent": 2 })
    );
    let level = ok(server, &format!("/v1/members/{root}/levels/2?limit=2"));
    assert_eq!(level["items"][0]["member"]["user_id"], fifth);
    assert_eq!(
        (&level["items"][0]["commission"]["minor"], &level["items"][1]["commission"]["minor"]),
        (&json!(500), &json!(0))
    );

    let rank = ok(server, &format!("/v1/members/{root}/rank"));
    assert_eq!(rank["paid_as"], rank["lifetime"]);
    assert!(rank["next"]["missing"].as_u64().is_some_and(|missing| 0 < missing), "{rank}");
    let ranks = ok(server, "/v1/ranks");
    let held = ranks["ranks"]
        .as_array()
        .expect("ranks")
        .iter()
        .map(|rank| rank["members"].as_u64().expect("a count"));
    assert_eq!((held.sum::<u64>(), &ranks["members"]), (13, &json!(13)));

    let bonuses = ok(server, &format!("/v1/members/{second}/bonuses"));
    let bonus = &bonuses["items"][0];
    assert_eq!(
        (&bonus["receiver"], &bonus["source"], &bonus["level"]),
        (&json!(second), &json!(fifth), &json!(1))
    );
    assert_eq!(bonus["amount"], json!({ "minor": 1_000, "currency": "USD", "exponent": 2 }));
    assert_eq!(
        (&bonus["status"], &bonus["kind"], &bonus["lsn"]),
        (&json!("pending"), &json!("referral"), &json!(14))
    );
    assert_eq!(ok(server, "/v1/bonuses?status=pending")["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(ok(server, "/v1/bonuses?status=paid")["items"], json!([]));
    let report = ok(server, &format!("/v1/members/{second}/report"));
    assert_eq!(
        (&report["total"]["minor"], &report["pending"]["minor"], &report["paid"]["minor"]),
        (&json!(1_000), &json!(1_000), &json!(0))
    );
    assert_eq!(
        (&report["by_kind"][0]["kind"], &report["by_level"][0]["level"]),
        (&json!("referral"), &json!(1))
    );

    let tree = ok(server, &format!("/v1/members/{root}/tree?depth=1"));
    assert_eq!(ids(&tree["nodes"]), uuids(1..=4));
    assert_eq!((&tree["nodes"][0]["downline"], &tree["nodes"][0]["hidden"]), (&json!(12), &json!(0)));
    assert_eq!((&tree["nodes"][1]["hidden"], &tree["nodes"][1]["empty_slots"]), (&json!(3), &json!([])));
    let more = tree["nodes"][1]["more"].as_str().expect("there are hidden children");
    let below = ok(server, &format!("/v1/members/{second}/tree?cursor={more}"));
    assert_eq!(ids(&below["nodes"]), uuids([2, 5, 6, 7]));
    assert_eq!(
        (&below["nodes"][1]["empty_slots"], &below["nodes"][1]["empty"]),
        (&json!([0, 1, 2]), &json!(3))
    );

    let yes = json!({ "is_ancestor": true, "distance": 2 });
    assert_eq!(ok(server, &format!("/v1/members/{root}/is-ancestor-of/{fifth}")), yes);
    assert_eq!(
        ok(server, &format!("/v1/members/{fifth}/is-ancestor-of/{root}")),
        json!({ "is_ancestor": false, "distance": null })
    );
    let place = ok(server, &format!("/v1/placement/preview?sponsor={root}"));
    assert_eq!(place, json!({ "parent": fifth, "slot": 0, "level": 4, "rule": "breadth-first" }));
    let found = ok(server, &format!("/v1/search?q={}", &code[..4].to_lowercase()));
    assert!(ids(&found["items"]).contains(&fifth), "{found}");
    assert_eq!(ok(server, &format!("/v1/search?q={}&limit=2", &fifth[..9]))["more"], true);
    let stats = ok(server, "/v1/stats");
    assert_eq!((&stats["network"]["members"], &stats["network"]["bonuses"]), (&json!(13), &json!(2)));
    assert_eq!((&stats["log"]["applied_lsn"], &stats["writes"]["ready"]), (&json!(14), &json!(true)));
}

#[test]
fn every_route_answers_the_same_after_a_kill() {
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let server = network(&data);
    assert_everything(&server);
    // A cursor is valid in another process of the same network.
    let first = ok(&server, &format!("/v1/members/{}/downline?limit=5", uuid(1)));
    server.kill();
    let server = Server::start(&data, &[]);
    assert_everything(&server);
    let next = first["next"].as_str().expect("there is more");
    let rest = ok(&server, &format!("/v1/members/{}/downline?cursor={next}", uuid(1)));
    assert_eq!([ids(&first["items"]), ids(&rest["items"])].concat(), uuids(2..=13));
    assert_eq!(rest["next"], Value::Null);
}

#[test]
fn lists_stream_as_lines() {
    let dir = crate::common::scratch();
    let server = network(&dir.path().join("data"));
    let root = uuid(1);
    for list in ["upline", "downline", "children", "levels/2", "bonuses"] {
        let path = format!("/v1/members/{root}/{list}");
        let page = ok(&server, &path);
        let reply = server.request("GET", &path, &[("accept", "application/x-ndjson")], b"");
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("application/x-ndjson")),
            "{path}"
        );
        assert_eq!(lsn(&reply), 14);
        let lines: Vec<Value> =
            reply.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(page["items"], Value::Array(lines), "{path}");
    }
    let all = server.request("GET", "/v1/bonuses", &[("accept", "application/x-ndjson")], b"");
    assert_eq!(all.text().lines().count(), 2);
}

#[test]
fn failures_are_problems_that_name_what_is_wrong() {
    let dir = crate::common::scratch();
    let server = network(&dir.path().join("data"));
    let (root, nobody) = (uuid(1), uuid(99));
    let lists = [
        "",
        "/upline",
        "/downline",
        "/children",
        "/levels",
        "/levels/1",
        "/rank",
        "/bonuses",
        "/report",
        "/tree",
    ];
    for list in lists {
        let reply = server.get(&format!("/v1/members/{nobody}{list}"));
        assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("member_unknown")), "{list}");
        assert_eq!(lsn(&reply), 14, "{list}: what is not there is not there at this LSN");
        let reply = server.get(&format!("/v1/members/not-an-id{list}"));
        assert_eq!((reply.status, reply.json()["code"].as_str()), (422, Some("parameter_invalid")), "{list}");
        let reply = server.get(&format!("/v1/members/{root}{list}?color=red"));
        assert_eq!((reply.status, reply.json()["code"].as_str()), (422, Some("parameter_unknown")), "{list}");
        assert_eq!(reply.json()["field"], "color", "{list}");
        let reply = server.request("DELETE", &format!("/v1/members/{root}{list}"), &[], b"");
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (405, Some("method_not_allowed")),
            "{list}"
        );
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    }
    // path, status, code
    let table = [
        (format!("/v1/members/{root}/downline?cursor=AAAA"), 400, "cursor_invalid"),
        (format!("/v1/members/{root}/downline?limit=1001"), 422, "parameter_invalid"),
        (format!("/v1/members/{root}/is-ancestor-of/{nobody}"), 404, "member_unknown"),
        ("/v1/members/by-code/none".into(), 404, "member_unknown"),
        (format!("/v1/placement/preview?sponsor={nobody}"), 404, "sponsor_unknown"),
        (format!("/v1/placement/preview?sponsor={root}&rule=left"), 409, "rule_not_allowed"),
        ("/v1/search".into(), 422, "parameter_invalid"),
        ("/v1/bonuses?status=lost".into(), 422, "parameter_invalid"),
        ("/v1/nothing".into(), 404, "route_unknown"),
        ("/v1/ranks?color=red".into(), 422, "parameter_unknown"),
        ("/v1/stats?color=red".into(), 422, "parameter_unknown"),
        ("/v1/members/by-code/x?color=red".into(), 422, "parameter_unknown"),
    ];
    for (path, status, code) in table {
        let reply = server.get(&path);
        assert_eq!(
            (reply.status, reply.json()["code"].as_str()),
            (status, Some(code)),
            "{path}: {}",
            reply.text()
        );
    }
}

/// Streams with per-reader state are limited in number, however slowly they are read; a further one is told
/// to retry.
#[test]
fn only_so_many_bulk_streams_are_under_way() {
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    upline(&["demo", "--no-serve", "--orders", "0", "--members", "60000", "--shape", "star"], &data);
    let server = Server::start(&data, &[]);
    let root = root(&server);
    let paths = [
        format!("/v1/members/{root}/levels/1?tree=sponsor"),
        format!("/v1/members/{root}/downline?tree=sponsor"),
    ];
    let ask = |path: &str| {
        let mut client = server.connect();
        client
            .send(
                format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n")
                    .as_bytes(),
            )
            .expect("it is sent");
        let (status, _) = client.read_head().expect("an answer");
        (status, client)
    };
    let under_way: Vec<(u16, Client)> = (0..16).map(|number| ask(&paths[number % 2])).collect();
    assert!(under_way.iter().all(|(status, _)| *status == 200));
    assert_eq!(paths.each_ref().map(|path| ask(path).0), [503, 503]);
    drop(under_way);
    let begin = Instant::now();
    while ask(&paths[0]).0 != 200 {
        assert!(begin.elapsed() < PATIENCE, "who leaves makes room");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn upline(arguments: &[&str], data: &Path) -> Vec<u8> {
    let output = Command::new(binary())
        .args(arguments)
        .arg("--data-dir")
        .arg(data)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Returns the server's resident memory, in bytes.
fn resident_bytes(server: &Server) -> u64 {
    let metrics = server.get("/metrics");
    let line = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("process_resident_memory_bytes "))
        .expect("a metric of the process");
    line.split(' ').nth(1).expect("a value").parse().expect("a number")
}

/// Returns the root of the network.
fn root(server: &Server) -> String {
    let first = server.get("/v1/bonuses?limit=1").json();
    let some = first["items"][0]["source"].as_str().expect("somebody brought a bonus").to_owned();
    let upline = server.get(&format!("/v1/members/{some}/upline?limit=1000")).json();
    upline["items"].as_array().and_then(|items| items.last()).expect("somebody is above")["user_id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// Reads a stream chunk by chunk, discarding it; returns its lines, and the server's peak memory above
/// `before`.
fn read_stream(server: &Server, path: &str, before: u64) -> (u64, u64) {
    let mut client = server.connect();
    client
        .send(
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/x-ndjson\r\n\r\n")
                .as_bytes(),
        )
        .expect("it is sent");
    let (status, _) = client.read_head().expect("an answer");
    assert_eq!(status, 200, "{path}");
    let (mut lines, mut grown, mut chunks) = (0, 0, 0_u64);
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        let goes_on = client.read_chunk(&mut chunk).expect("a chunk");
        lines += chunk.iter().map(|byte| u64::from(*byte == b'\n')).sum::<u64>();
        chunks += 1;
        if chunks.is_multiple_of(500) {
            grown = resident_bytes(server).saturating_sub(before).max(grown);
        }
        if !goes_on {
            return (lines, grown);
        }
    }
}

/// Returns the size of the large network; a million in the deep tier.
fn members() -> u64 {
    std::env::var("UPLINE_TEST_STREAM_MEMBERS").ok().and_then(|text| text.parse().ok()).unwrap_or(300_000)
}

#[test]
fn a_long_downline_streams_in_bounded_memory() {
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    upline(
        &["demo", "--no-serve", "--orders", "0", "--members", &members().to_string(), "--shape", "real"],
        &data,
    );
    let server = Server::start(&data, &[]);
    let root = root(&server);
    let expected = server.get(&format!("/v1/members/{root}")).json();
    // Warm up first: the allocator keeps what the first responses used, whatever is requested.
    let before = resident_bytes(&server);
    let sponsored = server.get(&format!("/v1/members/{root}/levels?tree=sponsor")).json();
    let wide = sponsored["levels"]
        .as_array()
        .expect("a list")
        .iter()
        .max_by_key(|level| level["members"].as_u64())
        .expect("levels");
    for (path, rows) in [
        (format!("/v1/members/{root}/levels/{}?tree=sponsor", wide["level"]), wide["members"].as_u64()),
        (format!("/v1/members/{root}/downline"), expected["placement"]["downline"].as_u64()),
        (format!("/v1/members/{root}/downline?tree=sponsor"), Some(members() - 1)),
        ("/v1/bonuses".to_owned(), None),
        (format!("/v1/members/{root}/bonuses"), None),
    ] {
        let begin = Instant::now();
        let (lines, grown) = read_stream(&server, &path, before);
        println!("{path}: {lines} lines in {:?}, {} KiB more memory", begin.elapsed(), grown >> 10);
        assert!(rows.is_none_or(|rows| rows == lines), "{path}: {lines} lines, {rows:?} were expected");
        assert!(grown < 64 << 20, "{path}: {grown} bytes more");
    }
}
