//! Answers that carry the LSN of their state.

use std::cell::RefCell;

use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::http::reply::{self, Reply};

/// LSN of the state that an answer shows or made.
pub const X_LSN: HeaderName = HeaderName::from_static("x-lsn");

/// Bytes that a thread keeps to write answers into; longer ones get memory of their own.
const KEPT_BYTES: usize = 1 << 14;

thread_local! {
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A JSON answer that names its LSN.
pub fn answer(status: StatusCode, lsn: u64, body: &impl Serialize) -> Reply {
    let mut reply = reply::json(status, text_of(body));
    reply.headers_mut().insert(X_LSN, HeaderValue::from(lsn));
    reply
}

/// The text of an answer, without spare capacity: it would be held as long as the answer.
fn text_of(body: &impl Serialize) -> Box<[u8]> {
    TEXT.with_borrow_mut(|text| {
        serde_json::to_writer(&mut *text, body).expect("answers are plain data");
        let exact = text.as_slice().into();
        text.clear();
        text.shrink_to(KEPT_BYTES);
        exact
    })
}
