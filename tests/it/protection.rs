//! What stands between the network and the control plane's handlers, over the real binary: what is refused, in which
//! order, what a refusal shows, what the log keeps of it, and the pages for people in a real browser.

use http::{HeaderValue, Method, Request};
use http_body_util::Full;

use crate::support::client::{self, Answer, request};
use crate::support::levee::TestApp;

mod access_log;
mod bad_input;
mod docs_page;
mod leaving;
mod limits;
mod origins;

/// A request of the control plane with these headers.
async fn ask(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    client::send(app.api, made(method, path, headers, body)).await.unwrap()
}

fn made(method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Request<Full<bytes::Bytes>> {
    let mut made = request(path);
    *made.method_mut() = method;
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        made.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    *made.body_mut() = Full::new(bytes::Bytes::copy_from_slice(body));
    made
}
