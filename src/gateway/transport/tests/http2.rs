//! HTTP/2 over TLS, and what certificates decide.

use h2::server::{Builder, Connection, SendResponse};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::server::TlsStream;

use super::*;

/// A listener with a certificate for 127.0.0.1, and the CA behind it.
struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    ca: String,
}

type Http2 = Connection<TlsStream<TcpStream>, Bytes>;

impl Secure {
    async fn start(alpn: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .unwrap();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor: TlsAcceptor::from(Arc::new(config)), ca: issuer.pem() }
    }

    fn transport(&self) -> Arc<Transport> {
        transport(&self.listener, Some(self.ca.clone()))
    }

    async fn accept(&self) -> io::Result<TlsStream<TcpStream>> {
        self.acceptor.accept(self.listener.accept().await?.0).await
    }

    async fn accept_http2(&self, streams: u32) -> Http2 {
        let stream = self.accept().await.unwrap();
        Builder::new().max_concurrent_streams(streams).handshake(stream).await.unwrap()
    }
}

/// Accepts one request; the connection must be polled on for the answer to leave.
async fn next(connection: &mut Http2) -> (Request<h2::RecvStream>, SendResponse<Bytes>) {
    connection.accept().await.unwrap().unwrap()
}

fn reply(mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(Response::new(()), false)?;
    stream.send_data(Bytes::from_static(b"ok"), true)
}

/// Answers everything until the client goes.
async fn serve(mut connection: Http2) {
    while let Some(Ok((_, respond))) = connection.accept().await {
        // The client may have given the stream up.
        let _ = reply(respond);
    }
}

#[tokio::test]
async fn many_calls_share_one_connection() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let calls = futures_util::future::join_all(
        (0..50).map(|_| async { text(transport.send(get(), PATIENCE).await).await }),
    );
    let server = async { serve(upstream.accept_http2(100).await).await };
    let answers = tokio::select! {
        answers = calls => answers,
        () = server => unreachable!("the client is still here"),
    };
    assert!(answers.iter().all(|answer| answer == "ok"));
    assert_eq!(counts(&transport), (1, 1, 1));
}

#[tokio::test]
async fn the_request_names_the_upstream_in_its_uri_only() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let server = async {
        let mut connection = upstream.accept_http2(100).await;
        let (request, respond) = next(&mut connection).await;
        reply(respond).unwrap();
        let rest = serve(connection);
        (request, rest)
    };
    let mut call = Box::pin(async { text(transport.send(get(), PATIENCE).await).await });
    let (request, rest) = tokio::select! {
        request_and_rest = server => request_and_rest,
        _ = &mut call => unreachable!("nothing was answered"),
    };
    let address = upstream.listener.local_addr().unwrap();
    assert_eq!(request.uri().to_string(), format!("https://{address}/things?a=1"));
    assert!(request.headers().is_empty(), "{:?}", request.headers());
    tokio::select! { answer = call => assert_eq!(answer, "ok"), () = rest => unreachable!("the client is still here") }
}

#[tokio::test]
async fn a_connection_full_of_streams_is_joined_by_another() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let server = async {
        let mut first = upstream.accept_http2(1).await;
        let (_, mut respond) = next(&mut first).await;
        let unfinished = respond.send_response(Response::new(()), false).unwrap();
        let second = async { serve(upstream.accept_http2(1).await).await };
        tokio::join!(first.accept(), second);
        drop(unfinished);
    };
    let calls = async {
        let held = transport.send(get(), PATIENCE).await.unwrap();
        assert_eq!(text(transport.send(get(), PATIENCE).await).await, "ok");
        assert_eq!(counts(&transport), (2, 1, 2));
        drop(held);
    };
    tokio::select! { () = calls => {}, () = server => unreachable!("the client is still here") }
}

#[tokio::test]
async fn a_refused_stream_was_not_sent() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let server = async {
        let mut connection = upstream.accept_http2(100).await;
        let (_, mut respond) = next(&mut connection).await;
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        serve(connection).await;
    };
    let calls = async {
        let failed = failure(transport.send(request(Method::POST, endless()), PATIENCE).await);
        assert_eq!((failed.kind, failed.sent), (SendFailureKind::RefusedStream, Sent::Nothing), "{failed}");
        assert_eq!(text(transport.send(get(), PATIENCE).await).await, "ok");
        assert_eq!(transport.connections().dialled, 1);
    };
    tokio::select! { () = calls => {}, () = server => unreachable!("the client is still here") }
}

