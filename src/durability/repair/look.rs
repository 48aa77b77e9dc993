//! Examines a directory: what is intact, what is not, and what a repair would do.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    change,
    facts::Facts,
    plan::plan,
    step::Step,
    survey::{Place, Preferred, Stretch},
    trial::Trial,
    way::{Way, ways},
};
use crate::durability::{
    data_dir::DataDir,
    error::{Damage, Error, Result},
    instance::Instance,
    judgment::{Judgment, judge},
    paths::Paths,
    pending::{self, PendingCut},
    snapshot::SnapshotReader,
    storage::{Access, Storage},
};

/// Limit on the ways that are shown in addition to the best one. More would not help to decide.
const OTHERS_MAX: usize = 3;

/// A directory that was examined; locked until this is dropped.
#[derive(Debug)]
pub struct Repair {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) paths: Paths,
    pub(super) instance: Instance,
    /// What the files say, and the ways on, the best first; nothing if the directory is healthy.
    pub(super) found: Option<Found>,
    look: Look,
    /// Holds its locks until dropped.
    _directory: DataDir,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) facts: Facts,
    ways: Vec<(Way, Look)>,
    chosen: usize,
    /// Why opening refuses the directory.
    refusal: Option<Damage>,
}

impl Found {
    /// The way that is carried out.
    pub(super) fn way(&self) -> &Way {
        &self.ways[self.chosen].0
    }
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
    /// Readable commands that would be dropped: those after the last good LSN, and those before it that are
    /// in no other file, nor certainly in the snapshot.
    pub dropped: Dropped,
    /// What a repair would do, in order.
    pub steps: Vec<String>,
    /// An interrupted cut of the log, which the next opening for writing finishes.
    pub pending_cut: Option<PendingCut>,
    /// Other ways to go on, each with another last good LSN: they keep some of what this one drops, and drop
    /// what this one keeps. The last good LSN that is named chooses one.
    pub others: Vec<Look>,
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
    /// Nothing needs to be done, or nothing that a repair does would help.
    Healthy,
    /// Everything ever acknowledged is there; only files that are not needed are removed.
    WithoutLoss,
    /// Commands that may have been acknowledged would be dropped.
    WouldLose,
}

impl Repair {
    /// Examines a directory, which is locked and not changed. Opening is the judge: what it accepts without
    /// a finding is healthy, and a repair is proposed only if it accepts the result.
    ///
    /// # Errors
    /// `Locked`, `NotADataDirectory`, `Unfinished`, `NewerFormat`, `Io`; `Damaged` for what the directory's
    /// content cannot repair: its `instance` file, all of its snapshots, an interrupted cut of the log that
    /// opening would not finish.
    pub fn look(storage: &Arc<dyn Storage>, path: &Path) -> Result<Self> {
        let (directory, instance) = DataDir::lock(storage, path, Access::Read)?;
        let paths = Paths::new(path);
        let judgment = judge(storage, &paths, &instance)?;
        refuse_cut(&**storage, &paths, &instance, &judgment)?;
        let healthy = judgment.as_ref().ok().map(healthy);
        let found = match &judgment {
            Ok(judged) if judged.findings.is_empty() || judged.report.finished_cut.is_some() => None,
            Ok(judged) => {
                let whose = (paths.clone(), instance);
                let facts = Facts::gather(storage, whose, Preferred::Live)?;
                let way = mended(&facts, judged)?;
                let ways = way.map(|way| {
                    let look = without_loss(&facts, &way, judged.findings.clone());
                    vec![(way, look)]
                });
                ways.map(|ways| Found { facts, ways, chosen: 0, refusal: None })
            }
            Err(damage) => Some(refused(storage, (&paths, &instance), damage, &BTreeSet::new())?),
        };
        let look = match (&found, healthy) {
            (Some(found), _) => found.ways[0].1.clone(),
            (None, Some(look)) => look,
            (None, None) => unreachable!("what is refused has a way on, or an error"),
        };
        Ok(Self { storage: Arc::clone(storage), paths, instance, found, look, _directory: directory })
    }

