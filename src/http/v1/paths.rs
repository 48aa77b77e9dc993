//! Classifies requests by their path.

use axum::http::{Method, request::Parts};

/// Prefix of all paths of this API.
pub const PREFIX: &str = "/v1";

/// Whether a path belongs to this API, so that its failures are problems.
pub fn is_ours(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a request gets a longer timeout: its work grows with the network.
pub fn takes_long(method: &Method, path: &str) -> bool {
    match path {
        "/v1/snapshots" | "/v1/ranks/recompute" | "/v1/plan/check" => method == Method::POST,
        "/v1/digest" => true,
        _ => false,
    }
}

/// The route that reads its own body, line by line, instead of having it read beforehand.
pub const STREAMED: &str = "/v1/members/batch";

/// Whether a request is for [`STREAMED`].
pub fn takes_stream(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == STREAMED
}

/// Whether a request asks for an endless answer.
pub fn is_endless(path: &str) -> bool {
    path == "/v1/events"
}
