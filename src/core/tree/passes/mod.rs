//! Passes over a whole tree: from one end of memory to the other, with rows only for those who need one.
//!
//! A walk that follows links reads one member here and the next one somewhere else; at ten million members
//! nearly each step waits for memory. Passes read links in the order in which they are stored, and keep small
//! what must be found at random.

mod inner;
pub(in crate::core) mod recount;
pub(in crate::core::tree) mod row;
