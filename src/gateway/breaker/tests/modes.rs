//! Modes: who decides, for how long, and what is told of it.

use super::*;

#[tokio::test(start_paused = true)]
async fn forced_closed_admits_and_counts_and_never_opens() {
    let breaker = breaker();
    trip(&breaker);
    breaker.set_mode(Mode::ForcedClosed, "we know", None);
    (0..100).for_each(|_| call(&breaker, BROKEN));
    let view = breaker.view();
    assert_eq!((view.state, view.mode, view.failures), (State::Closed, Mode::ForcedClosed, 100));
    assert_eq!((view.note.as_deref(), view.mode_expires_in), (Some("we know"), None));
}

#[tokio::test(start_paused = true)]
async fn a_forced_mode_expires_into_the_policys_own() {
    for mode in [Mode::ForcedOpen, Mode::ForcedClosed] {
        let (breaker, heard) = watched(&settings());
        breaker.set_mode(mode, "game day", Some(Duration::from_secs(3_600)));
        advance(Duration::from_secs(3_599)).await;
        assert_eq!(breaker.view().mode, mode);
        assert_eq!(breaker.view().mode_expires_in, Some(Duration::from_secs(1)));
        advance(Duration::from_secs(1)).await;
        call(&breaker, Outcome::Success);
        let view = breaker.view();
        assert_eq!((view.mode, view.state, view.note), (Mode::Auto, State::Closed, None));
        let reasons: Vec<_> = heard.lock().iter().map(|event| event.reason).collect();
        assert_eq!(reasons, [Reason::Operator, Reason::Expired]);
    }
}

#[tokio::test(start_paused = true)]
async fn forcing_a_mode_again_only_replaces_its_words_and_expiry() {
    let (breaker, heard) = watched(&settings());
    breaker.set_mode(Mode::ForcedOpen, "first", Some(Duration::from_secs(10)));
    breaker.set_mode(Mode::ForcedOpen, "second", None);
    assert_eq!((breaker.view().note.as_deref(), breaker.view().mode_expires_in), (Some("second"), None));
    assert_eq!(heard.lock().len(), 1);
    assert_eq!(heard.lock()[0].open_for, Some(Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn a_policy_change_leaves_an_operators_mode_alone() {
    let breaker = breaker();
    breaker.set_mode(Mode::ForcedOpen, "hands off", None);
    let mut shadow = settings();
    shadow.mode = policy::BreakerMode::MetricsOnly;
    breaker.reconfigure(&shadow);
    assert_eq!(breaker.view().mode, Mode::ForcedOpen);
    breaker.set_mode(Mode::MetricsOnly, "back to the policy", None);
    breaker.reconfigure(&settings());
    assert_eq!(breaker.view().mode, Mode::Auto);
}

#[tokio::test(start_paused = true)]
async fn metrics_only_admits_everything_and_says_what_it_would_have_done() {
    let mut shadow = settings();
    shadow.mode = policy::BreakerMode::MetricsOnly;
    let (breaker, heard) = watched(&shadow);
    (0..20).for_each(|_| call(&breaker, BAD));
    assert!(breaker.view().would_be_open);
    let permit = breaker.try_acquire(1).expect("admitted all the same");
    assert!(permit.is_current());
    permit.finish(BAD);
    let ledger = breaker.view().ledger;
    assert_eq!((ledger.rejected, ledger.would_reject, ledger.stale), (0, 1, 1));

    wait_out_the_open_period(&breaker).await;
    let mut permits: Vec<_> = (0..5).map(|caller| breaker.try_acquire(caller).unwrap()).collect();
    assert_eq!(breaker.view().ledger.would_reject, 3, "three would have been probes");
    permits.drain(..).for_each(|permit| permit.finish(Outcome::Success));
    assert_eq!((breaker.view().state, breaker.view().would_be_open), (State::Closed, false));
    let states: Vec<_> = heard.lock().iter().map(|event| (event.mode, event.to.as_str())).collect();
    assert_eq!(states, ["open", "half_open", "closed"].map(|state| (Mode::MetricsOnly, state)));
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_waited_is_refused_only_when_the_breaker_is() {
    let breaker = breaker();
    let waiting = breaker.try_acquire(9).unwrap();
    assert!(waiting.is_current());
    trip(&breaker);
    assert!(!waiting.is_current(), "open");
    wait_out_the_open_period(&breaker).await;
    call(&breaker, Outcome::Success);
    assert!(!waiting.is_current(), "half-open, and it is no probe");
    (0..2).for_each(|_| call(&breaker, Outcome::Success));
    assert!(waiting.is_current(), "closed again");
}
