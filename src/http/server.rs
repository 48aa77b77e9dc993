//! The accept loop: takes connections, bounds them, and lets them end when the process stops.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use super::{
    Options,
    auth::Gate,
    connection::{Guarded, Phase},
    limits::{ACCEPT_REST, HEADERS_MAX, LISTEN_BACKLOG, open_files_max},
    service::{Service, Shared},
};
use crate::{engine::Engine, metrics::Metrics};

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Bind { address: SocketAddr, source: io::Error },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => " (another process listens there; choose another port, or 0 for any free one)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need a privilege)",
        io::ErrorKind::AddrNotAvailable => " (this machine does not have that address)",
        _ => "",
    }
}

/// A server that listens already and answers once it runs.
pub struct Server {
    listener: TcpListener,
    service: Service,
}

/// Where the engine goes once it is open. Until then everything that needs it answers 503.
#[derive(Clone)]
pub struct EngineSlot(Arc<Shared>);

impl EngineSlot {
    /// Gives the engine to the server. Only the first one counts.
    pub fn set(&self, engine: Engine) {
        if self.0.engine.set(engine).is_err() {
            tracing::warn!("the server has an engine already");
        }
    }
}

/// How the server stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Connections that were still busy when their time was over.
    pub cut: usize,
}

/// What connections are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Serve,
    /// End after the answer in hand.
    Drain,
    /// End now.
    Cut,
}

impl Server {
    /// Listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn bind(mut options: Options, metrics: Arc<Metrics>, gate: Arc<Gate>) -> Result<Self, ServeError> {
        let address = options.address;
        let listener = listen(address).map_err(|source| ServeError::Bind { address, source })?;
        let address = listener.local_addr().map_err(|source| ServeError::Bind { address, source })?;
        let wanted = options.limits.connections_max;
        options.limits = options.limits.within_open_files(open_files_max());
        let allowed = options.limits.connections_max;
        if allowed < wanted {
            tracing::warn!(wanted, allowed, "the limit of open files allows fewer connections than configured (see `ulimit -n`)");
        }
        options.address = address;
        Ok(Self { listener, service: Service::new(Shared::new(options, metrics, gate)) })
    }

    /// The address with the port that is really listened on.
    pub fn address(&self) -> SocketAddr {
        self.service.shared().options.address
    }

    /// Where to put the engine.
    pub fn engine_slot(&self) -> EngineSlot {
        EngineSlot(Arc::clone(self.service.shared()))
    }

    /// Serves until `shutdown` comes, then lets running requests end for at most `Limits::drain_timeout`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { listener, service } = self;
        let shared = Arc::clone(service.shared());
        let connections_max = shared.options.limits.connections_max;
        let permits = Arc::new(Semaphore::new(connections_max));
        let (orders, order) = watch::channel(Order::Serve);
        let mut shutdown = std::pin::pin!(shutdown);
        let watch = tokio::spawn(Arc::clone(&shared.gate).watch());
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&permits).try_acquire_owned() {
                    Ok(permit) => {
                        shared.metrics.http.connections_accepted.increment(1);
                        tokio::spawn(serve_connection(stream, peer.ip(), service.clone(), order.clone(), permit));
                    }
                    Err(_) => refuse(&shared, &stream),
                },
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
        shared.draining.store(true, Ordering::Relaxed);
        drop(listener);
        // Until the last request is answered the keys stay as they are.
        watch.abort();
        drain(&orders, &permits, connections_max, shared.options.limits.drain_timeout).await
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    // A restarted server must not wait for the old one's connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Errors that say something about one connection, not about us.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted
    )
}

/// Tells one connection too many so. Whoever does not take these few bytes at once does not get them: nothing may pile up here.
fn refuse(shared: &Shared, stream: &TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nserver: uvicorn\r\ncontent-type: application/json\r\n\
        content-length: 33\r\nretry-after: 1\r\nconnection: close\r\n\r\n{\"detail\":\"Too many connections\"}";
    shared.metrics.http.connections_refused.increment(1);
    let _ = stream.try_write(ANSWER);
}

async fn serve_connection(
    stream: TcpStream,
    peer: IpAddr,
    service: Service,
    mut order: watch::Receiver<Order>,
    _permit: OwnedSemaphorePermit,
) {
    let shared = Arc::clone(service.shared());
    let limits = &shared.options.limits;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection lost before it began");
        return;
    }
    shared.metrics.http.connections.increment(1.0);
    let phase = Arc::new(Phase::default());
    let io = TokioIo::new(Guarded::new(stream, Arc::clone(&phase), limits));
    let answer = hyper::service::service_fn(move |request| {
        let answering = phase.begin();
        let service = service.clone();
        async move { service.answer(request, peer, answering).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `Guarded` has the finer timeouts; this one only backs them up.
        .header_read_timeout(limits.idle_timeout + limits.head_timeout)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(HEADERS_MAX)
        // Who closes its sending half after the request still reads: it gets its answer in full. Who closed all of the connection is found
        // by what is written, or by the limits of an answer's time.
        .half_close(true)
        .serve_connection(io, answer);
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                break;
            }
            changed = order.changed() => match *order.borrow_and_update() {
                Order::Serve if changed.is_ok() => {}
                Order::Drain => connection.as_mut().graceful_shutdown(),
                Order::Serve | Order::Cut => break,
            }
        }
    }
    shared.metrics.http.connections.decrement(1.0);
}

/// Lets connections end, then cuts those that do not.
async fn drain(orders: &watch::Sender<Order>, permits: &Semaphore, connections_max: usize, drain_timeout: Duration) -> Drained {
    /// How long tasks get to notice that they are cut.
    const CUT_GRACE: Duration = Duration::from_millis(500);
    let all = u32::try_from(connections_max).unwrap_or(u32::MAX);
    orders.send_replace(Order::Drain);
    if timeout(drain_timeout, permits.acquire_many(all)).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = connections_max - permits.available_permits();
    tracing::warn!(cut, "connections were still busy and are cut");
    orders.send_replace(Order::Cut);
    let _ = timeout(CUT_GRACE, permits.acquire_many(all)).await;
    Drained { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = taken.local_addr().unwrap();
        let error = ServeError::Bind { address, source: listen(address).unwrap_err() };
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("another process"), "{text}");
    }

    #[tokio::test]
    async fn a_connection_too_many_is_told_so_with_the_right_length() {
        use tokio::io::AsyncReadExt;
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let options = Options {
            address: listener.local_addr().unwrap(),
            limits: super::super::Limits::default(),
            test_data: false,
            none_parent_is_null: true,
            plan_text: None,
        };
        let metrics = Metrics::new(super::super::routes());
        let gate = Gate::off(&metrics);
        refuse(&Shared::new(options, metrics, gate), &stream);
        drop(stream);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 ") && head.contains(&format!("content-length: {}\r\n", body.len())), "{answer}");
    }
}
