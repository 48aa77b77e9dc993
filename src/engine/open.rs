//! Opening turns a data directory into a state to serve.
//!
//! Durability finds the newest valid snapshot and the commands after it; here they become a state, verified
//! by two checks. The state rebuilt from a snapshot must have the digest that the snapshot carries, else
//! opening falls back to the older snapshot and a longer log, with a warning. Before each group the rolling
//! hash over all outcomes must be the one recorded when the group was written, else this build applies the
//! log differently from the one that wrote it, and the directory is refused.

use std::{
    any::Any,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Clock, EngineOptions, MemberDirectory, OpenError, OpenProgress, OpenReport, PlanChoice, SnapshotInfo,
    history::History,
    lifecycle::Parts,
    limits::{APPLY_SLICE_MAX, PROGRESS_EVERY_COMMANDS, SNAPSHOT_ROWS_MAX, SNAPSHOT_THREADS},
    marks::Marks,
    replay::{Progress, apply, check_outcomes, restore_into},
    sealed::files::SealedFiles,
    snapshotter::{SnapshotSink, Written},
    system_clock,
};
use crate::{
    core::{
        Digest, FreshSums, kept_network_digest, on_threads, sections::Section, state::State, state_digest,
        types::Timestamp,
    },
    durability::{
        DataDir, Error, Genesis, Group, GroupReader, Instance, Journal, LogOptions, LogReader, Opened,
        Report, SnapshotReader, SnapshotStore, storage::Storage,
    },
};

/// A network loaded read-only from its directory, for inspection tools.
pub struct Loaded {
    pub state: State,
    pub directory: MemberDirectory,
    /// The directory's identity.
    pub instance: Instance,
    /// The retained log.
    pub log: Arc<dyn LogReader>,
    /// The snapshots, including archived ones.
    pub snapshots: SnapshotStore,
    pub report: OpenReport,
    /// Durability's report: files, bytes, harmless damage.
    pub files: Report,
    /// Locks the directory for as long as this lives.
    pub lock: DataDir,
}

/// Loads a directory without changing anything in it. Blocks for as long as loading and replay take.
///
/// # Errors
/// As [`super::Engine::open`], except that no plan is compared.
pub fn load(storage: &Arc<dyn Storage>, path: &Path, progress: Progress<'_>) -> Result<Loaded, OpenError> {
    let started = Instant::now();
    let opened = DataDir::open_read_only(storage, path)?;
    let Opened { instance, snapshot, tail, journal, snapshots, report: files, directory: lock } = opened;
    let base = Base { instance, journal: Box::new(journal), snapshots };
    let built = build(&base, snapshot, tail, progress)?;
    let report = built.report(&files, started, false, system_clock()(), None);
    let Built { state, directory, .. } = built;
    let Base { instance, journal, snapshots } = base;
    Ok(Loaded { state, directory, instance, log: journal.reader(), snapshots, report, files, lock })
}

pub(super) fn open(options: &mut EngineOptions) -> Result<Parts, OpenError> {
    let started = Instant::now();
    let created = DataDir::is_free(&options.storage, &options.data_dir)?;
    if created {
        create_empty(options)?;
    }
    let opened = DataDir::open(&options.storage, &options.data_dir, options.log)?;
    let mut silent = |_| {};
    let progress: Progress<'_> = match &mut options.progress {
        Some(progress) => progress,
        None => &mut silent,
    };
    let Opened { instance, snapshot, tail, journal, snapshots, report: files, directory: lock } = opened;
    let base = Base { instance, journal: Box::new(journal), snapshots };
    let built = build(&base, snapshot, tail, progress)?;
    options.plan.compare(&built.state)?;
    let report = built.report(&files, started, created, (options.clock)(), options.clock_jump_max);
    if report.clock_jumped {
        tracing::error!(
            seconds = report.clock_behind.as_secs_f64(),
            "the clock is behind the log by more than it may jump: writes are refused until it has caught \
             up, or is accepted (`upline clock accept`)"
        );
    } else if !report.clock_behind.is_zero() {
        tracing::warn!(
            seconds = report.clock_behind.as_secs_f64(),
            "the clock is behind the log: log time stands still until it has caught up"
        );
    }
    for (lsn, _) in &built.rejected {
        // Left in place, it would count as one of the two kept, and the log needed in its stead would be
        // retired.
        base.snapshots.set_aside(*lsn)?;
    }
    let sealed = SealedFiles::open(&options.storage, options.data_dir.clone(), &built.state)?;
    Ok(built.into_parts(base, sealed, Box::new(lock), report, &options.clock))
}

