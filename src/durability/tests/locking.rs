//! Two processes on one directory, also when files of it are put in each other's place while one of them runs.

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
        assert!(matches!(DataDir::open_read_only(&storage, &path), Err(Error::Locked { .. })), "{what}, for reading");
        assert!(matches!(crate::durability::repair::Repair::look(&storage, &path), Err(Error::Locked { .. })), "{what}, for a repair");
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

/// Each of the three keeps others out by itself: the file systems differ, and so do the releases.
#[test]
fn each_lock_is_enough() {
    let place = tempfile::tempdir().unwrap();
    let (storage, path) = (Disk::shared(), place.path().join("d"));
    create(&storage, &path, 0, 1).unwrap();
    for held in [path.clone(), path.join("lock"), path.join("instance")] {
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
