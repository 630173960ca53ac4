//! Conditions for every case, and when a status is worth writing.

use super::*;
use crate::controller::fixtures::breaker;

fn report() -> ResourceReport {
    ResourceReport {
        name: "shop.rates".into(),
        generation: 3,
        accepted: true,
        in_force: true,
        faults: Vec::new(),
        secret: SecretStanding::Unnamed,
        needs_credential: false,
        hides: None,
    }
}

fn fault(pointer: &str, detail: &str) -> Fault {
    Fault { pointer: pointer.into(), detail: detail.into() }
}

fn said(status: &Status) -> Vec<String> {
    status.conditions.iter().map(|it| format!("{} {} {}", it.kind, it.status, it.reason)).collect()
}

const CLOSED: BreakerState = BreakerState::Closed;

#[test]
fn what_is_well_is_accepted_ready_and_healthy() {
    let status = Status::of(&report(), false, &[breaker(None, CLOSED, BreakerMode::Auto)]);
    assert_eq!(said(&status), ["Accepted True Accepted", "Ready True Ready", "Healthy True BreakerClosed"]);
    let written = status.to_json(&Value::Null, "2026-01-01T00:00:00Z");
    assert_eq!((&written["breaker"], &written["observedGeneration"]), (&json!("closed"), &json!(3)));
    assert_eq!(written["conditions"][2]["lastTransitionTime"], "2026-01-01T00:00:00Z");
}

#[test]
fn what_is_wrong_is_told_by_field_and_says_what_serves() {
    let faults = vec![fault("/spec/fallback/0/stale", "no"), fault("/spec/headers/set/a~1b", "nor this")];
    let refused = ResourceReport { accepted: false, faults, ..report() };
    let status = Status::of(&refused, false, &[]);
    assert_eq!(
        status.condition(ACCEPTED).message,
        "spec.fallback[0].stale: no; spec.headers.set.a/b: nor this; the last good version stays in force"
    );
    assert_eq!(said(&status)[0], "Accepted False Invalid");
    let nothing = Status::of(&ResourceReport { in_force: false, ..refused }, false, &[]);
    assert_eq!(
        said(&nothing),
        ["Accepted False Invalid", "Ready False NotAccepted", "Healthy Unknown NotInForce"]
    );
    assert_eq!(nothing.to_json(&Value::Null, "")["breaker"], "");
}

#[test]
fn each_trouble_with_a_secret_has_its_reason() {
    for (secret, reason) in [
        (SecretStanding::Closed, "SecretNotReadable"),
        (SecretStanding::Unread("away".into()), "SecretNotReadable"),
        (SecretStanding::Missing, "SecretMissing"),
        (SecretStanding::NoSuchKey, "SecretKeyMissing"),
        (SecretStanding::Unbound("levee.dev/origin: https://a:443".into()), "SecretNotBound"),
    ] {
        let report = ResourceReport { secret, needs_credential: true, ..report() };
        assert_eq!(said(&Status::of(&report, false, &[]))[1], format!("Ready False {reason}"));
    }
    let needing = ResourceReport { needs_credential: true, ..report() };
    assert_eq!(said(&Status::of(&needing, false, &[]))[1], "Ready False CredentialMissing");
    assert_eq!(said(&Status::of(&needing, true, &[]))[1], "Ready True Ready");
    let alone = ResourceReport { faults: vec![fault("/spec/fallback/0", "nobody")], ..report() };
    assert_eq!(said(&Status::of(&alone, true, &[]))[1], "Ready False FallbackMissing");
}

#[test]
fn health_is_the_worst_of_the_breakers_that_act() {
    let (open, half) = (BreakerState::Open, BreakerState::HalfOpen);
    for (breakers, reason, column) in [
        (vec![breaker(None, open, BreakerMode::MetricsOnly)], "True BreakerClosed", "closed"),
        (vec![breaker(None, half, BreakerMode::Auto)], "False BreakerHalfOpen", "half_open"),
        (
            vec![breaker(Some("q"), half, BreakerMode::Auto), breaker(None, open, BreakerMode::Auto)],
            "False BreakerOpen",
            "open",
        ),
        (vec![breaker(None, open, BreakerMode::ForcedOpen)], "False BreakerForcedOpen", "open"),
    ] {
        let status = Status::of(&report(), false, &breakers);
        assert_eq!(said(&status)[2], format!("Healthy {reason}"));
        assert_eq!(status.to_json(&Value::Null, "")["breaker"], column);
    }
    let two = [breaker(Some("q"), half, BreakerMode::Auto), breaker(None, open, BreakerMode::Auto)];
    assert_eq!(Status::of(&report(), false, &two).condition(HEALTHY).message, "open, q: half_open");
}

#[test]
fn only_what_changes_is_written_and_a_condition_keeps_its_time() {
    let closed = [breaker(None, CLOSED, BreakerMode::Auto)];
    let open = [breaker(None, BreakerState::Open, BreakerMode::Auto)];
    let before = Status::of(&report(), false, &closed);
    assert!(!before.is_said_by(&Value::Null));
    let mut written = before.to_json(&Value::Null, "then");
    assert!(before.is_said_by(&written));
    let after = Status::of(&report(), false, &open);
    assert!(!after.is_said_by(&written));
    let next = after.to_json(&written, "now");
    let times: Vec<_> =
        next["conditions"].as_array().unwrap().iter().map(|it| &it["lastTransitionTime"]).collect();
    assert_eq!(times, ["then", "then", "now"]);
    written["conditions"].as_array_mut().unwrap().insert(0, json!({ "type": "Foreign", "status": "True" }));
    written["foreign"] = json!(1);
    assert!(before.is_said_by(&written), "what others add does not count");
    assert!(!Status::of(&ResourceReport { generation: 4, ..report() }, false, &closed).is_said_by(&written));
}

#[test]
fn an_empty_list_that_the_server_has_dropped_is_not_written_again() {
    let nothing = Status::of(&ResourceReport { in_force: false, accepted: false, ..report() }, false, &[]);
    let mut written = nothing.to_json(&Value::Null, "2026-01-01T00:00:00Z");
    assert_eq!(written["breakers"], json!([]));
    written.as_object_mut().unwrap().remove("breakers");
    assert!(nothing.is_said_by(&written));
    written["breakers"] = json!([{ "operation": "", "state": "open", "mode": "auto" }]);
    assert!(!nothing.is_said_by(&written));
}

#[test]
fn a_message_has_an_end() {
    let faults = (0..500).map(|_| fault("/spec/url", "ä")).collect();
    let refused = ResourceReport { accepted: false, faults, ..report() };
    let message = Status::of(&refused, false, &[]).condition(ACCEPTED).message.clone();
    assert!(message.len() <= LONGEST_MESSAGE + '…'.len_utf8() && message.ends_with('…'));
}
