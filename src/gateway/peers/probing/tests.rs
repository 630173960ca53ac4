//! Two replicas, one lease, paused time.

use parking_lot::Mutex;
use tokio::time::advance;

use super::*;
use crate::gateway::breaker::{Outcome, Permit};
use crate::models::policy;

/// Leases in memory; away when told.
#[derive(Default)]
struct Kept {
    of: Mutex<HashMap<Name, (String, Instant)>>,
    away: Mutex<bool>,
}

impl Kept {
    fn is_away(&self) -> bool {
        *self.away.lock()
    }

    fn holder(&self) -> Option<String> {
        let kept = self.of.lock();
        let lease = kept.values().next().filter(|(_, until)| *until > Instant::now());
        lease.map(|(token, _)| token.split(':').next().unwrap().to_owned())
    }
}

impl Leases for Kept {
    async fn take(&self, name: &Name, token: &str) -> Option<bool> {
        let mut kept = self.of.lock();
        let free = kept.get(name).is_none_or(|(_, until)| *until <= Instant::now());
        if free && !self.is_away() {
            kept.insert(name.clone(), (token.to_owned(), Instant::now() + LEASE));
        }
        (!self.is_away()).then_some(free)
    }

    async fn is_taken(&self, name: &Name) -> Option<bool> {
        let kept = self.of.lock();
        (!self.is_away()).then(|| kept.get(name).is_some_and(|(_, until)| *until > Instant::now()))
    }

    async fn renew(&self, name: &Name, token: &str) -> Option<bool> {
        if self.is_away() {
            return None;
        }
        let mut kept = self.of.lock();
        let mine = kept.get_mut(name).filter(|(holder, until)| holder == token && *until > Instant::now());
        mine.map(|(_, until)| *until = Instant::now() + LEASE).map(|()| true).or(Some(false))
    }

    async fn give_back(&self, name: &Name, token: &str) {
        self.of.lock().retain(|known, (holder, _)| known != name || holder != token);
    }
}

struct Replica {
    breaker: Arc<Breaker>,
    probing: Probing,
}

impl Replica {
    /// Its breaker has just opened for five seconds.
    fn opened(name: &str) -> Self {
        let settings = policy::Breaker {
            window: policy::Window::Duration(Duration::from_secs(30)),
            minimum_calls: 1,
            failure_rate: 0.5,
            fail_on: vec![],
            fail_statuses: vec![],
            consecutive_failures: 0,
            slow_call: None,
            open_base: Duration::from_secs(5),
            open_cap: Duration::from_secs(5),
            probes: 2,
            mode: policy::BreakerMode::Auto,
            adopt: false,
        };
        let breaker = Breaker::new(&settings, Box::new(|_| {}));
        // What it saw itself would open it for a time with chance in it.
        assert!(breaker.adopt(Duration::from_secs(5)));
        let metrics = Arc::new(Metrics::new("0", "test"));
        Self { breaker, probing: Probing::new(name, metrics) }
    }

    async fn turn(&mut self, kept: &Kept) {
        self.probing.attend(("rates".to_owned(), None), &self.breaker, kept).await;
    }

    fn probe(&self) -> Option<Permit> {
        self.breaker.try_acquire(1).ok()
    }
}

async fn turns(replicas: &mut [&mut Replica], kept: &Kept, lasting: Duration) {
    let turn = Duration::from_millis(250);
    for _ in 0..lasting.as_millis() / turn.as_millis() {
        for replica in &mut *replicas {
            replica.turn(kept).await;
        }
        advance(turn).await;
    }
    for replica in replicas {
        replica.turn(kept).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_probes_and_the_other_follows_when_that_is_over() {
    let (mut one, mut two, kept) = (Replica::opened("one"), Replica::opened("two"), Kept::default());
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(6)).await;
    assert_eq!(kept.holder().as_deref(), Some("one"));
    let first = one.probe().expect("it has the lease");
    assert!(two.probe().is_none());
    // A slow probe: the lease is renewed for as long as it takes.
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(20)).await;
    assert!(two.probe().is_none());
    first.finish(Outcome::Success);
    one.probe().expect("two are needed").finish(Outcome::Success);
    assert_eq!(one.breaker.view().state, State::Closed);
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(1)).await;
    assert_eq!(kept.holder().as_deref(), Some("two"));
    assert!(two.probe().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_holder_without_calls_loses_the_lease_to_one_that_has_some() {
    let (mut one, mut two, kept) = (Replica::opened("one"), Replica::opened("two"), Kept::default());
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(6)).await;
    assert_eq!(kept.holder().as_deref(), Some("one"));
    // Nobody calls by way of the first, which is always first to ask.
    turns(&mut [&mut one, &mut two], &kept, LEASE).await;
    assert_eq!(kept.holder().as_deref(), Some("two"));
    let probe = two.probe();
    assert!(probe.is_some() && one.probe().is_none());
    // Both have been in vain by now: what comes first probes.
    drop(probe);
    turns(&mut [&mut one, &mut two], &kept, LEASE * 3).await;
    assert!(one.probe().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_that_nobody_calls_keeps_nobody_from_probing() {
    let (mut one, mut two, kept) = (Replica::opened("one"), Replica::opened("two"), Kept::default());
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(6)).await;
    // One good probe where two are needed, and no more calls.
    one.probe().expect("it has the lease").finish(Outcome::Success);
    turns(&mut [&mut one, &mut two], &kept, LEASE + Duration::from_secs(1)).await;
    assert_eq!((one.breaker.view().state, kept.holder().as_deref()), (State::HalfOpen, Some("two")));
    assert!(two.probe().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_probes_without_the_lease_takes_it() {
    let (mut one, mut two, kept) = (Replica::opened("one"), Replica::opened("two"), Kept::default());
    *kept.away.lock() = true;
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(6)).await;
    let probe = one.probe().expect("nobody can say who has the lease");
    *kept.away.lock() = false;
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(2)).await;
    assert_eq!(kept.holder().as_deref(), Some("one"));
    assert!(two.probe().is_none());
    drop(probe);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_say_who_has_the_lease_each_probes() {
    let (mut one, mut two, kept) = (Replica::opened("one"), Replica::opened("two"), Kept::default());
    *kept.away.lock() = true;
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(5)).await;
    assert!(one.probe().is_some() && two.probe().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_by_itself_when_redis_goes_away() {
    let (mut one, mut two, kept) = (Replica::opened("one"), Replica::opened("two"), Kept::default());
    turns(&mut [&mut one, &mut two], &kept, Duration::from_secs(6)).await;
    assert!(two.probe().is_none());
    *kept.away.lock() = true;
    turns(&mut [&mut two], &kept, HOLD + Duration::from_millis(250)).await;
    assert!(two.probe().is_some());
}

#[tokio::test(start_paused = true)]
async fn failed_probes_give_the_lease_back() {
    let (mut one, kept) = (Replica::opened("one"), Kept::default());
    turns(&mut [&mut one], &kept, Duration::from_secs(6)).await;
    one.probe().unwrap().finish(Outcome::Failure { transport: false, retry_after: None });
    one.turn(&kept).await;
    assert_eq!((one.breaker.view().state, kept.holder()), (State::Open, None));
}
