//! All log segments of a directory, archived and live, read to their ends, and the stretches of log they
//! form: a stretch ends where the next segment does not continue it.

use std::path::{Path, PathBuf};

use crate::{
    core::types::Timestamp,
    durability::{
        FORMAT_VERSION,
        error::{Damage, Error, Result},
        instance::Instance,
        journal::ChainAt,
        log::{
            frame::{self, End, Form, Header, SECTOR_BYTES},
            position::Position,
            reader::chain_in,
            scan::{self, Tail},
            segment::{HEADER_BYTES, Parsed, SegmentHeader, why_used},
            whole::read_whole,
        },
        names,
        paths::{Paths, TEMPORARY},
        snapshot::Manifest,
        storage::Storage,
    },
};

/// A segment file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub number: u64,
    pub archived: bool,
    /// Its name says that it is unfinished, and it holds frames: somebody renamed it.
    pub unfinished: bool,
    pub path: PathBuf,
    /// Its format version, from its header; if that does not verify, from its first frame.
    pub version: u32,
    /// First and last LSN, if its start is known from its header.
    pub lsns: Option<(u64, u64)>,
}

impl Place {
    pub(super) fn is_live(&self) -> bool {
        !self.archived && !self.unfinished
    }

    /// Returns whether it holds a frame that can be one of its number.
    fn holds_a_frame(&self, storage: &dyn Storage, instance: &Instance) -> Result<bool> {
        let content = match self.content(storage) {
            Err(Error::Damaged(_)) => return Ok(false),
            content => content?,
        };
        let (version, mut holds) = (version_of(&content, instance, self.number), false);
        frames(&content, Form::new(version, &instance.id.0, self.number), HEADER_BYTES, &mut |_, _| {
            holds = true;
            Ok(())
        })?;
        Ok(holds)
    }

    /// Reads the file. Serving does not need an archived one, so what the disk cannot read of it is damage.
    pub(super) fn content(&self, storage: &dyn Storage) -> Result<Vec<u8>> {
        match read_whole(storage, &self.path) {
            Err(Error::Io { source, action: "read", .. }) if self.archived || self.unfinished => {
                Err(Error::reading(&self.path)(source))
            }
            content => content,
        }
    }
}

/// A segment that is left out since a place has its number.
#[derive(Debug)]
pub(super) struct Double {
    pub place: Place,
    /// The other one.
    pub twin: usize,
}

/// What replaces a segment: the segment itself, with these changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Fresh {
    /// Its header, recomputed and confirmed by the first frame, which names its checksum.
    pub header: Option<Box<[u8; HEADER_BYTES]>>,
    /// Where the verified part ends; the rest is left out.
    pub until: Option<u64>,
    pub bytes: u64,
}

/// A segment of this directory.
struct Headed {
    header: SegmentHeader,
    /// The header's checksum, which the first frame names.
    crc: u32,
    /// The replacement of the segment, if it needs one.
    fresh: Option<Fresh>,
}

/// A segment of a stretch.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub place: usize,
    pub first_lsn: u64,
    pub fresh: Option<Fresh>,
}

/// Consecutive segments, each continuing the one before.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub links: Vec<Link>,
    pub first_lsn: u64,
    pub end: Position,
    pub bytes: u64,
    /// Whether it ends as the log of a killed process may end.
    pub is_whole: bool,
}

impl Stretch {
    /// Returns whether it has the chain after this LSN: it holds the command, or begins right after it.
    pub(super) fn reaches(&self, lsn: u64) -> bool {
        (self.first_lsn..=self.end.next_lsn).contains(&(lsn + 1))
    }

    pub(super) fn last_lsn(&self) -> u64 {
        self.end.next_lsn - 1
    }
}

/// The findings about the whole log.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub places: Vec<Place>,
    /// Segments whose number is that of a place: one of two that are both live and archived.
    pub doubled: Vec<Double>,
    pub stretches: Vec<Stretch>,
    pub problems: Vec<Damage>,
    /// A file prepared but never used: the log continues there, and it holds nothing.
    pub unused: Option<usize>,
}

/// What the header of the first segment after a snapshot holds: the first segment of a directory was created
/// with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    pub first_lsn: u64,
    pub time: Timestamp,
    pub chain: Option<u64>,
}

impl Beginning {
    pub(super) fn behind(manifest: &Manifest) -> Self {
        Self { first_lsn: manifest.lsn + 1, time: manifest.time, chain: manifest.chain }
    }
}

