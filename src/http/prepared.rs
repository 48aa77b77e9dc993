//! Immutable documents: built once, plain and compressed, and sent from the same bytes to everybody.
//!
//! Nothing is compressed, decompressed or copied per request, so an answer costs neither processor time nor
//! memory, however many clients ask for it and however slowly they read.

use std::io::{Read, Write};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use xxhash_rust::xxh3::xxh3_128;

use super::{answer_body::SharedBytes, reply::Reply};

/// One document in both encodings.
pub struct Prepared {
    kind: HeaderValue,
    plain: Bytes,
    gzip: Bytes,
    /// Entity tags (RFC 9110) of both: the bytes differ, so the tags do.
    plain_tag: HeaderValue,
    gzip_tag: HeaderValue,
}

impl Prepared {
    /// Compresses a document.
    pub fn of_plain(kind: &str, plain: impl Into<Bytes>) -> Self {
        let plain = plain.into();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let packed =
            encoder.write_all(&plain).and_then(|()| encoder.finish()).expect("memory takes everything");
        Self::new(kind, plain, packed.into_boxed_slice().into())
    }

    /// Decompresses a document that is kept compressed. `None` when it is corrupt.
    pub fn of_gzip(kind: &str, gzip: impl Into<Bytes>) -> Option<Self> {
        let gzip = gzip.into();
        let mut plain = Vec::new();
        GzDecoder::new(&gzip[..]).read_to_end(&mut plain).ok()?;
        Some(Self::new(kind, plain.into_boxed_slice().into(), gzip))
    }

    fn new(kind: &str, plain: Bytes, gzip: Bytes) -> Self {
        let hash = xxh3_128(&plain);
        let tag =
            |end: &str| HeaderValue::from_str(&format!("\"{hash:032x}{end}\"")).expect("digits and letters");
        let kind =
            HeaderValue::from_str(kind).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        Self { kind, plain_tag: tag(""), gzip_tag: tag("-gzip"), plain, gzip }
    }

    /// Answers a GET in the encoding that the client accepts; 304 where the client has the document already.
    /// O(1) and without copies.
    pub fn answer(&self, headers: &HeaderMap) -> Reply {
        let is_packed = takes_gzip(headers);
        let (bytes, tag) =
            if is_packed { (&self.gzip, &self.gzip_tag) } else { (&self.plain, &self.plain_tag) };
        let is_known = has_already(headers, tag);
        let mut reply = Response::new(if is_known { Body::empty() } else { Body::from(bytes.clone()) });
        if is_known {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        }
        reply.extensions_mut().insert(SharedBytes);
        let sent = reply.headers_mut();
        sent.insert(header::ETAG, tag.clone());
        sent.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        // Cached, but revalidated each time: another release has another document under the same name.
        sent.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if !is_known {
            sent.insert(header::CONTENT_TYPE, self.kind.clone());
            if is_packed {
                sent.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        reply
    }
}

/// Values of a header that may be repeated, each a comma-separated list.
fn listed(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Whether a client accepts gzip: by name or by `*`, with a weight other than 0.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in listed(headers, header::ACCEPT_ENCODING) {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        let is_taken = weight.is_ok_and(|weight| 0.0 < weight);
        match name.trim() {
            name if name.eq_ignore_ascii_case("gzip") => return is_taken,
            "*" => any = is_taken,
            _ => {}
        }
    }
    any
}

/// Whether `If-None-Match` names this tag. Weak comparison, as RFC 9110 requires.
fn has_already(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.to_str().unwrap_or_default();
    listed(headers, header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[tokio::test]
    async fn every_client_gets_the_same_bytes_and_nothing_is_copied() {
        let document = Prepared::of_plain("text/plain", "a".repeat(100_000));
        for (accepted, expected) in [("gzip", &document.gzip), ("identity", &document.plain)] {
            let mut seen = Vec::new();
            for _ in 0..3 {
                let reply = document.answer(&headers(&[(header::ACCEPT_ENCODING, accepted)]));
                assert_eq!(
                    (reply.status(), reply.headers()["vary"].as_bytes()),
                    (StatusCode::OK, &b"accept-encoding"[..])
                );
                seen.push(reply.into_body().collect().await.unwrap().to_bytes());
            }
            assert!(
                seen.iter().all(|bytes| bytes.as_ptr() == expected.as_ptr() && bytes == expected),
                "{accepted}"
            );
        }
        let unpacked = Prepared::of_gzip("text/plain", document.gzip.clone()).unwrap();
        assert_eq!(unpacked.plain, document.plain);
        assert!(Prepared::of_gzip("text/plain", &b"no gzip"[..]).is_none());
    }

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        // accept-encoding, whether gzip is sent
        let table = [
            ("gzip", true),
            ("GZIP", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("br", false),
            ("x-gzippy", false),
            ("", false),
        ];
        for (accepted, expected) in table {
            assert_eq!(takes_gzip(&headers(&[(header::ACCEPT_ENCODING, accepted)])), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_client_that_has_the_document_is_told_so() {
        let document = Prepared::of_plain("text/plain", "a");
        let tag = document.plain_tag.to_str().unwrap();
        // if-none-match, status
        for (known, status) in [
            (tag.to_owned(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"x\", {tag}"), 304),
            ("*".into(), 304),
            ("\"x\"".into(), 200),
            (document.gzip_tag.to_str().unwrap().into(), 200),
        ] {
            let asked =
                HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(&known).unwrap())]);
            let reply = document.answer(&asked);
            assert_eq!(
                (reply.status().as_u16(), reply.headers()["etag"].to_str().unwrap()),
                (status, tag),
                "{known}"
            );
            assert_eq!(reply.headers().contains_key(header::CONTENT_TYPE), status == 200);
        }
    }
}
