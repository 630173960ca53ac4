//! `failsafe`'s state machine behind four verbs. It keeps the state and tells when the backoff starts over; the
//! open period's timer stays with us, so failsafe is told a period of zero. Called under the transition lock only.
use std::sync::{Arc, atomic::AtomicU32, atomic::Ordering::Relaxed};
use std::time::Duration;

use failsafe::{Config, FailurePolicy, StateMachine};

pub(super) struct Machine {
    inner: StateMachine<Backoff, ()>,
    opened: Backoff,
}

/// How often failsafe opened since it was last closed.
#[derive(Clone, Default)]
struct Backoff(Arc<AtomicU32>);

impl Machine {
    pub(super) fn new() -> Machine {
        let opened = Backoff::default();
        Machine { inner: Config::new().failure_policy(opened.clone()).instrument(()).build(), opened }
    }

    /// A verdict against the upstream: closed or half-open becomes open. Returns how often in a row that was.
    pub(super) fn open(&self) -> u32 {
        self.inner.on_error();
        self.opened.0.load(Relaxed)
    }

    /// Open becomes half-open. failsafe compares strictly, so a period of zero can refuse once: ask again.
    pub(super) fn half_open(&self) {
        while !self.inner.is_call_permitted() {
            std::hint::spin_loop();
        }
    }

    /// Half-open becomes closed.
    pub(super) fn close(&self) {
        self.inner.on_success();
    }

    /// Any state becomes closed.
    pub(super) fn reset(&self) {
        self.inner.reset();
    }

    /// Whether failsafe stands at `state` (`closed`, `open`, `half_open`). Its only getter is its debug output.
    pub(super) fn is(&self, state: &str) -> bool {
        format!("{:?}", self.inner) == format!("StateMachine {{ state: {state:?} }}")
    }
}

impl FailurePolicy for Backoff {
    fn record_success(&mut self) {}
    fn mark_dead_on_failure(&mut self) -> Option<Duration> {
        Some(Duration::ZERO).inspect(|_| _ = self.0.fetch_add(1, Relaxed))
    }
    fn revived(&mut self) {
        self.0.store(0, Relaxed);
    }
}
