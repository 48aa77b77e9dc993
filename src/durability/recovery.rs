//! Opening: finds what is there, verifies it, and repairs what a crash may leave.
//!
//! The first phase only looks and changes nothing; anything wrong is reported as an error there. Only then is
//! the log's end mended.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    FORMAT_VERSION,
    data_dir::DataDir,
    error::{Damage, Error, Result},
    health::LogHealth,
    instance::Instance,
    journal::{GroupReader, LogReader},
    leftovers::{self, Holdings, Leftover},
    log::{
        FileJournal, FileLog, JournalStart, LogIndex, LogOptions, Next, Readers, Retention, SegmentEntry,
        SharedIndex,
        evidence::{self, Durable, Evidence},
        frame,
        position::Position,
        rewrite,
        scan::{self, Tail},
        segment::{HEADER_BYTES, Parsed, SegmentHeader, check_identity, why_used},
        whole::read_whole,
    },
    names,
    paths::{Paths, names_in},
    pending::{self, PendingCut},
    retained,
    snapshot::{Manifest, SnapshotReader, SnapshotStore},
    storage::{Access, Storage, StorageFile},
    unfinished,
};

/// An open data directory. Use it in this order: build the state from `snapshot`, apply `tail`, then continue
/// with `journal`.
#[derive(Debug)]
pub struct Opened {
    pub instance: Instance,
    /// The newest snapshot that verifies.
    pub snapshot: SnapshotReader,
    /// The groups after the snapshot. Each comes with the outcome hash that must hold before it.
    pub tail: Box<dyn GroupReader>,
    pub journal: FileJournal,
    /// For further snapshots.
    pub snapshots: SnapshotStore,
    pub report: Report,
    /// Keep this as long as anything of the directory is used, and drop it last: it holds the locks.
    pub directory: DataDir,
}

/// What was found and done on opening.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    pub snapshot_lsn: u64,
    /// Snapshots newer than the one used that did not verify. If not empty, warn loudly.
    pub damaged_snapshots: Vec<Damage>,
    /// First and last LSN of the live log; everything up to the last one is durable now.
    pub log_first_lsn: u64,
    pub log_last_lsn: u64,
    pub log_segments: u64,
    /// Bytes of frames verified.
    pub log_bytes: u64,
    pub log_groups: u64,
    /// A write that never completed, and so was never acknowledged, was dropped here.
    pub torn: Option<TornTail>,
    /// An interrupted cut of the log that was finished (or would have been).
    pub finished_cut: Option<PendingCut>,
    /// Unfinished files that were removed (or would have been).
    pub unfinished_files: u64,
    /// Why the retained log, archived and live, does not go back as far as it should: an archived segment
    /// cannot be read, or segments after the older snapshot are gone. Serving does not need them, but falling
    /// back to that snapshot and reading earlier states is impossible.
    pub history_damage: Option<Damage>,
    /// Archived snapshots whose header or manifest does not verify: past states are rebuilt from an older
    /// one, if there is one.
    pub archived_snapshot_damage: Vec<Damage>,
}

/// The torn end of the log that was cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TornTail {
    pub file: PathBuf,
    pub offset: u64,
    /// Up to the last nonzero byte.
    pub bytes: u64,
    /// LSN that the first dropped command would have had.
    pub lsn: u64,
}

impl DataDir {
    /// Opens a directory for reading and writing: locks it, finds the newest snapshot that verifies, scans
    /// the live log, and mends what a crash may have left. It may crash at any point and be repeated. Nothing
    /// is changed until everything has verified.
    ///
    /// # Errors
    /// `Locked`, `NotADataDirectory`, `Unfinished`, `InstanceLost`, `NewerFormat`, `Damaged`, `Io`.
    pub fn open(storage: &Arc<dyn Storage>, path: &Path, options: LogOptions) -> Result<Opened> {
        Self::open_with(storage, path, options, Access::ReadWrite)
    }

