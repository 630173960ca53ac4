//! Refresh tokens: rotated, derived, revoked as a family, ended by what ends a session.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::{PASSWORD, audited, create, login, on_both, refresh, signed_in, started, text};
use crate::support::client::burst;
use crate::support::levee::{Setup, TestApp};
use crate::support::postgres;
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(1);

on_both!(
    a_login_gives_tokens_that_count,
    a_refresh_token_is_rotated_and_its_grandchild_ends_the_session,
    twenty_parallel_refreshes_bring_one_child,
    a_replay_after_the_grace_ends_the_session,
    a_session_is_over_after_logout,
    a_disabled_user_is_out_within_a_second,
    a_lower_role_counts_within_a_second,
    a_deleted_user_is_out,
);

async fn a_login_gives_tokens_that_count(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let answer = login(&app, "ADA@Example.com", PASSWORD).await;
    let tokens = answer.json();
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    assert_eq!((text(&tokens, "tokenType"), tokens["expiresIn"].as_u64()), ("Bearer", Some(900)));
    let me = app.anonymous().bearer(text(&tokens, "accessToken")).get("/api/v1/auth/me").await;
    assert_eq!(me.status, 200, "{}", me.text());
    let expected =
        json!({ "kind": "user", "id": ada.id, "name": ada.email, "role": "viewer", "class": "normal" });
    assert_eq!(me.json(), expected);
    let next = refresh(&app, text(&tokens, "refreshToken")).await.json();
    assert_ne!(text(&next, "refreshToken"), text(&tokens, "refreshToken"));
    assert_eq!(
        app.anonymous().bearer(text(&next, "accessToken")).get("/api/v1/auth/me").await.json(),
        expected
    );
    assert_eq!(audited(&admin, "user:ada@example.com").await, ["session.opened", "user.created"]);
}

async fn a_refresh_token_is_rotated_and_its_grandchild_ends_the_session(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let (_, first) = signed_in(&app, &ada).await;
    let second = text(&refresh(&app, &first).await.json(), "refreshToken").to_owned();
    let lost = refresh(&app, &first).await;
    assert_eq!(text(&lost.json(), "refreshToken"), second, "within the grace it brings the same child");
    let third = text(&refresh(&app, &second).await.json(), "refreshToken").to_owned();

    let replayed = refresh(&app, &first).await;
    assert_eq!(replayed.status, 401, "its child was used: {}", replayed.text());
    assert_eq!(text(&replayed.json(), "type"), "https://levee.dev/problems/unauthorized");
    for token in [&first, &second, &third] {
        assert_eq!(refresh(&app, token).await.status, 401, "the family is revoked");
    }
    assert_eq!(audited(&admin, "user:ada@example.com").await[0], "session.reused");
    assert_eq!(app.metric(r#"levee_auth_failures_total{reason="reuse"}"#).await, Some(1.0));
    let (again, _) = signed_in(&app, &ada).await;
    assert_eq!(again.get("/api/v1/auth/me").await.status, 200, "the user can sign in anew");
}

async fn twenty_parallel_refreshes_bring_one_child(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let (_, first) = signed_in(&app, &ada).await;
    let anonymous = app.anonymous();
    let answers = burst(20, |_| {
        let (anonymous, body) = (anonymous.clone(), json!({ "refreshToken": first }));
        async move { anonymous.post("/api/v1/auth/refresh", body).await }
    })
    .await;
    let children: HashSet<_> =
        answers.iter().map(|answer| text(&answer.json(), "refreshToken").to_owned()).collect();
    assert_eq!(children.len(), 1);
    let child = children.into_iter().next().unwrap();
    assert_eq!(refresh(&app, &child).await.status, 200);
}

async fn a_replay_after_the_grace_ends_the_session(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let (_, first) = signed_in(&app, &ada).await;
    let second = text(&refresh(&app, &first).await.json(), "refreshToken").to_owned();
    // Nothing shortens the grace: it is over when the same token no longer brings its child.
    until("the grace is over", Duration::from_secs(20), async || refresh(&app, &first).await.status == 401)
        .await;
    assert_eq!(refresh(&app, &second).await.status, 401, "the family is revoked");
}

async fn a_session_is_over_after_logout(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "viewer").await;
    let (_, first) = signed_in(&app, &ada).await;
    let (_, elsewhere) = signed_in(&app, &ada).await;
    let logout = async |token: &str| {
        app.anonymous().post("/api/v1/auth/logout", json!({ "refreshToken": token })).await
    };
    let answer = logout(&first).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert_eq!(refresh(&app, &first).await.status, 401);
    assert_eq!(refresh(&app, &elsewhere).await.status, 200, "another session of hers goes on");
    assert_eq!(logout(&first).await.status, 204, "it is over already");
    assert_eq!(logout("nonsense").await.status, 204);
}

async fn a_disabled_user_is_out_within_a_second(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "operator").await;
    let (api, token) = signed_in(&app, &ada).await;
    assert_eq!(ada.update(&admin, json!({ "disabled": true })).await.status, 200);
    until("her token no longer counts", SOON, async || api.get("/api/v1/auth/me").await.status == 401).await;
    assert_eq!(refresh(&app, &token).await.status, 401);
    assert_eq!(login(&app, &ada.email, PASSWORD).await.status, 401);

    assert_eq!(ada.update(&admin, json!({ "disabled": false })).await.status, 200);
    assert_eq!(refresh(&app, &token).await.status, 401, "what was ended stays so");
    assert_eq!(api.get("/api/v1/auth/me").await.status, 401);
    assert_eq!(login(&app, &ada.email, PASSWORD).await.status, 200);
}

