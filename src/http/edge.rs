//! Which API a path belongs to, and how that API words errors before or outside of its routes.

use axum::http::{HeaderValue, StatusCode, header};

use super::{
    content::ReadError,
    limits::{RETRY_AFTER_RESTART_SECONDS, RETRY_SOON_SECONDS},
    reply::{self, Reply},
    routing,
    v1::problem::{Code, Problem},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Edge {
    /// The drop-in and the operations routes: `{"detail":...}`.
    Dropin,
    /// `/v1`: problem+json.
    V1,
}

impl Edge {
    pub fn of(path: &str) -> Self {
        if routing::is_v1(path) { Edge::V1 } else { Edge::Dropin }
    }

    /// The answer when a body could not be read.
    pub fn unread(self, error: ReadError) -> Reply {
        let (code, status, detail) = match error {
            ReadError::TooLarge => {
                (Code::BodyTooLarge, StatusCode::PAYLOAD_TOO_LARGE, "Request body is too large")
            }
            ReadError::Broken => {
                (Code::BodyMalformed, StatusCode::BAD_REQUEST, "There was an error parsing the body")
            }
            ReadError::TooSlow => {
                (Code::BodyTooSlow, StatusCode::REQUEST_TIMEOUT, "Request body took too long")
            }
        };
        let reply = self.choose(code, || reply::detail(status, detail));
        reply::with_header(reply, header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// The answer to a request whose host is missing or repeated.
    pub fn host_invalid(self) -> Reply {
        self.choose(Code::HostInvalid, || {
            reply::detail(StatusCode::BAD_REQUEST, "The Host header is missing, there twice, or not a host")
        })
    }

    pub fn panicked(self) -> Reply {
        self.choose(Code::Internal, reply::internal_error)
    }

    pub fn read_too_slow(self) -> Reply {
        self.choose(Code::AnswerTooSlow, || {
            reply::unavailable("The answer took too long", RETRY_SOON_SECONDS)
        })
    }

    pub fn write_too_slow(self) -> Reply {
        let text = "outcome: unknown. The write took too long; it is done or not";
        self.choose(Code::OutcomeUnknown, || reply::unavailable(text, RETRY_AFTER_RESTART_SECONDS))
    }

    /// Media type and body of 503, for connections that have no seat.
    pub fn unavailable_text(self, words: &'static str) -> (&'static str, String) {
        match self {
            Edge::Dropin => ("application/json", format!("{{\"detail\":\"{words}\"}}")),
            Edge::V1 => (
                "application/problem+json",
                Problem::new(Code::Overloaded).detail(words).to_json().to_string(),
            ),
        }
    }

    /// The `server` header of its answers.
    pub fn server(self) -> &'static str {
        match self {
            // As in the original's answers.
            Edge::Dropin => "uvicorn",
            Edge::V1 => "upline",
        }
    }

    fn choose(self, code: Code, dropin: impl FnOnce() -> Reply) -> Reply {
        match self {
            Edge::Dropin => dropin(),
            Edge::V1 => Problem::from(code).into(),
        }
    }
}
