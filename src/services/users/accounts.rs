//! Accounts of people, without asking who asks: for the command line, the first start, and whoever has asked already.

use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::error::{Failure, Fault};
use crate::identity::password::{self, Passwords};
use crate::models::principal::{Actor, Role};
use crate::models::user::{Email, NewUser, User, UserChange};
use crate::repositories::{Changed, Store};

/// Most characters of a name.
const LONGEST_NAME: usize = 200;

/// A person to be created, as given.
#[derive(Debug, Clone)]
pub struct Person {
    /// The address to sign in with.
    pub email: String,
    /// For people to read.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

/// Creates and changes accounts.
#[derive(Clone)]
pub struct Accounts {
    store: Store,
    passwords: Passwords,
}

impl Accounts {
    /// Over the database.
    pub fn new(store: Store, passwords: Passwords) -> Self {
        Self { store, passwords }
    }

    /// Creates a user; every fault of what was given is told at once, by pointers into it.
    pub async fn create(
        &self,
        person: Person,
        password: Option<SecretString>,
        actor: Actor,
    ) -> Result<Changed<User>, Failure> {
        let new = self.judged(person, password).await?;
        Ok(self.store.create_user(new, actor).await?)
    }

    /// Creates the first admin where there is no user at all; `None` where there is one.
    pub async fn create_first(&self, email: &Email, password: SecretString) -> Result<Option<User>, Failure> {
        let (email, name) = (email.to_string(), "Admin".to_owned());
        let new = self.judged(Person { email, name, role: Role::Admin }, Some(password)).await?;
        Ok(self.store.create_first_admin(new, Actor::system("bootstrap")).await?)
    }

    /// The user with this address.
    pub async fn find(&self, email: &Email) -> Result<User, Failure> {
        let found = self.store.user_for_login(email.clone()).await?;
        found.map(|(user, _)| user).ok_or_else(|| Failure::not_found("No user has this address."))
    }

    /// Sets a password, which ends every session of the user.
    pub async fn set_password(
        &self,
        user: &User,
        password: SecretString,
        actor: Actor,
    ) -> Result<(), Failure> {
        let about = [user.name.as_str(), user.email.as_str()];
        if let Some(why) = password::refuse(password.expose_secret(), &about) {
            return Err(Failure::invalid("/password", why));
        }
        let hash = self.passwords.hash(password).await?;
        self.store.set_password(user.id, hash, actor).await?;
        Ok(())
    }

    /// Shuts a user out, in the state that was read.
    pub async fn disable(&self, user: &User, actor: Actor) -> Result<(), Failure> {
        let change = UserChange { disabled: Some(true), ..UserChange::default() };
        self.store.update_user(user.id, change, Some(user.version), actor).await?;
        Ok(())
    }

    async fn judged(&self, person: Person, password: Option<SecretString>) -> Result<NewUser, Failure> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, why: &str| {
            faults.push(Fault { pointer: pointer.to_owned(), detail: why.to_owned() });
        };
        let email = Email::parse(&person.email);
        if email.is_none() {
            fault("/email", "is not an e-mail address");
        }
        if let Some(why) = refuse_name(&person.name) {
            fault("/name", why);
        }
        let about = [person.name.as_str(), person.email.as_str()];
        let given = password.as_ref().map(SecretString::expose_secret);
        if let Some(why) = given.and_then(|given| password::refuse(given, &about)) {
            fault("/password", why);
        }
        let Some(email) = email.filter(|_| faults.is_empty()) else {
            return Err(Failure::invalid_at(faults));
        };
        let password_hash = match password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        Ok(NewUser { id: Uuid::now_v7(), email, name: person.name, password_hash, role: person.role })
    }
}

/// Why a name is none.
pub(super) fn refuse_name(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        return Some("is empty");
    }
    if name.chars().count() > LONGEST_NAME {
        return Some("has more than 200 characters");
    }
    name.chars().any(char::is_control).then_some("has a control character")
}
