//! One replica leads, whatever happens to the one before; all of them serve.

use super::*;

async fn pair() -> (Scene, Database, Replica, Replica) {
    let database = Database::empty().await;
    let scene = Scene::over(Deployment::on_postgres(database.url())).await;
    scene.cluster.apply("shop", "rates", scene.spec());
    let (first, second) = (scene.deployment.replica().await, scene.deployment.replica().await);
    (scene, database, first, second)
}

async fn leads(replica: &Replica) -> bool {
    replica.metric("levee_leader").await == Some(1.0)
}

/// Waits for a leader; the other one comes second.
async fn elected(first: Replica, second: Replica) -> (Replica, Replica) {
    until("one leads", SOON, async || leads(&first).await || leads(&second).await).await;
    if leads(&first).await { (first, second) } else { (second, first) }
}

#[tokio::test]
async fn one_of_two_leads_both_serve_and_a_leader_that_stops_makes_way_at_once() {
    let (scene, _database, first, second) = pair().await;
    let key = first.admin().await.key("caller").await;
    let (leader, other) = elected(first, second).await;
    assert!(!leads(&other).await);
    for replica in [&leader, &other] {
        until_answered(replica, &key, "/proxy/shop.rates/ok", 200).await;
    }
    let named = leader.status().await["kubernetes"]["leader"].clone();
    assert_eq!(scene.cluster.lease()["holderIdentity"], named);
    until("the other knows", SOON, async || other.status().await["kubernetes"]["leader"] == named).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "True/Accepted").await;
    leader.stop().await;
    let began = Instant::now();
    until("the other leads", SOON, async || leads(&other).await).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(scene.cluster.lease()["leaseTransitions"], 1);
    scene.cluster.apply("shop", "later", scene.spec());
    until_condition(&scene.cluster, ("shop", "later"), "Accepted", "True/Accepted").await;
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_within_twenty_seconds() {
    let (scene, _database, first, second) = pair().await;
    let (leader, other) = elected(first, second).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "True/Accepted").await;
    // Nothing is given back: it is killed.
    drop(leader);
    let began = Instant::now();
    until("the other leads", SOON, async || leads(&other).await).await;
    assert!(
        began.elapsed() > Duration::from_secs(5),
        "a lease is left alone for a while: {:?}",
        began.elapsed()
    );
    scene.cluster.apply("shop", "rates", json!({}));
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "False/Invalid").await;
}

#[tokio::test]
async fn a_leader_without_its_lease_stops_leading_and_leads_again_when_it_can() {
    let scene = Scene::on_sqlite().await;
    let (replica, _) = replica(&scene).await;
    until("it leads", SOON, async || leads(&replica).await).await;
    scene.cluster.forbid("leases");
    until("it leads no longer", SOON, async || !leads(&replica).await).await;
    assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
    scene.cluster.apply("shop", "rates", scene.spec());
    scene.cluster.allow("leases");
    until("it leads", SOON, async || leads(&replica).await).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Accepted", "True/Accepted").await;
}
