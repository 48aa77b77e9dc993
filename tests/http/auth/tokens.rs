//! Bearer tokens: refusals on the wire, and the issuer's keys changing, failing and recovering.

use std::{fs, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{
    issuer::{FLAGS, ISSUER, Publisher, claims, first, key_set, rsa, second},
    support::{Place, ask, bearer, get, metric, upline, wait_for},
};
use crate::common::{registration, uuid};

fn path() -> String {
    format!("/user/downline/{}", uuid(1))
}

/// A client that retries until a refused token is accepted would hit the failure limit.
const PATIENT: [&str; 2] = ["--rate-failures-per-minute", "0"];

#[test]
fn tokens_that_are_not_right_open_nothing() {
    let place = Place::new();
    let keys = place.file("keys.json");
    fs::write(&keys, key_set(&[first(), rsa()])).unwrap();
    let admin = place.key(&["--role", "admin"]).headers();
    let server = place.serve(&[&FLAGS[..], &["--jwt-jwks", keys.to_str().unwrap()]].concat());
    assert_eq!(ask(&server, &admin, "POST", "/user/register", &registration(&uuid(1), None)).status, 200);
    for signer in [first(), rsa()] {
        assert_eq!(get(&server, &bearer(&signer.member(&uuid(1))), &path()), 200, "{}", signer.id);
    }
    let changed = |name: &str, value: Value| {
        let mut changed = claims(&uuid(1));
        changed[name] = value;
        first().sign(&changed)
    };
    let without = |name: &str| {
        let mut changed = claims(&uuid(1));
        changed.as_object_mut().unwrap().remove(name);
        first().sign(&changed)
    };
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("rsa".into());
    let public = rsa().public();
    let confused = encode(
        &header,
        &claims(&uuid(1)),
        &EncodingKey::from_secret(public["n"].as_str().unwrap().as_bytes()),
    )
    .unwrap();
    let unsigned = {
        use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({ "alg": "none", "kid": "first" })), part(&claims(&uuid(1))))
    };
    let good = first().member(&uuid(1));
    // what is wrong, the token, how it is counted
    let table = [
        ("expired", changed("exp", json!(1_000_000_000)), "token_expired"),
        ("not yet valid", changed("nbf", json!(4_000_000_000_u64)), "token_expired"),
        ("issuer", changed("iss", json!("https://evil.example")), "token_issuer"),
        ("audience", changed("aud", json!("other")), "token_audience"),
        ("no exp", without("exp"), "token_claim"),
        ("no iss", without("iss"), "token_claim"),
        ("no aud", without("aud"), "token_claim"),
        ("no sub", without("sub"), "token_claim"),
        ("no member", changed("sub", json!("root")), "token_subject"),
        ("unknown role", changed("role", json!("superuser")), "token_claim"),
        ("unsigned", unsigned, "token_algorithm"),
        ("public key as secret", confused, "token_algorithm"),
        ("another key", second().member(&uuid(1)), "token_key"),
        ("changed", good[..good.len() - 4].to_owned() + "AAAA", "token_signature"),
        ("cut", good[..good.len() / 2].to_owned(), "token_malformed"),
    ];
    for (what, token, counted) in table {
        let series = format!("upline_auth_requests_total{{outcome=\"{counted}\"}}");
        let before = metric(&server, &admin, &series);
        let reply = ask(&server, &bearer(&token), "GET", &path(), "");
        // For an otherwise valid token the message says what its issuer has to add.
        let said = match counted {
            "token_subject" => "The claim that names the member of this token is no UUID",
            _ => "Invalid credentials",
        };
        assert_eq!((reply.status, reply.json()["detail"].as_str()), (401, Some(said)), "{what}");
        assert_eq!(
            reply.header("www-authenticate"),
            Some("Bearer realm=\"upline\", error=\"invalid_token\""),
            "{what}"
        );
        assert_eq!(metric(&server, &admin, &series), before + 1, "{what}");
    }
}

#[test]
fn roles_of_tokens_are_mapped_as_configured() {
    let place = Place::new();
    let keys = place.file("keys.json");
    fs::write(&keys, key_set(&[first()])).unwrap();
    let mapping = ["--jwt-role-claim", "https://example.com/role", "--jwt-roles", "staff=auditor"];
    let server = place.serve(&[&FLAGS[..], &mapping, &["--jwt-jwks", keys.to_str().unwrap()]].concat());
    let said = |role: &str| {
        let mut said = claims("someone");
        said["https://example.com/role"] = role.into();
        // Another program's meaning of this claim does not apply here.
        said["role"] = "admin".into();
        bearer(&first().sign(&said))
    };
    assert_eq!(get(&server, &said("staff"), "/bonus/"), 200);
    assert_eq!(get(&server, &said("admin"), "/bonus/"), 401, "not in the list");
    assert_eq!(
        ask(&server, &said("staff"), "POST", "/user/register", &registration(&uuid(1), None)).status,
        403
    );
}

