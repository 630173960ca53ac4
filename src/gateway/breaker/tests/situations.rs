//! The situations a correct engine handles, as far as they are the breaker's.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_during_a_probe_gives_its_slot_back_at_once() {
    let (breaker, first) = half_opened().await;
    let second = breaker.try_acquire(2).unwrap();
    let third = breaker.try_acquire(3).unwrap();
    assert_eq!(breaker.try_acquire(4).err().unwrap().state, State::HalfOpen);
    drop(second);
    let fourth = breaker.try_acquire(4).expect("the slot that came back");
    assert!(breaker.try_acquire(5).is_err());
    for probe in [first, third, fourth] {
        probe.finish(Outcome::Success);
    }
    assert_eq!(breaker.view().state, State::Closed);
    assert_eq!(breaker.view().ledger.neutral, 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_who_abort_leave_a_healthy_upstream_closed() {
    let breaker = breaker();
    let permits: Vec<_> = (0..1_000).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    drop(permits);
    let view = breaker.view();
    assert_eq!((view.state, view.calls, view.ledger.neutral), (State::Closed, 0, 1_000));
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_a_call_counts_as_a_failure_and_gives_the_slot_back() {
    let breaker = breaker();
    let inside = Arc::clone(&breaker);
    let task = tokio::spawn(async move {
        let _permit = inside.try_acquire(1).unwrap();
        tokio::task::yield_now().await;
        panic!("inside the call");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!((breaker.view().ledger.failure, breaker.view().ledger.outstanding), (1, 0));

    let (breaker, probe) = half_opened().await;
    let panicked = std::thread::spawn(move || {
        let _probe = probe;
        panic!("inside the probe");
    });
    assert!(panicked.join().is_err());
    let view = breaker.view();
    assert_eq!((view.state, view.reason), (State::Open, Reason::ProbeFailed));
    wait_out_the_open_period(&breaker).await;
    assert!(breaker.try_acquire(1).is_ok(), "no lock is held");
}

#[tokio::test(start_paused = true)]
async fn a_stall_of_this_process_trips_nothing() {
    let mut settings = settings();
    settings.slow_call = Some(policy::SlowCall { threshold: Duration::from_secs(1), rate: 0.5 });
    let (breaker, heard) = watched(&settings);
    (0..19).for_each(|_| call(&breaker, BAD));
    let under_way = |caller| {
        let mut permit = breaker.try_acquire(caller).unwrap();
        permit.start_clock(tokio::time::Instant::now());
        permit.expect_end_by(tokio::time::Instant::now() + Duration::from_secs(2));
        permit
    };
    let timed_out: Vec<_> = (0..50).map(under_way).collect();
    let answered: Vec<_> = (0..50).map(under_way).collect();
    let streaming: Vec<_> = (0..50).map(under_way).collect();
    advance(Duration::from_secs(60)).await;
    for permit in timed_out {
        permit.finish(BROKEN);
    }
    for permit in answered {
        permit.finish(Outcome::Success);
    }
    for mut permit in streaming {
        permit.mark_headers();
        permit.finish(Outcome::Success);
    }
    call(&breaker, BAD);
    let view = breaker.view();
    assert_eq!((view.state, heard.lock().len()), (State::Closed, 0));
    assert_eq!((view.calls, view.failures, view.slow), (101, 1, 0), "what was before has left the window");
    assert_eq!(view.ledger.neutral, 50);
}

#[tokio::test(start_paused = true)]
async fn a_policy_changed_while_open_keeps_the_current_open_period() {
    let breaker = breaker();
    trip(&breaker);
    let remaining = breaker.view().open_remaining;
    let mut changed = settings();
    changed.open_base = Duration::from_secs(30);
    changed.window = policy::Window::Calls(50);
    changed.probes = 1;
    breaker.reconfigure(&changed);
    assert_eq!(breaker.view().open_remaining, remaining);
    wait_out_the_open_period(&breaker).await;
    call(&breaker, Outcome::Success);
    assert_eq!(breaker.view().state, State::Closed, "the new number of probes holds for the new half-open");
}

#[tokio::test(start_paused = true)]
async fn probes_that_are_out_finish_with_the_old_number() {
    let (breaker, first) = half_opened().await;
    let mut changed = settings();
    changed.probes = 1;
    breaker.reconfigure(&changed);
    first.finish(Outcome::Success);
    assert_eq!(breaker.view().state, State::HalfOpen);
    call(&breaker, Outcome::Success);
    call(&breaker, Outcome::Success);
    assert_eq!(breaker.view().state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn forced_open_lets_calls_in_flight_finish_and_drops_their_verdicts() {
    let breaker = breaker();
    let permits: Vec<_> = (0..40).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    breaker.set_mode(Mode::ForcedOpen, "maintenance", None);
    assert!(!permits[0].is_current(), "one that still waits in a queue stops");
    let refused = breaker.try_acquire(1).err().unwrap();
    assert_eq!((refused.state, refused.retry_after), (State::ForcedOpen, None));
    breaker.set_mode(Mode::Auto, "done", None);
    for permit in permits {
        permit.finish(BAD);
    }
    let view = breaker.view();
    assert_eq!((view.state, view.calls, view.ledger.stale), (State::Closed, 0, 40));
}

#[tokio::test(start_paused = true)]
async fn a_call_admitted_when_closed_changes_nothing_in_a_later_state() {
    let breaker = breaker();
    let mut old: Vec<_> = (0..9).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    let mut return_some = |outcome: Outcome| {
        let before = breaker.view();
        old.drain(..3).for_each(|permit| permit.finish(outcome));
        let after = breaker.view();
        assert_eq!(after.ledger.stale, before.ledger.stale + 3);
        assert_eq!((after.state, after.epoch, after.calls), (before.state, before.epoch, before.calls));
    };
    trip(&breaker);
    return_some(Outcome::Success);
    wait_out_the_open_period(&breaker).await;
    let probe = breaker.try_acquire(1).unwrap();
    return_some(Outcome::Success);
    probe.finish(Outcome::Success);
    (0..2).for_each(|_| call(&breaker, Outcome::Success));
    assert_eq!(breaker.view().state, State::Closed);
    return_some(BROKEN);
}

#[tokio::test(start_paused = true)]
async fn probes_that_all_hang_reopen_with_the_next_backoff() {
    let (breaker, first) = half_opened().await;
    let hanging = [first, breaker.try_acquire(2).unwrap(), breaker.try_acquire(3).unwrap()];
    advance(Duration::from_secs(29)).await;
    assert_eq!(breaker.try_acquire(4).err().unwrap().state, State::HalfOpen);
    advance(Duration::from_secs(1)).await;
    assert_eq!(breaker.try_acquire(4).err().unwrap().state, State::Open);
    let view = breaker.view();
    assert_eq!(view.reason, Reason::ProbeLost);
    assert_within(view.open_remaining.unwrap(), 8.0, 12.0);
    for probe in hanging {
        probe.finish(Outcome::Success);
    }
    assert_eq!(breaker.view().state, State::Open, "they are of an earlier epoch");
    wait_out_the_open_period(&breaker).await;
    (0..3).for_each(|_| call(&breaker, Outcome::Success));
    assert_eq!(breaker.view().state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_body_still_flows_holds_nobody_up() {
    let (breaker, mut first) = half_opened().await;
    let mut others = [breaker.try_acquire(2).unwrap(), breaker.try_acquire(3).unwrap()];
    first.mark_headers();
    others.iter_mut().for_each(Permit::mark_headers);
    advance(Duration::from_secs(4)).await;
    assert!(breaker.try_acquire(4).is_err());
    advance(Duration::from_secs(1)).await;
    breaker.try_acquire(4).expect("three bodies flowing for 5 s are proof enough").finish(Outcome::Success);
    assert_eq!(breaker.view().reason, Reason::ProbesGood);
    first.finish(BROKEN);
    assert_eq!(breaker.view().state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_probe_answered_with_retry_after_sets_the_open_period_up_to_the_cap() {
    for (asked, low, high) in [(120, 60.0, 60.0), (40, 40.0, 40.0), (1, 8.0, 12.0)] {
        let (breaker, probe) = half_opened().await;
        probe.finish(Outcome::Failure { transport: false, retry_after: Some(Duration::from_secs(asked)) });
        assert_within(breaker.view().open_remaining.unwrap(), low, high);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_refused_locally_is_neutral() {
    let (breaker, probe) = half_opened().await;
    probe.finish(Outcome::Neutral);
    (0..3).for_each(|_| call(&breaker, Outcome::Success));
    assert_eq!(breaker.view().state, State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_after_fine_headers_is_a_failure_at_its_end() {
    let breaker = breaker();
    let mut permits: Vec<_> = (0..20).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    for permit in &mut permits {
        permit.expect_end_by(tokio::time::Instant::now() + Duration::from_secs(2));
        permit.mark_headers();
    }
    advance(Duration::from_secs(20)).await;
    for permit in permits {
        permit.finish(BAD);
    }
    assert_eq!(breaker.view().reason, Reason::FailureRate);
}
