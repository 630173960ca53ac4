//! Which keys of a published set count.

use super::*;

fn read(keys: &Value) -> Result<usize, KeySetError> {
    KeySet::read(ISSUER, &json!({ "keys": keys }), SystemTime::now()).map(|set| set.count())
}

fn with(jwk: &Value, changed: &Value) -> Value {
    let mut jwk = jwk.clone();
    for (name, value) in changed.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    jwk
}

#[test]
fn keys_for_other_uses_and_of_other_kinds_do_not_count() {
    let (rsa, p256) = (Signer::rsa("k1").jwk(), Signer::p256("k2").jwk());
    let octets = json!({ "kty": "oct", "kid": "k3", "alg": "HS256", "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" });
    for unfit in [
        octets.clone(),
        with(&octets, &json!({ "alg": null })),
        with(&rsa, &json!({ "use": "enc" })),
        with(&rsa, &json!({ "alg": "HS256" })),
        with(&rsa, &json!({ "alg": "none" })),
        with(&rsa, &json!({ "alg": "RSA-OAEP" })),
        with(&rsa, &json!({ "alg": "ES256" })),
        with(&rsa, &json!({ "kid": null })),
        with(&rsa, &json!({ "kid": "k".repeat(257) })),
        with(&rsa, &json!({ "n": "AQAB" })),
        with(&rsa, &json!({ "use": null, "key_ops": ["encrypt"] })),
        with(&p256, &json!({ "crv": "P-521" })),
        with(&p256, &json!({ "alg": "RS256" })),
        with(&p256, &json!({ "x": "!" })),
        json!({ "kty": "new", "kid": "k4" }),
        json!("k"),
        Value::Null,
    ] {
        assert_eq!(read(&json!([unfit])), Err(KeySetError::NoKeys), "{unfit}");
        assert_eq!(read(&json!([unfit, p256])), Ok(1), "the others count: {unfit}");
    }
    let fit = with(&rsa, &json!({ "use": null, "key_ops": ["verify"], "alg": null }));
    assert_eq!(read(&json!([fit, p256, octets])), Ok(2));
}

#[test]
fn a_set_without_keys_or_without_a_name_is_of_no_use() {
    let jwk = Signer::p256("k1").jwk();
    let read = |issuer: &str, set: &Value| KeySet::read(issuer, set, SystemTime::now()).err();
    for set in [json!({}), json!([]), json!({ "keys": {} }), Value::Null] {
        assert_eq!(read(ISSUER, &set), Some(KeySetError::NoSet), "{set}");
    }
    assert_eq!(read(ISSUER, &json!({ "keys": [] })), Some(KeySetError::NoKeys));
    for issuer in ["", "levee"] {
        assert_eq!(read(issuer, &json!({ "keys": [jwk] })), Some(KeySetError::NoIssuer), "{issuer:?}");
    }
}

#[test]
fn only_so_many_keys_are_looked_at_and_the_first_of_an_id_counts() {
    let jwk = Signer::p256("k1").jwk();
    let many: Vec<Value> = (0..100).map(|number| with(&jwk, &json!({ "kid": number.to_string() }))).collect();
    assert_eq!(read(&json!(many)), Ok(64));
    let (first, second) = (Signer::p256("k1"), Signer::p256("k1"));
    let issuer = trusting(&[&first, &second]);
    assert!(issuer.verify(&first.token(&json!({}))).is_ok());
    assert_eq!(refused(&issuer, &second.token(&json!({}))), Refused::Invalid);
}

#[test]
fn what_is_written_can_be_read_again() {
    let (one, two) = (Signer::rsa("k1"), Signer::p256("k2"));
    let set = KeySet::read(ISSUER, &published(&[&one, &two]), SystemTime::now()).unwrap();
    let again = KeySet::read(ISSUER, &set.written(), set.fetched()).unwrap();
    assert!(again.same(&set) && again.fetched() == set.fetched());
    assert!(!set.same(&KeySet::read(ISSUER, &published(&[&one]), SystemTime::now()).unwrap()));
}