    /// Returns the result of the look.
    pub fn found(&self) -> &Look {
        &self.look
    }

    /// Chooses the way whose last good LSN this is, and returns whether there is one.
    pub fn choose(&mut self, last_good_lsn: u64) -> bool {
        let Some(found) = &mut self.found else { return false };
        let Some(at) = found.ways.iter().position(|(_, look)| look.last_good_lsn == last_good_lsn) else {
            return false;
        };
        found.chosen = at;
        self.look = found.ways[at].1.clone();
        true
    }

    /// Returns the snapshots that verify and reach further than the way that was chosen, if that one ends
    /// exactly where the file `durable` says: either the log lost its end and the record of it, or they are
    /// of another history. Their content tells.
    ///
    /// # Errors
    /// As of opening them.
    pub fn further(&self) -> Result<Vec<(PathBuf, SnapshotReader)>> {
        let Some(found) = self.found.as_ref().filter(|found| found.way().is_recorded(&found.facts)) else {
            return Ok(Vec::new());
        };
        let facts = &found.facts;
        let good = facts.good.iter();
        let further = good.filter(|base| found.way().last_lsn(facts) < base.manifest.lsn);
        further.map(|base| Ok((base.path.clone(), facts.open(base)?))).collect()
    }

    /// Returns the file system as the way that was chosen leaves it. Nothing is changed on disk.
    ///
    /// # Errors
    /// As of reading the files.
    pub fn tried_out(&self) -> Result<Arc<dyn Storage>> {
        match &self.found {
            Some(found) => Ok(trial_of(&found.facts, found.way())?),
            None => Ok(Arc::clone(&self.storage)),
        }
    }

    /// Looks again, where these snapshots are known to be of another history.
    ///
    /// # Errors
    /// As `look`.
    pub fn rule_out(&mut self, snapshots: &BTreeSet<PathBuf>) -> Result<()> {
        let Some(damage) = self.found.as_ref().and_then(|found| found.refusal.clone()) else { return Ok(()) };
        let found = refused(&self.storage, (&self.paths, &self.instance), &damage, snapshots)?;
        self.look = found.ways[0].1.clone();
        self.found = Some(found);
        Ok(())
    }

    /// Returns the identity of the directory.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// The steps of the way that was chosen.
    pub(super) fn steps(&self) -> &[Step] {
        self.found.as_ref().map_or(&[], |found| &found.way().steps)
    }
}

fn healthy(judged: &Judgment) -> Look {
    Look {
        verdict: Verdict::Healthy,
        problems: judged.findings.clone(),
        snapshot_lsn: judged.report.snapshot_lsn,
        last_good_lsn: judged.report.log_last_lsn,
        known_lsn: judged.report.log_last_lsn,
        dropped: Dropped::default(),
        steps: Vec::new(),
        pending_cut: judged.report.finished_cut,
        others: Vec::new(),
    }
}

/// Refuses what a pending cut prevents from opening: which of the commands after it were acknowledged is
/// known only once it is finished.
fn refuse_cut(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
    judgment: &std::result::Result<Judgment, Damage>,
) -> Result<()> {
    let Err(damage) = judgment else { return Ok(()) };
    if damage.file == paths.cut() {
        return Err(Error::Damaged(Box::new(damage.clone())));
    }
    let Some((_, cut)) = pending::find(storage, paths, instance, 0)? else { return Ok(()) };
    let reason = format!("{cut}. Opening the directory would finish that, but is refused: {damage}");
    Err(Error::damaged(&paths.cut(), 0, damage.lsn, reason, damage.lost.clone()))
}

