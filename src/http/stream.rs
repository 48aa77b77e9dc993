//! Lists as bodies: printed slice by slice while the client reads, so that no answer is ever held as a whole.
//!
//! Between two slices the read lock is free. A list shows its rows as they stood when the request came: what came later is left
//! out by the lengths that were seen then. Only a status may be newer, where an entry was paid while the list was being read.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Response, StatusCode, header},
};
use http_body::Frame;

use super::{
    limits::WHOLE_BYTES_MAX,
    reply::{self, Reply},
};
use crate::engine::{Engine, RowKind, State};

/// Gives rows their ids.
pub type RowIdOf<'a> = &'a dyn Fn(RowKind, u64) -> [u8; 16];

/// A list that can be printed in slices.
pub trait Rows: Send + Unpin + 'static {
    /// Does a bounded piece of the work and prints what came of it, which may be nothing yet. False when nothing is left.
    fn print_slice(&mut self, row_id: RowIdOf<'_>, state: &State, out: &mut String) -> bool;
}

fn print_slice(engine: &Engine, rows: &mut impl Rows, out: &mut String) -> bool {
    engine.read(|state, _| rows.print_slice(&|kind, index| engine.row_id(kind, index), state, out))
}

/// Answers with a list: whole with its length if it is short, in chunks otherwise.
pub async fn list(engine: Engine, mut rows: impl Rows) -> Reply {
    let mut begin = String::new();
    while begin.len() < WHOLE_BYTES_MAX {
        if !print_slice(&engine, &mut rows, &mut begin) {
            return reply::json(StatusCode::OK, begin);
        }
        tokio::task::yield_now().await;
    }
    let body = RowsBody { engine, rows, begin: Some(begin.into()), is_done: false, is_rested: true };
    let mut reply = Response::new(Body::new(body));
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

struct RowsBody<R> {
    engine: Engine,
    rows: R,
    /// Printed before it was known that the list is long.
    begin: Option<Bytes>,
    is_done: bool,
    /// Whether other tasks had their turn since the last slice.
    is_rested: bool,
}

impl<R: Rows> HttpBody for RowsBody<R> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        if let Some(begin) = this.begin.take() {
            return Poll::Ready(Some(Ok(Frame::data(begin))));
        }
        if this.is_done {
            return Poll::Ready(None);
        }
        // A fast reader would otherwise keep this worker busy for the whole list.
        this.is_rested = !this.is_rested;
        if !this.is_rested {
            let mut slice = String::new();
            this.is_done = !print_slice(&this.engine, &mut this.rows, &mut slice);
            if !slice.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(slice.into()))));
            }
            if this.is_done {
                return Poll::Ready(None);
            }
            this.is_rested = true;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_none() && self.is_done
    }
}
