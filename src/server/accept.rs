//! Taking connections from the kernel: how many at once, and what to do when it has none to give.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::drain::Drain;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A connection and the permit it holds while it lives.
pub(super) type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit);

/// The accepting side of a listener.
pub(super) struct Accepting {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    backoff: Backoff,
    full: u64,
}

impl Accepting {
    /// At most `connections` at once; more wait in the kernel's backlog.
    pub(super) fn new(listener: TcpListener, connections: usize) -> Self {
        let slots = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        Self { listener, slots, backoff: Backoff::default(), full: 0 }
    }

    /// The next connection; `None` once `drain` has closed the door.
    pub(super) async fn next(&mut self, drain: &Drain) -> Option<Accepted> {
        tokio::select! {
            biased;
            () = drain.closed() => None,
            accepted = self.accept() => Some(accepted),
        }
    }

    async fn accept(&mut self) -> Accepted {
        let permit = self.slot().await;
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.backoff = Backoff::default();
                    return (stream, peer, permit);
                }
                Err(error) => sleep(self.backoff.after(&error)).await,
            }
        }
    }

    async fn slot(&mut self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned() {
            return permit;
        }
        self.full += 1;
        tracing::warn!(times = self.full, "the connection limit is reached; new connections wait");
        Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// Those whose handshake the kernel had completed when the door closed: they are not turned away.
    pub(super) fn late_comers(self) -> impl Iterator<Item = Accepted> {
        let listener = self.listener.into_std().ok();
        std::iter::from_fn(move || {
            let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
            let (stream, peer) = listener.as_ref()?.accept().ok()?;
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, peer, permit))
        })
    }
}

/// The pause after an accept that failed: none when only one connection was at fault, doubling when we are (no file
/// descriptor, no memory).
#[derive(Default)]
struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    fn after(&mut self, error: &io::Error) -> Duration {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
            return Duration::ZERO;
        }
        if self.last.is_none() {
            tracing::error!(%error, "cannot accept connections; trying again");
        }
        let pause = self.last.map_or(FIRST_PAUSE, |last| (last * 2).min(LONGEST_PAUSE));
        self.last = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_descriptors_pauses_longer_and_longer() {
        let (mut backoff, exhausted) = (Backoff::default(), io::Error::from_raw_os_error(24));
        let pauses: Vec<u128> = (0..10).map(|_| backoff.after(&exhausted).as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn a_connection_that_broke_in_the_queue_does_not_delay_the_next() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after(&io::ErrorKind::ConnectionAborted.into()), Duration::ZERO);
        assert_eq!(backoff.after(&io::Error::from_raw_os_error(24)), FIRST_PAUSE);
    }
}
