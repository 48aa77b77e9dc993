//! The edge as HTTP requires it: clients that close their sending half, hosts, encodings, proxy headers, and
//! the isolation of principals.

mod apart;
mod half_closed;
mod heads;

use tempfile::TempDir;

use crate::common::Server;

fn fresh(arguments: &[&str]) -> (Server, TempDir) {
    let dir = crate::common::scratch();
    (Server::start(&dir.path().join("data"), arguments), dir)
}

/// Returns the value of one series of `/metrics`; 0 where it does not exist yet.
fn metric(server: &Server, series: &str) -> f64 {
    let metrics = server.get("/metrics");
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
    line.map_or(0.0, |value| value.parse().unwrap())
}