#[tokio::test]
async fn other_stream_errors_may_have_been_processed() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let server = async {
        let mut connection = upstream.accept_http2(100).await;
        let (_, mut respond) = next(&mut connection).await;
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        serve(connection).await;
    };
    let breaks = futures_util::stream::once(async { Err(io::Error::from(io::ErrorKind::BrokenPipe)) });
    let breaking = http_body_util::combinators::BoxBody::new(http_body_util::StreamBody::new(breaks));
    let calls = async {
        let failed = failure(transport.send(get(), PATIENCE).await);
        assert_eq!((failed.kind, failed.sent), (SendFailureKind::Reset, Sent::Unknown), "{failed}");
        let failed =
            failure(transport.send(request(Method::POST, RequestBody::from(breaking)), PATIENCE).await);
        assert_eq!((failed.kind, failed.sent), (SendFailureKind::RequestBody, Sent::Unknown), "{failed}");
    };
    tokio::select! { () = calls => {}, () = server => unreachable!("the client is still here") }
}

#[tokio::test]
async fn after_goaway_calls_go_to_a_new_connection() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let server = async {
        let mut connection = upstream.accept_http2(100).await;
        let (_, respond) = next(&mut connection).await;
        connection.graceful_shutdown();
        reply(respond).unwrap();
        assert!(!matches!(connection.accept().await, Some(Ok(_))));
        drop(connection);
        serve(upstream.accept_http2(100).await).await;
    };
    let calls = async {
        assert_eq!(text(transport.send(get(), PATIENCE).await).await, "ok");
        while transport.connections().open > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            text(transport.send(request(Method::POST, RequestBody::empty()), PATIENCE).await).await,
            "ok"
        );
        assert_eq!(transport.connections().dialled, 2);
    };
    tokio::select! { () = calls => {}, () = server => unreachable!("the client is still here") }
}

/// Frame by frame, because no library's server disowns a stream that it has seen.
#[tokio::test]
async fn a_stream_past_the_last_one_of_a_goaway_was_not_sent() {
    const HEADERS: u8 = 1;
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let server = async {
        let mut stream = upstream.accept().await.unwrap();
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        stream.read_exact(&mut [0; 24]).await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = usize::from(head[1]) * 256 + usize::from(head[2]);
            stream.read_exact(&mut vec![0; length]).await.unwrap();
            if head[3] == HEADERS {
                break;
            }
        }
        let last_stream_and_code = [0; 8];
        stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0]).await.unwrap();
        stream.write_all(&last_stream_and_code).await.unwrap();
        stream
    };
    let call = transport.send(request(Method::POST, RequestBody::empty()), PATIENCE);
    let (_stream, answer) = tokio::join!(server, call);
    let failed = failure(answer);
    assert_eq!((failed.kind, failed.sent), (SendFailureKind::RefusedStream, Sent::Nothing), "{failed}");
}

#[tokio::test]
async fn an_idle_connection_is_swept_and_its_tasks_end() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let server = async { serve(upstream.accept_http2(100).await).await };
    let calls = async {
        assert_eq!(text(transport.send(get(), PATIENCE).await).await, "ok");
        transport.sweep(Instant::now());
        assert_eq!(counts(&transport), (1, 1, 1));
        transport.sweep(Instant::now() + pool::IDLE_LIMIT);
        transport.tracker.close();
        transport.tracker.wait().await;
    };
    tokio::join!(calls, server);
    assert_eq!(counts(&transport), (0, 0, 1));
}

#[tokio::test]
async fn http1_is_spoken_where_the_upstream_chooses_it() {
    let upstream = Secure::start("http/1.1").await;
    let transport = upstream.transport();
    let server = async {
        let mut stream = upstream.accept().await.unwrap();
        for _ in 0..2 {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
        stream
    };
    let calls = async {
        for _ in 0..2 {
            assert_eq!(text(transport.send(get(), PATIENCE).await).await, "ok");
        }
        assert_eq!(counts(&transport), (1, 1, 1));
    };
    let _stream = tokio::join!(server, calls).0;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_trusted() {
    let upstream = Secure::start("h2").await;
    let other = Secure::start("h2").await;
    let transport = transport(&upstream.listener, Some(other.ca));
    let (accepted, answer) = tokio::join!(upstream.accept(), transport.send(get(), PATIENCE));
    assert!(accepted.is_err());
    let failed = failure(answer);
    assert_eq!((failed.kind, failed.token()), (SendFailureKind::Tls, "tls_certificate_error"), "{failed}");
    assert!(failed.request.is_some());
    assert_eq!(counts(&transport), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_ends_with_the_connect_timeout() {
    let upstream = Secure::start("h2").await;
    let transport = upstream.transport();
    let calls = futures_util::future::join_all((0..3).map(|_| transport.send(get(), Duration::from_secs(1))));
    for answer in calls.await {
        let failed = failure(answer);
        assert_eq!(
            (failed.kind, failed.token()),
            (SendFailureKind::ConnectTimeout, "connection_timeout"),
            "{failed}"
        );
        assert!(failed.nothing_sent() && failed.request.is_some());
    }
}

#[test]
fn a_ca_that_cannot_be_used_is_refused_with_the_reason() {
    let refused = |pem: &str| super::super::tls::trusting(pem).unwrap_err().to_string();
    assert_eq!(refused("nothing here"), "`tls.ca`: no certificate in it");
    assert!(
        refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").starts_with("`tls.ca`: ")
    );
}
