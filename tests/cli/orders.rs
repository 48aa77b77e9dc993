//! `upline orders`, `upline period` and `upline run`: in a directory and by a server.

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use serde_json::{Value, json};

use crate::support::{Place, Ran, Server, command, run, verified};

const PLAN: &str = "name = \"orders\"\n\
    currency = { code = \"USD\", exponent = 2 }\n\
    placement = { width = 0, rule = \"unilevel\" }\n\
    ladder = { live = { rule = \"thresholds\" } }\n\
    [calendar.month]\nevery = \"month\"\ntimezone = \"America/New_York\"\n\
    grace = \"3 days\"\nfirst = \"2024-01-01\"\n\
    [volume.pv]\nexponent = 2\n\
    [answers]\nrefund_lowers_volume = \"yes\"\n";

const MEMBERS: &str = "member,sponsor,joined_at\nanna,,2024-01-02\nbert,anna,2024-01-03\n";

const ORDERS: &str = "order_id,user_id,amount,pv,customer\n\
    A-1,anna,12.50,10,\n\
    A-1,anna,1,0.25,\n\
    A-2,bert,5,4,C-1\n\
    A-3,nobody,5,4,\n";

/// Makes a network of two members, with three orders of which one is refused.
fn network(place: &Place) -> String {
    let data = place.text("data");
    let (plan, members) = (place.file("plan.toml", PLAN), place.file("members.csv", MEMBERS));
    run(["import", &members, "--plan", &plan, "--data-dir", &data]).ends_with(0);
    let orders = place.file("orders.csv", ORDERS);
    let ran = run(["orders", "import", &orders, "--data-dir", &data, "--json"]).ends_with(16);
    let ran = ran.says("orders.csv: line 5: A-3: member nobody is not known");
    let taken = ran.says("1 order was refused; all others are in the network").json();
    assert_eq!((&taken["orders"], &taken["orders_refused"]), (&json!(2), &json!(1)));
    data
}

fn said(ran: Ran, code: i32, part: &str) {
    ran.ends_with(code).says(part);
}

fn json_of(arguments: &[&str], from: [&str; 2]) -> Value {
    run(arguments.iter().chain(&from).chain(&["--json"])).ends_with(0).json()
}

#[test]
fn orders_are_imported_shown_listed_and_refunded() {
    let place = Place::new();
    let data = network(&place);
    let from = ["--data-dir", &data];
    let orders = place.file("orders.csv", &ORDERS[..ORDERS.find("A-3").unwrap()]);
    let again = json_of(&["orders", "import", &orders], from);
    assert_eq!((&again["orders"], &again["orders_already_there"]), (&json!(0), &json!(2)));
    let order = json_of(&["orders", "show", "A-1"], from);
    assert_eq!(order["order"]["placed"], json!({"amount": "13.50", "volumes": {"pv": "10.25"}}));
    said(run(["orders", "show", "A-9", "--data-dir", &data]), 11, "(404 order_unknown)");
    let listed = |more: &[&str]| -> Vec<String> {
        let listed = json_of(&[&["orders", "list"], more].concat(), from);
        let ids =
            listed["orders"].as_array().unwrap().iter().map(|order| order["order_id"].as_str().unwrap());
        ids.map(str::to_owned).collect()
    };
    assert_eq!(listed(&[]), ["A-2", "A-1"]);
    assert_eq!(listed(&["--limit", "1"]), ["A-2"]);
    assert_eq!(listed(&["--member", "anna"]), ["A-1"]);
    assert_eq!(listed(&["--customer", "C-1"]), ["A-2"]);
    assert_eq!(listed(&["--group", "party"]), [""; 0]);
    let label = order["order"]["booking"]["month"].as_str().unwrap();
    assert_eq!(listed(&["--calendar", "month", "--period", label]), ["A-2", "A-1"]);
    assert_eq!(listed(&["--calendar", "month", "--period", "2024-01"]), [""; 0]);

    let line = json_of(&["orders", "refund", "A-1", "--id", "R-1", "--line", "1", "--line", "0:0.5"], from);
    assert_eq!(line["order"]["left"], json!({"amount": "6.25", "volumes": {"pv": "5.00"}}));
    let lsn = line["lsn"].as_u64().unwrap();
    let rest = json_of(&["orders", "refund", "A-1", "--id", "R-2"], from);
    assert_eq!(rest["order"]["left"]["amount"], "0.00");
    assert!(lsn < rest["lsn"].as_u64().unwrap());
    said(run(["orders", "refund", "A-1", "--id", "R-3", "--part", "0.1", "--data-dir", &data]), 13, "(409 ");
    said(run(["orders", "refund", "A-1", "--id", "A-2", "--data-dir", &data]), 13, "(409 order_id_taken)");
    verified(&data);
}

