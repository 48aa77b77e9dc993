//! The edge against misbehaving clients: large, deep, broken, slow and many. Also starting and stopping.

use std::{
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::common::{self, Client, PATIENCE, Server, assert_within, registration, uuid};

fn fresh(arguments: &[&str]) -> (Server, TempDir) {
    let dir = crate::common::scratch();
    (Server::start(&dir.path().join("data"), arguments), dir)
}

const PARSING: &str = "{\"detail\":\"There was an error parsing the body\"}";

#[test]
fn bodies_beyond_the_limit_are_refused_and_their_client_gets_to_know() {
    let (server, _dir) = fresh(&[]);
    let headers = [("content-type", "application/json")];
    // bytes, status
    for (size, status) in [(65_536, 422), (65_537, 413), (1 << 20, 413)] {
        let body = vec![b' '; size];
        let reply = server.request("POST", "/user/register", &headers, &body);
        assert_eq!(reply.status, status, "{size} bytes");
        if status == 413 {
            assert_eq!(
                (reply.text(), reply.header("connection")),
                ("{\"detail\":\"Request body is too large\"}", Some("close"))
            );
        }
    }
    // Declared far too large: answered before the body arrives.
    let mut client = server.connect();
    client.send(b"POST /bonus/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000000\r\n\r\n").unwrap();
    assert_eq!(client.read_reply(false).unwrap().status, 413);
    assert_eq!(server.get("/health").status, 200);
}

/// A client that waits to be told to continue sends nothing of a body that is refused.
#[test]
fn a_body_that_is_held_back_is_refused_before_it_is_sent() {
    let (server, _dir) = fresh(&[]);
    // path, headers, status
    let table = [
        ("/user/register", "content-length: 65537\r\n", 413),
        ("/v1/members", "content-type: application/json\r\ncontent-length: 65537\r\n", 413),
        ("/v1/members", "host: b\r\ncontent-length: 2\r\n", 400),
    ];
    for (path, headers, status) in table {
        let mut client = server.connect();
        let begin = Instant::now();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-Continue\r\n{headers}\r\n");
        client.send(head.as_bytes()).unwrap();
        let reply = client.read_reply(false).unwrap();
        assert_eq!((reply.status, reply.header("connection")), (status, Some("close")), "{path} {headers}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{path} {headers}: {:?}", begin.elapsed());
    }
    // One within the limit is asked for.
    let mut client = server.connect();
    let body = registration(&uuid(1), None);
    let head = format!(
        "POST /user/register HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).unwrap();
    assert_eq!(client.read_head().unwrap().0, 100);
    client.send(body.as_bytes()).unwrap();
    assert_eq!(client.read_reply(false).unwrap().status, 200);
}

#[test]
fn deep_and_broken_bodies_are_refused() {
    let (server, _dir) = fresh(&[]);
    let mut client = server.connect();
    for opening in ["[", "{\"a\":", "[[{\"a\":"] {
        let deep = opening.repeat(60_000 / opening.len());
        let reply = client.post("/user/register", &deep);
        assert_eq!((reply.status, reply.text()), (400, PARSING));
    }
    // At maximum depth, inside a field: echoed whole.
    let deep = format!("{{\"user_id\":{}{}}}", "[".repeat(800), "]".repeat(800));
    let reply = client.post("/user/register", &deep);
    assert_eq!(reply.status, 422);
    assert!(reply.text().contains(&"[".repeat(800)));
    let digits = format!("{{\"user_id\":{}}}", "9".repeat(5_000));
    assert_eq!(client.post("/user/register", &digits).text(), PARSING);
    let reply = client.request(
        "POST",
        "/user/register",
        &[("content-type", "application/json")],
        b"{\"user_id\":\"\xff\"}",
    );
    assert_eq!((reply.status, reply.text()), (400, PARSING));
    // mended: the original fails on these.
    for value in ["NaN", "Infinity", "-Infinity", "1e999"] {
        let reply = client.post("/user/register", &format!("{{\"user_id\":{value}}}"));
        assert_eq!(reply.status, 422);
        assert!(
            reply.text().contains("\"type\":\"uuid_type\"") && reply.text().contains("\"input\":null"),
            "{}",
            reply.text()
        );
    }
}

#[test]
fn bodies_in_chunks_and_requests_in_a_row() {
    let (server, _dir) = fresh(&[]);
    let mut client = server.connect();
    let body = registration(&uuid(1), None);
    let (first, second) = body.split_at(20);
    let head = "POST /user/register HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunked =
        format!("{head}{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    client.send(chunked.as_bytes()).unwrap();
    assert_eq!(client.read_reply(false).unwrap().status, 200);
    // Three pipelined requests: three responses, in order.
    client
        .send(
            b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\nGET /status HTTP/1.1\r\nhost: localhost\r\n\r\n\
              GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n",
        )
        .unwrap();
    let statuses: Vec<(u16, String)> = (0..3)
        .map(|_| client.read_reply(false).unwrap())
        .map(|reply| (reply.status, reply.text().into()))
        .collect();
    let expected = [
        (200, "{\"status\":\"healthy\"}"),
        (200, "{\"status\":\"running\"}"),
        (404, "{\"detail\":\"Not Found\"}"),
    ];
    assert_eq!(statuses, expected.map(|(status, text)| (status, text.to_owned())));
    // Ignored bodies do not end the connection.
    for path in ["/nothing", "/bonus", "/health", "/user/register"] {
        let reply = client.request("PUT", path, &[("content-type", "application/json")], b"{\"a\":1}");
        assert!(matches!(reply.status, 404 | 405 | 307), "{path}: {}", reply.status);
    }
    // A client that waits for 100-continue.
    client
        .send(
            b"POST /user/register HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
              content-length: 2\r\n\r\n",
        )
        .unwrap();
    assert_eq!(client.read_head().unwrap().0, 100);
    client.send(b"{}").unwrap();
    assert_eq!(client.read_reply(false).unwrap().status, 422);
    // HTTP/1.0 and `connection: close`: the server closes.
    for request in [
        &b"GET /health HTTP/1.0\r\n\r\n"[..],
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request).unwrap();
        let answer = client.read_to_end(PATIENCE).expect("closed");
        assert!(answer.ends_with(b"{\"status\":\"healthy\"}"));
    }
}

/// Bodies follow their heads, as common clients send them, even where they are ignored. The connection must
/// survive: its client was not told otherwise, and would lose the next request.
#[test]
fn a_body_that_nobody_reads_does_not_end_the_connection() {
    let (server, _dir) = fresh(&[]);
    let mut client = server.connect();
    // method, path, status
    let table = [
        ("POST", "/nowhere", 404),
        ("PUT", "/user/register", 405),
        ("POST", "/user/register/", 307),
        ("GET", "/health", 200),
        ("GET", "/bonus/", 200),
        ("GET", "/livez", 200),
        ("POST", "/livez", 405),
        ("POST", "/ranks/evaluate/00000000-0000-4000-8000-000000000001", 200),
    ];
    for (method, path, status) in table {
        for size in [2, 60_000] {
            client
                .send(
                    format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n\r\n")
                        .as_bytes(),
                )
                .unwrap();
            std::thread::sleep(Duration::from_millis(20));
            client.send(&vec![b' '; size]).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            let reply = client.read_reply(false).unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            assert_eq!((reply.status, reply.header("connection")), (status, None), "{method} {path}");
        }
    }
    assert_eq!(client.request("GET", "/health", &[], b"").status, 200);
}

#[test]
fn what_is_not_http_is_refused_and_hurts_nobody() {
    let (server, _dir) = fresh(&[]);
    let long_head = format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    let many_headers = format!("GET /health HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(200));
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(20_000));
    // bytes, status
    let table: [(&[u8], u16); 9] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET\r\n\r\n", 400),
        (b"GET /health HTTP/9.9\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"POST /bonus/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST /bonus/ HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", 400),
        (long_head.as_bytes(), 431),
        (many_headers.as_bytes(), 431),
        (long_path.as_bytes(), 404),
    ];
    for (bytes, status) in table {
        let mut client = server.connect();
        // A refusal may arrive before everything is sent.
        let _ = client.send(bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        match client.read_head() {
            Ok((got, _)) => assert_eq!(got, status, "{shown}"),
            // The response to an endless head can be lost when the connection is closed with unread data.
            Err(error) => assert!(status == 431, "{shown}: {error}"),
        }
    }
    assert_eq!(server.get("/health").status, 200);
}

#[test]
fn silent_clients_are_cut_and_others_do_not_notice() {
    let (server, _dir) = fresh(&[]);
    // Some send nothing, some start a head, some trickle one, some stop inside a body.
    let beginnings: [&[u8]; 3] = [
        b"",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\n",
        b"POST /bonus/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{",
    ];
    let mut clients: Vec<(usize, Client)> = Vec::new();
    for number in 0..300 {
        let mut client = server.connect();
        client.send(beginnings[number % 3]).unwrap();
        clients.push((number % 3, client));
    }
    // Started early, so that the measured time is never less than what the server gave it.
    let begin = Instant::now();
    let mut trickling = server.connect();
    trickling.send(b"GET /health HTTP/1.1\r\n").unwrap();
    let mut slowest = Duration::ZERO;
    while trickling.send(b"x: y\r\n").is_ok() {
        let asked = Instant::now();
        assert_eq!(server.get("/health").status, 200);
        slowest = slowest.max(asked.elapsed());
        assert!(begin.elapsed() < PATIENCE, "the trickling head is not cut");
        std::thread::sleep(Duration::from_millis(20));
    }
    let trickled = begin.elapsed();
    assert!(Duration::from_secs(4) < trickled, "cut after {trickled:?}");
    assert_within(Duration::from_secs(2), slowest, "another client waited");
    for (kind, mut client) in clients {
        let answer = client.read_to_end(PATIENCE).expect("closed");
        match kind {
            // A slow body is answered.
            2 => assert!(
                answer.starts_with(b"HTTP/1.1 408 ")
                    && answer.ends_with(b"{\"detail\":\"Request body took too long\"}")
            ),
            _ => assert!(answer.is_empty(), "{}", String::from_utf8_lossy(&answer)),
        }
    }
    assert_within(Duration::from_secs(20), begin.elapsed(), "all are cut");
}

#[test]
fn connections_that_are_kept_alive_may_rest() {
    let (server, _dir) = fresh(&[]);
    let mut client = server.connect();
    assert_eq!(client.request("GET", "/health", &[], b"").status, 200);
    // Longer than the head timeout.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(client.request("GET", "/health", &[], b"").status, 200);
}

#[test]
fn connections_are_limited() {
    let (server, _dir) = fresh(&["--connections-max", "20"]);
    // All are idle: the longest idle one is closed for a new one.
    let mut held: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut held {
        assert_eq!(client.request("GET", "/health", &[], b"").status, 200);
    }
    assert_eq!(server.get("/health").status, 200);
    assert_eq!(held[0].read_to_end(PATIENCE).as_deref(), Some(&b""[..]), "closed");
    for client in &mut held[2..] {
        assert_eq!(client.request("GET", "/health", &[], b"").status, 200);
    }
    drop(held);
    // All are busy: some more get a refusal and may only use probes; further ones are refused at once.
    let mut busy = Vec::new();
    let answer = loop {
        let mut client = server.connect();
        client
            .send(b"POST /user/register HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\n\r\n{")
            .unwrap();
        // It was admitted if no response arrives.
        if let Some(answer) = client.read_to_end(Duration::from_millis(30)) {
            break String::from_utf8(answer).unwrap();
        }
        busy.push(client);
        assert!(busy.len() <= 20);
    };
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.ends_with("{\"detail\":\"Too many connections\"}"));
    assert_eq!(server.get("/livez").status, 200);
    // There is room again when they leave.
    drop(busy);
    let begin = Instant::now();
    while server.connect().try_request("GET", "/health", &[], b"").map_or(true, |reply| reply.status != 200) {
        assert!(begin.elapsed() < PATIENCE, "there is no room");
    }
}

#[test]
fn readers_that_stop_hold_nobody_up() {
    let (server, _dir) = fresh(&["--max-children", "1000"]);
    let mut client = server.connect();
    for member in 0..6_000 {
        let body = registration(&uuid(member), (member != 0).then(|| uuid(0)).as_deref());
        // Pipelined, so that they share syncs.
        let head = format!(
            "POST /user/register HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client.send(format!("{head}{body}").as_bytes()).unwrap();
        if member % 50 == 49 || member == 0 {
            let replies = if member == 0 {
                1
            } else if member == 49 {
                49
            } else {
                50
            };
            for _ in 0..replies {
                assert_eq!(client.read_reply(false).unwrap().status, 200);
            }
        }
    }
    // Some request the whole list without reading it; signups and others continue.
    let stopped: Vec<Client> = (0..20)
        .map(|_| {
            let mut client = server.connect();
            client
                .send(
                    format!("GET /user/downline/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", uuid(0)).as_bytes(),
                )
                .unwrap();
            client
        })
        .collect();
    for member in 10_000..10_050 {
        assert_eq!(client.post("/user/register", &registration(&uuid(member), Some(&uuid(0)))).status, 200);
    }
    let whole = server.get(&format!("/user/downline/{}", uuid(0)));
    assert_eq!(whole.text().matches("\"user_id\"").count(), 6_049);
    drop(stopped);
}

#[test]
fn a_stop_lets_answers_end_and_ends_in_time() {
    let (server, dir) = fresh(&[]);
    let address = server.address;
    let mut writers = Vec::new();
    for writer in 0..4_u64 {
        writers.push(std::thread::spawn(move || {
            let mut client = Client::connect(address);
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let member = uuid(writer * 1_000_000 + number);
                let body = registration(&member, None);
                match client.try_request(
                    "POST",
                    "/user/register",
                    &[("content-type", "application/json")],
                    body.as_bytes(),
                ) {
                    Ok(reply) if reply.status == 200 => acknowledged.push(reply.json()),
                    Ok(reply) => {
                        assert_eq!(reply.status, 503, "{}", reply.text());
                        break;
                    }
                    Err(_) => break,
                }
            }
            acknowledged
        }));
    }
    let mut idle = server.connect();
    assert_eq!(idle.request("GET", "/health", &[], b"").status, 200);
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    server.terminate();
    assert!(server.wait().success(), "exit 0");
    assert_within(Duration::from_secs(10), begin.elapsed(), "the stop");
    assert_eq!(idle.read_to_end(PATIENCE).as_deref(), Some(&b""[..]));
    let acknowledged: Vec<serde_json::Value> =
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
    assert!(!acknowledged.is_empty());
    let server = Server::start(&dir.path().join("data"), &[]);
    let mut client = server.connect();
    for member in acknowledged {
        let id = member["user_id"].as_str().unwrap();
        let again = client.post("/user/register", &registration(id, None));
        assert_eq!(again.status, 400, "{id} was acknowledged and is lost");
    }
}

#[test]
fn a_stop_does_not_wait_for_readers_that_stopped() {
    let (server, _dir) = fresh(&["--drain-seconds", "1"]);
    let mut client = server.connect();
    for member in 0..1_500 {
        let body = registration(&uuid(member), (member != 0).then(|| uuid(0)).as_deref());
        assert_eq!(client.post("/user/register", &body).status, 200);
    }
    let mut stopped: Vec<TcpStream> = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(server.address).unwrap();
        let request = format!("GET /user/downline/{} HTTP/1.1\r\nhost: localhost\r\n\r\n", uuid(0));
        // Many times, so that no buffer holds all responses.
        std::io::Write::write_all(&mut stream, request.repeat(30).as_bytes()).unwrap();
        stopped.push(stream);
    }
    std::thread::sleep(Duration::from_millis(300));
    let begin = Instant::now();
    server.terminate();
    assert!(server.wait().success(), "exit 0");
    assert_within(Duration::from_secs(10), begin.elapsed(), "the stop");
}

#[test]
fn an_address_in_use_is_a_clear_error() {
    let (server, dir) = fresh(&[]);
    let address = server.address.to_string();
    let second = serve_and_wait(&dir.path().join("other"), &address);
    assert!(!second.status.success());
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(text.contains(&address) && text.contains("another process listens there"), "{text}");
}

fn serve_and_wait(data_dir: &Path, address: &str) -> std::process::Output {
    std::process::Command::new(common::binary())
        .args(["serve", "--segment-bytes", "1048576", "--addr", address, "--data-dir"])
        .arg(data_dir)
        .env_clear()
        .output()
        .unwrap()
}
