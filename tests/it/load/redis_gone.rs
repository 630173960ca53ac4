//! Redis is stopped under load: nobody gets an error, and after the first second nobody waits for it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::neighbours::median;
use crate::support::client::{Connection, request};
use crate::support::control::K1;
use crate::support::levee::TestApp;
use crate::support::misbehaving::Misbehaving;
use crate::support::redis::RedisServer;
use crate::support::until::until;

/// How much later calls may be answered once Redis has been away for a second.
const MARGIN: Duration = Duration::from_millis(5);
/// How soon it is used again once it is back.
const RECOVERY: Duration = Duration::from_secs(5);
/// Calls of one round.
const CALLS: usize = 1000;
/// Rounds with Redis and without, neighbours in time.
const PAIRS: usize = 3;
/// Longer is no outage any more but a broken test.
const LIMIT: Duration = Duration::from_secs(20);

const UP: &str = r#"levee_dependency_up{dependency="redis"}"#;

/// Every call of it has to do with Redis: its answer is looked for there and written there, and its quota is the fleet's.
fn shared(server: &Misbehaving) -> String {
    format!(
        "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: spring }}\nspec:\n  url: {}\n  \
         cache: {{ mode: override, ttl: 1h }}\n  retry: {{ attempts: 1 }}\n  \
         quota: {{ rate: 100000/s, burst: 10000, scope: fleet, onExhausted: reject, onStoreLoss: local_share }}\n",
        server.url()
    )
}

/// One caller who asks for another thing each time.
struct Caller {
    connection: Connection,
    asked: Cell<usize>,
}

impl Caller {
    async fn of(app: &TestApp) -> Self {
        Self { connection: Connection::open(app.data).await, asked: Cell::new(0) }
    }

    async fn call(&mut self) -> Duration {
        let number = self.asked.replace(self.asked.get() + 1);
        let began = Instant::now();
        let answer = self.connection.send(request(&format!("/proxy/spring/ok?n={number}"))).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("levee-answer")), (200, "upstream"));
        began.elapsed()
    }

    async fn p99(&mut self) -> Duration {
        let mut took = Vec::with_capacity(CALLS);
        for _ in 0..CALLS {
            took.push(self.call().await);
        }
        took.sort_unstable();
        took[CALLS * 99 / 100]
    }

    /// Goes on calling for so long.
    async fn keep_on(&mut self, span: Duration) {
        let began = Instant::now();
        while began.elapsed() < span {
            self.call().await;
        }
    }
}

#[tokio::test]
async fn a_redis_that_stops_costs_no_call_and_no_time() {
    let (server, mut redis) = (Misbehaving::start().await, RedisServer::start().await);
    let app = TestApp::with(shared(&server)).env("LEVEE_SECRET_KEYS", K1);
    let app = app.env("LEVEE_REDIS_URL", redis.url()).start().await;
    let in_step = async || app.status().await["fleetCache"]["inStep"] == true;
    until("Redis is in use", LIMIT, in_step).await;
    let (mut caller, mut pairs) = (Caller::of(&app).await, Vec::new());
    caller.p99().await;
    for _ in 0..PAIRS {
        let with = caller.p99().await;
        redis.stop();
        caller.keep_on(Duration::from_secs(1)).await;
        pairs.push((with, caller.p99().await));
        assert_eq!(app.metric(UP).await, Some(0.0), "it was away for the whole round");
        redis.start_again().await;
        let back = Instant::now();
        until("Redis is used again", LIMIT, in_step).await;
        assert!(back.elapsed() <= RECOVERY, "it took {:?}", back.elapsed());
    }
    let later: Vec<f64> =
        pairs.iter().map(|(with, without)| without.as_secs_f64() - with.as_secs_f64()).collect();
    println!("p99 with Redis and without: {pairs:?}");
    assert!(median(&later) <= MARGIN.as_secs_f64(), "{later:?} s later");
}
