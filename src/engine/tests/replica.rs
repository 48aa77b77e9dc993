//! A log that is not local: a leader appends to it, and a command is durable once a follower, a thread of its
//! own here, has confirmed it. A new leader begins a term of its own and drops what was never confirmed.
//!
//! Snapshots stay local: each node has them on a disk of its own, in memory.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::JoinHandle,
};

use super::{
    super::{
        lifecycle::Inner,
        open::{Base, build},
        sealed::files::SealedFiles,
        *,
    },
    rig::{fresh_options, genesis, log_options, new_report, plan},
};
use crate::durability::{
    ChainAt, DataDir, EncodedGroup, Error, Figures, Group, GroupReader, HardState, Journal, LogHealth,
    LogReader, Purged, Result, memory::Memory,
};

/// What the nodes hold together.
#[derive(Debug)]
pub(super) struct Cluster {
    held: Mutex<Held>,
    changed: Condvar,
}

#[derive(Debug)]
struct Held {
    /// Groups that are retained; those after `durable_lsn` are not confirmed.
    groups: Vec<Group>,
    /// The chain after each LSN, from 0 on.
    chains: Vec<u64>,
    durable_lsn: u64,
    term: u64,
    /// The follower does not confirm while this is set.
    holds: bool,
    is_over: bool,
}

impl Held {
    fn last_lsn(&self) -> u64 {
        self.chains.len() as u64 - 1
    }

    fn oldest_lsn(&self) -> u64 {
        self.groups.first().map_or(self.last_lsn() + 1, |group| group.commands[0].lsn)
    }
}

impl Cluster {
    /// Starts the follower; it ends when the cluster is told to.
    pub fn new(first_chain: u64) -> (Arc<Self>, JoinHandle<()>) {
        let held = Held {
            groups: vec![],
            chains: vec![first_chain],
            durable_lsn: 0,
            term: 0,
            holds: false,
            is_over: false,
        };
        let cluster = Arc::new(Self { held: Mutex::new(held), changed: Condvar::new() });
        let own = Arc::clone(&cluster);
        (cluster, std::thread::spawn(move || own.confirm()))
    }

