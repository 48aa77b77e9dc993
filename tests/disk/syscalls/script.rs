//! The script for the traced server: requests, responses, and the checks afterwards.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use upline::{
    core::audit,
    engine::{
        Command as Write, Engine, EngineOptions, MemberId, MemberIx, Origin, PlacementRequest, PlanChoice,
        Register, Role, SponsorRef,
    },
    metrics::Metrics,
};

use crate::common::{self, Client, Reply, uuid};

/// Timeout of a step under `strace`.
const PATIENCE: Duration = Duration::from_secs(60);

/// Signups per batch: more than a segment of 1 MiB holds.
const BATCH: u64 = 14_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// A new directory, rotation, snapshot, a clean stop.
    Fresh,
    /// A directory with the leftovers of a crash, more signups, a snapshot.
    Recovery,
}

/// Acknowledged members, in LSN order.
#[derive(Clone, Default, Debug)]
pub struct Acknowledged(Vec<u64>);

impl Acknowledged {
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The observations of a client.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    pub members: Acknowledged,
    /// In the order sent.
    pub unknown: Vec<u64>,
    /// Acknowledged bonuses.
    pub bonuses: u64,
    pub unknown_trigger: bool,
    /// Single signups acknowledged in this stage.
    pub singles: u64,
    pub is_read_only: bool,
    pub was_killed: bool,
    /// The fault occurred.
    pub was_reached: bool,
    /// It exited without serving, or midway.
    pub ended_early: bool,
    /// It was told to stop, and did without an error.
    pub ended_well: bool,
}

/// The traced server.
pub struct Traced {
    strace: Child,
    server: Option<u32>,
}

