//! Bad input about orders, refunds, periods and attributes, on the running binary: through single requests,
//! in batches, and in files. Each is refused with a clear reason, in a batch or a file with its line, and
//! leaves nothing behind.
//!
//! Files and batches with one bad line have 3,000 lines; with `UPLINE_DEEP=1` in the environment they have a
//! million.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::common::{Server, binary, uuid};

const PLAN: &str = r#"
name = "orders"
currency = { code = "USD", exponent = 2 }
placement = { width = 0, rule = "unilevel" }

[calendar.month]
every = "month"
timezone = "UTC"
first = "2026-07-01"

[calendar.quarter]
every = "quarter"
timezone = "UTC"
first = "2026-07-01"
late = "refuse"

[volume.pv]
exponent = 2

[volume.cv]
exponent = 2
percent = 80
of = "pv"

[orders]
kinds = ["retail", "signup"]
tags = ["party"]

[attributes]
market = ["us", "de"]
owner = true
tags = ["founder"]

[answers]
refund_lowers_volume = "no"

[ladder.live]
rule = "thresholds"
basis = "direct"

[[ladder.live.rank]]
name = "Builder"
minimum = 3
"#;

/// A network of members 1 and, below it, 2, whose codes are ANNA and BERT.
struct Shop {
    place: tempfile::TempDir,
}

impl Shop {
    fn new() -> Self {
        let shop = Self { place: crate::common::scratch() };
        fs::write(shop.place.path().join("plan.toml"), PLAN).unwrap();
        shop
    }

    fn data(&self) -> PathBuf {
        self.place.path().join("data")
    }

    fn start(&self) -> Server {
        let plan = self.place.path().join("plan.toml");
        Server::start(&self.data(), &["--plan", plan.to_str().unwrap()])
    }

    /// Starts it with its members and an order `A-1` of two lines.
    fn opened(&self) -> Server {
        let server = self.start();
        // An order from before its member joined counts as made then, and is not late.
        let joined = "2026-07-01T00:00:00Z";
        let first = json!({ "user_id": uuid(1), "code": "ANNA", "joined_at": joined });
        let sponsor = json!({ "code": "ANNA" });
        let second = json!({ "user_id": uuid(2), "code": "BERT", "sponsor": sponsor, "joined_at": joined });
        let lines = json!([{ "amount": "12.50", "volumes": { "pv": "10" } }, { "amount": "3" }]);
        let sold = with(order("A-1"), &json!({ "customer": "C-1", "lines": lines }));
        for (path, body) in [("/v1/members", first), ("/v1/members", second), ("/v1/orders", sold)] {
            let reply = server.post(path, &body.to_string());
            assert_eq!(reply.status, 201, "{}", reply.text());
        }
        server
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.place.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Runs the program on the directory, which no server has.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).arg("--data-dir").arg(self.data()).env_clear();
        command.env("UPLINE_SEGMENT_BYTES", "1048576").stdin(Stdio::null()).output().unwrap()
    }

    fn import(&self, file: &Path, more: &[&str]) -> Imported {
        let arguments = [&["orders", "import", file.to_str().unwrap(), "--json"], more].concat();
        let output = self.run(&arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        Imported {
            code: output.status.code(),
            said: String::from_utf8(output.stderr).unwrap(),
            summary: out.lines().last().map_or(Value::Null, |line| serde_json::from_str(line).unwrap()),
        }
    }

    /// LSN and digest of everything.
    fn digest(&self) -> [Value; 2] {
        let output = self.run(&["verify", "--json"]);
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
        ["lsn", "digest"].map(|name| found[name].clone())
    }
}

struct Imported {
    code: Option<i32>,
    said: String,
    summary: Value,
}

/// An order of the first member.
fn order(order_id: &str) -> Value {
    json!({
        "order_id": order_id, "code": "ANNA", "kind": "retail",
        "lines": [{ "amount": "12.50", "volumes": { "pv": "10" } }],
    })
}

/// The same with other fields.
fn with(mut value: Value, fields: &Value) -> Value {
    value.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    value
}

/// LSN and digest of everything.
fn digest(server: &Server) -> [Value; 2] {
    let found = server.get("/v1/digest").json();
    ["lsn", "state_digest"].map(|name| found[name].clone())
}

