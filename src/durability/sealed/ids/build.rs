//! Sorts ids outside of memory, and merges files of them.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, binary_heap::PeekMut},
    sync::Arc,
};

use super::{
    super::{
        file::{Finished, Unfinished, temporary},
        place::Paths,
    },
    block::{BLOCK, BLOCK_ENTRIES, COUNT_AT, FORMAT, MAGIC, seal_block},
    entry::{BYTES, Entry},
    file::{Blocks, IdFile, Source},
};
use crate::durability::{
    error::{Error, Result},
    storage::{Storage, StorageFile},
};

/// Entries that are sorted in memory: 6 MiB.
const RUN_ENTRIES: usize = (6 << 20) / size_of::<Entry>();
/// Runs that are merged at a time: each is an open file.
const RUNS_MAX: usize = 128;
/// Bytes of a run that are read at a time.
const READ_BYTES: usize = 1_024 * BYTES;

/// Takes entries in any order, and writes them sorted.
pub(in super::super) struct IdSorter {
    storage: Arc<dyn Storage>,
    paths: Paths,
    seal: u32,
    entries: Vec<Entry>,
    runs: Vec<Finished>,
    /// Runs so far, for their names.
    begun: usize,
    entries_max: usize,
    runs_max: usize,
}

impl IdSorter {
    /// `seal` only names its unfinished files.
    pub fn new(storage: &Arc<dyn Storage>, paths: &Paths, seal: u32) -> Self {
        Self {
            storage: Arc::clone(storage),
            paths: paths.clone(),
            seal,
            entries: Vec::new(),
            runs: Vec::new(),
            begun: 0,
            entries_max: RUN_ENTRIES,
            runs_max: RUNS_MAX,
        }
    }

    /// Sorts fewer in memory, and merges fewer runs at a time.
    #[cfg(test)]
    pub fn with_runs_of(mut self, entries: usize, runs: usize) -> Self {
        (self.entries_max, self.runs_max) = (entries, runs);
        self
    }

    pub fn push(&mut self, entry: Entry) -> Result<()> {
        if self.entries.len() == self.entries_max {
            self.write_run()?;
        }
        self.entries.push(entry);
        Ok(())
    }

    fn write_run(&mut self) -> Result<()> {
        if self.runs.len() == self.runs_max {
            self.merge_runs()?;
        }
        let mut run = self.begin_run()?;
        sort(&mut self.entries);
        for entry in self.entries.drain(..) {
            run.put(&entry.bytes())?;
        }
        self.runs.push(run.finish_unsynced()?);
        Ok(())
    }

    fn begin_run(&mut self) -> Result<Unfinished> {
        self.begun += 1;
        Unfinished::create(&self.storage, &self.paths.id_run(self.seal, self.begun))
    }

    /// Makes one run of all.
    fn merge_runs(&mut self) -> Result<()> {
        let mut run = self.begin_run()?;
        merge_into(&mut self.open_runs()?, &mut |entry| run.put(&entry.bytes()))?;
        let merged = run.finish_unsynced()?;
        self.runs.drain(..).try_for_each(|run| run.discard())?;
        self.runs.push(merged);
        Ok(())
    }

    fn open_runs(&self) -> Result<Vec<Run>> {
        self.runs.iter().map(Run::open).collect()
    }

    /// Writes a file with all entries. Of several with one hash the one of the newest seal stays.
    ///
    /// # Errors
    /// `BadSeal` if one seal has an id twice, `Io`.
    pub fn finish(mut self, first: u32, last: u32) -> Result<Finished> {
        let path = self.paths.id_file(first, last);
        let mut builder = Builder::begin(&self.storage, &path, first, last)?;
        if self.runs.is_empty() {
            sort(&mut self.entries);
            let mut newest = Newest::default();
            let mut sink = |entry: &Entry| builder.push(entry);
            for entry in self.entries {
                newest.push(entry, &mut sink)?;
            }
            newest.finish(&mut sink)?;
            return builder.finish();
        }
        self.write_run()?;
        merge_into(&mut self.open_runs()?, &mut |entry| builder.push(entry))?;
        let finished = builder.finish()?;
        self.runs.iter().try_for_each(Finished::discard)?;
        Ok(finished)
    }
}

/// By hash, and of one hash the newest first.
fn sort(entries: &mut [Entry]) {
    entries.sort_unstable_by_key(|entry| (u128::from_be_bytes(entry.hash), Reverse(entry.found.place.seal)));
}

/// Merges files of ids into one that replaces them. `files` are in the order of their seals.
pub(in super::super) fn merge(
    storage: &Arc<dyn Storage>,
    paths: &Paths,
    files: &[&IdFile],
) -> Result<Finished> {
    let [Some(first), Some(last)] = [files.first(), files.last()] else {
        return Err(Error::BadSeal("no files of ids to merge".into()));
    };
    let (first, last) = (first.first, last.last);
    let mut builder = Builder::begin(storage, &paths.id_file(first, last), first, last)?;
    let mut sources: Vec<Blocks<'_>> = files.iter().map(|file| file.blocks()).collect();
    merge_into(&mut sources, &mut |entry| builder.push(entry))?;
    builder.finish()
}

/// Tells `each` the entries of these files, the oldest of which comes first, in the order of their hashes; of
/// several with one hash the newest.
pub(in super::super) fn each_newest(files: &[Arc<IdFile>], each: &mut dyn FnMut(&Entry)) -> Result<()> {
    let mut sources: Vec<Blocks<'_>> = files.iter().map(|file| file.blocks()).collect();
    merge_into(&mut sources, &mut |entry| {
        each(entry);
        Ok(())
    })
}

