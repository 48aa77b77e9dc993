//! Checks all sealed files of a directory.

use std::{path::Path, sync::Arc};

use super::named::{boundary_of, known_of};
use crate::{
    core::state::State,
    durability::{
        Damage, Error as DurabilityError,
        sealed::{
            self, Known,
            network::{self, KnownBoundary},
        },
        storage::Storage,
    },
};

/// Checks the files of all seals that a state knows: lengths and hashes, that each decodes to what its
/// manifest says, and the ids. Changes nothing. O(bytes).
///
/// # Errors
/// The disk fails. Damage is in what it returns.
pub fn verify_sealed(
    storage: &Arc<dyn Storage>,
    root: &Path,
    state: &State,
) -> Result<Vec<Damage>, DurabilityError> {
    let mut boundaries: Vec<_> = state.seals().iter().map(boundary_of).collect();
    boundaries.dedup();
    verify_sealed_of(storage, root, &known_of(state), &boundaries)
}

/// As [`verify_sealed`], for seals and boundaries that are known.
pub(super) fn verify_sealed_of(
    storage: &Arc<dyn Storage>,
    root: &Path,
    known: &[Known],
    boundaries: &[KnownBoundary],
) -> Result<Vec<Damage>, DurabilityError> {
    let mut damage = sealed::verify(storage, root, known)?.damage;
    damage.extend(network::verify(storage, root, boundaries)?);
    Ok(damage)
}
