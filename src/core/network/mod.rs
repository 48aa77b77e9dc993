//! What is stored of a member outside the trees, referral codes, and rank rules; together with the trees one
//! part of the state, [`part::Network`].

pub(in crate::core) mod codes;
pub(in crate::core) mod growth;
pub(in crate::core) mod members;
pub(in crate::core) mod part;
pub(in crate::core) mod prefetch;
pub(in crate::core) mod rank;
pub(in crate::core) mod ranking;
pub(in crate::core) mod restore;
pub(in crate::core) mod rows;
