//! Answers to requests that the gate turns away, in the shape of the API they asked: `{"detail": ...}`
//! outside `/v1`, problem+json inside it.

use std::time::Duration;

use axum::http::{HeaderValue, header};

use super::policy::Denied;
use crate::http::{
    edge::Edge,
    limits::RETRY_SOON_SECONDS,
    reply::{self, Reply},
    v1::problem::{Code, Problem},
};

/// Why a request was turned away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TurnedAway {
    /// No credentials.
    Missing,
    /// Invalid credentials. Clients are not told which part was wrong; metrics are.
    Invalid {
        was_token: bool,
    },
    /// A good token of a member that names no member.
    NotMember,
    /// `Host` is not a name of this server, which asks for no credentials.
    HostUnknown,
    /// A foreign web page wants to change something in a server that asks for no credentials.
    PageForeign,
    /// Rate limited; retry after this time.
    TooOften(Duration),
    /// The issuer's keys have not arrived yet.
    KeysMissing,
    Denied(Denied),
}

impl TurnedAway {
    /// Code and text of the answer.
    pub(in crate::http) fn words(&self) -> (Code, &'static str) {
        match self {
            TurnedAway::Missing => (Code::Unauthenticated, "Not authenticated"),
            TurnedAway::Invalid { .. } => (Code::Unauthenticated, "Invalid credentials"),
            TurnedAway::NotMember => {
                (Code::SubjectNotMember, "The claim that names the member of this token is no UUID")
            }
            TurnedAway::HostUnknown => (
                Code::HostUnknown,
                "Host is not a name of this server, which requires no credentials: add it to allowed_hosts, \
                 or create a key",
            ),
            TurnedAway::PageForeign => (
                Code::OriginForeign,
                "Other web pages change nothing here while nobody is asked for credentials",
            ),
            TurnedAway::TooOften(_) => (Code::RateLimited, "Too many requests"),
            TurnedAway::KeysMissing => (Code::Starting, "The keys of the token issuer are not loaded yet"),
            TurnedAway::Denied(Denied::Unseen) => (Code::RouteUnknown, "Not Found"),
            TurnedAway::Denied(Denied::Forbidden) => (Code::Forbidden, "Forbidden"),
        }
    }
}

/// The answer.
pub fn turned_away(path: &str, reason: TurnedAway) -> Reply {
    let (code, text) = reason.words();
    let mut answer = match Edge::of(path) {
        Edge::Dropin => reply::detail(code.status(), text),
        Edge::V1 => Problem::new(code).detail(text).into(),
    };
    let headers = answer.headers_mut();
    match reason {
        // RFC 6750: only clients that sent a token are told the error.
        TurnedAway::Invalid { was_token: true } | TurnedAway::NotMember => {
            let challenge = HeaderValue::from_static("Bearer realm=\"upline\", error=\"invalid_token\"");
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        TurnedAway::Missing | TurnedAway::Invalid { was_token: false } => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"upline\""));
        }
        TurnedAway::TooOften(wait) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        TurnedAway::KeysMissing => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_SOON_SECONDS));
        }
        TurnedAway::Denied(_) | TurnedAway::HostUnknown | TurnedAway::PageForeign => {}
    }
    answer
}

/// Rounded up, so that a client that waits this long is not too early.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() != 0)
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
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["content-type"]),
                (401, &HeaderValue::from_static(content_type))
            );
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
