//! Password resets: issued by an admin, redeemed once.

use serde_json::{Value, json};

use super::{PASSWORD, create, login, on_both, pointers, refresh, signed_in, started, text};
use crate::support::client::Answer;
use crate::support::control::Api;
use crate::support::levee::{Setup, TestApp};

on_both!(a_reset_sets_the_password_once, a_new_reset_takes_the_place_of_the_old);

const NEXT: &str = "another rain in another Spain";

async fn issue(admin: &Api, path: &str) -> String {
    let issued = admin.send(http::Method::POST, &format!("{path}/password-reset"), None, None).await;
    assert_eq!(issued.status, 200, "{}", issued.text());
    text(&issued.json(), "token").to_owned()
}

async fn redeem(app: &TestApp, token: &str, password: &str) -> Answer {
    let body: Value = json!({ "token": token, "newPassword": password });
    app.anonymous().post("/api/v1/auth/password-reset", body).await
}

async fn a_reset_sets_the_password_once(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let (api, session) = signed_in(&app, &ada).await;
    let token = issue(&admin, &ada.path()).await;
    let weak = redeem(&app, &token, "ada@example.com").await;
    assert_eq!((weak.status.as_u16(), pointers(&weak)), (400, vec!["/newPassword".to_owned()]));
    assert_eq!(redeem(&app, &token, NEXT).await.status, 204, "a weak password did not use it up");
    let again = redeem(&app, &token, NEXT).await;
    assert_eq!((again.status.as_u16(), pointers(&again)), (400, vec!["/token".to_owned()]));
    assert_eq!(refresh(&app, &session).await.status, 401, "every session is over");
    assert_eq!(api.get("/api/v1/auth/me").await.status, 401);
    assert_eq!(login(&app, &ada.email, PASSWORD).await.status, 401);
    assert_eq!(login(&app, &ada.email, NEXT).await.status, 200);
}

async fn a_new_reset_takes_the_place_of_the_old(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let (old, new) = (issue(&admin, &ada.path()).await, issue(&admin, &ada.path()).await);
    assert_eq!(redeem(&app, &old, NEXT).await.status, 400);
    assert_eq!(redeem(&app, &new, NEXT).await.status, 204);
    assert_eq!(redeem(&app, "nonsense", NEXT).await.status, 400);
}

#[tokio::test]
async fn only_admins_issue_resets_and_only_for_users_there_are() {
    let app = TestApp::start("").await;
    let admin = app.admin().await;
    let ada = create(&admin, "ada", "operator").await;
    let (operator, _) = signed_in(&app, &ada).await;
    let path = format!("{}/password-reset", ada.path());
    assert_eq!(operator.send(http::Method::POST, &path, None, None).await.status, 403);
    assert_eq!(app.anonymous().send(http::Method::POST, &path, None, None).await.status, 401);
    let nobody = format!("/api/v1/users/{}/password-reset", uuid::Uuid::now_v7());
    assert_eq!(admin.send(http::Method::POST, &nobody, None, None).await.status, 404);
}
