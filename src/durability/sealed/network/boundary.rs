//! Writes, reads, checks and removes boundaries.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use parquet::file::writer::SerializedFileWriter;

use super::{
    super::{
        file::{
            BLOCK_BYTES, Checked, Finished, LOST, TEMPORARY, Unfinished, hash_of, open_whole, read_small,
            reading, writing,
        },
        mend::Keep,
        rows::RowFile,
        sweep::remove_all,
    },
    columns::{GROUP_MEMBERS, Members, properties, schema, write_members},
    manifest::BoundaryManifest,
    member::BoundaryMember,
    mend::lost_files,
    place::{FOLDER, KnownBoundary, MANIFEST, MEMBERS, Place, SUMS, parse_folder},
};
use crate::durability::{
    error::{Damage, Error, Result},
    storage::Storage,
};

/// A difference has at most one in so many rows of a full boundary.
const DIFFERENCE: u64 = 4;

/// What is written.
#[derive(Clone, Copy, Debug)]
pub struct Boundary {
    /// The LSN of the state.
    pub lsn: u64,
    /// The number of members.
    pub members: u32,
    /// The last full boundary.
    pub base: Option<KnownBoundary>,
}

/// A boundary whose files are written and durable, and lack their names.
pub struct CompleteBoundary {
    storage: Arc<dyn Storage>,
    root: PathBuf,
    manifest: BoundaryManifest,
    members: Finished,
    sums: Finished,
}

/// Writes a boundary and makes it durable. `member` gives each member by its number, and is asked for each
/// twice. Where the last full boundary is named, only the members that differ from it are written, unless
/// they are many.
///
/// # Errors
/// `BadSeal` for texts that are too long, `Damaged` for the base, `Io`.
pub fn write<'m>(
    storage: &Arc<dyn Storage>,
    root: &Path,
    boundary: Boundary,
    member: &mut dyn FnMut(u32) -> BoundaryMember<'m>,
) -> Result<BoundaryManifest> {
    complete(storage, root, boundary, member)?.publish()
}

/// Writes the files of a boundary and makes them durable, without giving any its name.
///
/// # Errors
/// As [`write`].
pub fn complete<'m>(
    storage: &Arc<dyn Storage>,
    root: &Path,
    boundary: Boundary,
    member: &mut dyn FnMut(u32) -> BoundaryMember<'m>,
) -> Result<CompleteBoundary> {
    let place = Place::new(root, boundary.lsn);
    let network = root.join(FOLDER);
    for folder in [&network, &place.folder] {
        storage.create_dir(folder).map_err(Error::io("create", folder))?;
    }
    let base = boundary.base.map(|base| Opened::open(&**storage, root, base)).transpose()?;
    let (digest, changed) = look(boundary.members, base.as_ref(), member)?;
    let differs = |number: u32| changed[number as usize / 64] >> (number % 64) & 1 == 1;
    let count: u64 = changed.iter().map(|bits| u64::from(bits.count_ones())).sum();
    let is_full = base.is_none() || u64::from(boundary.members) < count * DIFFERENCE;
    let path = place.path(MEMBERS);
    let file = Unfinished::create(storage, &path)?;
    let schema = schema().map_err(writing(&path))?;
    let mut file = SerializedFileWriter::new(file, schema, Arc::new(properties())).map_err(writing(&path))?;
    let (mut rows, mut waiting) = (0, Vec::new());
    for number in (0..boundary.members).filter(|number| is_full || differs(*number)) {
        waiting.push((number, member(number)));
        rows += 1;
        if waiting.len() == GROUP_MEMBERS {
            write_members(&mut file, &waiting).map_err(writing(&path))?;
            waiting.clear();
        }
    }
    if !waiting.is_empty() {
        write_members(&mut file, &waiting).map_err(writing(&path))?;
    }
    let finished = file.into_inner().map_err(writing(&path))?.finish()?;
    let mut sums = Unfinished::create(storage, &place.path(SUMS))?;
    for sum in &finished.sums {
        sums.put(&sum.to_le_bytes())?;
    }
    let sums = sums.finish()?;
    let manifest = BoundaryManifest {
        lsn: boundary.lsn,
        members: boundary.members,
        rows,
        base: boundary.base.filter(|_| !is_full).map(|base| (base.lsn, base.hash)),
        bytes: finished.bytes,
        hash: finished.hash,
        sums_bytes: sums.bytes,
        sums_hash: sums.hash,
        digest,
    };
    let (storage, root) = (Arc::clone(storage), root.to_path_buf());
    Ok(CompleteBoundary { storage, root, manifest, members: finished, sums })
}

impl CompleteBoundary {
    /// The manifest, which names the files.
    pub fn manifest(&self) -> &BoundaryManifest {
        &self.manifest
    }

