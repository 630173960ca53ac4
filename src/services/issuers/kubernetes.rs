//! The API server of Kubernetes as an issuer: what it calls itself stands in its OpenID configuration, its keys beside that.

use std::time::SystemTime;

use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

use super::{FetchError, KeySource};
use crate::identity::issuer::KeySet;

const CONFIGURATION: &str = "/.well-known/openid-configuration";
/// The keys are asked for at the API server itself: `jwks_uri` may name a host that no pod reaches.
const KEYS: &str = "/openid/v1/jwks";
/// Most bytes of an answer.
const MOST: usize = 256 << 10;

/// Over a client of the API server. Every service account may read both by Kubernetes' own default.
pub struct ApiServer(Client);

impl ApiServer {
    /// The one this client reaches.
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    async fn get(&self, path: &str) -> Result<Value, FetchError> {
        let request = Request::get(path).body(Body::empty()).expect("the path is a path");
        let answer = self.0.send(request).await;
        let answer = answer.map_err(|error| FetchError::Unreachable(format!("{path}: {error}")))?;
        if answer.status() != StatusCode::OK {
            return Err(refused(path, &answer.status()));
        }
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        let bytes = body.map_err(|error| refused(path, &error))?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| refused(path, &error))
    }
}

impl KeySource for ApiServer {
    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let configuration = self.get(CONFIGURATION).await?;
        let keys = self.get(KEYS).await?;
        let issuer = configuration["issuer"].as_str().unwrap_or_default();
        Ok(KeySet::read(issuer, &keys, SystemTime::now())?)
    }
}

fn refused(path: &str, why: &dyn std::fmt::Display) -> FetchError {
    FetchError::Refused(format!("{path}: {why}"))
}
