//! What attackers try with tokens (RFC 8725), and what rotation must leave alone.

use secrecy::ExposeSecret as _;
use time::OffsetDateTime;

use super::*;
use crate::models::user::Email;

fn ring(keys: &[(&str, char)]) -> KeyRing {
    let keys = keys.iter().map(|(kid, letter)| format!("{kid}:{}A=", letter.to_string().repeat(42)));
    KeyRing::parse(&keys.collect::<Vec<_>>().join(",")).unwrap()
}

fn ours() -> KeyRing {
    ring(&[("now", 'B'), ("old", 'C')])
}

fn user() -> User {
    User {
        id: Uuid::from_u128(7),
        email: Email::parse("Ada@example.com").unwrap(),
        name: "Ada".to_owned(),
        role: Role::Operator,
        disabled: false,
        epoch: 3,
        created: OffsetDateTime::UNIX_EPOCH,
        updated: OffsetDateTime::UNIX_EPOCH,
        version: 1,
    }
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn good_claims() -> Value {
    json!({
        "iss": "levee", "aud": "levee", "sub": Uuid::from_u128(7), "jti": Uuid::from_u128(8), "iat": now(),
        "nbf": now(), "exp": now() + 900, "epoch": 3, "rev": 12, "email": "Ada@example.com", "role": "operator",
    })
}

fn good_header() -> Value {
    json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": "now" })
}

/// Signs whatever it is given with the key of `ring`'s `kid`.
fn signed(header: &Value, claims: &Value, ring: &KeyRing, kid: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(pair(ring, kid).sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn judged(header: &Value, claims: &Value) -> Result<Claims, Refused> {
    Tokens::new(&ours()).verify(&signed(header, claims, &ours(), "now"))
}

fn with(mut base: Value, name: &str, value: Value) -> Value {
    base[name] = value;
    base
}

fn without(mut base: Value, name: &str) -> Value {
    base.as_object_mut().unwrap().remove(name);
    base
}

fn issued() -> String {
    Tokens::new(&ours()).issue(&user(), 12, SystemTime::now()).expose_secret().to_owned()
}

#[test]
fn what_is_issued_says_who_and_counts() {
    let at = UNIX_EPOCH + Duration::from_secs(now());
    let token = Tokens::new(&ours()).issue(&user(), 12, at);
    let claims = Tokens::new(&ours()).verify(token.expose_secret()).unwrap();
    let expected = Claims {
        user: Uuid::from_u128(7),
        epoch: 3,
        revision: 12,
        email: "Ada@example.com".to_owned(),
        role: Role::Operator,
        expires: at + LIFETIME,
    };
    assert_eq!(claims, expected);
    let by_hand =
        judged(&good_header(), &good_claims()).map(|claims| Claims { expires: at + LIFETIME, ..claims });
    assert_eq!(by_hand, Ok(expected), "the other tests stand on this one");
}

#[test]
fn the_header_says_what_rfc_9068_asks_for() {
    let header = jsonwebtoken::decode_header(issued()).unwrap();
    assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), Algorithm::EdDSA));
    assert_eq!(header.kid.as_deref(), Some("now"));
}

#[test]
fn no_claim_may_be_missing_or_of_another_kind() {
    for name in ["iss", "aud", "sub", "jti", "iat", "nbf", "exp", "epoch", "rev", "email", "role"] {
        assert_eq!(judged(&good_header(), &without(good_claims(), name)), Err(Refused::Invalid), "{name}");
        let odd = with(good_claims(), name, json!({}));
        assert_eq!(judged(&good_header(), &odd), Err(Refused::Invalid), "{name}");
    }
}

#[test]
fn another_issuer_or_audience_does_not_count() {
    for (name, value) in [
        ("iss", json!("https://kubernetes.default.svc")),
        ("aud", json!("https://kubernetes.default.svc")),
        ("aud", json!(["levee", "other"])),
        ("iss", json!(["levee"])),
        ("role", json!("root")),
    ] {
        let claims = with(good_claims(), name, value);
        assert_eq!(judged(&good_header(), &claims), Err(Refused::Invalid), "{claims}");
    }
}

#[test]
fn time_counts_to_five_seconds() {
    for (name, at, expected) in [
        ("exp", now() - 4, None),
        ("exp", now() - 7, Some(Refused::Expired)),
        ("nbf", now() + 4, None),
        ("nbf", now() + 7, Some(Refused::Expired)),
        ("iat", now() + 4, None),
        ("iat", now() + 7, Some(Refused::Expired)),
    ] {
        let judged = judged(&good_header(), &with(good_claims(), name, json!(at)));
        assert_eq!(judged.err(), expected, "{name} {at}");
    }
}

