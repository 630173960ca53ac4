//! Documents that came as JSON, over the API or out of the cluster: read by the same readers as files, faults told by JSON pointer.

use serde_json::{Value, json};

use super::{Home, Rules, SPEC, specification, upstream_name};
use crate::error::Fault;
use crate::models::custom_resource::CustomResource;
use crate::models::decode::{Fields, Place};
use crate::models::fault::Report;
use crate::models::node::json::number;
use crate::models::policy::{FallbackStep, Upstream};

/// What [`Upstream::origin`] says of them.
pub const API: &str = "api";

const GIVEN: Fields = Fields::all(&["name", "spec"]);

/// Reads a document given as `{"name": …, "spec": …}`, or says every wrong place in it.
pub fn read_given(name: &str, spec: &Value, rules: &Rules) -> Result<Upstream, Vec<Fault>> {
    read(name, spec, API, rules, Home::Outside)
}

/// Reads a custom resource, which may name what lies in its own namespace, or says every wrong place in it.
pub fn read_resource(resource: &CustomResource, rules: &Rules) -> Result<Upstream, Vec<Fault>> {
    let id = &resource.id;
    let read = read(&id.object, &resource.spec, &id.to_string(), rules, Home::Namespace(&id.namespace))?;
    Ok(in_namespace(Upstream { name: resource.name.clone(), ..read }, &id.object))
}

/// Its fallbacks are called by the same prefix as itself.
fn in_namespace(mut upstream: Upstream, object: &str) -> Upstream {
    let prefix = upstream.name.strip_suffix(object).unwrap_or_default().to_owned();
    let policies = upstream.operations.iter_mut().map(|operation| &mut operation.policy);
    for policy in std::iter::once(&mut upstream.policy).chain(policies) {
        for step in &mut policy.fallback.steps {
            if let FallbackStep::Upstream { name } = step {
                name.insert_str(0, &prefix);
            }
        }
    }
    upstream
}

