//! Tokens of another issuer: which count, and every way in which one does not.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

mod sets;
/// What signs in tests.
pub(crate) mod signer;

use signer::{ISSUER, Signer, claims, published};

fn trusting(signers: &[&Signer]) -> Issuer {
    let issuer = Issuer::kubernetes();
    issuer.trust(KeySet::read(ISSUER, &published(signers), SystemTime::now()).unwrap());
    issuer
}

#[track_caller]
fn refused(issuer: &Issuer, token: &str) -> Refused {
    match issuer.verify(token) {
        Ok(guest) => panic!("it proves {}", guest.principal.subject()),
        Err(refused) => refused,
    }
}

#[test]
fn a_bound_token_proves_its_service_account_by_rsa_and_by_elliptic_curves() {
    for signer in [Signer::rsa("k1"), Signer::p256("k1")] {
        let issuer = trusting(&[&signer]);
        let guest = issuer.verify(&signer.token(&json!({}))).ok().unwrap();
        assert_eq!(guest.principal.subject(), "k8s:payments/checkout");
        assert_eq!(guest.principal.role, None, "it manages nothing");
        assert!(guest.expires > SystemTime::now() + Duration::from_secs(590));
        assert!(issuer.trusts(&guest));
        assert!(issuer.verify(&signer.token(&json!({ "aud": "levee", "nbf": null }))).is_ok());
        assert!(issuer.verify(&signer.token(&json!({ "aud": ["other", "levee"] }))).is_ok());
    }
}

#[test]
fn a_token_of_another_audience_issuer_or_subject_is_refused() {
    let signer = Signer::p256("k1");
    let issuer = trusting(&[&signer]);
    for changed in [
        json!({ "aud": ["https://kubernetes.default.svc.cluster.local"] }),
        json!({ "aud": "levee2" }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "iss": "https://elsewhere.example" }),
        json!({ "iss": null }),
        json!({ "iss": "levee" }),
        json!({ "sub": null }),
        json!({ "sub": "system:node:a" }),
        json!({ "sub": "ada@example.com" }),
        json!({ "exp": null }),
        json!({ "exp": "soon" }),
    ] {
        assert_eq!(refused(&issuer, &signer.token(&changed)), Refused::Invalid, "{changed}");
    }
}

#[test]
fn five_seconds_are_let_pass_and_six_are_not() {
    let signer = Signer::p256("k1");
    let issuer = trusting(&[&signer]);
    let now = jsonwebtoken::get_current_timestamp();
    assert!(issuer.verify(&signer.token(&json!({ "exp": now - 3 }))).is_ok());
    assert_eq!(refused(&issuer, &signer.token(&json!({ "exp": now - 6 }))), Refused::Expired);
    assert!(issuer.verify(&signer.token(&json!({ "nbf": now + 3 }))).is_ok());
    assert_eq!(refused(&issuer, &signer.token(&json!({ "nbf": now + 60 }))), Refused::Expired);
}

#[test]
fn the_key_says_which_algorithm_counts_never_the_token() {
    let (rsa, p256) = (Signer::rsa("k1"), Signer::p256("k2"));
    let issuer = trusting(&[&rsa, &p256]);
    let unsigned = |algorithm: &str| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({ "alg": algorithm, "kid": "k1" })), part(&claims(&json!({}))))
    };
    for algorithm in ["none", "None", "HS256", "RS256"] {
        assert_eq!(refused(&issuer, &unsigned(algorithm)), Refused::Invalid, "{algorithm}");
    }
    // The public key, which everybody knows, as the secret of an HMAC.
    let jwk = rsa.jwk();
    for secret in [jwk.to_string(), jwk["n"].as_str().unwrap().to_owned()] {
        let header = Header { kid: Some("k1".to_owned()), ..Header::new(Algorithm::HS256) };
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = jsonwebtoken::encode(&header, &claims(&json!({})), &key).unwrap();
        assert_eq!(refused(&issuer, &token), Refused::Invalid);
    }
    for (signer, header) in [
        (&rsa, json!({ "alg": "RS512", "kid": "k1" })),
        (&rsa, json!({ "alg": "PS256", "kid": "k1" })),
        (&rsa, json!({ "alg": "ES256", "kid": "k1" })),
        (&p256, json!({ "alg": "ES256", "kid": "k1" })),
        (&rsa, json!({ "alg": "RS256", "kid": "k2" })),
    ] {
        assert_eq!(
            refused(&issuer, &signer.sign(&header, &claims(&json!({})))),
            Refused::Invalid,
            "{header}"
        );
    }
}

