//! The reading routes in this process, without sockets, on random networks, against what the plainest way
//! makes of the parent of each member.

mod bounded;
mod explain;
mod feed;
mod lists;
mod network;
mod roster;
mod sight;
mod values;