    /// Opens a directory without changing anything in it, for tools; locks it all the same. A torn tail is
    /// left out and reported; the journal accepts no writes.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_read_only(storage: &Arc<dyn Storage>, path: &Path) -> Result<Opened> {
        Self::open_with(storage, path, LogOptions::default(), Access::Read)
    }

    fn open_with(
        storage: &Arc<dyn Storage>,
        path: &Path,
        options: LogOptions,
        access: Access,
    ) -> Result<Opened> {
        let (directory, instance) = Self::lock(storage, path, access)?;
        open(storage, &Paths::new(path), instance, options, access, directory)
    }
}

/// A directory that verified.
pub(super) struct Verified {
    newest: SnapshotReader,
    pub(super) report: Report,
    log: Survey,
    /// LSN after which an interrupted cut ends the log.
    cut: Option<u64>,
    unfinished: Vec<Leftover>,
    pub(super) view: FileLog,
    pub(super) snapshots: SnapshotStore,
}

/// Verifies everything, and changes nothing. Opening and the judgment of a directory (`judgment.rs`) begin
/// with this.
pub(super) fn verify(
    storage: &Arc<dyn Storage>,
    paths: &Paths,
    instance: &Instance,
    options: LogOptions,
) -> Result<Verified> {
    let mut snapshots = SnapshotStore {
        storage: Arc::clone(storage),
        paths: paths.clone(),
        network: instance.network_id,
        instance: instance.id.0,
        log: None,
        retained: None,
    };
    let newest = snapshots.newest()?;
    let manifest = *newest.reader.manifest();
    let floor = snapshots.list()?.into_iter().fold(manifest.durable_lsn, u64::max);
    let pending = pending::find(&**storage, paths, instance, floor)?;
    let cut = pending.map(|(intent, _)| intent.after);
    let log = survey(&**storage, paths, instance, cut)?;
    if let Some((intent, found)) = &pending {
        pending::check_chain(paths, intent, log.at.chain, found.last_lsn)?;
    }
    check_coverage(paths, &log, manifest.lsn, manifest.durable_lsn)?;
    let recorded = check_evidence(&**storage, paths, instance, &log)?;
    let unfinished = leftovers::unfinished(&**storage, paths, instance, &log)?;
    let (archived, archive_damage) = retained::survey_archive(&**storage, paths, instance, log.first)?;
    let mut segments = archived;
    segments.extend_from_slice(&log.segments);
    let mut history_damage = archive_damage.or(retained::shortened(paths, &segments, &snapshots.list()?));
    if history_damage.is_none() && options.retention == Retention::Keep {
        history_damage = retained::missed(&**storage, paths, &segments)?;
    }
    let torn = match log.tail {
        Tail::Torn { bytes } => Some(TornTail {
            file: paths.segment(log.number),
            offset: log.at.offset,
            bytes,
            lsn: log.at.next_lsn,
        }),
        Tail::Clean | Tail::ShortTrailer | Tail::Damaged { .. } => None,
    };
    let report = Report {
        snapshot_lsn: manifest.lsn,
        damaged_snapshots: newest.damaged,
        log_first_lsn: log.segments.first().map_or(log.at.next_lsn, |segment| segment.first_lsn),
        log_last_lsn: log.at.next_lsn - 1,
        log_segments: log.segments.len() as u64,
        log_bytes: log.bytes,
        log_groups: log.groups,
        torn,
        finished_cut: pending.map(|(_, found)| found),
        unfinished_files: unfinished.len() as u64,
        history_damage,
        archived_snapshot_damage: snapshots.survey_archived()?,
    };
    let index = SharedIndex::new(LogIndex { segments, durable_lsn: log.at.next_lsn - 1 });
    let view = FileLog {
        storage: Arc::clone(storage),
        paths: paths.clone(),
        instance: instance.id.0,
        index,
        readers: Readers::default(),
    };
    snapshots.log = Some(Arc::new(view.clone()));
    check_histories(&snapshots, &manifest)?;
    check_recorded_history(paths, &log, &view, recorded)?;
    for (path, manifest) in unfinished.iter().filter_map(Leftover::whole_snapshot) {
        snapshots.check_history(manifest, path)?;
    }
    Ok(Verified { newest: newest.reader, report, log, cut, unfinished, view, snapshots })
}

