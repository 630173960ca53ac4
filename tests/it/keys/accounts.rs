//! Managing service accounts and keys: who may, what is refused, what is shown.

use serde_json::json;
use uuid::Uuid;

use super::*;

on_both!(
    what_was_created_can_be_read_changed_and_deleted,
    a_change_needs_the_state_that_was_read,
    fields_that_are_not_the_callers_to_set_are_refused,
    every_wrong_field_is_named,
    a_name_is_taken_once,
    what_belongs_to_another_is_not_found,
    viewers_see_programs_but_never_their_keys,
    lists_go_on_where_the_last_page_ended,
);

async fn what_was_created_can_be_read_changed_and_deleted(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let made = admin.post(ACCOUNTS, json!({ "name": "billing", "class": "high" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = made.header("location");
    assert_eq!(made.json()["role"], "none");
    assert!(made.json()["revision"].as_u64().unwrap() > 0);
    let read = admin.get(path).await;
    assert_eq!((read.status.as_u16(), read.header("etag")), (200, made.header("etag")));
    assert_eq!(read.json()["class"], "high");
    let change = json!({ "role": "operator", "class": "low" });
    let changed = admin.change(Method::PATCH, path, read.header("etag"), Some(change)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let state = changed.json();
    assert_eq!(
        (&state["role"], &state["class"], &state["name"]),
        (&json!("operator"), &json!("low"), &json!("billing"))
    );
    let none = admin.change(Method::PATCH, path, "*", Some(json!({ "role": "none" }))).await;
    assert_eq!(none.json()["role"], "none");
    let deleted = admin.change(Method::DELETE, path, none.header("etag"), None).await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    assert_eq!(admin.get(path).await.status, 404);
}

async fn a_change_needs_the_state_that_was_read(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let mut program = Program::new(&admin, "billing", "none").await;
    let stale = program.tag.clone();
    program.change(&admin, json!({ "class": "low" })).await;
    let change = || Some(json!({ "class": "high" }));
    for (method, body) in [(Method::PATCH, change()), (Method::DELETE, None)] {
        let blind =
            admin.send(method.clone(), &program.path, body.as_ref().map(Value::to_string), None).await;
        assert_eq!(blind.status, 428, "{}", blind.text());
        let late = admin.change(method, &program.path, &stale, body).await;
        assert_eq!(late.status, 412, "{}", late.text());
    }
    assert_eq!(admin.get(&program.path).await.json()["class"], "low");
}

async fn fields_that_are_not_the_callers_to_set_are_refused(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let program = Program::new(&admin, "billing", "none").await;
    for field in ["id", "version", "createdAt", "epoch", "revision", "hash"] {
        let mut body = json!({ "name": "x", "class": "low" });
        body[field] = json!("1");
        let refused = admin.post(ACCOUNTS, body).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec![format!("/{field}")]));
        let mut body = json!({ "name": "ci" });
        body[field] = json!("1");
        let refused = admin.post(&format!("{}/keys", program.path), body).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec![format!("/{field}")]));
    }
    for field in ["id", "name", "version", "keys"] {
        let refused = admin.change(Method::PATCH, &program.path, "*", Some(json!({ field: "x" }))).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec![format!("/{field}")]));
    }
    assert_eq!(admin.get(ACCOUNTS).await.json()["items"].as_array().unwrap().len(), 1);
}

async fn every_wrong_field_is_named(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let program = Program::new(&admin, "billing", "none").await;
    let body = json!({ "name": "Not A Name", "class": "urgent", "role": "root" });
    let refused = admin.post(ACCOUNTS, body).await;
    let mut named = pointers(&refused);
    named.sort();
    assert_eq!((refused.status.as_u16(), named.join(" ").as_str()), (400, "/class /name /role"));
    for key in [json!({ "name": "", "expiresIn": 60 }), json!({ "name": "a\nb", "expiresIn": "soon" })] {
        let refused = admin.post(&format!("{}/keys", program.path), key).await;
        let mut named = pointers(&refused);
        named.sort();
        named.dedup();
        assert_eq!((refused.status.as_u16(), named.join(" ").as_str()), (400, "/expiresIn /name"));
    }
    for life in ["0s", "3651d", "500ms"] {
        let key = json!({ "name": "ci", "expiresIn": life });
        let refused = admin.post(&format!("{}/keys", program.path), key).await;
        assert_eq!(
            (refused.status.as_u16(), pointers(&refused)),
            (400, vec!["/expiresIn".to_owned()]),
            "{life}"
        );
    }
}

async fn a_name_is_taken_once(setup: Setup) {
    let (_app, admin) = started(setup).await;
    Program::new(&admin, "billing", "none").await;
    let again = admin.post(ACCOUNTS, json!({ "name": "billing", "class": "low" })).await;
    assert_eq!(again.status, 409, "{}", again.text());
}

async fn what_belongs_to_another_is_not_found(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let billing = Program::new(&admin, "billing", "viewer").await;
    let shipping = Program::new(&admin, "shipping", "none").await;
    let key = billing.key.rsplit('/').next().unwrap();
    let elsewhere = format!("{}/keys/{key}", shipping.path);
    assert_eq!(admin.get(&elsewhere).await.status, 404);
    assert_eq!(admin.change(Method::DELETE, &elsewhere, "*", None).await.status, 404);
    assert_eq!(billing.reads().await, 200, "its key still counts");
    let nobody = format!("{ACCOUNTS}/{}", Uuid::now_v7());
    assert_eq!(admin.get(&nobody).await.status, 404);
    assert_eq!(admin.get(&format!("{nobody}/keys")).await.status, 404);
    assert_eq!(admin.post(&format!("{nobody}/keys"), json!({ "name": "x" })).await.status, 404);
    assert_eq!(admin.change(Method::PATCH, &nobody, "*", Some(json!({}))).await.status, 404);
}

async fn viewers_see_programs_but_never_their_keys(setup: Setup) {
    let (_app, admin) = started(setup).await;
    let reader = Program::new(&admin, "reader", "viewer").await;
    assert_eq!(reader.api.get(&reader.path).await.status, 200);
    for path in [format!("{}/keys", reader.path), reader.key.clone()] {
        assert_eq!(reader.api.get(&path).await.status, 403, "{path}");
    }
}

async fn lists_go_on_where_the_last_page_ended(setup: Setup) {
    let (_app, admin) = started(setup).await;
    for name in ["a-1", "a-2", "b-1", "a-3"] {
        Program::new(&admin, name, "none").await;
    }
    let mut names = Vec::new();
    let mut path = format!("{ACCOUNTS}?search=a-&limit=2");
    loop {
        let page = admin.get(&path).await.json();
        names.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{ACCOUNTS}?search=a-&limit=2&cursor={next}");
    }
    assert_eq!(names, ["a-1", "a-2", "a-3"]);
    let refused = admin.get(&format!("{ACCOUNTS}?cursor=nonsense")).await;
    assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec!["cursor".to_owned()]));
}