#[test]
fn keys_that_a_token_brings_along_are_not_taken_up() {
    let (ours, foreign) = (Signer::p256("k1"), Signer::p256("evil"));
    let issuer = trusting(&[&ours]);
    for extra in [
        json!({ "jwk": foreign.jwk() }),
        json!({ "jku": "https://evil.example/jwks" }),
        json!({ "x5u": "https://evil.example/cert" }),
        json!({}),
    ] {
        for kid in ["k1", "evil"] {
            let mut header = json!({ "alg": "ES256", "kid": kid });
            header.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            assert_eq!(
                refused(&issuer, &foreign.sign(&header, &claims(&json!({})))),
                Refused::Invalid,
                "{header}"
            );
        }
    }
    for header in [
        json!({ "alg": "ES256" }),
        json!({ "alg": "ES256", "kid": 1 }),
        json!({ "alg": "ES256", "kid": "k1", "crit": ["exp"] }),
        json!({ "alg": "ES256", "kid": "k1", "b64": false, "crit": ["b64"] }),
    ] {
        assert_eq!(refused(&issuer, &ours.sign(&header, &claims(&json!({})))), Refused::Invalid, "{header}");
    }
}

#[test]
fn what_is_damaged_or_endless_is_refused() {
    let signer = Signer::p256("k1");
    let issuer = trusting(&[&signer]);
    let good = signer.token(&json!({}));
    let other = signer.token(&json!({ "sub": "system:serviceaccount:payments:admin" }));
    let (head, _) = good.rsplit_once('.').unwrap();
    let (_, foreign_signature) = other.rsplit_once('.').unwrap();
    let long = signer.token(&json!({ "padding": "x".repeat(8 << 10) }));
    for token in [
        "",
        ".",
        "..",
        "a.b.c",
        head,
        &format!("{head}."),
        &format!("{head}.{foreign_signature}"),
        &format!("{good}.x"),
        &long,
    ] {
        assert_eq!(refused(&issuer, token), Refused::Invalid, "{}", &token[..token.len().min(60)]);
    }
}

#[test]
fn without_keys_nobody_is_proved() {
    let signer = Signer::p256("k1");
    assert_eq!(refused(&Issuer::kubernetes(), &signer.token(&json!({}))), Refused::Invalid);
}

#[test]
fn keys_are_replaced_at_once_and_those_that_stay_are_the_same() {
    let (old, new) = (Signer::p256("old"), Signer::rsa("new"));
    let issuer = trusting(&[&old]);
    let before = issuer.verify(&old.token(&json!({}))).ok().unwrap();
    issuer.trust(KeySet::read(ISSUER, &published(&[&old, &new]), SystemTime::now()).unwrap());
    assert!(issuer.trusts(&before), "its key is still there");
    let after = issuer.verify(&new.token(&json!({}))).ok().unwrap();
    issuer.trust(KeySet::read(ISSUER, &published(&[&new]), SystemTime::now()).unwrap());
    assert!(!issuer.trusts(&before) && issuer.trusts(&after));
    assert_eq!(refused(&issuer, &old.token(&json!({}))), Refused::Invalid);
    let impostor = Signer::p256("new");
    issuer.trust(KeySet::read(ISSUER, &published(&[&impostor]), SystemTime::now()).unwrap());
    assert!(!issuer.trusts(&after), "another key under the same id is another key");
    issuer
        .trust(KeySet::read("https://renamed.example", &published(&[&impostor]), SystemTime::now()).unwrap());
    assert_eq!(refused(&issuer, &impostor.token(&json!({}))), Refused::Invalid);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_key_is_asked_for_only_by_tokens_that_say_to_be_of_the_issuer() {
    let (known, unknown) = (Signer::p256("k1"), Signer::p256("k2"));
    let issuer = trusting(&[&known]);
    let asked = async |token: &str| {
        refused(&issuer, token);
        tokio::time::timeout(Duration::from_millis(1), issuer.unknown_key()).await.is_ok()
    };
    assert!(asked(&unknown.token(&json!({}))).await);
    assert!(!asked(&unknown.token(&json!({ "iss": "https://elsewhere.example" }))).await);
    assert!(!asked(&known.token(&json!({ "aud": "other" }))).await);
    assert!(!asked("a.b.c").await);
}
