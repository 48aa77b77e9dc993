//! Many members of realistic shape through the tool, as in a company's migration: a file is imported, the
//! network is served and queried, signups are acknowledged, the process is killed, a second start recovers,
//! and `upline verify` finds no fault. `UPLINE_MEMBERS` (100,000; the deep tier has a million) says how many.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use crate::{
    common::{Server, binary, registration, uuid},
    proof,
};

const MEMBERS: u64 = 100_000;
const SIGNUPS: u64 = 300;

/// Runs a subcommand that must succeed.
fn upline(arguments: &[&str], data_dir: &Path) -> Output {
    let ran = Command::new(binary())
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .output()
        .expect("the binary runs");
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    ran
}

/// Returns the object on the last line of a `--json` run.
fn object(ran: &Output) -> Value {
    let text = String::from_utf8_lossy(&ran.stdout);
    serde_json::from_str(text.lines().last().expect("a line")).expect("an object on the last line")
}

#[test]
fn many_members_are_imported_served_killed_recovered_and_verified() {
    let _turn = crate::common::turn();
    let members = proof::number("UPLINE_MEMBERS", MEMBERS);
    let place = crate::common::scratch();
    let (made, moved) = (place.path().join("made"), place.path().join("moved"));
    let file = place.path().join("members.csv");
    let file_text = file.to_str().expect("temporary paths are text");

    upline(
        &[
            "demo",
            "--no-serve",
            "--orders",
            "0",
            "--members",
            &members.to_string(),
            "--shape",
            "real",
            "--seed",
            "3",
        ],
        &made,
    );
    upline(&["export", "--output", file_text], &made);
    let imported = object(&upline(&["import", file_text, "--strict", "--json"], &moved));
    assert_eq!((&imported["members"], &imported["members_refused"]), (&members.into(), &0.into()));

    let exported = std::fs::read_to_string(&file).expect("export wrote it");
    let root = exported.lines().nth(1).and_then(|row| row.split(',').next()).expect("the root comes first");
    let server = Server::start(&moved, &[]);
    assert_eq!(server.get(&format!("/user/downline/{root}/count")).text(), (members - 1).to_string());
    let mut client = server.connect();
    let acknowledged: Vec<Value> = (0..SIGNUPS)
        .map(|number| {
            let reply = client.post("/user/register", &registration(&uuid(number), Some(root)));
            assert_eq!(reply.status, 200, "{}", reply.text());
            reply.json()
        })
        .collect();
    server.kill();

    let server = Server::start(&moved, &[]);
    let count = members - 1 + SIGNUPS;
    assert_eq!(server.get(&format!("/user/downline/{root}/count")).text(), count.to_string());
    for member in &acknowledged {
        let id = member["user_id"].as_str().expect("an id");
        let again = server.post("/user/register", &registration(id, Some(root)));
        assert_eq!(again.status, 400, "{id} was acknowledged, so it exists: {}", again.text());
    }
    assert_eq!(server.get("/user/downline/00000000-0000-4000-8000-ffffffffffff").text(), "[]");
    server.kill();

    let verified = object(&upline(&["verify", "--json"], &moved));
    assert_eq!((&verified["ok"], &verified["members"]), (&true.into(), &(count + 1).into()), "{verified}");
    let again = place.path().join("again.csv");
    upline(&["export", "--output", again.to_str().expect("temporary paths are text")], &moved);
    let rows = std::fs::read_to_string(&again).expect("export wrote it");
    for member in &acknowledged {
        let field = |name: &str| member[name].as_str().expect("text").to_owned();
        let start = format!("{},{root},{},", field("user_id"), field("parent_id"));
        let row = rows
            .lines()
            .rev()
            .find(|row| row.starts_with(&start))
            .unwrap_or_else(|| panic!("{start} is not in the export"));
        assert!(
            row.contains(&format!(",{},{}", member["level"], field("created_at"))),
            "{member} is now {row}"
        );
    }
}
