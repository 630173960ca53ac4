//! Passwords: what does not count is told alike, what is no good is named, a change ends every session.

use http::Method;
use serde_json::json;

use super::{PASSWORD, audited, create, login, on_both, pointers, refresh, signed_in, started, text};
use crate::support::levee::{Setup, TestApp};

on_both!(
    whoever_cannot_sign_in_is_told_the_same,
    a_changed_password_ends_every_session,
    a_refused_login_is_noted_and_counted,
);

const NEXT: &str = "another rain in another Spain";

async fn whoever_cannot_sign_in_is_told_the_same(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let disabled = create(&admin, "disabled", "viewer").await;
    assert_eq!(disabled.update(&admin, json!({ "disabled": true })).await.status, 200);
    let passwordless = json!({ "email": "none@example.com", "name": "none", "role": "viewer" });
    assert_eq!(admin.post("/api/v1/users", passwordless).await.status, 201);
    let mut told = Vec::new();
    for (email, password) in [
        (ada.email.as_str(), "not the password at all"),
        ("nobody@example.com", PASSWORD),
        (&disabled.email, PASSWORD),
        ("none@example.com", PASSWORD),
        ("none@example.com", ""),
        ("not an address", PASSWORD),
    ] {
        let refused = login(&app, email, password).await;
        let mut body = refused.json();
        body["instance"].take();
        told.push((refused.status.as_u16(), body));
    }
    assert_eq!(told[0].0, 401);
    assert!(told.iter().all(|other| *other == told[0]), "{told:#?}");
}

async fn a_changed_password_ends_every_session(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let (api, here) = signed_in(&app, &ada).await;
    let (elsewhere_api, elsewhere) = signed_in(&app, &ada).await;
    let change = |current: &str, new: &str| json!({ "currentPassword": current, "newPassword": new });
    let path = "/api/v1/auth/password";
    for (body, pointer) in [
        (change("not my password, no", NEXT), "/currentPassword"),
        (change(PASSWORD, PASSWORD), "/newPassword"),
        (change(PASSWORD, "ada@example.com"), "/newPassword"),
        (change(PASSWORD, "qwerty123456789"), "/newPassword"),
        (change(PASSWORD, "too short"), "/newPassword"),
    ] {
        let refused = api.put(path, body).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec![pointer.to_owned()]));
    }
    let changed = api.put(path, change(PASSWORD, NEXT)).await;
    assert_eq!(changed.status, 204, "{}", changed.text());
    for api in [&api, &elsewhere_api] {
        assert_eq!(api.get("/api/v1/auth/me").await.status, 401, "tokens of before no longer count");
    }
    for token in [&here, &elsewhere] {
        assert_eq!(refresh(&app, token).await.status, 401);
    }
    assert_eq!(login(&app, &ada.email, PASSWORD).await.status, 401);
    assert_eq!(login(&app, &ada.email, NEXT).await.status, 200);
    let noted = audited(&admin, "user:ada@example.com").await;
    assert!(noted.iter().any(|action| action == "user.password_changed"), "{noted:?}");
}

async fn a_refused_login_is_noted_and_counted(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    assert_eq!(login(&app, &ada.email, "not the password at all").await.status, 401);
    assert_eq!(login(&app, "my-password-typed-here", "x").await.status, 401);
    assert_eq!(audited(&admin, "user:ada@example.com").await[0], "login.refused");
    assert_eq!(app.metric(r#"levee_auth_failures_total{reason="password"}"#).await, Some(2.0));
    let list = admin.get("/api/v1/audit").await;
    assert!(!list.text().contains("my-password-typed-here"), "it is no address, so it may be a secret");
}

#[tokio::test]
async fn a_password_that_is_too_long_is_refused_before_it_is_hashed() {
    let app = TestApp::start("").await;
    let refused = login(&app, "admin@localhost", &"x".repeat(257)).await;
    assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec!["/password".to_owned()]));
    let megabyte = login(&app, "admin@localhost", &"x".repeat(1 << 20)).await;
    assert_eq!(megabyte.status, 413, "{}", megabyte.text());
    let nearly = login(&app, "admin@localhost", &"x".repeat(1_000_000)).await;
    assert_eq!(nearly.status, 400, "{}", nearly.text());
    assert_eq!(app.metric(r#"levee_auth_failures_total{reason="password"}"#).await, Some(0.0));
}

#[tokio::test]
async fn what_a_login_must_not_hold_is_named() {
    let app = TestApp::start("").await;
    let api = app.anonymous();
    let unknown = json!({ "email": "a@b.c", "password": PASSWORD, "role": "admin" });
    let answer = api.post("/api/v1/auth/login", unknown).await;
    assert_eq!((answer.status.as_u16(), pointers(&answer)), (400, vec!["/role".to_owned()]));
    let missing = api.post("/api/v1/auth/login", json!({})).await;
    assert_eq!(missing.status, 400);
    assert_eq!(api.send(Method::POST, "/api/v1/auth/login", None, None).await.status, 415);
}

#[tokio::test]
async fn a_service_account_has_no_password() {
    let app = TestApp::start("").await;
    let admin = app.admin().await;
    let program = app.anonymous().bearer(&admin.key("billing").await);
    let me = program.get("/api/v1/auth/me").await;
    assert_eq!(text(&me.json(), "kind"), "service_account");
    let body = json!({ "currentPassword": PASSWORD, "newPassword": NEXT });
    assert_eq!(program.put("/api/v1/auth/password", body).await.status, 403);
}
