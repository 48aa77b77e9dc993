//! Two processes on one directory, also when its files are swapped while one of them runs.

use std::fs;

use super::*;
use crate::durability::storage::Disk;

#[test]
fn replaced_files_let_nobody_in() {
    let place = tempfile::tempdir().unwrap();
    let (storage, path) = (Disk::shared(), place.path().join("d"));
    create(&storage, &path, 0, 1).unwrap();
    let replace = |name: &str| {
        let file = path.join(name);
        fs::copy(&file, path.join("copy")).unwrap();
        fs::rename(path.join("copy"), &file).unwrap();
    };
    let opened = open(&storage, &path).unwrap();
    let is_locked = |what: &str| {
        assert!(matches!(open(&storage, &path), Err(Error::Locked { .. })), "{what}");
        assert!(
            matches!(DataDir::open_read_only(&storage, &path), Err(Error::Locked { .. })),
            "{what}, for reading"
        );
        assert!(
            matches!(crate::durability::repair::Repair::look(&storage, &path), Err(Error::Locked { .. })),
            "{what}, for a repair"
        );
    };
    is_locked("as it is");
    replace("instance");
    is_locked("another `instance`");
    replace("lock");
    is_locked("another `lock` too");
    fs::remove_file(path.join("lock")).unwrap();
    is_locked("no `lock` at all");
    drop(opened);
    open(&storage, &path).unwrap();
}

/// A copy of the directory that shares its log, by a symbolic link or by hard links, whichever segment the
/// server has reached by then.
#[test]
fn a_copy_that_shares_the_log_is_not_served_at_the_same_time() {
    use std::os::unix::fs::symlink;
    let place = tempfile::tempdir().unwrap();
    let storage = Disk::shared();
    for shared in ["log", "snapshots", "archive"] {
        let (one, other, elsewhere) = (
            place.path().join(format!("{shared}1")),
            place.path().join(format!("{shared}2")),
            place.path().join(shared),
        );
        create(&storage, &one, 0, 1).unwrap();
        fs::rename(one.join(shared), &elsewhere).unwrap();
        symlink(&elsewhere, one.join(shared)).unwrap();
        link_all(&one, &other, &|from, to| fs::copy(from, to).map(drop));
        let opened = open(&storage, &one).unwrap();
        assert!(matches!(open(&storage, &other), Err(Error::Locked { .. })), "{shared} by a symbolic link");
        drop(opened);
        drop(open(&storage, &other).unwrap());
    }
    let one = place.path().join("d");
    create(&storage, &one, 0, 1).unwrap();
    let mut opened = open(&storage, &one).unwrap();
    let mut next = 1;
    for round in 0..6 {
        let other = place.path().join(format!("links{round}"));
        link_all(&one, &other, &|from, to| fs::hard_link(from, to));
        fs::remove_file(other.join("lock")).unwrap();
        fs::rename(other.join("instance"), other.join("old")).unwrap();
        fs::copy(other.join("old"), other.join("instance")).unwrap();
        assert!(
            matches!(open(&storage, &other), Err(Error::Locked { .. })),
            "round {round}, segment {}",
            opened.journal.figures().live_segments
        );
        assert!(
            matches!(DataDir::open_read_only(&storage, &other), Err(Error::Locked { .. })),
            "round {round}, for reading"
        );
        if round == 2 {
            // What opening puts in place of a torn segment is another file, and is locked as well.
            drop(opened);
            let path = one.join(format!("log/{:020}.log", 3));
            let mut content = fs::read(&path).unwrap();
            let end = content.iter().rposition(|byte| *byte != 0).unwrap();
            content[end + 100] = 1;
            fs::write(&path, content).unwrap();
            opened = open(&storage, &one).unwrap();
            assert!(opened.report.torn.is_some());
            continue;
        }
        let segment = opened.journal.figures().live_segments;
        while opened.journal.figures().live_segments == segment {
            append(&mut opened.journal, next, 3).unwrap();
            next += 3;
        }
    }
}

/// Copies a directory file by file; linked folders stay links.
fn link_all(from: &Path, to: &Path, link: &dyn Fn(&Path, &Path) -> std::io::Result<()>) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, here, there) = (entry.file_type().unwrap(), entry.path(), to.join(entry.file_name()));
        if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(here).unwrap(), there).unwrap();
        } else if kind.is_dir() {
            link_all(&here, &there, link);
        } else {
            link(&here, &there).unwrap();
        }
    }
}

/// Each of the locks is sufficient alone: file systems differ, and so do releases.
#[test]
fn each_lock_is_enough() {
    let place = tempfile::tempdir().unwrap();
    let (storage, path) = (Disk::shared(), place.path().join("d"));
    create(&storage, &path, 0, 1).unwrap();
    let segment = format!("log/{:020}.log", 1);
    for held in ["", "lock", "instance", "log", "archive", "snapshots", &segment].map(|name| path.join(name))
    {
        let lock = storage.lock(&held).unwrap();
        assert!(lock.is_at(&held).unwrap());
        assert!(matches!(open(&storage, &path), Err(Error::Locked { .. })), "{}", held.display());
        drop(lock);
        open(&storage, &path).unwrap();
    }
}

#[test]
fn a_directory_of_an_older_release_gets_its_file() {
    let place = tempfile::tempdir().unwrap();
    let (storage, path) = (Disk::shared(), place.path().join("d"));
    create(&storage, &path, 0, 1).unwrap();
    fs::remove_file(path.join("lock")).unwrap();
    drop(DataDir::open_read_only(&storage, &path).unwrap());
    assert!(!path.join("lock").exists(), "reading changes nothing");
    drop(open(&storage, &path).unwrap());
    assert!(path.join("lock").exists());
}
