//! One principal's keys and batches do not affect another's.

use std::{
    io::Write,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::fresh;
use crate::common::{Client, Reply, Server, binary, registration, uuid};

const PATIENCE: Duration = Duration::from_mins(1);

struct Key {
    id: String,
    secret: String,
}

impl Key {
    fn new(data_dir: &Path, name: &str) -> Self {
        let arguments = ["keys", "create", "--json", "--role", "admin", "--name", name, "--data-dir"];
        let made = Command::new(binary())
            .args(arguments)
            .arg(data_dir)
            .env_clear()
            .envs([crate::common::SMALL_SEGMENTS])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let key: Value = serde_json::from_slice(&made.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&made.stderr)));
        let field = |name: &str| key[name].as_str().unwrap().to_owned();
        Self { id: field("id"), secret: field("secret") }
    }

    fn head(&self) -> String {
        format!("x-api-key: {}\r\nx-api-secret: {}\r\n", self.id, self.secret)
    }

    fn request(&self, server: &Server, method: &str, path: &str, idempotency_key: &str, body: &str) -> Reply {
        let mut headers = vec![("x-api-key", self.id.as_str()), ("x-api-secret", self.secret.as_str())];
        headers.push(("content-type", "application/json"));
        if !idempotency_key.is_empty() {
            headers.push(("idempotency-key", idempotency_key));
        }
        server.request(method, path, &headers, body.as_bytes())
    }
}

fn trigger(number: u64, kind: &str) -> String {
    json!({ "source_user_id": uuid(number), "trigger_type": kind }).to_string()
}

#[test]
fn the_same_idempotency_key_of_two_principals_is_two() {
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let server = Server::start(&data, &[]);
    server.post("/user/register", &registration(&uuid(1), None));
    server.post("/user/register", &registration(&uuid(2), Some(&uuid(1))));
    // Without authorization all clients are one principal.
    let headers = [("content-type", "application/json"), ("idempotency-key", "early")];
    assert_eq!(server.request("POST", "/bonus/", &headers, trigger(2, "referral").as_bytes()).status, 200);
    let (anna, bert) = (Key::new(&data, "anna"), Key::new(&data, "bert"));
    let begin = Instant::now();
    while server.get("/bonus/").status != 401 {
        assert!(begin.elapsed() < PATIENCE, "no credentials are asked for");
        std::thread::sleep(Duration::from_millis(50));
    }
    let bonuses = || anna.request(&server, "GET", "/bonus/", "", "").json().as_array().unwrap().len();
    let send = |key: &Key, name: &str, body: &str| key.request(&server, "POST", "/bonus/", name, body).status;
    assert_eq!(bonuses(), 1);
    // key, idempotency key, kind of trigger, status, bonuses afterwards
    let table = [
        (&anna, "order-1", "referral", 200, 2),
        (&anna, "order-1", "referral", 200, 2),
        (&anna, "order-1", "purchase", 422, 2),
        (&bert, "order-1", "referral", 200, 3),
        (&bert, "order-1", "referral", 200, 3),
        (&bert, "order-2", "purchase", 200, 4),
        (&anna, "order-2", "referral", 200, 5),
        // A retry of a request from before principals were distinguished is still a retry.
        (&anna, "early", "referral", 200, 5),
        // A different request belongs to the other principal.
        (&bert, "early", "purchase", 200, 6),
        (&bert, "early", "purchase", 200, 6),
    ];
    for (at, (key, name, kind, status, expected)) in table.into_iter().enumerate() {
        assert_eq!((send(key, name, &trigger(2, kind)), bonuses()), (status, expected), "row {at}");
    }
    // The other operations with keys follow the same rule: a repeat for each, and a new one for the other.
    let id = anna.request(&server, "GET", "/bonus/", "", "").json()[0]["id"].as_str().unwrap().to_owned();
    let member = registration(&uuid(9), Some(&uuid(1)));
    let table = [
        ("POST", "/user/register".to_owned(), member, [200, 200, 400]),
        ("POST", "/user/root_user".to_owned(), registration(&uuid(10), None), [200, 200, 400]),
        ("PATCH", format!("/bonus/{id}/mark-paid"), String::new(), [200, 200, 200]),
        ("GET", "/bonus/mark-paid/all".to_owned(), String::new(), [200, 200, 200]),
    ];
    for (method, path, body, expected) in table {
        let statuses =
            [&anna, &anna, &bert].map(|key| key.request(&server, method, &path, "k", &body).status);
        assert_eq!(statuses, expected, "{method} {path}");
    }
    let answers = [&anna, &bert]
        .map(|key| key.request(&server, "GET", "/bonus/mark-paid/all", "k", "").text().to_owned());
    assert!(answers[0].contains("have been paid") && answers[1].contains("No unpaid"), "{answers:?}");
}

