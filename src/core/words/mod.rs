//! Shared vocabulary: indexes, amounts, times, ids and small enums. No rules.

pub mod actor;
pub(in crate::core) mod all;
pub(in crate::core) mod directory;
pub(in crate::core) mod permutation;
pub(in crate::core) mod row_ids;
pub(in crate::core) mod row_kind;
pub mod types;
