//! A server with barely more file descriptors than required, all of them contended: connections and change
//! feeds at their limits while signups, snapshots and history queries continue. Then fewer than it already
//! uses, as when another process has exhausted the machine's: nothing new can be opened.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use super::is_run_alone;
use crate::{
    common::{Client, Server, turn, uuid},
    proof,
};

/// A few more than `http::limits::FILES_MIN`, below which no server starts.
const FILES: u32 = 672 + 8;
/// `EVENT_STREAMS_MAX`.
const FEEDS: usize = 64;
/// More than there are connection slots: these files minus those reserved.
const BUSY: usize = 500;
/// Members per batch, and batches while all slots are taken: more than fit into several segments of 1 MiB.
const BATCH: u64 = 2_000;
const ROUNDS: u64 = 12;
/// Timeout for the log to resume: it retries after seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Registers members below the very first one; returns how many were accepted.
fn batch(client: &mut Client, first: u64, members: u64) -> usize {
    let body = |member: u64| {
        if member == 0 {
            json!({ "user_id": uuid(0) })
        } else {
            json!({ "user_id": uuid(member), "sponsor": { "user_id": uuid(0) } })
        }
    };
    let lines: String = (first..first + members).map(|member| body(member).to_string() + "\n").collect();
    let head = format!(
        "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\n\r\n",
        lines.len()
    );
    let mut sender = client.sender();
    let sending = std::thread::spawn(move || sender.write_all((head + &lines).as_bytes()));
    let reply = client.read_reply(false).expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
    sending.join().expect("it ends in peace").expect("all was taken");
    reply.text().lines().filter(|line| line.contains("\"status\":201")).count()
}

/// Opens a connection whose body never arrives: it is busy until its timeout.
fn half_sent(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = "POST /v1/members HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 90\r\n\r\n{";
    stream.write_all(head.as_bytes()).ok()?;
    Some(stream)
}

fn open_files(pid: u32) -> u32 {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
    u32::try_from(files).expect("few")
}

/// Sets the descriptor limit of a running server.
fn allow(pid: u32, files: u32) {
    let set = format!("--nofile={files}:{FILES}");
    let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &set]).status();
    assert!(done.expect("prlimit is there").success());
}

fn members(client: &mut Client) -> u64 {
    let reply = client.request("GET", "/v1/stats", &[], b"");
    reply.json()["network"]["members"].as_u64().expect("a number")
}

fn assert_ready(client: &mut Client) {
    let reply = client.request("GET", "/readyz", &[], b"");
    assert_eq!((reply.status, reply.text()), (200, "{\"status\":\"ready\"}"));
}

/// All slots and all feeds are taken, repeatedly, and everything else continues.
fn with_all_seats_taken(server: &Server, client: &mut Client) -> u32 {
    let feeds: Vec<Client> = (0..FEEDS)
        .map(|_| {
            let mut feed = server.connect();
            feed.send(b"GET /v1/events?from=1 HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .expect("it takes a request");
            assert_eq!(feed.read_head().expect("an answer").0, 200);
            feed
        })
        .collect();
    let (mut most, mut busy) = (0, Vec::new());
    for round in 1..=ROUNDS {
        busy.retain(|stream: &TcpStream| stream.peer_addr().is_ok());
        busy.extend((busy.len()..BUSY).filter_map(|_| half_sent(server.address)));
        let first = round * BATCH;
        assert_eq!(batch(client, first, BATCH), usize::try_from(BATCH).expect("it fits"));
        let made = client.request("POST", "/v1/snapshots", &[], b"");
        assert!([200, 201].contains(&made.status), "{}", made.text());
        let past =
            client.request("GET", &format!("/v1/members/{}?as_of={}", uuid(first), first + 2), &[], b"");
        assert!([200, 404].contains(&past.status), "{}", past.text());
        assert_ready(client);
        most = most.max(open_files(server.pid()));
    }
    drop(feeds);
    most
}

/// Nothing new can be opened: writes continue as long as there is room in the log, and are then refused, not
/// lost. `writer` may be closed after a refused batch.
fn with_no_file_left(server: &Server, client: &mut Client, mut writer: Client) -> u64 {
    // The limit applies to descriptor numbers: all below this are in use.
    allow(server.pid(), 4);
    // The kernel accepts it, and it is answered when descriptors are free again.
    let mut waiting = server.connect();
    waiting
        .send(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .expect("a connection");
    let (begin, mut member) = (Instant::now(), 1_000_000);
    loop {
        let accepted = batch(&mut writer, member, BATCH);
        member += BATCH;
        if accepted < usize::try_from(BATCH).expect("it fits") {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "the log goes on without files");
    }
    let ready = client.request("GET", "/readyz", &[], b"");
    assert_eq!((ready.status, &ready.json()["status"]), (503, &"no_room".into()), "{}", ready.text());
    let made = client.request("POST", "/v1/snapshots", &[], b"");
    assert!(500 <= made.status, "{}", made.text());
    assert_eq!(client.request("GET", "/v1/ranks", &[], b"").status, 200);
    allow(server.pid(), FILES);
    assert_eq!(waiting.read_reply(false).expect("an answer").status, 200);
    let begin = Instant::now();
    while client.request("GET", "/readyz", &[], b"").status != 200 {
        assert!(begin.elapsed() < PATIENCE, "{}", client.request("GET", "/readyz", &[], b"").text());
        std::thread::sleep(Duration::from_millis(50));
    }
    member
}

fn attack() {
    let directory = crate::common::scratch();
    let data = directory.path().join("data");
    let arguments = ["--ops-addr", "127.0.0.1:0", "--connections-per-address", "0", "--log", "error"];
    let server = Server::start_with_files(&data, &arguments, FILES);
    let operations = server.ops_address();
    let mut client = Client::connect(operations);
    assert_eq!(batch(&mut client, 0, BATCH), usize::try_from(BATCH).expect("it fits"));
    let most = with_all_seats_taken(&server, &mut client);
    assert!(most <= FILES, "{most} files");
    assert_ready(&mut client);
    // It must be accepted before the limit drops.
    let mut writer = Client::connect(operations);
    assert_ready(&mut writer);
    let next = with_no_file_left(&server, &mut client, writer);
    assert_eq!(batch(&mut client, next, BATCH), usize::try_from(BATCH).expect("it fits"));
    let made = client.request("POST", "/v1/snapshots", &[], b"");
    assert_eq!(made.status, 201, "{}", made.text());
    assert_ready(&mut client);
    let acknowledged = members(&mut client);
    server.terminate();
    assert!(server.wait().success());
    let server = Server::start(&data, &["--log", "error"]);
    assert_eq!(members(&mut server.connect()), acknowledged);
    proof::summary(&format!("files: allowed={FILES} most_open={most} members={acknowledged}"));
}

#[test]
fn a_server_without_files_loses_nothing_and_goes_on() {
    let _turn = turn();
    if !is_run_alone("attack::files::a_server_without_files_loses_nothing_and_goes_on") {
        attack();
    }
}
