//! Answers that carry the LSN of their state.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::http::reply::{self, Reply};

/// LSN of the state that an answer shows or made.
pub const X_LSN: HeaderName = HeaderName::from_static("x-lsn");

/// A JSON answer that names its LSN.
pub fn answer(status: StatusCode, lsn: u64, body: &impl Serialize) -> Reply {
    // Without spare capacity: it would be held as long as the answer.
    let text = serde_json::to_vec(body).expect("answers are plain data").into_boxed_slice();
    let mut reply = reply::json(status, text);
    reply.headers_mut().insert(X_LSN, HeaderValue::from(lsn));
    reply
}
