//! Deep, huge, endless or invalid JSON, on the routes of `/v1`. The compatible routes are in
//! `tests/http/limits.rs`.

use crate::common::{Server, turn};

const ROUTES: [(&str, &str); 5] = [
    ("POST", "/v1/members"),
    ("POST", "/v1/bonuses"),
    ("PUT", "/v1/plan"),
    ("POST", "/v1/plan/check"),
    ("PATCH", "/v1/members/00000000-0000-4000-8000-000000000001"),
];

#[test]
fn bodies_made_to_hurt_are_refused_and_hurt_nobody() {
    let _turn = turn();
    let directory = crate::common::scratch();
    let server = Server::start(&directory.path().join("data"), &["--log", "warn"]);
    let mut client = server.connect();
    let bodies = [
        "[".repeat(60_000),
        "{\"user_id\":".repeat(5_000),
        format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)),
        format!("{{\"user_id\":\"{}\"}}", "a".repeat(60_000)),
        format!("{{\"user_id\":{}}}", "9".repeat(60_000)),
        format!("{{{}}}", (0..6_000).map(|number| format!("\"k{number}\":0")).collect::<Vec<_>>().join(",")),
        "\u{0}".repeat(1_000),
        "{\"user_id\":\"\\ud800\"}".to_owned(),
        "{\"user_id\":1e99999}".to_owned(),
        format!("{{\"bonus\":[{}]}}", "{},".repeat(20_000)),
    ];
    for (method, path) in ROUTES {
        for body in &bodies {
            let reply =
                client.request(method, path, &[("content-type", "application/json")], body.as_bytes());
            let shown = &body[..body.len().min(30)];
            assert!(matches!(reply.status, 400 | 404 | 422), "{method} {path} {shown}: {}", reply.status);
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json"),
                "{method} {path} {shown}"
            );
            assert!(
                reply.body.len() < 4_096,
                "{method} {path} {shown}: an answer of {} bytes",
                reply.body.len()
            );
        }
        let huge = vec![b' '; 2 << 20];
        let reply = server.request(method, path, &[("content-type", "application/json")], &huge);
        assert_eq!(reply.status, 413, "{method} {path}");
    }
    // A batch may have any number of lines, but line length is bounded.
    let mut batch = server.connect();
    let line = vec![b'['; 1 << 20];
    let reply =
        batch.request("POST", "/v1/members/batch", &[("content-type", "application/x-ndjson")], &line);
    assert!(
        reply.text().contains("\"status\":413") || reply.text().contains("\"status\":400"),
        "{}",
        reply.text()
    );
    assert_eq!(server.get("/readyz").status, 200);
}
