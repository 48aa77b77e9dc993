//! Unfinished files of a directory that is being opened. Each is looked at before it goes: it must be what
//! its name claims.
//!
//! What a killed process leaves holds nothing that is not elsewhere: a prepared segment is zeros, one that
//! was being rewritten holds commands that the log has, an unfinished snapshot lacks its end, and one that
//! lacks nothing but its name gets that. A file that holds more got its name some other way. It is refused
//! and stays.

use std::path::{Path, PathBuf};

use super::{
    FORMAT_VERSION,
    error::{Error, Result},
    instance::Instance,
    log::{
        frame::{self, Form},
        segment::{Parsed, SegmentHeader},
        whole::read_whole,
    },
    names,
    paths::{Paths, TEMPORARY},
    snapshot::{Manifest, inspect_snapshot},
    storage::{Access, Storage},
};

/// Bytes that are written once more at a time.
const COPIED_BYTES: usize = 1 << 20;

/// What the log is known to hold.
pub(super) trait Holdings {
    /// The LSN after the last one that segment `number` holds; `None` where there is no such segment.
    fn next_lsn_of(&self, number: u64) -> Option<u64>;
    /// The last LSN of the log.
    fn last_lsn(&self) -> u64;
}

/// An unfinished file, which may go; or a whole snapshot, which only lacks its name.
#[derive(Clone, Debug)]
pub(super) struct Leftover {
    path: PathBuf,
    whole: Option<Box<Manifest>>,
}

impl Leftover {
    /// The file, if it is a whole snapshot.
    pub(super) fn whole_snapshot(&self) -> Option<(&Path, &Manifest)> {
        self.whole.as_deref().map(|manifest| (&*self.path, manifest))
    }

    /// Gives a whole snapshot its name, where nothing has that, and removes any other file. The names are not
    /// synced.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn clear(&self, storage: &dyn Storage, paths: &Paths) -> Result<()> {
        let is_file = |path: &Path| storage.is_file(path).map_err(Error::io("look at", path));
        let own = self.whole.as_deref().map(|manifest| paths.snapshot(manifest.lsn));
        match own {
            // The process ended before the renaming, or somebody renamed it.
            Some(own) if !is_file(&own)? => {
                make_durable(storage, &self.path)?;
                storage.rename(&self.path, &own).map_err(Error::io("rename", &self.path))
            }
            // A cut that was finished took its own away.
            _ if is_file(&self.path)? => storage.remove(&self.path).map_err(Error::io("remove", &self.path)),
            _ => Ok(()),
        }
    }
}

/// Makes what is read of a file durable. The process that wrote it may have ended before its sync, or with
/// one that failed: what a failed sync lost is not written by the next one, so the content is written once
/// more.
fn make_durable(storage: &dyn Storage, path: &Path) -> Result<()> {
    let file = storage.open(path, Access::ReadWrite).map_err(Error::io("open", path))?;
    let len = file.len().map_err(Error::io("look at", path))?;
    let mut buffer = vec![0; COPIED_BYTES];
    let mut offset = 0;
    while offset < len {
        let bytes = usize::try_from(len - offset).map_or(COPIED_BYTES, |rest| rest.min(COPIED_BYTES));
        file.read_exact_at(&mut buffer[..bytes], offset).map_err(Error::io("read", path))?;
        file.write_all_at(&buffer[..bytes], offset).map_err(Error::io("write", path))?;
        offset += bytes as u64;
    }
    file.sync_all().map_err(Error::io("sync", path))
}

/// The unfinished files, which may go or be finished. Names that no process of ours gives are not among them.
///
/// # Errors
/// `Damaged` naming the first file that holds what is nowhere else; `Io`.
pub(super) fn unfinished(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
    log: &dyn Holdings,
) -> Result<Vec<Leftover>> {
    let mut leftovers = Vec::new();
    for (path, kind) in named(storage, paths)? {
        let whole = match kind {
            Kind::Segment(number) => {
                check_segment(storage, &path, number, instance, log)?;
                None
            }
            Kind::Snapshot => check_snapshot(storage, &path, instance, log)?,
            Kind::Cut => None,
        };
        leftovers.push(Leftover { path, whole });
    }
    Ok(leftovers)
}

/// For a repair, which keeps such files whatever they are: each, and the highest LSN that it tells of, if
/// any.
///
/// # Errors
/// `Io`.
pub(super) fn told(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
) -> Result<Vec<(PathBuf, Option<u64>)>> {
    let mut all = Vec::new();
    for (path, kind) in named(storage, paths)? {
        let lsn = match kind {
            Kind::Segment(number) => match read_whole(storage, &path) {
                Ok(content) => next_lsn_in(&content, number, instance).map(|next| next - 1),
                Err(Error::Damaged(_)) => None,
                Err(error) => return Err(error),
            },
            Kind::Snapshot => {
                let manifest = inspect_snapshot(storage, &path)?.manifest;
                manifest
                    .filter(|manifest| manifest.instance == instance.id.0)
                    .map(|manifest| manifest.durable_lsn)
            }
            Kind::Cut => None,
        };
        all.push((path, lsn));
    }
    Ok(all)
}