type Refusal = (u16, &'static str, &'static str);

/// What is bad about an order, the fields of one that is, and how it is refused. The reason that a file is
/// refused for is the same, where no other is named.
fn bad_orders() -> Vec<(&'static str, Value, Refusal, Option<&'static str>)> {
    let line = |fields: Value| json!({ "lines": [with(json!({ "amount": "1" }), &fields)] });
    let credits = |parts: [&str; 2]| {
        let of = |(code, part): (&str, &str)| json!({ "code": code, "part": part });
        let credits: Vec<Value> = ["ANNA", "BERT"].into_iter().zip(parts).map(of).collect();
        json!({ "code": null, "credits": credits })
    };
    let same = |code: &'static str, field: &'static str| (422, code, field);
    let pv = "lines[0].volumes.pv";
    vec![
        ("a member that is not known", json!({ "code": "NOBODY" }), (404, "member_unknown", "code"), None),
        (
            "a member that is not known, by id",
            json!({ "code": null, "user_id": uuid(9) }),
            (404, "member_unknown", "user_id"),
            None,
        ),
        ("no member", json!({ "code": null }), same("field_invalid", "user_id"), None),
        ("parts below 1", credits(["0.5", "0.25"]), same("order_malformed", "credits"), None),
        ("parts above 1", credits(["0.5", "0.500000001"]), same("order_malformed", "credits"), None),
        ("a part of nothing", credits(["1", "0"]), same("field_invalid", "credits[1].part"), None),
        ("a negative part", credits(["1.5", "-0.5"]), same("field_invalid", "credits[0].part"), None),
        ("a negative volume", line(json!({ "volumes": { "pv": "-1" } })), same("field_invalid", pv), None),
        (
            "a negative volume, as a number",
            line(json!({ "volumes": { "pv": -1 } })),
            same("field_invalid", pv),
            Some("body_malformed"),
        ),
        (
            "a negative amount",
            line(json!({ "amount": "-0.01" })),
            same("field_invalid", "lines[0].amount"),
            None,
        ),
        (
            "a huge volume",
            line(json!({ "volumes": { "pv": "100000000000.01" } })),
            same("field_invalid", pv),
            None,
        ),
        (
            "a volume beyond 64 bits",
            line(json!({ "volumes": { "pv": "99999999999999999999999999" } })),
            same("field_invalid", pv),
            None,
        ),
        (
            "a huge amount",
            line(json!({ "amount": u64::MAX })),
            same("field_invalid", "lines[0].amount"),
            None,
        ),
        ("too many decimals", line(json!({ "volumes": { "pv": "0.001" } })), same("field_invalid", pv), None),
        ("a kind that is not known", json!({ "kind": "x" }), same("order_kind_unknown", "kind"), None),
        ("no kind", json!({ "kind": null }), same("order_kind_unknown", "kind"), None),
        (
            "a tag that is not known",
            json!({ "tags": ["party", "x"] }),
            same("order_tag_unknown", "tags[1]"),
            None,
        ),
        (
            "a volume that is not known",
            line(json!({ "volumes": { "xv": 1 } })),
            same("field_invalid", "lines[0].volumes.xv"),
            None,
        ),
        (
            "a volume that is a percentage",
            line(json!({ "volumes": { "cv": 1 } })),
            same("field_invalid", "lines[0].volumes.cv"),
            None,
        ),
        ("a market that is not known", json!({ "market": "mars" }), same("market_unknown", "market"), None),
        ("no lines", json!({ "lines": [] }), same("order_malformed", "lines"), None),
        (
            "too many lines",
            json!({ "lines": vec![json!({ "amount": 1 }); 65] }),
            same("order_malformed", "lines"),
            None,
        ),
        (
            "a time too far ahead",
            json!({ "time": "2999-01-01T00:00:00Z" }),
            same("time_in_future", "time"),
            None,
        ),
        (
            "a time before the first period",
            json!({ "time": "2026-06-30T23:59:59.999999Z" }),
            (409, "before_opening", "time"),
            None,
        ),
        // The month would take it, and the quarter does not: it is in neither.
        (
            "late where that is refused",
            json!({ "time": "2026-07-01T00:00:00Z" }),
            (409, "order_late", "time"),
            None,
        ),
        ("the id of another order", json!({ "order_id": "A-1" }), (409, "order_id_taken", "order_id"), None),
        ("the id of a refund", json!({ "order_id": "R-1" }), (409, "order_id_taken", "order_id"), None),
        (
            "a customer of another member",
            json!({ "code": "BERT", "customer": "C-1" }),
            (409, "customer_of_another", "customer"),
            None,
        ),
        ("an id that is none", json!({ "order_id": "a b" }), same("field_invalid", "order_id"), None),
        (
            "a field that is not known",
            json!({ "price": 1 }),
            same("field_unknown", "price"),
            Some("body_malformed"),
        ),
    ]
}

