//! Access tokens on the wire: forged ones are refused, the key set verifies, and keys are rotated under live tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{PASSWORD, login, text};
use crate::support::levee::TestApp;

fn parts(token: &str) -> [Value; 2] {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

async fn admin_token(app: &TestApp) -> String {
    let session = login(app, "admin@localhost", &app.admin_password()).await.json();
    text(&session, "accessToken").to_owned()
}

fn unsigned(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

#[tokio::test]
async fn forged_tokens_are_refused_and_not_taken_for_anonymous() {
    let app = TestApp::start("").await;
    let token = admin_token(&app).await;
    let [header, claims] = parts(&token);
    let (_, signature) = token.rsplit_once('.').unwrap();
    let with = |value: &Value, name: &str, to: Value| {
        let mut value = value.clone();
        value[name] = to;
        value
    };
    let later = json!(claims["exp"].as_u64().unwrap() + 3600);
    for forged in [
        unsigned(&with(&header, "alg", json!("none")), &claims, ""),
        unsigned(&with(&header, "alg", json!("HS256")), &claims, signature),
        unsigned(&with(&header, "kid", json!("foreign")), &claims, signature),
        unsigned(&header, &with(&claims, "exp", later), signature),
        unsigned(&header, &with(&claims, "sub", json!(uuid::Uuid::now_v7())), signature),
        token[..token.len() - 1].to_owned(),
    ] {
        let refused = app.anonymous().bearer(&forged).get("/api/v1/auth/me").await;
        assert_eq!(refused.status, 401, "{forged}");
        assert!(!refused.text().contains(signature));
        let called = app.anonymous().bearer(&forged).on(app.data).get("/proxy/nobody/x").await;
        assert_eq!(called.status, 401, "what is ours is refused on calls too: {}", called.text());
    }
    assert_eq!(app.anonymous().bearer(&token).get("/api/v1/auth/me").await.status, 200);
}

#[tokio::test]
async fn the_key_set_verifies_a_token() {
    let app = TestApp::start("").await;
    let token = admin_token(&app).await;
    let answer = app.anonymous().get("/.well-known/jwks.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
    let [header, _] = parts(&token);
    let set = answer.json();
    let keys = set["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the token's key is published");
    let public = URL_SAFE_NO_PAD.decode(text(key, "x")).unwrap();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verifying = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public);
    verifying.verify(message.as_bytes(), &signature).expect("whoever has the set can verify");
}

#[tokio::test]
async fn a_refresh_token_and_an_odd_header_prove_nothing() {
    let app = TestApp::start("").await;
    let session = login(&app, "admin@localhost", &app.admin_password()).await.json();
    let refused = app.anonymous().bearer(text(&session, "refreshToken")).get("/api/v1/auth/me").await;
    assert_eq!(refused.status, 401);
    assert_eq!(app.anonymous().bearer(PASSWORD).get("/api/v1/auth/me").await.status, 401);
}
