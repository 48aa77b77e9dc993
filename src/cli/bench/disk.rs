//! Disk throughput: the limit for everything that is bound by the disk.

use std::{
    fmt::Debug,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::timing::rate;
use crate::{
    cli::exit::{Exit, Failure},
    durability::{
        storage::{Disk, Storage},
        surrounded::{Around, FileCall, Surrounded},
    },
    private_file,
};

/// Bytes per write or read: large enough that system call overhead is negligible.
const BLOCK_BYTES: usize = 1 << 20;

/// Measures sequential write throughput, in bytes per second: `bytes` into a new file in a folder, with one
/// fdatasync at the end.
///
/// # Errors
/// Disk errors.
pub(super) fn write_rate(folder: &Path, bytes: u64) -> Result<f64, Failure> {
    // Not constant, because some disks compress.
    let block: Vec<u8> =
        (0..BLOCK_BYTES).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 11).to_le_bytes()[0]).collect();
    let path = folder.join("probe");
    let write = || -> io::Result<Duration> {
        let mut file = private_file::create_new(&path)?;
        let started = Instant::now();
        let mut left = bytes;
        while left != 0 {
            let part = left.min(BLOCK_BYTES as u64);
            file.write_all(&block[..usize::try_from(part).expect("at most a block")])?;
            left -= part;
        }
        file.sync_data()?;
        Ok(started.elapsed())
    };
    let took = write();
    _ = fs::remove_file(&path);
    let took = took
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display())))?;
    Ok(rate(bytes, took))
}

/// Measures read throughput with plain calls. The file is read twice, so that the page cache holds it if
/// memory allows. Returns its bytes and the bytes per second.
///
/// # Errors
/// Disk errors.
pub(super) fn read_rate(path: &Path) -> Result<(u64, f64), Failure> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut read = || -> io::Result<(u64, Duration)> {
        let mut file = File::open(path)?;
        let (started, mut bytes) = (Instant::now(), 0);
        loop {
            match file.read(&mut block)? {
                0 => return Ok((bytes, started.elapsed())),
                count => bytes += count as u64,
            }
        }
    };
    let read = read().and_then(|_| read());
    let (bytes, took) =
        read.map_err(|error| Failure::new(Exit::Failed, format!("cannot read {}: {error}", path.display())))?;
    Ok((bytes, rate(bytes, took)))
}

/// Returns the largest file in a folder: the newest snapshot if the folder holds snapshots.
///
/// # Errors
/// Disk errors.
pub(super) fn largest_file(folder: &Path) -> Result<std::path::PathBuf, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Exit::Failed, format!("cannot look at {}: {error}", folder.display()))
    };
    let sized =
        |entry: io::Result<fs::DirEntry>| entry.and_then(|entry| Ok((entry.metadata()?.len(), entry.path())));
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(failed)?.map(sized).collect();
    let largest = entries.map_err(failed)?.into_iter().max().map(|(_, path)| path);
    largest.ok_or_else(|| Failure::new(Exit::Failed, format!("{} is empty", folder.display())))
}

/// The spans during which the disk was busy.
#[derive(Clone, Default, Debug)]
pub(super) struct Spans(Arc<Mutex<Vec<Span>>>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub began: Instant,
    pub ended: Instant,
    pub is_sync: bool,
}

/// Maximum spans recorded: five minutes at ten thousand groups a second. Later ones are dropped.
const SPANS_MAX: usize = 6_000_000;

impl Spans {
    fn time<R>(&self, is_sync: bool, call: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let result = call();
        let span = Span { began, ended: Instant::now(), is_sync };
        let mut spans = self.0.lock();
        if spans.len() < SPANS_MAX {
            spans.push(span);
        }
        result
    }

    /// Returns the spans recorded so far, in order, and stops recording.
    pub fn take(&self) -> Vec<Span> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Wraps the disk so that each write and sync by the thread of this name is timed.
pub(super) fn timed(thread: &'static str) -> (Arc<dyn Storage>, Spans) {
    let spans = Spans::default();
    (Arc::new(Surrounded::new(Disk::shared(), Arc::new(Timed { thread, spans: spans.clone() }))), spans)
}

#[derive(Debug)]
struct Timed {
    thread: &'static str,
    spans: Spans,
}

impl Around for Timed {
    fn around<R>(&self, call: FileCall, _: &Path, run: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        if std::thread::current().name() == Some(self.thread) {
            self.spans.time(call != FileCall::Write, run)
        } else {
            run()
        }
    }
}
