//! Writes a seal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread::{self, JoinHandle},
};

use parquet::file::writer::SerializedFileWriter;

use super::{
    columns::{RefundRows, write_orders},
    complete::CompleteSeal,
    file::{Finished, Unfinished, writing},
    group::Group,
    ids::{Entry, IdSorter},
    manifest::{Manifest, ManifestFile, Sums},
    order::SealedOrder,
    place::{FileKind, Found, Month, Paths, Place, What, hash_of_id, relative},
    schema::{GROUP_ROWS, Layout, Schema},
};
use crate::durability::{
    error::{Error, Result},
    storage::Storage,
};

/// Bytes of the orders of one month that wait for their row group.
const GROUP_BYTES_MAX: usize = 12 << 20;
/// Bytes of the orders of all months that do.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Rows of refunds of one month that do.
const REFUND_ROWS_MAX: usize = 1 << 14;
/// Months that the orders of one seal may be of: each has open files.
const MONTHS_MAX: usize = 240;

/// What a manifest says besides its files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Basis {
    /// The LSN of the state that is sealed.
    pub lsn: u64,
    /// The newest posted periods: calendar and label.
    pub periods: Vec<(String, String)>,
    /// The hash of the manifest before.
    pub previous: Option<[u8; 32]>,
}

/// Writes the files of a seal. What is given waits in memory until it fills a row group; a thread encodes
/// one while the next fills.
///
/// The same orders in the same order give the same digest, whatever the release, and the same bytes in the
/// same layout with the same release. Dropping a writer leaves unfinished files, which a sweep removes.
pub struct Writer {
    storage: Arc<dyn Storage>,
    paths: Paths,
    number: u32,
    volumes: usize,
    calendars: usize,
    groups: BTreeMap<Month, Group>,
    /// Over the canonical bytes of what was handed to the thread.
    digests: BTreeMap<Month, blake3::Hasher>,
    waiting: usize,
    supersedes: BTreeSet<u32>,
    jobs: Option<SyncSender<(Month, Group)>>,
    worker: Option<JoinHandle<Result<Worker>>>,
}

impl Writer {
    /// Begins the files of a seal. Numbers of seals are consecutive.
    ///
    /// # Errors
    /// `BadSeal` for names that cannot be columns, `Io`.
    pub fn begin(
        storage: &Arc<dyn Storage>,
        root: &std::path::Path,
        number: u32,
        schema: Schema,
        layout: Layout,
    ) -> Result<Self> {
        schema.check()?;
        let seal = i32::try_from(number).ok().filter(|seal| *seal < 100_000_000);
        let seal = seal.ok_or_else(|| Error::BadSeal("too many seals".into()))?;
        let paths = Paths::new(root);
        for folder in [paths.orders(), paths.seals(), paths.ids()] {
            storage.create_dir(&folder).map_err(Error::io("create", &folder))?;
        }
        let (volumes, calendars) = (schema.volumes.len(), schema.calendars.len());
        let mut worker = Worker {
            storage: Arc::clone(storage),
            paths: paths.clone(),
            number,
            seal,
            schema,
            layout,
            months: BTreeMap::new(),
            ids: IdSorter::new(storage, &paths, number),
        };
        // No row group waits between the two: that bounds the memory.
        let (jobs, queue) = mpsc::sync_channel::<(Month, Group)>(0);
        let worker = thread::Builder::new().name("seal".into()).spawn(move || {
            for (month, group) in queue {
                worker.write(month, group)?;
            }
            Ok(worker)
        });
        Ok(Self {
            storage: Arc::clone(storage),
            number,
            volumes,
            calendars,
            groups: BTreeMap::new(),
            digests: BTreeMap::new(),
            waiting: 0,
            supersedes: BTreeSet::new(),
            jobs: Some(jobs),
            worker: Some(worker.map_err(Error::io("start a thread for", &paths.orders()))?),
            paths,
        })
    }

    /// Adds an order with its refunds.
    ///
    /// # Errors
    /// `BadSeal` for what has no form in the files, `Io`. After an error, drop the writer.
    pub fn add(&mut self, order: &SealedOrder<'_>) -> Result<()> {
        order.check(self.volumes, self.calendars)?;
        let month = Month::of(order.time)
            .ok_or_else(|| Error::BadSeal(format!("order `{}`: a time without a month", order.id)))?;
        if MONTHS_MAX <= self.groups.len() && !self.groups.contains_key(&month) {
            return Err(Error::BadSeal("orders of too many months".into()));
        }
        self.supersedes.extend(order.supersedes);
        let group = self.groups.entry(month).or_default();
        let before = group.memory();
        group.push(order)?;
        self.waiting += group.memory() - before;
        if GROUP_ROWS <= group.lines() || GROUP_BYTES_MAX <= group.memory() {
            return self.send(month);
        }
        if WAITING_BYTES_MAX <= self.waiting {
            let largest = self.groups.iter().max_by_key(|(month, group)| (group.memory(), **month));
            let largest = *largest.expect("it was just added to").0;
            return self.send(largest);
        }
        Ok(())
    }

