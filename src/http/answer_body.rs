//! An answer's body on its way out, and how much memory it holds.
//!
//! A piece counts from when it is handed to the connection until the last byte of it was given to the socket
//! and the piece was dropped. What the kernel holds beyond that is bounded on its own
//! (`limits::UNSENT_BYTES_MAX`).

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use hyper::body::Buf;

use super::{connection::Answering, crowd::Seat, reply::Reply};

/// Extension of an answer whose bytes are shared by all readers: one reader more costs nothing.
#[derive(Clone, Copy)]
pub struct SharedBytes;

/// An answer's body. As long as it lives, the connection is busy.
pub struct AnswerBody {
    body: Body,
    is_shared: bool,
    answering: Answering,
}

impl AnswerBody {
    /// Turns an answer into one whose body is counted.
    pub fn of(reply: Reply, answering: Answering) -> axum::http::Response<Self> {
        let is_shared = reply.extensions().get::<SharedBytes>().is_some();
        reply.map(|body| Self { body, is_shared, answering })
    }
}

impl HttpBody for AnswerBody {
    type Data = Held;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Held>, axum::Error>>> {
        let this = &mut *self;
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
        let hold = |bytes: Bytes| Held::new(bytes, this.is_shared, this.answering.seat());
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(hold))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that wait for their reader.
pub struct Held {
    bytes: Bytes,
    /// Bytes to release on drop.
    counted: usize,
    seat: Arc<Seat>,
}

impl Held {
    fn new(bytes: Bytes, is_shared: bool, seat: &Arc<Seat>) -> Self {
        let counted = if is_shared { 0 } else { bytes.len() };
        seat.hold(counted);
        Self { bytes, counted, seat: Arc::clone(seat) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seat.release(self.counted);
    }
}

impl Buf for Held {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}
