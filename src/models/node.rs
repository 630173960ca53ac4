//! YAML text as a tree that remembers lines, under bounds that no file can talk its way round.

use super::fault::Report;

mod builder;
/// Trees out of JSON and back.
pub(crate) mod json;

/// Largest file, bytes.
pub(crate) const MAX_FILE: usize = 1 << 20;
/// Most values in a file, those repeated through aliases counted each time.
pub(crate) const MAX_NODES: usize = 20_000;
/// Deepest nesting.
pub(crate) const MAX_DEPTH: usize = 64;

/// A value and the line it starts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// Line, counted from 1.
    pub(crate) line: u32,
    /// What stands there.
    pub(crate) value: Value,
}

/// A YAML value, scalars not yet judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A text, number, boolean or null as written.
    Scalar {
        /// Without quotes, escapes resolved.
        text: String,
        /// Quoted or a block scalar, hence a text whatever it looks like.
        quoted: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order written, names unique.
    Map(Vec<Entry>),
}

/// One field of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: String,
    /// Line of its name.
    pub(crate) line: u32,
    /// Its value.
    pub(crate) node: Node,
}

impl Node {
    /// Nothing stands here: a plain `null`, `~` or no text at all (YAML 1.2 core schema).
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, quoted: false }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// One document of a file: its tree, unless reading broke off in it, and what is wrong with it so far.
#[derive(Debug)]
pub(crate) struct Document<'f> {
    /// The tree.
    pub(crate) root: Option<Node>,
    /// Repeated names, or the syntax error or exceeded bound that ended the reading.
    pub(crate) report: Report<'f>,
}

/// Reads the documents of a file; those without content are left out.
///
/// A syntax error or an exceeded bound ends the reading and is the last document's fault.
pub(crate) fn parse<'f>(file: &'f str, text: &str) -> Vec<Document<'f>> {
    if text.len() > MAX_FILE {
        let report = Report::new(file);
        report.add(1, "yaml", "the file is larger than 1 MiB; split it");
        return vec![Document { root: None, report }];
    }
    let mut documents = builder::documents(file, text);
    documents.retain(|document| document.root.as_ref().is_none_or(|root| !root.is_null()));
    documents
}

#[cfg(test)]
mod tests;
