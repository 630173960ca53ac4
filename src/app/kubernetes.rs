//! The cluster that is watched, where the settings say so.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::config::Settings;
use crate::controller::{Cluster, Controller, Scope, Standing};

/// A cluster that nobody has asked yet.
pub(super) struct Kubernetes {
    cluster: Cluster,
    scope: Scope,
    pub(super) standing: Arc<Standing>,
}

/// Finds the way to it; none where it is switched off.
pub(super) async fn find(settings: &Settings) -> Result<Option<Kubernetes>, StartError> {
    if !settings.kubernetes {
        return Ok(None);
    }
    let cluster = Cluster::from_environment().await;
    let cluster =
        cluster.map_err(|why| StartError::Configuration(vec![format!("LEVEE_KUBERNETES: {why}")]))?;
    let scope = Scope {
        namespaces: settings.kubernetes_namespaces.clone(),
        secret_namespaces: settings.kubernetes_secret_namespaces.clone(),
    };
    tracing::info!(own_namespace = cluster.namespace(), ?scope, "watching Upstreams of a cluster");
    Ok(Some(Kubernetes { cluster, scope, standing: Arc::default() }))
}

impl Kubernetes {
    pub(super) fn start(self, tasks: &TaskTracker, stop: &CancellationToken) -> Controller {
        Controller::start(self.cluster, self.scope, self.standing, tasks.clone(), stop.clone())
    }
}
