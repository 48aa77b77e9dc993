//! What a computation that runs ahead of its command must do, and what identifies its result.

use crate::core::state::parts::State;

/// What a computation that runs ahead of its command must do.
pub(in crate::core) trait Ahead {
    /// Identifies the result for the state as it is: see [`ResultId`].
    fn id(&self, state: &State) -> ResultId;
    /// Catches up with the network by at most this many small steps. Returns whether nothing was left to do.
    fn advance(&mut self, state: &State, steps: usize) -> bool;
    /// The final step, for a computation that has caught up. Returns false if it became stale.
    fn complete(&mut self, state: &State) -> bool;
}

/// Identifies a result: a digest of its command and of everything that its computation read. Two results with
/// the same digest are the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::core) struct ResultId([u8; 32]);

impl ResultId {
    /// Of the command of this kind and content, from what `read` identifies.
    fn new(kind: &str, content: &[u8], read: &[u8]) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("upline: result computed ahead");
        for text in [kind.as_bytes(), content, read] {
            hash.update(&(text.len() as u64).to_le_bytes()).update(text);
        }
        Self(*hash.finalize().as_bytes())
    }

    /// Of a result that depends on the whole network: good for the next command only.
    pub fn of_network(kind: &str, content: &[u8], state: &State) -> Self {
        let read = [state.scalars.lsn.to_le_bytes(), state.scalars.outcome_hash.to_le_bytes()];
        Self::new(kind, content, read.as_flattened())
    }
}
