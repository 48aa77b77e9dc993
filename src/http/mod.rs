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
mod prepared;
mod reply;
mod routes;
mod server;
mod service;
mod stream;
mod v1;

use std::net::SocketAddr;

pub use self::{
    docs::description,
    limits::Limits,
    routes::routes,
    server::{Drained, EngineSlot, ServeError, Server, can_listen},
};
use crate::config::HttpConfig;

/// What the edge must be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 takes any free one: see [`Server::address`].
    pub address: SocketAddr,
    /// A second listener whose connections are counted apart; port 0 as above, see [`Server::ops_address`].
    pub ops_address: Option<SocketAddr>,
    pub limits: Limits,
    /// `GET /user/add_test_data` fills an empty network; off, the route does not exist.
    pub test_data: bool,
    /// The text `None` as `parent_id` is null: the original's gateway writes it for users without a parent.
    pub none_parent_is_null: bool,
    /// Prints a plan as a plan file, where the program can: `Accept: application/toml` of `GET /v1/plan`. The
    /// edge itself knows no files.
    pub plan_text: Option<PlanText>,
}

/// Prints a plan as a plan file.
pub type PlanText = fn(&crate::engine::Plan) -> String;

impl Options {
    /// As configured.
    #[must_use]
    pub fn new(address: SocketAddr, config: &HttpConfig) -> Self {
        let HttpConfig { test_data, none_parent_is_null, .. } = *config;
        let ops_address = config.ops_address;
        Self {
            address,
            ops_address,
            limits: Limits::configured(config),
            test_data,
            none_parent_is_null,
            plan_text: None,
        }
    }
}
