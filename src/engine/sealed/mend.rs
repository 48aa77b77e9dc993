//! The repair of sealed files.
//!
//! What the log and the snapshots still tell is made again: the state that a seal was made of is rebuilt, and
//! written by what wrote the seal. The result is accepted only if its manifest has the hash that the command
//! named, so a repair never puts other orders in place of the lost ones. Checksums and ids follow from the
//! other files and need no past.
//!
//! A look does all of that above the file system, in memory, so it promises nothing that will not succeed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    check::verify_sealed_of,
    named::{boundary_of, known_of},
    past::{Kept, Past},
    write::{complete_boundary, complete_seal, sealed_up_to},
};
use crate::{
    core::{
        SealRow,
        command::{PeriodRef, RecallOrder},
        state::State,
        types::Timestamp,
    },
    durability::{
        Damage, Error as DurabilityError,
        repair::{Aside, Moved, in_memory_above},
        sealed::{
            self, Keep, Known, Layout, SealedPart,
            network::{self, Boundary, KnownBoundary},
        },
        storage::Storage,
    },
    engine::{HistoryError, Loaded},
};

/// What a look at sealed files finds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SealedLook {
    /// Everything that is wrong.
    pub problems: Vec<Damage>,
    /// What a repair does, in order.
    pub steps: Vec<String>,
    /// What it cannot do.
    pub left: Vec<LeftDamaged>,
    /// Files that no command names: the next start removes them, a repair moves them aside.
    pub leftovers: Vec<PathBuf>,
    /// The files that a repair moves aside.
    pub moved: Vec<PathBuf>,
}

/// Damage that a repair leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftDamaged {
    pub damage: Damage,
    /// What it belongs to, for people.
    pub of: String,
    /// Why it cannot be made again.
    pub reason: String,
    /// The BLAKE3 of the file, for the search in backups; `None` where the manifest, which has it, is lost
    /// too, and for files of ids.
    pub blake3: Option<[u8; 32]>,
}

impl SealedLook {
    /// Whether nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        self.problems.is_empty()
    }
}

/// A directory whose sealed files are looked at and repaired. Holds its locks.
pub struct SealedRepair {
    storage: Arc<dyn Storage>,
    root: PathBuf,
    past: Past,
    seals: Vec<SealRow>,
    known: Vec<Known>,
}

/// Why a part was not made again.
enum Refusal {
    /// The rest of the directory does not allow it.
    Because(String),
    Failed(DurabilityError),
}

impl From<DurabilityError> for Refusal {
    fn from(error: DurabilityError) -> Self {
        match error {
            DurabilityError::Damaged(damage) => Self::Because(format!("it needs another file: {damage}")),
            DurabilityError::BadSeal(reason) => Self::Because(reason),
            error => Self::Failed(error),
        }
    }
}

impl From<HistoryError> for Refusal {
    fn from(error: HistoryError) -> Self {
        Self::Because(match error {
            HistoryError::BelowRetained { oldest } => {
                format!("log and snapshots reach back to LSN {oldest} only, and it is older")
            }
            error => error.to_string(),
        })
    }
}

/// What was made again so far.
#[derive(Default)]
struct Mended {
    steps: Vec<String>,
    refused: BTreeMap<SealedPart, String>,
}

impl SealedRepair {
    /// Takes a loaded directory.
    pub fn new(storage: &Arc<dyn Storage>, root: &Path, loaded: Loaded) -> Self {
        let (seals, known) = (loaded.state.seals().to_vec(), known_of(&loaded.state));
        Self { storage: Arc::clone(storage), root: root.to_path_buf(), past: Past::of(loaded), seals, known }
    }

    /// Looks at the files, and tries a repair in memory. Nothing is changed. `problems` are what
    /// [`super::verify_sealed`] found. O(bytes), and past states where files are lost.
    ///
    /// # Errors
    /// The disk fails.
    pub fn look(&self, problems: Vec<Damage>) -> Result<SealedLook, DurabilityError> {
        let trial = in_memory_above(&self.storage);
        let mut moved = Vec::new();
        let mut keep = |path: &Path| {
            if sealed::is_there(&*trial, path) {
                moved.push(path.to_path_buf());
                trial.remove(path).map_err(|source| DurabilityError::Io {
                    path: path.to_path_buf(),
                    action: "remove",
                    source,
                })?;
            }
            Ok(())
        };
        let mended = self.mend(&trial, &problems, &mut keep)?;
        let left = self.left(&trial, &problems, &mended)?;
        let leftovers = self.leftovers(&*trial)?;
        moved.extend(leftovers.iter().cloned());
        Ok(SealedLook { problems, steps: mended.steps, left, leftovers, moved })
    }

