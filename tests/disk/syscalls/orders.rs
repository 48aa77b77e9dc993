//! The real binary, killed at each write and sync of a script of orders: batches, refunds, and the steps of a
//! period through its life. And `upline orders import`, killed at each write, sync and rename.
//!
//! After each kill the second start serves, everything acknowledged is there as it was told, and only the
//! request in flight is there or not. A client that goes on with that request ends with the orders, volumes
//! and periods that it has without a kill. The log, applied from its beginning, gives the same state, and a
//! recount its volumes and totals.
//!
//! `UPLINE_ORDER_KILLS` (4) kills are taken from the shuffled list of all, and a quarter of it of the import;
//! when all points of a script had their turn, another one is begun. `UPLINE_SEED` makes the scripts.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};
use upline::core::audit;

use super::{
    copy, offline,
    script::{JSON, Traced},
    traced::{self, Fault, Point},
};
use crate::{
    common::{Client, Server, uuid},
    proof::{self, Chance, FromNothing},
};

/// July and its successors are over, and take orders of their time until they are locked.
pub const PLAN: &str = r#"
name = "orders"
currency = { code = "USD", exponent = 2 }
placement = { width = 2, rule = "breadth-first" }
count_sponsor_tree = true

[calendar.month]
every = "month"
timezone = "UTC"
first = "2026-07-01"
grace = "366 days"

[calendar.quarter]
every = "quarter"
timezone = "UTC"
first = "2026-07-01"
grace = "366 days"

[volume.pv]
exponent = 2

[volume.cv]
exponent = 2
percent = 75
of = "pv"

[answers]
refund_lowers_volume = "yes"

[ladder.live]
rule = "thresholds"
basis = "direct"

[[ladder.live.rank]]
name = "Builder"
minimum = 3
"#;

const KILL: &[Fault] = &[Fault::Kill];
/// A kill at each call that changes a file or a folder.
pub const KILLS: [(&str, &[Fault]); 6] = [
    ("pwrite64", KILL),
    ("fdatasync", KILL),
    ("fsync", KILL),
    ("rename", KILL),
    ("unlink", KILL),
    ("mkdir", KILL),
];
const MEMBERS: u64 = 6;
const JULY: &str = "/v1/calendars/month/periods/2026-07";

/// What a client sends.
#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Value>),
    Order(Value),
    Refund(String, Value),
    /// A step of July.
    July(&'static str),
    Run,
    Snapshot,
}

/// The script of a seed, and what is drawn for it.
struct Script {
    chance: Chance,
    steps: Vec<Step>,
    orders: Vec<Value>,
    /// Orders, once for each quarter that may be refunded of them.
    refundable: Vec<String>,
    refunds: u64,
}

impl Script {
    fn of(seed: u64) -> Vec<Step> {
        let mut script = Self {
            chance: Chance::new(seed),
            steps: Vec::new(),
            orders: Vec::new(),
            refundable: Vec::new(),
            refunds: 0,
        };
        script.batch(24);
        script.refund(3);
        script.steps.push(Step::July("lock"));
        script.batch(10);
        script.refund(4);
        script.steps.push(Step::July("unlock"));
        script.refund(1);
        script.steps.push(Step::July("lock"));
        script.refund(3);
        script.steps.extend([Step::Snapshot, Step::Run, Step::July("approve"), Step::July("post")]);
        script.refund(3);
        for _ in 0..3 {
            let order = script.order();
            script.steps.push(Step::Order(order));
        }
        script.steps
    }

    /// Orders, some of them repeated.
    fn batch(&mut self, orders: u64) {
        let lines = (0..orders)
            .map(|_| {
                let repeats = !self.orders.is_empty() && self.chance.one_in(5);
                if repeats { self.chance.pick(&self.orders).clone() } else { self.order() }
            })
            .collect();
        self.steps.push(Step::Batch(lines));
    }

