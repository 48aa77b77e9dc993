//! Routes a request of the drop-in.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header, request::Parts},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{errors::not_found, reads, rights, writes};
use crate::http::{
    auth::Principal,
    content::Content,
    context::Shared,
    host::Forwarded,
    reply::{self, Refused, Reply},
    route_table::Operation,
    routing::{Found, Match, find_dropin},
};

/// Answers all paths other than `/v1` and operations: all of the drop-in, and everything unknown. Also
/// returns which route answered.
pub async fn answer(shared: &Shared, request: Request) -> (Reply, Option<Found>) {
    let (mut parts, _) = request.into_parts();
    let Content(body) = parts.extensions.remove().unwrap_or_default();
    let path = percent_decode_str(parts.uri.path()).decode_utf8_lossy();
    match find_dropin(&parts.method, &path) {
        Match::Found { operation, found, parameter } => {
            let reply = match rights::check(shared, found.route.access, parameter, &parts) {
                Ok(principal) => perform(shared, operation, principal, parameter, &parts, &body)
                    .await
                    .unwrap_or_else(Reply::from),
                Err(refused) => refused.into(),
            };
            (reply, Some(found))
        }
        Match::WrongMethod { allow } => {
            let reply = reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            (reply::with_header(reply, header::ALLOW, HeaderValue::from_static(allow)), None)
        }
        Match::Redirect { path } => (redirect(shared, &parts, &path), None),
        Match::NotFound => (not_found(), None),
    }
}

/// Performs one operation. `Err` is an answer too: that of a step which ended it early.
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

/// Characters that the original's framework leaves unescaped in a location.
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
/// to a trusted proxy.
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
