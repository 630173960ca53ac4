//! Documents that came over the API as JSON: read by the same readers as files, faults told by JSON pointer.

use serde_json::{Value, json};

use super::{Rules, SPEC, specification, upstream_name};
use crate::error::Fault;
use crate::models::decode::{Fields, Place};
use crate::models::fault::Report;
use crate::models::node::json::number;
use crate::models::policy::Upstream;

/// What [`Upstream::origin`] says of them.
pub const API: &str = "api";

const GIVEN: Fields = Fields::all(&["name", "spec"]);

/// Reads a document given as `{"name": …, "spec": …}`, or says every wrong place in it.
pub fn read_given(name: &str, spec: &Value, rules: &Rules) -> Result<Upstream, Vec<Fault>> {
    let numbered = number(&json!({ "name": name, "spec": spec }))
        .map_err(|(pointer, detail)| vec![Fault { pointer, detail }])?;
    let report = Report::new(API);
    let place = Place::root(&report, &numbered.root);
    let read = place.object(GIVEN).and_then(|given| {
        let name = given.required("name", upstream_name);
        let block = given.required("spec", |place| place.object(SPEC));
        let described = block.and_then(|block| specification(&block, spec.clone(), API.to_owned(), rules));
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
}