    fn order(&mut self) -> Value {
        let chance = &mut self.chance;
        let id = format!("A-{}", self.orders.len());
        let lines: Vec<Value> = (0..=chance.below(3))
            .map(|_| json!({ "amount": chance.below(99), "volumes": { "pv": chance.below(99) } }))
            .collect();
        // Every other one is of July.
        let time = format!("2026-0{}-{:02}T10:00:00Z", 7 + chance.below(2), 1 + chance.below(28));
        let mut order = json!({ "order_id": id, "time": time, "lines": lines });
        let first = 1 + chance.below(MEMBERS);
        if chance.one_in(3) {
            let credit = |member, part| json!({ "user_id": uuid(member), "part": part });
            order["credits"] =
                json!([credit(first, "0.333333333"), credit(1 + first % MEMBERS, "0.666666667")]);
        } else {
            order["user_id"] = uuid(first).into();
            order["customer"] = format!("C-{first}").into();
        }
        (0..3).for_each(|_| self.refundable.push(id.clone()));
        self.orders.push(order.clone());
        order
    }

    fn refund(&mut self, refunds: u64) {
        for _ in 0..refunds {
            let at = usize::try_from(self.chance.below(self.refundable.len() as u64)).expect("an index");
            let order = self.refundable.swap_remove(at);
            let mut refund = json!({
                "refund_id": format!("R-{}", self.refunds), "time": "2026-09-10T10:00:00Z", "part": "0.25",
            });
            if self.chance.one_in(4) {
                // All that is left of it: nothing can be refunded of it any more.
                refund["part"] = Value::Null;
                self.refundable.retain(|other| *other != order);
            }
            self.refunds += 1;
            self.steps.push(Step::Refund(order, refund));
        }
    }
}

/// What a client was told.
#[derive(Clone, Default)]
struct Told {
    /// Steps that were answered, all lines of batches included.
    steps: usize,
    /// By id: requests about orders and refunds, and their answers.
    orders: BTreeMap<String, (Value, Value)>,
    refunds: BTreeMap<String, (String, Value, Value)>,
    /// LSNs of the steps and runs of July.
    july: BTreeSet<u64>,
    /// Orders and refunds of the step in flight.
    in_flight: BTreeSet<String>,
}

fn post(client: &mut Client, path: &str, body: &str) -> std::io::Result<Value> {
    let key = [JSON[0], ("idempotency-key", "run")];
    let headers = if path.ends_with("/runs") { &key[1..] } else { &JSON[..] };
    let reply = client.try_request("POST", path, headers, body.as_bytes())?;
    assert!(matches!(reply.status, 200 | 201), "{path} {body}: {} {}", reply.status, reply.text());
    Ok(if reply.body.is_empty() { Value::Null } else { reply.json() })
}

/// Does the steps that were not answered yet. An error: the server is gone.
fn go_on(client: &mut Client, steps: &[Step], told: &mut Told) -> std::io::Result<()> {
    for step in &steps[told.steps..] {
        told.in_flight.clear();
        match step {
            Step::Batch(lines) => batch(client, lines, told)?,
            Step::Order(order) => {
                let id = order["order_id"].as_str().expect("an id").to_owned();
                told.in_flight.insert(id.clone());
                let answer = post(client, "/v1/orders", &order.to_string())?;
                told.orders.insert(id, (order.clone(), answer));
            }
            Step::Refund(order, refund) => {
                let id = refund["refund_id"].as_str().expect("an id").to_owned();
                told.in_flight.insert(id.clone());
                let answer = post(client, &format!("/v1/orders/{order}/refund"), &refund.to_string())?;
                told.refunds.insert(id, (order.clone(), refund.clone(), answer));
            }
            Step::July(step) => {
                let answer = post(client, &format!("{JULY}/{step}"), "{}")?;
                told.july.insert(answer["steps"][0]["lsn"].as_u64().expect("a number"));
            }
            Step::Run => {
                let answer = post(client, &format!("{JULY}/runs"), "")?;
                told.july.insert(answer["lsn"].as_u64().expect("a number"));
            }
            Step::Snapshot => _ = post(client, "/v1/snapshots", "")?,
        }
        told.in_flight.clear();
        told.steps += 1;
    }
    Ok(())
}

