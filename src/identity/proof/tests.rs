//! Which requests carry a proof, and what is taken out of them.

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::*;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn found(pairs: &[(&'static str, &str)]) -> Option<String> {
    find(&headers(pairs), Some(&API_KEY)).map(|proof| proof.credential.into_owned())
}

fn jwt(payload: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2ln", part(r#"{"alg":"EdDSA"}"#), part(payload))
}

fn basic(user_and_password: &str) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

#[test]
fn the_places_are_asked_in_the_contracts_order() {
    let all = [("x-api-key", "lvk_3"), ("authorization", "Bearer lvk_2"), ("levee-key", "lvk_1")];
    assert_eq!(found(&all).as_deref(), Some("lvk_1"));
    assert_eq!(found(&all[..2]).as_deref(), Some("lvk_2"));
    assert_eq!(found(&all[..1]).as_deref(), Some("lvk_3"));
    assert_eq!(found(&[]), None);
}

#[test]
fn every_place_that_holds_a_credential_of_ours_is_stripped() {
    let mut all = headers(&[
        ("levee-key", "lvk_1"),
        ("authorization", "Bearer foreign"),
        ("authorization", "Bearer lvk_2"),
        ("x-api-key", "lvk_3"),
        ("accept", "text/html"),
    ]);
    let places = find(&all, Some(&API_KEY)).unwrap().places;
    places.strip(&mut all);
    assert_eq!(all, headers(&[("accept", "text/html")]));
}

#[test]
fn what_is_meant_for_the_upstream_stays() {
    let mut all = headers(&[
        ("levee-key", "lvk_1"),
        ("authorization", "Bearer theirs"),
        ("x-api-key", "theirs"),
        ("x-other", "lvk_not-looked-for"),
    ]);
    let places = find(&all, Some(&API_KEY)).unwrap().places;
    places.strip(&mut all);
    assert_eq!(all.len(), 3);
}

#[test]
fn a_foreign_credential_is_no_proof() {
    let foreign = jwt(r#"{"iss":"https://accounts.example.com","aud":["api","levee.example"]}"#);
    for value in [
        format!("Bearer {foreign}"),
        "Bearer sk_live_lvk_".to_owned(),
        "Bearer".to_owned(),
        String::new(),
        basic("ada:secret"),
        "Basic !!!".to_owned(),
        "Bearer a.b.c".to_owned(),
        "AWS4-HMAC-SHA256 Credential=lvk".to_owned(),
    ] {
        assert_eq!(found(&[("authorization", &value)]), None, "{value}");
    }
    assert_eq!(found(&[("x-api-key", &foreign)]), None);
}

#[test]
fn a_token_with_our_issuer_or_audience_is_ours_valid_or_not() {
    for payload in [
        r#"{"iss":"levee"}"#,
        r#"{"aud":"levee","iss":"https://kubernetes.default.svc"}"#,
        r#"{"aud":["api","levee"],"exp":0}"#,
    ] {
        let token = jwt(payload);
        assert_eq!(found(&[("authorization", &format!("Bearer {token}"))]), Some(token.clone()));
        assert_eq!(found(&[("x-api-key", &token)]), Some(token.clone()));
        let unsigned = token.rsplit_once('.').unwrap().0.to_owned() + ".";
        assert_eq!(found(&[("authorization", &format!("Bearer {unsigned}"))]), Some(unsigned));
    }
}

#[test]
fn schemes_may_be_written_in_any_case_and_with_any_space() {
    for value in ["bearer lvk_x", "BEARER   lvk_x", "Bearer\tlvk_x ", "Token lvk_x", "lvk_x"] {
        assert_eq!(found(&[("authorization", value)]).as_deref(), Some("lvk_x"), "{value}");
        assert_eq!(found(&[("x-api-key", value)]).as_deref(), Some("lvk_x"), "{value}");
    }
}

#[test]
fn the_user_name_of_basic_may_be_a_key() {
    for value in [
        basic("lvk_x:"),
        basic("lvk_x"),
        basic("lvk_x:ignored").replace("Basic", "bAsIc"),
        format!("Basic {}", STANDARD_NO_PAD.encode("lvk_x:1")),
        basic("api:lvk_x"),
    ] {
        assert_eq!(found(&[("authorization", &value)]).as_deref(), Some("lvk_x"), "{value}");
    }
    let token = jwt(r#"{"aud":"levee"}"#);
    assert_eq!(found(&[("authorization", &basic(&format!("{token}:")))]), Some(token));
}

#[test]
fn a_damaged_key_is_still_ours() {
    assert!(found(&[("authorization", "Bearer lvk_ü")]).is_some());
    assert!(found(&[("levee-key", "ü")]).is_some());
    assert_eq!(found(&[("levee-key", "")]).as_deref(), Some(""));
}
