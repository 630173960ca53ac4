//! What can happen to a breaker, at random.

use proptest::prelude::*;

use super::*;

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Acquire { caller: u64 },
    Headers { which: usize },
    Finish { which: usize, outcome: Outcome },
    Drop { which: usize },
    Wait { millis: u64 },
    WaitForTheBreaker,
    Mode { mode: Mode, seconds: Option<u64> },
    Reconfigure(policy::Breaker),
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    let asked = prop_oneof![Just(None), (0..90_u64).prop_map(|seconds| Some(Duration::from_secs(seconds)))];
    let failure = (any::<bool>(), asked)
        .prop_map(|(transport, retry_after)| Outcome::Failure { transport, retry_after });
    prop_oneof![4 => Just(Outcome::Success), 5 => failure, 1 => Just(Outcome::Neutral)]
}

pub(super) fn policies() -> impl Strategy<Value = policy::Breaker> {
    let window = prop_oneof![
        (1..20_u64).prop_map(|seconds| policy::Window::Duration(Duration::from_secs(seconds))),
        (1..30_u32).prop_map(policy::Window::Calls),
    ];
    let slow = prop_oneof![
        Just(None),
        Just(Some(policy::SlowCall { threshold: Duration::from_secs(1), rate: 0.4 }))
    ];
    let mode = prop_oneof![3 => Just(policy::BreakerMode::Auto), 1 => Just(policy::BreakerMode::MetricsOnly)];
    (window, 1..8_u32, 0.1..0.9_f64, 0..5_u32, slow, 1..4_u32, mode).prop_map(
        |(window, minimum_calls, failure_rate, consecutive_failures, slow_call, probes, mode)| {
            let rest = settings();
            policy::Breaker {
                window,
                minimum_calls,
                failure_rate,
                consecutive_failures,
                slow_call,
                probes,
                mode,
                ..rest
            }
        },
    )
}

pub(super) fn ops() -> impl Strategy<Value = Op> {
    let which = || 0..6_usize;
    let mode = prop_oneof![
        Just(Mode::Auto),
        Just(Mode::ForcedOpen),
        Just(Mode::ForcedClosed),
        Just(Mode::MetricsOnly)
    ];
    prop_oneof![
        40 => (0..3_u64).prop_map(|caller| Op::Acquire { caller }),
        40 => (which(), outcomes()).prop_map(|(which, outcome)| Op::Finish { which, outcome }),
        5 => which().prop_map(|which| Op::Headers { which }),
        5 => which().prop_map(|which| Op::Drop { which }),
        14 => prop_oneof![0..3_000_u64, 0..100_000_u64].prop_map(|millis| Op::Wait { millis }),
        6 => Just(Op::WaitForTheBreaker),
        2 => (mode, prop_oneof![Just(None), (1..60_u64).prop_map(Some)])
            .prop_map(|(mode, seconds)| Op::Mode { mode, seconds }),
        2 => policies().prop_map(Op::Reconfigure),
    ]
}
