//! Connections without a seat: those that have not yet shown whether they are a probe, and those being
//! refused.
//!
//! When the main room is full of busy connections, a new one waits on the doorstep until its head is there. A
//! probe then gets a spare seat, and everything else is refused at once: it never takes a seat that a probe
//! could need. Meanwhile the connection is only peeked at, so a probe is answered as on any other seat.

use std::{io, net::Shutdown, sync::Arc, time::Duration};

use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use super::{
    edge::Edge,
    limits::{
        DOORSTEP_HEAD_BYTES_MAX, DOORSTEP_TIME, LEAVING_BYTES_MAX, LEAVING_MAX, LEAVING_TIME,
        RETRY_SOON_SECONDS,
    },
    routing::is_spare,
};
use crate::metrics::ConnectionRefused;

/// How long to wait for more of a partial head: the system reports only that bytes are there, not that there
/// are more.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// What a connection wants, as far as the beginning of its head shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wants {
    /// Its head is complete, and asks for a path that spare seats answer.
    Probe,
    Else(Edge),
    /// Its head is not there yet.
    Unsaid,
}

/// Parses the beginning of a head.
fn wants(head: &[u8]) -> Wants {
    let text = String::from_utf8_lossy(head);
    let Some((line, _)) = text.split_once('\n') else {
        return if head.len() < DOORSTEP_HEAD_BYTES_MAX { Wants::Unsaid } else { Wants::Else(Edge::Dropin) };
    };
    let target = line.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let is_whole = text.contains("\r\n\r\n") || text.contains("\n\n");
    match (is_spare(path), is_whole) {
        (true, true) => Wants::Probe,
        (true, false) if head.len() < DOORSTEP_HEAD_BYTES_MAX => Wants::Unsaid,
        (true, false) => Wants::Else(Edge::Dropin),
        (false, _) => Wants::Else(Edge::of(path)),
    }
}

/// Waits until a connection has said what it wants. Returns `Unsaid` when its time is over, or it sends no
/// more.
pub async fn listen(stream: &TcpStream) -> Wants {
    let mut head = [0; DOORSTEP_HEAD_BYTES_MAX];
    let end = Instant::now() + DOORSTEP_TIME;
    let mut seen = 0;
    while let Ok(Ok(there)) = tokio::time::timeout_at(end, stream.peek(&mut head)).await {
        match wants(&head[..there]) {
            Wants::Unsaid if there == 0 => break,
            Wants::Unsaid => {
                if there == seen && end <= Instant::now() {
                    break;
                }
                seen = there;
                sleep(LOOK_AGAIN).await;
            }
            said => return said,
        }
    }
    Wants::Unsaid
}

/// Refuses connections; the number of those that linger is bounded.
#[derive(Clone)]
pub struct Farewells(Arc<Semaphore>);

impl Farewells {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(LEAVING_MAX)))
    }

    /// Tells a connection that there is no room for it, and closes it. Closing with unread bytes resets the
    /// connection, and its client may lose the answer: so only the sending half is closed at first, and input
    /// is read and dropped for a moment. When too many are lingering already, further ones are closed at
    /// once.
    pub fn tell(&self, stream: TcpStream, refusal: ConnectionRefused, edge: Edge) {
        let answer = answer(refusal, edge);
        // A client that does not take these few bytes at once does not get them: nothing may pile up here.
        if stream.try_write(answer.as_bytes()).is_ok()
            && let Ok(place) = Arc::clone(&self.0).try_acquire_owned()
        {
            tokio::spawn(async move {
                _ = timeout(LEAVING_TIME, read_out(stream)).await;
                drop(place);
            });
        }
    }
}

/// Closes the sending half, and reads until the other end has closed too, or has sent too much.
async fn read_out(stream: TcpStream) {
    let mut dropped = [0; 4_096];
    let mut left = LEAVING_BYTES_MAX;
    if socket2::SockRef::from(&stream).shutdown(Shutdown::Write).is_err() {
        return;
    }
    while left != 0 && stream.readable().await.is_ok() {
        match stream.try_read(&mut dropped) {
            Ok(read @ 1..) => left = left.saturating_sub(read),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
        }
    }
}

/// 503, in the wording of the API whose path was asked for.
fn answer(refusal: ConnectionRefused, edge: Edge) -> String {
    let words = match refusal {
        ConnectionRefused::Busy => "Too many connections",
        ConnectionRefused::Address => "Too many connections from this address",
    };
    let (media_type, body) = edge.unavailable_text(words);
    format!(
        "HTTP/1.1 503 Service Unavailable\r\nserver: {}\r\ncontent-type: {media_type}\r\n\
         content-length: {}\r\nretry-after: {RETRY_SOON_SECONDS}\r\nconnection: close\r\n\r\n{body}",
        edge.server(),
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn probes_are_told_from_everything_else_by_their_heads() {
        let long = format!("GET /livez HTTP/1.1\r\nx: {}", "a".repeat(DOORSTEP_HEAD_BYTES_MAX));
        // beginning of a head, what it wants
        let table = [
            ("", Wants::Unsaid),
            ("GET /livez HT", Wants::Unsaid),
            ("GET /livez HTTP/1.1\r\nhost: a\r\n", Wants::Unsaid),
            ("GET /livez HTTP/1.1\r\nhost: a\r\n\r\n", Wants::Probe),
            ("HEAD /readyz?x=1 HTTP/1.1\r\n\r\n", Wants::Probe),
            ("GET /metrics HTTP/1.1\nhost: a\n\n", Wants::Probe),
            ("GET /livezz HTTP/1.1\r\n", Wants::Else(Edge::Dropin)),
            ("POST /v1/members HTTP/1.1\r\nhost", Wants::Else(Edge::V1)),
            ("POST /user/register HTTP/1.1\r\n", Wants::Else(Edge::Dropin)),
            ("\r\n", Wants::Else(Edge::Dropin)),
            ("\u{16}\u{3}\u{1}\n", Wants::Else(Edge::Dropin)),
            (&long[..DOORSTEP_HEAD_BYTES_MAX], Wants::Else(Edge::Dropin)),
        ];
        for (head, expected) in table {
            assert_eq!(wants(head.as_bytes()), expected, "{head:?}");
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_head_that_comes_in_pieces_is_waited_for() {
        let (mut client, stream) = pair().await;
        let listening = tokio::spawn(async move { listen(&stream).await });
        for piece in ["GET /li", "vez HTTP/1.1\r\nhost: a", "\r\n\r\n"] {
            client.write_all(piece.as_bytes()).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(listening.await.unwrap(), Wants::Probe);
        let (client, stream) = pair().await;
        drop(client);
        assert_eq!(listen(&stream).await, Wants::Unsaid, "gone");
    }

    /// A request left unread when its connection is closed would reset it.
    #[tokio::test]
    async fn who_is_sent_away_gets_the_answer_whatever_it_has_sent() {
        for (refusal, edge) in
            [(ConnectionRefused::Address, Edge::Dropin), (ConnectionRefused::Busy, Edge::V1)]
        {
            let (mut client, stream) = pair().await;
            client
                .write_all(b"POST /v1/members HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{}")
                .await
                .unwrap();
            stream.readable().await.unwrap();
            Farewells::new().tell(stream, refusal, edge);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("no reset");
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with("HTTP/1.1 503 ")
                    && head.contains(&format!("content-length: {}\r\n", body.len())),
                "{answer}"
            );
            let json: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(json["detail"].as_str().unwrap().starts_with("Too many connections"), "{body}");
            assert_eq!(json.get("code").is_some(), edge == Edge::V1);
        }
    }
}
