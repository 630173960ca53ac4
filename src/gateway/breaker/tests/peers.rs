//! What other replicas may do to a breaker: open it, and keep it from probing for a while.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_fleets_verdict_opens_for_the_time_it_says_and_probes_decide_as_ever() {
    let (breaker, heard) = watched(&settings());
    let under_way = breaker.try_acquire(1).unwrap();
    breaker.adopt(SECOND * 3);
    let view = breaker.view();
    assert_eq!(
        (view.state, view.reason, view.open_remaining),
        (State::Open, Reason::Fleet, Some(SECOND * 3))
    );
    assert_eq!(breaker.try_acquire(1).err().unwrap().why, Reason::Fleet);
    under_way.finish(BAD);
    assert_eq!(breaker.view().ledger.stale, 1, "a verdict of before changes nothing");
    breaker.adopt(SECOND * 30);
    assert_eq!(breaker.view().open_remaining, Some(SECOND * 3), "an open one is not opened again");
    wait_out_the_open_period(&breaker).await;
    for _ in 0..3 {
        call(&breaker, Outcome::Success);
    }
    assert_eq!(breaker.view().state, State::Closed);
    assert_eq!(heard.lock().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_fleets_verdict_is_bounded_by_the_cap_and_by_who_decides() {
    let breaker = breaker();
    breaker.adopt(CAP * 10);
    assert_eq!(breaker.view().open_remaining, Some(CAP));
    for mode in [Mode::ForcedClosed, Mode::MetricsOnly, Mode::ForcedOpen] {
        let breaker = self::breaker();
        breaker.set_mode(mode, "game day", None);
        let before = breaker.view();
        breaker.adopt(SECOND);
        assert_eq!(breaker.view().epoch, before.epoch, "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_breaker_does_not_probe_and_says_how_long() {
    let breaker = breaker();
    trip(&breaker);
    wait_out_the_open_period(&breaker).await;
    breaker.hold_probes(SECOND * 2);
    let refused = breaker.try_acquire(1).err().unwrap();
    assert!(refused.retry_after.is_some_and(|after| after >= SECOND * 2), "{refused:?}");
    advance(SECOND * 2).await;
    assert!(breaker.try_acquire(1).is_ok(), "a hold ends by itself");
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_nothing_but_probes_back_and_can_be_taken_back() {
    let breaker = breaker();
    breaker.hold_probes(SECOND * 60);
    assert!(breaker.is_plainly_closed() && breaker.try_acquire(1).is_ok());
    trip(&breaker);
    wait_out_the_open_period(&breaker).await;
    assert!(breaker.try_acquire(1).is_err());
    breaker.let_probe();
    assert!(breaker.try_acquire(1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn when_the_fleets_word_is_over_only_what_it_opened_closes() {
    let (breaker, heard) = watched(&settings());
    assert!(!breaker.disown(), "nothing was adopted");
    assert!(breaker.adopt(SECOND * 3));
    assert!(!breaker.adopt(SECOND * 3), "once is enough");
    assert!(breaker.view().is_adopted());
    assert!(breaker.disown());
    let view = breaker.view();
    assert_eq!((view.state, view.reason, view.is_adopted()), (State::Closed, Reason::Fleet, false));
    let told: Vec<_> = heard.lock().iter().map(|event| (event.to, event.reason)).collect();
    assert_eq!(told, [(State::Open, Reason::Fleet), (State::Closed, Reason::Fleet)]);
    // From here it judges by what it sees itself, and that nobody else takes back.
    trip(&breaker);
    assert!(!breaker.disown());
    assert_eq!(breaker.view().state, State::Open);
}

#[tokio::test(start_paused = true)]
async fn what_was_adopted_and_taken_back_does_not_lengthen_the_next_open_period() {
    let breaker = breaker();
    for _ in 0..5 {
        assert!(breaker.adopt(SECOND) && breaker.disown());
    }
    trip(&breaker);
    let first = breaker.view().open_remaining.unwrap();
    assert_within(first, 4.0, 6.0);
}

#[tokio::test(start_paused = true)]
async fn a_view_counts_the_probes_that_are_out() {
    let (breaker, probe) = half_opened().await;
    assert_eq!(breaker.view().probes_out, 1);
    probe.finish(Outcome::Success);
    assert_eq!(breaker.view().probes_out, 0);
}
