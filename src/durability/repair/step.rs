//! One change of files that a repair makes.

use std::path::PathBuf;

use super::survey::Fresh;
use crate::durability::log::evidence::Durable;

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
    /// Move it between log and archive, or give it its name back.
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
            Self::Back { from, to } => format!("move {} to {}", from.display(), to.display()),
            Self::Relabel { path, durable_lsn } => {
                format!(
                    "rewrite {} so that it asks for no command after LSN {durable_lsn}, \
                     and keep the old one aside",
                    path.display()
                )
            }
        }
    }
}
