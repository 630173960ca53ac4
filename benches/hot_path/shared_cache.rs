//! What an answer out of Redis costs, beside the bare `GET` of the same value: one question after the other on one
//! connection, over the Redis of `tests/with-servers.sh`. The answer has no `Vary`, which would cost a second question.
//! It is asked for, read, judged and looked up; only its place in memory is made once instead of each time.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use fred::interfaces::{ClientLike as _, KeysInterface as _};
use fred::types::{ClusterHash, CustomCommand};
use levee::cache::{HttpCache, Key, Lookup, RequestView, Written};
use levee::models::policy::Cache;
use levee::redis::{Address, Redis};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cache::{ANSWER, asked, filled, policy, request};

/// No question takes this long, unless the machine is unwell.
const LIMIT: Duration = Duration::from_secs(1);

/// Adds this file's measurements, where there is a Redis.
#[expect(clippy::print_stderr, reason = "whoever measures should know what was not measured")]
pub(crate) fn bench(criterion: &mut Criterion) {
    let Ok(url) = std::env::var("LEVEE_TEST_REDIS") else {
        return eprintln!("cache_redis: skipped, LEVEE_TEST_REDIS names no Redis");
    };
    let runtime = Runtime::new().expect("a runtime");
    let (asked, policy) = (asked(), policy());
    let request = request(&asked);
    let (redis, cache, key) = runtime.block_on(shared(&url, &request, &policy));
    let value = runtime.block_on(name_of_the_value(&redis));
    let mut group = criterion.benchmark_group("cache_redis");
    group.bench_function("bare_get", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            let got = redis.call(LIMIT, async |client| client.get::<Option<Bytes>, _>(&value).await).await;
            black_box(got.expect("Redis answers").expect("it is there"))
        });
    });
    group.bench_function("hit", |bencher| {
        bencher.to_async(&runtime).iter(async || {
            cache.recall(&request, &key, LIMIT).await;
            match cache.lookup(&request, &policy, Instant::now()) {
                Lookup::Fresh(hit) => black_box((hit.status(), hit.headers(), hit.body())),
                other => panic!("not a hit: {other:?}"),
            }
        });
    });
    group.finish();
    let looks = cache.fleet_reading().expect("it is shared").looks;
    assert!(looks.iter().all(|(looked, count)| looked.word() == "hit" || *count == 0), "{looks:?}");
}

/// A cache with one answer, which is in Redis when this returns.
async fn shared(url: &str, request: &RequestView<'_>, policy: &Cache) -> (Redis, Arc<HttpCache>, Key) {
    let address = Address::parse(url).expect("the URL of a Redis");
    let redis = Redis::connect(&address, &format!("bench-{}", std::process::id()));
    let cache = Arc::new(HttpCache::shared(64 * 1024 * 1024, &[7; 32], Some(redis.clone())));
    // They end with the process.
    cache.share_with_the_fleet(&TaskTracker::new(), &CancellationToken::new());
    until(|| cache.fleet_reading().is_some_and(|reading| reading.log.in_step)).await;
    let key = filled(&cache, request, policy, ANSWER);
    until(|| {
        let writes = cache.fleet_reading().map(|reading| reading.writes);
        writes.is_some_and(|writes| writes.contains(&(Written::Stored, 1)))
    })
    .await;
    (redis, cache, key)
}

/// The only value that this process has written.
async fn name_of_the_value(redis: &Redis) -> String {
    let (keys, pattern) = (CustomCommand::new("KEYS", ClusterHash::FirstKey, false), redis.key("*", "v"));
    let found = redis.call(LIMIT, async |client| client.custom::<Vec<String>, _>(keys, vec![pattern]).await);
    let mut found = found.await.expect("Redis answers");
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come to pass");
        sleep(Duration::from_millis(10)).await;
    }
}
