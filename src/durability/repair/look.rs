//! Examines a directory: what is intact, what is not, and what a repair would do.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    step::Step,
    survey::{Beginning, Place, Stretch, Survey, frames, survey},
};
use crate::core::command::Stamped;
use crate::durability::{
    codec,
    data_dir::DataDir,
    error::{Damage, Error, Result},
    instance::Instance,
    leftovers::{self, Told},
    log::{
        evidence::{self, Durable},
        frame::{self, Form, Kind},
        segment::HEADER_BYTES,
    },
    names,
    paths::{Paths, is_listed},
    pending::{self, PendingCut},
    recovery,
    snapshot::{Manifest, SnapshotStore, inspect_snapshot},
    storage::{Access, Storage},
};

/// A directory that was examined; locked until this is dropped.
#[derive(Debug)]
pub struct Repair {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) paths: Paths,
    pub(super) instance: Instance,
    pub(super) survey: Survey,
    pub(super) base: Base,
    /// The stretch of the log that continues from the base; `None` if there is none.
    pub(super) stretch: Option<usize>,
    pub(super) steps: Vec<Step>,
    pub(super) look: Look,
    /// Holds its locks until dropped.
    _directory: DataDir,
}

/// The result of a look.
#[derive(Clone, PartialEq, Debug)]
pub struct Look {
    pub verdict: Verdict,
    /// Everything that is wrong, snapshots first, then the log in order.
    pub problems: Vec<Damage>,
    /// The newest snapshot that verifies.
    pub snapshot_lsn: u64,
    /// Everything up to here is intact; a repair keeps it.
    pub last_good_lsn: u64,
    /// The highest LSN that anything in the directory mentions.
    pub known_lsn: u64,
    /// Readable commands after the last good LSN, which would be dropped.
    pub dropped: Dropped,
    /// What a repair would do, in order.
    pub steps: Vec<String>,
    /// An interrupted cut of the log, which the next opening for writing finishes.
    pub pending_cut: Option<PendingCut>,
}

/// Readable commands that would be dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dropped {
    pub commands: u64,
    /// The lowest and the highest LSN; there may be gaps between.
    pub first_lsn: u64,
    pub last_lsn: u64,
}

/// Whether a repair is needed, and whether it loses anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing needs to be done.
    Healthy,
    /// Everything ever acknowledged is there; only files that are not needed are removed.
    WithoutLoss,
    /// Commands that may have been acknowledged would be dropped.
    WouldLose,
}

#[derive(Debug)]
pub(super) struct Base {
    pub(super) manifest: Manifest,
    pub(super) path: PathBuf,
    pub(super) is_archived: bool,
}

