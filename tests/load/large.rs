//! Networks of extreme shape through the public routes: responses that are larger than the memory they may
//! take, while other clients are served. `UPLINE_MEMBERS` (300,000; the deep tier has a million) is the
//! length of the chain.

use std::{
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use crate::{
    common::{Server, assert_within, binary, registration, uuid},
    proof,
};

/// Memory that an answer may take.
const ANSWER_MEMORY: u64 = 32 << 20;

fn upline(arguments: &[&str], data_dir: &Path) -> Output {
    let output = Command::new(binary())
        .args(arguments)
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Generates a network and returns the id of its first member.
fn make(arguments: &[&str], data_dir: &Path) -> String {
    upline(&[&["demo", "--no-serve", "--orders", "0"], arguments].concat(), data_dir);
    let members = upline(&["export"], data_dir).stdout;
    let end = members
        .iter()
        .take(1_000)
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .nth(1)
        .expect("a header and a member")
        .0;
    let rows = String::from_utf8_lossy(&members[..end]).into_owned();
    rows.lines().nth(1).unwrap().split(',').next().unwrap().to_owned()
}

/// Returns the server's resident memory, in bytes.
fn resident_bytes(server: &Server) -> u64 {
    let metrics = server.get("/metrics");
    let line = metrics
        .text()
        .lines()
        .find(|line| line.starts_with("process_resident_memory_bytes "))
        .expect("a metric of the process");
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The results of a streamed response.
#[derive(Default)]
struct Read {
    bytes: usize,
    objects: usize,
    ends: usize,
    depth: i64,
    depth_max: i64,
    chunk_max: usize,
}

/// Reads a list chunk by chunk, discarding it, with concurrent signups.
fn read_list(server: &Server, path: &str, first_new_member: u64) -> Read {
    let mut client = server.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
    let (status, headers) = client.read_head().unwrap();
    assert_eq!(status, 200);
    assert!(headers.contains(&("transfer-encoding".into(), "chunked".into())));
    let mut signups = server.connect();
    let mut slowest = Duration::ZERO;
    let mut read = Read::default();
    let mut chunk = Vec::new();
    let mut chunks = 0;
    loop {
        chunk.clear();
        let goes_on = client.read_chunk(&mut chunk).unwrap();
        read.bytes += chunk.len();
        read.chunk_max = read.chunk_max.max(chunk.len());
        for byte in &chunk {
            match byte {
                b'{' => read.objects += 1,
                b'}' => read.ends += 1,
                b'[' => read.depth += 1,
                b']' => read.depth -= 1,
                _ => {}
            }
            read.depth_max = read.depth_max.max(read.depth);
        }
        if !goes_on {
            break;
        }
        chunks += 1;
        if chunks % 200 == 0 {
            let begin = Instant::now();
            let member = uuid(first_new_member + chunks);
            assert_eq!(signups.post("/user/register", &registration(&member, None)).status, 200);
            slowest = slowest.max(begin.elapsed());
        }
    }
    // Far above a normal signup, far below the time of the whole list.
    assert_within(Duration::from_secs(1), slowest, "a signup beside the list");
    read
}

/// An answer took a fraction of its length.
fn assert_small(read: &Read, grown: u64) {
    println!("an answer of {} bytes took {grown} bytes of memory", read.bytes);
    assert!(
        3 * ANSWER_MEMORY <= 2 * read.bytes as u64,
        "{} bytes, of which keeping would be seen",
        read.bytes
    );
    assert!(grown < ANSWER_MEMORY, "an answer of {} bytes took {grown} bytes of memory", read.bytes);
}

#[test]
fn a_long_chain_is_answered_in_bounded_memory() {
    let _turn = crate::common::turn();
    let members = usize::try_from(proof::number("UPLINE_MEMBERS", 300_000)).expect("an index");
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let root = make(&["--members", &members.to_string(), "--shape", "chain"], &data);
    let server = Server::start(&data, &[]);
    assert_eq!(server.get(&format!("/user/downline/{root}/count")).text(), (members - 1).to_string());
    let before = resident_bytes(&server);
    let read = read_list(&server, &format!("/user/downline/{root}"), 0);
    assert_eq!((read.objects, read.ends), (members - 1, members - 1));
    assert_eq!((read.depth, read.depth_max), (0, i64::try_from(members).unwrap()));
    assert_small(&read, resident_bytes(&server).saturating_sub(before));
    assert!(read.chunk_max < 256 << 10, "a chunk of {} bytes", read.chunk_max);
    // All bonuses: four for nearly every member.
    let read = read_list(&server, "/bonus/", 1 << 32);
    assert_eq!(read.objects, 4 * members - 10);
    assert_small(&read, resident_bytes(&server).saturating_sub(before));
}

#[test]
fn a_member_with_a_hundred_thousand_children_is_answered() {
    let _turn = crate::common::turn();
    let dir = crate::common::scratch();
    let data = dir.path().join("data");
    let plan = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans/levels.toml");
    let root = make(&["--members", "100001", "--shape", "star", "--plan", plan.to_str().unwrap()], &data);
    let server = Server::start(&data, &[]);
    let read = read_list(&server, &format!("/user/downline/{root}"), 0);
    assert_eq!((read.objects, read.depth_max), (100_000, 2));
    let child = server.post("/user/register", &registration(&uuid(1 << 40), Some(&root)));
    assert_eq!((child.status, child.json()["level"].as_u64()), (200, Some(2)));
    assert_eq!(server.get(&format!("/user/downline/{root}/count")).text(), "100001");
    let report = server.get(&format!("/reports/weekly/{root}"));
    assert_eq!(report.status, 200);
    let entries = report.json()["count"].as_u64().unwrap();
    let history = server.get(&format!("/bonus/user/{root}"));
    assert_eq!(history.text().matches("\"source_user_id\"").count() as u64, entries);
}
