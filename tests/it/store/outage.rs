//! A PostgreSQL that is away: writes fail at once, and everything is well again without a restart. And hints of
//! writes, here and elsewhere.

use std::time::{Duration, Instant};

use levee::models::principal::Role;
use levee::repositories::{Store, StoreError};
use tokio::time::timeout;

use super::{actor, create, on_both, person};
use crate::support::ports::ClosedPort;
use crate::support::postgres::{Cluster, Database, LIMITS};
use crate::support::until::until;

const SOON: Duration = Duration::from_secs(5);

async fn migrated(cluster: &Cluster) -> Store {
    let store = Store::open(&cluster.url(), &LIMITS).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Tries a write; how it ended and how long that took.
async fn write(store: &Store, email: &str) -> (Result<(), StoreError>, Duration) {
    let started = Instant::now();
    let result = store.create_user(person(email, Role::Viewer), actor()).await.map(|_| ());
    (result, started.elapsed())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_postgres_stopped_writes_fail_at_once_and_recover_by_themselves() {
    let mut cluster = Cluster::start().await;
    let store = migrated(&cluster).await;
    create(&store, "before@example.com", Role::Viewer).await;
    // Connections that were in use a moment ago are trusted unasked, so some are.
    let busy: Vec<_> = (0..10)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.revision().await })
        })
        .collect();
    for one in busy {
        one.await.unwrap().unwrap();
    }
    cluster.stop().await;
    for round in 0..20 {
        let (result, took) = write(&store, &format!("{round}@example.com")).await;
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "round {round}: {result:?}");
        assert!(took < Duration::from_secs(1), "round {round} took {took:?}");
    }
    assert!(!store.reachable());
    cluster.start_again().await;
    until("writes are taken again", SOON, async || write(&store, "after@example.com").await.0.is_ok()).await;
    until("it is felt to be there", SOON, async || store.reachable()).await;
    assert_eq!(store.stored().await.unwrap().users.len(), 2, "nothing of the refused writes is there");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_breaks_no_more_than_what_was_under_way() {
    let mut cluster = Cluster::start().await;
    let store = migrated(&cluster).await;
    let until_cut: Vec<_> = (0..50)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { write(&store, &format!("{number}@example.com")).await.0 })
        })
        .collect();
    cluster.kill();
    let mut kept = 0;
    for one in until_cut {
        match one.await.unwrap() {
            Ok(()) => kept += 1,
            Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}"),
        }
    }
    cluster.start_again().await;
    until("writes are taken again", SOON, async || write(&store, "after@example.com").await.0.is_ok()).await;
    let users = store.stored().await.unwrap().users.len();
    // A commit whose answer the cut took may have been made.
    assert!((kept + 1..=51).contains(&users), "{kept} were told that they are kept, {users} are");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_opens_before_its_database_is_there() {
    let port = ClosedPort::take();
    let url = format!("postgres://levee@{}/levee", port.address);
    let store = Store::open(&url, &LIMITS).await.unwrap();
    let started = Instant::now();
    let refused = store.check_schema().await.unwrap_err();
    assert!(refused.to_string().contains("not available"), "{refused}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(!store.reachable());
    timeout(SOON, store.close()).await.expect("closing waits for nobody who is away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_hinted_to_other_replicas() {
    let database = Database::migrated().await;
    let here = Store::open(&database.url(), &LIMITS).await.unwrap();
    let there = Store::open(&database.url(), &LIMITS).await.unwrap();
    // It begins with hints of its own: look now, for you may have missed something.
    until("it is quiet", SOON, async || timeout(Duration::from_millis(300), there.hinted()).await.is_err())
        .await;
    create(&here, "ada@example.com", Role::Viewer).await;
    timeout(Duration::from_secs(1), there.hinted()).await.expect("the other replica's write is heard of");
    assert_eq!(there.revision().await.unwrap(), 1);
    here.close().await;
    there.close().await;
}

on_both! {
    async fn a_write_is_hinted_here(store) {
        create(&store, "ada@example.com", Role::Viewer).await;
        timeout(SOON, store.hinted()).await.expect("a hint that comes before it is waited for is not lost");
    }

    async fn what_is_under_way_ends_before_the_store_closes(store) {
        let writes: Vec<_> = (0..20)
            .map(|number| {
                let store = store.store.clone();
                tokio::spawn(async move { write(&store, &format!("{number}@example.com")).await.0 })
            })
            .collect();
        until("some are under way", SOON, async || store.revision().await.unwrap() > 0).await;
        timeout(SOON, store.close()).await.expect("it closes");
        for one in writes {
            let result = one.await.unwrap();
            assert!(matches!(result, Ok(()) | Err(StoreError::Unavailable(_))), "{result:?}");
        }
        let closed = store.revision().await;
        assert!(matches!(closed, Err(StoreError::Unavailable(_))), "{closed:?}");
    }

    async fn pools_say_how_full_they_are(store) {
        store.revision().await.unwrap();
        create(&store, "ada@example.com", Role::Viewer).await;
        until("nothing is in use", SOON, async || store.pools().iter().all(|pool| pool.in_use == 0)).await;
        for pool in store.pools() {
            assert!(pool.idle >= 1 && pool.idle <= pool.limit, "{pool:?}");
        }
    }
}
