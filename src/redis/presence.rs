//! Whether Redis is there: connected, and answering. Said once in the log when it goes and once when it comes back.

use std::time::Duration;

use fred::interfaces::{ClientLike as _, EventInterface as _};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Redis;

/// How often it is asked whether it is there, when nobody else asks. Finds out as well that it came back.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// A ping that takes longer is a failure like any other's.
const PING_LIMIT: Duration = Duration::from_millis(100);

/// Since when and why it does not answer.
#[derive(Debug, Clone)]
pub struct Away {
    /// Since when.
    pub since: Instant,
    /// What was last said of it.
    pub reason: String,
}

/// What is known.
pub(super) struct Presence {
    known: Mutex<Known>,
    up: watch::Sender<bool>,
}

struct Known {
    connected: bool,
    answers: bool,
    away: Option<Away>,
}

impl Presence {
    /// Nothing is known yet, so it is away.
    pub(super) fn new() -> Self {
        let away = Some(Away { since: Instant::now(), reason: "not connected yet".to_owned() });
        let known = Known { connected: false, answers: true, away };
        Self { known: Mutex::new(known), up: watch::Sender::new(false) }
    }

    pub(super) fn is_up(&self) -> bool {
        *self.up.borrow()
    }

    /// The breaker's last verdict was that it does not answer.
    pub(super) fn is_silent(&self) -> bool {
        !self.known.lock().answers
    }

    pub(super) fn away(&self) -> Option<Away> {
        self.known.lock().away.clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.up.subscribe()
    }

    /// There is a connection.
    pub(super) fn connected(&self) {
        self.change(|known| known.connected = true, "");
    }

    /// The connection is gone, or could not be made.
    pub(super) fn disconnected(&self, reason: &str) {
        self.change(|known| known.connected = false, reason);
    }

    /// The breaker's verdict.
    pub(super) fn answers(&self, answers: bool) {
        let reason = if answers { "" } else { "it does not answer in time" };
        self.change(|known| known.answers = answers, reason);
    }

    fn change(&self, change: impl FnOnce(&mut Known), reason: &str) {
        let mut known = self.known.lock();
        change(&mut known);
        let up = known.connected && known.answers;
        match (&mut known.away, up) {
            (None, false) => {
                tracing::warn!(reason, "Redis is away: every replica goes by what it knows itself");
                known.away = Some(Away { since: Instant::now(), reason: reason.to_owned() });
            }
            (Some(away), false) => {
                // The first attempt's own reason is worth a line too.
                if away.reason != reason && !reason.is_empty() {
                    tracing::warn!(reason, "Redis cannot be reached");
                    reason.clone_into(&mut away.reason);
                }
            }
            (Some(away), true) => {
                tracing::info!(after = ?away.since.elapsed(), "Redis answers");
                known.away = None;
            }
            (None, true) => {}
        }
        self.up.send_if_modified(|was| std::mem::replace(was, up) != up);
    }
}

/// Follows the data connection, and asks when nobody does. Ends with the connections.
pub(super) async fn watch_over(redis: Redis) {
    let inner = &redis.inner;
    let (mut made, mut broke) = (inner.data.reconnect_rx(), inner.data.error_rx());
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inner.stop.cancelled() => return,
            made = made.recv() => if !matches!(made, Err(broadcast::error::RecvError::Closed)) {
                inner.breaker.reset();
                inner.presence.connected();
            },
            broke = broke.recv() => if let Ok((error, _)) = broke && !inner.data.is_connected() {
                inner.presence.disconnected(&error.to_string());
            },
            _ = ticks.tick() => {
                // An event can be missed; the state cannot.
                if inner.data.is_connected() {
                    inner.presence.connected();
                    // What it says is for the breaker.
                    let _ = redis.call(PING_LIMIT, async |client| client.ping::<()>(None).await).await;
                } else if inner.presence.away().is_none() {
                    inner.presence.disconnected("the connection is gone");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_up_while_connected_and_answering() {
        let presence = Presence::new();
        let mut watching = presence.watch();
        assert!(!presence.is_up() && presence.away().is_some());
        presence.connected();
        assert!(*watching.borrow_and_update() && presence.away().is_none());
        presence.answers(false);
        assert!(!presence.is_up());
        presence.disconnected("gone");
        presence.answers(true);
        assert!(!presence.is_up(), "it answers no more than it is connected");
        assert_eq!(presence.away().unwrap().reason, "gone");
        presence.connected();
        assert!(watching.has_changed().unwrap() && presence.is_up());
    }
}
