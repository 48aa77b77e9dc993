//! Data written by a newer release: refused with its own exit code, and left unchanged.
//!
//! `snapshots/golden/newer/` is a directory whose every file has a format version one above the newest.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use upline::durability::FORMAT_VERSION;

use super::{copy_of, files, golden, regenerate_if_asked, write_files};
use crate::common::binary;

const NEWER_DIRECTORY: i32 = 6;

pub fn newer() -> PathBuf {
    golden(FORMAT_VERSION).with_file_name("newer")
}

/// Writes the golden directory: that of the newest version, with each file's version raised by one.
pub fn generate() {
    let mut content = files(&golden(FORMAT_VERSION));
    for (name, bytes) in &mut content {
        raise(name, bytes);
    }
    if newer().exists() {
        fs::remove_dir_all(newer()).unwrap();
    }
    write_files(&newer(), &content);
}

/// Raises a file's version by one, and fixes its header checksum. False for one without a version.
fn raise(name: &str, bytes: &mut [u8]) -> bool {
    let crc_at = match name.rsplit('.').next() {
        Some("log") => 508,
        Some("snap") => 60,
        _ if name == "/instance" => 124,
        _ if name == "/durable" => 48,
        _ => return false,
    };
    // An unused segment.
    if bytes.iter().all(|byte| *byte == 0) {
        return false;
    }
    bytes[8..12].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..crc_at]);
    bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    true
}

/// Returns everything below a directory, regardless of name.
fn everything(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut left) = (BTreeMap::new(), vec![directory.to_path_buf()]);
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.clone(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn run(arguments: &[&str], directory: &Path) -> Output {
    Command::new(binary()).args(arguments).arg("--data-dir").arg(directory).env_clear().output().unwrap()
}

fn assert_refused(ran: &Output, about: &str) {
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(NEWER_DIRECTORY), "{about}: {said}");
    assert!(said.contains(&format!("format version {}", FORMAT_VERSION + 1)), "{about}: {said}");
}

#[test]
fn a_directory_of_a_newer_release_is_refused_by_every_command_and_left_alone() {
    regenerate_if_asked();
    let place = crate::common::scratch();
    let rows = place.path().join("rows.csv");
    fs::write(&rows, "member,sponsor,joined_at\na,,\n").unwrap();
    let data = place.path().join("data");
    write_files(&data, &files(&newer()));
    let before = everything(&data);
    let commands: [&[&str]; 6] = [
        &["serve", "--addr", "127.0.0.1:0"],
        &["verify"],
        &["export"],
        &["import", rows.to_str().unwrap()],
        &["snapshot"],
        &["repair"],
    ];
    for arguments in commands {
        assert_refused(&run(arguments, &data), arguments[0]);
        assert!(everything(&data) == before, "{arguments:?} changed something");
    }
}

/// A single such file is enough.
#[test]
fn one_above_the_newest_is_refused_as_newer() {
    regenerate_if_asked();
    let mut raised = 0;
    for (name, mut content) in files(&golden(FORMAT_VERSION)) {
        // Neither the archive nor the older snapshot is needed to open.
        if name.starts_with("archive") || name.ends_with("200.snap") || !raise(&name, &mut content) {
            continue;
        }
        let place = copy_of(FORMAT_VERSION);
        fs::write(place.path().join(name.trim_start_matches('/')), content).unwrap();
        let before = everything(place.path());
        assert_refused(&run(&["verify"], place.path()), &name);
        assert!(everything(place.path()) == before, "{name}");
        raised += 1;
    }
    assert!(4 <= raised, "{raised} files");
}
