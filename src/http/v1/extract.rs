//! Extractors for handlers of `/v1`, with failures as problems: strict bodies, paths, queries, keys.

use axum::{
    extract::{
        FromRequest, FromRequestParts, Path as AxumPath, Query as AxumQuery, RawPathParams, Request,
        path::ErrorKind as PathError, rejection::PathRejection,
    },
    http::request::Parts,
};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    media,
    problem::{Code, Problem},
    strict_json::{self, Strict},
};
use crate::{
    engine::RequestKey,
    http::{content::Content, limits::IDEMPOTENCY_KEY_BYTES_MAX},
};

/// A JSON body. Anything that is not exactly a `T` is a problem that names the field; `T` denies unknown
/// fields.
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (mut parts, _) = request.into_parts();
        let Content(bytes) = parts.extensions.remove().unwrap_or_default();
        media::check_body(&parts.headers, is_json_type, "application/json")?;
        parse(&bytes).map(Json)
    }
}

/// Whether a media type is JSON.
pub fn is_json_type(essence: &str) -> bool {
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Reads JSON, strictly.
///
/// # Errors
/// `BodyMalformed` when it is not JSON, `FieldUnknown` and `FieldInvalid` when it is not a `T`, with `field`
/// unless the document as a whole is wrong.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Paths take a while, and only what is refused needs one.
    strict_json::from_slice(bytes).or_else(|_| parse_with_paths(bytes))
}

/// The same, and slower: it knows the path of what it reads.
pub(super) fn parse_with_paths<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(Strict(&mut reader)).map_err(|error| {
        let path = error.path().to_string();
        of_serde(error.inner(), &path, bytes)
    })?;
    reader.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(Code::BodyMalformed).detail(error.to_string())
}

fn of_serde(error: &serde_json::Error, path: &str, bytes: &[u8]) -> Problem {
    // The error's category is not enough: a number out of our range is a syntax error to the parser, but
    // valid JSON.
    if !error.is_data() && !is_json(bytes) {
        return malformed(error);
    }
    let text = plain(&error.to_string());
    let path = (path != ".").then_some(path);
    let (code, field) = match unknown_field(&text) {
        // The path already ends with the unknown field.
        Some(name) => (Code::FieldUnknown, Some(path.unwrap_or(name).to_owned())),
        None => (
            Code::FieldInvalid,
            named_field(&text).map(|name| joined(path, name)).or(path.map(str::to_owned)),
        ),
    };
    at_fault(code, field).detail(text)
}

fn is_json(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn joined(path: Option<&str>, field: &str) -> String {
    path.map_or_else(|| field.to_owned(), |path| format!("{path}.{field}"))
}

/// A problem of a field or parameter; of none where the whole is at fault.
fn at_fault(code: Code, field: Option<String>) -> Problem {
    let problem = Problem::new(code);
    match field {
        Some(field) => problem.with("field", field),
        None => problem,
    }
}

/// The name in serde's error for an unknown field. The text is a dependency's: tests pin it.
fn unknown_field(text: &str) -> Option<&str> {
    text.strip_prefix("unknown field `")?.split('`').next()
}

/// The name of a missing or repeated field, which the path does not end with.
fn named_field(text: &str) -> Option<&str> {
    text.strip_prefix("missing field `").or_else(|| text.strip_prefix("duplicate field `"))?.split('`').next()
}

/// Errors of value parsers, in words for clients.
const PLAIN: [(&str, &str); 7] = [
    ("UUID parsing failed: ", "not a UUID: "),
    ("cannot parse integer from empty string", "must be a whole number"),
    ("invalid digit found in string", "must be a whole number that is not negative"),
    ("number too large to fit in target type", "the number is too large"),
    ("number too small to fit in target type", "the number is too small"),
    ("invalid type: sequence", "invalid type: array"),
    ("invalid type: map", "invalid type: object"),
];

/// A library's error in words for clients. The texts are the dependencies': tests pin them.
fn plain(text: &str) -> String {
    let known = PLAIN.iter().find_map(|(theirs, ours)| Some(format!("{ours}{}", text.strip_prefix(theirs)?)));
    known.unwrap_or_else(|| text.to_owned())
}

/// Parameters of the path.
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(error)) => {
                let names = RawPathParams::from_request_parts(parts, state).await;
                let name_at = |index| Some(names.as_ref().ok()?.iter().nth(index)?.0.to_owned());
                Err(of_path(error.into_kind(), name_at))
            }
            // The route has no parameters but asks for them.
            Err(_) => Err(Code::Internal.into()),
        }
    }
}

/// `name_at` names the parameters by their position.
fn of_path(error: PathError, name_at: impl Fn(usize) -> Option<String>) -> Problem {
    const NUMBER: &str = "must be a whole number, not negative and not too large";
    let (name, detail) = match error {
        PathError::ParseErrorAtKey { key, .. } => (Some(key), NUMBER.into()),
        PathError::ParseErrorAtIndex { index, .. } => (name_at(index), NUMBER.into()),
        PathError::ParseError { .. } => (name_at(0), NUMBER.into()),
        PathError::DeserializeError { key, message, .. } => (Some(key), plain(&message)),
        PathError::InvalidUtf8InPathParam { key } => (Some(key), "must be UTF-8, percent-encoded".into()),
        PathError::Message(message) => (name_at(0), plain(&message)),
        // The route asks for parameters that its path does not have.
        _ => return Code::Internal.into(),
    };
    at_fault(Code::ParameterInvalid, name).detail(detail)
}

