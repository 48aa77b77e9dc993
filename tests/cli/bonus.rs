//! `upline bonus`: the list, and every change, in a directory and by a server.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{Place, Ran, Server, command, run, verified};

/// The id of no bonus.
const NO_BONUS: &str = "00000000-0000-4000-8000-000000000099";

/// Makes a network with some referral bonuses.
fn network(place: &Place) -> String {
    let data = place.text("data");
    run(["demo", "--members", "20", "--data-dir", &data, "--no-serve"]).ends_with(0);
    data
}

fn ids(listed: &Value) -> Vec<String> {
    let bonuses = listed["bonuses"].as_array().unwrap();
    bonuses.iter().map(|bonus| bonus["id"].as_str().unwrap().to_owned()).collect()
}

fn list(from: [&str; 2], more: &[&str]) -> Value {
    run(["bonus", "list", "--json"].iter().chain(&from).chain(more)).ends_with(0).json()
}

/// Every change, allowed and refused: what is done to which bonus, the exit code, and what is said.
const CHANGES: [(&str, usize, i32, &str); 15] = [
    ("hold", 0, 0, "is held"),
    ("hold", 0, 0, "is held"),
    ("release", 0, 0, "is pending"),
    ("release", 0, 0, "is pending"),
    ("hold", 0, 0, "is held"),
    ("void", 0, 0, "is void"),
    ("void", 0, 0, "is void"),
    ("hold", 0, 13, "The state of this bonus does not allow it (409 entry_change_not_allowed)"),
    ("release", 0, 13, "The state of this bonus does not allow it (409 entry_change_not_allowed)"),
    ("reverse", 0, 13, "The state of this bonus does not allow it (409 entry_change_not_allowed)"),
    ("void", 1, 0, "is void"),
    ("reverse", 2, 0, "is taken back by"),
    ("reverse", 2, 13, "This bonus was reversed before (409 reversed_before)"),
    ("hold", 2, 0, "is held"),
    ("hold", 3, 0, "is held"),
];

fn change(change: &str, id: &str, from: [&str; 2], more: &[&str]) -> Ran {
    let reason: &[&str] = if change == "reverse" { &[] } else { &["--reason", "under review"] };
    run(["bonus", change, id].iter().chain(&from).chain(reason).chain(more))
}

/// Copies a directory: ids of bonuses are the same in both.
fn copy(place: &Place, from: &str) -> String {
    let to = place.text("copy");
    assert!(Command::new("cp").args(["-r", from, &to]).status().unwrap().success());
    to
}

#[test]
fn a_server_and_its_directory_change_bonuses_alike() {
    let place = Place::new();
    let data = network(&place);
    let twin = copy(&place, &data);
    let bonuses = ids(&list(["--data-dir", &data], &[]));
    assert!(4 <= bonuses.len(), "{bonuses:?}");
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &twin]));
    let url = format!("http://{}", server.address);
    for (what, bonus, code, said) in CHANGES {
        let id = &bonuses[bonus];
        let of_directory = change(what, id, ["--data-dir", &data], &[]).ends_with(code);
        let of_server = change(what, id, ["--url", &url], &[]).ends_with(code);
        assert_eq!(of_directory.out, of_server.out, "{what} {bonus}");
        assert_eq!(
            of_server.err.replace(&format!("{url} says no: "), ""),
            of_directory.err,
            "{what} {bonus}"
        );
        let told = of_directory.out + &of_directory.err;
        assert!(told.contains(said), "{what} {bonus}: {told}");
    }
    // What is refused is not in the log, so both are at the same LSN; the times differ.
    let without_times = |mut listed: Value| {
        for bonus in listed["bonuses"].as_array_mut().unwrap() {
            bonus["time"].take();
        }
        listed
    };
    let members = run(["export", "--data-dir", &data]).ends_with(0).out;
    let receiver = members.lines().nth(1).unwrap().split(',').next().unwrap();
    let lists: [&[&str]; 6] = [
        &[],
        &["--status", "void"],
        &["--status", "held"],
        &["--limit", "3"],
        &["--member", receiver],
        &["--member", receiver, "--status", "pending", "--limit", "2"],
    ];
    for more in lists {
        let of_directory = without_times(list(["--data-dir", &data], more));
        assert_eq!(without_times(list(["--url", &url], more)), of_directory, "{more:?}");
    }
    let void = list(["--data-dir", &data], &["--status", "void"]);
    assert_eq!(ids(&void), [bonuses[0].clone(), bonuses[1].clone()]);
    // The newest bonus is the reversal, which is never reversed itself.
    let newest = list(["--data-dir", &data], &["--limit", "1"]);
    let (reversal, newest) = (&ids(&newest)[0], &newest["bonuses"][0]);
    assert_eq!(newest["reverses"], bonuses[2].as_str());
    assert!(newest["amount"]["minor"].as_i64().unwrap() < 0, "{newest}");
    for from in [["--data-dir", &data], ["--url", &url]] {
        change("reverse", reversal, from, &[])
            .ends_with(13)
            .says("A reversal cannot be reversed (409 entry_is_reversal)");
        // With what it takes back.
        change("void", reversal, from, &[]).ends_with(0);
        change("release", &bonuses[2], from, &[]).ends_with(13).says("(409 entry_change_not_allowed)");
        change("hold", NO_BONUS, from, &[]).ends_with(11).says("There is no such bonus (404 entry_unknown)");
        change("reverse", NO_BONUS, from, &[]).ends_with(11).says("There is no such bonus");
        run(["bonus", "list", "--member", "nobody"].iter().chain(&from))
            .ends_with(11)
            .says("member nobody is not known");
        let text = run(["bonus", "list", "--status", "paid"].iter().chain(&from)).ends_with(0).out;
        assert_eq!(text, "no bonuses\n");
    }
    server.signal("TERM");
    server.end().ends_with(0);
    verified(&twin);
    verified(&data);
}

