//! Good requests: however their bytes arrive, the endpoint is asked the same.

use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::support::{Fixture, read_to_end};

#[derive(Clone, Debug)]
enum Sent {
    Bare,
    Sized(Vec<u8>),
    Chunked(Vec<Vec<u8>>, bool),
}

impl Sent {
    fn bytes(&self, number: usize) -> Vec<u8> {
        let head = |method: &str, fields: &str| {
            format!("{method} /{number} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
        };
        match self {
            Self::Bare => [b"\r\n".to_vec(), head("GET", "X-Empty:\r\n")].concat(),
            Self::Sized(body) => {
                [head("PUT", &format!("Content-Length:  {} \r\n", body.len())), body.clone()].concat()
            }
            Self::Chunked(chunks, trailers) => {
                let mut bytes = head("POST", "Transfer-Encoding: Chunked\r\n");
                for chunk in chunks {
                    bytes.extend(format!("{:X} ;name=value\r\n", chunk.len()).bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend(b"\r\n");
                }
                bytes.extend(if *trailers { &b"0\r\nx-sum: 1\r\n\r\n"[..] } else { b"000\r\n\r\n" });
                bytes
            }
        }
    }

    fn asked(&self, number: usize) -> String {
        match self {
            Self::Bare => format!("GET /{number} "),
            Self::Sized(body) => format!("PUT /{number} {}", String::from_utf8_lossy(body)),
            Self::Chunked(chunks, _) => {
                format!("POST /{number} {}", String::from_utf8_lossy(&chunks.concat()))
            }
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    // Line ends and digits in bodies: what a parser off by one would take for framing.
    let body = |least| prop::collection::vec(prop::sample::select(b"\r\n0aGET /:".to_vec()), least..40);
    prop_oneof![
        Just(Sent::Bare),
        body(0).prop_map(Sent::Sized),
        (prop::collection::vec(body(1), 0..4), any::<bool>())
            .prop_map(|(chunks, trailers)| Sent::Chunked(chunks, trailers)),
    ]
}

fn asked_when_split(requests: &[Sent], cuts: &[prop::sample::Index]) -> Vec<String> {
    let mut bytes: Vec<u8> =
        requests.iter().enumerate().flat_map(|(number, sent)| sent.bytes(number)).collect();
    bytes.extend(b"GET /end HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
    ends.extend([0, bytes.len()]);
    ends.sort_unstable();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new();
        let mut client = fixture.connect();
        let (mut inbound, mut outbound) = tokio::io::split(&mut client);
        let writing = async {
            for piece in ends.windows(2) {
                outbound.write_all(&bytes[piece[0]..piece[1]]).await.unwrap();
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::join!(read_to_end(&mut inbound), writing);
        fixture.probe.asked()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn how_a_stream_is_split_never_changes_what_is_asked(
        requests in prop::collection::vec(sent(), 0..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let mut expected: Vec<String> = requests.iter().enumerate().map(|(number, sent)| sent.asked(number)).collect();
        expected.push("GET /end ".to_owned());
        prop_assert_eq!(asked_when_split(&requests, &cuts), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn chunked_bodies_arrive_whole_byte_by_byte() {
    let fixture = Fixture::new();
    let mut client = fixture.connect_through(1).0;
    let (mut inbound, mut outbound) = tokio::io::split(&mut client);
    let request = b"POST /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
        2\r\n\r\n\r\n00A;x\r\n0123456789\r\n0\r\nt: u\r\n\r\n";
    let (answer, written) = tokio::join!(read_to_end(&mut inbound), outbound.write_all(request));
    written.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(fixture.probe.asked(), ["POST /a \r\n0123456789"]);
}

#[tokio::test(start_paused = true)]
async fn http_1_0_and_every_form_of_target_are_served() {
    let fixture = Fixture::new();
    assert!(fixture.exchange("GET /old HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
    for target in ["http://a/b?c", "*", "/a|b", "/%zz", "/\u{e9}"] {
        let method = if target == "*" { "OPTIONS" } else { "GET" };
        let request = format!("{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        assert!(fixture.exchange(request).await.starts_with("HTTP/1.1 200"), "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_asked_for_with_100_continue() {
    let fixture = Fixture::new();
    let mut client = fixture.connect();
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    client.write_all(head).await.unwrap();
    assert_eq!(super::support::read_answer(&mut client, 0).await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"ok").await.unwrap();
    assert!(read_to_end(&mut client).await.ends_with("\r\n\r\nok"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_endpoint_is_a_500_and_the_connection_lives_on() {
    let fixture = Fixture::new();
    let request =
        "GET /panic HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = fixture.exchange(request).await;
    assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("problems/internal"), "{answer}");
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn the_endpoint_knows_who_is_calling() {
    let answer = Fixture::new().exchange("GET /peer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.ends_with("socket://127.0.0.1:1"), "{answer}");
}
