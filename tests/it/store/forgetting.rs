//! What is forgotten in time, so that nobody fills the database; and what an upstream leaves to another of its name.

use levee::models::audit::AuditFilter;
use levee::models::page::PageRequest;
use levee::models::registration::{BreakerOverride, ForcedMode, RevisionAction, SealedCredential};
use serde_json::json;
use time::OffsetDateTime;

use super::{actor, on_both};

/// Changes of one upstream that are kept.
const HISTORY: u64 = 200;

on_both! {
    async fn of_each_upstream_the_newest_changes_are_kept(store) {
        let name = || "rates".to_owned();
        let other = store.create_upstream("other".to_owned(), json!({}), actor()).await.unwrap().revision;
        let first = store.create_upstream(name(), json!({}), actor()).await.unwrap().revision;
        for value in 0..HISTORY {
            let spec = json!({ "value": value });
            store.replace_upstream(name(), spec, None, RevisionAction::Replaced, actor()).await.unwrap();
        }
        let page = |name: String, after| store.upstream_revisions(name, PageRequest { after, limit: 200 });
        let newest = page(name(), None).await.unwrap();
        assert_eq!((newest.items.len() as u64, newest.next), (HISTORY, None));
        assert_eq!(newest.items.last().unwrap().revision, first + 1, "the oldest is forgotten");
        assert!(store.upstream_revision(name(), first).await.is_err());
        assert_eq!(page("other".to_owned(), None).await.unwrap().items[0].revision, other);
    }

    async fn refused_logins_are_forgotten_in_time_and_nothing_else_is(store) {
        let note = async |action| {
            store.note(action, "user:ada@example.com".to_owned(), json!({}), actor()).await.unwrap();
        };
        for action in ["login.refused", "session.reused"] {
            note(action).await;
        }
        let days = |days: i64| days * 24 * 60 * 60 * 1_000_000;
        store.execute(&format!("UPDATE audit SET at = at - {}", days(89))).await;
        note("login.refused").await;
        assert_eq!(store.forget_expired_sessions().await.unwrap(), 0);
        store.execute(&format!("UPDATE audit SET at = at - {}", days(2))).await;
        assert_eq!(store.forget_expired_sessions().await.unwrap(), 1);
        let left = store.audit(AuditFilter::default(), PageRequest { after: None, limit: 9 }).await.unwrap();
        let left: Vec<_> = left.items.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(left, ["login.refused", "session.reused"]);
    }

    /// They may have been left by an upstream of a file, which whoever registers this one had no say in.
    async fn a_new_upstream_has_neither_the_credential_nor_the_forced_breaker_of_another_of_its_name(store) {
        let version = store.next_credential_version("rates".to_owned()).await.unwrap();
        let credential = |upstream: &str| SealedCredential {
            upstream: upstream.to_owned(),
            binding: "https://api.example.com:443 basic".to_owned(),
            version,
            kid: "k1".to_owned(),
            sealed: vec![1, 2, 3],
            updated: OffsetDateTime::UNIX_EPOCH,
            updated_by: String::new(),
        };
        for upstream in ["rates", "maps"] {
            store.put_credential(credential(upstream), actor()).await.unwrap();
            let forced = BreakerOverride {
                upstream: upstream.to_owned(),
                operation: None,
                mode: ForcedMode::Closed,
                reason: "a test".to_owned(),
                expires: None,
                set: OffsetDateTime::UNIX_EPOCH,
                set_by: actor().subject,
            };
            store.put_override(forced, actor()).await.unwrap();
        }
        store.create_upstream("rates".to_owned(), json!({}), actor()).await.unwrap();
        let stored = store.stored().await.unwrap();
        let kept: Vec<_> = stored.credentials.iter().map(|kept| kept.upstream.as_str()).collect();
        let forced: Vec<_> = stored.overrides.iter().map(|forced| forced.upstream.as_str()).collect();
        assert_eq!((kept, forced), (vec!["maps"], vec!["maps"]));
    }
}