pub(super) fn survey(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
    beginnings: &[Beginning],
    preferred: Preferred,
) -> Result<Survey> {
    let (places, doubled) = places(storage, paths, instance, preferred)?;
    let mut survey = Survey { places, doubled, ..Survey::default() };
    let mut open: Option<Stretch> = None;
    for at in 0..survey.places.len() {
        let number = survey.places[at].number;
        if let Some(before) =
            at.checked_sub(1).map(|before| survey.places[before].number).filter(|before| before + 1 != number)
        {
            let (missing, lsn) =
                (paths.segment(before + 1), open.as_ref().map(|stretch| stretch.end.next_lsn));
            survey.problem(&missing, 0, lsn, "the segment is missing");
            survey.close(&mut open, false);
        }
        let mut content = match survey.places[at].content(storage) {
            Ok(content) => content,
            Err(Error::Damaged(damage)) => {
                survey.problems.push(*damage);
                survey.close(&mut open, false);
                continue;
            }
            Err(error) => return Err(error),
        };
        let is_last = at + 1 == survey.places.len();
        let Some(headed) =
            survey.header_of(at, is_last, instance, &mut content, open.as_ref(), beginnings)?
        else {
            let is_next = survey.unused == Some(at);
            survey.close(&mut open, is_next);
            continue;
        };
        survey.join(at, headed, &content, &mut open);
    }
    if open.as_ref().is_some_and(|stretch| stretch.end.sealed) {
        let last = survey.places.last().map_or(0, |place| place.number);
        let lsn = open.as_ref().map(|stretch| stretch.end.next_lsn);
        survey.problem(
            &paths.segment(last + 1),
            0,
            lsn,
            "the segment is missing: the one before it was closed",
        );
    }
    survey.close(&mut open, false);
    if survey.places.is_empty() {
        survey.problem(&paths.log(), 0, None, "there is no log segment");
    }
    Ok(survey)
}

/// Which one counts of a segment that is both live and archived. Opening uses the live one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Preferred {
    Live,
    Archived,
}

/// Returns the segments by number, and those that are left out.
fn places(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
    preferred: Preferred,
) -> Result<(Vec<Place>, Vec<Double>)> {
    let mut found = Vec::new();
    for (directory, archived) in [(paths.log(), false), (paths.archive(), true)] {
        if !storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            continue;
        }
        let names = storage.list(&directory).map_err(Error::io("list", &directory))?;
        for name in names {
            let plain = name.strip_suffix(TEMPORARY);
            let Some(number) = names::segment_number(plain.unwrap_or(&name)) else { continue };
            let (path, unfinished) = (directory.join(&name), plain.is_some());
            let place = Place { number, archived, unfinished, path, version: FORMAT_VERSION, lsns: None };
            if !unfinished || place.holds_a_frame(storage, instance)? {
                found.push(place);
            }
        }
    }
    found.sort_by_key(|place| {
        (place.number, place.unfinished, place.archived == (preferred == Preferred::Live))
    });
    let (mut places, mut doubled): (Vec<Place>, Vec<Double>) = (Vec::new(), Vec::new());
    for mut place in found {
        if places.last().is_none_or(|last| last.number != place.number) {
            places.push(place);
            continue;
        }
        place.version = match place.content(storage) {
            Err(Error::Damaged(_)) => FORMAT_VERSION,
            content => version_of(&content?, instance, place.number),
        };
        doubled.push(Double { place, twin: places.len() - 1 });
    }
    Ok((places, doubled))
}

impl Survey {
    /// Returns the chain after a command of a stretch, or after the one before its first; `None` if its
    /// segment does not tell.
    pub(super) fn chain_at(
        &self,
        storage: &dyn Storage,
        stretch: &Stretch,
        lsn: u64,
    ) -> Result<Option<ChainAt>> {
        let Some(link) = stretch.links.iter().rfind(|link| link.first_lsn <= lsn + 1) else {
            return Ok(None);
        };
        let content = read_whole(storage, &self.places[link.place].path)?;
        let fresh = link.fresh.as_ref().and_then(|fresh| fresh.header.as_deref());
        match fresh.or(content.first_chunk()).map(SegmentHeader::parse) {
            Some(Parsed::Header(header, _)) => Ok(chain_in(&content, &header, lsn)),
            _ => Ok(None),
        }
    }

