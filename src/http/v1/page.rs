//! Lists: a page with a cursor, or the whole as NDJSON, both from one walk in bounded slices.
//!
//! A list is a [`Listing`]: it does a bounded piece of work under one read lock and returns where it would
//! resume. A page is one slice, and the first one is taken where the list begins, so everything in a page is
//! of one LSN, which the answer names. It may be shorter than `limit`: `next` alone tells whether there is
//! more. A stream is slice after slice while the client reads; between two slices the lock is free.
//!
//! Slow work is heavy work, which waits for its turn (`http/heavy.rs`): a page of many rows or of a walk, and
//! the slices of a stream. The few streams of whole downlines prefetch slices while earlier ones are printed
//! and sent: reading waits for memory, printing uses the processor, so they have two cores to run on. Any
//! other stream reads a slice only when the previous one is on its way, so that a slow reader holds no more
//! than that one.

use std::{
    cell::Cell,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    BoxError,
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http_body::Frame;
use serde::Serialize;
use tokio::task::JoinHandle;
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{
    X_LSN,
    caller::Caller,
    media::accepts,
    problem::{Code, Problem},
};
use crate::{
    engine::{Engine, MemberDirectory, RowKind, State},
    http::{
        auth::Payer,
        context::Shared,
        heavy::Heavy,
        limits::{LIGHT_ROWS, PAGE_SLICES_MAX, ROW_UNITS, SLICE_ROWS, SLICE_STEPS, STREAM_ROWS},
        reply::Reply,
    },
};

/// Default rows of a page.
pub const LIMIT_DEFAULT: u32 = 100;
/// Maximum rows of a page: they are collected under one hold of the read lock, some 200 us.
pub const LIMIT_MAX: u32 = 1_000;
/// Maximum words of a cursor; no list needs more for its position.
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
    Err(Problem::new(Code::ParameterInvalid)
        .with("field", "limit")
        .detail(format!("limit must be within 1..={LIMIT_MAX}")))
}

/// Declares the query of a list: `tree`, if it begins with that, the list's own parameters, and those of all
/// lists. Not by flattening, which parses types from text: `limit=1` would be no number.
macro_rules! list_query {
    (struct $name:ident { volumes, $($own:tt)* }) => {
        $crate::http::v1::page::list_query! {
            struct $name {
                $($own)*
                /// Shows the live volumes of each member too, own and group, as
                /// `GET /v1/members/{id}/volumes` has them: of this calendar, or of several, separated by
                /// commas. Pages may then have fewer rows than `limit`.
                #[param(min_length = 1, max_length = 519, example = "month")]
                volumes: Option<String>,
            }
        }
    };
    (struct $name:ident { tree, volumes, $($own:tt)* }) => {
        $crate::http::v1::page::list_query! { struct $name { volumes, tree, $($own)* } }
    };
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

/// A listing's view while it works: one state, under one lock.
pub struct Reader<'a> {
    pub engine: &'a Engine,
    pub state: &'a State,
    /// Steps that produced no row, as noted by listings.
    steps: Cell<usize>,
}

impl<'a> Reader<'a> {
    pub fn new(engine: &'a Engine, state: &'a State) -> Self {
        Self { engine, state, steps: Cell::new(0) }
    }

    /// Notes steps, for which the caller is charged as for rows.
    pub fn note(&self, steps: usize) {
        self.steps.set(self.steps.get() + steps);
    }

    /// The cost in units of work, including that of `rows`.
    pub fn units(&self, rows: usize) -> u64 {
        ROW_UNITS * rows as u64 + self.steps.get() as u64
    }
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

    /// Slices that a stream prefetches while it prints and sends earlier ones. None by default, unless only
    /// few streams can run: they occupy memory for each reader, however slow it is.
    const SLICES_AHEAD: usize = 0;
    /// Rows of a stream's slice.
    const STREAM_ROWS: usize = STREAM_ROWS;
    /// Whether a page may take many steps for each row, which makes it heavy work however short it is.
    const WALKS: bool = false;

