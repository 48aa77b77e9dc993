//! The network that `import` and `demo` work on: a new one, which becomes the first snapshot of a new data directory, or the one of an
//! existing directory, whose log goes on.

use std::{path::PathBuf, sync::Arc};

use uuid::Uuid;

use super::{
    exit::{Exit, Failure},
    network::{Group, Network},
    screen,
};
use crate::{
    core::{network_digest, plan::Plan, state::State, state_digest},
    durability::{
        CHUNK_ROWS_MAX, DataDir, Error, Genesis, InstanceId, LogOptions,
        storage::{Disk, Storage},
    },
    engine::{self, MemberDirectory, OpenError, PlanChoice, system_clock},
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
        /// The last command that the log had when it was looked at.
        lsn: u64,
    },
}

/// 64 bits of the operating system's randomness, by way of a version-4 UUID: of its 122 random bits these are the first 48 and 16 more.
fn random_key() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    (high & !0xffff) | (low & 0xffff)
}

impl Target {
    /// A network of its own when there is no directory at `path`, or an empty one; else the one in the directory.
    ///
    /// # Errors
    /// As opening a directory; also when the plan that was asked for is not that of the directory.
    pub fn open(path: PathBuf, log: LogOptions, choice: PlanChoice) -> Result<Self, Failure> {
        let storage = Disk::shared();
        if DataDir::is_free(&storage, &path)? {
            return Ok(Self::new(storage, path, log, choice.plan));
        }
        let mut loading = screen::Loading::new();
        let loaded = engine::load(&storage, &path, &mut |progress| loading.show(progress))?;
        loading.finish();
        compare_plans(choice, &loaded.state)?;
        let mut network = Network::new(loaded.state, loaded.directory, system_clock()());
        network.record = Some(Vec::new());
        let lsn = network.state.lsn();
        Ok(Self { network, storage, path, log, kind: Kind::Existing { lsn } })
    }

    /// As [`Target::open`], but a directory that holds something is refused.
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
        let genesis = Genesis { id: InstanceId::random(), network_id: 1, row_key: random_key(), code_key: random_key(), created: now };
        let state = State::new(plan, genesis.code_key);
        let network = Network::new(state, MemberDirectory::with_capacity(0, 0), now);
        Self { network, storage, path, log, kind: Kind::New(genesis) }
    }

    /// Writes what was done to the network. A new directory appears whole or not at all; into an existing one go whole groups.
    ///
    /// # Errors
    /// Of the disk; `Locked`, also when somebody wrote to the directory meanwhile.
    pub fn commit(&mut self) -> Result<(), Failure> {
        match &self.kind {
            Kind::New(genesis) => self.write_first_snapshot(genesis),
            Kind::Existing { lsn } => {
                let groups = self.network.record.take().unwrap_or_default();
                self.append(*lsn, &groups)
            }
        }
    }

    fn write_first_snapshot(&self, genesis: &Genesis) -> Result<(), Failure> {
        let state = &self.network.state;
        let creation = DataDir::create(&self.storage, &self.path, genesis, self.log)?;
        let mut snapshot = creation.begin_snapshot(&state.image_header())?;
        let bar = screen::progress("writing", Some(u64::from(state.len()) + state.entries()), false);
        for rows in state.image_rows(CHUNK_ROWS_MAX) {
            snapshot.push(&rows)?;
            bar.inc(CHUNK_ROWS_MAX as u64);
        }
        creation.finish(snapshot, state_digest(state).0, network_digest(state).0)?;
        bar.finish_and_clear();
        Ok(())
    }

    fn append(&self, lsn: u64, groups: &[Group]) -> Result<(), Failure> {
        if groups.is_empty() {
            return Ok(());
        }
        let mut opened = DataDir::open(&self.storage, &self.path, self.log)?;
        if opened.journal.figures().written_lsn != lsn {
            let message = format!("{} was written to meanwhile; nothing was imported, try again", self.path.display());
            return Err(Failure::new(Exit::Locked, message));
        }
        let bar = screen::progress("writing", Some(groups.len() as u64), false);
        for group in groups {
            opened.journal.append(&group.commands, group.outcome_hash_before)?;
            bar.inc(1);
        }
        opened.journal.sync()?;
        bar.finish_and_clear();
        Ok(())
    }
}

/// As the engine does when it opens: a plan or width that was asked for must be the one that is there.
fn compare_plans(choice: PlanChoice, state: &State) -> Result<(), Failure> {
    let present = state.plan();
    let plan_differs = choice.plan_is_explicit && choice.plan != **present;
    let width_differs = choice.width_is_explicit && choice.plan.placement.width != present.placement.width;
    if !plan_differs && !width_differs {
        return Ok(());
    }
    let present = Box::new((**present).clone());
    Err(OpenError::PlanDiffers { wanted: Box::new(choice.plan), present, version: state.plan_version() }.into())
}