impl Repair {
    /// Examines a directory, which is locked and not changed.
    ///
    /// # Errors
    /// `Locked`, `NotADataDirectory`, `Unfinished`, `NewerFormat`, `Io`; `Damaged` for what the directory's
    /// content cannot repair: its `instance` file, all of its snapshots, an interrupted cut of the log that
    /// opening would not finish.
    pub fn look(storage: &Arc<dyn Storage>, path: &Path) -> Result<Self> {
        let (directory, instance) = DataDir::lock(storage, path, Access::Read)?;
        let paths = Paths::new(path);
        let cut = with_cut(storage, &paths, &instance)?;
        let Snapshots { good, mut damaged, mut problems, mut known } = snapshots(storage, &paths, &instance)?;
        let beginnings: Vec<Beginning> = good.iter().map(|base| Beginning::behind(&base.manifest)).collect();
        let mut survey = survey(&**storage, &paths, &instance, &beginnings)?;
        let (base, foreign) = choose(&**storage, &survey, good)?;
        damaged.extend(foreign.iter().map(|damage| damage.file.clone()));
        let is_one_history = foreign.is_empty();
        problems.extend(foreign);
        problems.append(&mut survey.problems);
        let is_chained =
            survey.places.iter().any(|place| !place.archived && place.lsns.is_some() && 3 <= place.version);
        let (recorded, is_spoilt) = match evidence::needed(&**storage, &paths, &instance.id.0, is_chained) {
            Ok(recorded) => (recorded, false),
            Err(Error::Damaged(damage)) => {
                problems.push(*damage);
                (Durable { lsn: 0, chain: None }, true)
            }
            Err(error) => return Err(error),
        };
        known = known.max(recorded.lsn);
        let unfinished = leftovers::told(&**storage, &paths, &instance)?;
        known = unfinished.iter().filter_map(|file| file.lsn).fold(known, u64::max);
        let next = base.manifest.lsn + 1;
        let candidates = survey
            .stretches
            .iter()
            .enumerate()
            .filter(|(_, stretch)| (stretch.first_lsn..=stretch.end.next_lsn).contains(&next));
        let stretch = candidates.max_by_key(|(at, stretch)| (stretch.end.next_lsn, *at)).map(|(at, _)| at);
        let last_good_lsn = stretch.map_or(base.manifest.lsn, |at| survey.stretches[at].end.next_lsn - 1);
        let of_another = recorded_otherwise(&**storage, &survey, stretch, recorded)?;
        let is_spoilt = is_spoilt || of_another.is_some();
        let is_one_history = is_one_history && of_another.is_none();
        problems.extend(of_another);
        let is_last =
            stretch.is_some_and(|at| at + 1 == survey.stretches.len() && survey.stretches[at].is_whole);
        let headers =
            survey.places.iter().filter_map(|place| place.lsns).map(|(first, last)| last.max(first - 1));
        known = headers.fold(known, u64::max);
        let look = Look {
            verdict: Verdict::Healthy,
            problems,
            snapshot_lsn: base.manifest.lsn,
            last_good_lsn,
            known_lsn: known.max(last_good_lsn),
            dropped: Dropped::default(),
            steps: Vec::new(),
            pending_cut: None,
        };
        let is_cut = cut.is_some();
        let mut repair = Self {
            storage: Arc::clone(storage),
            paths,
            instance,
            survey,
            base,
            stretch,
            steps: Vec::new(),
            look: cut.unwrap_or(look),
            _directory: directory,
        };
        if is_cut {
            return Ok(repair);
        }
        repair.look_at_dropped()?;
        repair.look_at_coverage();
        repair.look_at_stranded(&damaged);
        // A snapshot of another history holds commands that are in no other file, and a log of another
        // history lacks some that were acknowledged.
        let lossless = is_last && repair.look.known_lsn == last_good_lsn && is_one_history;
        repair.plan(&damaged, is_spoilt || last_good_lsn < recorded.lsn);
        let folders = Self::folders(&**storage, &repair.paths)?;
        repair.steps.splice(0..0, folders);
        repair.set_unfinished_aside(&unfinished);
        if lossless && repair.steps.is_empty() {
            repair.look_as_opening_does(&unfinished)?;
        }
        repair.look.verdict = match (lossless, repair.steps.is_empty()) {
            (true, true) => Verdict::Healthy,
            (true, false) => Verdict::WithoutLoss,
            (false, _) => Verdict::WouldLose,
        };
        repair.look.steps = repair.steps.iter().map(|step| step.describe(last_good_lsn)).collect();
        Ok(repair)
    }

    /// Returns the result of the look.
    pub fn found(&self) -> &Look {
        &self.look
    }

    /// Returns the identity of the directory.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Passes the commands that a repair would drop to `see`, as far as they are readable, once each, in the
    /// order of the segments.
    ///
    /// # Errors
    /// `Io`, and those of `see`.
    pub(super) fn each_dropped(&self, see: &mut dyn FnMut(&Stamped) -> Result<()>) -> Result<()> {
        let after = self.look.last_good_lsn;
        let mut seen: Vec<(u64, u64)> = Vec::new();
        self.each_dropped_frame(&mut |header, whole| {
            if header.kind != Kind::Group || header.next_lsn() <= after + 1 {
                return Ok(());
            }
            // A segment may exist twice.
            if seen.iter().any(|(first, last)| (*first..=*last).contains(&header.first_lsn)) {
                return Ok(());
            }
            match seen.last_mut().filter(|(_, last)| last + 1 == header.first_lsn) {
                Some((_, last)) => *last = header.next_lsn() - 1,
                None => seen.push((header.first_lsn, header.next_lsn() - 1)),
            }
            let (mut body, mut commands) = (Vec::new(), Vec::new());
            frame::plain_body(header, whole, &mut body);
            // What verifies but does not decode cannot be shown. The file that holds it is kept.
            if codec::decode_group(&body, header.first_lsn, header.count, &mut commands).is_ok() {
                commands.iter().filter(|stamped| after < stamped.lsn).try_for_each(&mut *see)?;
            }
            Ok(())
        })
    }

