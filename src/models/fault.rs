//! What is wrong in an upstream file, and exactly where.

use std::cell::RefCell;
use std::fmt;

/// One thing wrong in a file. Shown as `file:line: field: reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file as the reader was told its name.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
    /// The document's `metadata.name`, when it could be read.
    pub upstream: Option<String>,
    /// Where in the document: `spec.operations[0].match.path`.
    pub field: String,
    /// What is wrong and what to do about it; one line, never a secret.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}: {}", self.file, self.line, self.field, self.reason)
    }
}

/// Gathers the faults of one document, so that its author sees all of them at once.
#[derive(Debug)]
pub struct Report<'f> {
    file: &'f str,
    faults: RefCell<Vec<Fault>>,
}

impl<'f> Report<'f> {
    /// An empty report on `file`.
    pub fn new(file: &'f str) -> Self {
        Self { file, faults: RefCell::new(Vec::new()) }
    }

    /// The file reported on.
    pub fn file(&self) -> &'f str {
        self.file
    }

    /// Notes one fault.
    pub fn add(&self, line: u32, field: &str, reason: impl Into<String>) {
        self.faults.borrow_mut().push(Fault {
            file: self.file.to_owned(),
            line,
            upstream: None,
            field: field.to_owned(),
            reason: reason.into(),
        });
    }

    /// Nothing was reported at or below `field`, so its value can be held against others.
    pub fn is_sound(&self, field: &str) -> bool {
        let below = |found: &str| {
            found.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        !self.faults.borrow().iter().any(|fault| below(&fault.field))
    }

    /// The faults by line, all belonging to the document called `upstream`.
    pub fn into_faults(self, upstream: Option<&str>) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        for fault in &mut faults {
            fault.upstream = upstream.map(str::to_owned);
        }
        faults
    }
}
