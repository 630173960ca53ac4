//! The definition as a real API server judges it: the cost of its rules, the largest documents, what it refuses and how it says
//! so, and what `kubectl get` shows.

use kube::core::params::PostParams;

use super::*;
use crate::kubernetes::contract;

#[tokio::test]
async fn a_real_api_server_keeps_the_contract_that_the_other_tests_rely_on() {
    with_cluster(async |real| contract::is_kept(&real.client, &real.namespace).await).await;
}

#[tokio::test]
async fn the_definition_is_taken_and_its_rules_have_bounds_that_the_server_insists_on() {
    with_cluster(async |real| {
        let status = real.definition().await.unwrap().status.unwrap();
        let conditions: Vec<_> =
            status.conditions.unwrap().into_iter().map(|it| (it.type_, it.status)).collect();
        for (kind, status) in &conditions {
            let wanted = if kind == "NonStructuralSchema" { "False" } else { "True" };
            assert_eq!(status, wanted, "{kind}");
        }
        assert!(conditions.iter().any(|(kind, _)| kind == "Established"));
        let mut unbounded = printed();
        unbounded["metadata"]["name"] = json!("others.levee.dev");
        unbounded["spec"]["names"] =
            json!({ "kind": "Other", "listKind": "OtherList", "plural": "others", "singular": "other" });
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let create = async |definition: &Value| {
            let definition = serde_json::from_value(definition.clone()).unwrap();
            real.definitions().create(&dry, &definition).await
        };
        create(&unbounded).await.unwrap();
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        for list in ["operations", "operations/items/properties/fallback"] {
            let list = unbounded.pointer_mut(&format!("{spec}/{list}")).unwrap();
            list.as_object_mut().unwrap().remove("maxItems").unwrap();
        }
        let refused = create(&unbounded).await.unwrap_err().to_string();
        assert!(refused.contains("rule cost exceeds budget"), "{refused}");
    })
    .await;
}

/// As many operations as there may be, each with a chain as long as it may be.
fn widest(real: &Real) -> Value {
    let mut spec = real.spec();
    let step = json!({ "upstream": { "name": "backup" } });
    let operation = |number: usize| {
        json!({
            "name": format!("operation-{number}"), "match": { "path": format!("/{number}/{{id}}") },
            "fallback": vec![step.clone(); 8], "breaker": { "window": { "calls": 50 } },
        })
    };
    spec["operations"] = (0..200).map(operation).collect();
    spec
}

/// A megabyte of prepared answers.
fn longest(real: &Real) -> Value {
    let mut spec = real.spec();
    let operation = |number: usize| {
        json!({
            "name": format!("operation-{number}"), "match": { "path": format!("/{number}/{{id}}") },
            "fallback": [{ "static": { "body": "x".repeat(64 * 1024) } }],
        })
    };
    spec["operations"] = (0..16).map(operation).collect();
    spec
}

#[tokio::test]
async fn the_largest_documents_are_taken_and_served() {
    with_cluster(async |real| {
        real.apply("backup", real.spec()).await.unwrap();
        for (name, spec) in [("widest", widest(real)), ("longest", longest(real))] {
            let bytes = spec.to_string().len();
            real.apply(name, spec).await.unwrap();
            println!("{name}: a document of {} KiB was taken", bytes / 1024);
        }
        let (replica, key) = real.replica().await;
        for name in ["widest", "longest"] {
            until_answered(&replica, &key, &format!("/proxy/{name}/ok"), 200).await;
            real.until_condition(name, "Accepted", "True/Accepted").await;
            real.until_condition(name, "Ready", "True/Ready").await;
        }
        let status = real.upstreams().get("widest").await.unwrap().data["status"]["breakers"].clone();
        assert_eq!(status.as_array().unwrap().len(), 201);
    })
    .await;
}

fn with(real: &Real, field: &str, value: Value) -> Value {
    let mut spec = real.spec();
    spec[field] = value;
    spec
}

