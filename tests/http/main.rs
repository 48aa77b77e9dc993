//! The HTTP edge: responses of each route, authorization, and limits. Tests that need the machine for
//! themselves are in `tests/load`.

mod audit;
mod auth;
#[path = "../common/mod.rs"]
mod common;
mod contract;
mod edge;
mod failures;
mod history;
mod limits;
mod orders;
mod orders_bad;
mod routes;
mod v1_attributes;
mod v1_batch;
mod v1_described;
mod v1_pairs;
mod v1_reads;
mod v1_strict;
mod v1_writes;
