//! Unfinished files of a directory that is being opened. Each is checked before it is removed: it must be
//! what its name claims.
//!
//! A killed process leaves nothing that is not stored elsewhere: a prepared segment is zeros, one that was
//! being rewritten holds commands that the log has, an unfinished snapshot lacks its end, and one that lacks
//! only its name gets it. A file that holds more, or commands other than those of the log, got its name some
//! other way. It is refused and kept.

use std::path::{Path, PathBuf};

use super::{
    FORMAT_VERSION,
    error::{Error, Result},
    instance::Instance,
    log::{
        chain,
        frame::{self, End, Form, Header},
        segment::{Parsed, SegmentHeader},
        whole::read_whole,
    },
    names,
    paths::{Paths, TEMPORARY},
    snapshot::{Manifest, inspect_snapshot},
    storage::{Access, Storage},
};

/// Bytes rewritten at a time.
const COPIED_BYTES: usize = 1 << 20;

/// What the log is known to hold.
pub(super) trait Holdings {
    /// Returns the LSN after the last one that segment `number` holds; `None` if there is no such segment.
    fn next_lsn_of(&self, number: u64) -> Option<u64>;
    /// Returns the last LSN of the log.
    fn last_lsn(&self) -> u64;
}

/// An unfinished file, which may be removed; or a complete snapshot, which only lacks its name.
#[derive(Clone, Debug)]
pub(super) struct Leftover {
    path: PathBuf,
    whole: Option<Box<Manifest>>,
}

impl Leftover {
    /// Returns the file, if it is a complete snapshot.
    pub(super) fn whole_snapshot(&self) -> Option<(&Path, &Manifest)> {
        self.whole.as_deref().map(|manifest| (&*self.path, manifest))
    }

    /// Gives a complete snapshot its name, unless that is taken, and removes any other file. The names are
    /// not synced.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn clear(&self, storage: &dyn Storage, paths: &Paths) -> Result<()> {
        let is_file = |path: &Path| storage.is_file(path).map_err(Error::io("look at", path));
        let own = self.whole.as_deref().map(|manifest| paths.snapshot(manifest.lsn));
        match own {
            // The process ended before the rename, or somebody renamed the file.
            Some(own) if !is_file(&own)? => {
                make_durable(storage, &self.path)?;
                storage.rename(&self.path, &own).map_err(Error::io("rename", &self.path))
            }
            // A finished cut already removed its own file.
            _ if is_file(&self.path)? => storage.remove(&self.path).map_err(Error::io("remove", &self.path)),
            _ => Ok(()),
        }
    }
}

/// Makes what was read of a file durable. The process that wrote it may have ended before its sync, or with a
/// failed one. The next sync does not write what a failed one lost, so the content is rewritten.
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

/// Returns the unfinished files that may be removed or completed. Names that our processes never give are
/// skipped.
///
/// # Errors
/// `Damaged` naming the first file that holds something unique; `Io`.
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
                check_segment(storage, paths, (&path, number), instance, log)?;
                None
            }
            Kind::Snapshot => check_snapshot(storage, &path, instance, log)?,
            Kind::Cut => None,
        };
        leftovers.push(Leftover { path, whole });
    }
    Ok(leftovers)
}

/// What a repair, which keeps all unfinished files, learns about one.
#[derive(Debug)]
pub(super) struct Told {
    pub path: PathBuf,
    /// The highest LSN that it mentions, if any.
    pub lsn: Option<u64>,
}

/// Returns all unfinished files, for a repair.
///
/// # Errors
/// `Io`.
pub(super) fn told(storage: &dyn Storage, paths: &Paths, instance: &Instance) -> Result<Vec<Told>> {
    let mut all = Vec::new();
    for (path, kind) in named(storage, paths)? {
        let mut lsn = None;
        match kind {
            Kind::Segment(number) => match read_whole(storage, &path) {
                Ok(content) => {
                    lsn = next_lsn_in(&content, number, instance).map(|next| next - 1);
                }
                Err(Error::Damaged(_)) => {}
                Err(error) => return Err(error),
            },
            Kind::Snapshot => {
                let manifest = match inspect_snapshot(storage, &path) {
                    Err(Error::Damaged(_)) => None,
                    seen => seen?.manifest,
                };
                lsn = manifest
                    .filter(|manifest| manifest.instance == instance.id.0)
                    .map(|manifest| manifest.durable_lsn);
            }
            Kind::Cut => {}
        }
        all.push(Told { path, lsn });
    }
    Ok(all)
}

