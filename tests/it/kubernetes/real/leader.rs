//! The Lease on a real API server: who dies is followed within twenty seconds, who stops at once.

use super::*;

#[tokio::test]
async fn the_lease_fails_over_against_a_real_api_server() {
    with_cluster(async |real| {
        let (first, second) = (real.deployment.replica().await, real.deployment.replica().await);
        until("one leads", SOON, async || leads(&first).await || leads(&second).await).await;
        let (leader, other) = if leads(&first).await { (first, second) } else { (second, first) };
        // Nothing is given back: it is killed.
        drop(leader);
        let began = Instant::now();
        until("the other leads", SOON, async || leads(&other).await).await;
        println!("a leader that died was followed after {:?}", began.elapsed());
        assert!(began.elapsed() > Duration::from_secs(5), "a lease is left alone for a while");
        let lease = real.all::<Lease>().get("levee").await.unwrap().spec.unwrap();
        assert_eq!(lease.lease_transitions, Some(1));
        assert_eq!(json!(lease.holder_identity), other.status().await["kubernetes"]["leader"]);

        let third = real.deployment.replica().await;
        other.stop().await;
        let began = Instant::now();
        until("the third leads", SOON, async || leads(&third).await).await;
        println!("a leader that stopped was followed after {:?}", began.elapsed());
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        third.stop().await;
        let lease = real.all::<Lease>().get("levee").await.unwrap().spec.unwrap();
        assert_eq!((lease.holder_identity.as_deref(), lease.lease_transitions), (Some(""), Some(2)));
    })
    .await;
}
