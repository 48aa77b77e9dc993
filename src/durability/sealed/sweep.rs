//! Removes what no seal needs: unfinished files, and files of seals that no command named.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    file::TEMPORARY,
    mend::manifest_of,
    place::{Month, Paths, parse_id_file, parse_relative},
    store::Known,
};
use crate::durability::{
    error::{Error, Result},
    storage::Storage,
};

/// Removes leftovers, and returns their paths. `known` are all seals that the state knows after everything
/// was replayed: other seals were never named by a command, and their orders are in the state. Only names
/// that this layer gives are removed. Manifests go first, so that none is left without its files.
///
/// # Errors
/// `Damaged` for a manifest that the state knows and that is not it; nothing was removed then. `Io`.
pub fn sweep(storage: &Arc<dyn Storage>, root: &Path, known: &[Known]) -> Result<Vec<PathBuf>> {
    let leftovers = leftovers(&**storage, root, known)?;
    remove_all(&**storage, &leftovers)?;
    Ok(leftovers)
}

/// Removes files, and makes that durable.
pub(super) fn remove_all(storage: &dyn Storage, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        storage.remove(path).map_err(Error::io("remove", path))?;
    }
    let folders: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
    for folder in folders {
        storage.sync_dir(folder).map_err(Error::io("sync", folder))?;
    }
    Ok(())
}

/// What a sweep would remove, in that order.
///
/// # Errors
/// As [`sweep`].
pub fn leftovers(storage: &dyn Storage, root: &Path, known: &[Known]) -> Result<Vec<PathBuf>> {
    let paths = Paths::new(root);
    let mut kept = BTreeSet::new();
    for seal in known {
        let manifest = manifest_of(storage, root, *seal)?;
        kept.extend(manifest.files.iter().map(|file| file.path.clone()));
    }
    let is_known = |number: u32| known.iter().any(|seal| seal.number == number);
    leftovers_but(storage, &paths, &is_known, &|_, path| kept.contains(path))
}

/// Unfinished files, and all files of seals that are not known or do not have the file. `has` is asked with
/// the number of a seal, known or not, and the path of a file.
pub(super) fn leftovers_but(
    storage: &dyn Storage,
    paths: &Paths,
    is_known: &dyn Fn(u32) -> bool,
    has: &dyn Fn(u32, &str) -> bool,
) -> Result<Vec<PathBuf>> {
    let mut leftovers = Vec::new();
    let seals = paths.seals();
    for suffix in [".toml", ".sums"] {
        for name in names_in(storage, &seals)? {
            let number = name.strip_suffix(suffix).and_then(|digits| digits.parse().ok());
            if number.is_some_and(|number| !is_known(number) && format!("{number:08}{suffix}") == name) {
                leftovers.push(seals.join(name));
            }
        }
    }
    leftovers.extend(unfinished(storage, &seals)?);
    for name in names_in(storage, &paths.orders())? {
        let Some(month) = Month::parse(&name) else { continue };
        let folder = paths.month(month);
        for name in names_in(storage, &folder)? {
            let relative = format!("orders/{month}/{name}");
            if parse_relative(&relative).is_some_and(|(seal, _, _)| !has(seal, &relative)) {
                leftovers.push(folder.join(name));
            }
        }
        leftovers.extend(unfinished(storage, &folder)?);
    }
    for name in names_in(storage, &paths.ids())? {
        if parse_id_file(&name).is_some_and(|(first, last)| !is_known(first) || !is_known(last)) {
            leftovers.push(paths.ids().join(name));
        }
    }
    leftovers.extend(unfinished(storage, &paths.ids())?);
    Ok(leftovers)
}

fn unfinished(storage: &dyn Storage, folder: &Path) -> Result<Vec<PathBuf>> {
    let names = names_in(storage, folder)?;
    Ok(names.into_iter().filter(|name| name.ends_with(TEMPORARY)).map(|name| folder.join(name)).collect())
}

/// The names in a folder, sorted; none if there is no such folder.
pub(super) fn names_in(storage: &dyn Storage, folder: &Path) -> Result<Vec<String>> {
    if !storage.is_dir(folder).map_err(Error::io("look at", folder))? {
        return Ok(Vec::new());
    }
    let mut names = storage.list(folder).map_err(Error::io("list", folder))?;
    names.sort_unstable();
    Ok(names)
}
