//! Announces a new network prominently, with its path. A command started in another directory, or with a
//! mistyped name, creates an empty network, and its user should see at once why the old one is missing.

use std::path::{Path, PathBuf};

use super::screen;

/// Announces an empty network that a server created: on screen, and as a warning in the log.
pub(super) fn empty_network(path: &Path) {
    let place = absolute(path);
    for line in banner(&place) {
        screen::tell(&line);
    }
    tracing::warn!(
        data_dir = %place.display(), "a new, empty network was begun: there was none in this data directory"
    );
}

/// Announces a network that a command created and filled.
pub(super) fn network(path: &Path) {
    screen::tell(&format!("upline: a new network was begun in {}", absolute(path).display()));
}

/// Announces a directory that has no network yet.
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

/// Makes a path absolute: a relative one means nothing to a reader elsewhere.
fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_path_buf())
}
