//! `upline member attributes`: in a directory and by a server.

use serde_json::{Value, json};

use crate::support::{Place, Ran, Server, command, run, verified};

const PLAN: &str = "name = \"attributes\"\n\
    currency = { code = \"USD\", exponent = 2 }\n\
    placement = { width = 0, rule = \"unilevel\" }\n\
    ladder = { live = { rule = \"thresholds\" } }\n\
    [attributes]\nmarket = [\"us\", \"ca\"]\nowner = true\ntags = [\"founder\", \"fee_paid\"]\n";

const MEMBERS: &str = "member,sponsor,joined_at\nanna,,2024-01-02\nbert,anna,2024-01-03\n";

fn attributes(arguments: &[&str], from: [&str; 2]) -> Ran {
    run(["member", "attributes"].iter().chain(arguments).chain(&from).chain(&["--json"]))
}

#[test]
fn attributes_are_shown_and_set_in_a_directory_and_by_a_server() {
    let place = Place::new();
    let data = place.text("data");
    let (plan, members) = (place.file("plan.toml", PLAN), place.file("members.csv", MEMBERS));
    run(["import", &members, "--plan", &plan, "--data-dir", &data]).ends_with(0);
    let from = ["--data-dir", data.as_str()];
    let shown = |from: [&str; 2]| attributes(&["bert"], from).ends_with(0).json()["attributes"].take();
    let bare = shown(from);
    assert_eq!(
        (&bare["market"], &bare["owner"], &bare["tags"]),
        (&json!(null), &bare["user_id"], &json!([]))
    );
    let anna = attributes(&["anna"], from).ends_with(0).json()["attributes"]["user_id"].take();

    let set = ["bert", "--set", "market=us", "--set", "owner=anna", "--set", "founder"];
    let bounded = ["--set", "fee_paid=/2020-01-01T00:00:00Z"];
    let ran = attributes(&[&set[..], &bounded].concat(), from).ends_with(0).json();
    assert_eq!(ran["changed"], true);
    let founder = json!({"name": "founder", "from": null, "until": null, "holds": true});
    let paid =
        json!({"name": "fee_paid", "from": null, "until": "2020-01-01T00:00:00.000000Z", "holds": false});
    let expected = json!({
        "user_id": bare["user_id"], "market": "us", "owner": anna, "tags": [founder, paid],
    });
    assert_eq!((&ran["attributes"], &shown(from)), (&expected, &expected));
    assert_eq!(attributes(&set, from).ends_with(0).json()["changed"], false);
    let words = run(["member", "attributes", "bert"].iter().chain(&from)).ends_with(0);
    assert!(["market", "us", "founder"].iter().all(|word| words.out.contains(word)), "{}", words.out);

    // arguments, exit code, what it says
    let table: [(&[&str], i32, &str); 8] = [
        (&["nobody"], 11, "member nobody is not known"),
        (&["bert", "--set", "owner=nobody"], 11, "member nobody is not known"),
        (&["bert", "--set", "market=mars"], 13, "(422 market_unknown)"),
        (&["bert", "--set", "vip"], 13, "(422 attribute_unknown)"),
        (&["bert", "--set", "market="], 2, "--unset market takes it away"),
        (&["bert", "--set", "market=us", "--unset", "market"], 2, "market is there twice"),
        (&["bert", "--effective", "2026-01-01T00:00:00Z"], 2, "--effective goes with"),
        (&["bert", "--unset", "founder", "--effective", "soon"], 13, "(400 body_malformed)"),
    ];
    for (arguments, code, says) in table {
        attributes(arguments, from).ends_with(code).says(says);
    }
    assert_eq!(shown(from), expected);
    verified(&data);

    let mut serve = command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]);
    let server = Server::start(&mut serve);
    let url = format!("http://{}", server.address);
    let at = ["--url", url.as_str()];
    assert_eq!(shown(at), expected);
    let taken = ["bert", "--unset", "owner", "--unset", "founder", "--set", "market=ca"];
    let ran = attributes(&taken, at).ends_with(0).json();
    let expected =
        json!({"user_id": bare["user_id"], "market": "ca", "owner": bare["user_id"], "tags": [paid]});
    assert_eq!((&ran["changed"], &ran["attributes"]), (&json!(true), &expected));
    assert_eq!(attributes(&["anna", "--set", "owner=bert"], at).ends_with(0).json()["changed"], true);
    for (arguments, code, says) in [
        (&["nobody"][..], 11, "member nobody is not known"),
        (&["bert", "--set", "market=mars"], 13, "(422 market_unknown)"),
        (&["bert", "--unset", "founder", "--effective", "soon"], 13, "(422 field_invalid)"),
    ] {
        attributes(arguments, at).ends_with(code).says(says);
    }
    server.signal("TERM");
    server.end().ends_with(0);
    let after: Value = shown(from);
    assert_eq!(after, expected);
    // The command that shows the rest of a member is as it was.
    let whole = run(["member", "bert", "--json"].iter().chain(&from)).ends_with(0).json();
    assert_eq!(whole["member"]["user_id"], bare["user_id"]);
}
