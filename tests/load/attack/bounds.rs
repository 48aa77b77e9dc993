//! Connections and responses that try to exhaust resources: idle ones, busy ones, readers that request
//! anything and read nothing, and clients with expensive queries.

use std::{
    io::{ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::json;

use super::{is_run_alone, resident_bytes};
use crate::{
    common::{Client, PATIENCE, Server, turn, uuid},
    proof,
};

/// What the edge allows per connection, and beyond that for all of them together.
const HELD_BYTES_ALLOWED: u64 = 48 << 10;
const BYTES_PER_CONNECTION: u64 = 64 << 10;
const HELD_BYTES_BEYOND: u64 = 64 << 20;
/// Allowed growth for other reasons: allocator, threads.
const SLACK_BYTES: u64 = 24 << 20;
/// Connections of a crowd that connects again and again, and probes sent meanwhile.
const CROWD: usize = 600;
const PROBES: usize = 50;
/// Members, kept few so that a page of a thousand is small.
const MEMBERS: u64 = 3_000;

fn started(arguments: &[&str]) -> (Server, tempfile::TempDir) {
    let directory = crate::common::scratch();
    let server = Server::start(&directory.path().join("data"), &[&["--log", "warn"], arguments].concat());
    (server, directory)
}

/// Registers members under one sponsor, in batches.
fn recruit(server: &Server, members: u64) {
    let body = |member: u64| {
        if member == 0 {
            json!({ "user_id": uuid(0) })
        } else {
            json!({ "user_id": uuid(member), "sponsor": { "user_id": uuid(0) } })
        }
    };
    let lines: String = (0..members).map(|member| body(member).to_string() + "\n").collect();
    let mut client = server.connect();
    let head = format!(
        "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n",
        lines.len()
    );
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || sender.write_all((head + &lines).as_bytes()));
    assert_eq!(client.read_reply(false).expect("an answer").status, 200);
    sending.join().expect("it ends in peace").expect("all was taken");
}

/// Opens readers that request something and read nothing; their kernel receive buffers are small.
fn stopped_readers(server: &Server, count: u64, requests: &[String]) -> Vec<Client> {
    let asked = |number: u64| {
        let mut client = Client::connect_from([127, 0, 0, 1], server.address, Some(4_096));
        let request = &requests[usize::try_from(number).expect("small") % requests.len()];
        client.send(request.as_bytes()).expect("it takes a request");
        client
    };
    (0..count).map(asked).collect()
}

fn request(path: &str, accept: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: {accept}\r\n\r\n")
}

/// Waits until the held bytes stop changing; returns them.
fn settled(server: &Server) -> u64 {
    let (begin, mut last) = (Instant::now(), u64::MAX);
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let held = server.metric("upline_http_answer_held_bytes");
        if held == last || PATIENCE < begin.elapsed() {
            return held;
        }
        last = held;
    }
}

