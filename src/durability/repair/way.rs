//! The ways on from what is there: each is a snapshot and the stretch of the log that continues from it, if
//! there is one. What a way keeps and loses follows from what the other parts say about its history.
//!
//! The file `durable` decides which history is that of the directory, as far as its LSN: a way that has its
//! chain there holds everything that was acknowledged up to it, and a file that differs from that way at an
//! LSN up to it is of another history, and holds nothing that was acknowledged here.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    facts::{Base, Facts, Relation},
    step::Step,
    survey::{Double, Place, Stretch, frames},
};
use crate::{
    core::command::Stamped,
    durability::{
        codec,
        error::{Damage, Error, Result},
        journal::ChainAt,
        log::{
            frame::{self, Form, Kind},
            reader::chain_in,
            segment::{HEADER_BYTES, Parsed, SegmentHeader},
        },
        snapshot::of_another_history,
    },
};

/// One history with which the directory can go on.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub base: Base,
    /// The stretch of the log that continues from the base; `None` if there is none.
    pub stretch: Option<usize>,
    pub standing: Standing,
    /// Snapshots that do not verify, or are of another history, or reach further than this one.
    pub unfit: Vec<Damage>,
    /// The highest LSN that is known to have been written in this history, or may have been.
    pub known_lsn: u64,
    pub is_lossless: bool,
    /// The segments that it takes away, and of which it keeps nothing, whose commands are of its history.
    pub covered: BTreeSet<usize>,
    pub steps: Vec<Step>,
}

/// How a way stands to what the file `durable` recorded. The better, the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Standing {
    /// It ends before, or has another chain there.
    Lacks,
    /// It does not tell any more.
    Unknown,
    /// It holds what was recorded.
    Holds,
}

