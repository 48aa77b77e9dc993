//! The drop-in API: the routes of the service that this one replaces, answered to the byte as it did, but for
//! the defects that were decided to be mended (unknown sources, counts, races, deep trees).
//!
//! A request goes through `answer`: path decoded and matched, content parsed (`body`), then a read or a
//! write. What goes wrong becomes an answer in `errors` alone.

mod body;
pub(super) mod describe;
mod errors;
pub(super) mod examples;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod lists;
mod python_json;
pub(super) mod python_print;
mod python_text;
mod reads;
mod render;
mod rights;
mod uuid;
mod weekly;
mod writes;

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header, request::Parts},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_decode_str, utf8_percent_encode};

use super::{
    auth::Principal,
    content::Content,
    host::Forwarded,
    reply::{self, Refused, Reply},
    routes::{self, Match, Operation, RouteIndex},
    service::Shared,
};

/// Answers what is neither under `/v1` nor of operations: all of the drop-in, and everything unknown. Tells
/// which route answered.
pub async fn answer(shared: &Shared, request: Request) -> (Reply, Option<RouteIndex>) {
    let (mut parts, _) = request.into_parts();
    let Content(body) = parts.extensions.remove().unwrap_or_default();
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    match routes::find(&parts.method, &path) {
        Match::Found { operation, route, parameter } => {
            let reply = match rights::check(shared, operation, parameter, &parts) {
                Ok(principal) => perform(shared, operation, principal, parameter, &parts, &body)
                    .await
                    .unwrap_or_else(Reply::from),
                Err(refused) => refused.into(),
            };
            (reply, Some(route))
        }
        Match::WrongMethod { allow } => {
            let reply = reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            (reply::with_header(reply, header::ALLOW, HeaderValue::from_static(allow)), None)
        }
        Match::Redirect { path } => (redirect(shared, &parts, &path), None),
        Match::NotFound => (not_found(), None),
    }
}

fn not_found() -> Reply {
    reply::detail(StatusCode::NOT_FOUND, "Not Found")
}

/// One operation. `Err` is an answer too: that of a step which ended it early.
async fn perform(
    shared: &Shared,
    operation: Operation,
    principal: &Principal,
    parameter: &str,
    parts: &Parts,
    body: &[u8],
) -> Result<Reply, Refused> {
    let text = |text: &'static str| Ok(reply::json(StatusCode::OK, text));
    match operation {
        Operation::Welcome => text("{\"message\":\"Welcome to MLM API\"}"),
        Operation::Health => text("{\"status\":\"healthy\"}"),
        Operation::Status => text("{\"status\":\"running\"}"),
        Operation::Register | Operation::RootUser => writes::register(shared, operation, parts, body).await,
        Operation::Trigger => writes::trigger(shared, parts, body).await,
        Operation::MarkPaid => writes::mark_paid(shared, principal, parts, parameter).await,
        Operation::MarkAllPaid => writes::mark_all_paid(shared, parts).await,
        Operation::AddTestData => writes::add_test_data(shared, parts).await,
        Operation::Downline => reads::downline(shared, parts, parameter).await,
        Operation::DownlineCount => reads::downline_count(shared, parameter),
        Operation::BonusesOf => reads::bonuses_of(shared, principal, parts, parameter).await,
        Operation::Bonuses => reads::bonuses(shared, principal, parts).await,
        Operation::EvaluateRank => reads::rank(shared, parameter),
        Operation::Weekly => reads::weekly(shared, principal, parts, parameter).await,
    }
}

/// What the original's framework leaves as it is in a location.
const LOCATION_SET: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'/')
    .remove(b'%')
    .remove(b'#')
    .remove(b'?')
    .remove(b'=')
    .remove(b'@')
    .remove(b'[')
    .remove(b']')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';');

/// 307 to the path with its last slash toggled, on the host that the request named, or that its client named
/// to a proxy that we trust.
fn redirect(shared: &Shared, parts: &Parts, path: &str) -> Reply {
    let forwarded = parts.extensions.get::<Forwarded>();
    let scheme = forwarded.and_then(|forwarded| forwarded.scheme).unwrap_or("http");
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let host = forwarded.and_then(|forwarded| forwarded.host.clone()).or(named);
    let host = host.unwrap_or_else(|| shared.options.address.to_string());
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = utf8_percent_encode(&format!("{scheme}://{host}{path}{query}"), LOCATION_SET).to_string();
    let location = HeaderValue::try_from(location).expect("what is not printable ASCII is encoded");
    let mut reply = Reply::new(Body::empty());
    *reply.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    reply::with_header(reply, header::LOCATION, location)
}

/// A parameter of the query, the last one if it is repeated, as Python's `parse_qsl` reads it.
fn query_parameter(query: Option<&str>, name: &str) -> Option<String> {
    let mut found = None;
    for pair in query.unwrap_or_default().split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if unquote_plus(key) == name {
            found = Some(unquote_plus(value).into_owned());
        }
    }
    found
}

fn unquote_plus(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_python_reads_them() {
        // query, status
        let table = [
            ("", None),
            ("status=", Some("")),
            ("status", Some("")),
            ("status=paid&status=pending", Some("pending")),
            ("status=pending&status=", Some("")),
            ("status=a%20b", Some("a b")),
            ("status=a+b", Some("a b")),
            ("status=%2B", Some("+")),
            ("Status=pending", None),
            ("a=1&status=paid", Some("paid")),
            ("status=paid;x=1", Some("paid;x=1")),
            ("status=%ff", Some("\u{fffd}")),
            ("status=a=b", Some("a=b")),
            ("&&status=x", Some("x")),
            ("sta%74us=paid", Some("paid")),
            ("status=%zz", Some("%zz")),
            ("status=%", Some("%")),
        ];
        for (query, expected) in table {
            assert_eq!(query_parameter(Some(query), "status").as_deref(), expected, "{query}");
        }
        assert_eq!(query_parameter(None, "status"), None);
    }
}
