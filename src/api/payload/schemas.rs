//! The schemas of the published document as judges of what comes in, so that document and behaviour cannot differ, and
//! every invalid field of a body is named at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{Draft, PatternOptions, ValidationError, ValidatorMap};
use serde_json::{Map, Value, json};

use super::super::json::{is_shown, push};
use crate::error::Fault;
use crate::models::document::schema::SPEC;

/// Most faults named of one body.
const MOST: usize = 64;

/// The named schemas of a document, compiled.
#[derive(Clone)]
pub(in crate::api) struct Schemas(Arc<ValidatorMap>);

impl Schemas {
    /// Compiles what stands under `components/schemas` of the shaped document. An upstream's document is left to its readers:
    /// they find what a schema cannot say, and tell it in the words they have for files.
    pub(in crate::api) fn of(document: &Value) -> Self {
        let mut definitions = document["components"]["schemas"].clone();
        if let Some(schema) = definitions.get_mut(SPEC) {
            *schema = json!({ "type": "object" });
        }
        translate(&mut definitions);
        let root = json!({ "definitions": definitions });
        let options = jsonschema::options()
            .with_draft(Draft::Draft4)
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .with_format("uuid", |text: &str| uuid::Uuid::try_parse(text).is_ok());
        Self(Arc::new(options.build_map(&root).expect("a test compiles this same document")))
    }

    /// Every fault of a value; `None` when the document has no schema of this name.
    pub(in crate::api) fn judge(&self, name: &str, value: &Value) -> Option<Vec<Fault>> {
        let errors = self.0.get(&format!("#/definitions/{name}"))?.iter_errors(value);
        let mut faults = BTreeMap::new();
        for fault in errors.flat_map(|error| faults_of(&error)).take(MOST) {
            faults.entry(fault.pointer).or_insert(fault.detail);
        }
        Some(faults.into_iter().map(|(pointer, detail)| Fault { pointer, detail }).collect())
    }
}

/// OpenAPI 3.0's schemas are those of JSON Schema's draft 4, but for where they lie and for `nullable`.
fn translate(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(translate),
        Value::Object(object) => {
            object.values_mut().for_each(translate);
            if let Some(Value::String(reference)) = object.get_mut("$ref") {
                *reference = reference.replace("#/components/schemas/", "#/definitions/");
            }
            if object.get("nullable") == Some(&Value::Bool(true)) {
                allow_null(object);
            }
        }
        _ => {}
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get_mut("type").filter(|kind| kind.is_string()) {
        *kind = json!([kind.take(), "null"]);
        if let Some(Value::Array(options)) = schema.get_mut("enum") {
            options.push(Value::Null);
        }
    } else {
        let rest = Value::Object(std::mem::take(schema));
        schema.insert("anyOf".to_owned(), json!([{ "enum": [null] }, rest]));
    }
}

/// What an error says, at the fields it is about and in words that repeat no value: it may be a secret.
fn faults_of(error: &ValidationError) -> Vec<Fault> {
    let pointer = error.instance_path().as_str();
    let at = |detail: String| vec![Fault { pointer: pointer.to_owned(), detail }];
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            unexpected.iter().take(MOST).map(|field| unknown(pointer, field)).collect()
        }
        Kind::Required { property } => {
            let mut pointer = pointer.to_owned();
            push(&mut pointer, property.as_str().unwrap_or_default());
            vec![Fault { pointer, detail: "is required".to_owned() }]
        }
        Kind::OneOfNotValid { context } | Kind::AnyOf { context } => {
            nearest(context).unwrap_or_else(|| at("is none of what it may be".to_owned()))
        }
        Kind::Enum { options } => at(format!("must be one of {}", listed(options))),
        Kind::Format { format } => at(format!("must be of the format {format}")),
        Kind::Pattern { pattern } => at(format!("must match {pattern}")),
        Kind::MinLength { limit } => at(format!("must have at least {}", counted(*limit, "character"))),
        Kind::MaxLength { limit } => at(format!("must have at most {}", counted(*limit, "character"))),
        Kind::MinItems { limit } => at(format!("must have at least {}", counted(*limit, "item"))),
        Kind::MaxItems { limit } => at(format!("must have at most {}", counted(*limit, "item"))),
        Kind::Minimum { limit } => at(format!("must be at least {limit}")),
        Kind::Maximum { limit } => at(format!("must be at most {limit}")),
        _ => at(error.masked_with("it").to_string()),
    }
}

