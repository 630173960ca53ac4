//! Random calls, ends, waits, modes and settings leave the breaker and the model in the same place.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio::time::Instant;

use super::ops::{Op, ops, policies};
use super::*;

/// Both, side by side.
struct Pair {
    breaker: Arc<Breaker>,
    heard: Heard,
    model: Model,
    calls: Vec<Call>,
    base: Instant,
}

impl Pair {
    fn new(settings: &policy::Breaker) -> Pair {
        let (breaker, heard) = watched(settings);
        Pair { breaker, heard, model: Model::new(settings), calls: vec![], base: Instant::now() }
    }

    fn now(&self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }

    async fn apply(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Acquire { caller } => self.acquire(caller)?,
            Op::Headers { which } => self.headers(which),
            Op::Finish { which, outcome } => self.end(which, Some(outcome)),
            Op::Drop { which } => self.end(which, None),
            Op::Wait { millis } => advance(Duration::from_millis(millis)).await,
            Op::WaitForTheBreaker => advance(self.breaker.view().open_remaining.unwrap_or_default()).await,
            Op::Mode { mode, seconds } => self.set_mode(mode, seconds),
            Op::Reconfigure(settings) => self.reconfigure(&settings),
        }
        self.compare()
    }

    fn acquire(&mut self, caller: u64) -> Result<(), TestCaseError> {
        let now = self.now();
        let real = self.breaker.try_acquire(caller);
        let expected = self.model.acquire(now);
        prop_assert_eq!(real.is_ok(), expected.is_some(), "admission");
        let (Ok(mut permit), Some((kind, id))) = (real, expected) else { return Ok(()) };
        permit.start_clock(tokio::time::Instant::now());
        let started = self.model.settings.slow_call.map(|_| now);
        let epoch = self.model.epoch;
        self.calls.push(Call { permit, id, epoch, kind, caller, started, headers_took: None });
        Ok(())
    }

    fn headers(&mut self, which: usize) {
        let now = self.now();
        let Some(call) = self.calls.get_mut(which) else { return };
        call.permit.mark_headers();
        call.headers_took = call.started.map(|started| now - started);
        if let Some(probe) = self.model.probes.iter_mut().find(|probe| probe.id == call.id) {
            (probe.answered, probe.due) = (true, now + 5 * SECOND);
        }
    }

    fn end(&mut self, which: usize, outcome: Option<Outcome>) {
        if which >= self.calls.len() {
            return;
        }
        let call = self.calls.remove(which);
        self.model.finish(&call, outcome.unwrap_or(Outcome::Neutral), self.now());
        match outcome {
            Some(outcome) => call.permit.finish(outcome),
            None => drop(call.permit),
        }
    }

    fn set_mode(&mut self, mode: Mode, seconds: Option<u64>) {
        self.breaker.set_mode(mode, "model", seconds.map(Duration::from_secs));
        self.model.overridden = mode != own_mode(&self.model.settings);
        let until = seconds.filter(|_| self.model.overridden).map(|seconds| self.now() + seconds * SECOND);
        self.model.enter(mode, until);
    }

    fn reconfigure(&mut self, settings: &policy::Breaker) {
        self.breaker.reconfigure(settings);
        let model = &mut self.model;
        if model.settings.window != settings.window {
            model.forget();
        }
        if model.settings.consecutive_failures != settings.consecutive_failures {
            model.row.clear();
        }
        model.settings = settings.clone();
        if !model.overridden {
            model.enter(own_mode(settings), None);
        }
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let now = self.now();
        let view = self.breaker.view();
        let model = &mut self.model;
        model.expire(now);
        prop_assert_eq!((view.mode, view.state, view.epoch), (model.mode, model.state, model.epoch));
        if let Some((low, high)) = model.expected.take() {
            let remaining = view.open_remaining.unwrap_or_default();
            let within = (low - 1e-6..=high + 1e-6).contains(&remaining.as_secs_f64());
            prop_assert!(model.state != State::Open || within, "{:?} in {}..{}", remaining, low, high);
            model.open_for = remaining.as_nanos() as u64;
        }
        prop_assert_eq!((view.calls, view.failures, view.slow), model.window(now));
        model.ledger.outstanding = self.calls.len() as u64;
        prop_assert_eq!(view.ledger, model.ledger);
        let heard = self.heard.lock();
        prop_assert_eq!(heard.len() as u64, view.epoch);
        let mut at = (State::Closed, 0);
        for event in heard.iter() {
            prop_assert_eq!((event.from, event.epoch), (at.0, at.1 + 1));
            at = (event.to, event.epoch);
        }
        prop_assert_eq!(at, (view.state, view.epoch));
        Ok(())
    }

    /// Settle all, wait exactly as told: the next call is admitted, and good probes close.
    async fn recovers(mut self) -> Result<(), TestCaseError> {
        self.calls.clear();
        self.breaker.set_mode(Mode::Auto, "recover", None);
        if let Err(refused) = self.breaker.try_acquire(1) {
            advance(refused.retry_after.unwrap_or_default()).await;
        }
        for _ in 0..3 {
            if self.breaker.view().state == State::Closed {
                break;
            }
            let admitted = self.breaker.try_acquire(1);
            prop_assert!(admitted.is_ok(), "refused although it waited as told");
            if let Ok(permit) = admitted {
                permit.finish(Outcome::Success);
            }
        }
        prop_assert_eq!(self.breaker.view().state, State::Closed);
        Ok(())
    }
}

#[test]
fn the_breaker_does_what_the_naive_model_does() {
    let seed = std::env::var("LEVEE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let outcome = runner.run(&(policies(), vec(ops(), 1..250)), |(settings, steps)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let mut pair = Pair::new(&settings);
            for step in steps {
                pair.apply(step).await?;
            }
            pair.recovers().await
        })
    });
    assert!(outcome.is_ok(), "LEVEE_TEST_SEED={seed}: {}", outcome.unwrap_err());
}
