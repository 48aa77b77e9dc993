//! Properties that hold for any bytes sent to `/v1` as a body or a cursor.

use std::{cell::OnceCell, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Routes,
    attributes::AttributesGiven,
    extract,
    manage::Change,
    order_body::{OrderGiven, RefundGiven},
    page::Cursors,
    pay::Trigger,
    plan_body,
    register::Registration,
    strict_json,
};
use crate::{
    config::HttpConfig,
    engine::{Command, Directory, Engine, MemberFilter, MemberIx, OrderId, State, Timestamp},
    http::{
        Options,
        auth::{Gate, Principal},
        context::Shared,
        routing,
    },
    metrics::Metrics,
    plan_document::PlanDocument,
};

/// Words of the longest cursor.
const WORDS_MAX: usize = 6;
/// Pages of the longest list of the smallest network: more means an endless list.
const PAGES_MAX: usize = 200;
/// How long a page of it may take before it counts as endless.
const PATIENCE: Duration = Duration::from_mins(1);
/// Bytes of an answer to a page of the smallest network: more means an endless list.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Returns true when some route accepts it.
///
/// # Panics
/// When the two readers disagree, or a parsed value is printed and read back as something else.
pub fn body(bytes: &[u8]) -> bool {
    let registration = read_back(read::<Registration>(bytes));
    let trigger = read_back(read::<Trigger>(bytes));
    // It is never printed: fields it does not name must be absent.
    let change = read::<Change>(bytes).is_some();
    let plan = plan_body::read(bytes).ok();
    if let Some(plan) = &plan {
        let printed = serde_json::to_vec(&PlanDocument::new(plan)).expect("a plan document is plain data");
        assert_eq!(plan_body::read(&printed).ok().as_ref(), Some(plan), "a plan has one document");
    }
    registration.is_some() || trigger.is_some() || change || plan.is_some()
}

/// Reads a body as an order, a refund of the newest order, or attributes of the first member. Returns the
/// command that it asks for.
///
/// # Panics
/// As [`body`].
pub fn order_command(
    bytes: &[u8],
    state: &State,
    directory: &impl Directory,
    now: Timestamp,
) -> Option<Command> {
    if let Some(order) = read_back(read::<OrderGiven>(bytes)) {
        return order.order(state, directory, now).ok().map(|order| Command::PlaceOrder(Box::new(order)));
    }
    if let Some(refund) = read_back(read::<RefundGiven>(bytes)) {
        let newest = state.orders_len().checked_sub(1)?;
        let order = OrderId::parse(&state.order_id(newest)).expect("it was one");
        return refund.refund(order, now).ok().map(|refund| Command::RefundOrder(Box::new(refund)));
    }
    let attributes = read_back(read::<AttributesGiven>(bytes))?;
    let member = Uuid::from_bytes(state.member(MemberIx(0)).id.0);
    attributes.command(member, state).ok().map(|set| Command::SetAttributes(Box::new(set)))
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (strict, named) = (strict_json::from_slice::<T>(bytes), extract::parse_with_paths::<T>(bytes));
    assert_eq!(strict.is_ok(), named.is_ok(), "the reader that names fields reads the same");
    strict.ok()
}

fn read_back<T: DeserializeOwned + Serialize>(found: Option<T>) -> Option<T> {
    let found = found?;
    let text = serde_json::to_string(&found).expect("bodies are plain data");
    let again: T = strict_json::from_slice(text.as_bytes()).expect("what was printed is read");
    assert_eq!(serde_json::to_string(&again).expect("bodies are plain data"), text);
    Some(found)
}

/// Lists that have cursors, each with its own kind of position, in both trees.
const LISTS: u8 = 14;

