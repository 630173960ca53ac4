//! Files as a whole: several documents, envelopes, many faults at once, anything at all.

use proptest::prelude::*;

use super::*;

fn lines(text: &str) -> Vec<String> {
    read(text, &Rules::default()).1.iter().map(ToString::to_string).collect()
}

#[test]
fn five_faults_of_one_document_are_all_told_with_their_lines() {
    let text = "\
apiVersion: levee.dev/v1
kind: Upstream
metadata:
  name: Rates
spec:
  url: http://user@example.com
  timeout:
    total: 2s
    atempt: 1s
  retry: { attempts: '3' }
";
    assert_eq!(
        lines(text),
        [
            "f.yaml:1: apiVersion: `levee.dev/v1` is not a value; did you mean `levee.dev/v1alpha1`?",
            "f.yaml:4: metadata.name: may have only a-z, 0-9 and `-`, with no `-` at either end",
            "f.yaml:6: spec.url: must not hold a user name or password",
            "f.yaml:9: spec.timeout.atempt: unknown field; did you mean `attempt`?",
            "f.yaml:10: spec.retry.attempts: must be a whole number, without quotes",
        ]
    );
}

#[test]
fn the_envelope_is_checked() {
    let with = |replaced: &str, by: &str| lines(&document("url: https://a.example").replace(replaced, by));
    assert_eq!(with("kind: Upstream\n", ""), ["f.yaml:1: kind: required, but not given"]);
    assert_eq!(
        with("kind: Upstream", "kind: upstream"),
        ["f.yaml:2: kind: `upstream` is not a value; did you mean `Upstream`?"]
    );
    assert_eq!(with("metadata: { name: rates }\n", ""), ["f.yaml:1: metadata: required, but not given"]);
    assert_eq!(with("name: rates", ""), ["f.yaml:3: metadata.name: required, but not given"]);
    assert_eq!(with("name: rates", "name: 5"), ["f.yaml:3: metadata.name: must be a text; put it in quotes"]);
    assert_eq!(with("spec:\n  url: https://a.example\n", ""), ["f.yaml:1: spec: required, but not given"]);
    assert_eq!(with("url:", "uri:").len(), 2, "the unknown field, and the url that is missing");
    let namespaced = with("name: rates", "name: rates, namespace: a");
    assert_eq!(
        namespaced,
        ["f.yaml:3: metadata.namespace: not supported yet: only custom resources have one"]
    );
    assert_eq!(lines("- a\n"), ["f.yaml:1: document: must be a mapping of fields"]);
}

#[test]
fn names_are_short_and_plain() {
    for name in ["-a", "a-", "a.b", "A", "a_b", "ä", "a b"] {
        let text = document("url: https://a.example").replace("name: rates", &format!("name: '{name}'"));
        assert_eq!(lines(&text).len(), 1, "{name}");
    }
    let named = |length| document("url: https://a.example").replace("rates", &"n".repeat(length));
    assert_eq!(lines(&named(63)), [""; 0]);
    assert_eq!(lines(&named(64)), ["f.yaml:3: metadata.name: is 64 bytes long; at most 63 are allowed"]);
}

#[test]
fn one_document_with_faults_does_not_hide_the_others() {
    let text = format!(
        "---\n{}---\n# nothing here\n---\n{}---\n{}",
        document("url: https://a.example"),
        document("url: https://a.example\nowner: 1"),
        document("url: https://b.example")
    );
    let (upstreams, faults) = read(&text, &Rules::default());
    assert_eq!(
        upstreams.iter().map(|upstream| upstream.origin.as_str()).collect::<Vec<_>>(),
        ["f.yaml:2", "f.yaml:17"]
    );
    assert_eq!(faults[0].upstream.as_deref(), Some("rates"));
    assert_eq!(faults[0].to_string(), "f.yaml:15: spec.owner: must be a text; put it in quotes");
}

#[test]
fn a_repeated_field_spoils_its_document_and_names_both_lines() {
    let (upstreams, faults) =
        read(&document("url: https://a.example\nurl: https://b.example"), &Rules::default());
    assert_eq!(upstreams, []);
    assert_eq!(faults[0].to_string(), "f.yaml:6: spec.url: given twice, first on line 5");
}

#[test]
fn an_anchor_may_be_used_again() {
    let upstream = good(
        "timeout: &short { total: 2s }\noperations: [{ name: a, match: { path: /a }, timeout: *short }]",
    );
    assert_eq!(upstream.operations[0].policy.timeout, upstream.policy.timeout);
}

#[test]
fn a_fault_shows_nothing_that_could_break_a_line() {
    let [fault] = &said("\"a\\nb\\e[31m\": 1")[..] else { panic!("one fault") };
    assert!(!fault.chars().any(char::is_control), "{fault:?}");
}

/// Words of the language in any order find more than letters do.
fn yaml_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("\n".to_owned()),
        Just("\n  ".to_owned()),
        Just(": ".to_owned()),
        Just("- ".to_owned()),
        Just("{ ".to_owned()),
        Just(" }".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(", ".to_owned()),
        Just("---\n".to_owned()),
        Just("&a ".to_owned()),
        Just("*a ".to_owned()),
        Just("? ".to_owned()),
        Just("|\n".to_owned()),
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("!!str ".to_owned()),
        Just("# ".to_owned()),
        Just("%YAML 1.2\n".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\0".to_owned()),
        Just("<<".to_owned()),
        Just("spec".to_owned()),
        Just("timeout".to_owned()),
        Just("2s".to_owned()),
        Just("fallback".to_owned()),
        Just("1e999".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_panics_and_a_text_is_good_or_has_faults(text in yaml_like(), inside in yaml_like()) {
        for text in [text, document(&inside), document(&format!("url: https://a.example\n{inside}"))] {
            let mut faults = Vec::new();
            let upstreams = read_documents("f.yaml", &text, &Rules::default(), &mut faults);
            check_together(&upstreams, &mut faults);
            for fault in faults {
                prop_assert!(fault.line > 0 && !fault.to_string().contains('\n'), "{fault:?}");
            }
        }
    }

    #[test]
    fn no_scalar_panics_any_field(scalar in "\\PC{0,12}", field in 0_usize..SPEC.known.len()) {
        let quoted = scalar.replace('\'', "''");
        for text in [format!("{}: {scalar}", SPEC.known[field]), format!("{}: '{quoted}'", SPEC.known[field])] {
            read(&document(&text), &Rules::default());
        }
    }
}