/// Sends a batch. What is answered of it counts as told, even if the rest is not.
fn batch(client: &mut Client, lines: &[Value], told: &mut Told) -> std::io::Result<()> {
    let id_of = |line: &Value| line["order_id"].as_str().expect("an id").to_owned();
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    let head = format!(
        "POST /v1/orders/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    );
    told.in_flight.extend(lines.iter().map(id_of));
    let mut body = Vec::new();
    let result = client.send(head.as_bytes()).and_then(|()| {
        client.read_head()?;
        while client.read_chunk(&mut body)? {}
        Ok(())
    });
    // Text after the last line break is an incomplete response.
    let whole = body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let answers = std::str::from_utf8(&body[..whole]).expect("UTF-8").lines();
    for (line, answer) in lines.iter().zip(answers) {
        let answer: Value = serde_json::from_str(answer).expect("JSON");
        assert!(matches!(answer["status"].as_u64(), Some(200 | 201)), "{line}: {answer}");
        // Of one that is there twice the first answer is the one that placed it.
        told.orders.entry(id_of(line)).or_insert((line.clone(), answer));
    }
    result
}

/// What of an order never changes.
pub fn placed(order: &Value) -> [&Value; 5] {
    ["order_id", "number", "credits", "placed", "booking"].map(|name| &order[name])
}

/// Everything acknowledged is there as it was told, and beyond that at most what was in flight.
fn assert_kept(client: &mut Client, told: &Told) {
    let mut get = |path: &str| client.request("GET", path, &[], b"").json();
    let listed = get("/v1/orders?limit=1000");
    let items = listed["items"].as_array().expect("a list");
    let found: BTreeMap<&str, &Value> =
        items.iter().map(|order| (order["order_id"].as_str().expect("an id"), order)).collect();
    assert_eq!(found.len(), items.len(), "no order is there twice");
    for (id, (_, answer)) in &told.orders {
        let order = found.get(id.as_str()).unwrap_or_else(|| panic!("{id} is lost: {answer}"));
        let is_same = |(now, told): (&Value, &Value)| told.is_null() || now == told;
        assert!(placed(order).into_iter().zip(placed(answer)).all(is_same), "{answer} is now {order}");
    }
    let mut refunds: BTreeMap<&str, &Value> = BTreeMap::new();
    for refund in items.iter().flat_map(|order| order["refunds"].as_array().expect("a list")) {
        let twice = refunds.insert(refund["refund_id"].as_str().expect("an id"), refund);
        assert_eq!(twice, None, "no refund is there twice");
    }
    for (id, (_, _, answer)) in &told.refunds {
        let refund = refunds.get(id.as_str()).unwrap_or_else(|| panic!("{id} is lost: {answer}"));
        let told = answer["refunds"].as_array().expect("a list");
        let told = told.iter().find(|told| told["refund_id"] == id.as_str()).expect("it was told");
        // How it acts changes when the period is unlocked or posted.
        assert_eq!(
            ["lsn", "lines", "time"].map(|name| &refund[name]),
            ["lsn", "lines", "time"].map(|name| &told[name])
        );
    }
    let is_known = |id: &&&str| {
        let (id, in_flight) = (**id, &told.in_flight);
        told.orders.contains_key(id) || told.refunds.contains_key(id) || in_flight.contains(id)
    };
    let unknown: Vec<&&str> = found.keys().chain(refunds.keys()).filter(|id| !is_known(id)).collect();
    assert!(unknown.is_empty(), "nobody sent {unknown:?}");
    let july = get(JULY);
    let lsns = |name: &str| -> Vec<u64> {
        let all = july[name].as_array().expect("a list").iter();
        all.map(|done| done["lsn"].as_u64().expect("a number")).collect()
    };
    let done: BTreeSet<u64> = lsns("steps").into_iter().chain(lsns("runs")).collect();
    assert!(told.july.is_subset(&done), "steps {:?} were told, {done:?} are there", told.july);
    assert!(done.len() <= told.july.len() + 1, "steps {:?} were told, {done:?} are there", told.july);
}

/// Sends everything acknowledged again: it is known, and nothing changes.
fn assert_idempotent(client: &mut Client, told: &Told) {
    let lsn =
        |client: &mut Client| client.request("GET", "/v1/digest", &[], b"").json()["network_digest"].clone();
    let before = (lsn(client), picture(client));
    let table = told.orders.values().map(|(order, answer)| ("/v1/orders".to_owned(), order, answer));
    let refunds = told.refunds.values();
    let refunds = refunds.map(|(of, refund, answer)| (format!("/v1/orders/{of}/refund"), refund, answer));
    for (path, body, told) in table.chain(refunds) {
        let reply = client.post(&path, &body.to_string());
        assert_eq!(reply.status, 200, "{body} was acknowledged: {}", reply.text());
        assert_eq!(reply.json()["number"], told["number"], "{body}");
    }
    assert_eq!((lsn(client), picture(client)), before, "repeats change nothing");
}

/// Orders, periods and volumes, without what says when they came.
fn picture(client: &mut Client) -> Value {
    let mut get = |path: &str| client.request("GET", path, &[], b"").json();
    let mut all = vec![get("/v1/orders?limit=1000"), get(JULY)];
    all.extend(["month", "quarter"].map(|name| get(&format!("/v1/calendars/{name}/periods?limit=1000"))));
    for number in 1..=MEMBERS {
        all.push(get(&format!("/v1/members/{}/volumes", uuid(number))));
    }
    timeless(all.into())
}

/// Answers without what says when they came.
pub fn timeless(mut picture: Value) -> Value {
    let mut waiting = vec![&mut picture];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                for name in ["lsn", "opened_lsn", "up_to_lsn"] {
                    fields.remove(name);
                }
                // Steps and runs are of the present; orders and refunds say their time.
                if fields.contains_key("by") {
                    fields.remove("time");
                }
                waiting.extend(fields.values_mut());
            }
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    picture
}

