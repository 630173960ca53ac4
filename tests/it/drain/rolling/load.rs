//! Clients that keep their connections and try nothing twice.
//!
//! A connection that is found closed before anything was asked on it loses nothing: another is opened. Whatever goes wrong
//! from then on is a failed call.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// No call takes longer.
const LIMIT: Duration = Duration::from_secs(15);

/// After so many calls a client opens a new connection of its own accord, so that a fresh replica gets some.
const CALLS: usize = 20;

/// Streams at once of the HTTP/2 client, and the calls of each.
const STREAMS: usize = 4;

/// HTTP/1.1 clients of each habit.
const CLIENTS: usize = 3;

/// What a client asks again and again, and its pause in between, in milliseconds. `/drip/100` takes a second, so that
/// answers begin before a drain and end after it; then the next call follows at once.
const HABITS: [(&str, u64); 6] =
    [("/delay/2", 5), ("/echo", 5), ("/drip/100", 0), ("/drip/20", 0), ("/ok", 400), ("/echo", 700)];

/// Posted to `/echo`; more than one segment.
const BODY: &str = "what is posted, and has to come back as it was. ";

/// Clients at work.
pub(super) struct Load {
    stopping: Arc<AtomicBool>,
    clients: JoinSet<Outcome>,
}

/// What came of their calls.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) answered: usize,
    /// A line for each call that failed: what was asked, and what came of it.
    pub(super) failed: Vec<String>,
}

/// Where a client calls, as whom, and until when.
#[derive(Clone)]
struct Client {
    balancer: SocketAddr,
    key: String,
    stopping: Arc<AtomicBool>,
}

impl Load {
    pub(super) fn start(balancer: SocketAddr, key: &str) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let client = Client { balancer, key: key.to_owned(), stopping: Arc::clone(&stopping) };
        let mut clients = JoinSet::new();
        for (path, pause) in HABITS {
            for _ in 0..CLIENTS {
                clients.spawn(client.clone().speak_http1(path, Duration::from_millis(pause)));
            }
        }
        clients.spawn(client.speak_http2());
        Self { stopping, clients }
    }

    /// Lets every client finish its call.
    pub(super) async fn stop(self) -> Outcome {
        self.stopping.store(true, Relaxed);
        let mut all = Outcome::default();
        for outcome in self.clients.join_all().await {
            all.answered += outcome.answered;
            all.failed.extend(outcome.failed);
        }
        all
    }
}

impl Outcome {
    /// Notes how one call ended; false when the connection is of no more use.
    fn note(&mut self, what: &str, ended: &Result<(), String>) -> bool {
        match ended {
            Ok(()) => self.answered += 1,
            Err(cause) => self.failed.push(format!("{what}: {cause}")),
        }
        ended.is_ok()
    }
}

impl Client {
    fn goes_on(&self) -> bool {
        !self.stopping.load(Relaxed)
    }

    async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.balancer).await.expect("the balancer listens");
        stream.set_nodelay(true).unwrap();
        stream
    }

    async fn speak_http1(self, path: &'static str, pause: Duration) -> Outcome {
        let mut outcome = Outcome::default();
        while self.goes_on() {
            let stream = TokioIo::new(self.connect().await);
            let (mut connection, driver) = http1::handshake(stream).await.expect("nothing is sent yet");
            tokio::spawn(driver);
            for _ in 0..CALLS {
                if connection.ready().await.is_err() || !self.goes_on() {
                    break;
                }
                let answered =
                    timeout(LIMIT, call(&mut connection, self.request(path, "").map(Full::new), path));
                let ended = answered.await.unwrap_or_else(|_| Err("no answer in time".to_owned()));
                if !outcome.note(path, &ended) {
                    break;
                }
                sleep(pause).await;
            }
        }
        outcome
    }

    async fn speak_http2(self) -> Outcome {
        let mut outcome = Outcome::default();
        while self.goes_on() {
            let (sender, connection) =
                h2::client::handshake(self.connect().await).await.expect("it is HTTP/2");
            tokio::spawn(connection);
            let mut streams = JoinSet::new();
            for _ in 0..STREAMS {
                streams.spawn(self.clone().speak_on_streams(sender.clone()));
            }
            drop(sender);
            for of_stream in streams.join_all().await {
                outcome.answered += of_stream.answered;
                outcome.failed.extend(of_stream.failed);
            }
        }
        outcome
    }

    /// One call after the other, until the connection takes no more of them.
    async fn speak_on_streams(self, mut sender: SendRequest<Bytes>) -> Outcome {
        let mut outcome = Outcome::default();
        for call in 0..STREAMS * CALLS {
            let (path, _) = HABITS[call % 4];
            let (Ok(ready), true) = (sender.clone().ready().await, self.goes_on()) else { break };
            sender = ready;
            let (head, body) = self.request(path, &format!("http://{}", self.balancer)).into_parts();
            let begun = sender.send_request(Request::from_parts(head, ()), body.is_empty());
            // GOAWAY has come, and nothing of the request has left.
            let Ok((answer, mut sending)) = begun else { break };
            if !body.is_empty() {
                sending.send_data(body, true).expect("a fresh stream takes its body");
            }
            let ended = timeout(LIMIT, whole(answer, path))
                .await
                .unwrap_or_else(|_| Err("no answer in time".to_owned()));
            if !outcome.note(&format!("HTTP/2 {path}"), &ended) {
                break;
            }
        }
        outcome
    }

    /// Over HTTP/2 with the whole target, which `origin` begins.
    fn request(&self, path: &str, origin: &str) -> Request<Bytes> {
        let body = posted(path);
        let method = if body.is_empty() { "GET" } else { "POST" };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{origin}/proxy/quotes{path}"))
            .header("levee-key", &self.key);
        if origin.is_empty() {
            request = request.header("host", self.balancer.to_string());
        }
        request.body(Bytes::from(body)).unwrap()
    }
}

async fn call(
    connection: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
    path: &str,
) -> Result<(), String> {
    let answer = connection.send_request(request).await.map_err(|error| causes(&error))?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(|error| causes(&error))?.to_bytes();
    judge(status, &body, path)
}

async fn whole(answer: h2::client::ResponseFuture, path: &str) -> Result<(), String> {
    let (head, mut incoming) = answer.await.map_err(|error| causes(&error))?.into_parts();
    let mut body = Vec::new();
    while let Some(data) = incoming.data().await {
        let data = data.map_err(|error| causes(&error))?;
        incoming.flow_control().release_capacity(data.len()).map_err(|error| causes(&error))?;
        body.extend_from_slice(&data);
    }
    judge(head.status, &body, path)
}

fn posted(path: &str) -> String {
    if path == "/echo" { BODY.repeat(40) } else { String::new() }
}

fn judge(status: StatusCode, body: &[u8], path: &str) -> Result<(), String> {
    let whole = match path {
        // The upstream shows it with the chunks that it came in.
        "/echo" => String::from_utf8_lossy(body).contains(&posted(path)),
        path if path.starts_with("/drip") => body == b"0123456789",
        _ => body == b"ok\n",
    };
    let begins = String::from_utf8_lossy(&body[..body.len().min(200)]);
    if status == 200 && whole { Ok(()) } else { Err(format!("{status}, {} bytes: {begins}", body.len())) }
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut inner = error.source();
    while let Some(cause) = inner {
        said = format!("{said}: {cause}");
        inner = cause.source();
    }
    said
}
