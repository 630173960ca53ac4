//! What several replicas lack at once is fetched by one of them, and nobody waits long for it.

use super::*;
use crate::support::client::Connection;
use crate::support::misbehaving::{Behaviour, Gate};

/// As many as a run of all tests has the time for; with `LEVEE_TEST_KEYS` as many as it says.
fn keys() -> usize {
    std::env::var("LEVEE_TEST_KEYS").map_or(1000, |keys| keys.parse().expect("a number"))
}

/// Callers of each replica: few, since each that a busy machine halts for longer than a call waits for Redis asks twice.
const CALLERS: usize = 2;

/// Every key on one replica, by several callers, each a part.
async fn ask_for_all(replica: &TestApp) {
    let caller = async |caller: usize| {
        let mut connection = Connection::open(replica.data).await;
        for key in (caller..keys()).step_by(CALLERS) {
            let answer = connection.send(client::request(&format!("/proxy/up/{key}"))).await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    };
    futures_util::future::join_all((0..CALLERS).map(caller)).await;
}

fn held(gate: &Gate, reply: Reply) -> Behaviour {
    Behaviour::Held(gate.clone(), Box::new(reply.into()))
}

/// How many requests it takes until both replicas have all keys.
async fn fetches(fleet: &Fleet) -> usize {
    let (one, other) = fleet.pair();
    let before = fleet.upstream.seen_in_all();
    tokio::join!(ask_for_all(one), ask_for_all(other));
    fleet.upstream.seen_in_all() - before
}

#[expect(clippy::print_stderr, reason = "the figures are worth seeing even where they are good")]
#[tokio::test]
async fn many_keys_that_are_missed_or_expire_together_are_fetched_once_for_all_replicas() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let keys = keys();
    let life = Duration::from_secs(5 + keys as u64 / 100);
    let first = cacheable(&format!("max-age={}", life.as_secs()), "v");
    for key in 0..keys {
        let replies = [first.clone().into(), cacheable("max-age=600", "v").into()];
        fleet.upstream.script(&format!("/{key}"), replies);
    }
    let missed = fetches(&fleet).await;
    let expired = std::time::Instant::now() + life;
    until("all are expired", life * 2, async || std::time::Instant::now() > expired).await;
    let renewed = fetches(&fleet).await;
    eprintln!("{missed} requests for {keys} keys that were missed, {renewed} when they had expired");
    for fetched in [missed, renewed] {
        assert!((keys..=keys * 105 / 100).contains(&fetched), "{fetched} requests for {keys} keys");
    }
}

#[tokio::test]
async fn what_cannot_be_shared_is_waited_for_once_and_never_asked_for_in_line() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    let gate = Gate::closed();
    fleet.upstream.script("/a", [held(&gate, cacheable("no-store", "own"))]);
    let waits_a_while = async {
        until("the first is at the upstream", SOON, async || gate.waiting() == 1).await;
        let second = get(other, "/a");
        tokio::pin!(second);
        let early = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
        assert!(early.is_err() && gate.waiting() == 1, "the other replica waits for it");
        gate.let_through(2);
        second.await
    };
    let (first, second) = tokio::join!(get(one, "/a"), waits_a_while);
    assert_eq!((first.text(), second.text(), fleet.upstream.seen("/a")), ("own", "own", 2));
    let many = futures_util::future::join_all((0..5).flat_map(|_| [get(one, "/a"), get(other, "/a")]));
    let all_at_once = async {
        until("nobody waits for another", SOON, async || gate.waiting() == 10).await;
        gate.open();
    };
    tokio::join!(many, all_at_once);
}

#[tokio::test]
async fn whoever_waits_in_vain_asks_for_itself_in_time() {
    let redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    fleet.upstream.script("/a", [Behaviour::Hang, cacheable("max-age=60", "v").into()]);
    let hurried = async {
        until("the first is at the upstream", SOON, async || fleet.upstream.seen("/a") == 1).await;
        let mut request = client::request("/proxy/up/a");
        request.headers_mut().insert("levee-timeout", "2s".parse().unwrap());
        client::send(other.data, request).await.unwrap()
    };
    let answer = tokio::select! {
        answer = hurried => answer,
        first = get(one, "/a") => panic!("{}", first.text()),
    };
    assert_eq!((answer.text(), how(&answer)), ("v", "levee; fwd=uri-miss; stored"));
    assert_eq!(fleet.upstream.seen("/a"), 2);
}

#[tokio::test]
async fn nobody_waits_for_another_replica_once_redis_is_away() {
    let mut redis = RedisServer::start().await;
    let fleet = Fleet::over(&redis.url()).await;
    let (one, other) = fleet.pair();
    let gate = Gate::closed();
    fleet.upstream.script("/a", [held(&gate, cacheable("max-age=60", "v"))]);
    let troubling = async {
        until("the first is at the upstream", SOON, async || gate.waiting() == 1).await;
        let second = get(other, "/a");
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            redis.stop();
            until("the second asks for itself", Duration::from_secs(1), async || gate.waiting() == 2).await;
            gate.open();
        };
        tokio::join!(second, stopping).0
    };
    let (first, second) = tokio::join!(get(one, "/a"), troubling);
    assert_eq!((first.text(), second.text()), ("v", "v"));
}
