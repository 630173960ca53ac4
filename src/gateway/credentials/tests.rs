//! Which secrets open, for whom, and what they become.

use time::OffsetDateTime;
use tokio_util::task::TaskTracker;

use super::*;
use crate::models::document::{Rules, read_documents};

const SECRET: &str = "s3cret-s3cret";

fn ring(text: &str) -> KeyRing {
    KeyRing::parse(text).unwrap()
}

fn upstream(name: &str, spec: &str) -> Upstream {
    let text = format!(
        "{{ apiVersion: levee.dev/v1alpha1, kind: Upstream, metadata: {{ name: {name} }}, spec: {{ {spec} }} }}"
    );
    let mut faults = Vec::new();
    let upstreams = read_documents("f.yaml", &text, &Rules::default(), &mut faults);
    assert_eq!(faults, []);
    upstreams.into_iter().next().unwrap()
}

/// Sealed as the control plane does.
fn sealed(ring: &KeyRing, upstream: &Upstream, secret: &str) -> SealedCredential {
    let binding = upstream.credentials.as_ref().unwrap().binding(&upstream.url);
    let context = Context { owner: &upstream.name, binding: &binding, field: FIELD, version: 7 };
    let Sealed { kid, bytes } = envelope::seal(ring, context, &SecretString::from(secret));
    SealedCredential {
        upstream: upstream.name.clone(),
        binding: binding.clone(),
        version: 7,
        kid,
        sealed: bytes,
        updated: OffsetDateTime::UNIX_EPOCH,
        updated_by: "user:ada@example.com".to_owned(),
    }
}

fn opened(ring: &KeyRing, upstream: &Upstream, kept: &[SealedCredential]) -> Attached {
    let network = Network::new(Vec::new(), Vec::new(), TaskTracker::new());
    let cache = Arc::new(HttpCache::new(1024));
    Attached::open(upstream, &Vault::new(ring, kept), &network, &cache).unwrap()
}

/// The header that requests get, as text.
fn header_of(attached: &Attached) -> (String, String) {
    let Attached::Fixed(credential) = attached else { panic!("{:?}", attached.state()) };
    assert!(!format!("{:?}", credential.value).contains(SECRET), "it prints itself");
    (credential.name.to_string(), credential.value.to_str().unwrap().to_owned())
}

#[track_caller]
fn assert_detached(attached: &Attached, why: Detached) {
    assert_eq!(attached.state(), Some(Err(why.as_str())));
}

#[test]
fn a_secret_becomes_a_header_or_a_basic_password() {
    let ring = ring(&KeyRing::generate("a"));
    for (credentials, name, value) in [
        ("header: { name: X-Api-Key, value: '{secret}' }", "x-api-key", SECRET.to_owned()),
        (
            "header: { name: Authorization, value: 'Token a={secret};' }",
            "authorization",
            format!("Token a={SECRET};"),
        ),
        // RFC 7617 section 2: the base64 of `ada:s3cret-s3cret`.
        ("basic: { username: ada }", "authorization", "Basic YWRhOnMzY3JldC1zM2NyZXQ=".to_owned()),
    ] {
        let upstream =
            upstream("api", &format!("url: 'https://api.example.com', credentials: {{ {credentials} }}"));
        let attached = opened(&ring, &upstream, &[sealed(&ring, &upstream, SECRET)]);
        assert_eq!(header_of(&attached), (name.to_owned(), value));
    }
}

#[test]
fn another_origin_detaches_and_the_old_one_attaches_again() {
    let ring = ring(&KeyRing::generate("a"));
    let at =
        |url: &str| upstream("api", &format!("url: '{url}', credentials: {{ basic: {{ username: a }} }}"));
    let kept = [sealed(&ring, &at("https://api.example.com/v1"), SECRET)];
    for elsewhere in ["https://api.example.com:444/v1", "https://evil.example/v1", "http://internal:443/v1"] {
        assert_detached(&opened(&ring, &at(elsewhere), &kept), Detached::Elsewhere);
    }
    for same in ["https://api.example.com/v1", "https://API.example.com:443/v2"] {
        assert_eq!(opened(&ring, &at(same), &kept).state(), Some(Ok(())), "{same}");
    }
}

