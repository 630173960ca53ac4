//! The schema in OpenAPI's and in Kubernetes' terms.

use serde_json::{Map, Value, json};

use super::{Field, Kind, Object, Text};
use crate::models::decode::quantity::{show_duration, show_size};

/// Sizes in OpenAPI, where they are written in more than one place.
const SIZE: &str = "Size";
const SIZE_PATTERN: &str = r"^[0-9]+(KiB|MiB|GiB)?$";
const DURATION_PATTERN: &str = r"^[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d)$";
/// The longest text of a duration or size.
const LONGEST_QUANTITY: usize = 32;

/// Whom a schema is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenApi,
    Kubernetes,
}

/// The whole and its parts, each once.
pub(super) fn components(spec: &Object) -> Map<String, Value> {
    let mut components = Map::new();
    components.insert(
        SIZE.to_owned(),
        json!({
            "description": "Bytes: a number, or a text such as `64KiB`, `10MiB`, `1GiB`.",
            "oneOf": [{ "type": "integer", "format": "int64", "minimum": 0 }, { "type": "string", "pattern": SIZE_PATTERN }],
        }),
    );
    add(spec, &mut components);
    components
}

/// The whole with its parts inside.
pub(super) fn structural(spec: &Object) -> Value {
    object(spec, Dialect::Kubernetes)
}

fn add(part: &Object, components: &mut Map<String, Value>) {
    if components.contains_key(part.name) {
        return;
    }
    components.insert(part.name.to_owned(), object(part, Dialect::OpenApi));
    for field in &part.fields {
        match &field.kind {
            Kind::Object(inner) => add(inner, components),
            Kind::List { item, .. } => {
                if let Kind::Object(inner) = &**item {
                    add(inner, components);
                }
            }
            _ => {}
        }
    }
}

fn object(part: &Object, dialect: Dialect) -> Value {
    let property = |field: &Field| (field.name.to_owned(), described(field, dialect));
    let properties: Map<String, Value> = part.fields.iter().map(property).collect();
    let mut schema = json!({ "type": "object", "description": about(part), "properties": properties });
    let required: Vec<&str> =
        part.fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    match dialect {
        Dialect::OpenApi => schema["additionalProperties"] = json!(false),
        Dialect::Kubernetes if !part.exactly_one.is_empty() => {
            schema["x-kubernetes-validations"] = json!([exactly_one(&part.exactly_one)]);
        }
        Dialect::Kubernetes => {}
    }
    schema
}

fn about(part: &Object) -> String {
    let rule = if part.exactly_one.is_empty() { "" } else { " Exactly one of its fields must be given." };
    format!("{}{rule}", part.about)
}

fn exactly_one(members: &[&str]) -> Value {
    let given: Vec<String> = members.iter().map(|member| format!("has(self.{member})")).collect();
    let names: Vec<String> = members.iter().map(|member| format!("`{member}`")).collect();
    json!({
        "rule": format!("[{}].exists_one(given, given)", given.join(", ")),
        "message": format!("give exactly one of {}", names.join(", ")),
    })
}

/// The schema of a field's value, with all that there is to say of it.
fn described(field: &Field, dialect: Dialect) -> Value {
    let mut schema = kind(&field.kind, dialect);
    let words = words(field);
    match (&field.kind, dialect) {
        // Beside a reference nothing else counts in OpenAPI 3.0.
        (Kind::Size(_), Dialect::OpenApi) => json!({ "allOf": [schema], "description": words }),
        (Kind::Object(_), _) => schema,
        _ => {
            schema["description"] = json!(words);
            schema
        }
    }
}

fn words(field: &Field) -> String {
    let bounds = match &field.kind {
        Kind::Duration(bounds) => {
            format!(
                " A duration from {} to {}.",
                show_duration(*bounds.start()),
                show_duration(*bounds.end())
            )
        }
        Kind::Size(bounds) => {
            format!(" A size from {} to {}.", show_size(*bounds.start()), show_size(*bounds.end()))
        }
        Kind::Ratio => " A share above 0, up to 1.".to_owned(),
        _ => String::new(),
    };
    let default = field.default.as_ref().map(shown);
    let default = default.map(|default| format!(" Default: {default}.")).unwrap_or_default();
    format!("{}{bounds}{default}", field.about)
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "empty".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Object(fields) if fields.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::String(text) => format!("`{text}`"),
        value => format!("`{value}`"),
    }
}

fn kind(kind: &Kind, dialect: Dialect) -> Value {
    match kind {
        Kind::Duration(_) => {
            json!({ "type": "string", "pattern": DURATION_PATTERN, "maxLength": LONGEST_QUANTITY })
        }
        Kind::Size(_) if dialect == Dialect::OpenApi => reference(SIZE),
        Kind::Size(_) => json!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "pattern": SIZE_PATTERN,
            "maxLength": LONGEST_QUANTITY,
            "minimum": 0,
        }),
        Kind::Integer(bounds) => {
            json!({ "type": "integer", "format": "int32", "minimum": bounds.start(), "maximum": bounds.end() })
        }
        Kind::Number(most) => json!({ "type": "number", "format": "double", "minimum": 0, "maximum": most }),
        Kind::Ratio => json!({
            "type": "number", "format": "double", "minimum": 0, "exclusiveMinimum": true, "maximum": 1,
        }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Choice(choices) => json!({ "type": "string", "enum": choices }),
        Kind::Text(value) => text(value),
        Kind::List { item, least, most } => list(&self::kind(item, dialect), *least, *most),
        Kind::Texts { value, most } => {
            json!({ "type": "object", "additionalProperties": text(value), "maxProperties": most })
        }
        Kind::Object(part) if dialect == Dialect::OpenApi => reference(part.name),
        Kind::Object(part) => object(part, dialect),
    }
}

fn text(text: &Text) -> Value {
    let mut schema = json!({ "type": "string", "maxLength": text.most });
    if !text.pattern.is_empty() {
        schema["pattern"] = json!(text.pattern);
    }
    schema
}

fn list(items: &Value, least: usize, most: usize) -> Value {
    let mut schema = json!({ "type": "array", "items": items, "maxItems": most });
    if least > 0 {
        schema["minItems"] = json!(least);
    }
    schema
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
