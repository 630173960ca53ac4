//! `spec.url`, odd hosts above all.

use super::*;
use crate::models::address::LOOPBACK;

fn url(text: &str, rules: &Rules) -> Result<crate::models::policy::BaseUrl, String> {
    let (upstreams, faults) = read(&document(&format!("url: '{text}'")), rules);
    match (&upstreams[..], &faults[..]) {
        ([upstream], []) => Ok(upstream.url.clone()),
        ([], [fault]) => {
            assert_eq!((fault.line, fault.field.as_str()), (5, "spec.url"));
            Err(fault.reason.clone())
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_url_is_taken_apart() {
    for (text, https, host, port, path) in [
        ("https://api.example.com/v2", true, "api.example.com", 443, "/v2"),
        ("http://API.Example.com:8080/", false, "api.example.com", 8080, ""),
        ("HTTPS://my_service-1.internal", true, "my_service-1.internal", 443, ""),
        ("https://8.8.8.8:1/a%20b/c/", true, "8.8.8.8", 1, "/a%20b/c"),
        ("https://[2606:4700:4700:0::1111]:8443", true, "2606:4700:4700::1111", 8443, ""),
        ("https://xn--bcher-kva.example", true, "xn--bcher-kva.example", 443, ""),
    ] {
        let read = url(text, &Rules::default()).unwrap();
        assert_eq!(
            (read.https, read.host.as_str(), read.port, read.path.as_str()),
            (https, host, port, path),
            "{text}"
        );
    }
}

#[test]
fn odd_urls_are_refused_for_what_is_odd() {
    for (text, reason) in [
        ("ftp://example.com", "must start with http:// or https://"),
        ("example.com", "must start with http:// or https://"),
        ("https://", "has no host"),
        ("https://:80/", "has no host"),
        ("https://user:secret@example.com", "must not hold a user name or password"),
        ("https://user@example.com", "must not hold a user name or password"),
        ("https://example.com@10.0.0.1", "must not hold a user name or password"),
        ("https://example.com#@10.0.0.1", "must not have a query or fragment; callers send the query"),
        ("https://example.com?key=1", "must not have a query or fragment; callers send the query"),
        ("https://example.com./", "must not end its host with a dot"),
        ("https://127.0.0.1./", "must not end its host with a dot"),
        ("http://0x7f.1/", "write the address as four decimal numbers"),
        ("http://2130706433/", "write the address as four decimal numbers"),
        ("http://0/", "write the address as four decimal numbers"),
        ("http://127.1/", "write the address as four decimal numbers"),
        ("http://0177.0.0.1/", "write the address as four decimal numbers"),
        ("http://0X7F000001/", "write the address as four decimal numbers"),
        ("http://1.2.3.4.5/", "write the address as four decimal numbers"),
        ("http://example.0x1/", "write the address as four decimal numbers"),
        ("http://1.2.3.256/", "write the address as four decimal numbers"),
        ("http://[::1", "has a `[` without a `]`"),
        ("http://[fe80::1%25eth0]/", "has no valid IPv6 address between `[` and `]`"),
        ("http://[::1]x/", "has something other than a port after `]`"),
        ("http://a..b/", "has no valid host name"),
        ("http://a%2eb/", "has no valid host name"),
        ("http://example.com:0/", "has no valid port; use 1 to 65535"),
        ("http://example.com:65536/", "has no valid port; use 1 to 65535"),
        ("http://example.com:+80/", "has no valid port; use 1 to 65535"),
        ("http://example.com:/", "has no valid port; use 1 to 65535"),
        ("http://example.com:80:80/", "has no valid port; use 1 to 65535"),
        ("http://example.com\\@10.0.0.1/", "must not contain a backslash"),
        ("http://example.com/a//b", "must not have an empty path segment"),
        ("http://example.com//", "must not have an empty path segment"),
        ("http://example.com/a/../b", "must not contain `.` or `..`"),
        ("http://example.com/%2E%2e", "must not contain `.` or `..`"),
        ("http://example.com/x%5c..", "must not contain `.` or `..`"),
        ("http://example.com/%zz", "has a character that cannot stand in a path; write it as %XX"),
    ] {
        assert_eq!(url(text, &Rules::default()).unwrap_err(), reason, "{text}");
    }
    let spaced = url("https://exa mple.com", &Rules::default()).unwrap_err();
    assert!(spaced.starts_with("must be plain ASCII"), "{spaced}");
}

#[test]
fn a_literal_that_may_not_be_dialled_is_refused_by_the_name_of_its_range() {
    let refused = |text: &str, rules: &Rules| url(text, rules).unwrap_err();
    let nobody = Rules::default();
    assert_eq!(
        refused("http://10.0.0.1", &nobody),
        "10.0.0.1 is in 10.0.0.0/8 (private), which this deployment does not dial"
    );
    for text in [
        "http://127.0.0.1",
        "http://localhost",
        "http://api.localhost",
        "http://0.0.0.0",
        "http://[::1]",
        "http://[::]",
        "http://[::ffff:127.0.0.1]",
        "http://[64:ff9b::7f00:1]",
        "http://[2002:7f00:1::]",
        "http://169.254.169.254",
        "http://[2001:0:7f00:1::]",
    ] {
        assert!(refused(text, &nobody).contains("does not dial"), "{text}");
    }
    let dev = Rules { allowed_cidrs: LOOPBACK.to_vec(), ..Rules::default() };
    for text in ["http://127.0.0.1:9090", "http://localhost", "http://[::1]"] {
        assert!(url(text, &dev).is_ok(), "{text}");
    }
    let allowed = Rules { allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()], ..Rules::default() };
    assert!(url("http://10.0.0.1", &allowed).is_ok());
    assert!(refused("http://127.0.0.1", &allowed).contains("loopback"));
}

#[test]
fn a_document_narrows_the_private_ranges_and_cannot_widen_them() {
    let rules = Rules { allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()], ..Rules::default() };
    let spec =
        |range: &str| document(&format!("url: http://10.1.2.3\nnetwork: {{ allowCidrs: ['{range}'] }}"));
    let (upstreams, faults) = read(&spec("10.1.0.0/16"), &rules);
    assert_eq!(faults, []);
    assert_eq!(upstreams[0].allow_cidrs, Some(vec!["10.1.0.0/16".parse().unwrap()]));
    let (_, faults) = read(&spec("10.2.0.0/16"), &rules);
    assert_eq!(faults[0].field, "spec.url");
    let (_, faults) = read(&spec("192.168.0.0/16"), &rules);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].reason.starts_with("has no effect: LEVEE_ALLOWED_CIDRS"), "{}", faults[0]);
}

#[test]
fn a_password_in_a_url_is_never_repeated() {
    for text in
        ["https://u:hunter2@example.com", "ftp://u:hunter2@h", "https://u:hunter2@h/ x", "u:hunter2@h"]
    {
        let (_, faults) = read(&document(&format!("url: '{text}'")), &Rules::default());
        assert!(!faults[0].to_string().contains("hunter2"), "{}", faults[0]);
    }
}
