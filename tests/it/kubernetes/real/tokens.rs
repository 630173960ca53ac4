//! Tokens that a real API server issues to service accounts count, by its public keys, also while it is away.

use super::*;
use crate::support::redis::Fault;

#[tokio::test]
async fn tokens_of_a_real_api_server_call_and_are_verified_without_it() {
    with_cluster(async |real| {
        for account in ["checkout", "other"] {
            real.make::<ServiceAccount>(&real.all(), json!({ "metadata": { "name": account } })).await;
        }
        let mut spec = real.spec();
        spec["access"] = json!({ "allow": [format!("k8s:{}/checkout", real.namespace)] });
        real.apply("rates", spec).await.unwrap();
        let replica = real.deployment.replica().await;
        let call = async |token: &str| replica.call(token, "/proxy/rates/ok").await;
        let ours = real.token("checkout", &["levee"]).await;
        let answer = call(&ours).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = real.server.received().last().unwrap().bytes();
        assert!(!String::from_utf8_lossy(&sent).contains(&ours), "it stays here");
        assert_eq!(call(&real.token("other", &["levee"]).await).await.status, 403);
        for audiences in [&[][..], &["somebody"]] {
            assert_eq!(call(&real.token("checkout", audiences).await).await.status, 401, "{audiences:?}");
        }
        let mut spoiled = ours.clone();
        spoiled.truncate(ours.len() - 4);
        assert_eq!(call(&format!("{spoiled}AAAA")).await.status, 401);

        let fresh = real.token("checkout", &["levee"]).await;
        real.proxy.set(Fault::Refuse);
        until("it is away", SOON, async || replica.status().await["kubernetes"]["up"] == false).await;
        assert_ne!(fresh, ours);
        assert_eq!(call(&fresh).await.status, 200, "by the keys that are kept");
        assert_eq!(client::get(replica.ops, "/readyz").await.status, 200);
    })
    .await;
}
