//! The breaker from outside. In a debug build every transition asserts that failsafe stands where we say.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::advance;

use crate::models::policy;

use super::*;

mod model;
mod modes;
mod peers;
mod situations;
mod threads;
mod verdicts;

const BAD: Outcome = Outcome::Failure { transport: false, retry_after: None };
const BROKEN: Outcome = Outcome::Failure { transport: true, retry_after: None };
const CAP: Duration = Duration::from_secs(60);

/// What a sink heard.
type Heard = Arc<Mutex<Vec<Event>>>;

fn settings() -> policy::Breaker {
    policy::Breaker {
        window: policy::Window::Duration(Duration::from_secs(30)),
        minimum_calls: 20,
        failure_rate: 0.5,
        fail_on: vec![],
        fail_statuses: vec![],
        consecutive_failures: 5,
        slow_call: None,
        open_base: Duration::from_secs(5),
        open_cap: CAP,
        probes: 3,
        mode: policy::BreakerMode::Auto,
        adopt: false,
    }
}

fn watched(settings: &policy::Breaker) -> (Arc<Breaker>, Heard) {
    let heard = Heard::default();
    let sink = Arc::clone(&heard);
    (Breaker::new(settings, Box::new(move |event| sink.lock().push(event.clone()))), heard)
}

fn breaker() -> Arc<Breaker> {
    watched(&settings()).0
}

/// One call from start to end.
fn call(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire(1).expect("admitted").finish(outcome);
}

fn trip(breaker: &Breaker) {
    (0..20).for_each(|_| call(breaker, BAD));
    assert_eq!(breaker.view().state, State::Open);
}

async fn wait_out_the_open_period(breaker: &Breaker) {
    advance(breaker.view().open_remaining.expect("open")).await;
}

async fn half_opened() -> (Arc<Breaker>, Permit) {
    let breaker = breaker();
    trip(&breaker);
    wait_out_the_open_period(&breaker).await;
    let probe = breaker.try_acquire(1).expect("the first probe");
    assert_eq!(breaker.view().state, State::HalfOpen);
    (breaker, probe)
}

fn assert_within(actual: Duration, low: f64, high: f64) {
    assert!((low..=high).contains(&actual.as_secs_f64()), "{actual:?} is not within {low} to {high} s");
}