/// Returns how to mend what opening tolerates, and `verify` finds: with the snapshot and the log that opening
/// uses. `None` if nothing mends it.
fn mended(facts: &Facts, judged: &Judgment) -> Result<Option<Way>> {
    let report = &judged.report;
    let Some(base) =
        facts.good.iter().rfind(|base| !base.is_archived && base.manifest.lsn == report.snapshot_lsn)
    else {
        return Ok(None);
    };
    let is_in_use =
        |stretch: &&Stretch| stretch.reaches(base.manifest.lsn) && stretch.last_lsn() == report.log_last_lsn;
    let Some(stretch) = facts.survey.stretches.iter().rposition(|stretch| is_in_use(&stretch)) else {
        return Ok(None);
    };
    let mut way = Way::new(facts, base, Some(stretch))?;
    way.steps = plan(facts, &way)?;
    // What opening does not look at stays.
    let kept = way.kept(facts).map_or(&[][..], |stretch| &stretch.links);
    let places = &facts.survey.places;
    let first_live = kept.iter().map(|link| &places[link.place]).find(|place| place.is_live());
    let doubled = facts.survey.doubled.iter().map(|double| &double.place);
    let is_unseen = |place: &Place| {
        place.archived && !place.unfinished && first_live.is_some_and(|first| first.number <= place.number)
    };
    let unseen: BTreeSet<PathBuf> = places
        .iter()
        .chain(doubled)
        .filter(|place| is_unseen(place))
        .map(|place| place.path.clone())
        .collect();
    way.steps.retain(|step| !matches!(step, Step::Aside(path) if unseen.contains(path)));
    Ok(try_out(facts, &way)?.is_ok_and(|judged| judged.findings.is_empty()).then_some(way))
}

/// Finds the ways on for a directory that opening refuses.
///
/// # Errors
/// The damage if there is none; `Io`.
fn refused(
    storage: &Arc<dyn Storage>,
    (paths, instance): (&Paths, &Instance),
    damage: &Damage,
    ruled_out: &BTreeSet<PathBuf>,
) -> Result<Found> {
    let gather = |preferred| -> Result<Facts> {
        let facts = Facts::gather(storage, (paths.clone(), *instance), preferred)?;
        Ok(Facts { ruled_out: ruled_out.clone(), ..facts })
    };
    let mut facts = gather(Preferred::Live)?;
    let mut kept = accepted(&facts)?;
    let worth = |facts: &Facts, kept: &[Way]| kept.first().map(|way| way.worth(facts));
    if !facts.survey.doubled.is_empty() && worth(&facts, &kept).is_none_or(|(is_lossless, ..)| !is_lossless) {
        let archived = gather(Preferred::Archived)?;
        let with_archived = accepted(&archived)?;
        if worth(&facts, &kept) < worth(&archived, &with_archived) {
            (facts, kept) = (archived, with_archived);
        }
    }
    let mut ways = Vec::new();
    for way in kept {
        let problems = problems(&facts, &way, damage)?;
        let look = if way.is_lossless {
            without_loss(&facts, &way, problems)
        } else {
            would_lose(&facts, &way, problems)?
        };
        ways.push((way, look));
    }
    let others = ways.iter().skip(1).map(|(_, look)| look.clone()).collect();
    match ways.first_mut() {
        None => Err(Error::Damaged(Box::new(damage.clone()))),
        Some((_, best)) => {
            best.others = others;
            Ok(Found { facts, ways, chosen: 0, refusal: Some(damage.clone()) })
        }
    }
}

/// Returns the ways whose result opening accepts without a finding: the best, and those that keep other
/// commands.
fn accepted(facts: &Facts) -> Result<Vec<Way>> {
    let mut kept: Vec<Way> = Vec::new();
    for mut way in ways(facts)? {
        if !kept.is_empty() && (OTHERS_MAX < kept.len() || !is_another(facts, &kept, &way)) {
            continue;
        }
        way.steps = plan(facts, &way)?;
        if try_out(facts, &way)?.is_ok_and(|judged| judged.findings.is_empty()) {
            kept.push(way);
        }
    }
    Ok(kept)
}

/// Returns whether a way that is not the best keeps something that those before it drop: it reaches further,
/// or it keeps a log where they keep only a snapshot. Something must be lost by each.
fn is_another(facts: &Facts, kept: &[Way], way: &Way) -> bool {
    let last = way.last_lsn(facts);
    let best = &kept[0];
    let is_further = kept.iter().all(|other| other.last_lsn(facts) < last);
    let is_log = way.stretch.is_some() && kept.iter().all(|other| other.stretch.is_none());
    let is_new = kept.iter().all(|other| other.last_lsn(facts) != last);
    !best.is_lossless && is_new && (is_further || is_log)
}

