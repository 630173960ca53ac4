//! The second level: what comes back from Redis is what was written, and nothing else counts.

use super::*;
use crate::support::redis::RedisCluster;

/// Asks for another thing until its answer comes from Redis: on a machine that is all busy the ten milliseconds a call
/// waits for Redis can be over before the answer is there, and asking the upstream is right then.
async fn until_from_redis(ask: impl AsyncFn(usize) -> Answer) -> (usize, Answer) {
    for number in 0..10 {
        let answer = ask(number).await;
        if is_hit(&answer, "redis") {
            return (number, answer);
        }
        assert_eq!(how(&answer), "levee; fwd=uri-miss; stored", "if it is no hit");
    }
    panic!("nothing ever comes from Redis");
}

async fn from_redis(redis: &str) {
    let fleet = Fleet::over(redis).await;
    let (one, other) = fleet.pair();
    let kept = || cacheable("max-age=60", "kept").header("X-Twice", "1").header("X-Twice", "2");
    let path = |number: usize| format!("/{number}");
    let (number, answer) = until_from_redis(async |number| {
        fleet.upstream.script(&path(number), [kept().into()]);
        assert_eq!(how(&get(one, &path(number)).await), "levee; fwd=uri-miss; stored");
        has_written(one, number as u64 + 1).await;
        get(other, &path(number)).await
    })
    .await;
    assert_eq!((answer.text(), answer.headers.get_all("x-twice").iter().count()), ("kept", 2));
    assert_eq!((answer.header("levee-answer"), answer.header("levee-attempts")), ("cache", "0"));
    assert!(is_hit(&get(other, &path(number)).await, "memory"), "it is in memory from there on");
    assert_eq!(fleet.upstream.seen(&path(number)), 1);
    assert_eq!(count(other, "levee_cache_fleet_looks_total{result=\"hit\"}").await, 1);
    assert_eq!(count(other, "levee_cache_requests_total{upstream=\"up\",result=\"fleet_hit\"}").await, 1);
}

#[tokio::test]
async fn what_one_replica_fetched_another_answers_with() {
    let redis = RedisServer::start().await;
    from_redis(&redis.url()).await;
    let keys = redis.command(&["KEYS", "*"]);
    assert!(keys.lines().all(|key| key.starts_with("{levee:")), "{keys}");
    let value = keys.lines().find(|key| key.ends_with("}:v")).unwrap();
    let left: u64 = redis.command(&["PTTL", value]).parse().unwrap();
    assert!((60_000..=120_000).contains(&left), "its use and a minute: {left}");
}

#[tokio::test]
async fn a_cluster_serves_as_well() {
    let cluster = RedisCluster::start().await;
    from_redis(&cluster.url()).await;
}

#[tokio::test]
async fn variants_are_found_by_what_selects_them() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    let reply = || cacheable("max-age=60", "v").header("Vary", "User-Agent");
    let ask = async |replica: &TestApp, number: usize, agent: &str| {
        let mut request = client::request(&format!("/proxy/up/{number}"));
        request.headers_mut().insert("user-agent", agent.parse().unwrap());
        client::send(replica.data, request).await.unwrap()
    };
    let (number, _) = until_from_redis(async |number| {
        fleet.upstream.script(&format!("/{number}"), [reply().into()]);
        ask(one, number, "a").await;
        has_written(one, 2 * (number as u64 + 1)).await;
        ask(other, number, "a").await
    })
    .await;
    let answer = ask(other, number, "b").await;
    assert!(how(&answer).starts_with("levee; fwd="), "{}", how(&answer));
    assert_eq!(fleet.upstream.seen(&format!("/{number}")), 2);
}

#[tokio::test]
async fn damaged_and_foreign_values_are_misses() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    for path in ["/a", "/b"] {
        fleet.upstream.script(path, [cacheable("max-age=60", path).into()]);
    }
    get(one, "/a").await;
    has_written(one, 1).await;
    let values = || redis.command(&["KEYS", "*}:v"]).lines().map(str::to_owned).collect::<Vec<_>>();
    let first = values().remove(0);
    redis.command(&["SETRANGE", &first, "60", "damage"]);
    assert_eq!(how(&get(other, "/a").await), "levee; fwd=uri-miss; stored");
    assert_eq!(count(other, "levee_cache_fleet_looks_total{result=\"damaged\"}").await, 1);
    get(one, "/b").await;
    has_written(one, 2).await;
    has_written(other, 1).await;
    let second = values().into_iter().find(|key| *key != first).unwrap();
    redis.command(&["COPY", &first, &second, "REPLACE"]);
    let answer = get(other, "/b").await;
    assert_eq!((answer.text(), how(&answer)), ("/b", "levee; fwd=uri-miss; stored"));
    assert_eq!(count(other, "levee_cache_fleet_looks_total{result=\"damaged\"}").await, 2);
}

#[tokio::test]
async fn what_cannot_be_stored_is_known_to_the_fleet() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    fleet.upstream.script("/a", [cacheable("no-store", "").into()]);
    get(one, "/a").await;
    has_written(one, 1).await;
    get(other, "/a").await;
    assert_eq!(how(&get(other, "/a").await), "levee; fwd=miss");
}

#[tokio::test]
async fn another_ring_shares_nothing_and_says_no_name() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    fleet.upstream.script("/secret-path", [cacheable("max-age=60", "v").into()]);
    get(&fleet.replicas[0], "/secret-path").await;
    has_written(&fleet.replicas[0], 1).await;
    let document = format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: up }}\nspec:\n  url: {}\n",
        fleet.upstream.url()
    );
    let stranger = TestApp::with(document).env("LEVEE_REDIS_URL", redis.url()).start().await;
    in_step(&stranger).await;
    assert_eq!(how(&get(&stranger, "/secret-path").await), "levee; fwd=uri-miss; stored");
    assert!(!redis.command(&["KEYS", "*"]).contains("secret"));
}