#[test]
fn a_change_is_told_as_an_object_and_logged_with_its_user_and_reason() {
    let place = Place::new();
    let data = network(&place);
    let from = ["--data-dir", data.as_str()];
    let listed = list(from, &["--limit", "2"]);
    let bonuses = ids(&listed);
    let lsn = listed["lsn"].as_u64().unwrap();
    let held = change("hold", &bonuses[0], from, &["--json"]).ends_with(0).json();
    assert_eq!(held["command"], "bonus hold");
    assert_eq!((&held["lsn"], &held["bonus"]["status"]), (&(lsn + 1).into(), &"held".into()));
    let taken_back = change("reverse", &bonuses[1].to_uppercase(), from, &["--json"]).ends_with(0).json();
    assert_eq!((&taken_back["command"], &taken_back["lsn"]), (&"bonus reverse".into(), &(lsn + 2).into()));
    assert_eq!(taken_back["reversal"]["reverses"], bonuses[1].as_str());
    let listed = list(from, &["--limit", "3"]);
    assert_eq!(listed["bonuses"][0], taken_back["reversal"]);
    assert_eq!(listed["bonuses"][1], held["bonus"]);
    assert_eq!(listed["bonuses"][2]["reversed_by"], taken_back["reversal"]["id"]);
    let log = run(["inspect", "log", "--from", &(lsn + 1).to_string(), "--data-dir", &data]).ends_with(0).out;
    let command = log.lines().find(|line| line.contains("\"change_bonus\"")).expect("it is logged");
    assert!(command.contains("\"kind\":\"cli\"") && command.contains("\"under review\""), "{command}");
    // A member shows the same bonuses.
    let receiver = held["bonus"]["receiver"].as_str().unwrap();
    let member = run(["member", receiver, "--json", "--data-dir", &data]).ends_with(0).json();
    assert!(member["bonuses"].as_array().unwrap().contains(&held["bonus"]), "{member}");
}