/// The log from its beginning gives the state, and a recount the volumes that were kept with each booking.
pub fn assert_recounted(data: &Path) {
    proof::verified(data);
    let plan = upline::plan_file::parse(PLAN).expect("a plan");
    let FromNothing { commands, mut state, mut maps, opened } = proof::from_nothing(data, plan);
    for stamped in &commands {
        state.apply(&mut maps, stamped);
    }
    assert_eq!(audit(&state, 5), Vec::<String>::new());
    assert_eq!(audit(&opened.state, 5), Vec::<String>::new());
    let digest = upline::core::state_digest;
    assert_eq!(digest(&state), digest(&opened.state), "the log from its beginning gives another state");
}

/// A directory with so many members, and periods from July on, under [`PLAN`].
pub fn begin(place: &Path, members: u64) -> PathBuf {
    let (data, plan) = (place.join("begin"), place.join("plan.toml"));
    fs::write(&plan, PLAN).expect("a file");
    let server = Server::start(&data, &["--plan", plan.to_str().expect("UTF-8")]);
    for number in 1..=members {
        // Before July, whose orders would be of the month in which they joined otherwise.
        let mut body = json!({ "user_id": uuid(number), "joined_at": "2026-06-30T00:00:00Z" });
        if number != 1 {
            body["sponsor"] = json!({ "user_id": uuid(number / 2) });
        }
        assert_eq!(server.post("/v1/members", &body.to_string()).status, 201);
    }
    server.terminate();
    assert!(server.wait().success());
    data
}

/// Runs a script under `strace` with these arguments. Returns whether all of it was done.
fn run(data: &Path, arguments: &[&str], steps: &[Step], told: &mut Told) -> bool {
    let (server, address) = Traced::start(data, arguments);
    let converse = |address: SocketAddr, told: &mut Told| {
        let Ok(stream) = std::net::TcpStream::connect(address) else { return false };
        drop(stream);
        go_on(&mut Client::connect(address), steps, told).is_ok()
    };
    let is_done = address.is_some_and(|address| converse(address, told));
    server.signal("TERM");
    server.wait();
    is_done
}