    /// Names the files, makes the names durable, and publishes the manifest last. Returns it.
    ///
    /// # Errors
    /// `Io`.
    pub fn publish(self) -> Result<BoundaryManifest> {
        self.members.publish()?;
        self.sums.publish()?;
        self.sync_names()?;
        self.publish_manifest()?;
        Ok(self.manifest)
    }

    /// Puts what is lost or damaged of the same boundary in its place, and removes the rest. `keep` is told
    /// each name before it is taken. Returns what was replaced.
    ///
    /// # Errors
    /// `Io`, and those of `keep`.
    pub fn replace(self, keep: Keep<'_>) -> Result<Vec<PathBuf>> {
        let lost = lost_files(&*self.storage, &self.root, &self.manifest)?;
        for file in [&self.members, &self.sums] {
            if lost.iter().any(|path| path == file.path()) {
                keep(file.path())?;
                file.publish()?;
            } else {
                file.discard()?;
            }
        }
        self.sync_names()?;
        let own = self.place().path(MANIFEST);
        if lost.contains(&own) {
            keep(&own)?;
            self.publish_manifest()?;
        }
        Ok(lost)
    }

    /// Removes the files without ever naming them.
    ///
    /// # Errors
    /// `Io`.
    pub fn discard(self) -> Result<()> {
        self.members.discard()?;
        self.sums.discard()
    }

    fn place(&self) -> Place {
        Place::new(&self.root, self.manifest.lsn)
    }

    fn publish_manifest(&self) -> Result<()> {
        let place = self.place();
        self.manifest.publish(&self.storage, &place.path(MANIFEST), &place.folder)
    }

    fn sync_names(&self) -> Result<()> {
        for folder in [&*self.place().folder, &self.root.join(FOLDER), &self.root] {
            self.storage.sync_dir(folder).map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }
}

/// The last full boundary as of a boundary: that itself, or the one that it is a difference against.
///
/// # Errors
/// `Damaged`, `Io`.
pub fn full(storage: &Arc<dyn Storage>, root: &Path, known: KnownBoundary) -> Result<KnownBoundary> {
    let path = Place::new(root, known.lsn).path(MANIFEST);
    let manifest = BoundaryManifest::read(&**storage, &path, known.lsn, &known.hash)?;
    Ok(manifest.base.map_or(known, |(lsn, hash)| KnownBoundary { lsn, hash }))
}

/// The digest of all members, and a bit for each that is not as it is in the base.
fn look<'m>(
    members: u32,
    base: Option<&Opened>,
    member: &mut dyn FnMut(u32) -> BoundaryMember<'m>,
) -> Result<([u8; 32], Vec<u64>)> {
    let mut changed = vec![0_u64; (members as usize).div_ceil(64)];
    let mut hasher = blake3::Hasher::new();
    let mut of_base = base.map(|base| (Members::new(Arc::clone(&base.rows)), base));
    let (mut bytes, mut before) = (Vec::new(), Vec::new());
    for number in 0..members {
        member(number).encode(&mut bytes)?;
        hasher.update(&bytes);
        let Some((members, base)) = &mut of_base else { continue };
        // Members are never removed: those of the base are the first.
        let is_same = match members.next().map_err(reading(base.rows.path()))? {
            Some((_, member)) => {
                member.encode(&mut before)?;
                before == bytes
            }
            None => false,
        };
        changed[number as usize / 64] |= u64::from(!is_same) << (number % 64);
    }
    Ok((*hasher.finalize().as_bytes(), changed))
}

/// A boundary whose file is open.
struct Opened {
    manifest: BoundaryManifest,
    rows: Arc<RowFile>,
}

impl Opened {
    fn open(storage: &dyn Storage, root: &Path, known: KnownBoundary) -> Result<Self> {
        let place = Place::new(root, known.lsn);
        let manifest = BoundaryManifest::read(storage, &place.path(MANIFEST), known.lsn, &known.hash)?;
        let path = place.path(SUMS);
        let sums = read_small(storage, &path, manifest.sums_bytes)?;
        let is_whole = *blake3::hash(&sums).as_bytes() == manifest.sums_hash
            && sums.len() as u64 == manifest.bytes.div_ceil(BLOCK_BYTES as u64) * 4;
        if !is_whole {
            return Err(Error::damaged(&path, 0, None, "it has another hash than its manifest says", LOST));
        }
        let sums = sums.as_chunks::<4>().0.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        let file = Checked::open(storage, &place.path(MEMBERS), manifest.bytes, sums)?;
        let rows = Arc::new(RowFile::open(file, manifest.rows)?);
        Ok(Self { manifest, rows })
    }
}

