//! The bonus ledger: entries, their order and states, balances, names of triggers, references, reversals,
//! releases, row ids, and breakage. Together they are one part of the state, [`part::Ledger`].

pub(in crate::core) mod accounts;
pub(in crate::core) mod breakage;
pub(in crate::core) mod changes;
pub(in crate::core) mod entries;
pub(in crate::core) mod filter;
pub(in crate::core) mod kinds;
pub(in crate::core) mod late;
pub(in crate::core) mod lists;
pub(in crate::core) mod once;
pub(in crate::core) mod part;
pub(in crate::core) mod references;
pub(in crate::core) mod released;
pub(in crate::core) mod reversals;
pub(in crate::core) mod row_ids;
pub(in crate::core) mod rows;
pub(in crate::core) mod statuses;
pub(in crate::core) mod sum;
pub(in crate::core) mod transitions;
