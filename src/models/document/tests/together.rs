//! What can be wrong between documents.

use super::*;

/// Documents of `(name, fields)`, read from one file of four lines each, and what is said of them together.
fn together(documents: &[(&str, &str)]) -> Vec<String> {
    let texts: Vec<String> = documents
        .iter()
        .map(|(name, fields)| {
            format!(
                "---\n{{ apiVersion: levee.dev/v1alpha1, kind: Upstream, metadata: {{ name: {name} }},\n\
                 spec: {{ url: 'https://a.example', {fields} }}\n}}\n"
            )
        })
        .collect();
    let (upstreams, mut faults) = read(&texts.concat(), &Rules::default());
    check_together(&upstreams, &mut faults);
    faults.iter().map(ToString::to_string).collect()
}

fn to(name: &str) -> String {
    format!("fallback: [{{ upstream: {{ name: {name} }} }}]")
}

#[test]
fn a_name_used_twice_names_both_places() {
    assert_eq!(
        together(&[("a", ""), ("b", ""), ("a", "")]),
        ["f.yaml:10: metadata.name: `a` is already defined at f.yaml:2"]
    );
}

#[test]
fn a_fallback_to_nobody_is_refused_where_it_stands() {
    assert_eq!(
        together(&[
            ("a", &to("b")),
            ("c", "operations: [{ name: o, match: { path: / }, fallback: [{ upstream: { name: d } }] }]")
        ]),
        [
            "f.yaml:2: spec.fallback[0].upstream.name: there is no upstream called `b`",
            "f.yaml:6: spec.operations[0].fallback[0].upstream.name: there is no upstream called `d`",
        ]
    );
}

#[test]
fn a_fallback_to_a_document_with_faults_of_its_own_is_not_called_unknown() {
    assert_eq!(
        together(&[("a", &to("b")), ("b", "owner: 3")]),
        ["f.yaml:7: spec.owner: must be a text; put it in quotes"]
    );
}

#[test]
fn fallbacks_in_a_circle_are_refused_once_with_the_way_round() {
    assert_eq!(
        together(&[("a", &to("b")), ("b", &to("c")), ("c", &to("b")), ("d", &to("b"))]),
        ["f.yaml:10: spec.fallback[0].upstream.name: fallbacks go in a circle: b → c → b"]
    );
    assert_eq!(
        together(&[("a", &to("a"))]),
        ["f.yaml:2: spec.fallback[0].upstream.name: fallbacks go in a circle: a → a"]
    );
}

#[test]
fn a_fallback_that_two_upstreams_share_is_no_circle() {
    let both = "fallback: [{ upstream: { name: b } }, { upstream: { name: c } }]";
    assert_eq!(together(&[("a", both), ("b", &to("c")), ("c", "")]), [""; 0]);
}