    /// Passes on every verified frame in what a repair drops.
    pub(super) fn each_dropped_frame(
        &self,
        see: &mut dyn FnMut(&frame::Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let kept = self.kept();
        for (at, place) in self.survey.places.iter().enumerate() {
            let link = kept.and_then(|stretch| stretch.links.iter().find(|link| link.place == at));
            let from = match link {
                None => HEADER_BYTES,
                Some(link) => match link.fresh.as_ref().and_then(|fresh| fresh.until) {
                    Some(offset) => usize::try_from(offset).expect("a segment is in memory"),
                    None => continue,
                },
            };
            let content = match place.content(&*self.storage) {
                Err(Error::Damaged(_)) => continue,
                content => content?,
            };
            frames(&content, Form::new(place.version, &self.instance.id.0, place.number), from, see)?;
        }
        Ok(())
    }

    fn look_at_dropped(&mut self) -> Result<()> {
        let (mut dropped, mut known) =
            (Dropped { first_lsn: u64::MAX, ..Dropped::default() }, self.look.known_lsn);
        self.each_dropped_frame(&mut |header, _| {
            known = known.max(header.durable_lsn).max(header.next_lsn() - 1);
            Ok(())
        })?;
        self.each_dropped(&mut |stamped| {
            dropped.commands += 1;
            (dropped.first_lsn, dropped.last_lsn) =
                (dropped.first_lsn.min(stamped.lsn), dropped.last_lsn.max(stamped.lsn));
            Ok(())
        })?;
        self.look.dropped = if dropped.commands == 0 { Dropped::default() } else { dropped };
        self.look.known_lsn = known;
        Ok(())
    }

    /// Finds what no single file shows: that snapshot and log do not add up to everything that is known to
    /// exist.
    fn look_at_coverage(&mut self) {
        let (base, last, known) = (self.look.snapshot_lsn, self.look.last_good_lsn, self.look.known_lsn);
        let reason = match self.stretch {
            None => format!(
                "the log does not go on from LSN {}, where the newest snapshot that verifies ends",
                base + 1
            ),
            Some(_) if last < known && self.look.problems.is_empty() => {
                format!("the log ends with LSN {last}, and LSN {known} is known to have been written")
            }
            Some(_) => return,
        };
        let file = self
            .kept()
            .and_then(|stretch| stretch.links.last())
            .map(|link| self.survey.places[link.place].path.clone());
        let (file, offset) =
            (file.unwrap_or_else(|| self.paths.log()), self.kept().map_or(0, |stretch| stretch.end.offset));
        let would_be_lost = format!("commands from LSN {} on", last + 1);
        self.look.problems.push(Damage { file, offset, lsn: Some(last + 1), reason, lost: would_be_lost });
    }

    /// Finds older snapshots whose log is gone, so that nothing can fall back to them. They are intact, and
    /// still a finding of each later opening.
    fn look_at_stranded(&mut self, damaged: &[PathBuf]) {
        for lsn in self.stranded(damaged) {
            let first = self.log_begins();
            let reason = format!("the log begins with LSN {first}, this snapshot ends with {lsn}");
            let lost = format!("falling back to it, and states from LSN {lsn} to the next snapshot");
            let (file, lsn) = (self.paths.snapshot(lsn), Some(lsn + 1));
            self.look.problems.push(Damage { file, offset: 0, lsn, reason, lost });
        }
    }

    /// The older snapshots in use from which the log does not continue.
    fn stranded(&self, damaged: &[PathBuf]) -> Vec<u64> {
        let first = self.log_begins();
        let names = self.storage.list(&self.paths.snapshots()).unwrap_or_default();
        let mut lsns: Vec<u64> =
            names.iter().filter_map(|name| names::snapshot_lsn(name)).filter(|lsn| lsn + 1 < first).collect();
        lsns.retain(|lsn| *lsn < self.base.manifest.lsn && !damaged.contains(&self.paths.snapshot(*lsn)));
        lsns.sort_unstable();
        lsns
    }

    /// The first LSN of the log that is kept.
    fn log_begins(&self) -> u64 {
        let first = self.kept().and_then(|stretch| stretch.links.first());
        first.map_or(self.base.manifest.lsn + 1, |link| link.first_lsn)
    }

    pub(super) fn kept(&self) -> Option<&Stretch> {
        self.stretch.map(|at| &self.survey.stretches[at])
    }

    /// A repair keeps all unfinished files aside, both those that opening would remove and those it would
    /// refuse.
    fn set_unfinished_aside(&mut self, unfinished: &[Told]) {
        let last = self.look.last_good_lsn;
        let holds_more = |file: &Told| file.differs || file.lsn.is_some_and(|lsn| last < lsn);
        if unfinished.iter().any(holds_more) || !self.steps.is_empty() {
            self.steps.splice(0..0, unfinished.iter().map(|file| Step::Aside(file.path.clone())));
        }
    }

    /// Asks the checks of an opening, so that what they refuse never counts as healthy. The log and the
    /// snapshots are intact, so only an unfinished file can be left.
    fn look_as_opening_does(&mut self, unfinished: &[Told]) -> Result<()> {
        let Err(damage) = recovery::judge(&self.storage, &self.paths, &self.instance)? else {
            return Ok(());
        };
        if unfinished.iter().all(|file| file.path != damage.file) {
            return Err(Error::Damaged(Box::new(damage)));
        }
        self.look.problems.push(damage);
        self.steps = unfinished.iter().map(|file| Step::Aside(file.path.clone())).collect();
        Ok(())
    }

    /// Plans the folders that are needed, if they are missing, or something else has the name.
    fn folders(storage: &dyn Storage, paths: &Paths) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for folder in [paths.log(), paths.snapshots(), paths.archive()] {
            let is_there = storage.is_dir(&folder).map_err(Error::io("look at", &folder))?;
            let is_other = !is_there && is_listed(storage, &folder);
            if is_other {
                steps.push(Step::Aside(folder.clone()));
            }
            if is_other || !is_there && folder != paths.archive() {
                steps.push(Step::Folder(folder));
            }
        }
        Ok(steps)
    }

