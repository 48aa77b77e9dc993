//! The file `durable` before and since its slots have the chain.
//!
//! `snapshots/golden/v4/` was made without it, and `snapshots/golden/v4.durable` is the same file with it.
//! Later golden directories have it.

use std::{fs, path::PathBuf};

use upline::durability::FORMAT_VERSION;

use super::{copy_of, describe, files, golden, regenerate_if_asked};

/// Offsets of the slots.
const SLOTS: [usize; 2] = [0, 4_096];

fn golden_file() -> PathBuf {
    golden(4).with_file_name("v4.durable")
}

/// Returns the file as it was written before slots had the chain.
fn without_chain(mut content: Vec<u8>) -> Vec<u8> {
    for slot in SLOTS {
        content[slot + 52..slot + 512].fill(0);
    }
    content
}

#[test]
fn the_chain_of_a_slot_is_where_the_specification_says() {
    regenerate_if_asked();
    let newest = fs::read(golden(FORMAT_VERSION).join("durable")).unwrap();
    for (version, content) in [(4, fs::read(golden_file()).unwrap()), (FORMAT_VERSION, newest)] {
        let u64_at = |at: usize| u64::from_le_bytes(content[at..at + 8].try_into().unwrap());
        let u32_at = |at: usize| u32::from_le_bytes(content[at..at + 4].try_into().unwrap());
        let files = files(&golden(version));
        for slot in SLOTS {
            assert_eq!(&content[slot..slot + 8], b"uplinDUR");
            assert_eq!(u32_at(slot + 48), crc32c::crc32c(&content[slot..slot + 48]));
            assert_eq!(u32_at(slot + 52), 0);
            assert_eq!(u32_at(slot + 64), crc32c::crc32c(&content[slot..slot + 64]));
            assert!(content[slot + 68..slot + 512].iter().all(|byte| *byte == 0));
            let chain = chain_after(&files, u64_at(slot + 32));
            assert_eq!(u64_at(slot + 56), chain, "version {version}, slot at {slot}");
        }
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
fn directories_open_with_and_without_the_chain() {
    regenerate_if_asked();
    let with_chain = fs::read(golden_file()).unwrap();
    assert!(without_chain(with_chain.clone()) == fs::read(golden(4).join("durable")).unwrap());
    let newest = fs::read(golden(FORMAT_VERSION).join("durable")).unwrap();
    for (version, other) in [(4, with_chain), (FORMAT_VERSION, without_chain(newest))] {
        let expected = fs::read_to_string(golden(version).join("expected.txt")).unwrap();
        let place = copy_of(version);
        assert_eq!(describe(version, place.path()), expected);
        fs::write(place.path().join("durable"), other).unwrap();
        assert_eq!(describe(version, place.path()), expected);
    }
}
