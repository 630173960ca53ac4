//! Clients: whole answers by hyper, odd bytes by a raw connection, many calls at once.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::process::raise_open_files_limit;
use super::wire::{self, Message};

/// No answer in a test takes longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// The protocol it came by.
    pub(crate) version: Version,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body, unframed.
    pub(crate) body: Bytes,
}

impl Answer {
    /// A header's first value; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("tests send visible ASCII"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

/// A GET request to be changed and sent.
pub(crate) fn request(path: &str) -> Request<Full<Bytes>> {
    Request::builder().uri(path).body(Full::default()).expect("a test's path is valid")
}

/// GET on a connection of its own.
pub(crate) async fn get(server: SocketAddr, path: &str) -> Answer {
    send(server, request(path)).await.expect("the server answers")
}

/// Any method with a body, on a connection of its own.
pub(crate) async fn send_body(server: SocketAddr, method: Method, path: &str, body: &[u8]) -> Answer {
    let mut request = request(path);
    *request.method_mut() = method;
    *request.body_mut() = Full::new(Bytes::copy_from_slice(body));
    send(server, request).await.expect("the server answers")
}

/// Sends a request on a connection of its own and takes in the whole answer.
pub(crate) async fn send(server: SocketAddr, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
    Connection::open(server).await.send(request).await
}

/// A connection that is kept: HTTP/1.1 one request after the other, cleartext HTTP/2 many at once.
pub(crate) enum Connection {
    /// HTTP/1.1.
    One(hyper::client::conn::http1::SendRequest<Full<Bytes>>, SocketAddr),
    /// HTTP/2 by prior knowledge.
    Two(hyper::client::conn::http2::SendRequest<Full<Bytes>>, SocketAddr),
}

impl Connection {
    /// Opens an HTTP/1.1 connection.
    pub(crate) async fn open(server: SocketAddr) -> Self {
        let (sender, connection) =
            hyper::client::conn::http1::handshake(dial(server).await).await.expect("nothing is sent yet");
        tokio::spawn(connection);
        Self::One(sender, server)
    }

    /// Opens a cleartext HTTP/2 connection.
    pub(crate) async fn open_h2c(server: SocketAddr) -> Self {
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), dial(server).await)
                .await
                .expect("the server speaks HTTP/2");
        tokio::spawn(connection);
        Self::Two(sender, server)
    }

    /// The same HTTP/2 connection once more, for a call at the same time.
    pub(crate) fn another_stream(&self) -> Self {
        match self {
            Self::Two(sender, server) => Self::Two(sender.clone(), *server),
            Self::One(..) => panic!("HTTP/1.1 carries one call at a time"),
        }
    }

    /// Sends a request and takes in the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Answer> {
        let answered = async {
            let (parts, body) = self.begin(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status, version: parts.version, headers: parts.headers, body })
        };
        timeout(LIMIT, answered).await.expect("an answer within the limit")
    }

    /// Sends a request and returns with the answer's headers; the body is the test's to read or to drop.
    pub(crate) async fn begin(
        &mut self,
        mut request: Request<Full<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender, server) => {
                let host = server.to_string().parse().expect("an address is a valid header");
                request.headers_mut().entry("host").or_insert(host);
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender, server) => {
                let uri = format!("http://{server}{}", request.uri());
                *request.uri_mut() = uri.parse().expect("a test's path is valid");
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

async fn dial(server: SocketAddr) -> TokioIo<TcpStream> {
    let stream = TcpStream::connect(server).await.unwrap_or_else(|error| panic!("{server}: {error}"));
    stream.set_nodelay(true).expect("it is a TCP socket");
    TokioIo::new(stream)
}

/// Runs `calls` at once and returns what they returned, in order of their number.
pub(crate) async fn burst<T, F>(calls: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    raise_open_files_limit();
    let mut running = JoinSet::new();
    for number in 0..calls {
        let call = call(number);
        running.spawn(async move { (number, call.await) });
    }
    let mut done = running.join_all().await;
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A connection for bytes that no proper client would send.
pub(crate) struct RawConnection {
    stream: BufReader<TcpStream>,
}

impl RawConnection {
    /// Opens it.
    pub(crate) async fn open(server: SocketAddr) -> Self {
        Self { stream: BufReader::new(TcpStream::connect(server).await.expect("the server listens")) }
    }

    /// Sends exactly these bytes.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref()).await
    }

    /// Reads one answer. An error is a connection that broke, or nothing within the limit.
    pub(crate) async fn read_answer(&mut self) -> io::Result<Message> {
        let answered = async {
            let head = wire::read_head(&mut self.stream).await?;
            let mut answer = head.ok_or(io::ErrorKind::UnexpectedEof)?;
            wire::read_body(&mut self.stream, &mut answer).await?;
            Ok(answer)
        };
        timeout(LIMIT, answered).await?
    }

    /// Reads the head of one answer; its body is the test's to read.
    pub(crate) async fn read_head(&mut self) -> io::Result<Message> {
        let head = timeout(LIMIT, wire::read_head(&mut self.stream)).await??;
        Ok(head.ok_or(io::ErrorKind::UnexpectedEof)?)
    }

    /// Reads exactly these bytes. Panics on others, and when they do not come within the limit.
    pub(crate) async fn expect(&mut self, bytes: &[u8]) {
        let mut read = vec![0; bytes.len()];
        let arrived = timeout(LIMIT, self.stream.read_exact(&mut read)).await;
        arrived.unwrap_or_else(|_| panic!("never came: {:?}", String::from_utf8_lossy(bytes))).unwrap();
        assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(bytes));
    }

    /// Reads all there is until the server closes the connection.
    pub(crate) async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        timeout(LIMIT, self.stream.read_to_end(&mut bytes)).await??;
        Ok(bytes)
    }
}

/// Sends exactly these bytes on a connection of their own and reads one answer.
pub(crate) async fn exchange(server: SocketAddr, bytes: impl AsRef<[u8]>) -> io::Result<Message> {
    let mut connection = RawConnection::open(server).await;
    connection.write(bytes).await?;
    connection.read_answer().await
}