fn read(
    name: &str,
    spec: &Value,
    origin: &str,
    rules: &Rules,
    home: Home<'_>,
) -> Result<Upstream, Vec<Fault>> {
    let numbered = number(&json!({ "name": name, "spec": spec }))
        .map_err(|(pointer, detail)| vec![Fault { pointer, detail }])?;
    let report = Report::new(origin);
    let place = Place::root(&report, &numbered.root);
    let read = place.object(GIVEN).and_then(|given| {
        let name = given.required("name", upstream_name);
        let block = given.required("spec", |place| place.object_with(SPEC, home.if_in_cluster("service")));
        let described =
            block.and_then(|block| specification(&block, spec.clone(), origin.to_owned(), rules, home));
        Some(Upstream { name: name?, ..described? })
    });
    let faults: Vec<Fault> = report
        .into_faults(None)
        .into_iter()
        .map(|fault| Fault { pointer: numbered.pointer(fault.line, &fault.field), detail: fault.reason })
        .collect();
    read.filter(|_| faults.is_empty()).ok_or(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::custom_resource::{ClusterSecret, ResourceId, name_of};
    use crate::models::document::read_documents;

    fn faults(name: &str, spec: &Value) -> Vec<(String, String)> {
        let faults = read_given(name, spec, &Rules::default()).unwrap_err();
        faults.into_iter().map(|fault| (fault.pointer, fault.detail)).collect()
    }

    #[test]
    fn every_wrong_place_has_its_pointer() {
        let spec = json!({
            "url": "ftp://example.com",
            "retry": { "attempts": 0, "urk": 1 },
            "timeout": { "total": "10 parsecs" },
            "headers": { "set": { "host": "x", "a/b": "y" } },
            "operations": [{ "name": "quote", "match": {} }],
        });
        let found = faults("Rates", &spec);
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/name",
                "/spec/url",
                "/spec/retry/attempts",
                "/spec/retry/urk",
                "/spec/timeout/total",
                "/spec/headers/set/host",
                "/spec/headers/set/a~1b",
                "/spec/operations/0/match/path",
            ],
            "{found:?}"
        );
    }

    #[test]
    fn a_missing_url_and_a_spec_that_is_none_are_named() {
        assert_eq!(faults("rates", &json!({}))[0].0, "/spec/url");
        assert_eq!(faults("rates", &json!([]))[0].0, "/spec");
        assert_eq!(faults("rates", &Value::Null)[0].0, "/spec");
    }

    #[test]
    fn json_means_what_the_same_yaml_means() {
        let spec = json!({
            "url": "https://api.example.com/v1", "owner": "team",
            "retry": { "attempts": 2 }, "timeout": { "total": "2s" },
            "operations": [{ "name": "quote", "match": { "path": "/quotes/{id}" }, "retry": { "attempts": 1 } }],
        });
        let given = read_given("rates", &spec, &Rules::default()).unwrap();
        let yaml = format!(
            "apiVersion: levee.dev/v1alpha1\nkind: Upstream\nmetadata: {{ name: rates }}\nspec: {spec}\n"
        );
        let mut faults = Vec::new();
        let read = read_documents("f", &yaml, &Rules::default(), &mut faults).remove(0);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(Upstream { origin: String::new(), ..given }, Upstream { origin: String::new(), ..read });
    }

    fn resource(namespace: &str, spec: Value) -> CustomResource {
        let id = ResourceId { namespace: namespace.into(), object: "rates".into() };
        let name = name_of(&id, "levee");
        let secret = ClusterSecret::Unnamed;
        CustomResource { id, name, uid: "u".into(), generation: 1, spec, secret }
    }

    #[test]
    fn a_resource_falls_back_within_its_own_namespace() {
        let fallback = json!([{ "upstream": { "name": "backup" } }]);
        let spec = json!({
            "url": "https://api.example.com", "fallback": fallback,
            "operations": [{ "name": "quote", "match": { "path": "/" }, "fallback": fallback }],
        });
        for (namespace, name, expected) in
            [("shop", "shop.rates", "shop.backup"), ("levee", "rates", "backup")]
        {
            let read = read_resource(&resource(namespace, spec.clone()), &Rules::default()).unwrap();
            assert_eq!((read.name.as_str(), read.origin), (name, format!("Upstream {namespace}/rates")));
            let step = FallbackStep::Upstream { name: expected.to_owned() };
            assert_eq!(read.policy.fallback.steps, std::slice::from_ref(&step));
            assert_eq!(read.operations[0].policy.fallback.steps, [step]);
        }
    }

    #[test]
    fn a_resource_may_name_a_service_and_a_secret_of_its_namespace() {
        let spec = json!({
            "service": { "name": "quotes", "port": 8080 },
            "credentials": { "basic": { "username": "a" }, "secretRef": { "name": "s", "key": "k" } },
        });
        let read = read_resource(&resource("shop", spec), &Rules::default()).unwrap();
        assert_eq!(read.url.origin(), "http://quotes.shop.svc:8080");
        let faults = |spec: Value| {
            let faults = read_resource(&resource("shop", spec), &Rules::default()).unwrap_err();
            faults.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail)).collect::<Vec<_>>()
        };
        let both = json!({ "url": "https://a.example", "service": { "name": "quotes", "port": 1 } });
        assert_eq!(faults(both), ["/spec: give exactly one of `url`, `service`"]);
        let wrong = json!({ "service": { "name": "Quotes", "port": "http" } });
        assert_eq!(faults(wrong).len(), 2);
        let secret = json!({ "url": "https://a.example", "credentials": { "secretRef": { "name": "a/b" } } });
        let pointers: Vec<String> = faults(secret);
        assert!(pointers.iter().any(|fault| fault.starts_with("/spec/credentials/secretRef/name: ")));
        assert!(pointers.iter().any(|fault| fault.starts_with("/spec/credentials/secretRef/key: required")));
    }

    #[test]
    fn nobody_else_may() {
        for spec in [
            json!({ "url": "https://a.example", "service": { "name": "quotes", "port": 1 } }),
            json!({ "url": "https://a.example", "credentials":
                { "basic": { "username": "a" }, "secretRef": { "name": "s", "key": "k" } } }),
        ] {
            let found = faults("rates", &spec);
            assert!(found[0].1.starts_with("not supported yet: only custom resources can name"), "{found:?}");
        }
    }
}