#[test]
fn a_file_goes_to_a_running_server_in_batches() {
    let place = Place::new();
    let data = network(&place);
    let key = |name: &str, scopes: &[&str]| {
        let made = ["keys", "create", "--name", name, "--data-dir", &data];
        let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
        place.file(name, run(made.into_iter().chain(scopes)).ends_with(0).out)
    };
    let shop = key("shop", &["orders:write", "plan:read", "members:read", "network:read"]);
    let writer = key("writer", &["orders:write"]);
    let mut serve = command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]);
    let server = Server::start(&mut serve);
    let url = format!("http://{}", server.address);
    let import = |file: &str, key: &str, more: &[&str]| {
        let at = ["orders", "import", file, "--url", &url, "--key-file", key, "--json"];
        run(at.iter().chain(more))
    };
    // One more batch than one, and three orders of which one is refused.
    let many = (0..4_100).map(|number| format!("M-{number},bert,1.50,1,\n")).collect::<Vec<_>>().concat();
    let csv = place.file("more.csv", format!("{ORDERS}{many}A-4,Bert,2,x,\n"));
    let ran = import(&csv, &shop, &[]).ends_with(16);
    let ran = ran.says("more.csv: line 5: A-3: member nobody is not known");
    let ran = ran.says("more.csv: line 4106: A-4: pv: ");
    let taken = ran.says("2 orders were refused; all others are in the network").json();
    let counts = |taken: &Value| -> Vec<u64> {
        let fields = ["orders", "orders_already_there", "orders_refused"];
        fields.map(|field| taken[field].as_u64().unwrap()).to_vec()
    };
    assert_eq!(counts(&taken), [4_100, 2, 2]);
    assert_eq!(taken["refused_by_reason"], json!({"field_invalid": 1, "unknown_member": 1}));
    assert_eq!((&taken["imported"], &taken["network_orders"]), (&json!(true), &Value::Null));
    // Again, as after a cut: nothing is placed twice.
    assert_eq!(counts(&import(&csv, &shop, &[]).ends_with(16).json()), [0, 4_102, 2]);
    let shown = json_of(&["orders", "show", "M-4099", "--key-file", &shop], ["--url", &url]);
    assert_eq!(shown["order"]["placed"], json!({"amount": "1.50", "volumes": {"pv": "1.00"}}));

    // Objects need no scope but that of orders.
    let bert = &shown["order"]["credits"][0]["user_id"];
    let lines = |amount: u32| json!([{"amount": amount, "volumes": {"pv": 1}}]);
    let object =
        |id: &str, amount: u32| json!({"order_id": id, "user_id": bert, "lines": lines(amount)}).to_string();
    let text = format!("{}\n\nnonsense\n{}\n", object("N-1", 5), object("A-2", 6));
    let ndjson = place.file("more.ndjson", text);
    let ran = import(&ndjson, &writer, &[]).ends_with(16);
    let ran = ran.says("line 3: ").says("(400 body_malformed)").says("line 4: A-2: ");
    assert_eq!(counts(&ran.json()), [1, 0, 2]);
    said(import(&csv, &writer, &[]), 13, "(403 forbidden)");
    let only_bad = place.file("bad.ndjson", "{}\n");
    said(import(&only_bad, &writer, &[]), 10, "1 order was refused, and there is no other");
    for flag in ["--dry-run", "--strict", "--accept-clock"] {
        said(import(&csv, &shop, &[flag]), 2, "cannot be used with");
    }
    server.signal("TERM");
    server.end().ends_with(0);
    verified(&data);
}