/// Creates a directory with an empty network.
fn create_empty(options: &EngineOptions) -> Result<(), OpenError> {
    options.plan.plan.validate().map_err(OpenError::PlanInvalid)?;
    let genesis = Genesis::random(options.network_id, (options.clock)());
    let state = State::new(options.plan.plan.clone(), genesis.code_key);
    create(&options.storage, &options.data_dir, &genesis, options.log, &state, &mut |_| {})?;
    Ok(())
}

/// Creates a data directory whose first snapshot is `state`, which has the code key of `genesis`. Atomic: it
/// appears complete or not at all. `written` is told how many rows were written since its last call. Returns
/// the network digest.
///
/// # Errors
/// As [`DataDir::create`].
pub fn create(
    storage: &Arc<dyn Storage>,
    path: &Path,
    genesis: &Genesis,
    log: LogOptions,
    state: &State,
    written: &mut dyn FnMut(u64),
) -> Result<Digest, Error> {
    let creation = DataDir::create(storage, path, genesis, log)?;
    let mut write = || -> Result<_, Error> {
        let mut snapshot = creation.begin_snapshot(&state.image_header())?;
        for rows in state.image_rows(SNAPSHOT_ROWS_MAX) {
            snapshot.push(&rows)?;
            written(rows.len() as u64);
        }
        Ok(snapshot)
    };
    let ((of_state, (of_network, _)), snapshot) = with_digests(state, &mut write);
    creation.finish(snapshot?, of_state.0, of_network.0)?;
    Ok(of_network)
}

/// Computes both digests of a state on all cores while this thread writes it.
fn with_digests<R>(state: &State, write: &mut dyn FnMut() -> R) -> ((Digest, (Digest, FreshSums)), R) {
    let digests = || (state_digest(state), kept_network_digest(state));
    std::thread::scope(|scope| {
        let computing =
            std::thread::Builder::new().name("upline-digests".into()).spawn_scoped(scope, digests);
        let written = write();
        // Without a thread they are computed here.
        let computed = computing
            .map_or_else(|_| digests(), |thread| thread.join().expect("computing a digest does not panic"));
        (computed, written)
    })
}

impl PlanChoice {
    /// An explicit choice must match the directory. Call after replay: plan changes are in the log.
    ///
    /// # Errors
    /// `PlanDiffers`.
    pub fn compare(&self, state: &State) -> Result<(), OpenError> {
        let present = state.plan();
        let plan_differs = self.plan_is_explicit && self.plan != **present;
        let width_differs = self.width_is_explicit && self.plan.placement.width != present.placement.width;
        if plan_differs || width_differs {
            return Err(OpenError::PlanDiffers {
                wanted: Box::new(self.plan.clone()),
                present: Box::new((**present).clone()),
                version: state.plan_version(),
            });
        }
        Ok(())
    }
}

/// What an engine stands on: a log, wherever it is, and the snapshots of this machine.
pub(super) struct Base {
    pub instance: Instance,
    pub journal: Box<dyn Journal>,
    pub snapshots: SnapshotStore,
}

pub(super) struct Built {
    state: State,
    directory: MemberDirectory,
    /// The snapshot that was used.
    newest: SnapshotInfo,
    replayed: u64,
    /// Snapshots that durability accepted but whose digest does not match their content.
    rejected: Vec<(u64, String)>,
}