    /// Hands a month's group to the thread.
    fn send(&mut self, month: Month) -> Result<()> {
        let Some(group) = self.groups.get_mut(&month).map(std::mem::take) else { return Ok(()) };
        self.waiting -= group.memory();
        self.digests.entry(month).or_default().update(group.canonical());
        let sent =
            group.lines() == 0 || self.jobs.as_ref().is_some_and(|jobs| jobs.send((month, group)).is_ok());
        // The thread ends early only with an error.
        if sent { Ok(()) } else { self.join().map(drop) }
    }

    fn join(&mut self) -> Result<Worker> {
        self.jobs = None;
        let ended = || Error::BadSeal("an earlier error ended it".into());
        let worker = self.worker.take().ok_or_else(ended)?;
        match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Writes what is left, makes all durable, and publishes the manifest last.
    ///
    /// # Errors
    /// `BadSeal` for two orders or refunds with one id, `Io`. Without the command that names the manifest,
    /// nothing of this counts.
    pub fn finish(self, basis: Basis) -> Result<Manifest> {
        let complete = self.complete(basis)?;
        complete.publish()?;
        Ok(complete.into_manifest())
    }

    /// Writes what is left and makes it durable, without giving any file its name.
    ///
    /// # Errors
    /// As [`Writer::finish`].
    pub fn complete(mut self, basis: Basis) -> Result<CompleteSeal> {
        let months: Vec<Month> = self.groups.keys().copied().collect();
        months.into_iter().try_for_each(|month| self.send(month))?;
        let worker = self.join()?;
        let written = worker.finish(&self.digests)?;
        let count = |kind: FileKind| {
            let files = written.files.iter().filter(move |file| file.kind == kind);
            files.fold([0, 0], |[count, rows], file| [count + file.entry.count, rows + file.entry.rows])
        };
        let ([orders, lines], [refunds, _]) = (count(FileKind::Orders), count(FileKind::Refunds));
        let sums = self.write_sums(&written.files)?;
        let (entries, mut finished): (Vec<_>, Vec<_>) =
            written.files.into_iter().map(|file| (file.entry, file.finished)).unzip();
        let manifest = Manifest {
            number: self.number,
            basis_lsn: basis.lsn,
            periods: basis.periods,
            orders,
            lines,
            refunds,
            supersedes: std::mem::take(&mut self.supersedes).into_iter().collect(),
            previous: basis.previous,
            digest: Manifest::digest_of(&entries),
            sums: Sums { bytes: sums.bytes, hash: sums.hash },
            files: entries,
        };
        finished.push(sums);
        Ok(CompleteSeal::new(&self.storage, &self.paths, manifest, finished, written.ids))
    }

    /// Writes the checksums of all blocks, file after file in the order of the manifest.
    fn write_sums(&self, files: &[WrittenFile]) -> Result<Finished> {
        let mut sums = Unfinished::create(&self.storage, &self.paths.sums(self.number))?;
        for sum in files.iter().flat_map(|file| &file.finished.sums) {
            sums.put(&sum.to_le_bytes())?;
        }
        sums.finish()
    }
}

/// Ends the thread before anybody else writes or removes these files.
impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            // Whatever it met, its files are given up.
            drop(worker.join());
        }
    }
}

/// What the thread of a writer has.
struct Worker {
    storage: Arc<dyn Storage>,
    paths: Paths,
    number: u32,
    seal: i32,
    schema: Schema,
    layout: Layout,
    months: BTreeMap<Month, MonthFiles>,
    ids: IdSorter,
}

struct MonthFiles {
    orders: Columnar,
    refunds: Option<(Columnar, RefundRows)>,
}

/// A file of rows that is being written.
struct Columnar {
    file: SerializedFileWriter<Unfinished>,
    rows: u64,
    count: u64,
    lsns: [u64; 2],
}

/// The files of a seal, which lack their names.
struct Written {
    files: Vec<WrittenFile>,
    ids: Finished,
}

struct WrittenFile {
    kind: FileKind,
    entry: ManifestFile,
    finished: Finished,
}

