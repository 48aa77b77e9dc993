//! A client may close its sending half right after its request: it gets its full response. A client that is
//! gone is detected, and holds nothing for long.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{fresh, metric};
use crate::common::{Client, Server, registration, uuid};

/// Members in the network whose lists are streamed: many times what a socket buffers.
const MEMBERS: u64 = 20_000;
/// For waits of a second or two on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends bytes and closes the sending half.
fn sent(server: &Server, bytes: &str) -> Client {
    let mut client = server.connect();
    client.send(bytes.as_bytes()).unwrap();
    client.finish();
    client
}

fn post(path: &str, kind: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn lines(members: u64) -> String {
    (1..=members).fold(String::new(), |mut text, number| {
        let sponsor = if number == 1 {
            String::new()
        } else {
            format!(",\"sponsor\":{{\"user_id\":\"{}\"}}", uuid(number / 2))
        };
        writeln!(text, "{{\"user_id\":\"{}\"{sponsor}}}", uuid(number)).unwrap();
        text
    })
}

#[test]
fn whoever_sends_no_more_gets_its_answer_in_full() {
    let (server, _dir) = fresh(&[]);
    let batch = post("/v1/members/batch", "application/x-ndjson", &lines(1_000));
    let mut client = sent(&server, &batch);
    let reply = client.read_reply(false).unwrap();
    assert_eq!((reply.status, reply.text().lines().count()), (200, 1_000));
    assert_eq!(client.read_to_end(PATIENCE).expect("closed"), b"");
    // An unstreamed reply, from both APIs, to a write and to a read.
    let member = format!("{{\"user_id\":\"{}\"}}", uuid(5_000));
    let table = [
        (post("/v1/members", "application/json", &member), 201),
        (post("/user/register", "application/json", &registration(&uuid(5_001), Some(&uuid(1)))), 200),
        (format!("GET /v1/members/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", uuid(5_000)), 200),
        ("GET /user/downline/x HTTP/1.0\r\n\r\n".to_owned(), 422),
        ("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned(), 200),
    ];
    for (request, status) in table {
        let mut client = sent(&server, &request);
        let reply = client.read_reply(false).unwrap_or_else(|error| panic!("{request}: {error}"));
        assert_eq!(reply.status, status, "{request}: {}", reply.text());
        assert_eq!(client.read_to_end(PATIENCE).expect("closed"), b"");
    }
    assert_eq!(server.get(&format!("/user/downline/{}/count", uuid(1))).text(), "1000");
}

#[test]
fn requests_in_a_row_are_all_answered() {
    let (server, _dir) = fresh(&[]);
    // The first connection was used before.
    let mut client = server.connect();
    assert_eq!(client.post("/user/register", &registration(&uuid(1), None)).status, 200);
    let mut text = String::new();
    for number in 2..30 {
        text += &post(
            "/user/register",
            "application/json",
            &registration(&uuid(number), Some(&uuid(number - 1))),
        );
        write!(text, "GET /user/downline/{}/count HTTP/1.1\r\nhost: localhost\r\n\r\n", uuid(1)).unwrap();
    }
    client.send(text.as_bytes()).unwrap();
    client.finish();
    for number in 2..30 {
        assert_eq!(client.read_reply(false).unwrap().status, 200, "{number}");
        assert_eq!(client.read_reply(false).unwrap().text(), (number - 1).to_string());
    }
    assert_eq!(client.read_to_end(PATIENCE).expect("closed"), b"");
    // A truncated request is ignored, and requests before it are answered.
    let whole = "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let broken = post("/user/register", "application/json", &registration(&uuid(90), None));
    for cut in [1, 20, broken.len() - 1] {
        let mut client = sent(&server, &format!("{whole}{}", &broken[..cut]));
        assert_eq!(client.read_reply(false).unwrap().status, 200);
        let rest = client.read_to_end(PATIENCE).expect("closed");
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&rest));
    }
    assert_eq!(server.get(&format!("/v1/members/{}", uuid(90))).status, 404);
}

#[test]
fn streams_are_not_cut() {
    let (server, _dir) = fresh(&[]);
    let mut client = server.connect();
    let mut sender = client.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::io::Write::write_all(
                &mut sender,
                post("/v1/members/batch", "application/x-ndjson", &lines(MEMBERS)).as_bytes(),
            )
        });
        assert_eq!(client.read_reply(false).unwrap().text().lines().count() as u64, MEMBERS);
    });
    let root = uuid(1);
    for (path, accept) in [
        (format!("/v1/members/{root}/downline"), "application/x-ndjson"),
        (format!("/user/downline/{root}"), "*/*"),
    ] {
        let mut client =
            sent(&server, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n"));
        // Long enough for the client's FIN to arrive before the response is sent.
        std::thread::sleep(Duration::from_millis(300));
        let reply = client.read_reply(false).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!((reply.status, reply.header("transfer-encoding")), (200, Some("chunked")), "{path}");
        let shown = reply.text().matches("\"user_id\"").count() as u64;
        assert_eq!(shown, MEMBERS - 1, "{path}");
        assert_eq!(client.read_to_end(PATIENCE).expect("closed"), b"");
    }
}

/// A feed does not end by itself, and their number is bounded: those of clients that are gone must not count
/// for long.
#[test]
fn a_feed_goes_on_and_ends_with_its_client() {
    let (server, _dir) = fresh(&[]);
    server.post("/user/register", &registration(&uuid(1), None));
    let follow = "GET /v1/events?from=1 HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut client = sent(&server, follow);
    client.read_head().unwrap();
    let mut seen = Vec::new();
    let mut until = |client: &mut Client, text: &str| {
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert!(client.read_chunk(&mut seen).unwrap());
        }
    };
    until(&mut client, &uuid(1));
    server.post("/user/register", &registration(&uuid(2), Some(&uuid(1))));
    until(&mut client, &uuid(2));
    // A half-closed client gets heartbeats at once, and to a client that is gone they cannot be sent.
    until(&mut client, "heartbeat");
    drop(client);
    for _ in 0..3 {
        let begin = Instant::now();
        let mut feeds = Vec::new();
        while feeds.len() < 64 {
            assert!(begin.elapsed() < PATIENCE, "{} feeds", feeds.len());
            let mut client = server.connect();
            client.send(follow.as_bytes()).unwrap();
            match client.read_head().unwrap().0 {
                200 => feeds.push(client),
                503 => std::thread::sleep(Duration::from_millis(100)),
                status => panic!("{status}"),
            }
        }
    }
    let begin = Instant::now();
    while 2.0 < metric(&server, "upline_http_connections") {
        assert!(begin.elapsed() < PATIENCE, "connections are left");
        std::thread::sleep(Duration::from_millis(100));
    }
}