fn slow_readers() {
    let count = proof::number("UPLINE_SLOW_READERS", 150);
    let (server, _directory) = started(&["--connections-per-address", "0", "--connections-max", "20000"]);
    recruit(&server, MEMBERS);
    // Send each request once: lazily prepared data then exists.
    let id = uuid(0);
    let documents = ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json", "/docs"];
    for path in documents {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    let before = resident_bytes(server.pid());
    let readers = stopped_readers(&server, count, &documents.map(|path| request(path, "*/*")));
    let held = settled(&server);
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    assert_eq!(held, 0, "documents are everybody's");
    assert!(
        grown < count * BYTES_PER_CONNECTION + SLACK_BYTES,
        "{grown} bytes for {count} readers of documents"
    );
    drop(readers);

    let answers = [
        request(&format!("/v1/members/{id}/downline?limit=1000"), "application/json"),
        request(&format!("/v1/members/{id}/tree?depth=32&limit=1000&siblings=1000"), "application/json"),
        request(&format!("/v1/members/{id}/children?tree=sponsor"), "application/x-ndjson"),
        request(&format!("/v1/members/{id}/downline"), "application/x-ndjson"),
        request(&format!("/user/downline/{id}"), "application/json"),
    ];
    let before = resident_bytes(server.pid());
    let readers = stopped_readers(&server, count, &answers);
    let held = settled(&server);
    let grown_by_answers = resident_bytes(server.pid()).saturating_sub(before);
    let cut = server.metric("upline_http_connections_cut_total{reason=\"slow_reader\"}");
    // Other clients read and write as before.
    assert_eq!(
        server.get(&format!("/v1/members/{id}/downline?limit=1000")).json()["items"]
            .as_array()
            .expect("a page")
            .len(),
        1_000
    );
    assert_eq!(server.post("/v1/members", &json!({ "user_id": uuid(MEMBERS) }).to_string()).status, 201);
    drop(readers);
    proof::summary(&format!(
        "slow_readers: readers={count} grown_bytes={grown} bytes_held={held} \
         bytes_grown_by_answers={grown_by_answers} cut_readers={cut}"
    ));
    assert!(0 < held && held <= count * HELD_BYTES_ALLOWED + HELD_BYTES_BEYOND, "{held} bytes of answers");
    let most = count * BYTES_PER_CONNECTION + HELD_BYTES_BEYOND + SLACK_BYTES;
    assert!(grown_by_answers < most, "{grown_by_answers} bytes for {count} readers of answers");
    assert_eq!(settled(&server), 0, "what nobody reads any more is given back");
}

#[test]
fn readers_that_take_nothing_hold_little_whatever_they_asked_for() {
    let _turn = turn();
    if !is_run_alone("attack::bounds::readers_that_take_nothing_hold_little_whatever_they_asked_for") {
        slow_readers();
    }
}

fn idle_crowd() {
    let count = proof::number("UPLINE_CONNECTIONS", 1_000);
    let most = count / 2;
    let (server, _directory) =
        started(&["--connections-per-address", "0", "--connections-max", &most.to_string()]);
    let mut crowd: Vec<Client> = Vec::new();
    for number in 0..count {
        let mut client = server.connect();
        // Some are silent, most are idle after a request.
        if number % 4 != 0 {
            assert_eq!(client.request("GET", "/health", &[], b"").status, 200, "number {number}");
        }
        crowd.push(client);
    }
    // All clients get in, and so do the operators.
    for path in ["/livez", "/readyz", "/metrics", "/health"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    assert_eq!(server.post("/user/register", &crate::common::registration(&uuid(1), None)).status, 200);
    let cut = server.metric("upline_http_connections_cut_total{reason=\"idle\"}");
    // The most recently used ones are still open.
    let young = crowd.last_mut().expect("it is long");
    assert_eq!(young.request("GET", "/health", &[], b"").status, 200);
    proof::summary(&format!("idle_crowd: idle={count} seats={most} cut_idle={cut}"));
    assert!(count - most <= cut && cut <= count, "{cut} of {count} were closed for others");
    assert_eq!(server.metric("upline_http_connections_refused_total"), 0);
}

#[test]
fn ever_so_many_idle_connections_lock_nobody_out() {
    let _turn = turn();
    if !is_run_alone("attack::bounds::ever_so_many_idle_connections_lock_nobody_out") {
        idle_crowd();
    }
}

#[test]
fn when_all_connections_are_busy_operators_still_get_answers() {
    let _turn = turn();
    let (server, _directory) = started(&["--connections-max", "8", "--ops-addr", "127.0.0.1:0"]);
    let ops = server.ops_address();
    let begins = |_| {
        let mut client = server.connect();
        client
            .send(b"POST /user/register HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 50\r\n\r\n{")
            .expect("it takes the beginning");
        client
    };
    let mut busy: Vec<Client> = (0..8).map(begins).collect();
    let begin = Instant::now();
    // Earlier clients' connections may have been among the eight.
    while server.get("/health").status == 200 {
        busy.push(begins(0));
        assert!(begin.elapsed() < PATIENCE, "they are not busy");
    }
    let refused = server.get("/health");
    assert_eq!((refused.status, refused.text()), (503, "{\"detail\":\"Too many connections\"}"));
    assert_eq!((refused.header("retry-after"), refused.header("connection")), (Some("1"), Some("close")));
    assert_eq!(server.get("/v1/stats").json()["code"], "overloaded");
    // Many with other requests, and unfinished heads: none of them gets a probe slot.
    let crowd: Vec<Client> = (0..200)
        .map(|number| {
            let mut client = server.connect();
            let head: &[u8] = if number % 2 == 0 {
                b"GET /livez HT"
            } else {
                b"GET /v1/stats HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            };
            // Earlier ones are evicted: some are closed before they have sent anything.
            _ = client.send(head);
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    for path in ["/livez", "/readyz", "/metrics"].repeat(10) {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    drop(crowd);
    // On the operations listener everything is allowed.
    let mut operator = Client::connect(ops);
    assert_eq!(operator.request("GET", "/v1/stats", &[], b"").status, 200);
    assert_eq!(operator.request("POST", "/v1/snapshots", &[], b"").status, 200);
    drop(busy);
}

/// Keeps this many connections with unfinished requests, and replaces each that the server ends, until told
/// to stop. Counts the connections.
fn reconnecting_crowd(address: SocketAddr, count: usize, connected: &AtomicUsize, stop: &AtomicBool) {
    let begun = || {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_nonblocking(true).ok()?;
        let head = b"POST /user/register HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 50\r\n\r\n{";
        stream.write_all(head).ok().map(|()| stream)
    };
    let is_waiting = |stream: &TcpStream| {
        let mut answer = [0];
        matches!(stream.peek(&mut answer), Err(error) if error.kind() == ErrorKind::WouldBlock)
    };
    let mut streams: Vec<Option<TcpStream>> = (0..count).map(|_| None).collect();
    while !stop.load(Ordering::Relaxed) {
        for stream in &mut streams {
            if !stream.as_ref().is_some_and(is_waiting) {
                *stream = begun();
                connected.fetch_add(1, Ordering::Relaxed);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn probes_are_answered_while_a_crowd_connects_again_and_again() {
    let _turn = turn();
    let (server, _directory) = started(&["--connections-max", "64"]);
    let (address, connected, stop) = (server.address, AtomicUsize::new(0), AtomicBool::new(false));
    let answered = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| reconnecting_crowd(address, CROWD / 4, &connected, &stop));
        }
        let begin = Instant::now();
        while connected.load(Ordering::Relaxed) < 2 * CROWD && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(10));
        }
        let is_answered = |_: &usize| {
            let mut client = Client::connect(address);
            client.try_request("GET", "/livez", &[], b"").is_ok_and(|reply| reply.status == 200)
        };
        let answered = (0..PROBES).filter(is_answered).count();
        stop.store(true, Ordering::Relaxed);
        answered
    });
    let connected = connected.into_inner();
    proof::summary(&format!("reconnecting_crowd: connected={connected} probes={PROBES} answered={answered}"));
    assert!(2 * CROWD <= connected, "there was no crowd");
    // A probe that is not scheduled within 10 ms of connecting may still be closed for another connection: 47
    // of 50 were answered on a machine that was building at the same time. Supervisors ask more than once.
    assert!(PROBES * 4 / 5 <= answered, "{answered} of {PROBES} probes were answered");
}

#[test]
fn one_address_has_so_many_connections_and_another_is_not_touched() {
    let _turn = turn();
    let (server, _directory) = started(&["--connections-per-address", "5"]);
    let begin = Instant::now();
    let mut held = Vec::new();
    while held.len() < 5 {
        let mut client = Client::connect_from([127, 0, 0, 2], server.address, None);
        match client.try_request("GET", "/health", &[], b"") {
            Ok(reply) if reply.status == 200 => held.push(client),
            _ => assert!(begin.elapsed() < PATIENCE, "there is no room"),
        }
    }
    let mut refused = Client::connect_from([127, 0, 0, 2], server.address, None);
    let answer = String::from_utf8(refused.read_to_end(PATIENCE).expect("closed")).expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 503 ")
            && answer.ends_with("{\"detail\":\"Too many connections from this address\"}"),
        "{answer}"
    );
    // Its data is unread: closing at once would reset the connection, and lose the response.
    for _ in 0..50 {
        let mut refused = Client::connect_from([127, 0, 0, 2], server.address, None);
        assert_eq!(refused.try_request("GET", "/health", &[], b"").expect("no reset").status, 503);
        assert_eq!(refused.read_to_end(PATIENCE).as_deref(), Some(&b""[..]));
    }
    assert_eq!(server.get("/health").status, 200, "another address");
    assert_eq!(server.metric("upline_http_connections_turned_away_total{reason=\"address\"}"), 51);
    let (server, _directory) =
        started(&["--connections-per-address", "1", "--trusted-proxies", "127.0.0.0/8"]);
    let mut gateway: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    assert!(
        gateway.iter_mut().all(|client| client.request("GET", "/health", &[], b"").status == 200),
        "a proxy is no client"
    );
}

#[test]
fn work_is_charged_by_what_it_was() {
    let _turn = turn();
    let (server, _directory) = started(&["--cost-other-per-second", "1000", "--cost-other-burst", "4000"]);
    recruit(&server, 1_000);
    let page = format!("/v1/members/{}/downline?limit=1000", uuid(0));
    let mut client = server.connect();
    assert_eq!(client.request("GET", &page, &[], b"").status, 200, "what it costs is known afterwards");
    let costly = [
        page,
        format!("/v1/members/{}/tree", uuid(0)),
        format!("/v1/members/{}/levels", uuid(0)),
        format!("/v1/members/{}/levels/3", uuid(0)),
        format!("/v1/members/{}/report", uuid(0)),
        format!("/v1/members/{}?as_of=1", uuid(0)),
        format!("/v1/bonuses/{}/explain", uuid(0)),
        format!("/user/downline/{}", uuid(0)),
        format!("/bonus/user/{}", uuid(0)),
        format!("/reports/weekly/{}", uuid(0)),
        "/bonus/".to_owned(),
        "/v1/bonuses".to_owned(),
    ];
    for path in &costly {
        let reply = client.request("GET", path, &[], b"");
        assert_eq!(reply.status, 429, "{path}: {}", reply.text());
        let seconds: u64 = reply.header("retry-after").expect("when to come back").parse().expect("seconds");
        assert!((1..=60).contains(&seconds), "{path}: {seconds}");
    }
    // Cheap requests continue, and so do all other clients.
    for path in [
        format!("/v1/members/{}", uuid(0)),
        format!("/user/downline/{}/count", uuid(0)),
        format!("/v1/members/{}/rank", uuid(0)),
    ] {
        assert_eq!(client.request("GET", &path, &[], b"").status, 200, "{path}");
    }
    assert_eq!(client.post("/user/register", &crate::common::registration(&uuid(5_000), None)).status, 200);
    let mut other = Client::connect_from([127, 0, 0, 2], server.address, None);
    assert_eq!(other.request("GET", &costly[0], &[], b"").status, 200, "another address pays for itself");
    assert_eq!(server.metric("upline_rate_limited_total{by=\"cost\"}"), costly.len() as u64);
    assert!(16_000 <= server.metric("upline_cost_units_total{of=\"other\"}"), "two pages of a thousand rows");
}
