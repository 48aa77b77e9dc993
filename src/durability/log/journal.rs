//! The writer of the log in a local directory.

use std::sync::Arc;

use super::{
    LogOptions, Retention, chain,
    evidence::{Durable, Evidence},
    frame::{self, Form, Header, Kind},
    index::{FileLog, LogIndex},
    next::Next,
    position::Position,
    rewrite::{self, Intent, Purpose},
    segment::{self, SegmentEntry, SegmentHeader},
};
use crate::{
    core::{command::Stamped, types::Timestamp},
    durability::{
        FORMAT_VERSION,
        codec::{self, EncodedGroup},
        error::{Error, Result},
        health::LogHealth,
        journal::{Figures, HardState, Journal, LogReader, Purged},
        lock::lock_if_possible,
        paths::rename_to_free,
        snapshot::{drop_bases_below, has_base},
        storage::{StorageFile, StorageLock},
    },
};

const DAY_MICROSECONDS: i64 = 24 * 3_600 * 1_000_000;

/// The log in a local directory.
#[derive(Debug)]
pub struct FileJournal {
    view: FileLog,
    network: u32,
    options: LogOptions,
    access: Writer,
    /// `None` for a log opened read-only.
    file: Option<Box<dyn StorageFile>>,
    /// Excludes a process that has the same file in another directory. `None` where the file system has no
    /// locks, and in tests.
    segment_lock: Option<Box<dyn StorageLock>>,
    next: Next,
    health: LogHealth,
    /// Number of the segment being written.
    number: u64,
    segment_bytes: u64,
    /// Its format version. A segment of an older release takes no more commands: they go to a segment of the
    /// newest version.
    version: u32,
    /// Its `durable_lsn` is what the log says; the field below is the true one.
    at: Position,
    durable_lsn: u64,
    /// The second record of how far the log is durable; `None` for a log opened read-only.
    evidence: Option<Evidence>,
    /// Within an atomic batch: none of it is acknowledged before its end, so the evidence is not advanced.
    in_batch: bool,
    buffer: Vec<u8>,
}

/// Whether the journal can write.
#[derive(Debug)]
enum Writer {
    ReadOnly,
    Open,
    /// A write or sync failed. Holds the message of the first failure.
    Poisoned(Arc<str>),
}

/// Where recovery left the log.
#[derive(Debug)]
pub(crate) struct JournalStart {
    pub view: FileLog,
    pub network: u32,
    pub options: LogOptions,
    /// Segment to write to, with its size and format version.
    pub number: u64,
    pub segment_bytes: u64,
    pub version: u32,
    pub at: Position,
    /// `None` for a log opened read-only.
    pub file: Option<Box<dyn StorageFile>>,
    pub segment_lock: Option<Box<dyn StorageLock>>,
    pub evidence: Option<Evidence>,
    pub next: Next,
    pub health: LogHealth,
}

impl FileJournal {
    /// Returns a journal that continues where recovery stopped. Everything up to there is durable, though the
    /// log may not say so yet.
    pub(crate) fn new(start: JournalStart) -> Self {
        Self {
            view: start.view,
            network: start.network,
            options: start.options,
            access: if start.file.is_some() { Writer::Open } else { Writer::ReadOnly },
            file: start.file,
            segment_lock: start.segment_lock,
            evidence: start.evidence,
            in_batch: false,
            next: start.next,
            health: start.health,
            number: start.number,
            segment_bytes: start.segment_bytes,
            version: start.version,
            at: start.at,
            durable_lsn: start.at.next_lsn - 1,
            buffer: Vec::new(),
        }
    }

