//! Framing that two parsers could read differently: refused with 400 and the end of the connection, never passed on.

use super::{assert_well, before_shaky, raw_problem};
use crate::support::client::RawConnection;

/// Refused, closed, and what followed on the same connection is no request either.
#[tokio::test]
async fn each_ambiguous_request_is_refused_and_its_connection_closed() {
    let (app, server) = before_shaky(&[]).await;
    for head in [
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4, 4\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length: +4\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0x4\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length:\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: xchunked\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: identity\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding:\x0bchunked\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
        "POST /proxy/shaky/ok HTTP/1.0\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\nhost: localhost\n\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\nx-own: 1\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\nx-own: a\rb\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost : localhost\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ncontent-length : 4\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n x-folded: 1\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\nx own: 1\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\nno colon\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n: nameless\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\nx-own: a\0b\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
        "GET /proxy/shaky/o k HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /proxy/shaky/\0 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /proxy/shaky/ok#x HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "GET /proxy/shaky/ok HTTP/1.2\r\nhost: localhost\r\n\r\n",
        "GET /proxy/shaky/ok\r\n\r\n",
        "G\0T /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut caller = RawConnection::open(app.data).await;
        let smuggled = "GET /proxy/shaky/smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
        caller.write(format!("{head}0\r\n\r\n{smuggled}")).await.unwrap();
        let answer = caller.read_answer().await.unwrap_or_else(|error| panic!("{error}: {head:?}"));
        assert_eq!(raw_problem(&answer), (400, "invalid-request".to_owned()), "{head:?}");
        assert_eq!(answer.header("connection").as_deref(), Some("close"), "{head:?}");
        let rest = caller.read_to_end().await.unwrap_or_default();
        assert!(rest.is_empty(), "{head:?} was followed by {:?}", String::from_utf8_lossy(&rest));
    }
    assert_eq!((server.seen_in_all(), server.connections_accepted()), (0, 0));
    assert_well(&app).await;
}

#[tokio::test]
async fn a_body_that_turns_out_malformed_never_becomes_a_request() {
    let (app, server) = before_shaky(&[]).await;
    for chunks in [
        "4\r\nbody\r\nzz\r\n",
        "4\r\nbodies\r\n0\r\n\r\n",
        "4\nbody\n0\n\n",
        "-1\r\n\r\n",
        "0x4\r\nbody\r\n0\r\n\r\n",
        "10000000000000000\r\n",
        "4\r\nbody\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let mut caller = RawConnection::open(app.data).await;
        let head = "POST /proxy/shaky/ok HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
        caller.write(format!("{head}{chunks}")).await.unwrap();
        let answer = caller.read_answer().await.unwrap_or_else(|error| panic!("{error}: {chunks:?}"));
        assert_eq!(raw_problem(&answer), (400, "invalid-request".to_owned()), "{chunks:?}");
    }
    assert!(server.received().is_empty(), "a request was completed: {:?}", server.received());
    assert_well(&app).await;
}

/// Not a proof, but cheap: whatever arrives, nothing panics and the next caller is served.
#[tokio::test]
async fn bytes_at_random_do_no_harm() {
    const SEED: u64 = 20_250_101;
    let mut random = fastrand::Rng::with_seed(SEED);
    let (app, _server) = before_shaky(&[]).await;
    let request = b"POST /proxy/shaky/ok?x=1 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
        levee-timeout: 2s\r\nvia: 1.1 edge\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
    for _ in 0..300 {
        let mut bytes = request.to_vec();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.insert(at, random.u8(..)),
                _ => drop(bytes.remove(at)),
            }
        }
        let mut caller = RawConnection::open(app.data).await;
        caller.write(&bytes).await.unwrap();
    }
    assert_well(&app).await;
    let panics: Vec<_> = app.log().into_iter().filter(|line| line.contains("panic")).collect();
    assert!(panics.is_empty(), "seed {SEED}: {panics:?}");
}