/// A list by its number: the query of its cursors, and its path without a cursor. `id` is the member it is
/// about.
fn list_of(number: u8, id: Uuid) -> (String, String) {
    let tree = if number < 7 { "placement" } else { "sponsor" };
    let of_member =
        |query: &str, path: &str| (format!("{query}/{tree}"), format!("members/{id}/{path}tree={tree}"));
    match number {
        0 | 7 => of_member(&format!("children/{id}"), "children?limit=2&"),
        1 | 8 => {
            let (query, path) = of_member(&format!("downline/{id}"), "downline?limit=2&");
            (format!("{query}/{}", 2_147_483_647_u32), path)
        }
        2 | 9 => of_member(&format!("tree/{id}"), "tree?depth=2&siblings=1&"),
        3 => ("bonuses/all".to_owned(), "bonuses?limit=2".to_owned()),
        4 => (format!("bonuses-of/{id}/all"), format!("members/{id}/bonuses?limit=2")),
        5 | 10 => of_member(&format!("level/{id}/2"), "levels/2?limit=1&"),
        6 | 11 => of_member(&format!("upline/{id}"), "upline?limit=1&"),
        12 => (format!("members/{:?}/Oldest", MemberFilter::default()), "members?limit=2".to_owned()),
        _ => ("bonuses/pending".to_owned(), "bonuses?limit=1&status=pending".to_owned()),
    }
}

/// `{list u8, rest}`: tries the rest as a cursor's text, and as the words of one. Returns true when the text
/// was a cursor or a list accepted the words.
///
/// # Panics
/// When a cursor that opens is not the one that its words are sealed to, opens for another query or with
/// another character, or when a list answers forged words with anything but 200 and 400, or then has no end.
pub fn cursor(engine: &Engine, bytes: &[u8]) -> bool {
    let Some((list, rest)) = bytes.split_first() else { return false };
    let id = engine
        .read(|state, _| Uuid::from_bytes(state.member(MemberIx(u32::from(*list >> 4) % state.len())).id.0));
    let (query, path) = list_of((list & 15) % LISTS, id);
    let cursors = Cursors::new(engine, &query);
    let text = String::from_utf8_lossy(rest);
    let opened = cursors.open(&text).ok();
    if let Some(words) = &opened {
        assert_eq!(cursors.seal(words), text, "a position has one cursor");
    }
    let words: Vec<u64> = rest.chunks(8).take(WORDS_MAX).map(word).collect();
    let sealed = cursors.seal(&words);
    assert_eq!(cursors.open(&sealed).ok().as_ref(), Some(&words));
    assert!(Cursors::new(engine, "another").open(&sealed).is_err(), "a cursor is of one query");
    let mut other = sealed.clone().into_bytes();
    let at = rest.len() % other.len();
    other[at] = if other[at] == b'A' { b'B' } else { b'A' };
    let other = String::from_utf8(other).expect("base64 is ASCII");
    assert!(cursors.open(&other).is_err(), "a cursor with another character");
    assert!(page(engine, &path, Some(&other)).is_none(), "an altered cursor is refused");
    opened.is_some() || walked(engine, &path, Some(sealed))
}

/// Sends cursors of every list with their numbers replaced by ends of their ranges, plausible or not, each
/// with a valid checksum. `below` gives random numbers below a bound. Returns how many were accepted, of
/// `rounds` for each list and member.
///
/// # Panics
/// As [`cursor`].
#[cfg(test)]
pub fn forged(engine: &Engine, rounds: usize, below: &mut dyn FnMut(usize) -> usize) -> usize {
    let ids: Vec<Uuid> = engine.read(|state, _| {
        (0..state.len()).map(|index| Uuid::from_bytes(state.member(MemberIx(index)).id.0)).collect()
    });
    let mut taken = 0;
    for list in 0..LISTS {
        for id in &ids {
            let (query, path) = list_of(list, *id);
            let cursors = Cursors::new(engine, &query);
            let honest = page(engine, &path, None)
                .and_then(|body| next_of(&body))
                .and_then(|next| cursors.open(&next).ok());
            for _ in 0..rounds {
                let mut words =
                    honest.clone().filter(|_| below(4) != 0).unwrap_or_else(|| vec![0; below(WORDS_MAX + 1)]);
                let changes = if honest.is_some() { 1 + below(2) } else { words.len() };
                for _ in 0..changes.min(words.len()) {
                    let at = below(words.len());
                    words[at] = extreme(words[at], ids.len() as u64, below);
                }
                taken += usize::from(walked(engine, &path, Some(cursors.seal(&words))));
            }
        }
    }
    taken
}

