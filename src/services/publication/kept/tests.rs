//! What was kept is read back, and nothing else is.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::models::custom_resource::ResourceId;
use crate::models::principal::{Class, Role};
use crate::models::registration::{BreakerOverride, ForcedMode, Registration, SealedCredential};
use crate::models::service_account::{ApiKeyRecord, ServiceAccount};
use crate::models::user::{Email, User};

fn ring() -> KeyRing {
    KeyRing::parse(&KeyRing::generate("k1")).unwrap()
}

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
}

#[expect(clippy::too_many_lines, reason = "one value with every field")]
fn state() -> Kept {
    let (user, account) = (Uuid::now_v7(), Uuid::now_v7());
    let stored = Stored {
        revision: 7,
        upstreams: vec![Registration {
            name: "rates".into(),
            spec: json!({ "url": "https://api.example.com", "retry": { "attempts": 2 } }),
            revision: 5,
            created: at(1),
            updated: at(2),
            updated_by: "user:ada@example.com".into(),
        }],
        credentials: vec![SealedCredential {
            upstream: "rates".into(),
            binding: "https://api.example.com:443".into(),
            version: 3,
            kid: "k1".into(),
            sealed: vec![0, 1, 255],
            updated: at(3),
            updated_by: "user:ada@example.com".into(),
        }],
        overrides: vec![BreakerOverride {
            upstream: "rates".into(),
            operation: Some("quote".into()),
            mode: ForcedMode::Open,
            reason: "they asked us to".into(),
            expires: Some(at(4)),
            set: at(5),
            set_by: "user:ada@example.com".into(),
        }],
        users: vec![User {
            id: user,
            email: Email::parse("Ada@example.com").unwrap(),
            name: "Ada".into(),
            role: Role::Admin,
            disabled: false,
            epoch: 2,
            created: at(6),
            updated: at(7),
            version: 4,
        }],
        service_accounts: vec![ServiceAccount {
            id: account,
            name: "billing".into(),
            role: Some(Role::Operator),
            class: Class::High,
            disabled: true,
            created: at(8),
            updated: at(9),
            version: 1,
        }],
        keys: vec![ApiKeyRecord {
            id: Uuid::now_v7(),
            service_account: account,
            name: "laptop".into(),
            hash: [9; 32],
            created: at(10),
            expires: Some(at(11)),
            last_used: None,
            revoked: None,
        }],
    };
    let sealed = SealedCredential { upstream: "shop.rates".into(), ..stored.credentials[0].clone() };
    let resource = KeptResource {
        id: ResourceId { namespace: "shop".into(), object: "rates".into() },
        name: "shop.rates".into(),
        uid: "4a1c".into(),
        generation: 3,
        spec: Arc::new(json!({ "url": "https://api.example.com" })),
        sealed: Some(("17".into(), sealed)),
    };
    Kept { stored: Arc::new(stored), resources: Some(Arc::new(vec![resource])) }
}

#[test]
fn what_was_kept_comes_back_whole_and_only_its_owner_may_read_it() {
    let folder = TempDir::new().unwrap();
    let kept = KeptState::new(folder.path().join("made/here"), ring());
    assert!(kept.read().unwrap().is_none());
    let state = state();
    kept.write(&Kept { stored: Arc::default(), resources: None }).unwrap();
    assert!(kept.read().unwrap().unwrap().resources.is_none(), "no cluster was asked");
    kept.write(&state).unwrap();
    let read = kept.read().unwrap().unwrap();
    assert_eq!(format!("{read:?}"), format!("{state:?}"));
    assert_eq!(read.stored.credentials[0].sealed, state.stored.credentials[0].sealed);
    assert_eq!(read.resources, state.resources);
    assert_eq!(fs::metadata(kept.file()).unwrap().permissions().mode() & 0o777, 0o600);
    let text = String::from_utf8_lossy(&fs::read(kept.file()).unwrap()).into_owned();
    assert!(!text.contains("rates") && !text.contains("Ada"), "it is sealed");
    assert_eq!(fs::read_dir(kept.file().parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_is_damaged_or_foreign_is_refused() {
    let folder = TempDir::new().unwrap();
    let kept = KeptState::new(folder.path().to_owned(), ring());
    kept.write(&state()).unwrap();
    let whole = fs::read(kept.file()).unwrap();
    for cut in [0, 5, FORM.magic.len(), FORM.magic.len() + 1, whole.len() / 2, whole.len() - 1] {
        fs::write(kept.file(), &whole[..cut]).unwrap();
        assert!(kept.read().is_err(), "cut after {cut}");
    }
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(kept.file(), &changed).unwrap();
    assert!(kept.read().is_err());
    fs::write(kept.file(), &whole).unwrap();
    assert!(KeptState::new(folder.path().to_owned(), ring()).read().is_err(), "another ring");
    assert!(kept.read().unwrap().is_some());
}