/// The syncs of a script that goes well, and what is there after it.
fn undisturbed(place: &Path, begin: &Path, steps: &[Step]) -> (Vec<Point>, Value) {
    let (data, trace) = (place.join("undisturbed"), place.join("trace"));
    copy(begin, &data);
    let arguments = ["-o", trace.to_str().expect("UTF-8"), "-e", "trace=pwrite64,fdatasync,fsync"];
    assert!(run(&data, &arguments, steps, &mut Told::default()), "without a fault all goes well");
    let calls = ["pwrite64", "fdatasync", "fsync"].map(|call| (call, KILL));
    let points = traced::points(&fs::read_to_string(&trace).expect("a trace"), &data, &calls);
    let server = Server::start(&data, &[]);
    let picture = picture(&mut server.connect());
    drop(server);
    assert_recounted(&data);
    fs::remove_dir_all(&data).expect("it was made here");
    (points, picture)
}

pub fn shuffle<T>(list: &mut [T], chance: &mut Chance) {
    for at in (1..list.len()).rev() {
        list.swap(at, usize::try_from(chance.below(at as u64 + 1)).expect("an index"));
    }
}

pub fn is_possible(what: &str) -> bool {
    if traced::is_there() {
        return true;
    }
    println!("NOT RUN: strace is not there or may not trace");
    proof::summary(&format!("{what}: skipped=1 kills=0"));
    let complete = std::env::var_os("UPLINE_PROOF_COMPLETE").is_some();
    assert!(!complete, "where the proof is to be complete, strace must work");
    false
}

#[test]
fn orders_and_periods_survive_a_kill_at_every_sync() {
    let _turn = crate::common::turn();
    if !is_possible("orders") {
        return;
    }
    let (wanted, seed) = (proof::number("UPLINE_ORDER_KILLS", 4), proof::number("UPLINE_SEED", 1));
    println!("seed {seed}");
    let (started, place) = (Instant::now(), crate::common::scratch());
    let begin = begin(place.path(), MEMBERS);
    let (mut kills, mut points, mut scripts, mut acknowledged, mut was_done) =
        (0_u64, 0_u64, 0_u64, 0, 0_u64);
    while kills < wanted {
        let script = Script::of(seed + scripts);
        let (mut all, expected) = undisturbed(place.path(), &begin, &script);
        shuffle(&mut all, &mut Chance::new(seed + scripts));
        scripts += 1;
        for (number, point) in all.iter().enumerate() {
            if wanted <= kills {
                break;
            }
            println!("script {scripts}, point {number} of {}: {point:?}", all.len());
            let data = place.path().join("data");
            copy(&begin, &data);
            let mut told = Told::default();
            let arguments =
                ["-o", "/dev/null", "-e", &format!("trace={}", point.call), "-e", &point.inject()];
            points += 1;
            let is_done = run(&data, &arguments, &script, &mut told);
            kills += u64::from(!is_done);
            let server = Server::start(&data, &[]);
            let mut client = server.connect();
            assert_kept(&mut client, &told);
            assert_idempotent(&mut client, &told);
            let before = told.orders.len() + told.refunds.len();
            acknowledged += before;
            go_on(&mut client, &script, &mut told).expect("nothing kills it now");
            assert_eq!(picture(&mut client), expected, "as without a kill");
            was_done += u64::from(is_done);
            server.terminate();
            assert!(server.wait().success());
            assert_recounted(&data);
            fs::remove_dir_all(&data).expect("it was made here");
        }
        assert!(kills != 0, "no sync is reached");
    }
    proof::summary(&format!(
        "orders: seed={seed} kills={kills} points={points} not_reached={was_done} scripts={scripts} \
         acknowledged={acknowledged} lost=0 doubled=0 changed=0 seconds={}",
        started.elapsed().as_secs()
    ));
}

