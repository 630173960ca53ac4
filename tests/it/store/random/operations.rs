//! What can be done, and doing it to a store. An answer is told in words, so that it can be compared; times are left
//! out.

use levee::models::audit::AuditFilter;
use levee::models::page::PageRequest;
use levee::models::principal::{Class, Role};
use levee::models::registration::{BreakerOverride, ForcedMode, RevisionAction, SealedCredential};
use levee::models::service_account::{NewApiKey, NewServiceAccount, ServiceAccountChange};
use levee::models::user::{Email, NewUser, User, UserChange, UserFilter};
use levee::repositories::{Changed, Store, StoreError};
use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::actor;

/// Names are few, so that operations meet.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    CreateUser { name: u8, shout: bool, role: Role },
    UpdateUser { step: u8, role: Option<Role>, disabled: Option<bool>, expected: Option<i64> },
    DeleteUser { step: u8, expected: Option<i64> },
    SetPassword { step: u8 },
    ListUsers { role: Option<Role>, search: Option<u8>, limit: u32 },
    CreateAccount { name: u8, class: Class },
    UpdateAccount { step: u8, role: Option<Option<Role>>, expected: Option<i64> },
    DeleteAccount { step: u8 },
    CreateKey { account: u8, expired: bool },
    RevokeKey { account: u8, key: u8 },
    CreateUpstream { name: u8, value: i32 },
    ReplaceUpstream { name: u8, value: i32, expected: Option<u64> },
    DeleteUpstream { name: u8 },
    History { name: u8, limit: u32 },
    PutCredential { name: u8, version: i64 },
    DeleteCredential { name: u8 },
    Force { name: u8, operation: Option<u8>, expired: bool },
    Release { name: u8, operation: Option<u8> },
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(Role::ALL.to_vec())
}

fn maybe<T: Clone + std::fmt::Debug + 'static>(
    strategy: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = Option<T>> {
    prop::option::weighted(0.4, strategy)
}

/// Any of them. Ids are those of earlier steps, few enough to be hit.
pub(super) fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    let (name, step) = (0..4_u8, 0..30_u8);
    let class = prop::sample::select(Class::ALL.to_vec());
    prop_oneof![
        3 => (name.clone(), any::<bool>(), role()).prop_map(|(name, shout, role)| O::CreateUser { name, shout, role }),
        3 => (step.clone(), maybe(role()), maybe(any::<bool>()), maybe(1..4_i64))
            .prop_map(|(step, role, disabled, expected)| O::UpdateUser { step, role, disabled, expected }),
        1 => (step.clone(), maybe(1..4_i64)).prop_map(|(step, expected)| O::DeleteUser { step, expected }),
        1 => step.clone().prop_map(|step| O::SetPassword { step }),
        1 => (maybe(role()), maybe(name.clone()), 1..4_u32)
            .prop_map(|(role, search, limit)| O::ListUsers { role, search, limit }),
        2 => (name.clone(), class).prop_map(|(name, class)| O::CreateAccount { name, class }),
        1 => (step.clone(), maybe(maybe(role())), maybe(1..3_i64))
            .prop_map(|(step, role, expected)| O::UpdateAccount { step, role, expected }),
        1 => step.clone().prop_map(|step| O::DeleteAccount { step }),
        3 => (step.clone(), any::<bool>()).prop_map(|(account, expired)| O::CreateKey { account, expired }),
        1 => (step.clone(), step).prop_map(|(account, key)| O::RevokeKey { account, key }),
        2 => (name.clone(), any::<i32>()).prop_map(|(name, value)| O::CreateUpstream { name, value }),
        3 => (name.clone(), any::<i32>(), maybe(1..40_u64))
            .prop_map(|(name, value, expected)| O::ReplaceUpstream { name, value, expected }),
        1 => name.clone().prop_map(|name| O::DeleteUpstream { name }),
        1 => (name.clone(), 1..4_u32).prop_map(|(name, limit)| O::History { name, limit }),
        2 => (name.clone(), 1..30_i64).prop_map(|(name, version)| O::PutCredential { name, version }),
        1 => name.clone().prop_map(|name| O::DeleteCredential { name }),
        2 => (name.clone(), maybe(0..2_u8), any::<bool>())
            .prop_map(|(name, operation, expired)| O::Force { name, operation, expired }),
        1 => (name, maybe(0..2_u8)).prop_map(|(name, operation)| O::Release { name, operation }),
    ]
}

/// The id of what a step creates.
pub(super) fn id(step: usize) -> Uuid {
    Uuid::from_u128(step as u128 + 1)
}

pub(super) fn email(name: u8, shout: bool) -> Email {
    let text = format!("u{name}@example.com");
    Email::parse(&if shout { text.to_uppercase() } else { text }).unwrap()
}

pub(super) fn expiry(expired: bool) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(if expired { 1 } else { 100_000_000_000 }).unwrap()
}

/// How an answer is told.
pub(super) fn told<T>(result: Result<T, StoreError>, tell: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => tell(value),
        Err(StoreError::NotFound) => "not found".to_owned(),
        Err(StoreError::Stale) => "stale".to_owned(),
        Err(StoreError::Conflict(conflict)) => format!("{conflict:?}"),
        Err(error) => format!("{error:?}"),
    }
}

/// How a user is told.
pub(super) fn user(user: &User) -> String {
    let User { email, role, disabled, epoch, version, .. } = user;
    format!("{email} {} {disabled} {epoch} {version}", role.as_str())
}

fn done<T>(changed: &Changed<T>) -> String {
    format!("@{}", changed.revision)
}

