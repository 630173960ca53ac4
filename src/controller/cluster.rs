//! The API server: where it is, how long a call to it may take, and what its refusals mean.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::{Client, Config};
use tokio::time::timeout;

use super::definition::{GROUP, KIND, PLURAL, VERSION};

/// Setting up a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// One call that is no watch.
pub(super) const CALL: Duration = Duration::from_secs(10);

/// A way to the API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
    upstreams: ApiResource,
    /// Where the API server is, if that is written as an address.
    address: Option<SocketAddr>,
}

impl Cluster {
    /// As the environment says: a kubeconfig that `KUBECONFIG` names, else the cluster this process runs in. Nothing is
    /// asked yet.
    pub async fn from_environment() -> Result<Self, String> {
        let mut config = Config::infer().await.map_err(|error| {
            format!("there is neither a kubeconfig nor a cluster around this process: {}", chain(&error))
        })?;
        // The client's own retries go on for an hour; ours are per object, and each call has its limit.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        let (namespace, address) = (config.default_namespace.clone(), address_of(&config.cluster_url));
        let client = Client::try_from(config).map_err(|error| chain(&error))?;
        Ok(Self { address, ..Self::new(client, namespace) })
    }

    /// Over a client, with the namespace that is Levee's own.
    pub(super) fn new(client: Client, namespace: String) -> Self {
        let kind = GroupVersionKind::gvk(GROUP, VERSION, KIND);
        let upstreams = ApiResource::from_gvk_with_plural(&kind, PLURAL);
        Self { client, namespace, upstreams, address: None }
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The client it is asked by, with no retries of its own.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Levee's own namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Upstreams of one namespace, or of all.
    pub(super) fn upstreams(&self, namespace: Option<&str>) -> Api<DynamicObject> {
        let client = self.client.clone();
        match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &self.upstreams),
            None => Api::all_with(client, &self.upstreams),
        }
    }

    pub(super) fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(super) fn events(&self, namespace: &str) -> Api<Event> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Those of Levee's own namespace.
    pub(super) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// Why a call to the API server came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{said}")]
pub(super) struct Trouble {
    pub(super) kind: TroubleKind,
    said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// It does not exist; for a list: nor does its kind.
    NotFound,
    /// Another writer was faster.
    Conflict,
    /// The version to go on from is too old.
    Gone,
    /// The right is missing.
    Forbidden,
    /// Anything else, the network included.
    Other,
}

impl Trouble {
    pub(super) fn other(said: impl Into<String>) -> Self {
        Self { kind: TroubleKind::Other, said: said.into() }
    }

    /// With what it was about.
    pub(super) fn about(self, what: &str) -> Self {
        Self { said: format!("{what}: {}", self.said), ..self }
    }

    pub(super) fn of_status(status: &kube::core::Status) -> Self {
        let kind = match status.code {
            404 => TroubleKind::NotFound,
            409 => TroubleKind::Conflict,
            410 => TroubleKind::Gone,
            401 | 403 => TroubleKind::Forbidden,
            _ => TroubleKind::Other,
        };
        Self { kind, said: format!("{} ({})", status.message, status.code) }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(&status),
            error => Self::other(chain(&error)),
        }
    }
}

/// One call, within its time.
pub(super) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = kube::Result<T>>,
) -> Result<T, Trouble> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map_err(Trouble::from),
        Err(_) => Err(Trouble::other(format!("the Kubernetes API did not answer within {limit:?}"))),
    }
}

fn address_of(url: &http::Uri) -> Option<SocketAddr> {
    let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
    Some(SocketAddr::new(host.parse().ok()?, port))
}

/// What an error says, and what lies at the bottom of it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(|source| source.source()) {
        deepest = Some(next);
    }
    match deepest.map(ToString::to_string) {
        Some(deepest) if !error.to_string().contains(&deepest) => format!("{error}: {deepest}"),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_server_that_is_named_by_address_is_known() {
        let known = |url: &str| address_of(&url.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(known("https://10.96.0.1").as_deref(), Some("10.96.0.1:443"));
        assert_eq!(known("https://[fd00::1]:6443/").as_deref(), Some("[fd00::1]:6443"));
        assert_eq!(known("http://127.0.0.1").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(known("https://kubernetes.default.svc"), None);
    }

    #[test]
    fn what_lies_at_the_bottom_of_an_error_is_said_once() {
        let inner = std::io::Error::other("nobody listens");
        let error = kube::Error::Service(Box::new(inner));
        assert_eq!(Trouble::from(error).to_string().matches("nobody listens").count(), 1);
        let status =
            kube::core::Status { code: 403, message: "no".to_owned(), ..kube::core::Status::default() };
        assert_eq!(Trouble::from(kube::Error::Api(Box::new(status))).kind, TroubleKind::Forbidden);
    }
}
