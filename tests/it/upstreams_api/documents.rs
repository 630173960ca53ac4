//! A document's life: registered, replaced, rolled back, taken away, its history outliving it.

use super::*;

on_both!(
    a_registered_upstream_is_called_at_once_and_shown_as_given,
    a_document_is_replaced_rolled_back_and_taken_away_and_its_history_stays,
    two_writers_who_read_the_same_state_do_not_undo_each_other,
    the_list_is_walked_by_its_cursors,
    only_operators_change_and_every_change_is_audited,
    a_fallback_holds_what_it_leads_to,
);

async fn a_registered_upstream_is_called_at_once_and_shown_as_given(deployment: Deployment) {
    let (server, replica) = (Misbehaving::start().await, deployment.replica().await);
    let (admin, unknown) = (replica.admin().await, replica.admin().await);
    let key = admin.key("caller").await;
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 404);
    // Unusual spellings, and an order that no map would keep by chance.
    let given = json!({
        "url": server.url(), "timeout": { "total": "2500ms" }, "owner": "team-ü",
        "access": { "allow": ["any_authenticated"] }, "concurrency": { "limit": 7 },
    });
    let made = admin.post("/api/v1/upstreams", json!({ "name": "rates", "spec": given })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.header("location"), "/api/v1/upstreams/rates");
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.text(), "ok\n", "in force when the write answers");
    let read = unknown.get(made.header("location")).await;
    assert_eq!((read.status.as_u16(), read.header("etag")), (200, made.header("etag")));
    let body = read.json();
    assert_eq!(body["spec"].to_string(), given.to_string(), "as given, in the order given");
    assert_eq!(
        (&body["source"], &body["editable"], &body["inForce"]),
        (&json!("api"), &json!(true), &json!(true))
    );
    assert_eq!(body["updatedBy"], "user:ada@example.com");
    let revision = body["revision"].as_u64().unwrap();
    assert_eq!(made.header("etag"), format!("\"{revision}\""));
    assert!(replica.status().await["snapshot"]["revision"].as_u64().unwrap() >= revision);
    assert!(replica.metric("levee_snapshot_revision").await.unwrap() >= revision as f64);
    let again = admin.post("/api/v1/upstreams", json!({ "name": "rates", "spec": given })).await;
    assert_eq!(problem(&again), (409, "conflict".to_owned()));
}

async fn a_document_is_replaced_rolled_back_and_taken_away_and_its_history_stays(deployment: Deployment) {
    let (server, replica) = (Misbehaving::start().await, deployment.replica().await);
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    let path = "/api/v1/upstreams/rates";
    let first = register(&admin, "rates", spec(&server.url())).await;
    let mut other = spec(&server.url());
    other["fallback"] = json!([{ "static": { "body": "instead" } }]);
    let replaced = admin.change(Method::PUT, path, &first, Some(json!({ "spec": other }))).await;
    assert_eq!(replaced.status, 200, "{}", replaced.text());
    assert_ne!(replaced.header("etag"), first);
    assert_eq!(replica.call(&key, "/proxy/rates/reset").await.text(), "instead");
    let revision: u64 = first.trim_matches('"').parse().unwrap();
    let rollback = json!({ "revision": revision });
    let back = admin
        .change(Method::POST, &format!("{path}/rollback"), replaced.header("etag"), Some(rollback))
        .await;
    assert_eq!((back.status.as_u16(), &back.json()["spec"]), (200, &spec(&server.url())), "{}", back.text());
    assert_eq!(replica.call(&key, "/proxy/rates/reset").await.status, 502);
    let gone = admin.change(Method::DELETE, path, back.header("etag"), None).await;
    assert_eq!((gone.status.as_u16(), gone.text()), (204, ""));
    assert_eq!(replica.call(&key, "/proxy/rates/ok").await.status, 404);
    assert_eq!(admin.get(path).await.status, 404);
    let history = admin.get(&format!("{path}/revisions")).await.json();
    let actions: Vec<_> =
        history["items"].as_array().unwrap().iter().map(|item| item["action"].clone()).collect();
    assert_eq!(actions, ["deleted", "rolled_back", "replaced", "created"]);
    assert_eq!(history["items"][2]["spec"], other);
    assert!(history["items"][0].get("spec").is_none());
    let second = admin.get(&format!("{path}/revisions?limit=3")).await.json();
    let cursor = second["next"].as_str().unwrap();
    let last = admin.get(&format!("{path}/revisions?limit=3&cursor={cursor}")).await.json();
    assert_eq!((last["items"].as_array().unwrap().len(), last.get("next")), (1, None));
    assert_eq!(admin.get("/api/v1/upstreams/nobody/revisions").await.status, 404);
}

