//! The rules: a deterministic function from (state, LSN, time, command) to an outcome.
//!
//! This layer does no I/O and knows no clock, chance, lock, thread of its own, float or wire format. Time, generated ids and everything
//! else that is not determined come in with the command. Rayon is used in `recompute` alone, for work whose result
//! does not depend on the number of threads.

pub(crate) mod column;
pub mod command;
pub mod image;
pub mod plan;
pub mod state;
pub(crate) mod tour;
pub mod types;
