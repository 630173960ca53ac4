//! What the store promises, method by method, on both databases.

use levee::models::audit::AuditFilter;
use levee::models::page::{Page, PageRequest};
use levee::models::principal::{Class, Role};
use levee::models::registration::{BreakerOverride, ForcedMode, RevisionAction, SealedCredential};
use levee::models::service_account::{
    NewApiKey, NewServiceAccount, ServiceAccountChange, ServiceAccountFilter,
};
use levee::models::user::{Email, User, UserChange, UserFilter};
use levee::repositories::{Conflict, Store, StoreError};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{actor, create, on_both, person};

fn page<K>(limit: u32) -> PageRequest<K> {
    PageRequest { after: None, limit }
}

async fn emails(store: &Store, filter: UserFilter) -> Vec<String> {
    let users = store.users(filter, page(50)).await.unwrap().items;
    users.iter().map(|user| user.email.to_string()).collect()
}

/// The actions of the audit list, the newest first, with what they were done to.
async fn audited(store: &Store) -> Vec<(String, String)> {
    let entries = store.audit(AuditFilter::default(), page(200)).await.unwrap().items;
    entries.into_iter().map(|entry| (entry.action, entry.target)).collect()
}

fn account(name: &str) -> NewServiceAccount {
    NewServiceAccount {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        role: Some(Role::Operator),
        class: Class::High,
    }
}

fn key(service_account: Uuid, hash: u8, expires: Option<OffsetDateTime>) -> NewApiKey {
    NewApiKey { id: Uuid::now_v7(), service_account, name: "ci".to_owned(), hash: [hash; 32], expires }
}

fn sealed(upstream: &str, version: i64, kid: &str) -> SealedCredential {
    SealedCredential {
        upstream: upstream.to_owned(),
        binding: "https://api.example.com:443".to_owned(),
        version,
        kid: kid.to_owned(),
        sealed: vec![0, 159, 146, 150, u8::MAX],
        updated: OffsetDateTime::UNIX_EPOCH,
        updated_by: String::new(),
    }
}

fn forced(operation: Option<&str>, expires: Option<OffsetDateTime>) -> BreakerOverride {
    BreakerOverride {
        upstream: "rates".to_owned(),
        operation: operation.map(str::to_owned),
        mode: ForcedMode::Open,
        reason: "it is down".to_owned(),
        expires,
        set: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
        set_by: "user:root@example.com".to_owned(),
    }
}

/// One moment, to the second, after every test.
fn soon() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(4_000_000_000).unwrap()
}

fn long_ago() -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::HOUR
}

