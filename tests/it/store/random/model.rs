//! The store's rules in plain maps: what it should answer, and what it should keep.

use std::collections::BTreeMap;

use levee::models::principal::Role;
use uuid::Uuid;

use super::operations::{Operation, email, id};

#[derive(Debug, Clone)]
struct Person {
    email: String,
    role: Role,
    disabled: bool,
    epoch: i64,
    version: i64,
}

#[derive(Debug, Clone)]
struct Account {
    name: String,
    role: Option<Role>,
    version: i64,
}

#[derive(Debug, Clone)]
struct Key {
    account: Uuid,
    expired: bool,
    revoked: bool,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    revision: u64,
    noted: usize,
    users: BTreeMap<Uuid, Person>,
    accounts: BTreeMap<Uuid, Account>,
    keys: BTreeMap<Uuid, Key>,
    upstreams: BTreeMap<u8, (i32, u64)>,
    history: BTreeMap<u8, Vec<(&'static str, u64)>>,
    credentials: BTreeMap<u8, i64>,
    /// An upstream's own breaker sorts first.
    forced: BTreeMap<(u8, Option<u8>), bool>,
}

type Answer = Result<String, &'static str>;

impl Model {
    /// What a store should answer.
    pub(super) fn run(&mut self, step: usize, operation: &Operation) -> String {
        self.answer(step, operation).unwrap_or_else(str::to_owned)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn answer(&mut self, step: usize, operation: &Operation) -> Answer {
        use Operation as O;
        match *operation {
            O::CreateUser { name, shout, role } => self.create_user(id(step), name, shout, role),
            O::UpdateUser { step, role, disabled, expected } => {
                self.update_user(id(step.into()), role, disabled, expected)
            }
            O::DeleteUser { step, expected } => self.delete_user(id(step.into()), expected),
            O::SetPassword { step } => {
                let user = self.users.get_mut(&id(step.into())).ok_or("not found")?;
                user.epoch += 1;
                let told = tell(user);
                Ok(told + &self.raised())
            }
            O::ListUsers { role, search, limit } => Ok(self.list_users(role, search, limit as usize)),
            O::CreateAccount { name, .. } => {
                let name = format!("sa{name}");
                if self.accounts.values().any(|account| account.name == name) {
                    return Err("ServiceAccountName");
                }
                self.accounts.insert(id(step), Account { name, role: None, version: 1 });
                Ok(self.raised())
            }
            O::UpdateAccount { step, role, expected } => self.update_account(id(step.into()), role, expected),
            O::DeleteAccount { step } => {
                let account = id(step.into());
                self.accounts.remove(&account).ok_or("not found")?;
                self.keys.retain(|_, key| key.account != account);
                Ok(self.raised())
            }
            O::CreateKey { account, expired } => {
                let account = id(account.into());
                self.accounts.get(&account).ok_or("not found")?;
                self.keys.insert(id(step), Key { account, expired, revoked: false });
                Ok(self.raised())
            }
            O::RevokeKey { account, key } => self.revoke_key(id(account.into()), id(key.into())),
            O::CreateUpstream { name, value } => {
                if self.upstreams.contains_key(&name) {
                    return Err("UpstreamName");
                }
                self.credentials.remove(&name);
                self.forced.retain(|(upstream, _), _| *upstream != name);
                Ok(self.put_upstream(name, value, "created"))
            }
            O::ReplaceUpstream { name, value, expected } => {
                let (_, revision) = self.upstreams.get(&name).ok_or("not found")?;
                if expected.is_some_and(|expected| expected != *revision) {
                    return Err("stale");
                }
                Ok(self.put_upstream(name, value, "replaced"))
            }
            O::DeleteUpstream { name } => {
                self.upstreams.remove(&name).ok_or("not found")?;
                self.credentials.remove(&name);
                self.forced.retain(|(upstream, _), _| *upstream != name);
                let told = self.raised();
                self.history.entry(name).or_default().push(("deleted", self.revision));
                Ok(told)
            }
            O::History { name, limit } => Ok(self.list_history(name, limit as usize)),
            O::PutCredential { name, version } => {
                if self.credentials.get(&name).is_some_and(|kept| *kept >= version) {
                    return Err("stale");
                }
                self.credentials.insert(name, version);
                Ok(self.raised())
            }
            O::DeleteCredential { name } => {
                self.credentials.remove(&name).ok_or("not found")?;
                Ok(self.raised())
            }
            O::Force { name, operation, expired } => {
                self.forced.insert((name, operation), expired);
                Ok(self.raised())
            }
            O::Release { name, operation } => match self.forced.remove(&(name, operation)) {
                Some(_) => Ok(self.raised()),
                None => Ok(self.same()),
            },
        }
    }

    fn create_user(&mut self, id: Uuid, name: u8, shout: bool, role: Role) -> Answer {
        let email = email(name, shout).to_string();
        if self.users.values().any(|user| user.email.eq_ignore_ascii_case(&email)) {
            return Err("Email");
        }
        let user = Person { email, role, disabled: false, epoch: 0, version: 1 };
        let told = tell(&user);
        self.users.insert(id, user);
        Ok(told + &self.raised())
    }

    fn update_user(
        &mut self,
        id: Uuid,
        role: Option<Role>,
        disabled: Option<bool>,
        expected: Option<i64>,
    ) -> Answer {
        let old = self.users.get(&id).ok_or("not found")?.clone();
        if expected.is_some_and(|expected| expected != old.version) {
            return Err("stale");
        }
        let mut next = old.clone();
        next.role = role.unwrap_or(old.role);
        next.disabled = disabled.unwrap_or(old.disabled);
        if next.role == old.role && next.disabled == old.disabled {
            return Ok(tell(&old) + &self.same());
        }
        if (next.role != Role::Admin || next.disabled) && self.is_last_admin(id) {
            return Err("LastAdmin");
        }
        next.version += 1;
        next.epoch += i64::from(next.disabled && !old.disabled);
        let told = tell(&next);
        self.users.insert(id, next);
        Ok(told + &self.raised())
    }

    fn delete_user(&mut self, id: Uuid, expected: Option<i64>) -> Answer {
        let user = self.users.get(&id).ok_or("not found")?;
        if expected.is_some_and(|expected| expected != user.version) {
            return Err("stale");
        }
        if self.is_last_admin(id) {
            return Err("LastAdmin");
        }
        self.users.remove(&id);
        Ok(self.raised())
    }

    fn is_last_admin(&self, id: Uuid) -> bool {
        let counts = |user: &Person| user.role == Role::Admin && !user.disabled;
        counts(&self.users[&id]) && self.users.values().filter(|user| counts(user)).count() == 1
    }

    fn list_users(&self, role: Option<Role>, search: Option<u8>, limit: usize) -> String {
        let wanted = |user: &Person| {
            role.is_none_or(|role| role == user.role)
                && search.is_none_or(|name| user.email.to_lowercase().contains(&format!("u{name}@")))
        };
        let found: Vec<_> = self.users.iter().filter(|(_, user)| wanted(user)).collect();
        let shown: Vec<String> = found.iter().take(limit).map(|(_, user)| tell(user)).collect();
        let next = (found.len() > limit).then(|| *found[limit - 1].0);
        format!("{} then {next:?}", shown.join(", "))
    }

    #[expect(clippy::option_option, reason = "a change of an optional role has three cases")]
    fn update_account(&mut self, id: Uuid, role: Option<Option<Role>>, expected: Option<i64>) -> Answer {
        let account = self.accounts.get_mut(&id).ok_or("not found")?;
        if expected.is_some_and(|expected| expected != account.version) {
            return Err("stale");
        }
        let changes = role.is_some_and(|role| role != account.role);
        if changes {
            account.role = role.flatten();
            account.version += 1;
        }
        let told = format!("{:?} {}", account.role, account.version);
        Ok(told + &if changes { self.raised() } else { self.same() })
    }

    fn revoke_key(&mut self, account: Uuid, key: Uuid) -> Answer {
        self.accounts.get(&account).ok_or("not found")?;
        let key = self.keys.get_mut(&key).filter(|key| key.account == account).ok_or("not found")?;
        if std::mem::replace(&mut key.revoked, true) {
            return Ok(self.same());
        }
        Ok(self.raised())
    }

    fn put_upstream(&mut self, name: u8, value: i32, action: &'static str) -> String {
        let told = self.raised();
        self.upstreams.insert(name, (value, self.revision));
        self.history.entry(name).or_default().push((action, self.revision));
        format!("{{\"value\":{value}}}{told}")
    }

    fn list_history(&self, name: u8, limit: usize) -> String {
        let all: Vec<_> = self.history.get(&name).into_iter().flatten().rev().collect();
        let shown: Vec<String> =
            all.iter().take(limit).map(|(action, revision)| format!("{action}@{revision}")).collect();
        let next = (all.len() > limit).then(|| all[limit - 1].1);
        format!("{} then {next:?}", shown.join(", "))
    }

    /// A write that was kept and noted.
    fn raised(&mut self) -> String {
        self.revision += 1;
        self.noted += 1;
        self.same()
    }

    fn same(&self) -> String {
        format!("@{}", self.revision)
    }

    /// Everything a store should keep.
    pub(super) fn all(&self) -> Vec<String> {
        let mut lines = vec![format!("revision {}", self.revision)];
        lines.extend(self.users.values().map(tell));
        lines.extend(self.accounts.values().map(|sa| format!("{} {:?} {}", sa.name, sa.role, sa.version)));
        let in_force = self.keys.iter().filter(|(_, key)| !key.expired && !key.revoked);
        lines.extend(in_force.map(|(id, key)| format!("key {id} of {}", key.account)));
        let upstreams = self.upstreams.iter();
        lines.extend(
            upstreams.map(|(name, (value, at))| format!("upstream-{name} {{\"value\":{value}}} {at}")),
        );
        let credentials = self.credentials.iter();
        lines.extend(credentials.map(|(name, version)| format!("credential upstream-{name} {version}")));
        let forced = self.forced.iter().filter(|(_, expired)| !**expired);
        lines.extend(forced.map(|((name, operation), _)| {
            format!("forced upstream-{name} {:?}", operation.map(|operation| format!("op-{operation}")))
        }));
        lines.push(format!("{} audit entries", self.noted));
        lines
    }
}

fn tell(user: &Person) -> String {
    let Person { email, role, disabled, epoch, version } = user;
    format!("{email} {} {disabled} {epoch} {version}", role.as_str())
}