#[test]
fn a_key_set_in_a_file_rotates() {
    let place = Place::new();
    let keys = place.file("keys.json");
    let key_flags = ["--jwt-jwks", keys.to_str().unwrap(), "--jwt-refresh-seconds", "5"];
    let flags = [&FLAGS[..], &key_flags, &PATIENT].concat();
    let ended = upline(&place.data(), &[&["serve", "--addr", "127.0.0.1:0"], &flags[..]].concat());
    assert_eq!(ended.status.code(), Some(3), "a file that is not there");
    fs::write(&keys, key_set(&[first()])).unwrap();
    let server = place.serve(&flags);
    let (old, new) = (bearer(&first().member(&uuid(1))), bearer(&second().member(&uuid(1))));
    // A known member would be 200; an accepted token without a member gets 404.
    assert_eq!((get(&server, &old, &path()), get(&server, &new, &path())), (404, 401));
    fs::write(&keys, key_set(&[first(), second()])).unwrap();
    wait_for(&server, &new, &path(), 404);
    assert_eq!(get(&server, &old, &path()), 404, "both at once");
    fs::write(&keys, key_set(&[second()])).unwrap();
    wait_for(&server, &old, &path(), 401);
    assert_eq!(get(&server, &new, &path()), 404);
}

#[test]
fn an_issuer_that_fails_keeps_nobody_out_who_was_in() {
    let place = Place::new();
    let admin = place.key(&["--role", "admin"]).headers();
    let publisher = Publisher::start(500, "");
    let url = publisher.url();
    let server =
        place.serve(&[&FLAGS[..], &["--jwt-jwks", &url, "--jwt-refresh-seconds", "5"], &PATIENT].concat());
    let (old, new) = (bearer(&first().member(&uuid(1))), bearer(&second().member(&uuid(1))));
    // Down from the start: keys work, tokens get a retry response.
    assert_eq!(get(&server, &admin, "/bonus/"), 200);
    let reply = ask(&server, &old, "GET", &path(), "");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    publisher.publish(200, &key_set(&[first()]));
    wait_for(&server, &old, &path(), 404);
    // Failing, empty, nonsense, far too large: the last good keys stay in force.
    let failures = "upline_credentials_failures_total{source=\"jwks\"}";
    for (status, body) in [
        (500, String::new()),
        (200, "{\"keys\":[]}".into()),
        (302, key_set(&[second()])),
        (200, " ".repeat(600 * 1024)),
    ] {
        publisher.publish(status, &body);
        let before = metric(&server, &admin, failures);
        // Sooner than by its schedule, by which the first and the last keys are seen.
        server.hang_up();
        let begin = std::time::Instant::now();
        while metric(&server, &admin, failures) <= before {
            assert!(begin.elapsed() < Duration::from_secs(30), "{status}: never looked at");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!((get(&server, &old, &path()), get(&server, &new, &path())), (404, 401), "{status}");
    }
    publisher.publish(200, &key_set(&[second()]));
    wait_for(&server, &new, &path(), 404);
    assert_eq!(get(&server, &old, &path()), 401);
    assert_eq!(metric(&server, &admin, "upline_jwks_keys"), 1);
}

#[test]
fn invented_key_names_do_not_reach_the_issuer() {
    let place = Place::new();
    let publisher = Publisher::start(200, &key_set(&[first()]));
    let url = publisher.url();
    let server =
        place.serve(&[&FLAGS[..], &["--jwt-jwks", &url, "--rate-failures-per-minute", "0"]].concat());
    let old = bearer(&first().member(&uuid(1)));
    wait_for(&server, &old, &path(), 404);
    let before = publisher.requests();
    let mut client = server.connect();
    for _ in 0..200 {
        let header = format!("Bearer {}", second().member(&uuid(1)));
        assert_eq!(client.request("GET", &path(), &[("authorization", &header)], b"").status, 401);
    }
    std::thread::sleep(Duration::from_secs(2));
    assert!(publisher.requests() <= before + 1, "{} requests", publisher.requests() - before);
}

#[test]
fn configurations_that_would_be_holes_are_refused() {
    let place = Place::new();
    // flags, message
    let table: [(&[&str], &str); 5] = [
        (&["--jwt-issuer", ISSUER], "jwt_audience"),
        (
            &["--jwt-algorithms", "HS256", "--jwt-issuer", ISSUER, "--jwt-audience", "a", "--jwt-jwks", "b"],
            "jwt_algorithms",
        ),
        (
            &["--jwt-jwks", "http://id.example/keys", "--jwt-issuer", ISSUER, "--jwt-audience", "a"],
            "could be changed on its way",
        ),
        (
            &["--jwt-roles", "x=root", "--jwt-issuer", ISSUER, "--jwt-audience", "a", "--jwt-jwks", "b"],
            "jwt_roles",
        ),
        (&["--auth", "perhaps"], "auto, on, off"),
    ];
    for (flags, said) in table {
        let ended = upline(&place.data(), &[&["serve", "--addr", "127.0.0.1:0"], flags].concat());
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(3) && text.contains(said), "{flags:?}: {text}");
    }
    assert!(!place.data().exists());
}
