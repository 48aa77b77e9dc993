//! Lists: a page with a cursor, or the whole as NDJSON, both from one walk in bounded slices.
//!
//! A list is a [`Listing`]: something that does a bounded piece of work under one read lock and says where it would go on. A page is one slice,
//! and the first one is taken where the list begins, so everything in a page is of one LSN, which the answer names. It may be shorter than `limit`: `next` alone says whether there is
//! more. A stream is slice after slice while the client reads; between two slices the lock is free. They are taken on a thread for work that blocks while what was taken before is
//! printed and sent: taking waits for memory, printing is work, so a long stream has two cores to run on.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body::Frame;
use serde::Serialize;
use tokio::task::{JoinError, JoinHandle};
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    X_LSN,
    media::accepts,
    problem::{Code, Problem},
};
use crate::{
    engine::{Engine, MemberDirectory, RowKind, State},
    http::{
        limits::{SLICE_ROWS, SLICE_STEPS},
        reply::Reply,
    },
};

/// Rows of a page unless asked for otherwise.
pub const LIMIT_DEFAULT: u32 = 100;
/// Rows of a page at most: they are collected under one hold of the read lock, some 200 us.
pub const LIMIT_MAX: u32 = 1_000;
/// Slices without a row that one page may take before it is answered empty with a cursor: bounds the time of one request.
const EMPTY_SLICES_MAX: usize = 256;
/// Words of a cursor at most; no list needs more to know where it was.
const CURSOR_WORDS_MAX: usize = 6;

/// Rows of a page, as asked for.
///
/// # Errors
/// `ParameterInvalid` beyond `1..=LIMIT_MAX`.
pub fn limit(asked: Option<u32>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(LIMIT_DEFAULT);
    if (1..=LIMIT_MAX).contains(&limit) {
        return Ok(limit as usize);
    }
    Err(Problem::new(Code::ParameterInvalid).with("field", "limit").detail(format!("limit must be within 1..={LIMIT_MAX}")))
}

/// Declares the query of a list: `tree`, if it begins with that, what the list has of its own, and what all lists have. Not by flattening, which takes
/// the types from texts: `limit=1` would be no number.
macro_rules! list_query {
    (struct $name:ident { tree, $($own:tt)* }) => {
        $crate::http::v1::page::list_query! {
            struct $name {
                /// Which genealogy.
                #[serde(default)]
                #[param(inline, default = "placement")]
                tree: $crate::http::v1::types::TreeName,
                $($own)*
            }
        }
    };
    (struct $name:ident { $($own:tt)* }) => {
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[into_params(parameter_in = Query)]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($own)*
            /// Rows of the page, at most. Not looked at for NDJSON.
            #[param(minimum = 1, maximum = 1_000, default = 100)]
            limit: Option<u32>,
            /// `next` of the page before. Anything else is 400.
            #[param(max_length = 128)]
            cursor: Option<String>,
        }
    };
}
pub(super) use list_query;

/// One page of a list.
#[derive(Serialize, ToSchema, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `cursor` of the next page; null when this is the last one.
    pub next: Option<String>,
}

/// What a listing sees while it works: one state, under one lock.
pub struct Reader<'a> {
    pub engine: &'a Engine,
    pub state: &'a State,
}

impl Reader<'_> {
    /// The UUID of a ledger entry.
    pub fn entry_id(&self, entry: u64) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.engine.row_id(RowKind::Entry, entry))
    }
}

/// A list that can be read in slices.
pub trait Listing: Send + Unpin + 'static {
    type Item: Serialize + Send + Unpin + 'static;

    /// Slices that a stream takes while it prints and sends those before. More than one where only few streams can be under way: their rows are in memory, for each reader
    /// that takes its time.
    const SLICES_AHEAD: usize = 1;

    /// Appends up to `rows` items, doing at most some [`SLICE_STEPS`] steps of cheap work. False when nothing is left.
    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Self::Item>) -> bool;

    /// Where to go on: what [`Cursors::open`] gives back. Never more than six words.
    fn position(&self) -> Vec<u64>;
}

/// Cursors of one query: they open for the same query in the same network and for nothing else.
pub struct Cursors {
    seed: u64,
}

