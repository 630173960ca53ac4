//! What expires together is fetched once for the fleet.

use super::*;
use crate::support::client::Connection;

const KEYS: usize = 400;

/// Every key on one replica, over one connection.
async fn ask_for_all(replica: &TestApp) -> Vec<Answer> {
    let mut connection = Connection::open(replica.data).await;
    let mut answers = Vec::new();
    for key in 0..KEYS {
        answers.push(connection.send(client::request(&format!("/proxy/up/{key}"))).await.unwrap());
    }
    answers
}

#[tokio::test]
async fn many_keys_that_expire_together_are_refreshed_once_for_all_replicas() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    for key in 0..KEYS {
        let soon_stale = cacheable("max-age=6, stale-while-revalidate=600", "v");
        fleet.upstream.script(&format!("/{key}"), [soon_stale.into(), cacheable("max-age=600", "v").into()]);
    }
    ask_for_all(one).await;
    has_written(one, KEYS as u64).await;
    ask_for_all(other).await;
    let primed = fleet.upstream.seen_in_all();
    // Whoever looked whether they are stale would have them refreshed early.
    let expired = std::time::Instant::now() + Duration::from_secs(7);
    until("all are stale", SOON, async || std::time::Instant::now() > expired).await;
    let (ours, theirs) = tokio::join!(ask_for_all(one), ask_for_all(other));
    assert!(ours.iter().chain(&theirs).all(|answer| how(answer).starts_with("levee; hit")), "nobody waits");
    for replica in [one, other] {
        until("every key is fresh", SOON, async || {
            ask_for_all(replica).await.iter().all(|answer| is_hit(answer, "memory"))
        })
        .await;
    }
    let fetched = fleet.upstream.seen_in_all() - primed;
    assert!((1..=KEYS * 105 / 100).contains(&fetched), "{fetched} requests for {KEYS} keys");
}
