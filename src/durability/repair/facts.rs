//! Everything that the files of a directory say: all snapshots, the whole log, the record of what is durable,
//! unfinished files.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::survey::{Beginning, Preferred, Stretch, Survey, survey};
use crate::durability::{
    error::{Damage, Error, Result},
    instance::Instance,
    journal::ChainAt,
    leftovers::{self, Told},
    log::evidence::{self, Durable},
    names,
    paths::{Paths, TEMPORARY},
    snapshot::{Manifest, SnapshotReader, SnapshotStore, inspect_snapshot, of_another_history},
    storage::Storage,
};

/// A snapshot that verifies: the state up to its LSN.
#[derive(Clone, Debug)]
pub(super) struct Base {
    pub manifest: Manifest,
    pub path: PathBuf,
    /// It is archived, or its name says that it is unfinished: it has to be brought back to be used.
    pub is_archived: bool,
}

/// A snapshot that does not verify.
#[derive(Debug)]
pub(super) struct Broken {
    pub path: PathBuf,
    /// If its manifest verifies, it still tells how far the log reached.
    pub manifest: Option<Manifest>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Facts {
    pub storage: Arc<dyn Storage>,
    pub paths: Paths,
    pub instance: Instance,
    pub survey: Survey,
    /// Ascending; if one is in both places, the live one comes last.
    pub good: Vec<Base>,
    pub broken: Vec<Broken>,
    /// What is wrong with the snapshots.
    pub problems: Vec<Damage>,
    pub recorded: Durable,
    /// What is wrong with the file that records it.
    pub spoilt: Option<Damage>,
    pub unfinished: Vec<Told>,
    /// Snapshots that are of another history, as was found out elsewhere.
    pub ruled_out: BTreeSet<PathBuf>,
}

/// How a snapshot stands to a history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Relation {
    Same,
    /// It is of another one, and why.
    Other(String),
    /// The history does not reach to its LSN, or does not tell.
    Unknown,
}

impl Facts {
    /// # Errors
    /// `NewerFormat`, `Io`; `Damaged` if no snapshot verifies.
    pub(super) fn gather(
        storage: &Arc<dyn Storage>,
        (paths, instance): (Paths, Instance),
        preferred: Preferred,
    ) -> Result<Self> {
        let (good, broken, problems) = snapshots(storage, &paths, &instance)?;
        let beginnings: Vec<Beginning> = good.iter().map(|base| Beginning::behind(&base.manifest)).collect();
        let survey = survey(&**storage, &paths, &instance, &beginnings, preferred)?;
        let is_chained =
            survey.places.iter().any(|place| !place.archived && place.lsns.is_some() && 3 <= place.version);
        let (recorded, spoilt) = match evidence::needed(&**storage, &paths, &instance.id.0, is_chained) {
            Ok(recorded) => (recorded, None),
            Err(Error::Damaged(damage)) => (Durable { lsn: 0, chain: None }, Some(*damage)),
            Err(error) => return Err(error),
        };
        let unfinished = leftovers::told(&**storage, &paths, &instance)?;
        let storage = Arc::clone(storage);
        Ok(Self {
            storage,
            paths,
            instance,
            survey,
            good,
            broken,
            problems,
            recorded,
            spoilt,
            unfinished,
            ruled_out: BTreeSet::new(),
        })
    }

    /// Returns how a snapshot stands to the history of a stretch, or of a base without a log.
    pub(super) fn relation(
        &self,
        stretch: Option<&Stretch>,
        base: Option<&Manifest>,
        manifest: &Manifest,
    ) -> Result<Relation> {
        let found = match (stretch, base) {
            (Some(stretch), _) if stretch.reaches(manifest.lsn) => {
                self.survey.chain_at(&*self.storage, stretch, manifest.lsn)?
            }
            (None, Some(base)) if base.lsn == manifest.lsn => {
                Some(ChainAt { chain: base.chain, begins: false })
            }
            _ => None,
        };
        Ok(found.map_or(Relation::Unknown, |found| {
            of_another_history(manifest, Ok(found)).map_or(Relation::Same, Relation::Other)
        }))
    }

    /// Opens a snapshot, and verifies all of it.
    pub(super) fn open(&self, base: &Base) -> Result<SnapshotReader> {
        store(&self.storage, &self.paths, &self.instance).open_at(base.manifest.lsn, base.path.clone())
    }

    /// Returns all manifests that verify, with their files.
    pub(super) fn manifests(&self) -> impl Iterator<Item = (&Path, &Manifest)> {
        let good = self.good.iter().map(|base| (&*base.path, &base.manifest));
        let broken = self.broken.iter();
        good.chain(broken.filter_map(|broken| Some((&*broken.path, broken.manifest.as_ref()?))))
    }
}

fn store(storage: &Arc<dyn Storage>, paths: &Paths, instance: &Instance) -> SnapshotStore {
    SnapshotStore {
        storage: Arc::clone(storage),
        paths: paths.clone(),
        network: instance.network_id,
        instance: instance.id.0,
        log: None,
        retained: None,
    }
}

type Snapshots = (Vec<Base>, Vec<Broken>, Vec<Damage>);

fn snapshots(storage: &Arc<dyn Storage>, paths: &Paths, instance: &Instance) -> Result<Snapshots> {
    let store = store(storage, paths, instance);
    let (mut good, mut problems, mut broken) = (Vec::new(), Vec::new(), Vec::new());
    let mut files = Vec::new();
    for (listed, is_archived) in [(store.list_archived(), true), (store.list(), false)] {
        match listed {
            Ok(lsns) => files.extend(lsns.into_iter().map(|lsn| (lsn, is_archived))),
            Err(Error::Damaged(damage)) => problems.push(*damage),
            Err(error) => return Err(error),
        }
    }
    for (lsn, is_archived) in files {
        let path = if is_archived { paths.archived_snapshot(lsn) } else { paths.snapshot(lsn) };
        match store.open_at(lsn, path.clone()) {
            Ok(reader) => good.push(Base { manifest: *reader.manifest(), path, is_archived }),
            Err(Error::Damaged(damage)) => {
                let manifest = match inspect_snapshot(&**storage, &path) {
                    Err(Error::Damaged(_)) => None,
                    seen => seen?.manifest.filter(|manifest| manifest.instance == instance.id.0),
                };
                problems.push(*damage);
                broken.push(Broken { path, manifest });
            }
            Err(error) => return Err(error),
        }
    }
    for (lsn, path) in unfinished(&**storage, paths)? {
        if let Ok(reader) = store.open_at(lsn, path.clone()) {
            good.push(Base { manifest: *reader.manifest(), path, is_archived: true });
        }
    }
    good.sort_by_key(|base: &Base| (base.manifest.lsn, !base.is_archived));
    if !good.is_empty() {
        return Ok((good, broken, problems));
    }
    Err(problems.into_iter().next_back().map_or_else(
        || Error::damaged(&paths.snapshots(), 0, None, "there is no snapshot", "everything"),
        |mut damage| {
            damage.reason += ", and no other snapshot verifies, archived ones included";
            Error::Damaged(Box::new(damage))
        },
    ))
}

/// Returns the files with the names of unfinished snapshots.
fn unfinished(storage: &dyn Storage, paths: &Paths) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for directory in [paths.archive(), paths.snapshots()] {
        if !storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            continue;
        }
        for name in storage.list(&directory).map_err(Error::io("list", &directory))? {
            let lsn = name.strip_suffix(TEMPORARY).and_then(names::snapshot_lsn);
            found.extend(lsn.map(|lsn| (lsn, directory.join(&name))));
        }
    }
    Ok(found)
}
