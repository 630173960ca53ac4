//! Ten thousand callers who leave in the middle of a store call: no connection is left inside a transaction, none is
//! lost to the pool.

use std::time::Duration;

use levee::models::page::PageRequest;
use levee::models::principal::Role;
use levee::models::user::UserFilter;
use serde_json::json;

use super::{actor, create, on_both, person};
use crate::support::until::until;

const CALLERS: u32 = 10_000;
/// At once, so that the pool is not the only thing that is tried.
const AT_ONCE: u32 = 50;
const LIMIT: Duration = Duration::from_secs(30);

on_both! {
    async fn ten_thousand_who_leave_break_no_connection(store) {
        create(&store, "ada@example.com", Role::Admin).await;
        for wave in 0..CALLERS / AT_ONCE {
            let callers: Vec<_> = (0..AT_ONCE)
                .map(|caller| {
                    let store = store.store.clone();
                    let number = wave * AT_ONCE + caller;
                    tokio::spawn(async move { leave_early(&store, number).await })
                })
                .collect();
            for caller in callers {
                caller.await.unwrap();
            }
        }
        until("nothing is under way", LIMIT, async || store.pools().iter().all(|pool| pool.in_use == 0)).await;
        // As many at once as there are connections: each of them is used, and each is whole.
        let all: Vec<_> = (0..60)
            .map(|number| {
                let store = store.store.clone();
                tokio::spawn(async move {
                    let before = store.revision().await.unwrap();
                    let email = format!("after-{number}@example.com");
                    let made = store.create_user(person(&email, Role::Viewer), actor()).await.unwrap();
                    assert!(made.revision > before);
                    assert_eq!(store.user(made.value.id).await.unwrap(), made.value);
                })
            })
            .collect();
        for one in all {
            one.await.unwrap();
        }
        let stored = store.stored().await.unwrap();
        assert_eq!(stored.revision, store.revision().await.unwrap());
        until("all is given back", LIMIT, async || store.pools().iter().all(|pool| pool.in_use == 0)).await;
        for pool in store.pools() {
            assert!(pool.idle <= pool.limit, "{pool:?}");
        }
    }
}

/// Polls a call a few times, at another point for each caller, and drops it.
async fn leave_early(store: &levee::repositories::Store, number: u32) {
    let patience = Duration::from_micros(u64::from(number % 97) * 20);
    let call = async {
        match number % 4 {
            0 => drop(store.stored().await),
            1 => drop(store.note("test.left", "x".to_owned(), json!({}), actor()).await),
            2 => drop(store.create_upstream(format!("u{number}"), json!({}), actor()).await),
            _ => drop(store.users(UserFilter::default(), PageRequest { after: None, limit: 5 }).await),
        }
    };
    let _ = tokio::time::timeout(patience, call).await;
}
