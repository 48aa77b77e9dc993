//! A seal whose files are written and durable, and lack their names.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    file::Finished,
    manifest::Manifest,
    mend::{Keep, lost_files},
    place::Paths,
};
use crate::durability::{
    error::{Error, Result},
    storage::Storage,
};

/// A complete seal. Until it is published, its files have temporary names, which a sweep removes.
pub struct CompleteSeal {
    storage: Arc<dyn Storage>,
    paths: Paths,
    manifest: Manifest,
    /// In the order of the manifest; the file of checksums last.
    files: Vec<Finished>,
    ids: Finished,
}

impl CompleteSeal {
    pub(super) fn new(
        storage: &Arc<dyn Storage>,
        paths: &Paths,
        manifest: Manifest,
        files: Vec<Finished>,
        ids: Finished,
    ) -> Self {
        Self { storage: Arc::clone(storage), paths: paths.clone(), manifest, files, ids }
    }

    /// The manifest, which names the files.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest.
    pub fn into_manifest(self) -> Manifest {
        self.manifest
    }

    /// Names the files, makes the names durable, and publishes the manifest last.
    ///
    /// # Errors
    /// `Io`.
    pub fn publish(&self) -> Result<()> {
        self.files.iter().chain([&self.ids]).try_for_each(Finished::publish)?;
        self.sync_names()?;
        self.manifest.publish(&self.storage, &self.paths)
    }

    /// Puts what is lost or damaged of the same seal in its place, and removes the rest. `keep` is told each
    /// name before it is taken. Returns what was replaced.
    ///
    /// # Errors
    /// `Io`, and those of `keep`.
    pub fn replace(self, keep: Keep<'_>) -> Result<Vec<PathBuf>> {
        let lost = lost_files(&*self.storage, self.paths.root(), &self.manifest)?;
        for file in &self.files {
            if lost.iter().any(|path| path == file.path()) {
                keep(file.path())?;
                file.publish()?;
            } else {
                file.discard()?;
            }
        }
        self.ids.discard()?;
        self.sync_names()?;
        let own = self.paths.manifest(self.manifest.number);
        if lost.contains(&own) {
            keep(&own)?;
            self.manifest.publish(&self.storage, &self.paths)?;
        }
        Ok(lost)
    }

    /// Removes the files without ever naming them.
    ///
    /// # Errors
    /// `Io`.
    pub fn discard(self) -> Result<()> {
        self.files.iter().chain([&self.ids]).try_for_each(Finished::discard)
    }

    fn sync_names(&self) -> Result<()> {
        let folders: BTreeSet<&Path> = self.files.iter().filter_map(|file| file.path().parent()).collect();
        let above = [self.paths.ids(), self.paths.orders(), self.paths.root().to_path_buf()];
        for folder in folders.into_iter().chain(above.iter().map(PathBuf::as_path)) {
            self.storage.sync_dir(folder).map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }
}
