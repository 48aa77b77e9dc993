//! The accept loop: accepts connections, bounds them, and drains them when the process stops.

use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpStream, sync::watch, time::timeout};

use super::{
    Options,
    auth::Gate,
    connection::{Guarded, Phase},
    context::Shared,
    crowd::{Crowd, Guest, Room},
    doorstep::{self, Farewells, Wants},
    edge::Edge,
    limits::{ACCEPT_REST, HEADERS_MAX, open_files_max},
    listeners::{Listener, Listeners, ServeError},
    service::Service,
};
use crate::{
    engine::Engine,
    metrics::{ConnectionRefused, Metrics},
};

/// A server that is already listening, and answers once it runs.
pub struct Server {
    listeners: Listeners,
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
    /// Connections that were still busy at the deadline.
    pub cut: usize,
}

/// Orders to connections.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Serve,
    /// End after the current answer.
    Drain,
    /// End now.
    Cut,
}

impl Server {
    /// Listens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub fn bind(mut options: Options, metrics: Arc<Metrics>, gate: Arc<Gate>) -> Result<Self, ServeError> {
        let listeners = Listeners::bind(&mut options)?;
        let wanted = options.limits.connections_max;
        options.limits = options.limits.within_open_files(open_files_max());
        let allowed = options.limits.connections_max;
        if allowed < wanted {
            tracing::warn!(
                wanted,
                allowed,
                "the limit of open files allows fewer connections than configured (see `ulimit -n`)"
            );
        }
        Ok(Self { listeners, service: Service::new(Shared::new(options, metrics, gate)) })
    }

    /// The address with the actual port.
    pub fn address(&self) -> SocketAddr {
        self.service.shared().options.address
    }

    /// The same for the operations listener, if there is one.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.service.shared().options.ops_address
    }

    /// Where to put the engine.
    pub fn engine_slot(&self) -> EngineSlot {
        EngineSlot(Arc::clone(self.service.shared()))
    }

    /// Serves until `shutdown` completes, then lets running requests finish for at most
    /// `Limits::drain_timeout`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { listeners, service } = self;
        let shared = Arc::clone(service.shared());
        let crowd = Crowd::new(&shared.options.limits, Arc::clone(&shared.metrics));
        let (orders, order) = watch::channel(Order::Serve);
        let watch = tokio::spawn(Arc::clone(&shared.gate).watch());
        let serve = Serve { service, crowd: Arc::clone(&crowd), farewells: Farewells::new() };
        tokio::select! {
            biased;
            () = shutdown => {}
            never = accept_loop(&listeners.ops, &serve, &order) => match never {},
            never = accept_loop(&listeners.main, &serve, &order) => match never {},
        }
        shared.draining.store(true, Ordering::Relaxed);
        drop(listeners);
        // Keys stay unchanged until the last request is answered.
        watch.abort();
        drain(&orders, &crowd, shared.options.limits.drain_timeout).await
    }
}

/// Accepts the connections of a listener, and serves each in a task of its own, until it is dropped.
async fn accept_loop(listener: &Listener, serve: &Serve, order: &watch::Receiver<Order>) -> Infallible {
    let shared = serve.service.shared();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let is_proxy = shared.gate.trusts(peer.ip());
                match serve.crowd.seat_soon(peer.ip(), is_proxy, listener.is_ops).await {
                    Ok(guest) => {
                        shared.metrics.http.connections_accepted.increment(1);
                        tokio::spawn(serve.clone().connection(stream, peer, order.clone(), guest));
                    }
                    Err(refusal) => {
                        shared.metrics.http.refused(refusal);
                        serve.farewells.tell(stream, refusal, Edge::Dropin);
                    }
                }
            }
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Errors that concern one connection, not the listener.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// State that a connection needs.
#[derive(Clone)]
struct Serve {
    service: Service,
    crowd: Arc<Crowd>,
    farewells: Farewells,
}

impl Serve {
    /// Serves a connection, once it has a seat.
    async fn connection(
        self,
        stream: TcpStream,
        peer: SocketAddr,
        mut order: watch::Receiver<Order>,
        guest: Guest,
    ) {
        if guest.seat().room() == Room::Doorstep {
            let wants = tokio::select! {
                wants = doorstep::listen(&stream) => wants,
                _ = order.changed() => Wants::Unsaid,
                () = guest.seat().is_cut() => Wants::Unsaid,
            };
            if wants != Wants::Probe || !self.crowd.seat_probe(guest.seat()) {
                // Its seat is free before it has left.
                drop(guest);
                self.service.shared().metrics.http.refused(ConnectionRefused::Busy);
                let edge = if let Wants::Else(edge) = wants { edge } else { Edge::Dropin };
                self.farewells.tell(stream, ConnectionRefused::Busy, edge);
                return;
            }
        }
        serve_connection(stream, peer, self.service, order, guest).await;
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: Service,
    mut order: watch::Receiver<Order>,
    guest: Guest,
) {
    let shared = Arc::clone(service.shared());
    let limits = &shared.options.limits;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "connection lost before it began");
        return;
    }
    shared.metrics.http.connections.increment(1.0);
    let (seat, peer) = (Arc::clone(guest.seat()), peer.ip());
    let phase = Arc::new(Phase::new(Arc::clone(&seat)));
    let io = TokioIo::new(Guarded::new(stream, Arc::clone(&phase), limits));
    let answer = hyper::service::service_fn(move |request| {
        let answering = phase.begin();
        let service = service.clone();
        async move {
            // The connection was evicted just before: treat it as closed before the request came.
            let Some(answering) = answering else {
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            };
            let Ok(answer) = service.answer(request, peer, answering).await;
            Ok(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `Guarded` has the finer timeouts; this one only backs them up.
        .header_read_timeout(limits.idle_timeout + limits.head_timeout)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(HEADERS_MAX)
        // A client that closes its sending half after the request still reads: it gets its full answer. One
        // that closed the whole connection is detected by writes, or by the time limits of answers.
        .half_close(true)
        .auto_date_header(has_http_date(SystemTime::now()))
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
            },
            () = seat.is_cut() => break,
        }
    }
    shared.metrics.http.connections.decrement(1.0);
}

/// Whether HTTP has a form for this time: years 1970 to 9999. The date of other times must not be printed,
/// which would end the thread of the connection.
fn has_http_date(now: SystemTime) -> bool {
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    now.duration_since(UNIX_EPOCH).is_ok_and(|since| since < YEAR_10000)
}

/// Drains connections, then cuts those that do not end.
async fn drain(orders: &watch::Sender<Order>, crowd: &Crowd, drain_timeout: Duration) -> Drained {
    /// How long tasks get to notice that they were cut.
    const CUT_GRACE: Duration = Duration::from_millis(500);
    orders.send_replace(Order::Drain);
    if timeout(drain_timeout, crowd.wait_until_empty()).await.is_ok() {
        return Drained { cut: 0 };
    }
    let cut = crowd.open();
    tracing::warn!(cut, "connections were still busy and are cut");
    orders.send_replace(Order::Cut);
    let _ = timeout(CUT_GRACE, crowd.wait_until_empty()).await;
    Drained { cut }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_years_that_http_can_write_are_written() {
        let [before, first] = [UNIX_EPOCH - Duration::from_secs(1), UNIX_EPOCH];
        let [last, after] = [253_402_300_799, 253_402_300_800].map(|at| UNIX_EPOCH + Duration::from_secs(at));
        assert_eq!([before, first, last, after].map(has_http_date), [false, true, true, false]);
    }
}