/// Does it.
pub(super) async fn run(store: &Store, step: usize, operation: &Operation) -> String {
    use Operation as O;
    let upstream = |name: u8| format!("upstream-{name}");
    let label = |operation: Option<u8>| operation.map(|operation| format!("op-{operation}"));
    match operation.clone() {
        O::CreateUser { name, shout, role } => {
            let email = email(name, shout);
            let new = NewUser { id: id(step), email, name: "U".to_owned(), password_hash: None, role };
            told(store.create_user(new, actor()).await, |made| user(&made.value) + &done(&made))
        }
        O::UpdateUser { step, role, disabled, expected } => {
            let change = UserChange { name: None, role, disabled };
            let updated = store.update_user(id(step.into()), change, expected, actor()).await;
            told(updated, |made| user(&made.value) + &done(&made))
        }
        O::DeleteUser { step, expected } => {
            told(store.delete_user(id(step.into()), expected, actor()).await, |made| done(&made))
        }
        O::SetPassword { step } => {
            let set = store.set_password(id(step.into()), "hash".to_owned(), actor()).await;
            told(set, |made| user(&made.value) + &done(&made))
        }
        O::ListUsers { role, search, limit } => {
            let search = search.map(|name| format!("U{name}@"));
            let page = PageRequest { after: None, limit };
            let listed = store.users(UserFilter { role, disabled: None, search }, page).await;
            told(listed, |page| {
                let users: Vec<String> = page.items.iter().map(user).collect();
                format!("{} then {:?}", users.join(", "), page.next)
            })
        }
        O::CreateAccount { name, class } => {
            let new = NewServiceAccount { id: id(step), name: format!("sa{name}"), role: None, class };
            told(store.create_service_account(new, actor()).await, |made| done(&made))
        }
        O::UpdateAccount { step, role, expected } => {
            let change = ServiceAccountChange { role, class: None, disabled: None };
            let updated = store.update_service_account(id(step.into()), change, expected, actor()).await;
            told(updated, |made| format!("{:?} {}{}", made.value.role, made.value.version, done(&made)))
        }
        O::DeleteAccount { step } => {
            told(store.delete_service_account(id(step.into()), None, actor()).await, |made| done(&made))
        }
        O::CreateKey { account, expired } => {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&step.to_be_bytes());
            let service_account = id(account.into());
            let expires = Some(expiry(expired));
            let new = NewApiKey { id: id(step), service_account, name: "k".to_owned(), hash, expires };
            told(store.create_key(new, actor()).await, |made| done(&made))
        }
        O::RevokeKey { account, key } => {
            told(store.revoke_key(id(account.into()), id(key.into()), actor()).await, |made| done(&made))
        }
        O::CreateUpstream { name, value } => {
            let made = store.create_upstream(upstream(name), json!({ "value": value }), actor()).await;
            told(made, |made| format!("{}{}", made.value.spec, done(&made)))
        }
        O::ReplaceUpstream { name, value, expected } => {
            let (spec, action) = (json!({ "value": value }), RevisionAction::Replaced);
            let made = store.replace_upstream(upstream(name), spec, expected, action, actor()).await;
            told(made, |made| format!("{}{}", made.value.spec, done(&made)))
        }
        O::DeleteUpstream { name } => {
            told(store.delete_upstream(upstream(name), None, actor()).await, |made| done(&made))
        }
        O::History { name, limit } => {
            let page = PageRequest { after: None, limit };
            told(store.upstream_revisions(upstream(name), page).await, |page| {
                let entries: Vec<String> =
                    page.items.iter().map(|e| format!("{}@{}", e.action.as_str(), e.revision)).collect();
                format!("{} then {:?}", entries.join(", "), page.next)
            })
        }
        O::PutCredential { name, version } => {
            let credential = SealedCredential {
                upstream: upstream(name),
                binding: "b".to_owned(),
                version,
                kid: "k".to_owned(),
                sealed: vec![1],
                updated: expiry(true),
                updated_by: String::new(),
            };
            told(store.put_credential(credential, actor()).await, |made| done(&made))
        }
        O::DeleteCredential { name } => {
            told(store.delete_credential(upstream(name), actor()).await, |made| done(&made))
        }
        O::Force { name, operation, expired } => {
            let forced = BreakerOverride {
                upstream: upstream(name),
                operation: label(operation),
                mode: ForcedMode::Open,
                reason: "r".to_owned(),
                expires: Some(expiry(expired)),
                set: expiry(true),
                set_by: "x".to_owned(),
            };
            told(store.put_override(forced, actor()).await, |made| done(&made))
        }
        O::Release { name, operation } => {
            let reason = "r".to_owned();
            let cleared = store.clear_override(upstream(name), label(operation), reason, actor()).await;
            told(cleared, |made| done(&made))
        }
    }
}

/// Everything that is kept, told in lines; the audit list as how many entries of each action.
pub(super) async fn all(store: &Store) -> Vec<String> {
    let stored = store.stored().await.unwrap();
    let mut lines = vec![format!("revision {}", stored.revision)];
    lines.extend(stored.users.iter().map(user));
    lines
        .extend(stored.service_accounts.iter().map(|sa| format!("{} {:?} {}", sa.name, sa.role, sa.version)));
    lines.extend(stored.keys.iter().map(|key| format!("key {} of {}", key.id, key.service_account)));
    lines.extend(stored.upstreams.iter().map(|u| format!("{} {} {}", u.name, u.spec, u.revision)));
    lines.extend(stored.credentials.iter().map(|c| format!("credential {} {}", c.upstream, c.version)));
    lines.extend(stored.overrides.iter().map(|o| format!("forced {} {:?}", o.upstream, o.operation)));
    let page = PageRequest { after: None, limit: 200 };
    let audit = store.audit(AuditFilter::default(), page).await.unwrap().items;
    lines.push(format!("{} audit entries", audit.len()));
    lines
}