/// Builds the state from a snapshot and the log after it, which `tail` reads. Falls back to an older snapshot
/// if this one turns out to be damaged.
pub(super) fn build(
    base: &Base,
    mut snapshot: SnapshotReader,
    mut tail: Box<dyn GroupReader>,
    progress: Progress<'_>,
) -> Result<Built, OpenError> {
    let mut rejected = Vec::new();
    let (mut state, mut directory, newest) = loop {
        let lsn = snapshot.header().lsn;
        match restore(snapshot, base.instance.created, progress) {
            Ok(restored) => break restored,
            Err(error) if is_damage(&error) => {
                let Some(older) = older_snapshot(&base.snapshots, lsn)? else { return Err(error) };
                tracing::error!(
                    %error, lsn, "this snapshot is not used: falling back to an older one and the longer log"
                );
                rejected.push((lsn, error.to_string()));
                tail = base.journal.reader().read_from(older.header().lsn + 1)?;
                snapshot = older;
            }
            Err(error) => return Err(error),
        }
    };
    let replayed = replay(&mut state, &mut directory, &mut *tail, progress)?;
    let durable = base.journal.hard_state().durable_lsn;
    if state.lsn() != durable {
        return Err(OpenError::Short { durable, reached: state.lsn() });
    }
    Ok(Built { state, directory, newest, replayed, rejected })
}

impl Built {
    /// Returns the parts of an engine that continues from here. `lock` keeps others away from the base.
    pub(super) fn into_parts(
        self,
        base: Base,
        sealed: SealedFiles,
        lock: Box<dyn Any + Send>,
        report: OpenReport,
        clock: &Clock,
    ) -> Parts {
        let Base { instance, journal, snapshots } = base;
        Parts {
            history: History::new(journal.reader(), snapshots.clone()),
            sealed,
            state: self.state,
            directory: self.directory,
            journal,
            store: Some(snapshots.clone()),
            sink: Box::new(DirectorySink { snapshots, clock: Arc::clone(clock) }),
            newest_snapshot: self.newest,
            instance_id: instance.id.0,
            network_id: instance.network_id,
            row_key: instance.row_key,
            lock,
            report,
        }
    }

    fn report(
        &self,
        files: &Report,
        started: Instant,
        created: bool,
        now: Timestamp,
        clock_jump_max: Option<Duration>,
    ) -> OpenReport {
        let torn = files.torn.iter().map(|torn| {
            format!(
                "{} at byte {}: {} bytes from LSN {} on were never acknowledged",
                torn.file.display(),
                torn.offset,
                torn.bytes,
                torn.lsn
            )
        });
        let rejected = self.rejected.iter().map(|(_, why)| why.clone());
        let time = (self.state.lsn() != 0).then(|| self.state.time());
        let between = |from: Timestamp, to: Timestamp| {
            Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
        };
        let clock_behind = time.map_or(Duration::ZERO, |time| between(now, time));
        OpenReport {
            created,
            members: self.state.len(),
            lsn: self.state.lsn(),
            snapshot_lsn: self.newest.lsn,
            replayed: self.replayed,
            duration: started.elapsed(),
            cuts: torn.collect(),
            fallbacks: files.damaged_snapshots.iter().map(ToString::to_string).chain(rejected).collect(),
            notes: notes(files),
            time,
            clock_ahead: time.map_or(Duration::ZERO, |time| between(time, now)),
            clock_behind,
            clock_jumped: clock_jump_max.is_some_and(|most| most < clock_behind),
        }
    }
}

fn notes(files: &Report) -> Vec<String> {
    let history = files
        .history_damage
        .iter()
        .map(|damage| format!("the log does not go back as far as it should: {damage}"));
    let bases = files
        .archived_snapshot_damage
        .iter()
        .map(|damage| format!("an archived snapshot cannot be read: {damage}"));
    let cut = files.finished_cut.iter().map(ToString::to_string);
    let unfinished =
        (files.unfinished_files != 0).then(|| format!("unfinished files: {}", files.unfinished_files));
    history.chain(bases).chain(cut).chain(unfinished).collect()
}