#[test]
fn bad_orders_are_refused_alone_in_batches_and_in_files() {
    let shop = Shop::new();
    let server = shop.opened();
    let refund = json!({ "refund_id": "R-1", "part": "0.5" });
    assert_eq!(server.post("/v1/orders/A-1/refund", &refund.to_string()).status, 201);
    let table = bad_orders();
    let bad = |at: usize, fields: &Value| with(order(&format!("B-{at}")), fields);
    let before = digest(&server);
    for (at, (what, fields, expected, _)) in table.iter().enumerate() {
        let reply = server.post("/v1/orders", &bad(at, fields).to_string());
        assert_eq!(refused(reply.status, &reply.json()), *expected, "{what}: {}", reply.text());
        assert_eq!(digest(&server), before, "{what}");
    }
    // In a batch each stands between two good ones.
    let mut text = format!("{}\n", order("G-start"));
    for (at, (_, fields, ..)) in table.iter().enumerate() {
        _ = write!(text, "{}\n{}\n", bad(at, fields), order(&format!("G-{at}")));
    }
    let headers = [("content-type", "application/x-ndjson")];
    let reply = server.request("POST", "/v1/orders/batch", &headers, text.as_bytes());
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2 * table.len() + 1);
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["line"], at + 1);
        if at % 2 == 0 {
            assert_eq!(line["status"], 201, "{line}");
            continue;
        }
        let (what, _, expected, _) = &table[at / 2];
        let status = u16::try_from(line["status"].as_u64().unwrap()).unwrap();
        assert_eq!(refused(status, &line["problem"]), *expected, "{what}: {line}");
    }
    let placed = table.len() as u64 + 2;
    assert_eq!(orders_in(&server, "month"), placed);
    assert_eq!(orders_in(&server, "quarter"), placed);
    server.terminate();
    assert!(server.wait().success());

    // In a file.
    let file = shop.file("bad.ndjson", &text);
    let before = shop.digest();
    let bad_alone = table.iter().enumerate().fold(String::new(), |mut text, (at, (_, fields, ..))| {
        _ = writeln!(text, "{}", bad(at, fields));
        text
    });
    let nothing = shop.import(&shop.file("alone.ndjson", &bad_alone), &[]);
    assert_eq!((nothing.code, &nothing.summary["imported"]), (Some(10), &json!(false)), "{}", nothing.said);
    assert_eq!(shop.digest(), before, "not one can be taken");
    let done = shop.import(&file, &[]);
    assert_eq!(done.code, Some(16), "{}", done.said);
    assert_eq!(done.summary["orders_already_there"], table.len() + 1);
    assert_eq!(done.summary["orders_refused"], table.len());
    let mut reasons: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for (at, (what, fields, (_, code, _), in_file)) in table.iter().enumerate() {
        *reasons.entry(in_file.unwrap_or(code)).or_default() += 1;
        let id = fields["order_id"].as_str().map_or_else(|| format!("B-{at}"), str::to_owned);
        let told = format!("bad.ndjson: line {}: {id}: ", 2 * at + 2);
        assert!(done.said.contains(&told), "{what}: `{told}` is not in {}", done.said);
    }
    assert_eq!(done.summary["refused_by_reason"], json!(reasons));
    assert_eq!(shop.digest(), before, "all good ones were there");
}

/// Status, code and field of a problem.
fn refused(status: u16, problem: &Value) -> (u16, &str, &str) {
    let text = |name: &str| problem[name].as_str().unwrap_or_default();
    (status, text("code"), text("field"))
}

