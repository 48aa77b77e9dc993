//! `upline opening`: imports what members bring from before the first period, all or nothing, and shows it.

use serde_json::{Value, json};

use crate::{
    common::Server,
    support::{Place, Ran, command, run},
};

/// Asserts a part of standard output.
#[track_caller]
fn prints(ran: Ran, part: &str) -> Ran {
    assert!(ran.out.contains(part), "`{part}` is not in standard output:\n{}", ran.out);
    ran
}

fn json_of(arguments: &[&str], from: [&str; 2]) -> Value {
    run(arguments.iter().chain(&from).chain(&["--json"])).ends_with(0).json()
}

const PLAN: &str = "name = \"opening\"\n\
    currency = { code = \"USD\", exponent = 2 }\n\
    placement = { width = 0, rule = \"unilevel\" }\n\
    ladder = { live = { rule = \"thresholds\" } }\n\
    [calendar.month]\nevery = \"month\"\ntimezone = \"America/New_York\"\n\
    grace = \"3 days\"\nfirst = \"2024-01-01\"\n\
    [volume.pv]\nexponent = 2\n\
    [answers]\nrefund_lowers_volume = \"yes\"\n";

const MEMBERS: &str = "member,sponsor,joined_at\nanna,,2023-01-02\nbert,anna,2023-01-03\n";

/// Not in the order in which they are kept.
const ROWS: &str = "kind,member,name,text,calendar,position,since,value\n\
    balance,bert,,,,,,12.50\n\
    carry,anna,binary,,,right,2023-11-01,8\n\
    carry,anna,binary,,,left,,310.50\n\
    lifetime,anna,PV,,,,,12000.250\n\
    last_n,anna,PV,,month,1,,100\n\
    last_n,anna,PV,,,2,,-5\n\
    rank,anna,title,Silver Executive,,,2022-05-01,\n\
    held,anna,title,Silver Executive,,,,1-3 5\n\
    once,anna,fast-start,Silver Executive,,,,\n\
    bank,bert,tokens,,,2,,-40\n\
    escrow,bert,match,,,,2023-10-01,7.25\n\
    frozen,bert,sponsor_rank,Gold,,,,\n\
    debt,bert,shop,,,,,3\n";

/// Makes a network of two members.
fn network(place: &Place) -> String {
    let data = place.text("data");
    let (plan, members) = (place.file("plan.toml", PLAN), place.file("members.csv", MEMBERS));
    run(["import", &members, "--plan", &plan, "--data-dir", &data]).ends_with(0);
    data
}