/// What an import leaves: orders and periods, as the program lists them.
fn imported(data: &Path) -> Value {
    let data = data.to_str().expect("UTF-8");
    let list = |arguments: &[&str]| {
        let arguments = [arguments, &["--limit", "1000", "--json", "--data-dir", data]].concat();
        let output =
            offline::run_plainly(&arguments.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let out = String::from_utf8(output.stdout).expect("UTF-8");
        serde_json::from_str::<Value>(out.lines().last().expect("a line")).expect("JSON")
    };
    let mut orders = list(&["orders", "list"])["orders"].take();
    for order in orders.as_array_mut().expect("a list") {
        order["lsn"] = Value::Null;
    }
    let mut periods = list(&["period", "list"])["periods"].take();
    for period in periods.as_array_mut().expect("a list") {
        period["opened_lsn"] = Value::Null;
    }
    json!([orders, periods])
}

#[test]
fn an_import_of_orders_survives_a_kill_at_every_sync() {
    // More than a segment of the log holds.
    const ORDERS: u64 = 9_000;
    let _turn = crate::common::turn();
    if !is_possible("orders_import") {
        return;
    }
    let wanted = proof::number("UPLINE_ORDER_KILLS", 4).div_ceil(4);
    let seed = proof::number("UPLINE_SEED", 1);
    let place = crate::common::scratch();
    let begin = begin(place.path(), MEMBERS);
    let row = |number: u64| {
        let (member, month) = (uuid(1 + number % MEMBERS), 7 + number % 2);
        format!("A-{number},{member},{},{},2026-0{month}-10\n", number % 97, number % 89)
    };
    let rows: String = (0..ORDERS).map(row).collect();
    let file = place.path().join("orders.csv");
    fs::write(&file, format!("order_id,user_id,amount,pv,time\n{rows}")).expect("a file");
    let arguments = |data: &Path, strict: bool| -> Vec<String> {
        let (file, data) = (file.to_str().expect("UTF-8"), data.to_str().expect("UTF-8"));
        let mut arguments = vec!["orders", "import", file, "--json", "--data-dir", data];
        arguments.extend(strict.then_some("--strict"));
        arguments.into_iter().map(str::to_owned).collect()
    };
    let calls = ["pwrite64", "fdatasync", "fsync", "rename"].map(|call| (call, KILL));
    let mut all: Vec<(bool, Point)> = Vec::new();
    let mut expected = Value::Null;
    for strict in [false, true] {
        let data = place.path().join(format!("whole-{strict}"));
        copy(&begin, &data);
        let owned = arguments(&data, strict);
        let texts: Vec<&str> = owned.iter().map(String::as_str).collect();
        let points = offline::points(place.path(), &data, &calls, &texts);
        all.extend(points.into_iter().map(|point| (strict, point)));
        expected = imported(&data);
        assert_recounted(&data);
    }
    let total = all.len();
    shuffle(&mut all, &mut Chance::new(seed));
    let (mut kills, mut nothing, mut everything, mut part) = (0_u64, 0_u64, 0_u64, 0_u64);
    for (strict, point) in all.iter().cycle().take(2 * total.max(usize::try_from(wanted).expect("few"))) {
        if wanted <= kills {
            break;
        }
        println!("strict {strict}: {point:?}");
        let data = place.path().join("data");
        copy(&begin, &data);
        let owned = arguments(&data, *strict);
        let is_done = offline::with_fault(point, &owned.iter().map(String::as_str).collect::<Vec<_>>());
        kills += u64::from(!is_done);
        let again = offline::run_plainly(&arguments(&data, false));
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        let out = String::from_utf8(again.stdout).expect("UTF-8");
        let summary: Value = serde_json::from_str(out.lines().last().expect("a line")).expect("JSON");
        let [new, there] =
            ["orders", "orders_already_there"].map(|name| summary[name].as_u64().expect("a number"));
        assert_eq!(new + there, ORDERS, "each is there once");
        assert!(there == ORDERS || !is_done, "done, and not there");
        assert!(!strict || new == 0 || there == 0, "all or nothing: {there} of {ORDERS}");
        match there {
            0 => nothing += 1,
            ORDERS => everything += 1,
            _ => part += 1,
        }
        assert_eq!(imported(&data), expected, "as without a kill");
        assert_recounted(&data);
        // A server serves it.
        let server = Server::start(&data, &[]);
        assert_eq!(server.get("/v1/orders/A-0").status, 200);
        drop(server);
        fs::remove_dir_all(&data).expect("it was made here");
    }
    proof::summary(&format!(
        "orders_import: seed={seed} import_kills={kills} of={total} nothing={nothing} \
         everything={everything} part={part} lost=0 doubled=0"
    ));
    assert!(wanted <= kills, "{kills} kills");
}
