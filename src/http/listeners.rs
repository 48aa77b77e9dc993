//! Listeners: where connections come from.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

use super::{
    Options,
    limits::{LISTEN_BACKLOG, UNSENT_BYTES_MAX},
};

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("cannot listen on {address}: {source}{}", hint(source))]
    Bind { address: SocketAddr, source: io::Error },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            " (another process listens there; choose another port, or 0 for any free one)"
        }
        io::ErrorKind::PermissionDenied => " (ports below 1024 need a privilege)",
        io::ErrorKind::AddrNotAvailable => " (this machine does not have that address)",
        _ => "",
    }
}

/// A listener. Each has an accept loop of its own, so that a storm on one cannot keep the clients of another
/// waiting.
pub struct Listener {
    /// `None` accepts nothing, ever.
    socket: Option<TcpListener>,
    /// It is for operations, whose connections are counted separately.
    pub is_ops: bool,
}

impl Listener {
    /// Accepts the next connection. Cancel-safe.
    ///
    /// # Errors
    /// Those of the operating system.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.socket {
            Some(socket) => socket.accept().await,
            None => std::future::pending().await,
        }
    }
}

/// The listeners of a server.
pub struct Listeners {
    pub main: Listener,
    pub ops: Listener,
}

impl Listeners {
    /// Listens on the addresses of the options, and puts the ports that it got into them. Must be called
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub fn bind(options: &mut Options) -> Result<Self, ServeError> {
        let (main, address) = bound(options.address)?;
        let ops = options.ops_address.map(bound).transpose()?;
        options.address = address;
        options.ops_address = ops.as_ref().map(|(_, address)| *address);
        Ok(Self {
            main: Listener { socket: Some(main), is_ops: false },
            ops: Listener { socket: ops.map(|(listener, _)| listener), is_ops: true },
        })
    }
}

/// A listener, and the address with the port that it got.
fn bound(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Bind { address, source };
    let listener = listen(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Checks whether all of these addresses can be listened on at once.
///
/// # Errors
/// The first that cannot.
pub fn can_listen(addresses: &[SocketAddr]) -> Result<(), ServeError> {
    let listening = |address: &SocketAddr| {
        socket(*address).map_err(|source| ServeError::Bind { address: *address, source })
    };
    addresses.iter().map(listening).collect::<Result<Vec<_>, _>>().map(drop)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::from_std(socket(address)?.into())
}

fn socket(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    // A restarted server must not wait for the old one's connections to expire.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Connections inherit it. Otherwise unread answers would pile up in the kernel, megabytes for each.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket)
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
    #[cfg(target_os = "linux")]
    async fn connections_have_what_their_listener_was_told() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(socket2::SockRef::from(&stream).tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
    }
}
