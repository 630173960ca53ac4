//! What is wrong with a document is told at every place, and nothing is stored.

use super::*;

on_both!(every_wrong_place_is_told_and_nothing_is_stored, bodies_that_are_none_are_refused);

async fn every_wrong_place_is_told_and_nothing_is_stored(deployment: Deployment) {
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let wrong = json!({
        "url": "ftp://api.example.com", "urk": 1, "retry": { "attempts": 0 },
        "operations": [{ "name": "quote", "match": { "path": "quotes" }, "timeout": { "total": "1 parsec" } }],
    });
    let expected = [
        "/spec/url",
        "/spec/urk",
        "/spec/retry/attempts",
        "/spec/operations/0/match/path",
        "/spec/operations/0/timeout/total",
    ];
    let refused = admin.post("/api/v1/upstreams", json!({ "name": "rates", "spec": wrong })).await;
    assert_eq!(problem(&refused), (400, "invalid-request".to_owned()));
    assert_eq!(sorted(pointers(&refused)), sorted(expected));
    let judged = admin.post("/api/v1/upstreams/validate", json!({ "name": "rates", "spec": wrong })).await;
    assert_eq!((judged.status.as_u16(), &judged.json()["valid"]), (200, &json!(false)));
    assert_eq!(sorted(pointers(&judged)), sorted(expected));
    let good = json!({ "name": "rates", "spec": spec("https://api.example.com") });
    let judged = admin.post("/api/v1/upstreams/validate", good).await;
    assert_eq!((judged.json()["valid"].as_bool(), pointers(&judged).len()), (Some(true), 0));
    assert_eq!(admin.get("/api/v1/upstreams").await.json()["items"], json!([]));
    assert_eq!(admin.get("/api/v1/upstreams/rates/revisions").await.status, 404);

    let tag = register(&admin, "rates", spec("https://api.example.com")).await;
    let path = "/api/v1/upstreams/rates";
    let refused = admin.change(Method::PUT, path, &tag, Some(json!({ "spec": wrong }))).await;
    assert_eq!(sorted(pointers(&refused)), sorted(expected));
    let refused = admin
        .change(Method::POST, &format!("{path}/rollback"), &tag, Some(json!({ "revision": 99_999 })))
        .await;
    assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec!["/revision".to_owned()]));
    assert_eq!(admin.get(path).await.header("etag"), tag, "nothing changed");
    for (path, body) in [
        ("/api/v1/upstreams/nobody", json!({ "spec": spec("https://api.example.com") })),
        ("/api/v1/upstreams/nobody", json!({ "spec": wrong })),
    ] {
        assert_eq!(admin.change(Method::PUT, path, "*", Some(body)).await.status, 404, "{path}");
    }
}

async fn bodies_that_are_none_are_refused(deployment: Deployment) {
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let deep = format!(
        r#"{{"name":"rates","spec":{{"url":"https://x.example","x":{}{}}}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let plain = spec("https://api.example.com");
    for (body, status, pointer) in [
        (json!({ "name": "rates", "spec": plain, "urk": 1 }).to_string(), 400, Some("/urk")),
        (json!({ "name": "Rates!", "spec": plain }).to_string(), 400, Some("/name")),
        (json!({ "name": "a".repeat(64), "spec": plain }).to_string(), 400, Some("/name")),
        // The API judges documents at the path that such an upstream would have.
        (json!({ "name": "validate", "spec": plain }).to_string(), 400, Some("/name")),
        (json!({ "name": 7, "spec": plain }).to_string(), 400, Some("/name")),
        (json!({ "name": "rates", "spec": [] }).to_string(), 400, Some("/spec")),
        (json!({ "name": "rates", "spec": {} }).to_string(), 400, Some("/spec/url")),
        ("{".to_owned(), 400, None),
        (String::new(), 400, None),
        (deep, 400, None),
    ] {
        let refused = admin.send(Method::POST, "/api/v1/upstreams", Some(body.clone()), None).await;
        let shown = &body[..body.len().min(80)];
        assert_eq!(refused.status.as_u16(), status, "{shown}: {}", refused.text());
        assert_eq!(refused.header("content-type"), "application/problem+json", "{shown}");
        if let Some(pointer) = pointer {
            assert_eq!(pointers(&refused), [pointer], "{shown}");
        }
    }
    // The length alone is enough: what is promised is not read.
    let large = admin.head("POST", "/api/v1/upstreams", "content-length: 10485760");
    let refused = client::exchange(replica.api, large).await.unwrap();
    assert!(refused.start_line().starts_with("HTTP/1.1 413"), "{}", refused.start_line());
    let wrong_method =
        admin.send(Method::PATCH, "/api/v1/upstreams/rates", Some("{}".to_owned()), None).await;
    assert_eq!(wrong_method.status, 405);
    assert!(wrong_method.header("allow").contains("PUT"), "{}", wrong_method.header("allow"));
    assert_eq!(admin.get("/api/v1/upstreams").await.json()["items"], json!([]));
}

fn sorted<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut texts: Vec<String> = texts.into_iter().map(Into::into).collect();
    texts.sort();
    texts
}
