//! Pages and streams equal the naive lists exactly, whatever the limit and despite signups meanwhile.

use http_body_util::BodyExt;
use uuid::Uuid;

use super::{
    super::page::{self, Listing, Reader, Source},
    network::{Network, TREES, texts},
};
use crate::{
    engine::{Entry, EntryStatus, RowKind},
    http::{
        auth::{Payer, Principal},
        heavy::Heavy,
        limits::{BULK_SLICES_AHEAD, BULK_STREAMS_MAX, SLICE_ROWS, STREAM_ROWS},
    },
    metrics::Metrics,
};

const SEEDS: std::ops::Range<u64> = 0..6;
const LIMITS: [usize; 4] = [1, 3, 17, 1_000];

#[tokio::test]
async fn lists_of_members_are_the_naive_lists() {
    for seed in SEEDS {
        let members = 40 + u32::try_from(seed).unwrap() * 30;
        let mut network = Network::new(seed, members).await;
        for round in 0..12 {
            let (tree, name) = TREES[round % 2];
            let member = network.below(members);
            let limit = LIMITS[network.below(4) as usize];
            let depth = 1 + network.below(5);
            let model = network.model();
            let id = model.ids[member as usize];
            let levels = model.levels(tree, member);
            let lists = [
                ("children".to_owned(), model.children(tree, member), String::new()),
                ("upline".to_owned(), model.upline(tree, member), String::new()),
                ("downline".to_owned(), levels.concat(), String::new()),
                (
                    "downline".to_owned(),
                    levels[..levels.len().min(depth as usize)].concat(),
                    format!("&depth={depth}"),
                ),
                (
                    format!("levels/{depth}"),
                    levels.get(depth as usize - 1).cloned().unwrap_or_default(),
                    String::new(),
                ),
            ];
            for (list, expected, more) in lists {
                let path = format!("/v1/members/{id}/{list}?tree={name}{more}");
                let pointer = if list.starts_with("levels") { "/member/user_id" } else { "/user_id" };
                let streamed = network.stream(&path).await.lines();
                assert_eq!(
                    texts(&streamed, pointer),
                    model.ids_of(&expected),
                    "seed {seed}: {path} as a stream"
                );
                // Without signups in between, pages equal the stream to the last byte.
                let paged = network.pages(&path, limit, false).await;
                assert_eq!(paged, streamed, "seed {seed}: {path} in pages of {limit}");
                if limit < 1_000 && expected.len() < 60 {
                    let paged = network.pages(&path, limit, true).await;
                    assert_eq!(
                        texts(&paged, pointer),
                        model.ids_of(&expected),
                        "seed {seed}: {path} in pages of {limit}, with signups"
                    );
                }
                if network.len() != u32::try_from(model.ids.len()).unwrap() {
                    break;
                }
            }
        }
    }
}

#[tokio::test]
async fn rows_say_where_a_member_stands() {
    let mut network = Network::new(11, 150).await;
    let model = network.model();
    for _ in 0..20 {
        for (tree, name) in TREES {
            let member = network.below(150);
            let id = model.ids[member as usize];
            let path = format!("/v1/members/{id}/downline?tree={name}");
            for row in network.stream(&path).await.lines() {
                let found = model.ids.iter().position(|known| row["user_id"] == known.to_string()).unwrap();
                let found = u32::try_from(found).unwrap();
                let above = model.above(tree, found).unwrap();
                assert_eq!(row["above"], model.ids[above as usize].to_string());
                let depth = 1 + model.upline(tree, found).iter().position(|above| *above == member).unwrap();
                assert_eq!(row["depth"], depth);
                assert_eq!(row["direct"], model.children(tree, found).len());
            }
        }
    }
}

