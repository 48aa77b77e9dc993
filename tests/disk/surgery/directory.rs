//! A complete directory: sealed segments, an archive, two snapshots and a tail.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use upline::{
    engine::{
        Command as Write, Engine, EngineOptions, LogOptions, MemberId, Origin, PlacementRequest, PlanChoice,
        Register, RequestKey, Role, SnapshotPolicy, SponsorRef, TriggerBonus,
    },
    metrics::Metrics,
};

use crate::common;

pub const SEGMENT_BYTES: u64 = 16 << 10;

pub fn options(data: &Path) -> EngineOptions {
    let plan = PlanChoice {
        plan: upline::plan_file::default_plan(),
        plan_is_explicit: false,
        width_is_explicit: false,
    };
    let mut options = EngineOptions::new(data.to_path_buf(), plan, Metrics::new(&[]));
    options.log = LogOptions { segment_bytes: SEGMENT_BYTES, ..LogOptions::default() };
    options.snapshots = SnapshotPolicy { every_commands: None, every: None, on_shutdown: false };
    options
}

pub fn member(number: u64) -> MemberId {
    let mut id = [3; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    MemberId(id)
}

pub fn signup(number: u64) -> Write {
    let sponsor = if number == 0 { SponsorRef::None } else { SponsorRef::Member(member(number / 3)) };
    Write::Register(Register {
        member: member(number),
        sponsor,
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    })
}

/// Makes one; a second one has the same shape and another identity.
pub fn make(data: &Path) {
    let engine = Engine::open(options(data)).expect("a new directory").0;
    for number in 0..900 {
        engine.submit_blocking(signup(number), None).expect("it is written");
        if number % 9 == 8 {
            let trigger = TriggerBonus {
                source: member(number),
                trigger: "referral".into(),
                amount: None,
                once: false,
                reference: None,
            };
            let key = RequestKey { key: [u8::try_from(number / 9).expect("few"); 16], fingerprint: 1 };
            engine.submit_blocking(Write::TriggerBonus(trigger), Some(key)).expect("it is written");
        }
        if matches!(number, 300 | 600) {
            engine.snapshot_now_blocking().expect("a snapshot");
        }
    }
}

/// Returns all files below a directory.
pub fn content(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![data.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let entry = entry.expect("an entry");
            if entry.file_type().expect("a type").is_dir() {
                left.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(data).expect("below it").to_path_buf();
                found.insert(name, fs::read(entry.path()).expect("a file"));
            }
        }
    }
    found
}

pub fn write(data: &Path, content: &BTreeMap<PathBuf, Vec<u8>>) {
    for directory in ["log", "archive", "snapshots"] {
        fs::create_dir_all(data.join(directory)).expect("a directory");
    }
    for (name, bytes) in content {
        fs::write(data.join(name), bytes).expect("a file");
    }
}

/// Runs the program to completion; returns exit code and output.
pub fn run(command: &str, data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(common::binary())
        .arg(command)
        .args(more)
        .arg("--data-dir")
        .arg(data)
        .env_clear()
        .envs([crate::common::SMALL_SEGMENTS])
        .output()
        .expect("it starts");
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
