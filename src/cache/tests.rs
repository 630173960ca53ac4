//! The cache as the gateway uses it: look up, fetch, store, freshen, share, purge.

mod bounds;
mod oracle;
mod races;
mod refreshing;

use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};

use super::fixtures::{World, fresh, get, headers, key_of, overriding, respect, seconds};
use super::*;
use crate::models::policy::{Cache, CacheMode, NegativeAnswer};

#[test]
fn a_stored_answer_is_served_with_its_age_until_it_is_stale() {
    let mut world = World::new();
    assert!(matches!(world.ask(&[]), Lookup::Miss(_)));
    world.store(&[
        "cache-control: max-age=60",
        "x-a: 1",
        "connection: close, x-b",
        "x-b: 2",
        "age: 5",
        "transfer-encoding: chunked",
    ]);
    world.pass(10);
    let hit = fresh(world.ask(&[]));
    let sent = hit.headers();
    assert_eq!((hit.status(), hit.ttl(), &hit.body()[..]), (StatusCode::OK, 45, &b"hello world"[..]));
    assert_eq!(
        (&sent[header::AGE], &sent[header::CONTENT_LENGTH], &sent["x-a"]),
        (&"15".parse().unwrap(), &"11".parse().unwrap(), &"1".parse().unwrap())
    );
    assert!(sent.contains_key(header::DATE), "the arrival is noted where there was no Date");
    assert!(
        !sent.contains_key("x-b")
            && !sent.contains_key(header::CONNECTION)
            && !sent.contains_key(header::TRANSFER_ENCODING)
    );
    world.pass(45);
    assert!(matches!(
        world.ask(&[]),
        Lookup::Stale { while_revalidate: false, if_error: Duration::ZERO, .. }
    ));
}

#[test]
fn what_is_not_for_the_cache_bypasses_it() {
    let world = World::new();
    world.store(&["cache-control: max-age=60"]);
    let none = HeaderMap::new();
    let bypass = |request: &RequestView<'_>| match world.lookup(request) {
        Lookup::Bypass(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(bypass(&RequestView { method: &Method::POST, ..get(&none) }), Bypass::Method);
    assert_eq!(bypass(&RequestView { has_body: true, ..get(&none) }), Bypass::Body);
    for (line, why) in [
        ("range: bytes=0-1", Bypass::Range),
        ("if-match: *", Bypass::Precondition),
        ("if-unmodified-since: x", Bypass::Precondition),
        ("cache-control: no-store", Bypass::NoStore),
    ] {
        assert_eq!(bypass(&get(&headers(&[line]))), why, "{line}");
    }
    let off = Cache { mode: CacheMode::Off, ..respect() };
    assert!(matches!(world.cache.lookup(&get(&none), &off, world.now), Lookup::Bypass(Bypass::Off)));
}

#[test]
fn callers_directives_are_honoured() {
    let mut world = World::new();
    world.store(&["cache-control: max-age=60", "etag: \"a\""]);
    world.pass(20);
    assert!(matches!(world.ask(&["cache-control: no-cache"]), Lookup::Reload { hit: Some(_), .. }));
    assert!(matches!(world.ask(&["pragma: no-cache"]), Lookup::Reload { hit: Some(_), .. }));
    assert!(matches!(world.ask(&["cache-control: max-age=0"]), Lookup::Reload { hit: Some(_), .. }));
    assert!(matches!(world.ask(&["cache-control: max-age=19"]), Lookup::MustRevalidate(_)));
    assert!(matches!(world.ask(&["cache-control: max-age=20"]), Lookup::Fresh(_)));
    assert!(matches!(world.ask(&["cache-control: min-fresh=41"]), Lookup::MustRevalidate(_)));
    assert!(matches!(world.ask(&["cache-control: min-fresh=40"]), Lookup::Fresh(_)));
    assert!(matches!(world.ask(&["cache-control: only-if-cached"]), Lookup::Fresh(_)));
    assert!(matches!(world.ask(&["cache-control: only-if-cached, no-cache"]), Lookup::OnlyIfCached));
    world.pass(50);
    assert_eq!(fresh(world.ask(&["cache-control: max-stale=10"])).ttl(), -10);
    assert!(matches!(world.ask(&["cache-control: max-stale=9"]), Lookup::Stale { .. }));
    assert!(matches!(world.ask(&["cache-control: max-stale"]), Lookup::Fresh(_)));
    assert!(matches!(world.ask(&["cache-control: only-if-cached"]), Lookup::OnlyIfCached));
    assert!(matches!(World::new().ask(&["cache-control: no-cache"]), Lookup::Reload { hit: None, .. }));
}

#[test]
fn stale_windows_open_and_close_in_time() {
    let mut world = World::new();
    world.store(&["cache-control: max-age=10, stale-while-revalidate=5, stale-if-error=20"]);
    world.pass(14);
    let Lookup::Stale { while_revalidate, if_error, .. } = world.ask(&[]) else { panic!() };
    assert_eq!((while_revalidate, if_error), (true, seconds(16)));
    assert!(matches!(
        world.ask(&["cache-control: max-age=12"]),
        Lookup::Stale { while_revalidate: false, .. }
    ));
    world.pass(1);
    assert!(matches!(world.ask(&[]), Lookup::Stale { while_revalidate: false, .. }));
    let none = HeaderMap::new();
    world.policy.stale_while_revalidate = Some(seconds(60));
    assert!(
        matches!(world.ask(&[]), Lookup::Stale { while_revalidate: true, .. }),
        "the policy's word counts at once"
    );
    world.pass(100);
    assert!(matches!(
        world.ask(&[]),
        Lookup::Stale { while_revalidate: false, if_error: Duration::ZERO, .. }
    ));
    assert!(world.cache.stale_for(&get(&none), &world.policy, seconds(105), world.now).is_some());
    assert!(world.cache.stale_for(&get(&none), &world.policy, seconds(104), world.now).is_none());
}

#[test]
fn the_policys_window_makes_no_freshness_where_there_was_none() {
    let mut world = World::under(Cache { stale_while_revalidate: Some(seconds(30)), ..respect() });
    world.store(&["etag: \"a\""]);
    world.pass(1);
    assert!(matches!(world.ask(&[]), Lookup::Stale { while_revalidate: false, .. }));
    world.store(&["cache-control: max-age=0, stale-while-revalidate=10"]);
    assert!(matches!(world.ask(&[]), Lookup::Stale { while_revalidate: true, .. }));
}

#[test]
fn a_revalidation_duty_outranks_the_stale_fallback() {
    for directive in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        let mut world = World { stale_fallback: seconds(3600), ..World::new() };
        world.store(&[&format!("cache-control: max-age=10, stale-if-error=60, {directive}"), "etag: \"a\""]);
        world.pass(11);
        assert!(matches!(world.ask(&[]), Lookup::MustRevalidate(_)), "{directive}");
        assert!(matches!(world.ask(&["cache-control: max-stale"]), Lookup::MustRevalidate(_)), "{directive}");
        assert!(
            world.cache.stale_for(&get(&HeaderMap::new()), &world.policy, seconds(60), world.now).is_none()
        );
    }
}

