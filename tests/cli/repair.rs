//! `upline repair` on directories with damage, through the real binary.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Place, Server, command, run, verified};

const MEMBERS: u64 = 12;

/// Makes a directory with signups only in its log, by a server that was killed.
fn with_log(place: &Place) -> String {
    let data = place.text("data");
    let server = serving(&data);
    for number in 0..MEMBERS {
        let body = json!({"user_id": format!("6f1f6d1e-0000-4000-8000-{number:012}")});
        assert_eq!(server.request("POST", "/user/register", &body.to_string()).0, 200);
    }
    server.signal("KILL");
    _ = server.end();
    data
}

fn serving(data: &str) -> Server {
    Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", data]))
}

fn segment(data: &str) -> PathBuf {
    Path::new(data).join("log/00000000000000000001.log")
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_log_is_refused_looked_at_repaired_when_told_so_and_served() {
    let place = Place::new();
    let data = with_log(&place);
    run(["repair", "--data-dir", &data]).ends_with(0);
    flip(&segment(&data), 1_100);
    let damaged = std::fs::read(segment(&data)).unwrap();
    for command in [&["verify"][..], &["serve", "--addr", "127.0.0.1:0"]] {
        let way_out = format!("upline repair --data-dir {data}");
        run(command.iter().copied().chain(["--data-dir", &data]))
            .ends_with(5)
            .says("00000000000000000001.log is damaged at byte")
            .says("(LSN ")
            .says(&way_out);
    }
    let look =
        run(["repair", "--data-dir", &data, "--json"]).ends_with(15).says("--drop-acknowledged-after").json();
    let good = look["last_good_lsn"].as_u64().unwrap();
    let dropped = look["dropped_commands"].as_u64().unwrap();
    assert!(0 < good && 0 < dropped && good + dropped < MEMBERS, "{look}");
    assert_eq!(look["dropped_last_lsn"], MEMBERS);
    // Neither without the LSN nor with another one.
    run(["repair", "--data-dir", &data, "--apply"]).ends_with(15);
    for wrong in [good - 1, good + 1] {
        run(["repair", "--data-dir", &data, "--drop-acknowledged-after", &wrong.to_string()])
            .ends_with(2)
            .says("nothing was changed");
    }
    assert_eq!(std::fs::read(segment(&data)).unwrap(), damaged);
    let done = run(["repair", "--data-dir", &data, "--drop-acknowledged-after", &good.to_string(), "--json"])
        .ends_with(0)
        .json();
    let kept_in = PathBuf::from(done["kept_in"].as_str().unwrap());
    assert_eq!(std::fs::read(kept_in.join("log/00000000000000000001.log")).unwrap(), damaged);
    let lines = std::fs::read_to_string(kept_in.join("dropped.ndjson")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len() as u64, dropped);
    assert_eq!(
        lines.last().unwrap()["command"]["user_id"],
        format!("6f1f6d1e-0000-4000-8000-{:012}", MEMBERS - 1)
    );
    let report: Value = serde_json::from_slice(&std::fs::read(kept_in.join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["finished"], &report["last_good_lsn"]), (&true.into(), &good.into()));
    let files = report["files"].as_array().unwrap();
    let noted = files
        .iter()
        .find(|file| file["file"].as_str().unwrap().ends_with("/log/00000000000000000001.log"))
        .unwrap_or_else(|| panic!("{report}"));
    assert_eq!(noted["blake3"], blake3::hash(&damaged).to_hex().as_str());
    run(["repair", "--data-dir", &data]).ends_with(0);
    assert_eq!(verified(&data)["members"], good);
    let server = serving(&data);
    let body = r#"{"user_id":"6f1f6d1e-0000-4000-8000-999999999999","parent_id":"6f1f6d1e-0000-4000-8000-000000000000"}"#;
    assert_eq!(server.request("POST", "/user/register", body).0, 200);
    server.signal("TERM");
    server.end().ends_with(0);
    assert_eq!(verified(&data)["members"], good + 1);
}

#[test]
fn what_loses_nothing_is_repaired_by_apply() {
    let place = Place::new();
    let data = with_log(&place);
    flip(&segment(&data), 20);
    run(["verify", "--data-dir", &data]).ends_with(5);
    run(["repair", "--data-dir", &data]).ends_with(14).says("--apply");
    run(["repair", "--data-dir", &data, "--drop-acknowledged-after", "3"]).ends_with(2).says("--apply");
    run(["repair", "--data-dir", &data, "--apply"]).ends_with(0);
    assert_eq!(verified(&data)["members"], MEMBERS);
}

#[test]
fn what_is_beyond_repair_says_what_to_restore() {
    let place = Place::new();
    let data = with_log(&place);
    let file = Path::new(&data).join("instance");
    let whole = std::fs::read(&file).unwrap();
    flip(&file, 30);
    run(["serve", "--addr", "127.0.0.1:0", "--data-dir", &data]).ends_with(5).says("upline repair");
    run(["repair", "--data-dir", &data]).ends_with(5).says("`instance` of any backup");
    std::fs::write(&file, whole).unwrap();
    flip(&Path::new(&data).join("snapshots/00000000000000000000.snap"), 100);
    run(["repair", "--data-dir", &data]).ends_with(5).says("restore a backup");
    run(["repair", "--data-dir", &place.text("nowhere")]).ends_with(7);
}

/// The next start drops what such an import left: it was never acknowledged.
#[test]
fn a_killed_import_of_all_or_nothing_is_no_damage() {
    let place = Place::new();
    let data = with_log(&place);
    let cut = Path::new(&data).join("log/cut");
    for attempt in 0..20 {
        let rows = (0..60_000).fold("member,sponsor,joined_at\n".to_owned(), |rows, number| {
            rows + &format!("{attempt}-{number},,\n")
        });
        let file = place.file("rows.csv", rows);
        let mut child = command(["import", &file, "--strict", "--data-dir", &data])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while child.try_wait().unwrap().is_none() && !cut.exists() {
            std::thread::sleep(Duration::from_micros(200));
        }
        // It may have exited already.
        _ = child.kill();
        child.wait().unwrap();
        if cut.exists() {
            break;
        }
    }
    assert!(cut.exists(), "every import was done before it was killed");
    let ran = run(["repair", "--data-dir", &data, "--json"]).ends_with(0).says("a cut of the log");
    let look = ran.json();
    assert_eq!(
        (&look["verdict"], &look["problems"], &look["findings"]),
        (&"healthy".into(), &json!([]), &json!([]))
    );
    let found = verified(&data);
    assert_eq!((&found["lsn"], &found["pending_cut"]), (&look["last_good_lsn"], &look["pending_cut"]));
    let server = serving(&data);
    server.signal("TERM");
    server.end().ends_with(0);
    assert!(!cut.exists());
    let after = run(["repair", "--data-dir", &data, "--json"]).ends_with(0).json();
    assert_eq!((&after["pending_cut"], &after["last_good_lsn"]), (&Value::Null, &look["last_good_lsn"]));
}

/// Serves a directory, signs members up, and stops with a snapshot or is killed.
fn signed_up(data: &str, numbers: std::ops::Range<u64>, signal: &str) {
    let server = serving(data);
    for number in numbers {
        let body = json!({"user_id": format!("6f1f6d1e-0000-4000-8000-{number:012}")});
        assert_eq!(server.request("POST", "/user/register", &body.to_string()).0, 200);
    }
    server.signal(signal);
    _ = server.end();
}

fn copied(from: &str, to: String) -> String {
    let status = std::process::Command::new("cp").args(["-r", from, &to]).status().unwrap();
    assert!(status.success());
    to
}

/// A snapshot that reaches further than a whole log is of another history if it lacks members of the log: it
/// is moved aside, and nothing is lost. If it has them all, both ways are named.
#[test]
fn a_snapshot_beyond_the_log_never_replaces_it_unasked() {
    let place = Place::new();
    let origin = with_log(&place);
    let ours = copied(&origin, place.text("ours"));
    signed_up(&ours, 100..104, "KILL");
    let [later, theirs] = [(&ours, "later"), (&origin, "theirs")].map(|(from, name)| {
        let data = copied(from, place.text(name));
        signed_up(&data, 200..210, "TERM");
        let mut snapshots: Vec<PathBuf> = std::fs::read_dir(Path::new(&data).join("snapshots"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        snapshots.sort();
        snapshots.pop().unwrap()
    });
    for (name, snapshot) in [("foreign", &theirs), ("own", &later)] {
        let data = copied(&ours, place.text(name));
        std::fs::copy(snapshot, Path::new(&data).join("snapshots").join(snapshot.file_name().unwrap()))
            .unwrap();
        run(["verify", "--data-dir", &data]).ends_with(5).says("upline repair");
    }
    let data = place.text("foreign");
    let look = run(["repair", "--data-dir", &data, "--json"]).ends_with(14).json();
    assert_eq!((&look["last_good_lsn"], &look["others"]), (&json!(MEMBERS + 4), &json!([])));
    let name = theirs.file_name().unwrap().to_str().unwrap();
    assert!(look["steps"].to_string().contains(name), "{look}");
    run(["repair", "--data-dir", &data, "--apply"]).ends_with(0);
    assert_eq!(verified(&data)["members"], MEMBERS + 4);
    run(["repair", "--data-dir", &data]).ends_with(0);
    let data = place.text("own");
    let look = run(["repair", "--data-dir", &data, "--json"]).ends_with(15).json();
    assert_eq!((&look["last_good_lsn"], &look["dropped_commands"]), (&json!(MEMBERS + 4), &json!(0)));
    let other = &look["others"][0];
    assert_eq!(
        (&other["last_good_lsn"], &other["dropped_commands"]),
        (&json!(MEMBERS + 14), &json!(MEMBERS + 4))
    );
    for (after, dropped) in [(MEMBERS + 4, 0), (MEMBERS + 14, MEMBERS + 4)] {
        let data = copied(&data, place.text(&format!("own-{after}")));
        let done = ["repair", "--data-dir", &data, "--json", "--drop-acknowledged-after", &after.to_string()];
        let done = run(done).ends_with(0).json();
        let written =
            std::fs::read_to_string(Path::new(done["kept_in"].as_str().unwrap()).join("dropped.ndjson"));
        assert_eq!(written.unwrap().lines().count() as u64, dropped);
        assert_eq!(verified(&data)["members"], after);
        run(["repair", "--data-dir", &data]).ends_with(0);
    }
}
