//! A TCP balancer as a Kubernetes Service is one: a new connection goes to a replica that was ready when it last looked,
//! and stays there.
//!
//! It learns late that a replica is not ready any more, as nodes do, and nothing that it carries is moved, retried or
//! looked into.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Between two looks at a replica.
const LOOKS: Duration = Duration::from_millis(20);

/// From a replica's first failed probe until it gets no new connections any more.
const LAG: Duration = Duration::from_millis(300);

/// How long bytes are on their way, and the news that a connection was closed: what is sent meanwhile is lost.
const WAY: Duration = Duration::from_millis(3);

/// A running balancer. Dropping it closes its port and every connection.
pub(crate) struct Balancer {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    ready: Arc<Ready>,
    tasks: JoinSet<()>,
}

/// The replicas that get new connections, in turn.
#[derive(Default)]
struct Ready {
    replicas: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

impl Balancer {
    /// Starts on a free port, with no replica yet.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let ready = Arc::new(Ready::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&ready)));
        Self { address, ready, tasks }
    }

    /// Looks at `/readyz` on `ops` from now on, and sends connections to `data` while that answers well; returns once it
    /// does. The replica is forgotten when it has stopped being ready.
    pub(crate) async fn add(&mut self, data: SocketAddr, ops: SocketAddr) {
        while !is_ready(ops).await {
            sleep(LOOKS).await;
        }
        self.ready.replicas.lock().unwrap().push(data);
        let ready = Arc::clone(&self.ready);
        self.tasks.spawn(async move {
            while is_ready(ops).await {
                sleep(LOOKS).await;
            }
            sleep(LAG).await;
            ready.replicas.lock().unwrap().retain(|replica| *replica != data);
        });
    }
}

impl Ready {
    fn next(&self) -> Option<SocketAddr> {
        let replicas = self.replicas.lock().unwrap();
        let turn = self.turn.fetch_add(1, Relaxed);
        replicas.get(turn % replicas.len().max(1)).copied()
    }
}

async fn accept(listener: TcpListener, ready: Arc<Ready>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((client, _)) = listener.accept() => {
                let replica = ready.next();
                connections.spawn(async move {
                    // An error is one side that left; the other is told by losing its connection.
                    let _ = carry(client, replica).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut client: TcpStream, replica: Option<SocketAddr>) -> io::Result<()> {
    let replica = replica.ok_or_else(|| io::Error::other("no replica is ready"))?;
    let mut server = TcpStream::connect(replica).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::try_join!(convey(from_client, to_server), convey(from_server, to_client)).map(drop)
}

/// Everything, a little later, to its end.
async fn convey(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut bytes).await?;
        sleep(WAY).await;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..read]).await?;
    }
}

async fn is_ready(ops: SocketAddr) -> bool {
    let probe = async {
        let mut connection = TcpStream::connect(ops).await?;
        connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: replica\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).await?;
        io::Result::Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    matches!(timeout(Duration::from_secs(2), probe).await, Ok(Ok(true)))
}
