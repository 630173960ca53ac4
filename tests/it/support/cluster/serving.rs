//! Connections, and bodies that go on for as long as a watch does.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::requests::{self, Answer, Filter};

pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A watch on which nothing happens says so after this.
const BOOKMARK_AFTER: Duration = Duration::from_millis(300);

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((connection, _)) = listener.accept().await else { continue };
        let (down, cut) = {
            let state = shared.state.lock().unwrap();
            (state.faults.down, state.faults.connections.clone())
        };
        if !down {
            tokio::spawn(cut.run_until_cancelled_owned(serve(connection, Arc::clone(&shared))));
        }
    }
}

async fn serve(connection: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(request, shared).await) }
    });
    // A client that leaves is no fault of the test.
    let _ =
        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(connection), service).await;
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let slow = shared.state.lock().unwrap().faults.slow;
    tokio::time::sleep(slow).await;
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    match requests::answer(&head, body, &shared) {
        Answer::Whole(status, value) => {
            let text = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
            json_response(status, text.boxed_unsync())
        }
        Answer::Watch(filter) => {
            let cut = shared.state.lock().unwrap().faults.watches.clone();
            json_response(200, watch(filter, shared, cut))
        }
    }
}

fn json_response(status: u16, body: Body) -> Response<Body> {
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}

struct Watching {
    filter: Filter,
    shared: Arc<Shared>,
    cut: CancellationToken,
    until: Instant,
    over: bool,
}

fn watch(filter: Filter, shared: Arc<Shared>, cut: CancellationToken) -> Body {
    let until = Instant::now() + filter.lasts;
    let watching = Watching { filter, shared, cut, until, over: false };
    let lines = stream::unfold(watching, async |mut watching| {
        let line = watching.next().await?;
        Some((line.map(|line| Frame::data(Bytes::from(line))), watching))
    });
    UnsyncBoxBody::new(StreamBody::new(lines))
}

impl Watching {
    /// The next lines; nothing at its end, an error where it is cut.
    async fn next(&mut self) -> Option<io::Result<String>> {
        if self.over {
            return None;
        }
        let mut versions = self.shared.versions.subscribe();
        loop {
            versions.borrow_and_update();
            match self.news() {
                Some(lines) if !lines.is_empty() => return Some(Ok(lines)),
                Some(_) => {}
                None => {
                    self.over = true;
                    let status = requests::status(410, "Expired", "too old resource version");
                    return Some(Ok(json!({ "type": "ERROR", "object": status }).to_string() + "\n"));
                }
            }
            tokio::select! {
                () = self.cut.cancelled() => {
                    self.over = true;
                    return Some(Err(io::Error::other("cut")));
                }
                () = sleep_until(self.until) => return None,
                waited = timeout(BOOKMARK_AFTER, versions.changed()) => {
                    if waited.is_err() && self.filter.bookmarks {
                        return Some(Ok(self.bookmark()));
                    }
                }
            }
        }
    }

    /// What has changed since the last look; none when it is forgotten.
    fn news(&mut self) -> Option<String> {
        let state = self.shared.state.lock().unwrap();
        let changes = state.store.after(self.filter.version)?;
        self.filter.version = changes.last().map_or(self.filter.version, |change| change.version);
        let of_ours = changes.into_iter().filter(|change| self.filter.takes(&change.key));
        Some(
            of_ours
                .map(|change| json!({ "type": change.kind, "object": change.object }).to_string() + "\n")
                .collect(),
        )
    }

    fn bookmark(&self) -> String {
        let object = json!({
            "apiVersion": "levee.dev/v1alpha1", "kind": "Upstream",
            "metadata": { "resourceVersion": self.filter.version.to_string() },
        });
        json!({ "type": "BOOKMARK", "object": object }).to_string() + "\n"
    }
}
