//! Reads groups of commands back, one after the other, across segments.

use std::{io::ErrorKind, path::PathBuf};

use super::{
    frame::{self, End, Kind},
    index::{LogView, ReaderPermit},
    scan::{Position, check_chain},
    segment::{HEADER_BYTES, Parsed, SegmentHeader},
};
use crate::{
    core::command::Stamped,
    durability::{
        codec,
        error::{Error, Result},
        storage::{Access, StorageFile},
    },
};

/// Bytes read at a time: large enough that the calls do not count, small enough that a reader of one page of the log is cheap.
const READ_BYTES: usize = 256 * 1_024;

/// One group as it was appended.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Group {
    /// Rolling hash over the outcomes of all commands before the group. `None` where the reader was asked to begin inside of it.
    pub outcome_hash_before: Option<u64>,
    /// Never empty; their LSNs follow each other.
    pub commands: Vec<Stamped>,
}

/// Groups in LSN order. After an error it ends.
#[derive(Debug)]
pub struct GroupReader {
    log: LogView,
    /// Next segment to open.
    segment: u64,
    /// First LSN that is wanted.
    from: u64,
    /// Last LSN that is wanted.
    until: u64,
    open: Option<OpenSegment>,
    /// Where the segment before ended.
    end: Option<Position>,
    body: Vec<u8>,
    failed: bool,
    _permit: ReaderPermit,
}

#[derive(Debug)]
struct OpenSegment {
    path: PathBuf,
    file: Box<dyn StorageFile>,
    bytes: u64,
    seed: u32,
    at: Position,
    /// A part of the file, and where it begins.
    window: Vec<u8>,
    window_offset: u64,
}

impl GroupReader {
    pub(crate) fn new(log: LogView, permit: ReaderPermit, segment: u64, (from, until): (u64, u64)) -> Self {
        Self { log, segment, from, until, open: None, end: None, body: Vec::new(), failed: false, _permit: permit }
    }

    /// Puts the next group into `group`, whose memory is used again. False at the end.
    ///
    /// # Errors
    /// `Damaged` where the log is not what was written, `BelowRetained` where a segment was deleted meanwhile, `Io`.
    pub fn next_into(&mut self, group: &mut Group) -> Result<bool> {
        group.commands.clear();
        if self.failed {
            return Ok(false);
        }
        let result = self.advance(group);
        self.failed = result.is_err();
        result
    }

    /// Lets the reader go on up to what is durable now: for one that came to its end and is kept to follow the log.
    pub fn extend(&mut self) {
        self.until = self.log.durable_lsn();
        if let Some(segment) = &mut self.open {
            // Behind what was durable when the window was filled there may have been anything.
            segment.window.clear();
            segment.window_offset = segment.at.offset;
        }
    }

    fn advance(&mut self, group: &mut Group) -> Result<bool> {
        if self.until < self.from {
            return Ok(false);
        }
        loop {
            let mut segment = match self.open.take() {
                Some(segment) => segment,
                None => self.open_segment()?,
            };
            if self.until < segment.at.next_lsn {
                // Kept for `extend`.
                self.open = Some(segment);
                return Ok(false);
            }
            let before = segment.at;
            let (header, frame_at) = segment.read_frame()?;
            match header.kind {
                Kind::Seal => {
                    self.segment += 1;
                    self.end = Some(segment.at);
                }
                Kind::Group if self.from < header.next_lsn() => {
                    frame::plain_body(&header, &segment.window[frame_at..frame_at + header.frame_bytes()], &mut self.body);
                    codec::decode_group(&self.body, header.first_lsn, header.count, &mut group.commands)
                        .map_err(|error| Error::record(&segment.path, before.offset, header.first_lsn, error))?;
                    self.open = Some(segment);
                    // What was not asked for goes.
                    group.commands.retain(|stamped| self.from <= stamped.lsn && stamped.lsn <= self.until);
                    group.outcome_hash_before = (self.from <= header.first_lsn).then_some(header.outcome_hash);
                    return Ok(true);
                }
                Kind::Group | Kind::Mark => self.open = Some(segment),
            }
        }
    }

    fn open_segment(&self) -> Result<OpenSegment> {
        let (entry, oldest) = {
            let index = self.log.index.lock();
            (index.numbered(self.segment), index.oldest_lsn())
        };
        let entry = entry.ok_or(Error::BelowRetained { oldest })?;
        // A segment may go to the archive between the look at the index and this.
        let (mut path, archived) = (self.log.paths.segment(entry.number), self.log.paths.archived(entry.number));
        let file = match self.log.storage.open(&path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                path = archived;
                self.log.storage.open(&path, Access::Read)
            }
            result => result,
        };
        let file = file.map_err(Error::io("open", &path))?;
        let mut sector = [0; HEADER_BYTES];
        file.read_exact_at(&mut sector, 0).map_err(Error::io("read", &path))?;
        match SegmentHeader::parse(&sector) {
            Parsed::Header(header, crc) if header.entry(entry.archived) == entry && self.end.is_none_or(|end| header.follows(&end)) => {
                let at = header.start(crc);
                let seed = frame::seed(&self.log.instance, entry.number);
                Ok(OpenSegment { path, file, bytes: header.bytes, seed, at, window: Vec::new(), window_offset: 0 })
            }
            _ => {
                let lost = format!("commands from LSN {} on", entry.first_lsn);
                Err(Error::damaged(&path, 0, Some(entry.first_lsn), "the segment's header is not the one that belongs here", lost))
            }
        }
    }
}

impl OpenSegment {
    /// The next frame's header and its place in the window. It verified, and follows the one before.
    fn read_frame(&mut self) -> Result<(frame::Header, usize)> {
        let start = self.load(frame::HEADER_BYTES)?;
        let header = frame::parse_header(&self.window[start..], self.seed);
        let header = header.ok_or_else(|| self.damaged("a frame's header does not verify"))?;
        let start = self.load(header.frame_bytes())?;
        let frame = &self.window[start..start + header.frame_bytes()];
        let (End::Whole(crc) | End::ShortTrailer(crc)) = frame::check_end(frame) else {
            return Err(self.damaged("a frame does not verify"));
        };
        check_chain(&header, &self.at).map_err(|reason| self.damaged(&reason))?;
        self.at.offset += header.frame_bytes() as u64;
        self.at.next_lsn = header.next_lsn();
        self.at.previous_crc = crc;
        self.at.durable_lsn = header.durable_lsn;
        Ok((header, start))
    }

    /// Brings at least `wanted` bytes from the present offset into the window and says where in it they begin.
    fn load(&mut self, wanted: usize) -> Result<usize> {
        let start = usize::try_from(self.at.offset - self.window_offset).unwrap_or(usize::MAX);
        if start <= self.window.len() && wanted <= self.window.len() - start {
            return Ok(start);
        }
        let left = usize::try_from(self.bytes.saturating_sub(self.at.offset)).unwrap_or(usize::MAX);
        if left < wanted {
            return Err(self.damaged("the segment ends where a frame should be"));
        }
        self.window.resize(wanted.max(READ_BYTES).min(left), 0);
        self.window_offset = self.at.offset;
        self.file.read_exact_at(&mut self.window, self.at.offset).map_err(Error::io("read", &self.path))?;
        Ok(0)
    }

    fn damaged(&self, reason: &str) -> Error {
        let lsn = self.at.next_lsn;
        Error::damaged(&self.path, self.at.offset, Some(lsn), reason, format!("commands from LSN {lsn} on"))
    }
}

impl Iterator for GroupReader {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut group = Group::default();
        self.next_into(&mut group).map(|found| found.then_some(group)).transpose()
    }
}
