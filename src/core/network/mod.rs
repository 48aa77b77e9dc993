//! What is stored of a member outside the trees, referral codes, and rank rules.

pub(in crate::core) mod codes;
pub(in crate::core) mod members;
pub(in crate::core) mod rank;
pub(in crate::core) mod rows;
