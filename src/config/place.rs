//! Where the data is where nobody says so.
//!
//! A path relative to wherever the program happens to be started would find the network on one day and begin
//! an empty one on the next. So the directory of a checkout is taken only where it is seen to be one;
//! anywhere else it is the place that the system has for what programs keep, the same from every directory.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// In a checkout.
const OF_CHECKOUT: &str = "snapshots/live";
/// By which a checkout is known, before there is any data: the description of the format.
const MARK: &str = "snapshots/README.md";
/// In the system's place.
const NAME: &str = "upline";

/// What is said where there is no such place.
pub(super) const NOWHERE: &str = "has no default here, since neither XDG_STATE_HOME nor HOME is set: name a directory with --data-dir, \
     UPLINE_DATA_DIR or data_dir in the configuration file";

/// The data directory of a process that is started in `working_dir` (empty for that of this process):
/// `snapshots/live` there if that exists or `snapshots/README.md` does; else `$XDG_STATE_HOME/upline`; else
/// `$HOME/.local/state/upline`. `None` where neither is set to an absolute path.
pub(super) fn default_data_dir(working_dir: &Path, environment: &BTreeMap<String, String>) -> Option<String> {
    if [OF_CHECKOUT, MARK].iter().any(|name| is_there(&working_dir.join(name))) {
        return Some(OF_CHECKOUT.into());
    }
    // As the specification of these directories has it, a relative path counts as none.
    let set = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    state.join(NAME).into_os_string().into_string().ok()
}

/// Whether something has this name. A link that leads nowhere does, and so does what cannot be looked at: the
/// data may be on a disk that is not there today, and that is no reason to begin an empty network somewhere
/// else.
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
