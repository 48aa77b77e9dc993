//! Tokens of an issuer with a shared secret, as the original's authentication service issues them.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{
    issuer::{ISSUER, first, key_set},
    support::{Place, ask, bearer, get, metric, upline, wait_for},
};
use crate::common::{registration, uuid};

const SECRET: &str = "a secret of the authentication service, in a variable there";
const NEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Writes the lines to a file that only its owner may read.
fn secret_file(place: &Place, lines: &str) -> PathBuf {
    let path = place.file("secret");
    fs::write(&path, lines).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn signed(secret: &[u8], claims: &Value) -> Vec<(String, String)> {
    bearer(&encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret)).unwrap())
}

/// Claims like the original's: an e-mail, a list of roles, an expiry.
fn original(roles: &[&str]) -> Value {
    json!({ "sub": "ann@example.com", "roles": roles, "exp": jsonwebtoken::get_current_timestamp() + 3_600 })
}

/// The flags that the documentation gives for such a service.
const AS_DOCUMENTED: [&str; 8] = [
    "--jwt-allow-missing",
    "iss,aud",
    "--jwt-role-claim",
    "roles",
    "--jwt-roles",
    "user=member,admin=admin",
    "--jwt-member-claim",
    "user_id",
];

#[test]
fn tokens_of_the_original_come_in() {
    let place = Place::new();
    let path = secret_file(&place, &format!("{SECRET}\n"));
    let server =
        place.serve(&[&["--jwt-hs256-secret-file", path.to_str().unwrap()], &AS_DOCUMENTED[..]].concat());
    assert_eq!(get(&server, &[], "/bonus/"), 401, "a server that takes tokens asks for them");
    let admin = signed(SECRET.as_bytes(), &original(&["admin"]));
    for (member, parent) in [(1, None), (2, Some(1)), (3, None)] {
        let body = registration(&uuid(member), parent.map(uuid).as_deref());
        assert_eq!(ask(&server, &admin, "POST", "/user/register", &body).status, 200);
    }
    // A user of the service, whose token does not name a member by itself.
    let path = |member: u64| format!("/user/downline/{}", uuid(member));
    let user = signed(SECRET.as_bytes(), &original(&["user"]));
    let reply = ask(&server, &user, "GET", &path(1), "");
    assert_eq!(
        (reply.status, reply.header("www-authenticate")),
        (401, Some("Bearer realm=\"upline\", error=\"invalid_token\""))
    );
    assert_eq!(reply.text(), "{\"detail\":\"The claim that names the member of this token is no UUID\"}");
    let reply = ask(&server, &user, "GET", &format!("/v1/members/{}", uuid(1)), "");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (401, Some("subject_not_member")));
    // With the one claim that the service must add.
    let mut claims = original(&["user"]);
    claims["user_id"] = uuid(1).into();
    let member = signed(SECRET.as_bytes(), &claims);
    assert_eq!([1, 2, 3].map(|other| get(&server, &member, &path(other))), [200, 200, 404]);
    assert_eq!(ask(&server, &member, "POST", "/user/register", &registration(&uuid(4), None)).status, 403);
    claims["user_id"] = "ann@example.com".into();
    assert_eq!(
        ask(&server, &signed(SECRET.as_bytes(), &claims), "GET", "/v1/members/x", "").json()["code"],
        "subject_not_member"
    );
    assert_eq!(metric(&server, &admin, "upline_auth_requests_total{outcome=\"token_subject\"}"), 3);
    // Without the secret a token is refused, whatever its claims.
    assert_eq!(get(&server, &signed(NEXT.as_bytes(), &original(&["admin"])), "/bonus/"), 401);
    assert_eq!(get(&server, &bearer(&first().role("x", "admin", "")), "/bonus/"), 401);
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwicm9sZXMiOlsiYWRtaW4iXSwiZXhwIjo0MDAwMDAwMDAwfQ.";
    assert_eq!(get(&server, &bearer(unsigned), "/bonus/"), 401);
    // Service keys work as before.
    let key = place.key(&["--role", "admin"]).headers();
    wait_for(&server, &key, "/bonus/", 200);
}