#[test]
fn an_opening_state_is_imported_once_and_shown() {
    let place = Place::new();
    let (data, rows) = (network(&place), place.file("rows.csv", ROWS));
    let from = ["--data-dir", &data];
    let totals = place.file("totals.csv", "kind,name,position,rows,sum\ncarry,,,2,318.5\nlast_n,PV,2,,-5\n");
    let tried = json_of(&["opening", "import", &rows, "--check"], from);
    assert_eq!((&tried["imported"], &tried["rows"]), (&json!(false), &json!(13)));
    assert_eq!(json_of(&["opening", "show"], from)["opening"]["rows"], 0);
    let import = ["opening", "import", &rows, "--totals", &totals, "--total", "balance=1:12.5"];
    let taken = json_of(&import, from);
    assert_eq!(
        (&taken["imported"], &taken["rows"], &taken["digest"]),
        (&json!(true), &json!(13), &tried["digest"])
    );
    assert_eq!((&taken["differences"], &taken["totals_not_compared"]), (&json!([]), &json!(10 - 3 + 2)));
    // The same again, in another order and form, is nothing to do.
    let again = json_of(&["opening", "import", &rows], from);
    assert_eq!(
        (&again["imported"], &again["rows"], &again["rows_already_there"]),
        (&json!(false), &json!(0), &json!(13))
    );
    assert_eq!((&again["digest"], &again["totals"]), (&taken["digest"], &taken["totals"]));
    prints(
        run(["opening", "import", &rows, "--data-dir", &data]).ends_with(0),
        "nothing to import, 13 already there",
    );

    let shown = json_of(&["opening", "show"], from)["opening"].clone();
    assert_eq!(
        (&shown["closed"]["digest"], &shown["closed"]["by"]["kind"]),
        (&taken["digest"], &json!("cli"))
    );
    assert_eq!(shown["totals"], taken["totals"]);
    let bert = json_of(&["opening", "show", "--member", "bert"], from)["opening"].clone();
    let row = |kind: &str, name: Value, text: Value, position: Value, since: Value, value: Value| {
        json!({
            "kind": kind, "name": name, "text": text, "calendar": null, "position": position,
            "since": since, "value": value,
        })
    };
    let none = Value::Null;
    let expected = json!([
        row("bank", json!("tokens"), none.clone(), json!(2), none.clone(), json!("-40")),
        row(
            "escrow",
            json!("match"),
            none.clone(),
            none.clone(),
            json!("2023-10-01T00:00:00.000000Z"),
            json!("7.25")
        ),
        row("frozen", json!("sponsor_rank"), json!("Gold"), none.clone(), none.clone(), none.clone()),
        row("balance", none.clone(), none.clone(), none.clone(), none.clone(), json!("12.5")),
        row("debt", json!("shop"), none.clone(), none.clone(), none.clone(), json!("3")),
    ]);
    assert_eq!(bert["rows"], expected);
    prints(run(["opening", "show", "--member", "anna", "--data-dir", &data]).ends_with(0), "1-3 5");
    prints(run(["opening", "show", "--data-dir", &data]).ends_with(0), "13 rows, closed ");
    run(["verify", "--data-dir", &data]).ends_with(0);
    prints(run(["inspect", "log", "--data-dir", &data]).ends_with(0), "close_opening");

    // A server reads the same, also of the past.
    let server = Server::start(std::path::Path::new(&data), &[]);
    let url = format!("http://{}", server.address);
    let at = ["--url", url.as_str()];
    assert_eq!(json_of(&["opening", "show"], at)["opening"], shown);
    assert_eq!(json_of(&["opening", "show", "--member", "bert"], at)["opening"], bert);
    // Commands 1 and 2 brought the members.
    for (lsn, rows) in [(2, 0), (3, 13)] {
        let past = server.get(&format!("/v1/opening?as_of={lsn}")).json();
        assert_eq!((&past["rows"], &past["closed"]), (&json!(rows), &Value::Null));
    }
    let audit = server.get("/v1/audit");
    let audit = audit.text();
    assert!(audit.contains("add_opening") && audit.contains("close_opening"), "{audit}");
}

#[test]
fn refusals_name_their_lines_and_leave_nothing() {
    let place = Place::new();
    let data = network(&place);
    let bad = "kind,member,name,text,calendar,position,since,value\n\
        lifetime,anna,PV,,,,,12\n\
        lifetime,nobody,PV,,,,,12\n\
        lifespan,anna,PV,,,,,12\n\
        lifetime,bert,PV,,,,,12 points\n\
        balance,bert,,,,,,1.005\n\
        balance,bert,,,,,,-1\n\
        rank,bert,title,Silver,,,,\n\
        rank,bert,title,Silver,,,2999-01-01,\n\
        last_n,bert,PV,,week,1,,1\n\
        carry,bert,binary,,,,,1\n\
        held,bert,title,Silver,,,,0\n\
        lifetime,anna,PV,,,,,13\n\
        once,anna,x\n";
    let rows = place.file("bad.csv", bad);
    let ran = run(["opening", "import", &rows, "--data-dir", &data, "--json"]).ends_with(10);
    let expected = [
        "line 3: member nobody is not known",
        "line 4: kind `lifespan` is none of lifetime, last_n, ",
        "line 5: value `12 points` is not a decimal",
        "line 6: value has more decimals than the 2 of the currency",
        "line 7: value must not be negative",
        "line 8: since is missing: `rank` needs it",
        "line 9: since `2999-01-01` is yet to come",
        "line 10: the plan has no calendar week",
        "line 11: position is missing: it says which leg",
        "line 12: value `0` is not a list of periods",
        "line 13: line 2 says something else of the same",
        "line 14: ",
        "12 rows were refused, so nothing was imported",
    ];
    let ran = expected.into_iter().fold(ran, Ran::says);
    let object = ran.json();
    assert_eq!((&object["rows_refused"], &object["digest"]), (&json!(12), &Value::Null));
    let from = ["--data-dir", data.as_str()];
    assert_eq!(json_of(&["opening", "show"], from)["opening"]["rows"], 0);

    // Totals that are not as expected.
    let rows = place.file("rows.csv", ROWS);
    let ran = run(["opening", "import", &rows, "--total", "balance=2:13", "--data-dir", &data]).ends_with(10);
    let ran = prints(prints(ran, "not as expected"), "-0.5");
    ran.says("the totals are not those that were expected, so nothing was imported");
    assert_eq!(json_of(&["opening", "show"], from)["opening"]["rows"], 0);

    // Other rows than those that were imported.
    run(["opening", "import", &rows, "--data-dir", &data]).ends_with(0);
    let other = place.file("other.csv", ROWS.replace("12.50", "12.75"));
    let ran = run(["opening", "import", &other, "--data-dir", &data]).ends_with(10);
    ran.says("other.csv: line 2: the opening state says something else of the same");
    let more = place.file("more.csv", format!("{ROWS}debt,bert,tax,,,,,3\n"));
    run(["opening", "import", &more, "--data-dir", &data]).ends_with(13).says("(409 opening_closed)");
    let fewer = place.file("fewer.csv", &ROWS[..ROWS.find("debt").unwrap()]);
    let ran = run(["opening", "import", &fewer, "--data-dir", &data]).ends_with(10);
    ran.says("the opening state has 1 row that the files lack");
}

