//! Which fields of a bonus are visible to whom: every route that shows one, for every role.

use std::{collections::BTreeSet, fs};

use serde_json::Value;

use super::{
    issuer::{FLAGS, first, key_set},
    support::{Place, ask, bearer, upline, wait_for},
};
use crate::common::{Server, uuid};

/// 1 is a root with 2 below it and 3 below 2. 9 is another root, unrelated to all of them.
const MEMBERS: [(u64, Option<u64>); 4] = [(1, None), (2, Some(1)), (3, Some(2)), (9, None)];

/// Receiver and source of the imported entries: 2 got one from an unrelated member, one from its upline and
/// one from its downline.
const ENTRIES: [(u64, u64); 3] = [(2, 9), (2, 1), (2, 3)];

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// A caller, and the members that it may see.
struct Asker {
    name: &'static str,
    credentials: Vec<(String, String)>,
    sees: BTreeSet<u64>,
    is_member: bool,
}

fn imported(place: &Place) {
    let (members, bonuses) = (place.file("members.csv"), place.file("bonuses.csv"));
    let row = |(member, sponsor): (u64, Option<u64>)| {
        format!("{},{},2025-03-01\n", uuid(member), sponsor.map(uuid).unwrap_or_default())
    };
    fs::write(&members, "member,sponsor,joined_at\n".to_owned() + &MEMBERS.map(row).concat()).unwrap();
    let now = jiff::Timestamp::now();
    let row = |(receiver, source): (u64, u64)| {
        format!("{},{},1,10.00,referral,pending,{now},{}\n", uuid(receiver), uuid(source), reference(source))
    };
    fs::write(
        &bonuses,
        "receiver,source,level,amount,kind,status,created_at,reference\n".to_owned()
            + &ENTRIES.map(row).concat(),
    )
    .unwrap();
    let ended =
        upline(&place.data(), &["import", members.to_str().unwrap(), "--bonuses", bonuses.to_str().unwrap()]);
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// Returns the order reference of entries from a source.
fn reference(source: u64) -> String {
    format!("order of {source}")
}

/// Returns the values of a source field in every bonus object of a response, line by line for NDJSON. `None`
/// is null.
fn sources(text: &str, field: &str) -> Vec<Option<String>> {
    let mut left: Vec<Value> = match serde_json::from_str(text) {
        Ok(value) => vec![value],
        Err(_) => text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect(),
    };
    let mut found = Vec::new();
    while let Some(value) = left.pop() {
        match value {
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => {
                if fields.contains_key("level") && fields.contains_key("amount") {
                    found.extend(fields.get(field).map(|source| source.as_str().map(String::from)));
                }
                left.extend(fields.into_iter().map(|(_, value)| value));
            }
            _ => {}
        }
    }
    found
}

/// Returns the operations of `/v1` with a bonus in their response, and those of the original, from the API
/// description.
fn described(server: &Server) -> BTreeSet<String> {
    let description = server.get("/openapi.json").json();
    let mut found = BTreeSet::new();
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let Some(answers) = operation["responses"].as_object() else { continue };
            let good: Vec<String> = answers
                .iter()
                .filter(|(status, _)| status.starts_with('2'))
                .map(|(_, answer)| answer.to_string())
                .collect();
            let shows = [
                "/Bonus\"",
                "/Page_Bonus\"",
                "/Explained\"",
                "/Paid\"",
                "/DropinBonus\"",
                "/DropinWeeklyReport\"",
            ];
            if good.iter().any(|answer| shows.iter().any(|schema| answer.contains(schema))) {
                found.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    found
}

#[expect(clippy::too_many_lines, reason = "one table of routes by askers")]
#[test]
fn nobody_is_shown_a_source_that_it_may_not_see() {
    let place = Place::new();
    imported(&place);
    let keys = place.file("keys.json");
    fs::write(&keys, key_set(&[first()])).unwrap();
    let admin = place.key(&["--role", "admin"]).headers();
    let auditor = place.key(&["--role", "auditor"]).headers();
    let service = place
        .key(&[
            "--scope",
            "bonuses:read",
            "--scope",
            "network:read",
            "--scope",
            "bonuses:pay",
            "--scope",
            "bonuses:trigger",
            "--scope",
            "events:read",
        ])
        .headers();
    let server = place.serve(&[&FLAGS[..], &["--docs-open", "--jwt-jwks", keys.to_str().unwrap()]].concat());
    wait_for(&server, &admin, "/bonus/", 200);
    let everybody: BTreeSet<u64> = [1, 2, 3, 9].into();
    let member = |name, member: u64, sees: &[u64]| Asker {
        name,
        credentials: bearer(&first().member(&uuid(member))),
        sees: sees.iter().copied().collect(),
        is_member: true,
    };
    let program = |name, credentials: &[(String, String)]| Asker {
        name,
        credentials: credentials.to_vec(),
        sees: everybody.clone(),
        is_member: false,
    };
    let askers = [
        member("the receiver", 2, &[2, 3]),
        member("who is above it", 1, &[1, 2, 3]),
        member("who is below it", 3, &[3]),
        member("a stranger", 9, &[9]),
        member("nobody of this network", 77, &[]),
        program("a service", &service),
        program("an auditor", &auditor),
        program("an admin", &admin),
    ];
    let ids: Vec<(u64, String)> = {
        let all = ask(&server, &admin, "GET", "/v1/bonuses", "").json();
        let source_of = |item: &Value| {
            ENTRIES.iter().map(|(_, source)| *source).find(|source| item["source"] == uuid(*source)).unwrap()
        };
        all["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| (source_of(item), item["id"].as_str().unwrap().to_owned()))
            .collect()
    };
    assert_eq!(ids.len(), ENTRIES.len());
    // description of the route, method, path, body, what hides a source there, whether members may ask at
    // all, sources of the entries that it shows
    let of_two: Vec<u64> = ENTRIES.iter().map(|(_, source)| *source).collect();
    let receiver = uuid(2);
    let mut table = vec![
        (
            "GET /bonus/user/{user_id}",
            "GET",
            format!("/bonus/user/{receiver}"),
            Some(NIL),
            true,
            of_two.clone(),
        ),
        (
            "GET /bonus/bonus/user/{user_id}",
            "GET",
            format!("/bonus/bonus/user/{receiver}"),
            Some(NIL),
            true,
            of_two.clone(),
        ),
        (
            "GET /reports/weekly/{user_id}",
            "GET",
            format!("/reports/weekly/{receiver}"),
            Some(NIL),
            true,
            of_two.clone(),
        ),
        ("GET /bonus/", "GET", "/bonus/".into(), Some(NIL), false, of_two.clone()),
        ("GET /bonus/bonus", "GET", "/bonus/bonus".into(), Some(NIL), false, of_two.clone()),
        (
            "GET /v1/members/{id}/bonuses",
            "GET",
            format!("/v1/members/{receiver}/bonuses"),
            None,
            true,
            of_two.clone(),
        ),
        ("GET /v1/bonuses", "GET", "/v1/bonuses".into(), None, false, of_two.clone()),
    ];
    for (source, id) in &ids {
        table.push((
            "GET /v1/bonuses/{id}/explain",
            "GET",
            format!("/v1/bonuses/{id}/explain"),
            None,
            true,
            vec![*source],
        ));
        table.push((
            "PATCH /bonus/{bonus_id}/mark-paid",
            "PATCH",
            format!("/bonus/{id}/mark-paid"),
            Some(NIL),
            false,
            vec![*source],
        ));
        table.push((
            "PATCH /bonus/bonus/{bonus_id}/mark-paid",
            "PATCH",
            format!("/bonus/bonus/{id}/mark-paid"),
            Some(NIL),
            false,
            vec![*source],
        ));
        table.push((
            "POST /v1/bonuses/{id}/pay",
            "POST",
            format!("/v1/bonuses/{id}/pay"),
            None,
            false,
            vec![*source],
        ));
    }
    let (mut hidden, mut shown) = (0, 0);
    for Asker { name, credentials, sees, is_member } in &askers {
        for (_, method, path, instead, is_for_members, of) in &table {
            for accept in ["application/json", "application/x-ndjson"] {
                let credentials = [&credentials[..], &[("accept".to_owned(), accept.to_owned())]].concat();
                let reply = ask(&server, &credentials, method, path, "");
                let place = format!("{name} asks {method} {path} as {accept}");
                let status = match (is_member, is_for_members) {
                    (true, false) => 403,
                    (true, true) if !sees.contains(&2) => 404,
                    _ => 200,
                };
                // Auditors can read but not pay.
                let status = if *name == "an auditor" && *method != "GET" { 403 } else { status };
                assert_eq!(reply.status, status, "{place}: {}", reply.text());
                if status != 200 {
                    continue;
                }
                let field = if path.starts_with("/v1/") { "source" } else { "source_user_id" };
                let mut found = sources(reply.text(), field);
                let said = |source: &u64| {
                    if sees.contains(source) { Some(uuid(*source)) } else { instead.map(String::from) }
                };
                let mut expected: Vec<Option<String>> = of.iter().map(said).collect();
                found.sort();
                expected.sort();
                assert_eq!(found, expected, "{place}: {}", reply.text());
                hidden += of.iter().filter(|source| !sees.contains(source)).count();
                shown += of.iter().filter(|source| sees.contains(source)).count();
                if field == "source" {
                    let mut found = sources(reply.text(), "reference");
                    let mut expected: Vec<Option<String>> =
                        of.iter().map(|source| sees.contains(source).then(|| reference(*source))).collect();
                    found.sort();
                    expected.sort();
                    assert_eq!(found, expected, "{place}: {}", reply.text());
                }
                // Nor in any other field.
                for stranger in everybody.difference(sees) {
                    assert!(
                        !reply.text().contains(&reference(*stranger)),
                        "{place} shows an order of {stranger}: {}",
                        reply.text()
                    );
                    assert!(
                        !reply.text().contains(&uuid(*stranger)),
                        "{place} shows {stranger}: {}",
                        reply.text()
                    );
                }
                // The signup time identifies the member to callers who see the feed of signups elsewhere.
                if path.ends_with("/explain") && !sees.contains(&of[0]) {
                    assert!(
                        reply.json()["source_signup_lsn"].is_null() && reply.json()["command"].is_null(),
                        "{place}: {}",
                        reply.text()
                    );
                }
            }
        }
    }
    assert!(10 <= hidden && 50 <= shown, "{hidden} hidden, {shown} shown");
    // The route that creates bonuses shows them to those who may create them. The feed is for those who see
    // everything.
    let trigger = format!("{{\"source\":\"{}\",\"kind\":\"purchase\"}}", uuid(3));
    for Asker { name, credentials, is_member, .. } in &askers {
        let made = ask(&server, credentials, "POST", "/v1/bonuses", &trigger);
        assert_eq!(
            made.status,
            if *is_member || *name == "an auditor" { 403 } else { 201 },
            "{name}: {}",
            made.text()
        );
        let text = made.text();
        assert!(
            made.status != 201 || sources(text, "source").iter().all(|source| *source == Some(uuid(3))),
            "{name}: {text}"
        );
        if *is_member {
            assert_eq!(ask(&server, credentials, "GET", "/v1/events?from=1", "").status, 403, "{name}");
        }
    }
    // Those who may pay a bonus may change its state.
    let made = ask(&server, &admin, "POST", "/v1/bonuses", &trigger).json();
    let id = made["bonuses"][0]["id"].as_str().unwrap();
    for change in ["hold", "release", "void"] {
        for Asker { name, credentials, is_member, .. } in &askers {
            let path = format!("/v1/bonuses/{id}/{change}");
            let reply = ask(&server, credentials, "POST", &path, r#"{"reason":"a test"}"#);
            let expected = if *is_member || *name == "an auditor" { 403 } else { 200 };
            assert_eq!(reply.status, expected, "{name} asks {path}: {}", reply.text());
            assert!(
                expected != 200 || sources(reply.text(), "source") == [Some(uuid(3))],
                "{name}: {}",
                reply.text()
            );
        }
    }
    // No route that shows a bonus is missing.
    let others =
        ["", "/{id}/hold", "/{id}/release", "/{id}/void"].map(|path| format!("POST /v1/bonuses{path}"));
    let tried: BTreeSet<String> = table.iter().map(|row| row.0.to_owned()).chain(others).collect();
    assert_eq!(described(&server), tried);
}
