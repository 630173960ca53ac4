//! Nothing grows, nothing is pinned, and nothing a header says makes it panic.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use proptest::prelude::*;

use super::super::fixtures::{World, at, fresh, get, headers, key_of, seconds};
use super::super::{Lookup, RequestView, ResponseHead, StoreRules};

#[test]
fn a_sweep_forgets_markers_that_lead_nowhere() {
    let mut world = World::new();
    world
        .fetch(&get(&headers(&["user-agent: 1"])), 200, &["cache-control: max-age=60", "vary: user-agent"])
        .unwrap();
    assert_eq!(world.cache.stats().entries, 2);
    world.pass(61);
    world.cache.sweep(world.now);
    assert_eq!(world.cache.stats().entries, 0);
}

#[test]
fn stored_answers_pin_no_buffer_of_the_connection() {
    let world = World::new();
    let (received, body) = (Bytes::from(b"a value".to_vec()), Bytes::from(b"a body".to_vec()));
    let mut head = headers(&["cache-control: max-age=60"]);
    head.insert("x-a", http::HeaderValue::from_maybe_shared(received.clone()).unwrap());
    let key = key_of(world.ask(&[]));
    let response = ResponseHead { status: StatusCode::OK, headers: &head, times: at(world.now) };
    let rules = StoreRules { cache: &world.policy, stale_fallback: Duration::ZERO };
    let plan = world.cache.admit(&get(&HeaderMap::new()), &key, &response, &rules).unwrap();
    world.cache.insert(plan, std::slice::from_ref(&body));
    drop(head);
    assert!(received.is_unique() && body.is_unique());
    assert_eq!(fresh(world.ask(&[])).headers()["x-a"], "a value");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_header_makes_it_panic(
        asked in prop::collection::vec((0_usize..8, prop::collection::vec(any::<u8>(), 0..40)), 0..4),
        answered in prop::collection::vec((0_usize..10, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        const ASKED: [&str; 8] = [
            "cache-control", "pragma", "if-none-match", "if-modified-since", "accept", "accept-language", "x-a", "user-agent",
        ];
        const ANSWERED: [&str; 10] = [
            "cache-control", "cdn-cache-control", "age", "date", "expires", "vary", "etag", "last-modified", "connection", "location",
        ];
        let map = |names: &[&'static str], fields: &[(usize, Vec<u8>)]| {
            let mut map = headers(&["cache-control: max-age=60"]);
            for (name, value) in fields {
                if let Ok(value) = http::HeaderValue::from_bytes(value) {
                    map.append(names[*name], value);
                }
            }
            map
        };
        let (asked, answered) = (map(&ASKED, &asked), map(&ANSWERED, &answered));
        let world = World::new();
        let request = get(&asked);
        let head = ResponseHead { status: StatusCode::OK, headers: &answered, times: at(world.now) };
        let rules = StoreRules { cache: &world.policy, stale_fallback: seconds(1) };
        if let Lookup::Miss(key) | Lookup::Reload { key, .. } = world.lookup(&request)
            && let Ok(plan) = world.cache.admit(&request, &key, &head, &rules)
        {
            let entry = world.cache.insert(plan, &[]);
            if let Some(hit) = world.cache.share(&entry, &request, &key, world.now) {
                world.cache.freshen(&request, &hit, &head, &rules);
            }
        }
        world.lookup(&request);
        world.cache.purge_unsafe(&RequestView { method: &Method::PUT, ..request }, StatusCode::OK, &answered);
    }
}
