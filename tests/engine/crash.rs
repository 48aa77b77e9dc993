//! Crashes: acknowledged writes survive.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command as Process, Stdio},
};

use rand_pcg::{
    Pcg64,
    rand_core::{RngCore, SeedableRng},
};
use tempfile::tempdir;
use upline::engine::{
    AnsweredBy, Command, Engine, EntryStatus, LogOptions, MemberIx, Outcome, Rejection, RequestKey, Role,
    Status, load,
};

use super::common::{contents, copy_of, digest, disk, grow, member, open, options, signup, submit, trigger};

#[test]
fn what_was_answered_is_there_without_a_shutdown() {
    let directory = tempdir().unwrap();
    let engine = open(&directory.path().join("live"));
    let mut copies = Vec::new();
    for round in 0..4 {
        grow(&engine, round * 60, (round + 1) * 60);
        submit(&engine, trigger(round));
        let copy = copy_of(&directory.path().join("live"), directory.path().join(format!("copy-{round}")));
        copies.push((copy, digest(&engine), engine.status().lsn.applied));
    }
    for (copy, before, lsn) in copies {
        let (engine, report) = Engine::open(options(&copy)).unwrap();
        assert_eq!((report.lsn, digest(&engine)), (lsn, before));
    }
}

/// Kills a process in the middle of its signups. The process is this test binary again.
#[test]
fn a_killed_process_keeps_every_acknowledged_signup() {
    const INSIDE: &str = "UPLINE_TEST_CRASH_DIRECTORY";
    if let Some(path) = std::env::var_os(INSIDE) {
        sign_up_until_killed(Path::new(&path));
    }
    let directory = tempdir().unwrap();
    let path = directory.path().join("data");
    let mut acknowledged: Vec<(u64, u64, u32)> = Vec::new();
    for round in 0..5_usize {
        let child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::a_killed_process_keeps_every_acknowledged_signup", "--nocapture"])
            .env(INSIDE, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let enough = acknowledged.len() + 100 + 130 * round;
        while acknowledged.len() < enough {
            let line = lines.next().expect("the process goes on until it is killed").unwrap();
            acknowledged.extend(parse_acknowledged(&line));
        }
        child.0.kill().unwrap();
        child.0.wait().unwrap();
        // Lines in flight are acknowledged too.
        acknowledged.extend(lines.map_while(Result::ok).filter_map(|line| parse_acknowledged(&line)));

        let loaded = load(&disk(), &path, &mut |_| {}).unwrap();
        for (number, lsn, index) in &acknowledged {
            assert!(
                *lsn <= loaded.state.lsn(),
                "acknowledged at LSN {lsn}, the log ends with {}",
                loaded.state.lsn()
            );
            assert_eq!(loaded.state.member(MemberIx(*index)).id, member(*number), "round {round}");
        }
        assert_eq!(upline::core::audit(&loaded.state, 10), Vec::<String>::new());
    }
}

/// A child that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn parse_acknowledged(line: &str) -> Option<(u64, u64, u32)> {
    let mut words = line.split(' ');
    if words.next()? != "ack" || !line.ends_with('.') {
        return None;
    }
    let mut number = || words.next()?.parse::<u64>().ok();
    Some((number()?, number()?, u32::try_from(number()?).ok()?))
}

