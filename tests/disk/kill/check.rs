//! After a restart: compares the contents with the acknowledgements.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    ledger::{Answer, Ask, Counts, Ledger, Request, changes_status, order_id},
    load::{accept, send},
    orders,
};
use crate::{
    common::{Client, Server, uuid},
    proof::Chance,
};

/// Acknowledged writes repeated after each restart.
const REPEATS: usize = 10;

/// Settles unknown outcomes, and compares everything with the ledger.
pub fn check(
    server: &Server,
    ledger: &mut Ledger,
    unknown: Vec<Request>,
    chance: &mut Chance,
    counts: &mut Counts,
) {
    let mut client = server.connect();
    counts.unknown += unknown.len() as u64;
    compare_members(&mut client, ledger, &unknown, counts);
    orders::compare(&mut client, ledger, &unknown, counts);
    for request in unknown {
        if let Some(answer) = settle(&mut client, &request, counts) {
            ledger.enter(request, answer);
        }
    }
    compare_members(&mut client, ledger, &[], counts);
    orders::compare(&mut client, ledger, &[], counts);
    compare_bonuses(&mut client, ledger, counts);
    compare_order(ledger, counts);
    compare_plan(&mut client, ledger, counts);
    repeat_some(&mut client, ledger, chance, counts);
}

pub fn failure(counter: &mut u64, what: &str) {
    eprintln!("FAILURE {what}");
    *counter += 1;
}

/// Repeats an unanswered write twice: both responses agree with each other and with the existing state.
fn settle(client: &mut Client, request: &Request, counts: &mut Counts) -> Option<Answer> {
    let member = match &request.ask {
        Ask::Register { member } => Some(format!("/v1/members/{}", uuid(*member))),
        Ask::Order { order } => Some(format!("/v1/orders/{}", order_id(*order))),
        _ => None,
    };
    let before = member.map(|path| client.request("GET", &path, &[], b""));
    let first = send(client, request).expect("an answer");
    let second = send(client, request).expect("an answer");
    let (answer, again) = (accept(request, &first)?, accept(request, &second)?);
    if answer.body != again.body {
        failure(&mut counts.changed, &format!("{request:?}: {} and then {}", first.text(), second.text()));
    }
    if let Some(before) = before {
        let was_done = before.status == 200;
        counts.unknown_done += u64::from(was_done);
        let expected = if was_done { 200 } else { 201 };
        if (first.status, second.status) != (expected, 200) {
            failure(&mut counts.doubled, &format!("{request:?}: {} and {}", first.status, second.status));
        }
        let before = if was_done { before.json() } else { answer.body.clone() };
        if ORDER.iter().chain(&PLACE).any(|field| before[field] != answer.body[field]) {
            failure(&mut counts.changed, &format!("{request:?}: {before} became {}", answer.body));
        }
    }
    Some(answer)
}

/// Immutable fields of an order; members have none of them.
const ORDER: [&str; 6] = ["order_id", "number", "credits", "placed", "booking", "lines"];

/// Immutable fields of a member.
const PLACE: [&str; 8] =
    ["user_id", "code", "sponsor", "parent", "slot", "level", "sponsor_level", "joined_at"];

