//! Announces a new network loudly, with its place. A command that is started in another directory, or with a
//! mistyped name, begins an empty network, and its user should see at once why the old one is not there.

use std::path::{Path, PathBuf};

use super::screen;

/// An empty network that a server has begun: for people, and as a warning in the log.
pub(super) fn empty_network(path: &Path) {
    let place = absolute(path);
    for line in banner(&place) {
        screen::tell(&line);
    }
    tracing::warn!(data_dir = %place.display(), "a new, empty network was begun: there was none in this data directory");
}

/// A network that a command has made and filled.
pub(super) fn network(path: &Path) {
    screen::tell(&format!("upline: a new network was begun in {}", absolute(path).display()));
}

/// A directory that has no network yet.
pub(super) fn directory(path: &Path) {
    screen::tell(&format!(
        "upline: made the data directory {}, which was not there",
        absolute(path).display()
    ));
}

fn banner(place: &Path) -> [String; 5] {
    let rule = "*".repeat(72);
    [
        rule.clone(),
        format!("* A NEW, EMPTY NETWORK was begun in {}", place.display()),
        "* There was none. If there should be one, stop this server and name the".into(),
        "* directory that it is in: --data-dir, UPLINE_DATA_DIR, or data_dir in the file.".into(),
        rule,
    ]
}

/// Where a path leads: relative ones say nothing to who reads them elsewhere.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}
