//! Reads a YAML tree field by field; whatever does not fit is reported and reading goes on.
//!
//! Every reader answers `None` after it has reported a fault, so callers never report one twice.

use super::fault::Report;
use super::node::{Entry, Node, Value};

/// Durations, sizes and numbers.
pub(crate) mod quantity;
/// Texts, names out of a fixed set, and the vocabulary of HTTP.
pub(crate) mod text;

/// The fields a mapping may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// Those that are read.
    pub(crate) known: &'static [&'static str],
    /// Those designed but not built, each with what it waits for.
    pub(crate) unbuilt: &'static [(&'static str, &'static str)],
}

impl Fields {
    /// Fields that all are read.
    pub(crate) const fn all(known: &'static [&'static str]) -> Self {
        Self { known, unbuilt: &[] }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    report: &'a Report<'a>,
    pointer: String,
    line: u32,
    node: &'a Node,
}

/// A mapping whose field names have been checked; empty where the block was left out.
#[derive(Debug, Clone)]
pub(crate) struct Object<'a> {
    report: &'a Report<'a>,
    pointer: String,
    line: u32,
    entries: &'a [Entry],
}

impl<'a> Place<'a> {
    /// The root of a document.
    pub(crate) fn root(report: &'a Report<'a>, node: &'a Node) -> Self {
        Self { report, pointer: String::new(), line: node.line, node }
    }

    /// `file:line` of this value.
    pub(crate) fn origin(&self) -> String {
        format!("{}:{}", self.report.file(), self.line)
    }

    /// The line it stands on, from 1.
    pub(crate) fn line_number(&self) -> u32 {
        self.line
    }

    /// What was written here, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        super::node::json::json(self.node)
    }

    /// Reports this value.
    pub(crate) fn refuse(&self, reason: impl Into<String>) {
        let pointer = if self.pointer.is_empty() { "document" } else { &self.pointer };
        self.report.add(self.line, pointer, reason);
    }

    /// It is a mapping in which `name` was written.
    pub(crate) fn holds(&self, name: &str) -> bool {
        matches!(&self.node.value, Value::Map(entries) if entries.iter().any(|entry| entry.name == name))
    }

    /// Reads this value as a mapping and refuses the fields it may not have.
    pub(crate) fn object(&self, fields: Fields) -> Option<Object<'a>> {
        self.object_with(fields, None)
    }

    /// The same, with one more field that it may have, built or not elsewhere.
    pub(crate) fn object_with(&self, fields: Fields, also: Option<&str>) -> Option<Object<'a>> {
        let entries = self.entries()?;
        for (entry, place) in entries.into_iter().filter(|(entry, _)| Some(entry.name.as_str()) != also) {
            let name = entry.name.as_str();
            if let Some((_, why)) = fields.unbuilt.iter().find(|(unbuilt, _)| *unbuilt == name) {
                place.refuse(format!("not supported yet: {why}"));
            } else if !fields.known.contains(&name) {
                place.refuse(format!("unknown field; {}", text::suggestion(name, fields.known)));
            }
        }
        let Value::Map(entries) = &self.node.value else { return None };
        Some(Object { report: self.report, pointer: self.pointer.clone(), line: self.line, entries })
    }

    /// Reads this value as a mapping with names of the author's choosing, at most `most` of them.
    pub(crate) fn named(&self, most: usize) -> Option<Vec<(&'a str, Place<'a>)>> {
        let entries = self.entries()?;
        if entries.len() > most {
            self.refuse(format!("has {} fields; at most {most} are allowed", entries.len()));
            return None;
        }
        Some(entries.into_iter().map(|(entry, place)| (entry.name.as_str(), place)).collect())
    }

    /// Reads this value as a list of at most `most` items.
    pub(crate) fn list(&self, most: usize) -> Option<Vec<Place<'a>>> {
        let Value::List(items) = &self.node.value else {
            self.refuse("must be a list");
            return None;
        };
        if items.len() > most {
            self.refuse(format!("has {} items; at most {most} are allowed", items.len()));
            return None;
        }
        let item = |(index, node): (usize, &'a Node)| Place {
            report: self.report,
            pointer: within(&self.pointer, index),
            line: node.line,
            node,
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// Reads a list whose items all read alike; one bad item spoils it, after all were looked at.
    pub(crate) fn list_of<T>(&self, most: usize, read: impl Fn(&Place<'a>) -> Option<T>) -> Option<Vec<T>> {
        let items: Vec<Option<T>> = self.list(most)?.iter().map(read).collect();
        items.into_iter().collect()
    }

    /// The text of a scalar and whether it was quoted.
    fn scalar(&self) -> Option<(&'a str, bool)> {
        match &self.node.value {
            Value::Scalar { .. } if self.node.is_null() => {
                self.refuse("is empty; give it a value or leave it out");
                None
            }
            Value::Scalar { text, quoted } => Some((text, *quoted)),
            Value::List(_) => {
                self.refuse("must be a single value, not a list");
                None
            }
            Value::Map(_) => {
                self.refuse("must be a single value, not a mapping; quote it if it is meant as text");
                None
            }
        }
    }

    fn entries(&self) -> Option<Vec<(&'a Entry, Place<'a>)>> {
        let Value::Map(entries) = &self.node.value else {
            self.refuse(if self.node.is_null() {
                "is empty; give it fields or leave it out"
            } else {
                "must be a mapping of fields"
            });
            return None;
        };
        let place = |entry: &'a Entry| Place {
            report: self.report,
            pointer: below(&self.pointer, &entry.name),
            line: entry.line,
            node: &entry.node,
        };
        Some(entries.iter().map(|entry| (entry, place(entry))).collect())
    }
}

