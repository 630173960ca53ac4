//! A thousand calls hang at one upstream; the callers of another must not notice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Crowd, patient};
use crate::support::client::{Connection, request};
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;

/// How much slower the healthy upstream's p99 may be.
const MARGIN: f64 = 1.2;
/// Calls of one round.
const CALLS: usize = 1500;
/// Pairs of rounds, with the crowd and without: judged after the first number, and again after each further pair, so
/// that a noisy machine gets more chances to show the same thing and not a wider margin.
const PAIRS: std::ops::RangeInclusive<usize> = 7..=30;

/// The p99 of calls made one after the other on a kept connection.
async fn p99(levee: SocketAddr) -> Duration {
    let mut connection = Connection::open(levee).await;
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        let answer = connection.send(request("/proxy/spring/ok")).await.unwrap();
        took.push(began.elapsed());
        assert_eq!(answer.status, 200);
    }
    took.sort_unstable();
    took[CALLS * 99 / 100]
}

fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}

#[tokio::test]
async fn a_thousand_hung_calls_do_not_slow_the_healthy_upstream() {
    let (mire, spring) = (Misbehaving::start().await, Misbehaving::start().await);
    let app = TestApp::start(patient("mire", &mire) + &patient("spring", &spring)).await;
    p99(app.data).await;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    loop {
        let crowd_first = without.len() % 2 == 1;
        if !crowd_first {
            without.push(p99(app.data).await);
        }
        let crowd = Crowd::gather(&app, &mire).await;
        with.push(p99(app.data).await);
        crowd.leave(&app).await;
        if crowd_first {
            without.push(p99(app.data).await);
        }
        if without.len() < *PAIRS.start() {
            continue;
        }
        let (calm, crowded) = (median(&without), median(&with));
        let ratio = crowded.as_secs_f64() / calm.as_secs_f64();
        println!(
            "{} pairs: p99 {calm:?} without, {crowded:?} with 1,000 hung calls: ratio {ratio:.2}",
            with.len()
        );
        if ratio <= MARGIN {
            break;
        }
        assert!(without.len() < *PAIRS.end(), "{ratio:.2} times slower: {without:?} against {with:?}");
    }
    assert_eq!(
        app.metric(r#"levee_breaker_state{upstream="mire",operation="",state="closed"}"#).await,
        Some(1.0)
    );
}
