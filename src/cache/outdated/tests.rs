//! What an unsafe request makes worthless.

use http::Method;

use super::*;
use crate::cache::fixtures::{get, headers};

fn outdated(method: &Method, status: u16, lines: &[&str]) -> Vec<String> {
    let none = HeaderMap::new();
    let request = RequestView { method, ..get(&none) };
    outdated_paths(&request, StatusCode::from_u16(status).unwrap(), &headers(lines))
}

#[test]
fn only_successful_unsafe_requests_purge() {
    for (method, status, purges) in [
        ("POST", 200, true),
        ("PUT", 204, true),
        ("DELETE", 303, true),
        ("M-SEARCH", 200, true),
        ("POST", 404, false),
        ("POST", 500, false),
        ("GET", 200, false),
        ("HEAD", 200, false),
        ("OPTIONS", 200, false),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(!outdated(&method, status, &[]).is_empty(), purges, "{method} {status}");
    }
}

#[test]
fn locations_on_the_same_origin_are_purged_too() {
    for (location, path) in [
        ("/quotes/2?x=1#y", Some("/quotes/2")),
        ("2", Some("/quotes/2")),
        ("../other/./3", Some("/other/3")),
        ("..", Some("/")),
        ("../../..", Some("/")),
        ("?page=2", Some("/quotes/1")),
        ("https://api.example.com/a", Some("/a")),
        ("https://API.example.com:443", Some("/")),
        ("//api.example.com/a", Some("/a")),
        ("http://api.example.com/a", None),
        ("https://api.example.com:8443/a", None),
        ("https://elsewhere.example.com/a", None),
        ("https://", None),
    ] {
        for name in ["location", "content-location"] {
            let paths = outdated(&Method::POST, 201, &[&format!("{name}: {location}")]);
            assert_eq!(paths.get(1).map(String::as_str), path, "{location}");
            assert_eq!(paths[0], "/quotes/1");
        }
    }
}
