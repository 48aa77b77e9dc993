//! Columns that can be frozen and copied, their memory, and parallel work. Knows nothing of members.

pub(in crate::core) mod column;
pub(in crate::core) mod freeing;
pub(in crate::core) mod held;
pub(crate) mod id_table;
pub(in crate::core) mod order;
pub(crate) mod pace;
pub(in crate::core) mod pages;
pub(in crate::core) mod parallel;
pub(crate) mod region;
pub(in crate::core) mod ring;
pub(in crate::core) mod room;
pub(in crate::core) mod rows;
pub(in crate::core) mod search;
pub(in crate::core) mod sections;
pub(in crate::core) mod settled;
pub(in crate::core) mod sparse;
pub(crate) mod steps;
pub(in crate::core) mod sum_rows;
pub(in crate::core) mod sums;
pub(in crate::core) mod texts;
pub(in crate::core) mod view_parts;