/// Orders in all periods of a calendar.
fn orders_in(server: &Server, calendar: &str) -> u64 {
    let periods = server.get(&format!("/v1/calendars/{calendar}/periods?limit=1000")).json();
    let items = periods["items"].as_array().unwrap();
    items.iter().map(|period| period["totals"]["orders"].as_u64().unwrap()).sum()
}

/// The header of tables, and what is bad about their rows: the rows of an order, and how it is refused.
const HEADER: &str = "order_id,user_id,amount,pv,kind,tags,market,time,customer,xv\n";

#[test]
fn bad_rows_of_a_table_are_refused_with_their_lines() {
    let shop = Shop::new();
    let server = shop.opened();
    server.terminate();
    assert!(server.wait().success());
    // what, rows, reason, words
    let table = [
        (
            "a member that is not known",
            "B,nobody,1,1,retail,,,,,\n",
            "unknown_member",
            "member nobody is not known",
        ),
        ("no member", "B,,1,1,retail,,,,,\n", "unknown_member", "no member is named"),
        ("a negative volume", "B,ANNA,1,-1,retail,,,,,\n", "field_invalid", "B: pv: "),
        ("a negative amount", "B,ANNA,-1,1,retail,,,,,\n", "field_invalid", "B: amount: "),
        ("a huge volume", "B,ANNA,1,1e99,retail,,,,,\n", "field_invalid", "B: pv: "),
        (
            "a huge amount in its second row",
            "B,ANNA,1,,retail,,,,,\nB,,100000000000.01,,,,,,,\n",
            "field_invalid",
            "B: amount, row 2 of the order: ",
        ),
        ("a kind that is not known", "B,ANNA,1,1,x,,,,,\n", "order_kind_unknown", "kind"),
        ("no kind", "B,ANNA,1,1,,,,,,\n", "order_kind_unknown", "kind"),
        ("a tag that is not known", "B,ANNA,1,1,retail,party x,,,,\n", "order_tag_unknown", "B: tags: "),
        ("a market that is not known", "B,ANNA,1,1,retail,,mars,,,\n", "market_unknown", "market"),
        ("a time that is none", "B,ANNA,1,1,retail,,,soon,,\n", "bad_time", "`soon`"),
        ("a time too far ahead", "B,ANNA,1,1,retail,,,2999-01-01,,\n", "time_in_future", "time"),
        (
            "a time before the first period",
            "B,ANNA,1,1,retail,,,2026-06-30,,\n",
            "before_opening",
            "409 before_opening",
        ),
        ("late where that is refused", "B,ANNA,1,1,retail,,,2026-07-01,,\n", "order_late", "409 order_late"),
        ("the id of another order", "A-1,ANNA,1,1,retail,,,,,\n", "order_id_taken", "409 order_id_taken"),
        (
            "a customer of another member",
            "B,BERT,1,1,retail,,,,C-1,\n",
            "customer_of_another",
            "409 customer_of_another",
        ),
        ("rows of two members", "B,ANNA,1,1,retail,,,,,\nB,BERT,1,1,retail,,,,,\n", "rows_differ", "user_id"),
        ("an id that is none", "a/b,ANNA,1,1,retail,,,,,\n", "field_invalid", "order_id"),
        ("a row that is too short", "B,ANNA\n", "bad_row", ""),
    ];
    let before = shop.digest();
    for (what, rows, reason, words) in table {
        let file = shop.file("orders.csv", &format!("{HEADER}{rows}"));
        let done = shop.import(&file, &[]);
        assert_eq!(
            (done.code, &done.summary["imported"]),
            (Some(10), &json!(false)),
            "{what}: {}",
            done.said
        );
        assert_eq!(done.summary["refused_by_reason"], json!({ reason: 1 }), "{what}: {}", done.said);
        let told = done.said.lines().find(|line| line.contains("orders.csv: line 2: "));
        assert!(told.is_some_and(|line| line.contains(words)), "{what}: {}", done.said);
        assert!(
            done.said.contains("columns not read: xv"),
            "a volume that the plan does not have: {}",
            done.said
        );
        assert_eq!(shop.digest(), before, "{what}");
    }
    // All of them in one file, with a good order between any two: those are taken, unless --strict.
    let mut text = HEADER.to_owned();
    for (at, (_, rows, ..)) in table.iter().enumerate() {
        // Rows behind one that cannot be read may belong to it.
        let rows = rows.replace("B,", &format!("B-{at},"));
        if !rows.ends_with("ANNA\n") {
            _ = writeln!(text, "{rows}G-{at},ANNA,1,1,retail,,,,,");
        }
    }
    let file = shop.file("all.csv", &text);
    let strict = shop.import(&file, &["--strict"]);
    assert_eq!((strict.code, shop.digest()), (Some(10), before), "{}", strict.said);
    let done = shop.import(&file, &[]);
    let count = table.len() - 1;
    assert_eq!(done.code, Some(16), "{}", done.said);
    assert_eq!((&done.summary["orders"], &done.summary["orders_refused"]), (&json!(count), &json!(count)));
}

