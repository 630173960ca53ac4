//! Rotation of refresh tokens and one-time resets, on both databases.

use std::collections::HashSet;
use std::time::Duration;

use levee::models::page::PageRequest;
use levee::models::principal::Role;
use levee::models::session::{NewRefreshToken, NewReset, Rotation, SecretHash};
use levee::models::user::{User, UserChange};
use levee::repositories::{Store, StoreError};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{actor, create, on_both};

const GRACE: Duration = Duration::from_secs(10);
const NO_GRACE: Duration = Duration::ZERO;

fn token(user: &User, hash: u8) -> NewRefreshToken {
    NewRefreshToken {
        hash: [hash; 32],
        family: Uuid::now_v7(),
        user: user.id,
        epoch: user.epoch,
        expires: some_day(),
    }
}

/// One moment, to the second, after every test.
fn some_day() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap()
}

/// A user with one session, and what its tokens are rotated to.
async fn signed_in(store: &Store) -> (User, NewRefreshToken) {
    let user = create(store, "ada@example.com", Role::Viewer).await;
    let token = token(&user, 1);
    store.open_session(token.clone(), actor()).await.unwrap();
    (user, token)
}

async fn rotate(store: &Store, presented: u8, child: u8, grace: Duration) -> Rotation {
    let hash = |byte| -> SecretHash { [byte; 32] };
    store.rotate_session(hash(presented), hash(child), grace, actor()).await.unwrap()
}

fn rotated(user: &User, token: &NewRefreshToken) -> Rotation {
    Rotation::Rotated { user: Box::new(user.clone()), family: token.family, expires: token.expires }
}

fn reused(token: &NewRefreshToken) -> Rotation {
    Rotation::Reused { user: token.user, family: token.family }
}

async fn noted(store: &Store, action: &str) -> usize {
    let filter = levee::models::audit::AuditFilter {
        action: Some(action.to_owned()),
        ..levee::models::audit::AuditFilter::default()
    };
    store.audit(filter, PageRequest { after: None, limit: 50 }).await.unwrap().items.len()
}