/// As `kubectl create` does it, unknown fields refused.
async fn create(real: &Real, name: &str, spec: Value) -> kube::Result<Value> {
    let path =
        format!("/apis/levee.dev/v1alpha1/namespaces/{}/upstreams?fieldValidation=Strict", real.namespace);
    let body = document(name, spec).to_string().into_bytes();
    let request = http::Request::post(path).header("content-type", "application/json").body(body);
    real.client.request(request.unwrap()).await
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_field_and_the_reason() {
    with_cluster(async |real| {
        let header = json!({ "name": "a", "value": "{secret}" });
        for (spec, field, reason) in [
            (json!({}), "spec", "give exactly one of `url`, `service`"),
            (
                with(real, "service", json!({ "name": "a", "port": 80 })),
                "spec",
                "give exactly one of `url`, `service`",
            ),
            (
                with(real, "fallback", json!([{}])),
                "spec.fallback[0]",
                "give exactly one of `stale`, `upstream`, `static`",
            ),
            (
                with(real, "fallback", json!([{ "stale": { "maxAge": "1h" }, "static": { "body": "x" } }])),
                "spec.fallback[0]",
                "give exactly one of `stale`, `upstream`, `static`",
            ),
            (
                with(real, "breaker", json!({ "window": { "calls": 50, "duration": "30s" } })),
                "spec.breaker.window",
                "give exactly one of",
            ),
            (
                with(real, "credentials", json!({ "basic": { "username": "a" }, "header": header })),
                "spec.credentials",
                "give exactly one of `header`, `basic`, `oauth2`",
            ),
            (with(real, "url", json!(1)), "spec.url", "must be of type string"),
            (with(real, "timeout", json!({ "total": "10 parsecs" })), "spec.timeout.total", "should match"),
            (with(real, "cache", json!({ "mode": "maybe" })), "spec.cache.mode", "Unsupported value"),
            (
                with(real, "retry", json!({ "attempts": 11 })),
                "spec.retry.attempts",
                "less than or equal to 10",
            ),
            (
                with(real, "fallback", json!(vec![json!({ "stale": { "maxAge": "1h" } }); 9])),
                "spec.fallback",
                "at most 8 items",
            ),
            (with(real, "ownr", json!("a")), "spec.ownr", ""),
        ] {
            let refused = create(real, "bad", spec.clone()).await.unwrap_err().to_string();
            assert!(refused.contains(field) && refused.contains(reason), "{spec}: {refused}");
        }
        let long = create(real, &"a".repeat(64), real.spec()).await.unwrap_err().to_string();
        assert!(long.contains("metadata.name"), "{long}");
        assert_eq!(real.upstreams().list(&ListParams::default()).await.unwrap().items.len(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_table_shows_where_it_goes_and_how_it_is() {
    with_cluster(async |real| {
        real.apply("rates", real.spec()).await.unwrap();
        let _replica = real.deployment.replica().await;
        real.until_condition("rates", "Ready", "True/Ready").await;
        let path = format!("/apis/levee.dev/v1alpha1/namespaces/{}/upstreams", real.namespace);
        let request =
            http::Request::get(path).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        let table: Value = real.client.request(request.body(Vec::new()).unwrap()).await.unwrap();
        let columns = table["columnDefinitions"].as_array().unwrap().iter().map(|it| &it["name"]);
        let columns: Vec<_> = columns.filter_map(Value::as_str).collect();
        assert_eq!(columns, ["Name", "URL", "Breaker", "Accepted", "Ready", "Name", "Age"]);
        let cells = table["rows"][0]["cells"].as_array().unwrap();
        let wanted = [
            json!("rates"),
            json!(real.server.url()),
            json!("closed"),
            json!("True"),
            json!("True"),
            json!("rates"),
        ];
        assert_eq!(cells[..6], wanted);
    })
    .await;
}
