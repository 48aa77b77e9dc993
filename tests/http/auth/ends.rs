//! Requests that go on for long end when the access of their sender does.

use std::fs;

use serde_json::{Value, json};

use super::{
    issuer::{FLAGS, claims, first, key_set},
    support::{Place, ask, bearer, wait_for},
};
use crate::common::{Client, Server, registration, uuid};

type Headers = Vec<(String, String)>;

/// Sends the head of a request.
fn begin(server: &Server, line: &str, headers: &Headers, more: &str) -> Client {
    let lines = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat());
    let headers: String = lines.collect();
    let mut client = server.connect();
    client.send(format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}{more}\r\n").as_bytes()).unwrap();
    client
}

/// Returns the next line of a chunked answer; `None` at its end.
fn line(client: &mut Client) -> Option<Value> {
    let mut text = Vec::new();
    while !text.ends_with(b"\n") {
        if !client.read_chunk(&mut text).expect("a whole answer") {
            assert!(text.is_empty());
            return None;
        }
    }
    Some(serde_json::from_slice(&text).expect("a line at a time"))
}

fn sign_up(server: &Server, admin: &Headers, member: u64) {
    let sponsor = (member != 1).then(|| uuid(1));
    let reply =
        ask(server, admin, "POST", "/user/register", &registration(&uuid(member), sponsor.as_deref()));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Follows the feed until an event has come.
fn follow(server: &Server, headers: &Headers, admin: &Headers, member: u64) -> Client {
    let mut feed = begin(server, "GET /v1/events", headers, "");
    assert_eq!(feed.read_head().unwrap().0, 200);
    sign_up(server, admin, member);
    assert_eq!(line(&mut feed).unwrap()["command"]["user_id"], uuid(member));
    feed
}

#[test]
fn a_feed_ends_with_its_key_and_with_its_token() {
    let place = Place::new();
    let admin = place.key(&["--role", "admin"]).headers();
    let key = place.key(&["--scope", "events:read"]);
    let keys = place.file("keys.json");
    fs::write(&keys, key_set(&[first()])).unwrap();
    let flags = ["--jwt-leeway-seconds", "0", "--jwt-jwks", keys.to_str().unwrap()];
    let server = place.serve(&[&FLAGS[..], &flags].concat());

    let mut of_key = follow(&server, &key.headers(), &admin, 1);
    let mut of_admin = follow(&server, &admin, &admin, 2);
    assert_eq!(line(&mut of_key).unwrap()["command"]["user_id"], uuid(2));
    place.revoke(&key);
    assert_eq!(line(&mut of_key), None, "it ends whole");
    wait_for(&server, &key.headers(), "/v1/events", 401);

    let mut short = claims("nightly");
    short["role"] = "service".into();
    short["scope"] = "events:read".into();
    short["exp"] = json!(jsonwebtoken::get_current_timestamp() + 3);
    let mut of_token = follow(&server, &bearer(&first().sign(&short)), &admin, 3);
    assert_eq!(line(&mut of_token), None, "it ends whole");
    assert_eq!(line(&mut of_admin).unwrap()["command"]["user_id"], uuid(3), "others go on");
}

#[test]
fn a_batch_ends_with_its_key() {
    let place = Place::new();
    let admin = place.key(&["--role", "admin"]).headers();
    let key = place.key(&["--scope", "members:register"]);
    let server = place.serve(&[]);
    let head = "content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n";
    let mut batch = begin(&server, "POST /v1/members/batch", &key.headers(), head);
    let send = |batch: &mut Client, member: u64| {
        let line = json!({ "user_id": uuid(member) }).to_string() + "\n";
        batch.send(format!("{:x}\r\n{line}\r\n", line.len()).as_bytes()).unwrap();
    };
    send(&mut batch, 1);
    assert_eq!(batch.read_head().unwrap().0, 200);
    assert_eq!(line(&mut batch).unwrap()["status"], 201);
    place.revoke(&key);
    wait_for(&server, &key.headers(), "/v1/members", 401);
    send(&mut batch, 2);
    let last = line(&mut batch).unwrap();
    assert_eq!((&last["status"], &last["problem"]["code"]), (&json!(401), &json!("unauthenticated")));
    assert_eq!(line(&mut batch), None);
    let there =
        |member: u64| ask(&server, &admin, "GET", &format!("/v1/members/{}", uuid(member)), "").status;
    assert_eq!((there(1), there(2)), (200, 404));
}