#[test]
fn another_token_server_detaches() {
    let ring = ring(&KeyRing::generate("a"));
    let at = |url: &str| {
        let oauth2 = format!("oauth2: {{ tokenUrl: '{url}', clientId: levee }}");
        let mut upstream =
            upstream("api", &format!("url: 'https://api.example.com', credentials: {{ {oauth2} }}"));
        // Roots of the test's own: the machine's are not needed for this.
        let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        upstream.tls.ca = Some(certificate.cert.pem());
        upstream
    };
    let kept = [sealed(&ring, &at("https://login.example.com/token"), SECRET)];
    assert_eq!(
        opened(&ring, &at("https://login.example.com/other"), &kept).state(),
        Some(Ok(())),
        "the same origin"
    );
    assert_detached(&opened(&ring, &at("https://evil.example/token"), &kept), Detached::Elsewhere);
}

/// Whoever can write to the database moves rows, or bends the binding of one: neither opens.
#[test]
fn a_moved_or_bent_row_does_not_open() {
    let ring = ring(&KeyRing::generate("a"));
    let basic = "credentials: { basic: { username: a } }";
    let api = upstream("api", &format!("url: 'https://api.example.com', {basic}"));
    let evil = upstream("evil", &format!("url: 'https://evil.example', {basic}"));
    let twin = upstream("twin", &format!("url: 'https://api.example.com', {basic}"));
    let kept = sealed(&ring, &api, SECRET);
    let bent = |change: fn(&mut SealedCredential)| {
        let mut bent = kept.clone();
        change(&mut bent);
        [bent]
    };
    let moved = bent(|row| row.upstream = "twin".to_owned());
    assert_detached(&opened(&ring, &twin, &moved), Detached::Unreadable);
    let moved = bent(|row| {
        row.upstream = "evil".to_owned();
        row.binding = "https://evil.example:443 basic".to_owned();
    });
    assert_detached(&opened(&ring, &evil, &moved), Detached::Unreadable);
    assert_detached(&opened(&ring, &api, &bent(|row| row.version = 8)), Detached::Unreadable);
    assert_detached(&opened(&ring, &api, &bent(|row| row.sealed[20] ^= 1)), Detached::Unreadable);
    assert_eq!(opened(&ring, &api, &[kept]).state(), Some(Ok(())));
}

#[test]
fn what_cannot_be_opened_or_sent_says_why() {
    let (ours, theirs) = (ring(&KeyRing::generate("a")), ring(&KeyRing::generate("b")));
    let api = upstream("api", "url: 'https://api.example.com', credentials: { basic: { username: a } }");
    assert_detached(&opened(&ours, &api, &[]), Detached::Unset);
    assert_detached(&opened(&ours, &api, &[sealed(&theirs, &api, SECRET)]), Detached::UnknownKey);
    let header = "credentials: { header: { name: x-key, value: '{secret}' } }";
    let api = upstream("api", &format!("url: 'https://api.example.com', {header}"));
    assert_detached(&opened(&ours, &api, &[sealed(&ours, &api, "two\nlines")]), Detached::Unsendable);
}

#[tokio::test]
async fn a_detached_upstream_has_nothing_to_send_with_and_says_so_at_once() {
    let ring = ring(&KeyRing::generate("a"));
    let api = upstream("api", "url: 'https://api.example.com', credentials: { basic: { username: a } }");
    let refused = opened(&ring, &api, &[]).obtain(Instant::now()).await.err().unwrap();
    assert_eq!(refused.kind, FailureKind::CredentialsMissing);
    assert_eq!(refused.detail, "Levee has no credential for this upstream: no secret has been set.");
    let plain = upstream("plain", "url: 'https://api.example.com'");
    assert!(opened(&ring, &plain, &[]).obtain(Instant::now()).await.is_ok_and(|none| none.is_none()));
}
