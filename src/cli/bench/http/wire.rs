//! Minimal HTTP/1.1 for a load generator: requests are bytes, and of a response only status, length and end
//! matter.
//!
//! One request at a time on a keep-alive connection; responses must have a Content-Length. Nothing else is
//! parsed, so nothing else costs time.

use std::{io, net::SocketAddr, pin::Pin};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

/// The largest response accepted. Responses here have some hundreds of bytes, an upline page some thousands.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The header with the length of the response body.
const LENGTH: &[u8] = b"content-length:";
/// Initial size of the response buffer.
const BUFFER_BYTES: usize = 8 << 10;

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response, valid until the next request is sent.
pub(super) struct Answer<'c> {
    pub status: u16,
    pub body: &'c [u8],
}

impl Connection {
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Sends a request and reads the complete response.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        self.send(request).await?;
        let mut filled = 0;
        loop {
            filled += self.read(filled).await?;
            let Some(head) = Head::parse(&self.buffer[..filled])? else {
                self.make_room(filled)?;
                continue;
            };
            let length = head.bytes + head.content_length;
            if length < filled {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "more than one answer to one request",
                ));
            }
            if length == filled {
                return Ok(Answer { status: head.status, body: &self.buffer[head.bytes..filled] });
            }
            if ANSWER_BYTES_MAX < length {
                return Err(too_long());
            }
            if self.buffer.len() < length {
                self.buffer.resize(length, 0);
            }
        }
    }

    async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error),
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Not `try_read`: that would poll once more before it waits, at the cost of a system call per request.
    async fn read(&mut self, filled: usize) -> io::Result<usize> {
        let (stream, room) = (&mut self.stream, &mut self.buffer[filled..]);
        let mut room = ReadBuf::new(room);
        std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut room)).await?;
        match room.filled().len() {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed before the answer ended",
            )),
            read => Ok(read),
        }
    }

    fn make_room(&mut self, filled: usize) -> io::Result<()> {
        if ANSWER_BYTES_MAX <= filled {
            return Err(too_long());
        }
        if filled == self.buffer.len() {
            self.buffer.resize(2 * filled, 0);
        }
        Ok(())
    }
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "an answer longer than any that is asked for")
}

/// The relevant parts of a response head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Head {
    status: u16,
    /// Including the empty line at its end.
    bytes: usize,
    content_length: usize,
}

impl Head {
    /// Returns `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut lines = Lines(bytes);
        let Some(first) = lines.next() else { return Ok(None) };
        let status = first
            .strip_prefix(b"HTTP/1.1 ")
            .and_then(|rest| number(rest.get(..3)?))
            .ok_or_else(|| invalid("not an HTTP/1.1 answer"))?;
        let status = u16::try_from(status).map_err(|_| invalid("not a status"))?;
        let mut content_length = None;
        while let Some(line) = lines.next() {
            if line.is_empty() {
                let bytes = bytes.len() - lines.0.len();
                let content_length =
                    content_length.ok_or_else(|| invalid("an answer that does not name its length"))?;
                return Ok(Some(Self { status, bytes, content_length }));
            }
            if LENGTH.len() < line.len() && line[..LENGTH.len()].eq_ignore_ascii_case(LENGTH) {
                content_length =
                    Some(number(line[LENGTH.len()..].trim_ascii()).ok_or_else(|| invalid("not a length"))?);
            }
        }
        Ok(None)
    }
}

/// Complete lines that end in CR LF.
struct Lines<'b>(&'b [u8]);

impl<'b> Iterator for Lines<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        let end = self.0.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, rest) = self.0.split_at(end);
        self.0 = &rest[2..];
        Some(line)
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_they_are_whole() {
        let text = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nContent-Length: 5\r\n\r\nhello";
        let head = Head { status: 200, bytes: text.len() - 5, content_length: 5 };
        for end in 0..head.bytes {
            assert_eq!(Head::parse(&text[..end]).unwrap(), None, "{end}");
        }
        for end in head.bytes..=text.len() {
            assert_eq!(Head::parse(&text[..end]).unwrap(), Some(head), "{end}");
        }
        for refused in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ] {
            assert!(Head::parse(refused.as_bytes()).is_err(), "{refused}");
        }
    }

    #[tokio::test]
    async fn an_answer_may_come_in_pieces() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::open(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let long = "x".repeat(3 * BUFFER_BYTES);
        let answer = format!("HTTP/1.1 404 Not Found\r\ncontent-length: {}\r\n\r\n{long}", long.len());
        let serving = tokio::spawn(async move {
            let mut request = [0; 4];
            for text in [answer.as_bytes(), b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"] {
                peer.read_exact(&mut request).await.unwrap();
                for piece in text.chunks(1_000) {
                    peer.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let first = connection.exchange(b"one\n").await.unwrap();
        assert_eq!((first.status, first.body), (404, long.as_bytes()));
        let second = connection.exchange(b"two\n").await.unwrap();
        assert_eq!((second.status, second.body), (200, &b""[..]));
        serving.await.unwrap();
        let ended = connection.exchange(b"end\n").await;
        assert!(ended.is_err(), "the peer is gone");
    }
}
