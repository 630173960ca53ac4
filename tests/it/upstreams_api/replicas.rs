//! Two replicas on one PostgreSQL: what one is told, the other does within a second.

use super::*;
use crate::support::postgres::fresh_database;

#[tokio::test]
async fn a_change_on_one_replica_is_served_by_the_other_within_a_second() {
    let server = Misbehaving::start().await;
    let deployment = Deployment::on_postgres(fresh_database().await);
    deployment.migrate();
    let (one, two) = (deployment.replica().await, deployment.replica().await);
    let admin = one.admin().await;
    let key = admin.key("caller").await;
    let mut took = Vec::new();
    for number in 0..5 {
        let name = format!("rates-{number}");
        register(&admin, &name, spec(&server.url())).await;
        let written = Instant::now();
        until("the other serves it", SOON, async || served(&two, &key, &name).await).await;
        took.push(written.elapsed());
        assert!(served(&one, &key, &name).await, "the writer's own replica had it at once");
        let path = format!("/api/v1/upstreams/{name}");
        let read = admin.at(&two).get(&path).await;
        assert_eq!(admin.at(&two).change(Method::DELETE, &path, read.header("etag"), None).await.status, 204);
        until("the one takes it away", SOON, async || !served(&one, &key, &name).await).await;
    }
    took.sort();
    assert!(took[took.len() / 2] < Duration::from_secs(1), "{took:?}");
}

async fn served(replica: &Replica, key: &str, name: &str) -> bool {
    replica.call(key, &format!("/proxy/{name}/ok")).await.status == 200
}
