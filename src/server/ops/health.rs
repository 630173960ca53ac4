//! What the probes judge by: nothing but this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;

/// How often the main runtime says that it lives.
const BEAT: Duration = Duration::from_secs(1);

/// The state of the process, written by the main runtime and read by the ops port.
#[derive(Debug)]
pub struct Health {
    origin: Instant,
    /// Milliseconds from `origin` to the last beat.
    last_beat: AtomicU64,
    limit: Duration,
    started: AtomicBool,
    ready: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// The longest silence of the main runtime that still counts as alive in production.
    pub const LIMIT: Duration = Duration::from_secs(10);

    /// Alive as if it had just beaten, not started, not ready. `limit` is the longest silence that counts as alive.
    pub fn new(limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            origin: Instant::now(),
            last_beat: AtomicU64::new(0),
            limit,
            started: AtomicBool::new(false),
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    /// The main runtime runs.
    pub fn beat(&self) {
        self.last_beat.store(self.origin.elapsed().as_millis() as u64, Relaxed);
    }

    /// The configuration is parsed and the process is up.
    pub fn set_started(&self) {
        self.started.store(true, Relaxed);
    }

    /// The first snapshot is compiled.
    pub fn set_ready(&self) {
        self.ready.store(true, Relaxed);
    }

    /// No new callers, please.
    pub fn set_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// `starting`, `ready` or `draining`.
    pub(super) fn phase(&self) -> &'static str {
        match (self.draining.load(Relaxed), self.ready.load(Relaxed)) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "starting",
        }
    }

    /// Since when the main runtime has given no sign of life.
    pub fn silence(&self) -> Duration {
        self.silence_at(Instant::now())
    }

    fn silence_at(&self, now: Instant) -> Duration {
        let beat = self.origin + Duration::from_millis(self.last_beat.load(Relaxed));
        now.saturating_duration_since(beat)
    }

    pub(super) fn heart(&self, now: Instant) -> Check {
        let silence = self.silence_at(now);
        let fault = (silence > self.limit)
            .then(|| format!("the main runtime has been silent for {:.1} s", silence.as_secs_f64()));
        Check { name: "heartbeat", fault }
    }

    pub(super) fn startup(&self) -> Check {
        let fault = (!self.started.load(Relaxed)).then(|| "the configuration is not read yet".to_owned());
        Check { name: "started", fault }
    }

    pub(super) fn snapshot(&self) -> Check {
        let fault = (!self.ready.load(Relaxed)).then(|| "the first snapshot is not compiled yet".to_owned());
        Check { name: "snapshot", fault }
    }

    pub(super) fn drain(&self) -> Check {
        let fault = self.draining.load(Relaxed).then(|| "draining".to_owned());
        Check { name: "drain", fault }
    }
}

/// One thing a probe looks at.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) fault: Option<String>,
}

/// Beats each second until cancelled; to be run on the main runtime.
pub async fn heartbeat(health: Arc<Health>, token: CancellationToken) {
    let beating = async {
        let mut ticks = interval(BEAT);
        loop {
            ticks.tick().await;
            health.beat();
        }
    };
    token.run_until_cancelled(beating).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_silent_seconds_are_alive_and_eleven_are_not() {
        let health = Health::new(Health::LIMIT);
        advance(Duration::from_secs(10)).await;
        assert!(health.heart(Instant::now()).fault.is_none());
        advance(Duration::from_secs(1)).await;
        let fault = health.heart(Instant::now()).fault.unwrap();
        assert_eq!(fault, "the main runtime has been silent for 11.0 s");
        health.beat();
        assert!(health.heart(Instant::now()).fault.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_heartbeat_keeps_it_alive_until_cancelled() {
        let health = Health::new(Health::LIMIT);
        let token = CancellationToken::new();
        let tracker = tokio_util::task::TaskTracker::new();
        let beating = tracker.spawn(heartbeat(Arc::clone(&health), token.clone()));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(health.heart(Instant::now()).fault.is_none());
        token.cancel();
        beating.await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(health.heart(Instant::now()).fault.is_some());
    }
}
