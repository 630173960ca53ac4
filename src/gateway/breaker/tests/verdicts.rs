//! When it opens, for how long, and what it tells those it refuses.

use super::*;

#[tokio::test(start_paused = true)]
async fn it_opens_at_the_minimum_number_of_calls_even_on_a_success() {
    let (breaker, heard) = watched(&settings());
    (0..10).for_each(|_| call(&breaker, BAD));
    (0..9).for_each(|_| call(&breaker, Outcome::Success));
    assert_eq!(breaker.view().state, State::Closed);
    call(&breaker, Outcome::Success);
    assert_eq!(breaker.view().state, State::Open);
    let event = heard.lock()[0].clone();
    assert_eq!((event.epoch, event.from, event.to), (1, State::Closed, State::Open));
    assert_eq!((event.reason, event.calls), (Reason::FailureRate, 20));
    assert!((event.failure_rate - 0.5).abs() < f64::EPSILON);
    assert_within(event.open_for.unwrap(), 4.0, 6.0);
}

#[tokio::test(start_paused = true)]
async fn it_opens_when_good_calls_leave_the_window() {
    let breaker = breaker();
    (0..30).for_each(|_| call(&breaker, Outcome::Success));
    advance(Duration::from_secs(15)).await;
    (0..11).for_each(|_| call(&breaker, BAD));
    (0..9).for_each(|_| call(&breaker, Outcome::Success));
    assert_eq!(breaker.view().state, State::Closed);
    advance(Duration::from_secs(15)).await;
    call(&breaker, Outcome::Success);
    assert_eq!(breaker.view().state, State::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_open_it_and_waiting_before_the_clock_starts_is_not_slow() {
    let mut settings = settings();
    settings.slow_call = Some(policy::SlowCall { threshold: Duration::from_secs(1), rate: 0.8 });
    let breaker = watched(&settings).0;
    let mut waited: Vec<_> = (0..100).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    advance(Duration::from_secs(5)).await;
    waited.iter_mut().for_each(|permit| permit.start_clock(tokio::time::Instant::now()));
    for permit in waited {
        permit.finish(Outcome::Success);
    }
    assert_eq!(breaker.view().slow, 0);
    advance(Duration::from_secs(40)).await;

    let mut slow: Vec<_> = (0..20).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    slow.iter_mut().for_each(|permit| permit.start_clock(tokio::time::Instant::now()));
    advance(Duration::from_millis(1_001)).await;
    for permit in slow {
        permit.finish(Outcome::Success);
    }
    let view = breaker.view();
    assert_eq!((view.state, view.reason, view.ledger.slow), (State::Open, Reason::SlowRate, 20));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_slow_by_its_headers_not_by_its_body() {
    let mut settings = settings();
    settings.slow_call = Some(policy::SlowCall { threshold: Duration::from_secs(1), rate: 0.5 });
    let breaker = watched(&settings).0;
    let mut permit = breaker.try_acquire(1).unwrap();
    permit.start_clock(tokio::time::Instant::now());
    permit.mark_headers();
    advance(Duration::from_secs(20)).await;
    permit.finish(Outcome::Success);
    assert_eq!(breaker.view().ledger.success, 1);
}

#[tokio::test(start_paused = true)]
async fn transport_failures_in_a_row_open_it_before_the_minimum() {
    let breaker = breaker();
    (0..4).for_each(|_| call(&breaker, BROKEN));
    call(&breaker, BAD);
    (0..4).for_each(|_| call(&breaker, BROKEN));
    assert_eq!(breaker.view().state, State::Closed, "an answer, even a bad one, ends the row");
    call(&breaker, BROKEN);
    assert_eq!(breaker.view().reason, Reason::ConsecutiveFailures);
}

#[tokio::test(start_paused = true)]
async fn one_callers_failures_in_a_row_do_not_cut_off_another_who_is_present() {
    let breaker = breaker();
    breaker.try_acquire(2).unwrap().finish(Outcome::Success);
    (0..9).for_each(|_| call(&breaker, BROKEN));
    assert_eq!(breaker.view().state, State::Closed);
    breaker.try_acquire(2).unwrap().finish(BROKEN);
    assert_eq!(breaker.view().reason, Reason::ConsecutiveFailures);
}

#[tokio::test(start_paused = true)]
async fn the_open_period_doubles_to_its_cap_and_starts_over_once_closed() {
    let breaker = breaker();
    trip(&breaker);
    for expected in [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] {
        let remaining = breaker.view().open_remaining.unwrap();
        assert_within(remaining, expected * 0.8, f64::min(expected * 1.2, 60.0));
        advance(remaining).await;
        call(&breaker, BAD);
    }
    wait_out_the_open_period(&breaker).await;
    (0..3).for_each(|_| call(&breaker, Outcome::Success));
    trip(&breaker);
    assert_within(breaker.view().open_remaining.unwrap(), 4.0, 6.0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_reopens() {
    let mut settings = settings();
    settings.slow_call = Some(policy::SlowCall { threshold: Duration::from_secs(1), rate: 0.5 });
    let breaker = watched(&settings).0;
    trip(&breaker);
    wait_out_the_open_period(&breaker).await;
    let mut probe = breaker.try_acquire(1).unwrap();
    probe.start_clock(tokio::time::Instant::now());
    advance(Duration::from_secs(2)).await;
    probe.finish(Outcome::Success);
    assert_eq!(breaker.view().reason, Reason::ProbeFailed);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_tells_when_to_come_back_and_keeps_its_word() {
    for _ in 0..50 {
        let breaker = breaker();
        trip(&breaker);
        let remaining = breaker.view().open_remaining.unwrap().as_secs_f64().ceil();
        let refused = breaker.try_acquire(1).err().unwrap();
        let hint = refused.retry_after.unwrap();
        assert_eq!(
            (refused.state, refused.mode, refused.why),
            (State::Open, Mode::Auto, Reason::FailureRate)
        );
        assert_eq!(hint.subsec_nanos(), 0);
        assert_within(hint, remaining, (remaining * 1.2).ceil());
        advance(hint).await;
        assert!(breaker.try_acquire(1).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn new_thresholds_hold_for_the_calls_already_counted() {
    let breaker = breaker();
    (0..30).for_each(|_| call(&breaker, Outcome::Success));
    (0..10).for_each(|_| call(&breaker, BAD));
    let mut stricter = settings();
    stricter.failure_rate = 0.2;
    breaker.reconfigure(&stricter);
    call(&breaker, Outcome::Success);
    assert_eq!(breaker.view().reason, Reason::FailureRate);
}