fn unknown(pointer: &str, field: &str) -> Fault {
    let mut pointer = pointer.to_owned();
    if !is_shown(field) {
        return Fault { pointer, detail: "has an unknown field of a very long name".to_owned() };
    }
    push(&mut pointer, field);
    Fault { pointer, detail: "is not a field that is known here".to_owned() }
}

/// Of several forms a value may have, the one it fails least: what its author meant. A wrong tag or type weighs more than
/// any number of wrong fields.
fn nearest(forms: &[Vec<ValidationError>]) -> Option<Vec<Fault>> {
    let weight = |form: &Vec<ValidationError>| {
        let another =
            form.iter().filter(|error| matches!(error.kind(), Kind::Enum { .. } | Kind::Type { .. }));
        (another.count(), form.len())
    };
    let least = forms.iter().min_by_key(|form| weight(form))?;
    Some(least.iter().flat_map(faults_of).collect())
}

fn listed(options: &Value) -> String {
    let options = options.as_array().map_or(&[][..], Vec::as_slice);
    let texts: Vec<_> = options
        .iter()
        .map(|option| option.as_str().map_or_else(|| option.to_string(), str::to_owned))
        .collect();
    texts.join(", ")
}

fn counted(limit: u64, noun: &str) -> String {
    let plural = if limit == 1 { "" } else { "s" };
    format!("{limit} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> Schemas {
        Schemas::of(&json!({ "components": { "schemas": {
            "New": {
                "type": "object", "additionalProperties": false, "required": ["email", "age"],
                "properties": {
                    "email": { "type": "string", "format": "email", "maxLength": 20 },
                    "age": { "type": "integer", "format": "int32", "minimum": 0, "exclusiveMinimum": true },
                    "role": { "$ref": "#/components/schemas/Role" },
                    "note": { "type": "string", "nullable": true, "minLength": 1 },
                    "owner": { "type": "string", "format": "uuid" },
                    "tags": { "type": "array", "items": { "type": "string", "pattern": "^[a-z]+$" } },
                    "step": { "$ref": "#/components/schemas/Step" },
                },
            },
            "Role": { "type": "string", "enum": ["viewer", "admin"] },
            "Step": { "oneOf": [
                { "$ref": "#/components/schemas/Wait" }, { "$ref": "#/components/schemas/Say" },
            ] },
            "Wait": {
                "type": "object", "additionalProperties": false, "required": ["kind", "seconds"],
                "properties": { "kind": { "type": "string", "enum": ["wait"] }, "seconds": { "type": "integer" } },
            },
            "Say": {
                "type": "object", "additionalProperties": false, "required": ["kind", "words"],
                "properties": { "kind": { "type": "string", "enum": ["say"] }, "words": { "type": "string" } },
            },
        } } }))
    }

    fn pointers(value: &Value) -> Vec<String> {
        let faults = schemas().judge("New", value).unwrap();
        faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn a_valid_value_has_no_faults() {
        let owner = "01a1fc44-7018-7373-bf39-b25ea3654eb9";
        let whole = json!({ "email": "a@b.c", "age": 1, "role": "admin", "note": null, "owner": owner,
            "tags": ["x"], "step": { "kind": "say", "words": "" } });
        assert_eq!(pointers(&whole), Vec::<String>::new());
    }

    #[test]
    fn every_fault_is_pointed_at_together() {
        let value =
            json!({ "age": 0, "role": "root", "note": "", "owner": "me", "tags": ["x", "Y", 3], "a/b~": 1 });
        let wrong = ["/age", "/a~1b~0", "/email", "/note", "/owner", "/role", "/tags/1", "/tags/2"];
        let mut expected: Vec<_> = wrong.map(str::to_owned).into();
        expected.sort();
        assert_eq!(pointers(&value), expected);
        assert_eq!(pointers(&json!([])), [""]);
    }

    #[test]
    fn of_several_forms_the_one_that_was_meant_is_judged() {
        let value = json!({ "email": "a@b.c", "age": 1, "step": { "kind": "say", "word": "x" } });
        assert_eq!(pointers(&value), ["/step/word", "/step/words"]);
    }

    #[test]
    fn no_value_is_repeated() {
        let secret = "hunter2 hunter2 hunter2";
        for field in ["email", "age", "role", "note", "owner", "tags", "step"] {
            let told = schemas().judge("New", &json!({ (field): secret })).unwrap();
            assert!(told.iter().all(|fault| !fault.detail.contains("hunter2")), "{told:?}");
        }
    }

    #[test]
    fn a_schema_nobody_published_judges_nothing() {
        assert_eq!(schemas().judge("Old", &json!({})), None);
    }
}
