//! The transport against real sockets: what all its tests share.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::*;

/// Bodies that break, and connections that must not be used again.
mod broken;
/// What a healthy HTTP/1.1 exchange looks like.
mod http1;
/// HTTP/2, and the certificates on the way to it.
mod http2;

const PATIENCE: Duration = Duration::from_secs(20);

/// An upstream whose every byte the test writes itself.
struct Upstream {
    listener: TcpListener,
    transport: Arc<Transport>,
}

/// The upstream's end of one connection.
struct Peer(TcpStream);

impl Upstream {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = transport(&listener, None);
        Self { listener, transport }
    }

    async fn accept(&self) -> Peer {
        Peer(self.listener.accept().await.unwrap().0)
    }

    /// Sends a request on a new connection and answers it with `answer`.
    async fn exchange(&self, request: Request<RequestBody>, answer: &str) -> (Peer, Answer) {
        let serve = async {
            let mut peer = self.accept().await;
            peer.head().await;
            peer.say(answer).await;
            peer
        };
        tokio::join!(serve, self.transport.send(request, PATIENCE))
    }

    /// The same on a connection there is already.
    async fn again(&self, peer: &mut Peer, answer: &str) -> Answer {
        let serve = async {
            peer.head().await;
            peer.say(answer).await;
        };
        tokio::join!(serve, self.transport.send(get(), PATIENCE)).1
    }
}

impl Peer {
    /// Reads to the end of a request's head.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    async fn say(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Waits until the transport closes the connection.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }
}

fn transport(listener: &TcpListener, ca: Option<String>) -> Arc<Transport> {
    let network = Network::new(vec!["127.0.0.0/8".parse().unwrap()], Vec::new(), TaskTracker::new());
    let port = listener.local_addr().unwrap().port();
    let url =
        policy::BaseUrl { https: ca.is_some(), host: "127.0.0.1".to_owned(), port, path: String::new() };
    Transport::new(&network, Settings { url, tls: policy::Tls { ca }, narrowed: None }).unwrap()
}

fn get() -> Request<RequestBody> {
    request(Method::GET, RequestBody::empty())
}

fn request(method: Method, body: RequestBody) -> Request<RequestBody> {
    Request::builder().method(method).uri("/things?a=1").body(body).unwrap()
}

/// A body that never ends.
fn endless() -> RequestBody {
    let first =
        futures_util::stream::once(async { Ok(http_body::Frame::data(Bytes::from_static(b"first"))) });
    let stream = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    RequestBody::from(http_body_util::combinators::BoxBody::new(http_body_util::StreamBody::new(stream)))
}

async fn text(answer: Answer) -> String {
    let bytes = answer.unwrap().into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn failure(answer: Answer) -> SendFailure {
    answer.map(|response| response.status()).unwrap_err()
}

/// Whatever was sent on loopback before this call has been noticed when it returns: a round trip of its own, so that
/// the runtime has looked at its sockets again.
async fn noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    far.write_u8(1).await.unwrap();
    near.read_u8().await.unwrap();
}

fn counts(transport: &Transport) -> (usize, usize, u64) {
    let ConnectionCounts { open, idle, dialled } = transport.connections();
    (open, idle, dialled)
}

#[test]
fn a_call_can_move_between_threads_and_its_body_be_shared() {
    fn is_send<T: Send>(_: &T) {}
    fn is_shared<T: Send + Sync + 'static>() {}
    is_shared::<ResponseBody>();
    is_shared::<RequestBody>();
    is_shared::<Transport>();
    let network = Network::new(Vec::new(), Vec::new(), TaskTracker::new());
    let url = policy::BaseUrl { https: false, host: "a.example".to_owned(), port: 80, path: String::new() };
    let settings = Settings { url, tls: policy::Tls::default(), narrowed: None };
    let transport = Transport::new(&network, settings).unwrap();
    is_send(&transport.send(get(), PATIENCE));
}