/// Opens a directory whose locks are held.
fn open(
    storage: &Arc<dyn Storage>,
    paths: &Paths,
    instance: Instance,
    options: LogOptions,
    access: Access,
    mut directory: DataDir,
) -> Result<Opened> {
    let Verified { newest, report, mut log, cut, unfinished, view, mut snapshots } =
        verify(storage, paths, &instance, options)?;
    let health = LogHealth::default();
    // Everything verified. The following changes files, and may be repeated if interrupted.
    let (file, evidence, next) = if access == Access::ReadWrite {
        if let Some(after) = cut {
            rewrite::carry_out_cut(&**storage, paths, &instance.id.0, after)?;
            // Survey the log again, as it is now.
            log = survey(&**storage, paths, &instance, None)?;
        }
        for damage in &report.damaged_snapshots {
            snapshots.set_aside_file(&damage.file)?;
        }
        for leftover in &unfinished {
            leftover.clear(&**storage, paths)?;
        }
        sync_names(&**storage, paths)?;
        unfinished::end(&**storage, paths, &instance.id.0)?;
        let file = mend(storage, paths, &log)?;
        let evidence = Evidence::open(&**storage, paths, instance.id.0, Durable::before(&log.at))?;
        (Some(file), Some(evidence), prepare_next(storage, paths, &log, options, &health)?)
    } else {
        (None, None, Next::Later)
    };
    // An operator may restore segments that cannot be read, so no snapshot before them is deleted.
    if report.history_damage.is_none() {
        snapshots.retained.clone_from(&snapshots.log);
    }
    let segment_lock = directory.segment_lock(&**storage, paths, &paths.segment(log.number))?;
    let tail = view.read_from(report.snapshot_lsn + 1)?;
    let start = JournalStart {
        view,
        network: instance.network_id,
        options,
        number: log.number,
        segment_bytes: log.segment_bytes,
        version: log.version,
        at: log.at,
        file,
        segment_lock,
        evidence,
        next,
        health,
    };
    let journal = FileJournal::new(start);
    Ok(Opened { instance, snapshot: newest, tail, journal, snapshots, report, directory })
}

/// The live log, read to its end.
struct Survey {
    segments: Vec<SegmentEntry>,
    /// Header of the first of them.
    first: SegmentHeader,
    /// The last segment with a header: its number, size, version, content, and how it ends.
    number: u64,
    segment_bytes: u64,
    version: u32,
    content: Vec<u8>,
    at: Position,
    first_unrecorded: Position,
    tail: Tail,
    /// Whether the next segment's file exists and is pristine, and its size.
    next: NextFile,
    bytes: u64,
    groups: u64,
    /// Where the last segment ended before the part dropped by an interrupted cut was left out.
    uncut_next_lsn: u64,
}

impl Holdings for Survey {
    fn next_lsn_of(&self, number: u64) -> Option<u64> {
        let at = self.segments.iter().position(|segment| segment.number == number)?;
        Some(self.segments.get(at + 1).map_or(self.uncut_next_lsn, |next| next.first_lsn))
    }