#[test]
fn the_stale_fallback_serves_answers_that_said_nothing_but_respects_the_caller() {
    let mut world = World { stale_fallback: seconds(3600), ..World::new() };
    world.store(&["content-type: text/plain"]);
    world.pass(30);
    let stale = |lines: &[&str]| {
        world.cache.stale_for(&get(&headers(lines)), &world.policy, seconds(3600), world.now)
    };
    assert_eq!(stale(&[]).unwrap().ttl(), -30);
    assert!(stale(&["cache-control: no-cache"]).is_none());
    assert!(stale(&["cache-control: max-age=29"]).is_none());
    let (none, head) = (HeaderMap::new(), Method::HEAD);
    let request = RequestView { method: &head, ..get(&none) };
    assert!(
        world.cache.stale_for(&request, &world.policy, seconds(3600), world.now).unwrap().body().is_empty()
    );
}

#[test]
fn a_changed_policy_asks_the_upstream_again() {
    let mut world = World::under(overriding(seconds(600)));
    world.store(&["cache-control: no-cache"]);
    fresh(world.ask(&[]));
    world.policy = respect();
    assert!(matches!(world.ask(&[]), Lookup::MustRevalidate(_)));
}

#[test]
fn head_is_answered_from_a_fresh_get_only() {
    let mut world = World::new();
    let (none, head) = (HeaderMap::new(), Method::HEAD);
    let request = RequestView { method: &head, ..get(&none) };
    assert!(matches!(world.lookup(&request), Lookup::Bypass(Bypass::Head)));
    world.store(&["cache-control: max-age=60, stale-while-revalidate=60"]);
    let hit = fresh(world.lookup(&request));
    assert_eq!((hit.body().len(), &hit.headers()[header::CONTENT_LENGTH]), (0, &"11".parse().unwrap()));
    world.pass(61);
    assert!(matches!(world.lookup(&request), Lookup::Bypass(Bypass::Head)));
}

