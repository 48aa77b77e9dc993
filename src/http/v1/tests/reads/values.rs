//! Numbers, windows and searches compared with naive results, and what is refused.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use super::network::{Network, TREES, texts};
use crate::{
    engine::{Entry, EntryStatus, SUM_LEVELS_MAX},
    http::docs,
};

/// A sum as an answer shows it.
fn sum<'a>(entries: impl Iterator<Item = &'a Entry>) -> (u64, i64) {
    entries.fold((0, 0), |(count, amount), entry| (count + 1, amount + entry.amount.0))
}

fn given(total: &Value) -> (u64, i64) {
    assert_eq!((&total["currency"], &total["exponent"]), (&json!("USD"), &json!(2)), "{total}");
    (total["bonuses"].as_u64().unwrap(), total["minor"].as_i64().unwrap())
}

#[tokio::test]
async fn levels_are_counted_and_summed() {
    for seed in 0..4 {
        let mut network = Network::new(300 + seed, 160).await;
        let model = network.model();
        for _ in 0..25 {
            let member = network.below(160);
            let (tree, name) = TREES[network.below(2) as usize];
            let path = format!("/v1/members/{}/levels", model.ids[member as usize]);
            let answer = network.get(&format!("{path}?tree={name}")).await.json();
            let of_member = || model.entries.iter().filter(|entry| entry.receiver.0 == member);
            assert_eq!(
                given(&answer["commission"]),
                sum(of_member().filter(|entry| entry.level != 0)),
                "seed {seed}"
            );
            assert_eq!(
                given(&answer["rank_rewards"]),
                sum(of_member().filter(|entry| entry.level == 0)),
                "seed {seed}"
            );
            let levels = model.levels(tree, member);
            let cap = answer["level_cap"].as_u64().unwrap();
            let rows = answer["levels"].as_array().unwrap();
            assert!(
                rows.iter().zip(1..=cap).all(|(row, level)| row["level"] == level),
                "seed {seed}: those within the cap come first"
            );
            for row in rows {
                let level = row["level"].as_u64().unwrap();
                let there = levels.get(usize::try_from(level).unwrap() - 1).map_or(0, Vec::len);
                assert!(
                    row["members"] == there || (cap < level && row["members"].is_null()),
                    "seed {seed}: {row}"
                );
                let brought = of_member().filter(|entry| u64::from(entry.level.min(SUM_LEVELS_MAX)) == level);
                assert_eq!(given(&row["commission"]), sum(brought), "seed {seed}, level {level}");
            }
            let level = 1 + network.below(3);
            for row in network.stream(&format!("{path}/{level}?tree={name}")).await.lines() {
                let source =
                    model.ids.iter().position(|id| row["member"]["user_id"] == id.to_string()).unwrap();
                let brought = of_member().filter(|entry| entry.level == level && entry.source.at() == source);
                assert_eq!(given(&row["commission"]), sum(brought), "seed {seed}: {row}");
            }
        }
    }
}

