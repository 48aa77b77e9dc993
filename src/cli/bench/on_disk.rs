//! Networks in data directories. Their keys are fixed, so that digests are reproducible.

use std::path::Path;

use super::stop_if_asked;
use crate::{
    cli::{exit::Failure, interrupt::Interrupt},
    core::{CodeForm, CodeKey, Digest, plan::Plan, types::Timestamp},
    durability::{DataDir, Genesis, InstanceId, Journal, LogOptions, storage::Disk},
    engine::{self, NETWORK_ID},
    shapes::Shape,
    workload::{Apply, Network, Signups},
};

/// Values that are random elsewhere. The code key is that of the workload's networks.
pub(super) const GENESIS: Genesis = Genesis {
    id: InstanceId(*b"upline benchmark"),
    network_id: NETWORK_ID,
    row_key: 1,
    code_key: CODE_KEY,
    created: Timestamp(0),
};
const CODE_KEY: CodeKey = CodeKey { key: 1, form: CodeForm::Any };

/// Builds a network of a shape in memory.
///
/// # Errors
/// On interruption.
pub(super) fn grown(
    plan: &Plan,
    shape: Shape,
    members: u32,
    seed: u64,
    interrupt: &Interrupt,
) -> Result<Network, Failure> {
    let mut network = Network::empty(plan.clone(), members);
    let mut signups = Signups::new(shape, members, seed);
    loop {
        stop_if_asked(interrupt)?;
        let batch = signups.batch();
        if batch.is_empty() {
            return Ok(network);
        }
        network.apply(&batch);
    }
}

/// Creates a data directory whose snapshot is the network. Returns its network digest.
///
/// # Errors
/// Disk errors.
pub(super) fn write(network: &Network, path: &Path) -> Result<Digest, Failure> {
    Ok(engine::create(&Disk::shared(), path, &GENESIS, LogOptions::default(), &network.state, &mut |_| {})?)
}

/// Creates a data directory whose log holds the signups of a shape and whose snapshot is empty. Returns the
/// network after them.
///
/// # Errors
/// Disk errors; on interruption.
pub(super) fn write_log(
    plan: &Plan,
    shape: Shape,
    members: u32,
    seed: u64,
    path: &Path,
    interrupt: &Interrupt,
) -> Result<Network, Failure> {
    let mut network = Network::empty(plan.clone(), members);
    write(&network, path)?;
    let mut opened = DataDir::open(&Disk::shared(), path, LogOptions::default())?;
    let mut signups = Signups::new(shape, members, seed);
    loop {
        stop_if_asked(interrupt)?;
        let batch = signups.batch();
        if batch.is_empty() {
            opened.journal.sync()?;
            return Ok(network);
        }
        opened.journal.append(&batch, network.state.outcome_hash())?;
        network.apply(&batch);
    }
}