    /// Carries out what a look found possible. `name` is the directory, below the data directory, for
    /// everything that is moved aside. `report` gives the text of the report: it is asked before anything is
    /// changed, and once more when all is done. Returns the path of that directory.
    ///
    /// # Errors
    /// The disk fails. It may be repeated.
    pub fn carry_out(
        &self,
        look: &SealedLook,
        name: &str,
        report: &mut dyn FnMut(&[Moved], bool) -> String,
    ) -> Result<PathBuf, DurabilityError> {
        let aside = Aside::create(&self.storage, &self.root, name)?;
        let moved = look.moved.iter().map(|path| aside.look_at(path)).collect::<Result<Vec<_>, _>>()?;
        aside.report(&report(&moved, false))?;
        let part = |damage: &Damage| SealedPart::of(&self.root, &damage.file);
        let left: BTreeSet<_> = look.left.iter().map(|left| part(&left.damage)).collect();
        let problems = look.problems.iter().filter(|damage| !left.contains(&part(damage)));
        let problems: Vec<Damage> = problems.cloned().collect();
        self.mend(&self.storage, &problems, &mut |path| aside.take(path))?;
        look.leftovers.iter().try_for_each(|path| aside.take(path))?;
        aside.report(&report(&moved, true))?;
        Ok(aside.path().to_path_buf())
    }

    /// Makes again what can be: seals and boundaries oldest first, since later ones build on them, then ids.
    fn mend(
        &self,
        storage: &Arc<dyn Storage>,
        problems: &[Damage],
        keep: Keep<'_>,
    ) -> Result<Mended, DurabilityError> {
        let mut mended = Mended::default();
        let mut parts: BTreeMap<SealedPart, Vec<&Damage>> = BTreeMap::new();
        for damage in problems {
            if let Some(part) = SealedPart::of(&self.root, &damage.file) {
                parts.entry(part).or_default().push(damage);
            }
        }
        for (part, damage) in &parts {
            let made = match part {
                SealedPart::Seal(number) => self.mend_seal(storage, *number, damage, keep),
                SealedPart::Boundary(lsn) => self.mend_boundary(storage, *lsn, damage, keep),
                SealedPart::Ids => continue,
            };
            mended.note(*part, made)?;
        }
        // Whether the ids are whole shows only when the orders are.
        let is_of_ids = |damage: &Damage| SealedPart::of(&self.root, &damage.file) == Some(SealedPart::Ids);
        let found = sealed::verify(storage, &self.root, &self.known)?.damage;
        if found.iter().any(is_of_ids) || problems.iter().any(is_of_ids) {
            mended.note(SealedPart::Ids, self.mend_ids(storage, keep))?;
        }
        Ok(mended)
    }

    fn mend_ids(&self, storage: &Arc<dyn Storage>, keep: Keep<'_>) -> Result<Vec<String>, Refusal> {
        // Orders that are lost have no ids: better none at all than the ids of some.
        let is_whole = |damage: &Damage| {
            SealedPart::of(&self.root, &damage.file).is_none_or(|part| part == SealedPart::Ids)
        };
        let found = sealed::verify(storage, &self.root, &self.known)?.damage;
        if let Some(damage) = found.iter().find(|damage| !is_whole(damage)) {
            return Err(Refusal::Because(format!("it needs another file: {damage}")));
        }
        for file in sealed::id_files(&**storage, &self.root)? {
            keep(&file)?;
        }
        sealed::rebuild_ids(storage, &self.root, &self.known)?;
        let folder = self.root.join("order-ids");
        Ok(vec![format!("write the ids in {} again, from the sealed orders", folder.display())])
    }

