//! Tests of the quota, under paused time.

use proptest::prelude::*;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{advance, sleep};

use super::*;
use crate::models::policy::{OnStoreLoss, Rate};

const MILLISECOND: Duration = Duration::from_millis(1);

fn settings(per_second: u32, burst: u32, on_exhausted: OnExhausted) -> policy::Quota {
    let rate = Rate { count: per_second, per: Duration::from_secs(1) };
    let (scope, on_store_loss) = (Scope::Replica, OnStoreLoss::LocalShare);
    policy::Quota { rate, burst, scope, on_exhausted, on_store_loss }
}

fn quota(per_second: u32, burst: u32, on_exhausted: OnExhausted) -> Arc<Quota> {
    let settings = settings(per_second, burst, on_exhausted);
    Arc::new(Quota::new(&settings, "rates/", &Fleet::alone(), Arc::default(), None))
}

fn within(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

/// Asks, and uses what it gets.
async fn ask(quota: &Arc<Quota>, milliseconds: u64) -> Result<(), NoToken> {
    quota.take(within(milliseconds), &Allowance::default(), || true).await.map(Token::spend)
}

fn asking(quota: &Arc<Quota>, milliseconds: u64) -> JoinHandle<Result<(), NoToken>> {
    let quota = Arc::clone(quota);
    tokio::spawn(async move { ask(&quota, milliseconds).await })
}

fn refused(quota: &Quota, status: u16, lines: &[(&'static str, &'static str)]) -> Option<Duration> {
    let lines =
        lines.iter().map(|(name, value)| (name.parse().unwrap(), http::HeaderValue::from_static(value)));
    quota.learn(StatusCode::from_u16(status).unwrap(), &lines.collect())
}

#[tokio::test(start_paused = true)]
async fn a_burst_passes_and_then_what_is_earned() {
    let quota = quota(10, 3, OnExhausted::Reject);
    for left in (0..3).rev() {
        ask(&quota, 0).await.unwrap();
        assert_eq!(quota.remaining(), left);
    }
    let refusal = NoToken::Refused(Shortage::Tokens, Duration::from_millis(100));
    assert_eq!(ask(&quota, 60_000).await, Err(refusal), "it does not wait");
    advance(Duration::from_millis(99)).await;
    assert!(ask(&quota, 0).await.is_err());
    advance(MILLISECOND).await;
    ask(&quota, 0).await.unwrap();
    advance(Duration::from_secs(3600)).await;
    assert_eq!(quota.remaining(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order_and_at_the_rate() {
    let quota = quota(100, 1, OnExhausted::Wait);
    let start = Instant::now();
    let mut waiting = JoinSet::new();
    for number in 0..50 {
        let quota = Arc::clone(&quota);
        waiting.spawn(async move {
            ask(&quota, 10_000).await.unwrap();
            (number, start.elapsed())
        });
        tokio::task::yield_now().await;
    }
    let mut served = Vec::new();
    while let Some(one) = waiting.join_next().await {
        served.push(one.unwrap());
    }
    for (place, (number, at)) in served.into_iter().enumerate() {
        let due = Duration::from_millis(10 * place as u64);
        assert_eq!(number, place);
        assert!(at >= due && at <= due + 2 * MILLISECOND, "{place} at {at:?}");
    }
    assert_eq!(quota.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_in_vain() {
    let quota = quota(1, 1, OnExhausted::Wait);
    ask(&quota, 0).await.unwrap();
    let first = asking(&quota, 1500);
    while quota.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    let Err(NoToken::Refused(Shortage::Tokens, after)) = ask(&quota, 1500).await else { panic!("refused") };
    assert_eq!((start.elapsed(), after), (Duration::ZERO, Duration::from_secs(2)), "behind the first");
    first.await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_the_line_holds_nobody_up() {
    let quota = quota(10, 1, OnExhausted::Wait);
    ask(&quota, 0).await.unwrap();
    let (first, second) = (asking(&quota, 10_000), asking(&quota, 10_000));
    while quota.waiting() < 2 {
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_millis(50)).await;
    first.abort();
    let start = Instant::now();
    second.await.unwrap().unwrap();
    assert!(
        start.elapsed() <= Duration::from_millis(52),
        "its token came to the next: {:?}",
        start.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn the_line_is_bounded() {
    let quota = quota(1000, 1, OnExhausted::Wait);
    ask(&quota, 0).await.unwrap();
    let waiting: Vec<_> = (0..LINE).map(|_| asking(&quota, 100_000)).collect();
    while quota.waiting() < LINE {
        tokio::task::yield_now().await;
    }
    assert!(matches!(ask(&quota, 100_000).await, Err(NoToken::Refused(Shortage::Room, _))));
    for one in waiting {
        one.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_not_used_is_given_back() {
    let quota = quota(10, 2, OnExhausted::Reject);
    let tokens = [
        quota.take(within(0), &Allowance::default(), || true).await.unwrap(),
        quota.take(within(0), &Allowance::default(), || true).await.unwrap(),
    ];
    assert_eq!(quota.remaining(), 0);
    drop(tokens);
    assert_eq!(quota.remaining(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_moved_on_meanwhile_burns_no_token() {
    let quota = quota(10, 1, OnExhausted::Wait);
    ask(&quota, 0).await.unwrap();
    assert_eq!(
        quota.take(within(1000), &Allowance::default(), || false).await.unwrap_err(),
        NoToken::Overtaken
    );
    advance(Duration::from_millis(100)).await;
    assert_eq!(quota.remaining(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_asks_for_a_pause_gets_it_from_all() {
    let quota = quota(1000, 10, OnExhausted::Wait);
    assert_eq!(refused(&quota, 429, &[("retry-after", "3")]), Some(Duration::from_secs(3)));
    assert_eq!(refused(&quota, 429, &[("retry-after", "2")]), None, "it is paused already");
    assert_eq!(quota.remaining(), 0);
    let expected = NoToken::Refused(Shortage::Paused, Duration::from_secs(3));
    assert_eq!(ask(&quota, 2000).await, Err(expected));
    let start = Instant::now();
    ask(&quota, 5000).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_meanwhile_ends_a_wait_that_became_hopeless() {
    let quota = quota(10, 1, OnExhausted::Wait);
    ask(&quota, 0).await.unwrap();
    let waiting = asking(&quota, 1000);
    while quota.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    refused(&quota, 503, &[("retry-after", "60")]).unwrap();
    let start = Instant::now();
    assert!(matches!(waiting.await.unwrap(), Err(NoToken::Refused(Shortage::Paused, _))));
    assert!(start.elapsed() < Duration::from_millis(200), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_pause_has_a_bound_and_outlives_new_settings() {
    let quota = quota(10, 1, OnExhausted::Reject);
    assert_eq!(refused(&quota, 503, &[("retry-after", "86400")]), Some(LONGEST_PAUSE));
    advance(Duration::from_secs(60)).await;
    let settings = settings(20, 5, OnExhausted::Reject);
    let next = Quota::new(&settings, "rates/", &Fleet::alone(), Arc::default(), Some(&*quota));
    assert_eq!(next.paused_for(), Duration::from_secs(240));
    assert_eq!(next.remaining(), 0);
    advance(Duration::from_secs(240)).await;
    assert_eq!(next.remaining(), 5);
}

/// One who asks: when, with how much patience, and when it leaves on its own.
type Asker = (u64, u64, Option<u64>);

/// When each token was given, milliseconds.
async fn given(quota: &Arc<Quota>, askers: Vec<Asker>) -> Vec<u64> {
    let start = Instant::now();
    let mut all = JoinSet::new();
    for (arrives, patience, leaves) in askers {
        let quota = Arc::clone(quota);
        all.spawn(async move {
            sleep(Duration::from_millis(arrives)).await;
            let asked = Instant::now();
            let leaving = Duration::from_millis(leaves.unwrap_or(1_000_000));
            let taken = tokio::time::timeout(leaving, ask(&quota, patience)).await.ok()?;
            assert!(asked.elapsed() <= Duration::from_millis(patience) + 2 * MILLISECOND);
            taken.ok().map(|()| start.elapsed().as_millis() as u64)
        });
    }
    let mut times: Vec<u64> = all.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    times
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whoever_comes_and_leaves_no_window_holds_too_many(
        per_second in 20_u32..500,
        burst in 1_u32..5,
        askers in prop::collection::vec((0_u64..400, 0_u64..400, prop::option::weighted(0.3, 0_u64..100)), 1..120),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let times = runtime.unwrap().block_on(async {
            given(&quota(per_second, burst, OnExhausted::Wait), askers).await
        });
        for (first, start) in times.iter().enumerate() {
            for (last, end) in times.iter().enumerate().skip(first) {
                // A timer rings up to a millisecond late, and of what was missed 10 ms are made up for.
                let earned = f64::from(per_second) * (end - start + 11) as f64 / 1000.0;
                prop_assert!((last - first + 1) as f64 <= f64::from(burst) + earned, "{times:?}");
            }
        }
    }
}
