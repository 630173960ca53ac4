//! The cluster that is watched, where the settings say so, and what operators see of that.

use std::sync::Arc;

use serde_json::{Value, json};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::config::Settings;
use crate::controller::{Cluster, Controller, Scope, Standing};
use crate::services::publication::Publisher;
use crate::telemetry::metrics::KubernetesReading;

/// A cluster that nobody has asked yet.
pub(super) struct Kubernetes {
    cluster: Cluster,
    scope: Scope,
    standing: Arc<Standing>,
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
    /// For the ops port.
    pub(super) fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.standing)
    }

    /// For whoever else asks the cluster something.
    pub(super) fn client(&self) -> kube::Client {
        self.cluster.client()
    }

    pub(super) fn start(self, tasks: &TaskTracker, stop: &CancellationToken) -> Controller {
        Controller::start(self.cluster, self.scope, self.standing, tasks.clone(), stop.clone())
    }
}

/// Waits until the lead was given back, if there is a controller.
pub(super) async fn ended(controlling: Option<JoinHandle<()>>) {
    let Some(controlling) = controlling else { return };
    if let Err(panicked) = controlling.await {
        tracing::error!(%panicked, "the controller ended badly");
    }
}

/// Whether all is well, and what metrics have beside that.
pub(super) fn reading(standing: &Standing) -> (bool, KubernetesReading) {
    let reading = standing.reading();
    let last_event = reading.last_contact.unwrap_or_default();
    (reading.up, KubernetesReading { last_event, leading: reading.leading })
}

/// For `/status`.
pub(super) fn status(standing: &Standing, publisher: Option<&Publisher>) -> Value {
    let reading = standing.reading();
    json!({
        "up": reading.up,
        "troubles": reading.troubles,
        "lastEvent": reading.last_contact,
        "leader": reading.leader,
        "leading": reading.leading,
        "customResourceFaults": publisher.map(faults).unwrap_or_default(),
    })
}

/// What is wrong with Upstreams of the cluster.
fn faults(publisher: &Publisher) -> Vec<Value> {
    let now = publisher.published();
    let faulty = now.merged.resources.iter().filter(|(_, report)| !report.faults.is_empty());
    faulty
        .map(|(id, report)| {
            let lines = report.faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail));
            json!({
                "resource": id.to_string(),
                "upstream": report.name,
                "accepted": report.accepted,
                "inForce": report.in_force,
                "faults": lines.collect::<Vec<_>>(),
            })
        })
        .collect()
}
