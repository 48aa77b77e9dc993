//! A member never sees outside its own downline, whatever it asks for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use super::network::{Answer, Network, TREES, member};

/// Pairs of principal and target that are tried; the deep tier requests a hundred thousand.
const PAIRS: u32 = 3_000;

fn pairs() -> u32 {
    std::env::var("UPLINE_TEST_PAIRS").ok().and_then(|text| text.parse().ok()).unwrap_or(PAIRS)
}

/// All requests that a member may make about another.
fn routes(target: Uuid, other: Uuid, code: &str, seed: u32) -> Vec<String> {
    let tree = TREES[(seed % 2) as usize].1;
    let limit = 1 + seed % 7;
    vec![
        format!("/v1/members/{target}"),
        format!("/v1/members/by-code/{code}"),
        format!("/v1/members/{target}/upline?tree={tree}"),
        format!("/v1/members/{target}/downline?tree={tree}&limit={limit}"),
        format!("/v1/members/{target}/children?tree={tree}&limit={limit}"),
        format!("/v1/members/{target}/levels?tree={tree}"),
        format!("/v1/members/{target}/levels/{}?tree={tree}", 1 + seed % 3),
        format!("/v1/members/{target}/rank"),
        format!("/v1/members/{target}/bonuses?limit={limit}"),
        format!("/v1/members/{target}/report?from=1970-01-01T00:00:00Z"),
        format!("/v1/members/{target}/tree?tree={tree}&depth=2&limit={}", limit + 3),
        format!("/v1/members/{target}/is-ancestor-of/{other}?tree={tree}"),
        format!("/v1/placement/preview?sponsor={target}"),
    ]
}

/// Ids of members anywhere in an answer.
fn named(value: &Value, known: &BTreeSet<String>, found: &mut BTreeSet<String>) {
    let mut left = vec![value];
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) if known.contains(text) => {
                found.insert(text.clone());
            }
            Value::Array(items) => left.extend(items),
            Value::Object(fields) => left.extend(fields.values()),
            _ => {}
        }
    }
}

/// An answer as JSON, whether it is one value or lines.
fn values(answer: &Answer) -> Value {
    if answer.headers["content-type"] == "application/x-ndjson" {
        answer.lines().into()
    } else {
        answer.json()
    }
}

#[tokio::test]
async fn a_member_never_sees_outside_its_own_downline() {
    let mut tried = 0;
    let (mut seen_some, mut hidden_some) = (0, 0);
    for seed in 0.. {
        if pairs() <= tried {
            break;
        }
        // Some twenty trees each.
        let mut network = Network::new(1_000 + seed, 240).await;
        let model = network.model();
        let known: BTreeSet<String> = model.ids.iter().map(Uuid::to_string).collect();
        let sights: BTreeMap<u32, BTreeSet<Uuid>> =
            (0..240).map(|index| (index, model.seen_by(index))).collect();
        let codes: Vec<String> = network.engine.read(|state, _| {
            (0..240).map(|index| state.code(crate::engine::MemberIx(index)).as_str().to_owned()).collect()
        });
        for _ in 0..500 {
            tried += 1;
            let principal = network.below(240);
            let sight = &sights[&principal];
            // Half of the targets are chosen among the visible ones, since few would be otherwise.
            let target = if network.below(2) == 0 {
                let nth = network.below(u32::try_from(sight.len()).unwrap()) as usize;
                model.ids.iter().position(|id| Some(id) == sight.iter().nth(nth)).unwrap()
            } else {
                network.below(240) as usize
            };
            let other = network.below(240) as usize;
            let asks = member(model.ids[principal as usize]);
            let which = network.below(1 << 20);
            let paths = routes(model.ids[target], model.ids[other], &codes[target], which);
            let path = &paths[which as usize / 8 % paths.len()];
            let accept = if which % 3 == 0 { "application/x-ndjson" } else { "application/json" };
            let answer = network.ask(asks.clone(), path, accept).await;
            let asked_other = path.contains("is-ancestor-of");
            let may =
                sight.contains(&model.ids[target]) && (!asked_other || sight.contains(&model.ids[other]));
            if may {
                seen_some += 1;
                assert_eq!(answer.status, 200, "seed {seed}: {path}: {}", answer.text);
                let mut found = BTreeSet::new();
                named(&values(&answer), &known, &mut found);
                let outside: Vec<&String> =
                    found.iter().filter(|id| !sight.contains(&Uuid::parse_str(id).unwrap())).collect();
                assert!(
                    outside.is_empty(),
                    "seed {seed}: {path} shows {outside:?} to {}: {}",
                    model.ids[principal as usize],
                    answer.text
                );
            } else {
                hidden_some += 1;
                assert_eq!(answer.status, 404, "seed {seed}: {path}: {}", answer.text);
                // Identical to the byte to the answer for a member that does not exist.
                let nobody = Uuid::from_u128(0x4000_8000_0000_0000_0000_u128);
                let instead = routes(nobody, nobody, "nobody-has-this-code", which);
                let same = network.ask(asks, &instead[which as usize / 8 % paths.len()], accept).await;
                assert_eq!((answer.text, answer.status), (same.text, same.status), "seed {seed}: {path}");
            }
        }
        // Requests about all members are not for members.
        let asks = member(model.ids[0]);
        for path in [
            "/v1/bonuses",
            "/v1/members",
            "/v1/members?roots=true",
            "/v1/ranks",
            "/v1/stats",
            "/v1/search?q=a",
        ] {
            let answer = network.ask(asks.clone(), path, "application/json").await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str().unwrap()),
                (403, "forbidden"),
                "{path}"
            );
        }
    }
    println!("{tried} pairs: {seen_some} seen, {hidden_some} hidden");
    assert!(tried / 5 < seen_some && tried / 5 < hidden_some);
}

#[tokio::test]
async fn an_upline_ends_with_whoever_asks() {
    let network = Network::new(77, 200).await;
    let model = network.model();
    let mut longest = 0;
    for principal in 0..200 {
        for (tree, name) in TREES {
            for target in model.levels(tree, principal).concat().into_iter().chain([principal]).take(12) {
                let path = format!("/v1/members/{}/upline?tree={name}", model.ids[target as usize]);
                let answer = network
                    .ask(member(model.ids[principal as usize]), &path, "application/json")
                    .await
                    .json();
                let upline = model.upline(tree, target);
                let end = upline.iter().position(|above| *above == principal).map_or(0, |place| place + 1);
                let sight = model.seen_by(principal);
                // In the other tree there may be members that are visible all the same.
                let seen: Vec<u32> = upline
                    .iter()
                    .copied()
                    .take_while(|above| sight.contains(&model.ids[*above as usize]))
                    .collect();
                assert!(end <= seen.len());
                assert_eq!(
                    super::network::texts(answer["items"].as_array().unwrap(), "/user_id"),
                    model.ids_of(&seen)
                );
                assert!(answer["next"].is_null());
                longest = longest.max(end);
            }
        }
    }
    assert!(2 < longest);
}