/// Starts a batch that does not end; returns its client and status.
fn begun(server: &Server, credentials: &str) -> (Client, u16) {
    let mut client = server.connect();
    let head = format!(
        "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\n\
         {credentials}content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    client.send(head.as_bytes()).unwrap();
    let status = client.read_head().unwrap().0;
    (client, status)
}

fn send_chunk(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes())
}

#[test]
fn no_principal_takes_all_places_of_batches() {
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let (anna, bert) = (Key::new(&data, "anna"), Key::new(&data, "bert"));
    let server = Server::start(&data, &[]);
    // Each sends a line, so that none is idle for long.
    let busy = |key: &Key, number: u64| {
        let (mut client, status) = begun(&server, &key.head());
        if status == 200 {
            send_chunk(&mut client.sender(), &format!("{{\"user_id\":\"{}\"}}\n", uuid(number))).unwrap();
        }
        (client, status)
    };
    let held: Vec<(Client, u16)> = (0..3).map(|number| busy(&anna, number)).collect();
    assert_eq!(held.iter().map(|(_, status)| *status).collect::<Vec<_>>(), [200, 200, 503]);
    let others: Vec<(Client, u16)> = (10..12).map(|number| busy(&bert, number)).collect();
    assert_eq!(others.iter().map(|(_, status)| *status).collect::<Vec<_>>(), [200, 200]);
}

/// Empty lines are no progress: a client that sends only those still times out, and is evicted when another
/// arrives.
#[test]
fn empty_lines_keep_nobody_out() {
    let (server, _dir) = fresh(&[]);
    let mut held: Vec<Client> = (0..4)
        .map(|_| {
            let (client, status) = begun(&server, "");
            assert_eq!(status, 200);
            client
        })
        .collect();
    let mut senders: Vec<TcpStream> = held.iter_mut().map(Client::sender).collect();
    let begin = Instant::now();
    // All slots are taken, and still another client gets in, twice.
    let mut newcomers = Vec::new();
    while newcomers.len() < 2 {
        assert!(begin.elapsed() < PATIENCE, "nobody else comes in");
        for sender in &mut senders {
            // An evicted one accepts no more.
            let _ = send_chunk(sender, "\n");
        }
        let (mut client, status) = begun(&server, "");
        if status == 200 {
            send_chunk(
                &mut client.sender(),
                &format!("{{\"user_id\":\"{}\"}}\n", uuid(newcomers.len() as u64 + 1)),
            )
            .unwrap();
            let mut seen = Vec::new();
            assert!(client.read_chunk(&mut seen).unwrap());
            assert_eq!(serde_json::from_slice::<Value>(&seen).unwrap()["status"], 201);
            newcomers.push(client);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(newcomers);
    // No slot is still held: two were evicted, the others timed out despite their empty lines.
    let mut ends = Vec::new();
    for mut client in held {
        let mut seen = Vec::new();
        loop {
            for sender in &mut senders {
                let _ = send_chunk(sender, "\n");
            }
            match client.read_chunk(&mut seen) {
                Ok(true) => {}
                Ok(false) | Err(_) => break,
            }
        }
        let last: Value =
            serde_json::from_slice(seen.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap())
                .unwrap();
        ends.push(last["problem"]["code"].as_str().unwrap().to_owned());
    }
    ends.sort();
    assert_eq!(ends, ["body_too_slow", "body_too_slow", "overloaded", "overloaded"]);
}
