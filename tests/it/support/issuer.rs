//! The part of a Kubernetes API server that issues tokens: its OpenID configuration and its keys, over TLS, for whoever
//! brings the token of the kubeconfig.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What it calls itself in its tokens.
const NAME: &str = "https://kubernetes.default.svc.cluster.local";
/// What Levee has to bring.
const POD_TOKEN: &str = "the-token-of-the-pod";

/// It has no custom resources, and says so.
const UPSTREAMS: &str = "/apis/levee.dev/v1alpha1/upstreams";

/// A running one. Dropping it closes its port.
pub(crate) struct ApiServer {
    address: SocketAddr,
    ca: String,
    state: Arc<State>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    keys: Mutex<Vec<Value>>,
    asked: Mutex<Vec<String>>,
}

/// A key it may sign with.
pub(crate) struct SigningKey {
    kid: &'static str,
    key: RsaKeyPair,
}

impl ApiServer {
    /// Starts on a free port, without keys.
    pub(crate) async fn start() -> Self {
        let (ca, tls) = certificates();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let serving = Some(tokio::spawn(accept(listener, tls, Arc::clone(&state))));
        Self { address, ca, state, serving }
    }

    /// Publishes these keys and no others.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        *self.state.keys.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Closes its port and every connection.
    pub(crate) async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Which of its two paths it was asked for with the right token; whatever else is asked it does not have.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// A kubeconfig that leads here.
    pub(crate) fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "levee" } }],
            "clusters": [{ "name": "test", "cluster": {
                "server": format!("https://{}", self.address),
                "certificate-authority-data": BASE64_STANDARD.encode(&self.ca),
            } }],
            "users": [{ "name": "levee", "user": { "token": POD_TOKEN } }],
        })
        .to_string()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

impl SigningKey {
    /// A fresh one with this id.
    pub(crate) fn new(kid: &'static str) -> Self {
        Self { kid, key: RsaKeyPair::generate(KeySize::Rsa2048).unwrap() }
    }

    /// The bound token of a service account, for ten minutes, with these claims in place of its own; null takes one out.
    pub(crate) fn token(&self, namespace: &str, account: &str, changed: &Value) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = json!({
            "iss": NAME, "aud": ["levee"], "sub": format!("system:serviceaccount:{namespace}:{account}"),
            "iat": now, "nbf": now, "exp": now + 600,
            "kubernetes.io": { "namespace": namespace, "serviceaccount": { "name": account, "uid": "u" } },
        });
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({ "alg": "RS256", "kid": self.kid })), part(&claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let (n, e) = (self.key.public_key().modulus(), self.key.public_key().exponent());
        json!({
            "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid,
            "n": text(n.big_endian_without_leading_zero()), "e": text(e.big_endian_without_leading_zero()),
        })
    }
}

fn none() -> Value {
    json!({
        "apiVersion": "levee.dev/v1alpha1", "kind": "UpstreamList",
        "metadata": { "resourceVersion": "1" }, "items": [],
    })
}

/// The PEM of an authority, and what serves under it as `127.0.0.1`.
fn certificates() -> (String, TlsAcceptor) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority.self_signed(&authority_key).unwrap().pem();
    let (key, issuer) = (KeyPair::generate().unwrap(), Issuer::new(authority, authority_key));
    let names = ["127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    (ca, TlsAcceptor::from(Arc::new(config)))
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, tls.clone(), Arc::clone(&state)));
    }
}

/// One request, one answer.
async fn answer(stream: TcpStream, tls: TlsAcceptor, state: Arc<State>) -> std::io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16_384 {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let known = ["/.well-known/openid-configuration", "/openid/v1/jwks"].contains(&path);
    let (status, body) = if head.contains(&format!("authorization: bearer {POD_TOKEN}")) {
        if known {
            state.asked.lock().unwrap().push(path.to_owned());
        }
        match path {
            "/.well-known/openid-configuration" => {
                (200, json!({ "issuer": NAME, "jwks_uri": "https://elsewhere.invalid/keys" }))
            }
            "/openid/v1/jwks" => (200, json!({ "keys": *state.keys.lock().unwrap() })),
            path if path.starts_with(UPSTREAMS) => (200, none()),
            _ => (404, json!({ "kind": "Status", "code": 404 })),
        }
    } else {
        (401, json!({ "kind": "Status", "code": 401 }))
    };
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} .\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}