/// Whether to fall back to an older snapshot: the data is wrong, as opposed to unreadable at present.
fn is_damage(error: &OpenError) -> bool {
    matches!(error, OpenError::Image { .. } | OpenError::Digest { .. } | OpenError::Data(Error::Damaged(_)))
}

/// The newest snapshot below `lsn`.
fn older_snapshot(snapshots: &SnapshotStore, lsn: u64) -> Result<Option<SnapshotReader>, OpenError> {
    let older = snapshots.list()?.into_iter().rfind(|kept| *kept < lsn);
    Ok(older.map(|lsn| snapshots.open(lsn)).transpose()?)
}

/// Builds the state of a snapshot and verifies its digest.
fn restore(
    snapshot: SnapshotReader,
    created: Timestamp,
    progress: Progress<'_>,
) -> Result<(State, MemberDirectory, SnapshotInfo), OpenError> {
    let header = snapshot.header().clone();
    let (lsn, manifest) = (header.lsn, *snapshot.manifest());
    let newest = SnapshotInfo {
        lsn,
        members: header.rows[Section::Members],
        bytes: snapshot.bytes(),
        duration: Duration::ZERO,
        made_at: header.time.max(created),
        state_digest: Digest(manifest.state_digest),
        network_digest: Digest(manifest.network_digest),
    };
    let rows = |section| header.rows[section] as usize;
    let mut directory = MemberDirectory::with_capacity(rows(Section::Members), rows(Section::Codes));
    let state = restore_into(snapshot, &mut directory, progress, &mut |_| {})?;
    Ok((state, directory, newest))
}

/// Applies the commands after the snapshot. Returns their number.
fn replay(
    state: &mut State,
    directory: &mut MemberDirectory,
    tail: &mut dyn GroupReader,
    progress: Progress<'_>,
) -> Result<u64, OpenError> {
    let mut replayed = 0;
    let mut group = Group::default();
    while tail.next_into(&mut group)? {
        check_outcomes(state, &group)?;
        for slice in group.commands.chunks(APPLY_SLICE_MAX) {
            state.prefetch(directory, slice);
            for stamped in slice {
                apply(state, directory, stamped)?;
                replayed += 1;
                if replayed % PROGRESS_EVERY_COMMANDS == 0 {
                    progress(OpenProgress::Replaying { commands: replayed });
                }
            }
        }
    }
    progress(OpenProgress::Replaying { commands: replayed });
    Ok(replayed)
}

/// Writes snapshots into the data directory.
struct DirectorySink {
    snapshots: SnapshotStore,
    clock: Clock,
}

impl SnapshotSink for DirectorySink {
    fn write(
        &mut self,
        view: &State,
        marks: &Marks,
        rest: &mut dyn FnMut() -> bool,
    ) -> Result<Written, String> {
        let text = |error: Error| error.to_string();
        let mut write = || -> Result<_, String> {
            let mut snapshot = self.snapshots.begin(&view.image_header()).map_err(text)?;
            for rows in view.image_rows(SNAPSHOT_ROWS_MAX) {
                if !rest() {
                    return Err("given up".to_owned());
                }
                snapshot.push(&rows).map_err(text)?;
            }
            Ok(snapshot)
        };
        // Making the view of a large network takes a second: if no writes came meanwhile, use all cores. Else
        // leave a core free for the writer.
        let is_idle = marks.applied() == view.lsn();
        let ((state_digest, (network_digest, sums)), snapshot) = if is_idle {
            with_digests(view, &mut write)
        } else {
            (on_threads(SNAPSHOT_THREADS, || (state_digest(view), kept_network_digest(view))), write())
        };
        let snapshot = snapshot?;
        let published =
            snapshot.publish(marks.get().durable, state_digest.0, network_digest.0).map_err(text)?;
        let info = SnapshotInfo {
            lsn: published.lsn,
            members: view.len(),
            bytes: published.bytes,
            duration: Duration::ZERO,
            made_at: (self.clock)(),
            state_digest,
            network_digest,
        };
        Ok(Written { info, retire_up_to: published.oldest_kept_lsn, sums })
    }
}