impl<'a> Object<'a> {
    /// Reads a field when it is given.
    pub(crate) fn read<T>(&self, name: &str, read: impl FnOnce(&Place<'a>) -> Option<T>) -> Option<T> {
        self.get(name).and_then(|place| read(&place))
    }

    /// Reads a field that must be given.
    pub(crate) fn required<T>(&self, name: &str, read: impl FnOnce(&Place<'a>) -> Option<T>) -> Option<T> {
        let place = self.get(name);
        if place.is_none() {
            self.report.add(self.line, &below(&self.pointer, name), "required, but not given");
        }
        read(&place?)
    }

    /// The block called `name`; empty when it is left out or is no mapping.
    pub(crate) fn block(&self, name: &str, fields: Fields) -> Object<'a> {
        self.read(name, |place| place.object(fields)).unwrap_or_else(|| Object {
            report: self.report,
            pointer: below(&self.pointer, name),
            line: self.line,
            entries: &[],
        })
    }

    /// The field was written, well or badly.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether exactly one of `names` was written; reports it otherwise.
    pub(crate) fn exactly_one(&self, names: &[&str]) -> bool {
        let one = names.iter().filter(|name| self.has(name)).count() == 1;
        if !one && self.report.is_sound(&self.pointer) {
            let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
            self.refuse(format!("give exactly one of {}", names.join(", ")));
        }
        one
    }

    /// The value of a field when it is given.
    pub(crate) fn get(&self, name: &str) -> Option<Place<'a>> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        let pointer = below(&self.pointer, name);
        Some(Place { report: self.report, pointer, line: entry.line, node: &entry.node })
    }

    /// Reports the whole mapping.
    pub(crate) fn refuse(&self, reason: impl Into<String>) {
        self.report.add(self.line, &self.pointer, reason);
    }

    /// Nothing was reported in the block called `name` beside this one, so it can be held against it.
    pub(crate) fn is_sound_beside(&self, name: &str) -> bool {
        let above = self.pointer.rsplit_once('.').map_or("", |(above, _)| above);
        self.report.is_sound(&below(above, name))
    }

    /// Reports `name` when it is given, nothing is wrong with it or `others` so far, and `wrong` says it
    /// contradicts them.
    pub(crate) fn contradiction(
        &self,
        name: &str,
        others: &[&str],
        wrong: bool,
        reason: impl FnOnce() -> String,
    ) {
        let sound = |field: &&str| self.report.is_sound(&below(&self.pointer, field));
        if let Some(place) = self.get(name)
            && wrong
            && std::iter::once(&name).chain(others).all(sound)
        {
            place.refuse(reason());
        }
    }
}

/// The pointer of a field of the mapping at `pointer`.
pub(super) fn below(pointer: &str, name: &str) -> String {
    let name = text::shown(name);
    if pointer.is_empty() { name } else { format!("{pointer}.{name}") }
}

/// The pointer of an item of the list at `pointer`.
pub(super) fn within(pointer: &str, index: usize) -> String {
    format!("{pointer}[{index}]")
}

#[cfg(test)]
mod tests;
