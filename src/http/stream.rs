//! Lists as bodies: printed slice by slice while the client reads, so that no answer is ever held as a whole.
//!
//! Between two slices the read lock is free. A list shows its rows as of the request: later ones are excluded
//! by the lengths seen then. Only a status may be newer, where an entry was paid while the list was being
//! read.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderValue, Response, StatusCode, header},
};
use http_body::Frame;
use tokio::task::{JoinError, JoinHandle};

use super::{
    auth::Payer,
    heavy::Heavy,
    limits::{ROW_UNITS, SLICE_STEPS, WHOLE_BYTES_MAX},
    reply::{self, Reply},
};
use crate::engine::{Engine, RowKind, State};

/// Gives rows their ids.
pub type RowIdOf<'a> = &'a dyn Fn(RowKind, u64) -> [u8; 16];

/// A list that can be printed in slices.
pub trait Rows: Send + Unpin + 'static {
    /// Does a bounded piece of the work and prints its result, which may be empty. Returns false when nothing
    /// is left.
    fn print_slice(&mut self, row_id: RowIdOf<'_>, state: &State, out: &mut String) -> bool;

    /// Steps of the last slice, for lists where a slice may print little but take many steps.
    fn looked(&self) -> usize {
        0
    }
}

/// The source of a list, its turns, and who pays.
#[derive(Clone)]
pub struct Source {
    pub engine: Engine,
    pub heavy: Arc<Heavy>,
    pub payer: Payer,
}

impl Source {
    /// Prints a slice. Returns false when nothing is left.
    fn print(&self, rows: &mut impl Rows, out: &mut String) -> bool {
        let before = out.len();
        let engine = &self.engine;
        let goes_on =
            engine.read(|state, _| rows.print_slice(&|kind, index| engine.row_id(kind, index), state, out));
        let printed = out.len() - before;
        // Rows printed count as rows examined, unless there are none, or the list says otherwise.
        let units =
            if printed == 0 { SLICE_STEPS as u64 } else { ROW_UNITS * (1 + printed / ROW_BYTES) as u64 };
        self.payer.charge(units.max(rows.looked() as u64));
        goes_on
    }
}

/// Approximate bytes of a row.
const ROW_BYTES: usize = 230;

/// Answers with a list: whole with its length if it is short, in chunks otherwise. All but the first slice is
/// heavy work.
pub async fn list(source: Source, mut rows: impl Rows) -> Reply {
    let mut begin = String::new();
    let mut goes_on = source.print(&mut rows, &mut begin);
    while goes_on && begin.len() < WHOLE_BYTES_MAX {
        goes_on = source.heavy.run(|| source.print(&mut rows, &mut begin)).await;
    }
    if !goes_on {
        return reply::json(StatusCode::OK, begin);
    }
    let body = RowsBody {
        source,
        begin: Some(begin.into_boxed_str().into_boxed_bytes().into()),
        next: Next::Resting(rows),
    };
    let mut reply = Response::new(Body::new(body));
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

struct RowsBody<R> {
    source: Source,
    /// Printed before the list was known to be long.
    begin: Option<Bytes>,
    next: Next<R>,
}

/// The next part to send.
enum Next<R> {
    /// Not printed before it is asked for, so that a slow reader holds no more than what is in flight.
    Resting(R),
    /// The rows, their printed text, and whether there are more.
    Awaited(JoinHandle<(R, String, bool)>),
    Nothing,
}

impl<R: Rows> HttpBody for RowsBody<R> {
    type Data = Bytes;
    /// Printing panicked, or the runtime is ending.
    type Error = JoinError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, JoinError>>> {
        let this = &mut *self;
        if let Some(begin) = this.begin.take() {
            return Poll::Ready(Some(Ok(Frame::data(begin))));
        }
        loop {
            match std::mem::replace(&mut this.next, Next::Nothing) {
                Next::Nothing => return Poll::Ready(None),
                Next::Resting(mut rows) => {
                    let source = this.source.clone();
                    this.next = Next::Awaited(tokio::spawn(async move {
                        let heavy = Arc::clone(&source.heavy);
                        let mut slice = String::new();
                        let goes_on = heavy.run(|| source.print(&mut rows, &mut slice)).await;
                        (rows, slice, goes_on)
                    }));
                }
                Next::Awaited(mut printing) => match Pin::new(&mut printing).poll(cx) {
                    Poll::Pending => {
                        this.next = Next::Awaited(printing);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Ok((rows, slice, goes_on))) => {
                        if goes_on {
                            this.next = Next::Resting(rows);
                        }
                        if !slice.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(
                                slice.into_boxed_str().into_boxed_bytes().into(),
                            ))));
                        }
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_none() && matches!(self.next, Next::Nothing)
    }
}
