//! Kubernetes as an issuer of tokens, where that is switched on.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::config::Settings;
use crate::identity::directory::Authenticator;
use crate::identity::issuer::Issuer;
use crate::identity::ring::KeyRing;
use crate::services::issuers::kubernetes::ApiServer;
use crate::services::issuers::{IssuerKeys, KUBERNETES};
use crate::services::kubernetes;
use crate::services::sealed_file::SealedFile;
use crate::telemetry::metrics::Metrics;

/// The cluster whose tokens count, if there is one.
pub(super) struct Cluster(Option<kube::Client>);

/// Whose keys are kept fresh, and where they come from.
pub(super) struct Issuers(Option<(Arc<IssuerKeys>, ApiServer)>);

impl Cluster {
    /// The one that the environment names. Nothing is sent yet.
    pub(super) async fn of(settings: &Settings) -> Result<Self, StartError> {
        if !settings.kubernetes {
            return Ok(Self(None));
        }
        let client = kubernetes::client().await.map_err(|reason| {
            let fault = format!("LEVEE_KUBERNETES: it is on, but there is no way to the cluster: {reason}");
            StartError::Configuration(vec![fault])
        })?;
        Ok(Self(Some(client)))
    }

    /// Lets its tokens count, by the keys that were kept for now.
    pub(super) fn trusted_by(
        self,
        authenticator: Authenticator,
        settings: &Settings,
        ring: &KeyRing,
        metrics: &Arc<Metrics>,
    ) -> (Arc<Authenticator>, Issuers) {
        let Some(client) = self.0 else { return (Arc::new(authenticator), Issuers(None)) };
        let issuer = Arc::new(Issuer::kubernetes());
        let file = |folder: &std::path::PathBuf| SealedFile::new(folder.clone(), KUBERNETES, ring.clone());
        let kept = settings.snapshot_dir.as_ref().map(file);
        let keys = Arc::new(IssuerKeys::new(Arc::clone(&issuer), kept, Arc::clone(metrics)));
        (Arc::new(authenticator.trusting(issuer)), Issuers(Some((keys, ApiServer::new(client)))))
    }
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