/// What a name claims of an unfinished file.
enum Kind {
    Segment(u64),
    Snapshot,
    Cut,
}

/// The unfinished files with names that processes of ours give.
fn named(storage: &dyn Storage, paths: &Paths) -> Result<Vec<(PathBuf, Kind)>> {
    let mut found = Vec::new();
    for directory in [paths.log(), paths.snapshots()] {
        let mut names = storage.list(&directory).map_err(Error::io("list", &directory))?;
        names.sort_unstable();
        for name in names {
            let path = directory.join(&name);
            let Some(plain) = name.strip_suffix(TEMPORARY) else { continue };
            let kind = if directory == paths.snapshots() {
                names::snapshot_lsn(plain).map(|_| Kind::Snapshot)
            } else if path == Paths::temporary(&paths.cut()) {
                Some(Kind::Cut)
            } else {
                names::segment_number(plain).map(Kind::Segment)
            };
            found.extend(kind.map(|kind| (path, kind)));
        }
    }
    Ok(found)
}

/// Names of files that look as if somebody had renamed them: for a refusal that misses them.
pub(super) fn renamed(storage: &dyn Storage, directory: &Path) -> String {
    let names = storage.list(directory).unwrap_or_default();
    let mut names: Vec<String> = names.into_iter().filter(|name| name.ends_with(TEMPORARY)).collect();
    names.sort_unstable();
    if names.is_empty() {
        String::new()
    } else {
        format!(" (there is {}: was it renamed?)", names.join(", "))
    }
}

fn check_segment(
    storage: &dyn Storage,
    path: &Path,
    number: u64,
    instance: &Instance,
    log: &dyn Holdings,
) -> Result<()> {
    let content = read_whole(storage, path)?;
    let refuse =
        |lsn, reason: String| Err(Error::damaged(path, 0, lsn, reason + WAY_OUT, "what this file holds"));
    if let Some(Parsed::Header(header, _)) = content.first_chunk().map(SegmentHeader::parse)
        && (header.instance != instance.id.0 || header.number != number)
        && frame::holds_frame(&content)
    {
        return refuse(None, "it is a segment with another number, or of another directory".into());
    }
    let Some(next_lsn) = next_lsn_in(&content, number, instance) else { return Ok(()) };
    match log.next_lsn_of(number) {
        Some(held) if next_lsn <= held => Ok(()),
        Some(held) => refuse(
            Some(held),
            format!(
                "it holds commands up to LSN {}, the segment that it is a copy of ends before",
                next_lsn - 1
            ),
        ),
        None => refuse(
            None,
            format!(
                "it holds commands up to LSN {}, and the segment of its number is not there",
                next_lsn - 1
            ),
        ),
    }
}

/// The LSN after the last frame that verifies anywhere in a segment. Of a file that was being written when
/// the power went, any sector may be missing.
fn next_lsn_in(content: &[u8], number: u64, instance: &Instance) -> Option<u64> {
    let forms = [2, FORMAT_VERSION].map(|version| Form::new(version, &instance.id.0, number));
    let frames = frame::places(content)
        .filter_map(|at| forms.iter().find_map(|form| frame::parse_header(&content[at..], *form)));
    frames.map(|header| header.next_lsn()).max()
}

fn check_snapshot(
    storage: &dyn Storage,
    path: &Path,
    instance: &Instance,
    log: &dyn Holdings,
) -> Result<Option<Box<Manifest>>> {
    let seen = inspect_snapshot(storage, path)?;
    let Some(manifest) = seen.manifest else { return Ok(None) };
    let reason = if manifest.instance != instance.id.0 {
        "it is a whole snapshot of another directory".to_owned()
    } else if log.last_lsn() < manifest.durable_lsn {
        format!(
            "it is a whole snapshot, and says that LSN {} was durable; the log ends with {}",
            manifest.durable_lsn,
            log.last_lsn()
        )
    } else {
        let has_its_lsn = path.file_name() == Paths::temporary(&names::snapshot(manifest.lsn)).file_name();
        return Ok((seen.damage.is_empty() && has_its_lsn).then(|| Box::new(manifest)));
    };
    Err(Error::damaged(path, 0, Some(manifest.lsn), reason + WAY_OUT, "what this file holds"))
}

const WAY_OUT: &str = ", so it is no unfinished file. Was it renamed? Give it back its name (without `.tmp`), or move it out of the directory";
