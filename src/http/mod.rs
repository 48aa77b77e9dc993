//! The HTTP edge: turns requests into commands and outcomes into answers, and nothing else.
//!
//! # What is here
//!
//! - [`Server`]: its own accept loop over hyper's HTTP/1.1, with a limit on everything ([`Limits`]) and
//!   graceful shutdown. It answers from the start: while the engine is opening it is live but not ready.
//! - `dropin`: the API of the service that this one replaces, to the byte.
//! - `v1`: our own API.
//! - `ops`: liveness, readiness, version, metrics.
//! - `docs`: the description of all of it, for programs and as a page.
//!
//! # What it does not know
//!
//! No rules of the network, no bytes on disk, no clock but the wall clock (for the weekly report). It reaches
//! the state through [`crate::engine`] alone, in short, bounded reads; lists are printed slice by slice as
//! the client reads them (`stream`).
//!
//! # Choices
//!
//! - `axum::serve` is not used: it has no header timeout and no connection limit.
//! - A poisoned log leaves the process live (reads go on) and not ready: load balancers should send writes
//!   elsewhere.
//! - Answers outside of `/v1` carry `server: uvicorn`, as the original's do.

mod answer_body;
pub mod auth;
mod connection;
mod content;
mod context;
mod crowd;
mod docs;
mod doorstep;
mod dropin;
mod edge;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod heavy;
mod host;
pub mod limits;
mod listeners;
mod ops;
mod options;
mod prepared;
mod rendering;
mod reply;
mod route_table;
mod routing;
mod series;
mod server;
mod service;
mod stream;
mod v1;

pub use self::{
    docs::description,
    limits::Limits,
    listeners::{ServeError, can_listen},
    options::{Options, PlanText},
    series::request_series,
    server::{Drained, EngineSlot, Server},
    v1::{offline, problem::Problem},
};
