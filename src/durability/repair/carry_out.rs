//! Carries out the steps that a look planned.
//!
//! The report and the dropped commands are written first, durably, before anything is removed. No file is
//! changed in place: what is not needed is moved aside; what needs other content is copied aside and replaced
//! by a fresh, synced file of the same name. An interrupted repair leaves a directory that opens, or that is
//! refused as before with the same last good LSN; it is then restarted with another directory for what it
//! moves aside.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{
    look::Repair,
    step::Step,
    survey::{Fresh, Survey},
};
use crate::{
    core::command::Stamped,
    durability::{
        FORMAT_VERSION, SEGMENT_BYTES,
        error::{Error, Result},
        log::{
            evidence, frame,
            rewrite::replace_segment,
            segment::{self, HEADER_BYTES, SegmentHeader},
            whole::read_whole,
        },
        paths::{Paths, open_listed},
        snapshot::relabel,
        storage::{Access, Storage, StorageFile},
    },
};

/// Files are copied, and lines buffered, in pieces of this size.
const PIECE_BYTES: usize = 1_024 * 1_024;

/// The folders of a data directory.
const PARTS: [&str; 3] = ["log", "archive", "snapshots"];

/// A file that is moved or copied aside, as it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    pub file: PathBuf,
    /// Where it is kept.
    pub kept_as: PathBuf,
    /// `None` for a file that cannot be read, or is none.
    pub content: Option<Content>,
    /// For a log segment whose header verifies: its first LSN, and the last one that verifies without a gap.
    pub lsns: Option<(u64, u64)>,
}

/// Length and checksums of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    pub bytes: u64,
    pub crc32c: u32,
    pub blake3: [u8; 32],
}

/// The written record of a repair. This layer knows no text form of commands, and no time.
pub trait Papers {
    /// Returns the line for a dropped command, with its line break.
    fn command(&mut self, stamped: &Stamped) -> String;
    /// Returns the report: called once before anything is changed, and once more when all is done.
    fn report(&mut self, moved: &[Moved], is_finished: bool) -> String;
}

impl Repair {
    /// Carries out the steps of the look. `name` is the directory, below the data directory, for everything
    /// moved aside; it must not exist. Returns its path. The caller is responsible for confirming a loss.
    ///
    /// # Errors
    /// `Io`; `Damaged` if a file has changed since the look. The call may be repeated.
    pub fn carry_out(&self, name: &str, papers: &mut dyn Papers) -> Result<PathBuf> {
        let (storage, root) = (&*self.storage, self.paths.root());
        let directory = root.join(name);
        if storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            return Err(Error::io("create", &directory)(ErrorKind::AlreadyExists.into()));
        }
        storage.create_dir(&directory).map_err(Error::io("create", &directory))?;
        let mut moved = Vec::new();
        for step in &self.steps {
            let taken = match step {
                Step::Aside(path) | Step::Replace(path, _) | Step::Relabel { path, .. } => Some(path),
                Step::Evidence { path, is_there, .. } => is_there.then_some(path),
                Step::Begin(_) | Step::Back { .. } | Step::Folder(_) => None,
            };
            if let Some(path) = taken {
                moved.push(look_at(storage, path, kept_as(&directory, path), &self.survey)?);
            }
        }
        self.write_dropped(&directory, papers)?;
        write_report(storage, &directory, &papers.report(&moved, false))?;
        for part in PARTS.map(|part| directory.join(part)) {
            storage.create_dir(&part).map_err(Error::io("create", &part))?;
        }
        storage.sync_dir(&directory).map_err(Error::io("sync", &directory))?;
        storage.sync_dir(root).map_err(Error::io("sync", root))?;
        for step in &self.steps {
            self.take(step, &directory)?;
        }
        write_report(storage, &directory, &papers.report(&moved, true))?;
        Ok(directory)
    }

    fn write_dropped(&self, directory: &Path, papers: &mut dyn Papers) -> Result<()> {
        let path = directory.join("dropped.ndjson");
        let file = self.storage.create(&path).map_err(Error::io("create", &path))?;
        let (mut piece, mut offset) = (Vec::new(), 0);
        let mut flush = |piece: &mut Vec<u8>| -> Result<()> {
            file.write_all_at(piece, offset).map_err(Error::io("write", &path))?;
            offset += piece.len() as u64;
            piece.clear();
            Ok(())
        };
        self.each_dropped(&mut |stamped| {
            piece.extend_from_slice(papers.command(stamped).as_bytes());
            if PIECE_BYTES <= piece.len() { flush(&mut piece) } else { Ok(()) }
        })?;
        flush(&mut piece)?;
        file.sync_all().map_err(Error::io("sync", &path))
    }

    fn take(&self, step: &Step, directory: &Path) -> Result<()> {
        let storage = &*self.storage;
        match step {
            Step::Aside(path) => rename(storage, path, &kept_as(directory, path)),
            Step::Back { from, to } => rename(storage, from, to),
            Step::Folder(path) => {
                storage.create_dir(path).map_err(Error::io("create", path))?;
                sync_parent(storage, path)
            }
            Step::Replace(path, fresh) => {
                let content = read_whole(storage, path)?;
                copy(storage, path, &kept_as(directory, path))?;
                replace_segment(storage, path, &renewed(content, fresh), fresh.bytes).map(drop)
            }
            Step::Relabel { path, durable_lsn } => {
                copy(storage, path, &kept_as(directory, path))?;
                let temporary = Paths::temporary(path);
                let file = copy(storage, path, &temporary)?;
                relabel(&*file, &temporary, *durable_lsn)?;
                rename(storage, &temporary, path)
            }
            Step::Evidence { path, is_there, durable } => {
                if *is_there {
                    copy(storage, path, &kept_as(directory, path))?;
                }
                evidence::reset(storage, &self.paths, &self.instance.id.0, *durable)
            }
            Step::Begin(number) => self.begin(*number),
        }
    }

    /// Creates an empty segment, with which the log continues.
    fn begin(&self, number: u64) -> Result<()> {
        let end = self.kept().map(|stretch| stretch.end);
        let base = &self.base.manifest;
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            instance: self.instance.id.0,
            network: self.instance.network_id,
            number,
            first_lsn: self.look.last_good_lsn + 1,
            bytes: self
                .kept()
                .or(self.survey.stretches.last())
                .map_or(SEGMENT_BYTES, |stretch| stretch.bytes),
            term: 0,
            time: end.map_or(base.time, |end| end.time),
            previous_end: end.map_or(0, |end| end.offset),
            previous_crc: end.map_or(0, |end| end.previous_crc),
            chain: None,
        };
        let header = header.chained(end.map_or(base.chain, |end| end.chain));
        replace_segment(&*self.storage, &self.paths.segment(number), &header.encode().0, header.bytes)
            .map(drop)
    }
}

