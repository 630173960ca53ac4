//! The face callers and operators use.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::models::policy;

use super::circuit::{Circuit, Rejected};
use super::clock::nanos;
use super::control::{Mode, State};
use super::events::{Reason, Sink};
use super::ledger::Ledger;
use super::permit::{Handle, Permit};
use super::sync::{Acquire, Release, lane};

/// The circuit breaker of one upstream, or of one operation.
pub struct Breaker {
    circuit: Arc<Circuit>,
    handles: Box<[Arc<Handle>]>,
}

/// A breaker at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// Who decides.
    pub mode: Mode,
    /// An operator's words on the present mode, when an operator set it.
    pub note: Option<Arc<str>>,
    /// What is left of an operator's mode, when it expires.
    pub mode_expires_in: Option<Duration>,
    /// Where it stands.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why.
    pub reason: Reason,
    /// What is left of the open period.
    pub open_remaining: Option<Duration>,
    /// Probes that have not come back.
    pub probes_out: usize,
    /// Calls in the window.
    pub calls: u64,
    /// Failed calls in the window.
    pub failures: u64,
    /// Slow calls in the window.
    pub slow: u64,
    /// Failures by calls, 0 to 1.
    pub failure_rate: f64,
    /// Slow calls by calls, 0 to 1.
    pub slow_rate: f64,
    /// Mode `MetricsOnly` lets calls through that would have been refused.
    pub would_be_open: bool,
    /// Counts transitions.
    pub epoch: u64,
    /// Where every call went.
    pub ledger: Ledger,
}

impl View {
    /// It is open on other replicas' evidence alone.
    pub fn is_adopted(&self) -> bool {
        self.state == State::Open && self.reason == Reason::Fleet
    }
}

impl Breaker {
    /// A closed breaker. `sink` hears of every transition.
    pub fn new(settings: &policy::Breaker, sink: Sink) -> Arc<Breaker> {
        let circuit = Arc::new(Circuit::new(settings, sink));
        let handles = (0..circuit.lanes).map(|_| Arc::new(Handle(Arc::clone(&circuit)))).collect();
        Arc::new(Breaker { circuit, handles })
    }

    /// Asks to make one call. `caller` is a hash of who calls. One atomic load decides when closed.
    pub fn try_acquire(&self, caller: u64) -> Result<Permit, Rejected> {
        let (epoch, pass) = self.circuit.admit()?;
        let handle = Arc::clone(&self.handles[lane(self.handles.len())]);
        Ok(Permit::new(handle, epoch, pass, caller))
    }

    /// Takes new settings. What has begun is kept: the current open period, the number of probes of the current
    /// half-open state, an operator's mode, and the counts unless the window's kind or size changed.
    pub fn reconfigure(&self, settings: &policy::Breaker) {
        self.circuit.reconfigure(settings, self.circuit.clock.now());
    }

    /// An operator's decision. A mode that differs from the present one starts afresh, verdicts of calls in flight
    /// being dropped. After `expires` the policy's own mode returns; `None` is never.
    pub fn set_mode(&self, mode: Mode, reason: &str, expires: Option<Duration>) {
        self.circuit.set_mode(mode, reason, expires, self.circuit.clock.now());
    }

    /// Takes an operator's decision back: the policy's own mode returns. Without one nothing changes.
    pub fn release(&self) {
        self.circuit.release_mode(self.circuit.clock.now());
    }

    /// Other replicas' evidence: opens for this long, where it is closed and decides for itself. Whether it did.
    pub fn adopt(&self, open_for: Duration) -> bool {
        self.circuit.adopt(open_for, self.circuit.clock.now())
    }

    /// That evidence is over: where nothing else opened it, it is closed and goes by what it sees itself. Whether it was so.
    pub fn disown(&self) -> bool {
        self.circuit.disown(self.circuit.clock.now())
    }

    /// Another replica probes: for so long this one does not, though its open period be over.
    pub fn hold_probes(&self, lasts: Duration) {
        let until = self.circuit.clock.now().saturating_add(nanos(lasts));
        self.circuit.held_until.store(until, Release);
    }

    /// From now on only the open period decides when to probe.
    pub fn let_probe(&self) {
        self.circuit.held_until.store(0, Release);
    }

    /// It is closed and decides for itself: one load, where a view takes a lock.
    pub fn is_plainly_closed(&self) -> bool {
        self.circuit.word().is_plainly_closed()
    }

    /// The breaker at this moment.
    pub fn view(&self) -> View {
        let circuit = &self.circuit;
        let now = circuit.clock.now();
        if now >= circuit.mode_until.load(Acquire) {
            circuit.expire_mode(now);
        }
        let book = circuit.book.lock();
        let word = circuit.word();
        let totals = circuit.active.load().evidence.window.totals(now);
        let remains = |until: u64| Duration::from_nanos(until.saturating_sub(now));
        View {
            mode: word.mode(),
            note: book.note.clone(),
            mode_expires_in: circuit.mode_expires().then(|| remains(circuit.mode_until.load(Acquire))),
            state: word.state(),
            since: circuit.clock.instant(book.since),
            reason: circuit.last_reason(),
            open_remaining: (word.state() == State::Open).then(|| remains(circuit.open_until.load(Acquire))),
            probes_out: book.probes_out(),
            calls: totals.calls,
            failures: totals.failures,
            slow: totals.slow,
            failure_rate: totals.failure_rate(),
            slow_rate: totals.slow_rate(),
            would_be_open: word.mode() == Mode::MetricsOnly && word.state() != State::Closed,
            epoch: word.epoch(),
            ledger: circuit.counters.read(),
        }
    }
}
