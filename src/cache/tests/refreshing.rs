//! When what is fresh is asked for again, and by whom.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::{Instant, advance};

use super::super::fixtures::{MIB, World, fresh, get};
use super::super::{Hit, HttpCache};
use crate::redis::{Address, Redis};

/// A cache that would share, had it anybody to share with.
fn world() -> World {
    let redis = Redis::connect(&Address::parse("redis://127.0.0.1:1").unwrap(), "refreshing");
    World { cache: HttpCache::shared(64 * MIB, &[9; 32], Some(redis)), ..World::new() }
}

fn hit(world: &World) -> Hit {
    fresh(world.cache.lookup(&get(&HeaderMap::new()), &world.policy, Instant::now()))
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_due_in_the_second_half_of_its_life() {
    let world = world();
    world.store(&["cache-control: max-age=100"]);
    assert!(!world.cache.is_due(&hit(&world), Instant::now()));
    advance(Duration::from_millis(99_999)).await;
    assert!(world.cache.is_due(&hit(&world), Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn what_came_before_purges_may_have_been_missed_is_due() {
    let mut world = world();
    world.store(&["cache-control: max-age=3600"]);
    advance(Duration::from_secs(31)).await;
    world.pass(31);
    assert!(!world.cache.is_due(&hit(&world), Instant::now()), "nobody has missed anything yet");
    world.cache.fleet.as_ref().unwrap().log.lose_contact();
    assert!(world.cache.is_due(&hit(&world), Instant::now()));
    world.store(&["cache-control: max-age=3600"]);
    assert!(!world.cache.is_due(&hit(&world), Instant::now()), "it was asked for since");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_another_replica_may_be_at_is_not_tried_on_every_hit() {
    let world = world();
    world.store(&["cache-control: max-age=100"]);
    let hit = hit(&world);
    let tries = || world.cache.tries_refresh(&hit, Instant::now());
    assert!(tries());
    assert!(!tries());
    advance(Duration::from_millis(300)).await;
    assert!(tries() && !tries());
    let alone = World::new();
    alone.store(&["cache-control: max-age=100"]);
    let hit = fresh(alone.ask(&[]));
    assert!(alone.cache.tries_refresh(&hit, alone.now) && alone.cache.tries_refresh(&hit, alone.now));
}
