//! Tests of the limits, under paused time.

use tokio::time::advance;
use uuid::Uuid;

use super::*;
use crate::error::Kind;
use crate::models::principal::PrincipalKind;

fn limits() -> RateLimits {
    RateLimits::local(Arc::new(Metrics::new("0", "test")))
}

#[expect(clippy::unnecessary_wraps, reason = "it is what a request has")]
fn address(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([203, 0, 113, last]))
}

fn allowed(standing: Option<Standing>) -> bool {
    standing.unwrap().refused.is_none()
}

#[tokio::test(start_paused = true)]
async fn an_address_has_its_burst_and_earns_it_back_evenly() {
    let limits = limits();
    for left in (0..10).rev() {
        let standing = limits.auth(address(1)).await.unwrap();
        assert_eq!((standing.remaining, standing.refused), (left, None));
    }
    let standing = limits.auth(address(1)).await.unwrap();
    assert_eq!(standing.refused, Some(Duration::from_secs(6)));
    assert_eq!((standing.remaining, standing.reset), (0, Duration::from_secs(60)));
    // A refused request costs nothing, and when it was said to be enough, it is.
    advance(Duration::from_millis(5_999)).await;
    assert!(!allowed(limits.auth(address(1)).await));
    advance(Duration::from_millis(1)).await;
    assert!(allowed(limits.auth(address(1)).await));
    assert!(!allowed(limits.auth(address(1)).await));
}

#[tokio::test(start_paused = true)]
async fn nobody_has_more_than_the_burst_after_any_pause() {
    let limits = limits();
    assert!(allowed(limits.auth(address(1)).await));
    advance(Duration::from_secs(86_400)).await;
    let mut counted = 0;
    while allowed(limits.auth(address(1)).await) {
        counted += 1;
    }
    assert_eq!(counted, 10);
}

#[tokio::test]
async fn limits_and_addresses_do_not_share() {
    let limits = limits();
    while allowed(limits.auth(address(1)).await) {}
    assert!(allowed(limits.auth(address(2)).await));
    assert!(allowed(limits.anonymous(address(1)).await));
    assert!(allowed(limits.auth(None).await));
}

#[tokio::test]
async fn one_customer_of_ipv6_is_one_client() {
    let limits = limits();
    let of = |text: &str| Some(text.parse().unwrap());
    while allowed(limits.auth(of("2001:db8:1:2::1")).await) {}
    assert!(!allowed(limits.auth(of("2001:db8:1:2:ffff:ffff:ffff:ffff")).await));
    assert!(allowed(limits.auth(of("2001:db8:1:3::1")).await));
    while allowed(limits.auth(of("::ffff:203.0.113.9")).await) {}
    assert!(!allowed(limits.auth(of("203.0.113.9")).await));
}

#[tokio::test]
async fn a_class_says_how_many() {
    let limits = limits();
    for (class, requests) in [(Class::Low, 60), (Class::Normal, 600), (Class::High, 6000)] {
        let (kind, id) = (PrincipalKind::ServiceAccount, Uuid::now_v7());
        let principal = Principal { kind, id, name: "billing".to_owned(), role: None, class };
        let standing = limits.principal(&principal).await.unwrap();
        assert_eq!((standing.remaining, standing.refused), (requests - 1, None));
    }
}

#[tokio::test(start_paused = true)]
async fn only_failures_lock_and_only_who_failed() {
    let limits = limits();
    for _ in 0..50 {
        limits.check("ada@example.com", address(1)).await.unwrap();
    }
    for _ in 0..5 {
        limits.check("ada@example.com", address(1)).await.unwrap();
        limits.failed("ada@example.com", address(1)).await;
    }
    let refused = limits.check(" Ada@Example.com", address(1)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (Kind::RateLimited, Some(Duration::from_secs(180))));
    // The owner comes from elsewhere, and the neighbour means another account.
    limits.check("ada@example.com", address(2)).await.unwrap();
    limits.check("bob@example.com", address(1)).await.unwrap();
    // What fails while it is locked prolongs nothing.
    limits.failed("ada@example.com", address(1)).await;
    advance(Duration::from_secs(180)).await;
    limits.check("ada@example.com", address(1)).await.unwrap();
}

/// Else each spelling would bring tries of its own.
#[tokio::test]
async fn every_spelling_of_an_account_is_that_account() {
    let limits = limits();
    for spelling in
        ["klaus@weiss.de", "KLAUS@WEISS.DE", "klaus@weiß.de", "\u{212a}laus@weiss.de", "klau\u{17f}@weiss.de"]
    {
        limits.check(spelling, address(1)).await.unwrap();
        limits.failed(spelling, address(1)).await;
    }
    assert!(limits.check("klaus@weiss.de", address(1)).await.is_err());
}

#[tokio::test]
async fn many_at_once_get_no_more_than_the_burst() {
    let limits = limits();
    let held = limits.held.as_ref().unwrap();
    let asks = || held.count_here(Client(RateLimit::Anonymous, 1)).refused.is_none();
    let counted: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..100).filter(|_| asks()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(counted, 100);
}

#[tokio::test]
async fn a_flood_of_addresses_is_bounded_and_forgets_none_that_is_held_back() {
    let limits = limits();
    while allowed(limits.auth(address(1)).await) {}
    let mut let_through = 0;
    for flood in 0..(3 * REMEMBERED as u32) {
        limits.auth(Some(IpAddr::from(flood.to_be_bytes()))).await;
        if flood % 1000 == 0 && allowed(limits.auth(address(1)).await) {
            let_through += 1;
        }
    }
    assert!(limits.held.as_ref().unwrap().times.len() <= REMEMBERED);
    // A token is earned every six seconds; the flood itself takes less than that or not much more.
    assert!(let_through <= 10, "{let_through}");
}

#[tokio::test]
async fn where_limits_are_off_nobody_is_counted() {
    let limits = RateLimits::off();
    assert_eq!(limits.auth(address(1)).await, None);
    for _ in 0..50 {
        limits.failed("ada@example.com", address(1)).await;
    }
    limits.check("ada@example.com", address(1)).await.unwrap();
}
