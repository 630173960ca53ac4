//! What is made of it: schemas that Kubernetes and generators take, and that no document of ours fails.

use jsonschema::Draft;

use super::*;
use crate::models::document::read_documents;

/// The keywords Kubernetes refuses in a structural schema, or that would change what was given.
const FORBIDDEN: [&str; 9] = [
    "$ref",
    "oneOf",
    "allOf",
    "not",
    "definitions",
    "uniqueItems",
    "default",
    "patternProperties",
    "dependencies",
];

#[test]
fn the_custom_resource_has_a_structural_schema() {
    every_schema(&structural(), &mut |schema| {
        let has = |keyword: &str| schema.contains_key(keyword);
        assert_eq!(FORBIDDEN.iter().filter(|keyword| has(keyword)).count(), 0, "{schema:?}");
        assert!(!(has("properties") && has("additionalProperties")), "{schema:?}");
        assert!(has("type") || has("x-kubernetes-int-or-string"), "{schema:?}");
        let bound = match schema.get("type").and_then(Value::as_str) {
            Some("array") => "maxItems",
            Some("string") if !has("enum") => "maxLength",
            Some("object") if !has("properties") => "maxProperties",
            _ => return,
        };
        assert!(has(bound), "{bound} is missing: {schema:?}");
    });
}

#[test]
fn the_parts_for_clients_are_closed_and_described() {
    let components = components();
    for (name, part) in &components {
        assert!(part["description"].as_str().is_some_and(|words| words.ends_with('.')), "{name}");
        let Some(properties) = part["properties"].as_object() else { continue };
        assert_eq!(part["additionalProperties"], json!(false), "{name}");
        for (field, schema) in properties {
            let words = schema.get("description").and_then(Value::as_str);
            assert!(
                schema.get("$ref").is_some() || words.is_some_and(|words| words.ends_with('.')),
                "{name}.{field}"
            );
            assert!(schema.get("default").is_none(), "{name}.{field}");
        }
    }
    let text = serde_json::to_string(&components).unwrap();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(components.contains_key(name), "{name}");
    }
}

#[test]
fn rules_in_cel_name_fields_that_are_there() {
    let mut rules = 0;
    every_schema(&structural(), &mut |schema| {
        let Some(rule) = schema.get("x-kubernetes-validations") else { return };
        rules += 1;
        let text = rule[0]["rule"].as_str().unwrap();
        for name in text.split("has(self.").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(schema["properties"].get(name).is_some(), "{text}");
        }
    });
    assert_eq!(rules, exactly_one().len());
}

#[test]
fn the_shipped_examples_pass_both() {
    let text = include_str!("../../../../../examples/upstreams.yaml");
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let rules = Rules { allowed_cidrs: crate::models::address::LOOPBACK.to_vec(), ..Rules::default() };
    let upstreams = read_documents("f", &lines.join("\n"), &rules, &mut Vec::new());
    assert!(upstreams.len() > 3, "{}", upstreams.len());
    for upstream in &upstreams {
        passes_both(&upstream.spec);
    }
}

/// Panics where a schema refuses a document that the readers took.
#[track_caller]
pub(in crate::models::document) fn passes_both(spec: &Value) {
    let text =
        serde_json::to_string(&components()).unwrap().replace("#/components/schemas/", "#/definitions/");
    let definitions: Value = serde_json::from_str(&text).unwrap();
    let whole = json!({ "$ref": format!("#/definitions/{SPEC}"), "definitions": definitions });
    for schema in [whole, structural()] {
        let validator = jsonschema::options().with_draft(Draft::Draft4).build(&schema).unwrap();
        let faults: Vec<_> =
            validator.iter_errors(spec).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        assert_eq!(faults, [""; 0], "{spec}");
    }
}

fn every_schema(schema: &Value, visit: &mut impl FnMut(&Map<String, Value>)) {
    let Some(object) = schema.as_object() else { return };
    visit(object);
    object
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .for_each(|(_, inner)| every_schema(inner, visit));
    for inner in ["items", "additionalProperties"].iter().filter_map(|keyword| object.get(*keyword)) {
        every_schema(inner, visit);
    }
}