impl Traced {
    pub fn start(data: &Path, strace_arguments: &[&str]) -> (Self, Option<std::net::SocketAddr>) {
        let mut strace = Command::new("strace")
            .args(["-f", "-qq"])
            .args(strace_arguments)
            .arg(common::binary())
            .args([
                "serve",
                "--addr",
                "127.0.0.1:0",
                "--segment-bytes",
                "1048576",
                "--log",
                "off",
                "--data-dir",
            ])
            .arg(data)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("strace starts");
        let out = BufReader::new(strace.stdout.take().expect("it is piped"));
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| _ = sender.send(line)));
        // Disconnected: it exited before it listened.
        let address = loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some((_, address)) = line.split_once("listening on http://") {
                        break Some(address.trim().parse().expect("an address"));
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break None,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it neither listens nor ends"),
            }
        };
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", strace.id())).unwrap_or_default();
        let server = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        (Self { strace, server }, address)
    }

    pub fn signal(&self, name: &str) {
        if let Some(server) = self.server {
            // It may be gone already.
            _ = Command::new("kill")
                .args([&format!("-{name}"), &server.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }

    pub fn wait(mut self) -> std::process::ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.strace.try_wait().expect("it can be waited for") {
                self.server = None;
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // Without its tracer the server would keep running.
        self.signal("KILL");
        _ = self.strace.kill();
        _ = self.strace.wait();
    }
}

/// Runs a stage under `strace` with these arguments.
pub fn run(stage: Stage, data: &Path, strace_arguments: &[&str], seen: &mut Seen) {
    seen.singles = 0;
    let (traced, address) = Traced::start(data, strace_arguments);
    let Some(address) = address else {
        let status = traced.wait();
        seen.was_killed = status.signal() == Some(9) || status.code() == Some(137);
        assert!(!status.success(), "it ended without a word");
        seen.ended_early = true;
        return;
    };
    let is_up = converse(stage, address, seen);
    traced.signal("TERM");
    let status = traced.wait();
    seen.was_killed = status.signal() == Some(9) || status.code() == Some(137);
    // A batch that ends because the log failed closes its connection with part of the body unread: its last
    // responses may be lost, and count as unknown. A server whose log failed does not exit cleanly.
    assert!(
        is_up || seen.was_killed || !status.success(),
        "only a kill or a log that failed cuts a conversation, not {status}"
    );
    seen.ended_early = seen.was_killed;
    seen.ended_well = status.success();
}

/// Runs the steps. False: the server is gone.
fn converse(stage: Stage, address: std::net::SocketAddr, seen: &mut Seen) -> bool {
    let Ok(stream) = std::net::TcpStream::connect(address) else { return false };
    drop(stream);
    let mut client = Client::connect(address);
    let mut steps = || -> std::io::Result<()> {
        match stage {
            Stage::Fresh => {
                for member in 0..12 {
                    register(&mut client, member, seen)?;
                }
                trigger(&mut client, seen)?;
                batch(&mut client, 1_000, seen)?;
                snapshot(&mut client)?;
                for member in 20..25 {
                    register(&mut client, member, seen)?;
                }
            }
            Stage::Recovery => {
                for member in 30..33 {
                    register(&mut client, member, seen)?;
                }
                snapshot(&mut client)?;
                register(&mut client, 33, seen)?;
            }
        }
        if seen.is_read_only {
            assert_read_only(&mut client, seen)?;
        }
        Ok(())
    };
    steps().is_ok()
}

fn body(member: u64) -> String {
    if member == 0 {
        json!({ "user_id": uuid(0) }).to_string()
    } else {
        json!({ "user_id": uuid(member), "sponsor": { "user_id": uuid(0) } }).to_string()
    }
}

pub const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Evaluates the response to a write: done, or not because the log failed, now or before.
fn judge(status: u16, answer: &Value, seen: &mut Seen) -> bool {
    if matches!(status, 200 | 201) {
        assert!(!seen.is_read_only, "after a failure nothing is written any more: {answer}");
        return true;
    }
    assert_eq!(status, 503, "{answer}");
    match answer["code"].as_str().expect("a code") {
        "outcome_unknown" => assert!(!seen.is_read_only, "there is one first failure"),
        // A batch reports this for all lines after the first failure.
        "read_only" => assert!(seen.is_read_only, "something must have failed before"),
        other => panic!("{other}"),
    }
    seen.is_read_only = true;
    false
}

fn register(client: &mut Client, member: u64, seen: &mut Seen) -> std::io::Result<()> {
    let was_read_only = seen.is_read_only;
    if !was_read_only {
        seen.unknown.push(member);
    }
    let reply = client.try_request("POST", "/v1/members", &JSON, body(member).as_bytes())?;
    if judge(reply.status, &reply.json(), seen) {
        seen.unknown.pop();
        seen.members.0.push(member);
        seen.singles += 1;
    }
    Ok(())
}

fn trigger(client: &mut Client, seen: &mut Seen) -> std::io::Result<()> {
    let body = json!({ "source": uuid(7), "kind": "referral" }).to_string();
    seen.unknown_trigger = !seen.is_read_only;
    let was_read_only = seen.is_read_only;
    let reply = match client.try_request("POST", "/v1/bonuses", &JSON, body.as_bytes()) {
        // The source is a member whose registration has an unknown outcome.
        Ok(reply) if reply.status == 404 && was_read_only => return Ok(()),
        reply => reply?,
    };
    let answer = reply.json();
    if judge(reply.status, &answer, seen) {
        seen.unknown_trigger = false;
        seen.bonuses += answer["bonuses"].as_array().expect("a list").len() as u64;
    }
    Ok(())
}

/// Sends many lines at once.
fn batch(client: &mut Client, first: u64, seen: &mut Seen) -> std::io::Result<()> {
    if seen.is_read_only {
        return Ok(());
    }
    let members = first..first + BATCH;
    let lines: String = members.clone().map(|member| body(member) + "\n").collect();
    let head = format!(
        "POST /v1/members/batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        lines.len()
    );
    let mut own = Client::connect(client.address());
    let mut sender = own.sender();
    // Lines are answered while others are still being sent.
    let sending =
        std::thread::spawn(move || _ = std::io::Write::write_all(&mut sender, (head + &lines).as_bytes()));
    let mut answers = Vec::new();
    let result = own.read_head().and_then(|_| {
        while own.read_chunk(&mut answers)? {}
        Ok(())
    });
    drop(own);
    sending.join().expect("it ends in peace");
    let whole = answers.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut answers = std::str::from_utf8(&answers[..whole]).expect("UTF-8").lines();
    for member in members {
        let Some(line) = answers.next() else {
            seen.unknown.push(member);
            continue;
        };
        let answer: Value = serde_json::from_str(line).expect("JSON");
        let status = u16::try_from(answer["status"].as_u64().expect("a status")).expect("a status");
        if status == 201 {
            assert!(seen.unknown.is_empty(), "lines are done in their order: {line}");
            seen.members.0.push(member);
        } else {
            assert_eq!(status, 503, "{line}");
            seen.is_read_only = true;
            seen.unknown.push(member);
        }
    }
    if seen.is_read_only { Ok(()) } else { result }
}

/// Takes a snapshot, which may fail; signups continue.
fn snapshot(client: &mut Client) -> std::io::Result<()> {
    let reply = client.try_request("POST", "/v1/snapshots", &JSON, b"")?;
    assert!(matches!(reply.status, 200 | 201 | 500 | 503), "{} {}", reply.status, reply.text());
    Ok(())
}

/// D4, from a client's view.
fn assert_read_only(client: &mut Client, seen: &mut Seen) -> std::io::Result<()> {
    for member in [100, 101] {
        let reply = client.try_request("POST", "/v1/members", &JSON, body(member).as_bytes())?;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("read_only")));
    }
    let ready: Reply = client.try_request("GET", "/readyz", &[], b"")?;
    assert_eq!((ready.status, ready.text()), (503, "{\"status\":\"read_only\"}"));
    let mut status = |member: u64| {
        Ok::<u16, std::io::Error>(
            client.try_request("GET", &format!("/v1/members/{}", uuid(member)), &[], b"")?.status,
        )
    };
    if let Some(last) = seen.members.0.last() {
        assert_eq!(status(*last)?, 200, "reads go on");
    }
    if let Some(first) = seen.unknown.first() {
        assert_eq!(status(*first)?, 404, "what may not be durable is not seen");
    }
    Ok(())
}

