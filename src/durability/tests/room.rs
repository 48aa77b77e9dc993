//! A full disk, or a temporary shortage of file descriptors, while the next segment is prepared.

use std::{
    io::ErrorKind,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::*;
use crate::durability::storage::{Access, StorageFile, StorageLock};

/// A storage that temporarily creates no files.
#[derive(Debug)]
struct Short {
    inner: Memory,
    refuses: Mutex<Option<ErrorKind>>,
}

impl Short {
    fn set(&self, refuses: Option<ErrorKind>) {
        *self.refuses.lock().unwrap() = refuses;
    }
}

impl Storage for Short {
    fn create(&self, path: &Path) -> std::io::Result<Box<dyn StorageFile>> {
        let refuses = *self.refuses.lock().unwrap();
        refuses.map_or_else(|| self.inner.create(path), |kind| Err(kind.into()))
    }
    fn open(&self, path: &Path, access: Access) -> std::io::Result<Box<dyn StorageFile>> {
        self.inner.open(path, access)
    }
    fn create_dir(&self, path: &Path) -> std::io::Result<()> {
        self.inner.create_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> std::io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, path: &Path) -> std::io::Result<()> {
        self.inner.remove(path)
    }
    fn list(&self, path: &Path) -> std::io::Result<Vec<String>> {
        self.inner.list(path)
    }
    fn is_file(&self, path: &Path) -> std::io::Result<bool> {
        self.inner.is_file(path)
    }
    fn is_dir(&self, path: &Path) -> std::io::Result<bool> {
        self.inner.is_dir(path)
    }
    fn lock(&self, path: &Path) -> std::io::Result<Box<dyn StorageLock>> {
        self.inner.lock(path)
    }
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_segment_that_cannot_be_made_is_reported_tried_again_and_poisons_nothing() {
    for in_background in [false, true] {
        let memory = with_groups(3);
        let short = Arc::new(Short { inner: memory.clone(), refuses: Mutex::new(None) });
        let storage: Arc<dyn Storage> = short.clone();
        let options = LogOptions { prepare_in_background: in_background, ..options() };
        let mut opened = DataDir::open(&storage, Path::new(ROOT), options).unwrap();
        let health = opened.journal.health();
        // The one being prepared at opening is used up; the next fails.
        let mut next = 10;
        while opened.journal.figures().live_segments < 2 {
            append(&mut opened.journal, next, 3).unwrap();
            next += 3;
        }
        wait_until("the next one is there", || {
            !in_background || memory.content(&Path::new(ROOT).join("log/00000000000000000003.log")).is_some()
        });
        short.set(Some(ErrorKind::StorageFull));
        while opened.journal.figures().live_segments < if in_background { 3 } else { 2 } {
            append(&mut opened.journal, next, 3).unwrap();
            next += 3;
        }
        if in_background {
            wait_until("it is reported before anybody needs it", || health.trouble().is_some());
            let trouble = health.trouble().unwrap();
            assert!(!trouble.refuses_writes && 1 <= health.failures(), "{trouble:?}");
            assert!(trouble.why.contains(".log.tmp"), "{trouble:?}");
        }
        // Fill the active one to its end.
        let refused = loop {
            match append(&mut opened.journal, next, 3) {
                Ok(_) => next += 3,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, Error::NoRoom { .. }), "{refused}");
        assert!(health.trouble().unwrap().refuses_writes);
        for _ in 0..3 {
            assert!(matches!(append(&mut opened.journal, next, 3), Err(Error::NoRoom { .. })));
        }
        assert_eq!(opened.journal.sync().unwrap(), next - 1, "the log is not poisoned");
        // No unfinished file is left to fill the disk.
        assert!(memory.all().keys().all(|path| path.extension().is_none_or(|end| end != "tmp")));
        short.set(None);
        if in_background {
            wait_until("it heals by itself", || health.trouble().is_none());
        }
        append(&mut opened.journal, next, 3).unwrap();
        assert_eq!(health.trouble(), None);
        drop(opened);
        assert_tail(&mut open(&memory.shared(), Path::new(ROOT)).unwrap(), 1, next + 2);
    }
}

#[test]
fn a_maker_that_cannot_succeed_does_not_keep_the_log_from_ending() {
    let memory = with_groups(1);
    let short = Arc::new(Short { inner: memory, refuses: Mutex::new(None) });
    let storage: Arc<dyn Storage> = short.clone();
    // The directory has its lock and its files by now.
    drop(DataDir::open(&storage, Path::new(ROOT), options()).unwrap());
    let opened = DataDir::open(
        &storage,
        Path::new(ROOT),
        LogOptions { prepare_in_background: true, segment_bytes: 32 * 1_024, ..options() },
    )
    .unwrap();
    short.set(Some(ErrorKind::Other));
    drop(opened);
}

#[test]
fn readers_are_bounded_and_come_back() {
    use crate::durability::LOG_READERS_MAX;
    let memory = with_groups(3);
    let opened = open(&memory.shared(), Path::new(ROOT)).unwrap();
    let view = opened.journal.reader();
    // One of them reads the tail.
    let mut readers: Vec<_> = (1..LOG_READERS_MAX).map(|_| view.read_from(1).unwrap()).collect();
    assert!(matches!(view.read_from(1), Err(Error::TooManyReaders { most: LOG_READERS_MAX })));
    drop(readers.pop());
    assert_eq!(view.read_from(1).unwrap().count(), 3);
}
