//! Tests that need the machine for themselves: crowds of clients, overload, networks of a million. Each waits
//! for its turn (`common::turn`): it measures, or would starve another one.

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
