//! Kubernetes as an issuer of tokens, where that is switched on.

use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Settings;
use crate::identity::directory::Authenticator;
use crate::identity::issuer::Issuer;
use crate::identity::ring::KeyRing;
use crate::services::issuers::kubernetes::ApiServer;
use crate::services::issuers::{IssuerKeys, KUBERNETES};
use crate::services::sealed_file::SealedFile;
use crate::telemetry::metrics::Metrics;

/// Whose keys are kept fresh, and where they come from.
pub(super) struct Issuers(Option<(Arc<IssuerKeys>, ApiServer)>);

/// Lets the tokens of the cluster count, if there is one, by the keys that were kept for now.
pub(super) fn trusting(
    authenticator: Authenticator,
    cluster: Option<kube::Client>,
    settings: &Settings,
    ring: &KeyRing,
    metrics: &Arc<Metrics>,
) -> (Arc<Authenticator>, Issuers) {
    let Some(client) = cluster else { return (Arc::new(authenticator), Issuers(None)) };
    let issuer = Arc::new(Issuer::kubernetes());
    let file = |folder: &PathBuf| SealedFile::new(folder.clone(), KUBERNETES, ring.clone());
    let kept = settings.snapshot_dir.as_ref().map(file);
    let keys = Arc::new(IssuerKeys::new(Arc::clone(&issuer), kept, Arc::clone(metrics)));
    (Arc::new(authenticator.trusting(issuer)), Issuers(Some((keys, ApiServer::new(client)))))
}

impl Issuers {
    /// What the ops port tells of.
    pub(super) fn keys(&self) -> Vec<Arc<IssuerKeys>> {
        self.0.iter().map(|(keys, _)| Arc::clone(keys)).collect()
    }

    /// Waits a little for the first keys, and keeps them fresh from then on.
    pub(super) async fn begin(self, background: &TaskTracker, stop: CancellationToken) {
        if let Some((keys, source)) = self.0 {
            keys.first(&source).await;
            background.spawn(keys.keep_fresh(source, stop));
        }
    }
}
