//! What a replica asks of the API server is what `helm/rights.json` says, no more and no less.

use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn every_right_is_used_and_no_other_is_asked_for() {
    let scene = Scene::on_sqlite().await;
    let mut spec = scene.spec();
    spec["credentials"] = json!({
        "basic": { "username": "a" }, "secretRef": { "name": "stripe", "key": "token" },
    });
    scene.cluster.put_secret("shop", "stripe", ("token", "x"), &may_go_to(&scene.server.url()));
    scene.cluster.apply("shop", "rates", spec);
    let (_replica, _) = replica(&scene).await;
    until_condition(&scene.cluster, ("shop", "rates"), "Ready", "True/Ready").await;
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/helm/rights.json")).unwrap();
    let table: Value = serde_json::from_str(&file).unwrap();
    let mut given = BTreeSet::new();
    for right in table["rights"].as_array().unwrap() {
        for verb in right["verbs"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            given.insert((text(&right["apiGroup"]), text(&right["resource"]), text(verb)));
        }
    }
    // An Event that happens again raises a count, a minute later: its right is seen in the unit tests.
    let later = (String::new(), "events".to_owned(), "patch".to_owned());
    until("every right is used", SOON, async || {
        let used: BTreeSet<_> = scene.cluster.asked().into_iter().map(used).collect();
        let unused: Vec<_> = given.difference(&used).filter(|right| **right != later).collect();
        unused.is_empty()
    })
    .await;
    let used: BTreeSet<_> = scene.cluster.asked().into_iter().map(used).collect();
    let more: Vec<_> = used.difference(&given).collect();
    assert!(more.is_empty(), "asked for and not in the table: {more:?}");
}

fn used(asked: crate::support::cluster::Asked) -> (String, String, String) {
    (asked.group, asked.resource, asked.verb.to_owned())
}
