//! Kinds of values, by name, and how fields and mappings are put together of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::Value;

use super::{Field, Kind, Object, Text};

/// What can go wrong with one attempt.
pub(super) const ATTEMPT_CAUSES: &[&str] = &["connect_failure", "reset", "timeout"];
/// What can go wrong with a call.
pub(super) const CALL_CAUSES: &[&str] =
    &["circuit_open", "timeout", "connect_failure", "reset", "quota_exhausted", "overloaded"];
/// Methods that a policy can speak of.
const METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"];

/// A base URL.
pub(super) const URL: Text = Text { pattern: r"^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$", most: 2048 };
/// The name of an upstream.
pub(super) const UPSTREAM_NAME: Text = Text { pattern: r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", most: 63 };
/// So many in a second, minute, hour or day.
pub(super) const RATE: Text = Text { pattern: r"^[0-9]+/[smhd]$", most: 16 };
/// A header's name.
pub(super) const HEADER_NAME: Text = Text { pattern: r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", most: 256 };
/// A header's value.
pub(super) const HEADER_VALUE: Text = Text { pattern: r"^[^\x00-\x08\x0a-\x1f\x7f]*$", most: 8 << 10 };

const ANY_LINE: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";

impl Field {
    /// Leaving it out means this value.
    pub(super) fn or(self, default: impl Into<Value>) -> Self {
        Self { default: Some(default.into()), ..self }
    }

    /// It must be given.
    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

impl Object {
    /// Exactly one of its fields must be given.
    pub(super) fn exactly_one(mut self) -> Self {
        self.exactly_one = self.fields.iter().map(|field| field.name).collect();
        self
    }
}

/// A field of a mapping.
pub(super) fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field { name, about, kind, required: false, default: None }
}

/// A field whose value is a mapping, which says itself what it is for.
pub(super) fn block(name: &'static str, object: Object) -> Field {
    field(name, Kind::Object(object), "")
}

/// A mapping, called so by generated clients.
pub(super) fn object(name: &'static str, about: &'static str, fields: Vec<Field>) -> Object {
    Object { name, about, fields, exactly_one: Vec::new() }
}

/// A duration.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> Kind {
    Kind::Duration(bounds)
}

/// A text on one line that is not empty.
pub(super) fn line(most: usize) -> Kind {
    Kind::Text(Text { pattern: ANY_LINE, most })
}

/// At most so many values of one kind.
pub(super) fn list(item: Kind, most: usize) -> Kind {
    Kind::List { item: Box::new(item), least: 0, most }
}

/// Texts under names, at most 64.
pub(super) fn headers() -> Kind {
    Kind::Texts { value: HEADER_VALUE, most: 64 }
}

/// Methods, at least so many.
pub(super) fn methods(least: usize) -> Kind {
    Kind::List { item: Box::new(Kind::Choice(METHODS)), least, most: 16 }
}

/// Causes out of these.
pub(super) fn causes(choices: &'static [&'static str]) -> Kind {
    list(Kind::Choice(choices), 16)
}

/// Statuses that say something failed.
pub(super) fn failure_statuses() -> Kind {
    list(Kind::Integer(400..=599), 64)
}
