//! Ports that refuse a connection, or never complete one, for as long as the guard lives.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// A port that is taken but not listened on: every connection is refused, and nobody else can get the port.
pub(crate) struct ClosedPort {
    /// Where nobody listens.
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl ClosedPort {
    /// Takes a free port.
    pub(crate) fn take() -> Self {
        let socket = bound_socket();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}

/// A port whose queue of waiting connections is full: a new one neither opens nor is refused.
pub(crate) struct DeafPort {
    /// Where nobody answers.
    pub(crate) address: SocketAddr,
    _listener: TcpListener,
    _queued: Vec<TcpStream>,
}

impl DeafPort {
    /// Listens, never accepts, and fills the queue.
    pub(crate) async fn take() -> Self {
        let listener = bound_socket().listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(connected) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            queued.push(connected.unwrap());
        }
        Self { address, _listener: listener, _queued: queued }
    }
}

/// A port kept for a server that cannot pick one itself but binds with `SO_REUSEPORT` or `SO_REUSEADDR`: nobody else
/// gets it meanwhile.
pub(crate) struct KeptPort {
    /// Where the server is to listen.
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl KeptPort {
    /// Takes a free port.
    pub(crate) fn take() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseport(true).unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}

fn bound_socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    socket
}
