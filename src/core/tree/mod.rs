//! The trees: links, counts, Euler tours, and placement. Knows members by index alone.

pub(in crate::core) mod children;
pub(in crate::core) mod counting;
pub(in crate::core) mod families;
pub(in crate::core) mod full;
pub(in crate::core) mod genealogy;
pub(in crate::core) mod level_weights;
pub(in crate::core) mod link;
pub(in crate::core) mod open_key;
pub(in crate::core) mod order;
pub(in crate::core) mod passes;
pub(in crate::core) mod placement;
pub(in crate::core) mod preorder;
mod settle;
pub(in crate::core) mod spines;
mod splice;
pub(in crate::core) mod tour;
pub(in crate::core) mod weights;
