//! Service keys: created, rotated, revoked and damaged, on a running server and before its first start.

use std::{fs, process::Command};

use super::support::{Place, ask, bearer, get, metric, start_and_stop, upline, wait_for};
use crate::common::{binary, registration, uuid};

/// Responses to a client without credentials, in the form of the API used; and the public routes.
#[test]
fn without_credentials_only_probes_answer() {
    let place = Place::new();
    let key = place.key(&["--role", "admin"]);
    let server = place.serve(&[]);
    for path in ["/livez", "/readyz", "/version", "/health", "/status", "/"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    for (method, path) in [
        ("GET", "/bonus/"),
        ("POST", "/bonus/"),
        ("POST", "/user/register"),
        ("GET", "/user/add_test_data"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/docs/swagger-ui-bundle.js"),
        ("GET", "/redoc"),
        ("GET", "/nowhere"),
        ("GET", "/%68ealth"),
        ("GET", "/livez/"),
        ("PUT", "/bonus"),
    ] {
        let reply = ask(&server, &[], method, path, "");
        assert_eq!(
            (reply.status, reply.text()),
            (401, "{\"detail\":\"Not authenticated\"}"),
            "{method} {path}"
        );
        assert_eq!(reply.header("www-authenticate"), Some("Bearer realm=\"upline\""));
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    for path in ["/v1", "/v1/members/x", "/v1/nowhere"] {
        let reply = server.get(path);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (401, Some("application/problem+json")),
            "{path}"
        );
        assert_eq!(
            (reply.json()["code"].as_str(), reply.json()["status"].as_u64()),
            (Some("unauthenticated"), Some(401))
        );
        assert!(reply.header("www-authenticate").is_some());
    }
    // Different faults get the same message.
    let other = place.key(&[]);
    let wrong = [
        vec![("x-api-key".to_owned(), key.id.clone()), ("x-api-secret".to_owned(), other.secret.clone())],
        vec![
            ("x-api-key".to_owned(), "ulk_0000000000000000".to_owned()),
            ("x-api-secret".to_owned(), key.secret.clone()),
        ],
        vec![("x-api-key".to_owned(), key.id.clone())],
        vec![("authorization".to_owned(), "Basic dTpw".to_owned())],
        bearer("a.b.c"),
        [key.headers(), bearer("a.b.c")].concat(),
    ];
    for credentials in wrong {
        let reply = ask(&server, &credentials, "GET", "/bonus/", "");
        assert_eq!(
            (reply.status, reply.text()),
            (401, "{\"detail\":\"Invalid credentials\"}"),
            "{credentials:?}"
        );
    }
    assert_eq!(get(&server, &key.headers(), "/bonus/"), 200);
    assert_eq!(get(&server, &bearer(&format!("{}.{}", key.id, key.secret)), "/bonus/"), 200);
    assert!(1 <= metric(&server, &key.headers(), "upline_auth_requests_total{outcome=\"key_secret\"}"));
}

/// A refused request with a body keeps its connection.
#[test]
fn bodies_of_those_turned_away_do_not_end_the_connection() {
    let place = Place::new();
    place.key(&[]);
    let server = place.serve(&[]);
    let mut client = server.connect();
    for size in [2, 60_000] {
        let reply = client.request(
            "POST",
            "/user/register",
            &[("content-type", "application/json")],
            &vec![b'x'; size],
        );
        assert_eq!((reply.status, reply.header("connection")), (401, None), "{size}");
    }
    assert_eq!(client.request("GET", "/health", &[], b"").status, 200);
}

#[test]
fn keys_rotate_while_the_server_runs() {
    let place = Place::new();
    let old = place.key(&[]);
    let server = place.serve(&[]);
    assert_eq!(get(&server, &old.headers(), "/bonus/"), 200);
    let new = place.key(&[]);
    wait_for(&server, &new.headers(), "/bonus/", 200);
    assert_eq!(get(&server, &old.headers(), "/bonus/"), 200, "both at once");
    place.revoke(&old);
    wait_for(&server, &old.headers(), "/bonus/", 401);
    assert_eq!(get(&server, &new.headers(), "/bonus/"), 200);
    // The last key is revoked: all access is refused, rather than opened to everyone.
    place.revoke(&new);
    wait_for(&server, &new.headers(), "/bonus/", 401);
    assert_eq!(get(&server, &[], "/bonus/"), 401);
    let last = place.key(&["--role", "admin"]);
    wait_for(&server, &last.headers(), "/bonus/", 200);
}

#[test]
fn the_first_key_closes_the_door() {
    let place = Place::new();
    let server = place.serve(&[]);
    assert_eq!(get(&server, &[], "/bonus/"), 200, "nothing is asked on loopback without keys");
    let key = place.key(&[]);
    wait_for(&server, &[], "/bonus/", 401);
    assert_eq!(get(&server, &key.headers(), "/bonus/"), 200);
}

/// A backup restored without its keys, or a file deleted by mistake, does not open access.
#[test]
fn lost_keys_do_not_open_the_door() {
    let place = Place::new();
    let key = place.key(&[]);
    drop(place.serve(&[]));
    let (path, aside) = (place.data().join("keys"), place.file("aside"));
    fs::rename(&path, &aside).unwrap();
    let ended = upline(&place.data(), &["serve", "--addr", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(
        ended.status.code() == Some(3)
            && said.contains("the service keys are gone")
            && said.contains("--auth off"),
        "{said}"
    );
    assert_eq!(
        get(&place.serve(&["--auth", "off"]), &[], "/bonus/"),
        200,
        "`--auth off` starts without the keys"
    );
    fs::rename(&aside, &path).unwrap();
    let server = place.serve(&[]);
    assert_eq!((get(&server, &key.headers(), "/bonus/"), get(&server, &[], "/bonus/")), (200, 401));
}

#[test]
fn switched_off_nothing_is_asked() {
    let place = Place::new();
    place.key(&[]);
    let server = place.serve(&["--auth", "off"]);
    assert_eq!(get(&server, &[], "/bonus/"), 200);
    assert_eq!(get(&server, &bearer("nonsense"), "/bonus/"), 200, "as the original ignored them");
}

#[test]
fn a_damaged_key_file_stops_the_start_and_changes_nothing_while_running() {
    let place = Place::new();
    let key = place.key(&["--role", "admin"]);
    let server = place.serve(&[]);
    let path = place.data().join("keys");
    let good = fs::read(&path).unwrap();
    let failures = "upline_credentials_failures_total{source=\"keys\"}";
    // Damaged, then missing: the last good keys stay in force, and the failure is counted.
    for round in 0..2 {
        if round == 0 {
            fs::write(&path, &good[..good.len() - 2]).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        let before = metric(&server, &key.headers(), failures);
        let begin = std::time::Instant::now();
        while metric(&server, &key.headers(), failures) <= before {
            assert!(begin.elapsed().as_secs() < 20, "round {round}: never noticed");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(
            (get(&server, &key.headers(), "/bonus/"), get(&server, &[], "/bonus/")),
            (200, 401),
            "round {round}"
        );
        fs::write(&path, &good).unwrap();
    }
    let second = place.key(&[]);
    wait_for(&server, &second.headers(), "/bonus/", 200);
    drop(server);
    // file content, exit code
    let newer = String::from_utf8(good.clone()).unwrap().replacen(" 1 ", " 2 ", 1).into_bytes();
    for (content, code) in [(good[1..].to_vec(), 5), (newer, 6)] {
        fs::write(&path, content).unwrap();
        let ended = upline(&place.data(), &["serve", "--addr", "127.0.0.1:0"]);
        assert_eq!(ended.status.code(), Some(code), "{}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(upline(&place.data(), &["keys", "list"]).status.code(), Some(code));
    }
}

#[test]
fn an_address_beyond_loopback_needs_a_key_or_a_word() {
    let place = Place::new();
    let everywhere =
        |arguments: &[&str]| upline(&place.data(), &[&["serve", "--addr", "0.0.0.0:0"], arguments].concat());
    let ended = everywhere(&[]);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("upline keys create") && said.contains("--insecure"), "{said}");
    assert!(!place.data().exists(), "nothing was made");
    let key = place.key(&[]);
    assert_eq!(
        everywhere(&["--auth", "off"]).status.code(),
        Some(3),
        "a key does not count while authorization is off"
    );
    // Stopped at once, it exits cleanly: it was allowed to start.
    assert_eq!(start_and_stop(&place.data(), &["--addr", "0.0.0.0:0"]), Some(0));
    place.revoke(&key);
    let ended = everywhere(&[]);
    assert_eq!(ended.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("no key is active"));
    let other = Place::new();
    assert_eq!(start_and_stop(&other.data(), &["--addr", "0.0.0.0:0", "--insecure"]), Some(0));
}

#[test]
fn the_command_line_makes_lists_and_revokes() {
    let place = Place::new();
    let gateway = place.key(&[]);
    let auditor = place.key(&["--role", "auditor", "--expires", "2999-01-01"]);
    let listed = upline(&place.data(), &["keys", "list", "--json"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    assert!(!text.contains(&gateway.secret) && !text.contains("hash"));
    let keys = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    assert_eq!(keys["keys"][0]["status"], "active");
    assert!(keys["keys"][0]["scopes"].as_array().unwrap().contains(&"members:register".into()));
    assert_eq!(
        (keys["keys"][1]["role"].as_str(), keys["keys"][1]["expires_at"].as_str()),
        (Some("auditor"), Some("2999-01-01T00:00:00Z"))
    );
    place.revoke(&auditor);
    let table = upline(&place.data(), &["keys", "list"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.lines().any(|line| line.contains(&auditor.id) && line.contains("revoked")), "{table}");
    // arguments, exit code
    for (arguments, code) in [
        (&["keys", "revoke", "ulk_0000000000000000"][..], 1),
        (&["keys", "create", "--name", "x", "--role", "member"], 2),
        (&["keys", "create", "--name", "x", "--role", "root"], 2),
        (&["keys", "create", "--name", "x", "--scope", "everything"], 2),
        (&["keys", "create", "--name", "x", "--role", "admin", "--scope", "metrics"], 2),
        (&["keys", "create", "--name", "x", "--expires", "2001-01-01"], 2),
        (&["keys", "create", "--name", " "], 2),
        (&["keys", "create"], 2),
    ] {
        assert_eq!(upline(&place.data(), arguments).status.code(), Some(code), "{arguments:?}");
    }
    let printed = Command::new(binary())
        .args(["keys", "create", "--name", "x", "--data-dir"])
        .arg(place.data())
        .env_clear()
        .output()
        .unwrap();
    let lines: Vec<String> = String::from_utf8(printed.stdout).unwrap().lines().map(String::from).collect();
    assert!(
        lines.len() == 2
            && lines[0].starts_with("X-Api-Key: ulk_")
            && lines[1].starts_with("X-Api-Secret: uls_"),
        "{lines:?}"
    );
}

/// The original gateway's requests work unchanged, and its key may do what it calls and nothing else.
#[test]
fn the_gateway_s_key_does_what_the_gateway_does() {
    let place = Place::new();
    let gateway = place.key(&[]).headers();
    let server = place.serve(&["--test-data"]);
    for (member, parent) in [(1, None), (2, Some(1)), (3, Some(2))] {
        let body = registration(&uuid(member), parent.map(uuid).as_deref());
        assert_eq!(ask(&server, &gateway, "POST", "/user/register", &body).status, 200);
    }
    let trigger = format!("{{\"source_user_id\":\"{}\",\"trigger_type\":\"referral\"}}", uuid(3));
    assert_eq!(ask(&server, &gateway, "POST", "/bonus/", &trigger).status, 200);
    let bonus = ask(&server, &gateway, "GET", "/bonus/", "").json()[0]["id"].as_str().unwrap().to_owned();
    // method, path
    for (method, path) in [
        ("GET", format!("/user/downline/{}", uuid(1))),
        ("GET", format!("/bonus/user/{}", uuid(2))),
        ("PATCH", format!("/bonus/{bonus}/mark-paid")),
        ("GET", "/bonus/mark-paid/all".into()),
        ("POST", format!("/ranks/evaluate/{}", uuid(1))),
        ("GET", format!("/reports/weekly/{}", uuid(1))),
        // As in the original, unknown members have empty results.
        ("GET", format!("/user/downline/{}", uuid(99))),
    ] {
        assert_eq!(ask(&server, &gateway, method, &path, "{}").status, 200, "{method} {path}");
    }
    for path in ["/metrics", "/user/add_test_data"] {
        let reply = ask(&server, &gateway, "GET", path, "");
        assert_eq!((reply.status, reply.text()), (403, "{\"detail\":\"Forbidden\"}"), "{path}");
    }
    let scraper = place.key(&["--scope", "metrics"]).headers();
    wait_for(&server, &scraper, "/metrics", 200);
    assert_eq!(get(&server, &scraper, "/bonus/"), 403);
    assert!(2 <= metric(&server, &scraper, "upline_auth_denied_total{reason=\"forbidden\"}"));
    drop(server);
    let server = place.serve(&["--metrics-open"]);
    assert_eq!((get(&server, &[], "/metrics"), get(&server, &[], "/bonus/")), (200, 401));
}

/// The documentation requires authorization, unless configured otherwise.
#[test]
fn documents_are_for_whoever_has_credentials_or_for_all() {
    let documents = ["/openapi.json", "/docs", "/docs/swagger-ui.css"];
    let place = Place::new();
    let (server, nobody) = (place.serve(&[]), []);
    assert!(documents.iter().all(|path| get(&server, &nobody, path) == 200), "nobody is asked for anything");
    drop(server);
    let keys = [&["--scope", "members:read"][..], &["--role", "auditor"]]
        .map(|arguments| place.key(arguments).headers());
    let server = place.serve(&[]);
    for path in documents {
        assert_eq!(get(&server, &nobody, path), 401, "{path}");
        assert!(keys.iter().all(|key| get(&server, key, path) == 200), "{path}");
    }
    drop(server);
    let server = place.serve(&["--docs-open"]);
    assert!(documents.iter().all(|path| get(&server, &nobody, path) == 200));
    assert_eq!(get(&server, &nobody, "/metrics"), 401, "only the documentation was opened");
    let tag = server.get("/openapi.json").header("etag").expect("a tag").to_owned();
    assert_eq!(server.request("GET", "/openapi.json", &[("if-none-match", &tag)], b"").status, 304);
}
