//! The document as a whole, held against the committed copies.

use std::collections::BTreeSet;
use std::{env, fs};

use super::*;

/// Compares with the committed copy, or rewrites it when `UPDATE=1` is set (`make update`).
fn hold(name: &str, text: &str) {
    let path = format!("{}/openapi/{name}", env!("CARGO_MANIFEST_DIR"));
    if env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(&path, text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "openapi/{name} is not what the handlers say; run `make update` and read the diff"
    );
}

#[test]
fn the_committed_document_is_the_served_one() {
    let document = document();
    hold("levee.json", &render(&document, Format::Json));
    hold("levee.yaml", &render(&document, Format::Yaml));
}

#[test]
fn the_yaml_says_what_the_json_says() {
    let document = document();
    let yaml: Value = yaml_serde::from_str(&render(&document, Format::Yaml)).unwrap();
    let json: Value = serde_json::from_str(&render(&document, Format::Json)).unwrap();
    assert_eq!(yaml, document);
    assert_eq!(json, document);
}

#[test]
fn the_handlers_describe_nothing_twice() {
    json::parse(raw_text().as_bytes()).unwrap();
}

#[test]
fn every_operation_has_a_snake_case_id_a_group_and_words() {
    let document = document();
    let mut ids = BTreeSet::new();
    for operation in
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        let id = operation["operationId"].as_str().unwrap();
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{id}");
        assert!(ids.insert(id), "{id} twice");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{id}");
        assert!(operation["summary"].is_string() && operation["description"].is_string(), "{id}");
        let described = |statuses: &str| operation["responses"][statuses].is_object();
        assert!(described("4XX") && described("5XX"), "{id}");
    }
    assert!(ids.contains("get_health"), "the committed document holds which they are");
}

#[test]
fn every_problem_type_is_explained() {
    let text = document()["info"]["description"].as_str().unwrap().to_owned();
    for problem in ProblemType::ALL {
        assert!(text.contains(&format!("| `{}` | {} |", problem.slug(), problem.status())), "{problem:?}");
    }
}