/// A number at the end of some range, or with such a half.
#[cfg(test)]
fn extreme(word: u64, members: u64, below: &mut dyn FnMut(usize) -> usize) -> u64 {
    let (half, highest) = (u64::from(u32::MAX), 1 << 31);
    let small =
        [0, 1, 2, 3, members - 1, members, members + 1, highest - 1, highest, half - 2, half - 1, half];
    let large = [half + 1, 1 << 63, u64::MAX - 1, u64::MAX];
    let mut pick = |from: &[u64]| from[below(from.len())];
    let one = pick(&small);
    match pick(&[0, 1, 2, 3]) {
        0 => pick(&large),
        1 => one,
        2 => word & half | one << 32,
        _ => word & !half | one,
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Where a page, or a window's first member, continues.
fn next_of(body: &Value) -> Option<String> {
    let next = body.get("next").or_else(|| body.pointer("/nodes/0/more"));
    next.and_then(Value::as_str).map(str::to_owned)
}

/// Reads a list from a cursor to its end. Returns whether the cursor was accepted.
fn walked(engine: &Engine, path: &str, mut cursor: Option<String>) -> bool {
    let mut pages = 0;
    while let Some(from) = &cursor {
        let Some(body) = page(engine, path, Some(from)) else {
            assert_eq!(pages, 0, "what a list gave out it takes: {path} {from}");
            return false;
        };
        pages += 1;
        assert!(pages < PAGES_MAX, "a list without an end: {path}");
        cursor = next_of(&body);
    }
    true
}

/// The routes over an engine, and their runtime.
struct Edge {
    routes: Routes,
    runtime: tokio::runtime::Runtime,
}

impl Edge {
    fn new(engine: &Engine) -> Self {
        let metrics = Metrics::new(&[]);
        let gate = Gate::off(&metrics);
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let shared = Shared::new(Options::new(address, &HttpConfig::default()), metrics, gate);
        assert!(shared.engine.set(engine.clone()).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime of one thread needs nothing");
        Self { routes: Routes::new(shared), runtime }
    }
}

/// A page that is answered with 200.
fn page(engine: &Engine, path: &str, cursor: Option<&str>) -> Option<Value> {
    thread_local! {
        /// All targets of a thread share one engine.
        static EDGE: OnceCell<Edge> = const { OnceCell::new() };
    }
    let joint = if path.contains('?') { '&' } else { '?' };
    let uri =
        cursor.map_or_else(|| format!("/v1/{path}"), |cursor| format!("/v1/{path}{joint}cursor={cursor}"));
    let mut request = Request::get(&uri).body(Body::empty()).expect("a path of ours");
    request.extensions_mut().insert(Principal::anonymous());
    EDGE.with(|edge| {
        let Edge { routes, runtime } = edge.get_or_init(|| Edge::new(engine));
        runtime.block_on(async {
            let found = routing::find(request.method(), request.uri().path());
            let answered = tokio::time::timeout(PATIENCE, routes.answer(request, found)).await;
            let answer = answered.unwrap_or_else(|_| panic!("no answer: {uri}"));
            let status = answer.status();
            assert!(matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST), "{status}: {uri}");
            let body = answer.into_body().collect().await.expect("a page is whole").to_bytes();
            assert!(body.len() <= ANSWER_BYTES_MAX, "{} bytes: {uri}", body.len());
            let body = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("no JSON: {uri}"));
            (status == StatusCode::OK).then_some(body)
        })
    })
}