    /// Makes everything appended from here on atomic: an opening drops it unless
    /// [`FileJournal::commit_batch`] returned.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn begin_batch(&mut self) -> Result<()> {
        self.guarded(|journal| {
            let after = journal.sync_file()?;
            // While the cut file exists, the evidence holds exactly the cut's LSN: that tells the cut from a
            // stale one.
            journal.sync_evidence()?;
            let chain = journal.at.chain.unwrap_or(0);
            let FileLog { storage, paths, instance, .. } = &journal.view;
            let cut = Intent { after, chain, purpose: Purpose::Batch };
            rewrite::intend_cut(&**storage, paths, instance, cut)?;
            journal.in_batch = true;
            Ok(())
        })
    }

    /// Makes everything since [`FileJournal::begin_batch`] durable, then commits it. After an error, only the
    /// next opening can tell whether it was committed.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn commit_batch(&mut self) -> Result<()> {
        self.guarded(|journal| {
            journal.sync_file()?;
            rewrite::withdraw_cut(&*journal.view.storage, &journal.view.paths)?;
            journal.in_batch = false;
            journal.sync_file()?;
            journal.sync_evidence()
        })
    }

    /// Runs an action on the active segment; a failure closes the journal for writing.
    fn guarded<T>(&mut self, action: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.check_open()?;
        action(self).inspect_err(|error| self.access = Writer::Poisoned(error.to_string().into()))
    }

    fn check_open(&self) -> Result<()> {
        match &self.access {
            Writer::Open => Ok(()),
            Writer::ReadOnly => Err(Error::ReadOnly),
            Writer::Poisoned(first) => Err(Error::PreviousIo { first: Arc::clone(first) }),
        }
    }

    fn file(&self) -> &dyn StorageFile {
        self.file.as_deref().expect("every caller checked that the journal is open")
    }

    /// The form of the segment's frames.
    fn form(&self) -> Form {
        Form::new(self.version, &self.view.instance, self.number)
    }

    /// Writes a frame at the present position; its plain body is in the buffer.
    fn write_frame(&mut self, kind: Kind, count: u32, outcome_hash: u64, time: Timestamp) -> Result<()> {
        let form = self.form();
        let body = &self.buffer[form.header_bytes()..];
        let after = |before| chain::after(before, body, count.into()).expect("the records were just encoded");
        let chain = self.at.chain.map(after);
        let header = Header {
            form,
            kind,
            length: 0,
            count,
            first_lsn: self.at.next_lsn,
            durable_lsn: self.durable_lsn,
            outcome_hash,
            term: 0,
            time,
            previous_crc: self.at.previous_crc,
            salt: 0,
            chain: chain.unwrap_or(0),
        };
        let crc = frame::finish(header, self.at.offset, &mut self.buffer);
        let path = self.view.paths.segment(self.number);
        self.file().write_all_at(&self.buffer, self.at.offset).map_err(Error::io("write", &path))?;
        self.at = Position {
            offset: self.at.offset + self.buffer.len() as u64,
            next_lsn: self.at.next_lsn + u64::from(count),
            previous_crc: crc,
            durable_lsn: self.durable_lsn,
            time,
            sealed: kind == Kind::Seal,
            chain,
        };
        Ok(())
    }

    fn sync_file(&mut self) -> Result<u64> {
        let path = self.view.paths.segment(self.number);
        self.file().sync_data().map_err(Error::io("sync", &path))?;
        self.durable_lsn = self.at.next_lsn - 1;
        if let Some(evidence) = self.evidence.as_mut().filter(|_| !self.in_batch) {
            // Before anything is acknowledged, and never before it is durable.
            evidence.advance(Durable::before(&self.at))?;
        }
        self.view.index.lock().durable_lsn = self.durable_lsn;
        Ok(self.durable_lsn)
    }

    fn sync_evidence(&mut self) -> Result<()> {
        self.evidence.as_mut().map_or(Ok(()), Evidence::sync)
    }

    /// Two marks, so that no single sector holds both the end of the last group and the only mark that covers
    /// it: the first ends with its sector, the second begins the next one.
    fn append_mark(&mut self, outcome_hash: u64) -> Result<bool> {
        self.guarded(Self::sync_evidence)?;
        if self.at.durable_lsn == self.durable_lsn {
            return Ok(false);
        }
        let rotated = !self.has_room(frame::SECTOR_BYTES + 2 * frame::EMPTY_FRAME_BYTES);
        if rotated {
            self.be_ready_to_rotate()?;
        }
        self.guarded(|journal| {
            if rotated {
                // The header of a new segment says the same.
                journal.rotate(outcome_hash)?;
                return Ok(false);
            }
            let start = journal.at.offset;
            for padding in [journal.form().mark_padding(start), 0] {
                journal.clear_buffer(padding);
                journal.write_frame(Kind::Mark, 0, outcome_hash, journal.at.time)?;
            }
            Ok(true)
        })
    }

    /// Reserves room for a frame's header, followed by that many zeros.
    fn clear_buffer(&mut self, zeros: usize) {
        self.buffer.clear();
        self.buffer.resize(self.form().header_bytes() + zeros, 0);
    }

    /// Waits for the next segment's file. It holds no commands, so a failure leaves everything unchanged.
    fn be_ready_to_rotate(&mut self) -> Result<()> {
        self.check_open()?;
        let wanted = (self.number + 1, self.options.segment_bytes_checked());
        self.next.be_ready(&*self.view.storage, &self.view.paths, wanted, &self.health)
    }

    /// Seals the segment and continues in the next one, whose file is ready. The order lets recovery tell a
    /// missing segment from one that was never used: the next file exists, the seal is synced, then the next
    /// header is synced, then frames follow.
    fn rotate(&mut self, outcome_hash: u64) -> Result<()> {
        let number = self.number + 1;
        let segment_bytes = self.options.segment_bytes_checked();
        let Next::Ready(file) = std::mem::replace(&mut self.next, Next::Later) else {
            unreachable!("every caller waited for it")
        };
        if !self.at.sealed {
            self.clear_buffer(0);
            self.write_frame(Kind::Seal, 0, outcome_hash, self.at.time)?;
            self.sync_file()?;
        }
        let path = self.view.paths.segment(number);
        self.lock_segment(number)?;
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            instance: self.view.instance,
            network: self.network,
            number,
            first_lsn: self.at.next_lsn,
            bytes: file.len().map_err(Error::io("look at", &path))?,
            term: 0,
            time: self.at.time,
            previous_end: self.at.offset,
            previous_crc: self.at.previous_crc,
            chain: None,
        };
        let header = header.chained(self.at.chain);
        let (sector, crc) = header.encode();
        file.write_all_at(&sector, 0).map_err(Error::io("write", &path))?;
        file.sync_data().map_err(Error::io("sync", &path))?;
        self.view.index.lock().segments.push(header.entry(false));
        self.number = number;
        self.segment_bytes = header.bytes;
        self.version = header.version;
        self.at = header.start(crc);
        let in_background = self.options.prepare_in_background;
        self.next = Next::start(
            &self.view.storage,
            &self.view.paths,
            (number + 1, segment_bytes),
            in_background,
            &self.health,
        );
        self.file = Some(file);
        Ok(())
    }

    /// Moves to the lock of this segment, before anything is written to it.
    fn lock_segment(&mut self, number: u64) -> Result<()> {
        let (path, root) = (self.view.paths.segment(number), self.view.paths.root());
        self.segment_lock = lock_if_possible(&*self.view.storage, &path, root)?;
        Ok(())
    }

    fn has_room(&self, bytes: usize) -> bool {
        !self.at.sealed && self.at.offset + (bytes + frame::EMPTY_FRAME_BYTES) as u64 <= self.segment_bytes
    }

    /// Begins a frame in the buffer. Commands go only to segments of the newest version, whatever the active
    /// one's is.
    fn begin_frame(&mut self) {
        self.buffer.clear();
        self.buffer.resize(frame::HEADER_BYTES, 0);
    }

    /// Appends the frame in the buffer, whose newest command has this time.
    fn append_buffer(&mut self, count: u32, time: Timestamp, outcome_hash_before: u64) -> Result<()> {
        let (limit, bytes) = (self.group_bytes_max(), self.buffer.len() - frame::HEADER_BYTES);
        if limit < bytes {
            return Err(Error::GroupTooLarge { bytes, limit });
        }
        let time = self.at.time.max(time);
        let rotated = self.version < FORMAT_VERSION || !self.has_room(frame::frame_bytes(bytes));
        if rotated {
            self.be_ready_to_rotate()?;
        }
        self.guarded(|journal| {
            if rotated {
                // The seal needs the buffer, and the frame now goes elsewhere.
                let body = std::mem::take(&mut journal.buffer);
                journal.rotate(outcome_hash_before)?;
                journal.buffer = body;
            }
            journal.write_frame(Kind::Group, count, outcome_hash_before, time)
        })
    }

    fn check_order(&self, group: &[Stamped]) -> Result<()> {
        for (stamped, expected) in group.iter().zip(self.at.next_lsn..) {
            if stamped.lsn != expected {
                return Err(Error::OutOfOrder { expected, found: stamped.lsn });
            }
        }
        Ok(())
    }

    fn segments(&self, archived: bool) -> (u64, u64) {
        let index = self.view.index.lock();
        let sizes =
            index.segments.iter().filter(|segment| segment.archived == archived).map(|segment| segment.bytes);
        sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size))
    }

    fn archive(&self, segment: SegmentEntry) -> Result<()> {
        let (from, to) = (self.view.paths.segment(segment.number), self.view.paths.archived(segment.number));
        let archive = self.view.paths.archive();
        self.view.storage.create_dir(&archive).map_err(Error::io("create", &archive))?;
        rename_to_free(&*self.view.storage, &from, &to)?;
        // Sync the new name first: a segment in both places is harmless, one in neither is lost.
        for directory in [archive, self.view.paths.log()] {
            self.view.storage.sync_dir(&directory).map_err(Error::io("sync", &directory))?;
        }
        Ok(())
    }

    /// Returns the oldest archived segment, if the retention policy allows deleting it, and where the log
    /// begins without it.
    fn expired(&self) -> Option<(SegmentEntry, u64)> {
        let index = self.view.index.lock();
        let [oldest, next, ..] = index.segments[..] else { return None };
        if !oldest.archived {
            return None;
        }
        let expired = match self.options.retention {
            Retention::Keep => false,
            Retention::Bytes(most) => most < archived_bytes(&index),
            // The next segment's header holds the time of the newest command of this one.
            Retention::Days(days) => {
                next.time < self.at.time.0.saturating_sub(i64::from(days).saturating_mul(DAY_MICROSECONDS))
            }
        };
        expired.then_some((oldest, next.first_lsn))
    }
}

