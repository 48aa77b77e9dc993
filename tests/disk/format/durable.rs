//! The file `durable` before and since its slots have the chain.
//!
//! `snapshots/golden/v4/` was made without it. `snapshots/golden/v4.durable` is what is written today in that
//! directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use upline::durability::FORMAT_VERSION;

use super::{copy_of, describe, files, golden, regenerate_if_asked};

/// Offsets of the slots.
const SLOTS: [usize; 2] = [0, 4_096];

fn golden_file() -> PathBuf {
    golden(FORMAT_VERSION).with_file_name("v4.durable")
}

/// Returns the file as it was written before slots had the chain.
fn without_chain(mut content: Vec<u8>) -> Vec<u8> {
    for slot in SLOTS {
        content[slot + 52..slot + 512].fill(0);
    }
    content
}

/// Moves the file of a directory just generated to its place, and leaves one without the chain.
pub fn set_aside(directory: &Path) {
    let path = directory.join("durable");
    let content = fs::read(&path).unwrap();
    fs::write(golden_file(), &content).unwrap();
    fs::write(path, without_chain(content)).unwrap();
}

/// Returns the file as it is written today. `recorded` is the one of the golden directory.
pub fn chained(recorded: &[u8]) -> Vec<u8> {
    let content = fs::read(golden_file()).unwrap();
    assert!(without_chain(content.clone()) == recorded, "they differ in more than the chain");
    content
}

#[test]
fn the_chain_of_a_slot_is_where_the_specification_says() {
    regenerate_if_asked();
    let content = fs::read(golden_file()).unwrap();
    let u64_at = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().unwrap());
    let u32_at = |at: usize| u32::from_le_bytes(content[at..at + 4].try_into().unwrap());
    let files = files(&golden(FORMAT_VERSION));
    for slot in SLOTS {
        assert_eq!(&content[slot..slot + 8], b"uplinDUR");
        assert_eq!(u32_at(slot + 48), crc32c::crc32c(&content[slot..slot + 48]));
        assert_eq!(u32_at(slot + 52), 0);
        assert_eq!(u32_at(slot + 64), crc32c::crc32c(&content[slot..slot + 64]));
        assert!(content[slot + 68..slot + 512].iter().all(|byte| *byte == 0));
        assert_eq!(u64_at(slot + 56), chain_after(&files, u64_at(slot + 32)), "slot at {slot}");
    }
}

/// Returns the chain after an LSN, from the headers of segments and of frames alone.
fn chain_after(files: &std::collections::BTreeMap<String, Vec<u8>>, lsn: u64) -> u64 {
    let is_log = |name: &str| std::path::Path::new(name).extension().is_some_and(|end| end == "log");
    for (_, segment) in files.iter().filter(|(name, _)| is_log(name)) {
        let u64_at = |at: usize| u64::from_le_bytes(segment[at..at + 8].try_into().unwrap());
        let u32_at = |at: usize| u32::from_le_bytes(segment[at..at + 4].try_into().unwrap());
        if segment[..8] == *b"uplinLOG" && u64_at(40) == lsn + 1 {
            return u64_at(88);
        }
        let mut at = 512;
        while segment.get(at..at + 4) == Some(b"uFRM") {
            if u64_at(at + 16) + u64::from(u32_at(at + 12)) == lsn + 1 {
                return u64_at(at + 64);
            }
            let body = usize::try_from(u32_at(at + 8)).unwrap();
            at += (80 + body + 4 + 8).next_multiple_of(8);
        }
    }
    panic!("LSN {lsn} is nowhere the last one of a group");
}

#[test]
fn the_newest_version_opens_with_and_without_the_chain() {
    regenerate_if_asked();
    let expected = fs::read_to_string(golden(FORMAT_VERSION).join("expected.txt")).unwrap();
    let place = copy_of(FORMAT_VERSION);
    assert_eq!(describe(FORMAT_VERSION, place.path()), expected);
    fs::copy(golden_file(), place.path().join("durable")).unwrap();
    assert_eq!(describe(FORMAT_VERSION, place.path()), expected);
}
