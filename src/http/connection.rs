//! A TCP stream that gives up on inactive peers.
//!
//! Hyper's own header timeout also ends connections that are idle between two requests, so one number would
//! have to serve both slow attackers and pooled gateways. Here the two differ, and a stalled reader is cut as
//! well.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use super::{crowd::Seat, limits::Limits};

/// The state of the connection's conversation; set by the service, read by the stream.
pub struct Phase {
    seat: Arc<Seat>,
    /// Requests whose head was read.
    requests: AtomicU64,
    /// True from a request's head to the end of its answer's body.
    answering: AtomicBool,
    /// The peer was seen to send no more: it closed its sending half, or the whole connection.
    finished: AtomicBool,
}

impl Phase {
    /// The phase of a newly accepted connection.
    pub fn new(seat: Arc<Seat>) -> Self {
        Self {
            seat,
            requests: AtomicU64::new(0),
            answering: AtomicBool::new(false),
            finished: AtomicBool::new(false),
        }
    }

    /// Begins a request, which ends when the guard is dropped. Returns `None` when the connection was told to
    /// end before.
    pub fn begin(self: &Arc<Self>) -> Option<Answering> {
        if !self.seat.begin() {
            return None;
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.answering.store(true, Ordering::Relaxed);
        Some(Answering(Arc::clone(self)))
    }
}

/// Lives as long as a request is being answered.
pub struct Answering(Arc<Phase>);

impl Answering {
    /// The peer being answered.
    pub fn peer(&self) -> Peer {
        Peer(Arc::clone(&self.0))
    }

    /// The connection's seat.
    pub fn seat(&self) -> &Arc<Seat> {
        &self.0.seat
    }
}

/// The other end of a connection. An extension of requests whose answer has no end of its own.
#[derive(Clone)]
pub struct Peer(Arc<Phase>);

impl Peer {
    /// Whether the peer sends no more. It may still be reading, or be gone: a write tells, the second one at
    /// the latest.
    pub fn has_finished(&self) -> bool {
        self.0.finished.load(Ordering::Relaxed)
    }
}

/// State of the other end, as known without reading from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Open,
    /// It sends no more.
    Finished,
    /// It receives nothing more either.
    Gone,
}

/// A stream that knows the state of its other end.
pub trait Ended {
    fn end(&self) -> End;
}

impl Ended for TcpStream {
    fn end(&self) -> End {
        // Uses only cached readiness: no system call, no wait.
        match self.ready(Interest::READABLE | Interest::WRITABLE).now_or_never() {
            Some(Ok(ready)) if ready.is_write_closed() => End::Gone,
            Some(Ok(ready)) if ready.is_read_closed() => End::Finished,
            Some(Ok(_)) | None => End::Open,
            Some(Err(_)) => End::Gone,
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.store(false, Ordering::Relaxed);
        self.0.seat.end();
    }
}

/// The stream with its deadlines. All state of one connection is used in one task, so relaxed atomics are
/// enough.
pub struct Guarded<S> {
    stream: S,
    phase: Arc<Phase>,
    head_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// `Phase::requests` at the last attempt to read.
    requests_seen: u64,
    /// Deadline for the next head, or the next request.
    read_deadline: Option<Instant>,
    /// Whether the deadline is that of a head in progress.
    head_has_begun: bool,
    read_sleep: Option<Pin<Box<Sleep>>>,
    /// Armed while a write waits.
    write_sleep: Option<Pin<Box<Sleep>>>,
    write_waits: bool,
}

impl<S> Guarded<S> {
    pub fn new(stream: S, phase: Arc<Phase>, limits: &Limits) -> Self {
        Self {
            stream,
            phase,
            head_timeout: limits.head_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            requests_seen: 0,
            // A new connection is expected to send a request.
            read_deadline: Some(Instant::now() + limits.head_timeout),
            head_has_begun: true,
            read_sleep: None,
            write_sleep: None,
            write_waits: false,
        }
    }

    /// Resets the head's deadline when a request has gone through since the last check.
    fn notice_requests(&mut self) {
        let requests = self.phase.requests.load(Ordering::Relaxed);
        if requests != self.requests_seen {
            self.requests_seen = requests;
            self.read_deadline = None;
            self.head_has_begun = false;
        }
    }

