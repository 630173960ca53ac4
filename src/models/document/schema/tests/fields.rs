//! Which fields there are, which are needed, and what leaving them out means.

use super::*;
use crate::models::policy::Upstream;

const UNKNOWN: &str = "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";

#[test]
fn every_mapping_has_the_fields_that_its_reader_knows() {
    every_object(|probe, object| {
        let mut given = sample_object(object);
        given[UNKNOWN] = json!(1);
        let pointer = format!("{}/{UNKNOWN}", probe.pointer());
        let faults = probe.faults(given);
        let fault = faults.iter().find(|fault| fault.pointer == pointer);
        let fault = fault.unwrap_or_else(|| panic!("{}: {faults:?}", probe.path()));
        let mut known = quoted(&fault.detail);
        let mut described: Vec<_> = object.fields.iter().map(|field| field.name).collect();
        known.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, known, "{}", probe.path());
    });
}

#[test]
fn the_same_fields_are_needed() {
    every_object(|probe, object| {
        for field in &object.fields {
            let mut given = sample_object(object);
            given.as_object_mut().unwrap().shift_remove(field.name);
            let missing = probe.below(field.name).pointer();
            let faults = probe.faults(given);
            let needed = faults
                .iter()
                .any(|fault| fault.pointer == missing && fault.detail == "required, but not given");
            assert_eq!(field.required, needed, "{}: {faults:?}", probe.below(field.name).path());
        }
    });
}

#[test]
fn exactly_one_is_asked_for_in_the_same_places() {
    every_object(|probe, object| {
        let said = probe.said(json!({}));
        let told = said.iter().find_map(|said| said.strip_prefix("give exactly one of "));
        assert_eq!(object.exactly_one, quoted(told.unwrap_or_default()), "{}", probe.path());
    });
    let listed: Vec<_> = exactly_one().into_iter().map(|rule| rule.path).collect();
    assert_eq!(
        listed,
        [
            "breaker.window",
            "fallback[]",
            "credentials",
            "operations[].breaker.window",
            "operations[].fallback[]"
        ]
    );
}

#[test]
fn a_default_that_is_written_means_what_leaving_it_out_means() {
    every_object(|probe, object| {
        for field in &object.fields {
            let Some(default) = &field.default else { continue };
            let mut given = sample_object(object);
            let left_out = read(probe, given.clone());
            given[field.name] = default.clone();
            assert_eq!(read(probe, given), left_out, "{}", probe.below(field.name).path());
        }
    });
}

/// What a document means, without how it was written. An operation that gives a block has seats and verdicts of its own,
/// which is not what is asked about here.
#[track_caller]
fn read(probe: &Probe, value: Value) -> Upstream {
    let given = around(&place::spec(), &probe.way, value);
    let read = read_given("rates", &given, &Rules::default());
    let read = read.unwrap_or_else(|faults| panic!("{}: {faults:?}", probe.path()));
    Upstream { spec: std::sync::Arc::default(), ..read }
}
