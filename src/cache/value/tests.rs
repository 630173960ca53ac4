//! What is written is read again, and nothing else is.

use std::sync::Arc;

use http::HeaderMap;

use super::*;
use crate::cache::fixtures::{World, get, headers, key_of};

const PROOF: [u8; 32] = [3; 32];
const MOST: u64 = 1 << 20;

fn entry_with(lines: &[&str], body: Bytes) -> Arc<Entry> {
    let world = World::new();
    let none = HeaderMap::new();
    let key = key_of(world.lookup(&get(&none)));
    let plan = world.admit(&get(&none), &key, 200, lines).unwrap();
    world.cache.insert(plan, &[body])
}

fn written(entry: &Entry) -> Bytes {
    of_entry(entry, &PROOF, Instant::now(), SystemTime::now()).unwrap()
}

fn read_answer(bytes: &[u8], wall: SystemTime) -> Result<Answer, Damage> {
    match read(bytes, &PROOF, MOST, wall)? {
        Value::Answer(answer) => Ok(*answer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_comes_back_as_it_was() {
    let lines = [
        "cache-control: max-age=60, stale-if-error=30",
        "cache-tag: a, b",
        "x-twice: 1",
        "x-twice: 2",
        "etag: \"v\"",
    ];
    let entry = entry_with(&lines, Bytes::from_static(b"hello"));
    let read = read_answer(&written(&entry), SystemTime::now()).unwrap();
    let back = read.into_entry(entry.key.clone(), entry.tags.upstream, 0, Instant::now());
    assert_eq!((back.status, &back.headers, &back.body), (entry.status, &entry.headers, &entry.body));
    assert_eq!((&back.terms, &back.tags, back.names.len()), (&entry.terms, &entry.tags, 0));
    assert_eq!(back.headers.get_all("x-twice").iter().count(), 2);
    assert!(back.age(Instant::now()) < Duration::from_secs(1));
}

#[test]
fn its_age_goes_on_where_it_lies() {
    let entry = entry_with(&["cache-control: max-age=60", "age: 5"], Bytes::new());
    let bytes = written(&entry);
    let later = SystemTime::now() + Duration::from_secs(20);
    let age = read_answer(&bytes, later).unwrap().age.as_secs_f64();
    assert!((24.9..26.0).contains(&age), "{age}");
    let (slow, wrong) = (Duration::from_secs(2), Duration::from_secs(60));
    assert!(read_answer(&bytes, SystemTime::now() - slow).is_ok());
    assert_eq!(read_answer(&bytes, SystemTime::now() - wrong).unwrap_err(), Damage::Ahead);
}

#[test]
fn long_bodies_are_compressed_where_it_pays() {
    let size = |body: Vec<u8>| {
        let entry = entry_with(&["cache-control: max-age=60"], body.clone().into());
        let bytes = written(&entry);
        assert_eq!(read_answer(&bytes, SystemTime::now()).unwrap().body, body);
        bytes.len()
    };
    assert!(size(vec![b'a'; 100_000]) < 1000);
    let mut random = fastrand::Rng::with_seed(1);
    assert!(size((0..100_000).map(|_| random.u8(..)).collect()) > 100_000);
    assert!(size(vec![b'a'; WORTH_COMPRESSING - 1]) > WORTH_COMPRESSING - 1);
}

#[test]
fn what_is_cut_short_or_changed_is_no_value_and_never_panics() {
    let entry = entry_with(&["cache-control: max-age=60"], Bytes::from(vec![b'a'; 2000]));
    let bytes = written(&entry);
    for length in 0..bytes.len() {
        assert!(read_answer(&bytes[..length], SystemTime::now()).is_err(), "{length} bytes");
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[place] ^= 0x40;
        assert!(read_answer(&changed, SystemTime::now()).is_err(), "changed at {place}");
    }
    assert_eq!(read_answer(b"something of somebody else's", SystemTime::now()).unwrap_err(), Damage::Unknown);
}

#[test]
fn another_format_is_unknown_and_another_key_foreign() {
    let entry = entry_with(&["cache-control: max-age=60"], Bytes::new());
    let mut newer = written(&entry).to_vec();
    newer[3] = FORMAT + 1;
    assert_eq!(read(&newer, &PROOF, MOST, SystemTime::now()).unwrap_err(), Damage::Unknown);
    let foreign = read(&written(&entry), &[4; 32], MOST, SystemTime::now());
    assert_eq!(foreign.unwrap_err(), Damage::Foreign);
}

#[test]
fn a_size_beyond_the_limit_is_refused_before_it_is_allocated() {
    let entry = entry_with(&["cache-control: max-age=60"], Bytes::from(vec![b'a'; 5000]));
    let refused = read(&written(&entry), &PROOF, 4999, SystemTime::now());
    assert_eq!(refused.unwrap_err(), Damage::Corrupt);
}

#[test]
fn markers_come_back_too() {
    let names: Vec<HeaderName> = headers(&["accept: a", "x-b: b"]).keys().cloned().collect();
    let marker = of_variants(&names, &PROOF).unwrap();
    assert!(
        matches!(read(&marker, &PROOF, MOST, SystemTime::now()), Ok(Value::Variants(read)) if read == names)
    );
    let marker = of_hit_for_miss(&PROOF);
    assert!(matches!(read(&marker, &PROOF, MOST, SystemTime::now()), Ok(Value::HitForMiss)));
}

#[test]
fn no_request_header_is_in_it() {
    let world = World::new();
    let map = headers(&["x-secret: hunter2", "cookie: sid=hunter2"]);
    let key = key_of(world.lookup(&get(&map)));
    let plan = world.admit(&get(&map), &key, 200, &["cache-control: max-age=60"]).unwrap();
    let bytes = written(&world.cache.insert(plan, &[]));
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
}
