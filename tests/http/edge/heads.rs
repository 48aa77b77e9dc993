//! Request heads: host, encoding, proxy headers, method.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::{fresh, metric};
use crate::common::{Reply, Server, registration, uuid};

fn raw(server: &Server, request: &str) -> Reply {
    let mut client = server.connect();
    client.send(request.as_bytes()).unwrap();
    client.read_reply(false).unwrap_or_else(|error| panic!("{request}: {error}"))
}

#[test]
fn a_request_names_its_host_once() {
    let (server, _dir) = fresh(&[]);
    // head without its first line, status on every path
    let table = [
        ("HTTP/1.1\r\n\r\n", 400),
        ("HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", 400),
        ("HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("HTTP/1.1\r\nhost: user@a\r\n\r\n", 400),
        ("HTTP/1.1\r\nhost: localhost\r\n\r\n", 200),
        ("HTTP/1.1\r\nhost: [::1]:8000\r\n\r\n", 200),
        ("HTTP/1.1\r\nhost:\r\n\r\n", 400),
        ("HTTP/1.0\r\n\r\n", 200),
        ("HTTP/1.0\r\nhost: localhost\r\n\r\n", 200),
        ("HTTP/1.0\r\nhost:\r\n\r\n", 400),
        ("HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", 400),
    ];
    for path in ["/health", "/v1/plan", "/livez", "/user/downline/00000000-0000-4000-8000-000000000001"] {
        for (head, status) in table {
            let reply = raw(&server, &format!("GET {path} {head}"));
            assert_eq!(reply.status, status, "{path} {head}: {}", reply.text());
            if status == 400 {
                let is_v1 = path.starts_with("/v1");
                let text = "The Host header is missing, there twice, or not a host";
                let said = if is_v1 { reply.json()["title"].clone() } else { reply.json()["detail"].clone() };
                assert_eq!(said, text);
                assert!(
                    !is_v1
                        || reply.json()["code"] == "host_invalid"
                            && reply.header("content-type") == Some("application/problem+json")
                );
            }
        }
    }
    // A request refused for its host had no effect, and its connection continues with the next request.
    let body = registration(&uuid(1), None);
    let mut client = server.connect();
    client
        .send(
            format!("POST /user/register HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        )
        .unwrap();
    assert_eq!(client.read_reply(false).unwrap().status, 400);
    assert_eq!(client.post("/user/register", &body).status, 200);
}

#[test]
fn encoded_bodies_are_told_apart() {
    let (server, _dir) = fresh(&[]);
    let packed = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let v1 = format!("{{\"user_id\":\"{}\"}}", uuid(1));
    let trigger = format!("{{\"source_user_id\":\"{}\",\"trigger_type\":\"referral\"}}", uuid(1));
    let plan = server.get("/v1/plan").text().to_owned();
    // method, path, media type, body
    let table = [
        ("POST", "/v1/members", "application/json", v1.clone()),
        ("POST", "/v1/members/batch", "application/x-ndjson", v1.clone()),
        ("POST", "/v1/bonuses", "application/json", v1.clone()),
        (
            "PATCH",
            "/v1/members/00000000-0000-4000-8000-000000000001",
            "application/json",
            "{\"status\":\"inactive\"}".to_owned(),
        ),
        ("PUT", "/v1/plan", "application/json", plan.clone()),
        ("POST", "/v1/plan/check", "application/json", plan),
        ("POST", "/user/register", "application/json", registration(&uuid(1), None)),
        ("POST", "/user/root_user", "application/json", registration(&uuid(1), None)),
        ("POST", "/bonus/", "application/json", trigger),
    ];
    for (method, path, kind, body) in &table {
        for coding in ["gzip", "br", "identity, gzip", "x-unknown"] {
            let headers = [("content-type", *kind), ("content-encoding", coding)];
            let reply = server.request(method, path, &headers, &packed(body));
            assert_eq!(
                (reply.status, reply.header("accept-encoding")),
                (415, Some("identity")),
                "{method} {path} {coding}: {}",
                reply.text()
            );
            let said: Value = reply.json();
            let is_told = if path.starts_with("/v1") {
                said["code"] == "body_encoded"
            } else {
                said["detail"].is_string()
            };
            assert!(is_told, "{method} {path}: {said}");
        }
        let chunked = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {kind}\r\n\
             transfer-encoding: gzip, chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        );
        assert_eq!(raw(&server, &chunked).status, 415, "{method} {path}");
    }
    assert_eq!(server.get("/v1/stats").json()["network"]["members"], 0, "nothing was done");
    for (method, path, kind, body) in &table {
        let reply = server.request(
            method,
            path,
            &[("content-type", kind), ("content-encoding", "identity")],
            body.as_bytes(),
        );
        assert_ne!(reply.status, 415, "{method} {path}: {}", reply.text());
    }
    // Where no body is read its encoding does not matter.
    assert_eq!(server.request("GET", "/health", &[("content-encoding", "gzip")], b"x").status, 200);
    assert_eq!(server.request("GET", "/v1/plan", &[("content-encoding", "gzip")], b"x").status, 422);
}

#[test]
fn redirects_go_where_a_trusted_proxy_was_asked() {
    let (trusting, _dir) = fresh(&["--trusted-proxies", "127.0.0.0/8", "--allowed-hosts", "inside"]);
    let (other, _other_dir) = fresh(&["--trusted-proxies", "10.0.0.0/8", "--allowed-hosts", "inside"]);
    let (plain, _plain_dir) = fresh(&["--allowed-hosts", "inside"]);
    // proxy headers, scheme and host of the location
    let table: [(&[(&str, &str)], &str); 9] = [
        (&[], "http://inside:8000"),
        (&[("x-forwarded-proto", "https")], "https://inside:8000"),
        (&[("x-forwarded-host", "mlm.example")], "http://mlm.example"),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "mlm.example:8443")],
            "https://mlm.example:8443",
        ),
        (&[("x-forwarded-host", "evil.example, mlm.example")], "http://mlm.example"),
        (&[("x-forwarded-host", "a/b"), ("x-forwarded-proto", "javascript")], "http://inside:8000"),
        (&[("x-forwarded-host", "user@evil.example")], "http://inside:8000"),
        (&[("x-forwarded-host", "")], "http://inside:8000"),
        (&[("x-forwarded-proto", "http\thttps")], "http://inside:8000"),
    ];
    for (said, expected) in table {
        let headers = [&[("host", "inside:8000")], said].concat();
        for (server, base) in
            [(&trusting, expected), (&other, "http://inside:8000"), (&plain, "http://inside:8000")]
        {
            let reply = server.request("POST", "/bonus?a=1", &headers, b"");
            assert_eq!(
                (reply.status, reply.header("location")),
                (307, Some(format!("{base}/bonus/?a=1").as_str())),
                "{said:?}"
            );
        }
    }
}