fn rows(client: &mut Client, path: &str) -> Vec<Value> {
    let reply = client.request("GET", path, &[("accept", "application/x-ndjson")], b"");
    assert_eq!(reply.status, 200, "{path}");
    reply.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Lists all members but the root in one tree, by id.
fn listed(client: &mut Client, tree: &str, counts: &mut Counts) -> BTreeMap<String, Value> {
    let mut members = BTreeMap::new();
    for row in rows(client, &format!("/v1/members/{}/downline?tree={tree}", uuid(0))) {
        let user = row["user_id"].as_str().expect("an id").to_owned();
        if members.insert(user, row.clone()).is_some() {
            failure(&mut counts.doubled, &format!("listed twice: {row}"));
        }
    }
    members
}

fn compare_members(client: &mut Client, ledger: &Ledger, unknown: &[Request], counts: &mut Counts) {
    let placed = listed(client, "placement", counts);
    let sponsored = listed(client, "sponsor", counts);
    let mut slots = BTreeSet::new();
    for row in placed.values() {
        if !slots.insert((row["above"].to_string(), row["slot"].to_string())) {
            failure(&mut counts.doubled, &format!("a slot was given twice: {row}"));
        }
    }
    for (member, (_, Answer { body, .. })) in ledger.members.range(1..) {
        let user = uuid(*member);
        let (Some(place), Some(sponsor)) = (placed.get(&user), sponsored.get(&user)) else {
            failure(&mut counts.lost, &format!("member {body}"));
            continue;
        };
        // A batch response has fewer fields than a registration.
        let same =
            |told: &str, row: &Value, field: &str| body.get(told).is_none_or(|told| *told == row[field]);
        let below = |told: &str, row: &Value| {
            body.get(told).is_none_or(|level| level.as_u64() == row["depth"].as_u64().map(|depth| depth + 1))
        };
        let is_equal = same("parent", place, "above")
            && same("slot", place, "slot")
            && same("code", place, "code")
            && same("joined_at", place, "joined_at")
            && same("sponsor", sponsor, "above")
            && below("level", place)
            && below("sponsor_level", sponsor);
        if !is_equal {
            failure(&mut counts.changed, &format!("{body} is now {place} and {sponsor}"));
        }
        let is_active = ledger.statuses.get(member).is_none_or(|(_, is_active)| *is_active);
        let is_certain = !unknown
            .iter()
            .any(|request| matches!(request.ask, Ask::Status { member: other, .. } if other == *member));
        if is_certain && (place["status"] == "active") != is_active {
            failure(
                &mut counts.changed,
                &format!("the status of {place}, which should be active: {is_active}"),
            );
        }
    }
    let unknown: BTreeSet<String> = unknown
        .iter()
        .filter_map(|request| match request.ask {
            Ask::Register { member } => Some(uuid(member)),
            _ => None,
        })
        .collect();
    let known: BTreeSet<String> = ledger.members.keys().map(|member| uuid(*member)).collect();
    for user in placed.keys().filter(|user| !known.contains(*user) && !unknown.contains(*user)) {
        failure(&mut counts.doubled, &format!("a member that nobody registered: {user}"));
    }
}

/// Every bonus belongs to an acknowledged trigger, or is a rank reward, and every acknowledged one exists
/// once.
fn compare_bonuses(client: &mut Client, ledger: &Ledger, counts: &mut Counts) {
    let mut by_lsn: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
    let (mut ids, mut rewards) = (BTreeSet::new(), BTreeSet::new());
    for mut bonus in rows(client, "/v1/bonuses") {
        let id = bonus["id"].as_str().expect("an id").to_owned();
        let is_paid = ledger.paid.contains(&id);
        if (bonus["status"] == "paid") != is_paid {
            failure(&mut counts.changed, &format!("should be paid: {is_paid}: {bonus}"));
        }
        if !ids.insert(id) {
            failure(&mut counts.doubled, &format!("listed twice: {bonus}"));
        }
        if bonus["kind"].as_str().expect("a kind").starts_with("rank:") {
            if !rewards.insert((bonus["receiver"].to_string(), bonus["kind"].to_string())) {
                failure(&mut counts.doubled, &format!("a reward was given twice: {bonus}"));
            }
            continue;
        }
        bonus["status"] = "pending".into();
        by_lsn.entry(bonus["lsn"].as_u64().expect("a number")).or_default().push(bonus);
    }
    for (lsn, (request, body)) in &ledger.triggers {
        let mut found = by_lsn.remove(lsn).unwrap_or_default();
        let told = body["bonuses"].as_array().expect("a list");
        found.sort_by_key(|bonus| bonus["level"].as_u64());
        if found.is_empty() && !told.is_empty() {
            failure(&mut counts.lost, &format!("the bonuses of {request:?}"));
        } else if found != *told {
            failure(&mut counts.changed, &format!("the bonuses of {request:?}: {told:?} are now {found:?}"));
        }
    }
    for bonuses in by_lsn.values() {
        failure(&mut counts.doubled, &format!("bonuses that no trigger answered for: {bonuses:?}"));
    }
}

/// Log order implies time order, and no LSN was assigned twice.
fn compare_order(ledger: &Ledger, counts: &mut Counts) {
    let members = ledger
        .members
        .values()
        .filter(|(_, answer)| answer.is_first)
        .map(|(_, answer)| (answer.lsn, answer.body["joined_at"].as_str()));
    let triggers = ledger.triggers.iter().map(|(lsn, (_, body))| (*lsn, body["bonuses"][0]["time"].as_str()));
    let mut order: Vec<(u64, Option<&str>)> = members.chain(triggers).collect();
    order.sort_unstable();
    let mut last = "";
    for (at, (lsn, time)) in order.iter().enumerate() {
        if 0 < at && order[at - 1].0 == *lsn {
            failure(&mut counts.doubled, &format!("LSN {lsn} was given twice"));
        }
        // Batch lines and triggers without payments report no time.
        let Some(time) = *time else { continue };
        if time < last {
            failure(&mut counts.changed, &format!("LSN {lsn} is of {time}, after one of {last}"));
        }
        last = time;
    }
}

fn compare_plan(client: &mut Client, ledger: &Ledger, counts: &mut Counts) {
    let plan = client.request("GET", "/v1/plan", &[], b"").json();
    if !ledger.plan.1.is_empty() && plan["plan"]["name"] != ledger.plan.1.as_str() {
        failure(
            &mut counts.lost,
            &format!("the plan {}: {} is in force", ledger.plan.1, plan["plan"]["name"]),
        );
    }
}

/// Repeats of completed requests get the original response at any later time.
fn repeat_some(client: &mut Client, ledger: &Ledger, chance: &mut Chance, counts: &mut Counts) {
    let members: Vec<u64> =
        ledger.members.keys().copied().filter(|member| !changes_status(*member)).collect();
    let triggers: Vec<u64> = ledger.triggers.keys().copied().collect();
    for _ in 0..REPEATS {
        let (request, told) = &ledger.members[chance.pick(&members)];
        let reply = send(client, request).expect("an answer");
        let body = reply.json();
        let is_equal = PLACE.iter().all(|field| told.body.get(field).is_none_or(|told| *told == body[field]));
        if reply.status != 200 || !is_equal {
            failure(&mut counts.changed, &format!("{request:?}: {} became {}", told.body, reply.text()));
        }
        if !triggers.is_empty() {
            let (request, told) = &ledger.triggers[chance.pick(&triggers)];
            let reply = send(client, request).expect("an answer");
            if reply.json() != *told {
                failure(&mut counts.doubled, &format!("{request:?}: {told} became {}", reply.text()));
            }
        }
        let orders: Vec<&(Request, Answer)> = ledger.orders.values().chain(ledger.refunds.values()).collect();
        if !orders.is_empty() {
            let (request, told) = chance.pick(&orders);
            let reply = send(client, request).expect("an answer");
            let body = reply.json();
            let is_equal =
                ORDER[..5].iter().all(|field| told.body.get(field).is_none_or(|told| *told == body[field]));
            if reply.status != 200 || !is_equal {
                failure(&mut counts.doubled, &format!("{request:?}: {} became {}", told.body, reply.text()));
            }
        }
        counts.repeated += 3;
    }
}