impl Cursors {
    /// `query` names the route with everything that decides what is listed, but not `limit`.
    pub fn new(engine: &Engine, query: &str) -> Self {
        let instance = u128::from_le_bytes(engine.instance_id());
        let folded = (instance ^ (instance >> 64)) & u128::from(u64::MAX);
        Self { seed: xxh3_64_with_seed(query.as_bytes(), u64::try_from(folded).expect("masked")) }
    }

    /// Text for a position.
    pub fn seal(&self, words: &[u64]) -> String {
        assert!(words.len() <= CURSOR_WORDS_MAX, "positions are short");
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(&xxh3_64_with_seed(&bytes, self.seed).to_le_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The position of a cursor.
    ///
    /// # Errors
    /// `CursorInvalid` when it is not one of this query.
    pub fn open(&self, text: &str) -> Result<Vec<u64>, Problem> {
        self.words(text).ok_or_else(|| Problem::new(Code::CursorInvalid))
    }

    fn words(&self, text: &str) -> Option<Vec<u64>> {
        if 2 * 8 * (CURSOR_WORDS_MAX + 1) < text.len() {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (words, rest) = bytes.as_chunks::<8>();
        let (tag, words) = words.split_last()?;
        let is_ours = rest.is_empty() && u64::from_le_bytes(*tag) == xxh3_64_with_seed(words.as_flattened(), self.seed);
        is_ours.then(|| words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}

/// Media type of a list that is streamed, an item a line.
pub const NDJSON: &str = "application/x-ndjson";

/// Rows that were taken, and what takes those after them.
struct Slice<L: Listing> {
    listing: L,
    items: Vec<L::Item>,
    more: bool,
}

/// A listing that was begun, with its first slice: both of one state. Were they of two, a page would name the LSN of the second and lack who joined in between.
pub struct Begun<L: Listing> {
    first: Slice<L>,
    /// LSN of that state.
    lsn: u64,
    /// Rows of the page, if it is to be one.
    limit: Option<usize>,
}

/// Begins a listing, as a page or a stream, as the client asks.
///
/// # Errors
/// When the limit is out of range; those of `begin`.
pub fn begin<L: Listing>(
    engine: &Engine,
    headers: &HeaderMap,
    asked: Option<u32>,
    begin: impl FnOnce(&State, &MemberDirectory) -> Result<L, Problem>,
) -> Result<Begun<L>, Problem> {
    let is_stream = accepts(headers, NDJSON);
    engine.read(|state, directory| {
        let mut listing = begin(state, directory)?;
        let limit = limit(asked)?;
        let mut items = Vec::new();
        let more = listing.slice(&Reader { engine, state }, if is_stream { SLICE_ROWS } else { limit }, &mut items);
        Ok(Begun { first: Slice { listing, items, more }, lsn: state.lsn(), limit: (!is_stream).then_some(limit) })
    })
}

/// Answers with one page of a listing.
async fn page<L: Listing>(engine: &Engine, first: Slice<L>, mut lsn: u64, limit: usize, cursors: &Cursors) -> Reply {
    let Slice { mut listing, mut items, mut more } = first;
    let mut slices = 1;
    while more && items.is_empty() && slices <= EMPTY_SLICES_MAX {
        tokio::task::yield_now().await;
        (more, lsn) = engine.read(|state, _| {
            let reader = Reader { engine, state };
            (listing.slice(&reader, limit, &mut items), state.lsn())
        });
        slices += 1;
    }
    let next = more.then(|| cursors.seal(&listing.position()));
    super::answer(StatusCode::OK, lsn, &Page { items, next })
}

/// Answers with one page of a listing of the past, from the one state that the reader has.
///
/// # Errors
/// When the limit is out of range.
pub fn past<L: Listing>(reader: &Reader<'_>, mut listing: L, asked: Option<u32>, cursors: &Cursors) -> Result<Reply, Problem> {
    let mut items = Vec::new();
    let more = listing.slice(reader, limit(asked)?, &mut items);
    let next = more.then(|| cursors.seal(&listing.position()));
    Ok(super::answer(StatusCode::OK, reader.state.lsn(), &Page { items, next }))
}

/// Answers with the whole of a listing, an item a line. `lsn` is that of the state in which it was begun.
pub fn stream<L: Listing>(engine: Engine, listing: L, lsn: u64) -> Reply {
    stream_from(engine, Slice { listing, items: Vec::new(), more: true }, lsn)
}

fn stream_from<L: Listing>(engine: Engine, first: Slice<L>, lsn: u64) -> Reply {
    let mut reply = Response::new(Body::new(Lines { engine, next: Next::Taken(first), has_sent: false }));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(X_LSN, HeaderValue::from(lsn));
    reply
}

/// Answers with a listing that was begun.
pub async fn list<L: Listing>(engine: &Engine, begun: Begun<L>, cursors: &Cursors) -> Reply {
    let Begun { first, lsn, limit } = begun;
    match limit {
        None => stream_from(engine.clone(), first, lsn),
        Some(limit) => page(engine, first, lsn, limit, cursors).await,
    }
}

/// The body of a stream.
struct Lines<L: Listing> {
    engine: Engine,
    next: Next<L>,
    /// Whether something was sent after which other tasks did not have their turn yet.
    has_sent: bool,
}

/// What a stream sends next.
enum Next<L: Listing> {
    Taken(Slice<L>),
    Awaited(JoinHandle<Slice<L>>),
    Nothing,
}

impl<L: Listing> Next<L> {
    /// Takes slices on a thread of their own, each under a lock of its own.
    fn begin(engine: Engine, mut listing: L) -> Self {
        Next::Awaited(tokio::task::spawn_blocking(move || {
            let mut items = Vec::with_capacity(L::SLICES_AHEAD * SLICE_ROWS);
            let mut take = || engine.read(|state, _| listing.slice(&Reader { engine: &engine, state }, SLICE_ROWS, &mut items));
            let more = (0..L::SLICES_AHEAD).all(|_| take());
            Slice { listing, items, more }
        }))
    }
}

fn print<T: Serialize>(items: &[T]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(items.len() * 256);
    for item in items {
        serde_json::to_writer(&mut lines, item).expect("items are plain data");
        lines.push(b'\n');
    }
    lines
}

impl<L: Listing> HttpBody for Lines<L> {
    type Data = Bytes;
    /// What takes a slice panicked, or the runtime is ending. The connection ends without a last chunk, so that nobody takes the list for whole.
    type Error = JoinError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, JoinError>>> {
        let this = &mut *self;
        // A fast reader would otherwise keep this worker busy for the whole list.
        if std::mem::take(&mut this.has_sent) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let Slice { listing, items, more } = match std::mem::replace(&mut this.next, Next::Nothing) {
                Next::Nothing => return Poll::Ready(None),
                Next::Taken(slice) => slice,
                Next::Awaited(mut taking) => match Pin::new(&mut taking).poll(cx) {
                    Poll::Ready(Ok(slice)) => slice,
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                    Poll::Pending => {
                        this.next = Next::Awaited(taking);
                        return Poll::Pending;
                    }
                },
            };
            if more {
                this.next = Next::begin(this.engine.clone(), listing);
            }
            if !items.is_empty() {
                this.has_sent = true;
                return Poll::Ready(Some(Ok(Frame::data(print(&items).into()))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }
}

const _: () = assert!(SLICE_ROWS <= LIMIT_MAX as usize && LIMIT_MAX as usize <= SLICE_STEPS);
const _: () = assert!(LIMIT_DEFAULT <= LIMIT_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_open_for_their_query_only() {
        let (here, there) = (Cursors { seed: 1 }, Cursors { seed: 2 });
        for words in [&[][..], &[7], &[1, 2, 3, 4, 5, u64::MAX]] {
            let text = here.seal(words);
            assert_eq!(here.open(&text).unwrap(), words);
            assert_eq!(there.open(&text).unwrap_err().code(), Code::CursorInvalid);
            for at in 0..text.len() {
                let mut broken = text.clone().into_bytes();
                broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
                let broken = String::from_utf8(broken).unwrap();
                assert!(here.open(&broken).is_err() || here.open(&broken).unwrap() == words, "only the bits that mean nothing may differ");
            }
        }
        for nonsense in ["", "A", "AAAA", "!!!!", &"A".repeat(1_000)] {
            assert!(here.open(nonsense).is_err(), "{nonsense}");
        }
    }
}
