//! Every role on every kind of route.

use std::{fs, path::Path};

use strum::VariantArray;
use upline::http::auth::{Action, Scopes};

use super::{
    issuer::{FLAGS, first, key_set},
    support::{Place, ask, bearer},
};
use crate::common::{registration, uuid};

/// 1 is a root with 2 below it; 3 and 4 are below 2, 5 below 3. 6 is another root.
const TREE: [(u64, Option<u64>); 6] =
    [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2)), (5, Some(3)), (6, None)];

#[test]
fn each_role_does_what_its_column_says() {
    let place = Place::new();
    let keys = place.file("keys.json");
    fs::write(&keys, key_set(&[first()])).unwrap();
    let admin = place.key(&["--role", "admin"]).headers();
    let auditor = place.key(&["--role", "auditor"]).headers();
    let service = place.key(&["--scope", "members:read"]).headers();
    let server = place.serve(&[&FLAGS[..], &["--jwt-jwks", keys.to_str().unwrap(), "--test-data"]].concat());
    for (member, parent) in TREE {
        let body = registration(&uuid(member), parent.map(uuid).as_deref());
        assert_eq!(ask(&server, &admin, "POST", "/user/register", &body).status, 200);
    }
    let trigger = format!("{{\"source_user_id\":\"{}\",\"trigger_type\":\"referral\"}}", uuid(5));
    assert_eq!(ask(&server, &admin, "POST", "/bonus/", &trigger).status, 200);
    let bonus = ask(&server, &admin, "GET", "/bonus/", "").json()[0]["id"].as_str().unwrap().to_owned();
    let member = bearer(&first().member(&uuid(2)));
    let as_auditor = bearer(&first().role("someone", "auditor", ""));
    let as_service = bearer(&first().role("nightly", "service", "openid members:read"));
    let as_admin = bearer(&first().role("somebody", "admin", ""));
    let stranger = bearer(&first().member(&uuid(99)));

    let register = registration(&uuid(2), None);
    // method, path, body; then for: member 2, service with members:read, auditor, admin
    let of = |path: &str, member: u64| path.replace("{}", &uuid(member));
    let mut table = vec![
        ("GET", "/bonus/".to_owned(), "", [403, 403, 200, 200]),
        ("POST", "/user/register".into(), register.as_str(), [403, 403, 403, 400]),
        ("POST", "/user/root_user".into(), register.as_str(), [403, 403, 403, 400]),
        ("POST", "/bonus/".into(), trigger.as_str(), [403, 403, 403, 200]),
        ("PATCH", format!("/bonus/{bonus}/mark-paid"), "{}", [403, 403, 403, 200]),
        ("GET", "/bonus/mark-paid/all".into(), "", [403, 403, 403, 200]),
        ("GET", "/user/add_test_data".into(), "", [403, 403, 403, 409]),
        ("GET", "/metrics".into(), "", [403, 403, 200, 200]),
        ("GET", "/health".into(), "", [200, 200, 200, 200]),
        ("GET", "/nowhere".into(), "", [404, 404, 404, 404]),
        ("DELETE", "/user/register".into(), "", [405, 405, 405, 405]),
        ("GET", "/v1/nowhere".into(), "", [404, 404, 404, 404]),
        // Rights come before input.
        ("POST", "/v1/members".into(), "{\"bad\":1}", [403, 403, 403, 422]),
        ("PUT", "/v1/plan".into(), "{}", [403, 403, 403, 422]),
        ("POST", "/v1/plan/check".into(), "[", [403, 403, 403, 400]),
        ("GET", "/v1/members?limit=x".into(), "", [403, 403, 422, 422]),
        ("GET", "/v1/members/x".into(), "", [422, 422, 422, 422]),
    ];
    // Itself and its downline; upline, siblings, unrelated and unknown members are indistinguishable.
    for (target, seen) in [(2, true), (3, true), (4, true), (5, true), (1, false), (6, false), (99, false)] {
        let (dropin, v1) = (if seen { 200 } else { 404 }, if seen { 200 } else { 404 });
        let exists = target != 99;
        for path in ["/user/downline/{}", "/user/downline/{}/count"] {
            table.push(("GET", of(path, target), "", [dropin, 200, 200, 200]));
        }
        table.push(("POST", of("/ranks/evaluate/{}", target), "", [dropin, 200, 200, 200]));
        for path in ["/bonus/user/{}", "/reports/weekly/{}"] {
            table.push(("GET", of(path, target), "", [dropin, 403, 200, 200]));
        }
        let found = if exists { 200 } else { 404 };
        table.push(("GET", of("/v1/members/{}", target), "", [v1, found, found, found]));
    }
    for (method, path, body, expected) in &table {
        let got =
            [&member, &service, &auditor, &admin].map(|who| ask(&server, who, method, path, body).status);
        assert_eq!(got, *expected, "{method} {path}");
        // A role is the same regardless of its origin.
        let got =
            [&as_service, &as_auditor, &as_admin].map(|who| ask(&server, who, method, path, body).status);
        assert_eq!(got, expected[1..], "{method} {path}, by token");
        // A subject that is not a member of this network sees nothing of it.
        let got = ask(&server, &stranger, method, path, body).status;
        assert!(
            got == if expected[0] == 200 && path != "/health" { 404 } else { expected[0] },
            "{method} {path}: {got}"
        );
    }
    // Hidden and missing are the same, to the byte.
    for path in ["/user/downline/{}", "/bonus/user/{}", "/reports/weekly/{}"] {
        let [hidden, absent] = [1, 99].map(|target| ask(&server, &member, "GET", &of(path, target), "").body);
        assert_eq!(hidden, absent, "{path}");
    }
    let [hidden, absent] =
        [1, 99].map(|target| ask(&server, &member, "GET", &of("/v1/members/{}", target), "").json());
    assert_eq!(hidden, absent);
}

/// The table in the documentation matches the code.
#[test]
fn the_documented_table_is_the_one_in_force() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/authorization.md");
    let text = fs::read_to_string(path).unwrap();
    let rows: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| action | member |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let yes = |allowed: bool| if allowed { "yes" } else { "no" };
    let expected = Action::VARIANTS.iter().map(|action| {
        let rule = action.rule();
        let member = if rule.member { "own downline" } else { "no" };
        let scopes: Vec<String> = rule.scopes.iter().map(|scope| format!("`{}`", scope.name())).collect();
        let scope = if scopes.is_empty() { "no".to_owned() } else { scopes.join(", ") };
        format!("| {action:?} | {member} | {scope} | {} | yes |", yes(rule.auditor))
    });
    assert_eq!(rows, expected.collect::<Vec<_>>());
    let defaults: Vec<String> = Scopes::GATEWAY.iter().map(|scope| format!("`{}`", scope.name())).collect();
    // The page wraps its lines.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(&format!("gateway calls: {}.", defaults.join(", "))));
}
