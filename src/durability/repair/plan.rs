//! The steps with which a directory goes on in a given way.

use std::path::PathBuf;

use super::{
    facts::Facts,
    step::Step,
    survey::Place,
    way::{Standing, Way},
};
use crate::durability::{
    error::{Error, Result},
    log::evidence::Durable,
    paths::is_listed,
    retained,
};

/// Plans the steps, in an order in which each of them leaves a directory that is refused as before, or
/// opens.
///
/// # Errors
/// `Io`.
pub(super) fn plan(facts: &Facts, way: &Way) -> Result<Vec<Step>> {
    let (paths, base) = (&facts.paths, &way.base);
    let mut steps = folders(facts)?;
    let places = &facts.survey.places;
    let kept = way.kept(facts).map_or(&[][..], |stretch| &stretch.links[..]);
    let numbers = kept
        .first()
        .zip(kept.last())
        .map(|(first, last)| (places[first.place].number, places[last.place].number));
    let aside = |place: &Place| Step::Aside(place.path.clone());
    let is_below = |place: &&Place| numbers.is_none_or(|(first, _)| place.number < first);
    steps.extend(facts.survey.doubled.iter().map(|double| aside(&double.place)));
    steps.extend(places.iter().filter(is_below).map(aside));
    // Snapshots that need those segments go with them.
    steps.extend(way.stranded(facts).into_iter().map(|(path, _)| Step::Aside(path)));
    // The segments that continue from the base have to be live ones, without an archived one between them.
    let needed = kept.iter().rposition(|link| link.first_lsn <= base.manifest.lsn + 1).unwrap_or(0);
    let is_live = |at: usize| kept.get(at).is_some_and(|link| places[link.place].is_live());
    let live_from =
        (0..=needed).rev().take_while(|at| *at == needed || is_live(*at)).last().unwrap_or(needed);
    if (0..live_from).any(is_live) && !facts.storage.is_dir(&paths.archive()).unwrap_or(true) {
        steps.push(Step::Folder(paths.archive()));
    }
    for (at, link) in kept.iter().enumerate().rev() {
        let place = &places[link.place];
        steps.extend(link.fresh.clone().map(|fresh| Step::Replace(place.path.clone(), fresh)));
        let to = if at < live_from { paths.archived(place.number) } else { paths.segment(place.number) };
        if to != place.path {
            steps.push(Step::Back { from: place.path.clone(), to });
        }
    }
    let unused = facts.survey.unused.map(|at| &places[at]);
    if let Some((_, last)) = numbers {
        let is_above = |place: &&Place| {
            last < place.number
                && unused.is_none_or(|unused| unused.number != place.number || last + 1 < unused.number)
        };
        steps.extend(places.iter().rev().filter(is_above).map(aside));
    }
    let goes_on = way.kept(facts).is_some_and(|stretch| {
        let next_is_there =
            unused.is_some_and(|unused| Some(unused.number - 1) == numbers.map(|(_, last)| last));
        !stretch.end.sealed
            || next_is_there
            || kept.last().is_some_and(|link| link.fresh.as_ref().is_some_and(|fresh| fresh.until.is_some()))
    });
    if !goes_on {
        let highest = places.last().map_or(0, |place| place.number);
        steps.push(Step::Begin(numbers.map_or(highest, |(_, last)| last) + 1));
    }
    let last = way.last_lsn(facts);
    if last < base.manifest.durable_lsn {
        steps.push(Step::Relabel { path: base.path.clone(), durable_lsn: last });
    }
    steps.extend(evidence(facts, way));
    let mut unfit = way.unfit_files(facts);
    if base.is_archived {
        let to = paths.snapshot(base.manifest.lsn);
        // Its place may be taken by one that does not fit.
        if let Some(at) = unfit.iter().position(|path| *path == to) {
            steps.push(Step::Aside(unfit.remove(at)));
        }
        steps.push(Step::Back { from: base.path.clone(), to });
    }
    steps.extend(unfit.into_iter().map(Step::Aside));
    // A repair keeps all unfinished files aside, both those that opening would remove and those it would
    // refuse.
    let mut unfinished: Vec<PathBuf> = facts.unfinished.iter().map(|file| file.path.clone()).collect();
    unfinished.extend(retained::unfinished(&*facts.storage, paths).unwrap_or_default());
    unfinished.retain(|file| {
        !steps.iter().any(|step| match step {
            Step::Aside(path) | Step::Back { from: path, .. } => path == file,
            _ => false,
        })
    });
    steps.splice(0..0, unfinished.into_iter().map(Step::Aside));
    Ok(steps)
}

/// A log that is not what was recorded, or that begins again after a snapshot, gets a fresh record.
fn evidence(facts: &Facts, way: &Way) -> Vec<Step> {
    if facts.spoilt.is_none() && way.standing != Standing::Lacks && way.stretch.is_some() {
        return Vec::new();
    }
    let path = facts.paths.durable();
    let is_there = facts.storage.is_file(&path).unwrap_or(false);
    let is_other = !is_there && is_listed(&*facts.storage, &path);
    let durable = Durable { lsn: way.last_lsn(facts), chain: way.chain(facts) };
    let aside = is_other.then(|| Step::Aside(path.clone()));
    aside.into_iter().chain([Step::Evidence { path, is_there, durable }]).collect()
}

/// Plans the folders that are needed, if they are missing, or something else has the name.
fn folders(facts: &Facts) -> Result<Vec<Step>> {
    let (storage, paths) = (&*facts.storage, &facts.paths);
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

/// Returns the files that the steps move or copy aside.
pub(super) fn taken(steps: &[Step]) -> impl Iterator<Item = &PathBuf> {
    steps.iter().filter_map(|step| match step {
        Step::Aside(path) | Step::Replace(path, _) | Step::Relabel { path, .. } => Some(path),
        Step::Evidence { path, is_there, .. } => is_there.then_some(path),
        Step::Begin(_) | Step::Back { .. } | Step::Folder(_) => None,
    })
}
