//! The definition is what Kubernetes takes, says what the readers say, and is the committed one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::*;
use crate::models::custom_resource::{ClusterSecret, CustomResource, ResourceId};
use crate::models::document::{Rules, read_resource};

#[test]
fn the_committed_definition_is_the_printed_one() {
    let path = format!("{}/openapi/upstream.crd.yaml", env!("CARGO_MANIFEST_DIR"));
    let printed = to_yaml();
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, &printed).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == printed,
        "openapi/upstream.crd.yaml is out of date: run `make update` and read the diff"
    );
}

#[test]
fn no_word_of_it_is_a_boolean_to_who_reads_yaml_1_1() {
    for line in to_yaml().lines() {
        let words = line.trim().trim_start_matches("- ").split(": ").map(|word| word.trim_end_matches(':'));
        for word in words {
            let bare = ["y", "n", "yes", "no", "on", "off"].contains(&word.to_ascii_lowercase().as_str());
            assert!(!bare, "{line}");
        }
    }
}

#[test]
fn it_is_a_definition_in_the_terms_of_kubernetes() {
    let typed: CustomResourceDefinition = serde_json::from_value(definition()).unwrap();
    let back = serde_json::to_value(&typed).unwrap();
    assert!(as_floats(back) == as_floats(definition()), "a field is unknown to Kubernetes");
}

/// Bounds are floating point numbers in Kubernetes' types.
fn as_floats(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(items) => items.into_iter().map(as_floats).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, as_floats(value))).collect(),
        value => value,
    }
}

/// Every schema, with its place.
fn every_schema(schema: &Value, place: &str, visit: &mut impl FnMut(&str, &Value)) {
    visit(place, schema);
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        every_schema(inner, &format!("{place}.{name}"), visit);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            every_schema(&schema[inner], &format!("{place}[]"), visit);
        }
    }
}

#[test]
fn everything_that_can_grow_has_a_bound_and_everything_has_a_type() {
    every_schema(&spec(), "spec", &mut |place, schema| match schema["type"].as_str() {
        Some("array") => assert!(schema["maxItems"].is_u64(), "{place}"),
        Some("string") => assert!(schema["maxLength"].is_u64() || schema["enum"].is_array(), "{place}"),
        Some("object") => {
            let named = schema["properties"].is_object();
            assert!(named || schema["maxProperties"].is_u64(), "{place}");
        }
        Some(_) => {}
        None => assert_eq!(schema["x-kubernetes-int-or-string"], true, "{place}"),
    });
}

#[test]
fn whoever_reads_a_resource_knows_every_field_of_its_schema() {
    let read = |spec: Value| {
        let resource = CustomResource {
            id: ResourceId { namespace: "shop".into(), object: "rates".into() },
            name: "shop.rates".into(),
            uid: "u".into(),
            generation: 1,
            spec,
            secret: ClusterSecret::Unnamed,
        };
        read_resource(&resource, &Rules::default()).err().unwrap_or_default()
    };
    for field in spec()["properties"].as_object().unwrap().keys() {
        // A wrong value is refused where it stands, and for what it is, not for its name.
        let faults = read(json!({ (field): 1 }));
        let own = faults.iter().find(|fault| fault.pointer == format!("/spec/{field}")).unwrap();
        assert!(!own.detail.contains("unknown") && !own.detail.contains("not supported"), "{field}: {own:?}");
    }
    let faults = read(json!({}));
    assert_eq!(faults[0].pointer, "/spec/url", "one of both is needed: {faults:?}");
}
