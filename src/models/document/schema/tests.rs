//! The schema and the readers say the same: every field, bound, choice and default, asked of the readers by what they answer.

use serde_json::json;

use super::*;
use crate::error::Fault;
use crate::models::document::{Rules, read_given};

mod bounds;
mod fields;
mod rendering;
mod samples;

pub(in crate::models::document) use rendering::passes_both;
use samples::{sample, sample_object};

/// A value of the schema at a place in the document.
#[derive(Clone)]
struct Probe {
    /// Pieces of the way from `spec`; a number stands for the first item of a list.
    way: Vec<&'static str>,
}

/// The first item of a list.
const ITEM: &str = "0";

impl Probe {
    fn root() -> Self {
        Self { way: Vec::new() }
    }

    fn below(&self, piece: &'static str) -> Self {
        Self { way: [&self.way[..], &[piece]].concat() }
    }

    /// `timeout.total`, `operations.0.match.path`.
    fn path(&self) -> String {
        self.way.join(".")
    }

    fn pointer(&self) -> String {
        self.way.iter().fold("/spec".to_owned(), |above, piece| format!("{above}/{piece}"))
    }

    /// What the readers say of a document that has this value here, and around it only what must be there.
    fn faults(&self, value: Value) -> Vec<Fault> {
        let given = around(&place::spec(), &self.way, value);
        let rules = Rules { allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()], ..Rules::default() };
        read_given("rates", &given, &rules).err().unwrap_or_default()
    }

    /// What is said of this very place.
    fn said(&self, value: Value) -> Vec<String> {
        let here = self.pointer();
        let faults = self.faults(value).into_iter();
        faults.filter(|fault| fault.pointer == here).map(|fault| fault.detail).collect()
    }

    /// The one thing that is said of this place and begins so, without its beginning.
    #[track_caller]
    fn told(&self, value: Value, beginning: &str) -> String {
        let said = self.said(value);
        let told = said.iter().find_map(|said| said.split_once(beginning).map(|(_, rest)| rest.to_owned()));
        told.unwrap_or_else(|| panic!("{}: nothing says `{beginning}`: {said:?}", self.path()))
    }
}

/// The least document that has `value` at the end of `way`.
fn around(object: &Object, way: &[&'static str], value: Value) -> Value {
    let Some((first, rest)) = way.split_first() else { return value };
    let mut given = if object.exactly_one.contains(first) { json!({}) } else { sample_object(object) };
    let field = object.fields.iter().find(|field| field.name == *first).unwrap();
    given[*first] = inside(&field.kind, rest, value);
    given
}

fn inside(kind: &Kind, way: &[&'static str], value: Value) -> Value {
    match (kind, way.split_first()) {
        (_, None) => value,
        (Kind::Object(object), _) => around(object, way, value),
        (Kind::List { item, .. }, Some((_, rest))) => json!([inside(item, rest, value)]),
        (Kind::Texts { .. }, Some((name, _))) => json!({ (*name): value }),
        _ => panic!("nothing is below"),
    }
}

/// Calls `visit` with every field of the schema, wherever it stands, and with the items of lists.
fn every_value(mut visit: impl FnMut(&Probe, &Kind)) {
    fn walk(probe: &Probe, kind: &Kind, visit: &mut impl FnMut(&Probe, &Kind)) {
        visit(probe, kind);
        match kind {
            Kind::Object(object) => {
                for field in &object.fields {
                    walk(&probe.below(field.name), &field.kind, visit);
                }
            }
            Kind::List { item, .. } => walk(&probe.below(ITEM), item, visit),
            Kind::Texts { value, .. } => walk(&probe.below("x-name"), &Kind::Text(*value), visit),
            _ => {}
        }
    }
    walk(&Probe::root(), &Kind::Object(place::spec()), &mut visit);
}

/// Calls `visit` with every mapping of fixed fields.
fn every_object(mut visit: impl FnMut(&Probe, &Object)) {
    every_value(|probe, kind| {
        if let Kind::Object(object) = kind {
            visit(probe, object);
        }
    });
}

/// Names in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}
