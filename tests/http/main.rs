//! The HTTP edge: what each route answers, who may ask, and where the limits are. What needs the machine for
//! itself is in `tests/load`.

mod audit;
mod auth;
#[path = "../common/mod.rs"]
mod common;
mod contract;
mod edge;
mod failures;
mod history;
mod limits;
mod routes;
mod v1_batch;
mod v1_described;
mod v1_reads;
mod v1_strict;
mod v1_writes;
