//! Files removed, duplicated, swapped and copied from elsewhere, and a second process, with the real binary.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::directory;
use crate::{
    common::{Server, assert_within},
    proof,
};

type Content = BTreeMap<PathBuf, Vec<u8>>;

/// The expected result for a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Exit code 5, the file named, nothing changed.
    Refused,
    /// Everything is there; `verify` reports damage to files that are not needed.
    Served,
}

fn names(content: &Content, folder: &str) -> Vec<PathBuf> {
    content.keys().filter(|name| name.starts_with(folder)).cloned().collect()
}

/// Returns nonempty segments.
fn live(content: &Content) -> Vec<PathBuf> {
    let is_used = |name: &PathBuf| content[name].iter().any(|byte| *byte != 0);
    names(content, "log").into_iter().filter(is_used).collect()
}

fn swap(content: &mut Content, left: &Path, right: &Path) {
    let (one, other) = (content[left].clone(), content[right].clone());
    content.insert(left.to_path_buf(), other);
    content.insert(right.to_path_buf(), one);
}

/// Returns all operations with their expected results. `other` is a directory of the same shape with another
/// identity.
fn operations(content: &Content, other: &Content) -> Vec<(&'static str, Fate, Content)> {
    use Fate::{Refused, Served};
    let (segments, snapshots, archived) =
        (live(content), names(content, "snapshots"), names(content, "archive"));
    let (first, middle, last) = (&segments[0], &segments[segments.len() / 2], &segments[segments.len() - 1]);
    let (older, newer) = (&snapshots[0], &snapshots[1]);
    let mut all = Vec::new();
    let mut add = |what, fate, change: &dyn Fn(&mut Content)| {
        let mut changed = content.clone();
        change(&mut changed);
        assert!(changed != *content, "{what}: nothing was changed");
        all.push((what, fate, changed));
    };
    add("a segment in the middle is missing", Refused, &|files| _ = files.remove(middle));
    add("the first segment is missing", Served, &|files| _ = files.remove(first));
    add("the last segment is missing", Refused, &|files| _ = files.remove(last));
    add("two segments are swapped", Refused, &|files| swap(files, first, middle));
    add("a segment is there under the next one's name too", Refused, &|files| {
        _ = files.insert(last.clone(), files[middle].clone());
    });
    add("a segment of another directory", Refused, &|files| {
        _ = files.insert(middle.clone(), other[middle].clone());
    });
    add("a segment cut to half its length", Refused, &|files| {
        files.get_mut(middle).expect("it is there").truncate(8 << 10);
    });
    add("a segment of zeros", Refused, &|files| files.get_mut(middle).expect("it is there").fill(0));
    add("a sector of zeros in a sealed segment", Refused, &|files| {
        files.get_mut(middle).expect("it is there")[1_024..1_536].fill(0);
    });
    add("the newest snapshot is missing", Served, &|files| _ = files.remove(newer));
    add("the older snapshot is missing", Served, &|files| _ = files.remove(older));
    add("both snapshots are missing", Refused, &|files| {
        files.remove(older);
        files.remove(newer);
    });
    add("the newest snapshot is the older one under its name", Served, &|files| {
        _ = files.insert(newer.clone(), files[older].clone());
    });
    add("the newest snapshot is another directory's", Served, &|files| {
        _ = files.insert(newer.clone(), other[newer].clone());
    });
    add("the newest snapshot is cut", Served, &|files| {
        files.get_mut(newer).expect("it is there").truncate(3_000);
    });
    add("archived segments are missing", Served, &|files| {
        archived.iter().for_each(|name| _ = files.remove(name));
    });
    add("the instance file is another directory's", Refused, &|files| {
        _ = files.insert("instance".into(), other[Path::new("instance")].clone());
    });
    add("the instance file is missing", Refused, &|files| _ = files.remove(Path::new("instance")));
    add("the instance file is renamed", Refused, &|files| {
        let instance = files.remove(Path::new("instance")).expect("it is there");
        files.insert("instance.tmp".into(), instance);
    });
    add("the active segment is a prepared one", Refused, &|files| {
        files.get_mut(last).expect("it is there").fill(0);
    });
    add("the active segment holds nothing", Refused, &|files| {
        files.get_mut(last).expect("it is there")[512..].fill(0);
    });
    add("the last sector of the active segment is zero", Refused, &|files| {
        let content = files.get_mut(last).expect("it is there");
        let end = content.iter().rposition(|byte| *byte != 0).expect("it holds something");
        content[end / 512 * 512..].fill(0);
    });
    add("what says how far the log is durable is missing", Refused, &|files| {
        _ = files.remove(Path::new("durable"));
    });
    add("what says how far the log is durable is another directory's", Refused, &|files| {
        _ = files.insert("durable".into(), other[Path::new("durable")].clone());
    });
    add("a cut below the snapshots", Refused, &|files| {
        let mut cut =
            [b"uplinCUT".as_slice(), &1_u64.to_le_bytes(), &files[Path::new("instance")][16..32]].concat();
        cut.extend_from_slice(&crc32c::crc32c(&cut).to_le_bytes());
        files.insert("log/cut".into(), cut);
    });
    add("the active segment has the name of an unfinished one", Refused, &|files| {
        let content = files.remove(last).expect("it is there");
        files.insert(last.with_extension("log.tmp"), content);
    });
    add("an unfinished snapshot lies about", Served, &|files| {
        _ = files.insert("snapshots/00000000000000009999.snap.tmp".into(), vec![1; 99]);
    });
    all
}