    fn mend_seal(
        &self,
        storage: &Arc<dyn Storage>,
        number: u32,
        damage: &[&Damage],
        keep: Keep<'_>,
    ) -> Result<Vec<String>, Refusal> {
        let place = number as usize;
        let Some((row, known)) = self.seals.get(place).zip(self.known.get(place)) else {
            return Err(Refusal::Because("the state knows no such seal".into()));
        };
        if damage.iter().all(|damage| is_sums(&damage.file))
            && sealed::remake_sums(storage, &self.root, *known, keep)?
        {
            return Ok(from_the_rest(damage));
        }
        let view = self.past.state_at(Kept::Seal, row.as_of)?;
        let earlier = self.earlier_seals(storage, &view, place)?;
        let manifest = sealed::manifest_of(&**storage, &self.root, *known).ok();
        let mut is_same = false;
        // Nothing but its hash says which layout a seal has: its manifest may be lost.
        for layout in Layout::ALL {
            let complete = complete_seal(storage, &self.root, &view, layout, &mut |order: &RecallOrder| {
                Ok(earlier.get(order.id.as_str()).copied())
            })?;
            let made = complete.manifest();
            if made.hash() == known.hash {
                return Ok(from_the_past(&complete.replace(keep)?, row.as_of));
            }
            is_same |= manifest.as_ref().is_some_and(|manifest| manifest.digest == made.digest);
            complete.discard()?;
        }
        Err(Refusal::Because(differs(is_same, "orders")))
    }

    /// Of the orders of a seal, the newest earlier seal that has each.
    fn earlier_seals(
        &self,
        storage: &Arc<dyn Storage>,
        view: &State,
        place: usize,
    ) -> Result<BTreeMap<String, u32>, DurabilityError> {
        let up_to = sealed_up_to(view);
        let orders = view.sealable().map(|number| view.order(number)).filter(|order| order.lsn <= up_to);
        let wanted = orders.map(|order| (order.id.to_string(), order.lsn)).collect();
        sealed::newest_seals_of(storage, &self.root, &self.known[..place], wanted)
    }

    fn mend_boundary(
        &self,
        storage: &Arc<dyn Storage>,
        lsn: u64,
        damage: &[&Damage],
        keep: Keep<'_>,
    ) -> Result<Vec<String>, Refusal> {
        // The first seal that names it wrote it.
        let Some(place) = self.seals.iter().position(|row| row.boundary == lsn) else {
            return Err(Refusal::Because("the state knows no such boundary".into()));
        };
        let row = &self.seals[place];
        let known = boundary_of(row);
        if damage.iter().all(|damage| is_sums(&damage.file))
            && network::remake_sums(storage, &self.root, known, keep)?
        {
            return Ok(from_the_rest(damage));
        }
        let now = self.past.state_at(Kept::Seal, row.as_of)?;
        let end = now.period(period_of(row)).map_or(Timestamp(0), |period| period.end);
        let manifest = network::manifest_of(&**storage, &self.root, known).ok();
        let counts = match &manifest {
            Some(manifest) => BTreeSet::from([manifest.members]),
            None => self.members_before(lsn, end)?,
        };
        let past = self.past.state_at(Kept::Boundary, lsn)?;
        let base = self.seals[..place].last().map(boundary_of);
        let base = base.map(|last| network::full(storage, &self.root, last)).transpose()?;
        let mut is_same = false;
        for members in counts {
            let boundary = Boundary { lsn, members, base };
            let complete = complete_boundary(storage, &self.root, boundary, [&past, &now], end)?;
            let made = complete.manifest();
            if made.own_hash() == known.hash {
                return Ok(from_the_past(&complete.replace(keep)?, lsn));
            }
            is_same |= manifest.as_ref().is_some_and(|manifest| manifest.digest == made.digest);
            complete.discard()?;
        }
        Err(Refusal::Because(differs(is_same, "members")))
    }

    /// How many members a boundary may have: who joined at its very instant belongs to the next period,
    /// unless the log did not reach back to that instant when it was written.
    fn members_before(&self, lsn: u64, end: Timestamp) -> Result<BTreeSet<u32>, HistoryError> {
        let before = self.past.lsn_from(Timestamp(end.0.saturating_sub(1)))?.min(lsn);
        let mut counts = BTreeSet::new();
        for at in [before, lsn] {
            counts.insert(self.past.state_at(Kept::Boundary, at)?.len());
        }
        Ok(counts)
    }

