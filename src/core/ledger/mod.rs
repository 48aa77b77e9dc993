//! The bonus ledger: entries, their order, references, reversals and row ids.

pub(in crate::core) mod entries;
pub(in crate::core) mod filter;
pub(in crate::core) mod late;
pub(in crate::core) mod references;
pub(in crate::core) mod reversals;
pub(in crate::core) mod row_ids;
pub(in crate::core) mod rows;