    /// Plans the steps, in an order in which each of them leaves a directory that is refused as before, or
    /// opens.
    fn plan(&mut self, damaged_snapshots: &[PathBuf], renews_evidence: bool) {
        let (paths, base) = (&self.paths, &self.base);
        let mut steps = Vec::new();
        let places = &self.survey.places;
        let kept = self.kept().map_or(&[][..], |stretch| &stretch.links[..]);
        let numbers = kept
            .first()
            .zip(kept.last())
            .map(|(first, last)| (places[first.place].number, places[last.place].number));
        let aside = |place: &Place| Step::Aside(place.path.clone());
        let is_below = |place: &&Place| numbers.is_none_or(|(first, _)| place.number < first);
        steps.extend(places.iter().filter(is_below).map(aside));
        if let Some(first) = kept.first().filter(|_| !steps.is_empty()) {
            // Snapshots of past states that need those segments are moved aside with them.
            let names = self.storage.list(&paths.archive()).unwrap_or_default();
            let lsns = names
                .iter()
                .filter_map(|name| names::snapshot_lsn(name))
                .filter(|lsn| lsn + 1 < first.first_lsn);
            let needing = lsns
                .map(|lsn| paths.archived_snapshot(lsn))
                .filter(|path| *path != base.path && !damaged_snapshots.contains(path));
            steps.extend(needing.map(Step::Aside));
        }
        // The segments that continue from the base have to be live ones.
        let needed = kept.iter().rposition(|link| link.first_lsn <= base.manifest.lsn + 1).unwrap_or(0);
        for (at, link) in kept.iter().enumerate().rev() {
            let place = &places[link.place];
            steps.extend(link.fresh.clone().map(|fresh| Step::Replace(place.path.clone(), fresh)));
            if place.archived && needed <= at {
                steps.push(Step::Back { from: place.path.clone(), to: paths.segment(place.number) });
            }
        }
        let unused = self.survey.unused.map(|at| &places[at]);
        if let Some((_, last)) = numbers {
            let is_above = |place: &&Place| {
                last < place.number
                    && unused.is_none_or(|unused| unused.number != place.number || last + 1 < unused.number)
            };
            steps.extend(places.iter().rev().filter(is_above).map(aside));
        }
        let goes_on = self.kept().is_some_and(|stretch| {
            let next_is_there =
                unused.is_some_and(|unused| Some(unused.number - 1) == numbers.map(|(_, last)| last));
            !stretch.end.sealed
                || next_is_there
                || kept
                    .last()
                    .is_some_and(|link| link.fresh.as_ref().is_some_and(|fresh| fresh.until.is_some()))
        });
        if !goes_on {
            let highest = places.last().map_or(0, |place| place.number);
            steps.push(Step::Begin(numbers.map_or(highest, |(_, last)| last) + 1));
        }
        if self.look.last_good_lsn < base.manifest.durable_lsn {
            steps.push(Step::Relabel { path: base.path.clone(), durable_lsn: self.look.last_good_lsn });
        }
        if renews_evidence {
            let path = paths.durable();
            let is_there = self.storage.is_file(&path).unwrap_or(false);
            if !is_there && is_listed(&*self.storage, &path) {
                steps.push(Step::Aside(path.clone()));
            }
            let chain = self.kept().map_or(base.manifest.chain, |stretch| stretch.end.chain);
            let durable = Durable { lsn: self.look.last_good_lsn, chain };
            steps.push(Step::Evidence { path, is_there, durable });
        }
        if base.is_archived {
            steps.push(Step::Back { from: base.path.clone(), to: paths.snapshot(base.manifest.lsn) });
        }
        steps.extend(damaged_snapshots.iter().map(|path| Step::Aside(path.clone())));
        steps
            .extend(self.stranded(damaged_snapshots).into_iter().map(|lsn| Step::Aside(paths.snapshot(lsn))));
        self.steps = steps;
    }
}

