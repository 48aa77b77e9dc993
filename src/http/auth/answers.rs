//! What those are told who do not come in, in the shape of the API they asked: `{"detail": ...}` beside `/v1`, problem+json below it.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};

use super::policy::Denied;
use crate::http::{
    limits::RETRY_SOON_SECONDS,
    reply::{self, Reply},
};

/// Why a request goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TurnedAway {
    /// No credentials.
    Missing,
    /// Credentials that open nothing. Which part was wrong is nobody's business but ours: metrics have it.
    Invalid {
        was_token: bool,
    },
    /// Too often; come back after this time.
    TooOften(Duration),
    /// The issuer's keys are not there yet.
    KeysMissing,
    Denied(Denied),
}

/// Whether a path belongs to our own API.
pub fn is_v1(path: &str) -> bool {
    path.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer.
pub fn turned_away(path: &str, reason: TurnedAway) -> Reply {
    let (status, code, text) = match reason {
        TurnedAway::Missing => (StatusCode::UNAUTHORIZED, "unauthenticated", "Not authenticated"),
        TurnedAway::Invalid { .. } => (StatusCode::UNAUTHORIZED, "unauthenticated", "Invalid credentials"),
        TurnedAway::TooOften(_) => (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests"),
        TurnedAway::KeysMissing => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The keys of the token issuer are not there yet"),
        TurnedAway::Denied(Denied::Unseen) => (StatusCode::NOT_FOUND, "not_found", "Not Found"),
        TurnedAway::Denied(Denied::Forbidden) => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
    };
    let answer = if is_v1(path) { problem(status, code, text) } else { reply::detail(status, text) };
    match reason {
        // RFC 6750: the error is named only to those who sent a token.
        TurnedAway::Invalid { was_token: true } => {
            let challenge = HeaderValue::from_static("Bearer realm=\"upline\", error=\"invalid_token\"");
            reply::with_header(answer, header::WWW_AUTHENTICATE, challenge)
        }
        TurnedAway::Missing | TurnedAway::Invalid { was_token: false } => {
            reply::with_header(answer, header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"upline\""))
        }
        TurnedAway::TooOften(wait) => reply::with_header(answer, header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait))),
        TurnedAway::KeysMissing => reply::with_header(answer, header::RETRY_AFTER, HeaderValue::from(RETRY_SOON_SECONDS)),
        TurnedAway::Denied(_) => answer,
    }
}

/// Rounded up, so that who waits so long is not too early.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() != 0)
}

/// RFC 9457.
fn problem(status: StatusCode, code: &str, title: &str) -> Reply {
    let body = serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "code": code });
    reply::with_type(status, "application/problem+json", body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_has_its_shape() {
        // path, content type
        let table = [
            ("/v1", "application/problem+json"),
            ("/v1/members", "application/problem+json"),
            ("/v10", "application/json"),
            ("/bonus/", "application/json"),
            ("/", "application/json"),
        ];
        for (path, content_type) in table {
            let answer = turned_away(path, TurnedAway::Missing);
            assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (401, &HeaderValue::from_static(content_type)));
            assert_eq!(answer.headers()["www-authenticate"], "Bearer realm=\"upline\"");
        }
    }

    #[test]
    fn waiting_is_rounded_up() {
        let after = |wait| turned_away("/", TurnedAway::TooOften(wait)).headers()["retry-after"].clone();
        assert_eq!(after(Duration::from_millis(1)), "1");
        assert_eq!(after(Duration::from_secs(2)), "2");
        assert_eq!(after(Duration::from_millis(2_001)), "3");
    }
}