    fn problem(&mut self, path: &Path, offset: u64, lsn: Option<u64>, reason: &str) {
        let lost = lsn.map_or_else(
            || "nothing that can be told from it".into(),
            |lsn| format!("commands from LSN {lsn} on"),
        );
        self.problems.push(Damage { file: path.to_path_buf(), offset, lsn, reason: reason.into(), lost });
    }

    /// Ends the present stretch. A sealed log was continued: it is complete only if it `goes_on` in a segment
    /// that is still empty.
    fn close(&mut self, open: &mut Option<Stretch>, goes_on: bool) {
        if let Some(mut stretch) = open.take() {
            stretch.is_whole &= goes_on || !stretch.end.sealed;
            self.stretches.push(stretch);
        }
    }

    /// Returns the header of a segment of this directory, with the replacement it needs. `None` for any other
    /// file.
    fn header_of(
        &mut self,
        at: usize,
        is_last: bool,
        instance: &Instance,
        content: &mut Vec<u8>,
        before: Option<&Stretch>,
        beginnings: &[Beginning],
    ) -> Result<Option<Headed>> {
        let (number, path) = (self.places[at].number, self.places[at].path.clone());
        let length = content.len() as u64;
        self.places[at].version = version_of(content, instance, number);
        let (header, crc) = match content.first_chunk().map_or(Parsed::Bad, SegmentHeader::parse) {
            Parsed::Newer(found) => {
                return Err(Error::NewerFormat { path, found, supported: FORMAT_VERSION });
            }
            Parsed::Header(header, crc) => (header, crc),
            Parsed::Bad => {
                let last = before.filter(|_| is_last).map(|before| why_used(content, before.end.sealed));
                if last == Some(None) {
                    self.unused = Some(at);
                    return Ok(None);
                }
                let lsn = before.map(|before| before.end.next_lsn);
                let rebuilt = rebuild(instance, number, content, before, beginnings);
                let reason = match (&rebuilt, last.flatten()) {
                    (Some(_), _) => "its header does not verify; it can be recomputed".into(),
                    (None, Some(reason)) => reason,
                    (None, None) => "its header does not verify".into(),
                };
                self.problem(&path, 0, lsn, &reason);
                let Some((header, sector, crc)) = rebuilt else { return Ok(None) };
                let fresh = Fresh { header: Some(Box::new(sector)), until: None, bytes: length };
                return Ok(Some(Headed { header, crc, fresh: Some(fresh) }));
            }
        };
        if header.instance != instance.id.0 || header.network != instance.network_id || header.first_lsn == 0
        {
            self.problem(&path, 0, None, "it belongs to another data directory");
            return Ok(None);
        }
        if header.number != number {
            self.problem(&path, 0, None, &format!("it is segment {} under another's name", header.number));
            return Ok(None);
        }
        if header.bytes == length {
            return Ok(Some(Headed { header, crc, fresh: None }));
        }
        let lsn = Some(header.first_lsn);
        self.problem(
            &path,
            length.min(header.bytes),
            lsn,
            &format!("it is {length} bytes long, and was made with {}", header.bytes),
        );
        let Some(bytes) = usize::try_from(header.bytes)
            .ok()
            .filter(|_| header.bytes <= crate::durability::SEGMENT_BYTES_MAX)
        else {
            return Ok(None);
        };
        content.resize(bytes, 0);
        Ok(Some(Headed {
            header,
            crc,
            fresh: Some(Fresh { header: None, until: None, bytes: header.bytes }),
        }))
    }

