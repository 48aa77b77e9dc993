//! The files that a state names.

use crate::{
    core::{SealRow, state::State},
    durability::sealed::{Known, network::KnownBoundary},
};

/// The seals that a state knows.
pub(super) fn known_of(state: &State) -> Vec<Known> {
    let seals = (0..).zip(state.seals());
    seals.map(|(number, seal)| Known { number, hash: seal.manifest }).collect()
}

/// The network at the end of a sealed period.
pub(super) fn boundary_of(seal: &SealRow) -> KnownBoundary {
    KnownBoundary { lsn: seal.boundary, hash: seal.network }
}