fn archived_bytes(index: &LogIndex) -> u64 {
    index.segments.iter().filter(|segment| segment.archived).map(|segment| segment.bytes).sum()
}

impl Journal for FileJournal {
    fn append(&mut self, group: &[Stamped], outcome_hash_before: u64) -> Result<()> {
        self.check_open()?;
        if group.is_empty() {
            return Ok(());
        }
        self.check_order(group)?;
        let limit = self.group_bytes_max();
        let count =
            u32::try_from(group.len()).map_err(|_| Error::GroupTooLarge { bytes: usize::MAX, limit })?;
        self.begin_frame();
        codec::encode_group(group, &mut self.buffer)?;
        let time = group.last().map_or(self.at.time, |stamped| stamped.time);
        self.append_buffer(count, time, outcome_hash_before)
    }

    fn append_encoded(&mut self, group: &EncodedGroup, outcome_hash_before: u64) -> Result<()> {
        self.check_open()?;
        if group.is_empty() {
            return Ok(());
        }
        if group.first_lsn != self.at.next_lsn {
            return Err(Error::OutOfOrder { expected: self.at.next_lsn, found: group.first_lsn });
        }
        self.begin_frame();
        self.buffer.extend_from_slice(&group.records);
        self.append_buffer(group.commands, group.time, outcome_hash_before)
    }