    /// Reads, with no lock held, what the next slice of so many rows needs besides the state. It may block.
    ///
    /// # Errors
    /// When that cannot be read: the page fails, or the stream breaks off.
    fn prepare(&mut self, _engine: &Engine, _rows: usize) -> Result<(), Problem> {
        Ok(())
    }

    /// Appends up to `rows` items, in about [`SLICE_STEPS`] steps of cheap work at most. Returns false when
    /// nothing is left.
    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Self::Item>) -> bool;

    /// Where to resume: the words that [`Cursors::open`] returns. Never more than six.
    fn position(&self) -> Vec<u64>;
}

/// Cursors of one query: they open only for the same query in the same network.
pub struct Cursors {
    seed: u64,
}

impl Cursors {
    /// `query` names the route with everything that identifies the list, but not `limit`.
    pub fn new(engine: &Engine, query: &str) -> Self {
        let instance = u128::from_le_bytes(engine.instance_id());
        let folded = (instance ^ (instance >> 64)) & u128::from(u64::MAX);
        Self { seed: xxh3_64_with_seed(query.as_bytes(), u64::try_from(folded).expect("masked")) }
    }

    /// Encodes a position as text.
    pub fn seal(&self, words: &[u64]) -> String {
        assert!(words.len() <= CURSOR_WORDS_MAX, "positions are short");
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend_from_slice(&xxh3_64_with_seed(&bytes, self.seed).to_le_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes the position of a cursor.
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
        let is_ours =
            rest.is_empty() && u64::from_le_bytes(*tag) == xxh3_64_with_seed(words.as_flattened(), self.seed);
        is_ours.then(|| words.iter().map(|word| u64::from_le_bytes(*word)).collect())
    }
}

/// Media type of a streamed list, one item per line.
pub const NDJSON: &str = "application/x-ndjson";

/// The source of slices, their turns, and who pays.
#[derive(Clone)]
pub struct Source {
    pub engine: Engine,
    pub heavy: Arc<Heavy>,
    pub payer: Payer,
}

impl Source {
    /// # Errors
    /// `starting` while there is nothing to read.
    pub fn new(shared: &Shared, caller: &Caller) -> Result<Self, Problem> {
        Ok(Self {
            engine: shared.v1_engine()?.clone(),
            heavy: Arc::clone(&shared.heavy),
            payer: caller.0.payer.clone(),
        })
    }

    /// Takes a slice under one lock, and charges for it. Returns whether there is more, and the LSN.
    ///
    /// # Errors
    /// Those of [`Listing::prepare`].
    pub fn take<L: Listing>(
        &self,
        listing: &mut L,
        rows: usize,
        items: &mut Vec<L::Item>,
    ) -> Result<(bool, u64), Problem> {
        listing.prepare(&self.engine, rows)?;
        let before = items.len();
        let (more, lsn, units) = self.engine.read(|state, _| {
            let reader = Reader::new(&self.engine, state);
            let more = listing.slice(&reader, rows, items);
            (more, state.lsn(), reader.units(items.len() - before))
        });
        self.payer.charge(units);
        Ok((more, lsn))
    }
}

/// Collected rows, and the listing for those after them.
struct Slice<L: Listing> {
    listing: L,
    items: Vec<L::Item>,
    more: bool,
}

impl<L: Listing> Slice<L> {
    /// Whether it makes a page: a page without rows would only cost the client another request.
    fn is_page(&self) -> bool {
        !self.items.is_empty() || !self.more
    }

