//! Who is let in, and what is left of what they brought.

use secrecy::ExposeSecret as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::identity::directory::Directory;
use crate::identity::ring::KeyRing;
use crate::identity::token::Tokens;
use crate::models::document::{Rules, read_documents};
use crate::models::principal::Class;
use crate::models::registration::Stored;
use crate::models::service_account::{ApiKeyRecord, ServiceAccount};

/// A gatekeeper that knows one key, of `sa:billing`.
struct Gate {
    keeper: Gatekeeper,
    key: String,
    metrics: Arc<Metrics>,
}

fn gate(anonymous: Anonymous) -> Gate {
    let at = OffsetDateTime::UNIX_EPOCH;
    let (account, id) = (Uuid::now_v7(), Uuid::now_v7());
    let (key, hash) = api_key::mint(id);
    let stored = Stored {
        service_accounts: vec![ServiceAccount {
            id: account,
            name: "billing".to_owned(),
            role: None,
            class: Class::Normal,
            disabled: false,
            created: at,
            updated: at,
            version: 1,
        }],
        keys: vec![ApiKeyRecord {
            id,
            service_account: account,
            name: "ci".to_owned(),
            hash,
            created: at,
            expires: None,
            last_used: None,
            revoked: None,
        }],
        ..Stored::default()
    };
    let tokens = Tokens::new(&KeyRing::parse(&KeyRing::generate("test")).unwrap());
    let authenticator = Arc::new(Authenticator::new(tokens));
    authenticator.publish(Directory::of(&stored));
    let metrics = Arc::new(Metrics::new("0", "0"));
    let keeper = Gatekeeper::new(authenticator, anonymous, Arc::clone(&metrics));
    Gate { keeper, key: key.expose_secret().to_owned(), metrics }
}

