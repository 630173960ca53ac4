//! The server span of a request to the control plane.

use http::{HeaderMap, Method, StatusCode};

use super::{Trace, Traces};

impl Traces {
    /// Begins the span; `route` is the template of what is asked for.
    pub fn request(&self, headers: &HeaderMap, method: &Method, route: Option<&str>) -> Trace {
        self.begin(headers, method, route.unwrap_or("none"))
    }
}

impl Trace {
    /// The request is over; without a status its client left.
    pub fn end_request(&self, request_id: &str, status: Option<StatusCode>) {
        self.finish(|span| {
            span.set("levee.request_id", request_id.to_owned());
            let Some(status) = status else { return };
            span.set("http.response.status_code", i64::from(status.as_u16()));
            if status.is_server_error() {
                span.fail(status.as_str().to_owned());
            }
        });
    }
}
