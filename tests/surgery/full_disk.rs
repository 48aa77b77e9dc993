//! A disk that is full, at many sizes: a small tmpfs, where one may be mounted.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    common::{Client, Server, uuid},
    directory, proof,
};

/// The smallest disk has no room for a segment; the largest nearly takes everything.
const SMALLEST: u64 = 300 << 10;
const LARGEST: u64 = 4 << 20;
const BATCHES: u64 = 7;
const BATCH_LINES: u64 = 3_000;

/// A mounted tmpfs.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where mounting is not allowed.
    fn new(at: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory");
        mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "upline-test"], at).then(|| Self(at.to_path_buf()))
    }

    fn grow(&self) {
        assert!(mount(&["-o", "remount,size=64m"], &self.0), "what was mounted can be mounted larger");
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let status = Command::new("mount").args(arguments).arg(at).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn body(member: u64) -> Value {
    if member == 0 { json!({ "user_id": uuid(0) }) } else { json!({ "user_id": uuid(member), "sponsor": { "user_id": uuid(0) } }) }
}

/// Fills the disk. Members acknowledged, in order, and whether the log failed.
fn fill(server: &Server) -> (Vec<u64>, bool) {
    let mut acknowledged = Vec::new();
    for batch in 0..BATCHES {
        let members = batch * BATCH_LINES..(batch + 1) * BATCH_LINES;
        let lines: String = members.clone().map(|member| body(member).to_string() + "\n").collect();
        let mut client = server.connect();
        let mut sender = client.sender();
        let head = format!(
            "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            lines.len()
        );
        let sending = std::thread::spawn(move || _ = std::io::Write::write_all(&mut sender, (head + &lines).as_bytes()));
        let mut answers = Vec::new();
        // A batch that cannot go on ends its connection with the rest of the lines unread, and so what it said last may not arrive.
        let whole = client.read_head().and_then(|_| {
            while client.read_chunk(&mut answers)? {}
            Ok(())
        });
        drop(client);
        sending.join().expect("it ends in peace");
        let end = answers.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let lines = std::str::from_utf8(&answers[..end]).expect("UTF-8").lines();
        let mut has_failed = whole.is_err();
        for (member, line) in members.zip(lines) {
            let answer: Value = serde_json::from_str(line).expect("JSON");
            if answer["status"] != 201 {
                assert_eq!(answer["status"], 503, "{line}");
                has_failed = true;
                break;
            }
            acknowledged.push(member);
        }
        if has_failed {
            assert_read_only(server);
            return (acknowledged, true);
        }
        // A snapshot may not fit; signups go on.
        if batch % 3 != 1 {
            continue;
        }
        let snapshot = server.post("/v1/snapshots", "");
        assert!(matches!(snapshot.status, 200 | 201 | 500 | 503), "{}", snapshot.text());
    }
    (acknowledged, false)
}

/// D4.
fn assert_read_only(server: &Server) {
    let mut client: Client = server.connect();
    let reply = client.post("/v1/members", &json!({ "user_id": uuid(999_999) }).to_string());
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("read_only")));
    assert_eq!(client.request("GET", "/readyz", &[], b"").status, 503);
    assert_eq!(client.request("GET", "/v1/ranks", &[], b"").status, 200);
}

/// Whether the server starts there at all.
fn starts(data: &Path) -> bool {
    let (exit, _) = directory::run("verify", data, &[]);
    exit == Some(0)
}

#[test]
fn a_full_disk_stops_writes_and_loses_nothing() {
    let disks = proof::number("UPLINE_FULL_DISKS", 20);
    let place = tempfile::tempdir().expect("a temporary directory");
    let (mut failed, mut too_small, mut members) = (0_u64, 0_u64, 0_u64);
    for disk in 0..disks {
        // Not in whole pages only, and not in steps that go with the segments.
        let bytes = SMALLEST + (LARGEST - SMALLEST) * disk / disks + disk * 1_237;
        let at = place.path().join(format!("disk-{disk}"));
        let Some(mounted) = Mounted::new(&at, bytes) else {
            println!("NOT RUN: no tmpfs may be mounted here; this test fills one");
            proof::summary("full_disk: skipped=1 disks=0");
            assert!(std::env::var_os("UPLINE_PROOF_COMPLETE").is_none(), "where the proof is to be complete, a tmpfs must be mounted");
            return;
        };
        let data = at.join("data");
        let acknowledged = match start(&data) {
            Some(server) => {
                let (acknowledged, has_failed) = fill(&server);
                failed += u64::from(has_failed);
                server.terminate();
                server.wait();
                acknowledged
            }
            None => {
                too_small += 1;
                Vec::new()
            }
        };
        mounted.grow();
        let server = start(&data).expect("with room it starts");
        let listed = server.request("GET", &format!("/v1/members/{}/downline", uuid(0)), &[("accept", "application/x-ndjson")], b"");
        let there: std::collections::BTreeSet<String> = listed
            .text()
            .lines()
            .filter_map(|line| Some(serde_json::from_str::<Value>(line).ok()?["user_id"].as_str()?.to_owned()))
            .collect();
        let lost: Vec<&u64> = acknowledged.iter().filter(|member| **member != 0 && !there.contains(&uuid(**member))).collect();
        assert!(
            lost.is_empty(),
            "disk {disk} of {bytes} bytes: {} acknowledged members are lost, the first {:?}",
            lost.len(),
            lost.first()
        );
        let more = server.post("/v1/members", &json!({ "user_id": uuid(888_888) }).to_string());
        assert_eq!(more.status, 201, "it can be written to again: {}", more.text());
        server.terminate();
        assert!(server.wait().success());
        assert!(starts(&data), "disk {disk}: it does not verify");
        members += acknowledged.len() as u64;
    }
    proof::summary(&format!("full_disk: disks={disks} too_small={too_small} failed={failed} acknowledged={members} lost=0"));
    assert!(disks < 4 || 0 < failed && 0 < disks - too_small, "the sizes go from too small to large enough");
}

/// A server, unless the disk is too small for it to start.
fn start(data: &Path) -> Option<Server> {
    Server::try_start(data, &["--log", "off"])
}