#[tokio::test]
async fn lists_of_bonuses_are_the_naive_lists() {
    for seed in SEEDS {
        let mut network = Network::new(seed, 90).await;
        for round in 0..6 {
            let model = network.model();
            let member = network.below(90);
            let limit = LIMITS[network.below(4) as usize];
            let status = ["", "status=pending", "status=paid"][round % 3];
            let id = model.ids[member as usize];
            let has_status = |entry: &Entry| status.is_empty() || status.ends_with(entry.status.name());
            let lists = [
                (
                    format!("/v1/members/{id}/bonuses?{status}"),
                    model.entries_in_order(|entry| entry.receiver.0 == member && has_status(entry)),
                ),
                (format!("/v1/bonuses?{status}"), model.entries_in_order(has_status)),
            ];
            for (path, expected) in lists {
                let streamed = network.stream(&path).await.lines();
                let row_id = |entry: &&Entry| {
                    Uuid::from_bytes(network.engine.row_id(RowKind::Entry, entry.index)).to_string()
                };
                let ids: Vec<String> = expected.iter().map(row_id).collect();
                assert_eq!(texts(&streamed, "/id"), ids, "seed {seed}: {path}");
                for (row, entry) in streamed.iter().zip(&expected) {
                    assert_eq!(row["amount"]["minor"], entry.amount.0);
                    assert_eq!(row["receiver"], model.ids[entry.receiver.at()].to_string());
                    assert_eq!(row["source"], model.ids[entry.source.at()].to_string());
                    assert_eq!((&row["level"], &row["lsn"]), (&entry.level.into(), &entry.lsn.into()));
                }
                let paged = network.pages(&path, limit, false).await;
                assert_eq!(paged, streamed, "seed {seed}: {path} in pages of {limit}");
            }
        }
    }
}

#[tokio::test]
async fn bonuses_that_come_meanwhile_are_in_no_later_page() {
    let mut network = Network::new(5, 80).await;
    let model = network.model();
    let pending = model.entries_in_order(|entry| entry.status == EntryStatus::Pending);
    let pending: Vec<String> = pending
        .iter()
        .map(|entry| Uuid::from_bytes(network.engine.row_id(RowKind::Entry, entry.index)).to_string())
        .collect();
    let mut left = pending.iter();
    let paged = network.pages("/v1/bonuses?status=pending", 40, true).await;
    // Some may have been paid meanwhile; none can have been added, and the order stays.
    assert!(texts(&paged, "/id").iter().all(|id| left.any(|expected| expected == id)), "seed 5");
    assert!(pending.len() < paged.len() + 40, "{} of {}", paged.len(), pending.len());
    let model = network.model();
    let member = model.ids[0];
    let expected: Vec<u64> =
        model.entries_in_order(|entry| entry.receiver.0 == 0).iter().map(|entry| entry.lsn).collect();
    let paged = network.pages(&format!("/v1/members/{member}/bonuses?"), 1, true).await;
    let lsns: Vec<u64> = paged.iter().map(|bonus| bonus["lsn"].as_u64().unwrap()).collect();
    assert_eq!(lsns, expected);
}

