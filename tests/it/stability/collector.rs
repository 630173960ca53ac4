//! The rows of the OTLP collector: spans are dropped and counted, and that is all.

use super::*;
use crate::support::collector::Collector;
use crate::support::ports::ClosedPort;

const DROPPED: &str = r#"levee_spans_dropped_total{reason="export_failed"}"#;

/// A replica that sends its spans there, two upstreams, and a caller.
async fn before(server: &Misbehaving, collector: String) -> (Deployment, Replica, Api, String) {
    keepable(server);
    let mut deployment = Deployment::on_sqlite();
    deployment.migrate().await;
    deployment.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
    deployment.env("OTEL_EXPORTER_OTLP_TIMEOUT", "500");
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    register_both(&admin, &server.url()).await;
    let key = admin.key("caller").await;
    (deployment, replica, admin, key)
}

async fn dropped_and_counted(replica: &Replica, key: &str) {
    assert_eq!(replica.call(key, "/proxy/plain/ok").await.status, 200, "calls");
    until("the spans are counted as dropped", SOON, async || replica.metric(DROPPED).await > Some(0.0)).await;
}

#[tokio::test]
async fn while_running() {
    let (server, collector) = (Misbehaving::start().await, Collector::start().await);
    let (_deployment, replica, admin, key) = before(&server, collector.url()).await;
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "upstream");
    collector.wait(1, |span| span.name == "GET /proxy/{upstream}/{path}").await;
    assert_eq!(replica.metric(DROPPED).await, Some(0.0));
    drop(collector);
    dropped_and_counted(&replica, &key).await;
    assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), "cache", "cached calls");
    control_plane_as_ever(&replica, &admin).await;
}

#[tokio::test]
async fn at_start() {
    let (server, nobody) = (Misbehaving::start().await, ClosedPort::take());
    let (_deployment, replica, admin, key) = before(&server, format!("http://{}", nobody.address)).await;
    dropped_and_counted(&replica, &key).await;
    for answered_by in ["upstream", "cache"] {
        assert_eq!(replica.call(&key, "/proxy/kept/kept").await.header("levee-answer"), answered_by);
    }
    control_plane_as_ever(&replica, &admin).await;
}
