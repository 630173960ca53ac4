//! What the unit tests share: what breakers do, and an API server in place of the network, for tests under paused time. It
//! keeps objects by path and says what was asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::services::breakers::fixtures::quiet;
use crate::services::breakers::{BreakerMode, BreakerReport, BreakerState};

/// What a breaker of the upstream `shop.rates` does.
pub(super) fn breaker(operation: Option<&str>, state: BreakerState, mode: BreakerMode) -> BreakerReport {
    BreakerReport { mode, state, ..quiet("shop.rates", operation) }
}

/// Shared by the test and the clients.
#[derive(Clone, Default)]
pub(super) struct FakeApi(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    asked: Vec<(Method, String, Value)>,
    trouble: Trouble,
}

/// What is the matter with it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Trouble {
    #[default]
    Nothing,
    /// Every request fails.
    Fails,
    /// No request is answered.
    Hangs,
}

impl FakeApi {
    pub(super) fn cluster(&self) -> Cluster {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { api.answer(request).await }
        });
        Cluster::new(Client::new(service, "levee"), "levee".to_owned())
    }

    pub(super) fn set(&self, trouble: Trouble) {
        self.0.lock().trouble = trouble;
    }

    /// The object at the end of a path.
    pub(super) fn object(&self, name: &str) -> Value {
        let state = self.0.lock();
        let found = state.objects.iter().find(|(path, _)| path.ends_with(name));
        found.map(|(_, object)| object.clone()).unwrap_or_default()
    }

    /// Requests of a method whose path ends so.
    pub(super) fn asked(&self, method: &Method, end: &str) -> Vec<Value> {
        let state = self.0.lock();
        let of_it = state.asked.iter().filter(|(asked, path, _)| asked == method && path.ends_with(end));
        of_it.map(|(_, _, body)| body.clone()).collect()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let trouble = self.0.lock().trouble;
        match trouble {
            Trouble::Fails => return Err(std::io::Error::other("nobody answers")),
            Trouble::Hangs => tokio::time::sleep(Duration::from_secs(3600)).await,
            Trouble::Nothing => {}
        }
        let (status, value) = self.0.lock().take(&head.method, head.uri.path(), body);
        let body = Full::new(Bytes::from(value.to_string()));
        Ok(Response::builder().status(status).body(body).unwrap())
    }
}

impl State {
    fn take(&mut self, method: &Method, path: &str, mut body: Value) -> (u16, Value) {
        self.asked.push((method.clone(), path.to_owned(), body.clone()));
        let refused = |code: u16| {
            (code, json!({ "kind": "Status", "status": "Failure", "message": "no", "code": code }))
        };
        let path = match *method {
            Method::POST => format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default()),
            _ => path.trim_end_matches("/status").to_owned(),
        };
        let known = self.objects.get(&path);
        match (method, known) {
            (&Method::GET, Some(known)) => return (200, known.clone()),
            (&Method::POST, Some(_)) => return refused(409),
            (&Method::PUT, Some(known))
                if known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] =>
            {
                return refused(409);
            }
            (&Method::GET | &Method::PUT, None) => return refused(404),
            (&Method::PATCH, Some(known)) => {
                let mut patched = known.clone();
                for (field, value) in body.as_object().into_iter().flatten() {
                    patched[field] = value.clone();
                }
                body = patched;
            }
            _ => {}
        }
        self.version += 1;
        body["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path, body.clone());
        (200, body)
    }
}
