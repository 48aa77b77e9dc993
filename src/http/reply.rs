//! Answers: status, headers and body of all but streams.

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};

use super::dropin::python::print::print_str;

/// An answer. Axum's body type holds both whole bodies and streams.
pub type Reply = Response<Body>;

/// An answer that ends a request early. Boxed, so that results stay small on success.
pub struct Refused(Box<Reply>);

impl From<Reply> for Refused {
    fn from(reply: Reply) -> Self {
        Self(Box::new(reply))
    }
}

impl From<Refused> for Reply {
    fn from(refused: Refused) -> Self {
        *refused.0
    }
}

/// JSON as the original sends it: no charset.
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    with_type(status, "application/json", body)
}

/// Plain text, as the original sends it.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    with_type(status, "text/plain; charset=utf-8", body)
}

/// A body of any type.
pub fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Body::from(body.into()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// `{"detail":"..."}`.
pub fn detail(status: StatusCode, detail: &str) -> Reply {
    let mut body = String::with_capacity(detail.len() + 16);
    body.push_str("{\"detail\":");
    print_str(detail, &mut body);
    body.push('}');
    json(status, body)
}

/// `{"detail":"..."}` with 503, and when to retry.
pub fn unavailable(text: &str, retry_after_seconds: u32) -> Reply {
    with_header(
        detail(StatusCode::SERVICE_UNAVAILABLE, text),
        header::RETRY_AFTER,
        HeaderValue::from(retry_after_seconds),
    )
}

/// The original's answer to unexpected exceptions.
pub fn internal_error() -> Reply {
    text(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

pub fn with_header(mut reply: Reply, name: HeaderName, value: HeaderValue) -> Reply {
    reply.headers_mut().insert(name, value);
    reply
}
