//! TLS to upstreams: rustls with aws-lc-rs, the system's roots or a policy's own.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::failure::{SendFailure, SendFailureKind};

/// Why an upstream's `tls` cannot be used.
#[derive(Debug, Error)]
pub enum SetupFailure {
    /// The host is neither a name nor an address.
    #[error("`url`: {0:?} is not a host name")]
    Host(String),
    /// `tls.ca` is not PEM.
    #[error("`tls.ca`: not PEM: {0}")]
    Pem(String),
    /// `tls.ca` holds something that is not a certificate to trust.
    #[error("`tls.ca`: {0}")]
    Certificate(rustls::Error),
    /// `tls.ca` holds no certificate.
    #[error("`tls.ca`: no certificate in it")]
    Empty,
    /// The system has no roots, and the upstream gives none.
    #[error("no trusted root certificates are installed on this system: {0}")]
    NoRoots(String),
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up: {0}")]
    Library(rustls::Error),
}

/// How to speak TLS with one upstream.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Self, SetupFailure> {
        // A trailing dot is for the resolver; certificates and SNI are without (RFC 6066 section 3).
        let name = ServerName::try_from(host.trim_end_matches('.').to_owned())
            .map_err(|_| SetupFailure::Host(host.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(config), name })
    }

    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        deadline: Instant,
    ) -> Result<TlsStream<TcpStream>, SendFailure> {
        match timeout_at(deadline, self.connector.connect(self.name.clone(), stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                let token = token(error.get_ref().and_then(|inner| inner.downcast_ref()));
                Err(SendFailure::unsent(SendFailureKind::Tls, token, format!("TLS handshake: {error}")))
            }
            Err(_) => Err(SendFailure::unsent(
                SendFailureKind::ConnectTimeout,
                "connection_timeout",
                "the TLS handshake did not finish in time".to_owned(),
            )),
        }
    }
}

fn token(error: Option<&rustls::Error>) -> &'static str {
    match error {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            "tls_certificate_error"
        }
        Some(rustls::Error::AlertReceived(_)) => "tls_alert_received",
        Some(_) => "tls_protocol_error",
        None => "connection_terminated",
    }
}

/// Trusts the certificates of a policy's `tls.ca` and no others.
pub(super) fn trusting(pem: &str) -> Result<Arc<ClientConfig>, SetupFailure> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| SetupFailure::Pem(error.to_string()))?;
        roots.add(certificate).map_err(SetupFailure::Certificate)?;
    }
    if roots.is_empty() { Err(SetupFailure::Empty) } else { config(roots) }
}

/// Trusts what the system trusts. Reads files: not for the call path.
pub(super) fn trusting_the_system() -> Result<Arc<ClientConfig>, SetupFailure> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let first = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(SetupFailure::NoRoots(first));
    }
    if unusable > 0 || !found.errors.is_empty() {
        tracing::warn!(
            unusable,
            unreadable = found.errors.len(),
            "some of the system's root certificates are unusable"
        );
    }
    config(roots)
}

fn config(roots: RootCertStore) -> Result<Arc<ClientConfig>, SetupFailure> {
    // Named here, because two providers in one process, by way of some dependency, would make the default panic.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(SetupFailure::Library)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
