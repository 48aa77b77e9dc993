//! What holds for any bytes sent to `/v1` as a body or a cursor.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    Routes, extract, manage::Change, page::Cursors, pay::Trigger, plan_document::PlanDocument, register::Registration, strict_json,
};
use crate::{
    config::HttpConfig,
    engine::{Engine, MemberIx},
    http::{
        Options,
        auth::{Gate, Principal},
        service::Shared,
    },
    metrics::Metrics,
};

/// Words of the longest cursor.
const WORDS_MAX: usize = 6;
/// Bytes of an answer to a page of the smallest network: more is a list without an end.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// True when some route takes it.
///
/// # Panics
/// When the two readers do not agree, or what was read is printed and read back as something else.
pub fn body(bytes: &[u8]) -> bool {
    let registration = read_back(read::<Registration>(bytes));
    let trigger = read_back(read::<Trigger>(bytes));
    // It is never printed: what it does not name must be absent.
    let change = read::<Change>(bytes).is_some();
    let plan = read_back(read::<PlanDocument>(bytes));
    if let Some(Ok(plan)) = plan.as_ref().map(PlanDocument::plan) {
        let again = PlanDocument::new(&plan).plan().ok();
        assert_eq!(again.as_ref(), Some(&plan), "a plan has one document");
    }
    registration.is_some() || trigger.is_some() || change || plan.is_some()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (strict, named) = (strict_json::from_slice::<T>(bytes), extract::parse::<T>(bytes));
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

/// `{list u8, rest}`: the rest as a cursor's text, and as the words of one. True when the text was a cursor or a list took the words.
///
/// # Panics
/// When a cursor that opens is not the one that its words are sealed to, opens for another query or with another character, or when a list
/// answers forged words with anything but 200 and 400.
pub fn cursor(engine: &Engine, bytes: &[u8]) -> bool {
    let Some((list, rest)) = bytes.split_first() else { return false };
    let id = engine.read(|state, _| Uuid::from_bytes(state.member(MemberIx(u32::from(*list >> 4) % state.len())).id.0));
    let (query, path) = match list % 6 {
        0 => (format!("children/{id}/placement"), format!("members/{id}/children?limit=2")),
        1 => (format!("downline/{id}/placement/{}", 2_147_483_647_u32), format!("members/{id}/downline?limit=2")),
        2 => (format!("tree/{id}/placement"), format!("members/{id}/tree?depth=2")),
        3 => (format!("bonuses/{}", "all"), "bonuses?limit=2".to_string()),
        4 => (format!("bonuses-of/{id}/{}", "all"), format!("members/{id}/bonuses?limit=2")),
        _ => (format!("level/{id}/2/placement"), format!("members/{id}/levels/2?limit=2")),
    };
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
    let taken = [&sealed, &other].map(|cursor| page(engine, &format!("/v1/{path}&cursor={cursor}")));
    assert!(!taken[1], "an altered cursor is refused");
    opened.is_some() || taken[0]
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Whether a page is answered with 200.
fn page(engine: &Engine, uri: &str) -> bool {
    let metrics = Metrics::new(&[]);
    let gate = Gate::off(&metrics);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let shared = Shared::new(Options::new(address, &HttpConfig::default()), metrics, gate);
    assert!(shared.engine.set(engine.clone()).is_ok());
    let mut request = Request::get(uri).body(Body::empty()).expect("a path of ours");
    request.extensions_mut().insert(Principal::anonymous());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime of one thread needs nothing");
    runtime.block_on(async {
        let (answer, _) = Routes::new(shared).answer(request).await;
        let status = answer.status();
        assert!(matches!(status, StatusCode::OK | StatusCode::BAD_REQUEST), "{status}: {uri}");
        let body = answer.into_body().collect().await.expect("a page is whole").to_bytes();
        assert!(body.len() <= ANSWER_BYTES_MAX, "{} bytes: {uri}", body.len());
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok(), "{uri}");
        status == StatusCode::OK
    })
}