#[test]
fn requests_are_counted_under_their_method() {
    let (server, _dir) = fresh(&[]);
    let id = uuid(1);
    server.post("/user/register", &registration(&id, None));
    // method, path, series
    let table = [
        ("DELETE", "/livez", "method=\"DELETE\",route=\"/livez\",status=\"405\""),
        ("GET", "/version", "method=\"GET\",route=\"/version\",status=\"200\""),
        ("HEAD", "/version", "method=\"HEAD\",route=\"/version\",status=\"200\""),
        ("BREW", "/livez", "method=\"other\",route=\"/livez\",status=\"405\""),
        ("TRACE", "/livez", "method=\"other\",route=\"/livez\",status=\"405\""),
        ("PUT", "/user/register", "method=\"PUT\",route=\"unmatched\",status=\"405\""),
        ("BREW", "/nothing", "method=\"other\",route=\"unmatched\",status=\"404\""),
        ("GET", "/v1/plan", "method=\"GET\",route=\"/v1/plan\",status=\"200\""),
        ("HEAD", "/v1/plan", "method=\"HEAD\",route=\"/v1/plan\",status=\"200\""),
        ("DELETE", "/v1/plan", "method=\"DELETE\",route=\"unmatched\",status=\"405\""),
    ];
    let read = |series: &str| metric(&server, &format!("upline_http_requests_total{{{series}}}"));
    for (method, path, series) in table {
        let before = read(series);
        server.request(method, path, &[], b"");
        assert!((read(series) - before - 1.0).abs() < f64::EPSILON, "{method} {path}");
    }
    assert!(!server.get("/metrics").text().contains("BREW"));
}