/// Takes entries one after the other.
type Sink<'s> = &'s mut dyn FnMut(&Entry) -> Result<()>;

/// Keeps the newest of entries that have one hash and come one after the other.
#[derive(Default)]
struct Newest(Option<Entry>);

impl Newest {
    fn push(&mut self, entry: Entry, sink: Sink<'_>) -> Result<()> {
        match &mut self.0 {
            Some(last) if last.hash == entry.hash => {
                if last.found.place.seal == entry.found.place.seal {
                    return Err(Error::BadSeal("two orders or refunds with one id".into()));
                }
                if last.found.place.seal < entry.found.place.seal {
                    *last = entry;
                }
                Ok(())
            }
            last => last.replace(entry).map_or(Ok(()), |before| sink(&before)),
        }
    }

    fn finish(self, sink: Sink<'_>) -> Result<()> {
        self.0.map_or(Ok(()), |last| sink(&last))
    }
}

fn merge_into<S: Source>(sources: &mut [S], sink: Sink<'_>) -> Result<()> {
    let mut heap = BinaryHeap::with_capacity(sources.len());
    for (at, source) in sources.iter_mut().enumerate() {
        if let Some(entry) = source.next()? {
            heap.push(Reverse((u128::from_be_bytes(entry.hash), at, entry)));
        }
    }
    let mut newest = Newest::default();
    while let Some(mut least) = heap.peek_mut() {
        let Reverse((_, at, entry)) = *least;
        newest.push(entry, sink)?;
        match sources[at].next()? {
            Some(next) => *least = Reverse((u128::from_be_bytes(next.hash), at, next)),
            None => _ = PeekMut::pop(least),
        }
    }
    newest.finish(sink)
}

/// A sorted run, read in order.
struct Run {
    file: Box<dyn StorageFile>,
    path: std::path::PathBuf,
    left: u64,
    next: u64,
    buffer: Vec<u8>,
    at: usize,
}

impl Run {
    fn open(run: &Finished) -> Result<Self> {
        let file = run.open_unnamed()?;
        Ok(Self { file, path: temporary(run.path()), left: run.bytes, next: 0, buffer: Vec::new(), at: 0 })
    }
}

impl Source for Run {
    fn next(&mut self) -> Result<Option<Entry>> {
        if self.at == self.buffer.len() {
            let length = usize::try_from(self.left).map_or(READ_BYTES, |left| left.min(READ_BYTES));
            self.buffer.resize(length, 0);
            self.file.read_exact_at(&mut self.buffer, self.next).map_err(Error::io("read", &self.path))?;
            (self.at, self.next, self.left) = (0, self.next + length as u64, self.left - length as u64);
            if length == 0 {
                return Ok(None);
            }
        }
        let entry = Entry::take(&self.buffer[self.at..self.at + BYTES]);
        self.at += BYTES;
        let offset = self.next;
        entry
            .map(Some)
            .ok_or_else(|| Error::damaged(&self.path, offset, None, "it holds no entry", "nothing"))
    }
}

/// Writes a file of ids.
struct Builder {
    file: Unfinished,
    block: Box<[u8; BLOCK]>,
    in_block: usize,
    fences: Vec<[u8; 8]>,
    entries: u64,
}

impl Builder {
    fn begin(storage: &Arc<dyn Storage>, path: &std::path::Path, first: u32, last: u32) -> Result<Self> {
        let mut file = Unfinished::create(storage, path)?;
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        block[12..16].copy_from_slice(&first.to_le_bytes());
        block[16..20].copy_from_slice(&last.to_le_bytes());
        seal_block(&mut block);
        file.put(&block)?;
        Ok(Self { file, block: Box::new([0; BLOCK]), in_block: 0, fences: Vec::new(), entries: 0 })
    }

    fn push(&mut self, entry: &Entry) -> Result<()> {
        if self.in_block == 0 {
            self.fences.push(entry.hash[..8].try_into().expect("eight of sixteen"));
        }
        let at = self.in_block * BYTES;
        entry.put(&mut self.block[at..at + BYTES]);
        self.in_block += 1;
        self.entries += 1;
        if self.in_block == BLOCK_ENTRIES { self.write_block() } else { Ok(()) }
    }

    fn write_block(&mut self) -> Result<()> {
        let count = u16::try_from(self.in_block).expect("a block has few");
        self.block[COUNT_AT..COUNT_AT + 2].copy_from_slice(&count.to_le_bytes());
        seal_block(&mut self.block);
        self.file.put(&*self.block)?;
        self.block.fill(0);
        self.in_block = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<Finished> {
        if self.in_block != 0 {
            self.write_block()?;
        }
        let mut hasher = blake3::Hasher::new();
        for fences in self.fences.chunks(BLOCK / 8) {
            let mut block = [0; BLOCK];
            for (at, fence) in fences.iter().enumerate() {
                block[at * 8..at * 8 + 8].copy_from_slice(fence);
            }
            hasher.update(&block);
            self.file.put(&block)?;
        }
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(&MAGIC);
        block[8..16].copy_from_slice(&self.entries.to_le_bytes());
        block[16..24].copy_from_slice(&(self.fences.len() as u64).to_le_bytes());
        block[24..56].copy_from_slice(hasher.finalize().as_bytes());
        block[56..88].copy_from_slice(&self.file.hash());
        seal_block(&mut block);
        self.file.put(&block)?;
        self.file.finish()
    }
}
