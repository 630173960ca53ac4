//! How often a status is written, whatever happens, under paused time.

use http::Method;
use kube::api::DynamicObject;
use tokio::time::{advance, sleep};

use super::*;
use crate::controller::cluster::TroubleKind;
use crate::controller::fixtures::{self, FakeApi, Trouble as Matter};
use crate::controller::seen::Objects;
use crate::controller::watch::Follower as _;
use crate::services::breakers::{BreakerMode, BreakerState};
use crate::services::publication::{Merged, SecretStanding};

fn id() -> ResourceId {
    ResourceId { namespace: "shop".into(), object: "rates".into() }
}

fn published(accepted: bool, generation: i64) -> Published {
    let report = ResourceReport {
        name: "shop.rates".into(),
        generation,
        accepted,
        in_force: true,
        faults: Vec::new(),
        secret: SecretStanding::Unnamed,
        needs_credential: false,
        hides: None,
    };
    let merged = Merged { resources: [(id(), report)].into(), ..Merged::default() };
    Published { merged, ..Published::default() }
}

fn breaker(state: BreakerState) -> BreakerReport {
    fixtures::breaker(None, state, BreakerMode::Auto)
}

/// What a watch would tell of the object.
struct Told {
    seen: Arc<Seen>,
    watch: Objects,
}

impl Told {
    fn new() -> Self {
        let seen = Arc::<Seen>::default();
        let watch = Objects::new(Arc::clone(&seen), Arc::default(), 0, "Upstreams".to_owned());
        let told = Self { seen, watch };
        told.of(&Value::Null);
        told
    }

    fn of(&self, status: &Value) {
        let object = json!({
            "metadata": { "namespace": "shop", "name": "rates", "uid": "u", "generation": 1 },
            "spec": {}, "status": status,
        });
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.watch.applied(object);
    }
}

/// One look of a leader, with its writes and what the watch says of them.
async fn round(
    ledger: &mut Ledger,
    told: &Told,
    published: &Published,
    state: BreakerState,
    api: &FakeApi,
) -> usize {
    let due = ledger.look(&told.seen, published, &[breaker(state)], Instant::now());
    for write in &due {
        let written = write_status(&api.cluster(), write).await;
        ledger.settled(&write.id, written.is_ok(), Instant::now());
        if written.is_ok() {
            told.of(&write.status);
        }
    }
    due.len()
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_flaps_in_a_minute_make_at_most_six_writes() {
    let (api, told, mut ledger) = (FakeApi::default(), Told::new(), Ledger::default());
    let published = published(true, 1);
    let mut writes = 0;
    for flap in 0..10_000 {
        let state = if flap % 2 == 0 { BreakerState::Open } else { BreakerState::Closed };
        writes += round(&mut ledger, &told, &published, state, &api).await;
        advance(Duration::from_millis(6)).await;
    }
    assert!((5..=6).contains(&writes), "{writes}");
    let events = ledger.events.due(Instant::now());
    assert!(events.len() <= 3, "one of each kind at most: {events:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_word_is_written_and_then_nothing() {
    let (api, told, mut ledger) = (FakeApi::default(), Told::new(), Ledger::default());
    let published = published(true, 1);
    assert_eq!(round(&mut ledger, &told, &published, BreakerState::Closed, &api).await, 1);
    assert_eq!(round(&mut ledger, &told, &published, BreakerState::Open, &api).await, 0, "too soon");
    advance(WRITE_EVERY).await;
    assert_eq!(round(&mut ledger, &told, &published, BreakerState::Open, &api).await, 1);
    for _ in 0..10 {
        advance(WRITE_EVERY).await;
        assert_eq!(round(&mut ledger, &told, &published, BreakerState::Open, &api).await, 0);
    }
    let applied = api.asked(&Method::PATCH, "/namespaces/shop/upstreams/rates/status").pop().unwrap();
    assert_eq!(applied["status"]["conditions"][2]["reason"], "BreakerOpen");
    assert_eq!(applied["apiVersion"], "levee.dev/v1alpha1");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_tried_again_after_growing_pauses() {
    let (api, told, mut ledger) = (FakeApi::default(), Told::new(), Ledger::default());
    api.set(Matter::Fails);
    let published = published(true, 1);
    let mut tries = 0;
    for _ in 0..600 {
        tries += round(&mut ledger, &told, &published, BreakerState::Closed, &api).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!((8..=16).contains(&tries), "{tries} in ten minutes");
    let failed = write_status(&api.cluster(), &Write { id: id(), status: json!({}) }).await.unwrap_err();
    assert_eq!(failed.kind, TroubleKind::Other);
    assert!(failed.to_string().starts_with("status of Upstream shop/rates: "), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_tells_nothing_that_the_one_before_has_told() {
    let (api, told, mut ledger) = (FakeApi::default(), Told::new(), Ledger::default());
    let first = published(true, 1);
    round(&mut ledger, &told, &first, BreakerState::Closed, &api).await;
    assert_eq!(ledger.events.due(Instant::now()).len(), 1);
    let mut next = Ledger::default();
    assert_eq!(round(&mut next, &told, &first, BreakerState::Closed, &api).await, 0);
    assert_eq!(next.events.due(Instant::now()).len(), 0);
    round(&mut next, &told, &published(false, 2), BreakerState::Open, &api).await;
    let mut told: Vec<_> = next.events.due(Instant::now()).into_iter().map(|due| due.happening).collect();
    told.sort_by_key(|happening| format!("{happening:?}"));
    assert_eq!(told, [Happening::Refused, Happening::Tripped]);
}