/// Reads all members of a boundary in the order of their numbers, also of one that is a difference. `each`
/// may end it.
///
/// # Errors
/// `Damaged`, also for members that are not those of the digest; `Io`.
pub fn read(
    storage: &Arc<dyn Storage>,
    root: &Path,
    known: KnownBoundary,
    each: &mut dyn FnMut(u32, BoundaryMember<'static>) -> ControlFlow<()>,
) -> Result<()> {
    let own = Opened::open(&**storage, root, known)?;
    let base =
        own.manifest.base.map(|(lsn, hash)| Opened::open(&**storage, root, KnownBoundary { lsn, hash }));
    let base = base.transpose()?;
    let damaged = |reason: &str| Error::damaged(own.rows.path(), 0, None, reason, LOST);
    let mut own_members = Members::new(Arc::clone(&own.rows));
    let mut base_members = base.as_ref().map(|base| (Members::new(Arc::clone(&base.rows)), base.rows.path()));
    let mut next = own_members.next().map_err(reading(own.rows.path()))?;
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), Vec::new());
    for number in 0..own.manifest.members {
        let of_base = match &mut base_members {
            Some((members, path)) => members.next().map_err(reading(path))?,
            None => None,
        };
        let member = match next.take_if(|(own, _)| *own == number) {
            Some((_, member)) => {
                next = own_members.next().map_err(reading(own.rows.path()))?;
                member
            }
            None => of_base.ok_or_else(|| damaged("a member is missing"))?.1,
        };
        member.encode(&mut bytes)?;
        hasher.update(&bytes);
        if each(number, member).is_break() {
            return Ok(());
        }
    }
    if next.is_some() || *hasher.finalize().as_bytes() != own.manifest.digest {
        return Err(damaged("its members are not those that its manifest says"));
    }
    Ok(())
}

/// Checks the files of these boundaries, and that they give the members that their manifests say.
///
/// # Errors
/// `Io`. Damage is in what it returns.
pub fn verify(storage: &Arc<dyn Storage>, root: &Path, known: &[KnownBoundary]) -> Result<Vec<Damage>> {
    let mut found = Vec::new();
    let mut note = |result: Result<()>| match result {
        Err(Error::Damaged(damage)) => {
            // A base is checked with each of its differences, too.
            if !found.contains(&*damage) {
                found.push(*damage);
            }
            Ok(false)
        }
        result => result.map(|()| true),
    };
    for known in known {
        let place = Place::new(root, known.lsn);
        let check = || {
            let manifest = BoundaryManifest::read(&**storage, &place.path(MANIFEST), known.lsn, &known.hash)?;
            let path = place.path(MEMBERS);
            let file = open_whole(&**storage, &path, manifest.bytes)?;
            if hash_of(&*file, &path, manifest.bytes)? != manifest.hash {
                return Err(Error::damaged(
                    &path,
                    0,
                    None,
                    "it has another hash than its manifest says",
                    LOST,
                ));
            }
            Ok(())
        };
        if note(check())? {
            note(read(storage, root, *known, &mut |_, _| ControlFlow::Continue(())))?;
        }
    }
    Ok(found)
}

/// Removes unfinished files, and files of boundaries that no command named; returns their paths. `known` are
/// all that the state knows after everything was replayed. Empty folders stay.
///
/// # Errors
/// `Io`.
pub fn sweep(storage: &Arc<dyn Storage>, root: &Path, known: &[KnownBoundary]) -> Result<Vec<PathBuf>> {
    let leftovers = leftovers(&**storage, root, known)?;
    remove_all(&**storage, &leftovers)?;
    Ok(leftovers)
}

/// What a sweep would remove, in that order.
///
/// # Errors
/// `Io`.
pub fn leftovers(storage: &dyn Storage, root: &Path, known: &[KnownBoundary]) -> Result<Vec<PathBuf>> {
    let network = root.join(FOLDER);
    let mut leftovers = Vec::new();
    for name in names_in(storage, &network)? {
        let Some(lsn) = parse_folder(&name) else { continue };
        let is_known = known.iter().any(|known| known.lsn == lsn);
        let folder = network.join(&name);
        let names = names_in(storage, &folder)?;
        // The manifest first, so that none is left without its files.
        for own in [MANIFEST, MEMBERS, SUMS] {
            let unfinished = format!("{own}{TEMPORARY}");
            let of_none = names.iter().filter(|name| **name == unfinished || !is_known && *name == own);
            leftovers.extend(of_none.map(|name| folder.join(name)));
        }
    }
    Ok(leftovers)
}

fn names_in(storage: &dyn Storage, folder: &Path) -> Result<Vec<String>> {
    if !storage.is_dir(folder).map_err(Error::io("look at", folder))? {
        return Ok(Vec::new());
    }
    let mut names = storage.list(folder).map_err(Error::io("list", folder))?;
    names.sort_unstable();
    Ok(names)
}
