//! Commands and their outcomes, and what is remembered of them.

pub mod command;
pub(in crate::core) mod keys;
pub(in crate::core) mod rows;
pub(in crate::core) mod unchanged;
