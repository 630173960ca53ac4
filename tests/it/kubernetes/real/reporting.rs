//! What a real API server is told of Upstreams, what it gives of Secrets, and how soon a change counts.

use super::*;
use crate::kubernetes::contract;

async fn events(real: &Real, uid: &str) -> Vec<Event> {
    let of_it = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    real.all::<Event>().list(&of_it).await.unwrap().items
}

#[tokio::test]
async fn status_and_events_are_written_to_a_real_api_server() {
    with_cluster(async |real| {
        let uid = real.apply("rates", real.spec()).await.unwrap().metadata.uid.unwrap();
        let (replica, key) = real.replica().await;
        until_answered(&replica, &key, "/proxy/rates/ok", 200).await;
        real.until_condition("rates", "Healthy", "True/BreakerClosed").await;
        let theirs = json!({ "conditions": [{ "type": "Theirs", "status": "True", "reason": "R", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z" }] });
        contract::apply_status(&real.upstreams(), "rates", "somebody", theirs).await.unwrap();

        let mut contradicting = real.spec();
        contradicting["timeout"] = json!({ "total": "1s", "attempt": "2s" });
        real.apply("rates", contradicting).await.unwrap();
        real.until_condition("rates", "Accepted", "False/Invalid").await;
        let written = real.upstreams().get("rates").await.unwrap();
        let status = &written.data["status"];
        assert_eq!((&status["observedGeneration"], &status["breaker"]), (&json!(2), &json!("closed")));
        let message = status["conditions"].as_array().unwrap().iter().find_map(|it| it["message"].as_str()).unwrap();
        assert!(message.starts_with("spec.timeout.attempt: "), "{message}");
        assert_eq!(real.condition("rates", "Theirs").await, "True/R", "what others say stays");
        assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200, "by the last good version");

        let forced = json!({ "mode": "forced_open", "reason": "a test" });
        assert_eq!(replica.admin().await.put("/api/v1/breakers/rates", forced).await.status, 200);
        real.until_condition("rates", "Healthy", "False/BreakerForcedOpen").await;
        until("Events tell of it", SOON, async || {
            let told: Vec<_> = events(real, &uid).await.into_iter().filter_map(|event| event.reason).collect();
            ["Accepted", "Refused", "BreakerOpened"].iter().all(|reason| told.iter().any(|told| told == reason))
        })
        .await;
        let before = real.upstreams().get("rates").await.unwrap().metadata.resource_version;
        tokio::time::sleep(Duration::from_secs(13)).await;
        let after = real.upstreams().get("rates").await.unwrap().metadata.resource_version;
        assert_eq!(before, after, "what does not change is not written again");
    })
    .await;
}

#[tokio::test]
async fn an_event_that_happens_again_raises_the_count_of_the_one_that_is_there() {
    with_cluster(async |real| {
        let uid = real.apply("rates", real.spec()).await.unwrap().metadata.uid.unwrap();
        let _replica = real.deployment.replica().await;
        let counts = async || {
            let accepted =
                events(real, &uid).await.into_iter().filter(|it| it.reason.as_deref() == Some("Accepted"));
            accepted.map(|event| event.count.unwrap_or_default()).collect::<Vec<_>>()
        };
        until("it is told", SOON, async || counts().await == [1]).await;
        let mut next = real.spec();
        next["owner"] = json!("somebody");
        real.apply("rates", next).await.unwrap();
        // Once in a minute.
        until("it is told again", Duration::from_secs(80), async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            counts().await == [2]
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn credentials_come_out_of_the_secrets_of_a_real_api_server() {
    with_cluster(async |real| {
        let mut spec = real.spec();
        spec["credentials"] = json!({
            "header": { "name": "x-api-key", "value": "{secret}" }, "secretRef": { "name": "stripe", "key": "token" },
        });
        real.apply("rates", spec).await.unwrap();
        let (replica, key) = real.replica().await;
        real.until_condition("rates", "Ready", "False/SecretMissing").await;
        assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 503);
        let secret = |text: &str, annotations: Value| {
            json!({ "metadata": { "name": "stripe", "annotations": annotations }, "stringData": { "token": text } })
        };
        let secrets: Api<Secret> = real.all();
        real.make(&secrets, secret("of-the-cluster", json!({}))).await;
        real.until_condition("rates", "Ready", "False/SecretNotBound").await;
        for text in ["of-the-cluster", "another"] {
            let bound: Secret = serde_json::from_value(secret(text, may_go_to(&real.server.url()))).unwrap();
            secrets.patch("stripe", &PatchParams::default(), &Patch::Merge(&bound)).await.unwrap();
            until("it goes into calls", SOON, async || {
                replica.call(&key, "/proxy/rates/ok").await;
                let sent = real.server.received().last().and_then(|request| request.header("x-api-key"));
                sent.as_deref() == Some(text)
            })
            .await;
        }
        real.until_condition("rates", "Ready", "True/Ready").await;
        secrets.delete("stripe", &DeleteParams::default()).await.unwrap();
        until_answered(&replica, &key, "/proxy/rates/ok", 503).await;
    })
    .await;
}

#[tokio::test]
async fn a_change_counts_within_a_second() {
    with_cluster(async |real| {
        let (replica, key) = real.replica().await;
        let mut taken = Vec::new();
        for number in 0..20 {
            let name = format!("upstream-{number}");
            real.apply(&name, real.spec()).await.unwrap();
            let began = Instant::now();
            until_answered(&replica, &key, &format!("/proxy/{name}/ok"), 200).await;
            taken.push(began.elapsed());
        }
        taken.sort();
        println!("a change counted after {:?} (median), {:?} (longest)", taken[10], taken[19]);
        assert!(taken[19] < Duration::from_secs(1), "{taken:?}");
    })
    .await;
}
