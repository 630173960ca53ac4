//! Everything one breaker consists of, and admission.

use std::sync::Arc;
use std::time::Duration;

use crate::models::policy;

use super::clock::{Clock, nanos};
use super::control::{Mode, State, Word};
use super::events::{Reason, Sink};
use super::ledger::{Counters, Entry};
use super::streak::{Callers, Streak};
use super::sync::{AcqRel, Acquire, AtomicU64, Mutex, Relaxed, Slot, lanes};
use super::transitions::Book;
use super::window::Window;

/// Never, in nanoseconds.
pub(super) const NEVER: u64 = u64::MAX;

/// The parts. `control` alone decides admission; the times beside it are written before it and read after it.
pub(super) struct Circuit {
    pub(super) control: AtomicU64,
    /// When the open period ends.
    pub(super) open_until: AtomicU64,
    /// Until when the fleet keeps this breaker from probing, be its open period over or not.
    pub(super) held_until: AtomicU64,
    /// When the first of the probes that are out is overdue.
    pub(super) lease_until: AtomicU64,
    /// When an operator's mode expires.
    pub(super) mode_until: AtomicU64,
    /// The last transition's reason, as an index.
    pub(super) reason: AtomicU64,
    /// How long a call takes that is just not slow; never, where slow calls are not watched.
    pub(super) slow_above: AtomicU64,
    pub(super) active: Slot<Active>,
    pub(super) counters: Counters,
    pub(super) book: Mutex<Book>,
    pub(super) clock: Clock,
    pub(super) lanes: usize,
    pub(super) sink: Sink,
}

/// The settings in force, and what calls of the present epoch are judged by.
pub(super) struct Active {
    pub(super) settings: policy::Breaker,
    pub(super) evidence: Arc<Evidence>,
}

/// What was seen in one epoch. Each has its own, so that a verdict that comes late lands in a dead one.
pub(super) struct Evidence {
    pub(super) epoch: u64,
    pub(super) window: Window,
    pub(super) streak: Streak,
    pub(super) callers: Callers,
}

/// How a call was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// As one of many.
    Call,
    /// With one of the probe slots; the number tells it from the others.
    Probe(u64),
    /// Only because the mode is `MetricsOnly`.
    Shadow,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// `Open`, `HalfOpen` or `ForcedOpen`.
    pub state: State,
    /// Who decided.
    pub mode: Mode,
    /// When to come back, in whole seconds: what is left of the open period, rounded up, at least 1 s, and up to a
    /// fifth more at random. `None` when an operator decided.
    pub retry_after: Option<Duration>,
    /// Why the breaker stands where it does.
    pub why: Reason,
}

impl Circuit {
    pub(super) fn new(settings: &policy::Breaker, sink: Sink) -> Circuit {
        let lanes = lanes();
        let mode = configured_mode(settings);
        let evidence = Arc::new(Evidence::new(0, settings, lanes));
        Circuit {
            control: AtomicU64::new(Word::new(0, 0, mode, State::Closed).0),
            open_until: AtomicU64::new(0),
            held_until: AtomicU64::new(0),
            lease_until: AtomicU64::new(NEVER),
            mode_until: AtomicU64::new(NEVER),
            reason: AtomicU64::new(Reason::Start as u64),
            slow_above: AtomicU64::new(slow_above(settings)),
            active: Slot::new(Active { settings: settings.clone(), evidence }),
            counters: Counters::new(lanes),
            book: Mutex::new(Book::new()),
            clock: Clock::start(),
            lanes,
            sink,
        }
    }

    pub(super) fn word(&self) -> Word {
        Word(self.control.load(Acquire))
    }

    /// Lets a call through or not, and counts it. Returns the epoch it belongs to.
    pub(super) fn admit(&self) -> Result<(u64, Pass), Rejected> {
        let word = self.word();
        let decided = if word.is_plainly_closed() {
            Ok((word.epoch(), Pass::Call))
        } else {
            self.decide(self.clock.now())
        };
        self.counters.count(if decided.is_ok() { Entry::Admitted } else { Entry::Rejected });
        if let Ok((_, Pass::Shadow)) = decided {
            self.counters.count(Entry::WouldReject);
        }
        decided
    }

    /// Each turn of the loop follows a transition or another thread's success with a probe slot.
    #[cold]
    fn decide(&self, now: u64) -> Result<(u64, Pass), Rejected> {
        loop {
            if now >= self.mode_until.load(Acquire) {
                self.expire_mode(now);
            }
            let word = self.word();
            match word.state() {
                State::Closed => return Ok((word.epoch(), Pass::Call)),
                State::ForcedOpen => return self.refuse(word, now),
                State::Open if now < self.closed_to_probes_until() => return self.refuse(word, now),
                State::Open => {
                    if let Some(granted) = self.half_open(word.epoch(), now) {
                        return Ok(granted);
                    }
                }
                State::HalfOpen if now >= self.lease_until.load(Acquire) => self.call_in_leases(now),
                State::HalfOpen if word.probes_left() == 0 => return self.refuse(word, now),
                State::HalfOpen => {
                    let taken = word.0 - Word::ONE_PROBE;
                    if self.control.compare_exchange(word.0, taken, AcqRel, Acquire).is_ok() {
                        return Ok(self.lease_probe(word.epoch(), now));
                    }
                }
            }
        }
    }

    fn refuse(&self, word: Word, now: u64) -> Result<(u64, Pass), Rejected> {
        let (state, mode) = (word.state(), word.mode());
        if mode == Mode::MetricsOnly {
            return Ok((word.epoch(), Pass::Shadow));
        }
        let wait = match state {
            State::Open => self.closed_to_probes_until().saturating_sub(now),
            _ => 0,
        };
        let retry_after = (state != State::ForcedOpen).then(|| come_back_after(wait));
        Err(Rejected { state, mode, retry_after, why: self.last_reason() })
    }

    fn closed_to_probes_until(&self) -> u64 {
        self.open_until.load(Acquire).max(self.held_until.load(Acquire))
    }

    pub(super) fn last_reason(&self) -> Reason {
        Reason::ALL[self.reason.load(Relaxed) as usize]
    }
}

impl Evidence {
    pub(super) fn new(epoch: u64, settings: &policy::Breaker, lanes: usize) -> Evidence {
        Evidence {
            epoch,
            window: Window::new(settings.window, lanes),
            streak: Streak::new(),
            callers: Callers::new(lanes),
        }
    }
}

/// The threshold of slow calls, nanoseconds.
pub(super) fn slow_above(settings: &policy::Breaker) -> u64 {
    settings.slow_call.map_or(NEVER, |slow_call| nanos(slow_call.threshold))
}

/// The mode a policy asks for.
pub(super) fn configured_mode(settings: &policy::Breaker) -> Mode {
    match settings.mode {
        policy::BreakerMode::Auto => Mode::Auto,
        policy::BreakerMode::MetricsOnly => Mode::MetricsOnly,
    }
}

/// Whole seconds: a caller that rounds cannot come early.
fn come_back_after(wait: u64) -> Duration {
    let seconds = wait.div_ceil(1_000_000_000).max(1);
    Duration::from_secs(seconds + fastrand::u64(0..=seconds.div_ceil(5)))
}
