//! A value that the readers take, for every kind.

use super::*;
use crate::models::decode::quantity::{show_duration, show_size};

/// The least that a mapping must have.
pub(super) fn sample_object(object: &Object) -> Value {
    let needed = |field: &&Field| field.required || object.exactly_one.first() == Some(&field.name);
    let fields = object.fields.iter().filter(needed);
    fields.map(|field| (field.name.to_owned(), sample(field.name, &field.kind))).collect()
}

/// A value of this kind, for a field of this name.
pub(super) fn sample(name: &str, kind: &Kind) -> Value {
    match kind {
        Kind::Duration(bounds) => json!(show_duration(*bounds.end())),
        Kind::Size(bounds) => json!(show_size(*bounds.end())),
        Kind::Integer(bounds) => json!(bounds.start()),
        Kind::Number(_) | Kind::Ratio => json!(0.5),
        Kind::Boolean => json!(true),
        Kind::Choice(choices) => json!(choices[0]),
        Kind::Text(_) => json!(text(name)),
        Kind::List { item, .. } => json!([sample(name, item)]),
        Kind::Texts { .. } => json!({ "x-name": "a" }),
        Kind::Object(object) => sample_object(object),
    }
}

fn text(name: &str) -> String {
    match name {
        "url" | "tokenUrl" => "https://api.example.com/v1".to_owned(),
        "path" => "/quotes/{id}".to_owned(),
        "rate" => "100/s".to_owned(),
        "allow" => "sa:billing-*".to_owned(),
        "allowCidrs" => "10.0.0.0/8".to_owned(),
        "value" => "Bearer {secret}".to_owned(),
        "ca" => rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem(),
        _ => "a".to_owned(),
    }
}
