//! Orders that move from one directory to another: what `export --orders` writes, `orders import` takes.

use serde_json::{Value, json};

use crate::support::{Place, Ran, Server, command, verified};

fn run(arguments: &[&str]) -> Ran {
    command(arguments).env("UPLINE_SEGMENT_BYTES", "1048576").output().expect("the program starts").into()
}

/// Days from today on.
fn day(days: i64) -> String {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    today.checked_add(jiff::Span::new().days(days)).unwrap().to_string()
}

/// Days that take orders for a month, each a period.
fn plan() -> String {
    format!(
        "name = \"moved\"\n\
         currency = {{ code = \"USD\", exponent = 2 }}\n\
         placement = {{ width = 0, rule = \"unilevel\" }}\n\
         ladder = {{ live = {{ rule = \"thresholds\" }} }}\n\
         orders = {{ kinds = [\"retail\", \"autoship\"], tags = [\"gift\", \"online\"] }}\n\
         [calendar.day]\nevery = \"day\"\ntimezone = \"UTC\"\ngrace = \"30 days\"\nfirst = \"{}\"\n\
         [volume.pv]\nexponent = 2\nlive = true\n\
         [volume.cv]\nexponent = 1\npercent = 80\nof = \"pv\"\n\
         [answers]\nrefund_lowers_volume = \"yes\"\n",
        day(-6)
    )
}

const MEMBERS: &str =
    "member,sponsor,joined_at\nanna,,2024-01-02\nbert,anna,2024-01-03\ncleo,bert,2024-01-04\n";

/// A directory with the members and no orders.
fn network(place: &Place, name: &str, members: &str) -> String {
    let data = place.text(name);
    run(&["import", members, "--plan", &place.file("plan.toml", plan()), "--data-dir", &data]).ends_with(0);
    data
}

fn json_of(arguments: &[&str], data: &str) -> Value {
    run(&[arguments, &["--json", "--data-dir", data]].concat()).ends_with(0).json()
}

fn list_of(data: &str) -> Vec<Value> {
    json_of(&["orders", "list", "--limit", "1000"], data)["orders"].as_array().unwrap().clone()
}

/// An order without the LSNs, which are those of its network.
fn without_lsns(mut order: Value) -> Value {
    order.as_object_mut().unwrap().remove("lsn");
    for refund in order["refunds"].as_array_mut().unwrap() {
        refund.as_object_mut().unwrap().remove("lsn");
    }
    order
}

fn ids(orders: &[Value]) -> Vec<&str> {
    orders.iter().map(|order| order["order_id"].as_str().unwrap()).collect()
}

/// A network with orders of six days. The first two days are posted, the first is sealed, and the third is
/// locked. Of each of these three, an order was refunded since.
fn source(place: &Place) -> String {
    let data = network(place, "from", &place.file("members.csv", MEMBERS));
    let members = run(&["export", "--format", "ndjson", "--data-dir", &data]).ends_with(0).out;
    let members: Vec<Value> = members.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let id = |number: usize| members[number]["member"].clone();
    let lines = json!([{"amount": "12.50", "volumes": {"pv": "10.01"}}, {"amount": 3}]);
    let mut text = String::new();
    for (number, days) in (0..24).zip((-6..0).cycle()) {
        let mut order = json!({
            "order_id": format!("O-{number}"), "user_id": id(number % 3), "kind": "retail", "lines": lines,
            "time": format!("{}T0{}:00:00Z", day(days), number % 10),
        });
        let fields = order.as_object_mut().unwrap();
        match number % 4 {
            0 => _ = fields.insert("customer".into(), format!("C-{}", number % 3).into()),
            1 => {
                fields.insert("tags".into(), json!(["online"]));
                fields.insert("group".into(), "party".into());
            }
            2 => {
                fields.remove("user_id");
                let part = |number, part: &str| json!({"user_id": id(number), "part": part});
                fields.insert("credits".into(), json!([part(0, "0.25"), part(2, "0.75")]));
            }
            _ => _ = fields.insert("kind".into(), "autoship".into()),
        }
        text += &format!("{order}\n");
    }
    // Of now, whenever that is.
    text += &format!("{}\n", json!({"order_id": "now", "user_id": id(1), "kind": "retail", "lines": lines}));
    let orders = place.file("orders.ndjson", text);
    assert_eq!(json_of(&["orders", "import", &orders], &data)["orders"], 25);
    let refund = |order: &str, id: &str, more: &[&str]| {
        json_of(&[&["orders", "refund", order, "--id", id], more].concat(), &data);
    };
    refund("O-3", "R-1", &["--part", "0.5"]);
    refund("O-3", "R-2", &["--line", "1"]);
    refund("O-3", "R-3", &[]);
    refund("O-10", "R-4", &["--line", "0:0.3", "--line", "1:0.000000001"]);
    refund("O-6", "R-5", &[]);
    for (number, steps) in
        [(-6, &["lock", "", "approve", "post"][..]), (-5, &["lock", "", "approve", "post"])]
    {
        for step in steps {
            let day = day(number);
            let step =
                if step.is_empty() { vec!["run", "day", &day] } else { vec!["period", step, "day", &day] };
            json_of(&step, &data);
        }
    }
    json_of(&["period", "lock", "day", &day(-4)], &data);
    json_of(&["period", "seal", "day", &day(-6)], &data);
    refund("O-0", "R-6", &[]);
    refund("O-1", "R-7", &["--part", "0.1"]);
    refund("O-2", "R-8", &["--part", "0.1"]);
    data
}

