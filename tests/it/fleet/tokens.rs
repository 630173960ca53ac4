//! The tokens of a shared quota, taken in this process by what three replicas would be: fast, and counted one by one.

use std::time::Instant;

use levee::fleet::Fleet;
use levee::gateway::quota::{NoToken, Quota, Shortage, Token};
use levee::models::policy::{self, OnExhausted, OnStoreLoss, Rate, Scope};
use levee::redis::{Address, Allowance, Redis};
use tokio_util::task::TaskTracker;

use super::*;

/// What replicas may hold beyond burst and rate, seconds: tokens that were fetched count for 200 ms, and a busy machine
/// notes late what was taken in time.
const HELD: f64 = 0.3;

fn settings(per_second: u32, burst: u32, on_exhausted: OnExhausted) -> policy::Quota {
    let rate = Rate { count: per_second, per: Duration::from_secs(1) };
    policy::Quota { rate, burst, scope: Scope::Fleet, on_exhausted, on_store_loss: OnStoreLoss::Closed }
}

async fn quotas(server: &RedisServer, settings: &policy::Quota) -> Vec<Arc<Quota>> {
    let mut quotas = Vec::new();
    for _ in 0..3 {
        let redis = Redis::connect(&Address::parse(&server.url()).unwrap(), "levee-test");
        until("Redis answers", SOON, async || redis.is_up()).await;
        let fleet = Fleet::new(Some(redis), TaskTracker::new());
        quotas.push(Arc::new(Quota::new(settings, "rates/", &fleet, Arc::default(), None)));
    }
    quotas
}

async fn take(quota: &Arc<Quota>, patience: Duration) -> Result<(), NoToken> {
    quota.take(tokio::time::Instant::now() + patience, &Allowance::default(), || true).await.map(Token::spend)
}

/// When each of the tokens was taken, by so many who ask each quota over and over.
async fn taken(quotas: &[Arc<Quota>], each: usize, span: Duration) -> Vec<f64> {
    let (began, mut running) = (Instant::now(), JoinSet::new());
    for quota in quotas.iter().flat_map(|quota| std::iter::repeat_n(quota, each)) {
        let quota = Arc::clone(quota);
        running.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < span {
                take(&quota, Duration::from_secs(10)).await.unwrap();
                times.push(began.elapsed().as_secs_f64());
            }
            times
        });
    }
    let mut times = running.join_all().await.concat();
    times.sort_by(f64::total_cmp);
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_window_holds_more_than_burst_rate_and_what_is_held() {
    let server = RedisServer::start().await;
    for (rate, burst) in [(100, 1), (100, 20), (2000, 100)] {
        server.command(&["FLUSHALL"]);
        let quotas = quotas(&server, &settings(rate, burst, OnExhausted::Wait)).await;
        let times = taken(&quotas, 20, Duration::from_secs(3)).await;
        let expected = f64::from(rate) * 3.0;
        assert!(times.len() as f64 > expected * 0.9, "{rate}, {burst}: {} of {expected}", times.len());
        for (first, start) in times.iter().enumerate().step_by(7) {
            for (last, end) in times.iter().enumerate().skip(first) {
                let most = f64::from(burst) + f64::from(rate) * (end - start + HELD);
                assert!(
                    (last - first + 1) as f64 <= most,
                    "{rate}, {burst}: {} in {}",
                    last - first,
                    end - start
                );
            }
        }
    }
}

#[tokio::test]
async fn a_burst_is_for_all_together_and_a_refusal_says_when() {
    let server = RedisServer::start().await;
    let quotas = quotas(&server, &settings(1, 6, OnExhausted::Reject)).await;
    let mut passed = 0;
    for turn in 0..12 {
        passed += usize::from(take(&quotas[turn % 3], Duration::from_secs(10)).await.is_ok());
    }
    assert!((6..=7).contains(&passed), "{passed}");
    let Err(NoToken::Refused(Shortage::Tokens, after)) = take(&quotas[0], Duration::ZERO).await else {
        panic!("the burst is used up")
    };
    assert!(after <= Duration::from_secs(1), "{after:?}");
}