fn exit_of_verify(data: &Path) -> Option<i32> {
    let output = Command::new(common::binary())
        .args(["verify", "--data-dir"])
        .arg(data)
        .env_clear()
        .output()
        .expect("it starts");
    output.status.code()
}

/// Returns whether the directory is explicitly refused as damaged.
pub fn is_refused(data: &Path) -> bool {
    exit_of_verify(data) == Some(5)
}

fn number(id: MemberId) -> u64 {
    u64::from_be_bytes(id.0[8..].try_into().expect("eight bytes")) & 0xffff_ffff_ffff
}

/// The directory opens, and holds what was acknowledged, in order, then at most what was in flight. And it
/// accepts writes again.
///
/// `verify` may have findings afterwards: a snapshot that was damaged and is not needed.
pub fn assert_kept(data: &Path, seen: &Seen, may_have_findings: bool) {
    let plan = PlanChoice {
        plan: upline::plan_file::default_plan(),
        plan_is_explicit: false,
        width_is_explicit: false,
    };
    let mut options = EngineOptions::new(data.to_path_buf(), plan, Metrics::new(&[]));
    options.log.segment_bytes = 1 << 20;
    let (engine, _) = Engine::open(options).expect("what a fault leaves can be opened");
    let (members, entries, faults) = engine.read(|state, _| {
        let members: Vec<u64> = (0..state.len()).map(|index| number(state.id(MemberIx(index)))).collect();
        (members, state.entries(), audit(state, 10))
    });
    assert_eq!(faults, Vec::<String>::new());
    let known = seen.members.0.len();
    assert!(known <= members.len(), "{known} members were answered, {} are there", members.len());
    assert!(members[..known] == seen.members.0[..], "what was answered is there, in its order");
    let more = &members[known..];
    assert!(
        seen.unknown.starts_with(more),
        "beyond what was answered there is at most what was in flight: {more:?}"
    );
    let unique: BTreeSet<&u64> = members.iter().collect();
    assert_eq!(unique.len(), members.len(), "nobody is there twice");
    let in_flight = seen.unknown_trigger && seen.bonuses < entries;
    assert!(
        entries == seen.bonuses || in_flight,
        "{} bonuses were answered, {entries} are there",
        seen.bonuses
    );
    let sponsor = if members.is_empty() {
        SponsorRef::None
    } else {
        SponsorRef::Member(engine.read(|state, _| state.id(MemberIx(0))))
    };
    let signup = Register {
        member: MemberId([9; 16]),
        sponsor,
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    };
    engine.submit_blocking(Write::Register(signup), None).expect("it can be written to");
    engine.shutdown();
    drop(engine);
    let exit = exit_of_verify(data);
    assert!(exit == Some(0) || may_have_findings && exit == Some(9), "verify: {exit:?}");
}