    fn sync(&mut self) -> Result<u64> {
        self.guarded(Self::sync_file)
    }

    fn mark(&mut self, outcome_hash: u64) -> Result<bool> {
        self.check_open()?;
        self.append_mark(outcome_hash)
    }

    fn hard_state(&self) -> HardState {
        HardState { term: 0, durable_lsn: self.durable_lsn }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(self.view.clone())
    }

    /// Retires segments that hold nothing after `up_to`: to the archive, from which the retention policy
    /// deletes them.
    fn purge_prefix(&mut self, up_to: u64, needed: Option<u64>) -> Result<Purged> {
        if matches!(self.access, Writer::ReadOnly) {
            return Err(Error::ReadOnly);
        }
        let mut purged = Purged::default();
        loop {
            let retired = {
                let index = self.view.index.lock();
                let first_live = index.segments.iter().position(|segment| !segment.archived);
                // A segment's last LSN is the one before its successor's first; the segment being written has
                // none.
                let pair = first_live.and_then(|at| Some((index.segments[at], *index.segments.get(at + 1)?)));
                pair.filter(|(_, next)| next.first_lsn - 1 <= up_to).map(|(segment, _)| segment)
            };
            let Some(segment) = retired else { break };
            self.archive(segment)?;
            let mut index = self.view.index.lock();
            index
                .segments
                .iter_mut()
                .filter(|entry| entry.number == segment.number)
                .for_each(|entry| entry.archived = true);
            purged.archived += 1;
        }
        while let Some((segment, first_lsn)) = self.expired() {
            if let Some(needed) = needed
                && !has_base(&*self.view.storage, &self.view.paths, [first_lsn - 1, needed])?
            {
                break;
            }
            drop_bases_below(&*self.view.storage, &self.view.paths, first_lsn)?;
            self.view.index.lock().segments.remove(0);
            let path = self.view.paths.archived(segment.number);
            self.view.storage.remove(&path).map_err(Error::io("remove", &path))?;
            purged.deleted += 1;
        }
        if 0 < purged.deleted {
            let archive = self.view.paths.archive();
            self.view.storage.sync_dir(&archive).map_err(Error::io("sync", &archive))?;
        }
        Ok(purged)
    }

    fn figures(&self) -> Figures {
        let (live_segments, live_bytes) = self.segments(false);
        let (archived_segments, archived_bytes) = self.segments(true);
        Figures { live_segments, live_bytes, archived_segments, archived_bytes }
    }

    fn health(&self) -> LogHealth {
        self.health.clone()
    }

    fn group_bytes_max(&self) -> usize {
        let segment = self.options.segment_bytes_checked().min(self.segment_bytes);
        let room = usize::try_from(segment).expect("segments are at most 256 MiB") - segment::HEADER_BYTES;
        room - frame::frame_bytes(frame::ALIGNMENT) - frame::EMPTY_FRAME_BYTES
    }
}