    /// What is still wrong, and why it could not be made again.
    fn left(
        &self,
        storage: &Arc<dyn Storage>,
        problems: &[Damage],
        mended: &Mended,
    ) -> Result<Vec<LeftDamaged>, DurabilityError> {
        if problems.is_empty() {
            return Ok(Vec::new());
        }
        let left = verify_sealed_of(storage, &self.root, &self.known, &self.boundaries())?;
        let of = |damage: Damage| {
            let part = SealedPart::of(&self.root, &damage.file);
            let reason = part.and_then(|part| mended.refused.get(&part)).cloned();
            let reason = reason.unwrap_or_else(|| "nothing in the directory tells what it had".into());
            let blake3 = part.and_then(|part| self.hash_of(&**storage, part, &damage.file));
            LeftDamaged { of: part.map(|part| self.told(part)).unwrap_or_default(), damage, reason, blake3 }
        };
        Ok(left.into_iter().map(of).collect())
    }

    /// A part, as people are told of it.
    fn told(&self, part: SealedPart) -> String {
        let sealed = |row: &SealRow| {
            let period = self.past.read(|state| {
                let calendar = state.plan().commerce.calendars.get(usize::from(row.calendar))?;
                let label = state.period(period_of(row))?.label.to_string();
                Some(format!("{} {label}", calendar.name))
            });
            period.unwrap_or_else(|| "an unknown period".into())
        };
        match part {
            SealedPart::Seal(number) => {
                let row = self.seals.get(number as usize);
                row.map_or_else(
                    || format!("seal {number}"),
                    |row| format!("seal {number}, of {}", sealed(row)),
                )
            }
            SealedPart::Boundary(lsn) => {
                let row = self.seals.iter().find(|row| row.boundary == lsn);
                let at =
                    row.map_or_else(|| format!("LSN {lsn}"), |row| format!("the end of {}", sealed(row)));
                format!("the network at {at}")
            }
            SealedPart::Ids => "the ids of sealed orders".into(),
        }
    }

    fn hash_of(&self, storage: &dyn Storage, part: SealedPart, file: &Path) -> Option<[u8; 32]> {
        match part {
            SealedPart::Seal(number) => {
                let known = self.known.get(number as usize)?;
                sealed::hash_of_file(storage, &self.root, *known, file)
            }
            SealedPart::Boundary(lsn) => {
                let known = self.boundaries().into_iter().find(|known| known.lsn == lsn)?;
                network::hash_of_file(storage, &self.root, known, file)
            }
            SealedPart::Ids => None,
        }
    }

    /// Files that no command names. Where a manifest is lost, what it named is not known.
    fn leftovers(&self, storage: &dyn Storage) -> Result<Vec<PathBuf>, DurabilityError> {
        let mut leftovers = match sealed::leftovers(storage, &self.root, &self.known) {
            Err(DurabilityError::Damaged(_)) => Vec::new(),
            found => found?,
        };
        leftovers.extend(network::leftovers(storage, &self.root, &self.boundaries())?);
        Ok(leftovers)
    }

    fn boundaries(&self) -> Vec<KnownBoundary> {
        let mut boundaries: Vec<_> = self.seals.iter().map(boundary_of).collect();
        boundaries.dedup();
        boundaries
    }
}

impl Mended {
    /// Keeps what was done, or why it was not; passes on that the disk fails.
    fn note(&mut self, part: SealedPart, made: Result<Vec<String>, Refusal>) -> Result<(), DurabilityError> {
        match made {
            Ok(steps) => self.steps.extend(steps),
            Err(Refusal::Because(reason)) => _ = self.refused.insert(part, reason),
            Err(Refusal::Failed(error)) => return Err(error),
        }
        Ok(())
    }
}

fn period_of(row: &SealRow) -> PeriodRef {
    PeriodRef { calendar: u8::try_from(row.calendar).unwrap_or(u8::MAX), period: row.period }
}

fn is_sums(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "sums")
}

fn from_the_rest(damage: &[&Damage]) -> Vec<String> {
    let files = damage.iter().map(|damage| damage.file.display());
    files.map(|file| format!("write {file} again, from the files that it has checksums of")).collect()
}

fn from_the_past(files: &[PathBuf], lsn: u64) -> Vec<String> {
    let files = files.iter().map(|file| file.display());
    files.map(|file| format!("write {file} again, from the state at LSN {lsn}")).collect()
}

/// Why what was made again is not accepted.
fn differs(is_same: bool, what: &str) -> String {
    if is_same {
        format!(
            "the log gives the same {what}, and this release encodes them in other bytes than the one that \
             sealed: repair with that release"
        )
    } else {
        format!("what the log gives has another hash than the command that sealed named: other {what}")
    }
}