/// Looks at a directory with an interrupted cut of the log: it is as healthy as opening finds it, which
/// finishes the cut. `None` if there is no cut.
///
/// # Errors
/// As of an opening.
fn with_cut(storage: &Arc<dyn Storage>, paths: &Paths, instance: &Instance) -> Result<Option<Look>> {
    let Some((_, cut)) = pending::find(&**storage, paths, instance, 0)? else { return Ok(None) };
    let opened = recovery::judge(storage, paths, instance)?.map_err(|damage| {
        if damage.file == paths.cut() {
            return Error::Damaged(Box::new(damage));
        }
        let lost = damage.lost.clone();
        let reason = format!("{cut}. Opening the directory would finish that, but is refused: {damage}");
        Error::damaged(&paths.cut(), 0, damage.lsn, reason, lost)
    })?;
    Ok(Some(Look {
        verdict: Verdict::Healthy,
        problems: Vec::new(),
        snapshot_lsn: opened.snapshot_lsn,
        last_good_lsn: opened.log_last_lsn,
        known_lsn: opened.log_last_lsn,
        dropped: Dropped::default(),
        steps: Vec::new(),
        pending_cut: Some(cut),
    }))
}

/// Returns what is wrong with the stretch to keep if it is of another history than the one recorded in the
/// file `durable`.
fn recorded_otherwise(
    storage: &dyn Storage,
    survey: &Survey,
    stretch: Option<usize>,
    recorded: Durable,
) -> Result<Option<Damage>> {
    let lsn = recorded.lsn;
    let stretch = stretch.map(|at| &survey.stretches[at]);
    let Some(stretch) =
        stretch.filter(|stretch| (stretch.first_lsn - 1..stretch.end.next_lsn).contains(&lsn))
    else {
        return Ok(None);
    };
    let Some(found) = survey.chain_at(storage, stretch, lsn)? else { return Ok(None) };
    let holding = stretch.links.iter().rfind(|link| link.first_lsn <= lsn).or(stretch.links.first());
    let file = holding.map_or_else(PathBuf::new, |link| survey.places[link.place].path.clone());
    let lost = format!("commands up to LSN {lsn} that were acknowledged and are not in this log");
    let reason = recorded.of_another_history(found.chain);
    Ok(reason.map(|reason| Damage { file, offset: 0, lsn: Some(lsn), reason, lost }))
}