/// Parameters of the query; `T` denies unknown ones, which `known` has already refused.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = AxumQuery::<T>::try_from_uri(&parts.uri);
        query.map(|AxumQuery(value)| Self(value)).map_err(|rejection| {
            let text = std::error::Error::source(&rejection)
                .map_or_else(|| rejection.body_text(), ToString::to_string);
            // The parameter precedes the reason, where serde had reached one.
            let (parameter, reason) = match text.split_once(": ") {
                Some((parameter, reason)) if !parameter.contains(' ') => (Some(parameter), reason),
                _ => (None, text.as_str()),
            };
            let code =
                if unknown_field(reason).is_some() { Code::ParameterUnknown } else { Code::ParameterInvalid };
            let name = parameter.or_else(|| named_field(reason)).map(str::to_owned);
            at_fault(code, name).detail(plain(reason).replacen(" field `", " parameter `", 1))
        })
    }
}

/// The `Idempotency-Key` of a request, if it has one.
pub struct IdempotencyKey(Option<Vec<u8>>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let invalid =
            |detail| Problem::new(Code::ParameterInvalid).with("field", "Idempotency-Key").detail(detail);
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        if keys.next().is_some() {
            // Whichever was used, a retry with only the other one would be executed again.
            return Err(invalid("Idempotency-Key is there twice".to_owned()));
        }
        if (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len()) {
            return Ok(Self(Some(key.as_bytes().to_vec())));
        }
        Err(invalid(format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes")))
    }
}

impl IdempotencyKey {
    /// The key as the log stores it: hashed with its sender (`Principal::client`) and its operation, along
    /// with a hash of the content.
    ///
    /// `scope` is method and path template of the operation, `request` everything that decides what it does
    /// (path parameters and body, with fields in the order of the type). Both hashes are on disk: neither may
    /// ever change for an operation.
    pub fn for_request(
        &self,
        client: &str,
        scope: &'static str,
        request: &impl Serialize,
    ) -> Option<RequestKey> {
        let key = self.0.as_ref()?;
        let mut scoped = Vec::with_capacity(client.len() + scope.len() + key.len() + 2);
        for part in [scope.as_bytes(), client.as_bytes()] {
            scoped.extend_from_slice(part);
            scoped.push(0);
        }
        scoped.extend_from_slice(key);
        let content = serde_json::to_vec(request).expect("requests are plain data");
        Some(RequestKey { key: xxh3_128(&scoped).to_le_bytes(), fingerprint: xxh3_64(&content) })
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Serialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        count: u32,
        inner: Option<Inner>,
    }

    #[derive(Deserialize, Serialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        name: String,
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named() {
        // body, code, field
        let table = [
            ("{", "body_malformed", None),
            ("", "body_malformed", None),
            ("{} {}", "body_malformed", None),
            ("[]", "field_invalid", None),
            ("7", "field_invalid", None),
            (r#"{"count":1e999}"#, "field_invalid", Some("count")),
            ("{\"inner\":{\"name\":\"\u{e9}\"}} x", "body_malformed", None),
            (r#"{"count":-1}"#, "field_invalid", Some("count")),
            (r#"{"count":1,"counts":2}"#, "field_unknown", Some("counts")),
            (r#"{"inner":{}}"#, "field_invalid", Some("inner.name")),
            (r#"{"inner":{"name":"a","x":1}}"#, "field_unknown", Some("inner.x")),
            (r#"{"count":1,"count":2}"#, "field_invalid", Some("count")),
        ];
        for (body, code, field) in table {
            let problem = parse::<Outer>(body.as_bytes()).unwrap_err().to_json();
            assert_eq!(problem["code"], code, "{body}: {problem}");
            assert_eq!(problem.get("field").and_then(|field| field.as_str()), field, "{body}: {problem}");
        }
        assert_eq!(
            parse::<Outer>(b"{\"inner\":{\"name\":\"\xff\"}}").unwrap_err().code(),
            Code::BodyMalformed,
            "not UTF-8"
        );
        let deep = "[".repeat(100_000);
        assert_eq!(parse::<serde_json::Value>(deep.as_bytes()).unwrap_err().code(), Code::BodyMalformed);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_query_is_named() {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Page {
            #[allow(dead_code, reason = "only its type matters")]
            limit: Option<u32>,
        }
        // query, code, field
        let table = [
            ("limits=1", "parameter_unknown", Some("limits")),
            ("limit=x", "parameter_invalid", Some("limit")),
            ("limit=1&limit=2", "parameter_invalid", Some("limit")),
        ];
        for (query, code, field) in table {
            let uri: Uri = format!("/x?{query}").parse().unwrap();
            let (mut parts, ()) = axum::http::Request::builder().uri(uri).body(()).unwrap().into_parts();
            let Err(problem) = Query::<Page>::from_request_parts(&mut parts, &()).await else {
                panic!("{query}")
            };
            let problem = problem.to_json();
            assert_eq!(problem["code"], code, "{query}: {problem}");
            assert_eq!(problem.get("field").and_then(|field| field.as_str()), field, "{query}: {problem}");
        }
    }

    #[test]
    fn keys_on_disk_stay_what_they_are() {
        let key = IdempotencyKey(Some(b"order-1".to_vec()));
        let request = Outer { count: 3, inner: None };
        let kept = key.for_request("gateway", "POST /v1/bonuses", &request).unwrap();
        assert_eq!(u128::from_le_bytes(kept.key), xxh3_128(b"POST /v1/bonuses\0gateway\0order-1"));
        assert_eq!(kept.fingerprint, xxh3_64(br#"{"count":3,"inner":null}"#));
        assert_ne!(key.for_request("other", "POST /v1/bonuses", &request).unwrap().key, kept.key);
        assert_eq!(IdempotencyKey(None).for_request("gateway", "POST /v1/bonuses", &request), None);
    }
}
