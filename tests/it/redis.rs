//! Redis comes, goes and misbehaves: what a process does about it.

use std::time::Duration;

use levee::redis::{Address, Redis, RedisError, Script, USUAL_LIMIT};

use super::support::certificates;
use super::support::levee::{TestApp, levee};
use super::support::ports::KeptPort;
use super::support::redis::{Fault, FaultProxy, RedisCluster, RedisServer};
use super::support::sentinel::Watched;
use super::support::until::until;

const SOON: Duration = Duration::from_secs(10);

static APPEND: Script = Script::new("return redis.call('APPEND', KEYS[1], ARGV[1])");

const UPSTREAMS: &str = "
apiVersion: levee.dev/v1alpha1
kind: Upstream
metadata: { name: nowhere }
spec: { url: http://127.0.0.1:9 }
";

async fn connected(url: &str) -> Redis {
    let redis = Redis::connect(&Address::parse(url).unwrap(), "levee-test");
    until("Redis is up", SOON, async || redis.is_up()).await;
    redis
}

async fn ping(redis: &Redis) -> Result<(), RedisError> {
    use fred::interfaces::ClientLike as _;
    redis.call(USUAL_LIMIT, async |client| client.ping::<()>(None).await).await
}

#[tokio::test]
async fn levee_starts_with_redis_down_says_so_and_finds_it_when_it_comes() {
    let mut server = RedisServer::stopped(&[]);
    let app = TestApp::with(UPSTREAMS).env("LEVEE_REDIS_URL", server.url()).start().await;
    let up = "levee_dependency_up{dependency=\"redis\"}";
    assert_eq!(app.metric(up).await, Some(0.0));
    let status = app.status().await;
    assert_eq!(status["redis"]["up"], false, "{status}");
    until("the log says so", SOON, async || {
        app.log().iter().any(|line| line.contains("Redis cannot be reached"))
    })
    .await;
    server.start_again().await;
    until("Redis is found", SOON, async || app.metric(up).await == Some(1.0)).await;
    server.stop();
    until("Redis is missed", SOON, async || app.metric(up).await == Some(0.0)).await;
    server.start_again().await;
    until("Redis is found again", Duration::from_secs(5), async || app.metric(up).await == Some(1.0)).await;
    assert_eq!(app.status().await["redis"]["up"], true);
}

#[tokio::test]
async fn over_tls_redis_is_trusted_for_its_certificate_only() {
    let (folder, port) = (tempfile::tempdir().unwrap(), KeptPort::take());
    let file = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(file("ca.crt"), certificates::write(folder.path())).unwrap();
    let _server = RedisServer::with(&[
        "--tls-port",
        &port.address.port().to_string(),
        "--tls-cert-file",
        &file("server.crt"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.crt"),
        "--tls-auth-clients",
        "no",
    ])
    .await;
    let start = async |roots: Option<String>| {
        let app = TestApp::with(UPSTREAMS).env("LEVEE_REDIS_URL", format!("rediss://{}", port.address));
        let app = match roots {
            Some(roots) => app.env("SSL_CERT_FILE", roots),
            None => app,
        };
        app.start().await
    };
    let up = "levee_dependency_up{dependency=\"redis\"}";
    let trusting = start(Some(file("ca.crt"))).await;
    until("Redis is found", SOON, async || trusting.metric(up).await == Some(1.0)).await;
    let doubting = start(None).await;
    until("the log says that it is not", SOON, async || {
        doubting.log().iter().any(|line| line.contains("Redis cannot be reached"))
    })
    .await;
    assert_eq!(doubting.metric(up).await, Some(0.0));
}

#[tokio::test]
async fn what_sentinels_put_in_a_dead_masters_place_is_found() {
    let mut watched = Watched::start().await;
    let redis = connected(&watched.url()).await;
    let key = redis.key("text", "a");
    let append =
        async || redis.script::<i64>(USUAL_LIMIT, &APPEND, vec![key.clone()], vec!["x".into()]).await;
    assert_eq!(append().await.unwrap(), 1);
    until("the replica follows", SOON, async || watched.replica.command(&["GET", &key]) == "x").await;
    watched.master.stop();
    until("the replica is written to", Duration::from_secs(30), async || append().await.is_ok()).await;
    assert!(watched.replica.command(&["GET", &key]).starts_with("xx"));
}

#[tokio::test]
async fn a_process_with_redis_stops_cleanly() {
    let server = RedisServer::start().await;
    let mut app = TestApp::with(UPSTREAMS).env("LEVEE_REDIS_URL", server.url()).start().await;
    app.signal(rustix::process::Signal::TERM);
    assert_eq!(app.wait_exit(SOON).await.code(), Some(0));
}

#[test]
fn a_wrong_url_is_refused_at_the_start_without_its_password() {
    let ended = levee()
        .args(["dev", "--redis-url", "redis://:hunter2@cache.internal/none", "--redis-prefix", "{x}"])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(64));
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("LEVEE_REDIS_URL") && told.contains("LEVEE_REDIS_PREFIX"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn no_question_outlives_its_limit_whatever_happens_between() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::in_front_of(server.address);
    let redis = connected(&proxy.url()).await;
    let faults = [
        Fault::BlackHole,
        Fault::Reset,
        Fault::Slow(Duration::from_millis(200)),
        Fault::Refuse,
        Fault::BlackHole,
    ];
    for fault in faults {
        proxy.set(fault);
        for _ in 0..20 {
            let began = std::time::Instant::now();
            let asked = ping(&redis).await;
            let took = began.elapsed();
            assert!(took < Duration::from_millis(100), "{fault:?}: {took:?}, {asked:?}");
        }
        until("it is known to be away", SOON, async || !redis.is_up()).await;
        proxy.set(Fault::Pass);
        until("it is back", Duration::from_secs(20), async || redis.is_up() && ping(&redis).await.is_ok())
            .await;
    }
    redis.close().await;
    assert!(ping(&redis).await.is_err_and(|error| error.is_down()));
}

#[tokio::test]
async fn a_paused_redis_costs_a_few_limits_and_then_nothing() {
    let server = RedisServer::start().await;
    let redis = connected(&server.url()).await;
    server.pause();
    let mut waited = 0;
    for _ in 0..100 {
        let began = std::time::Instant::now();
        assert!(ping(&redis).await.is_err());
        waited += u32::from(began.elapsed() > Duration::from_millis(10));
    }
    assert!(waited <= 5, "{waited} calls waited before the breaker opened");
    server.resume();
    until("it is back", Duration::from_secs(20), async || ping(&redis).await.is_ok()).await;
}

#[tokio::test]
async fn a_script_is_sent_again_where_redis_has_forgotten_it() {
    let server = RedisServer::start().await;
    let redis = connected(&server.url()).await;
    let append = async || {
        redis
            .script::<i64>(USUAL_LIMIT, &APPEND, vec![redis.key("text", "a")], vec!["x".into()])
            .await
            .unwrap()
    };
    assert_eq!(append().await, 1);
    server.command(&["SCRIPT", "FLUSH"]);
    assert_eq!(append().await, 2);
    assert_eq!(server.command(&["GET", "{levee-test:text}:a"]), "xx");
}

#[tokio::test]
async fn an_error_about_the_question_is_not_redis_being_down() {
    let server = RedisServer::start().await;
    let redis = connected(&server.url()).await;
    server.command(&["LPUSH", "{levee-test:text}:a", "x"]);
    for _ in 0..10 {
        let keys = vec![redis.key("text", "a")];
        let refused = redis.script::<i64>(USUAL_LIMIT, &APPEND, keys, vec!["x".into()]).await.unwrap_err();
        assert!(!refused.is_down(), "{refused}");
    }
    assert!(redis.is_up());
}

#[tokio::test]
async fn a_cluster_is_used_slot_by_slot() {
    let cluster = RedisCluster::start().await;
    let redis = connected(&cluster.url()).await;
    for slot in 0..30 {
        let keys = vec![redis.key(slot, "a")];
        let appended = redis.script::<i64>(USUAL_LIMIT * 8, &APPEND, keys, vec!["x".into()]).await;
        assert_eq!(appended.unwrap(), 1);
    }
    assert_eq!(cluster.keys(), 30);
}
