//! OAuth2 client credentials: what the token server is asked, how often, and what becomes of its answers.

use super::*;
use crate::support::postgres::Database;
use crate::support::redis::RedisServer;

fn fields(token_server: &Misbehaving, more: &str) -> String {
    format!(
        "credentials: {{ oauth2: {{ tokenUrl: '{}/oauth/token', clientId: 'le:vee', scopes: [read, 'a:b'] }} }}, {more}",
        token_server.url()
    )
}

fn token(token: &str, expires_in: u32) -> Behaviour {
    let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": expires_in });
    Reply::ok(body.to_string()).header("Content-Type", "application/json").into()
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be absent")]
fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

const TOKENS: &str = "/oauth/token";

#[tokio::test]
async fn many_calls_need_one_token() {
    let (server, tokens, gate) = (Misbehaving::start().await, Misbehaving::start().await, Gate::closed());
    tokens.script(TOKENS, [Behaviour::Held(gate.clone(), Box::new(token("t0ken", 3600)))]);
    let world = World::with(&[("api", &server.url(), &fields(&tokens, "cache: { mode: off }"))]).await;
    world.set_secret("api", "s3cret/of the+tests").await;
    let (data, key) = (world.replica.data, world.key.clone());
    let calls = tokio::spawn(burst(20, move |_| {
        let mut request = client::request("/proxy/api/ok");
        request.headers_mut().insert("levee-key", key.parse().unwrap());
        async move { client::send(data, request).await.unwrap().status.as_u16() }
    }));
    until("the token is asked for", SOON, async || tokens.seen(TOKENS) == 1).await;
    gate.open();
    assert_eq!(calls.await.unwrap(), [200; 20]);
    assert_eq!((tokens.seen(TOKENS), server.seen("/ok")), (1, 20));
    assert!(server.received().iter().all(|request| request.header("authorization") == bearer("t0ken")));
    let asked = tokens.received()[0].clone();
    assert!(asked.start_line().starts_with("POST /oauth/token HTTP/1.1"));
    // RFC 6749 section 2.3.1: the base64 of `le%3Avee:s3cret%2Fof+the%2Btests`.
    let client = "Basic bGUlM0F2ZWU6czNjcmV0JTJGb2YrdGhlJTJCdGVzdHM=";
    assert_eq!(asked.header("authorization").as_deref(), Some(client));
    assert_eq!(asked.header("content-type").as_deref(), Some("application/x-www-form-urlencoded"));
    let body = String::from_utf8_lossy(&asked.bytes()).into_owned();
    assert!(body.ends_with("\r\n\r\ngrant_type=client_credentials&scope=read+a%3Ab"), "{body}");
    let shown = world.everything_shown().await;
    assert!(!shown.contains("t0ken") && !shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_call_repeated() {
    let (server, tokens) = (Misbehaving::start().await, Misbehaving::start().await);
    tokens.script(TOKENS, [token("old", 3600), token("new", 3600)]);
    server.script("/x", [Reply::ok("1").into(), Behaviour::from(Reply::status(401)), Reply::ok("2").into()]);
    let world = World::with(&[("api", &server.url(), &fields(&tokens, "cache: { mode: off }"))]).await;
    world.set_secret("api", SECRET).await;
    assert_eq!(world.get("/proxy/api/x").await.text(), "1");
    let renewed = world.get("/proxy/api/x").await;
    assert_eq!((renewed.text(), renewed.header("levee-attempts")), ("2", "2"));
    let sent: Vec<_> = server.received().iter().map(|request| request.header("authorization")).collect();
    assert_eq!(sent, [bearer("old"), bearer("old"), bearer("new")]);
    server.script("/x", [Behaviour::from(Reply::status(401))]);
    for _ in 0..5 {
        assert_eq!(world.get("/proxy/api/x").await.status, 401, "the upstream's own answer");
    }
    assert_eq!(tokens.seen(TOKENS), 2, "a token server is no target for an upstream's 401s");
}

#[tokio::test]
async fn a_call_that_must_not_be_repeated_gets_its_401() {
    let (server, tokens) = (Misbehaving::start().await, Misbehaving::start().await);
    tokens.script(TOKENS, [token("old", 3600), token("new", 3600)]);
    server.script("/x", [Behaviour::from(Reply::status(401)), Reply::ok("2").into()]);
    let world = World::with(&[("api", &server.url(), &fields(&tokens, "cache: { mode: off }"))]).await;
    world.set_secret("api", SECRET).await;
    let post = async || {
        let request =
            Request::builder().method(Method::POST).uri("/proxy/api/x").header("levee-key", &world.key);
        client::send(world.replica.data, request.body("x".into()).unwrap()).await.unwrap()
    };
    assert_eq!(post().await.status, 401);
    assert_eq!(post().await.text(), "2", "the next one has a new token");
    assert_eq!(last(&server, "authorization"), bearer("new"));
}

#[tokio::test]
async fn a_token_server_in_trouble_is_left_alone_and_its_secrets_stay_with_it() {
    let (server, tokens) = (Misbehaving::start().await, Misbehaving::start().await);
    let said = json!({ "error": "invalid_client", "error_description": format!("not {SECRET}") });
    let refused = Reply { status: 401, ..Reply::ok(said.to_string()) };
    tokens.script(TOKENS, [Behaviour::from(refused)]);
    let world = World::with(&[("api", &server.url(), &fields(&tokens, "cache: { mode: off }"))]).await;
    world.set_secret("api", SECRET).await;
    let statuses: Vec<_> = {
        let mut answers = Vec::new();
        for _ in 0..20 {
            answers.push(world.get("/proxy/api/ok").await);
        }
        answers
    };
    for answer in &statuses {
        assert!(is_missing(answer) && !answer.text().contains(SECRET), "{}", answer.text());
        assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    assert!(statuses[0].text().contains("refused (401, invalid_client)"), "{}", statuses[0].text());
    assert!(tokens.seen(TOKENS) < 10, "{} requests for 20 calls", tokens.seen(TOKENS));
    assert_eq!(server.seen_in_all(), 0, "never without it");
    assert!(!world.everything_shown().await.contains(SECRET));
    assert_eq!(world.state("api").await, "the token server gives no token");
    tokens.script(TOKENS, [token("good", 3600)]);
    until("the token server is asked again", SOON, async || world.get("/proxy/api/ok").await.status == 200)
        .await;
}

#[tokio::test]
async fn odd_answers_of_a_token_server_are_no_tokens() {
    let (server, elsewhere) = (Misbehaving::start().await, Misbehaving::start().await);
    let huge = json!({ "access_token": "t", "padding": "x".repeat(70_000) }).to_string();
    let redirect = Reply::status(307).header("Location", &format!("{}/token", elsewhere.url()));
    for (behaviour, said) in [
        (Behaviour::from(redirect), "refused (307)"),
        (Reply::ok(huge).into(), "larger than 64 KiB"),
        (Reply::ok("access_token=t").into(), "no JSON with an `access_token`"),
        (Behaviour::RawThenReset("".into()), "cannot be reached"),
    ] {
        let tokens = Misbehaving::start().await;
        tokens.script(TOKENS, [behaviour]);
        let world = World::with(&[("api", &server.url(), &fields(&tokens, "retry: { attempts: 1 }"))]).await;
        world.set_secret("api", SECRET).await;
        let answer = world.get("/proxy/api/ok").await;
        assert!(is_missing(&answer) && answer.text().contains(said), "{}", answer.text());
    }
    assert_eq!((server.seen_in_all(), elsewhere.seen_in_all()), (0, 0));
}

#[tokio::test]
async fn a_call_waits_for_a_token_no_longer_than_it_has_time() {
    let (server, tokens) = (Misbehaving::start().await, Misbehaving::start().await);
    tokens.script(TOKENS, [Behaviour::Hang]);
    let world = World::with(&[("api", &server.url(), &fields(&tokens, "timeout: { total: 300ms }"))]).await;
    world.set_secret("api", SECRET).await;
    let began = std::time::Instant::now();
    let answer = world.get("/proxy/api/ok").await;
    // Which of the two limits is seen first is chance.
    assert!(is_missing(&answer) || answer.status == 504, "{}", answer.text());
    assert_eq!(server.seen_in_all(), 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_token_that_ends_is_renewed() {
    let (server, tokens) = (Misbehaving::start().await, Misbehaving::start().await);
    tokens.script(TOKENS, [token("first", 1), token("second", 3600)]);
    let world = World::with(&[("api", &server.url(), &fields(&tokens, "cache: { mode: off }"))]).await;
    world.set_secret("api", SECRET).await;
    assert_eq!(world.get("/proxy/api/ok").await.status, 200);
    assert_eq!(last(&server, "authorization"), bearer("first"));
    until("the second token is used", SOON, async || {
        assert_eq!(world.get("/proxy/api/ok").await.status, 200);
        last(&server, "authorization") == bearer("second")
    })
    .await;
    assert_eq!(tokens.seen(TOKENS), 2);
}

#[tokio::test]
async fn another_token_server_does_not_get_the_secret() {
    let (server, tokens, thief) =
        (Misbehaving::start().await, Misbehaving::start().await, Misbehaving::start().await);
    tokens.script(TOKENS, [token("t", 3600)]);
    let of = |tokens: &Misbehaving| fields(tokens, "cache: { mode: off }");
    let world = World::with(&[("api", &server.url(), &of(&tokens))]).await;
    world.set_secret("api", SECRET).await;
    assert_eq!(world.get("/proxy/api/ok").await.status, 200);
    world.deployment.write_upstreams(&documents(&[("api", &server.url(), &of(&thief))]));
    until("it is detached", SOON, async || is_missing_now(&world).await).await;
    assert_eq!(thief.seen_in_all(), 0);
    world.deployment.write_upstreams(&documents(&[("api", &server.url(), &of(&tokens))]));
    until("it is attached again", SOON, async || world.get("/proxy/api/ok").await.status == 200).await;
}

async fn is_missing_now(world: &World) -> bool {
    let answer = world.get("/proxy/api/ok").await;
    answer.status != 200 && is_missing(&answer)
}

#[tokio::test]
async fn replicas_share_a_token_that_redis_cannot_read() {
    let (server, tokens) = (Misbehaving::start().await, Misbehaving::start().await);
    let (database, redis) = (Database::migrated().await, RedisServer::start().await);
    tokens.script(TOKENS, [token("t0ken", 3600), token("an0ther", 3600)]);
    let mut deployment = Deployment::on_postgres(database.url());
    deployment.env("LEVEE_REDIS_URL", redis.url());
    let api = ("api", server.url(), fields(&tokens, "cache: { mode: off }"));
    deployment.write_upstreams(&documents(&[(api.0, &api.1, &api.2)]));
    let (replica, other) = (deployment.replica().await, deployment.replica().await);
    for replica in [&replica, &other] {
        let in_step = async || replica.status().await["fleetCache"]["inStep"] == true;
        until("it is in step", SOON, in_step).await;
    }
    let admin = replica.admin().await;
    let key = admin.key("caller").await;
    let world = World { deployment, replica, admin, key };
    world.set_secret("api", SECRET).await;
    assert_eq!(world.get("/proxy/api/ok").await.status, 200);
    let kept = || {
        let keys = redis.command(&["KEYS", "*}:v"]);
        keys.lines().map(|key| redis.command(&["GET", key])).collect::<Vec<_>>()
    };
    until("the token is in Redis", SOON, async || !kept().is_empty()).await;
    until("the other replica knows the secret", SOON, async || {
        other.call(&world.key, "/proxy/api/ok").await.status == 200
    })
    .await;
    assert_eq!(tokens.seen(TOKENS), 1);
    assert!(server.received().iter().all(|request| request.header("authorization") == bearer("t0ken")));
    assert!(kept().iter().all(|value| !value.contains("t0ken") && !value.contains(SECRET)));
    // What one replica is refused it asks for anew, and does not take from the other.
    server.script("/refused", [Reply::status(401).into(), Reply::ok("ok").into()]);
    assert_eq!(world.get("/proxy/api/refused").await.status, 200);
    assert_eq!((tokens.seen(TOKENS), last(&server, "authorization")), (2, bearer("an0ther")));
}