/// A server may end a batch: it drains, or another batch needs the place.
#[test]
fn an_import_says_how_far_it_came_when_the_server_ends_a_batch() {
    let place = Place::new();
    let ended = json!({
        "line": 2, "status": 503,
        "problem": {"code": "overloaded", "title": "The server is busy", "status": 503},
    });
    let answers = format!("{}\n{ended}\n", json!({"line": 1, "status": 201}));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    let serving = std::thread::spawn(move || {
        for path in ["GET /v1/plan ", "POST /v1/orders/batch "] {
            let (mut stream, _) = listener.accept().expect("it comes");
            let mut request = vec![0; 1 << 16];
            let mut length = 0;
            let end = if path.starts_with("GET") { "\r\n\r\n" } else { "}\n" };
            // Three orders, each an object on a line.
            let has_all = |text: &[u8]| {
                let orders = text.windows(2).filter(|pair| pair == b"}\n").count();
                text.ends_with(end.as_bytes()) && (path.starts_with("GET") || orders == 3)
            };
            while !has_all(&request[..length]) {
                length += stream.read(&mut request[length..]).expect("it reads");
            }
            assert!(request.starts_with(path.as_bytes()), "{}", String::from_utf8_lossy(&request));
            let body = if path.starts_with("GET") { "{}" } else { &*answers };
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length:";
            write!(stream, "{head} {}\r\n\r\n{body}", body.len()).expect("it writes");
        }
    });
    let id = "00000000-0000-4000-8000-000000000001";
    let rows = (1..4).map(|number| format!("A-{number},{id},1\n")).collect::<Vec<_>>().concat();
    let file = place.file("orders.csv", format!("order_id,user_id,amount\n{rows}"));
    let ran = run(["orders", "import", &file, "--url", &url]).ends_with(13);
    ran.says("the server ended a batch before line 3 of the file: The server is busy (503 overloaded)")
        .says("what was answered is in the network (1 order): import the file again");
    serving.join().expect("it served");
}

#[test]
fn a_period_goes_its_way_in_a_directory_and_by_a_server() {
    let place = Place::new();
    let data = network(&place);
    let from = ["--data-dir", &data];
    let state = |label: &str, from: [&str; 2]| {
        json_of(&["period", "show", "month", label], from)["period"]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("2024-01", from), "closing");
    let step = |step: &str, label: &str, from: [&str; 2]| {
        run(["period", step, "month", label, "--reason", "looked at"].iter().chain(&from))
    };
    said(step("lock", "2024-02", from), 13, "(409 period_out_of_order)");
    said(step("lock", "2124-02", from), 11, "(404 period_unknown)");
    said(step("approve", "2024-01", from), 13, "(409 period_step_not_allowed)");
    step("lock", "2024-01", from).ends_with(0);
    step("lock", "2024-01", from).ends_with(0);
    step("unlock", "2024-01", from).ends_with(0);
    step("lock", "2024-01", from).ends_with(0);
    let ran = json_of(&["run", "month", "2024-01"], from);
    assert_eq!(ran["runs"].as_array().unwrap().len(), 1);
    step("approve", "2024-01", from).ends_with(0);
    step("post", "2024-01", from).ends_with(0);
    let shown = json_of(&["period", "show", "month", "2024-01"], from);
    let steps = shown["steps"].as_array().unwrap();
    let steps: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["post", "approve", "lock", "unlock", "lock"]);
    assert_eq!(
        (&shown["steps"][0]["by"]["kind"], &shown["steps"][0]["reason"]),
        (&json!("cli"), &json!("looked at"))
    );
    verified(&data);

    let listed = json_of(&["period", "list", "month", "--limit", "1000"], from);
    let mut serve = command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]);
    let server = Server::start(&mut serve);
    let url = format!("http://{}", server.address);
    let at = ["--url", &url];
    let by_server = json_of(&["period", "list", "--limit", "1000"], at);
    assert_eq!(by_server["periods"], listed["periods"]);
    step("lock", "2024-02", at).ends_with(0);
    json_of(&["run", "month", "2024-02"], at);
    step("approve", "2024-02", at).ends_with(0);
    step("post", "2024-02", at).ends_with(0);
    said(step("unlock", "2024-02", at), 13, "(409 period_step_not_allowed)");
    assert_eq!(state("2024-02", at), "posted");
    let refunded = json_of(&["orders", "refund", "A-2", "--id", "R-9", "--part", "0.5"], at);
    assert_eq!(refunded["order"]["left"]["amount"], "2.50");
    assert_eq!(json_of(&["orders", "show", "A-2"], at)["order"], refunded["order"]);
    assert_eq!(json_of(&["orders", "list", "--member", "bert"], at)["orders"], json!([refunded["order"]]));
    server.signal("TERM");
    server.end().ends_with(0);
    assert_eq!(json_of(&["orders", "show", "A-2"], from)["order"], refunded["order"]);
}
