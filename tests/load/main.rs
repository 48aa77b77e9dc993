//! Tests that need the machine for themselves where times are judged: crowds of clients, overload, large
//! networks. There each waits for its turn (`common::turn`): it measures, or would starve another one.
//!
//! `UPLINE_MEMBERS` makes the large networks as large as the deep tier has them, a million; in a plain run,
//! which judges no time, they are smaller.

mod attack;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod large;
mod million;
mod million_files;
mod plan_change;
#[path = "../proof/mod.rs"]
mod proof;
