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
        // A panic may have left a part of another answer.
        text.clear();
        serde_json::to_writer(&mut *text, body).expect("answers are plain data");
        let exact = text.as_slice().into();
        text.clear();
        text.shrink_to(KEPT_BYTES);
        exact
    })
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use serde::{Serializer, ser::SerializeSeq};

    use super::*;

    /// Panics after its first element.
    struct Panics;

    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_seq(None)?.serialize_element("another's")?;
            panic!("a bug")
        }
    }

    #[test]
    fn a_panic_leaves_nothing_in_the_next_answer() {
        assert!(catch_unwind(|| text_of(&Panics)).is_err());
        assert_eq!(&*text_of(&"mine"), b"\"mine\"");
    }

    #[test]
    fn a_long_answer_leaves_little_memory() {
        let long = "x".repeat(10 * KEPT_BYTES);
        assert_eq!(text_of(&long).len(), long.len() + 2);
        assert!(TEXT.with_borrow(Vec::capacity) <= KEPT_BYTES);
    }
}
