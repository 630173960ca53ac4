//! Who leads, and for how long, under paused time.

use http::Method;
use tokio::time::advance;

use super::*;
use crate::controller::fixtures::{FakeApi, Trouble as Matter};

/// One replica's part.
struct Replica {
    standing: Arc<Standing>,
    stop: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Replica {
    fn start(api: &FakeApi, name: &str) -> Self {
        let (standing, stop) = (Arc::<Standing>::default(), CancellationToken::new());
        let election = Election::called(name.to_owned(), api.cluster().leases(), Arc::clone(&standing));
        Self { standing, stop: stop.clone(), ended: tokio::spawn(election.run(stop)) }
    }

    fn leads(&self) -> bool {
        self.standing.is_leading()
    }

    async fn leads_within(&self, limit: Duration) -> Duration {
        let began = Instant::now();
        while !self.leads() {
            assert!(began.elapsed() <= limit, "not within {limit:?}");
            sleep(Duration::from_millis(100)).await;
        }
        began.elapsed()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_first_takes_it_renews_it_and_no_other_leads() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "one");
    first.leads_within(SECOND).await;
    let second = Replica::start(&api, "two");
    for _ in 0..120 {
        sleep(SECOND).await;
        assert!(first.leads() && !second.leads());
    }
    assert_eq!(second.standing.reading().leader.as_deref(), Some("one"));
    let spec = &api.object("leases/levee")["spec"];
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&"one".into(), &15.into()));
    assert_eq!(spec["leaseTransitions"], 0);
    assert!(api.asked(&Method::PUT, "leases/levee").len() > 45, "every two seconds or so");
}

#[tokio::test(start_paused = true)]
async fn one_that_falls_silent_is_followed_after_the_leases_duration_and_not_before() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "one");
    first.leads_within(SECOND).await;
    let second = Replica::start(&api, "two");
    sleep(10 * SECOND).await;
    first.ended.abort();
    let took = second.leads_within(20 * SECOND).await;
    assert!(took > 12 * SECOND, "{took:?}");
    assert_eq!(api.object("leases/levee")["spec"]["leaseTransitions"], 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_stops_gives_it_back_at_once() {
    let api = FakeApi::default();
    let first = Replica::start(&api, "one");
    first.leads_within(SECOND).await;
    let second = Replica::start(&api, "two");
    sleep(5 * SECOND).await;
    first.stop.cancel();
    first.ended.await.unwrap();
    assert_eq!(api.object("leases/levee")["spec"]["holderIdentity"], "");
    second.leads_within(3 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_renew_stops_leading_before_another_can_begin() {
    for matter in [Matter::Fails, Matter::Hangs] {
        let api = FakeApi::default();
        let first = Replica::start(&api, "one");
        first.leads_within(SECOND).await;
        api.set(matter);
        sleep(Duration::from_millis(7_500)).await;
        assert!(first.leads(), "one failure is none");
        sleep(3 * SECOND).await;
        assert!(!first.leads(), "ten seconds are over");
        api.set(Matter::Nothing);
        first.leads_within(10 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_who_take_it_at_once_only_one_gets_through() {
    let api = FakeApi::default();
    let replicas: Vec<_> = (0..8).map(|number| Replica::start(&api, &format!("replica-{number}"))).collect();
    for _ in 0..100 {
        sleep(Duration::from_millis(300)).await;
        assert!(replicas.iter().filter(|replica| replica.leads()).count() <= 1);
    }
    assert_eq!(replicas.iter().filter(|replica| replica.leads()).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_others_write_between_reading_and_writing_is_not_overwritten() {
    let api = FakeApi::default();
    let mut one = Election::called("one".to_owned(), api.cluster().leases(), Arc::default());
    let mut two = Election::called("two".to_owned(), api.cluster().leases(), Arc::default());
    one.step().await.unwrap();
    let stale = one.leases.get(NAME).await.unwrap();
    one.step().await.unwrap();
    advance(16 * SECOND).await;
    let taken = LeaseSpec { holder_identity: Some("two".to_owned()), ..LeaseSpec::default() };
    let refused = two.replace(stale, taken, Instant::now()).await.unwrap_err();
    assert_eq!(refused.kind, TroubleKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_by_hours_change_nothing() {
    let api = FakeApi::default();
    let mut one = Election::called("one".to_owned(), api.cluster().leases(), Arc::default());
    one.step().await.unwrap();
    let found = one.leases.get(NAME).await.unwrap();
    let long_ago = MicroTime("2001-01-01T00:00:00Z".parse().unwrap());
    let spec = LeaseSpec { renew_time: Some(long_ago), ..found.spec.clone().unwrap() };
    one.replace(found, spec, Instant::now()).await.unwrap();
    let mut two = Election::called("two".to_owned(), api.cluster().leases(), Arc::default());
    two.step().await.unwrap();
    advance(14 * SECOND).await;
    two.step().await.unwrap();
    assert!(!two.standing.is_leading(), "it has not seen it unchanged for long enough");
    advance(2 * SECOND).await;
    two.step().await.unwrap();
    assert!(two.standing.is_leading());
}
