//! Outcomes in snapshots: the bytes that the core keeps them as.

use super::DecodeError;
pub use crate::core::OUTCOME_BYTES;
use crate::core::command::Outcome;

/// Returns the outcome's bytes.
pub fn encode_outcome(outcome: Outcome) -> [u8; OUTCOME_BYTES] {
    outcome.to_bytes()
}

/// Returns the outcome of these bytes.
///
/// # Errors
/// If they are not an outcome: an unknown kind or rejection, or a nonzero field that should be 0.
pub fn decode_outcome(bytes: &[u8; OUTCOME_BYTES]) -> Result<Outcome, DecodeError> {
    Outcome::of_bytes(bytes).map_err(|(offset, reason)| DecodeError { offset, reason })
}
