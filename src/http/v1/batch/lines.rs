//! Lines of a body that arrives in pieces, each with a size limit and a timeout.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::http::v1::problem::Code;

/// The next line.
#[derive(PartialEq, Eq, Debug)]
pub enum Line {
    /// Number, from 1, and text without its line end.
    Text(u64, Bytes),
    /// The line with this number is too long. It is skipped.
    TooLong(u64),
    /// Nothing yet: [`Lines::fill`].
    None,
    End,
    /// The body was truncated, or took too long.
    Failed(Code),
}

/// Splits a body into lines. Holds one piece of the body and at most one unfinished line.
pub struct Lines {
    body: Body,
    /// The unread rest of the last piece.
    piece: Bytes,
    /// The beginning of an unfinished line.
    begun: Vec<u8>,
    /// That line is too long already: nothing of it is kept.
    is_too_long: bool,
    number: u64,
    end: Option<Line>,
    line_bytes_max: usize,
    line_timeout: Duration,
    /// Since when the current line could have come.
    waits_since: Option<Instant>,
}

impl Lines {
    /// A line that is not complete within `line_timeout` fails the body.
    pub fn new(body: Body, line_bytes_max: usize, line_timeout: Duration) -> Self {
        Self {
            body,
            piece: Bytes::new(),
            begun: Vec::new(),
            is_too_long: false,
            number: 0,
            end: None,
            line_bytes_max,
            line_timeout,
            waits_since: None,
        }
    }

    /// Number of lines so far.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Restarts the time for the next line: no lines were accepted meanwhile.
    pub fn restart_clock(&mut self) {
        self.waits_since = None;
    }

    /// The next line, if it has come.
    pub fn next(&mut self) -> Line {
        loop {
            let Some(at) = self.piece.iter().position(|byte| *byte == b'\n') else {
                self.keep_beginning();
                return match &self.end {
                    None => Line::None,
                    Some(Line::Failed(code)) => Line::Failed(*code),
                    Some(_) if self.begun.is_empty() && !self.is_too_long => Line::End,
                    // A last line need not have a line end.
                    Some(_) => match self.finish(Bytes::new()) {
                        Line::None => Line::End,
                        line => line,
                    },
                };
            };
            let rest = self.piece.split_to(at);
            let _newline = self.piece.split_to(1);
            match self.finish(rest) {
                Line::None => {}
                line => return line,
            }
        }
    }

    /// Keeps the beginning of a line until its end comes.
    fn keep_beginning(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        if self.line_bytes_max < self.begun.len() + piece.len() {
            self.is_too_long = true;
            self.begun = Vec::new();
        }
        if !self.is_too_long {
            self.begun.extend_from_slice(&piece);
        }
    }

    /// The line that ends with `rest`; `None` when it is empty.
    fn finish(&mut self, rest: Bytes) -> Line {
        self.number += 1;
        let begun = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.is_too_long) || self.line_bytes_max < begun.len() + rest.len() {
            self.waits_since = None;
            return Line::TooLong(self.number);
        }
        let text = if begun.is_empty() { rest } else { [&begun[..], &rest].concat().into() };
        if text.iter().all(u8::is_ascii_whitespace) {
            // The clock is not reset: empty lines do not count as input.
            return Line::None;
        }
        self.waits_since = None;
        Line::Text(self.number, text)
    }

    /// Waits for more of the body. Cancel safe.
    pub async fn fill(&mut self) {
        if self.end.is_some() || !self.piece.is_empty() {
            return;
        }
        let deadline = *self.waits_since.get_or_insert_with(Instant::now) + self.line_timeout;
        self.end = match tokio::time::timeout_at(deadline, self.body.frame()).await {
            Err(_) => Some(Line::Failed(Code::BodyTooSlow)),
            Ok(None) => Some(Line::End),
            Ok(Some(Err(_))) => Some(Line::Failed(Code::BodyMalformed)),
            Ok(Some(Ok(frame))) => {
                self.piece = frame.into_data().unwrap_or_default();
                None
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        pin::Pin,
        task::{Context, Poll},
    };

    use axum::body::HttpBody;
    use http_body::Frame;

    use super::*;
    use crate::http::limits::BATCH_LINE_BYTES_MAX;

    struct Pieces {
        pieces: VecDeque<Bytes>,
        end: &'static str,
    }

    impl HttpBody for Pieces {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            match (self.pieces.pop_front(), self.end) {
                (Some(piece), _) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                (None, "hangs") => Poll::Pending,
                (None, "breaks") => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
                (None, _) => Poll::Ready(None),
            }
        }
    }

    async fn lines_of(text: &[u8], size: usize, end: &'static str) -> Vec<Line> {
        let pieces = text.chunks(size).map(Bytes::copy_from_slice).collect();
        let body = Body::new(Pieces { pieces, end });
        let mut lines = Lines::new(body, BATCH_LINE_BYTES_MAX, Duration::from_millis(30));
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Line::None => lines.fill().await,
                line => {
                    let is_last = matches!(line, Line::End | Line::Failed(_));
                    found.push(line);
                    if is_last {
                        return found;
                    }
                }
            }
            assert!(lines.begun.len() <= BATCH_LINE_BYTES_MAX, "bounded");
        }
    }

    #[tokio::test]
    async fn lines_are_the_same_however_the_body_is_cut() {
        let longest = "x".repeat(BATCH_LINE_BYTES_MAX);
        let text = format!("one\r\n\n  \ntwo\n{longest}\n{longest}x\n{longest}{longest}\nlast");
        let line = |number, text: &str| Line::Text(number, Bytes::copy_from_slice(text.as_bytes()));
        for size in [1, 2, 7, 4_095, 4_096, 4_097, 100_000] {
            let found = lines_of(text.as_bytes(), size, "").await;
            let expected = [
                line(1, "one\r"),
                line(4, "two"),
                line(5, &longest),
                Line::TooLong(6),
                Line::TooLong(7),
                line(8, "last"),
                Line::End,
            ];
            assert_eq!(found, expected, "pieces of {size}");
        }
        assert_eq!(lines_of(b"", 1, "").await, [Line::End]);
        assert_eq!(lines_of(b"\n\n", 1, "").await, [Line::End]);
    }

    /// An empty line at intervals, forever.
    struct Trickle(Pin<Box<tokio::time::Sleep>>);

    impl HttpBody for Trickle {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            std::task::ready!(self.0.as_mut().poll(cx));
            self.0.set(tokio::time::sleep(Duration::from_secs(5)));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" \n")))))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn empty_lines_buy_no_time() {
        let begin = Instant::now();
        let mut lines = Lines::new(
            Body::new(Trickle(Box::pin(tokio::time::sleep(Duration::ZERO)))),
            BATCH_LINE_BYTES_MAX,
            Duration::from_secs(12),
        );
        let ended = loop {
            match lines.next() {
                Line::None => lines.fill().await,
                line => break line,
            }
        };
        assert_eq!((ended, begin.elapsed().as_secs()), (Line::Failed(Code::BodyTooSlow), 12));
    }

    #[tokio::test]
    async fn what_broke_off_is_no_line() {
        let one = Line::Text(1, Bytes::from_static(b"one"));
        assert_eq!(lines_of(b"one\ntw", 100, "breaks").await, [one, Line::Failed(Code::BodyMalformed)]);
        let one = Line::Text(1, Bytes::from_static(b"one"));
        assert_eq!(lines_of(b"one\ntw", 100, "hangs").await, [one, Line::Failed(Code::BodyTooSlow)]);
    }
}