#[test]
fn files_that_are_not_what_they_should_be_are_refused_or_not_needed() {
    let place = crate::common::scratch();
    let (whole, another) = (place.path().join("whole"), place.path().join("another"));
    directory::make(&whole);
    directory::make(&another);
    let (content, other) = (directory::content(&whole), directory::content(&another));
    let expected = proof::verified(&whole);
    let (mut refused, mut served) = (0_u64, 0_u64);
    for (what, fate, changed) in operations(&content, &other) {
        let data = place.path().join("case");
        directory::write(&data, &changed);
        match fate {
            Fate::Refused => {
                let (exit, said) = directory::run("serve", &data, &["--addr", "127.0.0.1:0"]);
                assert_eq!(exit, Some(5), "{what}: {said}");
                let names_place = said.contains(data.to_str().expect("UTF-8"));
                assert!(names_place, "{what}: it does not say where: {said}");
                assert!(directory::content(&data) == changed, "{what}: refused, and changed");
                refused += 1;
            }
            Fate::Served => {
                let running = Server::start(&data, &["--log", "error"]);
                running.terminate();
                assert!(running.wait().success(), "{what}");
                let (_, said) = directory::run("verify", &data, &["--json"]);
                let object = said
                    .lines()
                    .find_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                    .expect("an object");
                for field in ["members", "bonuses", "lsn", "network_digest"] {
                    assert_eq!(object[field], expected[field], "{what}: {field}");
                }
                served += 1;
            }
        }
        std::fs::remove_dir_all(&data).expect("it was made here");
    }
    proof::summary(&format!(
        "files: operations={} refused={refused} served={served} silent=0",
        refused + served
    ));
}

#[test]
fn a_second_process_ends_at_once_and_changes_nothing() {
    let place = crate::common::scratch();
    let data = place.path().join("data");
    directory::make(&data);
    let server = Server::start(&data, &["--log", "error"]);
    // The next segment is prepared in the background, and the idle log gets its mark.
    std::thread::sleep(Duration::from_millis(1_600));
    let before = directory::content(&data);
    for (command, more) in [("serve", &["--addr", "127.0.0.1:0"][..]), ("verify", &[]), ("snapshot", &[])] {
        let begin = Instant::now();
        let (exit, said) = directory::run(command, &data, more);
        assert_within(Duration::from_secs(1), begin.elapsed(), command);
        assert_eq!(exit, Some(4), "{command}: {said}");
        assert!(said.contains("another process"), "{command}: {said}");
    }
    assert!(directory::content(&data) == before, "a byte was changed");
    assert_eq!(server.get("/readyz").status, 200);
}
