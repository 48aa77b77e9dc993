//! A web page can do nothing to a server on the same machine that runs without authorization. Raw requests,
//! as browsers send them.

use std::io::Write;

use serde_json::Value;

use super::support::{Place, ask, get, metric, wait_for};
use crate::common::{Reply, Server, registration, uuid};

/// Sends the raw bytes of a request; `{host}` stands for the address of the server.
fn raw(server: &Server, request: &str) -> Reply {
    let mut client = server.connect();
    client.send(request.replace("{host}", &server.address.to_string()).as_bytes()).unwrap();
    client.read_reply(false).unwrap()
}

fn members(server: &Server) -> usize {
    server
        .get("/metrics")
        .text()
        .lines()
        .find_map(|line| line.strip_prefix("upline_members "))
        .unwrap()
        .parse()
        .unwrap()
}

fn pending(server: &Server) -> usize {
    server.get("/bonus/?status=pending").json().as_array().map_or(0, Vec::len)
}

/// Starts a server with members 1 and 2 and a pending bonus.
fn open_server(place: &Place, arguments: &[&str]) -> Server {
    let server = place.serve(arguments);
    for (member, parent) in [(1, None), (2, Some(uuid(1)))] {
        assert_eq!(
            server.post("/user/register", &registration(&uuid(member), parent.as_deref())).status,
            200
        );
    }
    let trigger = format!("{{\"source_user_id\":\"{}\",\"trigger_type\":\"referral\"}}", uuid(2));
    assert_eq!(server.post("/bonus/", &trigger).status, 200);
    server
}

