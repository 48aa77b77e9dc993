//! Reading request bodies within their limits.

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, HeaderName, Version, header, request::Parts},
};
use http_body_util::BodyExt;

use super::limits::Limits;

/// A request's body, once read. An extension of the request, which every route gets with an empty body in its
/// place.
#[derive(Clone, Default)]
pub struct Content(pub Bytes);

/// Why a body was not read to its end. The connection closes after that answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadError {
    TooLarge,
    /// It was truncated or misframed.
    Broken,
    TooSlow,
}

/// Whether a body is compressed, or has any encoding other than chunked. Such bodies are not read: a few
/// bytes could expand to very many.
pub fn is_encoded(headers: &HeaderMap) -> bool {
    let parts = |name: HeaderName| {
        headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
    };
    let is_plain = |part: &[u8], plain: &[&[u8]]| {
        plain.iter().any(|plain| part.trim_ascii().eq_ignore_ascii_case(plain))
    };
    !parts(header::CONTENT_ENCODING).all(|part| is_plain(part, &[b"", b"identity"]))
        || !parts(header::TRANSFER_ENCODING).all(|part| is_plain(part, &[b"", b"identity", b"chunked"]))
}

/// Whether the client sends the body only after it was told to continue, which reading the body does.
pub fn is_held_back(parts: &Parts) -> bool {
    let mut expected = parts.headers.get_all(header::EXPECT).iter();
    Version::HTTP_11 <= parts.version
        && expected.any(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads a body. One that `is_held_back` is refused by its declared length before anything of it is sent; any
/// other is read for a while, so that its client sees the answer.
///
/// # Errors
/// See [`ReadError`].
pub async fn read(body: Body, is_held_back: bool, limits: &Limits) -> Result<Bytes, ReadError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let most = if is_held_back { limits.body_bytes_max } else { limits.body_discard_max };
    if u64::try_from(most).is_ok_and(|most| most < body.size_hint().lower()) {
        return Err(ReadError::TooLarge);
    }
    let mut length = 0;
    match tokio::time::timeout(limits.body_timeout, read_bounded(body, limits, &mut length)).await {
        Ok(read) => read,
        Err(_) if limits.body_bytes_max < length => Err(ReadError::TooLarge),
        Err(_) => Err(ReadError::TooSlow),
    }
}

/// `length` counts what was read, also for a caller that gives up.
async fn read_bounded(mut body: Body, limits: &Limits, length: &mut usize) -> Result<Bytes, ReadError> {
    let mut first = Bytes::new();
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ReadError::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        let before = *length;
        *length += data.len();
        if limits.body_discard_max < *length {
            return Err(ReadError::TooLarge);
        }
        if limits.body_bytes_max < *length {
            // Keep reading, but discard.
            whole = Vec::new();
        } else if before == 0 {
            // Nearly all bodies come in one piece, which needs no copy.
            first = data;
        } else {
            if whole.is_empty() {
                whole.extend_from_slice(&first);
            }
            whole.extend_from_slice(&data);
        }
    }
    if limits.body_bytes_max < *length {
        return Err(ReadError::TooLarge);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
        time::Duration,
    };

    use http_body::Frame;

    use super::*;

    /// A body that comes in these pieces and then ends, or hangs.
    struct Pieces {
        pieces: VecDeque<&'static [u8]>,
        hangs: bool,
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.pieces.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(piece))))),
                None if self.hangs => Poll::Pending,
                None => Poll::Ready(None),
            }
        }
    }

    async fn read_pieces(pieces: &[&'static [u8]], hangs: bool) -> Result<Bytes, ReadError> {
        let limits = Limits {
            body_bytes_max: 8,
            body_discard_max: 20,
            body_timeout: Duration::from_millis(30),
            ..Limits::default()
        };
        let body = Body::new(Pieces { pieces: pieces.iter().copied().collect(), hangs });
        read(body, false, &limits).await
    }

    #[test]
    fn encodings_are_noticed() {
        // headers, whether the body is encoded
        let table: [(&[(&str, &str)], bool); 9] = [
            (&[], false),
            (&[("content-encoding", "identity")], false),
            (&[("content-encoding", "Identity, ")], false),
            (&[("content-encoding", "gzip")], true),
            (&[("content-encoding", "identity, br")], true),
            (&[("content-encoding", "identity"), ("content-encoding", "zstd")], true),
            (&[("content-encoding", "chunked")], true),
            (&[("transfer-encoding", "chunked")], false),
            (&[("transfer-encoding", "gzip, chunked")], true),
        ];
        for (pairs, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
            }
            assert_eq!(is_encoded(&headers), expected, "{pairs:?}");
        }
    }

    #[tokio::test]
    async fn bodies_are_whole_or_refused() {
        assert_eq!(read_pieces(&[], false).await, Ok(Bytes::new()));
        assert_eq!(read_pieces(&[b"abc"], false).await, Ok(Bytes::from_static(b"abc")));
        assert_eq!(
            read_pieces(&[b"abc", b"", b"de", b"fgh"], false).await,
            Ok(Bytes::from_static(b"abcdefgh"))
        );
        assert_eq!(read_pieces(&[b"abcde", b"fghi"], false).await, Err(ReadError::TooLarge));
        assert_eq!(
            read_pieces(&[b"0123456789", b"0123456789", b"0"], true).await,
            Err(ReadError::TooLarge),
            "what is far too large is not read to its end"
        );
        assert_eq!(read_pieces(&[b"abc"], true).await, Err(ReadError::TooSlow));
        assert_eq!(
            read_pieces(&[b"abcdefghi"], true).await,
            Err(ReadError::TooLarge),
            "what is too large is no less so for want of an end"
        );
    }
}