/// Returns the content that replaces a damaged segment.
fn renewed(mut content: Vec<u8>, fresh: &Fresh) -> Vec<u8> {
    if let Some(header) = &fresh.header {
        content[..HEADER_BYTES].copy_from_slice(&header[..]);
    }
    let Some(until) = fresh.until else {
        content.truncate(usize::try_from(fresh.bytes).expect("a segment is in memory"));
        return content;
    };
    content.truncate(usize::try_from(until).expect("a segment is in memory"));
    if HEADER_BYTES < content.len() {
        // The last frame verified except for its trailer, which may have been cut short.
        let at = content.len() - frame::TRAILER.len();
        content[at..].copy_from_slice(&frame::TRAILER);
    }
    content
}

/// Returns where a file is kept: under its own name, in a directory named like the one it was in, or at the
/// top if it was in none. A file that has the name of a folder is kept as `log.file`, for example.
fn kept_as(directory: &Path, path: &Path) -> PathBuf {
    if path.parent() == directory.parent() {
        let kept = directory.join(path.file_name().unwrap_or_default());
        let is_folder = PARTS.iter().any(|part| kept.ends_with(part));
        return if is_folder { kept.with_extension("file") } else { kept };
    }
    let part = path.parent().and_then(Path::file_name).unwrap_or_default();
    directory.join(part).join(path.file_name().unwrap_or_default())
}

fn look_at(storage: &dyn Storage, path: &Path, kept_as: PathBuf, survey: &Survey) -> Result<Moved> {
    let content = match content_of(storage, path) {
        Err(Error::Damaged(_)) => None,
        content => Some(content?),
    };
    let lsns = survey.places.iter().find(|place| place.path == path).and_then(|place| place.lsns);
    Ok(Moved { file: path.to_path_buf(), kept_as, content, lsns })
}

fn content_of(storage: &dyn Storage, path: &Path) -> Result<Content> {
    let file = open_listed(storage, path, Access::Read)?;
    let bytes = file.len().map_err(Error::io("look at", path))?;
    let (mut crc32c, mut hasher) = (0, blake3::Hasher::new());
    each_piece(&*file, path, bytes, &mut |_, piece| {
        crc32c = crc32c::crc32c_append(crc32c, piece);
        hasher.update(piece);
        Ok(())
    })?;
    Ok(Content { bytes, crc32c, blake3: *hasher.finalize().as_bytes() })
}

fn each_piece(
    file: &dyn StorageFile,
    path: &Path,
    bytes: u64,
    see: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let (mut offset, mut piece) = (0, vec![0; PIECE_BYTES]);
    while offset < bytes {
        let length = usize::try_from(bytes - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        file.read_exact_at(&mut piece[..length], offset).map_err(Error::reading(path))?;
        see(offset, &piece[..length])?;
        offset += length as u64;
    }
    Ok(())
}

/// Copies a file, and syncs the copy and its name.
fn copy(storage: &dyn Storage, from: &Path, to: &Path) -> Result<Box<dyn StorageFile>> {
    let file = storage.open(from, Access::Read).map_err(Error::io("open", from))?;
    let bytes = file.len().map_err(Error::io("look at", from))?;
    let copy = segment::create_fresh(storage, to)?;
    each_piece(&*file, from, bytes, &mut |offset, piece| {
        copy.write_all_at(piece, offset).map_err(Error::io("write", to))
    })?;
    copy.sync_all().map_err(Error::io("sync", to))?;
    sync_parent(storage, to)?;
    Ok(copy)
}

/// Renames a file and makes both names durable: the new one first, so that one always exists.
fn rename(storage: &dyn Storage, from: &Path, to: &Path) -> Result<()> {
    storage.rename(from, to).map_err(Error::io("rename", from))?;
    sync_parent(storage, to)?;
    sync_parent(storage, from)
}

fn sync_parent(storage: &dyn Storage, path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    storage.sync_dir(parent).map_err(Error::io("sync", parent))
}

fn write_report(storage: &dyn Storage, directory: &Path, text: &str) -> Result<()> {
    let path = directory.join("report.json");
    let temporary = Paths::temporary(&path);
    let file = segment::create_fresh(storage, &temporary)?;
    file.write_all_at(text.as_bytes(), 0).map_err(Error::io("write", &temporary))?;
    file.sync_all().map_err(Error::io("sync", &temporary))?;
    rename(storage, &temporary, &path)
}
