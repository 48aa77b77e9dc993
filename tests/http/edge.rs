//! The edge as HTTP demands it: clients that close their sending half, hosts, encodings, what proxies say,
//! and who is kept apart from whom.

mod apart;
mod half_closed;
mod heads;

use tempfile::TempDir;

use crate::common::Server;

fn fresh(arguments: &[&str]) -> (Server, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Server::start(&dir.path().join("data"), arguments), dir)
}

/// The value of one series of `/metrics`; 0 where it is not there yet.
fn metric(server: &Server, series: &str) -> f64 {
    let metrics = server.get("/metrics");
    let line = metrics
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ').map(str::to_owned));
    line.map_or(0.0, |value| value.parse().unwrap())
}
