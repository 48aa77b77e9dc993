//! The network that a command changes by itself, without a server: a new one, which becomes the first
//! snapshot of a new data directory, or that of an existing directory, whose log is extended.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    clock::ClockRule,
    exit::{Exit, Failure},
    network::Network,
    record::{Group, Record},
    screen,
};
use crate::{
    core::{Digest, plan::Plan, state::State},
    durability::{
        DataDir, Error, Genesis, Journal, LogOptions,
        storage::{Disk, Storage},
    },
    engine::{self, MemberDirectory, NETWORK_ID, PlanChoice, RowIds, SealedOrders, system_clock},
};

pub(super) struct Target {
    pub network: Network,
    storage: Arc<dyn Storage>,
    path: PathBuf,
    log: LogOptions,
    kind: Kind,
}

enum Kind {
    New(Genesis),
    Existing {
        /// The log's last command when it was opened.
        lsn: u64,
    },
}

impl Target {
    /// Returns a new network when there is no directory at `path`, or an empty one; else the one in the
    /// directory.
    ///
    /// # Errors
    /// As opening a directory; also when the requested plan differs from that of the directory, and when the
    /// clock is unfit for writing.
    pub fn open(
        path: PathBuf,
        log: LogOptions,
        choice: PlanChoice,
        clock: ClockRule,
    ) -> Result<Self, Failure> {
        Self::open_in(Disk::shared(), path, log, choice, clock)
    }

    /// As [`Target::open`], on any storage.
    ///
    /// # Errors
    /// As [`Target::open`].
    pub fn open_in(
        storage: Arc<dyn Storage>,
        path: PathBuf,
        log: LogOptions,
        choice: PlanChoice,
        clock: ClockRule,
    ) -> Result<Self, Failure> {
        if DataDir::is_free(&storage, &path)? {
            return Ok(Self::new(storage, path, log, choice.plan));
        }
        Self::load(storage, path, log, Some(&choice), clock)
    }

    /// Returns the network in the directory at `path`.
    ///
    /// # Errors
    /// As opening a directory; also when the clock is unfit for writing.
    pub fn existing(path: PathBuf, log: LogOptions, clock: ClockRule) -> Result<Self, Failure> {
        Self::load(Disk::shared(), path, log, None, clock)
    }

    fn load(
        storage: Arc<dyn Storage>,
        path: PathBuf,
        log: LogOptions,
        choice: Option<&PlanChoice>,
        clock: ClockRule,
    ) -> Result<Self, Failure> {
        let mut loading = screen::Loading::new();
        let loaded = engine::load(&storage, &path, &mut |progress| loading.show(progress));
        loading.finish();
        let loaded = loaded?;
        choice.map_or(Ok(()), |choice| choice.compare(&loaded.state))?;
        clock.check(&loaded.report)?;
        let mut network = Network::new(loaded.state, loaded.directory, system_clock()());
        network.record = Some(Record::default());
        network.row_ids = Some(RowIds::new(loaded.instance.row_key));
        network.sealed = SealedOrders::open(&storage, &path, &network.state)?;
        let lsn = network.state.lsn();
        Ok(Self { network, storage, path, log, kind: Kind::Existing { lsn } })
    }

    /// As [`Target::open`], but a nonempty directory is refused.
    ///
    /// # Errors
    /// `NotEmpty`.
    pub fn create(path: PathBuf, log: LogOptions, plan: Plan) -> Result<Self, Failure> {
        let storage = Disk::shared();
        if !DataDir::is_free(&storage, &path)? {
            return Err(Error::NotEmpty { path, reason: "there is something already".into() }.into());
        }
        Ok(Self::new(storage, path, log, plan))
    }

    fn new(storage: Arc<dyn Storage>, path: PathBuf, log: LogOptions, plan: Plan) -> Self {
        let now = system_clock()();
        let genesis = Genesis::random(NETWORK_ID, now);
        let state = State::new(plan, genesis.code_key);
        let mut network = Network::new(state, MemberDirectory::with_capacity(0, 0), now);
        network.row_ids = Some(RowIds::new(genesis.row_key));
        Self { network, storage, path, log, kind: Kind::New(genesis) }
    }

    /// Returns whether there was no network at the destination.
    pub fn is_new(&self) -> bool {
        matches!(self.kind, Kind::New(_))
    }

    /// Returns the destination.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the changes to the network. A new directory appears whole or not at all; an existing one gets
    /// whole groups, and with `all_or_nothing` all of them or, if interrupted, none. Returns the network
    /// digest, where it had to be computed for that.
    ///
    /// # Errors
    /// Disk errors; `Locked`, also when the directory was written to meanwhile.
    pub fn commit(&mut self, all_or_nothing: bool) -> Result<Option<Digest>, Failure> {
        match &self.kind {
            Kind::New(genesis) => self.write_first_snapshot(genesis).map(Some),
            Kind::Existing { lsn } => {
                let record = self.network.record.take().unwrap_or_default();
                let groups = record.finish().map_err(Error::from)?;
                self.append(*lsn, &groups, all_or_nothing).map(|()| None)
            }
        }
    }

    fn write_first_snapshot(&self, genesis: &Genesis) -> Result<Digest, Failure> {
        let state = &self.network.state;
        let bar = screen::progress("writing", Some(u64::from(state.len()) + state.entries()), false);
        let digest =
            engine::create(&self.storage, &self.path, genesis, self.log, state, &mut |rows| bar.inc(rows))?;
        bar.finish_and_clear();
        Ok(digest)
    }

    fn append(&self, lsn: u64, groups: &[Group], all_or_nothing: bool) -> Result<(), Failure> {
        if groups.is_empty() {
            return Ok(());
        }
        let mut opened = DataDir::open(&self.storage, &self.path, self.log)?;
        if opened.journal.hard_state().durable_lsn != lsn {
            let message =
                format!("{} was written to meanwhile; nothing was changed, try again", self.path.display());
            return Err(Failure::new(Exit::Locked, message));
        }
        if all_or_nothing {
            opened.journal.begin_batch()?;
        }
        let bar = screen::progress("writing", Some(groups.len() as u64), false);
        for group in groups {
            opened.journal.append_encoded(&group.commands, group.outcome_hash_before)?;
            bar.inc(1);
        }
        opened.journal.sync()?;
        if all_or_nothing {
            opened.journal.commit_batch()?;
        }
        bar.finish_and_clear();
        Ok(())
    }
}
