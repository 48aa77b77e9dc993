//! What is asked of a network whose periods are sealed one after the other, and what must be so at any time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    super::{
        orders::{placed, timeless},
        script::JSON,
    },
    MEMBERS,
};
use crate::{
    common::{Client, uuid},
    proof::Chance,
};

/// Months whose orders are placed before any is posted.
pub const MONTHS: [&str; 3] = ["2026-07", "2026-08", "2026-09"];
/// Orders of each of them.
const ORDERS: u64 = 7;
/// The time of all later refunds and orders, whose periods are open.
const LATER: &str = "2026-11-10T10:00:00Z";

/// What a client sends.
#[derive(Clone, Debug)]
pub enum Step {
    /// Lock, approve or post a period: calendar, label, step.
    Period(&'static str, &'static str, &'static str),
    Run(&'static str, &'static str),
    Seal(&'static str),
    Order(Value),
    Refund(String, Value),
    /// A refund of more than is left: it recalls the order, and is refused.
    TooMuch(String, Value),
    Snapshot,
}

/// What is there before the first seal, and what is done from then on.
pub struct Script {
    /// By id.
    pub orders: BTreeMap<String, Value>,
    /// By id, with their orders.
    pub refunds: BTreeMap<String, (String, Value)>,
    /// Before the first seal, and from it on.
    pub before: Vec<Step>,
    pub steps: Vec<Step>,
}

impl Script {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let (mut orders, mut refunds) = (BTreeMap::new(), BTreeMap::new());
        let mut before = Vec::new();
        let mut free: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for month in MONTHS {
            for number in 0..ORDERS {
                let order = order(&mut chance, &format!("{month}-{number}"), &format!("{month}-10"));
                let id = text(&order["order_id"]);
                free.entry(month).or_default().push(id.clone());
                orders.insert(id, order.clone());
                before.push(Step::Order(order));
            }
        }
        let mut refund = |order: &str, part: Option<&str>| {
            let id = format!("R-{}", refunds.len());
            let body = json!({ "refund_id": id, "time": LATER, "part": part });
            refunds.insert(id, (order.to_owned(), body.clone()));
            (order.to_owned(), body)
        };
        let mut take = |chance: &mut Chance, month: &str| {
            let free = free.get_mut(month).expect("it has orders");
            free.swap_remove(usize::try_from(chance.below(free.len() as u64)).expect("an index"))
        };
        // Of each month one order that has no part left, and one that has.
        let mut whole = Vec::new();
        let mut parts = Vec::new();
        for month in MONTHS {
            let order = take(&mut chance, month);
            let (order, body) = refund(&order, None);
            before.push(Step::Refund(order.clone(), body));
            whole.push(order);
            let order = take(&mut chance, month);
            let (order, body) = refund(&order, Some("0.25"));
            before.push(Step::Refund(order.clone(), body));
            parts.push(order);
        }
        before.extend(posts("month", MONTHS[0]));
        before.extend(posts("quarter", "2026-Q3"));
        let mut steps = Vec::new();
        for (at, month) in MONTHS.into_iter().enumerate() {
            if 0 < at {
                steps.extend(posts("month", month));
            }
            steps.push(Step::Seal(month));
            let again = json!({ "refund_id": format!("N-{at}"), "time": LATER, "part": "0.25" });
            steps.push(Step::TooMuch(whole[at].clone(), again));
            let order = take(&mut chance, month);
            for (of, part) in [(&order, Some("0.5")), (&parts[at], None), (&order, None)] {
                let (of, body) = refund(of, part);
                steps.push(Step::Refund(of, body));
            }
            let order = self::order(&mut chance, &format!("late-{at}"), &LATER[..10]);
            orders.insert(text(&order["order_id"]), order.clone());
            steps.push(Step::Order(order));
            if at == 1 {
                steps.push(Step::Snapshot);
            }
        }
        Self { orders, refunds, before, steps }
    }
}

fn posts(calendar: &'static str, label: &'static str) -> [Step; 4] {
    let step = |step| Step::Period(calendar, label, step);
    [step("lock"), Step::Run(calendar, label), step("approve"), step("post")]
}

fn order(chance: &mut Chance, id: &str, day: &str) -> Value {
    let lines: Vec<Value> = (0..=chance.below(3))
        .map(|_| json!({ "amount": 1 + chance.below(99), "volumes": { "pv": chance.below(99) } }))
        .collect();
    let mut order = json!({ "order_id": id, "time": format!("{day}T10:00:00Z"), "lines": lines });
    let first = 1 + chance.below(MEMBERS);
    if chance.one_in(3) {
        let credit = |member, part| json!({ "user_id": uuid(member), "part": part });
        order["credits"] = json!([credit(first, "0.333333333"), credit(1 + first % MEMBERS, "0.666666667")]);
    } else {
        order["user_id"] = uuid(first).into();
        order["customer"] = format!("C-{first}").into();
    }
    order
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// What a client was told since the first seal.
#[derive(Clone, Default)]
pub struct Told {
    /// Steps that were answered.
    pub steps: usize,
    pub sealed: Vec<&'static str>,
    /// Ids of orders and refunds.
    pub ids: BTreeSet<String>,
    /// The id of the step in flight.
    pub in_flight: Option<String>,
}

/// Does the steps that were not answered yet. An error: the server is gone.
pub fn go_on(client: &mut Client, steps: &[Step], told: &mut Told) -> std::io::Result<()> {
    for step in &steps[told.steps..] {
        told.in_flight = None;
        match step {
            Step::Period(calendar, label, step) => {
                post(client, &format!("/v1/calendars/{calendar}/periods/{label}/{step}"), "{}", None)?;
            }
            Step::Run(calendar, label) => {
                // A run without a key is another one.
                let path = format!("/v1/calendars/{calendar}/periods/{label}/runs");
                post(client, &path, "", Some(&format!("{calendar}-{label}")))?;
            }
            Step::Seal(label) => {
                let path = format!("/v1/calendars/month/periods/{label}/seal");
                let answer = post(client, &path, "{}", None)?;
                assert_eq!(answer["period"]["state"], "sealed", "{answer}");
                told.sealed.push(label);
            }
            Step::Order(order) => {
                told.in_flight = Some(text(&order["order_id"]));
                post(client, "/v1/orders", &order.to_string(), None)?;
            }
            Step::Refund(order, refund) => {
                told.in_flight = Some(text(&refund["refund_id"]));
                post(client, &format!("/v1/orders/{order}/refund"), &refund.to_string(), None)?;
            }
            Step::TooMuch(order, refund) => {
                let path = format!("/v1/orders/{order}/refund");
                let reply = client.try_request("POST", &path, &JSON, refund.to_string().as_bytes())?;
                assert_eq!(reply.json()["code"], "refund_too_large", "{} {}", reply.status, reply.text());
            }
            Step::Snapshot => _ = post(client, "/v1/snapshots", "", None)?,
        }
        told.ids.extend(told.in_flight.take());
        told.steps += 1;
    }
    Ok(())
}

fn post(client: &mut Client, path: &str, body: &str, key: Option<&str>) -> std::io::Result<Value> {
    let mut headers = if body.is_empty() { Vec::new() } else { JSON.to_vec() };
    headers.extend(key.map(|key| ("idempotency-key", key)));
    let reply = client.try_request("POST", path, &headers, body.as_bytes())?;
    assert!(matches!(reply.status, 200 | 201), "{path} {body}: {} {}", reply.status, reply.text());
    Ok(if reply.body.is_empty() { Value::Null } else { reply.json() })
}

fn get(client: &mut Client, path: &str) -> Value {
    let reply = client.request("GET", path, &[], b"");
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    reply.json()
}

/// All orders by id, in the state and in files. None is there twice.
pub fn listed(client: &mut Client) -> BTreeMap<String, Value> {
    let (mut found, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let mut page = get(client, &format!("/v1/orders?limit=20{cursor}"));
        for order in page["items"].as_array_mut().expect("a list") {
            let twice = found.insert(text(&order["order_id"]), order.take());
            assert_eq!(twice, None, "no order is there twice");
        }
        let Some(next) = page["next"].as_str() else { return found };
        cursor = format!("&cursor={next}");
    }
}

/// Orders, periods and volumes, without what says when they came.
pub fn picture(client: &mut Client) -> Vec<Value> {
    let mut all: Vec<Value> = listed(client).into_values().collect();
    all.extend(
        ["month", "quarter"].map(|name| get(client, &format!("/v1/calendars/{name}/periods?limit=1000"))),
    );
    all.extend((1..=MEMBERS).map(|number| get(client, &format!("/v1/members/{}/volumes", uuid(number)))));
    all.into_iter().map(timeless).collect()
}

/// The totals of the periods that are over: nothing changes them.
fn final_totals(client: &mut Client) -> Vec<Value> {
    let months = MONTHS.map(|label| ("month", label));
    let all = months.into_iter().chain([("quarter", "2026-Q3")]);
    let path = |(calendar, label)| format!("/v1/calendars/{calendar}/periods/{label}");
    all.map(|period| get(client, &path(period))["period"]["totals"].take()).collect()
}

fn refunds_of(order: &Value) -> BTreeMap<&str, &Value> {
    let refunds = order["refunds"].as_array().expect("a list");
    let found: BTreeMap<&str, &Value> =
        refunds.iter().map(|refund| (refund["refund_id"].as_str().expect("an id"), refund)).collect();
    assert_eq!(found.len(), refunds.len(), "no refund is there twice");
    found
}

/// What is there before the first seal.
pub struct Beginning {
    orders: BTreeMap<String, Value>,
    totals: Vec<Value>,
}

impl Beginning {
    pub fn of(client: &mut Client) -> Self {
        Self { orders: listed(client), totals: final_totals(client) }
    }

    /// Everything that was there or acknowledged is there as it was, once, and beyond that at most the step
    /// in flight; what was acknowledged as sealed is.
    pub fn assert_kept(&self, client: &mut Client, script: &Script, told: &Told) {
        let found = listed(client);
        let may_be = |id: &str| told.ids.contains(id) || told.in_flight.as_deref() == Some(id);
        for (id, order) in &found {
            assert_eq!(get(client, &format!("/v1/orders/{id}"))["refunds"], order["refunds"]);
            let of_script =
                script.refunds.iter().filter(|(_, (of, _))| of == id).map(|(refund, _)| refund.as_str());
            let refunds = refunds_of(order);
            let known = self.orders.get(id).map(refunds_of).unwrap_or_default();
            for (refund, was) in &known {
                assert_eq!(refunds.get(refund), Some(was), "{refund} of {id}");
            }
            for refund in of_script.clone().filter(|refund| told.ids.contains(*refund)) {
                assert!(refunds.contains_key(refund), "{refund} of {id} is lost: {order}");
            }
            for refund in refunds.keys().filter(|refund| !known.contains_key(*refund)) {
                assert!(may_be(refund) && of_script.clone().any(|of| of == *refund), "{refund} of {id}");
            }
            match self.orders.get(id) {
                Some(was) => assert_eq!(unnumbered(order), unnumbered(was)),
                None => assert!(may_be(id), "nobody sent {order}"),
            }
        }
        let lost: Vec<_> = self.orders.keys().filter(|id| !found.contains_key(*id)).collect();
        assert!(lost.is_empty(), "{lost:?} are lost");
        let is_lost =
            |id: &&String| script.orders.contains_key(id.as_str()) && !found.contains_key(id.as_str());
        assert_eq!(told.ids.iter().find(is_lost), None, "it is lost");
        assert_eq!(final_totals(client), self.totals, "the totals of posted periods");
        for label in &told.sealed {
            let period = get(client, &format!("/v1/calendars/month/periods/{label}"));
            assert_eq!(period["period"]["state"], "sealed");
        }
    }
}

/// What of an order never changes; a sealed one has no number.
fn unnumbered(order: &Value) -> [&Value; 4] {
    let [id, _, credits, placed, booking] = placed(order);
    [id, credits, placed, booking]
}

/// Sends everything that is there again: it is known, and nothing changes. Its ids are taken.
pub fn assert_idempotent(client: &mut Client, script: &Script) {
    let digest = |client: &mut Client| get(client, "/v1/digest")["network_digest"].clone();
    let (before, found) = (digest(client), listed(client));
    for (id, order) in script.orders.iter().filter(|(id, _)| found.contains_key(*id)) {
        let reply = client.post("/v1/orders", &order.to_string());
        assert_eq!((reply.status, reply.json()["order_id"].as_str()), (200, Some(id.as_str())), "{order}");
        let mut other = order.clone();
        other["lines"][0]["amount"] = 1_000.into();
        let reply = client.post("/v1/orders", &other.to_string());
        assert_eq!(reply.json()["code"], "order_id_taken", "{id}: {} {}", reply.status, reply.text());
    }
    let is_there = |id: &str, of: &str| refunds_of(&found[of]).contains_key(id);
    for (_, (of, refund)) in script.refunds.iter().filter(|(id, (of, _))| is_there(id, of)) {
        let reply = client.post(&format!("/v1/orders/{of}/refund"), &refund.to_string());
        assert_eq!(reply.status, 200, "{refund} of {of}: {}", reply.text());
    }
    assert_eq!((digest(client), listed(client)), (before, found), "repeats change nothing");
}
