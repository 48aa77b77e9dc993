//! Shared by the tests of the proof (`docs/proof.md`): parameters, seeds, summary lines, and the state that
//! replaying a log from scratch yields.
//!
//! By default each test is small; `.ci/proof` runs it with other numbers in its environment and collects the
//! summary lines.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod slow_disk;

use std::{path::Path, process::Command};

use rand_pcg::{
    Pcg64,
    rand_core::{RngCore, SeedableRng},
};
use serde_json::Value;
use upline::{
    durability::Group,
    engine::{self, Disk, MemberDirectory, Stamped, State, state_digest},
};

/// Returns a parameter from the environment, or its default.
pub fn number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Err(_) => default,
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    }
}

/// Prints a summary line, which `.ci/proof` reads and adds up.
pub fn summary(line: &str) {
    println!("{line}");
}

/// Randomness that a seed reproduces.
pub struct Chance(Pcg64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(Pcg64::seed_from_u64(seed))
    }

    /// Returns a number below `end`, which is not 0. The bias of the remainder does not matter here.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end
    }

    pub fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    pub fn pick<'list, T>(&mut self, list: &'list [T]) -> &'list T {
        let at = self.below(list.len() as u64);
        &list[usize::try_from(at).expect("an index")]
    }
}

/// All commands of a directory's log, and an empty state. The log must reach back to the first command.
pub struct FromNothing {
    pub commands: Vec<Stamped>,
    pub state: State,
    pub maps: MemberDirectory,
    /// The state from opening the directory: a snapshot and the log after it.
    pub opened: engine::Loaded,
}

pub fn from_nothing(data: &Path, plan: engine::Plan) -> FromNothing {
    let opened = engine::load(&Disk::shared(), data, &mut |_| {}).expect("the directory opens");
    assert_eq!(opened.log.oldest_lsn(), 1, "the whole log is there");
    let mut commands = Vec::new();
    let mut reader = opened.log.read_from(1).expect("the log reads");
    let mut group = Group::default();
    while reader.next_into(&mut group).expect("the log reads") {
        commands.append(&mut group.commands);
    }
    let state = State::new(plan, opened.instance.code_key);
    FromNothing { commands, state, maps: MemberDirectory::with_capacity(0, 0), opened }
}

/// Asserts that the whole log, applied to an empty state, yields the state from opening.
pub fn assert_replays(data: &Path, plan: engine::Plan) {
    let FromNothing { commands, mut state, mut maps, opened } = from_nothing(data, plan);
    for stamped in &commands {
        state.apply(&mut maps, stamped);
    }
    assert_eq!(
        state_digest(&state),
        state_digest(&opened.state),
        "the log from its beginning gives another state than the snapshot"
    );
}

/// Returns the output of `upline verify` for an intact directory.
pub fn verified(data: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_upline"))
        .args(["verify", "--json", "--data-dir"])
        .arg(data)
        .env_clear()
        .output()
        .expect("the binary starts");
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(out.lines().last().expect("a line")).expect("JSON")
}

/// Returns a binary plan with the maximum number of ranks and long names, so that changing it fills a small
/// log segment quickly.
pub fn bulky_plan() -> String {
    let mut text = String::from(
        "name = \"bulky\"\nlevel_cap = 15\n[currency]\ncode = \"USD\"\nexponent = 2\n\
         [placement]\nwidth = 2\nrule = \"breadth-first\"\nallow = [\"power-leg\"]\nstrategic = true\n\
         [[trigger]]\nid = \"referral\"\nrate = { by = \"level\", money = [\"20.00\", \"5.00\"] }\n\
         [[trigger]]\nid = \"purchase\"\nrate = { by = \"level\", percent = [10, 5, 2.5] }\n\
         [ladder.live]\nrule = \"thresholds\"\ntree = \"placement\"\nbasis = \"downline\"\n",
    );
    for rank in 1..=64_u32 {
        text += &format!(
            "[[ladder.live.rank]]\nname = \"{rank:0>60}\"\nminimum = {}\nreward = \"1.00\"\n",
            rank * rank * 8
        );
    }
    text
}
