//! The HTTP edge: requests to commands, outcomes to answers, and nothing else.
//!
//! # What is here
//!
//! - [`Server`]: an accept loop of its own over hyper's HTTP/1.1, with a limit on everything ([`Limits`]), a
//!   graceful stop, and answers from the first moment on: while the engine is opening it is live but not
//!   ready.
//! - `dropin`: the API of the service that this one replaces, to the byte.
//! - `v1`: our own API.
//! - `ops`: life, readiness, version, metrics.
//! - `docs`: the description of all of it, for programs and as a page.
//!
//! # What it does not know
//!
//! No rule of the network, no byte on disk, no clock but the wall's (for the weekly report). It reaches the
//! state through [`crate::engine`] alone, in reads that are short and bounded; lists are printed slice by
//! slice while the client takes them (`stream`).
//!
//! # Choices
//!
//! - `axum::serve` is not used: it has no header timeout and no connection limit.
//! - A poisoned log leaves the process live (reads go on) and not ready: whoever balances load should send
//!   writes elsewhere.
//! - Answers outside of `/v1` carry `server: uvicorn` as the original's do.

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
mod ops;
mod options;
mod prepared;
mod rendering;
mod reply;
mod route_table;
mod routes;
mod server;
mod service;
mod stream;
mod v1;

pub use self::{
    docs::description,
    limits::Limits,
    options::{Options, PlanText},
    routes::routes,
    server::{Drained, EngineSlot, ServeError, Server, can_listen},
};
