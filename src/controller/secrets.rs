//! The Secrets that Upstreams name: each watched by its name, so that Levee needs no right to list the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Scope;
use super::cluster::Cluster;
use super::seen::{OneSecret, SecretKey, SecretSeen, Seen};
use super::watch;
use crate::models::custom_resource::Leave;

/// Most entries of Secrets that are watched at once.
pub(super) const MOST: usize = 2_000;

/// Begins and ends watches as Upstreams name Secrets and stop naming them, until `stop`.
pub(super) async fn follow_named(
    cluster: Cluster,
    scope: Arc<Scope>,
    seen: Arc<Seen>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let mut followed: BTreeMap<SecretKey, CancellationToken> = BTreeMap::new();
    let mut changes = seen.subscribe();
    let following = async {
        loop {
            changes.borrow_and_update();
            let wanted = seen.wanted_secrets(&scope, &cluster);
            let gone: Vec<_> = followed.keys().filter(|key| !wanted.contains(key)).cloned().collect();
            for key in gone {
                followed.remove(&key).inspect(CancellationToken::cancel);
                seen.set_secret(&key, None);
            }
            for key in wanted {
                followed.entry(key).or_insert_with_key(|key| {
                    let (ended, secrets) = (stop.child_token(), cluster.secrets(&key.0));
                    let teller = OneSecret::new(Arc::clone(&seen), key.clone());
                    tasks.spawn(watch::follow(secrets, Some(key.1.name.clone()), teller, ended.clone()));
                    ended
                });
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    stop.run_until_cancelled(following).await;
}

/// What one entry holds. A line's end after it is no part of the secret: `kubectl create secret --from-file` keeps the
/// one that editors write.
pub(super) fn read(secret: Secret, key: &str) -> SecretSeen {
    let bytes = secret.data.and_then(|mut data| data.remove(key)).map(|bytes| Zeroizing::new(bytes.0));
    let text = bytes.as_ref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    let value = text.map(|text| text.trim_end_matches(['\r', '\n'])).filter(|text| !text.is_empty());
    SecretSeen::Present {
        value: value.map(|text| Arc::new(SecretString::from(text))),
        version: secret.metadata.resource_version.unwrap_or_default(),
        leave: Leave::of(&secret.metadata.annotations.unwrap_or_default()),
    }
}