impl Worker {
    fn write(&mut self, month: Month, group: Group) -> Result<()> {
        let ended = group.ended();
        let mut files = match self.months.remove(&month) {
            Some(files) => files,
            None => self.begin(month)?,
        };
        let path = self.paths.file(self.number, month, FileKind::Orders);
        write_orders(&mut files.orders.file, &self.schema, self.seal, &ended).map_err(writing(&path))?;
        for order in ended.orders() {
            let row = files.orders.rows;
            files.orders.add(order.lines() as u64, order.lsn().cast_unsigned());
            self.add_id(What::Order, order.hash(), order.fingerprint(), month, row)?;
            if order.refunds() != 0 {
                self.add_refunds(month, &mut files, order, row)?;
            }
        }
        self.months.insert(month, files);
        Ok(())
    }

    fn add_id(&mut self, what: What, hash: [u8; 16], fingerprint: u64, month: Month, row: u64) -> Result<()> {
        let row = u32::try_from(row).map_err(|_| Error::BadSeal("too many lines in a month".into()))?;
        let place = Place { seal: self.number, month, row };
        self.ids.push(Entry { hash, found: Found { what, fingerprint, place } })
    }

    fn add_refunds(
        &mut self,
        month: Month,
        files: &mut MonthFiles,
        order: super::group::Order<'_>,
        order_row: u64,
    ) -> Result<()> {
        let (mut file, mut rows) = match files.refunds.take() {
            Some(refunds) => refunds,
            None => (self.create(month, FileKind::Refunds)?, RefundRows::default()),
        };
        let waiting = rows.len();
        for refund in order.each_refund() {
            let row = file.rows;
            file.add(refund.lines().count().max(1) as u64, refund.lsn.cast_unsigned());
            self.add_id(What::Refund, hash_of_id(&refund.id), refund.fingerprint, month, row)?;
        }
        rows.push(order, order_row);
        debug_assert!(waiting < rows.len(), "each refund has a row");
        if REFUND_ROWS_MAX <= rows.len() {
            self.write_refunds(month, &mut file, &mut rows)?;
        }
        files.refunds = Some((file, rows));
        Ok(())
    }

    fn write_refunds(&self, month: Month, file: &mut Columnar, rows: &mut RefundRows) -> Result<()> {
        let path = self.paths.file(self.number, month, FileKind::Refunds);
        rows.write(&mut file.file, &self.schema, self.seal).map_err(writing(&path))
    }

    fn begin(&self, month: Month) -> Result<MonthFiles> {
        let folder = self.paths.month(month);
        self.storage.create_dir(&folder).map_err(Error::io("create", &folder))?;
        let orders = self.create(month, FileKind::Orders)?;
        Ok(MonthFiles { orders, refunds: None })
    }

    fn create(&self, month: Month, kind: FileKind) -> Result<Columnar> {
        let path = self.paths.file(self.number, month, kind);
        let file = Unfinished::create(&self.storage, &path)?;
        let (schema, properties) = match kind {
            FileKind::Orders => (self.schema.orders(), self.schema.order_properties(self.layout)),
            FileKind::Refunds => (self.schema.refunds(), self.schema.refund_properties(self.layout)),
        };
        let schema = schema.map_err(writing(&path))?;
        let file = SerializedFileWriter::new(file, schema, Arc::new(properties)).map_err(writing(&path))?;
        Ok(Columnar { file, rows: 0, count: 0, lsns: [u64::MAX, 0] })
    }

    fn finish(mut self, digests: &BTreeMap<Month, blake3::Hasher>) -> Result<Written> {
        let mut files = Vec::new();
        for (month, MonthFiles { orders, refunds }) in std::mem::take(&mut self.months) {
            let digest = digests.get(&month).map(|digest| *digest.finalize().as_bytes());
            files.push(self.end(month, FileKind::Orders, orders, digest)?);
            if let Some((mut file, mut rows)) = refunds {
                if 0 < rows.len() {
                    self.write_refunds(month, &mut file, &mut rows)?;
                }
                files.push(self.end(month, FileKind::Refunds, file, None)?);
            }
        }
        let ids = self.ids.finish(self.number, self.number)?;
        Ok(Written { files, ids })
    }

    /// Ends a file and makes it durable.
    fn end(
        &self,
        month: Month,
        kind: FileKind,
        file: Columnar,
        digest: Option<[u8; 32]>,
    ) -> Result<WrittenFile> {
        let path = self.paths.file(self.number, month, kind);
        let Columnar { file, rows, count, lsns } = file;
        let finished = file.into_inner().map_err(writing(&path))?.finish()?;
        let entry = ManifestFile {
            path: relative(self.number, month, kind),
            bytes: finished.bytes,
            hash: finished.hash,
            rows,
            count,
            lsns,
            digest,
        };
        Ok(WrittenFile { kind, entry, finished })
    }
}

impl Columnar {
    fn add(&mut self, rows: u64, lsn: u64) {
        self.rows += rows;
        self.count += 1;
        self.lsns = [self.lsns[0].min(lsn), self.lsns[1].max(lsn)];
    }
}
