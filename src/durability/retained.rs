//! Retained history: whether the archived segments connect to the live ones, and how far back they should go.
//!
//! Serving needs none of it. Damage is reported, and then no history is deleted.

use std::path::{Path, PathBuf};

use super::{
    error::{CONTENT, Damage, Error, Result},
    instance::Instance,
    log::{
        SegmentEntry,
        frame::{self, End, Kind},
        position::Position,
        segment::{HEADER_BYTES, Parsed, SegmentHeader, check_identity},
    },
    names,
    paths::{Paths, TEMPORARY, names_in_archive, open_listed},
    snapshot::SNAPSHOTS_KEPT,
    storage::{Access, Storage, StorageFile},
};

/// Returns the archived segments that connect to the live ones without a gap: each ends where the next one
/// begins, so that none of another history is among them. Serving does not need them, so damage there is only
/// reported; their content is verified when it is read.
pub(super) fn survey_archive(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
    first_live: SegmentHeader,
) -> Result<(Vec<SegmentEntry>, Option<Damage>)> {
    let names = names_in_archive(storage, paths)?;
    // A segment in both places was being archived when the process ended: the live one counts.
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| names::segment_number(name))
        .filter(|number| *number < first_live.number)
        .collect();
    numbers.sort_unstable();
    let mut found = Vec::new();
    let mut next = first_live;
    for number in numbers.into_iter().rev() {
        let path = paths.archived(number);
        let damage = |reason: &str| {
            let lost = format!("reading the log as far back as segment {number}");
            Some(Damage { file: path.clone(), offset: 0, lsn: None, reason: reason.into(), lost })
        };
        if number + 1 != next.number {
            found.reverse();
            return Ok((found, damage("the segment after it is missing from the archive")));
        }
        match linked(storage, &path, instance, number, &next) {
            Ok(header) => {
                found.push(header.entry(true));
                next = header;
            }
            Err(Error::Damaged(why)) => {
                found.reverse();
                return Ok((found, damage(&why.reason)));
            }
            Err(error) => return Err(error),
        }
    }
    found.reverse();
    Ok((found, None))
}

/// Returns the header of an archived segment that ends where the next one begins.
///
/// # Errors
/// `Damaged` for any other file, `Io`.
fn linked(
    storage: &dyn Storage,
    path: &Path,
    instance: &Instance,
    number: u64,
    next: &SegmentHeader,
) -> Result<SegmentHeader> {
    let damaged = |reason: &str| Error::damaged(path, 0, None, reason, CONTENT);
    let file = open_listed(storage, path, Access::Read)?;
    let length = file.len().map_err(Error::io("look at", path))?;
    let mut sector = [0; HEADER_BYTES];
    if HEADER_BYTES as u64 <= length {
        file.read_exact_at(&mut sector, 0).map_err(Error::reading(path))?;
    }
    match SegmentHeader::parse(&sector) {
        Parsed::Header(header, _) if check_identity(path, &header, instance, number, length).is_ok() => {
            let ends_before = ends_before(&*file, &header, next).map_err(Error::reading(path))?;
            let is_linked = ends_before.then_some(header);
            is_linked.ok_or_else(|| damaged("it does not end where the segment after it goes on"))
        }
        _ => Err(damaged("it is not the segment that its name says, or its header does not verify")),
    }
}

/// Checks that a segment ends, with its seal, where the next one begins.
fn ends_before(
    file: &dyn StorageFile,
    header: &SegmentHeader,
    next: &SegmentHeader,
) -> std::io::Result<bool> {
    let form = header.form();
    let mut seal = vec![0; form.frame_bytes(0)];
    let Some(at) =
        next.previous_end.checked_sub(seal.len() as u64).filter(|_| next.previous_end <= header.bytes)
    else {
        return Ok(false);
    };
    file.read_exact_at(&mut seal, at)?;
    let Some(frame) = frame::parse_header(&seal, form).filter(|frame| frame.kind == Kind::Seal) else {
        return Ok(false);
    };
    let (End::Whole(previous_crc) | End::ShortTrailer(previous_crc)) = frame::check_end(form, &seal) else {
        return Ok(false);
    };
    let end = Position {
        offset: next.previous_end,
        next_lsn: frame.next_lsn(),
        previous_crc,
        durable_lsn: frame.durable_lsn,
        time: frame.time,
        sealed: true,
        chain: frame.chain(),
    };
    Ok(next.follows(&end))
}

/// Checks that the retained log continues from each snapshot kept. It is retired only up to the oldest of
/// them, so it does, unless somebody removed segments; the newest snapshot makes up for those until a
/// fallback is needed.
pub(super) fn shortened(paths: &Paths, segments: &[SegmentEntry], snapshots: &[u64]) -> Option<Damage> {
    let oldest = *snapshots.get(snapshots.len().saturating_sub(SNAPSHOTS_KEPT))?;
    let first = segments.first().filter(|first| oldest + 1 < first.first_lsn)?;
    let file = if first.archived { paths.archived(first.number) } else { paths.segment(first.number) };
    let reason = format!(
        "the log begins with LSN {}, the older snapshot that is kept ends with {oldest}",
        first.first_lsn
    );
    let lost = format!("falling back to that snapshot, and states from LSN {oldest} to the next snapshot");
    Some(Damage { file, offset: 0, lsn: Some(oldest + 1), reason, lost })
}

/// Detects archived segments that are gone although no retention policy deleted them. Before deleting a
/// segment, retention deletes the archived snapshots that need it, so that the log continues from each
/// existing one; and no process ever gives a file in the archive a temporary name.
pub(super) fn missed(
    storage: &dyn Storage,
    paths: &Paths,
    segments: &[SegmentEntry],
) -> Result<Option<Damage>> {
    if let Some(file) = unfinished(storage, paths)?.into_iter().next() {
        let reason = "nothing in the archive is ever unfinished. Was it renamed? Give it back its name \
                      (without `.tmp`), or move it out of the directory";
        let lost = "what this file holds of the past".into();
        return Ok(Some(Damage { file, offset: 0, lsn: None, reason: reason.into(), lost }));
    }
    let names = names_in_archive(storage, paths)?;
    let Some(first) = segments.first() else { return Ok(None) };
    let lsns = names.iter().filter_map(|name| names::snapshot_lsn(name));
    let Some(base) = lsns.filter(|lsn| lsn + 1 < first.first_lsn).min() else { return Ok(None) };
    let reason = format!(
        "the log begins with LSN {}: the archived segments between are missing. Put them back; \
         if they are gone for good, move this snapshot out of the directory",
        first.first_lsn
    );
    let lost = format!("states from LSN {base} to {}", first.first_lsn - 1);
    Ok(Some(Damage { file: paths.archived_snapshot(base), offset: 0, lsn: Some(base + 1), reason, lost }))
}

/// Returns the files in the archive that look unfinished.
pub(super) fn unfinished(storage: &dyn Storage, paths: &Paths) -> Result<Vec<PathBuf>> {
    let mut names = names_in_archive(storage, paths)?;
    let is_ours = |name: &str| names::segment_number(name).is_some() || names::snapshot_lsn(name).is_some();
    names.retain(|name| name.strip_suffix(TEMPORARY).is_some_and(is_ours));
    names.sort_unstable();
    Ok(names.into_iter().map(|name| paths.archive().join(name)).collect())
}
