//! `upline inspect`: its output for good, torn and damaged files, and that it changes nothing.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Place, Ran, Server, command, run};

const ID: &str = "6f1f6d1e-0000-4000-8000-00000000000";

/// Makes a directory with some signups in its log, by a server that was killed.
fn with_log(place: &Place, name: &str) -> String {
    let data = place.text(name);
    let server = serving(&data);
    sign_up(&server, 0..4);
    killed(server);
    data
}

fn serving(data: &str) -> Server {
    Server::start(&mut command(["serve", "--addr", "127.0.0.1:0", "--data-dir", data]))
}

/// Kills the server, so that no snapshot is made and the log stays as it was.
fn killed(server: Server) {
    server.signal("KILL");
    _ = server.end();
}

fn stopped(server: Server) {
    server.signal("TERM");
    server.end().ends_with(0);
}

fn sign_up(server: &Server, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let sponsor = if number == 0 { Value::Null } else { json!(format!("{ID}0")) };
        let body = json!({"user_id": format!("{ID}{number}"), "parent_id": sponsor});
        let (status, answer) = server.request("POST", "/user/register", &body.to_string());
        assert!((200..300).contains(&status), "{status} {answer}");
    }
}

fn lines(ran: &Ran) -> Vec<Value> {
    ran.out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn of(lines: &[Value], what: &str) -> Vec<Value> {
    lines.iter().filter(|line| line["what"] == what).cloned().collect()
}

fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut left = vec![directory.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                files.push((path.clone(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn inspect_log(data: &str, code: i32) -> Vec<Value> {
    let before = content(Path::new(data));
    let ran = run(["inspect", "log", "--json", "--data-dir", data]).ends_with(code);
    assert!(content(Path::new(data)) == before, "looking changed something");
    // The text output reports the same without failing.
    run(["inspect", "log", "--data-dir", data]).ends_with(code);
    lines(&ran)
}

#[test]
fn the_log_is_shown_frame_by_frame_and_command_by_command() {
    let place = Place::new();
    let data = with_log(&place, "data");
    let shown = inspect_log(&data, 0);
    let commands = of(&shown, "command");
    let lsns: Vec<u64> = commands.iter().map(|command| command["lsn"].as_u64().unwrap()).collect();
    assert_eq!(lsns, [1, 2, 3, 4]);
    assert_eq!(commands[0]["command"]["kind"], "register");
    assert_eq!(commands[3]["command"]["sponsor"], json!({"user_id": format!("{ID}0")}));
    let frames = of(&shown, "frame");
    assert_eq!(frames[0]["offset"], 512);
    for pair in frames.windows(2) {
        let next = pair[0]["offset"].as_u64().unwrap() + pair[0]["bytes"].as_u64().unwrap();
        assert_eq!(pair[1]["offset"], next);
    }
    let ends = of(&shown, "end");
    assert_eq!((ends.len(), &ends[0]["verdict"], &ends[0]["next_lsn"]), (1, &json!("clean"), &json!(5)));
    let summary = &of(&shown, "summary")[0];
    assert_eq!(
        (&summary["ok"], &summary["commands"], &summary["last_lsn"]),
        (&json!(true), &json!(4), &json!(4))
    );
    let some = lines(
        &run(["inspect", "log", "--json", "--data-dir", &data, "--from", "2", "--to", "3"]).ends_with(0),
    );
    let lsns: Vec<u64> =
        of(&some, "command").iter().map(|command| command["lsn"].as_u64().unwrap()).collect();
    assert_eq!(lsns, [2, 3]);
}

#[test]
fn a_torn_end_is_told_from_damage() {
    let place = Place::new();
    let data = with_log(&place, "data");
    let shown = inspect_log(&data, 0);
    let log = Path::new(&data).join("log/00000000000000000001.log");
    let whole = std::fs::read(&log).unwrap();
    let groups: Vec<Value> =
        of(&shown, "frame").into_iter().filter(|frame| frame["kind"] == "group").collect();
    let place_of = |frame: &Value| {
        let offset = usize::try_from(frame["offset"].as_u64().unwrap()).unwrap();
        (offset, usize::try_from(frame["bytes"].as_u64().unwrap()).unwrap())
    };

    // The end of the last group was never written, nor anything after it.
    let mut torn = whole.clone();
    let (offset, bytes) = place_of(groups.last().unwrap());
    torn[offset + bytes - 40..].fill(0);
    std::fs::write(&log, &torn).unwrap();
    let end = &of(&inspect_log(&data, 0), "end")[0];
    assert_eq!(
        (&end["verdict"], &end["rule"], &end["offset"]),
        (&json!("torn"), &json!("d"), &json!(offset))
    );

    // A byte of an earlier group: later ones prove that it was durable.
    let mut damaged = whole;
    let (offset, _) = place_of(&groups[0]);
    damaged[offset + 80] ^= 1;
    std::fs::write(&log, &damaged).unwrap();
    let shown = inspect_log(&data, 5);
    let end = &of(&shown, "end")[0];
    assert_eq!(
        (&end["verdict"], &end["rule"], &end["offset"]),
        (&json!("damaged"), &json!("b"), &json!(offset))
    );
    assert_eq!(of(&shown, "summary")[0]["ok"], false);
    run(["inspect", "log", "--data-dir", &data]).ends_with(5).says(&format!("byte {offset}"));

    // A header that does not verify, and a file that is missing.
    damaged[3] ^= 1;
    std::fs::write(&log, &damaged).unwrap();
    assert_eq!(of(&inspect_log(&data, 5), "segment")[0]["header"], "bad");
    std::fs::write(Path::new(&data).join("log/00000000000000000004.log"), &damaged).unwrap();
    assert!(!of(&inspect_log(&data, 5), "missing").is_empty());
    std::fs::write(Path::new(&data).join("instance"), "x").unwrap();
    inspect_log(&data, 7);
}

#[test]
fn a_running_server_is_not_disturbed() {
    let place = Place::new();
    let data = place.text("data");
    let server = serving(&data);
    sign_up(&server, 0..3);
    let shown = lines(&run(["inspect", "log", "--json", "--data-dir", &data]).ends_with(0));
    assert_eq!(of(&shown, "command").len(), 3);
    run(["inspect", "snapshot", "--data-dir", &data]).ends_with(0);
    sign_up(&server, 3..6);
    killed(server);
    assert_eq!(of(&inspect_log(&data, 0), "command").len(), 6);
}

#[test]
fn a_snapshot_is_shown_chunk_by_chunk_with_its_damage() {
    let place = Place::new();
    let data = place.text("data");
    run(["demo", "--orders", "0", "--members", "300", "--data-dir", &data, "--no-serve"]).ends_with(0);
    let shown = lines(&run(["inspect", "snapshot", "--json", "--data-dir", &data]).ends_with(0));
    let snapshot = &of(&shown, "snapshot")[0];
    assert_eq!(snapshot["manifest"]["members"], 300);
    let chunks = of(&shown, "chunk");
    assert_eq!(
        (&chunks[0]["section"], &chunks[0]["offset"], &chunks[1]["section"]),
        (&json!("header"), &json!(64), &json!("members"))
    );
    assert!(chunks.iter().all(|chunk| chunk["verifies"] == true));
    let file = snapshot["file"].as_str().unwrap();
    assert_eq!(lines(&run(["inspect", "snapshot", "--json", file]).ends_with(0)).len(), chunks.len() + 2);

    let mut bytes = std::fs::read(file).unwrap();
    let at = usize::try_from(chunks[1]["offset"].as_u64().unwrap()).unwrap() + 100;
    bytes[at] ^= 1;
    std::fs::write(file, &bytes).unwrap();
    let shown = lines(&run(["inspect", "snapshot", "--json", file]).ends_with(5));
    let verified: Vec<bool> =
        of(&shown, "chunk").iter().map(|chunk| chunk["verifies"].as_bool().unwrap()).collect();
    assert_eq!(verified.iter().filter(|verifies| !**verifies).count(), 1);
    assert!(!verified[1]);
    assert_eq!(of(&shown, "damage")[0]["offset"], chunks[1]["offset"]);
    std::fs::write(file, &bytes[..bytes.len() - 10]).unwrap();
    run(["inspect", "snapshot", file]).ends_with(5).says("manifest");
    std::fs::write(file, b"upline").unwrap();
    run(["inspect", "snapshot", file]).ends_with(5).says("only 6 bytes");
}

#[test]
fn what_is_no_data_directory_is_said_so() {
    let place = Place::new();
    std::fs::create_dir(place.path("photos")).unwrap();
    for name in ["photos", "nowhere"] {
        for what in ["log", "snapshot"] {
            run(["inspect", what, "--data-dir", &place.text(name)]).ends_with(7);
        }
    }
    run(["inspect", "snapshot", &place.text("no.snap")]).ends_with(1);
}

/// `verify` reads retained history too.
#[test]
fn verify_reads_the_archive_too() {
    let place = Place::new();
    let data = place.text("data");
    for first in [0, 3, 6] {
        // Each stop makes a snapshot, so the first one goes to the archive.
        let server = serving(&data);
        sign_up(&server, first..first + 3);
        stopped(server);
    }
    run(["verify", "--data-dir", &data]).ends_with(0);
    let archived: Vec<PathBuf> = std::fs::read_dir(Path::new(&data).join("archive"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let snapshot = archived
        .iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "snap"))
        .expect("one is archived");
    let mut bytes = std::fs::read(snapshot).unwrap();
    bytes[500] ^= 1;
    std::fs::write(snapshot, bytes).unwrap();
    run(["verify", "--data-dir", &data]).ends_with(9).says("archive");
    // It is not needed to serve.
    stopped(serving(&data));
}