async fn a_lower_role_counts_within_a_second(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "admin").await;
    let (api, _) = signed_in(&app, &ada).await;
    assert_eq!(api.get("/api/v1/users").await.status, 200);
    assert_eq!(ada.update(&admin, json!({ "role": "viewer" })).await.status, 200);
    until("she may no longer", SOON, async || api.get("/api/v1/users").await.status == 403).await;
    assert_eq!(text(&api.get("/api/v1/auth/me").await.json(), "role"), "viewer", "the token still counts");
}

async fn a_deleted_user_is_out(setup: Setup) {
    let (app, admin) = started(setup).await;
    let ada = create(&admin, "ada", "operator").await;
    let (api, token) = signed_in(&app, &ada).await;
    assert_eq!(admin.change(http::Method::DELETE, &ada.path(), &ada.tag, None).await.status, 204);
    until("her token no longer counts", SOON, async || api.get("/api/v1/auth/me").await.status == 401).await;
    assert_eq!(refresh(&app, &token).await.status, 401);
    assert_eq!(login(&app, &ada.email, PASSWORD).await.status, 401);
    assert_eq!(admin.get(&ada.path()).await.status, 404);
}

/// The clock stands still; the session is moved into the past instead.
#[tokio::test]
async fn a_session_ends_after_seven_days_however_often_it_was_refreshed() {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let database = format!("sqlite://{}", folder.path().join("levee.db").display());
    let app = TestApp::with("").env("LEVEE_DATABASE_URL", &database).start().await;
    let admin = app.admin().await;
    let ada = create(&admin, "ada", "viewer").await;
    let (_, mut token) = signed_in(&app, &ada).await;
    let hour = 60 * 60 * 1_000_000_i64;
    let pass = async |time: i64| {
        let sql = format!(
            "UPDATE sessions SET created = created - {time}, expires = expires - {time}; \
             UPDATE refresh_tokens SET created = created - {time}, used = used - {time}"
        );
        postgres::execute(&database, &sql).await;
    };
    for hours in [1, 24, 6 * 24 - 2] {
        pass(hours * hour).await;
        let answer = refresh(&app, &token).await;
        assert_eq!(answer.status, 200, "{hours} hours later: {}", answer.text());
        text(&answer.json(), "refreshToken").clone_into(&mut token);
    }
    pass(hour + hour / 60).await;
    assert_eq!(refresh(&app, &token).await.status, 401, "seven days and a minute");
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_alike() {
    let app = TestApp::start("").await;
    let admin = app.admin().await;
    let ada = create(&admin, "ada", "viewer").await;
    let access = login(&app, &ada.email, PASSWORD).await.json();
    for odd in ["", "x", &"A".repeat(43), text(&access, "accessToken").get(..43).unwrap()] {
        let refused = refresh(&app, odd).await;
        assert_eq!(refused.status, 401, "{odd:?}");
    }
    assert_eq!(
        refresh(&app, text(&access, "accessToken")).await.status,
        400,
        "it is longer than any of ours"
    );
}