impl Way {
    pub(super) fn kept<'f>(&self, facts: &'f Facts) -> Option<&'f Stretch> {
        self.stretch.map(|at| &facts.survey.stretches[at])
    }

    /// Everything up to here is intact, and kept.
    pub(super) fn last_lsn(&self, facts: &Facts) -> u64 {
        self.kept(facts).map_or(self.base.manifest.lsn, Stretch::last_lsn)
    }

    /// The first LSN of the log that is kept.
    pub(super) fn log_begins(&self, facts: &Facts) -> u64 {
        self.kept(facts).map_or(self.base.manifest.lsn + 1, |stretch| stretch.first_lsn)
    }

    /// The chain at the end.
    pub(super) fn chain(&self, facts: &Facts) -> Option<u64> {
        self.kept(facts).map_or(self.base.manifest.chain, |stretch| stretch.end.chain)
    }

    /// Whether it ends exactly with what was recorded, which tells of its history too.
    pub(super) fn is_recorded(&self, facts: &Facts) -> bool {
        let is_end = facts.recorded.lsn == self.last_lsn(facts) && facts.recorded.chain.is_some();
        is_end && self.stretch.is_some() && self.standing == Standing::Holds
    }

    /// The more, the better: one that loses nothing; else what was recorded as acknowledged counts most, then
    /// how far a way reaches.
    pub(super) fn worth(&self, facts: &Facts) -> (bool, Standing, u64) {
        (self.is_lossless, self.standing, self.last_lsn(facts))
    }

    /// Returns a way to be judged, without steps.
    pub(super) fn new(facts: &Facts, base: &Base, stretch: Option<usize>) -> Result<Self> {
        let mut way = Self {
            base: base.clone(),
            stretch,
            standing: Standing::Unknown,
            unfit: Vec::new(),
            known_lsn: 0,
            is_lossless: false,
            covered: BTreeSet::new(),
            steps: Vec::new(),
        };
        (way.standing, _) = way.standing(facts)?;
        way.unfit = way.unfit(facts)?;
        way.covered = way.covered(facts)?;
        if way.standing == Standing::Unknown {
            way.standing = way.standing_before(facts)?;
        }
        way.look_at_loss(facts)?;
        Ok(way)
    }

    /// Compares the way with what was recorded as durable, and returns what is wrong if it is of another
    /// history.
    pub(super) fn standing(&self, facts: &Facts) -> Result<(Standing, Option<Damage>)> {
        let recorded = facts.recorded;
        if facts.spoilt.is_some() {
            return Ok((Standing::Unknown, None));
        }
        if self.last_lsn(facts) < recorded.lsn {
            return Ok((Standing::Lacks, None));
        }
        let found = match self.kept(facts) {
            Some(stretch) if stretch.reaches(recorded.lsn) => {
                facts.survey.chain_at(&*facts.storage, stretch, recorded.lsn)?
            }
            None if self.base.manifest.lsn == recorded.lsn => {
                Some(ChainAt { chain: self.base.manifest.chain, begins: false })
            }
            _ => None,
        };
        let Some(found) = found else { return Ok((Standing::Unknown, None)) };
        let Some(reason) = recorded.of_another_history(found.chain) else {
            return Ok((Standing::Holds, None));
        };
        let links = self.kept(facts).map_or(&[][..], |stretch| &stretch.links);
        let holding = links.iter().rfind(|link| link.first_lsn <= recorded.lsn).or(links.first());
        let file = holding.map_or(&self.base.path, |link| &facts.survey.places[link.place].path);
        let lost =
            format!("commands up to LSN {} that were acknowledged and are not in this log", recorded.lsn);
        let (file, lsn) = (file.clone(), Some(recorded.lsn));
        Ok((Standing::Lacks, Some(Damage { file, offset: 0, lsn, reason, lost })))
    }

    /// Compares what was recorded with the segments before those that are kept.
    fn standing_before(&self, facts: &Facts) -> Result<Standing> {
        let recorded = facts.recorded;
        if recorded.chain.is_none() {
            return Ok(Standing::Unknown);
        }
        for place in self.covered.iter().map(|at| &facts.survey.places[*at]) {
            let Some(content) = Self::readable(facts, place)? else { continue };
            let Some(Parsed::Header(header, _)) = content.first_chunk().map(SegmentHeader::parse) else {
                continue;
            };
            let found = chain_in(&content, &header, recorded.lsn);
            if let Some(found) = found.filter(|_| header.first_lsn <= recorded.lsn + 1) {
                let is_other = recorded.of_another_history(found.chain).is_some();
                return Ok(if is_other { Standing::Lacks } else { Standing::Holds });
            }
        }
        Ok(Standing::Unknown)
    }

    /// Returns the snapshots that cannot stay.
    fn unfit(&self, facts: &Facts) -> Result<Vec<Damage>> {
        let mut unfit = Vec::new();
        for base in &facts.good {
            let lsn = base.manifest.lsn;
            let reason = match facts.relation(self.kept(facts), Some(&self.base.manifest), &base.manifest)? {
                Relation::Other(reason) => Some(reason),
                _ if self.last_lsn(facts) < lsn => {
                    of_another_history(&base.manifest, Err(self.last_lsn(facts)))
                }
                Relation::Same | Relation::Unknown => None,
            };
            let (file, lost) = (base.path.clone(), format!("this snapshot of LSN {lsn}"));
            unfit.extend(reason.map(|reason| Damage { file, offset: 0, lsn: Some(lsn), reason, lost }));
        }
        Ok(unfit)
    }

    /// Returns the snapshots from which the log that is kept does not continue any more, live and archived.
    /// They are intact, and still a finding of each later opening.
    pub(super) fn stranded(&self, facts: &Facts) -> Vec<(PathBuf, u64)> {
        let (first, unfit) = (self.log_begins(facts), self.unfit_files(facts));
        let stranded = facts.good.iter().filter(|base| {
            base.manifest.lsn + 1 < first && base.path != self.base.path && !unfit.contains(&base.path)
        });
        stranded.map(|base| (base.path.clone(), base.manifest.lsn)).collect()
    }

    /// The snapshots that do not verify, or are of another history.
    pub(super) fn unfit_files(&self, facts: &Facts) -> Vec<PathBuf> {
        let broken = facts.broken.iter().map(|broken| broken.path.clone());
        broken.chain(self.unfit.iter().map(|damage| damage.file.clone())).collect()
    }

    /// Determines what may be lost: whatever was written after the last LSN, as far as anything tells of it
    /// and it is not of another history than the one recorded.
    fn look_at_loss(&mut self, facts: &Facts) -> Result<()> {
        let (last, recorded) = (self.last_lsn(facts), facts.recorded);
        let decided = recorded.chain.filter(|_| self.standing == Standing::Holds).map(|_| recorded.lsn);
        let mut known = last.max(recorded.lsn);
        let mut is_one_history = true;
        for (path, manifest) in facts.manifests() {
            if decided.is_some() && facts.ruled_out.contains(path) {
                continue;
            }
            match facts.relation(self.kept(facts), Some(&self.base.manifest), manifest)? {
                Relation::Other(_) if Some(manifest.lsn) <= decided => {}
                relation => {
                    is_one_history &= !matches!(relation, Relation::Other(_));
                    known = known.max(manifest.durable_lsn).max(manifest.lsn);
                }
            }
        }
        known = facts.unfinished.iter().filter_map(|file| file.lsn).fold(known, u64::max);
        let mut others = BTreeSet::new();
        let mut is_last = self.kept(facts).is_some_and(|stretch| stretch.is_whole);
        for (at, stretch) in facts.survey.stretches.iter().enumerate() {
            if Some(at) == self.stretch {
                continue;
            }
            if Some(stretch.first_lsn - 1) <= decided && self.is_other(facts, stretch)? {
                others.extend(stretch.links.iter().map(|link| link.place));
            } else {
                is_last &= self.stretch.is_none_or(|kept| at < kept);
            }
        }
        // What was recorded may be in a segment of which nothing shows that the snapshot holds it.
        let mut may_lack = false;
        for (at, place) in facts.survey.places.iter().enumerate().filter(|(at, _)| !others.contains(at)) {
            let (first, last) = place.lsns.unwrap_or((1, 0));
            known = known.max(last.max(first - 1));
            self.each_frame_removed(facts, at, &mut |header, _| {
                may_lack |= !self.covered.contains(&at);
                known = known.max(header.durable_lsn).max(header.next_lsn() - 1);
                Ok(())
            })?;
        }
        for double in &facts.survey.doubled {
            Self::each_frame_doubled(facts, double, &mut |header, _| {
                known = known.max(header.next_lsn() - 1);
                Ok(())
            })?;
        }
        let is_recorded = match self.standing {
            Standing::Lacks => false,
            Standing::Unknown => recorded.chain.is_none() || !may_lack,
            Standing::Holds => true,
        };
        self.known_lsn = known;
        self.is_lossless = is_last && is_one_history && known == last && is_recorded;
        Ok(())
    }

    /// Returns whether a stretch continues another history: the one that is kept has another chain where it
    /// begins.
    fn is_other(&self, facts: &Facts, stretch: &Stretch) -> Result<bool> {
        let before = stretch.first_lsn - 1;
        let Some(kept) = self.kept(facts).filter(|kept| kept.reaches(before)) else { return Ok(false) };
        let chain = |of| facts.survey.chain_at(&*facts.storage, of, before);
        Ok(match (chain(kept)?, chain(stretch)?) {
            (Some(kept), Some(found)) => kept.chain.is_some() && kept.chain != found.chain,
            _ => false,
        })
    }

    /// Returns the segments before those that are kept that lead up to them without a gap, as their chain
    /// shows, apart from what is damaged in them: the snapshot holds what they say.
    fn covered(&self, facts: &Facts) -> Result<BTreeSet<usize>> {
        let mut covered = BTreeSet::new();
        let Some(first) = self.kept(facts).and_then(|stretch| stretch.links.first()) else {
            return Ok(covered);
        };
        let mut above = Some((first.place, first.first_lsn, self.chain_before(facts, first.first_lsn)?));
        while let Some((at, next_lsn, chain)) = above.take() {
            let Some(below) = at.checked_sub(1) else { break };
            let (place, number) = (&facts.survey.places[below], facts.survey.places[at].number);
            if place.number + 1 != number {
                break;
            }
            let Some(content) = Self::readable(facts, place)? else { break };
            let mut last = None;
            frames(&content, Self::form(facts, place), HEADER_BYTES, &mut |header, _| {
                last = Some((header.next_lsn(), header.chain()));
                Ok(())
            })?;
            if last != Some((next_lsn, chain)) {
                break;
            }
            covered.insert(below);
            if let Some(Parsed::Header(header, _)) = content.first_chunk().map(SegmentHeader::parse) {
                above = Some((below, header.first_lsn, header.chain));
            }
        }
        Ok(covered)
    }

    fn chain_before(&self, facts: &Facts, lsn: u64) -> Result<Option<u64>> {
        let Some(kept) = self.kept(facts) else { return Ok(None) };
        Ok(facts.survey.chain_at(&*facts.storage, kept, lsn - 1)?.and_then(|found| found.chain))
    }

    fn form(facts: &Facts, place: &Place) -> Form {
        Form::new(place.version, &facts.instance.id.0, place.number)
    }

    fn readable(facts: &Facts, place: &Place) -> Result<Option<Vec<u8>>> {
        match place.content(&*facts.storage) {
            Err(Error::Damaged(_)) => Ok(None),
            content => content.map(Some),
        }
    }

    /// Passes on every frame that verifies in the part of a segment that this way takes away.
    fn each_frame_removed(
        &self,
        facts: &Facts,
        at: usize,
        see: &mut dyn FnMut(&frame::Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let link = self.kept(facts).and_then(|stretch| stretch.links.iter().find(|link| link.place == at));
        let from = match link {
            None => HEADER_BYTES,
            Some(link) => match link.fresh.as_ref().and_then(|fresh| fresh.until) {
                Some(offset) => usize::try_from(offset).expect("a segment is in memory"),
                None => return Ok(()),
            },
        };
        let place = &facts.survey.places[at];
        let Some(content) = Self::readable(facts, place)? else { return Ok(()) };
        frames(&content, Self::form(facts, place), from, see)
    }

    /// Passes on every frame that verifies in a segment that is left out, and differs from those of the one
    /// with its number.
    fn each_frame_doubled(
        facts: &Facts,
        double: &Double,
        see: &mut dyn FnMut(&frame::Header, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(content) = Self::readable(facts, &double.place)? else { return Ok(()) };
        let twin = &facts.survey.places[double.twin];
        let mut held = BTreeSet::new();
        if let Some(content) = Self::readable(facts, twin)? {
            frames(&content, Self::form(facts, twin), HEADER_BYTES, &mut |header, _| {
                held.insert((header.next_lsn(), header.chain()));
                Ok(())
            })?;
        }
        frames(&content, Self::form(facts, &double.place), HEADER_BYTES, &mut |header, whole| {
            if held.contains(&(header.next_lsn(), header.chain())) { Ok(()) } else { see(header, whole) }
        })
    }

    /// Passes on the commands that this way drops, as far as they are readable, in the order of the segments:
    /// those after its end, and those before it that are in no segment of its history.
    ///
    /// # Errors
    /// `Io`, and those of `see`.
    pub(super) fn each_dropped(
        &self,
        facts: &Facts,
        see: &mut dyn FnMut(&Stamped) -> Result<()>,
    ) -> Result<()> {
        let end = self.last_lsn(facts);
        for at in 0..facts.survey.places.len() {
            let is_kept =
                self.kept(facts).is_some_and(|stretch| stretch.links.iter().any(|link| link.place == at));
            // What is damaged in a segment that is kept was written after its last good command.
            let after = if is_kept || self.covered.contains(&at) { end } else { 0 };
            self.each_frame_removed(facts, at, &mut |header, whole| {
                each_command(header, whole, after, &mut *see)
            })?;
        }
        for double in &facts.survey.doubled {
            Self::each_frame_doubled(facts, double, &mut |header, whole| {
                each_command(header, whole, 0, &mut *see)
            })?;
        }
        Ok(())
    }
}

/// Passes on the commands of a frame after an LSN. What verifies but does not decode cannot be shown; the
/// file that holds it is kept.
fn each_command(
    header: &frame::Header,
    whole: &[u8],
    after: u64,
    see: &mut dyn FnMut(&Stamped) -> Result<()>,
) -> Result<()> {
    if header.kind != Kind::Group || header.next_lsn() <= after + 1 {
        return Ok(());
    }
    let (mut body, mut commands) = (Vec::new(), Vec::new());
    frame::plain_body(header, whole, &mut body);
    if codec::decode_group(&body, header.first_lsn, header.count, &mut commands).is_err() {
        return Ok(());
    }
    commands.iter().filter(|stamped| after < stamped.lsn).try_for_each(see)
}

/// Returns all ways on, the best first.
pub(super) fn ways(facts: &Facts) -> Result<Vec<Way>> {
    let (mut ways, mut on_a_stretch) = (Vec::new(), BTreeSet::new());
    for (at, stretch) in facts.survey.stretches.iter().enumerate() {
        let mut newest = None;
        for base in facts.good.iter().filter(|base| stretch.reaches(base.manifest.lsn)) {
            if !matches!(facts.relation(Some(stretch), None, &base.manifest)?, Relation::Other(_)) {
                on_a_stretch.insert(&base.path);
                newest = Some(base);
            }
        }
        if let Some(base) = newest {
            ways.push(Way::new(facts, base, Some(at))?);
        }
    }
    for base in facts.good.iter().filter(|base| !on_a_stretch.contains(&base.path)) {
        ways.push(Way::new(facts, base, None)?);
    }
    ways.sort_by_key(|way| (way.worth(facts), way.stretch, !way.base.is_archived));
    ways.reverse();
    Ok(ways)
}
