//! Upstreams of a Kubernetes cluster: every replica watches and serves them, the leader answers in their status.
//!
//! What the API server says goes through the one door of `services::publication`, like files and what is stored. While
//! the API server is away, what was said last stays in force.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::models::custom_resource::CustomResource;
use crate::services::breakers::BreakerReport;
use crate::services::publication::{KeptResource, Publisher};

/// Pauses that grow.
mod backoff;
/// The API server.
mod cluster;
/// The custom resource definition.
pub mod definition;
/// Events on Upstreams.
mod events;
/// Who of several replicas leads.
mod lease;
/// Status and Events, written by the leader.
mod reporting;
/// What the code asks of the API server.
pub mod rights;
/// The Secrets that Upstreams name.
mod secrets;
/// What the API server said last.
mod seen;
/// How the controller does, for operators.
mod standing;
/// What an Upstream's status says.
mod status;
/// List and watch.
mod watch;

pub use cluster::Cluster;
pub use standing::{Reading, Standing};

use lease::Election;
use reporting::Reporter;
use seen::{Objects, Seen};

/// Changes that come close together are published together.
const SETTLE: Duration = Duration::from_millis(20);

/// Before the first publication Secrets are waited for no longer than this.
const SECRETS_WITHIN: Duration = Duration::from_secs(10);

/// With a kept snapshot at hand the API server is waited for no longer than this.
const KEPT_AFTER: Duration = Duration::from_secs(5);

/// What is watched.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Namespaces whose Upstreams count; empty: those of the whole cluster.
    pub namespaces: Vec<String>,
    /// Namespaces whose Secrets may be read beside those of Levee's own.
    pub secret_namespaces: Vec<String>,
}

impl Scope {
    fn reads_secrets_of(&self, namespace: &str, own: &str) -> bool {
        namespace == own || self.secret_namespaces.iter().any(|listed| listed == namespace)
    }
}

/// What breakers of this replica do.
pub type Breakers = Box<dyn Fn() -> Vec<BreakerReport> + Send + Sync>;

/// The controller of one process.
pub struct Controller {
    cluster: Cluster,
    scope: Arc<Scope>,
    seen: Arc<Seen>,
    standing: Arc<Standing>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Controller {
    /// Begins to watch on `tasks`, until `stop`.
    pub fn start(
        cluster: Cluster,
        scope: Scope,
        standing: Arc<Standing>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (scope, seen) = (Arc::new(scope), Arc::new(Seen::default()));
        let namespaces: Vec<Option<&str>> = match &scope.namespaces[..] {
            [] => vec![None],
            listed => listed.iter().map(|namespace| Some(namespace.as_str())).collect(),
        };
        for (index, namespace) in namespaces.into_iter().enumerate() {
            let what = namespace
                .map_or_else(|| "Upstreams".to_owned(), |namespace| format!("Upstreams of {namespace}"));
            let objects = Objects::new(Arc::clone(&seen), Arc::clone(&standing), index, what);
            tasks.spawn(watch::follow(cluster.upstreams(namespace), None, objects, stop.clone()));
        }
        let named = secrets::follow_named(
            cluster.clone(),
            Arc::clone(&scope),
            Arc::clone(&seen),
            tasks.clone(),
            stop.clone(),
        );
        tasks.spawn(named);
        Self { cluster, scope, seen, standing, tasks, stop }
    }

    /// Where the API server is, if that is written as an address: no upstream may be there.
    pub fn api_server(&self) -> Option<SocketAddr> {
        self.cluster.address()
    }

    /// Gives the publisher what to begin with, once there is something: what the API server says, or while it does not
    /// answer, what was kept.
    pub async fn begin(&self, publisher: &Publisher, kept: Option<Arc<Vec<KeptResource>>>) {
        let listed = async {
            self.seen.until(Seen::is_listed).await;
            // A call that finds its credential missing is worse than a start that takes a little longer.
            let looked_at = self.seen.until(|seen| seen.has_looked_at_secrets(&self.scope, &self.cluster));
            timeout(SECRETS_WITHIN, looked_at).await.ok();
        };
        let Some(kept) = kept else {
            let troubled = self.seen.until(Seen::is_troubled);
            tokio::pin!(listed);
            tokio::select! {
                () = &mut listed => {}
                () = troubled => {
                    tracing::warn!("not ready before the Kubernetes API can be asked");
                    listed.await;
                }
            }
            publisher.begin_with_resources(self.resources());
            return;
        };
        let troubled = self.seen.until(Seen::is_troubled);
        tokio::select! {
            biased;
            () = listed => publisher.begin_with_resources(self.resources()),
            _ = timeout(KEPT_AFTER, troubled) => {
                let upstreams = kept.len();
                tracing::warn!(upstreams, "beginning with the custom resources that were kept on disk");
                publisher.begin_with_kept_resources(&kept);
            }
        }
    }

    /// Publishes what changes, and while this replica leads, writes status and Events. Ends after `stop`, when the
    /// lease was given back.
    pub async fn run(self, publisher: Arc<Publisher>, breakers: Breakers) {
        let reporter = Reporter::new(
            self.cluster.clone(),
            Arc::clone(&self.seen),
            Arc::clone(&publisher),
            breakers,
            Arc::clone(&self.standing),
        );
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(reporter.run()));
        let election = Election::new(self.cluster.leases(), Arc::clone(&self.standing));
        tokio::join!(self.publish_changes(&publisher), election.run(self.stop.clone()));
    }

    async fn publish_changes(&self, publisher: &Arc<Publisher>) {
        let publishing = async {
            // Begins with what came while the first publication was made.
            let mut changes = self.seen.subscribe();
            loop {
                tokio::time::sleep(SETTLE).await;
                changes.borrow_and_update();
                if self.seen.is_listed() {
                    publisher.take_resources(self.resources()).await;
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        };
        self.stop.run_until_cancelled(publishing).await;
    }

    fn resources(&self) -> Vec<CustomResource> {
        self.seen.resources(&self.scope, &self.cluster)
    }
}

#[cfg(test)]
mod fixtures;
