//! A receiver of spans: OTLP over HTTP/protobuf and over gRPC, on one port, as an OpenTelemetry Collector is asked.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;

use super::until::until;

const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A running receiver; dropping it closes its port and every connection.
pub(crate) struct Collector {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    spans: Mutex<Vec<Span>>,
    resources: Mutex<Vec<KeyValue>>,
    messages: Mutex<Vec<Arrived>>,
    raw: Mutex<Vec<u8>>,
}

/// One message as it came.
#[derive(Clone)]
pub(crate) struct Arrived {
    /// `grpc` or `http`.
    pub(crate) protocol: &'static str,
    /// Its path.
    pub(crate) path: String,
    /// Its headers.
    pub(crate) headers: HeaderMap,
}

impl Collector {
    /// Starts on a free port.
    pub(crate) async fn start() -> Self {
        Self::with(None).await
    }

    /// The same over TLS, as `localhost`; with the certificate to trust, PEM.
    pub(crate) async fn start_over_tls() -> (Self, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        (Self::with(Some(TlsAcceptor::from(Arc::new(config)))).await, own.cert.pem())
    }

    async fn with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&state)));
        Self { address, state, accepting }
    }

    /// `http://127.0.0.1:port`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every span so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.state.spans.lock().unwrap().clone()
    }

    /// Waits until this many spans are here that `wanted` picks.
    pub(crate) async fn wait(&self, count: usize, wanted: impl Fn(&Span) -> bool) -> Vec<Span> {
        let picked = || self.spans().into_iter().filter(|span| wanted(span)).collect::<Vec<_>>();
        until("the spans arrive", Duration::from_secs(10), async || picked().len() >= count).await;
        picked()
    }

    /// What the spans' resources say.
    pub(crate) fn resource(&self, name: &str) -> Option<String> {
        text_of(&self.state.resources.lock().unwrap(), name)
    }

    /// Every message so far.
    pub(crate) fn messages(&self) -> Vec<Arrived> {
        self.state.messages.lock().unwrap().clone()
    }

    /// Whether these bytes stand anywhere in what came.
    pub(crate) fn has_seen(&self, text: &str) -> bool {
        let raw = self.state.raw.lock().unwrap();
        raw.windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An attribute as text, whatever its type.
pub(crate) fn text_of(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BoolValue(truth) => truth.to_string(),
        any_value::Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

/// A span's attribute as text; empty when it has none of that name.
pub(crate) fn attribute(span: &Span, name: &str) -> String {
    text_of(&span.attributes, name).unwrap_or_default()
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(greet(stream, tls.clone(), Arc::clone(&state)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    match tls {
        None => serve(stream, state).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, state).await;
            }
        }
    }
}

async fn serve<S>(stream: S, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(take(request, &state).await) }
    });
    // An error is a client that left.
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn take(request: Request<Incoming>, state: &State) -> Response<BoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let grpc = head.uri.path() == GRPC_PATH;
    // gRPC puts a flag and a length before the message.
    let message = if grpc { body.slice(5.min(body.len())..) } else { body };
    let arrived = Arrived {
        protocol: if grpc { "grpc" } else { "http" },
        path: head.uri.path().to_owned(),
        headers: head.headers,
    };
    state.messages.lock().unwrap().push(arrived);
    state.raw.lock().unwrap().extend_from_slice(&message);
    let request = ExportTraceServiceRequest::decode(message).expect("the message is well formed");
    for resource in request.resource_spans {
        *state.resources.lock().unwrap() = resource.resource.unwrap_or_default().attributes;
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        state.spans.lock().unwrap().extend(spans);
    }
    if grpc { grpc_answer() } else { Response::new(Full::default().boxed()) }
}

/// An empty message and the status in the trailers.
fn grpc_answer() -> Response<BoxBody<Bytes, Infallible>> {
    let mut message = BytesMut::new();
    message.put_bytes(0, 5);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let frames = [Ok(Frame::data(message.freeze())), Ok(Frame::trailers(trailers))];
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    response
}