    /// Notes that bytes came in.
    fn note_bytes(&mut self) {
        if !self.head_has_begun && !self.phase.answering.load(Ordering::Relaxed) {
            self.head_has_begun = true;
            self.read_deadline = Some(Instant::now() + self.head_timeout);
        }
    }

    /// Nothing to read: checks the peer's deadline.
    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.phase.answering.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let deadline = *self.read_deadline.get_or_insert_with(|| Instant::now() + self.idle_timeout);
        let sleep = self.read_sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, "the peer sent no request in time"))
    }

    /// Handles the result of a write: progress disarms the deadline, waiting arms it.
    fn guard_write<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if std::mem::take(&mut self.write_waits) {
                self.phase.seat.flow();
            }
            return written;
        }
        let timeout = self.write_timeout;
        let sleep = self.write_sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if !self.write_waits {
            self.write_waits = true;
            self.phase.seat.stall();
            sleep.as_mut().reset(Instant::now() + timeout);
        }
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.notice_requests();
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                if before < buffer.filled().len() {
                    self.note_bytes();
                }
                // A peer that trickles bytes is always ready: look at the clock here too.
                let late = self.head_has_begun
                    && !self.phase.answering.load(Ordering::Relaxed)
                    && self.read_deadline.is_some_and(|deadline| deadline <= Instant::now());
                if late {
                    return Poll::Ready(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the head took too long",
                    )));
                }
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_read_deadline(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Ended + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.guard_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.guard_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper does not read while it answers, so an end is noticed here: it flushes whenever the body was
        // asked for more.
        match self.stream.end() {
            End::Open => {}
            End::Finished => self.phase.finished.store(true, Ordering::Relaxed),
            End::Gone => {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, "the peer is gone")));
            }
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.guard_write(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.guard_write(shut, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    impl Ended for DuplexStream {
        fn end(&self) -> End {
            End::Open
        }
    }

    fn limits() -> Limits {
        Limits {
            head_timeout: Duration::from_millis(50),
            idle_timeout: Duration::from_millis(400),
            write_timeout: Duration::from_millis(50),
            ..Limits::default()
        }
    }

    fn guarded() -> (Guarded<DuplexStream>, DuplexStream, Arc<Phase>) {
        let (near, far) = duplex(64);
        let phase = Arc::new(Phase::new(crate::http::crowd::a_seat()));
        (Guarded::new(near, Arc::clone(&phase), &limits()), far, phase)
    }

    /// The clock is tokio's and stands still while anything runs, so this measures the time waited, to the
    /// timer's millisecond.
    fn assert_about(expected: Duration, begin: Instant) {
        let waited = begin.elapsed();
        assert!((expected..=expected + Duration::from_millis(2)).contains(&waited), "{waited:?}");
    }

    async fn read_some(stream: &mut Guarded<DuplexStream>) -> io::Result<usize> {
        stream.read(&mut [0; 16]).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_cut_after_the_head_timeout() {
        let (mut stream, _far, _) = guarded();
        let begin = Instant::now();
        assert_eq!(read_some(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_about(Duration::from_millis(50), begin);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_is_cut_too() {
        let (mut stream, mut far, _) = guarded();
        let trickle = tokio::spawn(async move {
            while far.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let begin = Instant::now();
        let error = loop {
            if let Err(error) = read_some(&mut stream).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_about(Duration::from_millis(50), begin);
        drop(stream);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_more_time_and_while_answering_there_is_no_end() {
        let (mut stream, mut far, phase) = guarded();
        far.write_all(b"GET").await.unwrap();
        assert_eq!(read_some(&mut stream).await.unwrap(), 3);
        let answering = phase.begin();
        let while_answering = tokio::time::timeout(Duration::from_millis(600), read_some(&mut stream)).await;
        assert!(while_answering.is_err(), "cut while answering");
        drop(answering);
        let begin = Instant::now();
        assert_eq!(read_some(&mut stream).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_about(Duration::from_millis(400), begin);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut() {
        let (mut stream, _far, _) = guarded();
        let error = stream.write_all(&[0; 1_024]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