#[test]
fn the_callers_condition_is_answered_with_304() {
    let world = World::new();
    world.store(&["cache-control: max-age=60", "etag: \"a\"", "content-type: text/plain"]);
    let hit = fresh(world.ask(&["if-none-match: W/\"a\""]));
    let sent = hit.headers();
    assert_eq!(
        (hit.status(), hit.body().len(), &sent[header::ETAG]),
        (StatusCode::NOT_MODIFIED, 0, &"\"a\"".parse().unwrap())
    );
    assert!(
        sent.contains_key(header::AGE)
            && !sent.contains_key(header::CONTENT_LENGTH)
            && !sent.contains_key(header::CONTENT_TYPE)
    );
    assert_eq!(fresh(world.ask(&["if-none-match: \"b\""])).status(), StatusCode::OK);
}

#[test]
fn an_edit_of_the_rules_holds_for_what_was_stored_before() {
    type Edit = fn(&mut Cache);
    let edits: [(Edit, bool); 5] = [
        (
            |policy| policy.negative.push(NegativeAnswer { status: StatusCode::NOT_FOUND, ttl: seconds(1) }),
            true,
        ),
        (|policy| policy.query_ignore.push("tracking".to_owned()), false),
        (|policy| policy.query_sort = true, false),
        (|policy| policy.vary.push(http::header::USER_AGENT), false),
        (|policy| policy.shared = true, false),
    ];
    for (number, (edit, found)) in edits.into_iter().enumerate() {
        let mut world = World::new();
        world.store(&["cache-control: max-age=60"]);
        fresh(world.ask(&[]));
        edit(&mut world.policy);
        match world.ask(&[]) {
            Lookup::MustRevalidate(_) => assert!(found, "edit {number}"),
            Lookup::Miss(_) => assert!(!found, "edit {number}"),
            other => panic!("edit {number}: {other:?}"),
        }
    }
}

#[test]
fn a_304_freshens_the_stored_answer() {
    let mut world = World::new();
    world.store(&["cache-control: max-age=10", "etag: \"a\"", "x-a: 1"]);
    world.pass(20);
    let Lookup::Stale { hit, .. } = world.ask(&[]) else { panic!() };
    let mut conditional = headers(&["if-none-match: \"callers\"", "if-modified-since: x"]);
    set_conditions(&mut conditional, Some(&hit));
    assert_eq!(conditional, headers(&["if-none-match: \"a\""]));
    assert!(world.freshen(&hit, &["etag: \"b\""]).is_none(), "it speaks of another answer");
    let entry = world.freshen(&hit, &["etag: \"a\"", "cache-control: max-age=30", "x-a: 2"]).unwrap();
    let none = HeaderMap::new();
    assert_eq!(world.cache.share(&entry, &get(&none), &hit.key(), world.now).unwrap().ttl(), 30);
    let hit = fresh(world.ask(&[]));
    assert_eq!(
        (hit.ttl(), &hit.headers()["x-a"], &hit.body()[..]),
        (30, &"2".parse().unwrap(), &b"hello world"[..])
    );
}

#[test]
fn a_304_that_forbids_storing_is_good_for_one_use() {
    let mut world = World::new();
    world.store(&["cache-control: max-age=10", "etag: \"a\""]);
    world.pass(20);
    let Lookup::Stale { hit, .. } = world.ask(&[]) else { panic!() };
    let entry = world.freshen(&hit, &["cache-control: no-store"]).unwrap();
    assert!(world.cache.share(&entry, &get(&HeaderMap::new()), &hit.key(), world.now).is_some());
    assert!(matches!(world.ask(&[]), Lookup::Miss(_)));
}

#[test]
fn vary_tells_answers_apart_within_sixteen() {
    let world = World::new();
    let of = |agent: usize| headers(&[&format!("user-agent: {agent}")]);
    for agent in 0..17 {
        let (map, tag) = (of(agent), format!("etag: \"{agent}\""));
        world
            .fetch(&get(&map), 200, &["cache-control: max-age=60", "vary: User-Agent, Accept", &tag])
            .unwrap();
    }
    for agent in 1..17 {
        let hit = fresh(world.lookup(&get(&of(agent))));
        assert_eq!(hit.headers()[header::ETAG], format!("\"{agent}\""));
    }
    let lookup = world.lookup(&get(&of(0)));
    assert_eq!(lookup.forward(), Some(Forward::VaryMiss), "the oldest made room");
    assert!(
        matches!(world.ask(&[]), Lookup::Miss(key) if key.is_variant()),
        "no header is a value of its own"
    );
    assert_eq!(world.cache.stats().entries, 17);
}