/// DNS rebinding: the page's name suddenly resolves to loopback, and the browser then sends its requests
/// here, with the page's host.
#[test]
fn a_name_that_was_rebound_reads_and_writes_nothing() {
    let place = Place::new();
    let server = open_server(&place, &["--allowed-hosts", "mlm.internal, app.example"]);
    let body = registration(&uuid(50), Some(&uuid(1)));
    let length = body.len();
    for host in [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "mlm.internal.evil.example",
        "0.0.0.0",
    ] {
        for target in ["/bonus/", "/", "/health", "/docs", "/openapi.json", "/metrics", "/nowhere"] {
            let reply = raw(&server, &format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
            assert_eq!(reply.status, 421, "{host} {target}");
            assert!(
                reply.text().contains("allowed_hosts") && !reply.text().contains(&uuid(1)),
                "{}",
                reply.text()
            );
        }
        let reply = raw(&server, &format!("GET /v1/members/{} HTTP/1.1\r\nhost: {host}\r\n\r\n", uuid(1)));
        assert_eq!((reply.status, reply.json()["code"].as_str()), (421, Some("host_unknown")), "{host}");
        // Same-origin to the browser: only the name gives it away.
        let page =
            format!("origin: http://{host}\r\nsec-fetch-site: same-origin\r\ncontent-type: application/json");
        let reply = raw(
            &server,
            &format!(
                "POST /user/register HTTP/1.1\r\nhost: {host}\r\n{page}\r\n\
                 content-length: {length}\r\n\r\n{body}"
            ),
        );
        assert_eq!(reply.status, 421, "{host}");
    }
    // An absolute-form target does not circumvent the check.
    let reply = raw(&server, "GET http://evil.example/bonus/ HTTP/1.1\r\nhost: {host}\r\n\r\n");
    assert_eq!(reply.status, 421);
    assert_eq!(members(&server), 2);
    // Names of this server, and probes, which reveal nothing about the network.
    for host in ["{host}", "localhost:8000", "127.0.0.1", "[::1]:8000", "MLM.internal:11000", "app.example"] {
        assert_eq!(
            raw(&server, &format!("GET /bonus/ HTTP/1.1\r\nhost: {host}\r\n\r\n")).status,
            200,
            "{host}"
        );
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(
            raw(&server, &format!("GET {path} HTTP/1.1\r\nhost: probe.internal\r\n\r\n")).status,
            200,
            "{path}"
        );
    }
    assert!(5 * 9 <= metric(&server, &[], "upline_auth_requests_total{outcome=\"host_unknown\"}"));
}

/// Forms need neither scripts nor permission, and their media types are three that any page may send.
#[test]
fn pages_of_others_change_nothing() {
    let place = Place::new();
    let server = open_server(&place, &["--test-data"]);
    let register = registration(&uuid(60), Some(&uuid(1)));
    let trigger = format!("{{\"source_user_id\":\"{}\",\"trigger_type\":\"purchase\"}}", uuid(2));
    // method, path, media type, body
    let table = [
        // <form method=post enctype=text/plain>
        ("POST", "/user/register", "text/plain", register.as_str()),
        ("POST", "/user/register", "application/x-www-form-urlencoded", register.as_str()),
        ("POST", "/user/register", "multipart/form-data; boundary=x", register.as_str()),
        ("POST", "/user/root_user", "text/plain", register.as_str()),
        ("POST", "/bonus/", "text/plain", trigger.as_str()),
        // The original takes a body without a type for JSON: fetch(..., {mode: "no-cors", body: new
        // Blob([...])}).
        ("POST", "/bonus/", "", trigger.as_str()),
        ("POST", "/user/register", "", register.as_str()),
        ("POST", "/user/register", "application/json", register.as_str()),
        ("PATCH", "/bonus/00000000-0000-4000-8000-000000000001/mark-paid", "", "{}"),
        ("POST", "/v1/bonuses/pay-all", "", ""),
        ("POST", "/v1/snapshots", "text/plain", ""),
        // <img src=...>: no body, and no method but GET.
        ("GET", "/bonus/mark-paid/all", "", ""),
        ("GET", "/bonus/%6dark-paid/all", "", ""),
        ("GET", "/user/add_test_data", "", ""),
    ];
    let pages = [
        "origin: https://evil.example\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\n",
        "origin: https://evil.example\r\n",
        "origin: null\r\n",
        "sec-fetch-site: cross-site\r\n",
        "origin: http://127.0.0.1:3000\r\nsec-fetch-site: same-site\r\n",
        "sec-fetch-site: same-site\r\n",
        "referer: https://evil.example/page.html\r\n",
    ];
    for page in pages {
        for (method, path, media_type, body) in table {
            let media_type =
                if media_type.is_empty() { String::new() } else { format!("content-type: {media_type}\r\n") };
            let length = body.len();
            let request = format!(
                "{method} {path} HTTP/1.1\r\nhost: {{host}}\r\n\
                 {page}{media_type}content-length: {length}\r\n\r\n{body}"
            );
            let reply = raw(&server, &request);
            assert_eq!(reply.status, 403, "{request}");
            let code = reply.json()["code"].as_str().map(String::from);
            assert_eq!(code.as_deref(), path.starts_with("/v1/").then_some("origin_foreign"), "{request}");
            assert!(reply.text().contains("Other web pages change nothing"), "{}", reply.text());
        }
    }
    assert_eq!((members(&server), pending(&server)), (2, 1), "nothing changed");
    // Reading is harmless: a page cannot see the response, since nothing here allows it to.
    let reply = raw(
        &server,
        "GET /bonus/ HTTP/1.1\r\nhost: {host}\r\norigin: https://evil.example\r\n\
         sec-fetch-site: cross-site\r\n\r\n",
    );
    assert!(reply.status == 200 && reply.header("access-control-allow-origin").is_none());
    let reply = raw(
        &server,
        "OPTIONS /user/register HTTP/1.1\r\nhost: {host}\r\norigin: https://evil.example\r\n\
         access-control-request-method: POST\r\n\r\n",
    );
    assert!(reply.status == 405 && reply.header("access-control-allow-origin").is_none());
    assert!(7 * 14 <= metric(&server, &[], "upline_auth_requests_total{outcome=\"page_foreign\"}"));
}

/// The gateway, curl, and the server's own documentation page.
#[test]
fn programs_and_our_own_page_are_let_through() {
    let place = Place::new();
    let server = open_server(&place, &[]);
    let gateway = "accept: */*\r\naccept-encoding: gzip, deflate\r\nuser-agent: python-httpx/0.27.0\r\n\
                   content-type: application/json\r\nx-api-key: any\r\nx-api-secret: any\r\n";
    let curl = "user-agent: curl/8.5.0\r\naccept: */*\r\n";
    let page = "origin: http://{host}\r\nreferer: http://{host}/docs\r\nsec-fetch-site: same-origin\r\n\
                sec-fetch-mode: cors\r\ncontent-type: application/json\r\n";
    let typed = "sec-fetch-site: none\r\nsec-fetch-mode: navigate\r\n";
    for (number, headers) in (100..).zip([gateway, curl, page, typed]) {
        let body = registration(&uuid(number), Some(&uuid(1)));
        let length = body.len();
        let reply = raw(
            &server,
            &format!(
                "POST /user/register HTTP/1.1\r\nhost: {{host}}\r\n\
                 {headers}content-length: {length}\r\n\r\n{body}"
            ),
        );
        assert_eq!(reply.status, 200, "{headers}: {}", reply.text());
        let reply =
            raw(&server, &format!("GET /bonus/mark-paid/all HTTP/1.1\r\nhost: {{host}}\r\n{headers}\r\n"));
        assert_eq!(reply.status, 200, "{headers}: {}", reply.text());
    }
    assert_eq!((members(&server), pending(&server)), (6, 0));
    // Old programs send no host at all.
    let mut client = server.connect();
    client.sender().write_all(b"GET /bonus/ HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(client.read_head().unwrap().0, 200);
}

/// With authorization a page has no credentials, and a client with credentials is not a page: no further
/// check applies.
#[test]
fn with_credentials_nothing_changes() {
    let place = Place::new();
    let server = open_server(&place, &[]);
    let admin = place.key(&["--role", "admin"]).headers();
    wait_for(&server, &[], "/bonus/", 401);
    let strange =
        [("host", "evil.example"), ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    let strange: Vec<(String, String)> =
        strange.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(get(&server, &strange, "/bonus/"), 401);
    assert_eq!(get(&server, &[&admin[..], &strange].concat(), "/bonus/mark-paid/all"), 200);
    let reply = ask(
        &server,
        &[&admin[..], &strange].concat(),
        "POST",
        "/user/register",
        &registration(&uuid(7), None),
    );
    assert_eq!((reply.status, reply.json()["level"].as_u64()), (200, Some(1)));
    assert_eq!(ask(&server, &admin, "GET", "/bonus/", "").json().as_array().map(Vec::len), Some(1));
    let paid: Value = ask(&server, &admin, "GET", "/bonus/", "").json();
    assert_eq!(paid[0]["status"], "paid");
}