#[tokio::test]
async fn reports_add_up_a_window() {
    let mut network = Network::new(31, 160).await;
    let model = network.model();
    for round in 0..40 {
        let member = network.below(160);
        let id = model.ids[member as usize];
        // Imported entries are of the first second of 1970, all others of today.
        let (query, window) = match round % 4 {
            0 => (String::new(), 1_000_000..i64::MAX),
            1 => ("?from=1970-01-01T00:00:00Z".to_owned(), 0..i64::MAX),
            2 => ("?to=1970-01-01T00:00:00.5Z".to_owned(), 0..500_000),
            _ => (
                "?from=1970-01-01T00:00:00.2Z&to=1970-01-01T01:00:00.700%2B01:00".to_owned(),
                200_000..700_000,
            ),
        };
        let answer = network.get(&format!("/v1/members/{id}/report{query}")).await.json();
        let inside = || {
            model.entries.iter().filter(|entry| entry.receiver.0 == member && window.contains(&entry.time.0))
        };
        assert_eq!(given(&answer["total"]), sum(inside()), "{query}");
        assert_eq!(
            given(&answer["pending"]),
            sum(inside().filter(|entry| entry.status == EntryStatus::Pending)),
            "{query}"
        );
        for status in [EntryStatus::Paid, EntryStatus::Held, EntryStatus::Void] {
            assert_eq!(
                given(&answer[status.name()]),
                sum(inside().filter(|entry| entry.status == status)),
                "{query}"
            );
        }
        for status in [EntryStatus::Pending, EntryStatus::Paid, EntryStatus::Held] {
            let received = model.entries.iter().filter(|entry| entry.receiver.0 == member);
            let of_status = received.filter(|entry| entry.status == status);
            let balance: i64 = of_status.map(|entry| entry.amount.0).sum();
            assert_eq!(answer["balance"][status.name()], balance, "{query}");
        }
        for row in answer["by_level"].as_array().unwrap() {
            assert_eq!(
                given(&row["total"]),
                sum(inside().filter(|entry| row["level"] == entry.level.min(SUM_LEVELS_MAX))),
                "{query}"
            );
        }
        let kinds = answer["by_kind"].as_array().unwrap();
        assert_eq!(kinds.iter().map(|row| given(&row["total"]).0).sum::<u64>(), given(&answer["total"]).0);
        let old = kinds.iter().find(|row| row["kind"] == "old").map_or((0, 0), |row| given(&row["total"]));
        assert_eq!(old, sum(inside().filter(|entry| entry.time.0 < 1_000_000)), "{query}");
    }
}