#[tokio::test]
async fn cursors_open_for_their_own_list_only() {
    let mut network = Network::new(3, 120).await;
    let model = network.model();
    // Members with several children in both trees.
    let wide =
        |tree| (0..120).filter(|member| 2 <= model.children(tree, *member).len()).collect::<Vec<u32>>();
    let (sponsor, placement) = (wide(TREES[0].0), wide(TREES[1].0));
    let both: Vec<u32> = sponsor.into_iter().filter(|member| placement.contains(member)).take(2).collect();
    let [one, other] = [both[0], both[1]].map(|member| model.ids[member as usize]);
    let paths = [
        format!("/v1/members/{one}/children?tree=placement"),
        format!("/v1/members/{one}/children?tree=sponsor"),
        format!("/v1/members/{other}/children?tree=placement"),
        format!("/v1/members/{one}/downline?tree=placement"),
        format!("/v1/members/{one}/downline?tree=placement&depth=3"),
        format!("/v1/members/{one}/levels/1?tree=placement"),
        format!("/v1/members/{one}/tree?tree=placement"),
        "/v1/bonuses?status=pending".to_owned(),
        "/v1/bonuses?".to_owned(),
        "/v1/members?".to_owned(),
        "/v1/members?order=newest".to_owned(),
        "/v1/members?roots=true".to_owned(),
        "/v1/members?rank=0".to_owned(),
        format!("/v1/members/{one}/bonuses?"),
    ];
    let mut cursors = Vec::new();
    for path in &paths {
        let answer = network.get(&format!("{path}&limit=1")).await.json();
        let cursor = answer["next"].as_str().or_else(|| answer["nodes"][0]["more"].as_str());
        cursors.push(cursor.unwrap_or_else(|| panic!("{path} goes on: {answer}")).to_owned());
    }
    for (from, cursor) in cursors.iter().enumerate() {
        for (to, path) in paths.iter().enumerate() {
            let answer = network.get(&format!("{path}&cursor={cursor}")).await;
            let expected = if from == to { 200 } else { 400 };
            assert_eq!(answer.status, expected, "the cursor of {} at {path}: {}", paths[from], answer.text);
            if from != to {
                assert_eq!(answer.json()["code"], "cursor_invalid");
            }
        }
        let last = cursor.len() - 3;
        let broken = format!(
            "{}{}{}",
            &cursor[..last],
            if &cursor[last..=last] == "A" { "B" } else { "A" },
            &cursor[last + 1..]
        );
        assert_eq!(network.get(&format!("{}&cursor={broken}", paths[from])).await.status, 400, "{broken}");
    }
    let elsewhere = Network::new(3, 120).await;
    for (path, cursor) in paths.iter().zip(&cursors) {
        let answer = elsewhere.get(&format!("{path}&cursor={cursor}")).await;
        assert_eq!(answer.status, 400, "another network: {path}: {}", answer.text);
    }
    network.grow(1).await;
}

#[tokio::test]
async fn streams_longer_than_what_is_taken_ahead_are_whole() {
    let members = u32::try_from((2 * BULK_SLICES_AHEAD + 1) * SLICE_ROWS).unwrap() + 70;
    let network = Network::new(21, members).await;
    let model = network.model();
    for (tree, name) in TREES {
        for top in (0..members).filter(|member| model.above(tree, *member).is_none()) {
            let path = format!("/v1/members/{}/downline?tree={name}", model.ids[top as usize]);
            let streamed = network.stream(&path).await.lines();
            assert_eq!(
                texts(&streamed, "/user_id"),
                model.ids_of(&model.levels(tree, top).concat()),
                "{path}"
            );
        }
    }
}

/// Infinite numbers, until it panics.
struct Breaking(usize);

impl Listing for Breaking {
    type Item = usize;

    fn slice(&mut self, _: &Reader<'_>, rows: usize, out: &mut Vec<usize>) -> bool {
        assert!(self.0 < 3 * rows, "expected in this test");
        out.extend(self.0..self.0 + rows);
        self.0 += rows;
        true
    }

    fn position(&self) -> Vec<u64> {
        Vec::new()
    }
}

#[tokio::test]
async fn a_stream_that_breaks_does_not_look_whole() {
    let network = Network::new(22, 2).await;
    let heavy = Heavy::new(Metrics::new(&[]));
    let source = Source { engine: network.engine.clone(), heavy, payer: Payer::default() };
    let mut body = page::stream(source, Breaking(0), 1).into_body();
    let mut text = Vec::new();
    let broke = loop {
        match body.frame().await {
            Some(Ok(frame)) => text.extend_from_slice(&frame.into_data().unwrap()),
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert_eq!((String::from_utf8(text).unwrap().lines().count(), broke), (3 * STREAM_ROWS, true));
}

#[tokio::test]
async fn only_so_many_downlines_stream_at_once() {
    let network = Network::new(9, 60).await;
    let path = format!("/v1/members/{}/downline", network.model().ids[0]);
    let begin = || network.begin(Principal::anonymous(), &path, "application/x-ndjson");
    let mut open = Vec::new();
    for _ in 0..BULK_STREAMS_MAX {
        let reply = begin().await;
        assert_eq!(reply.status(), 200);
        open.push(reply);
    }
    let refused = network.stream(&path).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("overloaded")));
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(network.get(&path).await.status, 200, "pages need no queue");
    open.pop();
    assert_eq!(network.stream(&path).await.status, 200, "one that has ended makes room");
    assert_eq!(network.stream(&path).await.status, 200);
}