/// Returns the newest of the verified snapshots (ascending) that belongs to the log's history, and what is
/// wrong with those that do not.
fn choose(storage: &dyn Storage, survey: &Survey, good: Vec<Base>) -> Result<(Base, Vec<Damage>)> {
    let (mut chosen, mut foreign) = (None, Vec::new());
    for base in good {
        match survey.of_another_history(storage, &base.manifest)? {
            None => chosen = Some(base),
            Some(reason) => {
                let lsn = base.manifest.lsn;
                foreign.push(Damage {
                    file: base.path,
                    offset: 0,
                    lsn: Some(lsn),
                    reason,
                    lost: format!("this snapshot of LSN {lsn}"),
                });
            }
        }
    }
    match (chosen, foreign.last()) {
        (Some(base), _) => Ok((base, foreign)),
        (None, last) => {
            Err(Error::Damaged(Box::new(last.expect("there is a snapshot that verifies").clone())))
        }
    }
}

/// The findings about all snapshots.
struct Snapshots {
    /// Those that verify, ascending; if one is in both places, the live one comes last.
    good: Vec<Base>,
    /// Those that do not.
    damaged: Vec<PathBuf>,
    problems: Vec<Damage>,
    /// The highest LSN that any of them mentions.
    known: u64,
}

fn snapshots(storage: &Arc<dyn Storage>, paths: &Paths, instance: &Instance) -> Result<Snapshots> {
    let store = SnapshotStore {
        storage: Arc::clone(storage),
        paths: paths.clone(),
        network: instance.network_id,
        instance: instance.id.0,
        log: None,
        retained: None,
    };
    let (mut good, mut problems, mut damaged, mut known) = (Vec::new(), Vec::new(), Vec::new(), 0);
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
            Ok(reader) => {
                let manifest = *reader.manifest();
                known = known.max(manifest.durable_lsn).max(lsn);
                good.push(Base { manifest, path, is_archived });
            }
            Err(Error::Damaged(damage)) => {
                // If its manifest verifies, it still tells how far the log reached.
                let manifest = match inspect_snapshot(&**storage, &path) {
                    Err(Error::Damaged(_)) => None,
                    seen => seen?.manifest.filter(|manifest| manifest.instance == instance.id.0),
                };
                known = manifest.map_or(known, |manifest| known.max(manifest.durable_lsn).max(manifest.lsn));
                problems.push(*damage);
                damaged.push(path);
            }
            Err(error) => return Err(error),
        }
    }
    good.sort_by_key(|base: &Base| (base.manifest.lsn, !base.is_archived));
    if !good.is_empty() {
        return Ok(Snapshots { good, damaged, problems, known });
    }
    Err(problems.into_iter().next_back().map_or_else(
        || Error::damaged(&paths.snapshots(), 0, None, "there is no snapshot", "everything"),
        |mut damage| {
            damage.reason += ", and no other snapshot verifies, archived ones included";
            Error::Damaged(Box::new(damage))
        },
    ))
}