/// Everybody below a member, through consecutive windows.
async fn explored(network: &mut Network, top: Uuid, tree: &str) -> Vec<String> {
    let mut asked = vec![(top.to_string(), String::new())];
    let mut found = Vec::new();
    while let Some((member, cursor)) = asked.pop() {
        let (depth, limit, siblings) = (network.below(4), 1 + network.below(9), 1 + network.below(3));
        let path = format!(
            "/v1/members/{member}/tree?tree={tree}&depth={depth}&limit={limit}&siblings={siblings}{cursor}"
        );
        let answer = network.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        let answer = answer.json();
        let nodes = answer["nodes"].as_array().unwrap();
        assert!(nodes.len() <= limit as usize, "{path}");
        assert_eq!(nodes[0]["user_id"], member);
        found.extend(texts(&nodes[1..], "/user_id"));
        for node in nodes {
            let more = node["more"].as_str();
            assert_eq!(more.is_some(), node["hidden"] != 0, "{path}: {node}");
            if let Some(more) = more {
                asked.push((node["user_id"].as_str().unwrap().to_owned(), format!("&cursor={more}")));
            }
        }
        assert!(asked.len() < 10_000);
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_viewer_gets_everywhere_and_sees_everybody_once() {
    let mut network = Network::new(41, 140).await;
    let model = network.model();
    for round in 0..12 {
        let (tree, name) = TREES[round % 2];
        let member = if round < 4 { u32::try_from(round / 2).unwrap() } else { network.below(140) };
        let mut expected = model.ids_of(&model.levels(tree, member).concat());
        expected.sort();
        assert_eq!(explored(&mut network, model.ids[member as usize], name).await, expected, "{name}");
    }
    let root = model.ids[0];
    let window = network.get(&format!("/v1/members/{root}/tree?depth=1")).await.json();
    let slots: Vec<u64> =
        window["nodes"].as_array().unwrap()[1..].iter().map(|node| node["slot"].as_u64().unwrap()).collect();
    let empty: Vec<u64> = (0..3).filter(|slot| !slots.contains(slot)).collect();
    assert_eq!(window["nodes"][0]["empty_slots"], json!(empty));
    assert_eq!(window["nodes"][0]["empty"], 3 - slots.len());
    let window = network.get(&format!("/v1/members/{root}/tree?depth=0&tree=sponsor")).await.json();
    assert_eq!((window["nodes"].as_array().unwrap().len(), &window["nodes"][0]["empty"]), (1, &Value::Null));
    assert_eq!(window["nodes"][0]["hidden"], model.children(TREES[0].0, 0).len());
}

#[tokio::test]
async fn ancestors_are_those_above() {
    let mut network = Network::new(51, 120).await;
    let model = network.model();
    for _ in 0..300 {
        let (one, other) = (network.below(120), network.below(120));
        let (tree, name) = TREES[network.below(2) as usize];
        let [above, below] = [one, other].map(|member| model.ids[member as usize]);
        let answer =
            network.get(&format!("/v1/members/{above}/is-ancestor-of/{below}?tree={name}")).await.json();
        let distance =
            model.upline(tree, other).iter().position(|member| *member == one).map(|place| place + 1);
        assert_eq!(answer, json!({ "is_ancestor": distance.is_some(), "distance": distance }));
    }
}

#[tokio::test]
async fn searches_find_what_begins_so() {
    let mut network = Network::new(61, 200).await;
    let model = network.model();
    let codes: Vec<String> = network.engine.read(|state, _| {
        (0..200).map(|index| state.code(crate::engine::MemberIx(index)).as_str().to_owned()).collect()
    });
    let mut both = 0;
    for _ in 0..200 {
        let member = network.below(200) as usize;
        let text = if network.below(2) == 0 { codes[member].clone() } else { model.ids[member].to_string() };
        let length = 1 + network.below(6) as usize;
        let text =
            if network.below(2) == 0 { text[..length].to_uppercase() } else { text[..length].to_owned() };
        let limit = 1 + network.below(100) as usize;
        let answer = network.get(&format!("/v1/search?q={text}&limit={limit}")).await.json();
        let items = answer["items"].as_array().unwrap();
        let folded = text.to_lowercase();
        let begins = |index: &usize| {
            (
                codes[*index].to_lowercase().starts_with(&folded),
                model.ids[*index].to_string().starts_with(&folded),
            )
        };
        let expected: BTreeSet<String> = (0..200)
            .filter(|index| begins(index) != (false, false))
            .map(|index| model.ids[index].to_string())
            .collect();
        let found = texts(items, "/user_id");
        let distinct: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(distinct.len(), found.len(), "each once");
        assert_eq!(
            (found.len(), answer["more"] == json!(true)),
            (expected.len().min(limit), limit < expected.len()),
            "{text}"
        );
        assert!(distinct.is_subset(&expected), "{text}: {answer}");
        let by_id = items.iter().filter(|item| item["matches"] == "user_id").count();
        both += usize::from(0 < by_id && by_id < items.len());
        for item in items {
            let index = model.ids.iter().position(|id| item["user_id"] == id.to_string()).unwrap();
            let (by_code, by_id) = begins(&index);
            assert!(if item["matches"] == "code" { by_code } else { by_id && !by_code }, "{item}");
        }
    }
    assert!(0 < both, "some text begins a code and an id");
}

#[tokio::test]
async fn ranks_places_and_figures_are_those_of_the_state() {
    let mut network = Network::new(71, 130).await;
    let model = network.model();
    let distribution = network.get("/v1/ranks").await.json();
    let mut held = vec![0_u64; 3];
    for member in 0..130 {
        let answer = network.get(&format!("/v1/members/{}/rank", model.ids[member as usize])).await.json();
        let below = model.levels(TREES[0].0, member).concat().len();
        let (ordinal, name, next) = match below {
            0..2 => (0, Value::Null, Some((2, below))),
            2..6 => (1, json!("Bronze"), Some((6, below))),
            _ => (2, json!("Silver"), None),
        };
        held[ordinal] += 1;
        assert_eq!(answer["paid_as"], json!({ "ordinal": ordinal, "name": name }));
        assert_eq!(answer["lifetime"], answer["paid_as"]);
        let expected = next.map_or(
            Value::Null,
            |(minimum, held)| json!({ "minimum": minimum, "held": held, "missing": minimum - held }),
        );
        for field in ["minimum", "held", "missing"] {
            assert_eq!(
                answer["next"].get(field).unwrap_or(&Value::Null),
                expected.get(field).unwrap_or(&Value::Null),
                "{answer}"
            );
        }
        let whole = network.get(&format!("/v1/members/{}", model.ids[member as usize])).await.json();
        assert_eq!((&whole["rank"], &whole["sponsored"]["downline"]), (&json!(ordinal), &json!(below)));
        let code = whole["code"].as_str().unwrap().to_lowercase();
        assert_eq!(network.get(&format!("/v1/members/by-code/{code}")).await.json(), whole);
    }
    let given: Vec<u64> = distribution["ranks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["members"].as_u64().unwrap())
        .collect();
    assert_eq!(given, held);
    assert_eq!(distribution["ranks"][2]["rank"], json!({ "ordinal": 2, "name": "Silver" }));

    let sponsor = network.below(130);
    let place =
        network.get(&format!("/v1/placement/preview?sponsor={}", model.ids[sponsor as usize])).await.json();
    let parent = model.ids.iter().position(|id| place["parent"] == id.to_string()).unwrap();
    let parent = u32::try_from(parent).unwrap();
    assert!(parent == sponsor || model.upline(TREES[1].0, parent).contains(&sponsor), "below the sponsor");
    assert!(model.children(TREES[1].0, parent).len() < 3, "{place}");
    assert_eq!(place["level"], model.upline(TREES[1].0, parent).len() + 2);

    let stats = network.get("/v1/stats").await;
    let lsn: u64 = stats.headers["x-lsn"].to_str().unwrap().parse().unwrap();
    let stats = stats.json();
    assert_eq!((&stats["network"]["members"], &stats["log"]["applied_lsn"]), (&json!(130), &json!(lsn)));
    assert_eq!(stats["network"]["bonuses"], model.entries.len());
    let pending = model.entries.iter().filter(|entry| entry.status == EntryStatus::Pending).count();
    assert_eq!(stats["network"]["pending_bonuses"], pending);
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let network = Network::new(81, 30).await;
    let id = network.model().ids[0];
    let nobody = Uuid::from_u128(7);
    // path, status, code, field
    let table = [
        (format!("/v1/members/{nobody}"), 404, "member_unknown", None),
        ("/v1/members/x".into(), 422, "parameter_invalid", Some("id")),
        ("/v1/members/by-code/nobody".into(), 404, "member_unknown", None),
        ("/v1/members/by-code/a%20b".into(), 422, "parameter_invalid", Some("code")),
        (format!("/v1/members/{nobody}/downline"), 404, "member_unknown", None),
        (format!("/v1/members/{id}/downline?tree=binary"), 422, "parameter_invalid", Some("tree")),
        (format!("/v1/members/{id}/downline?trees=sponsor"), 422, "parameter_unknown", Some("trees")),
        (format!("/v1/members/{id}/downline?depth=0"), 422, "parameter_invalid", Some("depth")),
        (format!("/v1/members/{id}/downline?depth=-1"), 422, "parameter_invalid", Some("depth")),
        (format!("/v1/members/{id}/downline?limit=0"), 422, "parameter_invalid", Some("limit")),
        (format!("/v1/members/{id}/downline?limit=1001"), 422, "parameter_invalid", Some("limit")),
        (format!("/v1/members/{id}/downline?cursor=x"), 400, "cursor_invalid", None),
        (format!("/v1/members/{id}/children?depth=1"), 422, "parameter_unknown", Some("depth")),
        (format!("/v1/members/{id}/children?cursor="), 400, "cursor_invalid", None),
        (format!("/v1/members/{nobody}/upline"), 404, "member_unknown", None),
        (format!("/v1/members/{id}/levels/0"), 422, "parameter_invalid", Some("level")),
        (format!("/v1/members/{id}/levels/x"), 422, "parameter_invalid", Some("level")),
        (format!("/v1/members/{nobody}/levels"), 404, "member_unknown", None),
        (format!("/v1/members/{nobody}/levels/1"), 404, "member_unknown", None),
        (format!("/v1/members/{id}/levels?limit=3"), 422, "parameter_unknown", Some("limit")),
        (format!("/v1/members/{nobody}/rank"), 404, "member_unknown", None),
        (format!("/v1/members/{nobody}/bonuses"), 404, "member_unknown", None),
        (format!("/v1/members/{id}/bonuses?status=lost"), 422, "parameter_invalid", Some("status")),
        ("/v1/bonuses?status=lost".into(), 422, "parameter_invalid", Some("status")),
        ("/v1/members?status=lost".into(), 422, "parameter_invalid", Some("status")),
        ("/v1/members?role=owner".into(), 422, "parameter_invalid", Some("role")),
        ("/v1/members?rank=1025".into(), 422, "parameter_invalid", Some("rank")),
        ("/v1/members?rank=-1".into(), 422, "parameter_invalid", Some("rank")),
        ("/v1/members?roots=1".into(), 422, "parameter_invalid", Some("roots")),
        ("/v1/members?order=oldest_first".into(), 422, "parameter_invalid", Some("order")),
        ("/v1/members?from=yesterday".into(), 422, "parameter_invalid", Some("from")),
        ("/v1/members?limit=1001".into(), 422, "parameter_invalid", Some("limit")),
        ("/v1/members?tree=sponsor".into(), 422, "parameter_unknown", Some("tree")),
        ("/v1/members?cursor=AAAA".into(), 400, "cursor_invalid", None),
        (format!("/v1/members/{nobody}/report"), 404, "member_unknown", None),
        (format!("/v1/members/{id}/report?from=yesterday"), 422, "parameter_invalid", Some("from")),
        (
            format!("/v1/members/{id}/report?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"),
            422,
            "parameter_invalid",
            Some("from"),
        ),
        (format!("/v1/members/{nobody}/tree"), 404, "member_unknown", None),
        (format!("/v1/members/{id}/tree?depth=33"), 422, "parameter_invalid", Some("depth")),
        (format!("/v1/members/{id}/tree?siblings=0"), 422, "parameter_invalid", Some("siblings")),
        (format!("/v1/members/{id}/tree?cursor=AAAA"), 400, "cursor_invalid", None),
        (format!("/v1/members/{id}/is-ancestor-of/{nobody}"), 404, "member_unknown", None),
        (format!("/v1/members/{nobody}/is-ancestor-of/{id}"), 404, "member_unknown", None),
        ("/v1/placement/preview".into(), 422, "parameter_invalid", Some("sponsor")),
        (format!("/v1/placement/preview?sponsor={nobody}"), 404, "sponsor_unknown", None),
        (format!("/v1/placement/preview?sponsor={id}&rule=best"), 422, "parameter_invalid", Some("rule")),
        (format!("/v1/placement/preview?sponsor={id}&rule=unilevel"), 409, "rule_not_allowed", None),
        ("/v1/search".into(), 422, "parameter_invalid", Some("q")),
        ("/v1/search?q=".into(), 422, "parameter_invalid", Some("q")),
        ("/v1/search?q=a%20b".into(), 422, "parameter_invalid", Some("q")),
        ("/v1/search?q=a&limit=101".into(), 422, "parameter_invalid", Some("limit")),
        ("/v1/search?q=a&name=x".into(), 422, "parameter_unknown", Some("name")),
    ];
    for (path, status, code, field) in table {
        let answer = network.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{path}: {problem}");
        assert_eq!(problem.get("field").and_then(Value::as_str), field, "{path}: {problem}");
    }
}

/// Answers of a member's routes at some moment.
async fn said(network: &Network, members: &[Uuid], as_of: &str) -> Vec<(u64, Value)> {
    let mut answers = Vec::new();
    for id in members {
        for route in
            ["", "/rank", "/levels", "/levels?tree=sponsor", "/upline?limit=3", "/upline?tree=sponsor"]
        {
            let joint = if route.contains('?') { "&" } else { "?" };
            let query = if as_of.is_empty() { String::new() } else { format!("{joint}as_of={as_of}") };
            let answer = network.get(&format!("/v1/members/{id}{route}{query}")).await;
            assert_eq!(answer.status, 200, "{route}{query}: {}", answer.text);
            let mut body = answer.json();
            // Cursors are bound to the query, which has another name in the past.
            if !body["next"].is_null() && route.starts_with("/upline") {
                body["next"] = json!("more");
            }
            answers.push((answer.headers["x-lsn"].to_str().unwrap().parse().unwrap(), body));
        }
    }
    answers
}

#[tokio::test]
async fn the_past_says_what_was_said_then() {
    let mut network = Network::new(91, 40).await;
    let first: Vec<Uuid> = network.model().ids[..12].to_vec();
    let mut then = Vec::new();
    for _ in 0..5 {
        let (lsn, time) = network.engine.read(|state, _| (state.lsn(), state.time()));
        then.push((lsn, time, said(&network, &first, "").await));
        network.grow(25).await;
    }
    then.reverse();
    for (lsn, time, answers) in &then {
        assert_eq!(&said(&network, &first, &lsn.to_string()).await, answers, "LSN {lsn}");
        let time = serde_json::to_string(&crate::http::v1::types::Time(*time)).unwrap();
        assert_eq!(&said(&network, &first, time.trim_matches('"')).await, answers, "{time}");
    }
    let (oldest, _, _) = then.last().unwrap();
    let youngest = network.model().ids[100];
    let answer = network.get(&format!("/v1/members/{youngest}?as_of={oldest}")).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str().unwrap()),
        (404, "member_unknown"),
        "who joined later was not there"
    );
    // An upline of the past continues only with its own cursor.
    let deepest =
        first.iter().max_by_key(|id| network.model().ids.iter().position(|known| known == *id)).unwrap();
    for (query, status, code) in [
        ("as_of=99999999".to_owned(), 400, "as_of_invalid"),
        ("as_of=2099-01-01T00:00:00Z".to_owned(), 400, "as_of_invalid"),
        ("as_of=soon".to_owned(), 422, "parameter_invalid"),
    ] {
        for route in ["", "/rank", "/levels", "/upline"] {
            let answer = network.get(&format!("/v1/members/{deepest}{route}?{query}")).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str().unwrap()),
                (status, code),
                "{route}?{query}"
            );
        }
    }
    let answer = network.stream(&format!("/v1/members/{deepest}/upline?as_of={oldest}")).await;
    assert!(answer.json()["items"].is_array(), "the past comes in pages only");
}

