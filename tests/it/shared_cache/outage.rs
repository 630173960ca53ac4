//! Redis is away, forgets, or answers late: calls go on, and what was purged meanwhile is purged.

use super::*;
use crate::support::redis::{Fault, FaultProxy};

/// An answer with a validator, and then the upstream's word that it still holds.
fn confirmable(fleet: &Fleet, path: &str) {
    let confirmed = Reply { status: 304, headers: Vec::new(), body: "".into() };
    let kept = cacheable("max-age=600", "kept").header("ETag", "\"v\"");
    fleet.upstream.script(path, [kept.into(), confirmed.into()]);
}

#[tokio::test]
async fn a_redis_that_was_emptied_makes_everything_stale_and_loses_nothing() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    confirmable(&fleet, "/a");
    get(one, "/a").await;
    assert!(is_hit(&get(one, "/a").await, "memory"));
    redis.command(&["FLUSHALL"]);
    for replica in [one, other] {
        let lost = "levee_cache_log_lost_track_total";
        until("another log is noticed", SOON, async || count(replica, lost).await >= 2).await;
    }
    let answer = get(one, "/a").await;
    assert_eq!((answer.text(), how(&answer)), ("kept", "levee; fwd=stale; fwd-status=304; stored"));
    assert!(is_hit(&get(one, "/a").await, "memory"));
}

#[tokio::test]
async fn a_log_trimmed_past_a_replica_makes_everything_stale_there() {
    let redis = RedisServer::start().await;
    let proxy = FaultProxy::in_front_of(redis.address);
    let fleet = Fleet::over_each(&[&redis.url(), &proxy.url()]).await;
    let (one, other) = fleet.pair();
    confirmable(&fleet, "/a");
    get(other, "/a").await;
    proxy.set(Fault::Refuse);
    until("it is away", SOON, async || other.status().await["redis"]["up"] == false).await;
    for tag in ["a", "b", "c"] {
        assert_eq!(purge(one, json!({ "upstream": "up", "tag": tag })).await.status, 200);
    }
    redis.command(&["XTRIM", "{levee:inv}", "MAXLEN", "1"]);
    proxy.set(Fault::Pass);
    in_step(other).await;
    let answer = get(other, "/a").await;
    assert_eq!((answer.text(), how(&answer)), ("kept", "levee; fwd=stale; fwd-status=304; stored"));
}

#[tokio::test]
async fn a_purge_with_redis_down_applies_here_at_once_and_everywhere_when_it_is_back() {
    let mut redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    fleet.upstream.script("/a", [cacheable("max-age=600", "v").into()]);
    for replica in [one, other] {
        get(replica, "/a").await;
    }
    redis.stop();
    until("it is missed", SOON, async || one.status().await["redis"]["up"] == false).await;
    let purged = purge(one, json!({ "upstream": "up", "url": "/a" })).await;
    assert_eq!((purged.status.as_u16(), purged.json()), (202, json!({ "propagated": false })));
    let before = fleet.upstream.seen("/a");
    assert_eq!(how(&get(one, "/a").await), "levee; fwd=uri-miss; stored");
    assert!(is_hit(&get(one, "/a").await, "memory"), "what was fetched since is good");
    assert!(is_hit(&get(other, "/a").await, "memory"), "nobody could tell it");
    assert_eq!(fleet.upstream.seen("/a"), before + 1);
    redis.start_again().await;
    in_step(one).await;
    in_step(other).await;
    assert_eq!(one.status().await["fleetCache"]["outbox"], 0);
    until("the purge holds there too", SOON, async || !is_hit(&get(other, "/a").await, "memory")).await;
}

#[tokio::test]
async fn calls_go_on_whatever_happens_to_redis() {
    let mut redis = RedisServer::start().await;
    let proxy = FaultProxy::in_front_of(redis.address);
    let fleet = Fleet::over_each(&[&proxy.url(), &redis.url()]).await;
    let (one, other) = fleet.pair();
    let over = std::cell::Cell::new(false);
    let calling = async {
        let mut asked = 0;
        while !over.get() {
            for replica in [one, other] {
                let path = format!("/{}", asked % 40);
                fleet.upstream.script(&path, [cacheable("max-age=1", "v").into()]);
                let answer = get(replica, &path).await;
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
            asked += 1;
        }
        asked
    };
    let troubling = async {
        for fault in [Fault::Slow(Duration::from_millis(60)), Fault::BlackHole, Fault::Reset, Fault::Refuse] {
            proxy.set(fault);
            tokio::time::sleep(Duration::from_millis(700)).await;
            proxy.set(Fault::Pass);
        }
        redis.stop();
        tokio::time::sleep(Duration::from_millis(700)).await;
        redis.start_again().await;
        in_step(one).await;
        in_step(other).await;
        over.set(true);
    };
    let (asked, ()) = tokio::join!(calling, troubling);
    assert!(asked > 50, "{asked} rounds");
}

#[tokio::test]
async fn a_redis_out_of_memory_counts_as_down_for_purges() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over_each(&[&redis.url()]).await;
    let one = &fleet.replicas[0];
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let purged = purge(one, json!({ "upstream": "up", "all": true })).await;
    assert_eq!(purged.status, 202, "{}", purged.text());
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    in_step(one).await;
    assert_ne!(redis.command(&["XLEN", "{levee:inv}"]), "0");
}
