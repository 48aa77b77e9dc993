//! Principals are kept apart: in idempotency keys, in limits, and in the audit.

use std::fs;

use serde_json::json;

use super::{
    issuer::{FLAGS, first, key_set},
    support::{Place, ask, bearer, get, wait_for},
};
use crate::common::{Reply, Server, registration, uuid};

type Headers = Vec<(String, String)>;

const SCOPES: &str = "bonuses:trigger bonuses:read members:read network:read";

fn serve(place: &Place, more: &[&str]) -> Server {
    let keys = place.file("keys.json");
    fs::write(&keys, key_set(&[first()])).unwrap();
    place.serve(&[&FLAGS[..], &["--jwt-jwks", keys.to_str().unwrap()], more].concat())
}

/// Returns the key's headers and tokens of subjects that could be confused with it or with each other.
fn everybody(place: &Place) -> (String, Vec<Headers>) {
    let key = place.key(&[
        "--role",
        "service",
        "--scope",
        "bonuses:trigger",
        "--scope",
        "bonuses:read",
        "--scope",
        "members:read",
    ]);
    let long = "x".repeat(128);
    let subjects = [
        "anonymous",
        "nobody",
        "nightly",
        &key.id,
        &format!("token:{}", key.id),
        &long,
        &format!("{long}a"),
        &format!("{long}b"),
    ]
    .map(|subject| bearer(&first().role(subject, "service", SCOPES)));
    (key.id.clone(), [vec![key.headers()], subjects.to_vec()].concat())
}

fn keyed(server: &Server, headers: &Headers, path: &str, body: &str) -> Reply {
    let headers = [headers.clone(), vec![("idempotency-key".into(), "order-1".into())]].concat();
    ask(server, &headers, "POST", path, body)
}

/// A client whose key is replaced repeats a purchase that it got no answer to: under the next key of its name
/// it is the same client, on both APIs.
#[test]
fn keys_that_follow_each_other_under_one_name_are_one_client() {
    let place = Place::new();
    let admin = place.key_named("operator", &["--role", "admin"]).headers();
    let (old, other) = (place.key_named("shop", &[]), place.key_named("another shop", &[]));
    let server = serve(&place, &[]);
    for (member, sponsor) in [(1, None), (2, Some(uuid(1)))] {
        let body = registration(&uuid(member), sponsor.as_deref());
        assert_eq!(ask(&server, &admin, "POST", "/user/register", &body).status, 200);
    }
    let purchase =
        json!({ "source": uuid(2), "kind": "purchase", "amount": { "minor": 10_000, "currency": "USD" } })
            .to_string();
    let order = json!({ "source_user_id": uuid(2), "trigger_type": "purchase", "amount": 100 }).to_string();
    let pays = |headers: &Headers| {
        for (path, body) in [("/v1/bonuses", &purchase), ("/bonus/", &order)] {
            let status = keyed(&server, headers, path, body).status;
            assert!(status == 200 || status == 201, "{path}: {status}");
        }
        let bonuses = ask(&server, &admin, "GET", "/v1/bonuses", "").json();
        bonuses["items"].as_array().unwrap().len()
    };
    let once = pays(&old.headers());
    let new = place.key_named("shop", &[]);
    wait_for(&server, &new.headers(), "/bonus/", 200);
    assert_eq!(pays(&new.headers()), once, "the same client");
    place.revoke(&old);
    wait_for(&server, &old.headers(), "/bonus/", 401);
    assert_eq!(pays(&new.headers()), once, "the old key is gone, its requests are not");
    assert_eq!(pays(&other.headers()), 2 * once, "another client");
    let admin_of_the_name = place.key_named("shop", &["--role", "admin"]);
    wait_for(&server, &admin_of_the_name.headers(), "/bonus/", 200);
    assert_eq!(pays(&admin_of_the_name.headers()), 3 * once, "another role is another client");
}

#[test]
fn each_has_idempotency_keys_and_lines_of_the_audit_of_its_own() {
    let place = Place::new();
    let admin = place.key(&["--role", "admin"]).headers();
    let (key_id, all) = everybody(&place);
    let server = serve(&place, &[]);
    for (member, sponsor) in [(1, None), (2, Some(uuid(1)))] {
        assert_eq!(
            ask(&server, &admin, "POST", "/user/register", &registration(&uuid(member), sponsor.as_deref()))
                .status,
            200
        );
    }
    let body = json!({ "source": uuid(2), "kind": "referral", "once": false }).to_string();
    let lsns = |headers: &Headers| {
        let reply = keyed(&server, headers, "/v1/bonuses", &body);
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.header("x-lsn").unwrap().to_owned()
    };
    let (begun, again): (Vec<String>, Vec<String>) =
        (all.iter().map(lsns).collect(), all.iter().map(lsns).collect());
    assert_eq!(begun, again, "each gets its own first answer again");
    let mut different = begun.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), all.len(), "nobody got another's: {begun:?}");
    // The same of the original's routes.
    let body = json!({ "source_user_id": uuid(2), "trigger_type": "referral" }).to_string();
    for headers in [&all, &all] {
        assert!(headers.iter().all(|headers| keyed(&server, headers, "/bonus/", &body).status == 200));
    }
    let commands = ask(&server, &admin, "GET", "/v1/audit?kind=trigger_bonus&limit=100", "").json();
    let actors: Vec<&str> = commands["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["actor"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(actors.len(), 2 * all.len(), "{actors:?}");
    for (at, actor) in actors.iter().enumerate() {
        assert_eq!(actors.iter().filter(|other| *other == actor).count(), 2, "{actor} at {at}");
        assert_eq!(actor.starts_with("ulk_"), *actor == key_id, "keys are told from tokens: {actor}");
    }
}

#[test]
fn nobody_uses_up_the_rate_of_somebody_else() {
    let place = Place::new();
    let (_, all) = everybody(&place);
    let member = bearer(&first().member(&uuid(1)));
    let with_its_id = bearer(&first().role(&uuid(1), "service", SCOPES));
    // Bursts of one: one principal's requests must not use up another's.
    let server = serve(&place, &["--rate-principal-per-second", "1", "--rate-principal-burst", "1"]);
    let mut taken = Vec::new();
    for headers in all.iter().chain([&member, &with_its_id]) {
        taken.push(get(&server, headers, "/v1/members"));
    }
    assert!(!taken.contains(&429), "the first request of each is not one too many: {taken:?}");
}