on_both! {
    async fn a_token_is_rotated_down_its_family(store) {
        let (user, first) = signed_in(&store).await;
        assert_eq!(rotate(&store, 1, 2, GRACE).await, rotated(&user, &first));
        assert_eq!(rotate(&store, 2, 3, GRACE).await, rotated(&user, &first));
        assert_eq!(rotate(&store, 9, 10, GRACE).await, Rotation::Refused);
        assert_eq!(noted(&store, "session.opened").await, 1);
        assert_eq!(store.revision().await.unwrap(), 1, "sessions are no replica's concern");
    }

    async fn a_repeated_request_gets_the_same_child_within_the_grace(store) {
        let (user, first) = signed_in(&store).await;
        assert_eq!(rotate(&store, 1, 2, GRACE).await, rotated(&user, &first));
        assert_eq!(rotate(&store, 1, 2, GRACE).await, rotated(&user, &first));
        assert_eq!(rotate(&store, 2, 3, GRACE).await, rotated(&user, &first));
        assert_eq!(rotate(&store, 1, 2, GRACE).await, reused(&first), "its child was used");
    }

    async fn reuse_revokes_the_family_and_is_noted_once(store) {
        let (user, first) = signed_in(&store).await;
        let other = token(&user, 50);
        store.open_session(other.clone(), actor()).await.unwrap();
        rotate(&store, 1, 2, GRACE).await;
        rotate(&store, 2, 3, GRACE).await;
        assert_eq!(rotate(&store, 1, 2, GRACE).await, reused(&first));
        assert_eq!(rotate(&store, 3, 4, GRACE).await, Rotation::Refused, "the newest is revoked too");
        assert_eq!(rotate(&store, 1, 2, GRACE).await, Rotation::Refused);
        assert_eq!(noted(&store, "session.reused").await, 1);
        assert_eq!(rotate(&store, 50, 51, GRACE).await, rotated(&user, &other), "another login is untouched");
    }

    async fn after_the_grace_a_used_token_is_reuse(store) {
        let (_, first) = signed_in(&store).await;
        rotate(&store, 1, 2, GRACE).await;
        // Its use lies at least a microsecond back: the rows keep no less.
        tokio::time::sleep(Duration::from_micros(10)).await;
        assert_eq!(rotate(&store, 1, 2, NO_GRACE).await, reused(&first));
    }

    async fn twenty_at_once_get_one_child(store) {
        let (user, first) = signed_in(&store).await;
        let twenty: Vec<_> = (0..20)
            .map(|_| {
                let store = store.store.clone();
                tokio::spawn(async move { rotate(&store, 1, 2, GRACE).await })
            })
            .collect();
        for one in twenty {
            assert_eq!(one.await.unwrap(), rotated(&user, &first));
        }
        assert_eq!(rotate(&store, 2, 3, GRACE).await, rotated(&user, &first));
        assert_eq!(noted(&store, "session.reused").await, 0);
    }

    /// What is issued for a refresh must not outlive a password that is changed at the same moment: it is of the epoch
    /// under which the session counted, whichever of the two was first.
    async fn a_refresh_that_crosses_a_new_password_is_of_the_old_epoch_or_refused(store) {
        let (user, _) = signed_in(&store).await;
        let mut presented = 1;
        for _ in 0..20 {
            let (there, id) = (store.store.clone(), user.id);
            let changing =
                tokio::spawn(async move { there.set_password(id, "hash-2".to_owned(), actor()).await });
            let epoch = match rotate(&store, presented, presented + 1, GRACE).await {
                Rotation::Rotated { user, .. } => Some(user.epoch),
                Rotation::Refused => None,
                reused @ Rotation::Reused { .. } => panic!("{reused:?}"),
            };
            let now = changing.await.unwrap().unwrap().value;
            assert!(epoch.is_none_or(|epoch| epoch == now.epoch - 1), "{epoch:?} beside {now:?}");
            presented += 2;
            store.open_session(token(&now, presented), actor()).await.unwrap();
        }
    }

    async fn twenty_thieves_revoke_once(store) {
        let (_, _first) = signed_in(&store).await;
        let twenty: Vec<_> = (0..20_u8)
            .map(|number| {
                let store = store.store.clone();
                tokio::spawn(async move { rotate(&store, 1, 100 + number, GRACE).await })
            })
            .collect();
        let mut seen = HashSet::new();
        for one in twenty {
            let kind = match one.await.unwrap() {
                Rotation::Rotated { .. } => "rotated",
                Rotation::Reused { .. } => "reused",
                Rotation::Refused => "refused",
            };
            let new = seen.insert(kind);
            assert!(new || kind != "rotated", "two were given different children");
        }
        assert!(seen.contains("reused"));
        assert!(noted(&store, "session.reused").await >= 1);
    }

    async fn a_closed_session_refuses_its_tokens(store) {
        signed_in(&store).await;
        rotate(&store, 1, 2, GRACE).await;
        store.close_session([1; 32], actor()).await.unwrap();
        store.close_session([1; 32], actor()).await.unwrap();
        store.close_session([77; 32], actor()).await.unwrap();
        assert_eq!(rotate(&store, 2, 3, GRACE).await, Rotation::Refused);
        assert_eq!(noted(&store, "session.closed").await, 1);
    }

    async fn a_new_password_ends_every_session(store) {
        let (user, _) = signed_in(&store).await;
        let before = token(&user, 60);
        store.set_password(user.id, "hash-2".to_owned(), actor()).await.unwrap();
        assert_eq!(rotate(&store, 1, 2, GRACE).await, Rotation::Refused);
        let crossed = store.open_session(before, actor()).await;
        assert!(matches!(crossed, Err(StoreError::Stale)), "a login with the old password: {crossed:?}");
    }

    async fn a_disabled_or_deleted_user_has_no_session(store) {
        let (user, _) = signed_in(&store).await;
        let disabled = |disabled| UserChange { disabled: Some(disabled), ..UserChange::default() };
        let shut = store.update_user(user.id, disabled(true), None, actor()).await.unwrap().value;
        assert_eq!(shut.epoch, user.epoch + 1);
        assert_eq!(rotate(&store, 1, 2, GRACE).await, Rotation::Refused);
        let refused = store.open_session(token(&shut, 5), actor()).await;
        assert!(matches!(refused, Err(StoreError::Stale)), "{refused:?}");
        let back = store.update_user(user.id, disabled(false), None, actor()).await.unwrap().value;
        assert_eq!(rotate(&store, 1, 2, GRACE).await, Rotation::Refused, "what was ended stays ended");
        store.open_session(token(&back, 6), actor()).await.unwrap();
        store.delete_user(user.id, None, actor()).await.unwrap();
        assert_eq!(rotate(&store, 6, 7, GRACE).await, Rotation::Refused);
    }

    async fn a_session_is_over_when_its_time_is(store) {
        let user = create(&store, "ada@example.com", Role::Viewer).await;
        let past = OffsetDateTime::now_utc() - Duration::from_secs(1);
        let over = NewRefreshToken { expires: past, ..token(&user, 1) };
        store.open_session(over, actor()).await.unwrap();
        store.open_session(token(&user, 2), actor()).await.unwrap();
        assert_eq!(rotate(&store, 1, 3, GRACE).await, Rotation::Refused);
        assert_eq!(store.forget_expired_sessions().await.unwrap(), 1);
        assert_eq!(store.forget_expired_sessions().await.unwrap(), 0);
        assert!(matches!(rotate(&store, 2, 4, GRACE).await, Rotation::Rotated { .. }));
    }

    async fn a_reset_works_once_and_ends_every_session(store) {
        let (user, _) = signed_in(&store).await;
        let reset = |hash, expires| NewReset { hash: [hash; 32], user: user.id, expires };
        store.create_reset(reset(1, some_day()), actor()).await.unwrap();
        store.create_reset(reset(2, some_day()), actor()).await.unwrap();
        assert_eq!(store.reset_user([1; 32]).await.unwrap(), None, "a later one takes its place");
        assert_eq!(store.reset_user([2; 32]).await.unwrap(), Some(user.id));
        let redeem = |hash| store.redeem_reset([hash; 32], "hash-9".to_owned(), actor());
        assert!(redeem(1).await.unwrap().is_none());
        let changed = redeem(2).await.unwrap().unwrap();
        assert_eq!((changed.value.epoch, changed.revision), (user.epoch + 1, 2));
        assert!(redeem(2).await.unwrap().is_none());
        assert_eq!(rotate(&store, 1, 2, GRACE).await, Rotation::Refused);
        assert_eq!(store.password_hash(user.id).await.unwrap().as_deref(), Some("hash-9"));

        let past = OffsetDateTime::now_utc() - Duration::from_secs(1);
        store.create_reset(reset(3, past), actor()).await.unwrap();
        assert!(redeem(3).await.unwrap().is_none());
        assert_eq!(store.forget_expired_sessions().await.unwrap(), 1);
        let nobody = NewReset { hash: [4; 32], user: Uuid::now_v7(), expires: past };
        assert!(matches!(store.create_reset(nobody, actor()).await, Err(StoreError::NotFound)));
    }

    async fn a_new_password_takes_resets_away(store) {
        let (user, _) = signed_in(&store).await;
        let reset = NewReset { hash: [1; 32], user: user.id, expires: some_day() };
        store.create_reset(reset, actor()).await.unwrap();
        store.set_password(user.id, "hash-2".to_owned(), actor()).await.unwrap();
        assert_eq!(store.reset_user([1; 32]).await.unwrap(), None);
    }
}
