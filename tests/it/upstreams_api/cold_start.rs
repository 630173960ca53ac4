//! A start while PostgreSQL is away: not ready, unless the last snapshot was kept.

use std::fs;
use std::net::SocketAddr;

use super::*;
use crate::support::control::{K1, K2};
use crate::support::postgres::Cluster;
use crate::support::process::Process;

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Registers `rates`, makes a key, and stops both.
async fn prepared(server: &Misbehaving, cluster: &mut Cluster, kept: &str) -> (Deployment, String) {
    let mut deployment = Deployment::on_postgres(cluster.url());
    deployment.migrate().await;
    deployment.env("LEVEE_SNAPSHOT_DIR", deployment.path(kept));
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    register(&admin, "rates", spec(&server.url())).await;
    let revision = replica.status().await["snapshot"]["revision"].as_u64().unwrap();
    until("it is kept on disk", SOON, async || {
        replica.status().await["snapshot"]["onDisk"].as_u64() >= Some(revision)
    })
    .await;
    replica.stop().await;
    cluster.stop().await;
    (deployment, key)
}

#[tokio::test]
async fn without_a_snapshot_it_is_alive_and_not_ready_until_the_database_answers() {
    let mut cluster = Cluster::start().await;
    let mut deployment = Deployment::on_postgres(cluster.url());
    deployment.migrate().await;
    cluster.stop().await;
    let never = deployment.path("nothing-there");
    deployment.env("LEVEE_SNAPSHOT_DIR", never);
    let ops = free_address();
    let mut process: Process = deployment.begin_with_ops(ops);
    let logged = |text: &'static str| move |line: &str| line.contains(text).then_some(());
    process.logged(SOON, logged("not ready before the database can be reached")).await;
    assert_eq!(client::get(ops, "/livez").await.status, 200);
    assert_eq!(client::get(ops, "/startupz").await.status, 200);
    assert_eq!(client::get(ops, "/readyz").await.status, 503);
    assert_eq!(client::get(ops, "/status").await.json()["database"]["up"], false);
    cluster.start_again().await;
    let started = Instant::now();
    process.logged(SOON, logged("\"ready\"")).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(client::get(ops, "/readyz").await.status, 200);
}

#[tokio::test]
async fn with_a_snapshot_it_serves_calls_with_keys_and_takes_the_database_when_that_is_back() {
    let (server, mut cluster) = (Misbehaving::start().await, Cluster::start().await);
    let (deployment, key) = prepared(&server, &mut cluster, "kept").await;
    let replica = deployment.replica().await;
    assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(replica.call("lvk_nonsense", "/proxy/rates/ok").await.status, 401);
    let status = replica.status().await;
    assert_eq!((&status["snapshot"]["fromDisk"], &status["database"]["up"]), (&json!(true), &json!(false)));
    assert_eq!(replica.metric(r#"levee_dependency_up{dependency="database"}"#).await, Some(0.0));
    let login = json!({ "email": "a@example.com", "password": "x".repeat(20) });
    assert_eq!(replica.anonymous().post("/api/v1/auth/login", login).await.status, 503);
    cluster.start_again().await;
    let returned = Instant::now();
    until("the database is read", SOON, async || replica.status().await["snapshot"]["fromDisk"] == false)
        .await;
    let admin = replica.admin().await;
    register(&admin, "more", spec(&server.url())).await;
    assert!(returned.elapsed() < Duration::from_secs(5), "{:?}", returned.elapsed());
    assert_eq!(replica.call(&key, "/proxy/more/ok").await.status, 200);
}

/// What a retired key opens must not lie on disk for longer than in the database.
#[tokio::test]
async fn a_snapshot_follows_the_rotation_of_keys() {
    let (server, mut cluster) = (Misbehaving::start().await, Cluster::start().await);
    let mut deployment = Deployment::on_postgres(cluster.url());
    deployment.migrate().await;
    deployment.env("LEVEE_SNAPSHOT_DIR", deployment.path("kept"));
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    let mut document = spec(&server.url());
    document["credentials"] = json!({ "header": { "name": "x-api-key", "value": "{secret}" } });
    register(&admin, "rates", document).await;
    let secret = json!({ "secret": "s3cret-of-the-tests" });
    assert_eq!(admin.put("/api/v1/upstreams/rates/credentials", secret).await.status, 204);
    replica.stop().await;
    deployment.secret_keys(&[K2, K1]);
    let replica = deployment.replica().await;
    until("the state on disk needs no old key", SOON, async || {
        let status = replica.status().await;
        let (now, kept) = (&status["snapshot"]["revision"], &status["snapshot"]["onDisk"]);
        status["credentialsByKey"] == json!({ "k2": 1 }) && now == kept
    })
    .await;
    replica.stop().await;
    cluster.stop().await;
    deployment.secret_keys(&[K2]);
    let replica = deployment.replica().await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    let sent = server.received().last().unwrap().header("x-api-key");
    assert_eq!(sent.as_deref(), Some("s3cret-of-the-tests"));
}

/// A full or missing disk that comes back is written to, though nothing changed meanwhile.
#[tokio::test]
async fn a_snapshot_that_could_not_be_kept_is_tried_again() {
    let mut deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    let (in_the_way, kept) = (deployment.path("kept"), deployment.path("kept/here"));
    fs::write(&in_the_way, "a file where the folder should be").unwrap();
    deployment.env("LEVEE_SNAPSHOT_DIR", kept.clone());
    let replica = deployment.replica().await;
    let failed = |line: &String| line.contains("cannot be kept on disk");
    until("it cannot be kept", SOON, async || replica.log().iter().any(failed)).await;
    fs::remove_file(&in_the_way).unwrap();
    until("it is kept", SOON, async || {
        let snapshot = replica.status().await["snapshot"].clone();
        snapshot["onDisk"].is_u64() && snapshot["onDisk"] == snapshot["revision"]
    })
    .await;
    let beside = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = beside.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_damaged_or_foreign_snapshot_is_ignored_and_said_so() {
    let (server, mut cluster) = (Misbehaving::start().await, Cluster::start().await);
    let (mut deployment, _) = prepared(&server, &mut cluster, "kept").await;
    let file = deployment.path("kept/levee-snapshot");
    let whole = fs::read(&file).unwrap();
    let not_ready = async |deployment: &Deployment| {
        let ops = free_address();
        let mut process = deployment.begin_with_ops(ops);
        process.logged(SOON, |line| line.contains("is ignored").then_some(())).await;
        process.logged(SOON, |line| line.contains("not ready before").then_some(())).await;
        assert_eq!(client::get(ops, "/readyz").await.status, 503);
    };
    for damaged in [&b""[..], b"something else", &whole[..whole.len() / 2]] {
        fs::write(&file, damaged).unwrap();
        not_ready(&deployment).await;
    }
    fs::write(&file, &whole).unwrap();
    deployment.secret_keys(&[crate::support::control::K2]);
    not_ready(&deployment).await;
}