/// Four clients sign up members and report them; occasional snapshots are hit by kills too.
fn sign_up_until_killed(path: &Path) -> ! {
    let mut options = options(path);
    options.snapshots.every_commands = Some(150);
    let engine = Engine::open(options).unwrap().0;
    let first = engine.read(|state, _| u64::from(state.len()));
    if first == 0 {
        submit(&engine, signup(0, None));
    }
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let engine = engine.clone();
            std::thread::spawn(move || {
                for number in (first + 1 + client..).step_by(4) {
                    let answer = submit(&engine, signup(number, Some(0)));
                    match answer.applied.outcome {
                        Outcome::Registered { member } => {
                            println!("ack {number} {} {} .", answer.applied.lsn, member.0);
                        }
                        Outcome::Rejected(Rejection::MemberExists) => {}
                        other => panic!("{other:?}"),
                    }
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    unreachable!("it is killed before it runs out of numbers")
}

#[test]
fn idempotency_keys_survive_crash_restart_and_snapshot() {
    let directory = tempdir().unwrap();
    let key = RequestKey { key: [9; 16], fingerprint: 1 };
    let engine = open(directory.path());
    grow(&engine, 0, 5);
    let first = engine.submit_blocking(trigger(4), Some(key)).unwrap();
    assert!(matches!(first.applied.outcome, Outcome::BonusPaid { entries: 2, .. }));
    let entries = engine.read(|state, _| state.entries());
    drop(engine);
    for with_snapshot in [false, true, false] {
        let engine = open(directory.path());
        let again = engine.submit_blocking(trigger(4), Some(key)).unwrap();
        assert_eq!((again.applied, again.by), (first.applied, AnsweredBy::Repeat));
        let other = RequestKey { fingerprint: 2, ..key };
        let refused = engine.submit_blocking(trigger(3), Some(other)).unwrap();
        assert_eq!(refused.applied.outcome, Outcome::Rejected(Rejection::KeyReused));
        assert_eq!(engine.read(|state, _| state.entries()), entries, "paid once");
        if with_snapshot {
            engine.snapshot_now_blocking().unwrap();
        }
    }
}

/// Random commands, with reopening, snapshots and copies in between: the digest never changes by these.
#[test]
fn the_digest_after_a_reopen_is_that_of_before() {
    for seed in 0..6 {
        println!("seed {seed}");
        let directory = tempdir().unwrap();
        let path = directory.path().join("data");
        let mut random = Pcg64::seed_from_u64(seed);
        let mut small = options(&path);
        small.log = LogOptions { segment_bytes: 16 * 1_024, ..LogOptions::default() };
        let mut engine = Engine::open(small).unwrap().0;
        submit(&engine, signup(0, None));
        for step in 0..400 {
            let answer = submit(&engine, random_command(&mut random, step));
            let lsn = engine.status().lsn;
            assert!(answer.applied.lsn <= lsn.applied);
            match random.next_u32() % 60 {
                0 => {
                    let before = digest(&engine);
                    drop(engine);
                    engine = open(&path);
                    assert_eq!(digest(&engine), before, "seed {seed}, step {step}");
                }
                1 => _ = engine.snapshot_now_blocking().unwrap(),
                2 => {
                    let before = digest(&engine);
                    engine.shutdown();
                    engine = open(&path);
                    assert_eq!(digest(&engine), before, "seed {seed}, step {step}");
                }
                _ => {}
            }
        }
        let before = digest(&engine);
        drop(engine);
        let files = contents(&path);
        let loaded = load(&disk(), &path, &mut |_| {}).unwrap();
        assert_eq!(upline::engine::state_digest(&loaded.state), before, "seed {seed}");
        drop(loaded);
        assert!(files == contents(&path), "seed {seed}: looking changes nothing");
    }
}

fn random_command(random: &mut Pcg64, step: u64) -> Command {
    let known = u64::from(random.next_u32()) % (step + 1);
    match random.next_u32() % 12 {
        0 => trigger(known),
        1 => Command::PayEntry { entry: known },
        2 if known.is_multiple_of(8) => Command::PayAll,
        3 => {
            let status = if random.next_u32().is_multiple_of(2) { Status::Active } else { Status::Inactive };
            Command::SetStatus { member: member(known), status }
        }
        4 if known.is_multiple_of(4) => Command::SetRole { member: member(known), role: Role::Admin },
        5 => Command::ImportEntry(upline::engine::ImportEntry {
            receiver: member(known),
            source: member(known / 2),
            kind: "referral".into(),
            level: 1,
            amount: upline::engine::Money(25),
            status: EntryStatus::Paid,
            time: upline::engine::Timestamp(1_000),
            row_id: None,
            reference: None,
            reverses: None,
        }),
        _ => signup(step + 1, Some(known)),
    }
}