#[test]
fn what_cannot_be_a_change_is_refused_before_anything_is_written() {
    let place = Place::new();
    let data = network(&place);
    let before = verified(&data);
    let id = ids(&list(["--data-dir", &data], &["--limit", "1"]))[0].clone();
    let long = "x".repeat(201);
    let table: [(&[&str], i32, &str); 13] = [
        (&["hold", "not-an-id", "--reason", "r"], 2, "not-an-id"),
        (&["hold", &id], 2, "--reason"),
        (&["void", &id, "--reason", ""], 2, "1 to 200 printable characters"),
        (&["release", &id, "--reason", " blank"], 2, "1 to 200 printable characters"),
        (&["hold", &id, "--reason", "two\nlines"], 2, "1 to 200 printable characters"),
        (&["hold", &id, "--reason", &long], 2, "1 to 200 printable characters"),
        (&["reverse", &id, "--reason", "r"], 2, "--reason"),
        (&["reverse", &id, "--url", "http://127.0.0.1:1"], 2, "--url"),
        (&["reverse", "--accept-clock"], 2, "<ID>"),
        (&["list", "--status", "gone"], 2, "possible values: pending, paid, held, void"),
        (&["list", "--limit", "0"], 2, "--limit"),
        (&["list", "--limit", "1001"], 2, "--limit"),
        (&[], 2, "list"),
    ];
    for (arguments, code, said) in table {
        let directory: &[&str] = if arguments.is_empty() { &[] } else { &["--data-dir", &data] };
        run(["bonus"].iter().chain(arguments).chain(directory)).ends_with(code).says(said);
    }
    let nowhere = place.text("nowhere");
    change("void", &id, ["--data-dir", &nowhere], &[]).ends_with(7);
    run(["bonus", "list", "--data-dir", &nowhere]).ends_with(7);
    assert!(!Path::new(&nowhere).exists(), "it makes no directory");
    change("void", &id, ["--url", "http://127.0.0.1:1"], &[]).ends_with(12).says("cannot reach");
    change("void", &id, ["--url", "http://127.0.0.1:1"], &["--accept-clock"]).ends_with(2);
    let after = verified(&data);
    assert_eq!((&after["lsn"], &after["digest"]), (&before["lsn"], &before["digest"]));
}

#[test]
fn a_directory_that_a_server_holds_is_changed_through_it() {
    let place = Place::new();
    let data = network(&place);
    let id = ids(&list(["--data-dir", &data], &["--limit", "1"]))[0].clone();
    let key = |role: &str| {
        let made = ["keys", "create", "--name", role, "--role", role, "--data-dir", &data];
        place.file(&format!("{role}.key"), run(made).ends_with(0).out)
    };
    let (auditor, admin) = (key("auditor"), key("admin"));
    let server = Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]));
    let url = format!("http://{}", server.address);
    for what in ["hold", "release", "void", "reverse"] {
        change(what, &id, ["--data-dir", &data], &[]).ends_with(4).says("--url http://127.0.0.1:8000");
    }
    run(["bonus", "list", "--data-dir", &data]).ends_with(4).says("--url http://127.0.0.1:8000");
    change("hold", &id, ["--url", &url], &[]).ends_with(13).says("unauthenticated");
    change("hold", &id, ["--url", &url], &["--key-file", &auditor]).ends_with(13).says("403 forbidden");
    change("hold", &id, ["--url", &url], &["--key-file", &admin]).ends_with(0);
    // What was answered is durable.
    server.signal("KILL");
    server.end();
    assert_eq!(ids(&list(["--data-dir", &data], &["--status", "held"])), [&*id]);
    change("release", &id, ["--data-dir", &data], &[]).ends_with(0);
    assert_eq!(ids(&list(["--data-dir", &data], &["--status", "held"])), Vec::<String>::new());
    verified(&data);
}

/// Other systems know a bonus by the id that it had in the replaced one.
#[test]
fn an_imported_bonus_has_the_id_that_it_came_with() {
    let place = Place::new();
    let data = place.text("data");
    let id = "33333333-0000-4000-8000-000000000003";
    let members =
        place.file("members.csv", "member,sponsor,joined_at\nanna,,2025-01-01\nbert,anna,2025-01-02\n");
    let rows = format!(
        "id,receiver,source,level,amount,kind,status,created_at\n\
         {id},anna,bert,1,10.00,referral,pending,2025-01-02\n"
    );
    let bonuses = place.file("bonuses.csv", rows);
    run(["import", &members, "--bonuses", &bonuses, "--data-dir", &data]).ends_with(0);
    let from = ["--data-dir", data.as_str()];
    assert_eq!(ids(&list(from, &["--member", "anna"])), [id]);
    let member = run(["member", "anna", "--json", "--data-dir", &data]).ends_with(0).json();
    assert_eq!(member["bonuses"][0]["id"], id);
    assert_eq!(change("hold", id, from, &["--json"]).ends_with(0).json()["bonus"]["id"], id);
    assert_eq!(list(from, &["--member", "bert"])["bonuses"], serde_json::json!([]));
}
