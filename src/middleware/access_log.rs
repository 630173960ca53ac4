//! One line for every request of the control plane: who asked what, from where, and how it ended. Never a header, a body
//! or a query, and the route's template in the place of the path: they may hold secrets, and strangers write them.

use std::net::IpAddr;
use std::time::Instant;

use poem::http::StatusCode;
use poem::http::header::USER_AGENT;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use super::traced::RequestTrace;
use crate::models::routes::Routes;
use crate::services::identity::{Identity, Visitor};
use crate::telemetry::traces::TraceName;

/// Most characters of what a client chose freely.
const LONGEST: usize = 128;

/// The middleware.
pub struct AccessLog {
    routes: Routes,
}

impl AccessLog {
    /// `routes` name what is asked for.
    pub fn new(routes: Routes) -> Self {
        Self { routes }
    }
}

/// The endpoint it makes.
pub struct AccessLogEndpoint<E> {
    inner: E,
    routes: Routes,
}

impl<E: Endpoint> Middleware<E> for AccessLog {
    type Output = AccessLogEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        AccessLogEndpoint { inner, routes: self.routes.clone() }
    }
}

impl<E: Endpoint> Endpoint for AccessLogEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let mut line = Line::of(&request, self.routes.of(request.uri().path()));
        let response = self.inner.get_response(request).await.into_response();
        line.status = Some(response.status());
        Ok(response)
    }
}

/// The line; it is written when it is dropped, so that a client who leaves before the answer is in the log, too.
struct Line {
    method: String,
    route: String,
    status: Option<StatusCode>,
    began: Instant,
    principal: String,
    address: Option<IpAddr>,
    user_agent: String,
    request_id: String,
    trace: Option<TraceName>,
}

impl Line {
    fn of(request: &Request, route: Option<&str>) -> Self {
        let visitor = request.data::<Visitor>();
        let user_agent = request.headers().get(USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
        Self {
            method: printable(request.method().as_str().as_bytes()),
            route: route.unwrap_or("none").to_owned(),
            status: None,
            began: Instant::now(),
            principal: visitor.map_or_else(|| "anonymous".to_owned(), principal),
            address: visitor.and_then(|visitor| visitor.address),
            user_agent: printable(user_agent),
            request_id: visitor.map(|visitor| visitor.request.clone()).unwrap_or_default(),
            trace: request.data::<RequestTrace>().map(|trace| trace.0),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Self { method, route, principal, user_agent, request_id, .. } = &*self;
        let address = self.address.map(tracing::field::display);
        let trace_id = self.trace.map(tracing::field::display);
        let took_ms = self.began.elapsed().as_secs_f64() * 1e3;
        let Some(status) = self.status.map(|status| status.as_u16()) else {
            tracing::info!(
                method,
                route,
                took_ms,
                principal,
                address,
                user_agent,
                request_id,
                trace_id,
                "client left"
            );
            return;
        };
        if status >= 500 {
            tracing::error!(
                method, route, status, took_ms, principal, address, user_agent, request_id, trace_id,
                "request"
            );
        } else {
            tracing::info!(
                method, route, status, took_ms, principal, address, user_agent, request_id, trace_id,
                "request"
            );
        }
    }
}

fn principal(visitor: &Visitor) -> String {
    match &visitor.identity {
        Identity::Known(known) => printable(known.principal.subject().as_bytes()),
        Identity::Refused(_) => "refused".to_owned(),
        Identity::Anonymous => "anonymous".to_owned(),
    }
}

/// What can be shown on one line of any terminal: the rest would let a client write lines or colours of its own.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)]);
    let shown = |character: char| if is_plain(character) { character } else { '?' };
    text.chars().take(LONGEST).map(shown).collect()
}

/// No control, and nothing that turns or hides what follows it.
fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_writes_stays_on_its_line() {
        assert_eq!(printable(b"curl/8.7 (x86_64)"), "curl/8.7 (x86_64)");
        assert_eq!(printable(b"a\r\nERROR all is lost\x1b[2J\x00\x7f\t"), "a??ERROR all is lost?[2J???");
        assert_eq!(printable("\u{202e}evil\u{2028}\u{9b}".as_bytes()), "?evil??");
        assert_eq!(printable(b"\xff\xfe").chars().count(), 2);
        assert_eq!(printable("é".repeat(10_000).as_bytes()).chars().count(), LONGEST);
    }
}
