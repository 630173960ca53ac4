//! Values: loaded once, kept for their time, gone with a purge that their load could not have seen.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::future::join_all;
use tokio::sync::oneshot;
use tokio::time::advance;

use super::super::fixtures::MIB;
use super::super::log::News;
use super::super::position::LogId;
use super::super::value::Damage;
use super::*;
use crate::redis::{Address, Redis};

const TTL: Duration = Duration::from_secs(30);

fn key(text: &str) -> ValueKey<'_> {
    ValueKey { kind: "numbers", text, level: Level::Memory }
}

/// Asks; the count of loads is what is loaded.
async fn ask(cache: &HttpCache, key: &ValueKey<'_>, tag: &str, loads: &AtomicUsize) -> usize {
    let load = async || Ok::<_, ()>(loads.fetch_add(1, Relaxed) + 1);
    cache.get_or_load(key, TTL, &[tag], load).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_value_is_loaded_once_in_its_time_and_under_its_key() {
    let (cache, loads) = (HttpCache::new(MIB), AtomicUsize::new(0));
    assert_eq!(ask(&cache, &key("a"), "t", &loads).await, 1);
    assert_eq!(ask(&cache, &key("a"), "t", &loads).await, 1);
    assert_eq!(ask(&cache, &key("b"), "t", &loads).await, 2);
    let other_kind = ValueKey { kind: "others", ..key("a") };
    assert_eq!(ask(&cache, &other_kind, "t", &loads).await, 3);
    advance(Duration::from_millis(29_999)).await;
    assert_eq!(ask(&cache, &key("a"), "t", &loads).await, 1);
    advance(Duration::from_millis(2)).await;
    assert_eq!(ask(&cache, &key("a"), "t", &loads).await, 4);
}

#[tokio::test(start_paused = true)]
async fn of_those_who_ask_at_once_one_loads() {
    let (cache, loads) = (HttpCache::new(MIB), AtomicUsize::new(0));
    let asking = || {
        cache.get_or_load(
            &ValueKey { kind: "numbers", text: "a", level: Level::Memory },
            TTL,
            &[],
            async || {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok::<_, ()>(loads.fetch_add(1, Relaxed) + 1)
            },
        )
    };
    assert_eq!(join_all((0..50).map(|_| asking())).await, vec![Ok(1); 50]);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_fails_is_not_kept_and_nobody_waits_twice() {
    let (cache, loads, key) = (HttpCache::new(MIB), AtomicUsize::new(0), key("a"));
    let asking = || {
        cache.get_or_load(&key, TTL, &[], async || {
            loads.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err::<usize, _>("down")
        })
    };
    let began = Instant::now();
    assert_eq!(join_all((0..10).map(|_| asking())).await, vec![Err("down"); 10]);
    assert_eq!((loads.load(Relaxed), began.elapsed()), (10, Duration::from_secs(2)));
    assert_eq!(ask(&cache, &key, "t", &loads).await, 11);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_a_load_leaves_it_to_the_next() {
    let (cache, loads, key) = (HttpCache::new(MIB), AtomicUsize::new(0), key("a"));
    let never = cache.get_or_load(&key, TTL, &[], std::future::pending::<Result<usize, ()>>);
    let left = tokio::time::timeout(Duration::from_secs(1), never);
    let (left, loaded) = tokio::join!(left, ask(&cache, &key, "t", &loads));
    assert!(left.is_err() && loaded == 1);
}

#[tokio::test]
async fn a_purge_forgets_what_has_its_tag() {
    let (cache, loads) = (HttpCache::new(MIB), AtomicUsize::new(0));
    for (text, tag) in [("a", "users"), ("b", "accounts")] {
        ask(&cache, &key(text), tag, &loads).await;
    }
    cache.purge_values("users");
    assert_eq!(ask(&cache, &key("a"), "users", &loads).await, 3);
    assert_eq!(ask(&cache, &key("b"), "accounts", &loads).await, 2);
    cache.purge(Purge { scope: Scope::All, strength: Strength::Hard });
    assert_eq!(ask(&cache, &key("b"), "accounts", &loads).await, 4);
}

#[tokio::test]
async fn whoever_comes_after_a_purge_never_gets_what_was_loaded_before_it() {
    let (cache, loads, key) = (HttpCache::new(MIB), AtomicUsize::new(0), key("a"));
    let (read, is_read) = oneshot::channel();
    let (go, gone) = oneshot::channel::<()>();
    let early = cache.get_or_load(&key, TTL, &["t"], async || {
        read.send(()).unwrap();
        gone.await.unwrap();
        Ok::<_, ()>(1000)
    });
    let late = async {
        is_read.await.unwrap();
        cache.purge_values("t");
        let asking = ask(&cache, &key, "t", &loads);
        tokio::pin!(asking);
        assert!(futures_util::poll!(&mut asking).is_pending(), "it waits for the load under way");
        go.send(()).unwrap();
        asking.await
    };
    assert_eq!(tokio::join!(early, late), (Ok(1000), 1));
    assert_eq!(ask(&cache, &key, "t", &loads).await, 1, "nor is it kept");
}

#[tokio::test]
async fn what_is_no_such_value_is_loaded() {
    let (cache, loads, key) = (HttpCache::new(MIB), AtomicUsize::new(0), key("a"));
    let text = async || Ok::<_, ()>("text".to_owned());
    assert_eq!(cache.get_or_load(&key, TTL, &[], text).await.unwrap(), "text");
    assert_eq!(ask(&cache, &key, "t", &loads).await, 1);
}

/// A cache that may read and write the second level, which nobody carries its values to.
fn in_step() -> HttpCache {
    let redis = Redis::connect(&Address::parse("redis://127.0.0.1:1").unwrap(), "values");
    let cache = HttpCache::shared(MIB, &[9; 32], Some(redis));
    let (zero, entries) = (LogId::default(), Vec::new());
    let news = News { epoch: 7, first: zero, last: zero, trimmed: false, entries };
    cache.hear(cache.fleet.as_ref().unwrap(), &news, Instant::now());
    cache
}

#[tokio::test]
async fn what_may_lie_in_redis_is_another_replicas_too_and_the_rest_stays() {
    let (one, other, loads) = (in_step(), in_step(), AtomicUsize::new(0));
    ask(&one, &key("a"), "t", &loads).await;
    assert!(one.next_write().is_none(), "it stays in memory");
    let shared = ValueKey { level: Level::Fleet, ..key("b") };
    assert_eq!(ask(&one, &shared, "t", &loads).await, 2);
    let (hash, bytes) = one.next_write().unwrap();
    let place = other.place_of(&shared);
    assert_eq!(place.hash, hash);
    let read = |bytes: &[u8]| value::read(bytes, &other.keyer.proof(&place.text), MIB, SystemTime::now());
    let mut damaged = bytes.to_vec();
    damaged[80] ^= 1;
    assert_eq!(read(&damaged).unwrap_err(), Damage::Corrupt);
    let Ok(value::Value::Answer(answer)) = read(&bytes) else { panic!("it is a value") };
    assert!(other.take_in(*answer, place.clone(), OURS).unwrap().1);
    assert_eq!(ask(&other, &shared, "t", &loads).await, 2, "it is not loaded again");
    other.purge_values("t");
    assert_eq!(ask(&other, &shared, "t", &loads).await, 3);
}
