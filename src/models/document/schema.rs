//! What may stand in a document's `spec`, described once: the OpenAPI document and the custom resource are made of this.
//!
//! It judges nothing: documents are read by the readers beside it, which say more than a schema can. Tests hold the two
//! together field by field and bound by bound, in both directions. Defaults stand in the descriptions and not under
//! `default`: whoever filled them in would turn what bends to its surroundings into something given that contradicts them.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

/// Cache, fallback, headers, limits: what is answered, and with what.
mod answers;
/// Timeout, retry, breaker, concurrency, quota: how an attempt is made.
mod attempts;
/// Where an upstream is, and who may call it.
mod place;
/// The schema in OpenAPI's and in Kubernetes' terms.
mod render;
/// Kinds of values, by name.
mod words;

/// The name of the whole among OpenAPI's schemas.
pub const SPEC: &str = "UpstreamSpec";

/// A mapping with fields of fixed names.
#[derive(Debug, Clone)]
struct Object {
    /// What generated clients call it.
    name: &'static str,
    /// What it is for.
    about: &'static str,
    fields: Vec<Field>,
    /// Fields of which exactly one must be given; none where that is no rule.
    exactly_one: Vec<&'static str>,
}

/// A field of a mapping.
#[derive(Debug, Clone)]
struct Field {
    name: &'static str,
    /// What it is for; empty where its value is a mapping that says so itself.
    about: &'static str,
    kind: Kind,
    required: bool,
    /// What leaving it out means, where that is always the same value.
    default: Option<Value>,
}

/// What a value may be.
#[derive(Debug, Clone)]
enum Kind {
    Duration(RangeInclusive<Duration>),
    /// Bytes.
    Size(RangeInclusive<u64>),
    Integer(RangeInclusive<u32>),
    /// From 0 to this.
    Number(u32),
    /// Above 0, up to 1.
    Ratio,
    Boolean,
    Choice(&'static [&'static str]),
    Text(Text),
    List {
        item: Box<Kind>,
        least: usize,
        most: usize,
    },
    /// Texts under names of the author's choosing.
    Texts {
        value: Text,
        most: usize,
    },
    Object(Object),
}

/// A text that matches a pattern. The pattern may let through what the reader refuses, never the reverse.
#[derive(Debug, Clone, Copy)]
struct Text {
    pattern: &'static str,
    /// Bytes.
    most: usize,
}

/// A mapping of which exactly one member must be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactlyOne {
    /// Where it stands below `spec`: `breaker.window`, `operations[].fallback[]`.
    pub path: String,
    /// Its members.
    pub members: Vec<&'static str>,
}

/// The whole and its parts as OpenAPI 3.0 has them, by the names they have there. Parts refer to each other as
/// `#/components/schemas/…`.
pub fn components() -> Map<String, Value> {
    render::components(&place::spec())
}

/// The whole as a structural schema of Kubernetes: nothing is referred to, every list, mapping and text has a bound, and
/// "exactly one of" is a rule in CEL. Unknown fields are not mentioned, as Kubernetes wants it.
pub fn structural() -> Value {
    render::structural(&place::spec())
}

/// Every mapping of which exactly one member must be given.
pub fn exactly_one() -> Vec<ExactlyOne> {
    let mut found = Vec::new();
    collect(&place::spec(), "", &mut found);
    found
}

fn collect(object: &Object, path: &str, found: &mut Vec<ExactlyOne>) {
    if !object.exactly_one.is_empty() {
        found.push(ExactlyOne { path: path.to_owned(), members: object.exactly_one.clone() });
    }
    for field in &object.fields {
        let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
        match &field.kind {
            Kind::Object(inner) => collect(inner, &path, found),
            Kind::List { item, .. } => {
                if let Kind::Object(inner) = &**item {
                    collect(inner, &format!("{path}[]"), found);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
