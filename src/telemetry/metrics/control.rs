//! Requests to the control plane, by route template.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode};
use parking_lot::Mutex;
use prometheus::proto::MetricFamily;

use super::counts::{Counts, Durations};
use super::families::{AUTH_FAILURES, HTTP_DURATION, HTTP_REQUESTS, RATE_LIMITED};
use super::labels::{AuthFailure, MethodLabel, RateLimit};

/// Routes with a label of their own: more than there are, so that a path used by mistake stays bounded.
const CAP: usize = 200;
const OTHER: &str = "_other";

/// All routes that were asked for.
#[derive(Debug, Default)]
pub(super) struct ControlPlane {
    routes: Mutex<BTreeMap<String, Route>>,
    pub(super) limited: Counts<RateLimit>,
    pub(super) auth_failures: Counts<AuthFailure>,
}

#[derive(Debug, Default)]
struct Route {
    answers: BTreeMap<(MethodLabel, u16), u64>,
    durations: Durations,
}

impl ControlPlane {
    pub(super) fn record(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let mut routes = self.routes.lock();
        let room = routes.len() < CAP;
        let label = route.filter(|route| room || routes.contains_key(*route)).unwrap_or(OTHER);
        if !routes.contains_key(label) {
            routes.insert(label.to_owned(), Route::default());
        }
        if let Some(route) = routes.get_mut(label) {
            *route.answers.entry((method.into(), status.as_u16())).or_default() += 1;
            route.durations.record(took);
        }
    }

    pub(super) fn collect(&self) -> [MetricFamily; 4] {
        let (mut requests, mut durations) = (HTTP_REQUESTS.open(), HTTP_DURATION.open());
        for (template, route) in &*self.routes.lock() {
            for ((method, status), count) in &route.answers {
                requests.count(&[method.text(), template, &status.to_string()], *count);
            }
            durations.durations(&[template], &route.durations);
        }
        let mut limited = RATE_LIMITED.open();
        limited.counts(&[], &self.limited);
        let mut refused = AUTH_FAILURES.open();
        refused.counts(&[], &self.auth_failures);
        [requests.close(), durations.close(), limited.close(), refused.close()]
    }
}