#[test]
fn a_flight_is_shared_only_by_those_it_selects() {
    let world = World::new();
    let (one, two) = (headers(&["user-agent: 1"]), headers(&["user-agent: 2"]));
    let (first, second) = (key_of(world.lookup(&get(&one))), key_of(world.lookup(&get(&two))));
    assert_eq!(first, second, "nothing is known of Vary yet");
    let entry = world.fetch(&get(&one), 200, &["cache-control: max-age=60", "vary: user-agent"]).unwrap();
    assert!(world.cache.share(&entry, &get(&one), &first, world.now).is_some());
    assert!(world.cache.share(&entry, &get(&two), &second, world.now).is_none());
    assert_ne!(key_of(world.lookup(&get(&two))), second);
}

#[test]
fn an_answer_with_another_vary_changes_what_selects() {
    let world = World::new();
    let map = headers(&["user-agent: 1", "traceparent: 1"]);
    world.fetch(&get(&map), 200, &["cache-control: max-age=60", "vary: user-agent"]).unwrap();
    let other = headers(&["user-agent: 2", "traceparent: 1"]);
    world.fetch(&get(&other), 200, &["cache-control: max-age=60", "vary: traceparent"]).unwrap();
    fresh(world.lookup(&get(&other)));
    assert!(matches!(world.lookup(&get(&map)), Lookup::Miss(_)), "it was stored by other headers");
    world.fetch(&get(&map), 200, &["cache-control: max-age=60"]).unwrap();
    fresh(world.lookup(&get(&map)));
    fresh(world.lookup(&get(&other)));
}

#[test]
fn what_cannot_be_stored_is_remembered_for_two_minutes() {
    let mut world = World::new();
    let none = HeaderMap::new();
    let key = key_of(world.ask(&[]));
    let refusal = world.admit(&get(&none), &key, 200, &["cache-control: no-store"]).unwrap_err();
    assert!(refusal.is_lasting(StatusCode::OK));
    world.cache.mark_hit_for_miss(&key, world.now);
    world.pass(119);
    assert!(matches!(world.ask(&[]), Lookup::HitForMiss(_)));
    world.pass(1);
    assert!(matches!(world.ask(&[]), Lookup::Miss(_)));
    world.cache.mark_hit_for_miss(&key, world.now);
    world.store(&["cache-control: max-age=60"]);
    fresh(world.ask(&[]));
}

#[test]
fn a_body_over_the_limit_is_refused_by_its_length() {
    let world = World::under(Cache { max_object: 10, ..respect() });
    let (none, key) = (HeaderMap::new(), key_of(world.ask(&[])));
    let admit = |length: &str| world.admit(&get(&none), &key, 200, &["cache-control: max-age=60", length]);
    assert_eq!(admit("content-length: 11").unwrap_err(), Refusal::TooLarge);
    assert_eq!(admit("content-length: 10").unwrap().largest_body(), 10);
}

#[test]
fn a_purge_beats_the_fetch_it_races() {
    let world = World::new();
    let (none, put) = (HeaderMap::new(), Method::PUT);
    let unsafe_request =
        RequestView { method: &put, query: Some("x=1"), operation: "rates/other", ..get(&none) };
    let before = key_of(world.ask(&[]));
    let plan = world.admit(&get(&none), &before, 200, &["cache-control: max-age=60"]).unwrap();
    world.cache.purge_unsafe(&unsafe_request, StatusCode::OK, &none);
    let after = key_of(world.ask(&[]));
    let entry = world.cache.insert(plan, &[]);
    assert!(matches!(world.ask(&[]), Lookup::Miss(_)), "its exchange began before the purge");
    assert!(
        world.cache.share(&entry, &get(&none), &before, world.now).is_some(),
        "whoever asked before may have it"
    );
    assert!(world.cache.share(&entry, &get(&none), &after, world.now).is_none());
    world.cache.sweep(world.now);
    assert_eq!(world.cache.stats().entries, 0);
    world.store(&["cache-control: max-age=60"]);
    fresh(world.ask(&[]));
    world.cache.purge_unsafe(&unsafe_request, StatusCode::CONFLICT, &none);
    fresh(world.ask(&[]));
}

#[test]
fn two_principals_never_share_one_url() {
    let world = World::new();
    let none = HeaderMap::new();
    let of = |whose| RequestView { partition: Partition::Private(whose), ..get(&none) };
    world.fetch(&of(1), 200, &["cache-control: private, max-age=60"]).unwrap();
    fresh(world.lookup(&of(1)));
    assert!(matches!(world.lookup(&of(2)), Lookup::Miss(_)));
    assert!(matches!(world.ask(&[]), Lookup::Miss(_)));
}