async fn two_writers_who_read_the_same_state_do_not_undo_each_other(deployment: Deployment) {
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let path = "/api/v1/upstreams/rates";
    let document = |number: u32| json!({ "spec": { "url": format!("https://api.example.com/v{number}") } });
    let tag = register(&admin, "rates", document(0)["spec"].clone()).await;
    let writes = client::burst(6, {
        let (admin, tag) = (admin.clone(), tag.clone());
        move |number| {
            let (admin, tag) = (admin.clone(), tag.clone());
            async move { admin.change(Method::PUT, path, &tag, Some(document(number as u32))).await }
        }
    })
    .await;
    let mut statuses: Vec<u16> = writes.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412]);
    for (method, body) in [(Method::PUT, Some(document(9))), (Method::DELETE, None)] {
        let stale = admin.change(method.clone(), path, &tag, body.clone()).await;
        assert_eq!(problem(&stale), (412, "precondition-failed".to_owned()), "{method}");
        let missing = admin.send(method.clone(), path, body.map(|body| body.to_string()), None).await;
        assert_eq!(problem(&missing), (428, "precondition-required".to_owned()), "{method}");
    }
    let any = admin.change(Method::PUT, path, "*", Some(document(9))).await;
    assert_eq!(
        (any.status.as_u16(), &any.json()["spec"]["url"]),
        (200, &json!("https://api.example.com/v9"))
    );
}

async fn the_list_is_walked_by_its_cursors(deployment: Deployment) {
    deployment.write_upstreams(&file("middle", "https://api.example.com"));
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    for name in ["zebra", "aardvark"] {
        register(&admin, name, spec("https://api.example.com")).await;
    }
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = admin.get(&format!("/api/v1/upstreams?limit=1{cursor}")).await.json();
        let item = &page["items"][0];
        names.push(format!("{} {}", item["name"].as_str().unwrap(), item["source"].as_str().unwrap()));
        let Some(next) = page.get("next") else { break };
        cursor = format!("&cursor={}", next.as_str().unwrap());
    }
    assert_eq!(names, ["aardvark api", "middle file", "zebra api"]);
    for (query, name) in [("cursor=%21", "cursor"), ("limit=0", "limit"), ("limit=201", "limit")] {
        let refused = admin.get(&format!("/api/v1/upstreams?{query}")).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec![name.to_owned()]), "{query}");
    }
}

async fn only_operators_change_and_every_change_is_audited(deployment: Deployment) {
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let (viewer, operator) = (admin.user(&replica, "viewer").await, admin.user(&replica, "operator").await);
    let body = json!({ "name": "rates", "spec": spec("https://api.example.com") });
    assert_eq!(replica.anonymous().post("/api/v1/upstreams", body.clone()).await.status, 401);
    assert_eq!(viewer.post("/api/v1/upstreams", body.clone()).await.status, 403);
    assert_eq!(operator.post("/api/v1/upstreams", body).await.status, 201);
    assert_eq!(viewer.get("/api/v1/upstreams/rates").await.status, 200);
    assert_eq!(viewer.change(Method::DELETE, "/api/v1/upstreams/rates", "*", None).await.status, 403);
    let rollback = Some(json!({ "revision": 1 }));
    assert_eq!(
        viewer.change(Method::POST, "/api/v1/upstreams/rates/rollback", "*", rollback).await.status,
        403
    );
    assert_eq!(replica.anonymous().get("/api/v1/upstreams").await.status, 401);
    assert_eq!(operator.change(Method::DELETE, "/api/v1/upstreams/rates", "*", None).await.status, 204);
    let audit = admin.get("/api/v1/audit?target=upstream:rates").await.json();
    let noted: Vec<_> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{} {}", item["actor"].as_str().unwrap(), item["action"].as_str().unwrap()))
        .collect();
    assert_eq!(
        noted,
        ["user:operator@example.com upstream.deleted", "user:operator@example.com upstream.created"]
    );
}

async fn a_fallback_holds_what_it_leads_to(deployment: Deployment) {
    let replica = deployment.replica().await;
    let admin = replica.admin().await;
    let mut leaning = spec("https://api.example.com");
    leaning["fallback"] = json!([{ "upstream": { "name": "backup" } }]);
    let dangling = admin.post("/api/v1/upstreams", json!({ "name": "rates", "spec": leaning })).await;
    assert_eq!(pointers(&dangling), ["/spec/fallback/0/upstream/name"]);
    let backup = register(&admin, "backup", spec("https://api.example.com")).await;
    register(&admin, "rates", leaning).await;
    let refused = admin.change(Method::DELETE, "/api/v1/upstreams/backup", &backup, None).await;
    assert_eq!(problem(&refused), (409, "conflict".to_owned()));
    assert!(refused.text().contains("rates"), "{}", refused.text());
    let mut circle = spec("https://api.example.com");
    circle["fallback"] = json!([{ "upstream": { "name": "rates" } }]);
    let path = "/api/v1/upstreams/backup";
    let refused = admin.change(Method::PUT, path, &backup, Some(json!({ "spec": circle }))).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("circle"), "{}", refused.text());
}