on_both! {
    async fn a_user_is_found_as_it_was_created(store) {
        let made = store.create_user(person("Ada@Example.com", Role::Admin), actor()).await.unwrap();
        let user = made.value;
        assert_eq!((user.email.as_str(), user.role, user.disabled), ("Ada@Example.com", Role::Admin, false));
        assert_eq!((user.version, user.epoch), (1, 0));
        assert_eq!(store.user(user.id).await.unwrap(), user);
        let login = Email::parse("ada@example.COM").unwrap();
        let (found, hash) = store.user_for_login(login).await.unwrap().unwrap();
        assert_eq!((found, hash.as_deref()), (user.clone(), Some("hash-1")));
        assert_eq!(store.password_hash(user.id).await.unwrap().as_deref(), Some("hash-1"));
        let nobody = Email::parse("nobody@example.com").unwrap();
        assert!(store.user_for_login(nobody).await.unwrap().is_none());
        assert!(matches!(store.user(Uuid::now_v7()).await, Err(StoreError::NotFound)));
        assert!(matches!(store.password_hash(Uuid::now_v7()).await, Err(StoreError::NotFound)));
    }

    async fn an_email_is_taken_in_every_spelling(store) {
        create(&store, "ada@example.com", Role::Viewer).await;
        let again = store.create_user(person("ADA@example.COM", Role::Viewer), actor()).await;
        assert!(matches!(again, Err(StoreError::Conflict(Conflict::Email))), "{again:?}");
        assert_eq!(store.revision().await.unwrap(), 1, "a refused write raises nothing");
        assert_eq!(audited(&store).await.len(), 1, "nor is it noted");
    }

    async fn only_the_first_user_can_be_the_first_admin(store) {
        let first = store.create_first_admin(person("a@example.com", Role::Viewer), actor()).await.unwrap();
        assert_eq!(first.unwrap().role, Role::Admin);
        let second = store.create_first_admin(person("b@example.com", Role::Admin), actor()).await.unwrap();
        assert!(second.is_none());
        assert_eq!(emails(&store, UserFilter::default()).await, ["a@example.com"]);
        assert_eq!(store.revision().await.unwrap(), 1);
    }

    async fn users_are_listed_by_age_in_parts_and_by_filter(store) {
        for (name, role) in [("c", Role::Viewer), ("b_1", Role::Admin), ("b%2", Role::Viewer)] {
            create(&store, &format!("{name}@example.com"), role).await;
        }
        let first: Page<User, Uuid> = store.users(UserFilter::default(), page(2)).await.unwrap();
        assert_eq!(first.items.len(), 2);
        let rest = PageRequest { after: first.next, limit: 2 };
        let rest = store.users(UserFilter::default(), rest).await.unwrap();
        assert_eq!((rest.items.len(), rest.next), (1, None));
        assert_eq!(rest.items[0].email.as_str(), "b%2@example.com");
        let search = |text: &str| UserFilter { search: Some(text.to_owned()), ..UserFilter::default() };
        assert_eq!(emails(&store, search("B_1@EXAMPLE")).await, ["b_1@example.com"]);
        assert_eq!(emails(&store, search("b%")).await, ["b%2@example.com"]);
        assert_eq!(emails(&store, search("LOVELACE")).await.len(), 3, "names are searched too");
        assert_eq!(emails(&store, search("!")).await.len(), 0);
        assert_eq!(emails(&store, search("\0")).await.len(), 0);
        let admins = UserFilter { role: Some(Role::Admin), ..UserFilter::default() };
        assert_eq!(emails(&store, admins).await, ["b_1@example.com"]);
        let disabled = UserFilter { disabled: Some(true), ..UserFilter::default() };
        assert_eq!(emails(&store, disabled).await.len(), 0);
    }

    async fn a_stale_version_changes_nothing(store) {
        let user = create(&store, "ada@example.com", Role::Viewer).await;
        let rename = |name: &str| UserChange { name: Some(name.to_owned()), ..UserChange::default() };
        let changed = store.update_user(user.id, rename("Ada K."), Some(1), actor()).await.unwrap();
        assert_eq!((changed.value.version, changed.revision), (2, 2));
        let stale = store.update_user(user.id, rename("Eve"), Some(1), actor()).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let stale = store.delete_user(user.id, Some(1), actor()).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        assert_eq!(store.user(user.id).await.unwrap(), changed.value);
        let same = store.update_user(user.id, rename("Ada K."), Some(2), actor()).await.unwrap();
        assert_eq!((same.value.version, same.revision), (2, 2), "the same again is no change");
        store.delete_user(user.id, Some(2), actor()).await.unwrap();
        assert!(matches!(store.user(user.id).await, Err(StoreError::NotFound)));
    }

    async fn the_last_enabled_admin_stays(store) {
        let admin = create(&store, "a@example.com", Role::Admin).await;
        let other = create(&store, "b@example.com", Role::Admin).await;
        let disable = UserChange { disabled: Some(true), ..UserChange::default() };
        store.update_user(other.id, disable.clone(), None, actor()).await.unwrap();
        let last = |refused: Result<_, StoreError>| {
            assert!(matches!(refused, Err(StoreError::Conflict(Conflict::LastAdmin))), "{refused:?}");
        };
        last(store.update_user(admin.id, disable, None, actor()).await.map(|_| ()));
        let demote = UserChange { role: Some(Role::Operator), ..UserChange::default() };
        last(store.update_user(admin.id, demote, None, actor()).await.map(|_| ()));
        last(store.delete_user(admin.id, None, actor()).await.map(|_| ()));
        assert_eq!(store.user(admin.id).await.unwrap(), admin);
    }

    async fn admins_who_take_each_other_away_at_once_leave_one(store) {
        let mut admins = Vec::new();
        for number in 0..8 {
            admins.push(create(&store, &format!("a{number}@example.com"), Role::Admin).await.id);
        }
        let gone = admins.into_iter().map(|id| {
            let store = store.store.clone();
            tokio::spawn(async move { store.delete_user(id, None, actor()).await.is_ok() })
        });
        let mut deleted = 0;
        for gone in gone.collect::<Vec<_>>() {
            deleted += usize::from(gone.await.unwrap());
        }
        assert_eq!(deleted, 7);
        assert_eq!(emails(&store, UserFilter::default()).await.len(), 1);
    }

    async fn a_password_changes_with_its_epoch(store) {
        let user = create(&store, "ada@example.com", Role::Viewer).await;
        let changed = store.set_password(user.id, "hash-2".to_owned(), actor()).await.unwrap().value;
        assert_eq!((changed.epoch, changed.version), (1, 1));
        store.rehash_password(user.id, "hash-1".to_owned(), "weak".to_owned()).await.unwrap();
        assert_eq!(store.password_hash(user.id).await.unwrap().as_deref(), Some("hash-2"));
        store.rehash_password(user.id, "hash-2".to_owned(), "hash-3".to_owned()).await.unwrap();
        assert_eq!(store.password_hash(user.id).await.unwrap().as_deref(), Some("hash-3"));
        assert_eq!(store.revision().await.unwrap(), 2);
        let nobody = store.set_password(Uuid::now_v7(), "x".to_owned(), actor()).await;
        assert!(matches!(nobody, Err(StoreError::NotFound)));
    }

    async fn service_accounts_and_their_keys_come_and_go(store) {
        let made = store.create_service_account(account("billing"), actor()).await.unwrap().value;
        let again = store.create_service_account(account("billing"), actor()).await;
        assert!(matches!(again, Err(StoreError::Conflict(Conflict::ServiceAccountName))), "{again:?}");
        let change = ServiceAccountChange { role: Some(None), ..ServiceAccountChange::default() };
        let changed = store.update_service_account(made.id, change, Some(1), actor()).await.unwrap().value;
        assert_eq!((changed.role, changed.class, changed.version), (None, Class::High, 2));
        let search = ServiceAccountFilter { search: Some("ill".to_owned()) };
        assert_eq!(store.service_accounts(search, page(5)).await.unwrap().items, std::slice::from_ref(&changed));

        let kept = store.create_key(key(made.id, 1, Some(soon())), actor()).await.unwrap().value;
        let expired = store.create_key(key(made.id, 2, Some(long_ago())), actor()).await.unwrap().value;
        let revoked = store.create_key(key(made.id, 3, None), actor()).await.unwrap().value;
        store.revoke_key(made.id, revoked.id, actor()).await.unwrap();
        let before = store.revision().await.unwrap();
        assert_eq!(store.revoke_key(made.id, revoked.id, actor()).await.unwrap().revision, before);
        assert_eq!(kept.expires, Some(soon()));
        assert_eq!(store.stored().await.unwrap().keys, std::slice::from_ref(&kept));
        let listed = store.keys(made.id, page(5)).await.unwrap().items;
        let ids: Vec<Uuid> = listed.iter().map(|key| key.id).collect();
        assert_eq!(ids, [kept.id, expired.id, revoked.id]);
        assert!(listed[2].revoked.is_some());
        assert!(matches!(store.keys(Uuid::now_v7(), page(5)).await, Err(StoreError::NotFound)));
        let orphan = store.create_key(key(Uuid::now_v7(), 9, None), actor()).await;
        assert!(matches!(orphan, Err(StoreError::NotFound)), "{orphan:?}");

        store.delete_service_account(made.id, Some(2), actor()).await.unwrap();
        assert!(matches!(store.key(made.id, kept.id).await, Err(StoreError::NotFound)));
        assert_eq!(store.stored().await.unwrap().service_accounts, []);
    }

    async fn a_key_was_last_used_at_the_latest_moment_told(store) {
        let account = store.create_service_account(account("billing"), actor()).await.unwrap().value;
        let key = store.create_key(key(account.id, 1, None), actor()).await.unwrap().value;
        let before = store.revision().await.unwrap();
        store.touch_keys(vec![(key.id, soon()), (Uuid::now_v7(), soon())]).await.unwrap();
        store.touch_keys(vec![(key.id, long_ago())]).await.unwrap();
        assert_eq!(store.key(account.id, key.id).await.unwrap().last_used, Some(soon()));
        assert_eq!(store.revision().await.unwrap(), before);
    }

    async fn an_upstream_has_a_history(store) {
        let spec = |url: &str| json!({ "url": url });
        let made = store.create_upstream("rates".to_owned(), spec("a"), actor()).await.unwrap();
        assert_eq!(made.value.revision, made.revision);
        let again = store.create_upstream("rates".to_owned(), spec("b"), actor()).await;
        assert!(matches!(again, Err(StoreError::Conflict(Conflict::UpstreamName))), "{again:?}");
        let replace = |spec, expected, action| {
            store.replace_upstream("rates".to_owned(), spec, expected, action, actor())
        };
        let next = replace(spec("b"), Some(made.revision), RevisionAction::Replaced).await.unwrap();
        let stale = replace(spec("c"), Some(made.revision), RevisionAction::Replaced).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let back = replace(spec("a"), None, RevisionAction::RolledBack).await.unwrap();
        assert_eq!(store.upstream("rates".to_owned()).await.unwrap(), back.value);
        assert_eq!(back.value.created, made.value.created);
        let gone = store.delete_upstream("rates".to_owned(), Some(back.revision), actor()).await.unwrap();
        assert!(matches!(store.upstream("rates".to_owned()).await, Err(StoreError::NotFound)));

        let history = store.upstream_revisions("rates".to_owned(), page(3)).await.unwrap();
        let seen: Vec<_> = history.items.iter().map(|entry| (entry.revision, entry.action)).collect();
        let expected = [
            (gone.revision, RevisionAction::Deleted),
            (back.revision, RevisionAction::RolledBack),
            (next.revision, RevisionAction::Replaced),
        ];
        assert_eq!((seen.as_slice(), history.next), (expected.as_slice(), Some(next.revision)));
        assert_eq!(history.items[0].spec, None);
        let first = store.upstream_revision("rates".to_owned(), made.revision).await.unwrap();
        assert_eq!(first.spec, Some(spec("a")));
        let none = store.upstream_revision("rates".to_owned(), 999).await;
        assert!(matches!(none, Err(StoreError::NotFound)));
    }

    async fn a_document_comes_back_as_it_went_in(store) {
        let text = r#"{"z":1,"a":[1.0,1e3,0.1,-0.0,18446744073709551615,-9223372036854775808,
            1e300],"\u0000":"\u0000\ud83d\ude00 é","":null,"deep":{"x":[[],{}]}}"#;
        let spec: Value = serde_json::from_str(text).unwrap();
        store.create_upstream("odd".to_owned(), spec.clone(), actor()).await.unwrap();
        let kept = store.upstream("odd".to_owned()).await.unwrap().spec;
        assert_eq!(kept.to_string(), spec.to_string());
        assert_eq!(store.stored().await.unwrap().upstreams[0].spec, spec);
    }

    async fn names_that_no_database_takes_are_not_found(store) {
        assert!(matches!(store.upstream("a\0b".to_owned()).await, Err(StoreError::NotFound)));
        assert_eq!(store.upstream_revisions("\0".to_owned(), page(5)).await.unwrap().items, []);
        store.note("login.refused", "user:a\0b".to_owned(), json!({ "why": "\0" }), actor()).await.unwrap();
        assert_eq!(audited(&store).await[0].1, "user:a\u{fffd}b");
    }

    async fn a_credential_gives_way_only_to_a_later_one(store) {
        let next = async || store.next_credential_version("rates".to_owned()).await.unwrap();
        let first = next().await;
        store.put_credential(sealed("rates", first, "k1"), actor()).await.unwrap();
        let stale = store.put_credential(sealed("rates", first, "k1"), actor()).await;
        assert!(matches!(stale, Err(StoreError::Stale)), "{stale:?}");
        let second = next().await;
        assert!(second > first);
        store.put_credential(sealed("rates", second, "k2"), actor()).await.unwrap();
        let kept = store.stored().await.unwrap().credentials;
        assert_eq!((kept.len(), kept[0].version, kept[0].kid.as_str()), (1, second, "k2"));
        assert_eq!(kept[0].sealed, sealed("rates", second, "k2").sealed);
        assert_eq!(kept[0].updated_by, actor().subject);

        assert_eq!(store.credentials_not_under("k2".to_owned(), 9).await.unwrap().len(), 0);
        assert_eq!(store.credentials_not_under("k3".to_owned(), 9).await.unwrap().len(), 1);
        let before = store.revision().await.unwrap();
        let late = store.rewrap_credentials(vec![sealed("rates", first, "old")], actor()).await.unwrap();
        assert_eq!((late.value, late.revision), (0, before), "another was set since");
        for expected in [1, 0] {
            let rewrapped = store.rewrap_credentials(vec![sealed("rates", second, "k3")], actor()).await.unwrap();
            assert_eq!((rewrapped.value, rewrapped.revision), (expected, before + 1), "every replica hears of it once");
        }
        assert_eq!(store.stored().await.unwrap().credentials[0].kid, "k3");

        store.delete_credential("rates".to_owned(), actor()).await.unwrap();
        let gone = store.delete_credential("rates".to_owned(), actor()).await;
        assert!(matches!(gone, Err(StoreError::NotFound)), "{gone:?}");
        assert!(next().await > second, "no version comes again after a deletion");
    }

    async fn forced_breakers_are_kept_until_they_expire_or_are_cleared(store) {
        store.put_override(forced(None, Some(soon())), actor()).await.unwrap();
        store.put_override(forced(Some("get"), None), actor()).await.unwrap();
        store.put_override(forced(Some("old"), Some(long_ago())), actor()).await.unwrap();
        let again = BreakerOverride { mode: ForcedMode::Closed, ..forced(Some("get"), None) };
        store.put_override(again.clone(), actor()).await.unwrap();
        assert_eq!(store.stored().await.unwrap().overrides, [forced(None, Some(soon())), again]);
        let clear = |operation: Option<&str>| {
            let operation = operation.map(str::to_owned);
            store.clear_override("rates".to_owned(), operation, "well again".to_owned(), actor())
        };
        let cleared = clear(None).await.unwrap();
        assert_eq!(clear(None).await.unwrap().revision, cleared.revision, "nothing to clear is no write");
        assert_eq!(store.stored().await.unwrap().overrides.len(), 1);
    }

    async fn what_belongs_to_an_upstream_goes_with_it(store) {
        store.create_upstream("rates".to_owned(), json!({}), actor()).await.unwrap();
        store.put_credential(sealed("rates", 9, "k1"), actor()).await.unwrap();
        store.put_override(forced(None, None), actor()).await.unwrap();
        store.delete_upstream("rates".to_owned(), None, actor()).await.unwrap();
        let stored = store.stored().await.unwrap();
        assert_eq!((stored.upstreams, stored.overrides.len(), stored.credentials.len()), (vec![], 0, 0));
    }

    async fn every_write_is_noted_with_who_where_and_which_request(store) {
        let user = create(&store, "ada@example.com", Role::Viewer).await;
        let change = UserChange { role: Some(Role::Admin), ..UserChange::default() };
        store.update_user(user.id, change, None, actor()).await.unwrap();
        store.create_upstream("rates".to_owned(), json!({}), actor()).await.unwrap();
        let only = |filter| async { store.audit(filter, page(10)).await.unwrap().items };
        let all = only(AuditFilter::default()).await;
        let actions: Vec<&str> = all.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["upstream.created", "user.updated", "user.created"]);
        let updated = &all[1];
        assert_eq!(updated.target, "user:ada@example.com");
        assert_eq!(updated.details, json!({ "role": { "from": "viewer", "to": "admin" } }));
        assert_eq!((&updated.actor, updated.actor_id), (&actor().subject, actor().id));
        assert_eq!((updated.address, &updated.request), (actor().address, &actor().request));

        let of_users = AuditFilter { action: Some("user.".to_owned()), ..AuditFilter::default() };
        assert_eq!(only(of_users).await.len(), 2);
        let exactly = AuditFilter { action: Some("user".to_owned()), ..AuditFilter::default() };
        assert_eq!(only(exactly).await.len(), 0);
        let target = AuditFilter { target: Some("upstream:rates".to_owned()), ..AuditFilter::default() };
        assert_eq!(only(target).await.len(), 1);
        let since = AuditFilter { since: Some(updated.at), until: Some(all[0].at), ..AuditFilter::default() };
        assert!(only(since).await.iter().all(|entry| entry.at >= updated.at && entry.at < all[0].at));
        let first = store.audit(AuditFilter::default(), page(1)).await.unwrap();
        let next = PageRequest { after: first.next, limit: 9 };
        assert_eq!(store.audit(AuditFilter::default(), next).await.unwrap().items, all[1..]);
    }
}