fn upstream(access: &str) -> Upstream {
    let text = format!(
        "{{ apiVersion: levee.dev/v1alpha1, kind: Upstream, metadata: {{ name: rates }}, \
         spec: {{ url: 'https://api.example.com', access: {{ {access} }} }} }}"
    );
    read_documents("f.yaml", &text, &Rules::default(), &mut Vec::new()).remove(0)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

impl Gate {
    /// Who calls from elsewhere, and what is left of the headers.
    fn identify(
        &self,
        sent: &[(&'static str, &str)],
        access: &str,
    ) -> (Result<Option<String>, Denial>, HeaderMap) {
        let mut headers = headers(sent);
        let peer = "10.0.0.1".parse().ok();
        let identified = self.keeper.identify(&mut headers, Some(&upstream(access)), peer, None);
        (identified.map(|caller| caller.map(|caller| caller.subject())), headers)
    }
}

#[test]
fn a_key_proves_its_owner_wherever_it_may_stand_and_does_not_travel_on() {
    let gate = gate(Anonymous::Refused);
    let (key, bearer) = (gate.key.as_str(), format!("Bearer {}", gate.key));
    for (name, value, access) in
        [("levee-key", key, ""), ("authorization", &*bearer, ""), ("x-api-key", key, "keyHeader: X-API-Key")]
    {
        let (caller, left) = gate.identify(&[(name, value), ("accept", "text/plain")], access);
        assert_eq!(caller, Ok(Some("sa:billing".to_owned())), "{name}");
        assert_eq!(left.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["accept"], "{name}");
    }
    let all = [("levee-key", key), ("authorization", &*bearer), ("x-api-key", key), ("x-own", "1")];
    let (caller, left) = gate.identify(&all, "keyHeader: x-api-key");
    assert_eq!((caller, left.len()), (Ok(Some("sa:billing".to_owned())), 1), "{left:?}");
}

#[test]
fn a_foreign_credential_beside_a_proof_is_for_the_upstream() {
    let gate = gate(Anonymous::Refused);
    let sent = [("levee-key", &*gate.key), ("authorization", "Bearer theirs"), ("x-api-key", "theirs")];
    let (caller, left) = gate.identify(&sent, "keyHeader: x-api-key");
    assert_eq!(caller, Ok(Some("sa:billing".to_owned())));
    assert_eq!(
        (&left["authorization"], &left["x-api-key"]),
        (&"Bearer theirs".parse().unwrap(), &"theirs".parse().unwrap())
    );
}

#[test]
fn a_bad_credential_of_ours_is_refused_and_counted_even_where_nobody_need_prove_anything() {
    let gate = gate(Anonymous::FromThisMachine);
    let (stranger, mut mistyped) = (api_key::mint(Uuid::now_v7()).0, gate.key.clone());
    mistyped.pop();
    for (bad, reason) in [(stranger.expose_secret(), "unknown"), (mistyped.as_str(), "malformed")] {
        let mut headers = headers(&[("levee-key", bad), ("host", "localhost")]);
        let peer = "127.0.0.1".parse().ok();
        let denial = gate.keeper.identify(&mut headers, None, peer, None).unwrap_err();
        assert_eq!(denial.kind, ProblemType::Unauthorized);
        assert_eq!(denial.challenge, Some("Bearer error=\"invalid_token\""));
        assert!(!denial.detail.contains(bad), "{}", denial.detail);
        let text = gate.metrics.render(
            crate::telemetry::metrics::Format::Prometheus,
            &crate::telemetry::metrics::Readings::default(),
        );
        assert!(text.contains(&format!("auth_failures_total{{reason=\"{reason}\"}} 1")), "{reason}");
    }
}

#[test]
fn who_proves_nothing_is_asked_to() {
    let gate = gate(Anonymous::Refused);
    for sent in [&[][..], &[("authorization", "Bearer theirs")], &[("cookie", "a=b")]] {
        let denial = gate.identify(sent, "allow: [any_authenticated]").0.unwrap_err();
        assert_eq!((denial.kind, denial.challenge), (ProblemType::Unauthorized, Some("Bearer")));
    }
}

#[test]
fn a_key_where_none_is_looked_for_is_refused_rather_than_sent_on() {
    let gate = gate(Anonymous::Refused);
    let bearer = format!("bearer {}", gate.key);
    for value in [&*gate.key, &*bearer] {
        for beside in [("accept", "text/plain"), ("levee-key", &*gate.key)] {
            let denial = gate.identify(&[("x-token", value), beside], "").0.unwrap_err();
            assert_eq!(denial.kind, ProblemType::Unauthorized);
            assert!(
                denial.detail.starts_with("The header `x-token` holds a key of Levee's"),
                "{}",
                denial.detail
            );
        }
    }
}

/// A token of ours, whether or not it counts: what it says of itself is enough.
fn token() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"EdDSA"}"#),
        part(r#"{"iss":"levee","aud":"levee","sub":"01a1fe76-8375-7466-94f8-11a29cf5b9f8"}"#)
    )
}

#[test]
fn a_key_or_token_within_a_cookie_another_scheme_or_the_target_is_refused_as_well() {
    let gate = gate(Anonymous::Refused);
    let token = token();
    for ours in [&*gate.key, &*token] {
        for value in [format!("a=b; session={ours}; c=d"), format!("Token {ours}"), format!("\"{ours}\"")] {
            let denial = gate.identify(&[("levee-key", &*gate.key), ("x-any", &*value)], "").0.unwrap_err();
            assert_eq!(denial.kind, ProblemType::Unauthorized, "{value}");
            assert!(!denial.detail.contains(ours), "{}", denial.detail);
        }
        for target in [format!("/proxy/rates/x?key={ours}"), format!("/proxy/rates/{ours}/x")] {
            assert!(refuse_misplaced_in_target(&target).is_err(), "{target}");
        }
    }
    let foreign = format!("eyJhbGciOiJub25lIn0.eyJpc3MiOiJ0aGVtIn0.{}", "c2ln".repeat(20));
    let (caller, left) =
        gate.identify(&[("levee-key", &*gate.key), ("cookie", &*foreign), ("x-note", "a lvk_ b")], "");
    assert_eq!((caller, left.len()), (Ok(Some("sa:billing".to_owned())), 2), "others' are theirs");
    for target in ["/proxy/rates/lvk_", "/proxy/rates?lvk_=1", &format!("/proxy/rates?token={foreign}"), ""] {
        assert_eq!(refuse_misplaced_in_target(target), Ok(()), "{target}");
    }
}

#[test]
fn the_refusal_of_a_caller_names_what_to_do() {
    let caller = Principal {
        kind: crate::models::principal::PrincipalKind::ServiceAccount,
        id: Uuid::nil(),
        name: "billing".to_owned(),
        role: Some(crate::models::principal::Role::Admin),
        class: Class::Normal,
    };
    let refused = |caller, allow: &str| authorize(caller, &upstream(allow)).unwrap_err();
    let denial = refused(Some(&caller), "allow: ['sa:ci']");
    assert_eq!((denial.kind, denial.challenge), (ProblemType::Forbidden, None));
    assert!(denial.detail.starts_with("`sa:billing` matches nothing in `access.allow` of \"rates\"."));
    assert!(refused(Some(&caller), "").detail.contains("names nobody yet"), "no role lets anybody in");
    let denial = refused(None, "allow: [any_authenticated]");
    assert_eq!((denial.kind, denial.challenge), (ProblemType::Unauthorized, Some("Bearer")));
    assert_eq!(authorize(Some(&caller), &upstream("allow: ['sa:bill*']")), Ok(()));
}

fn refused(peer: &str, pairs: &[(&'static str, &'static str)]) -> bool {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    refuse_anonymous(peer.parse().ok(), &headers, None).is_some()
}

#[test]
fn a_program_on_this_machine_may_call() {
    for host in ["localhost:8080", "LOCALHOST", "127.0.0.1:8080", "127.0.0.2", "[::1]:8080"] {
        assert!(!refused("127.0.0.1", &[("host", host)]), "{host}");
    }
    assert!(!refused("::ffff:127.0.0.1", &[("host", "localhost")]));
}

#[test]
fn strangers_pages_and_proxies_may_not() {
    assert!(refused("10.0.0.1", &[("host", "localhost")]));
    assert!(refused("127.0.0.1", &[]));
    for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "[::2]", ""] {
        assert!(refused("127.0.0.1", &[("host", host)]), "{host}");
    }
    for extra in ["origin", "forwarded", "x-forwarded-for"] {
        assert!(refused("127.0.0.1", &[("host", "localhost"), (extra, "x")]), "{extra}");
    }
    // A picture on a page of another site comes without an Origin.
    for (site, expected) in
        [("cross-site", true), ("same-site", true), ("same-origin", false), ("none", false)]
    {
        let sent = [("host", "localhost"), ("sec-fetch-site", site)];
        assert_eq!(refused("127.0.0.1", &sent), expected, "{site}");
    }
}
