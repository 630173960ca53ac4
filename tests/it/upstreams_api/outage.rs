//! PostgreSQL stops under load: calls go on, writes are refused quickly, and everything comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::*;
use crate::support::postgres::Cluster;

/// Calls until told to stop: how many were answered well, and what the others said.
async fn calling(replica: Arc<Replica>, key: String, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut good, mut bad) = (0, Vec::new());
    while !stop.load(Relaxed) {
        let answer = replica.call(&key, "/proxy/rates/ok").await;
        if answer.status == 200 {
            good += 1;
        } else {
            bad.push(format!("{} {}", answer.status, answer.text()));
        }
    }
    (good, bad)
}

#[tokio::test]
async fn calls_go_on_while_the_database_is_away_and_writes_come_back_by_themselves() {
    let (server, mut cluster) = (Misbehaving::start().await, Cluster::start().await);
    let deployment = Deployment::on_postgres(cluster.url());
    deployment.migrate().await;
    let replica = Arc::new(deployment.replica().await);
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    let bearer = admin.clone();
    register(&admin, "rates", spec(&server.url())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> =
        (0..4).map(|_| tokio::spawn(calling(Arc::clone(&replica), key.clone(), Arc::clone(&stop)))).collect();

    cluster.stop().await;
    let before = server.seen_in_all();
    until("calls go on", SOON, async || server.seen_in_all() > before + 200).await;
    for number in 0..5 {
        let began = Instant::now();
        let body = json!({ "name": format!("new-{number}"), "spec": spec(&server.url()) });
        let refused = admin.post("/api/v1/upstreams", body).await;
        assert_eq!(problem(&refused), (503, "unavailable".to_owned()));
        assert!(refused.header("retry-after").parse::<u64>().is_ok(), "{refused:?}");
        assert!(!refused.text().contains("127.0.0.1"), "{}", refused.text());
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert_eq!(bearer.get("/api/v1/upstreams/rates").await.status, 200, "what is in force can be read");
    assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
    until("it is told", SOON, async || {
        replica.metric(r#"levee_dependency_up{dependency="database"}"#).await == Some(0.0)
    })
    .await;

    cluster.start_again().await;
    let returned = Instant::now();
    until("a write is done", SOON, async || {
        let body = json!({ "name": "after", "spec": spec(&server.url()) });
        admin.post("/api/v1/upstreams", body).await.status == 201
    })
    .await;
    assert!(returned.elapsed() < Duration::from_secs(5), "{:?}", returned.elapsed());
    assert_eq!(replica.call(&key, "/proxy/after/ok").await.status, 200);
    stop.store(true, Relaxed);
    for caller in callers {
        let (good, bad) = caller.await.unwrap();
        assert!(good > 0 && bad.is_empty(), "{good} good, and {bad:?}");
    }
    until("it is told", SOON, async || {
        replica.metric(r#"levee_dependency_up{dependency="database"}"#).await == Some(1.0)
    })
    .await;
}
