//! Rate limits: principals, addresses, failures.

use std::fs;

use super::{
    issuer::{FLAGS, first, key_set},
    support::{Place, ask, bearer, get, metric},
};
use crate::common::{Reply, registration, uuid};

fn too_many(reply: &Reply) -> bool {
    if reply.status != 429 {
        return false;
    }
    let seconds: u64 = reply.header("retry-after").expect("when to come back").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    true
}

#[test]
fn a_principal_has_a_limit_of_its_own() {
    let place = Place::new();
    let (busy, calm) = (place.key(&["--role", "admin"]).headers(), place.key(&["--role", "admin"]).headers());
    let server = place.serve(&["--rate-principal-per-second", "1", "--rate-principal-burst", "5"]);
    let refused = (0..20).filter(|_| too_many(&ask(&server, &busy, "GET", "/bonus/", ""))).count();
    assert!((10..=15).contains(&refused), "{refused} of 20");
    let problem = ask(&server, &busy, "GET", "/v1/nowhere", "");
    assert!(too_many(&problem) && problem.json()["code"] == "rate_limited");
    assert_eq!(get(&server, &calm, "/bonus/"), 200);
    assert!(10 <= metric(&server, &calm, "upline_rate_limited_total{by=\"principal\"}"));
}

#[test]
fn an_address_has_a_limit_and_probes_have_none() {
    let place = Place::new();
    let server = place.serve(&[
        "--rate-address-per-second",
        "1",
        "--rate-address-burst",
        "5",
        "--trusted-proxies",
        "127.0.0.0/8",
    ]);
    let refused = (0..20).filter(|_| too_many(&server.get("/health"))).count();
    assert!((10..=15).contains(&refused), "{refused} of 20");
    assert!((0..20).all(|_| server.get("/livez").status == 200));
    // A proxy's clients are counted individually; its headers are only believed where it is trusted.
    let from = |client: &str| server.request("GET", "/health", &[("x-forwarded-for", client)], b"").status;
    assert_eq!((from("198.51.100.1"), from("198.51.100.2")), (200, 200));
    let server = place_without_proxies(&place, server);
    let statuses: Vec<u16> = (0..20)
        .map(|client| {
            server
                .request("GET", "/health", &[("x-forwarded-for", &format!("198.51.100.{client}"))], b"")
                .status
        })
        .collect();
    assert!(statuses.contains(&429), "{statuses:?}");
}

fn place_without_proxies(place: &Place, server: crate::common::Server) -> crate::common::Server {
    server.terminate();
    assert!(server.wait().success());
    place.serve(&["--rate-address-per-second", "1", "--rate-address-burst", "5"])
}

#[test]
fn failures_are_limited_and_keep_nobody_else_out() {
    let place = Place::new();
    let key = place.key(&["--role", "admin"]).headers();
    let server = place.serve(&["--rate-failures-per-minute", "5"]);
    let wrong = [("x-api-key".to_owned(), key[0].1.clone()), ("x-api-secret".to_owned(), "wrong".to_owned())];
    let statuses: Vec<u16> = (0..10).map(|_| get(&server, &wrong, "/bonus/")).collect();
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses[6..].iter().all(|status| *status == 429), "{statuses:?}");
    assert!(too_many(&ask(&server, &[], "GET", "/bonus/", "")));
    assert_eq!(get(&server, &key, "/bonus/"), 200, "the right credentials from the same address");
    assert!(4 <= metric(&server, &key, "upline_rate_limited_total{by=\"failures\"}"));
}

/// By default members are charged for their work; services are not, since their key stands for a whole
/// application.
#[test]
fn a_member_pays_for_its_work_and_a_service_does_not() {
    let place = Place::new();
    let keys = place.file("keys.json");
    fs::write(&keys, key_set(&[first()])).unwrap();
    let admin = place.key(&["--role", "admin"]).headers();
    let server = place.serve(
        &[
            &FLAGS[..],
            &[
                "--jwt-jwks",
                keys.to_str().unwrap(),
                "--cost-member-burst",
                "3000",
                "--cost-member-per-second",
                "1",
            ],
        ]
        .concat(),
    );
    for member in 1..200 {
        let body = registration(&uuid(member), (member != 1).then(|| uuid(1)).as_deref());
        assert_eq!(ask(&server, &admin, "POST", "/user/register", &body).status, 200);
    }
    let page = format!("/v1/members/{}/downline?limit=1000", uuid(1));
    let [one, other] = [1, 2].map(|member| bearer(&first().member(&uuid(member))));
    let refused = (0..100)
        .map(|_| ask(&server, &one, "GET", &page, ""))
        .find(|reply| reply.status != 200)
        .expect("too much some time");
    assert!(too_many(&refused) && refused.json()["code"] == "rate_limited");
    assert_eq!(
        get(&server, &one, &format!("/v1/members/{}", uuid(1))),
        200,
        "cheap requests are still served"
    );
    assert_eq!(
        get(&server, &other, &format!("/v1/members/{}/downline", uuid(2))),
        200,
        "another member pays for itself"
    );
    assert!((0..20).all(|_| get(&server, &admin, &page) == 200));
    assert_eq!(metric(&server, &admin, "upline_rate_limited_total{by=\"cost\"}"), 1);
}