#[test]
fn only_access_tokens_count() {
    for header in [
        without(good_header(), "typ"),
        with(good_header(), "typ", json!("JWT")),
        with(good_header(), "typ", json!("rt+jwt")),
        with(good_header(), "crit", json!(["exp"])),
        with(good_header(), "crit", json!([])),
    ] {
        assert_eq!(judged(&header, &good_claims()), Err(Refused::Invalid), "{header}");
    }
}

#[test]
fn a_refresh_token_is_no_access_token() {
    let (refresh, _) = crate::identity::opaque::mint();
    assert_eq!(Tokens::new(&ours()).verify(refresh.expose_secret()), Err(Refused::Invalid));
}

#[test]
fn the_key_says_the_algorithm_never_the_token() {
    let tokens = Tokens::new(&ours());
    let public = pair(&ours(), "now").public_key().as_ref().to_vec();
    let hs256 =
        Header { typ: Some(TYPE.to_owned()), kid: Some("now".to_owned()), ..Header::new(Algorithm::HS256) };
    let jwk_text = URL_SAFE_NO_PAD.encode(&public).into_bytes();
    for secret in [public, jwk_text] {
        let forged =
            jsonwebtoken::encode(&hs256, &good_claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(tokens.verify(&forged), Err(Refused::Invalid));
    }
    for algorithm in ["none", "None", "NONE", "ES256", "RS256", "HS256", ""] {
        let header = with(good_header(), "alg", json!(algorithm));
        assert_eq!(judged(&header, &good_claims()), Err(Refused::Invalid), "{algorithm}");
        let token = signed(&header, &good_claims(), &ours(), "now");
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        assert_eq!(tokens.verify(&format!("{unsigned}.")), Err(Refused::Invalid), "{algorithm}");
        assert_eq!(tokens.verify(unsigned), Err(Refused::Invalid), "{algorithm}");
    }
}

#[test]
fn only_the_named_key_of_the_ring_counts() {
    let tokens = Tokens::new(&ours());
    let theirs = ring(&[("now", 'X'), ("foreign", 'Y')]);
    for (header, ring, kid) in [
        (good_header(), &theirs, "now"),
        (with(good_header(), "kid", json!("foreign")), &theirs, "foreign"),
        (with(good_header(), "kid", json!("old")), &ours(), "now"),
        (without(good_header(), "kid"), &ours(), "now"),
        (with(good_header(), "kid", json!("../now")), &ours(), "now"),
    ] {
        let forged = signed(&header, &good_claims(), ring, kid);
        assert_eq!(tokens.verify(&forged), Err(Refused::Invalid), "{header} {kid}");
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_taken_up() {
    let theirs = ring(&[("now", 'X')]);
    let jwk = published("now", &pair(&theirs, "now"));
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", json!(["AAAA"])),
    ] {
        let header = with(good_header(), name, value);
        let forged = signed(&header, &good_claims(), &theirs, "now");
        assert_eq!(Tokens::new(&ours()).verify(&forged), Err(Refused::Invalid), "{name}");
    }
    let foreign = with(with(good_header(), "jwk", jwk), "kid", json!("theirs"));
    let forged = signed(&foreign, &good_claims(), &theirs, "now");
    assert_eq!(Tokens::new(&ours()).verify(&forged), Err(Refused::Invalid));
}

#[test]
fn no_part_of_a_token_can_be_changed() {
    let token = issued();
    let tokens = Tokens::new(&ours());
    for at in 0..token.len() {
        let mut changed = token.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        assert!(tokens.verify(&changed).is_err(), "byte {at}");
    }
    for odd in ["", ".", "..", "a.b.c", &token[1..], &format!("{token}.x"), &"a".repeat(1 << 20)] {
        assert_eq!(tokens.verify(odd), Err(Refused::Invalid));
    }
}

#[test]
fn tokens_outlive_the_rotation_of_their_key_until_it_leaves_the_ring() {
    let token = issued();
    let rotated = Tokens::new(&ring(&[("next", 'D'), ("now", 'B'), ("old", 'C')]));
    assert!(rotated.verify(&token).is_ok());
    let gone = Tokens::new(&ring(&[("next", 'D')]));
    assert_eq!(gone.verify(&token), Err(Refused::Invalid));
}

#[test]
fn the_key_set_lists_every_key_of_the_ring_and_nothing_private() {
    let set = Tokens::new(&ours()).jwks();
    let kids: Vec<_> = set["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    assert_eq!(kids, ["now", "old"]);
    for key in set["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none());
        let parsed: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
        assert!(DecodingKey::from_jwk(&parsed).is_ok());
    }
    let published: jsonwebtoken::jwk::Jwk = serde_json::from_value(set["keys"][0].clone()).unwrap();
    let key = DecodingKey::from_jwk(&published).unwrap();
    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&[ISSUER]);
    assert!(jsonwebtoken::decode::<Value>(issued(), &key, &rules).is_ok(), "whoever has the set can verify");
}
