//! Whom the directory knows, by what, and until when.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::identity::ring::KeyRing;
use crate::models::principal::Role;
use crate::models::user::Email;

fn authenticator() -> Authenticator {
    Authenticator::new(Tokens::new(&KeyRing::parse(&KeyRing::generate("test")).unwrap()))
}

fn account(name: &str) -> ServiceAccount {
    ServiceAccount {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        role: Some(Role::Operator),
        class: Class::High,
        disabled: false,
        created: OffsetDateTime::UNIX_EPOCH,
        updated: OffsetDateTime::UNIX_EPOCH,
        version: 1,
    }
}

fn key_of(account: &ServiceAccount) -> (SecretString, ApiKeyRecord) {
    let id = Uuid::now_v7();
    let (text, hash) = api_key::mint(id);
    let record = ApiKeyRecord {
        id,
        service_account: account.id,
        name: "ci".to_owned(),
        hash,
        created: OffsetDateTime::UNIX_EPOCH,
        expires: None,
        last_used: None,
        revoked: None,
    };
    (text, record)
}

fn ada() -> User {
    User {
        id: Uuid::now_v7(),
        email: Email::parse("ada@example.com").unwrap(),
        name: "Ada".to_owned(),
        role: Role::Admin,
        disabled: false,
        epoch: 3,
        created: OffsetDateTime::UNIX_EPOCH,
        updated: OffsetDateTime::UNIX_EPOCH,
        version: 1,
    }
}

/// One account with one key, published.
struct Programs {
    authenticator: Authenticator,
    stored: Stored,
    text: SecretString,
}

impl Programs {
    fn new() -> Self {
        let billing = account("billing");
        let (text, key) = key_of(&billing);
        let stored =
            Stored { revision: 7, service_accounts: vec![billing], keys: vec![key], ..Stored::default() };
        let programs = Self { authenticator: authenticator(), stored, text };
        programs.publish();
        programs
    }

    fn publish(&self) {
        self.authenticator.publish(Directory::of(&self.stored));
    }

    fn ask(&self, now: SystemTime) -> Result<Known, Refusal> {
        self.authenticator.authenticate(self.text.expose_secret(), now)
    }
}

#[test]
fn a_key_proves_its_service_account() {
    let programs = Programs::new();
    let known = programs.ask(SystemTime::now()).unwrap();
    assert_eq!(known.principal.subject(), "sa:billing");
    assert_eq!((known.principal.role, known.principal.class), (Some(Role::Operator), Class::High));
    assert_eq!(known.key, Some(programs.stored.keys[0].id));
}

#[test]
fn a_key_that_was_never_issued_is_unknown_also_under_a_known_id() {
    let programs = Programs::new();
    let (same_id, _) = api_key::mint(programs.stored.keys[0].id);
    let (other, _) = api_key::mint(Uuid::now_v7());
    for text in [same_id, other] {
        let refused = programs.authenticator.authenticate(text.expose_secret(), SystemTime::now());
        assert_eq!(refused, Err(Refusal::Unknown));
    }
    let refused = programs.authenticator.authenticate("lvk_", SystemTime::now());
    assert_eq!(refused, Err(Refusal::Malformed));
}

#[test]
fn a_key_ends_with_its_time_its_revocation_and_its_account() {
    let mut programs = Programs::new();
    let end = OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
    programs.stored.keys[0].expires = Some(end);
    programs.publish();
    assert!(programs.ask(SystemTime::from(end) - Duration::from_millis(1)).is_ok());
    assert_eq!(programs.ask(end.into()), Err(Refusal::Expired));
    programs.stored.service_accounts[0].disabled = true;
    programs.publish();
    assert_eq!(programs.ask(SystemTime::UNIX_EPOCH), Err(Refusal::Disabled));
    programs.stored.service_accounts[0].disabled = false;
    programs.stored.keys[0].revoked = Some(OffsetDateTime::UNIX_EPOCH);
    programs.publish();
    assert_eq!(programs.ask(SystemTime::UNIX_EPOCH), Err(Refusal::Unknown));
}

#[test]
fn the_last_use_of_a_key_is_told_once_and_survives_a_new_directory() {
    let programs = Programs::new();
    let id = programs.stored.keys[0].id;
    let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    assert_eq!(programs.authenticator.take_used(), []);
    programs.ask(at(100)).unwrap();
    programs.ask(at(160)).unwrap();
    programs.ask(at(130)).unwrap();
    programs.publish();
    let used = programs.authenticator.take_used();
    assert_eq!(used, [(id, OffsetDateTime::from_unix_timestamp(160).unwrap())]);
    assert_eq!(programs.authenticator.take_used(), []);
    programs.authenticator.put_back_used(&used);
    assert_eq!(programs.authenticator.take_used(), used);
    programs.authenticator.authenticate(api_key::mint(id).0.expose_secret(), at(200)).unwrap_err();
    assert_eq!(programs.authenticator.take_used(), [], "only a key that counts was used");
}

#[test]
fn a_token_counts_by_what_the_directory_says_of_its_user() {
    let (authenticator, mut ada) = (authenticator(), ada());
    let now = SystemTime::now();
    let token = authenticator.tokens().issue(&ada, 7, now);
    let ask = |ada: &User| {
        let users = vec![ada.clone()];
        authenticator.publish(Directory::of(&Stored { revision: 7, users, ..Stored::default() }));
        authenticator.authenticate(token.expose_secret(), now)
    };
    let known = ask(&ada).unwrap();
    assert_eq!((known.principal.subject().as_str(), known.key), ("user:ada@example.com", None));
    ada.role = Role::Viewer;
    assert_eq!(ask(&ada).unwrap().principal.role, Some(Role::Viewer), "not the token's");
    ada.disabled = true;
    assert_eq!(ask(&ada), Err(Refusal::Disabled));
    ada.disabled = false;
    ada.epoch = 4;
    assert_eq!(ask(&ada), Err(Refusal::Disabled));
    ada.epoch = 2;
    assert!(ask(&ada).is_ok(), "the directory is behind the token");
}

#[test]
fn a_newcomer_counts_by_the_token_until_the_directory_catches_up() {
    let (authenticator, ada) = (authenticator(), ada());
    let now = SystemTime::now();
    let token = authenticator.tokens().issue(&ada, 7, now);
    let ask = |revision| {
        authenticator.publish(Directory::of(&Stored { revision, ..Stored::default() }));
        authenticator.authenticate(token.expose_secret(), now)
    };
    assert_eq!(ask(6).unwrap().principal.role, Some(Role::Admin));
    assert_eq!(ask(7), Err(Refusal::Disabled), "deleted");
}

#[test]
fn a_token_that_is_badly_signed_is_refused() {
    let (authenticator, ada) = (authenticator(), ada());
    let foreign = self::authenticator().tokens().issue(&ada, 7, SystemTime::now());
    for token in [foreign.expose_secret(), "a.b.c", ""] {
        let refused = authenticator.authenticate(token, SystemTime::now());
        assert_eq!(refused, Err(Refusal::Malformed), "{token}");
    }
}
