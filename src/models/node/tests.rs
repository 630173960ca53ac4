//! Trees, lines, and the bounds on both.

use super::*;

fn faults(text: &str) -> Vec<String> {
    parse("f", text)
        .into_iter()
        .flat_map(|document| document.report.into_faults(None))
        .map(|fault| fault.to_string())
        .collect()
}

#[test]
fn a_tree_remembers_lines_and_quotes() {
    let documents = parse("f", "a: 1\nb:\n  - '2'\n  - |\n    c\n");
    let scalar = |text: &str, quoted| Value::Scalar { text: text.to_owned(), quoted };
    let Some(Node { line: 1, value: Value::Map(entries) }) = &documents[0].root else {
        panic!("{documents:?}")
    };
    assert_eq!((entries[0].line, &entries[0].node.value), (1, &scalar("1", false)));
    let Value::List(items) = &entries[1].node.value else { panic!("a list") };
    assert_eq!(entries[1].line, 2);
    assert_eq!(items[0], Node { line: 3, value: scalar("2", true) });
    assert_eq!(items[1].value, scalar("c\n", true));
}

#[test]
fn empty_documents_are_left_out() {
    for text in ["", "\n# only a comment\n", "---\n---\n", "--- null\n...\n"] {
        assert_eq!(parse("f", text).len(), 0, "{text:?}");
    }
}

#[test]
fn repeated_and_merged_fields_are_named_with_their_place() {
    assert_eq!(
        faults("a:\n  - b: 1\n    b: { c: 1, c: 2 }\nd: &x {}\ne:\n  <<: *x\n"),
        [
            "f:3: a[0].b: given twice, first on line 2",
            "f:3: a[0].b.c: given twice, first on line 3",
            "f:6: e.<<: merging mappings is not supported; write the fields out",
        ]
    );
}

#[test]
fn a_syntax_error_ends_the_reading_but_keeps_what_came_before() {
    let documents = parse("f", "a: 1\n---\nb: 2\n---\nc: [1\nd: 2\n");
    assert_eq!(documents.len(), 3);
    assert!(documents[1].root.is_some());
    assert!(documents[2].root.is_none());
    let found = faults("a: 1\nb: 'never closed\n");
    assert!(found[0].starts_with("f:") && found[0].contains(": yaml: "), "{found:?}");
}

#[test]
fn what_a_policy_has_no_use_for_is_refused() {
    for (text, reason) in [
        ("a: !!str 1", "f:1: yaml: tags are not supported; quote a value to make it a text"),
        ("? [a]\n: 1", "f:1: yaml: a field's name must be a plain text"),
        ("&a [*a]", "f:1: yaml: an alias must come after the value it repeats, in the same document"),
        ("&a x\n---\n*a", "f:3: yaml: an alias must come after the value it repeats, in the same document"),
    ] {
        assert_eq!(faults(text), [reason], "{text}");
    }
}

#[test]
fn nothing_grows_without_a_bound() {
    let too_large = format!("a: '{}'", "x".repeat(MAX_FILE));
    assert_eq!(faults(&too_large), ["f:1: yaml: the file is larger than 1 MiB; split it"]);
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
    assert_eq!(faults(&deep), ["f:1: yaml: nested more than 64 deep"]);
    let many = format!("[{}]", "1,".repeat(MAX_NODES));
    assert!(faults(&many)[0].contains("more than 20000 values"));
    let laugh = |level: usize| {
        let earlier = vec![format!("*a{level}"); 10].join(", ");
        format!("a{0}: &a{0} [{earlier}]\n", level + 1)
    };
    let laughs = format!("a0: &a0 [x, x, x]\n{}", (0..9).map(laugh).collect::<Vec<_>>().concat());
    assert!(faults(&laughs)[0].contains("more than 20000 values"));
    let long_name = format!("a: &a {{ {}: 1 }}\nb: [{}]", "k".repeat(500_000), "*a, ".repeat(100));
    assert!(faults(&long_name)[0].contains("2 MiB"), "names count too");
    let nested_anchors = "- &a [\n".repeat(70);
    assert_eq!(faults(&nested_anchors).len(), 1);
}

#[test]
fn aliases_cannot_nest_deeper_than_the_bound() {
    let deeper = |level: usize| format!("a{0}: &a{0} [*a{level}]\n", level + 1);
    let text = format!("a0: &a0 []\n{}", (0..MAX_DEPTH).map(deeper).collect::<Vec<_>>().concat());
    assert_eq!(faults(&text), [format!("f:{MAX_DEPTH}: yaml: nested more than 64 deep")]);
}

#[test]
fn a_nul_is_no_way_to_hide_the_rest_of_a_file() {
    for text in [
        "a: 1\n\0b: 2\n",
        "a: 1\0\nb: 2\n",
        "a: 'x\0y'\nb: 2",
        "a: |\n  x\0\nb: 2",
        "# c\0\nb: [",
        "{a: 1}\0 b",
    ] {
        let documents = parse("f", text);
        let hidden = documents.iter().all(|document| document.report.is_sound("yaml"));
        assert!(!hidden, "{text:?}: {documents:?}");
    }
}
