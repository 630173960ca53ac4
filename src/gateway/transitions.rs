//! What a breaker's transitions become: a log line and a count.

use super::breaker::{Reason, Sink, State};
use crate::telemetry::metrics::{BreakerState, Metrics, TransitionReason};

/// A sink for the breaker of `upstream`, or of one of its operations. The counters live as long as the sink.
pub(super) fn sink(upstream: &str, operation: Option<&str>, metrics: &Metrics) -> Sink {
    let counters = metrics.upstream(upstream).breaker(operation.unwrap_or_default());
    let (upstream, operation) = (upstream.to_owned(), operation.map(str::to_owned));
    Box::new(move |event| {
        tracing::warn!(
            upstream,
            operation,
            epoch = event.epoch,
            from = event.from.as_str(),
            to = event.to.as_str(),
            mode = event.mode.as_str(),
            reason = event.reason.as_str(),
            failure_rate = event.failure_rate,
            slow_rate = event.slow_rate,
            calls = event.calls,
            open_for_ms = event.open_for.map(|open| open.as_millis() as u64),
            "breaker changed its state"
        );
        if let Some(reason) = label(event.reason) {
            counters.transition(event.to.into(), reason);
        }
    })
}

impl From<State> for BreakerState {
    fn from(state: State) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::Open => Self::Open,
            State::HalfOpen => Self::HalfOpen,
            State::ForcedOpen => Self::ForcedOpen,
        }
    }
}

/// `Start` is where a breaker begins, never a transition.
fn label(reason: Reason) -> Option<TransitionReason> {
    Some(match reason {
        Reason::Start => return None,
        Reason::FailureRate => TransitionReason::FailureRate,
        Reason::SlowRate => TransitionReason::SlowRate,
        Reason::ConsecutiveFailures => TransitionReason::ConsecutiveFailures,
        Reason::PeriodOver => TransitionReason::PeriodOver,
        Reason::ProbeFailed => TransitionReason::ProbeFailed,
        Reason::ProbeLost => TransitionReason::ProbeLost,
        Reason::ProbesGood => TransitionReason::ProbesGood,
        Reason::Operator => TransitionReason::Operator,
        Reason::Expired => TransitionReason::Expired,
        Reason::Policy => TransitionReason::Policy,
        Reason::Fleet => TransitionReason::Fleet,
    })
}
