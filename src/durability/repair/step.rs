//! One change of files that a repair makes.

use std::path::PathBuf;

use super::{facts::Facts, survey::Fresh, trial::Trial, way::Way};
use crate::durability::{
    FORMAT_VERSION, SEGMENT_BYTES,
    error::{Error, Result},
    log::{
        evidence::{self, Durable},
        frame,
        rewrite::replace_segment,
        segment::{HEADER_BYTES, SegmentHeader},
        whole::read_whole,
    },
    snapshot::relabel,
    storage::{Access, Storage},
};

/// One change of files.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Move it aside, whole.
    Aside(PathBuf),
    /// Create a folder that is missing.
    Folder(PathBuf),
    /// Copy it aside, and replace it with a fresh file.
    Replace(PathBuf, Fresh),
    /// Create an empty segment, after the log's last one or, if there is none, after the base.
    Begin(u64),
    /// Move it back from the archive.
    Back { from: PathBuf, to: PathBuf },
    /// Copy it aside, and replace it with a copy that does not require what was dropped.
    Relabel { path: PathBuf, durable_lsn: u64 },
    /// Copy aside the file that records how far the log is durable, if it exists, and replace it with a fresh
    /// one.
    Evidence { path: PathBuf, is_there: bool, durable: Durable },
}

impl Step {
    /// Describes the step for people.
    pub fn describe(&self, after: u64) -> String {
        match self {
            Self::Aside(path) => format!("move {} aside", path.display()),
            Self::Folder(path) => format!("make the directory {}", path.display()),
            Self::Replace(path, Fresh { until: Some(offset), .. }) => {
                format!(
                    "rewrite {} with what verifies of it, up to byte {offset}, \
                     and keep the damaged one aside",
                    path.display()
                )
            }
            Self::Replace(path, Fresh { header: Some(_), .. }) => {
                format!(
                    "rewrite {} with its header recomputed, and keep the damaged one aside",
                    path.display()
                )
            }
            Self::Replace(path, _) => {
                format!("rewrite {} with its full length, and keep the damaged one aside", path.display())
            }
            Self::Begin(number) => format!("begin segment {number} of the log after LSN {after}"),
            Self::Evidence { path, durable, .. } => {
                let lsn = durable.lsn;
                format!("rewrite {} so that it asks for no command after LSN {lsn}", path.display())
            }
            Self::Back { from, to } => format!("bring {} back as {}", from.display(), to.display()),
            Self::Relabel { path, durable_lsn } => {
                format!(
                    "rewrite {} so that it asks for no command after LSN {durable_lsn}, \
                     and keep the old one aside",
                    path.display()
                )
            }
        }
    }

    /// Makes the change in a trial.
    ///
    /// # Errors
    /// As of reading what is below.
    pub(super) fn try_out(&self, facts: &Facts, way: &Way, trial: &Trial) -> Result<()> {
        match self {
            Self::Aside(path) => {
                trial.hide(path);
                Ok(())
            }
            Self::Back { from, to } => trial.rename(from, to).map_err(Error::io("rename", from)),
            Self::Folder(path) => trial.create_dir(path).map_err(Error::io("create", path)),
            Self::Relabel { path, durable_lsn } => {
                let file = trial.open(path, Access::ReadWrite).map_err(Error::io("open", path))?;
                relabel(&*file, path, *durable_lsn)
            }
            Self::Replace(..) | Self::Begin(_) | Self::Evidence { .. } => self.renew(facts, way, trial),
        }
    }

    /// Replaces or creates a file of the log, or the record of what is durable; nothing for other steps.
    ///
    /// # Errors
    /// `Io`; `Damaged` if a file has changed since the look.
    pub(super) fn renew(&self, facts: &Facts, way: &Way, storage: &dyn Storage) -> Result<()> {
        match self {
            Self::Replace(path, fresh) => {
                let content = read_whole(storage, path)?;
                replace_segment(storage, path, &renewed(content, fresh), fresh.bytes).map(drop)
            }
            Self::Begin(number) => begin(facts, way, storage, *number),
            Self::Evidence { durable, .. } => {
                evidence::reset(storage, &facts.paths, &facts.instance.id.0, *durable)
            }
            Self::Aside(_) | Self::Back { .. } | Self::Folder(_) | Self::Relabel { .. } => Ok(()),
        }
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
