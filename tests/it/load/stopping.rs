//! An idle process leaves as soon as it is told: one whose connections have been quiet for longer than the second in which
//! a caller may still ask.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::patient;
use crate::support::client::{Connection, request};
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;

/// Longer than a caller that was just answered is given to ask again.
const QUIET: Duration = Duration::from_millis(1100);

#[tokio::test]
async fn an_idle_process_is_gone_well_within_a_second() {
    let server = Misbehaving::start().await;
    let mut took = Vec::new();
    for _ in 0..5 {
        let mut app = TestApp::start(patient("spring", &server)).await;
        let mut kept = Connection::open(app.data).await;
        assert_eq!(kept.send(request("/proxy/spring/ok")).await.unwrap().status, 200);
        tokio::time::sleep(QUIET).await;
        let told = Instant::now();
        app.signal(Signal::TERM);
        assert_eq!(app.wait_exit(Duration::from_secs(10)).await.code(), Some(0));
        took.push(told.elapsed());
    }
    took.sort_unstable();
    println!("idle exits took {took:?}");
    assert!(took[2] < Duration::from_millis(500), "{took:?}");
}