#[test]
fn an_export_of_orders_is_taken_by_another_network() {
    let place = Place::new();
    let from = source(&place);
    let (members, orders) = (place.text("moved.csv"), place.text("moved.ndjson"));
    run(&["export", "--data-dir", &from, "-o", &members, "--orders", &orders]).ends_with(0);
    let written = std::fs::read_to_string(&orders).unwrap();
    let there = list_of(&from);
    let lines: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines), (25, &there), "the export is the list");
    // What the three refunds did since cannot be had where no period is posted or locked.
    let is_carried = |order: &&Value| !["O-0", "O-1", "O-2"].contains(&order["order_id"].as_str().unwrap());
    let expected: Vec<Value> = there.iter().filter(is_carried).cloned().map(without_lsns).collect();

    let to = network(&place, "to", &members);
    let import = |more: &[&str], code: i32| {
        run(&[&["orders", "import", &orders, "--json", "--data-dir", &to], more].concat()).ends_with(code)
    };
    let counts = |ran: Ran| {
        let taken = ran.json();
        ["orders", "refunds", "orders_already_there", "orders_refused"]
            .map(|name| taken[name].as_u64().unwrap())
    };
    assert_eq!(counts(import(&["--dry-run"], 16)), [22, 5, 0, 3]);
    assert_eq!(list_of(&to), [] as [Value; 0], "a trial writes nothing");
    import(&["--strict"], 10).says("3 orders were refused, so nothing was imported");
    let ran = import(&[], 16);
    for (name, refund) in [("O-0", "R-6"), ("O-1", "R-7"), ("O-2", "R-8")] {
        let line = 1 + ids(&lines).iter().position(|id| *id == name).unwrap();
        assert!(ran.err.contains(&format!("moved.ndjson: line {line}: {name}: ")), "{}", ran.err);
        assert!(ran.err.contains(refund), "{}", ran.err);
    }
    assert_eq!(ran.json()["refused_by_reason"], json!({"order_differs": 3}));
    assert_eq!(counts(ran), [22, 5, 0, 3]);
    let moved: Vec<Value> = list_of(&to).into_iter().map(without_lsns).collect();
    assert_eq!(moved, expected, "in the order in which they were placed");
    for (name, value) in [("customer", "C-0"), ("group", "party"), ("member", "cleo")] {
        let list = |data: &str| {
            let listed = json_of(&["orders", "list", &format!("--{name}"), value, "--limit", "1000"], data);
            let listed = listed["orders"].as_array().unwrap().clone();
            listed.into_iter().filter(|order| is_carried(&order)).map(without_lsns).collect::<Vec<_>>()
        };
        assert!(!list(&to).is_empty(), "{name}");
        assert_eq!(list(&to), list(&from), "{name}");
    }
    // Days of which everything came have the same sums.
    for days in -3..0 {
        let totals = |data| json_of(&["period", "show", "day", &day(days)], data)["period"]["totals"].clone();
        assert_eq!(totals(&to), totals(&from), "{}", day(days));
    }
    verified(&to);

    // Again, nothing comes in twice; nor where it is from.
    assert_eq!(counts(import(&[], 16)), [0, 0, 22, 3]);
    let home = run(&["orders", "import", &orders, "--json", "--data-dir", &from]).ends_with(0);
    assert_eq!(counts(home), [0, 0, 25, 0]);
    // A refund that was given since comes with the next export.
    json_of(&["orders", "refund", "now", "--id", "R-9", "--part", "0.5"], &from);
    run(&["export", "--data-dir", &from, "-o", &members, "--orders", &orders]).ends_with(0);
    assert_eq!(counts(import(&[], 16)), [0, 1, 22, 3]);
    // What moved is exported as it was, and taken once more by a third.
    let (second, third) = (place.text("second.ndjson"), network(&place, "third", &members));
    run(&["export", "--data-dir", &to, "-o", &members, "--orders", &second]).ends_with(0);
    let all = run(&["orders", "import", &second, "--json", "--data-dir", &third]).ends_with(0);
    assert_eq!(counts(all), [22, 6, 0, 0]);
    assert_eq!(
        list_of(&third).into_iter().map(without_lsns).collect::<Vec<_>>(),
        list_of(&to).into_iter().map(without_lsns).collect::<Vec<_>>()
    );
    verified(&third);
}