    /// Adds a segment to the present stretch, or begins another one with it.
    fn join(
        &mut self,
        at: usize,
        Headed { header, crc, mut fresh }: Headed,
        content: &[u8],
        open: &mut Option<Stretch>,
    ) {
        let path = self.places[at].path.clone();
        let goes_on =
            open.as_ref().map(|before| before.end.sealed && before.is_whole && header.follows(&before.end));
        if goes_on == Some(false) {
            if let Some(before) = open.as_ref().filter(|before| before.is_whole) {
                let (end, last) = (before.end, before.links.last().map_or(at, |link| link.place));
                if end.sealed {
                    self.problem(
                        &path,
                        0,
                        Some(end.next_lsn),
                        "the segment does not go on where the one before it ends",
                    );
                } else {
                    let last = self.places[last].path.clone();
                    self.problem(
                        &last,
                        end.offset,
                        Some(end.next_lsn),
                        "a frame does not verify, and a later segment was begun",
                    );
                }
            }
            self.close(open, false);
        }
        let scan = scan::scan(content, header.form(), header.start(crc));
        let mut is_whole = true;
        if let Tail::Damaged { offset, reason, .. } = &scan.tail {
            self.problem(&path, *offset, Some(scan.at.next_lsn), reason);
            fresh.get_or_insert(Fresh { bytes: header.bytes, ..Fresh::default() }).until =
                Some(scan.at.offset);
            is_whole = false;
        } else if let Some(fresh) = fresh.as_mut().filter(|fresh| fresh.header.is_none()) {
            // What was cut off a file may have been frames, unless there are still zeros after the last one.
            let damaged_at = self.problems.last().map_or(0, |damage| damage.offset);
            is_whole = scan.at.sealed || scan.at.offset + SECTOR_BYTES as u64 <= damaged_at;
            fresh.until = (!is_whole).then_some(scan.at.offset);
        }
        self.places[at].lsns = Some((header.first_lsn, scan.at.next_lsn - 1));
        let link = Link { place: at, first_lsn: header.first_lsn, fresh };
        let mut links = open.take().map_or_else(Vec::new, |stretch| stretch.links);
        links.push(link);
        let first_lsn = links[0].first_lsn;
        *open = Some(Stretch { links, first_lsn, end: scan.at, bytes: header.bytes, is_whole });
    }
}

/// Returns the format version of a segment: from its header, or from the form in which its first frame
/// verifies.
fn version_of(content: &[u8], instance: &Instance, number: u64) -> u32 {
    if let Some(Parsed::Header(header, _)) = content.first_chunk().map(SegmentHeader::parse) {
        return header.version;
    }
    let verifies = |version: &u32| {
        let first = content
            .get(HEADER_BYTES..)
            .and_then(|rest| frame::parse_header(rest, Form::new(*version, &instance.id.0, number)));
        first.is_some()
    };
    (1..=FORMAT_VERSION).rev().find(verifies).unwrap_or(FORMAT_VERSION)
}

/// Rebuilds the header that a segment must have had. The first frame, which names its checksum, confirms it.
fn rebuild(
    instance: &Instance,
    number: u64,
    content: &[u8],
    before: Option<&Stretch>,
    beginnings: &[Beginning],
) -> Option<(SegmentHeader, [u8; HEADER_BYTES], u32)> {
    let newest = version_of(content, instance, number);
    let first = frame::parse_header(content.get(HEADER_BYTES..)?, Form::new(newest, &instance.id.0, number))?;
    let header = SegmentHeader {
        version: newest,
        instance: instance.id.0,
        network: instance.network_id,
        number,
        first_lsn: first.first_lsn,
        bytes: content.len() as u64,
        term: first.term,
        time: first.time,
        previous_end: 0,
        previous_crc: 0,
        chain: None,
    };
    let follows = before.filter(|before| before.end.sealed).map(|before| {
        let (time, previous_end, previous_crc) =
            (before.end.time, before.end.offset, before.end.previous_crc);
        (SegmentHeader { time, previous_end, previous_crc, ..header }, before.end.chain)
    });
    let begins = beginnings.iter().filter(|beginning| beginning.first_lsn == first.first_lsn);
    let begins = begins.map(|beginning| (SegmentHeader { time: beginning.time, ..header }, beginning.chain));
    follows.into_iter().chain(begins).find_map(|(header, chain)| {
        let chained =
            |header: SegmentHeader| if first.form.is_chained() { header.chained(chain) } else { header };
        // Versions before 3 differ only in their number.
        (1..=newest).rev().find_map(|version| {
            let header = chained(SegmentHeader { version, ..header });
            let (sector, crc) = header.encode();
            (crc == first.previous_crc).then_some((header, sector, crc))
        })
    })
}

/// Passes on every frame from an offset on that verifies by itself, wherever it is.
pub(super) fn frames(
    content: &[u8],
    form: Form,
    from: usize,
    see: &mut dyn FnMut(&Header, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut offset = from.next_multiple_of(frame::ALIGNMENT);
    while let Some(rest) = content.get(offset..).filter(|rest| !rest.is_empty()) {
        let whole = frame::parse_header(rest, form)
            .and_then(|header| Some((header, rest.get(..header.frame_bytes())?)));
        match whole.filter(|(_, whole)| {
            matches!(frame::check_end(form, whole), End::Whole(_) | End::ShortTrailer(_))
        }) {
            Some((header, whole)) => {
                see(&header, whole)?;
                offset += whole.len();
            }
            None => offset += frame::ALIGNMENT,
        }
    }
    Ok(())
}
