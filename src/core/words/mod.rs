//! Indexes, amounts, times, ids and small enums: what all floors speak of. No rules.

pub mod actor;
pub(in crate::core) mod directory;
pub(in crate::core) mod row_kind;
pub mod types;