/// The order that is changed, how, and the reason and words of the refusal.
type Change<'c> = (&'c str, &'c dyn Fn(&mut Value), &'c str, &'c str);

#[test]
fn what_would_be_another_order_is_refused_by_line() {
    let place = Place::new();
    let from = source(&place);
    let (members, orders) = (place.text("moved.csv"), place.text("moved.ndjson"));
    run(&["export", "--data-dir", &from, "-o", &members, "--orders", &orders]).ends_with(0);
    let written = std::fs::read_to_string(&orders).unwrap();
    let of = |id: &str| -> Value {
        let mut lines = written.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.find(|order| order["order_id"] == id).unwrap()
    };
    let to = network(&place, "to", &members);
    let refused = |order: Value, reason: &str, words: &str| {
        let file = place.file("one.ndjson", format!("\n{order}\n"));
        let ran = run(&["orders", "import", &file, "--json", "--data-dir", &to]).ends_with(10);
        assert_eq!(ran.json()["refused_by_reason"], json!({ reason: 1 }), "{}", ran.err);
        assert!(ran.err.contains("one.ndjson: line 2: "), "{}", ran.err);
        ran.says(words);
    };
    let edited = |id: &str, change: &dyn Fn(&mut Value)| {
        let mut order = of(id);
        change(&mut order);
        order
    };
    let changes: [Change<'_>; 9] = [
        ("O-5", &|order| order["booking"]["day"] = "2020-01-01".into(), "order_differs", "booking"),
        ("O-5", &|order| order["lines"][0]["volumes"]["cv"] = "9.9".into(), "order_differs", "lines"),
        ("O-5", &|order| order["left"]["amount"] = "1.00".into(), "order_differs", "left"),
        ("O-5", &|order| order["currency"] = "EUR".into(), "order_differs", "currency"),
        ("O-5", &|order| order["kind"] = "gift".into(), "order_kind_unknown", "kind"),
        ("O-5", &|order| order["credits"][0]["user_id"] = json!(null), "field_invalid", "credits"),
        ("O-5", &|order| _ = order.as_object_mut().unwrap().remove("lsn"), "body_malformed", "lsn"),
        ("O-3", &|order| order["refunds"][1]["refund_id"] = "R-1".into(), "order_id_taken", "refunds"),
        ("O-3", &|order| order["refunds"][2]["lines"][0]["part"] = "0.6".into(), "refund_too_large", "409"),
    ];
    for (id, change, reason, words) in changes {
        refused(edited(id, change), reason, words);
    }
    let file = place.file("whole.ndjson", of("O-5").to_string());
    run(&["orders", "import", &file, "--data-dir", &to]).ends_with(0);
    // An order that is there with other content, and one whose refund has its id.
    refused(edited("O-5", &|order| order["customer"] = "C-9".into()), "order_id_taken", "customer");
    refused(
        edited("O-3", &|order| order["refunds"][0]["refund_id"] = "O-5".into()),
        "order_id_taken",
        "refunds",
    );
    assert_eq!(ids(&list_of(&to)), ["O-5"]);
    // On a server nothing tells before what would come of it.
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &to]));
    let url = format!("http://{}", server.address);
    let ran = run(&["orders", "import", &orders, "--json", "--url", &url]).ends_with(10);
    assert_eq!(ran.json()["refused_by_reason"], json!({"order_exported": 25}));
    server.signal("TERM");
    server.end().ends_with(0);
}
