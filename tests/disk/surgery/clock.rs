//! A clock that jumps: by seconds, by years, to the beginning of time and beyond its end. Log time never goes
//! back, and nothing else depends on the clock.

use std::{
    fs,
    path::Path,
    process::Command as Process,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use serde_json::Value;

use upline::{
    core::audit,
    engine::{Command, Engine, MemberIx, RequestKey, Timestamp, TriggerBonus, state_digest, system_clock},
};

use super::directory;
use crate::{
    common::{Server, registration, uuid},
    proof,
};

const SECOND: i64 = 1_000_000;
const YEAR: i64 = 365 * 24 * 3_600 * SECOND;
/// 2026-01-01.
const START: i64 = 1_767_225_600 * SECOND;

fn jump(chance: &mut proof::Chance, now: i64) -> i64 {
    let some = |chance: &mut proof::Chance, most: i64| {
        i64::try_from(chance.below(most.unsigned_abs())).expect("a number")
    };
    match chance.below(12) {
        0 => now - some(chance, 10 * YEAR),
        1 => now - some(chance, 3_600 * SECOND),
        2 => 0,
        3 => -YEAR,
        // Occasionally a century ahead, and back from there.
        4 if chance.one_in(8) => START + 100 * YEAR,
        _ => now + some(chance, SECOND),
    }
}

/// The clock jumps ahead for one write, and back: a retry with the same key is the same payment.
#[test]
fn no_jump_of_the_clock_expires_a_key() {
    for jump in [73 * 3_600 * SECOND, YEAR, 100 * YEAR] {
        let place = crate::common::scratch();
        let clock = Arc::new(AtomicI64::new(START));
        let open = || {
            let mut options = directory::options(&place.path().join("data"));
            let now = Arc::clone(&clock);
            options.clock = Arc::new(move || Timestamp(now.load(Ordering::Relaxed)));
            // Writes that are not refused must still be harmless.
            options.clock_jump_max = None;
            Engine::open(options).expect("it opens").0
        };
        let engine = open();
        for number in 0..2 {
            engine.submit_blocking(directory::signup(number), None).expect("it is written");
        }
        let trigger = TriggerBonus {
            source: directory::member(1),
            trigger: "referral".into(),
            amount: None,
            once: false,
            reference: None,
        };
        let (command, key) = (Command::TriggerBonus(trigger), RequestKey { key: [9; 16], fingerprint: 1 });
        let first = engine.submit_blocking(command.clone(), Some(key)).expect("it is written").applied;
        let entries = engine.read(|state, _| state.entries());
        clock.store(START + jump, Ordering::Relaxed);
        engine.submit_blocking(directory::signup(2), None).expect("it is written");
        clock.store(START, Ordering::Relaxed);
        let again = |engine: &Engine| {
            assert_eq!(
                engine.submit_blocking(command.clone(), Some(key)).expect("an answer").applied,
                first,
                "{jump}"
            );
            assert_eq!(engine.read(|state, _| state.entries()), entries, "{jump}: it was not paid twice");
        };
        again(&engine);
        // This survives a snapshot and a replay.
        drop(engine);
        let engine = open();
        again(&engine);
        engine.snapshot_now_blocking().expect("a snapshot");
        drop(engine);
        again(&open());
    }
}

#[test]
fn whatever_the_clock_says_log_time_goes_on() {
    let (jumps, seed) = (proof::number("UPLINE_CLOCK_JUMPS", 400), proof::number("UPLINE_SEED", 1));
    println!("seed {seed}");
    let mut chance = proof::Chance::new(seed);
    let place = crate::common::scratch();
    let data = place.path().join("data");
    let clock = Arc::new(AtomicI64::new(START));
    let open = || {
        let mut options = directory::options(&data);
        let now = Arc::clone(&clock);
        options.clock = Arc::new(move || Timestamp(now.load(Ordering::Relaxed)));
        options.clock_jump_max = None;
        Engine::open(options).expect("whatever the clock says, it opens")
    };
    let mut engine = open().0;
    // Log time begins with the year 1970.
    let (mut last, mut behind) = (0, 0_u64);
    for number in 0..jumps {
        let now = jump(&mut chance, clock.load(Ordering::Relaxed));
        clock.store(now, Ordering::Relaxed);
        engine.submit_blocking(directory::signup(number), None).expect("it is written");
        let joined = engine.read(|state, _| state.member(MemberIx(state.len() - 1)).joined_at.0);
        assert_eq!(
            joined,
            last.max(now),
            "seed {seed}, jump {number}: the clock's time, or the last one's if that is later"
        );
        last = joined;
        if number % 50 == 49 {
            // Repeats are recognized whatever the clock, for 72 hours of log time.
            let trigger = TriggerBonus {
                source: directory::member(number),
                trigger: "referral".into(),
                amount: None,
                once: false,
                reference: None,
            };
            let (command, key) = (
                Command::TriggerBonus(trigger),
                RequestKey {
                    key: number.to_le_bytes().repeat(2).try_into().expect("16 bytes"),
                    fingerprint: 1,
                },
            );
            let first = engine.submit_blocking(command.clone(), Some(key)).expect("it is written").applied;
            clock.store(now - YEAR, Ordering::Relaxed);
            let before = engine.read(|state, _| (state.lsn(), state_digest(state)));
            drop(engine);
            let report;
            (engine, report) = open();
            behind += u64::from(!report.clock_behind.is_zero());
            assert_eq!(
                engine.read(|state, _| (state.lsn(), state_digest(state))),
                before,
                "seed {seed}, jump {number}"
            );
            assert_eq!(
                engine.submit_blocking(command, Some(key)).expect("an answer").applied,
                first,
                "seed {seed}, jump {number}"
            );
        }
    }
    assert_eq!(engine.read(|state, _| audit(state, 10)), Vec::<String>::new());
    proof::summary(&format!("clock: seed={seed} jumps={jumps} opened_behind={behind} wrong=0"));
    assert!(0 < behind, "it was opened with a clock behind the log");
}

/// Runs `upline clock` against a server; returns exit code and response.
fn clock(command: &str, server: &Server) -> (Option<i32>, Value) {
    let url = format!("http://{}", server.address);
    let output = Process::new(crate::common::binary())
        .args(["clock", command, "--json", "--url", &url])
        .env_clear()
        .output()
        .expect("it starts");
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("one object"))
}