    fn confirm(&self) {
        let mut held = self.lock();
        while !held.is_over {
            if !held.holds && held.durable_lsn < held.last_lsn() {
                held.durable_lsn = held.last_lsn();
                self.changed.notify_all();
            }
            held = self.changed.wait(held).unwrap();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    fn set(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Lets the follower confirm, or not.
    pub fn hold(&self, holds: bool) {
        self.set(|held| held.holds = holds);
    }

    /// Loses the last group, although it was confirmed.
    pub fn lose(&self) {
        self.set(|held| drop(held.groups.pop()));
    }

    pub fn end(&self) {
        self.set(|held| held.is_over = true);
    }

    /// Last LSN appended, and last LSN confirmed.
    pub fn lsns(&self) -> (u64, u64) {
        let held = self.lock();
        (held.last_lsn(), held.durable_lsn)
    }

    /// Returns the journal of a new leader. What was not confirmed is gone, and the earlier leader is told.
    fn lead(self: &Arc<Self>) -> ReplicaJournal {
        let mut term = 0;
        self.set(|held| {
            let durable = held.durable_lsn;
            held.term += 1;
            term = held.term;
            held.groups.retain(|group| group.commands[0].lsn <= durable);
            held.chains.truncate(usize::try_from(durable).unwrap() + 1);
        });
        ReplicaJournal { cluster: Arc::clone(self), term, failed: None }
    }
}

/// The leader's end.
#[derive(Debug)]
struct ReplicaJournal {
    cluster: Arc<Cluster>,
    term: u64,
    failed: Option<Arc<str>>,
}

impl ReplicaJournal {
    /// Fails for good once another leader has taken over.
    fn held(&mut self) -> Result<MutexGuard<'_, Held>> {
        let held = self.cluster.held.lock().unwrap();
        if held.term != self.term {
            self.failed.get_or_insert_with(|| format!("term {} has begun", held.term).into());
        }
        match &self.failed {
            Some(first) => Err(Error::PreviousIo { first: Arc::clone(first) }),
            None => Ok(held),
        }
    }
}

impl Journal for ReplicaJournal {
    fn append(&mut self, group: &[Stamped], outcome_hash_before: u64) -> Result<()> {
        let cluster = Arc::clone(&self.cluster);
        let mut held = self.held()?;
        for stamped in group {
            let expected = held.last_lsn() + 1;
            if stamped.lsn != expected {
                return Err(Error::OutOfOrder { expected, found: stamped.lsn });
            }
            let before = held.chains[held.chains.len() - 1];
            held.chains.push(xxhash_rust::xxh3::xxh3_64_with_seed(format!("{stamped:?}").as_bytes(), before));
        }
        if !group.is_empty() {
            let (outcome_hash_before, commands) = (Some(outcome_hash_before), group.to_vec());
            held.groups.push(Group { outcome_hash_before, commands });
        }
        drop(held);
        cluster.changed.notify_all();
        Ok(())
    }

    fn append_encoded(&mut self, group: &EncodedGroup, outcome_hash_before: u64) -> Result<()> {
        self.append(&group.decode().expect("what was encoded is read"), outcome_hash_before)
    }

    fn sync(&mut self) -> Result<u64> {
        let cluster = Arc::clone(&self.cluster);
        let mut waiting = cluster.lock();
        let wanted = waiting.last_lsn();
        while waiting.term == self.term && waiting.durable_lsn < wanted {
            waiting = cluster.changed.wait(waiting).unwrap();
        }
        drop(waiting);
        self.held().map(|held| held.durable_lsn)
    }

    /// The follower's confirmations are the marks.
    fn mark(&mut self, _outcome_hash: u64) -> Result<bool> {
        self.held().map(|_| false)
    }

    fn hard_state(&self) -> HardState {
        HardState { term: self.term, durable_lsn: self.cluster.lock().durable_lsn }
    }

    fn reader(&self) -> Arc<dyn LogReader> {
        Arc::new(ReplicaLog(Arc::clone(&self.cluster)))
    }

    fn purge_prefix(&mut self, up_to: u64, _needed: Option<u64>) -> Result<Purged> {
        let mut held = self.held()?;
        let before = held.groups.len();
        held.groups.retain(|group| up_to < group.commands[group.commands.len() - 1].lsn);
        Ok(Purged { archived: 0, deleted: (before - held.groups.len()) as u64 })
    }

    fn figures(&self) -> Figures {
        Figures {
            live_segments: 1,
            live_bytes: self.cluster.lock().groups.len() as u64,
            ..Figures::default()
        }
    }

    fn health(&self) -> LogHealth {
        LogHealth::default()
    }

    fn group_bytes_max(&self) -> usize {
        1 << 20
    }
}

/// Any node's reading end.
#[derive(Debug)]
struct ReplicaLog(Arc<Cluster>);

impl LogReader for ReplicaLog {
    fn oldest_lsn(&self) -> u64 {
        self.0.lock().oldest_lsn()
    }

    fn durable_lsn(&self) -> u64 {
        self.0.lock().durable_lsn
    }

    fn is_whole(&self) -> bool {
        self.oldest_lsn() == 1
    }

    fn read_range(&self, first: u64, last: u64) -> Result<Box<dyn GroupReader>> {
        let held = self.0.lock();
        if first < held.oldest_lsn() {
            return Err(Error::BelowRetained { oldest: held.oldest_lsn() });
        }
        let until = last.min(held.durable_lsn);
        Ok(Box::new(ReplicaGroups { cluster: Arc::clone(&self.0), next: first, until }))
    }

    fn lsn_at(&self, time: Timestamp) -> Result<u64> {
        let held = self.0.lock();
        let readable = held.groups.iter().flat_map(|group| &group.commands);
        let earlier = readable.take_while(|stamped| stamped.lsn <= held.durable_lsn && stamped.time <= time);
        match earlier.last() {
            Some(stamped) => Ok(stamped.lsn),
            None if held.oldest_lsn() == 1 => Ok(0),
            None => Err(Error::BelowRetained { oldest: held.oldest_lsn() }),
        }
    }

    fn chain_at(&self, lsn: u64) -> Result<ChainAt> {
        let held = self.0.lock();
        if lsn + 1 < held.oldest_lsn() {
            return Err(Error::BelowRetained { oldest: held.oldest_lsn() });
        }
        Ok(ChainAt { chain: Some(held.chains[usize::try_from(lsn).unwrap()]), begins: false })
    }
}

#[derive(Debug)]
struct ReplicaGroups {
    cluster: Arc<Cluster>,
    next: u64,
    until: u64,
}

impl GroupReader for ReplicaGroups {
    fn next_into(&mut self, group: &mut Group) -> Result<bool> {
        group.commands.clear();
        if self.until < self.next {
            return Ok(false);
        }
        let held = self.cluster.lock();
        if self.next < held.oldest_lsn() {
            return Err(Error::BelowRetained { oldest: held.oldest_lsn() });
        }
        let at =
            held.groups.partition_point(|group| group.commands[group.commands.len() - 1].lsn < self.next);
        let Some(found) = held.groups.get(at) else { return Ok(false) };
        let wanted =
            found.commands.iter().filter(|stamped| self.next <= stamped.lsn && stamped.lsn <= self.until);
        group.commands.extend(wanted.cloned());
        group.outcome_hash_before = found.outcome_hash_before.filter(|_| self.next == found.commands[0].lsn);
        self.next += group.commands.len() as u64;
        Ok(true)
    }

    fn extend(&mut self) {
        self.until = self.cluster.lock().durable_lsn;
    }
}

impl Iterator for ReplicaGroups {
    type Item = Result<Group>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut group = Group::default();
        self.next_into(&mut group).map(|found| found.then_some(group)).transpose()
    }
}

/// A machine that may lead: with snapshots of its own, the first of them of the empty network.
pub(super) struct Node {
    cluster: Arc<Cluster>,
    instance: crate::durability::Instance,
    snapshots: crate::durability::SnapshotStore,
}

/// The chain before the first command, which the first snapshot names.
pub(super) fn first_chain() -> u64 {
    let (snapshot, ..) = empty_directory();
    snapshot.manifest().chain.expect("of the newest format")
}

fn empty_directory()
-> (crate::durability::SnapshotReader, crate::durability::Instance, crate::durability::SnapshotStore) {
    let (storage, path) = (Memory::new().shared(), Path::new("/node"));
    create(&storage, path, &genesis(), log_options(), &State::new(plan(), 5), &mut |_| {}).unwrap();
    let opened = DataDir::open_read_only(&storage, path).unwrap();
    (opened.snapshot, opened.instance, opened.snapshots)
}

impl Node {
    pub fn new(cluster: &Arc<Cluster>) -> Self {
        let (_, instance, mut snapshots) = empty_directory();
        let log: Arc<dyn LogReader> = Arc::new(ReplicaLog(Arc::clone(cluster)));
        snapshots.log = Some(Arc::clone(&log));
        snapshots.retained = Some(log);
        Self { cluster: Arc::clone(cluster), instance, snapshots }
    }

    /// Takes the lead, and serves: from the newest snapshot of this node and the log after it.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open(&self) -> std::result::Result<Engine, OpenError> {
        let options = fresh_options(PathBuf::from("unused"));
        let snapshots = self.snapshots.clone();
        let base = Base { instance: self.instance, journal: Box::new(self.cluster.lead()), snapshots };
        let snapshot = base.snapshots.newest().unwrap().reader;
        let tail = base.journal.reader().read_from(snapshot.header().lsn + 1).unwrap();
        let built = build(&base, snapshot, tail, &mut |_| {})?;
        let sealed = SealedFiles::none();
        let parts = built.into_parts(base, sealed, Box::new(()), new_report(), &options.clock);
        Ok(Engine { inner: Inner::start(parts, options)? })
    }
}
