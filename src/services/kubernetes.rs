//! How this process reaches the Kubernetes API: with the pod's own token and authority, or a kubeconfig.

use std::time::Duration;

use kube::{Client, Config};

/// Connections that take longer come to nothing.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A client of the API server that `KUBECONFIG`, `~/.kube/config` or the pod names. It sends nothing yet, and never retries by
/// itself: whoever asks bounds each request and decides when to ask again. The reason where there is none.
pub async fn client() -> Result<Client, String> {
    let mut config = Config::infer().await.map_err(|error| error.to_string())?;
    config.connect_timeout = Some(CONNECT_WITHIN);
    config.default_retry = false;
    Client::try_from(config).map_err(|error| error.to_string())
}
