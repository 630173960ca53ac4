//! Where we dial, and where not.

use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::net::TcpListener;

use super::*;

fn loopback() -> Vec<IpNet> {
    vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()]
}

fn dialler(host: &str, port: u16, allowed: Vec<IpNet>, forbidden: Vec<SocketAddr>) -> Dialler {
    let border = Arc::new(Border::new(allowed, forbidden, Vec::new(), TaskTracker::new()));
    Dialler { border, host: host.to_owned(), port, narrowed: None }
}

async fn refused(dialler: Dialler) -> SendFailure {
    dialler.dial(Instant::now() + Duration::from_secs(20)).await.unwrap_err()
}

#[tokio::test]
async fn an_address_in_a_private_range_is_refused_however_it_is_written() {
    // The last four are for getaddrinfo to make something of, or not: none of them may lead to a connection.
    for host in ["169.254.169.254", "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "0.0.0.0"] {
        let failure = refused(dialler(host, 80, Vec::new(), Vec::new())).await;
        assert_eq!(failure.kind, SendFailureKind::DestinationRefused, "{host}: {failure}");
        assert_eq!(failure.token(), "destination_ip_prohibited");
        assert!(failure.nothing_sent());
    }
    for host in ["0", "0x7f.1", "2130706433", "localhost", "localhost."] {
        let failure = refused(dialler(host, 80, Vec::new(), Vec::new())).await;
        let kinds = [SendFailureKind::DestinationRefused, SendFailureKind::Dns];
        assert!(kinds.contains(&failure.kind), "{host}: {failure}");
    }
}

#[tokio::test]
async fn leave_to_dial_link_local_addresses_cannot_be_given() {
    let failure =
        refused(dialler("169.254.169.254", 80, vec!["0.0.0.0/0".parse().unwrap()], Vec::new())).await;
    assert_eq!(failure.kind, SendFailureKind::DestinationRefused);
}

#[tokio::test]
async fn an_upstream_can_narrow_what_the_deployer_allows() {
    let mut narrowed = dialler("127.0.0.1", 80, loopback(), Vec::new());
    narrowed.narrowed = Some(vec!["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(refused(narrowed).await.kind, SendFailureKind::DestinationRefused);
}

#[tokio::test]
async fn our_own_listeners_are_refused_by_any_address_of_this_machine() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let exactly = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for own in [everywhere, exactly] {
        let failure = refused(dialler("127.0.0.1", port, loopback(), vec![own])).await;
        assert_eq!(failure.kind, SendFailureKind::DestinationRefused, "{own}");
    }
    let elsewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, port.wrapping_add(1)));
    let allowed = dialler("127.0.0.1", port, loopback(), vec![elsewhere]);
    allowed.dial(Instant::now() + Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn what_we_depend_on_is_no_upstream_by_whatever_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dial = async |host: &str, services: &[(&str, u16)]| {
        let services =
            services.iter().map(|(host, port)| Service { host: (*host).to_owned(), port: *port }).collect();
        let border = Arc::new(Border::new(loopback(), Vec::new(), services, TaskTracker::new()));
        let dialler = Dialler { border, host: host.to_owned(), port, narrowed: None };
        dialler.dial(Instant::now() + Duration::from_secs(20)).await
    };
    for (host, service) in
        [("127.0.0.1", "localhost"), ("localhost", "127.0.0.1"), ("::ffff:127.0.0.1", "localhost")]
    {
        let failure = dial(host, &[(service, port)]).await.unwrap_err();
        assert_eq!(failure.kind, SendFailureKind::DestinationRefused, "{host}");
    }
    let harmless = [("localhost", port.wrapping_add(1)), ("127.0.0.9", port), ("nonexistent.invalid", port)];
    dial("127.0.0.1", &harmless).await.unwrap();
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_failure() {
    let failure = refused(dialler("nonexistent.invalid", 80, loopback(), Vec::new())).await;
    assert_eq!((failure.kind, failure.token()), (SendFailureKind::Dns, "dns_error"));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_waits_for_others_ends_with_the_connect_timeout_and_is_not_the_upstreams_failure() {
    let waiting = dialler("localhost", 80, loopback(), Vec::new());
    let _all = waiting.border.lookups.take_all_threads().await;
    let failure = waiting.dial(Instant::now() + Duration::from_secs(1)).await.unwrap_err();
    assert_eq!((failure.kind, failure.token()), (SendFailureKind::Exhausted, "proxy_internal_error"));
}

#[tokio::test]
async fn a_closed_port_is_refused_and_the_next_address_tried() {
    let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let closed = SocketAddr::from(([127, 0, 0, 1], port));
    let failure = race(&[closed]).await.unwrap_err();
    assert_eq!((failure.kind, failure.token()), (SendFailureKind::Connect, "connection_refused"));
    let stream = race(&[closed, listener.local_addr().unwrap()]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
}

#[test]
fn the_address_families_take_turns() {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    let found = ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1", "192.0.2.1:1"]
        .into_iter()
        .map(address)
        .collect();
    let expected = ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "[2001:db8::3]:1"].map(address);
    assert_eq!(interleaved(found), expected);
}

#[test]
fn running_out_of_ports_is_not_the_upstreams_failure() {
    let error = io::Error::from_raw_os_error(99);
    let v4 = connect_failure(&error, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), String::new());
    assert_eq!(v4.kind, SendFailureKind::Exhausted);
    let v6 = connect_failure(&error, SocketAddr::from((Ipv6Addr::LOCALHOST, 1)), String::new());
    assert_eq!((v6.kind, v6.token()), (SendFailureKind::Connect, "destination_ip_unroutable"));
}
