//! How a stored secret goes into requests, as documents say it.

use super::*;
use crate::models::policy::{BaseUrl, Credentials, OAuth2};

#[test]
fn a_secret_goes_into_a_header_a_basic_password_or_a_token_request() {
    assert_eq!(
        good("credentials: { header: { name: X-Api-Key, value: 'key={secret};v=1' } }").credentials,
        Some(Credentials::Header {
            name: http::HeaderName::from_static("x-api-key"),
            before: "key=".to_owned(),
            after: ";v=1".to_owned(),
        })
    );
    assert_eq!(
        good("credentials: { basic: { username: levee } }").credentials,
        Some(Credentials::Basic { username: "levee".to_owned() })
    );
    let token_url = |path: &str| BaseUrl {
        https: true,
        host: "login.example.com".to_owned(),
        port: 443,
        path: path.to_owned(),
    };
    for path in ["/oauth/token", "/oauth/token/", "/", ""] {
        let fields = format!(
            "credentials: {{ oauth2: {{ tokenUrl: 'https://login.example.com{path}', clientId: levee, scopes: [read, 'a:b'] }} }}"
        );
        let expected = OAuth2 {
            token_url: token_url(path),
            client_id: "levee".to_owned(),
            scopes: vec!["read".to_owned(), "a:b".to_owned()],
        };
        assert_eq!(good(&fields).credentials, Some(Credentials::OAuth2(expected)), "{path}");
    }
}

#[test]
fn contradicting_or_senseless_credentials_are_refused() {
    let once = "1: credentials.header.value: must hold `{secret}` exactly once, where the secret goes: `Bearer {secret}`";
    each_is_refused(&[
        ("credentials: {}", "1: credentials: give exactly one of `header`, `basic`, `oauth2`"),
        (
            "credentials: { basic: { username: a }, header: { name: x-key, value: '{secret}' } }",
            "1: credentials: give exactly one of `header`, `basic`, `oauth2`",
        ),
        ("credentials: { header: { name: x-key, value: secret } }", once),
        ("credentials: { header: { name: x-key, value: '{secret} {secret}' } }", once),
        (
            "credentials: { header: { name: x-key, value: '{secret} ' } }",
            "1: credentials.header.value: is not a header value: visible ASCII, with spaces only inside",
        ),
        (
            "credentials: { header: { name: Host, value: '{secret}' } }",
            "1: credentials.header.name: `host` belongs to the connection or to Levee; a policy cannot change it",
        ),
        (
            "credentials: { header: { name: content-type, value: '{secret}' } }",
            "1: credentials.header.name: `content-type` is not a header for credentials",
        ),
        ("credentials: { header: { name: x-key } }", "1: credentials.header.value: required, but not given"),
        (
            "credentials: { basic: { username: 'a:b' } }",
            "1: credentials.basic.username: must not have a `:`, which ends a user name (RFC 7617 section 2)",
        ),
        (
            "credentials: { basic: { username: a, password: b } }",
            "1: credentials.basic.password: unknown field; use one of `username`",
        ),
        (
            "credentials: { oauth2: { tokenUrl: 'https://a.example/t', clientId: a, scopes: ['a b'] } }",
            "1: credentials.oauth2.scopes[0]: is not a scope: visible ASCII without spaces, `\"` and `\\`; list each on its own",
        ),
        (
            "credentials: { oauth2: { tokenUrl: 'https://a.example/t?x=1', clientId: a } }",
            "1: credentials.oauth2.tokenUrl: must not have a query or fragment; callers send the query",
        ),
        (
            "credentials: { oauth2: { tokenUrl: 'https://10.0.0.1/t', clientId: a } }",
            "1: credentials.oauth2.tokenUrl: 10.0.0.1 is in 10.0.0.0/8 (private), which this deployment does not dial",
        ),
        (
            "headers: { set: { X-Key: mine } }\ncredentials: { header: { name: x-key, value: '{secret}' } }",
            "2: credentials: put their own value into `x-key`, which `headers.set` sets as well; leave one of them out",
        ),
        (
            "credentials: { basic: { username: a } }\noperations: [{ name: o, match: { path: / }, headers: { set: { authorization: x } } }]",
            "1: credentials: put their own value into `authorization`, which `headers.set` sets as well; leave one of them out",
        ),
    ]);
    let [fault] = &said("credentials: { secretRef: {} }")[..] else { panic!("one fault") };
    assert!(fault.starts_with("1: credentials.secretRef: not supported yet: "), "{fault}");
}

#[test]
fn secrets_never_cross_public_networks_in_the_clear() {
    let reason = "would cross the network in the clear; use https";
    let rules = Rules { allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()], ..Rules::default() };
    let said_of = |url: &str| {
        let (_, faults) =
            read(&document(&format!("url: {url}\ncredentials: {{ basic: {{ username: a }} }}")), &rules);
        faults.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for public in ["http://api.example.com", "http://93.184.216.34", "http://svc.example"] {
        assert_eq!(said_of(public), [format!("f.yaml:6: spec.credentials: {reason}")], "{public}");
    }
    for fine in [
        "https://api.example.com",
        "http://10.1.2.3",
        "http://payments",
        "http://payments.shop.svc",
        "http://a.internal",
    ] {
        assert_eq!(said_of(fine), [""; 0], "{fine}");
    }
    each_is_refused(&[(
        "credentials: { oauth2: { tokenUrl: 'http://login.example.com/t', clientId: a } }",
        "1: credentials.oauth2.tokenUrl: would cross the network in the clear; use https",
    )]);
}
