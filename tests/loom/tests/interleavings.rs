//! Two or three threads in every order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use loom::thread;

use levee_loom::breaker::{Breaker, Event, Mode, Outcome, State, set_modelled_time};
use levee_loom::models::policy;

const BAD: Outcome = Outcome::Failure { transport: false, retry_after: None };

fn settings(probes: u32) -> policy::Breaker {
    policy::Breaker {
        window: policy::Window::Duration(Duration::from_secs(30)),
        minimum_calls: 2,
        failure_rate: 0.5,
        fail_on: vec![],
        fail_statuses: vec![],
        consecutive_failures: 0,
        slow_call: None,
        open_base: Duration::from_secs(5),
        open_cap: Duration::from_secs(5),
        probes,
        mode: policy::BreakerMode::Auto,
        adopt: false,
    }
}

/// A breaker and how many events it told that lead to half-open.
fn watched(probes: u32) -> (Arc<Breaker>, Arc<AtomicUsize>) {
    set_modelled_time(0);
    let half_opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&half_opened);
    let sink = move |event: &Event| _ = count.fetch_add(usize::from(event.to == State::HalfOpen), SeqCst);
    (Breaker::new(&settings(probes), Box::new(sink)), half_opened)
}

fn call(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire(1).expect("admitted").finish(outcome);
}

fn trip(breaker: &Breaker) {
    call(breaker, BAD);
    call(breaker, BAD);
    assert_eq!(breaker.view().state, State::Open);
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(model);
}

fn assert_adds_up(breaker: &Breaker, calls: u64) {
    let ledger = breaker.view().ledger;
    assert_eq!(ledger.admitted + ledger.rejected, calls, "{ledger:?}");
    let ended = ledger.success + ledger.failure + ledger.slow + ledger.neutral + ledger.stale;
    assert_eq!((ledger.admitted, ledger.outstanding), (ended, 0), "{ledger:?}");
}

#[test]
fn the_end_of_an_open_period_admits_exactly_the_probes() {
    explore(|| {
        let (breaker, half_opened) = watched(2);
        trip(&breaker);
        set_modelled_time(10_000_000_000);
        let ask = || {
            let breaker = Arc::clone(&breaker);
            thread::spawn(move || breaker.try_acquire(1))
        };
        let others = [ask(), ask()];
        let mine = breaker.try_acquire(1);
        let mut answers: Vec<_> = others.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        answers.push(mine);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
        assert_eq!(half_opened.load(SeqCst), 1);
        answers.into_iter().flatten().for_each(|permit| permit.finish(Outcome::Success));
        assert_eq!(breaker.view().state, State::Closed);
        assert_adds_up(&breaker, 5);
    });
}

#[test]
fn a_neutral_probe_frees_one_slot_and_no_more() {
    explore(|| {
        let (breaker, _) = watched(1);
        trip(&breaker);
        set_modelled_time(10_000_000_000);
        let probe = breaker.try_acquire(1).expect("the probe");
        let giver = thread::spawn(move || drop(probe));
        let other = Arc::clone(&breaker);
        let asker = thread::spawn(move || other.try_acquire(1));
        let mine = breaker.try_acquire(1);
        giver.join().expect("no panic");
        let theirs = asker.join().expect("no panic");
        assert!(mine.is_err() || theirs.is_err());
        drop((mine, theirs));
        assert!(breaker.try_acquire(1).is_ok(), "the slot is free again");
        assert_adds_up(&breaker, 6);
    });
}

#[test]
fn an_older_permit_changes_nothing_whenever_it_comes_back() {
    explore(|| {
        let (breaker, _) = watched(1);
        let old = breaker.try_acquire(1).expect("closed");
        trip(&breaker);
        set_modelled_time(10_000_000_000);
        let late = thread::spawn(move || old.finish(BAD));
        call(&breaker, Outcome::Success);
        assert_eq!(breaker.view().state, State::Closed);
        late.join().expect("no panic");
        let view = breaker.view();
        assert_eq!((view.state, view.calls, view.failures), (State::Closed, 0, 0));
        assert_eq!(view.ledger.stale, 1);
        assert_adds_up(&breaker, 4);
    });
}

#[test]
fn a_verdict_under_way_cannot_leak_into_a_later_epoch() {
    explore(|| {
        let (breaker, _) = watched(1);
        let permit = breaker.try_acquire(1).expect("closed");
        let settling = thread::spawn(move || permit.finish(BAD));
        breaker.set_mode(Mode::ForcedClosed, "one epoch on", None);
        call(&breaker, Outcome::Success);
        settling.join().expect("no panic");
        let view = breaker.view();
        assert_eq!((view.epoch, view.calls, view.failures), (1, 1, 0));
        assert_adds_up(&breaker, 2);
    });
}

#[test]
fn of_calls_that_fail_at_once_the_last_one_sees_all() {
    explore(|| {
        let (breaker, _) = watched(1);
        let permits = [breaker.try_acquire(1), breaker.try_acquire(2)].map(|permit| permit.expect("closed"));
        let threads = permits.map(|permit| thread::spawn(move || permit.finish(BAD)));
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        let view = breaker.view();
        assert_eq!(
            (view.state, view.epoch),
            (State::Open, 1),
            "the minimum is two: neither may miss the other"
        );
        assert_adds_up(&breaker, 2);
    });
}
