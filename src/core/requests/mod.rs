//! Commands, their outcomes, and the record of past ones.

pub mod command;
pub(in crate::core) mod keys;
pub(in crate::core) mod rows;
pub(in crate::core) mod rules;
pub(in crate::core) mod unchanged;