#[tokio::test]
async fn a_member_sees_no_more_of_the_past_than_of_the_present() {
    let mut network = Network::new(92, 120).await;
    let lsn = network.engine.read(|state, _| state.lsn());
    network.grow(60).await;
    let model = network.model();
    for _ in 0..150 {
        let (principal, target) = (network.below(120), network.below(120));
        let sight = model.seen_by(principal);
        let route = ["", "/rank", "/levels", "/upline"][network.below(4) as usize];
        let path = format!("/v1/members/{}{route}?as_of={lsn}", model.ids[target as usize]);
        let answer = network
            .ask(super::network::member(model.ids[principal as usize]), &path, "application/json")
            .await;
        assert_eq!(
            answer.status,
            if sight.contains(&model.ids[target as usize]) { 200 } else { 404 },
            "{path}"
        );
        let hidden = model
            .ids
            .iter()
            .filter(|id| !sight.contains(id))
            .find(|id| answer.text.contains(&id.to_string()));
        assert_eq!(hidden, None, "{path}: {}", answer.text);
    }
}

#[test]
fn the_description_names_the_last_level_that_has_its_own_sum() {
    let description = docs::description();
    for schema in ["TotalOfLevel", "Level"] {
        let level = &description["components"]["schemas"][schema]["properties"]["level"];
        assert_eq!(level["maximum"], SUM_LEVELS_MAX, "{schema}: {level}");
    }
}