    fn print(self, lsn: u64, cursors: &Cursors) -> Reply {
        let next = self.more.then(|| cursors.seal(&self.listing.position()));
        super::answer(StatusCode::OK, lsn, &Page { items: self.items, next })
    }
}

/// Answers with a listing, as a page or a stream, as the client asks.
///
/// # Errors
/// When the limit is out of range; those of `begin`; `rate_limited` where the caller is in debt; `overloaded`
/// when too much heavy work is waiting.
pub async fn list<L: Listing>(
    shared: &Shared,
    caller: &Caller,
    headers: &HeaderMap,
    asked: Option<u32>,
    cursors: &Cursors,
    begin: impl FnOnce(&State, &MemberDirectory) -> Result<L, Problem>,
) -> Result<Reply, Problem> {
    list_as(shared, caller, headers, asked, cursors, L::WALKS, begin).await
}

/// As [`list`]; `is_heavy` says whether a page may take many steps for each row, in place of
/// [`Listing::WALKS`].
///
/// # Errors
/// Those of [`list`].
pub async fn list_as<L: Listing>(
    shared: &Shared,
    caller: &Caller,
    headers: &HeaderMap,
    asked: Option<u32>,
    cursors: &Cursors,
    is_heavy: bool,
    begin: impl FnOnce(&State, &MemberDirectory) -> Result<L, Problem>,
) -> Result<Reply, Problem> {
    let source = Source::new(shared, caller)?;
    caller.may_cost()?;
    let is_stream = accepts(headers, NDJSON);
    // The first slice is taken where the listing is begun: a page of two states would name the LSN of the
    // second and lack members that joined in between.
    let first = || {
        source.engine.read(|state, directory| {
            let mut listing = begin(state, directory)?;
            let limit = limit(asked)?;
            let mut items = Vec::new();
            let reader = Reader::new(&source.engine, state);
            let more = listing.slice(&reader, if is_stream { L::STREAM_ROWS } else { limit }, &mut items);
            source.payer.charge(reader.units(items.len()));
            Ok::<_, Problem>((Slice { listing, items, more }, state.lsn(), limit))
        })
    };
    let is_light = is_stream || asked.unwrap_or(LIMIT_DEFAULT) as usize <= LIGHT_ROWS;
    let (slice, lsn, rows) = if is_light && !is_heavy {
        first()?
    } else {
        source.heavy.enter()?;
        source.heavy.run(first).await?
    };
    Ok(if is_stream {
        stream_from(source, slice, lsn)
    } else if !slice.is_page() {
        later_page(&source, slice, rows, cursors).await?
    } else if slice.items.len() <= LIGHT_ROWS {
        slice.print(lsn, cursors)
    } else {
        source.heavy.run(|| slice.print(lsn, cursors)).await
    })
}

/// Answers with a page whose first row was not found at once. After a maximum of slices it is answered empty,
/// with a cursor.
///
/// # Errors
/// Those of [`Listing::prepare`].
async fn later_page<L: Listing>(
    source: &Source,
    mut slice: Slice<L>,
    rows: usize,
    cursors: &Cursors,
) -> Result<Reply, Problem> {
    // The caller has already taken the first slice, without a row.
    for number in 2.. {
        let is_last = number == PAGE_SLICES_MAX;
        let work = || source.take(&mut slice.listing, rows, &mut slice.items);
        let lsn;
        (slice.more, lsn) = source.heavy.run(work).await?;
        if slice.is_page() || is_last {
            return Ok(source.heavy.run(|| slice.print(lsn, cursors)).await);
        }
    }
    unreachable!("it ends with the last slice")
}

/// Answers with one page of a listing of the past, begun by `begin`, as heavy work.
///
/// # Errors
/// When the limit is out of range; those of `begin` and of [`Listing::prepare`]; `overloaded` when too much
/// heavy work is waiting.
pub async fn past<L: Listing>(
    shared: &Shared,
    caller: &Caller,
    past: &State,
    asked: Option<u32>,
    cursors: &Cursors,
    begin: impl FnOnce(&State, &MemberDirectory) -> Result<L, Problem>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let (limit, lsn) = (limit(asked)?, past.lsn());
    let listing = engine.read(|_, directory| begin(past, directory))?;
    let mut slice = Slice { listing, items: Vec::new(), more: true };
    shared.heavy.enter()?;
    for _ in 0..PAGE_SLICES_MAX {
        let take = || {
            slice.listing.prepare(engine, limit)?;
            let reader = Reader::new(engine, past);
            slice.more = slice.listing.slice(&reader, limit, &mut slice.items);
            caller.pays(reader.units(slice.items.len()));
            Ok::<_, Problem>(())
        };
        shared.heavy.run(take).await?;
        if slice.is_page() {
            break;
        }
    }
    Ok(shared.heavy.run(|| slice.print(lsn, cursors)).await)
}

/// Answers with a complete listing, one item per line. `lsn` is that of the state in which it was begun.
pub fn stream<L: Listing>(source: Source, listing: L, lsn: u64) -> Reply {
    stream_from(source, Slice { listing, items: Vec::new(), more: true }, lsn)
}

fn stream_from<L: Listing>(source: Source, first: Slice<L>, lsn: u64) -> Reply {
    let mut reply = Response::new(Body::new(Lines { source, next: Next::Taken(first), has_sent: false }));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(NDJSON));
    headers.insert(X_LSN, HeaderValue::from(lsn));
    reply
}

