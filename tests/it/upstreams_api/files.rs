//! Files beside the API: they win, they are shown, and only they can change themselves.

use super::*;

on_both!(
    a_file_is_shown_and_can_only_be_changed_where_it_is,
    a_stored_document_that_went_bad_takes_nothing_down
);

async fn a_file_is_shown_and_can_only_be_changed_where_it_is(deployment: Deployment) {
    let (server, other) = (Misbehaving::start().await, Misbehaving::start().await);
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    let path = "/api/v1/upstreams/rates";
    let tag = register(&admin, "rates", spec(&server.url())).await;
    deployment.write_upstreams(&file("rates", &other.url()));
    until("the file hides it", SOON, async || admin.get(path).await.json()["source"] == "file").await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!((server.seen_in_all(), other.seen_in_all()), (0, 1));
    let shown = admin.get(path).await.json();
    assert_eq!((&shown["editable"], &shown["spec"]), (&json!(false), &spec(&other.url())));
    assert_eq!(format!("\"{}\"", shown["hiddenRevision"]), tag);
    let place = shown["file"].as_str().unwrap();
    assert!(place.contains("upstreams.yaml:"), "{place}");
    let rollback = format!("{path}/rollback");
    for (method, path, body) in [
        (Method::POST, "/api/v1/upstreams", Some(json!({ "name": "rates", "spec": spec(&server.url()) }))),
        (Method::PUT, path, Some(json!({ "spec": spec(&server.url()) }))),
        (Method::DELETE, path, None),
        (Method::POST, &rollback, Some(json!({ "revision": 1 }))),
    ] {
        let refused = admin.change(method.clone(), path, "*", body).await;
        assert_eq!(problem(&refused), (409, "conflict".to_owned()), "{method} {path}");
        assert!(refused.text().contains("upstreams.yaml:"), "{}", refused.text());
    }
    let judged = json!({ "name": "rates", "spec": spec(&server.url()) });
    let judged = admin.post("/api/v1/upstreams/validate", judged).await;
    assert_eq!(pointers(&judged), ["/name"]);
    deployment.write_upstreams("");
    until("the file is gone", SOON, async || admin.get(path).await.json()["source"] == "api").await;
    assert_eq!(admin.get(path).await.header("etag"), tag);
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(server.seen_in_all(), 1);
}

/// A narrower allow-list makes a stored document one that this process cannot run.
async fn a_stored_document_that_went_bad_takes_nothing_down(mut deployment: Deployment) {
    let server = Misbehaving::start().await;
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    let ten = spec("http://10.1.2.3:80");
    assert_eq!(
        admin.post("/api/v1/upstreams", json!({ "name": "ten", "spec": ten })).await.status,
        400,
        "not among the allowed ranges"
    );
    replica.stop().await;
    deployment.env("LEVEE_ALLOWED_CIDRS", "127.0.0.0/8,10.0.0.0/8");
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    register(&admin, "ten", ten).await;
    register(&admin, "rates", spec(&server.url())).await;
    replica.stop().await;
    deployment.env("LEVEE_ALLOWED_CIDRS", "127.0.0.0/8");
    let replica = deployment.replica().await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 200);
    assert_eq!(replica.call(&key, "/proxy/ten/ok").await.status, 404);
    let faults = replica.status().await["storedUpstreamFaults"].clone();
    assert_eq!((&faults[0]["upstream"], &faults[0]["leftOut"]), (&json!("ten"), &json!(true)), "{faults}");
    assert!(faults[0]["faults"].to_string().contains("/spec/url"), "{faults}");
    assert!(replica.log().iter().any(|line| line.contains("ERROR") && line.contains("\"ten\"")));
    let shown = replica.admin().await.get("/api/v1/upstreams/ten").await;
    assert_eq!((&shown.json()["inForce"], pointers(&shown)), (&json!(false), vec!["/spec/url".to_owned()]));
}
