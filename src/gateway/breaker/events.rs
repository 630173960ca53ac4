//! Transitions as events. A breaker hands each one to its sink before it lets the next transition begin, so a sink
//! sees all of them, in order, with rising epochs, each starting where the last one ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::control::{Mode, State};

/// Receives every event, in order, under the breaker's transition lock: it must be quick, must not block and must
/// not call the breaker. Counting, logging and a `try_send` into a bounded channel are fine.
pub type Sink = Box<dyn Fn(&Event) + Send + Sync>;

/// One transition.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The epoch it began.
    pub epoch: u64,
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// The mode since; in `MetricsOnly` the event tells what would have happened.
    pub mode: Mode,
    /// Why.
    pub reason: Reason,
    /// An operator's words, when one decided.
    pub note: Option<Arc<str>>,
    /// Failures by calls in the window, 0 to 1.
    pub failure_rate: f64,
    /// Slow calls by calls in the window, 0 to 1.
    pub slow_rate: f64,
    /// Calls in the window.
    pub calls: u64,
    /// How long calls are refused, when they are and it is known.
    pub open_for: Option<Duration>,
    /// When.
    pub at: Instant,
}

/// Why a breaker stands where it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing has happened yet.
    Start,
    /// Too large a share of failures.
    FailureRate,
    /// Too large a share of slow calls.
    SlowRate,
    /// Too many transport failures in a row.
    ConsecutiveFailures,
    /// The open period ended.
    PeriodOver,
    /// A probe failed or was slow.
    ProbeFailed,
    /// A probe never came back.
    ProbeLost,
    /// Enough good probes.
    ProbesGood,
    /// An operator set the mode.
    Operator,
    /// An operator's mode expired.
    Expired,
    /// The policy's mode changed.
    Policy,
    /// Enough other replicas saw it fail, or their word for that is over.
    Fleet,
}

impl Reason {
    /// Every reason, for metrics that need a series for each.
    pub const ALL: [Reason; 12] = [
        Reason::Start,
        Reason::FailureRate,
        Reason::SlowRate,
        Reason::ConsecutiveFailures,
        Reason::PeriodOver,
        Reason::ProbeFailed,
        Reason::ProbeLost,
        Reason::ProbesGood,
        Reason::Operator,
        Reason::Expired,
        Reason::Policy,
        Reason::Fleet,
    ];

    /// The word for it in the API, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Start => "start",
            Reason::FailureRate => "failure_rate",
            Reason::SlowRate => "slow_rate",
            Reason::ConsecutiveFailures => "consecutive_failures",
            Reason::PeriodOver => "period_over",
            Reason::ProbeFailed => "probe_failed",
            Reason::ProbeLost => "probe_lost",
            Reason::ProbesGood => "probes_good",
            Reason::Operator => "operator",
            Reason::Expired => "expired",
            Reason::Policy => "policy",
            Reason::Fleet => "fleet",
        }
    }
}