/// Makes a directory whose newest command is `ahead` of this machine's clock, in microseconds.
fn of_the_future(data: &Path, ahead: i64) {
    let mut options = directory::options(data);
    let now = system_clock();
    options.clock = Arc::new(move || Timestamp(now().0 + ahead));
    let engine = Engine::open(options).expect("a new directory").0;
    for number in 0..3 {
        engine.submit_blocking(directory::signup(number), None).expect("it is written");
    }
}

/// The program itself on a directory that was written by a clock hours ahead: it serves, and writes after an
/// operator accepts.
#[test]
fn a_machine_whose_clock_is_behind_its_log_reads_and_does_not_write() {
    let place = crate::common::scratch();
    let data = place.path().join("data");
    of_the_future(&data, 5 * 3_600 * SECOND);
    let before = directory::content(&data);

    // Read-only commands report it.
    let (code, said) = directory::run("verify", &data, &["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let verified: Value = serde_json::from_str(said.lines().next().expect("a line")).expect("one object");
    let behind = verified["clock_behind_seconds"].as_f64().expect("a number");
    assert!((10_000.0..=18_000.0).contains(&behind) && verified["clock_ahead_seconds"] == 0.0, "{verified}");
    let (code, said) = directory::run("verify", &data, &[]);
    assert!(
        code == Some(0)
            && said.contains("behind the log's last time")
            && said.contains("too far, it is not written by"),
        "{said}"
    );
    let (code, said) = directory::run("clock", &data, &["show"]);
    assert!(
        code == Some(0) && said.starts_with("4 h ") && said.contains("behind the log's last time"),
        "{said}"
    );
    let (code, said) = directory::run("clock", &data, &["accept"]);
    assert!(code == Some(2) && said.contains("--accept-clock"), "{said}");

    // An import into it writes nothing.
    let file = place.path().join("more.csv");
    fs::write(&file, "member,sponsor,joined_at\nzoe,,\n").expect("a file");
    let file = file.to_str().expect("UTF-8");
    for more in [&[file][..], &[file, "--dry-run"]] {
        let (code, said) = directory::run("import", &data, more);
        assert!(
            code == Some(1)
                && said.contains("behind the log's last time")
                && said.contains("nothing was written"),
            "{said}"
        );
    }
    assert_eq!(directory::content(&data), before, "nothing was changed");

    // A server serves.
    let server = Server::start_without_waiting(&data, &[]);
    let refused = loop {
        let reply = server.post("/user/register", &registration(&uuid(1), None));
        if !reply.text().contains("Starting") {
            break reply;
        }
    };
    assert_eq!(
        (refused.status, refused.text()),
        (503, "{\"detail\":\"The clock of the server jumped, nothing was done\"}")
    );
    assert_eq!(server.get("/readyz").json()["status"], "clock_jumped");
    assert_eq!(server.get("/v1/stats").json()["network"]["members"], 3);
    assert_eq!(server.metric("upline_clock_jumped"), 1);
    let (code, shown) = clock("show", &server);
    assert_eq!(
        (code, &shown["jumped"], &shown["gained_seconds"]),
        (Some(0), &Value::from("behind"), &Value::Null)
    );
    let (code, accepted) = clock("accept", &server);
    assert_eq!(
        (code, &accepted["accepted"], &accepted["was"]["jumped"]),
        (Some(0), &Value::from(true), &Value::from("behind"))
    );
    assert_eq!(clock("accept", &server).1["accepted"], false);
    assert_eq!(server.get("/readyz").status, 200);
    assert_eq!(server.post("/user/register", &registration(&uuid(1), None)).status, 200);
    assert_eq!(
        server.get("/v1/clock").json()["last_command"],
        shown["last_command"],
        "log time stands still"
    );
    server.terminate();
    assert!(server.wait().success());

    // The acceptance was for that process alone; without a bound none is needed.
    let server = Server::start_without_waiting(&data, &[]);
    while server.get("/readyz").json()["status"] == "starting" {}
    assert_eq!(server.get("/readyz").json()["status"], "clock_jumped");
    drop(server);
    let server = Server::start(&data, &["--clock-jump-max", "0"]);
    assert_eq!(server.post("/user/register", &registration(&uuid(2), None)).status, 200);
    drop(server);
    let (code, said) = directory::run("import", &data, &[file, "--accept-clock"]);
    assert!(
        code == Some(0) && said.contains("the clock is accepted") && said.contains("imported 1 member"),
        "{said}"
    );
}
