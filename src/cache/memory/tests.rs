//! The bounds of the store.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::cache::fixtures::{MIB, World, get, key_of};
use crate::cache::{HttpCache, RequestView};

fn insert(world: &World, path: &str, size: usize) -> bool {
    let none = HeaderMap::new();
    let request = RequestView { path, ..get(&none) };
    let key = key_of(world.lookup(&request));
    let Ok(plan) = world.admit(&request, &key, 200, &["cache-control: max-age=60"]) else { return false };
    world.cache.insert(plan, &[Bytes::from(vec![0; size])]);
    matches!(world.lookup(&request), crate::cache::Lookup::Fresh(_))
}

fn world(capacity: u64) -> World {
    World { cache: HttpCache::new(capacity), ..World::new() }
}

#[test]
fn the_largest_object_fits_into_any_shard() {
    for capacity in [4 * MIB, 9 * MIB, 128 * MIB, 1024 * MIB] {
        let memory = Memory::new(capacity);
        assert!(memory.largest() >= MIB, "{capacity}");
        assert!(memory.slots.capacity() <= capacity);
    }
}

#[test]
fn what_is_too_heavy_is_refused_and_pushes_nothing_out() {
    let world = world(4 * MIB);
    assert!(insert(&world, "/small", 1000));
    assert!(!insert(&world, "/large", MIB as usize));
    let stats = world.cache.stats();
    assert_eq!((stats.entries, stats.evicted), (1, 0));
}

#[test]
fn what_is_replaced_was_not_pushed_out() {
    let world = world(4 * MIB);
    for _ in 0..3 {
        world.store(&["cache-control: max-age=0", "etag: \"1\""]);
    }
    let stats = world.cache.stats();
    assert_eq!((stats.entries, stats.evicted), (1, 0));
    for path in 0..9 {
        insert(&world, &format!("/{path}"), MIB as usize * 3 / 4);
    }
    assert!(world.cache.stats().evicted > 0, "for lack of room");
}

#[test]
fn no_capacity_means_no_cache() {
    let world = world(0);
    assert!(!insert(&world, "/a", 10));
    assert_eq!(world.cache.stats().bytes, 0);
}

#[test]
fn a_sweep_forgets_what_is_past_all_its_windows() {
    let mut world = world(4 * MIB);
    assert!(insert(&world, "/a", 10));
    world.pass(59);
    world.cache.sweep(world.now);
    assert_eq!(world.cache.stats().entries, 1);
    world.pass(2);
    world.cache.sweep(world.now);
    assert_eq!((world.cache.stats().entries, world.cache.stats().bytes), (0, 0));
}

#[test]
fn another_keys_answer_under_the_same_hash_is_a_miss_and_counted() {
    let memory = Memory::new(MIB);
    let marker = HitForMiss { text: Arc::from(&b"one"[..]), until: Instant::now() + Duration::from_secs(1) };
    memory.put(7, Stored::HitForMiss(Arc::new(marker)));
    assert!(memory.get(7, b"one").is_some());
    assert!(memory.get(7, b"two").is_none());
    assert_eq!(memory.collisions(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_weight_never_passes_the_bound(
        capacity in 0_u64..200_000,
        inserts in prop::collection::vec((0_u8..40, 0_usize..30_000), 1..200),
    ) {
        let world = world(capacity);
        for (path, size) in inserts {
            insert(&world, &format!("/{path}"), size);
            prop_assert!(world.cache.stats().bytes <= capacity);
        }
    }
}