/// Judges what the steps of a way would leave.
fn try_out(facts: &Facts, way: &Way) -> Result<std::result::Result<Judgment, Damage>> {
    match trial_of(facts, way) {
        Err(Error::Damaged(damage)) => Ok(Err(*damage)),
        trial => judge(&trial?, &facts.paths, &facts.instance),
    }
}

fn trial_of(facts: &Facts, way: &Way) -> Result<Arc<dyn Storage>> {
    let trial = Trial::new(&facts.storage);
    for step in &way.steps {
        change::try_out(step, facts, way, &trial)?;
    }
    Ok(Arc::new(trial))
}

fn without_loss(facts: &Facts, way: &Way, problems: Vec<Damage>) -> Look {
    let last_good_lsn = way.last_lsn(facts);
    Look {
        verdict: Verdict::WithoutLoss,
        problems,
        snapshot_lsn: way.base.manifest.lsn,
        last_good_lsn,
        known_lsn: way.known_lsn,
        dropped: Dropped::default(),
        steps: way.steps.iter().map(|step| step.describe(last_good_lsn)).collect(),
        pending_cut: None,
        others: Vec::new(),
    }
}

fn would_lose(facts: &Facts, way: &Way, problems: Vec<Damage>) -> Result<Look> {
    let mut dropped = Dropped { first_lsn: u64::MAX, ..Dropped::default() };
    way.each_dropped(facts, &mut |stamped| {
        dropped.commands += 1;
        (dropped.first_lsn, dropped.last_lsn) =
            (dropped.first_lsn.min(stamped.lsn), dropped.last_lsn.max(stamped.lsn));
        Ok(())
    })?;
    let dropped = if dropped.commands == 0 { Dropped::default() } else { dropped };
    Ok(Look { verdict: Verdict::WouldLose, dropped, ..without_loss(facts, way, problems) })
}

/// Returns everything that is wrong with a directory that goes on in this way.
fn problems(facts: &Facts, way: &Way, refusal: &Damage) -> Result<Vec<Damage>> {
    let mut problems = facts.problems.clone();
    problems.extend(way.unfit.iter().cloned());
    problems.extend(facts.survey.problems.iter().cloned());
    problems.extend(facts.spoilt.clone());
    problems.extend(way.standing(facts)?.1);
    problems.extend(uncovered(facts, way, problems.is_empty()));
    let first = way.log_begins(facts);
    for (file, lsn) in way.stranded(facts) {
        let reason = format!("the log begins with LSN {first}, this snapshot ends with {lsn}");
        let lost = format!("falling back to it, and states from LSN {lsn} to the next snapshot");
        problems.push(Damage { file, offset: 0, lsn: Some(lsn + 1), reason, lost });
    }
    // What opening names first is always named.
    if problems.iter().all(|problem| problem.file != refusal.file) {
        problems.push(refusal.clone());
    }
    Ok(problems)
}

/// Returns what no single file shows: that snapshot and log do not add up to everything that is known to
/// exist.
fn uncovered(facts: &Facts, way: &Way, is_first: bool) -> Option<Damage> {
    let (base, last, known) = (way.base.manifest.lsn, way.last_lsn(facts), way.known_lsn);
    let reason = match way.stretch {
        None => format!(
            "the log does not go on from LSN {}, where the newest snapshot that verifies ends",
            base + 1
        ),
        Some(_) if last < known && is_first => {
            format!("the log ends with LSN {last}, and LSN {known} is known to have been written")
        }
        Some(_) => return None,
    };
    let kept = way.kept(facts);
    let file = kept
        .and_then(|stretch| stretch.links.last())
        .map_or_else(|| facts.paths.log(), |link| facts.survey.places[link.place].path.clone());
    let would_be_lost = format!("commands from LSN {} on", last + 1);
    Some(Damage {
        file,
        offset: kept.map_or(0, |stretch| stretch.end.offset),
        lsn: Some(last + 1),
        reason,
        lost: would_be_lost,
    })
}
