//! Orders and refunds among the writes of the clients: what is sent, and what must be there afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};

use super::{
    check::failure,
    ledger::{Answer, Ask, Counts, Ledger, Request, order_id, refund_id},
    load::World,
};
use crate::{
    common::{Client, uuid},
    proof::Chance,
};

/// What the plan says about orders. Everything is booked into the newest periods.
pub const PLAN: &str = r#"
[calendar.month]
every = "month"
timezone = "UTC"
[calendar.week]
every = "week"
timezone = "UTC"
[volume.pv]
exponent = 2
[answers]
refund_lowers_volume = "yes"
"#;

/// Refunds of an order. Together they are less than the whole.
const REFUNDS: u64 = 3;
const PART: &str = "0.3";

pub struct Orders {
    next_order: AtomicU64,
    next_refund: AtomicU64,
    /// Orders that were placed, once for each refund that may be given.
    refundable: Mutex<Vec<u64>>,
}

impl Orders {
    pub fn after(ledger: &Ledger) -> Self {
        Self {
            next_order: ledger.next_order().into(),
            next_refund: ledger.next_refund().into(),
            // Of earlier orders it is not remembered how many refunds they had.
            refundable: Mutex::default(),
        }
    }

    pub fn is_placed(&self, order: u64) {
        let mut refundable = self.refundable.lock().expect("no client panicked");
        (0..REFUNDS).for_each(|_| refundable.push(order));
    }
}

/// An order for one member or two.
pub fn order(world: &World, chance: &mut Chance) -> Request {
    let order = world.orders.next_order.fetch_add(1, Ordering::Relaxed);
    let (first, second) = (world.sponsor(chance), world.sponsor(chance));
    let lines: Vec<Value> = (0..=chance.below(3))
        .map(|_| json!({ "amount": chance.below(1_000), "volumes": { "pv": chance.below(1_000) } }))
        .collect();
    let mut body = json!({ "order_id": order_id(order), "lines": lines });
    if first == second || chance.one_in(2) {
        body["user_id"] = uuid(first).into();
    } else {
        let credit = |member, part| json!({ "user_id": uuid(member), "part": part });
        body["credits"] = json!([credit(first, "0.333333333"), credit(second, "0.666666667")]);
    }
    let key = chance.one_in(2).then(|| world.key());
    let (method, path) = ("POST", "/v1/orders".into());
    Request { ask: Ask::Order { order }, method, path, key, body: body.to_string() }
}

/// A refund of an order that was placed.
pub fn refund(world: &World, chance: &mut Chance) -> Option<Request> {
    let order = {
        let mut refundable = world.orders.refundable.lock().expect("no client panicked");
        let count = refundable.len() as u64;
        let at = usize::try_from(chance.below(count.max(1))).expect("an index");
        (count != 0).then(|| refundable.swap_remove(at))
    }?;
    let refund = world.orders.next_refund.fetch_add(1, Ordering::Relaxed);
    let body = json!({ "refund_id": refund_id(refund), "part": PART }).to_string();
    let key = chance.one_in(2).then(|| world.key());
    let path = format!("/v1/orders/{}/refund", order_id(order));
    Some(Request { ask: Ask::Refund { refund }, method: "POST", path, key, body })
}

/// Everything acknowledged is there once and equal, nothing is there that nobody sent, and volumes and totals
/// are the sums of what is there.
pub fn compare(client: &mut Client, ledger: &Ledger, unknown: &[Request], counts: &mut Counts) {
    let found = listed(client, counts);
    let in_flight: BTreeSet<&Ask> = unknown.iter().map(|request| &request.ask).collect();
    for (number, (request, Answer { body, .. })) in &ledger.orders {
        let Some(order) = found.get(&order_id(*number)) else {
            failure(&mut counts.lost, &format!("order {body}"));
            continue;
        };
        // A line of a batch is answered with less.
        let same = |field: &str| body.get(field).is_none_or(|told| *told == order[field]);
        let fields = ["order_id", "number", "credits", "customer", "placed", "booking"];
        if !fields.into_iter().all(same) || !is_of(request, order) {
            failure(&mut counts.changed, &format!("{body} is now {order}"));
        }
    }
    let mut refunds: BTreeMap<&str, (&Value, &Value)> = BTreeMap::new();
    for order in found.values() {
        for refund in order["refunds"].as_array().expect("a list") {
            let id = refund["refund_id"].as_str().expect("an id");
            if refunds.insert(id, (order, refund)).is_some() {
                failure(&mut counts.doubled, &format!("a refund that is there twice: {refund}"));
            }
        }
    }
    for (number, (request, Answer { body, .. })) in &ledger.refunds {
        let id = refund_id(*number);
        let Some((order, refund)) = refunds.get(id.as_str()) else {
            failure(&mut counts.lost, &format!("{request:?}"));
            continue;
        };
        let told = body["refunds"].as_array().expect("a list");
        let told = told.iter().find(|told| told["refund_id"] == id.as_str());
        if told != Some(refund) || body["order_id"] != order["order_id"] {
            failure(&mut counts.changed, &format!("{request:?}: {told:?} is now {refund}"));
        }
    }
    let number = |id: &str| id.split_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
    let is_known = |id: &str| {
        let number = number(id).expect("a number");
        ledger.orders.contains_key(&number) || in_flight.contains(&Ask::Order { order: number })
    };
    for id in found.keys().filter(|id| !is_known(id)) {
        failure(&mut counts.doubled, &format!("an order that nobody placed: {id}"));
    }
    let is_known = |id: &str| {
        let number = number(id).expect("a number");
        ledger.refunds.contains_key(&number) || in_flight.contains(&Ask::Refund { refund: number })
    };
    for id in refunds.keys().filter(|id| !is_known(id)) {
        failure(&mut counts.doubled, &format!("a refund that nobody gave: {id}"));
    }
    compare_sums(client, &found, counts);
}

