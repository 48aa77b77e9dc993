//! The sums of row hashes that a state keeps for its network digest. Which hashes, and of what,
//! `read/network_digest.rs` knows; each part marks what changes.

use crate::core::{state::parts::State, store::sums::FreshSum};

/// Sums computed from a state, or from a view of it, to be kept by that state.
#[derive(Default)]
pub struct FreshSums {
    pub(in crate::core) members: Vec<FreshSum>,
    pub(in crate::core) entries: Vec<FreshSum>,
}

impl FreshSums {
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.entries.is_empty()
    }
}

impl State {
    /// Keeps up to `most` of these sums, which it takes out: those of chunks that have not changed since.
    pub fn keep_sums(&mut self, fresh: &mut FreshSums, most: usize) {
        for _ in 0..most {
            if let Some(sum) = fresh.members.pop() {
                self.network.keep_sum(&sum);
            } else if let Some(sum) = fresh.entries.pop() {
                self.ledger.keep_sum(&sum);
            } else {
                return;
            }
        }
    }
}