    fn last_lsn(&self) -> u64 {
        self.at.next_lsn - 1
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NextFile {
    Missing,
    Pristine(u64),
    /// Never used, but not all zero.
    Spoilt,
}

/// Reads the live log; with an interrupted cut, only up to the cut.
fn survey(storage: &dyn Storage, paths: &Paths, instance: &Instance, cut: Option<u64>) -> Result<Survey> {
    let directory = paths.log();
    let names = names_in(storage, &directory, "all commands after the snapshot")?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| names::segment_number(name)).collect();
    numbers.sort_unstable();
    let mut survey: Option<Survey> = None;
    for (position, number) in numbers.iter().copied().enumerate() {
        let path = paths.segment(number);
        if cut.is_some() && survey.as_ref().is_some_and(|before| before.number + 1 != number) {
            // A cut removes segments from the end, but a power loss may persist the removals in any order.
            break;
        }
        if let Some(before) = survey.as_ref().filter(|before| before.number + 1 != number) {
            let missing = paths.segment(before.number + 1);
            return Err(lost_from(&missing, 0, before, "the segment is missing"));
        }
        let content = read_whole(storage, &path)?;
        // Only the last segment may lack its header: a segment is created once the one before it has one.
        let last = position + 1 == numbers.len();
        survey = Some(match parse_sector(&path, &content)? {
            Some((header, _))
                if survey.is_some() && cut.is_some_and(|after| after + 1 < header.first_lsn) =>
            {
                break;
            }
            Some((header, crc)) => {
                check_identity(&path, &header, instance, number, content.len() as u64)?;
                scan_segment(&path, header, crc, content, survey)?
            }
            None if survey.is_some() && cut.is_some() => break,
            None => never_used(&path, &content, survey, last)?,
        });
    }
    let survey = survey.ok_or_else(|| {
        let reason = format!("there is no log segment{}", leftovers::renamed(storage, &directory));
        Error::damaged(&directory, 0, None, reason, "all commands after the snapshot")
    })?;
    match cut {
        Some(after) => until_cut(paths, instance, survey, after),
        None => check_end(paths, &survey).map(|()| survey),
    }
}

/// Returns the log without what an interrupted cut is to drop. The state of the dropped part does not matter.
fn until_cut(paths: &Paths, instance: &Instance, mut survey: Survey, after: u64) -> Result<Survey> {
    let path = paths.segment(survey.number);
    let Some((header, crc)) = parse_sector(&path, &survey.content)? else {
        unreachable!("a segment that was surveyed has its header")
    };
    debug_assert_eq!(header.instance, instance.id.0);
    let (content, at) = rewrite::content_until(&path, &header, header.start(crc), &survey.content, after)?;
    survey.content = content;
    survey.at = at;
    survey.first_unrecorded = at;
    survey.tail = Tail::Clean;
    survey.next = NextFile::Missing;
    Ok(survey)
}

fn parse_sector(path: &Path, content: &[u8]) -> Result<Option<(SegmentHeader, u32)>> {
    let Some(sector) = content.first_chunk::<HEADER_BYTES>() else {
        let reason = format!("it is only {} bytes long", content.len());
        return Err(Error::damaged(path, 0, None, reason, "the commands of this segment and all after it"));
    };
    match SegmentHeader::parse(sector) {
        Parsed::Header(header, crc) => Ok(Some((header, crc))),
        Parsed::Newer(found) => {
            Err(Error::NewerFormat { path: path.to_path_buf(), found, supported: FORMAT_VERSION })
        }
        Parsed::Bad => Ok(None),
    }
}

/// Scans a segment that has a header, and joins it to what came before.
fn scan_segment(
    path: &Path,
    header: SegmentHeader,
    crc: u32,
    content: Vec<u8>,
    before: Option<Survey>,
) -> Result<Survey> {
    let mut segments = Vec::new();
    let (mut first, mut bytes, mut groups) = (header, 0, 0);
    if let Some(before) = before {
        // The segment before was sealed and synced before this one got its header, so it must be intact.
        let before_path = path.with_file_name(names::segment(before.number));
        if let Tail::Damaged { offset, reason, .. } = &before.tail {
            return Err(lost_from(&before_path, *offset, &before, reason));
        }
        if before.tail != Tail::Clean || !before.at.sealed {
            return Err(lost_from(
                &before_path,
                before.at.offset,
                &before,
                "a frame does not verify, and a later segment was begun",
            ));
        }
        if !header.follows(&before.at) {
            return Err(lost_from(
                path,
                0,
                &before,
                "the segment does not go on where the one before it ends",
            ));
        }
        (segments, first, bytes, groups) = (before.segments, before.first, before.bytes, before.groups);
    }
    let scan = scan::scan(&content, header.form(), header.start(crc));
    segments.push(header.entry(false));
    Ok(Survey {
        segments,
        first,
        number: header.number,
        segment_bytes: header.bytes,
        version: header.version,
        content,
        at: scan.at,
        first_unrecorded: scan.first_unrecorded,
        tail: scan.tail,
        next: NextFile::Missing,
        bytes: bytes + scan.at.offset,
        groups: groups + scan.groups,
        uncut_next_lsn: scan.at.next_lsn,
    })
}

/// A file without a header: the next segment, prepared and not yet used. If nothing was written after the
/// first sector, nothing in it can have been acknowledged, since the header is synced before any frame.
fn never_used(path: &Path, content: &[u8], before: Option<Survey>, last: bool) -> Result<Survey> {
    let Some(mut survey) = before.filter(|_| last) else {
        return Err(Error::damaged(
            path,
            0,
            None,
            "its header does not verify",
            "the commands of this segment and all after it",
        ));
    };
    if let Some(reason) = why_used(content, survey.at.sealed) {
        return Err(lost_from(path, 0, &survey, &reason));
    }
    let pristine = frame::is_zero(content);
    survey.next = if pristine { NextFile::Pristine(content.len() as u64) } else { NextFile::Spoilt };
    Ok(survey)
}

fn check_end(paths: &Paths, survey: &Survey) -> Result<()> {
    let path = paths.segment(survey.number);
    if let Tail::Damaged { offset, reason, .. } = &survey.tail {
        return Err(lost_from(&path, *offset, survey, reason));
    }
    if survey.at.sealed && survey.next == NextFile::Missing {
        // A segment is sealed only once the next one's file exists.
        let missing = paths.segment(survey.number + 1);
        return Err(lost_from(&missing, 0, survey, "the segment is missing: the one before it was closed"));
    }
    Ok(())
}

fn lost_from(path: &Path, offset: u64, survey: &Survey, reason: &str) -> Error {
    let lsn = survey.at.next_lsn;
    Error::damaged(path, offset, Some(lsn), reason, format!("commands from LSN {lsn} on"))
}

/// Checks that snapshot and log together are complete.
fn check_coverage(paths: &Paths, log: &Survey, snapshot_lsn: u64, durable_lsn: u64) -> Result<()> {
    let first = log.segments.first().map_or(log.at.next_lsn, |segment| segment.first_lsn);
    if snapshot_lsn + 1 < first {
        let number = log.segments.first().map_or(log.number, |segment| segment.number);
        let reason = format!(
            "the log begins with LSN {first}, the newest snapshot that verifies ends with {snapshot_lsn}"
        );
        let lost = format!("commands from LSN {} to {}", snapshot_lsn + 1, first - 1);
        return Err(Error::damaged(&paths.segment(number), 0, Some(snapshot_lsn + 1), reason, lost));
    }
    if log.at.next_lsn <= durable_lsn {
        let reason = format!(
            "the log ends before LSN {}, which was durable when the snapshot was published",
            log.at.next_lsn
        );
        let lost = format!("commands from LSN {} to at least {durable_lsn}", log.at.next_lsn);
        return Err(Error::damaged(
            &paths.segment(log.number),
            log.at.offset,
            Some(log.at.next_lsn),
            reason,
            lost,
        ));
    }
    Ok(())
}

/// Checks that the log reaches as far as the evidence says it was durable, and returns the evidence.
fn check_evidence(
    storage: &dyn Storage,
    paths: &Paths,
    instance: &Instance,
    log: &Survey,
) -> Result<Durable> {
    let recorded = evidence::needed(storage, paths, &instance.id.0, 3 <= log.version)?;
    let (next_lsn, durable) = (log.at.next_lsn, recorded.lsn);
    if durable < next_lsn {
        return Ok(recorded);
    }
    let reason = format!(
        "the log ends before LSN {next_lsn}; that it was durable up to {durable} stands in the file `durable`"
    );
    let lost = format!("commands from LSN {next_lsn} to at least {durable}");
    Err(Error::damaged(&paths.segment(log.number), log.at.offset, Some(next_lsn), reason, lost))
}

/// Checks that the log belongs to the history that the evidence recorded, if it still has that LSN: after a
/// power loss the evidence may be older than the live log. Then the archived log tells, as far as it can be
/// read.
fn check_recorded_history(paths: &Paths, log: &Survey, view: &FileLog, recorded: Durable) -> Result<()> {
    let lsn = recorded.lsn;
    let first = log.segments.first().map_or(log.at.next_lsn, |segment| segment.first_lsn);
    if recorded.chain.is_none() {
        return Ok(());
    }
    let found = match view.chain_at(lsn) {
        Err(Error::BelowRetained { .. }) => return Ok(()),
        // What is wrong with the archive is found when it is read, and no reason to refuse.
        Err(_) if lsn + 1 < first => return Ok(()),
        found => found?,
    };
    recorded.of_another_history(found.chain).map_or(Ok(()), |reason| {
        let holding = log.segments.iter().rfind(|segment| segment.first_lsn <= lsn);
        let number = holding.or(log.segments.first()).map_or(log.number, |segment| segment.number);
        let path = if lsn + 1 < first { paths.durable() } else { paths.segment(number) };
        let lost = format!("commands up to LSN {lsn} that were acknowledged and are not in this log");
        Err(Error::damaged(&path, 0, Some(lsn), reason, lost))
    })
}

/// Checks that the snapshots in use belong to the log's history. This includes the older one, kept only as a
/// fallback: if it came from another copy, something is wrong and serving must not start. One that does not
/// verify is found when it is needed.
fn check_histories(snapshots: &SnapshotStore, newest: &Manifest) -> Result<()> {
    snapshots.check_history(newest, &snapshots.paths.snapshot(newest.lsn))?;
    for lsn in snapshots.list()?.into_iter().filter(|lsn| *lsn < newest.lsn) {
        let path = snapshots.paths.snapshot(lsn);
        match SnapshotReader::fixed_parts(snapshots, lsn, path.clone()) {
            Ok(manifest) => snapshots.check_history(&manifest, &path)?,
            Err(Error::Damaged(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes the names that were found durable. A process killed between giving a name and syncing it leaves a
/// name that the next power loss may undo, and with it everything acknowledged into that file since. Targets
/// of moves are synced before their sources.
fn sync_names(storage: &dyn Storage, paths: &Paths) -> Result<()> {
    for directory in [paths.archive(), paths.log(), paths.snapshots(), paths.root().to_path_buf()] {
        // Tools that copy directories may omit an empty archive.
        if storage.is_dir(&directory).map_err(Error::io("look at", &directory))? {
            storage.sync_dir(&directory).map_err(Error::io("sync", &directory))?;
        }
    }
    Ok(())
}

/// Durably makes the log's end what the survey took it for.
fn mend(storage: &Arc<dyn Storage>, paths: &Paths, log: &Survey) -> Result<Box<dyn StorageFile>> {
    let path = paths.segment(log.number);
    let end = usize::try_from(log.at.offset).expect("a segment is in memory");
    let content = &log.content[..end];
    match log.tail {
        Tail::Torn { .. } | Tail::ShortTrailer => {
            let mut whole = content.to_vec();
            if HEADER_BYTES < end {
                // The last frame verified except for its trailer, which may have been cut short.
                whole[end - frame::TRAILER.len()..].copy_from_slice(&frame::TRAILER);
            }
            rewrite::replace_segment(&**storage, &path, &whole, log.segment_bytes)
        }
        Tail::Clean | Tail::Damaged { .. } => {
            let file = storage.open(&path, Access::ReadWrite).map_err(Error::io("open", &path))?;
            let from = usize::try_from(log.first_unrecorded.offset).expect("a segment is in memory");
            // If no frame is known to be on disk, the header may not be either.
            let from = if from == HEADER_BYTES { 0 } else { from };
            rewrite::write_again(&*file, &path, content, from)?;
            Ok(file)
        }
    }
}

fn prepare_next(
    storage: &Arc<dyn Storage>,
    paths: &Paths,
    log: &Survey,
    options: LogOptions,
    health: &LogHealth,
) -> Result<Next> {
    let number = log.number + 1;
    let path = paths.segment(number);
    let bytes = options.segment_bytes_checked();
    match log.next {
        NextFile::Pristine(length) if length == bytes => {
            Ok(Next::Ready(storage.open(&path, Access::ReadWrite).map_err(Error::io("open", &path))?))
        }
        // Replaces whatever is there; the file gets its name only once complete: a sealed segment's successor
        // must never be missing.
        NextFile::Missing | NextFile::Pristine(_) | NextFile::Spoilt => {
            Ok(Next::start(storage, paths, (number, bytes), options.prepare_in_background, health))
        }
    }
}
