//! The default data directory.
//!
//! A path relative to the working directory would find the network one day and start an empty one the next.
//! So the directory of a checkout is used only if it is recognizably one; otherwise the default is the
//! system's place for program state, the same from every working directory.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// In a checkout.
const OF_CHECKOUT: &str = "snapshots/live";
/// What identifies a checkout before it has any data: the format description.
const MARK: &str = "snapshots/README.md";
/// In the system's place.
const NAME: &str = "upline";

/// The error if there is no such place.
pub(super) const NOWHERE: &str = "has no default here, since neither XDG_STATE_HOME nor HOME is set: \
    name a directory with --data-dir, UPLINE_DATA_DIR or data_dir in the configuration file";

/// Returns the data directory of a process started in `working_dir` (empty for that of this process):
/// `snapshots/live` there if that or `snapshots/README.md` exists; else `$XDG_STATE_HOME/upline`; else
/// `$HOME/.local/state/upline`. `None` if neither variable is set to an absolute path.
pub(super) fn default_data_dir(working_dir: &Path, environment: &BTreeMap<String, String>) -> Option<String> {
    if [OF_CHECKOUT, MARK].iter().any(|name| is_there(&working_dir.join(name))) {
        return Some(OF_CHECKOUT.into());
    }
    // The XDG specification says to ignore relative paths.
    let set = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    state.join(NAME).into_os_string().into_string().ok()
}

/// Returns whether something has this name. A dangling link counts, and so does anything that cannot be
/// looked at: the data may be on a disk that is currently missing, and that is no reason to start an empty
/// network elsewhere.
fn is_there(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(set: &[(&str, &str)]) -> BTreeMap<String, String> {
        set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_default_is_that_of_the_checkout_or_of_the_system() {
        type Make = fn(&Path);
        type Row<'a> = (Make, &'a [(&'a str, &'a str)], Option<&'a str>);
        let nothing: Make = |_| {};
        let marked: Make = |place| {
            std::fs::create_dir(place.join("snapshots")).unwrap();
            std::fs::write(place.join(MARK), "the format").unwrap();
        };
        let live: Make = |place| std::fs::create_dir_all(place.join(OF_CHECKOUT)).unwrap();
        let dangling: Make = |place| {
            std::fs::create_dir(place.join("snapshots")).unwrap();
            std::os::unix::fs::symlink("/not/mounted/today", place.join(OF_CHECKOUT)).unwrap();
        };
        let snapshots: Make = |place| std::fs::create_dir(place.join("snapshots")).unwrap();
        let file: Make = |place| std::fs::write(place.join("snapshots"), "").unwrap();
        let both = [("XDG_STATE_HOME", "/state"), ("HOME", "/home/anna")];
        // what is in the working directory, what is set, the default
        let table: [Row<'_>; 13] = [
            (marked, &both, Some("snapshots/live")),
            (marked, &[], Some("snapshots/live")),
            (live, &both, Some("snapshots/live")),
            (dangling, &both, Some("snapshots/live")),
            (nothing, &both, Some("/state/upline")),
            (snapshots, &both, Some("/state/upline")),
            (file, &both, Some("/state/upline")),
            (nothing, &both[1..], Some("/home/anna/.local/state/upline")),
            (
                nothing,
                &[("XDG_STATE_HOME", "relative"), ("HOME", "/home/anna")],
                Some("/home/anna/.local/state/upline"),
            ),
            (
                nothing,
                &[("XDG_STATE_HOME", ""), ("HOME", "/home/anna")],
                Some("/home/anna/.local/state/upline"),
            ),
            (nothing, &[("HOME", "")], None),
            (nothing, &[("HOME", "anna")], None),
            (nothing, &[], None),
        ];
        for (number, (make, set, expected)) in table.into_iter().enumerate() {
            let place = tempfile::tempdir().unwrap();
            make(place.path());
            assert_eq!(
                default_data_dir(place.path(), &environment(set)).as_deref(),
                expected,
                "row {number}"
            );
        }
    }
}
