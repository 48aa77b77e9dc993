//! The reading routes in this process, without sockets, on random networks, compared with the naive result
//! computed from each member's parent.

mod bounded;
mod explain;
mod feed;
mod lists;
pub mod network;
mod roster;
mod sight;
mod values;
