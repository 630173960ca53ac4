//! How often what is told, under paused time.

use http::Method;
use tokio::time::advance;

use super::*;
use crate::controller::fixtures::FakeApi;

fn id() -> ResourceId {
    ResourceId { namespace: "shop".into(), object: "rates".into() }
}

async fn write_due(events: &mut Events, api: &FakeApi) -> usize {
    let due = events.due(Instant::now());
    for event in &due {
        let written = event.write(&api.cluster()).await;
        events.settled(event, written.as_ref().cloned(), Instant::now());
    }
    due.len()
}

#[tokio::test(start_paused = true)]
async fn the_first_time_makes_an_event_and_the_rest_of_a_minute_raises_its_count_once() {
    let (api, mut events) = (FakeApi::default(), Events::default());
    events.note(&id(), "u", Happening::Tripped, "open", Instant::now());
    assert_eq!(write_due(&mut events, &api).await, 1);
    let made = api.asked(&Method::POST, "/api/v1/namespaces/shop/events").remove(0);
    assert_eq!(
        (&made["reason"], &made["type"], &made["count"]),
        (&"BreakerOpened".into(), &"Warning".into(), &1.into())
    );
    assert_eq!(
        (&made["involvedObject"]["kind"], &made["involvedObject"]["uid"]),
        (&"Upstream".into(), &"u".into())
    );
    for _ in 0..100 {
        events.note(&id(), "u", Happening::Tripped, "open again", Instant::now());
        advance(Duration::from_millis(100)).await;
        assert_eq!(write_due(&mut events, &api).await, 0);
    }
    advance(AGAIN_AFTER).await;
    assert_eq!(write_due(&mut events, &api).await, 1);
    assert_eq!(write_due(&mut events, &api).await, 0, "nothing waits any more");
    let name = made["metadata"]["name"].as_str().unwrap();
    assert_eq!(api.object(name)["count"], 101);
    assert_eq!(api.object(name)["message"], "open again");
}

#[tokio::test(start_paused = true)]
async fn after_most_of_an_hour_or_for_another_object_a_new_one_is_made() {
    let (api, mut events) = (FakeApi::default(), Events::default());
    for uid in ["u", "u", "v"] {
        events.note(&id(), uid, Happening::Accepted, "in force", Instant::now());
        assert_eq!(write_due(&mut events, &api).await, 1);
        advance(ANEW_AFTER + AGAIN_AFTER).await;
    }
    let made = api.asked(&Method::POST, "/api/v1/namespaces/shop/events");
    assert!(made.iter().all(|event| event["count"] == 1));
    assert_eq!(made.len(), 3);
    events.retain(|_| false);
    assert!(events.0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_written_waits_for_the_next_time() {
    let (api, mut events) = (FakeApi::default(), Events::default());
    api.set(crate::controller::fixtures::Trouble::Fails);
    events.note(&id(), "u", Happening::Refused, "wrong", Instant::now());
    assert_eq!(write_due(&mut events, &api).await, 1);
    assert_eq!(write_due(&mut events, &api).await, 0);
    advance(AGAIN_AFTER).await;
    api.set(crate::controller::fixtures::Trouble::Nothing);
    assert_eq!(write_due(&mut events, &api).await, 1);
    assert_eq!(api.asked(&Method::POST, "/events").len(), 1);
}
