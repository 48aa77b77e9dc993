//! Options of the edge.

use std::net::SocketAddr;

use super::limits::Limits;
use crate::config::HttpConfig;

/// Settings of the edge.
#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 takes any free one: see `Server::address`.
    pub address: SocketAddr,
    /// A second listener whose connections are counted separately; port 0 as above, see
    /// `Server::ops_address`.
    pub ops_address: Option<SocketAddr>,
    pub limits: Limits,
    /// `GET /user/add_test_data` fills an empty network; off, the route does not exist.
    pub test_data: bool,
    /// Reads the text `None` as `parent_id` as null: the original's gateway writes it for users without a
    /// parent.
    pub none_parent_is_null: bool,
    /// Prints a plan as a plan file, where the program can: `Accept: application/toml` of `GET /v1/plan`. The
    /// edge itself knows no files.
    pub plan_text: Option<PlanText>,
}

/// Prints a plan as a plan file.
pub type PlanText = fn(&crate::engine::Plan) -> String;

impl Options {
    /// The options as configured.
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
