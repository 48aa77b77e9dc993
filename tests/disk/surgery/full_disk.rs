//! A full disk, at many sizes: a small tmpfs, where mounting is allowed.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::directory;
use crate::{
    common::{Client, Server, uuid},
    proof,
};

/// The smallest disk has no room for a segment; the largest fits nearly everything.
const SMALLEST: u64 = 300 << 10;
const LARGEST: u64 = 4 << 20;
/// A generous timeout.
const PATIENCE: Duration = Duration::from_secs(60);
const BATCHES: u64 = 7;
const BATCH_LINES: u64 = 3_000;

/// A mounted tmpfs.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where mounting is not allowed.
    fn new(at: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a directory");
        mount(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "upline-test"], at)
            .then(|| Self(at.to_path_buf()))
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
    let status =
        Command::new("mount").args(arguments).arg(at).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn body(member: u64) -> Value {
    if member == 0 {
        json!({ "user_id": uuid(0) })
    } else {
        json!({ "user_id": uuid(member), "sponsor": { "user_id": uuid(0) } })
    }
}

/// Why a server refuses writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// A write to a segment with commands failed.
    ReadOnly,
    /// The next segment cannot be created: writes resume as soon as it can.
    NoRoom,
}

/// Fills the disk. Returns the acknowledged members, in order, and why it ended, if it did.
fn fill(server: &Server) -> (Vec<u64>, Option<End>) {
    let mut acknowledged = Vec::new();
    for batch in 0..BATCHES {
        let members = batch * BATCH_LINES..(batch + 1) * BATCH_LINES;
        let lines: String = members.clone().map(|member| body(member).to_string() + "\n").collect();
        let mut client = server.connect();
        let mut sender = client.sender();
        let head = format!(
            "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
             content-length: {}\r\n\r\n",
            lines.len()
        );
        let sending = std::thread::spawn(move || {
            _ = std::io::Write::write_all(&mut sender, (head + &lines).as_bytes());
        });
        let mut answers = Vec::new();
        // A batch that cannot continue closes its connection with lines unread, so its last responses may not
        // arrive.
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
            return (acknowledged, Some(end_of(server)));
        }
        // A snapshot may not fit; signups continue.
        if batch % 3 != 1 {
            continue;
        }
        let snapshot = server.post("/v1/snapshots", "");
        assert!(matches!(snapshot.status, 200 | 201 | 500 | 503), "{}", snapshot.text());
    }
    (acknowledged, None)
}

/// D4: writes are refused, reads continue, and the two ends are distinguished.
fn end_of(server: &Server) -> End {
    let mut client: Client = server.connect();
    // Small writes may still fit a segment that a large group does not.
    let begin = Instant::now();
    let mut member = 900_000;
    loop {
        member += 1;
        let reply = client.post("/v1/members", &json!({ "user_id": uuid(member) }).to_string());
        if reply.status == 201 {
            assert!(begin.elapsed() < PATIENCE, "a full disk is full at some time");
            continue;
        }
        assert_eq!(reply.status, 503, "{}", reply.text());
        let ready = client.request("GET", "/readyz", &[], b"");
        assert_eq!((ready.status, client.request("GET", "/v1/ranks", &[], b"").status), (503, 200));
        let code = reply.json()["code"].as_str().expect("a code").to_owned();
        assert_eq!(ready.json()["status"], code);
        return match code.as_str() {
            "read_only" => End::ReadOnly,
            "no_room" => End::NoRoom,
            other => panic!("{other}"),
        };
    }
}

/// With free space the same process accepts writes again.
fn assert_heals(server: &Server) {
    let begin = Instant::now();
    while server.get("/readyz").status != 200 {
        assert!(begin.elapsed() < PATIENCE, "{}", server.get("/readyz").text());
        std::thread::sleep(Duration::from_millis(50));
    }
    let reply = server.post("/v1/members", &json!({ "user_id": uuid(777_777) }).to_string());
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(server.get("/readyz").text(), "{\"status\":\"ready\"}");
}

/// Returns whether the server starts there at all.
fn starts(data: &Path) -> bool {
    let (exit, _) = directory::run("verify", data, &[]);
    exit == Some(0)
}

#[test]
fn a_full_disk_stops_writes_and_loses_nothing() {
    let _turn = crate::common::turn();
    let disks = proof::number("UPLINE_FULL_DISKS", 10);
    let place = tempfile::tempdir().expect("a temporary directory");
    let (mut failed, mut healed, mut too_small, mut members) = (0_u64, 0_u64, 0_u64, 0_u64);
    for disk in 0..disks {
        // Sizes are neither whole pages nor multiples of the segment size.
        let bytes = SMALLEST + (LARGEST - SMALLEST) * disk / disks + disk * 1_237;
        let at = place.path().join(format!("disk-{disk}"));
        let Some(mounted) = Mounted::new(&at, bytes) else {
            println!("NOT RUN: no tmpfs may be mounted here; this test fills one");
            proof::summary("full_disk: skipped=1 disks=0");
            assert!(
                std::env::var_os("UPLINE_PROOF_COMPLETE").is_none(),
                "where the proof is to be complete, a tmpfs must be mounted"
            );
            return;
        };
        let data = at.join("data");
        let acknowledged = match start(&data) {
            Some(server) => {
                let (acknowledged, end) = fill(&server);
                failed += u64::from(end == Some(End::ReadOnly));
                if end == Some(End::NoRoom) {
                    mounted.grow();
                    assert_heals(&server);
                    healed += 1;
                }
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
        let listed = server.request(
            "GET",
            &format!("/v1/members/{}/downline", uuid(0)),
            &[("accept", "application/x-ndjson")],
            b"",
        );
        let there: std::collections::BTreeSet<String> = listed
            .text()
            .lines()
            .filter_map(|line| {
                Some(serde_json::from_str::<Value>(line).ok()?["user_id"].as_str()?.to_owned())
            })
            .collect();
        let lost: Vec<&u64> =
            acknowledged.iter().filter(|member| **member != 0 && !there.contains(&uuid(**member))).collect();
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
    proof::summary(&format!(
        "full_disk: disks={disks} too_small={too_small} failed={failed} healed={healed} \
         acknowledged={members} lost=0"
    ));
    assert!(
        disks < 4 || 0 < failed + healed && 0 < disks - too_small,
        "the sizes go from too small to large enough"
    );
}

/// Starts a server, unless the disk is too small for it.
fn start(data: &Path) -> Option<Server> {
    Server::try_start(data, &["--log", "off"])
}
