//! Queries on a state, its digests, and the check of its invariants. Read-only.

pub(in crate::core) mod attributes;
pub(in crate::core) mod booked;
pub(in crate::core) mod digest;
pub(in crate::core) mod explain;
pub mod graph;
pub(in crate::core) mod invariants;
pub(in crate::core) mod listed;
pub(in crate::core) mod network_digest;
pub(in crate::core) mod opening;
pub(in crate::core) mod order_walk;
pub(in crate::core) mod orders;
pub(in crate::core) mod period_sums;
pub(in crate::core) mod query;
pub(in crate::core) mod received;
pub(in crate::core) mod roster;
pub(in crate::core) mod sealing;
mod volumes;
pub(in crate::core) mod walk;
pub(in crate::core) mod window;
