//! A purge on one replica is a purge on all, even against a fetch that is under way, and for one that was cut off.

use super::*;
use crate::support::misbehaving::{Behaviour, Gate};
use crate::support::redis::{Fault, FaultProxy};

/// Both replicas have it in memory.
async fn held_by_both(fleet: &Fleet, path: &str, reply: Reply) {
    fleet.upstream.script(path, [reply.into()]);
    for replica in &fleet.replicas {
        get(replica, path).await;
        until("it is in memory", SOON, async || is_hit(&get(replica, path).await, "memory")).await;
    }
}

/// The replica, which has been there from the beginning, has read all of the log.
async fn has_read(replica: &TestApp, redis: &RedisServer) {
    let entries: u64 = redis.command(&["XLEN", "{levee:inv}"]).parse().unwrap();
    until("the log is read", SOON, async || count(replica, "levee_cache_log_applied_total").await >= entries)
        .await;
}

#[tokio::test]
async fn every_kind_of_purge_reaches_every_replica() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    let kinds = [
        json!({ "upstream": "up", "url": "/quotes/1?whatever" }),
        json!({ "upstream": "up", "url": format!("{}/quotes/1", fleet.upstream.url()) }),
        json!({ "upstream": "up", "tag": "b c" }),
        json!({ "upstream": "up", "tag": "e" }),
        json!({ "upstream": "up", "glob": "/quotes/*" }),
        json!({ "upstream": "up", "all": true }),
    ];
    let tagged = cacheable("max-age=60", "v").header("Cache-Tag", "a, b c").header("Surrogate-Key", "d e");
    for kind in kinds {
        held_by_both(&fleet, "/quotes/1", tagged.clone()).await;
        held_by_both(&fleet, "/other", cacheable("max-age=60", "v")).await;
        let purged = purge(one, kind.clone()).await;
        assert_eq!((purged.status.as_u16(), purged.json()), (200, json!({ "propagated": true })), "{kind}");
        assert_eq!(how(&get(one, "/quotes/1").await), "levee; fwd=uri-miss; stored", "{kind}");
        has_read(other, &redis).await;
        let answer = get(other, "/quotes/1").await;
        assert!(!is_hit(&answer, "memory"), "{kind}: {}", how(&answer));
        let spared = kind.get("all").is_none();
        assert_eq!(is_hit(&get(other, "/other").await, "memory"), spared, "{kind}");
    }
}

#[tokio::test]
async fn a_soft_purge_leaves_what_the_upstream_may_confirm() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    let reply = cacheable("max-age=60", "v").header("ETag", "\"v\"");
    held_by_both(&fleet, "/a", reply).await;
    fleet.upstream.script("/a", [Reply { status: 304, headers: Vec::new(), body: "".into() }.into()]);
    let purged = purge(one, json!({ "upstream": "up", "all": true, "soft": true })).await;
    assert_eq!(purged.status, 200);
    has_read(other, &redis).await;
    let answer = get(other, "/a").await;
    assert_eq!((answer.text(), how(&answer)), ("v", "levee; fwd=stale; fwd-status=304; stored"));
}

#[tokio::test]
async fn a_purge_beats_the_fetch_it_races_on_another_replica() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    let gate = Gate::closed();
    let old: Behaviour = cacheable("max-age=60", "old").into();
    fleet
        .upstream
        .script("/a", [Behaviour::Held(gate.clone(), Box::new(old)), cacheable("max-age=60", "new").into()]);
    let (fetched, ()) = tokio::join!(get(other, "/a"), async {
        until("the fetch is under way", SOON, async || gate.waiting() == 1).await;
        assert_eq!(purge(one, json!({ "upstream": "up", "url": "/a" })).await.status, 200);
        has_read(other, &redis).await;
        gate.open();
    });
    assert_eq!(fetched.text(), "old", "it asked before the purge");
    for replica in [other, one] {
        assert_eq!(get(replica, "/a").await.text(), "new");
    }
}

#[tokio::test]
async fn an_unsafe_method_purges_what_it_changes_on_every_replica() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    held_by_both(&fleet, "/a", cacheable("max-age=60", "v")).await;
    held_by_both(&fleet, "/b", cacheable("max-age=60", "v")).await;
    fleet.upstream.script("/a", [Reply::status(201).header("Location", "/b").into()]);
    client::send_body(one.data, Method::POST, "/proxy/up/a", b"x").await;
    until("both are purged", SOON, async || redis.command(&["XLEN", "{levee:inv}"]) == "2").await;
    has_read(other, &redis).await;
    for path in ["/a", "/b"] {
        let answer = get(other, path).await;
        assert!(how(&answer).starts_with("levee; fwd=uri-miss"), "{path}: {}", how(&answer));
    }
}

#[tokio::test]
async fn a_replica_that_was_away_for_fifty_purges_replays_them_all() {
    let redis = RedisServer::start().await;
    let proxy = FaultProxy::in_front_of(redis.address);
    let fleet = Fleet::over_each(&[&redis.url(), &proxy.url()]).await;
    let (one, other) = fleet.pair();
    for path in 0..50 {
        held_by_both(&fleet, &format!("/{path}"), cacheable("max-age=600", "v")).await;
    }
    held_by_both(&fleet, "/spared", cacheable("max-age=600", "v")).await;
    proxy.set(Fault::Refuse);
    until("it is away", SOON, async || other.status().await["redis"]["up"] == false).await;
    let api = one.admin().await;
    for path in 0..50 {
        let body = json!({ "upstream": "up", "url": format!("/{path}") });
        assert_eq!(api.post("/api/v1/cache/purge", body).await.status, 200);
    }
    assert!(is_hit(&get(other, "/0").await, "memory"), "it cannot know");
    proxy.set(Fault::Pass);
    in_step(other).await;
    for path in 0..50 {
        let answer = get(other, &format!("/{path}")).await;
        assert!(!is_hit(&answer, "memory"), "/{path}: {}", how(&answer));
    }
    assert!(is_hit(&get(other, "/spared").await, "memory"), "nothing was missed, so nothing else is stale");
}

#[tokio::test]
async fn purges_are_refused_with_the_reason_and_noted() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over_each(&[&redis.url()]).await;
    let api = fleet.replicas[0].admin().await;
    for (body, status) in [
        (json!({ "upstream": "nowhere", "all": true }), 404),
        (json!({ "upstream": "up" }), 400),
        (json!({ "upstream": "up", "all": false }), 400),
        (json!({ "upstream": "up", "all": true, "tag": "a" }), 400),
        (json!({ "upstream": "up", "url": "http://elsewhere.example/a" }), 400),
        (json!({ "upstream": "up", "glob": "/[" }), 400),
        (json!({ "upstream": "up", "glob": "quotes" }), 400),
    ] {
        assert_eq!(api.post("/api/v1/cache/purge", body.clone()).await.status, status, "{body}");
    }
    assert_eq!(api.post("/api/v1/cache/purge", json!({ "upstream": "up", "tag": "a" })).await.status, 200);
    let noted = api.get("/api/v1/audit?action=cache.purged").await.json();
    let noted = noted["items"].as_array().unwrap();
    assert_eq!((noted.len(), &noted[0]["details"]["value"]), (1, &json!("a")));
}
