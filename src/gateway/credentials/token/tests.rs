//! When a token is used, renewed, dropped and asked for.

use super::*;
use crate::cache::HttpCache;
use crate::identity::ring::KeyRing;
use crate::models::document::{Rules, read_documents};

const HOUR: Duration = Duration::from_secs(3600);

/// A source whose token server is a port where nobody listens.
fn source() -> Arc<TokenSource> {
    let text = "{ apiVersion: levee.dev/v1alpha1, kind: Upstream, metadata: { name: api }, spec: { url: 'http://127.0.0.1:9', \
                credentials: { oauth2: { tokenUrl: 'http://127.0.0.1:9/token', clientId: levee } } } }";
    let allowed = crate::models::address::LOOPBACK.to_vec();
    let mut faults = Vec::new();
    let rules = Rules { allowed_cidrs: allowed.clone(), ..Rules::default() };
    let upstream = read_documents("f.yaml", text, &rules, &mut faults).remove(0);
    let Some(crate::models::policy::Credentials::OAuth2(settings)) = &upstream.credentials else {
        panic!("{faults:?}")
    };
    let network = Network::new(allowed, Vec::new(), TaskTracker::new());
    let ring = KeyRing::parse(&KeyRing::generate("a")).unwrap();
    let cache = Arc::new(HttpCache::new(1024 * 1024));
    let sharing = Sharing::new(&cache, &ring, &upstream.name, settings, ("binding", 1));
    TokenSource::new(&upstream, settings, "secret", &network, sharing).unwrap().unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "it is what an exchange answers")]
fn granted(token: &str, life: Duration) -> Result<Granted, Refusal> {
    Ok(Granted { credential: Credential::bearer(token).unwrap(), life })
}

fn text(credential: &Credential) -> &str {
    credential.value.to_str().unwrap()
}

fn is_asking(source: &TokenSource) -> bool {
    source.state.lock().asking.as_ref().is_some_and(|asking| asking.has_changed().is_ok())
}

#[tokio::test]
async fn a_token_is_used_without_asking_until_shortly_before_its_end() {
    let source = source();
    assert!(source.at_hand().is_none());
    let now = Instant::now();
    source.learn(granted("first", HOUR), now - HOUR.checked_sub(Duration::from_secs(125)).unwrap());
    assert_eq!(text(&source.at_hand().unwrap()), "Bearer first");
    assert!(!is_asking(&source), "two minutes before its end");
    source.learn(granted("second", HOUR), now - HOUR.checked_sub(Duration::from_secs(55)).unwrap());
    assert_eq!(text(&source.at_hand().unwrap()), "Bearer second", "the old one while a new one is got");
    assert!(is_asking(&source), "within the last minute");
    source.learn(granted("third", HOUR), now - HOUR);
    assert!(source.at_hand().is_none(), "past its end");
}

#[tokio::test]
async fn a_short_life_is_renewed_in_its_last_fifth() {
    let source = source();
    let life = Duration::from_secs(10);
    let now = Instant::now();
    source.learn(granted("early", life), now - Duration::from_secs(7));
    assert!(source.at_hand().is_some() && !is_asking(&source));
    source.learn(granted("late", life), now - Duration::from_millis(9_100));
    assert!(source.at_hand().is_some() && is_asking(&source));
}

#[tokio::test]
async fn many_who_need_a_token_make_one_request() {
    let source = source();
    let first = source.ask(Instant::now()).unwrap();
    let second = source.ask(Instant::now()).unwrap();
    assert!(first.same_channel(&second));
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_ever_less_often_and_its_callers_are_told_when_to_return() {
    let source = source();
    let mut last = Duration::ZERO;
    for failures in 1..=10u32 {
        source.learn(Err(Refusal::new("the token server refused (401)")), Instant::now());
        let refused = source.ask(Instant::now()).err().unwrap();
        assert_eq!(refused.kind, FailureKind::CredentialsMissing);
        assert_eq!(refused.detail, "Levee has no token for this upstream: the token server refused (401).");
        let pause = refused.retry_after.unwrap();
        let middle = Duration::from_secs(60.min(1 << (failures - 1)));
        assert!(pause <= middle.mul_f64(1.25) && pause > middle.mul_f64(0.7), "{failures}: {pause:?}");
        assert!(failures > 6 || pause > last.mul_f64(0.9), "{failures}: {pause:?}");
        last = pause;
    }
    assert_eq!(source.state(), Err("the token server gives no token"));
    assert!(!is_asking(&source));
    source.learn(granted("good", HOUR), Instant::now());
    assert_eq!(source.state(), Ok(()));
    assert_eq!(text(&source.at_hand().unwrap()), "Bearer good");
}

#[tokio::test]
async fn a_failing_renewal_leaves_the_token_that_still_counts() {
    let source = source();
    source.learn(granted("old", HOUR), Instant::now() - HOUR.checked_sub(Duration::from_secs(30)).unwrap());
    source.learn(Err(Refusal::new("the token server cannot be reached")), Instant::now());
    assert_eq!(text(&source.at_hand().unwrap()), "Bearer old");
    assert_eq!(source.state(), Ok(()));
}

#[tokio::test]
async fn a_refused_token_is_dropped_but_not_again_and_again() {
    let source = source();
    source.learn(granted("first", HOUR), Instant::now());
    let first = source.at_hand().unwrap();
    assert!(source.refused(&first), "worth another token");
    assert!(source.at_hand().is_none());
    source.learn(granted("second", HOUR), Instant::now());
    assert!(source.refused(&first), "another one is at hand already");
    let second = source.at_hand().unwrap();
    assert!(!source.refused(&second), "a new token is refused too: it is not the token");
    assert_eq!(text(&source.at_hand().unwrap()), "Bearer second");
}

#[tokio::test]
async fn who_waits_for_a_token_that_does_not_come_is_told_why() {
    let source = source();
    let refused = source.fetched(Instant::now() + Duration::from_secs(20)).await.err().unwrap();
    assert_eq!(refused.detail, "Levee has no token for this upstream: the token server cannot be reached.");
    assert!(refused.nothing_sent && refused.retry_after.is_some());
}