type Request = (&'static str, String, Value);

fn refund(order: &str, body: Value) -> Request {
    ("POST", format!("/v1/orders/{order}/refund"), body)
}

fn step(period: &str, step: &str) -> Request {
    let (calendar, label) = period.split_once('/').unwrap();
    ("POST", format!("/v1/calendars/{calendar}/periods/{label}/{step}"), json!({}))
}

/// Sets attributes of the second member.
fn attributes(body: Value) -> Request {
    ("PUT", format!("/v1/members/{}/attributes", uuid(2)), body)
}

/// A market since a time.
fn then(time: &str) -> Value {
    json!({ "market": "de", "effective": time })
}

fn half() -> Value {
    json!({ "refund_id": "R-1", "part": "0.5" })
}

/// What is bad about refunds of an order of which a half was refunded.
fn bad_refunds() -> Vec<(&'static str, Request, Refusal)> {
    let line =
        |line: u64, part: &str| json!({ "refund_id": "R-2", "lines": [{ "line": line, "part": part }] });
    vec![
        (
            "beyond the order",
            refund("A-1", json!({ "refund_id": "R-2", "part": "0.6" })),
            (409, "refund_too_large", ""),
        ),
        // One line could be refunded, and the other not: none is.
        (
            "a line beyond what is left",
            refund(
                "A-1",
                json!({ "refund_id": "R-2", "lines": [{ "line": 0 }, { "line": 1, "part": "0.51" }] }),
            ),
            (409, "refund_too_large", ""),
        ),
        ("of an order that is not known", refund("A-9", half()), (409, "order_id_taken", "refund_id")),
        (
            "of an order that is not known, by a new id",
            refund("A-9", json!({ "refund_id": "R-2" })),
            (404, "order_unknown", ""),
        ),
        ("of a line that is not there", refund("A-1", line(2, "0.1")), (422, "order_line_unknown", "lines")),
        (
            "of a line that no order has",
            refund("A-1", line(300, "0.1")),
            (422, "field_invalid", "lines[0].line"),
        ),
        ("of nothing", refund("A-1", line(0, "0")), (422, "field_invalid", "lines[0].part")),
        ("of a negative part", refund("A-1", line(0, "-0.1")), (422, "field_invalid", "lines[0].part")),
        ("more than the whole", refund("A-1", line(0, "1.1")), (422, "field_invalid", "lines[0].part")),
        (
            "the same id with other content",
            refund("A-1", json!({ "refund_id": "R-1", "part": "0.25" })),
            (409, "order_id_taken", "refund_id"),
        ),
        (
            "the id of an order",
            refund("A-1", json!({ "refund_id": "A-1" })),
            (409, "order_id_taken", "refund_id"),
        ),
        (
            "too far ahead",
            refund("A-1", json!({ "refund_id": "R-2", "time": "2999-01-01T00:00:00Z" })),
            (422, "time_in_future", "time"),
        ),
    ]
}

/// What is bad about steps, where July and August are locked, and these periods are the newest.
fn bad_steps(month: &str, quarter: &str) -> Vec<(&'static str, Request, Refusal)> {
    vec![
        ("a lock before the end", step(month, "lock"), (409, "period_not_over", "")),
        ("a lock before the end of another calendar", step(quarter, "lock"), (409, "period_not_over", "")),
        ("a lock out of order", step("month/2026-10", "lock"), (409, "period_out_of_order", "")),
        ("an unlock out of order", step("month/2026-07", "unlock"), (409, "period_out_of_order", "")),
        ("a run of an open period", step(month, "runs"), (409, "period_step_not_allowed", "")),
        ("a run out of order", step("month/2026-08", "runs"), (409, "period_out_of_order", "")),
        ("an approval without a run", step("month/2026-07", "approve"), (409, "period_step_not_allowed", "")),
        (
            "a posting without an approval",
            step("month/2026-07", "post"),
            (409, "period_step_not_allowed", ""),
        ),
        ("a step of a period that is not there", step("month/2026-06", "lock"), (404, "period_unknown", "")),
        ("a step of a calendar that is not there", step("year/2026", "lock"), (404, "calendar_unknown", "")),
    ]
}

/// What is bad about attributes, where the third quarter is locked too, and September is not.
fn bad_attributes() -> Vec<(&'static str, Request, Refusal)> {
    let founder = |bounds: Value| json!({ "market": "de", "tags": { "founder": bounds } });
    vec![
        (
            "attributes of a period that is locked in all calendars",
            attributes(then("2026-08-31T23:59:59.999999Z")),
            (409, "attribute_period_locked", "effective"),
        ),
        (
            "attributes of before the first period",
            attributes(then("2026-06-30T00:00:00Z")),
            (409, "attribute_period_locked", "effective"),
        ),
        (
            "attributes of a period that is not open yet",
            attributes(then("2999-01-01T00:00:00Z")),
            (409, "attribute_period_locked", "effective"),
        ),
        (
            "a market that is not known beside a good tag",
            attributes(json!({ "market": "mars", "tags": { "founder": null } })),
            (422, "market_unknown", "market"),
        ),
        (
            "a tag that is not known beside a good market",
            attributes(json!({ "market": "de", "tags": { "x": {} } })),
            (422, "attribute_unknown", "tags.x"),
        ),
        (
            "an owner who is not known beside a good market",
            attributes(json!({ "market": "de", "owner": uuid(9) })),
            (422, "owner_unknown", "owner"),
        ),
        (
            "a tag that never holds",
            attributes(founder(json!({ "from": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" }))),
            (422, "attribute_malformed", "tags.founder"),
        ),
    ]
}

#[test]
fn bad_refunds_steps_and_attributes_change_nothing() {
    let shop = Shop::new();
    let server = shop.opened();
    let send = |(method, path, body): &Request| {
        let body = if path.ends_with("/runs") { String::new() } else { body.to_string() };
        let kind = [("content-type", "application/json")];
        let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &kind };
        server.request(method, path, headers, body.as_bytes())
    };
    let does = |request: Request| {
        let reply = send(&request);
        assert!(reply.status < 300, "{request:?}: {}", reply.text());
    };
    does(refund("A-1", half()));
    for month in ["2026-07", "2026-08"] {
        does(step(&format!("month/{month}"), "lock"));
    }
    does(step("quarter/2026-Q3", "lock"));
    does(attributes(json!({ "market": "us", "tags": { "founder": {} } })));
    let newest = |calendar: &str| {
        let found = server.get(&format!("/v1/calendars/{calendar}/periods?limit=1")).json();
        format!("{calendar}/{}", found["items"][0]["label"].as_str().unwrap())
    };
    let (month, quarter) = (newest("month"), newest("quarter"));
    let table = [bad_refunds(), bad_steps(&month, &quarter), bad_attributes()].concat();
    let before = digest(&server);
    for (what, request, expected) in &table {
        let reply = send(request);
        assert_eq!(refused(reply.status, &reply.json()), *expected, "{what}: {}", reply.text());
        assert_eq!(digest(&server), before, "{what}");
    }
    // The same again is no error, and changes nothing. September is open in one of the calendars.
    does(refund("A-1", half()));
    does(step("month/2026-07", "lock"));
    assert_eq!(server.get("/v1/orders/A-1").json()["refunds"].as_array().unwrap().len(), 1);
    does(attributes(then("2026-09-30T23:59:59Z")));
    // What is left can be refunded once.
    does(refund("A-1", json!({ "refund_id": "R-2" })));
    let again = send(&refund("A-1", json!({ "refund_id": "R-3" })));
    assert_eq!(refused(again.status, &again.json()), (409, "refund_too_large", ""));
    assert_eq!(server.get("/v1/orders/A-1").json()["left"]["volumes"], json!({ "pv": "0.00", "cv": "0.00" }));
    server.terminate();
    assert!(server.wait().success());

    // On the directory itself.
    let table: [(&[&str], i32, &str); 6] = [
        (&["orders", "refund", "A-1", "--id", "R-3"], 13, "409 refund_too_large"),
        (&["orders", "refund", "A-1", "--id", "R-1", "--part", "0.1"], 13, "409 order_id_taken"),
        (&["orders", "refund", "A-1", "--id", "R-3", "--line", "2"], 13, "422 order_line_unknown"),
        (&["orders", "refund", "A-9", "--id", "R-3"], 11, "404 order_unknown"),
        (&["period", "lock", "month", month.split_once('/').unwrap().1], 13, "409 period_not_over"),
        (&["period", "lock", "month", "2026-10"], 13, "409 period_out_of_order"),
    ];
    let before = shop.digest();
    for (arguments, code, words) in table {
        let output = shop.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
        assert_eq!(shop.digest(), before, "{arguments:?}");
    }
}

fn lines_of_large_files() -> u64 {
    if std::env::var("UPLINE_DEEP").is_ok_and(|deep| deep == "1") { 1_000_000 } else { 3_000 }
}

#[test]
fn one_bad_line_among_many_is_the_only_one_refused() {
    let shop = Shop::new();
    let server = shop.opened();
    let lines = lines_of_large_files();
    let bad = lines / 2;
    let text = |prefix: &str| -> String {
        let line = |number: u64| {
            let order = order(&format!("{prefix}-{number}"));
            let line = if number == bad { with(order, &json!({ "code": "NOBODY" })) } else { order };
            format!("{line}\n")
        };
        (1..=lines).map(line).collect()
    };
    let body = text("L");
    let mut client = server.connect();
    client.be_patient();
    let mut sender = client.sender();
    let reply = std::thread::scope(|scope| {
        scope.spawn(|| {
            let head = format!(
                "POST /v1/orders/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
                 content-length: {}\r\n\r\n",
                body.len()
            );
            std::io::Write::write_all(&mut sender, head.as_bytes()).unwrap();
            std::io::Write::write_all(&mut sender, body.as_bytes()).unwrap();
        });
        client.read_reply(false).unwrap()
    });
    let mut answered = 0;
    for (line, number) in reply.text().lines().zip(1..) {
        let line: Value = serde_json::from_str(line).unwrap();
        let expected = if number == bad { 404 } else { 201 };
        assert_eq!((&line["line"], &line["status"]), (&json!(number), &json!(expected)), "{line}");
        answered += 1;
    }
    // One was there before.
    assert_eq!((answered, orders_in(&server, "month")), (lines, lines));
    server.terminate();
    assert!(server.wait().success());

    let before = shop.digest();
    let mut table = HEADER.to_owned();
    for number in 1..=lines {
        let member = if number == bad { "nobody" } else { "BERT" };
        _ = writeln!(table, "C-{number},{member},1,1,retail,,,,,");
    }
    let files =
        [shop.file("again.ndjson", &body), shop.file("new.ndjson", &text("B")), shop.file("new.csv", &table)];
    for (file, line) in files.iter().zip([bad, bad, bad + 1]) {
        let strict = shop.import(file, &["--strict"]);
        assert_eq!(
            (strict.code, &strict.summary["orders_refused"]),
            (Some(10), &json!(1)),
            "{}",
            strict.said
        );
        assert!(strict.said.contains(&format!(": line {line}: ")), "{}", strict.said);
    }
    assert_eq!(shop.digest(), before, "nothing, since all or nothing was asked for");
    for (at, file) in files.iter().enumerate() {
        let done = shop.import(file, &[]);
        assert_eq!((done.code, &done.summary["orders_refused"]), (Some(16), &json!(1)), "{}", done.said);
        let counts = ["orders", "orders_already_there"].map(|name| done.summary[name].as_u64().unwrap());
        assert_eq!(counts, if at == 0 { [0, lines - 1] } else { [lines - 1, 0] });
        assert_eq!(done.summary["network_orders"], 1 + (at as u64 + 1) * (lines - 1));
    }
    shop.digest();
}