/// The body of a stream.
struct Lines<L: Listing> {
    source: Source,
    next: Next<L>,
    /// Whether something was sent without yielding to other tasks since.
    has_sent: bool,
}

/// The next part of a stream.
enum Next<L: Listing> {
    Taken(Slice<L>),
    /// Not taken before it is asked for.
    Resting(L),
    Awaited(JoinHandle<Result<Slice<L>, Problem>>),
    Nothing,
}

impl<L: Listing> Next<L> {
    /// Takes slices when their turn comes, each under its own lock.
    fn begin(source: Source, mut listing: L) -> Self {
        Next::Awaited(tokio::spawn(async move {
            let heavy = Arc::clone(&source.heavy);
            let work = || {
                let slices = L::SLICES_AHEAD.max(1);
                let mut items = Vec::with_capacity(slices * L::STREAM_ROWS);
                let mut more = true;
                for _ in 0..slices {
                    (more, _) = source.take(&mut listing, L::STREAM_ROWS, &mut items)?;
                    if !more {
                        break;
                    }
                }
                Ok(Slice { listing, items, more })
            };
            heavy.run(work).await
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
    /// A slice could not be read, the task that takes slices panicked, or the runtime is ending. The
    /// connection ends without a last chunk, so that nobody takes the list for complete.
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        // Otherwise a fast reader would keep this worker busy for the whole list.
        if std::mem::take(&mut this.has_sent) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let Slice { listing, items, more } = match std::mem::replace(&mut this.next, Next::Nothing) {
                Next::Nothing => return Poll::Ready(None),
                Next::Resting(listing) => {
                    this.next = Next::begin(this.source.clone(), listing);
                    continue;
                }
                Next::Taken(slice) => slice,
                Next::Awaited(mut taking) => match Pin::new(&mut taking).poll(cx) {
                    Poll::Ready(Ok(Ok(slice))) => slice,
                    Poll::Ready(Ok(Err(problem))) => {
                        return Poll::Ready(Some(Err(problem.code().name().into())));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    Poll::Pending => {
                        this.next = Next::Awaited(taking);
                        return Poll::Pending;
                    }
                },
            };
            if more {
                let is_ahead = L::SLICES_AHEAD != 0;
                this.next =
                    if is_ahead { Next::begin(this.source.clone(), listing) } else { Next::Resting(listing) };
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
                assert!(
                    here.open(&broken).is_err() || here.open(&broken).unwrap() == words,
                    "only the bits that mean nothing may differ"
                );
            }
        }
        for nonsense in ["", "A", "AAAA", "!!!!", &"A".repeat(1_000)] {
            assert!(here.open(nonsense).is_err(), "{nonsense}");
        }
    }
}
