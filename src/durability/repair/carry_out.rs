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
    change::renew,
    facts::Facts,
    look::{Repair, Verdict},
    plan::taken,
    step::Step,
    way::Way,
};
use crate::{
    core::command::Stamped,
    durability::{
        error::{Error, Result},
        judgment::judge,
        log::segment,
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
    /// `Io`; `Damaged` if a file has changed since the look, or if opening does not find the result healthy.
    /// The call may be repeated.
    pub fn carry_out(&self, name: &str, papers: &mut dyn Papers) -> Result<PathBuf> {
        let (storage, root) = (&*self.storage, self.paths.root());
        let directory = begin(storage, root, name)?;
        let mut moved = Vec::new();
        for path in taken(self.steps()) {
            moved.push(self.look_at(path, kept_as(&directory, path))?);
        }
        self.write_dropped(&directory, papers)?;
        write_report(storage, &directory, &papers.report(&moved, false))?;
        for part in PARTS.map(|part| directory.join(part)) {
            storage.create_dir(&part).map_err(Error::io("create", &part))?;
        }
        storage.sync_dir(&directory).map_err(Error::io("sync", &directory))?;
        storage.sync_dir(root).map_err(Error::io("sync", root))?;
        if let Some(found) = &self.found {
            for step in self.steps() {
                take(&found.facts, found.way(), step, &directory)?;
            }
            self.check()?;
        }
        write_report(storage, &directory, &papers.report(&moved, true))?;
        Ok(directory)
    }

    /// Judges the directory as the look did, now that the steps are carried out.
    fn check(&self) -> Result<()> {
        let judged = judge(&self.storage, &self.paths, &self.instance)?;
        let left = judged.map(|judged| judged.findings.into_iter().next());
        left.unwrap_or_else(Some).map_or(Ok(()), |mut damage| {
            damage.reason = format!("the repair did not succeed, and this is left: {}", damage.reason);
            Err(Error::Damaged(Box::new(damage)))
        })
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
        if let Some(found) = self.found.as_ref().filter(|_| self.found().verdict == Verdict::WouldLose) {
            found.way().each_dropped(&found.facts, &mut |stamped| {
                piece.extend_from_slice(papers.command(stamped).as_bytes());
                if PIECE_BYTES <= piece.len() { flush(&mut piece) } else { Ok(()) }
            })?;
        }
        flush(&mut piece)?;
        file.sync_all().map_err(Error::io("sync", &path))
    }

    fn look_at(&self, path: &Path, kept_as: PathBuf) -> Result<Moved> {
        let content = match content_of(&*self.storage, path) {
            Err(Error::Damaged(_)) => None,
            content => Some(content?),
        };
        let places = self.found.iter().flat_map(|found| &found.facts.survey.places);
        let lsns = places.filter(|place| place.path == path).find_map(|place| place.lsns);
        Ok(Moved { file: path.to_path_buf(), kept_as, content, lsns })
    }
}

/// Creates the directory for everything that is moved aside.
pub(super) fn begin(storage: &dyn Storage, root: &Path, name: &str) -> Result<PathBuf> {
    let directory = root.join(name);
    if storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
        return Err(Error::io("create", &directory)(ErrorKind::AlreadyExists.into()));
    }
    storage.create_dir(&directory).map_err(Error::io("create", &directory))?;
    Ok(directory)
}

fn take(facts: &Facts, way: &Way, step: &Step, directory: &Path) -> Result<()> {
    let storage = &*facts.storage;
    match step {
        Step::Aside(path) => rename(storage, path, &kept_as(directory, path)),
        Step::Back { from, to } => rename(storage, from, to),
        Step::Folder(path) => {
            storage.create_dir(path).map_err(Error::io("create", path))?;
            sync_parent(storage, path)
        }
        Step::Relabel { path, durable_lsn } => {
            copy(storage, path, &kept_as(directory, path))?;
            let temporary = Paths::temporary(path);
            let file = copy(storage, path, &temporary)?;
            relabel(&*file, &temporary, *durable_lsn)?;
            rename(storage, &temporary, path)
        }
        Step::Replace(path, _) | Step::Evidence { path, is_there: true, .. } => {
            copy(storage, path, &kept_as(directory, path))?;
            renew(step, facts, way, storage)
        }
        Step::Begin(_) | Step::Evidence { .. } => renew(step, facts, way, storage),
    }
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

pub(super) fn content_of(storage: &dyn Storage, path: &Path) -> Result<Content> {
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
pub(super) fn rename(storage: &dyn Storage, from: &Path, to: &Path) -> Result<()> {
    storage.rename(from, to).map_err(Error::io("rename", from))?;
    sync_parent(storage, to)?;
    sync_parent(storage, from)
}

fn sync_parent(storage: &dyn Storage, path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    storage.sync_dir(parent).map_err(Error::io("sync", parent))
}

pub(super) fn write_report(storage: &dyn Storage, directory: &Path, text: &str) -> Result<()> {
    let path = directory.join("report.json");
    let temporary = Paths::temporary(&path);
    let file = segment::create_fresh(storage, &temporary)?;
    file.write_all_at(text.as_bytes(), 0).map_err(Error::io("write", &temporary))?;
    file.sync_all().map_err(Error::io("sync", &temporary))?;
    rename(storage, &temporary, &path)
}
