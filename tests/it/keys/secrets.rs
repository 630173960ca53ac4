//! Secrets of every kind, used in every way, and then looked for in everything Levee says or keeps.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::support::client;
use crate::support::until::until;

const RING: &str = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY=";
const PASSWORD: &str = "seeded password of Ada";
const NEW_PASSWORD: &str = "seeded password of Ada, the second";
const CREDENTIAL: &str = "seeded-upstream-credential-7f3a";

#[tokio::test]
async fn no_secret_is_ever_said_again_or_kept_as_it_is() {
    let folder = TempDir::with_prefix("levee-test-").unwrap();
    let database = format!("sqlite://{}", folder.path().join("levee.db").display());
    let setup = TestApp::with("").env("LEVEE_DATABASE_URL", database).env("LEVEE_LOG", "trace");
    let (app, admin) = started(setup.env("LEVEE_SECRET_KEYS", format!("seeded:{RING}"))).await;
    let mut seen = Vec::new();
    let secrets = exercise(&app, &admin, &mut seen).await;
    seen.extend(everything_readable(&app, &admin).await);
    until("the log has the last request", Duration::from_secs(5), async || {
        app.log().iter().any(|line| line.contains("/api/v1/audit"))
    })
    .await;
    seen.extend(app.log());
    for secret in &secrets {
        let leaks: Vec<&String> = seen.iter().filter(|text| text.contains(secret.as_str())).collect();
        assert!(leaks.is_empty(), "{secret} in {leaks:#?}");
    }
    drop(app);
    for secret in &secrets {
        assert_eq!(files_with(folder.path(), secret), [""; 0], "{secret} is kept as it is");
    }
}

/// Uses every secret in right and in wrong ways. What answered is noted in `seen`, but for the answers whose purpose is
/// to show a secret once.
async fn exercise(app: &TestApp, admin: &Api, seen: &mut Vec<String>) -> Vec<String> {
    let body = json!({ "email": "ada@example.com", "name": "Ada", "password": PASSWORD, "role": "operator" });
    let user = admin.post("/api/v1/users", body).await;
    let nobody = app.anonymous();
    let login = |password: &str| json!({ "email": "ada@example.com", "password": password });
    let first = nobody.post("/api/v1/auth/login", login(PASSWORD)).await.json();
    let refresh = json!({ "refreshToken": first["refreshToken"] });
    let second = nobody.post("/api/v1/auth/refresh", refresh.clone()).await.json();
    let token = |answer: &Value, name: &str| answer[name].as_str().unwrap().to_owned();
    let ada = nobody.bearer(&token(&second, "accessToken"));
    let change = json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD });
    let changed = ada.put("/api/v1/auth/password", change).await;
    let program = Program::new(admin, "billing", "viewer").await;
    let key = &program.text;
    let upstream = json!({ "name": "rates", "spec": {
        "url": "https://api.example.com",
        "credentials": { "header": { "name": "authorization", "value": "Bearer {secret}" } },
    } });
    let registered = admin.post("/api/v1/upstreams", upstream).await;
    let stored = admin.put("/api/v1/upstreams/rates/credentials", json!({ "secret": CREDENTIAL })).await;
    let mut answers = vec![
        user,
        changed,
        registered,
        stored,
        nobody.post("/api/v1/auth/login", login(&format!("{PASSWORD}!"))).await,
        nobody.post("/api/v1/auth/login", json!({ "email": PASSWORD, "password": [PASSWORD] })).await,
        nobody.post("/api/v1/auth/refresh", refresh).await,
        nobody.post("/api/v1/auth/logout", json!({ "refreshToken": second["refreshToken"] })).await,
        nobody.get(&format!("{ACCOUNTS}?key={key}")).await,
        nobody.get(&format!("{ACCOUNTS}/{key}")).await,
        admin.get(&format!("{ACCOUNTS}?cursor={key}")).await,
        program.api.get("/api/v1/auth/me").await,
        admin.bearer(&format!("{key}0")).get(ACCOUNTS).await,
        admin.put("/api/v1/upstreams/rates/credentials", json!({ "secret": [CREDENTIAL] })).await,
        admin
            .send(
                Method::PUT,
                "/api/v1/upstreams/rates/credentials",
                Some(format!("{{\"secret\":\"{CREDENTIAL}")),
                None,
            )
            .await,
    ];
    for header in ["levee-key", "x-api-key"] {
        let mut request = client::request(&format!("/proxy/rates/{key}?key={key}"));
        request.headers_mut().insert(header, key.parse().unwrap());
        answers.push(client::send(app.data, request).await.unwrap());
    }
    seen.extend(answers.iter().map(|answer| format!("{:?} {}", answer.headers, answer.text())));
    let tokens = [&first, &second];
    let mut secrets = vec![RING.to_owned(), PASSWORD.to_owned(), CREDENTIAL.to_owned(), key.clone()];
    secrets.extend(
        tokens.iter().flat_map(|answer| [token(answer, "accessToken"), token(answer, "refreshToken")]),
    );
    secrets.push(app.admin_password().trim().to_owned());
    secrets
}

async fn everything_readable(app: &TestApp, admin: &Api) -> Vec<String> {
    let mut said = vec![app.metrics().await, client::get(app.ops, "/status").await.text().to_owned()];
    let document = admin.get("/openapi.json").await.json();
    let lists = document["paths"].as_object().unwrap().iter();
    let readable = lists.filter(|(path, item)| !path.contains('{') && item["get"].is_object());
    for path in
        readable.map(|(path, _)| path.as_str()).chain(["/api/v1/upstreams/rates", "/api/v1/audit?limit=200"])
    {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        said.push(answer.text().to_owned());
    }
    said
}

/// The files in which a text stands.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let found: Vec<_> = files.filter(|path| holds(path)).collect();
    found.iter().map(|path| path.display().to_string()).collect()
}
