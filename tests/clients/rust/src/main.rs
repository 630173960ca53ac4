//! The scenario, by the client that progenitor makes.

use std::env;
use std::error::Error as StdError;

use futures::TryStreamExt as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

progenitor::generate_api!(spec = "../../../openapi/levee.json", interface = Builder);

type Outcome<T> = Result<T, Box<dyn StdError>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let (url, email) = (setting("LEVEE_URL"), setting("LEVEE_EMAIL"));
    let name = format!("client-{}", setting("SCENARIO"));
    let reason = "the scenario";

    let anonymous = Client::new(&url);
    let signing =
        |body: types::builder::Login| body.email(email.as_str()).password(setting("LEVEE_PASSWORD"));
    let first = anonymous.login().body_map(signing).send().await?.into_inner();
    let first = first.refresh_token;
    let tokens =
        anonymous.refresh().body_map(|body| body.refresh_token(first.as_str())).send().await?.into_inner();
    assert_ne!(tokens.refresh_token, first);
    let client = Client::new_with_client(&url, signed_in(&tokens.access_token)?);
    assert_eq!(client.get_me().send().await?.name, email);

    let creation = |body: types::builder::ServiceAccountCreation| {
        body.name(name.as_str()).class(types::Class::Normal)
    };
    let account = client.create_service_account().body_map(creation).send().await?.into_inner();
    let made = client.create_api_key().id(account.id).body_map(|body| body.name("scenario")).send().await?;
    let key = Some(made.key.as_str());

    let plain = spec(&name)?;
    let made = client
        .create_upstream()
        .body_map(|body| body.name(name.as_str()).spec(plain))
        .send()
        .await?;
    assert_eq!(made.status(), 201);
    assert_eq!(made.headers()["location"], format!("/api/v1/upstreams/{name}").as_str());
    assert_eq!(call(&name, key).await?, (200, None));
    assert!([401, 403].contains(&call(&name, None).await?.0));

    let read = client.get_upstream().name(&name).send().await?;
    let stale = read.headers()["etag"].to_str()?.to_owned();
    let on = vec![types::RetryPolicyOnItem::Reset];
    let retry = types::RetryPolicy::try_from(types::RetryPolicy::builder().on(on))?;
    let changed = spec(&name)?.owner("rust".parse::<types::UpstreamSpecOwner>()?).retry(retry);
    let replace = || {
        let changed = changed.clone();
        client.replace_upstream().name(&name).if_match(&stale).body_map(|body| body.spec(changed)).send()
    };
    let replaced = replace().await?;
    assert_eq!(replaced.spec["owner"], "rust");
    assert!(replaced.revision > read.revision);
    assert_eq!(problem(replace().await).await?.status, 412);

    let timeout = types::TimeoutPolicy::builder().total("1s".parse::<types::TimeoutPolicyTotal>()?);
    let timeout = timeout.attempt("2s".parse::<types::TimeoutPolicyAttempt>()?);
    let wrong = spec(&name)?.timeout(types::TimeoutPolicy::try_from(timeout)?);
    let another = format!("{name}-2");
    let refused = client.create_upstream().body_map(|body| body.name(another).spec(wrong)).send().await;
    let refused = problem(refused).await?;
    assert_eq!(refused.status, 400);
    let pointers: Vec<_> = refused.errors.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/spec/timeout/attempt"]);

    let names = all_upstreams(&client).await?;
    assert!(names.len() > 1 && names.contains(&name), "{names:?}");

    let set = |mode| {
        let setting = |body: types::builder::BreakerDecision| body.mode(mode).reason(reason);
        client.set_breaker().upstream(&name).body_map(setting).send()
    };
    set(types::BreakerMode::ForcedOpen).await?;
    assert_eq!(call(&name, key).await?, (503, Some("circuit-open".to_owned())));
    set(types::BreakerMode::Auto).await?;
    assert_eq!(call(&name, key).await?, (200, None));

    let now = client.get_upstream().name(&name).send().await?;
    let tag = now.headers()["etag"].to_str()?;
    assert_eq!(client.delete_upstream().name(&name).if_match(tag).send().await?.status(), 204);
    let gone = client.delete_service_account().id(account.id).if_match("*").send().await?;
    assert_eq!(gone.status(), 204);
    assert!([401, 404].contains(&call(&name, key).await?.0));
    let last = tokens.refresh_token;
    client.logout().body_map(|body| body.refresh_token(last.as_str())).send().await?;
    let ended = anonymous.refresh().body_map(|body| body.refresh_token(last.as_str())).send().await;
    assert_eq!(problem(ended).await?.status, 401);
    Ok(())
}

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn signed_in(token: &str) -> Outcome<reqwest::Client> {
    let bearer = HeaderValue::try_from(format!("Bearer {token}"))?;
    Ok(reqwest::Client::builder().default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)])).build()?)
}

/// A document that only our account may call.
fn spec(name: &str) -> Outcome<types::builder::UpstreamSpec> {
    let allow: Vec<types::AccessPolicyAllowItem> = vec![format!("sa:{name}").parse()?];
    let access = types::AccessPolicy::try_from(types::AccessPolicy::builder().allow(allow))?;
    Ok(types::UpstreamSpec::builder().url(setting("LEVEE_FLAKY_URL")).access(access))
}

/// A call through the data plane: its status and, when Levee refused it, the problem's type.
async fn call(name: &str, key: Option<&str>) -> Outcome<(u16, Option<String>)> {
    let url = format!("{}/proxy/{name}/hello", setting("LEVEE_CALLS_URL"));
    let mut request = reqwest::Client::new().get(url);
    if let Some(key) = key {
        request = request.header("Levee-Key", key);
    }
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    if answer.headers()["content-type"] != "application/problem+json" {
        return Ok((status, None));
    }
    let problem: types::Problem = answer.json().await?;
    Ok((status, problem.type_.rsplit('/').next().map(str::to_owned)))
}

/// The problem that an operation was refused with. progenitor types bodies of `application/json` only and hands over
/// others as they come; the type for them is there all the same.
async fn problem<T>(answer: Result<T, Error<ByteStream>>) -> Outcome<types::Problem> {
    match answer {
        Err(Error::ErrorResponse(refused)) => {
            let bytes: Vec<_> = refused.into_inner().into_inner().try_collect().await?;
            Ok(serde_json::from_slice(&bytes.concat())?)
        }
        Err(other) => Err(other.into()),
        Ok(_) => Err("it was not refused".into()),
    }
}

async fn all_upstreams(client: &Client) -> Outcome<Vec<String>> {
    let one = std::num::NonZeroU64::MIN;
    let (mut names, mut page) = (Vec::new(), client.list_upstreams().limit(one).send().await?.into_inner());
    loop {
        names.extend(page.items.iter().map(|upstream| upstream.name.to_string()));
        let Some(cursor) = page.next else { return Ok(names) };
        page = client.list_upstreams().limit(one).cursor(cursor).send().await?.into_inner();
    }
}