/// Whether an order is the one that was asked for.
fn is_of(request: &Request, order: &Value) -> bool {
    let sent: Value = serde_json::from_str(&request.body).expect("it was sent");
    let (sent, lines) = (&sent["lines"], order["lines"].as_array().expect("a list"));
    let cents = |value: &Value| value.as_u64().expect("a number") * 100;
    let is_line = |(at, line): (usize, &Value)| {
        hundredths(&line["amount"]) == cents(&sent[at]["amount"])
            && hundredths(&line["volumes"]["pv"]) == cents(&sent[at]["volumes"]["pv"])
    };
    sent.as_array().map(Vec::len) == Some(lines.len()) && lines.iter().enumerate().all(is_line)
}

/// A decimal with two digits.
fn hundredths(value: &Value) -> u64 {
    value.as_str().expect("a decimal").replace('.', "").parse().expect("digits")
}

/// All orders by id, page by page.
fn listed(client: &mut Client, counts: &mut Counts) -> BTreeMap<String, Value> {
    let (mut found, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let mut page = client.request("GET", &format!("/v1/orders?limit=1000{cursor}"), &[], b"").json();
        for order in page["items"].as_array_mut().expect("a list") {
            let order = order.take();
            let id = order["order_id"].as_str().expect("an id").to_owned();
            if found.insert(id, order).is_some() {
                failure(&mut counts.doubled, "an order that is there twice");
            }
        }
        let Some(next) = page["next"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}

/// All members are below the first: its group is what all orders come to, in each period.
fn compare_sums(client: &mut Client, found: &BTreeMap<String, Value>, counts: &mut Counts) {
    let mut sums: BTreeMap<(String, String), [u64; 3]> = BTreeMap::new();
    for order in found.values() {
        for (calendar, period) in order["booking"].as_object().expect("an object") {
            let label = period.as_str().expect("a label").to_owned();
            let [orders, refunds, pv] = sums.entry((calendar.clone(), label)).or_default();
            *orders += 1;
            *refunds += order["refunds"].as_array().expect("a list").len() as u64;
            *pv += hundredths(&order["left"]["volumes"]["pv"]);
        }
    }
    let volumes = client.request("GET", &format!("/v1/members/{}/volumes", uuid(0)), &[], b"").json();
    for ((calendar, period), expected) in sums {
        let path = format!("/v1/calendars/{calendar}/periods/{period}");
        let totals = client.request("GET", &path, &[], b"").json()["period"]["totals"].take();
        let count = |name: &str| totals[name].as_u64().expect("a number");
        let told = [count("orders"), count("refunds"), hundredths(&totals["sums"]["volumes"]["pv"])];
        let live = volumes["periods"].as_array().expect("a list").iter();
        let live = live.filter(|of| of["calendar"] == *calendar && of["period"] == *period);
        let groups: Vec<u64> = live
            .flat_map(|of| ["sponsor", "placement"].map(|tree| &of["volumes"][0][tree]["group"]["sum"]))
            .map(hundredths)
            .collect();
        if told != expected || groups != [expected[2]; 2] {
            let what = format!("{period} of {calendar}: {expected:?}, told {told:?}, live {groups:?}");
            failure(&mut counts.changed, &what);
        }
    }
}