/// What the name of an unfinished file claims it to be.
enum Kind {
    Segment(u64),
    Snapshot,
    Cut,
}

/// Returns the unfinished files with names that our processes give.
fn named(storage: &dyn Storage, paths: &Paths) -> Result<Vec<(PathBuf, Kind)>> {
    let mut found = Vec::new();
    for directory in [paths.log(), paths.snapshots()] {
        if !storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            continue;
        }
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

/// Returns the names of files that look renamed, for the error that reports a file missing.
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
    paths: &Paths,
    (path, number): (&Path, u64),
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
        Some(held) if next_lsn <= held => {
            match first_other(&content, &read_whole(storage, &paths.segment(number))?) {
                None => Ok(()),
                Some(lsn) => refuse(
                    Some(lsn),
                    format!(
                        "it holds other commands from LSN {lsn} on than the segment that it \
                         should be a copy of"
                    ),
                ),
            }
        }
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

/// Returns the LSN after the last frame that verifies anywhere in a segment. In a file that was being written
/// when the power failed, any sector may be missing.
fn next_lsn_in(content: &[u8], number: u64, instance: &Instance) -> Option<u64> {
    let forms = [2, FORMAT_VERSION].map(|version| Form::new(version, &instance.id.0, number));
    let frames = frame::places(content)
        .filter_map(|at| forms.iter().find_map(|form| frame::parse_header(&content[at..], *form)));
    frames.map(|header| header.next_lsn()).max()
}

/// If the verified groups of an unfinished segment differ from those of the segment it should be a copy of,
/// returns the LSN with which the first such group begins. A killed process leaves the same groups at the
/// same places; only the last one may have fewer commands, if the log was to be cut in the middle of a group.
///
/// Marks and seals are not compared, since they hold no commands: a power failure may take the last mark of
/// the segment but not that of its copy, and the next group is then written where the mark was.
fn first_other(content: &[u8], held: &[u8]) -> Option<u64> {
    let Some(Parsed::Header(header, _)) = held.first_chunk().map(SegmentHeader::parse) else { return None };
    let forms = [2, FORMAT_VERSION].map(|version| Form::new(version, &header.instance, header.number));
    let found = frame::places(content).filter_map(|at| {
        let found = forms.iter().find_map(|form| frame::parse_header(&content[at..], *form))?;
        Some((at, found))
    });
    let is_other = |at: usize, found: &Header| {
        let there = held.get(at..).and_then(|rest| Some((frame::parse_header(rest, header.form())?, rest)));
        there.is_none_or(|(there, rest)| !is_beginning((found, &content[at..]), (&there, rest)))
    };
    let groups = found.filter(|(_, found)| found.count != 0);
    let others = groups.filter(|(at, found)| is_other(*at, found));
    others.map(|(_, found)| found.first_lsn).min()
}

/// Returns whether a frame equals another one, or its beginning, as far as it is complete. Each comes with
/// the bytes of its segment from there on.
fn is_beginning((found, from): (&Header, &[u8]), (held, held_from): (&Header, &[u8])) -> bool {
    let is_same = found == held;
    let is_shorter = found.first_lsn == held.first_lsn && found.form == held.form && found.count < held.count;
    match (body_of(found, from), body_of(held, held_from)) {
        (Some(body), Some(held_body)) if is_same || is_shorter => {
            let records = |body: &[u8]| chain::after(0, body, found.count.into());
            is_same && body == held_body || is_shorter && records(&body) == records(&held_body)
        }
        _ => is_same || is_shorter,
    }
}

/// Returns the plain body of a frame, if it verifies.
fn body_of(header: &Header, from: &[u8]) -> Option<Vec<u8>> {
    let whole = from.get(..header.frame_bytes())?;
    let mut body = Vec::new();
    (frame::check_end(header.form, whole) != End::BadBody).then(|| {
        frame::plain_body(header, whole, &mut body);
        body
    })
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

const WAY_OUT: &str = ", so it is no unfinished file. Was it renamed? Give it back its name \
                       (without `.tmp`), or move it out of the directory";
