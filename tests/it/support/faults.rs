//! A TCP proxy that does to connections what networks do to them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What it does to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    Pass,
    /// Takes bytes and connections, and passes nothing on.
    BlackHole,
    /// Resets what stands and whatever comes.
    Reset,
    /// Passes every piece on this much later.
    Slow(Duration),
    /// Resets what stands and listens no more.
    Refuse,
}

/// The proxy; it ends with the test.
pub(crate) struct FaultProxy {
    pub(crate) address: SocketAddr,
    fault: watch::Sender<Fault>,
    serving: JoinHandle<()>,
}

impl FaultProxy {
    /// Passes everything on to `behind`.
    pub(crate) fn in_front_of(behind: SocketAddr) -> Self {
        let kept = socket("127.0.0.1:0".parse().unwrap());
        let address = kept.local_addr().unwrap();
        let (fault, faults) = watch::channel(Fault::Pass);
        let serving = tokio::spawn(async move {
            serve(address, behind, faults).await;
            drop(kept);
        });
        Self { address, fault, serving }
    }

    /// `redis://…`
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From now on.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Bound, not listening: nobody else gets the port while the proxy refuses.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn serve(address: SocketAddr, behind: SocketAddr, mut faults: watch::Receiver<Fault>) {
    loop {
        let listener = socket(address).listen(128).unwrap();
        accept(&listener, behind, &faults).await;
        drop(listener);
        let heals = faults.wait_for(|fault| *fault != Fault::Refuse).await;
        if heals.is_err() {
            return;
        }
    }
}

/// Until it is to refuse.
async fn accept(listener: &TcpListener, behind: SocketAddr, faults: &watch::Receiver<Fault>) {
    let mut refusing = faults.clone();
    loop {
        tokio::select! {
            _ = refusing.wait_for(|fault| *fault == Fault::Refuse) => return,
            accepted = listener.accept() => if let Ok((caller, _)) = accepted {
                tokio::spawn(relay(caller, behind, faults.clone()));
            }
        }
    }
}

async fn relay(caller: TcpStream, behind: SocketAddr, mut faults: watch::Receiver<Fault>) {
    let mut cutting = faults.clone();
    let Ok(server) = TcpStream::connect(behind).await else { return };
    let _ = (caller.set_nodelay(true), server.set_nodelay(true));
    // A close with this set sends a reset.
    let resets = caller.set_zero_linger().is_ok();
    let (mut from_caller, mut to_caller) = caller.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut back = faults.clone();
    tokio::select! {
        _ = cutting.wait_for(|fault| matches!(fault, Fault::Reset | Fault::Refuse)) => {}
        _ = pass(&mut from_caller, &mut to_server, &mut faults) => {}
        _ = pass(&mut from_server, &mut to_caller, &mut back) => {}
    }
    assert!(resets, "the socket can be reset");
}

async fn pass(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    faults: &mut watch::Receiver<Fault>,
) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        let fault = *faults.borrow();
        match fault {
            Fault::BlackHole => continue,
            Fault::Slow(by) => tokio::time::sleep(by).await,
            _ => {}
        }
        to.write_all(&piece[..read]).await?;
    }
}
