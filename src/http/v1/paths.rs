//! What the path of a request says of it.

use axum::http::{Method, request::Parts};

/// What all paths of this API begin with.
pub const PREFIX: &str = "/v1";

/// Whether a path is one of this API's, so that its failures are problems.
pub fn is_ours(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a request may take longer than others: its work grows with the network.
pub fn takes_long(method: &Method, path: &str) -> bool {
    match path {
        "/v1/snapshots" | "/v1/ranks/recompute" | "/v1/plan/check" => method == Method::POST,
        "/v1/digest" => true,
        _ => false,
    }
}

/// The route whose body is read by itself, line by line, and not before it.
pub const STREAMED: &str = "/v1/members/batch";

/// Whether a request is for [`STREAMED`].
pub fn takes_stream(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == STREAMED
}

/// Whether a request asks for an answer that has no end of its own.
pub fn is_endless(path: &str) -> bool {
    path == "/v1/events"
}
