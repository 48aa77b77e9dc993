//! The layer as a whole, on the in-memory file system and on the real one.

mod batch;
mod crash;
mod damage;
mod directory;
mod evidence;
mod history;
mod leftovers;
mod locking;
mod mixes;
mod repair;
mod room;
mod unreadable;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    DataDir, Error, Genesis, InstanceId, Journal, LogOptions, Opened, Result, Retention,
    memory::Memory,
    paths::Paths,
    repair::{Moved, Papers},
    storage::Storage,
    test_data::{group, image, outcome_hash},
};
use crate::core::{command::Stamped, types::Timestamp};

pub(super) const ROOT: &str = "/data/live";

fn root() -> &'static Path {
    Path::new(ROOT)
}

fn paths() -> Paths {
    Paths::new(root())
}

fn segment(number: u64) -> PathBuf {
    root().join(format!("log/{number:020}.log"))
}

fn snapshot_file(lsn: u64) -> PathBuf {
    root().join(format!("snapshots/{lsn:020}.snap"))
}

/// A repair whose papers nobody reads.
struct NoPapers;

impl Papers for NoPapers {
    fn command(&mut self, _: &Stamped) -> String {
        String::new()
    }

    fn report(&mut self, _: &[Moved], _: bool) -> String {
        "{}".into()
    }
}

pub(super) fn genesis() -> Genesis {
    Genesis {
        id: InstanceId([5; 16]),
        network_id: 1,
        row_key: 66,
        code_key: 77.into(),
        created: Timestamp(88),
    }
}

pub(super) fn options() -> LogOptions {
    LogOptions { segment_bytes: 16 * 1_024, prepare_in_background: false, retention: Retention::Keep }
}

pub(super) fn create(storage: &Arc<dyn Storage>, path: &Path, lsn: u64, members: u32) -> Result<()> {
    let creation = DataDir::create(storage, path, &genesis(), options())?;
    let (header, rows) = image(lsn, members);
    let mut snapshot = creation.begin_snapshot(&header)?;
    for part in &rows {
        snapshot.push(part)?;
    }
    creation.finish(snapshot, [1; 32], [2; 32])
}

pub(super) fn open(storage: &Arc<dyn Storage>, path: &Path) -> Result<Opened> {
    DataDir::open(storage, path, options())
}

/// Returns an in-memory directory with this many groups of three, each synced.
pub(super) fn with_groups(groups: u64) -> Memory {
    let memory = Memory::new();
    create(&memory.shared(), Path::new(ROOT), 0, 5).unwrap();
    let mut opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    for number in 0..groups {
        append(&mut opened.journal, number * 3 + 1, 3).unwrap();
    }
    drop(opened);
    memory
}

/// Withdraws the evidence of durable commands: whatever is torn off the log now counts as never acknowledged.
pub(super) fn unsay(memory: &Memory) {
    let paths = super::paths::Paths::new(Path::new(ROOT));
    super::log::evidence::reset(memory, &paths, &[5; 16], unchained(0)).unwrap();
}

/// Returns a record of a durable log as older releases made it, without the chain.
pub(super) fn unchained(lsn: u64) -> super::log::evidence::Durable {
    super::log::evidence::Durable { lsn, chain: None }
}

/// Returns commands with the same LSNs as those of `group`, and another content.
pub(super) fn other_group(first: u64, count: u64) -> Vec<Stamped> {
    let mut commands = group(first + 1, count);
    commands.iter_mut().for_each(|stamped| stamped.lsn -= 1);
    commands
}

/// Appends and syncs a group.
pub(super) fn append(journal: &mut dyn Journal, first: u64, count: u64) -> Result<u64> {
    journal.append(&group(first, count), outcome_hash(first))?;
    journal.sync()
}

pub(super) fn snapshot(opened: &Opened, lsn: u64, durable_lsn: u64) -> Result<u64> {
    let (header, rows) = image(lsn, 5);
    let mut writer = opened.snapshots.begin(&header)?;
    for part in &rows {
        writer.push(part)?;
    }
    Ok(writer.publish(durable_lsn, [3; 32], [4; 32])?.oldest_kept_lsn)
}

/// Returns all commands of the tail, whose outcome hashes must be those that `append` gave.
pub(super) fn tail(opened: &mut Opened) -> Result<Vec<Stamped>> {
    let mut commands = Vec::new();
    for next in &mut opened.tail {
        let next = next?;
        if let Some(hash) = next.outcome_hash_before {
            assert_eq!(hash, outcome_hash(next.commands[0].lsn));
        }
        commands.extend(next.commands);
    }
    Ok(commands)
}

/// The tail must be exactly the commands `first..=last`.
pub(super) fn assert_tail(opened: &mut Opened, first: u64, last: u64) {
    let found = tail(opened).unwrap();
    let lsns = (found.first().map(|stamped| stamped.lsn), found.last().map(|stamped| stamped.lsn));
    assert!(found == group(first, last + 1 - first), "expected LSNs {first} to {last}, found {lsns:?}");
}

pub(super) fn is_damaged(result: &Result<Opened>) -> bool {
    matches!(result, Err(Error::Damaged(_)))
}
