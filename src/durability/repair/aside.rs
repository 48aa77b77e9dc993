//! Where the repair of sealed files keeps what it takes away: `damaged-<time>/`, with the same folders as the
//! data directory.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::carry_out::{Moved, begin, content_of, rename, write_report};
use crate::durability::{
    error::{Error, Result},
    paths::is_listed,
    storage::Storage,
};

/// A directory for what a repair takes away.
#[derive(Debug)]
pub struct Aside {
    storage: Arc<dyn Storage>,
    root: PathBuf,
    directory: PathBuf,
}

impl Aside {
    /// Creates it, durably, in a data directory. It must not exist.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(storage: &Arc<dyn Storage>, root: &Path, name: &str) -> Result<Self> {
        let directory = begin(&**storage, root, name)?;
        storage.sync_dir(root).map_err(Error::io("sync", root))?;
        Ok(Self { storage: Arc::clone(storage), root: root.to_path_buf(), directory })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// A file as it is now, and where it will be kept.
    ///
    /// # Errors
    /// `Io`.
    pub fn look_at(&self, path: &Path) -> Result<Moved> {
        let content = match content_of(&*self.storage, path) {
            Err(Error::Damaged(_)) => None,
            content => Some(content?),
        };
        Ok(Moved { file: path.to_path_buf(), kept_as: self.kept_as(path), content, lsns: None })
    }

    /// Writes the report, durably, in place of an earlier one.
    ///
    /// # Errors
    /// `Io`.
    pub fn report(&self, text: &str) -> Result<()> {
        write_report(&*self.storage, &self.directory, text)
    }

    /// Moves a file here, whatever it is. Does nothing if there is none.
    ///
    /// # Errors
    /// `Io`.
    pub fn take(&self, path: &Path) -> Result<()> {
        if !is_listed(&*self.storage, path) {
            return Ok(());
        }
        let kept_as = self.kept_as(path);
        let inside = kept_as.strip_prefix(&self.directory).ok().and_then(Path::parent).unwrap_or(path);
        let mut folder = self.directory.clone();
        for name in inside.components() {
            let above = folder.clone();
            folder.push(name);
            self.storage.create_dir(&folder).map_err(Error::io("create", &folder))?;
            self.storage.sync_dir(&above).map_err(Error::io("sync", &above))?;
        }
        rename(&*self.storage, path, &kept_as)
    }

    fn kept_as(&self, path: &Path) -> PathBuf {
        self.directory.join(path.strip_prefix(&self.root).unwrap_or(path))
    }
}
