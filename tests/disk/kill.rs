//! SIGKILL of the real binary on a real disk, under load from sixteen clients, which keep a ledger of their
//! responses: signups, bonuses, statuses, plans, orders, refunds, and batches of signups and of orders.
//!
//! After each restart everything acknowledged is there and equal, writes with an unknown outcome are there
//! once or not at all, and repeating them gives one result. Kills also come while the directory is opened,
//! while a snapshot is written, and during log rotation.
//!
//! `UPLINE_KILLS` (20), `UPLINE_KILL_SIGNUPS` (signups before each kill, 100) and `UPLINE_SEED` set the
//! amount and the seed; every forty kills a new network is started, so that checking everything after each of
//! them stays affordable.

mod check;
mod ledger;
mod load;
mod orders;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use ledger::{Counts, Ledger};
use load::Load;

use crate::{
    common::{self, Server},
    proof::{self, Chance},
};

/// Kills per network.
const KILLS_PER_NETWORK: u64 = 40;

/// The activity during the kill.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    Load,
    Opening,
    Snapshot,
    Rotation,
}

const MOMENTS: [Moment; 4] = [Moment::Load, Moment::Snapshot, Moment::Rotation, Moment::Opening];

fn plan_text() -> String {
    let counted = proof::bulky_plan().replacen("level_cap", "count_sponsor_tree = true\nlevel_cap", 1);
    counted + orders::PLAN
}

/// A network and the facts known about it.
struct Campaign {
    _directory: tempfile::TempDir,
    data: PathBuf,
    plan: String,
    ledger: Ledger,
    chance: Chance,
    /// Duration of the last opening.
    opening: Duration,
    signups: u64,
}

impl Campaign {
    fn new(seed: u64, signups: u64) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let plan = directory.path().join("plan.toml");
        std::fs::write(&plan, plan_text()).expect("a temporary file");
        Self {
            data: directory.path().join("data"),
            plan: plan.to_str().expect("temporary paths are UTF-8").to_owned(),
            _directory: directory,
            ledger: Ledger::default(),
            chance: Chance::new(seed),
            opening: Duration::from_millis(20),
            signups,
        }
    }

    fn start(&mut self) -> Server {
        let begin = Instant::now();
        let mut arguments = vec!["--snapshot-every-commands", "1000", "--log", "warn"];
        // Later a different plan is in force.
        if !self.data.exists() {
            arguments.extend(["--plan", &self.plan]);
        }
        let server = Server::start(&self.data, &arguments);
        self.opening = begin.elapsed();
        server
    }

    /// Kills the server at some moment, restarts it and checks everything.
    fn kill_once(&mut self, server: Server, moment: Moment, counts: &mut Counts) -> Server {
        let load = Load::start(&server, &self.ledger, self.chance.below(u64::MAX));
        load.wait_for(self.chance.below(self.signups) + self.signups / 2);
        match moment {
            Moment::Load | Moment::Opening => {
                std::thread::sleep(Duration::from_micros(self.chance.below(20_000)));
            }
            Moment::Snapshot => {
                load.snapshot();
                std::thread::sleep(Duration::from_micros(self.chance.below(30_000)));
            }
            Moment::Rotation => {
                load.fill_segment(&self.data.join("log"));
                std::thread::sleep(Duration::from_micros(self.chance.below(5_000)));
            }
        }
        let snapshots_before = load.snapshots.load(Ordering::Relaxed);
        server.kill();
        counts.kills += 1;
        match moment {
            Moment::Snapshot if snapshots_before == 0 => counts.in_snapshot += 1,
            Moment::Rotation => counts.at_rotation += 1,
            _ => {}
        }
        let unknown = self.ledger.take(load.end());
        if moment == Moment::Opening {
            for _ in 0..=self.chance.below(3) {
                self.kill_while_opening(counts);
            }
        }
        let server = self.start();
        check::check(&server, &mut self.ledger, unknown, &mut self.chance, counts);
        server
    }

    /// Starts the server and kills it before it can have opened, based on the duration of the last opening.
    fn kill_while_opening(&mut self, counts: &mut Counts) {
        let longest = u64::try_from(self.opening.as_micros()).expect("some seconds");
        let wait = Duration::from_micros(self.chance.below(longest + 1));
        let mut child = Command::new(common::binary())
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
            .arg(&self.data)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        std::thread::sleep(wait);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
        counts.kills += 1;
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        if !out.lines().map_while(Result::ok).any(|line| line.contains("listening on")) {
            counts.in_opening += 1;
        }
    }

    /// Stops it cleanly: the directory verifies, and replaying the log from its beginning gives the same.
    fn end(self, server: Server, counts: &mut Counts) {
        counts.acknowledged += self.ledger.acknowledged;
        counts.signups += self.ledger.members.len() as u64;
        counts.orders += self.ledger.orders.len() as u64;
        counts.refunds += self.ledger.refunds.len() as u64;
        server.terminate();
        assert!(server.wait().success(), "a stop is no failure");
        let verified = proof::verified(&self.data);
        assert_eq!(verified["ok"], true);
        assert_eq!(verified["members"].as_u64(), Some(self.ledger.members.len() as u64), "members");
        assert!(
            self.ledger.last_lsn <= verified["lsn"].as_u64().expect("a number"),
            "the last LSN acknowledged"
        );
        replay(&self.data);
    }
}

fn replay(data: &Path) {
    let plan = upline::plan_file::parse(&plan_text()).expect("a plan");
    proof::assert_replays(data, plan);
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let _turn = crate::common::turn();
    let (kills, seed) = (proof::number("UPLINE_KILLS", 20), proof::number("UPLINE_SEED", 1));
    let signups = proof::number("UPLINE_KILL_SIGNUPS", 100).max(2);
    println!("seed {seed}");
    let mut counts = Counts::default();
    let begin = Instant::now();
    let mut networks = 0;
    while counts.kills < kills {
        let mut campaign = Campaign::new(seed.wrapping_add(networks), signups);
        networks += 1;
        let until = kills.min(counts.kills + KILLS_PER_NETWORK);
        let mut server = campaign.start();
        load::register_root(&server, &mut campaign.ledger);
        for moment in MOMENTS.into_iter().cycle() {
            if until <= counts.kills {
                break;
            }
            server = campaign.kill_once(server, moment, &mut counts);
        }
        campaign.end(server, &mut counts);
    }
    let seconds = begin.elapsed().as_secs();
    proof::summary(&format!("kill: seed={seed} networks={networks} {counts} seconds={seconds}"));
    assert_eq!((counts.lost, counts.doubled, counts.changed), (0, 0, 0), "seed {seed}");
    assert!(0 < counts.acknowledged);
}