#[test]
fn an_export_brings_the_same_opening_state() {
    let place = Place::new();
    let (data, rows) = (network(&place), place.file("rows.csv", ROWS));
    let digest = json_of(&["opening", "import", &rows], ["--data-dir", &data])["digest"].clone();
    for format in ["csv", "ndjson"] {
        let (members, opening) = (place.text(&format!("m.{format}")), place.text(&format!("o.{format}")));
        let (copy, plan) = (place.text(&format!("copy-{format}")), place.file("plan.toml", PLAN));
        let export = ["export", "--format", format, "--output", &members, "--opening", &opening];
        assert_eq!(json_of(&export, ["--data-dir", &data])["opening"], 13);
        run(["import", &members, "--plan", &plan, "--data-dir", &copy]).ends_with(0);
        let taken = json_of(&["opening", "import", &opening], ["--data-dir", &copy]);
        assert_eq!((&taken["rows"], &taken["digest"]), (&json!(13), &digest), "{format}");
    }
}

#[test]
fn periods_may_be_open_but_none_may_have_been_locked() {
    let place = Place::new();
    let (data, rows) = (network(&place), place.file("rows.csv", ROWS));
    // A server that ran has opened them.
    let server = Server::start(std::path::Path::new(&data), &[]);
    server.terminate();
    assert!(server.wait().success());
    assert_eq!(json_of(&["period", "list"], ["--data-dir", &data])["periods"][0]["state"], "open");
    let ran = run(["opening", "import", &rows, "--check", "--data-dir", &data]).ends_with(0);
    prints(ran, "would import 13 rows");
    run(["period", "lock", "month", "2024-01", "--data-dir", &data]).ends_with(0);
    run(["opening", "import", &rows, "--data-dir", &data]).ends_with(13).says("(409 opening_too_late)");
}

/// Whenever the program is killed, all rows are there or none, and the same files complete it.
#[test]
fn a_killed_import_leaves_all_or_nothing() {
    let place = Place::new();
    let data = network(&place);
    let from = ["--data-dir", data.as_str()];
    let mut text = "kind,member,name,text\n".to_owned();
    (0..900).for_each(|key| text += &format!("once,anna,fast-start,key-{key}\n"));
    let rows = place.file("rows.csv", &text);
    let digest = json_of(&["opening", "import", &rows, "--check"], from)["digest"].clone();
    for pause in 0..12 {
        let mut child =
            command(["opening", "import", &rows, "--data-dir", &data]).spawn().expect("it starts");
        std::thread::sleep(std::time::Duration::from_millis(3 * pause));
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        let shown = json_of(&["opening", "show"], from)["opening"].clone();
        let (count, closed) = (shown["rows"].as_u64().unwrap(), &shown["closed"]);
        assert!((count == 0 && closed.is_null()) || (count == 900 && closed["digest"] == digest), "{shown}");
    }
    assert_eq!(json_of(&["opening", "import", &rows], from)["digest"], digest);
    assert_eq!(json_of(&["opening", "show"], from)["opening"]["closed"]["digest"], digest);
    run(["verify", "--data-dir", &data]).ends_with(0);
}
