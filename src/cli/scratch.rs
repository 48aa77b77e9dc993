//! A temporary directory that is removed with its command; leftovers of a killed command are removed when the
//! next one starts in the same place.
//!
//! Each is a separate folder with a file `owner`, which its process keeps locked while it lives, and the data
//! directory `data`. A folder whose `owner` can be locked is stale.

use std::{
    fs::{self, DirBuilder, File},
    io,
    path::{Path, PathBuf},
};

use super::exit::{Exit, Failure};
use crate::private_file;

const OWNER: &str = "owner";

/// Maximum names examined, and folders removed, per start: a temporary directory can be full of other things,
/// and a demo should start soon.
const LOOKED_AT_MAX: usize = 10_000;
const REMOVED_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    #[allow(dead_code, reason = "held locked until this is dropped")]
    owner: File,
}

impl Scratch {
    /// Creates one in the system's temporary directory, or in the place named by the command's flag `flag`,
    /// after removing stale ones of the same `prefix`.
    ///
    /// # Errors
    /// When nothing can be created there.
    pub fn new(place: Option<&Path>, prefix: &str, flag: &str) -> Result<Self, Failure> {
        let place = place.map_or_else(std::env::temp_dir, Path::to_path_buf);
        remove_stale(&place, prefix);
        Self::within(&place, prefix).map_err(|error| {
            let message = format!(
                "cannot make a temporary directory in {}: {error}; {flag} names another place",
                place.display()
            );
            Failure::new(Exit::Failed, message)
        })
    }

    /// Returns the folder, which holds the data directory and other files of the command.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the data directory; not created yet.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn within(place: &Path, prefix: &str) -> io::Result<Self> {
        let folder = place.join(format!("{prefix}{}", uuid::Uuid::new_v4().simple()));
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&folder)?;
        // Locked under another name first, so that no `owner` is ever visible without its lock.
        let unnamed = folder.join("owner.tmp");
        let owner = private_file::create_new(&unnamed)?;
        owner.try_lock()?;
        fs::rename(&unnamed, folder.join(OWNER))?;
        Ok(Self { folder, owner })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // If this fails, the next start tries again.
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes stale folders. Those that cannot be examined or removed belong to someone else.
fn remove_stale(place: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(place) else { return };
    let ours = entries.take(LOOKED_AT_MAX).flatten().filter(|entry| {
        let name = entry.file_name();
        let is_name = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix))
            .is_some_and(|rest| uuid::Uuid::try_parse(rest).is_ok());
        // The type of the entry itself: links are not followed.
        is_name && entry.file_type().is_ok_and(|kind| kind.is_dir())
    });
    let stale = ours.filter_map(|entry| {
        let owner = File::open(entry.path().join(OWNER)).ok()?;
        owner.try_lock().ok()?;
        Some((entry.path(), owner))
    });
    for (folder, _owner) in stale.take(REMOVED_MAX) {
        _ = fs::remove_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "upline-demo-";

    #[test]
    fn only_what_nobody_owns_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let used = Scratch::within(place.path(), PREFIX).unwrap();
        let killed = Scratch::within(place.path(), PREFIX).unwrap();
        let left = killed.folder.clone();
        fs::create_dir(killed.data_dir()).unwrap();
        // Like a kill: the lock is released, the files stay.
        killed.owner.unlock().unwrap();
        std::mem::forget(killed);
        let others = ["upline-demo-mine", &format!("{PREFIX}{}", uuid::Uuid::nil().simple()), "something"];
        for name in others {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        remove_stale(place.path(), PREFIX);
        assert!(!left.exists());
        assert!(used.folder.exists());
        for name in others {
            assert!(place.path().join(name).exists(), "{name} has no owner file: it is somebody else's");
        }
        let folder = used.folder.clone();
        drop(used);
        assert!(!folder.exists());
    }
}