#[test]
fn without_their_leave_nothing_may_be_missing() {
    let place = Place::new();
    let path = secret_file(&place, &format!("# of the authentication service\nhex:{NEXT}\n"));
    let bytes: Vec<u8> =
        (0..NEXT.len() / 2).map(|at| u8::from_str_radix(&NEXT[2 * at..2 * at + 2], 16).unwrap()).collect();
    let flags = [
        "--jwt-hs256-secret-file",
        path.to_str().unwrap(),
        "--jwt-issuer",
        ISSUER,
        "--jwt-audience",
        "upline",
        "--jwt-role-claim",
        "roles",
    ];
    let server = place.serve(&flags);
    let mut claims = original(&["admin"]);
    assert_eq!(get(&server, &signed(&bytes, &claims), "/bonus/"), 401);
    claims["iss"] = ISSUER.into();
    assert_eq!(get(&server, &signed(&bytes, &claims), "/bonus/"), 401);
    claims["aud"] = "upline".into();
    assert_eq!(get(&server, &signed(&bytes, &claims), "/bonus/"), 200);
    assert_eq!(
        get(&server, &signed(NEXT.as_bytes(), &claims), "/bonus/"),
        401,
        "the digits are not the secret"
    );
    claims["exp"] = 1_000_000_000.into();
    assert_eq!(get(&server, &signed(&bytes, &claims), "/bonus/"), 401);
}

#[test]
fn secrets_rotate_and_a_file_that_went_bad_changes_nothing() {
    let place = Place::new();
    let path = secret_file(&place, SECRET);
    let flags = [
        "--jwt-hs256-secret-file",
        path.to_str().unwrap(),
        "--jwt-refresh-seconds",
        "5",
        "--rate-failures-per-minute",
        "0",
    ];
    let server = place.serve(&[&flags, &AS_DOCUMENTED[..]].concat());
    let [old, new] = [SECRET, NEXT].map(|secret| signed(secret.as_bytes(), &original(&["admin"])));
    assert_eq!((get(&server, &old, "/bonus/"), get(&server, &new, "/bonus/")), (200, 401));
    secret_file(&place, &format!("{NEXT}\n{SECRET}\n"));
    wait_for(&server, &new, "/bonus/", 200);
    assert_eq!(get(&server, &old, "/bonus/"), 200, "both at once");
    // Too short, of another kind, world-readable, missing: the last good ones stay in force.
    let failures = |server: &_| metric(server, &old, "upline_credentials_failures_total{source=\"jwks\"}");
    let breaking: [&dyn Fn(); 4] = [
        &|| fs::write(&path, "changeme").unwrap(),
        &|| fs::write(&path, key_set(&[first()])).unwrap(),
        &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap(),
        &|| fs::remove_file(&path).unwrap(),
    ];
    for broken in breaking {
        let before = failures(&server);
        broken();
        // Sooner than by its schedule, by which the rotations are seen.
        server.hang_up();
        while failures(&server) <= before {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert_eq!((get(&server, &old, "/bonus/"), get(&server, &new, "/bonus/")), (200, 200));
    }
    secret_file(&place, NEXT);
    wait_for(&server, &old, "/bonus/", 401);
    assert_eq!(get(&server, &new, "/bonus/"), 200);
}

#[test]
fn files_and_settings_that_would_be_holes_stop_the_start() {
    let place = Place::new();
    let public = place.file("keys.json");
    fs::write(&public, key_set(&[first()])).unwrap();
    let flags = |path: &str| -> Vec<String> {
        ["serve", "--addr", "127.0.0.1:0", "--jwt-hs256-secret-file", path]
            .iter()
            .chain(&AS_DOCUMENTED)
            .map(|flag| (*flag).to_owned())
            .collect()
    };
    let start = |flags: &[String]| {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let ended = upline(&place.data(), &flags);
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let path = secret_file(&place, SECRET);
    let path = path.to_str().unwrap();
    // content, mode, message
    let table = [
        ("changeme", 0o600, "256 bits"),
        ("", 0o600, "no secret"),
        (&key_set(&[first()]), 0o600, "a key of another kind"),
        (
            "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n",
            0o600,
            "a key of another kind",
        ),
        (SECRET, 0o644, "chmod 600"),
    ];
    for (content, mode, said) in table {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let (code, text) = start(&flags(path));
        assert!(
            code == Some(3) && text.contains(said) && text.contains("jwt_hs256_secret_file"),
            "{said}: {text}"
        );
        assert!(content.is_empty() || !text.contains(content), "what is in the file is not told: {text}");
    }
    secret_file(&place, SECRET);
    for (more, said) in [
        (vec!["--jwt-jwks", public.to_str().unwrap()], "cannot be combined with jwt_jwks"),
        (vec!["--jwt-algorithms", "RS256"], "belongs to jwt_jwks"),
        (vec!["--jwt-algorithms", "HS256"], "is not a list of RS256"),
    ] {
        let (code, text) =
            start(&[flags(path), more.iter().map(|flag| (*flag).to_owned()).collect()].concat());
        assert!(code == Some(3) && text.contains(said), "{said}: {text}");
    }
    let only = ["serve", "--addr", "127.0.0.1:0", "--jwt-hs256-secret-file", path].map(String::from);
    let (code, text) = start(&only);
    assert!(code == Some(3) && text.contains("jwt_issuer") && text.contains("jwt_allow_missing"), "{text}");
    assert!(!place.data().exists(), "nothing was made");
}
