//! How the steps of a repair change files: in a trial, or for good.

use super::{facts::Facts, step::Step, survey::Fresh, trial::Trial, way::Way};
use crate::durability::{
    FORMAT_VERSION, SEGMENT_BYTES,
    error::{Error, Result},
    log::{
        evidence, frame,
        rewrite::replace_segment,
        segment::{HEADER_BYTES, SegmentHeader},
        whole::read_whole,
    },
    snapshot::relabel,
    storage::{Access, Storage},
};

/// Makes the change of a step in a trial.
///
/// # Errors
/// As of reading what is below.
pub(super) fn try_out(step: &Step, facts: &Facts, way: &Way, trial: &Trial) -> Result<()> {
    match step {
        Step::Aside(path) => {
            trial.hide(path);
            Ok(())
        }
        Step::Back { from, to } => trial.rename(from, to).map_err(Error::io("rename", from)),
        Step::Folder(path) => trial.create_dir(path).map_err(Error::io("create", path)),
        Step::Relabel { path, durable_lsn } => {
            let file = trial.open(path, Access::ReadWrite).map_err(Error::io("open", path))?;
            relabel(&*file, path, *durable_lsn)
        }
        Step::Replace(..) | Step::Begin(_) | Step::Evidence { .. } => renew(step, facts, way, trial),
    }
}

/// Replaces or creates a file of the log, or the record of what is durable; nothing for other steps.
///
/// # Errors
/// `Io`; `Damaged` if a file has changed since the look.
pub(super) fn renew(step: &Step, facts: &Facts, way: &Way, storage: &dyn Storage) -> Result<()> {
    match step {
        Step::Replace(path, fresh) => {
            let content = read_whole(storage, path)?;
            replace_segment(storage, path, &renewed(content, fresh), fresh.bytes).map(drop)
        }
        Step::Begin(number) => begin(facts, way, storage, *number),
        Step::Evidence { durable, .. } => {
            evidence::reset(storage, &facts.paths, &facts.instance.id.0, *durable)
        }
        Step::Aside(_) | Step::Back { .. } | Step::Folder(_) | Step::Relabel { .. } => Ok(()),
    }
}

/// Creates an empty segment, with which the log continues.
fn begin(facts: &Facts, way: &Way, storage: &dyn Storage, number: u64) -> Result<()> {
    let kept = way.kept(facts);
    let end = kept.map(|stretch| stretch.end);
    let base = &way.base.manifest;
    let header = SegmentHeader {
        version: FORMAT_VERSION,
        instance: facts.instance.id.0,
        network: facts.instance.network_id,
        number,
        first_lsn: way.last_lsn(facts) + 1,
        bytes: kept.or(facts.survey.stretches.last()).map_or(SEGMENT_BYTES, |stretch| stretch.bytes),
        term: 0,
        time: end.map_or(base.time, |end| end.time),
        previous_end: end.map_or(0, |end| end.offset),
        previous_crc: end.map_or(0, |end| end.previous_crc),
        chain: None,
    };
    let header = header.chained(way.chain(facts));
    replace_segment(storage, &facts.paths.segment(number), &header.encode().0, header.bytes).map(drop)
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
